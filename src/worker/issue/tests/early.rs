//! A renewal that was started and is not due any more: by a wrong clock, or by another
//! `renew_before`.

use super::*;
use crate::issuance::Step;

const DAY: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test]
async fn a_renewal_begun_by_a_wrong_clock_is_dropped_once_it_is_right() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let (before, now) = (world.live("joe").unwrap(), world.clock.now());
    world.clock.advance(DAY * 61);
    world.ca.change(|ca| ca.clock_ahead = -DAY * 61);
    world.run(&wanted, 60).await;
    let begun = world.row("joe").await.progress.order.unwrap();
    assert_eq!((begun.version, begun.submitted_at), (2, None));

    world.clock.set(now + SignedDuration::from_mins(5));
    world.ca.change(|ca| ca.clock_ahead = SignedDuration::ZERO);
    assert_eq!(world.live_state(&wanted).await.decision.step, Step::Drop);
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        assert_eq!(world.ca.held().len(), 1);
        assert_eq!(world.live("joe").unwrap(), before);
        let progress = world.row("joe").await.progress;
        assert_eq!((progress.order, progress.trouble), (None, None));
        assert!(!world.at("joe/0002").exists());
    }
    assert_eq!(world.kinds("joe").await.last().unwrap(), "dropped");

    // It is renewed at its share.
    world.clock.advance(DAY * 61);
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 2);
}

#[tokio::test]
async fn a_renewal_that_waits_and_is_not_due_by_another_setting_is_dropped() {
    for is_by_hand in [false, true] {
        let world = World::new().await;
        let first = [world.certificate("joe")];
        world.run(&first, 60).await;
        match is_by_hand {
            true => world.by_hand(&first, ByHand::Again).await.unwrap(),
            false => world.clock.advance(DAY * 61),
        }
        world.ca.next(Verb::Preflight, Way::RequestLost);
        world.run(&first, 0).await;
        assert!(world.row("joe").await.progress.order.is_some());
        let mut wanted = first;
        wanted[0].wanted.renew_before = Lead::Span(DAY * 7);
        world.clock.advance(SignedDuration::from_hours(2));
        for _ in 0..2 {
            world.run(&wanted, 600).await;
            let orders = 1 + usize::from(is_by_hand);
            assert_eq!(world.ca.held().len(), orders, "by hand: {is_by_hand}");
            assert_eq!(world.row("joe").await.progress.order, None);
        }
    }
}
