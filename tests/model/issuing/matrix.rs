//! The crash matrix of orders: a process dies before or after every effect of an order's life, once
//! and twice. Each time there is one order, and a pair that matches.

use jiff::SignedDuration;
use prevalidate::ca::in_memory::Verb;
use prevalidate::issuance::RevocationReason;
use prevalidate::worker::issue::ByHand;

use super::super::crash::Side;
use super::World;

type Death = (usize, Side);

/// One run after the other until one has lived to its end.
async fn runs(world: &World, deaths: &mut impl Iterator<Item = Death>) {
    // Each death costs a run, and its lease.
    for _ in 0..4 {
        let lived = world.run(SignedDuration::from_mins(3)).await;
        world.check();
        if lived {
            return;
        }
        world.fuse.set(deaths.next());
    }
    panic!("no run comes to its end");
}

/// Ordered, installed and told to servers; renewed; revoked by a person.
async fn live(deaths: &[Death]) -> World {
    let world = World::new().await;
    let said = format!("{deaths:?}");
    let mut deaths = deaths.iter().copied();
    world.fuse.set(deaths.next());

    runs(&world, &mut deaths).await;
    settled(&world, 1, &said).await;
    let first = world.live().unwrap();

    world.clock.advance(SignedDuration::from_hours(24 * 61));
    runs(&world, &mut deaths).await;
    settled(&world, 2, &said).await;
    let second = world.live().unwrap();
    assert!(second.version > first.version, "{said}");
    assert_ne!(second.facts.fingerprint, first.facts.fingerprint, "{said}");

    let order = || ByHand::Revoke {
        reason: RevocationReason::Superseded,
        requestor: "a person".to_owned(),
    };
    while world.by_hand(order()).await.is_none() {
        world.check();
        world.fuse.set(deaths.next());
    }
    runs(&world, &mut deaths).await;
    settled(&world, 2, &said).await;
    let installed = world.progress().await.installed.unwrap();
    assert!(installed.revoked_at.is_some(), "{said}");
    assert_eq!(world.revoked().await, 1, "{said}");
    world
}

/// So many orders were made, and the last one came to its end.
async fn settled(world: &World, orders: usize, said: &str) {
    assert_eq!(world.ca.held().len(), orders, "{said}");
    let progress = world.progress().await;
    assert_eq!(progress.order, None, "{said}");
    assert_eq!(progress.hold, None, "{said}");
    assert_eq!(progress.deployment, None, "{said}");
    assert!(world.live().is_some(), "{said}");
    assert!(world.is_clean(), "{said}");
}

/// Every death of a life without one, and the names of its effects.
async fn points() -> (Vec<Death>, Vec<String>) {
    let world = live(&[]).await;
    let names = world.fuse.names();
    let sides = |index| [(index, Side::Before), (index, Side::After)];
    ((0..world.fuse.effects()).flat_map(sides).collect(), names)
}

#[tokio::test]
async fn a_process_may_die_before_or_after_every_effect_of_a_certificates_life() {
    let (points, names) = points().await;
    for expected in [
        "claim",
        "commit step",
        "commit result",
        "preflight",
        "challenges",
        "publish",
        "submit",
        "look",
        "fetch",
        "remove",
        "revoke",
    ] {
        assert!(
            names.iter().any(|name| name == expected),
            "the life has no `{expected}`: {names:?}"
        );
    }
    let mut searches = 0;
    for point in points {
        let world = live(&[point]).await;
        searches += world.ca.count(Verb::Find);
    }
    assert!(searches > 0, "no order was ever searched for");
}

/// The second death is counted from the first.
#[tokio::test]
async fn a_process_may_die_at_an_effect_of_an_order_and_again_soon_after() {
    let (points, _) = points().await;
    let seconds: Vec<Death> = (0..12)
        .flat_map(|index| [(index, Side::Before), (index, Side::After)])
        .collect();
    // A share of all pairs, in which each first and each second death occurs.
    for (number, first) in points.into_iter().enumerate() {
        // 24 and 7 have no common factor.
        let second = seconds[7 * number % seconds.len()];
        live(&[first, second]).await;
    }
}
