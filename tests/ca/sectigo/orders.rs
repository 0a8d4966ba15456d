//! Orders: fresh, adopted, hanging, rejected, left over; and the records that they name.

use super::*;
use prevalidate::ca::{Failure, Verdict};
use prevalidate::prevalidation::{Counts, OrderState, Status};
use prevalidate::sandbox::sectigo::OrderEnd;

const DAY: SignedDuration = SignedDuration::from_hours(24);

async fn proven(method: Method, change: impl FnOnce(&mut Behaviour)) -> Lab {
    let lab = Lab::start(method, change).await;
    lab.domain("a.test");
    lab.scm.prove("a.test", DAY * 180);
    lab
}

#[tokio::test]
async fn validated_right_after_a_submission_is_no_success_until_the_date_moves() {
    for leaves_submitted in [false, true] {
        let lab = proven(Method::Cname, |behaviour| {
            behaviour.leaves_submitted = leaves_submitted;
        })
        .await;
        let before = lab.ca.get("a.test").await.unwrap();
        let challenge = lab.started("a.test").await;
        lab.publish(&challenge, true);
        let answer = lab.ca.submit("a.test").await.unwrap();
        assert_eq!(
            answer.registration.status,
            Status::Valid,
            "the old proof counts"
        );
        let Verdict::Taken { next_read_at } = answer.verdict else {
            panic!("{:?}", answer.verdict);
        };
        let old = before.proof.unwrap();
        assert!(!answer.registration.proof.unwrap().is_newer_than(&old));
        lab.advance(next_read_at.duration_since(lab.now()));
        let after = lab.ca.get("a.test").await.unwrap();
        assert!(after.proof.as_ref().unwrap().is_newer_than(&old));
        assert!(after.open_order().is_none(), "{after:?}");
        // A row at rest may read VALIDATED and SUBMITTED: nothing is under way.
        let listing = lab.ca.list(&ORGANISATION.to_string()).await.unwrap();
        assert!(
            listing
                .registrations
                .first()
                .unwrap()
                .open_order()
                .is_none()
        );
    }
}

#[tokio::test]
async fn a_renewal_may_start_where_an_old_order_left_submitted_behind() {
    let lab = proven(Method::Cname, |behaviour| behaviour.leaves_submitted = true).await;
    let challenge = lab.started("a.test").await;
    lab.publish(&challenge, true);
    lab.ca.submit("a.test").await.unwrap();
    lab.advance(DAY * 170);
    let next = lab.started("a.test").await;
    assert!(!next.is_same_record(&challenge));
    assert_eq!(lab.scm.count("/start/domain/cname"), 2);
}

#[tokio::test]
async fn an_open_order_is_adopted_and_never_started_or_submitted_again() {
    for method in [Method::Cname, Method::Txt] {
        let lab = proven(method, |behaviour| behaviour.sync_looks = false).await;
        let challenge = lab.started("a.test").await;
        let again = lab.started("a.test").await;
        assert!(again.is_same_record(&challenge), "{again} for {challenge}");
        for _ in 0..3 {
            let answer = lab.ca.submit("a.test").await.unwrap();
            assert!(matches!(answer.verdict, Verdict::Taken { .. }));
        }
        let adopted = lab.ca.start("a.test").await.unwrap();
        assert!(adopted.next_read_at.is_some(), "it was submitted already");
        let effects = [
            "/start/domain/cname",
            "/submit/domain/cname",
            "/submit/domain/txt",
        ];
        let counts = effects.map(|end| lab.scm.count(end));
        let expected = if method == Method::Cname {
            [1, 1, 0]
        } else {
            [0, 0, 1]
        };
        assert_eq!(counts, expected);
    }
}

#[tokio::test]
async fn an_order_that_hangs_is_read_when_sectigo_says_and_never_counts() {
    let lab = proven(Method::Cname, |behaviour| behaviour.orders = OrderEnd::Hang).await;
    let challenge = lab.started("a.test").await;
    lab.publish(&challenge, true);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let answer = lab.ca.submit("a.test").await.unwrap();
        let Verdict::Taken { next_read_at } = answer.verdict else {
            panic!("{:?}", answer.verdict);
        };
        let wait = next_read_at.duration_since(lab.now());
        waits.push(wait.as_secs());
        lab.advance(wait + SignedDuration::from_mins(11));
        assert_eq!(
            answer.registration.status,
            Status::Valid,
            "the old proof counts on"
        );
    }
    assert_eq!(waits[0], 60);
    assert!(waits[3] > 600, "{waits:?}");
    assert_eq!(lab.scm.count("/submit/domain/cname"), 1);
}

