//! A domain that was proven and is no longer: it is not forgotten, the history says it once, and
//! only a new proof ends it.

use jiff::SignedDuration;
use prevalidate::clock::Clock;
use prevalidate::overview::danger::Danger;
use prevalidate::overview::{Basis, views_of};
use prevalidate::prevalidation::upkeep::Past;
use prevalidate::prevalidation::{DomainName, Mode, State, Upkeep};
use prevalidate::store::{Claim, Event, Store, Write};

use super::ca::Entry;
use super::world::{World, target};

async fn danger(world: &World, domain: &DomainName) -> (State, Danger) {
    let basis = Basis {
        targets: &[target()],
        providers: &["memory".to_owned()].into(),
        policy: &world.policy,
    };
    let views = views_of(&*world.store, domain, &basis, world.clock.now()).await;
    let view = views.unwrap().remove(0);
    (view.state, view.danger)
}

async fn lapses(world: &World) -> usize {
    let kinds = world.store_history(0).await;
    kinds.iter().filter(|kind| *kind == "lapsed").count()
}

/// No name server shows what is published from now on, so no proof can be won.
fn blind(world: &World, is_blind: bool) {
    let mut witness = world.witness.lock().unwrap();
    for domain in &world.domains {
        if is_blind {
            witness.stale.insert(domain.as_str().to_owned(), Vec::new());
        } else {
            witness.stale.remove(domain.as_str());
        }
    }
}

fn change(world: &World, domain: &DomainName, change: impl Fn(&mut Entry)) {
    world.ca.set(|state| {
        let of = |entry: &&mut Entry| entry.domain == *domain;
        state.entries.values_mut().filter(of).for_each(change);
    });
}

/// A world of a dozen valid domains, of which the first is about to lose its proof.
async fn valid() -> (World, DomainName) {
    let mut world = World::new(12).await;
    world.nights(1).await;
    assert!(world.all_valid());
    blind(&world, true);
    let first = world.domains[0].clone();
    (world, first)
}

/// It stays lapsed for days; then the way is clear, and a new proof ends it.
async fn stays_lapsed_until_a_new_proof(world: &mut World, domain: &DomainName) {
    for _ in 0..3 {
        let worker = world.worker("night");
        worker.run(SignedDuration::from_mins(10)).await.unwrap();
        world.check().await;
        assert_eq!(danger(world, domain).await.1, Danger::Lapsed);
        assert_eq!(lapses(world).await, 1, "the history says it once");
        world.clock.advance(SignedDuration::from_hours(7));
    }
    blind(world, false);
    world.nights(2).await;
    assert_eq!(danger(world, domain).await, (State::Valid, Danger::None));
    assert_eq!(lapses(world).await, 1);
}

#[tokio::test]
async fn a_proof_that_ends_is_a_lapse_at_that_moment_and_until_a_new_one() {
    let (mut world, first) = valid().await;
    let end = world.ca.valid_until(&first).unwrap();
    world.clock.set(end - SignedDuration::from_mins(5));
    world.nights(1).await;
    let events = world.store.history(&first).await.unwrap();
    let noted = events.iter().find(|event| event.kind == "lapsed").unwrap();
    assert!(noted.at >= end, "{noted:?}");
    assert!(noted.at <= end + SignedDuration::from_mins(1), "{noted:?}");
    stays_lapsed_until_a_new_proof(&mut world, &first).await;
}

#[tokio::test]
async fn a_reset_that_costs_the_proof_is_a_lapse_in_the_same_second() {
    let (mut world, first) = valid().await;
    world
        .ca
        .set(|state| state.behaviour.reset_keeps_proof = false);
    // Proven and lost at a moment when its token had ended too.
    change(&world, &first, |entry| {
        entry.validated_at = entry
            .validated_at
            .map(|at| at - SignedDuration::from_hours(24 * 195));
        entry.token_at -= SignedDuration::from_hours(24 * 196);
    });
    stays_lapsed_until_a_new_proof(&mut world, &first).await;
    let kinds = world.store_history(0).await;
    assert!(kinds.contains(&"reset".to_owned()), "{kinds:?}");
}

