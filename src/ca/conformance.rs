//! The contract of [`Validation`], as a suite that every kind of CA passes against its sandbox.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "cases of a test suite"
)]

use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;

use super::{ClientSelector, Failure, Validation, Verdict};
use crate::prevalidation::{Challenge, Counts, DomainName, Registration, ReuseTable, Status};

/// A kind of CA with its sandbox, and name servers that the sandbox asks.
#[async_trait]
pub trait Stage: Send + Sync {
    /// The adapter, connected to the sandbox.
    fn ca(&self) -> Arc<dyn Validation>;
    /// The key and the name of the client that the account has.
    fn client(&self) -> (String, String);
    /// Makes `name` a domain that can be registered; its zone is empty.
    fn add_zone(&self, name: &str);
    /// Writes the record of a challenge, or removes it.
    fn publish(&self, challenge: &Challenge, there: bool);
    /// Lets time pass.
    fn advance(&self, span: SignedDuration);
    /// The time of the CA.
    fn now(&self) -> jiff::Timestamp;
}

/// Every case of the contract.
pub async fn all(stage: &dyn Stage) {
    finds_the_client_by_its_key_and_by_its_name(stage).await;
    registers_each_name_and_shows_it_in_the_list_and_alone(stage).await;
    knows_a_registered_name_again_without_a_second_entry(stage).await;
    says_not_found_for_an_unknown_reference(stage).await;
    gives_no_proof_while_the_record_is_missing(stage).await;
    proves_a_domain_whose_record_is_there(stage).await;
    shows_no_newer_proof_before_a_renewal_is_fulfilled(stage).await;
    deletes_only_the_entry_that_was_meant(stage).await;
}

fn name(text: &str) -> DomainName {
    DomainName::from_a_labels(text).unwrap()
}

/// The record that the CA wants: shown as such, or as a random value at the domain itself.
fn wanted(found: &Registration) -> Option<Challenge> {
    let value = found.token.as_ref().map(|token| {
        let domain = &found.domain;
        Challenge::txt(domain, domain.as_str(), &token.value, Counts::Published).unwrap()
    });
    found.challenge.as_deref().cloned().or(value)
}

async fn registered(stage: &dyn Stage, text: &str) -> Registration {
    stage.add_zone(text);
    let (client, _) = stage.client();
    let mut answers = stage.ca().register(&client, &[name(text)]).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0).1.unwrap()
}

/// A registration with the challenge that `register` gave, or `start`.
async fn started(stage: &dyn Stage, text: &str) -> (Registration, Challenge) {
    let found = registered(stage, text).await;
    if let Some(challenge) = wanted(&found) {
        return (found, challenge);
    }
    let started = stage.ca().start(&found.reference).await.unwrap();
    let challenge = wanted(&started.registration).expect("a start gives a challenge");
    (started.registration, challenge)
}

/// Submits, and waits as long as the CA asks for.
async fn submitted(stage: &dyn Stage, reference: &str) -> (Verdict, Registration) {
    let ca = stage.ca();
    let mut answer = ca.submit(reference).await.unwrap();
    for _ in 0..5 {
        let Verdict::Taken { next_read_at } = answer.verdict else {
            break;
        };
        assert!(next_read_at > stage.now(), "the moment is to come");
        stage.advance(next_read_at.duration_since(stage.now()));
        answer.registration = ca.get(reference).await.unwrap();
        let hour = SignedDuration::from_hours(1);
        answer.verdict = match answer.registration.open_order() {
            Some(_) => Verdict::Taken {
                next_read_at: stage.now() + hour,
            },
            None if answer.registration.status == Status::Valid => Verdict::Proven,
            None => Verdict::NotSeen,
        };
    }
    (answer.verdict, answer.registration)
}

fn counts(stage: &dyn Stage, found: &Registration) -> bool {
    let reuse: ReuseTable = (stage.ca().kind().reuse)();
    found.usable_until(&reuse, stage.now()).is_some()
}

async fn finds_the_client_by_its_key_and_by_its_name(stage: &dyn Stage) {
    let (key, title) = stage.client();
    let ca = stage.ca();
    for selector in [
        ClientSelector::Reference(key.clone()),
        ClientSelector::Name(title.clone()),
        ClientSelector::Name("*".to_owned()),
    ] {
        let found = ca.find_client(&selector).await.unwrap();
        assert_eq!((&found.reference, &found.name), (&key, &title));
    }
    let unknown = ClientSelector::Name("No client of this name".to_owned());
    let error = ca.find_client(&unknown).await.unwrap_err();
    assert_eq!(error.failure, Failure::NotFound, "{error}");
    assert!(error.message.contains("No client of this name"), "{error}");
}