#[tokio::test]
async fn a_domain_whose_caa_forbids_sectigo_waits_until_it_is_mended() {
    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::CAA;

    let lab = proven(Method::Cname, |behaviour| behaviour.caa = true).await;
    let challenge = lab.started("a.test").await;
    lab.publish(&challenge, true);
    let no_ca = RData::CAA(CAA::new_issue(false, None, Vec::new()));
    lab.dns.edit("a.test", |zone| zone.with("a.test", no_ca));
    lab.ca.submit("a.test").await.unwrap();
    lab.advance(SignedDuration::from_mins(2));
    let found = lab.ca.get("a.test").await.unwrap();
    assert!(found.open_order().is_some(), "{found:?}");
    lab.publish(&challenge, true);
    lab.advance(SignedDuration::from_hours(3));
    let found = lab.ca.get("a.test").await.unwrap();
    assert!(found.open_order().is_none(), "{found:?}");
}

#[tokio::test]
async fn a_rejected_order_is_named_and_may_be_started_anew() {
    let lab = proven(Method::Cname, |behaviour| {
        behaviour.orders = OrderEnd::Rejected
    })
    .await;
    let challenge = lab.started("a.test").await;
    lab.publish(&challenge, true);
    lab.ca.submit("a.test").await.unwrap();
    lab.advance(SignedDuration::from_mins(2));
    let found = lab.ca.get("a.test").await.unwrap();
    assert_eq!(found.order.as_ref().unwrap().state, OrderState::Rejected);
    assert!(found.open_order().is_none());
    let next = lab.started("a.test").await;
    assert!(!next.is_same_record(&challenge));
}

#[tokio::test]
async fn a_txt_record_is_named_by_the_submission_and_its_odd_value_comes_whole() {
    let lab = proven(Method::Txt, |_| {}).await;
    let started = lab.ca.start("a.test").await.unwrap();
    assert!(started.next_read_at.is_some());
    let challenge = started.registration.challenge.unwrap();
    assert_eq!(challenge.owner.as_str(), "_pki-validation.a.test");
    assert_eq!(challenge.counts, Counts::BySubmit);
    let value = challenge.data.as_str();
    assert!(value.len() == 32 && value.starts_with("\\\"`;"), "{value}");
    let life = challenge.until.unwrap().duration_since(lab.now());
    assert_eq!(life, DAY * 30);
    lab.publish(&challenge, true);
    let answer = lab.ca.submit("a.test").await.unwrap();
    assert_eq!(
        answer.verdict,
        Verdict::Proven,
        "the sync made Sectigo check"
    );
    let same = lab.ca.get("a.test").await.unwrap();
    assert!(same.proof.unwrap().validated_at.is_some());
}

#[tokio::test]
async fn a_record_outside_of_the_domain_is_refused_and_never_handed_on() {
    for method in [Method::Cname, Method::Txt] {
        let lab = proven(method, |behaviour| behaviour.owner_outside = true).await;
        let error = lab.ca.start("a.test").await.unwrap_err();
        assert_eq!(error.failure, Failure::Refused);
        assert!(error.message.contains("is not in a.test"), "{error}");
        let found = lab.ca.get("a.test").await.unwrap();
        assert_eq!(found.challenge, None);
        assert!(found.doubt.unwrap().contains("is not in a.test"));
    }
}

#[tokio::test]
async fn what_cannot_be_validated_is_refused_in_words() {
    let lab = proven(Method::Cname, |behaviour| behaviour.busy = true).await;
    let error = lab.ca.start("a.test").await.unwrap_err();
    assert_eq!(error.failure, Failure::Unavailable, "{error}");
    lab.scm.change(|behaviour| behaviour.busy = false);
    lab.domain("sub.a.test");
    let error = lab.ca.start("sub.a.test").await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
    assert!(error.hint.unwrap().contains("follow their domain"));
    let error = lab.ca.start("unknown.test").await.unwrap_err();
    assert_eq!(error.failure, Failure::NotFound);
}

