//! The contract of [`Issuing`], as a suite that every kind of CA passes against its sandbox.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "cases of a test suite"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, KeyPair};

use super::csr::{Csr, Sight};
use super::issuing::{
    Contact, Fetched, Found, Intent, Issuing, Order, OrderKey, Revocation, RevocationRequest,
    Subject,
};
use super::{CaError, Failure};
use crate::issuance::{OrderState, RevocationReason};
use crate::prevalidation::Challenge;

/// A kind of CA with its sandbox.
#[async_trait]
pub trait Stage: Send + Sync {
    /// The adapter, connected to the sandbox.
    fn ca(&self) -> Arc<dyn Issuing>;
    /// The key of the client under which orders are made, and a product for several names.
    fn client_and_product(&self) -> (String, String);
    /// Makes `name` a domain for which orders are taken: validated, or with an empty zone where an
    /// order brings its own record.
    fn make_ready(&self, name: &str);
    /// Makes `name` a domain that is not validated.
    fn make_unproven(&self, name: &str);
    /// Writes the record of a challenge.
    fn publish(&self, challenge: &Challenge);
    /// The answer to the next submission is lost after the work is done.
    fn lose_the_answer_to_submit(&self);
    /// The next submission is lost on its way.
    fn lose_the_next_submit(&self);
    /// How many orders the CA holds.
    fn held(&self) -> usize;
    /// Lets time pass.
    fn advance(&self, span: SignedDuration);
    /// The time of the CA.
    fn now(&self) -> Timestamp;
}

/// Every case of the contract.
pub async fn all(stage: &dyn Stage) {
    names_what_may_be_ordered(stage).await;
    refuses_a_product_that_does_not_exist_and_buys_nothing(stage).await;
    delivers_a_certificate_for_the_key_of_the_request(stage).await;
    finds_an_order_whose_answer_was_lost(stage).await;
    finds_an_order_whichever_name_its_request_begins_with(stage).await;
    finds_an_order_by_its_key_where_its_tag_is_lost(stage).await;
    says_no_for_an_order_that_never_arrived(stage).await;
    is_sure_only_some_time_after_the_call_has_ended(stage).await;
    tells_two_orders_for_the_same_names_apart(stage).await;
    issues_nothing_for_a_name_that_is_not_validated(stage).await;
    says_not_found_for_an_order_that_was_never_made(stage).await;
    revokes_a_certificate_and_says_so(stage).await;
}

/// An intent for these names with a fresh key.
pub fn intent(stage: &dyn Stage, tag: &str, names: &[&str]) -> Intent {
    intent_as(stage, tag, names, Some(names[0]))
}

/// The same, with this common name in the request.
fn intent_as(stage: &dyn Stage, tag: &str, names: &[&str], common_name: Option<&str>) -> Intent {
    let (client, product) = stage.client_and_product();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names.clone()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = common_name {
        let kind = rcgen::DnType::CommonName;
        params.distinguished_name.push(kind, name);
    }
    let request = params.serialize_request(&key).unwrap();
    Intent {
        tag: format!("prevalidate:{tag}"),
        client,
        product,
        csr: Csr::read(request.der()).unwrap(),
        subject: Subject::Names(names),
        term: None,
        comments: None,
        requester: None,
        fields: BTreeMap::new(),
        contact: Some(Contact {
            name: "pki".to_owned(),
            first_name: "Erika".to_owned(),
            last_name: "Muster".to_owned(),
            organization: Some("Muster AG".to_owned()),
            address: vec!["Musterweg 1".to_owned()],
            postal_code: "8000".to_owned(),
            city: "Zürich".to_owned(),
            country: "CH".to_owned(),
            phone: "+41-44-0000000".to_owned(),
            email: "pki@example.test".to_owned(),
        }),
        after: None,
        answer: None,
        submitted_at: None,
        ended_at: None,
        tag_is_lost: false,
    }
}

/// Publishes what the order wants in DNS.
pub async fn prepare(stage: &dyn Stage, intent: &mut Intent) {
    let wanted = stage.ca().challenges(intent).await.unwrap();
    wanted.challenges.iter().for_each(|one| stage.publish(one));
    intent.answer = wanted.answer;
    assert_eq!(
        stage.ca().kind().validates_in_order,
        !wanted.challenges.is_empty()
    );
}

