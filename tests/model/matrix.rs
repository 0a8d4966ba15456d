//! The exhaustive crash matrix: a process dies before or after every effect of a life, once and
//! twice.

use jiff::SignedDuration;
use prevalidate::clock::Clock;
use prevalidate::worker::Outcome;

use super::crash::Side;
use super::world::World;

/// From unknown to valid, and through a renewal; the fuse counts the effects of whichever part is
/// asked for.
async fn live(world: &mut World, crashes: &[(usize, Side)]) {
    let mut crashes = crashes.iter().copied();
    world.fuse.set(crashes.next());
    let mut worker = world.worker("life");
    let renewed_by = world.clock.now() + SignedDuration::from_hours(24 * 110);
    let mut renewing = false;
    for _ in 0..400 {
        match world.step(&worker).await {
            None => {
                // Another process takes over once the lease of the dead one has ended.
                world.fuse.set(crashes.next());
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
    let validated = world
        .ca
        .state
        .lock()
        .unwrap()
        .entries
        .values()
        .map(|e| e.validated_at.unwrap())
        .collect::<Vec<_>>();
    assert!(
        validated.iter().all(|&at| at >= renewed_by),
        "{crashes:?}: not renewed, {validated:?}"
    );
    assert!(world.all_valid());
    world.is_clean().await;
}

#[tokio::test]
async fn a_process_may_die_before_or_after_every_effect() {
    let mut world = World::new(1).await;
    live(&mut world, &[]).await;
    let effects = world.fuse.effects();
    let names = world.fuse.names();
    for expected in [
        "list",
        "register",
        "commit intent",
        "publish",
        "validate",
        "remove",
        "preflight",
        "reset",
        "claim",
    ] {
        assert!(
            names.iter().any(|name| name == expected),
            "the life has no `{expected}`: {names:?}"
        );
    }
    assert!(effects >= 28, "{effects} effects: {names:?}");
    for index in 0..effects {
        for side in [Side::Before, Side::After] {
            let mut world = World::new(1).await;
            live(&mut world, &[(index, side)]).await;
        }
    }
}

#[tokio::test]
async fn a_process_may_die_before_or_after_every_effect_of_an_order() {
    let mut world = World::by_orders(1).await;
    live(&mut world, &[]).await;
    let (effects, names) = (world.fuse.effects(), world.fuse.names());
    for expected in [
        "list", "register", "reset", "publish", "validate", "get", "remove",
    ] {
        assert!(
            names.iter().any(|name| name == expected),
            "the life has no `{expected}`: {names:?}"
        );
    }
    // A start that keeps the proof risks nothing: it is rehearsed before the record is written.
    let mut steps = names.split(|name| name == "commit result");
    assert!(
        steps.all(|step| !(step.contains(&"preflight".into()) && step.contains(&"reset".into()))),
        "{names:?}"
    );
    for first in 0..effects {
        for side in [Side::Before, Side::After] {
            let mut world = World::by_orders(1).await;
            live(&mut world, &[(first, side)]).await;
            let mut world = World::by_orders(1).await;
            live(&mut world, &[(first, side), (2, Side::After)]).await;
        }
    }
}

/// The second death is counted from the first; what follows it is a life of its own. In two halves,
/// for two cores.
async fn twice(half: usize) {
    let mut world = World::new(1).await;
    live(&mut world, &[]).await;
    let effects = world.fuse.effects();
    let points =
        |count: usize| (0..count).flat_map(|index| [(index, Side::Before), (index, Side::After)]);
    let mut worlds = 0;
    for first in points(effects).skip(half).step_by(2) {
        for second in points(12) {
            let mut world = World::new(1).await;
            // Each second death is met, because 24 and 7 have no common factor.
            world.compares_five = u32::is_multiple_of(worlds, 7);
            worlds += 1;
            live(&mut world, &[first, second]).await;
        }
    }
}

#[tokio::test]
async fn a_process_may_die_before_an_effect_and_again() {
    twice(0).await;
}

#[tokio::test]
async fn a_process_may_die_after_an_effect_and_again() {
    twice(1).await;
}
