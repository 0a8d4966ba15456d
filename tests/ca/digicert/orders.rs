//! Orders at DigiCert that people decide, that the CA ends, and that are revoked; and the list.

use prevalidate::ca::issuing::{
    Found, Intent, Issuing, Order, OrderKey, Predecessor, Revocation, RevocationRequest, Succession,
};
use prevalidate::ca::issuing_conformance::{self as suite, Stage as _};
use prevalidate::issuance::{OrderState, RevocationReason};
use prevalidate::sandbox::digicert::{Approval, Rights};

use super::issuing::{DV, Desk, ORDER, OV};
use super::*;

fn request(serial: &str) -> RevocationRequest {
    RevocationRequest {
        serial: serial.to_owned(),
        reason: RevocationReason::KeyCompromise,
        requestor: String::new(),
        comment: None,
    }
}

#[tokio::test]
async fn an_order_waits_for_its_approval_and_goes_on_or_is_over() {
    for (approves, end) in [(true, OrderState::Issued), (false, OrderState::Rejected)] {
        let desk = Desk::start(OV, |behaviour| behaviour.approval = Approval::Needed).await;
        let (_, order) = desk.first("approved.test").await;
        assert_eq!(order.state, OrderState::AwaitsPerson);
        assert!(order.words.unwrap().contains("Certificates > Requests"));
        desk.lab.cc.decide_requests(approves);
        assert_eq!(desk.ca().read(&order.key).await.unwrap().state, end);
    }
}

#[tokio::test]
async fn a_key_that_may_not_approve_is_told_which_setting_it_needs() {
    let desk = Desk::start(OV, |behaviour| behaviour.approval = Approval::Refused).await;
    desk.make_ready("no.test");
    let mut intent = suite::intent(&desk, "no", &["no.test"]);
    let error = suite::submit(&desk, &mut intent).await.unwrap_err();
    assert_eq!(error.failure, Failure::Forbidden, "{error}");
    assert!(error.hint.unwrap().contains("skip_approval = false"));
    assert_eq!(desk.held(), 0);
    let patient = Arc::new(desk.lab.other(|settings| settings.skip_approval = false));
    let ca = Validation::issuing(patient).unwrap();
    let order = ca.submit(&intent).await.unwrap();
    let order = ca.read(&order.key).await.unwrap();
    assert_eq!(order.state, OrderState::AwaitsPerson);
}

#[tokio::test]
async fn every_word_of_the_ca_ends_an_order_or_leaves_it_open() {
    let desk = Desk::start(OV, |behaviour| {
        behaviour.waiting_word = "quantum".to_owned();
        behaviour.issued_after = 1_000_000;
    });
    let desk = desk.await;
    let (_, order) = desk.first("words.test").await;
    assert_eq!(order.state, OrderState::Unknown("quantum".to_owned()));
    let id = desk.lab.cc.orders()[0].id;
    for (word, state) in [
        ("processing", OrderState::Working),
        ("waiting_pickup", OrderState::AwaitsPerson),
        ("rejected", OrderState::Rejected),
        ("expired", OrderState::Failed),
    ] {
        desk.lab.cc.decide_order(id, Some(word));
        let seen = desk.ca().read(&order.key).await.unwrap();
        assert_eq!(seen.state, state, "{word}");
    }
    desk.lab.cc.decide_order(id, None);
    desk.ca().withdraw(&order.key, "not needed").await.unwrap();
    let seen = desk.ca().read(&order.key).await.unwrap();
    assert_eq!(seen.state, OrderState::Withdrawn);
    let again = desk.ca().withdraw(&order.key, "").await.unwrap_err();
    assert_eq!(again.failure, Failure::Refused);
}

#[tokio::test]
async fn a_pending_order_says_which_domain_and_which_organisation_it_waits_for() {
    let desk = Desk::start(OV, |behaviour| behaviour.organisation_types.clear()).await;
    desk.make_unproven("bare.test");
    let mut intent = suite::intent(&desk, "bare", &["www.bare.test"]);
    let order = suite::submit(&desk, &mut intent).await.unwrap();
    let order = desk.ca().read(&order.key).await.unwrap();
    assert_eq!(order.state, OrderState::AwaitsValidation);
    let words = "the organisation is not validated for ov; not validated: bare.test";
    assert_eq!(order.words.as_deref(), Some(words));
    assert_eq!(order.challenges.len(), 0, "a domain has a value of its own");
    assert_eq!(desk.lab.cc.count("PUT", "/dcv-random-value"), 0);
}

