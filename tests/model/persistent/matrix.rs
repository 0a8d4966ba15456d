//! The crash matrix: a process dies before or after every effect in the life of a record, once and
//! twice.

use super::super::crash::Side;
use super::{DAY, World};

type Death = (usize, Side);

/// Nights until one has been lived to its end.
async fn night(world: &mut World, deaths: &mut impl Iterator<Item = Death>) {
    for _ in 0..4 {
        if world.night().await {
            return;
        }
        world.fuse.set(deaths.next());
    }
    panic!("no night comes to its end");
}

/// Published, replaced, dropped and put back, moved to another account, withdrawn.
async fn live(deaths: &[Death]) -> World {
    let mut world = World::new(1).await;
    let mut deaths = deaths.iter().copied();
    world.fuse.set(deaths.next());
    night(&mut world, &mut deaths).await;
    world.settled(1).await;
    world.clock.advance(DAY * 101);
    night(&mut world, &mut deaths).await;
    world.settled(1).await;
    let domain = world.domains[0].clone();
    world.drop_at(&domain);
    night(&mut world, &mut deaths).await;
    world.settled(1).await;
    world.set_account(2);
    night(&mut world, &mut deaths).await;
    world.settled(2).await;
    world.wanted.clear();
    night(&mut world, &mut deaths).await;
    world.settled(2).await;
    world
}

async fn points() -> (Vec<Death>, Vec<String>) {
    let world = live(&[]).await;
    let sides = |index| [(index, Side::Before), (index, Side::After)];
    let all = (0..world.fuse.effects()).flat_map(sides);
    (all.collect(), world.fuse.names())
}

#[tokio::test]
async fn a_process_may_die_beside_every_effect_of_a_persistent_record() {
    let (points, names) = points().await;
    for expected in ["claim", "commit step", "commit result", "publish", "remove"] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
    assert!(points.len() > 40, "{names:?}");
    for point in points {
        live(&[point]).await;
    }
}

#[tokio::test]
async fn a_process_may_die_at_a_persistent_record_and_again_soon_after() {
    let (points, _) = points().await;
    for (number, first) in points.into_iter().enumerate() {
        for second in [number % 5, 5 + number % 7] {
            let side = [Side::Before, Side::After][number % 2];
            live(&[first, (second, side)]).await;
        }
    }
}