#[tokio::test]
async fn an_order_is_submitted_by_its_own_method_whatever_is_configured_since() {
    let lab = proven(Method::Txt, |_| {}).await;
    let colleague = lab.other(|settings| settings.method = Method::Cname);
    colleague.start("a.test").await.unwrap();
    let adopted = lab.ca.start("a.test").await.unwrap();
    assert_eq!(adopted.next_read_at, None, "nothing was submitted");
    let challenge = adopted.registration.challenge.unwrap();
    assert_eq!(challenge.record_type(), "CNAME");
    assert_eq!(challenge.counts, Counts::Published);
    lab.publish(&challenge, true);
    let answer = lab.ca.submit("a.test").await.unwrap();
    assert!(matches!(answer.verdict, Verdict::Taken { .. }));
    assert_eq!(
        answer.registration.order.unwrap().state,
        OrderState::Submitted
    );
    let counts = ["/submit/domain/cname", "/submit/domain/txt", "/sync"];
    assert_eq!(counts.map(|end| lab.scm.count(end)), [1, 0, 0]);
}

#[tokio::test]
async fn an_order_that_waits_to_be_submitted_is_not_said_to_be_taken() {
    let lab = proven(Method::Cname, |_| {}).await;
    lab.started("a.test").await;
    lab.scm.change(|behaviour| behaviour.keeps_begun = true);
    let answer = lab.ca.submit("a.test").await.unwrap();
    assert_eq!(answer.verdict, Verdict::NotSeen);
}

#[tokio::test]
async fn an_order_in_an_unknown_state_is_under_way_and_never_started_anew() {
    for method in [Method::Cname, Method::Txt] {
        let lab = proven(method, |behaviour| behaviour.orders = OrderEnd::Hang).await;
        let challenge = lab.started("a.test").await;
        lab.publish(&challenge, true);
        lab.ca.submit("a.test").await.unwrap();
        let word = Some("IN_PROGRESS".to_owned());
        lab.scm
            .change(|behaviour| behaviour.submitted_is_called = word);
        lab.scm.clear_log();
        let adopted = lab.ca.start("a.test").await.unwrap();
        assert!(adopted.next_read_at.is_some(), "{adopted:?}");
        let shown = adopted.registration.challenge.unwrap();
        assert!(shown.is_same_record(&challenge));
        let answer = lab.ca.submit("a.test").await.unwrap();
        assert!(
            matches!(answer.verdict, Verdict::Taken { .. }),
            "{answer:?}"
        );
        for effect in [
            "/start/domain/cname",
            "/submit/domain/cname",
            "/submit/domain/txt",
        ] {
            assert_eq!(lab.scm.count(effect), 0, "{effect}");
        }
    }
}

#[tokio::test]
async fn a_record_of_another_protocol_or_at_another_name_is_refused() {
    let value = "F(U_t|L%>8]iU6Yx\\CFm;0O8\"DViEQ/`";
    let at = |owner: &str| format!("{owner}.a.test. {value}");
    let long = format!("_pki-validation.a.test. {}", "a".repeat(600));
    for (method, record, why) in [
        (Method::Txt, at("_dmarc"), "_pki-validation.a.test"),
        (Method::Txt, at("_acme-challenge"), "_pki-validation.a.test"),
        (Method::Txt, at("www"), "_pki-validation.a.test"),
        (
            Method::Txt,
            at("_pki-validation.www"),
            "_pki-validation.a.test",
        ),
        (
            Method::Txt,
            "a.test. v=spf1 +all".to_owned(),
            "another protocol",
        ),
        (
            Method::Txt,
            "_pki-validation.a.test. V=DMARC1; p=none".to_owned(),
            "another protocol",
        ),
        (Method::Txt, long, "255"),
        (
            Method::Txt,
            format!("_pki-validation.a.test.  {value}"),
            "blank",
        ),
        (
            Method::Cname,
            "ns1.a.test. b2.sectigo.com.".to_owned(),
            "underscore",
        ),
        (
            Method::Cname,
            "_dmarc.a.test. b2.sectigo.com.".to_owned(),
            "another protocol",
        ),
        (
            Method::Cname,
            "_a1.a.test. a.test.".to_owned(),
            "in a.test itself",
        ),
        (
            Method::Cname,
            "_a1.a.test. www.a.test.".to_owned(),
            "in a.test itself",
        ),
    ] {
        let named = Some(record.clone());
        let lab = proven(method, |behaviour| behaviour.names_record = named).await;
        let error = lab.ca.start("a.test").await.expect_err(&record);
        assert_eq!(error.failure, Failure::Refused, "{record}");
        assert!(error.message.contains(why), "{record}: {error}");
        let found = lab.ca.get("a.test").await.unwrap();
        assert_eq!(found.challenge, None, "{record}");
    }
}