#[tokio::test]
async fn a_revocation_is_done_at_once_and_an_answer_that_was_lost_is_read_back() {
    for keeps in [false, true] {
        let desk = Desk::start(OV, |behaviour| behaviour.revoking_keeps_orders = keeps).await;
        let (intent, order) = desk.first("revoked.test").await;
        let (leaf, _) = suite::fetch(&desk, &order, &intent).await;
        desk.fault("/revoke", What::DoneButLost);
        let lost = desk.ca().revoke(&order.key, &request(&leaf.serial)).await;
        assert!(lost.unwrap_err().outcome_unknown());
        let again = desk.ca().revoke(&order.key, &request(&leaf.serial)).await;
        assert_eq!(again.unwrap(), Revocation::Done, "{keeps}");
        assert_eq!(desk.lab.cc.orders()[0].revocations, ["keyCompromise"]);
    }
}

#[tokio::test]
async fn an_empty_answer_to_a_revocation_is_no_word_of_the_ca() {
    let desk = Desk::start(OV, |_| {}).await;
    let (intent, order) = desk.first("empty.test").await;
    let (leaf, _) = suite::fetch(&desk, &order, &intent).await;
    desk.fault("/revoke", What::Empty(200));
    let asked = desk.ca().revoke(&order.key, &request(&leaf.serial)).await;
    let key = order.key.clone();
    assert_eq!(asked.unwrap(), Revocation::Taken(key.clone()));
    assert!(desk.lab.cc.orders()[0].revocations.is_empty());
    assert_eq!(
        desk.ca().read(&key).await.unwrap().state,
        OrderState::Issued
    );
    let again = desk.ca().revoke(&order.key, &request(&leaf.serial)).await;
    assert_eq!(again.unwrap(), Revocation::Done);
}

#[tokio::test]
async fn a_revocation_that_waits_for_an_administrator_is_asked_for_once_and_followed() {
    for (approves, end) in [(true, OrderState::Revoked), (false, OrderState::Rejected)] {
        let desk = Desk::start(OV, |_| {}).await;
        let (intent, order) = desk.first("asked.test").await;
        let (leaf, _) = suite::fetch(&desk, &order, &intent).await;
        desk.lab
            .cc
            .change(|behaviour| behaviour.approval = Approval::Needed);
        desk.fault("/revoke", What::DoneButLost);
        let ca = desk.ca();
        ca.revoke(&order.key, &request(&leaf.serial))
            .await
            .unwrap_err();
        let asked = ca.revoke(&order.key, &request(&leaf.serial)).await.unwrap();
        let Revocation::Taken(key) = &asked else {
            panic!("{asked:?}");
        };
        assert_eq!(desk.lab.cc.count("PUT", "/revoke"), 1, "no second request");
        let seen = ca.read(key).await.unwrap();
        assert_eq!(seen.state, OrderState::AwaitsPerson);
        assert_eq!(ca.revoke(key, &request(&leaf.serial)).await.unwrap(), asked);
        desk.lab.cc.decide_requests(approves);
        assert_eq!(ca.read(key).await.unwrap().state, end);
        let last = ca.revoke(key, &request(&leaf.serial)).await;
        match approves {
            true => assert_eq!(last.unwrap(), Revocation::Done),
            false => assert!(last.unwrap_err().message.contains("rejected")),
        }
    }
}

#[tokio::test]
async fn an_older_certificate_of_an_order_is_revoked_by_its_number_and_the_new_one_stays() {
    let desk = Desk::start(OV, |_| {}).await;
    let (intent, order) = desk.first("older.test").await;
    let (old, _) = suite::fetch(&desk, &order, &intent).await;
    let mut next = suite::intent(&desk, "next", &["older.test"]);
    next.after = Some(prevalidate::ca::issuing::Predecessor {
        key: order.key.clone(),
        way: prevalidate::ca::issuing::Succession::Reissue,
    });
    let made = suite::submit(&desk, &mut next).await.unwrap();
    let done = desk.ca().revoke(&order.key, &request(&old.serial)).await;
    assert_eq!(done.unwrap(), Revocation::Done);
    let seen = desk.ca().read(&made.key).await.unwrap();
    assert_eq!(seen.state, OrderState::Issued, "one of two is revoked");
    let unknown = desk.ca().revoke(&order.key, &request("abcdef")).await;
    assert_eq!(unknown.unwrap_err().failure, Failure::NotFound);
    assert_eq!(desk.lab.cc.count("PUT", "/certificate/ABCDEF/revoke"), 1);
}