async fn registers_each_name_and_shows_it_in_the_list_and_alone(stage: &dyn Stage) {
    let (client, _) = stage.client();
    let ca = stage.ca();
    assert!(ca.list(&client).await.unwrap().registrations.is_empty());
    let names = ["one.test", "two.test", "xn--dj-kia8a.test"];
    names.iter().for_each(|name| stage.add_zone(name));
    let names: Vec<_> = names.iter().map(|text| name(text)).collect();
    let mut answers = ca.register(&client, &names).await;
    answers.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(answers.len(), names.len());
    for (asked, answer) in answers {
        let found = answer.unwrap();
        assert_eq!(found.domain, asked);
        assert!(!counts(stage, &found), "{asked} is new");
        assert_eq!(ca.get(&found.reference).await.unwrap().domain, asked);
    }
    let listing = ca.list(&client).await.unwrap();
    let mut listed: Vec<_> = listing.registrations.domains().collect();
    listed.sort();
    assert_eq!(listed, names.iter().collect::<Vec<_>>());
    assert_eq!(listing.unreadable, Vec::<String>::new());
}

async fn knows_a_registered_name_again_without_a_second_entry(stage: &dyn Stage) {
    let first = registered(stage, "again.test").await;
    let (client, _) = stage.client();
    let ca = stage.ca();
    let second = ca
        .register(&client, &[name("again.test")])
        .await
        .remove(0)
        .1;
    match second {
        Ok(found) => assert_eq!(found.reference, first.reference),
        // Read before anything else: then it is found.
        Err(error) => assert!(error.outcome_unknown(), "{error}"),
    }
    let listing = ca.list(&client).await.unwrap();
    let entries = listing.registrations.domains();
    assert_eq!(entries.filter(|name| **name == first.domain).count(), 1);
}

async fn says_not_found_for_an_unknown_reference(stage: &dyn Stage) {
    let ca = stage.ca();
    let gone = registered(stage, "gone.test").await.reference;
    ca.delete(&gone).await.unwrap();
    let error = ca.get(&gone).await.unwrap_err();
    assert_eq!(error.failure, Failure::NotFound, "{error}");
    assert!(!error.is_retryable() && !error.outcome_unknown());
    let error = ca.start(&gone).await.unwrap_err();
    assert_eq!(error.failure, Failure::NotFound, "{error}");
}

async fn gives_no_proof_while_the_record_is_missing(stage: &dyn Stage) {
    let (found, challenge) = started(stage, "unseen.test").await;
    assert!(challenge.is_for(&found.domain), "{challenge}");
    let (verdict, found) = submitted(stage, &found.reference).await;
    assert_ne!(verdict, Verdict::Proven);
    assert!(!counts(stage, &found));
}

async fn proves_a_domain_whose_record_is_there(stage: &dyn Stage) {
    let (found, challenge) = started(stage, "seen.test").await;
    stage.publish(&challenge, true);
    let (verdict, found) = submitted(stage, &found.reference).await;
    assert_eq!(verdict, Verdict::Proven);
    assert!(counts(stage, &found), "{found:?}");
    stage.publish(&challenge, false);
    let (client, _) = stage.client();
    let listing = stage.ca().list(&client).await.unwrap();
    let listed = listing.registrations.find(&found.domain).unwrap();
    assert!(counts(stage, &listed), "{listed:?}");
}

async fn shows_no_newer_proof_before_a_renewal_is_fulfilled(stage: &dyn Stage) {
    let (found, challenge) = started(stage, "renewed.test").await;
    stage.publish(&challenge, true);
    let (_, found) = submitted(stage, &found.reference).await;
    stage.publish(&challenge, false);
    let first = found.proof.clone().unwrap();
    stage.advance(SignedDuration::from_hours(24 * 100));

    let ca = stage.ca();
    let started = ca.start(&found.reference).await.unwrap().registration;
    let next = wanted(&started).unwrap();
    assert!(!next.is_same_record(&challenge), "a record is used once");
    if ca.kind().start_keeps_proof == Some(true) {
        assert!(counts(stage, &started), "a start keeps the proof here");
    }
    let (_, unseen) = submitted(stage, &found.reference).await;
    let newer = unseen.proof.as_ref().filter(|_| counts(stage, &unseen));
    assert!(
        newer.is_none_or(|proof| !proof.is_newer_than(&first)),
        "{unseen:?}"
    );

    stage.publish(&next, true);
    let (verdict, seen) = submitted(stage, &found.reference).await;
    assert_eq!(verdict, Verdict::Proven);
    assert!(seen.proof.unwrap().is_newer_than(&first));
    stage.publish(&next, false);
}

async fn deletes_only_the_entry_that_was_meant(stage: &dyn Stage) {
    let ca = stage.ca();
    let (client, _) = stage.client();
    let kept = registered(stage, "kept.test").await;
    let deleted = registered(stage, "deleted.test").await;
    let before = ca.list(&client).await.unwrap().registrations.len();
    ca.delete(&deleted.reference).await.unwrap();
    let left = ca.list(&client).await.unwrap().registrations;
    assert_eq!(left.len(), before - 1);
    assert!(left.find(&kept.domain).is_some());
    let error = ca.delete(&deleted.reference).await.unwrap_err();
    assert_eq!(error.failure, Failure::NotFound, "{error}");
}
