//! Random histories of persistent records: faults, deaths, other writers, people who change their
//! minds; at their end everything is as wanted.

use jiff::SignedDuration;
use prevalidate::persistent::End;
use prevalidate_providers::memory::MemoryFault;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::super::crash::Side;
use super::{DAY, World};

async fn history(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new(4).await;
    // No record ends by itself here, however seldom a pass comes to its end.
    world.wanted.iter_mut().for_each(|one| {
        one.end = End::Rolling {
            life: DAY * 900,
            replace_before: DAY * 30,
        };
    });
    let all = world.wanted.clone();
    let mut number = 1;
    for _ in 0..40 {
        match random.random_range(0..12) {
            0..4 => drop(world.pass().await),
            4 => {
                let side = [Side::Before, Side::After][random.random_range(0..2)];
                world.fuse.set(Some((random.random_range(0..8), side)));
                let _ = world.pass().await;
                world.fuse.set(None);
            }
            5 => world.transfer(),
            6 => world.clock.advance(DAY * random.random_range(1..9)),
            7 => {
                let domain = world.domains[random.random_range(0..4)].clone();
                world.drop_at(&domain);
            }
            8 => {
                let faults = [
                    MemoryFault::LoseAnswer,
                    MemoryFault::LoseRequest,
                    MemoryFault::Unavailable,
                    MemoryFault::Refuse,
                ];
                world.eye.zones.fail_next(faults[random.random_range(0..4)]);
            }
            9 => {
                number = random.random_range(1..4);
                world.set_account(number);
            }
            10 => {
                let domain = world.domains[random.random_range(0..4)].clone();
                world.wanted.retain(|one| one.domain != domain);
                world.elect();
            }
            _ => {
                world.wanted = all.clone();
                world.set_account(number);
            }
        }
        world.clock.advance(SignedDuration::from_secs(5));
    }
    world.eye.zones.heal();
    // What failed is tried again after an hour at most; the canary takes a day.
    for _ in 0..8 {
        world.clock.advance(SignedDuration::from_hours(13));
        world.pass_by(true).await;
        world.transfer();
        assert!(world.night().await);
    }
    world.settled(number).await;
}

#[tokio::test]
async fn random_histories_of_persistent_records_keep_the_invariants() {
    for seed in 0..150 {
        history(seed).await;
    }
}