#[tokio::test]
async fn a_list_that_breaks_off_or_hides_a_row_is_no_clean_no() {
    let desk = Desk::start(OV, |_| {}).await;
    desk.first("other.test").await;
    desk.make_ready("hidden.test");
    let mut intent = suite::intent(&desk, "hidden", &["hidden.test"]);
    desk.fault(ORDER, What::Lost);
    suite::submit(&desk, &mut intent).await.unwrap_err();
    desk.lab.clock.advance(SignedDuration::from_mins(5));
    desk.lab
        .cc
        .change(|behaviour| behaviour.counts_too_many = 1);
    let unclear = desk.ca().find(&intent).await.unwrap();
    assert!(matches!(unclear, Found::NotYet { .. }), "{unclear:?}");
    let listed = desk.ca().orders(&client()).await.unwrap();
    assert_eq!((listed.orders.len(), listed.unreadable.len()), (1, 1));
    desk.lab
        .cc
        .change(|behaviour| behaviour.counts_too_many = 0);
    assert_eq!(desk.ca().find(&intent).await.unwrap(), Found::No);
}

#[tokio::test]
async fn an_internationalised_name_is_searched_for_in_the_whole_list() {
    let desk = Desk::start(OV, |_| {}).await;
    let name = "xn--dj-kia8a.test";
    desk.make_ready(name);
    let mut intent = suite::intent(&desk, "idn", &[name]);
    desk.fault(ORDER, What::DoneButLost);
    suite::submit(&desk, &mut intent).await.unwrap_err();
    let found = desk.ca().find(&intent).await.unwrap();
    assert!(matches!(found, Found::Order(_)), "{found:?}");
    let log = desk.lab.cc.log();
    let lists = log.iter().filter(|one| one.path == "/order/certificate");
    assert!(lists.into_iter().all(|one| !one.query.contains("filters")));
}

#[tokio::test]
async fn the_list_has_the_orders_of_the_organisation_and_those_without_one() {
    let desk = Desk::start(OV, |_| {}).await;
    desk.first("one.test").await;
    let mut own = suite::intent(&desk, "dv", &["two.test"]);
    own.product = DV.to_owned();
    suite::submit(&desk, &mut own).await.unwrap();
    desk.lab.cc.change(|behaviour| behaviour.largest_page = 1);
    let listed = desk.ca().orders(&client()).await.unwrap();
    assert_eq!((listed.orders.len(), listed.unreadable.len()), (2, 0));
    let elsewhere = desk.ca().orders("117484").await.unwrap();
    assert_eq!(elsewhere.orders.len(), 1, "it belongs to no organisation");
}

#[tokio::test]
async fn trouble_at_an_order_is_told_from_a_refusal() {
    let desk = Desk::start(OV, |_| {}).await;
    desk.make_ready("trouble.test");
    let mut intent = suite::intent(&desk, "trouble", &["trouble.test"]);
    for (what, unknown) in [
        (What::Page(502), true),
        (What::Empty(500), true),
        (What::Page(200), true),
        // A gateway before DigiCert may have handed the call on.
        (What::Page(401), true),
        (What::Page(403), true),
        (What::Empty(403), true),
        (What::Throttled, false),
    ] {
        desk.fault(ORDER, what);
        let error = suite::submit(&desk, &mut intent).await.unwrap_err();
        assert_eq!(error.outcome_unknown(), unknown, "{what:?}: {error}");
    }
    desk.lab.clock.advance(SignedDuration::from_secs(5));
    // What is read before the order buys nothing, however it is answered.
    desk.fault("GET /product", What::Page(200));
    let error = suite::submit(&desk, &mut intent).await.unwrap_err();
    assert!(!error.outcome_unknown(), "{error}");
    desk.lab
        .cc
        .change(|behaviour| behaviour.rights = Rights::ViewOnly);
    let error = suite::submit(&desk, &mut intent).await.unwrap_err();
    assert_eq!(error.failure, Failure::Forbidden);
    assert!(error.hint.unwrap().contains("orders certificates"));
    assert_eq!(desk.held(), 0);
    let gone = desk.ca().read(&OrderKey::new("999")).await.unwrap_err();
    assert_eq!(gone.failure, Failure::NotFound);
}

