//! Months in seconds: herds, rule changes, what a reset costs.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use prevalidate::clock::Clock;
use prevalidate::prevalidation::{DomainName, Effect, Proof, RecordForm, RecordType};
use prevalidate::worker::Outcome;
use prevalidate_providers::{RecordKind, TxtRecord};

use super::world::{SPF_TTL, World};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Steps of one night's worker, with a listing of the CA after each: how many domains were without
/// a proof at once.
async fn nights_watched(world: &mut World, until: Timestamp) -> usize {
    let mut worst = 0;
    while world.clock.now() < until {
        let worker = world.worker("night");
        let deadline = world.clock.now() + SignedDuration::from_mins(30);
        loop {
            let outcome = worker.step().await.unwrap();
            let without = world
                .domains
                .iter()
                .filter(|domain| world.ca.valid_until(domain).is_none())
                .count();
            worst = worst.max(without);
            if let Outcome::Idle { next } = outcome {
                match next.filter(|&next| next <= deadline) {
                    Some(next) => world
                        .clock
                        .set(next.max(world.clock.now() + SignedDuration::from_secs(1))),
                    None => break,
                }
            }
        }
        world.check().await;
        world.clock.advance(SignedDuration::from_hours(23));
    }
    worst
}

#[tokio::test]
async fn no_domain_is_ever_without_a_proof_through_the_rule_changes_of_2027_and_2029() {
    let mut world = World::new(40).await;
    world.nights(2).await;
    assert!(world.all_valid());
    let worst = nights_watched(&mut world, at("2029-06-01T00:00:00Z")).await;
    assert_eq!(worst, 0, "domains without a proof at one time");
    world.is_clean().await;
}

#[tokio::test]
async fn where_a_reset_costs_the_proof_few_are_without_one_and_the_first_is_alone() {
    let mut world = World::new(30).await;
    world
        .ca
        .set(|state| state.behaviour.reset_keeps_proof = false);
    world.policy.max_at_risk = 3;
    world.nights(2).await;
    let worst = nights_watched(&mut world, at("2027-06-01T00:00:00Z")).await;
    assert!(
        (1..=3).contains(&worst),
        "{worst} domains were without a proof at one time"
    );
    let state = world.ca.state.lock().unwrap();
    let resets: Vec<_> = state
        .calls
        .iter()
        .filter(|call| call.effect == Effect::ResetToken)
        .collect();
    let canary = resets[0];
    let proved = state.calls.iter().find(|c| {
        c.effect == Effect::Validate
            && c.domain == canary.domain
            && c.at > canary.at
            && c.valid_after
    });
    assert!(
        resets[1].at >= proved.unwrap().at,
        "the second reset waited for the canary's new proof"
    );
    assert_eq!(
        resets
            .iter()
            .map(|call| &call.domain)
            .collect::<BTreeSet<_>>()
            .len(),
        30
    );
}

#[tokio::test]
async fn a_canary_that_cannot_be_validated_again_stops_the_others_and_is_told() {
    let mut world = World::new(10).await;
    world
        .ca
        .set(|state| state.behaviour.reset_keeps_proof = false);
    world.nights(2).await;
    // From now on a secondary of every zone is stale for good: nothing can be validated.
    for domain in world.domains.clone() {
        let values = world.zones.values(domain.as_str());
        world
            .witness
            .lock()
            .unwrap()
            .stale
            .insert(domain.as_str().to_owned(), values);
    }
    world.clock.set(at("2027-02-20T00:00:00Z"));
    world.nights(5).await;
    let without = world
        .domains
        .iter()
        .filter(|domain| world.ca.valid_until(domain).is_none())
        .count();
    assert_eq!(without, 1, "only the canary");
}

#[tokio::test]
async fn a_token_of_26_days_is_replaced_and_its_value_removed() {
    let mut world = World::new(1).await;
    let name = world.domains[0].clone();
    world
        .witness
        .lock()
        .unwrap()
        .stale
        .insert(name.as_str().to_owned(), Vec::new());
    world.nights(1).await;
    let first = ours(&world, &name);
    assert_eq!(first.len(), 1);
    world.clock.advance(SignedDuration::from_hours(24 * 25));
    world.nights(1).await;
    let second = ours(&world, &name);
    assert_eq!(second.len(), 1);
    assert_ne!(first, second, "the old value is gone, the new one is there");
    world.witness.lock().unwrap().stale.clear();
    world.nights(2).await;
    assert!(world.all_valid());
    world.is_clean().await;
}

fn ours(world: &World, name: &DomainName) -> Vec<Vec<u8>> {
    world
        .zones
        .values(name.as_str())
        .into_iter()
        .filter(|value| value.starts_with(b"swiss-pki="))
        .collect()
}

#[tokio::test]
async fn a_valid_domain_is_adopted_without_a_call_and_an_expired_one_comes_back() {
    let mut world = World::new(2).await;
    world.ca.seed(
        "d0.ch",
        Some(at("2026-10-01T00:00:00Z")),
        at("2026-09-30T00:00:00Z"),
    );
    world.ca.seed(
        "d1.ch",
        Some(at("2025-10-01T00:00:00Z")),
        at("2025-09-30T00:00:00Z"),
    );
    world.nights(1).await;
    assert!(world.all_valid());
    let state = world.ca.state.lock().unwrap();
    assert!(
        state
            .calls
            .iter()
            .all(|call| call.domain.as_str() == "d1.ch"),
        "d0.ch needed no call"
    );
    let effects: Vec<_> = state.calls.iter().map(|call| call.effect).collect();
    assert_eq!(effects, [Effect::ResetToken, Effect::Validate]);
}

