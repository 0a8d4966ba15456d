//! Four hundred days: three replacements, a pipeline that drops records twice, an account that
//! changes, and a CA that checks again every 8 days and never fails.

use jiff::SignedDuration;
use prevalidate::persistent::KeptState;

use super::{DAY, World, account};

#[tokio::test]
async fn a_ca_that_checks_every_8_days_for_400_days_never_fails() {
    let mut world = World::new(20).await;
    let mut replaced = 0;
    let mut number = 1;
    // One domain goes first.
    assert!(world.night().await);
    let count = |world: &World| {
        let mut domains = world.domains.iter();
        domains
            .by_ref()
            .filter(|domain| !world.ours(domain).is_empty())
            .count()
    };
    assert_eq!(count(&world), 1, "the canary goes alone");
    let mut values = world.ours(&world.domains[0].clone());
    for day in 1..=400 {
        world.clock.advance(DAY);
        assert!(world.night().await);
        if day == 1 {
            assert_eq!(count(&world), 20, "the others follow");
        }
        if day % 8 == 0 {
            let accounts = [account(number), account(number.max(2) - 1)];
            for domain in world.domains.clone() {
                assert!(world.is_valid(&domain, &accounts), "day {day}: {domain}");
            }
        }
        let first = world.domains[0].clone();
        let now = world.ours(&first);
        if now != values {
            replaced += 1;
            values = now;
        }
        match day {
            90 | 210 => {
                let some = world.domains[3..6].to_vec();
                for domain in some {
                    world.drop_at(&domain);
                }
            }
            250 => {
                world.set_account(2);
                number = 2;
            }
            _ => {}
        }
    }
    assert!(
        replaced >= 4,
        "three replacements and a new account: {replaced}"
    );
    world.settled(2).await;
    let rows = world.rows().await;
    assert_eq!(rows[&world.domains[4]].put_back, 2);
    assert!(
        rows.values()
            .all(|kept| kept.records[0].state == KeptState::Visible)
    );
    world.wanted.clear();
    let refused = world.pass().await.unwrap().alarm.unwrap();
    assert!(refused.contains("20 of 20"), "{refused}");
    assert_eq!(
        count(&world),
        20,
        "a list that was emptied by mistake removes nothing"
    );
    assert_eq!(world.pass_by(true).await.unwrap().alarm, None);
    world.settled(2).await;
}

#[tokio::test]
async fn many_that_vanish_at_once_are_put_back_by_order_only() {
    let mut world = World::new(20).await;
    world
        .wanted
        .iter_mut()
        .for_each(|one| one.canary = SignedDuration::ZERO);
    assert!(world.night().await);
    world.settled(1).await;
    for domain in world.domains.clone() {
        world.drop_at(&domain);
    }
    world.clock.advance(DAY);
    let passed = world.pass().await.unwrap();
    let alarm = passed.alarm.unwrap();
    assert!(alarm.contains("20 of 20"), "{alarm}");
    assert!(world.ours(&world.domains[0].clone()).is_empty());
    let rows = world.rows().await;
    assert!(
        rows.values()
            .all(|kept| kept.hold.as_ref().unwrap().kind == "vanished")
    );
    let forced = world.pass_by(true).await.unwrap();
    assert_eq!(forced.alarm, None);
    assert!(world.night().await);
    world.settled(1).await;
}

#[tokio::test]
async fn a_secondary_that_is_behind_keeps_the_old_record_alive() {
    let mut world = World::new(1).await;
    assert!(world.night().await);
    world.clock.advance(DAY * 101);
    // The new one is on the primary only.
    for _ in 0..3 {
        world.pass().await.unwrap();
        world.clock.advance(SignedDuration::from_secs(5));
        assert_eq!(world.ours(&world.domains[0].clone()).len(), 2);
    }
    world.transfer();
    assert!(world.night().await);
    world.settled(1).await;
}
