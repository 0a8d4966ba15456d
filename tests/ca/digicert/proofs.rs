//! Submissions, values, checks: fresh, adopted, ended, and what the CA does by itself.

use super::*;
use prevalidate::prevalidation::{Counts, Status};
use prevalidate::sandbox::digicert::Submitted;

#[tokio::test]
async fn a_renewal_keeps_the_proof_until_the_new_one_is_there() {
    let lab = Lab::start(|_| {}).await;
    let id = lab.proven("a.test", DAY * 180);
    let old = lab.ca.get(&id).await.unwrap().proof.unwrap();
    let challenge = lab.started(&id).await;
    assert_eq!(challenge.owner.as_str(), "_dnsauth.a.test");
    assert_eq!(challenge.counts, Counts::Published);
    assert_eq!(challenge.until.unwrap(), lab.now() + DAY * 30);
    let pending = lab.ca.get(&id).await.unwrap();
    assert_eq!(pending.status, Status::Valid, "valid and pending at once");
    assert!(pending.challenge.unwrap().is_same_record(&challenge));
    let answer = lab.ca.submit(&id).await.unwrap();
    assert_eq!(answer.verdict, Verdict::NotSeen);
    assert_eq!(answer.registration.status, Status::Valid);
    assert!(
        answer
            .registration
            .last_words
            .unwrap()
            .contains("invalid_dns_txt")
    );
    lab.publish(&challenge, true);
    let answer = lab.ca.submit(&id).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Proven);
    assert!(answer.registration.proof.unwrap().is_newer_than(&old));
    assert_eq!(answer.registration.challenge, None, "the value is used up");
    assert_eq!((lab.cc.mails(), lab.cc.count("POST", "/dcv/token")), (0, 0));
}

#[tokio::test]
async fn a_live_value_is_used_and_never_asked_for_again() {
    let lab = Lab::start(|behaviour| behaviour.new_value_each_submission = true).await;
    let id = lab.proven("a.test", DAY * 180);
    let value = lab.cc.submit_in_portal("a.test").unwrap();
    for _ in 0..3 {
        let challenge = lab.started(&id).await;
        assert_eq!(challenge.data.as_str(), value);
    }
    assert_eq!(lab.effects(), 0);
    lab.advance(DAY * 31);
    let next = lab.started(&id).await;
    assert_ne!(next.data.as_str(), value, "it has ended");
    assert_eq!(lab.effects(), 1);
}

#[tokio::test]
async fn an_earlier_value_counts_beside_a_later_one() {
    let lab = Lab::start(|behaviour| behaviour.new_value_each_submission = true).await;
    let id = lab.domain("a.test");
    let first = lab.started(&id).await;
    lab.cc.submit_in_portal("a.test").unwrap();
    let shown = lab.ca.get(&id).await.unwrap().challenge.unwrap();
    assert!(!shown.is_same_record(&first));
    lab.publish(&first, true);
    assert_eq!(lab.ca.submit(&id).await.unwrap().verdict, Verdict::Proven);
}

#[tokio::test]
async fn the_ca_checks_by_itself_and_a_proof_without_our_check_is_one() {
    let lab = Lab::start(|_| {}).await;
    let id = lab.proven("a.test", DAY * 180);
    let old = lab.ca.get(&id).await.unwrap().proof.unwrap();
    let challenge = lab.started(&id).await;
    lab.publish(&challenge, true);
    lab.advance(SignedDuration::from_mins(2));
    let found = lab.ca.get(&id).await.unwrap();
    assert!(found.proof.as_ref().unwrap().is_newer_than(&old));
    assert_eq!(found.challenge, None);
    assert_eq!(lab.cc.count("PUT", "/validate-token"), 0);
    lab.publish(&challenge, false);
    let answer = lab.ca.submit(&id).await.unwrap();
    assert_eq!(
        answer.verdict,
        Verdict::Proven,
        "a check that comes too late"
    );
}

#[tokio::test]
async fn when_the_cas_own_checks_have_stopped_ours_still_counts() {
    let lab = Lab::start(|_| {}).await;
    let id = lab.domain("a.test");
    let challenge = lab.started(&id).await;
    for _ in 0..12 {
        lab.advance(DAY);
        lab.ca.get(&id).await.unwrap();
    }
    lab.publish(&challenge, true);
    lab.advance(DAY);
    assert_eq!(lab.ca.get(&id).await.unwrap().proof, None);
    assert!(lab.started(&id).await.is_same_record(&challenge));
    assert_eq!(lab.ca.submit(&id).await.unwrap().verdict, Verdict::Proven);
}

#[tokio::test]
async fn a_check_that_is_slow_or_says_inactive_is_not_yet_a_proof() {
    let lab = Lab::start(|behaviour| {
        behaviour.blind_checks = 2;
        behaviour.polls = false;
    })
    .await;
    let id = lab.domain("a.test");
    let challenge = lab.started(&id).await;
    lab.publish(&challenge, true);
    let mut verdicts = Vec::new();
    for _ in 0..3 {
        verdicts.push(lab.ca.submit(&id).await.unwrap().verdict);
    }
    let unseen = Verdict::NotSeen;
    assert_eq!(verdicts, [unseen, unseen, Verdict::Proven]);
}

#[tokio::test]
async fn the_record_of_a_cname_is_dnsauth_and_points_below_dcv() {
    let lab = Lab::with(Method::Cname, Label::DnsAuth, |_| {}).await;
    let id = lab.domain("a.test");
    let challenge = lab.started(&id).await;
    assert_eq!(challenge.owner.as_str(), "_dnsauth.a.test");
    let target = challenge.data.as_str();
    assert!(target.ends_with(".dcv.digicert.com"), "{target}");
    // The form of before October 2025 is dead.
    let value = target.strip_suffix(".dcv.digicert.com").unwrap();
    let owner = format!("{value}.a.test");
    lab.dns
        .add_zone(Zone::new("a.test").cname(&owner, "dcv.digicert.com"));
    assert_eq!(lab.ca.submit(&id).await.unwrap().verdict, Verdict::NotSeen);
    lab.publish(&challenge, true);
    assert_eq!(lab.ca.submit(&id).await.unwrap().verdict, Verdict::Proven);
}