/// Submits an intent that is ready.
pub async fn submit(stage: &dyn Stage, intent: &mut Intent) -> Result<Order, CaError> {
    (intent.submitted_at, intent.ended_at) = (Some(stage.now()), None);
    let answer = stage.ca().submit(intent).await;
    intent.ended_at = Some(stage.now());
    answer
}

/// Checks until the order has ended or this many checks are over. The records that it wants in DNS
/// once the CA has it are written.
pub async fn wait(stage: &dyn Stage, order: Order) -> Order {
    follow(stage, order, true).await
}

async fn follow(stage: &dyn Stage, mut order: Order, publishes: bool) -> Order {
    let names_them_late = !stage.ca().kind().validates_in_order;
    for _ in 0..20 {
        if !order.state.is_open() {
            break;
        }
        if publishes && names_them_late && !order.challenges.is_empty() {
            order.challenges.iter().for_each(|one| stage.publish(one));
            stage.ca().check_records(&order.key).await.unwrap();
        }
        let soon = SignedDuration::from_mins(1);
        let next = order.next_read_at.map(|at| at.duration_since(stage.now()));
        stage.advance(next.filter(SignedDuration::is_positive).unwrap_or(soon));
        order = stage.ca().read(&order.key).await.unwrap();
    }
    order
}

/// The certificates of an order that is issued: the leaf, then the others.
pub async fn fetch(stage: &dyn Stage, order: &Order, intent: &Intent) -> (Sight, Vec<Sight>) {
    for _ in 0..10 {
        if let Fetched::Certificates(found) = stage.ca().fetch(&order.key).await.unwrap() {
            let sights = found.iter().map(|der| Sight::of(der).unwrap());
            let (mut leaf, others): (Vec<_>, Vec<_>) =
                sights.partition(|sight| sight.public_key == intent.csr.public_key());
            assert_eq!(leaf.len(), 1, "one certificate is for our key");
            return (leaf.remove(0), others);
        }
        stage.advance(SignedDuration::from_mins(1));
    }
    panic!("no certificate came");
}

/// Orders a certificate and brings it home.
async fn ordered(stage: &dyn Stage, tag: &str, names: &[&str]) -> (Intent, Order, Sight) {
    names.iter().for_each(|name| stage.make_ready(name));
    let mut intent = intent(stage, tag, names);
    let flight = stage.ca().preflight(&intent).await.unwrap();
    intent.product = flight.product.reference;
    prepare(stage, &mut intent).await;
    let order = submit(stage, &mut intent).await.unwrap();
    let order = wait(stage, order).await;
    assert_eq!(order.state, OrderState::Issued, "{order:?}");
    let (leaf, others) = fetch(stage, &order, &intent).await;
    assert!(!others.is_empty(), "an intermediate comes with it");
    assert!(others.iter().all(|one| !one.is_self_issued), "no root");
    (intent, order, leaf)
}

async fn names_what_may_be_ordered(stage: &dyn Stage) {
    let ca = stage.ca();
    let (client, product) = stage.client_and_product();
    if ca.kind().has_clients {
        let clients = ca.clients().await.unwrap();
        assert!(clients.iter().any(|one| one.reference == client));
        let products = ca.products(&client).await.unwrap();
        assert!(
            products
                .iter()
                .any(|one| one.name == product || one.reference == product),
            "{products:?}"
        );
    }
}

async fn refuses_a_product_that_does_not_exist_and_buys_nothing(stage: &dyn Stage) {
    stage.make_ready("no-product.test");
    let mut wrong = intent(stage, "no-product", &["no-product.test"]);
    wrong.product = "NO SUCH PRODUCT".to_owned();
    let error = stage.ca().preflight(&wrong).await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused, "{error}");
    assert!(error.message.contains("NO SUCH PRODUCT"), "{error}");
    assert_eq!(stage.held(), 0);
}

