//! Domains that are at two clients: each proves them by itself, their records are side by side, and
//! what one of them is no longer needed stays while the other needs it.

use jiff::SignedDuration;
use prevalidate::clock::Clock;
use prevalidate::prevalidation::{LedgerState, RowKey};
use prevalidate::store::Store;
use prevalidate::worker::Outcome;

use super::crash::Side;
use super::world::World;

/// From unknown to valid, and through a renewal at both CAs at once.
async fn live(world: &mut World, crash: Option<(usize, Side)>) {
    world.fuse.set(crash);
    let mut worker = world.worker("life");
    let renewed_by = world.clock.now() + SignedDuration::from_hours(24 * 110);
    let mut renewing = false;
    for _ in 0..600 {
        match world.step(&worker).await {
            None => {
                world.fuse.set(None);
                world.clock.advance(SignedDuration::from_mins(6));
                worker = world.worker("after");
            }
            Some(Outcome::Idle { next }) => {
                let soon = world.clock.now() + SignedDuration::from_hours(7);
                match next.filter(|&next| next <= soon) {
                    Some(next) => world
                        .clock
                        .set(next.max(world.clock.now() + SignedDuration::from_secs(1))),
                    None if renewing => break,
                    None => {
                        renewing = true;
                        world.clock.set(renewed_by);
                        worker = world.worker("renewal");
                    }
                }
            }
            Some(_) => {}
        }
        world.check().await;
    }
    assert!(world.all_valid(), "{crash:?}");
    for (ca, target) in world.cas() {
        let state = ca.state.lock().unwrap();
        let mut entries = state.entries.values();
        assert!(
            entries.all(|entry| entry.validated_at.is_some_and(|at| at >= renewed_by)),
            "{crash:?}: not renewed at {}",
            target.key
        );
    }
    world.is_clean().await;
}

#[tokio::test]
async fn two_clients_prove_a_domain_side_by_side() {
    for same_values in [false, true] {
        let mut world = World::at_two_cas(2, same_values).await;
        live(&mut world, None).await;
        let rows = world.store.rows_of(&world.domains).await.unwrap();
        let keys: Vec<RowKey> = rows.iter().map(|row| row.key.clone()).collect();
        let other = super::world::other_target().key;
        let expected = world
            .domains
            .iter()
            .flat_map(|name| [RowKey::from(name), RowKey::further(name, &other)]);
        assert_eq!(keys, expected.collect::<Vec<_>>());
        for (ca, _) in world.cas() {
            assert_eq!(ca.state.lock().unwrap().entries.len(), 2);
        }
        let events = world.store.history(&world.domains[0]).await.unwrap();
        let at = |client: &str| {
            let own = events
                .iter()
                .filter(|e| e.client.as_deref() == Some(client));
            own.filter(|event| event.kind == "validated").count()
        };
        assert_eq!((at(&target_key()), at(&other)), (2, 2));
        assert!(
            events.iter().all(|event| event.kind != "others-changed"),
            "the other client's value is no foreign one: {events:?}"
        );
        // A night later nothing is to be done: one list for each.
        let lists = |world: &World| -> Vec<_> {
            let cas = world.cas().into_iter();
            cas.map(|(ca, _)| {
                let state = ca.state.lock().unwrap();
                (state.lists, state.calls.len())
            })
            .collect()
        };
        let before = lists(&world);
        world.clock.advance(SignedDuration::from_hours(24));
        world.nights(1).await;
        for (before, after) in before.into_iter().zip(lists(&world)) {
            assert_eq!((before.0 + 1, before.1), after);
        }
    }
}

fn target_key() -> String {
    super::world::target().key
}

/// A world of one domain that each process may die in.
async fn mortal(same_values: bool, two_sections: bool) -> World {
    let mut world = World::at_two_cas(1, same_values).await;
    world.two_sections = two_sections;
    world.sync().await;
    world
}

#[tokio::test]
async fn a_process_may_die_at_every_effect_for_two_clients() {
    for (same_values, two_sections) in [(false, false), (true, false), (true, true)] {
        let mut world = mortal(same_values, two_sections).await;
        live(&mut world, None).await;
        let effects = world.fuse.effects();
        for index in 0..effects {
            for side in [Side::Before, Side::After] {
                let mut world = mortal(same_values, two_sections).await;
                live(&mut world, Some((index, side))).await;
            }
        }
    }
}

/// The first client proves at once, the second later: what it has found in the zone, written by
/// another section, is not for the first one to remove, and no foreign record.
#[tokio::test]
async fn of_two_sections_that_write_one_zone_none_takes_away_what_the_other_needs() {
    for two_sections in [false, true] {
        let mut world = mortal(true, two_sections).await;
        let second = world.other.clone().unwrap();
        second.set(|state| state.behaviour.sees_nothing = true);
        world.nights(1).await;
        let owner = world.domains[0].as_str().to_owned();
        let foreign = world.foreign[&world.domains[0]].len();
        let ours = |world: &World| world.zones.values(&owner).len() - foreign;
        assert!(world.ca.valid_until(&world.domains[0]).is_some());
        assert_eq!(ours(&world), 1, "two sections: {two_sections}");
        let open = world.store.open_entries(None).await.unwrap();
        let states: Vec<_> = open.iter().map(|entry| entry.state).collect();
        assert!(!states.contains(&LedgerState::Foreign), "{open:?}");
        assert_eq!(open.len(), if two_sections { 2 } else { 1 }, "{open:?}");

        second.set(|state| state.behaviour.sees_nothing = false);
        world.nights(1).await;
        assert!(world.all_valid());
        assert_eq!(ours(&world), 0);
        world.is_clean().await;
    }
}

#[tokio::test]
async fn a_client_that_lets_go_takes_nothing_from_the_other() {
    for same_values in [false, true] {
        let mut world = World::at_two_cas(1, same_values).await;
        // Both values are in DNS, and no server shows them to the CAs.
        let blind = |world: &World, is_blind: bool| {
            let mut witness = world.witness.lock().unwrap();
            let owner = world.domains[0].as_str().to_owned();
            if is_blind {
                witness.stale.insert(owner, Vec::new());
            } else {
                witness.stale.remove(&owner);
            }
        };
        blind(&world, true);
        world.nights(1).await;
        assert_eq!(world.open_values().await, 2);
        let foreign = world.foreign[&world.domains[0]].len();
        let there = world.zones.values(world.domains[0].as_str()).len() - foreign;
        assert_eq!(there, if same_values { 1 } else { 2 });

        let second = world.other.take();
        world.sync().await;
        // Its row continues without a client in the configuration: what is left of it is taken
        // back.
        world.nights(1).await;
        assert_eq!(world.open_values().await, 1);
        let there = world.zones.values(world.domains[0].as_str()).len() - foreign;
        assert_eq!(there, 1, "the first client's value stays");
        blind(&world, false);
        world.nights(2).await;
        assert!(world.all_valid());
        world.is_clean().await;
        drop(second);
    }
}
