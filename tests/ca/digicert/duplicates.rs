//! Duplicates at DigiCert: other certificates of an order, each with its own key.

use prevalidate::ca::Failure;
use prevalidate::ca::issuing::{
    Fetched, Found, Intent, Order, OrderKey, Predecessor, RevocationWish, Succession,
};
use prevalidate::ca::issuing_conformance as suite;
use prevalidate::issuance::{OrderState, RevocationReason};
use prevalidate::sandbox::digicert::Approval;

use super::issuing::{DV, Desk, OV};
use super::*;

fn second(desk: &Desk, tag: &str, name: &str, of: &Order) -> Intent {
    let mut intent = suite::intent(desk, tag, &[name]);
    intent.after = Some(Predecessor {
        key: OrderKey::new(of.key.reference.clone()),
        way: Succession::Duplicate,
    });
    intent
}

#[tokio::test]
async fn a_duplicate_has_its_own_key_the_order_of_the_first_and_its_own_certificate() {
    for (shows_csr, chain_in_answer) in [(true, true), (false, false), (true, false)] {
        let desk = Desk::start(OV, |behaviour| {
            behaviour.shows_csr = shows_csr;
            behaviour.chain_in_answer = chain_in_answer;
        });
        let desk = desk.await;
        let (first, order) = desk.first("twice.test").await;
        let (one, _) = suite::fetch(&desk, &order, &first).await;
        for tag in ["second", "third"] {
            let mut next = second(&desk, tag, "twice.test", &order);
            let made = suite::submit(&desk, &mut next).await.unwrap();
            let made = suite::wait(&desk, made).await;
            assert_eq!(made.key.reference, order.key.reference);
            let (other, _) = suite::fetch(&desk, &made, &next).await;
            assert_ne!(one.serial, other.serial);
        }
        let orders = desk.lab.cc.orders();
        assert_eq!((orders.len(), orders[0].duplicates), (1, 2));
        assert_eq!(orders[0].certificates, 1, "the first is as it was");
        let again = desk.ca().look(&order.key).await.unwrap();
        assert_eq!(again.key.certificate, order.key.certificate);
    }
}

#[tokio::test]
async fn a_duplicate_whose_answer_was_lost_is_found_by_its_key_and_not_made_twice() {
    for shows_csr in [true, false] {
        let desk = Desk::start(OV, |behaviour| {
            behaviour.shows_csr = shows_csr;
            behaviour.shows_comments = false;
        });
        let desk = desk.await;
        let (_, order) = desk.first("lost.test").await;
        let mut other = second(&desk, "other", "lost.test", &order);
        suite::submit(&desk, &mut other).await.unwrap();
        let path = format!("POST /order/certificate/{}/duplicate", order.key.reference);
        let mut next = second(&desk, "next", "lost.test", &order);
        desk.fault(&path, What::Lost);
        suite::submit(&desk, &mut next).await.unwrap_err();
        let found = desk.ca().find(&next).await.unwrap();
        assert!(matches!(found, Found::NotYet { .. }), "{found:?}");
        desk.lab.clock.advance(SignedDuration::from_secs(61));
        assert_eq!(desk.ca().find(&next).await.unwrap(), Found::No);
        desk.fault(&path, What::DoneButLost);
        suite::submit(&desk, &mut next).await.unwrap_err();
        let Found::Order(found) = desk.ca().find(&next).await.unwrap() else {
            panic!("it is there");
        };
        suite::fetch(&desk, &found, &next).await;
        assert_eq!(desk.lab.cc.orders()[0].duplicates, 2);
    }
}

#[tokio::test]
async fn a_duplicate_that_waits_for_its_approval_is_found_and_goes_on_or_is_over() {
    for (approves, end) in [(true, OrderState::Issued), (false, OrderState::Rejected)] {
        let desk = Desk::start(OV, |_| {}).await;
        let (_, order) = desk.first("asked.test").await;
        desk.lab.cc.change(|cc| cc.approval = Approval::Needed);
        let path = format!("POST /order/certificate/{}/duplicate", order.key.reference);
        desk.fault(&path, What::DoneButLost);
        let mut next = second(&desk, "next", "asked.test", &order);
        suite::submit(&desk, &mut next).await.unwrap_err();
        desk.lab.clock.advance(SignedDuration::from_secs(600));
        let Found::Order(found) = desk.ca().find(&next).await.unwrap() else {
            panic!("its request is there");
        };
        let waits = desk.ca().look(&found.key).await.unwrap();
        assert_eq!(waits.state, OrderState::AwaitsPerson);
        assert!(waits.words.unwrap().contains("approve the duplicate"));
        let fetched = desk.ca().fetch(&found.key).await.unwrap();
        assert_eq!(fetched, Fetched::NotYet, "never that of the first");
        desk.lab.cc.decide_requests(approves);
        let seen = desk.ca().look(&found.key).await.unwrap();
        assert_eq!(seen.state, end);
    }
}

#[tokio::test]
async fn a_duplicate_is_revoked_alone_and_a_dv_order_has_none() {
    let desk = Desk::start(OV, |_| {}).await;
    let (_, order) = desk.first("revoked.test").await;
    let mut next = second(&desk, "next", "revoked.test", &order);
    let made = suite::submit(&desk, &mut next).await.unwrap();
    let made = suite::wait(&desk, made).await;
    let (sight, _) = suite::fetch(&desk, &made, &next).await;
    let wish = RevocationWish {
        serial: sight.serial,
        reason: RevocationReason::Superseded,
        requestor: String::new(),
        comment: None,
    };
    desk.ca().revoke(&made.key, &wish).await.unwrap();
    let first = desk.ca().look(&order.key).await.unwrap();
    assert_eq!(first.state, OrderState::Issued);

    let desk = Desk::start(DV, |_| {}).await;
    let (_, order) = desk.first("dv.test").await;
    let mut next = second(&desk, "next", "dv.test", &order);
    let error = suite::submit(&desk, &mut next).await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
}