async fn delivers_a_certificate_for_the_key_of_the_request(stage: &dyn Stage) {
    let names = ["www.first.test", "first.test", "xn--dj-kia8a.first.test"];
    stage.make_ready("first.test");
    let (intent, order, leaf) = ordered(stage, "first", &names).await;
    for name in intent.subject.names() {
        assert!(leaf.names.contains(name), "{name} in {leaf:?}");
    }
    let listed = stage.ca().orders(&intent.client).await.unwrap();
    assert_eq!(listed.unreadable, Vec::<String>::new());
    assert!(
        listed
            .orders
            .iter()
            .any(|one| one.key.reference == order.key.reference
                || one.serial.as_ref() == Some(&leaf.serial)),
        "{listed:?}"
    );
}

async fn finds_an_order_by_its_key_where_its_tag_is_lost(stage: &dyn Stage) {
    let names = ["forgotten.test"];
    let (own, ..) = ordered(stage, "forgotten", &names).await;
    let lost = |intent: Intent| Intent {
        tag: "prevalidate:of-another-store".to_owned(),
        tag_is_lost: true,
        submitted_at: stage
            .now()
            .checked_sub(SignedDuration::from_hours(12_000))
            .ok(),
        ended_at: Some(stage.now()),
        ..intent
    };
    let found = stage.ca().find(&lost(own.clone())).await.unwrap();
    let Found::Order(order) = found else {
        panic!("{found:?}");
    };
    fetch(stage, &order, &own).await;
    let other = lost(intent(stage, "other", &names));
    let found = stage.ca().find(&other).await.unwrap();
    assert!(!matches!(found, Found::Order(_)), "another key: {found:?}");
}

async fn finds_an_order_whose_answer_was_lost(stage: &dyn Stage) {
    stage.make_ready("lost.test");
    let mut intent = intent(stage, "lost", &["lost.test"]);
    prepare(stage, &mut intent).await;
    let before = stage.held();
    stage.lose_the_answer_to_submit();
    let error = submit(stage, &mut intent).await.unwrap_err();
    assert!(error.outcome_unknown() && !error.is_of_a_read, "{error}");
    let order = found_later(stage, &intent)
        .await
        .expect("the order is there");
    assert_eq!(stage.held(), before + 1);
    let order = wait(stage, order).await;
    assert_eq!(order.state, OrderState::Issued);
    fetch(stage, &order, &intent).await;
}

async fn finds_an_order_whichever_name_its_request_begins_with(stage: &dyn Stage) {
    let names = ["www.cn.test", "cn.test"];
    names.iter().for_each(|name| stage.make_ready(name));
    for (tag, common_name) in [("cn", Some("cn.test")), ("no-cn", None)] {
        let mut intent = intent_as(stage, tag, &names, common_name);
        prepare(stage, &mut intent).await;
        let before = stage.held();
        stage.lose_the_answer_to_submit();
        submit(stage, &mut intent).await.unwrap_err();
        let found = found_later(stage, &intent).await;
        assert!(found.is_some(), "{common_name:?}: it would be made again");
        assert_eq!(stage.held(), before + 1);
    }
}

async fn says_no_for_an_order_that_never_arrived(stage: &dyn Stage) {
    stage.make_ready("never.test");
    let mut intent = intent(stage, "never", &["never.test"]);
    prepare(stage, &mut intent).await;
    let before = stage.held();
    stage.lose_the_next_submit();
    let error = submit(stage, &mut intent).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(found_later(stage, &intent).await, None);
    assert_eq!(stage.held(), before);
}

async fn is_sure_only_some_time_after_the_call_has_ended(stage: &dyn Stage) {
    stage.make_ready("slow.test");
    let mut intent = intent(stage, "slow", &["slow.test"]);
    prepare(stage, &mut intent).await;
    stage.lose_the_next_submit();
    submit(stage, &mut intent).await.unwrap_err();
    let next_read_at = |found: Found| match found {
        Found::NotYet { next_read_at } => next_read_at,
        other => panic!("that is not known yet: {other:?}"),
    };
    // The call took two minutes, and was cut off just now: it may be carried out at this moment.
    let now = stage.now();
    intent.submitted_at = Some(now - SignedDuration::from_mins(2));
    intent.ended_at = Some(now);
    let after_the_end = next_read_at(stage.ca().find(&intent).await.unwrap());
    assert!(after_the_end >= now + SignedDuration::from_secs(30));
    // Its end is not known: it may last as long as a call may last.
    (intent.submitted_at, intent.ended_at) = (Some(now), None);
    let after_its_limit = next_read_at(stage.ca().find(&intent).await.unwrap());
    assert!(after_its_limit >= now + SignedDuration::from_mins(2));
    stage.advance(after_its_limit.duration_since(now));
    assert_eq!(stage.ca().find(&intent).await.unwrap(), Found::No);
}