#[tokio::test]
async fn a_list_that_is_suddenly_empty_stops_everything() {
    let mut world = World::new(12).await;
    world.nights(1).await;
    world.ca.set(|state| state.entries.clear());
    let calls = world.ca.state.lock().unwrap().calls.len();
    world.nights(2).await;
    assert_eq!(
        world.ca.state.lock().unwrap().calls.len(),
        calls,
        "no effect at the CA"
    );
    let worker = world.worker("look");
    while !matches!(worker.step().await.unwrap(), Outcome::Idle { .. }) {}
    let listings = worker.listings();
    assert!(
        format!("{listings:?}").contains("RegistrationsVanished"),
        "{listings:?}"
    );
}

#[tokio::test]
async fn a_ca_that_shows_no_time_of_validation_is_renewed_by_its_ends() {
    let mut world = World::new(5).await;
    world
        .ca
        .set(|state| state.behaviour.hides_time_validated = true);
    world.nights(2).await;
    assert!(world.all_valid());
    let worst = nights_watched(&mut world, at("2027-09-01T00:00:00Z")).await;
    assert_eq!(worst, 0, "domains without a proof at one time");
    let state = world.ca.state.lock().unwrap();
    let resets = state
        .calls
        .iter()
        .filter(|call| call.effect == Effect::ResetToken)
        .count();
    assert!(
        (10..=15).contains(&resets),
        "{resets} resets: about one per domain and 98 days"
    );
}

#[tokio::test]
async fn one_domain_that_cannot_renew_does_not_stop_the_others() {
    let mut world = World::new(12).await;
    world
        .ca
        .set(|state| state.behaviour.reset_keeps_proof = false);
    world.policy.max_at_risk = 3;
    world.nights(2).await;
    // What a reset costs is learnt by a first renewal; then a server of one domain goes stale for
    // good.
    nights_watched(&mut world, at("2027-02-20T00:00:00Z")).await;
    let blocked = world
        .domains
        .iter()
        .max_by_key(|domain| renewal(&world, domain))
        .unwrap()
        .clone();
    let values = world.zones.values(blocked.as_str());
    world
        .witness
        .lock()
        .unwrap()
        .stale
        .insert(blocked.as_str().to_owned(), values);
    nights_watched(&mut world, at("2027-07-01T00:00:00Z")).await;
    let lapsed: Vec<_> = world
        .domains
        .iter()
        .filter(|domain| world.ca.valid_until(domain).is_none())
        .collect();
    assert_eq!(lapsed, [&blocked]);
}

fn renewal(world: &World, domain: &DomainName) -> Option<Timestamp> {
    let state = world.ca.state.lock().unwrap();
    let made = state
        .entries
        .values()
        .find(|entry| entry.domain == *domain)?
        .validated_at;
    world.policy.renew_at(
        domain,
        &Proof {
            validated_at: made,
            expires_at: None,
            method: None,
            first_seen: None,
            ends: Default::default(),
        },
    )
}

#[tokio::test]
async fn a_token_that_a_colleague_published_stays_after_the_proof() {
    let world = World::new(1).await;
    let name = world.domains[0].clone();
    world.ca.seed(name.as_str(), None, world.clock.now());
    let token = world
        .ca
        .state
        .lock()
        .unwrap()
        .entries
        .values()
        .next()
        .unwrap()
        .token
        .clone();
    world
        .zones
        .put(name.as_str(), SPF_TTL, TxtRecord::of(&token));
    // The secondary is long without it: the provider is asked again and again whether it is still
    // there.
    world
        .witness
        .lock()
        .unwrap()
        .stale
        .insert(name.as_str().to_owned(), Vec::new());
    for minutes in [10, 10, 10] {
        world
            .worker("slow")
            .run(SignedDuration::from_mins(minutes))
            .await
            .unwrap();
    }
    world.witness.lock().unwrap().stale.clear();
    world
        .worker("fast")
        .run(SignedDuration::from_mins(30))
        .await
        .unwrap();
    assert!(world.all_valid());
    assert_eq!(
        ours(&world, &name),
        [token.into_bytes()],
        "it was not ours to remove"
    );
}

/// What is tried before a renewal is the record that the CA asks for, and nothing else is read.
#[tokio::test]
async fn a_preflight_asks_for_the_name_and_type_of_the_cas_record() {
    for (form, owner) in [
        (RecordForm::default(), "d0.ch"),
        (
            RecordForm {
                kind: RecordType::Cname,
                below: true,
                label: None,
            },
            "_prevalidate.d0.ch",
        ),
        (
            RecordForm {
                kind: RecordType::Txt,
                below: true,
                label: Some("_pki-validation".to_owned()),
            },
            "_pki-validation.d0.ch",
        ),
    ] {
        let mut world = World::new(1).await;
        world.nights(1).await;
        world.policy.record = form.clone();
        world.clock.advance(SignedDuration::from_hours(24 * 110));
        let before = world.zones.calls("preflight");
        let known = world.witness.lock().unwrap().preflights.len();
        let worker = world.worker("renewal");
        worker.run(SignedDuration::from_mins(10)).await.unwrap();
        let state = world.ca.state.lock().unwrap();
        let resets = state.calls.iter();
        let resets = resets.filter(|call| call.effect == Effect::ResetToken);
        assert_eq!(resets.count(), 1, "{form:?}");
        assert_eq!(world.zones.calls("preflight") - before, 1, "{form:?}");
        let witness = world.witness.lock().unwrap();
        let asked: Vec<_> = witness.preflights[known..]
            .iter()
            .map(|(owner, _)| owner.as_str())
            .zip(witness.preflight_kinds[known..].iter().copied())
            .collect();
        assert_eq!(asked, [(owner, RecordKind::from(form.kind))]);
    }
}