/// A certificate of which another one with the same key is wanted, at an account that shows no
/// comments and hides nothing else.
async fn same_key(change: impl FnOnce(&mut Behaviour)) -> (Desk, Intent, Order) {
    let desk = Desk::start(OV, |behaviour| {
        behaviour.shows_comments = false;
        change(behaviour);
    });
    let desk = desk.await;
    let (first, order) = desk.first("same-key.test").await;
    let mut next = suite::intent(&desk, "second", &["same-key.test"]);
    next.csr = first.csr.clone();
    next.after = Some(Predecessor {
        key: order.key.clone(),
        way: Succession::Reissue,
    });
    (desk, next, order)
}

#[tokio::test]
async fn a_reissue_for_the_same_key_that_never_arrived_is_not_taken_for_made() {
    for shows_csr in [true, false] {
        let (desk, mut next, order) = same_key(|behaviour| behaviour.shows_csr = shows_csr).await;
        let path = format!("POST /order/certificate/{}/reissue", order.key);
        desk.fault(&path, What::Lost);
        suite::submit(&desk, &mut next).await.unwrap_err();
        let found = desk.ca().find(&next).await.unwrap();
        assert!(matches!(found, Found::NotYet { .. }), "{found:?}");
        desk.lab.clock.advance(SignedDuration::from_secs(61));
        assert_eq!(desk.ca().find(&next).await.unwrap(), Found::No);

        // One that arrived is found by its other certificate.
        desk.fault(&path, What::DoneButLost);
        suite::submit(&desk, &mut next).await.unwrap_err();
        let Found::Order(found) = desk.ca().find(&next).await.unwrap() else {
            panic!("it is there");
        };
        assert_eq!(found.state, OrderState::Issued);
        assert_ne!(found.key.certificate, order.key.certificate);
        assert_eq!(desk.lab.cc.orders()[0].certificates, 2);
    }
}

#[tokio::test]
async fn a_reissue_that_waits_for_its_approval_is_found_and_not_made_twice() {
    for (approves, shows_comments) in [(true, true), (false, true), (true, false)] {
        let (desk, mut next, order) = same_key(|_| {}).await;
        desk.lab.cc.change(|cc| {
            cc.approval = Approval::Needed;
            cc.shows_comments = shows_comments;
        });
        let path = format!("POST /order/certificate/{}/reissue", order.key);
        desk.fault(&path, What::DoneButLost);
        suite::submit(&desk, &mut next).await.unwrap_err();
        desk.lab.clock.advance(SignedDuration::from_secs(600));
        let found = desk.ca().find(&next).await.unwrap();
        let Found::Order(found) = found else {
            // It may be a colleague's: one beside it would be one too many.
            assert!(!shows_comments && matches!(found, Found::NotYet { .. }));
            desk.lab.cc.decide_requests(true);
            let found = desk.ca().find(&next).await.unwrap();
            assert!(matches!(found, Found::Order(_)), "{found:?}");
            continue;
        };
        assert!(shows_comments);
        assert_eq!(found.state, OrderState::AwaitsPerson);
        assert!(found.words.unwrap().contains("approve the reissue"));
        desk.lab.cc.decide_requests(approves);
        let state = desk.ca().read(&found.key).await.unwrap().state;
        let expected = match approves {
            true => OrderState::Issued,
            false => OrderState::Rejected,
        };
        assert_eq!(state, expected);
        assert_eq!(desk.lab.cc.orders()[0].reissues, 1);
    }
}

#[tokio::test]
async fn an_order_keeps_the_method_that_it_was_made_with() {
    let desk = Desk::start(DV, |behaviour| behaviour.polls = false).await;
    desk.make_ready("method.test");
    let mut intent = suite::intent(&desk, "method", &["method.test"]);
    let order = suite::submit(&desk, &mut intent).await.unwrap();
    let kinds = async |ca: Arc<dyn Issuing>| {
        let shown = ca.read(&order.key).await.unwrap().challenges;
        let shown = shown.iter().map(ToString::to_string);
        shown.collect::<Vec<_>>()
    };
    let before = kinds(desk.ca()).await;
    assert!(before[0].contains(" TXT "), "{before:?}");
    let changed = desk.lab.other(|settings| settings.method = Method::Cname);
    let changed: Arc<dyn Issuing> = Arc::new(changed);
    assert_eq!(kinds(changed).await, before);
}
