//! Orders at SwissSign: the contract, and every switch of the sandbox.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::Failure;
use prevalidate::ca::csr::Sight;
use prevalidate::ca::issuing::{Fetched, Found, Issuing, Revocation, RevocationRequest};
use prevalidate::ca::issuing_conformance::{self as suite, Stage};
use prevalidate::clock::Clock;
use prevalidate::issuance::{OrderState, RevocationReason};
use prevalidate::prevalidation::Challenge;
use prevalidate::sandbox::ca::{CaaCheck, Call, ChainOrder, Fault, SubmitFault, Unproven, What};

use super::super::{counted, documented};
use super::Lab;

const PRODUCT: &str = "OV SSL Gold Multi-Domain";

#[async_trait]
impl Stage for Lab {
    fn ca(&self) -> Arc<dyn Issuing> {
        Arc::clone(&self.ca).issuing().unwrap()
    }

    fn client_and_product(&self) -> (String, String) {
        let (reference, _) = self.sandbox.ca.clients().remove(0);
        (reference, PRODUCT.to_owned())
    }

    fn make_ready(&self, name: &str) {
        self.make_unproven(name);
        self.sandbox.ca.set_validated(name, self.clock.now());
    }

    fn make_unproven(&self, name: &str) {
        let (client, _) = self.client_and_product();
        self.sandbox.ca.register(&client, &[name.to_owned()]);
    }

    fn publish(&self, challenge: &Challenge) {
        panic!("nothing to publish: {challenge}");
    }

    fn lose_the_answer_to_submit(&self) {
        for call in [Call::Issue, Call::IssueCsr] {
            self.sandbox
                .ca
                .fault(Fault::nth(call, 1, What::DeliverThenDrop));
        }
    }

    fn lose_the_next_submit(&self) {
        for call in [Call::Issue, Call::IssueCsr] {
            self.sandbox
                .ca
                .fault(Fault::nth(call, 1, What::DropBeforeDoing));
        }
    }

    fn held(&self) -> usize {
        self.sandbox.ca.orders().len()
    }

