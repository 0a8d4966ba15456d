//! Orders at Sectigo: the contract, and every switch of the sandbox.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::Failure;
use prevalidate::ca::issuing::{
    Fetched, Found, Issuing, OrderKey, Predecessor, Revocation, RevocationRequest, Succession,
};
use prevalidate::ca::issuing_conformance::{self as suite, Stage};
use prevalidate::ca::validation::Method;
use prevalidate::clock::Clock;
use prevalidate::issuance::{OrderState, RevocationReason};
use prevalidate::prevalidation::Challenge;
use prevalidate::sandbox::sectigo::{Behaviour, Dates, Fault, Pending, What};

use super::super::{counted, documented};
use super::{Lab, ORGANISATION, PASSWORD};

const PRODUCT: &str = "OV Multi-Domain SSL";
const ENROLL: &str = "POST /ssl/v1/enroll";

#[async_trait]
impl Stage for Lab {
    fn ca(&self) -> Arc<dyn Issuing> {
        Arc::clone(&self.ca).issuing().unwrap()
    }

    fn client_and_product(&self) -> (String, String) {
        (ORGANISATION.to_string(), PRODUCT.to_owned())
    }

    fn make_ready(&self, name: &str) {
        self.domain(name);
        self.scm.prove(name, SignedDuration::from_hours(1));
    }

    fn make_unproven(&self, name: &str) {
        self.domain(name);
    }

    fn publish(&self, challenge: &Challenge) {
        panic!("nothing to publish: {challenge}");
    }

    fn lose_the_answer_to_submit(&self) {
        self.scm.fault(fault(ENROLL, What::DoneButLost));
    }

    fn lose_the_next_submit(&self) {
        self.scm.fault(fault(ENROLL, What::Lost));
    }

    fn held(&self) -> usize {
        self.scm.orders().len()
    }