#[tokio::test]
async fn a_delegated_dnsauth_is_followed_into_its_zone() {
    let lab = Lab::start(|_| {}).await;
    let id = lab.domain("a.test");
    let challenge = lab.started(&id).await;
    lab.dns
        .add_zone(Zone::new("a.test").cname("_dnsauth.a.test", "a.dcv.example"));
    let value = challenge.data.as_str();
    lab.dns
        .add_zone(Zone::new("dcv.example").txt("a.dcv.example", value));
    assert_eq!(lab.ca.submit(&id).await.unwrap().verdict, Verdict::Proven);
}

#[tokio::test]
async fn a_value_with_quotes_comes_whole_and_as_a_target_it_is_refused() {
    let lab = Lab::start(|behaviour| behaviour.hostile_values = true).await;
    let id = lab.domain("a.test");
    let challenge = lab.started(&id).await;
    let value = challenge.data.as_str();
    assert!(value.contains("\"a\\b;c "), "{value}");
    lab.publish(&challenge, true);
    assert_eq!(lab.ca.submit(&id).await.unwrap().verdict, Verdict::Proven);

    let lab = Lab::with(Method::Cname, Label::DnsAuth, |behaviour| {
        behaviour.hostile_values = true;
    })
    .await;
    let id = lab.domain("a.test");
    let error = lab.ca.start(&id).await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
    assert!(error.message.contains("not a DNS name"), "{error}");
    assert!(error.hint.unwrap().contains("Nothing is published"));
    let found = lab.ca.get(&id).await.unwrap();
    assert!(found.challenge.is_none() && found.doubt.is_some());
}

#[tokio::test]
async fn a_value_of_an_order_is_never_published_and_counts_when_a_person_did() {
    let lab = Lab::start(|behaviour| behaviour.submitted = Submitted::OrderValue).await;
    let id = lab.domain("a.test");
    let challenge = lab.started(&id).await;
    let shown = lab.ca.get(&id).await.unwrap().challenge.unwrap();
    assert!(challenge.is_same_record(&shown), "the domain's own value");
    let value = lab.cc.order_value("a.test").unwrap();
    assert_ne!(challenge.data.as_str(), value);
    lab.dns.add_zone(Zone::new("a.test").txt("a.test", &value));
    assert_eq!(lab.ca.submit(&id).await.unwrap().verdict, Verdict::Proven);
}

#[tokio::test]
async fn a_value_that_ended_before_it_came_is_not_published() {
    let lab = Lab::start(|behaviour| behaviour.ended_values = true).await;
    let id = lab.domain("a.test");
    let error = lab.ca.start(&id).await.unwrap_err();
    assert_eq!(
        error.failure,
        Failure::Refused,
        "a person must act: {error}"
    );
    assert!(error.message.contains("shows ended at"), "{error}");
}

#[tokio::test]
async fn a_domain_whose_method_is_mail_gets_the_method_of_the_configuration() {
    let lab = Lab::start(|behaviour| behaviour.keeps_method = true).await;
    let id = lab.domain("a.test");
    let challenge = lab.started(&id).await;
    lab.publish(&challenge, true);
    assert_eq!(lab.ca.submit(&id).await.unwrap().verdict, Verdict::Proven);
    assert_eq!(lab.cc.count("PUT", "/dcv/method"), 1);
    assert_eq!(lab.cc.mails(), 0);
}

#[tokio::test]
async fn a_value_of_another_type_of_record_is_never_read_as_one_of_the_configured_type() {
    let lab = Lab::start(|_| {}).await;
    let id = lab.domain("a.test");
    let colleague = lab.other(|settings| settings.method = Method::Cname);
    let theirs = colleague.start(&id).await.unwrap().registration.challenge;
    assert_eq!(theirs.unwrap().record_type(), "CNAME");
    lab.cc.change(|behaviour| behaviour.keeps_method = true);
    let challenge = lab.started(&id).await;
    assert_eq!(challenge.record_type(), "TXT");
    assert_eq!(
        lab.cc.count("PUT", "/dcv/method"),
        1,
        "asked for by its method"
    );
    lab.publish(&challenge, true);
    assert_eq!(lab.ca.submit(&id).await.unwrap().verdict, Verdict::Proven);
}

#[tokio::test]
async fn the_types_of_the_configuration_are_submitted_and_without_any_those_of_the_domain() {
    let lab = Lab::start(|_| {}).await;
    let id = lab.domain("a.test");
    let both = lab.other(|settings| {
        settings.organisations[0].1.validations = vec!["ov".to_owned(), "ev".to_owned()];
    });
    both.start(&id).await.unwrap();
    let sent = lab
        .cc
        .log()
        .into_iter()
        .find(|one| one.method == "POST")
        .unwrap();
    assert!(
        sent.body.contains(r#"[{"type":"ov"},{"type":"ev"}]"#),
        "{}",
        sent.body
    );
    lab.advance(DAY * 31);
    lab.cc.clear_log();
    let none = lab.other(|settings| settings.organisations.clear());
    none.start(&id).await.unwrap();
    let sent = lab
        .cc
        .log()
        .into_iter()
        .find(|one| one.method == "POST")
        .unwrap();
    assert!(
        sent.body.contains(r#"[{"type":"ov"},{"type":"ev"}]"#),
        "{}",
        sent.body
    );
}