/// For kinds that keep the tag: an order that was submitted by a clock that was ahead is found by a
/// clock that is right.
pub async fn finds_by_its_tag_what_a_wrong_clock_submitted(stage: &dyn Stage) {
    let (mut intent, order, _) = ordered(stage, "ahead", &["ahead.test"]).await;
    for days in [2, 400] {
        intent.submitted_at = Some(stage.now() + SignedDuration::from_hours(24 * days));
        intent.ended_at = intent.submitted_at;
        match stage.ca().find(&intent).await.unwrap() {
            Found::Order(found) => assert_eq!(found.key.reference, order.key.reference),
            other => panic!("{days} days ahead: {other:?}"),
        }
    }
}

/// The result of the search for an order, repeated as often as the CA asks for.
async fn found_later(stage: &dyn Stage, intent: &Intent) -> Option<Order> {
    for _ in 0..20 {
        match stage.ca().find(intent).await.unwrap() {
            Found::Order(order) => return Some(*order),
            Found::No => return None,
            Found::NotYet { next_read_at } => {
                assert!(next_read_at > stage.now(), "the moment is to come");
                stage.advance(next_read_at.duration_since(stage.now()));
            }
        }
    }
    panic!("the search never ends");
}

async fn tells_two_orders_for_the_same_names_apart(stage: &dyn Stage) {
    let (_, first, _) = ordered(stage, "twin-1", &["twin.test"]).await;
    let mut second = intent(stage, "twin-2", &["twin.test"]);
    prepare(stage, &mut second).await;
    let before = stage.held();
    stage.lose_the_next_submit();
    submit(stage, &mut second).await.unwrap_err();
    // An older order for the same name is not ours.
    assert_eq!(found_later(stage, &second).await, None, "not {first:?}");
    assert_eq!(stage.held(), before);
}

async fn issues_nothing_for_a_name_that_is_not_validated(stage: &dyn Stage) {
    stage.make_unproven("unproven.test");
    let mut intent = intent(stage, "unproven", &["unproven.test"]);
    if stage.ca().kind().validates_in_order {
        let wanted = stage.ca().challenges(&intent).await.unwrap();
        intent.answer = wanted.answer;
    }
    match submit(stage, &mut intent).await {
        Ok(order) => {
            let order = follow(stage, order, false).await;
            assert_ne!(order.state, OrderState::Issued);
            assert!(order.words.is_some(), "the CA says why: {order:?}");
        }
        Err(error) => assert!(!error.outcome_unknown(), "{error}"),
    }
}

async fn says_not_found_for_an_order_that_was_never_made(stage: &dyn Stage) {
    let (_, order, _) = ordered(stage, "shape", &["shape.test"]).await;
    // The same shape with other digits.
    let digits = order.key.reference.chars().map(|c| match c {
        '0'..='8' => '9',
        other => other,
    });
    let key = OrderKey::new(digits.collect::<String>());
    let error = stage.ca().read(&key).await.unwrap_err();
    assert_eq!(error.failure, Failure::NotFound, "{error}");
    assert!(!error.outcome_unknown() && !error.is_retryable());
}

async fn revokes_a_certificate_and_says_so(stage: &dyn Stage) {
    let (_, order, leaf) = ordered(stage, "revoked", &["revoked.test"]).await;
    let request = RevocationRequest {
        serial: leaf.serial.clone(),
        reason: RevocationReason::Superseded,
        requestor: String::new(),
        comment: None,
    };
    let mut answer = stage.ca().revoke(&order.key, &request).await.unwrap();
    for _ in 0..10 {
        let Revocation::Taken(key) = &answer else {
            break;
        };
        let order = stage.ca().read(key).await.unwrap();
        if order.state == OrderState::Revoked {
            answer = Revocation::Done;
        } else {
            stage.advance(SignedDuration::from_mins(1));
        }
    }
    assert_eq!(answer, Revocation::Done);
    // Asked for again, it is done.
    let again = stage.ca().revoke(&order.key, &request).await.unwrap();
    assert_eq!(again, Revocation::Done);
}