    fn advance(&self, span: SignedDuration) {
        self.clock.advance(span);
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn fault(on: &str, what: What) -> Fault {
    Fault {
        on: on.to_owned(),
        times: 1,
        what,
    }
}

async fn lab(change: impl FnOnce(&mut Behaviour)) -> Lab {
    Lab::start(Method::Cname, change).await
}

#[tokio::test]
async fn orders_keep_the_contract_by_both_logins() {
    suite::all(&lab(|_| {}).await).await;
    let mut lab = lab(|_| {}).await;
    lab.ca = Arc::new(lab.by_oauth(PASSWORD));
    suite::all(&lab).await;
}

#[tokio::test]
async fn orders_keep_the_contract_at_a_slow_ca_that_writes_days_and_hides_comments() {
    for dates in [Dates::Us, Dates::Days, Dates::Instants] {
        let lab = lab(|behaviour| {
            behaviour.dates = dates;
            behaviour.issued_after = 200;
            behaviour.collect_lags = 100;
            behaviour.pending = Pending::Code183;
            behaviour.shows_comments = false;
            behaviour.chain_root_first = false;
            behaviour.revoked_after = 90;
        });
        suite::all(&lab.await).await;
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_collected_yet_is_waited_for() {
    for pending in [Pending::Code0, Pending::Code183, Pending::Empty] {
        let lab = lab(|behaviour| {
            behaviour.pending = pending;
            behaviour.collect_lags = 30;
        });
        let lab = lab.await;
        lab.make_ready("lag.test");
        let mut intent = suite::intent(&lab, "lag", &["lag.test"]);
        let order = suite::submit(&lab, &mut intent).await.unwrap();
        let order = suite::wait(&lab, order).await;
        let ca = Stage::ca(&lab);
        assert_eq!(ca.fetch(&order.key).await.unwrap(), Fetched::NotYet);
        suite::fetch(&lab, &order, &intent).await;
    }
}

#[tokio::test]
async fn an_order_says_its_names_as_a_list_and_its_tag_in_the_comments() {
    let lab = lab(|behaviour| behaviour.mandatory_field = Some("Cost centre".to_owned())).await;
    lab.make_ready("names.test");
    let names = ["names.test", "www.names.test", "*.names.test"];
    let mut intent = suite::intent(&lab, "names", &names);
    let ca = Stage::ca(&lab);
    intent.term = Some(365);
    intent.fields.insert("Nonsense".to_owned(), "1".to_owned());
    let error = ca.preflight(&intent).await.unwrap_err();
    for fault in ["365", "`Cost centre` is missing", "`Nonsense`"] {
        assert!(error.message.contains(fault), "{error}");
    }
    intent.term = Some(90);
    intent.fields = [("Cost centre".to_owned(), "4711".to_owned())].into();
    intent.comments = Some("for the web team".to_owned());
    intent.product = ca.preflight(&intent).await.unwrap().product.reference;
    lab.scm.clear_log();
    suite::submit(&lab, &mut intent).await.unwrap();
    assert_eq!(lab.scm.log().len(), 1, "one call: {:?}", lab.scm.log());
    let seen = lab.scm.orders().remove(0);
    assert_eq!(seen.names, names);
    assert_eq!(seen.comments, "for the web team [prevalidate:names]");
}

#[tokio::test]
async fn an_order_at_sectigo_costs_the_calls_that_are_documented() {
    let lab = lab(|_| {}).await;
    let calls = || lab.scm.log().len();
    let counted = counted(&lab, "counted.test", calls).await;
    assert_eq!(counted, documented("Sectigo"));
}

#[tokio::test]
async fn a_declined_order_that_hides_its_comments_is_not_made_again() {
    let lab = lab(|behaviour| {
        behaviour.shows_comments = false;
        behaviour.waits_for_approval = true;
    });
    let lab = lab.await;
    lab.make_ready("declined.test");
    let mut ours = suite::intent(&lab, "ours", &["declined.test"]);
    lab.lose_the_answer_to_submit();
    suite::submit(&lab, &mut ours).await.unwrap_err();
    let order = lab.scm.orders().remove(0);
    assert!(lab.scm.decide_order(order.id, Some("Declined")));
    lab.clock.advance(SignedDuration::from_secs(61));
    let ca = Stage::ca(&lab);
    let found = ca.find(&ours).await.unwrap();
    let Found::Order(found) = found else {
        panic!("{found:?}");
    };
    assert_eq!(found.state, OrderState::Rejected);
    assert!(found.words.unwrap().contains("Declined"));
    // One that waits may be ours as well, and comes before one that has ended.
    let mut again = suite::intent(&lab, "again", &["declined.test"]);
    lab.lose_the_answer_to_submit();
    suite::submit(&lab, &mut again).await.unwrap_err();
    let found = ca.find(&again).await.unwrap();
    assert!(matches!(found, Found::NotYet { .. }), "{found:?}");
    // One for other names is not.
    let mut other = suite::intent(&lab, "other", &["declined.test", "www.declined.test"]);
    let submitted = lab.now();
    (other.submitted_at, other.ended_at) = (Some(submitted), Some(submitted));
    assert!(
        lab.scm
            .decide_order(lab.scm.orders()[1].id, Some("Declined"))
    );
    lab.clock.advance(SignedDuration::from_secs(61));
    assert_eq!(ca.find(&other).await.unwrap(), Found::No);
}

#[tokio::test]
async fn a_renewal_is_made_with_a_fresh_key_and_found_by_it() {
    let lab = lab(|_| {}).await;
    lab.make_ready("renewed.test");
    let mut first = suite::intent(&lab, "first", &["renewed.test"]);
    let order = suite::submit(&lab, &mut first).await.unwrap();
    let order = suite::wait(&lab, order).await;
    lab.clock.advance(SignedDuration::from_hours(24 * 60));
    for (what, held) in [(What::DoneButLost, 2), (What::Lost, 2)] {
        let mut next = suite::intent(&lab, "next", &["renewed.test"]);
        next.after = Some(Predecessor {
            key: order.key.clone(),
            way: Succession::Renewal,
        });
        lab.scm.fault(fault(
            &format!("POST /ssl/v1/renewById/{}", order.key),
            what,
        ));
        let error = suite::submit(&lab, &mut next).await.unwrap_err();
        assert!(error.outcome_unknown(), "{error}");
        lab.clock.advance(SignedDuration::from_secs(61));
        let found = Stage::ca(&lab).find(&next).await.unwrap();
        match (&found, what) {
            (Found::Order(found), What::DoneButLost) => {
                suite::fetch(&lab, found, &next).await;
            }
            (Found::No, What::Lost) => {}
            _ => panic!("{found:?}"),
        }
        assert_eq!(lab.held(), held);
    }
    assert_eq!(lab.scm.orders()[1].renews, Some(lab.scm.orders()[0].id));
}

#[tokio::test]
async fn a_replacement_is_not_taken_for_the_certificate_before_it() {
    let lab = lab(|behaviour| behaviour.issued_after = 50).await;
    lab.make_ready("replaced.test");
    let mut first = suite::intent(&lab, "first", &["replaced.test"]);
    let order = suite::submit(&lab, &mut first).await.unwrap();
    let order = suite::wait(&lab, order).await;
    let (old, _) = suite::fetch(&lab, &order, &first).await;
    let mut next = suite::intent(&lab, "next", &["replaced.test"]);
    next.after = Some(Predecessor {
        key: order.key.clone(),
        way: Succession::Reissue,
    });
    let order = suite::submit(&lab, &mut next).await.unwrap();
    let ca = Stage::ca(&lab);
    assert_eq!(ca.fetch(&order.key).await.unwrap(), Fetched::NotYet);
    let order = suite::wait(&lab, order).await;
    let (new, _) = suite::fetch(&lab, &order, &next).await;
    assert_ne!(old.serial, new.serial);
    assert_eq!(lab.held(), 1, "one order, one number");
}

#[tokio::test]
async fn an_order_waits_for_its_approval_and_a_declined_one_is_over() {
    let lab = lab(|behaviour| behaviour.waits_for_approval = true).await;
    lab.make_ready("approved.test");
    let ca = Stage::ca(&lab);
    let mut intent = suite::intent(&lab, "approved", &["approved.test"]);
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    let checked = ca.read(&order.key).await.unwrap();
    assert_eq!(checked.state, OrderState::AwaitsPerson);
    assert!(checked.words.unwrap().contains("approve it in SCM"));
    ca.withdraw(&order.key, "not needed").await.unwrap();
    let checked = ca.read(&order.key).await.unwrap();
    assert_eq!(checked.state, OrderState::Rejected);
    lab.scm
        .decide_order(lab.scm.orders()[0].id, Some("Quantum"));
    let checked = ca.read(&order.key).await.unwrap();
    assert_eq!(checked.state, OrderState::Unknown("Quantum".to_owned()));
}

#[tokio::test]
async fn an_order_for_a_name_without_validation_names_the_way_out() {
    let lab = lab(|_| {}).await;
    lab.make_unproven("bare.test");
    let mut intent = suite::intent(&lab, "bare", &["bare.test"]);
    let error = suite::submit(&lab, &mut intent).await.unwrap_err();
    assert_eq!(error.failure, Failure::Unavailable, "it passes: {error}");
    assert!(error.message.contains("-1137"), "{error}");
    assert!(error.hint.unwrap().contains("prevalidate run"));
    let mut wrong = suite::intent(&lab, "wrong", &["bare.test"]);
    wrong.product = "RSA only".to_owned();
    let error = Stage::ca(&lab).preflight(&wrong).await.unwrap_err();
    assert!(error.message.contains("RSA 2048"), "{error}");
    assert_eq!(lab.held(), 0);
}

#[tokio::test]
async fn trouble_after_an_order_is_no_reason_to_order_again() {
    let lab = lab(|_| {}).await;
    lab.make_ready("trouble.test");
    let mut intent = suite::intent(&lab, "trouble", &["trouble.test"]);
    // A gateway before Sectigo may have handed the call on.
    for (sent, status) in [(1, 502), (2, 401), (3, 403)] {
        lab.scm.fault(fault(ENROLL, What::Gateway(status)));
        let error = suite::submit(&lab, &mut intent).await.unwrap_err();
        assert!(error.outcome_unknown(), "{error}");
        assert_eq!(lab.scm.count("/ssl/v1/enroll"), sent, "{status}");
    }
}

#[tokio::test]
async fn a_certificate_is_revoked_by_its_order_and_an_older_one_by_its_number() {
    let lab = lab(|_| {}).await;
    lab.make_ready("revoked.test");
    let mut intent = suite::intent(&lab, "revoked", &["revoked.test"]);
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    let order = suite::wait(&lab, order).await;
    let request = |serial: &str| RevocationRequest {
        serial: serial.to_owned(),
        reason: RevocationReason::KeyCompromise,
        requestor: String::new(),
        comment: None,
    };
    let ca = Stage::ca(&lab);
    let error = ca.revoke(&order.key, &request("abcdef")).await.unwrap_err();
    assert!(error.message.contains("-5101"), "{error}");
    assert_eq!(lab.scm.count("/revoke/serial/ABCDEF"), 1);
    // A success of a gateway before Sectigo is not Sectigo's.
    let by_number = "POST /ssl/v1/revoke/serial/ABCDEF";
    lab.scm.fault(fault(by_number, What::Gateway(200)));
    let asked = ca.revoke(&order.key, &request("abcdef")).await.unwrap();
    assert_eq!(asked, Revocation::Taken(order.key.clone()));
    let (leaf, _) = suite::fetch(&lab, &order, &intent).await;
    let path = format!("POST /ssl/v1/revoke/{}", order.key);
    lab.scm.fault(fault(&path, What::DoneButLost));
    ca.revoke(&order.key, &request(&leaf.serial))
        .await
        .unwrap_err();
    let again = ca.revoke(&order.key, &request(&leaf.serial)).await.unwrap();
    assert_eq!(again, Revocation::Done);
    assert_eq!(lab.scm.orders()[0].revocation, Some(1));
    let unknown = OrderKey::new("abc");
    assert_eq!(
        ca.read(&unknown).await.unwrap_err().failure,
        Failure::Refused
    );
}

#[tokio::test]
async fn a_refused_revocation_is_done_only_where_the_ca_shows_it() {
    let lab = lab(|_| {}).await;
    let ca = Stage::ca(&lab);
    let mut orders = Vec::new();
    for name in ["one.test", "two.test"] {
        lab.make_ready(name);
        let mut intent = suite::intent(&lab, name, &[name]);
        let order = suite::submit(&lab, &mut intent).await.unwrap();
        let order = suite::wait(&lab, order).await;
        let (leaf, _) = suite::fetch(&lab, &order, &intent).await;
        orders.push((order.key, leaf.serial));
    }
    let (key, serial) = &orders[0];
    // The order shows another certificate than this one, as after a replacement.
    let beside = &orders[1].1;
    let request = |serial: &str| RevocationRequest {
        serial: serial.to_owned(),
        reason: RevocationReason::KeyCompromise,
        requestor: String::new(),
        comment: None,
    };
    let by_number = |serial: &str| {
        let serial = serial.to_uppercase();
        format!("POST /ssl/v1/revoke/serial/{serial}")
    };
    let by_order = format!("POST /ssl/v1/revoke/{key}");
    for code in [-102, -130, -159] {
        for (serial, path) in [
            ("abcdef", by_number("abcdef")),
            (beside, by_number(beside)),
            (serial, by_order.clone()),
        ] {
            lab.scm.fault(fault(&path, What::Says(code)));
            let refused = ca.revoke(key, &request(serial)).await.expect_err(&path);
            assert_eq!(refused.failure, Failure::Refused, "{path}: {refused}");
        }
    }
    // A list that cannot be read takes nothing back from SCM's own word, and adds nothing to it.
    for what in [What::Gateway(403), What::Gateway(500)] {
        lab.scm.fault(fault(&by_number(beside), What::Gateway(204)));
        lab.scm.fault(fault("GET /ssl/v1", what));
        let asked = ca.revoke(key, &request(beside)).await.unwrap();
        assert_eq!(asked, Revocation::Taken(key.clone()));
    }
    // A success that the list does not show is none yet.
    lab.scm.fault(fault(&by_number(beside), What::Gateway(204)));
    let asked = ca.revoke(key, &request(beside)).await.unwrap();
    assert_eq!(asked, Revocation::Taken(key.clone()));
    // A list that takes no notice of the state proves nothing.
    lab.scm.fault(fault(&by_number(beside), What::DoneButLost));
    ca.revoke(key, &request(beside)).await.unwrap_err();
    lab.scm.change(|behaviour| behaviour.ignores_status = true);
    ca.revoke(key, &request(beside)).await.unwrap_err();
    lab.scm.change(|behaviour| behaviour.ignores_status = false);
    let again = ca.revoke(key, &request(beside)).await.unwrap();
    assert_eq!(again, Revocation::Done);
    assert_eq!(ca.read(key).await.unwrap().state, OrderState::Issued);
}

#[tokio::test]
async fn an_order_that_a_wrong_clock_submitted_is_found_by_its_tag() {
    suite::finds_by_its_tag_what_a_wrong_clock_submitted(&lab(|_| {}).await).await;
}

#[tokio::test]
async fn an_order_whose_answer_proves_nothing_is_searched_for() {
    let lab = lab(|_| {}).await;
    lab.make_ready("made.test");
    for (tag, code) in [("a", 0), ("b", -183), ("c", -3115), ("d", -9999)] {
        let mut intent = suite::intent(&lab, tag, &["made.test"]);
        lab.scm.fault(fault(ENROLL, What::DoneButSays(code)));
        let error = suite::submit(&lab, &mut intent).await.unwrap_err();
        assert!(error.outcome_unknown(), "{code}: {error}");
        let found = Stage::ca(&lab).find(&intent).await.unwrap();
        assert!(matches!(found, Found::Order(_)), "{code}: {found:?}");
    }
    let mut intent = suite::intent(&lab, "e", &["made.test"]);
    lab.scm.fault(fault(ENROLL, What::Says(-62)));
    let error = suite::submit(&lab, &mut intent).await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused, "a code that is known");
}

#[tokio::test]
async fn an_order_that_is_not_there_for_a_moment_is_revoked_by_the_number() {
    let lab = lab(|_| {}).await;
    lab.make_ready("moment.test");
    let mut intent = suite::intent(&lab, "moment", &["moment.test"]);
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    let order = suite::wait(&lab, order).await;
    let (leaf, _) = suite::fetch(&lab, &order, &intent).await;
    let request = RevocationRequest {
        serial: leaf.serial,
        reason: RevocationReason::Superseded,
        requestor: String::new(),
        comment: None,
    };
    let ca = Stage::ca(&lab);
    let details = format!("GET /ssl/v1/{}", order.key.reference);
    lab.scm.fault(fault(&details, What::Says(-5101)));
    let answer = ca.revoke(&order.key, &request).await.unwrap();
    assert!(matches!(answer, Revocation::Taken(_)), "{answer:?}");
    let checked = ca.read(&order.key).await.unwrap();
    assert_eq!(checked.state, OrderState::Revoked);
}

#[tokio::test]
async fn an_order_that_is_listed_without_its_details_is_no_clean_no() {
    let lab = lab(|_| {}).await;
    lab.make_ready("listed.test");
    let mut intent = suite::intent(&lab, "listed", &["listed.test"]);
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    lab.advance(SignedDuration::from_mins(5));
    let details = format!("GET /ssl/v1/{}", order.key.reference);
    lab.scm.fault(fault(&details, What::Says(-5101)));
    let found = Stage::ca(&lab).find(&intent).await.unwrap();
    assert!(matches!(found, Found::NotYet { .. }), "{found:?}");
}

#[tokio::test]
async fn an_order_that_is_refused_for_its_predecessor_says_so() {
    let lab = lab(|_| {}).await;
    lab.make_ready("before.test");
    let mut first = suite::intent(&lab, "first", &["before.test"]);
    let order = suite::submit(&lab, &mut first).await.unwrap();
    let order = suite::wait(&lab, order).await;
    let gone = OrderKey::new("99999");
    for (key, is_revoked) in [(gone, false), (order.key.clone(), true)] {
        if is_revoked {
            let request = RevocationRequest {
                serial: order.serial.clone().unwrap(),
                reason: RevocationReason::Superseded,
                requestor: "prevalidate".to_owned(),
                comment: None,
            };
            Stage::ca(&lab).revoke(&key, &request).await.unwrap();
        }
        for way in [Succession::Renewal, Succession::Reissue] {
            let mut next = suite::intent(&lab, "next", &["before.test"]);
            let key = key.clone();
            next.after = Some(Predecessor { key, way });
            let error = suite::submit(&lab, &mut next).await.unwrap_err();
            assert!(!error.outcome_unknown(), "{error}");
            assert!(error.is_about_predecessor, "{way:?}: {error}");
            assert_eq!(lab.held(), 1);
        }
    }
    // Nothing else is about it.
    let mut next = suite::intent(&lab, "next", &["unproven.test"]);
    next.after = Some(Predecessor {
        key: OrderKey::new("no number"),
        way: Succession::Renewal,
    });
    let error = suite::submit(&lab, &mut next).await.unwrap_err();
    assert!(!error.is_about_predecessor, "{error}");
}