#[tokio::test]
async fn a_domain_that_was_deleted_at_the_ca_and_registered_anew_has_lapsed() {
    let (mut world, first) = valid().await;
    world
        .ca
        .set(|state| state.entries.retain(|_, entry| entry.domain != first));
    stays_lapsed_until_a_new_proof(&mut world, &first).await;
    let kinds = world.store_history(0).await;
    for kind in ["gone", "registered"] {
        assert!(kinds.contains(&kind.to_owned()), "{kinds:?}");
    }
}

#[tokio::test]
async fn a_record_that_a_colleague_reset_and_that_shows_no_proof_has_lapsed() {
    let (mut world, first) = valid().await;
    change(&world, &first, |entry| {
        (entry.proof, entry.validated_at) = (false, None);
        entry.token = "swiss-pki=model99999999999999999999".to_owned();
    });
    stays_lapsed_until_a_new_proof(&mut world, &first).await;
}

#[tokio::test]
async fn a_lapse_is_told_also_in_the_mode_observe() {
    let (mut world, first) = valid().await;
    world.policy.mode = Mode::Observe;
    let end = world.ca.valid_until(&first).unwrap();
    world.clock.set(end + SignedDuration::from_hours(1));
    for _ in 0..2 {
        world.nights(1).await;
        assert_eq!(
            danger(&world, &first).await,
            (State::Expired, Danger::Lapsed)
        );
        assert_eq!(lapses(&world).await, 1);
    }
}

#[tokio::test]
async fn a_domain_that_was_never_proven_has_no_margin_to_lose() {
    let mut world = World::new(1).await;
    blind(&world, true);
    world.nights(3).await;
    let first = world.domains[0].clone();
    assert_eq!(danger(&world, &first).await, (State::Pending, Danger::None));
    assert_eq!(lapses(&world).await, 0);
}

/// A clock that is more than a year ahead, for as long as it takes to note a lapse.
#[tokio::test]
async fn a_lapse_that_a_wrong_clock_noted_is_withdrawn_once_and_counts_nowhere() {
    let (mut world, first) = valid().await;
    let wrong = world.clock.now() + SignedDuration::from_hours(24 * 400);
    let only = [first.clone().into()];
    world.store.wake(&only, world.clock.now()).await.unwrap();
    let claim = Claim {
        holder: "ahead",
        now: world.clock.now(),
        lease: SignedDuration::from_mins(5),
        limit: 1,
        only: Some(&only),
        except_clients: &[],
    };
    let lease = world.store.claim(&claim).await.unwrap().remove(0);
    let write = Write {
        fence: lease.fence,
        sighting: None,
        upkeep: Upkeep {
            past: Past {
                lapsed_at: Some(wrong),
                ..lease.row.upkeep.past
            },
            ..lease.row.upkeep
        },
        due_at: Some(wrong),
        at_risk: None,
        ledger: Vec::new(),
        events: vec![Event {
            at: wrong,
            run: "ahead".to_owned(),
            domain: Some(first.clone()),
            client: None,
            kind: "lapsed".to_owned(),
            detail: "no proof counts any more".to_owned(),
        }],
        effect: None,
        release: true,
    };
    world.store.commit(&[write]).await.unwrap();
    assert_eq!(lapses(&world).await, 1);
    assert_eq!(danger(&world, &first).await, (State::Valid, Danger::None));

    let end = world.ca.valid_until(&first);
    for _ in 0..2 {
        world.nights(1).await;
        let kinds = world.store_history(0).await;
        let withdrawn = kinds.iter().filter(|kind| *kind == "lapse-withdrawn");
        assert_eq!(withdrawn.count(), 1, "{kinds:?}");
        assert_eq!(lapses(&world).await, 1, "what was written stays");
        assert_eq!(danger(&world, &first).await, (State::Valid, Danger::None));
    }
    let kinds = world.store_history(0).await;
    assert!(!kinds.contains(&"reset".to_owned()), "{kinds:?}");
    assert_eq!(world.ca.valid_until(&first), end, "nothing is done for it");
}