    fn advance(&self, span: SignedDuration) {
        self.clock.advance(span);
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn request(serial: &str) -> RevocationRequest {
    RevocationRequest {
        serial: serial.to_owned(),
        reason: RevocationReason::Superseded,
        requestor: String::new(),
        comment: None,
    }
}

#[tokio::test]
async fn orders_by_tag_keep_the_contract() {
    suite::all(&Lab::start(|_| {}).await).await;
}

#[tokio::test]
async fn orders_keep_the_contract_at_a_slow_ca_that_words_things_otherwise() {
    let lab = Lab::start(|behaviour| {
        behaviour.issued_after = 240;
        behaviour.tags_found_after = 20;
        behaviour.tags_are_exact = false;
        behaviour.lower_case_status = true;
        behaviour.bare_status = true;
        behaviour.chain_order = ChainOrder::RootFirst;
        behaviour.chain_in_pem = true;
        behaviour.revoked_after = 120;
        behaviour.shuffled = true;
    });
    suite::all(&lab.await).await;
}

#[tokio::test]
async fn a_chain_is_free_of_roots_in_whatever_order_it_comes() {
    for order in [
        ChainOrder::LeafFirst,
        ChainOrder::RootFirst,
        ChainOrder::Any,
    ] {
        for root in [true, false] {
            let lab = Lab::start(|behaviour| {
                behaviour.chain_order = order;
                behaviour.chain_has_root = root;
            });
            let lab = lab.await;
            Stage::make_ready(&lab, "chain.test");
            let mut intent = suite::intent(&lab, "chain", &["chain.test"]);
            let made = suite::submit(&lab, &mut intent).await.unwrap();
            let made = suite::wait(&lab, made).await;
            let (_, others) = suite::fetch(&lab, &made, &intent).await;
            assert_eq!(others.len(), 1, "{order:?} {root}");
        }
    }
}

#[tokio::test]
async fn a_submission_that_the_backend_did_not_take_is_searched_for() {
    for (fails, held) in [(SubmitFault::WithOrder, 1), (SubmitFault::WithoutOrder, 0)] {
        let lab = Lab::start(|behaviour| behaviour.submit_fails = fails).await;
        Stage::make_ready(&lab, "taken.test");
        let mut intent = suite::intent(&lab, "taken", &["taken.test"]);
        let error = suite::submit(&lab, &mut intent).await.unwrap_err();
        assert_eq!(error.failure, Failure::Unknown, "{error}");
        assert!(error.message.contains("0239"), "{error}");
        // Then an empty search is a clean no, and not a moment before.
        lab.clock.advance(SignedDuration::from_secs(29));
        let early = Stage::ca(&lab).find(&intent).await.unwrap();
        assert_ne!(early, Found::No);
        lab.clock.advance(SignedDuration::from_secs(1));
        let found = Stage::ca(&lab).find(&intent).await.unwrap();
        assert_eq!(matches!(found, Found::Order(_)), held == 1, "{found:?}");
        assert_eq!(found == Found::No, held == 0, "{found:?}");
        assert_eq!(lab.held(), held);
    }
}

#[tokio::test]
async fn a_refused_order_buys_nothing_and_says_why() {
    let lab = Lab::start(|behaviour| behaviour.validate_sees_domains = true).await;
    Stage::make_ready(&lab, "good.test");
    let ca = Stage::ca(&lab);
    let intent = |names: &[&str]| suite::intent(&lab, "refused", names);
    for (product, said) in [
        ("OV SSL Gold Multi-Domain 2024", "retired"),
        ("OV SSL Gold with key", "PKCS12"),
        ("DV SSL Silver Single-Domain", "for one name"),
    ] {
        let mut wrong = intent(&["good.test", "www.good.test"]);
        wrong.product = product.to_owned();
        let error = ca.preflight(&wrong).await.unwrap_err();
        assert_eq!(error.failure, Failure::Refused, "{error}");
        assert!(error.message.contains(said), "{error}");
    }
    let error = ca
        .preflight(&intent(&["elsewhere.test"]))
        .await
        .unwrap_err();
    assert!(error.message.contains("elsewhere.test"), "{error}");
    let mut other = intent(&["good.test"]);
    other.subject = suite::intent(&lab, "x", &["good.test", "more.good.test"]).subject;
    let error = ca.preflight(&other).await.unwrap_err();
    assert!(error.message.contains("more.good.test"), "{error}");
    assert_eq!(lab.held(), 0);
    assert_eq!(lab.sandbox.ca.count(Call::Issue), 0);
}

#[tokio::test]
async fn an_order_costs_no_more_calls_than_the_api_asks_for() {
    let lab = Lab::start(|_| {}).await;
    Stage::make_ready(&lab, "calls.test");
    let mut intent = suite::intent(&lab, "calls", &["calls.test"]);
    let ca = Stage::ca(&lab);
    intent.product = ca.preflight(&intent).await.unwrap().product.reference;
    lab.sandbox.ca.clear_log();
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    assert_eq!(ca.read(&order.key).await.unwrap().state, OrderState::Issued);
    ca.fetch(&order.key).await.unwrap();
    let calls: Vec<_> = lab.sandbox.ca.log().iter().map(|one| one.call).collect();
    assert_eq!(calls, [Call::Issue, Call::OrderStatus, Call::OrderChain]);
}

#[tokio::test]
async fn an_order_at_swisssign_costs_the_calls_that_are_documented() {
    let lab = Lab::start(|_| {}).await;
    let calls = || lab.sandbox.ca.log().len();
    let counted = counted(&lab, "counted.test", calls).await;
    assert_eq!(counted, documented("SwissSign"));
}

#[tokio::test]
async fn an_order_that_waits_says_for_what() {
    let lab = Lab::start(|behaviour| behaviour.issued_after = 60).await;
    lab.make_unproven("later.test");
    let ca = Stage::ca(&lab);
    let mut intent = suite::intent(&lab, "waits", &["later.test"]);
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    let checked = ca.read(&order.key).await.unwrap();
    assert_eq!(checked.state, OrderState::AwaitsValidation);
    assert!(checked.words.unwrap().contains("later.test"));
    lab.sandbox.ca.set_validated("later.test", lab.clock.now());
    lab.clock.advance(SignedDuration::from_secs(61));
    assert_eq!(ca.read(&order.key).await.unwrap().state, OrderState::Issued);

    let mut approved = suite::intent(&lab, "approval", &["later.test"]);
    approved.product = "EV SSL Gold Multi-Domain".to_owned();
    let flight = ca.preflight(&approved).await.unwrap();
    assert!(flight.warnings[0].contains("approves"), "{flight:?}");
    let order = suite::submit(&lab, &mut approved).await.unwrap();
    lab.clock.advance(SignedDuration::from_secs(61));
    let checked = ca.read(&order.key).await.unwrap();
    assert_eq!(checked.state, OrderState::AwaitsPerson);
    lab.sandbox
        .ca
        .decide_order(&order.key.reference, "REJECTED");
    let checked = ca.read(&order.key).await.unwrap();
    assert_eq!(checked.state, OrderState::Rejected);
    assert!(
        checked
            .words
            .unwrap()
            .contains("Rejected by the RA officer")
    );
}

#[tokio::test]
async fn a_ca_that_obeys_caa_issues_for_no_name_that_forbids_it() {
    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::CAA;
    use prevalidate::sandbox::dns::Zone;

    let lab = Lab::start(|behaviour| behaviour.caa = CaaCheck::Orders).await;
    let forbids = |tag: &str| {
        let mut caa = CAA::new_issue(false, None, Vec::new());
        caa.tag = tag.to_owned();
        RData::CAA(caa)
    };
    for (zone, tag, name, state) in [
        ("free.test", None, "free.test", OrderState::Issued),
        (
            "shut.test",
            Some("issue"),
            "www.shut.test",
            OrderState::Failed,
        ),
        (
            "wild.test",
            Some("issuewild"),
            "wild.test",
            OrderState::Issued,
        ),
        (
            "wilder.test",
            Some("issuewild"),
            "*.wilder.test",
            OrderState::Failed,
        ),
    ] {
        let mut served = Zone::new(zone);
        if let Some(tag) = tag {
            served = served.with(zone, forbids(tag));
        }
        lab.sandbox.dns.add_zone(served);
        Stage::make_ready(&lab, zone);
        let mut intent = suite::intent(&lab, zone, &[name]);
        let order = suite::submit(&lab, &mut intent).await.unwrap();
        let checked = Stage::ca(&lab).read(&order.key).await.unwrap();
        assert_eq!(checked.state, state, "{name}: {checked:?}");
        if state == OrderState::Failed {
            let words = checked.words.unwrap();
            assert!(
                words.contains(&format!("CAA at {zone}: no CA may issue")),
                "{words}"
            );
        }
    }
}

#[tokio::test]
async fn an_order_that_fails_and_one_that_is_revoked_at_once_are_told_apart() {
    let fails = |behaviour: &mut prevalidate::sandbox::ca::Behaviour| {
        behaviour.unproven = Unproven::Fails;
        behaviour.revoked_at_once = true;
    };
    let lab = Lab::start(fails).await;
    lab.make_unproven("bad.test");
    let mut intent = suite::intent(&lab, "fails", &["bad.test"]);
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    let checked = Stage::ca(&lab).read(&order.key).await.unwrap();
    assert_eq!(checked.state, OrderState::Failed);
    assert!(checked.words.unwrap().contains("bad.test"));

    Stage::make_ready(&lab, "good.test");
    let mut intent = suite::intent(&lab, "revoked", &["good.test"]);
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    let ca = Stage::ca(&lab);
    assert_eq!(ca.read(&order.key).await.unwrap().state, OrderState::Issued);
    assert_eq!(
        ca.read(&order.key).await.unwrap().state,
        OrderState::Revoked
    );

    lab.sandbox
        .ca
        .change(|behaviour| behaviour.orders_become = "QUANTUM_CHECK".to_owned());
    let mut intent = suite::intent(&lab, "new-word", &["good.test"]);
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    let checked = ca.read(&order.key).await.unwrap();
    assert_eq!(
        checked.state,
        OrderState::Unknown("QUANTUM_CHECK".to_owned())
    );
}

#[tokio::test]
async fn a_revocation_names_who_asks_for_it_and_the_right_certificate_only() {
    let lab = Lab::start(|_| {}).await;
    Stage::make_ready(&lab, "revoked.test");
    let mut intent = suite::intent(&lab, "revoked", &["revoked.test"]);
    let ca = Stage::ca(&lab);
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    ca.read(&order.key).await.unwrap();
    let error = ca.revoke(&order.key, &request("ab")).await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused, "{error}");
    assert_eq!(lab.sandbox.ca.count(Call::Revoke), 0);
    let (leaf, _) = suite::fetch(&lab, &order, &intent).await;
    lab.sandbox
        .ca
        .fault(Fault::nth(Call::Revoke, 1, What::DeliverThenDrop));
    let error = ca
        .revoke(&order.key, &request(&leaf.serial))
        .await
        .unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    assert_eq!(
        ca.read(&order.key).await.unwrap().state,
        OrderState::Revoked
    );
    let again = ca.revoke(&order.key, &request(&leaf.serial)).await.unwrap();
    assert_eq!(again, Revocation::Done);
    assert_eq!(lab.sandbox.ca.count(Call::Revoke), 1);
    let seen = lab.sandbox.ca.orders().remove(0);
    assert_eq!(seen.revocation_requestor.as_deref(), Some("prevalidate"));
}

#[tokio::test]
async fn an_order_by_csr_alone_is_found_by_its_key() {
    let lab = Lab::start_with(
        |behaviour| behaviour.issued_after = 90,
        |settings| {
            settings.issues_by_csr = true;
        },
    );
    let lab = lab.await;
    Stage::make_ready(&lab, "plain.test");
    let mut intent = suite::intent(&lab, "plain", &["plain.test"]);
    lab.lose_the_answer_to_submit();
    suite::submit(&lab, &mut intent).await.unwrap_err();
    let ca = Stage::ca(&lab);
    let found = ca.find(&intent).await.unwrap();
    assert!(
        matches!(found, Found::NotYet { .. }),
        "it has no key yet: {found:?}"
    );
    lab.clock.advance(SignedDuration::from_secs(91));
    let found = ca.find(&intent).await.unwrap();
    assert!(matches!(found, Found::Order(_)), "{found:?}");
    assert_eq!((lab.held(), lab.sandbox.ca.count(Call::Issue)), (1, 0));
    assert!(lab.sandbox.ca.orders()[0].tags.is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_key_comes_as_it_is_for_the_check_above() {
    let lab = Lab::start(|behaviour| {
        behaviour.for_another_key = true;
        behaviour.certificate_life = 45;
    });
    let lab = lab.await;
    Stage::make_ready(&lab, "other.test");
    let mut intent = suite::intent(&lab, "other", &["other.test"]);
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    let ca = Stage::ca(&lab);
    ca.read(&order.key).await.unwrap();
    let Fetched::Certificates(found) = ca.fetch(&order.key).await.unwrap() else {
        panic!("issued");
    };
    let sights: Vec<_> = found.iter().map(|der| Sight::of(der).unwrap()).collect();
    assert!(
        sights
            .iter()
            .all(|one| one.public_key != intent.csr.public_key())
    );
    let leaf = sights.iter().find(|one| !one.names.is_empty()).unwrap();
    assert_eq!(leaf.not_after - lab.clock.now().as_second(), 45);
}

#[tokio::test]
async fn an_order_that_a_wrong_clock_submitted_is_found_by_its_tag() {
    suite::finds_by_its_tag_what_a_wrong_clock_submitted(&Lab::start(|_| {}).await).await;
}
