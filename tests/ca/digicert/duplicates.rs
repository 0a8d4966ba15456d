//! Duplicates at DigiCert: other certificates of an order, each with its own key.

use prevalidate::ca::Failure;
use prevalidate::ca::issuing::{
    Fetched, Found, Intent, Order, OrderKey, Predecessor, Revocation, RevocationRequest, Succession,
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
        let again = desk.ca().read(&order.key).await.unwrap();
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
        let waits = desk.ca().read(&found.key).await.unwrap();
        assert_eq!(waits.state, OrderState::AwaitsPerson);
        assert!(waits.words.unwrap().contains("approve the duplicate"));
        let fetched = desk.ca().fetch(&found.key).await.unwrap();
        assert_eq!(fetched, Fetched::NotYet, "never that of the first");
        desk.lab.cc.decide_requests(approves);
        let seen = desk.ca().read(&found.key).await.unwrap();
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
    desk.ca()
        .revoke(&made.key, &request(&sight.serial))
        .await
        .unwrap();
    let first = desk.ca().read(&order.key).await.unwrap();
    assert_eq!(first.state, OrderState::Issued);

    let desk = Desk::start(DV, |_| {}).await;
    let (_, order) = desk.first("dv.test").await;
    let mut next = second(&desk, "next", "dv.test", &order);
    let error = suite::submit(&desk, &mut next).await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
}

fn request(serial: &str) -> RevocationRequest {
    RevocationRequest {
        serial: serial.to_owned(),
        reason: RevocationReason::KeyCompromise,
        requestor: String::new(),
        comment: None,
    }
}

/// An order with a duplicate: the key and the serial number of each.
async fn pair(desk: &Desk, name: &str) -> [(OrderKey, String); 2] {
    let (first, order) = desk.first(name).await;
    let (one, _) = suite::fetch(desk, &order, &first).await;
    let mut next = second(desk, "next", name, &order);
    let made = suite::submit(desk, &mut next).await.unwrap();
    let made = suite::wait(desk, made).await;
    let (two, _) = suite::fetch(desk, &made, &next).await;
    [(order.key, one.serial), (made.key, two.serial)]
}

#[tokio::test]
async fn of_two_duplicates_the_revocation_of_one_is_not_that_of_the_other() {
    for at in [0, 1] {
        let desk = Desk::start(OV, |_| {}).await;
        let pair = pair(&desk, "pair.test").await;
        let ((done, serial), (left, other)) = (&pair[at], &pair[1 - at]);
        let ca = desk.ca();
        // Its answer is lost: it is read back, and nothing is said of the other.
        desk.fault("/revoke", What::DoneButLost);
        ca.revoke(done, &request(serial)).await.unwrap_err();
        assert_eq!(ca.read(done).await.unwrap().state, OrderState::Revoked);
        assert_ne!(ca.read(left).await.unwrap().state, OrderState::Revoked);
        let again = ca.revoke(done, &request(serial)).await.unwrap();
        assert_eq!(again, Revocation::Done);
        assert_eq!(desk.lab.cc.count("PUT", "/revoke"), 1);
        let asked = ca.revoke(left, &request(other)).await.unwrap();
        assert_eq!(asked, Revocation::Done);
        assert_eq!(desk.lab.cc.count("PUT", "/revoke"), 2, "asked by itself");
        assert_eq!(ca.read(left).await.unwrap().state, OrderState::Revoked);
        assert_eq!(desk.lab.cc.orders()[0].revocations.len(), 2);
    }
}

#[tokio::test]
async fn the_open_request_of_one_duplicate_is_never_taken_for_that_of_the_other() {
    for shows_comments in [true, false] {
        let desk = Desk::start(OV, |cc| cc.shows_comments = shows_comments).await;
        let [(first, serial), (second, other)] = pair(&desk, "asked.test").await;
        desk.lab.cc.change(|cc| cc.approval = Approval::Needed);
        let ca = desk.ca();
        let one = ca.revoke(&first, &request(&serial)).await.unwrap();
        let two = ca.revoke(&second, &request(&other)).await.unwrap();
        assert_ne!(one, two, "{shows_comments}");
        assert_eq!(desk.lab.cc.count("PUT", "/revoke"), 2);
        if shows_comments {
            assert_eq!(ca.revoke(&second, &request(&other)).await.unwrap(), two);
            assert_eq!(desk.lab.cc.count("PUT", "/revoke"), 2, "it is found");
        }
        desk.lab.cc.decide_requests(true);
        for asked in [one, two] {
            let Revocation::Taken(key) = asked else {
                panic!("{asked:?}");
            };
            assert_eq!(ca.read(&key).await.unwrap().state, OrderState::Revoked);
        }
        assert_eq!(desk.lab.cc.orders()[0].revocations.len(), 2);
    }
}

#[tokio::test]
async fn a_rejected_request_ends_its_own_duplicate_and_none_beside_it() {
    for shows_comments in [true, false] {
        let desk = Desk::start(OV, |cc| cc.shows_comments = shows_comments).await;
        let (_, order) = desk.first("both.test").await;
        desk.lab.cc.change(|cc| cc.approval = Approval::Needed);
        let mut keys = Vec::new();
        for tag in ["one", "two"] {
            let mut next = second(&desk, tag, "both.test", &order);
            keys.push(suite::submit(&desk, &mut next).await.unwrap().key);
        }
        let waits = desk.lab.cc.open_requests();
        desk.lab.cc.decide_request(waits[1], false);
        let ca = desk.ca();
        let one = ca.read(&keys[0]).await.unwrap();
        assert_eq!(one.state, OrderState::AwaitsPerson, "{shows_comments}");
        assert_eq!(one.key, keys[0]);
        let two = ca.read(&keys[1]).await.unwrap();
        assert_eq!(two.state, OrderState::Rejected, "{shows_comments}");

        // What an older program kept does not tell which request is its own.
        let mut bare = keys[0].clone();
        bare.certificate = bare
            .certificate
            .map(|text| text.split(';').next().unwrap().to_owned());
        let unclear = ca.read(&bare).await.unwrap();
        assert_eq!(unclear.state, OrderState::Working);
        assert!(unclear.words.unwrap().contains("which duplicate request"));
        desk.lab.cc.decide_request(waits[0], true);
        let one = ca.read(&keys[0]).await.unwrap();
        assert_eq!(one.state, OrderState::Issued);
    }
}

#[tokio::test]
async fn a_duplicate_that_the_list_calls_approved_is_issued_once_it_shows_a_certificate() {
    for (word, shows_csr) in [("approved", true), ("approved", false), ("pending", true)] {
        let desk = Desk::start(OV, |cc| {
            cc.duplicate_word = word.to_owned();
            cc.chain_in_answer = false;
            cc.shows_csr = shows_csr;
        });
        let desk = desk.await;
        let (_, order) = desk.first("word.test").await;
        let mut next = second(&desk, "next", "word.test", &order);
        let made = suite::submit(&desk, &mut next).await.unwrap();
        assert_eq!(made.state, OrderState::Working);
        let seen = desk.ca().read(&made.key).await.unwrap();
        assert_eq!(seen.state, OrderState::Issued, "{word}");
        suite::fetch(&desk, &seen, &next).await;
    }
}
