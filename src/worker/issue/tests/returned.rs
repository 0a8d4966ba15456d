//! A section gets a name that it had before. What was renewed meanwhile is under the other name,
//! and the older pair still is under this one.

use super::renamed::{BY_NAME, OLD};
use super::*;

const DAY: SignedDuration = SignedDuration::from_hours(24);

impl World {
    /// `www` became `web`, which was renewed after a number of days.
    async fn renewed_as_web(days: i32) -> (Self, [Certificate; 1], [Certificate; 1]) {
        let world = Self::new().await;
        let www = [world.named("www", BY_NAME, OLD)];
        let web = [world.named("web", BY_NAME, OLD)];
        world.run(&www, 60).await;
        world.run(&web, 60).await;
        world.clock.advance(DAY * days);
        if days < 60 {
            world.by_hand(&web, ByHand::Again).await.unwrap();
        }
        world.run(&web, 60).await;
        assert_eq!(world.ca.held().len(), 2);
        (world, www, web)
    }
}

#[tokio::test]
async fn a_name_that_comes_back_takes_what_was_renewed_meanwhile() {
    for (days, is_lost) in [(61, false), (20, false), (61, true), (20, true)] {
        let (mut world, www, _) = World::renewed_as_web(days).await;
        let newest = world.live("web").unwrap().facts;
        if is_lost {
            world = world.with_lost_store().await;
        }
        for _ in 0..2 {
            world.run(&www, 60).await;
            assert_eq!(
                world.live("www").unwrap().facts,
                newest,
                "{days}, {is_lost}"
            );
            world.have(&www, 2).await;
        }
    }
}

#[tokio::test]
async fn a_name_that_comes_back_to_damaged_files_takes_the_whole_pair() {
    for is_lost in [false, true] {
        for file in ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"] {
            let mut world = World::new().await;
            let www = [world.named("www", BY_NAME, OLD)];
            world.run(&www, 60).await;
            world.run(&[world.named("web", BY_NAME, OLD)], 60).await;
            std::fs::write(world.at("www/current").join(file), "").unwrap();
            if is_lost {
                world = world.with_lost_store().await;
            }
            for _ in 0..2 {
                world.run(&www, 60).await;
                world.have(&www, 1).await;
            }
        }
    }
}

#[tokio::test]
async fn a_name_that_comes_back_does_not_take_what_was_revoked_meanwhile() {
    for is_lost in [false, true] {
        let mut world = World::new().await;
        let www = [world.named("www", BY_NAME, OLD)];
        let web = [world.named("web", BY_NAME, OLD)];
        world.run(&www, 60).await;
        world.run(&web, 60).await;
        let order = ByHand::Revoke {
            reason: RevocationReason::KeyCompromise,
            requestor: "prevalidate".to_owned(),
        };
        world.by_hand(&web, order).await.unwrap();
        world.run(&web, 60).await;
        world.clock.advance(DAY);
        world.by_hand(&web, ByHand::Again).await.unwrap();
        world.run(&web, 60).await;
        let newest = world.live("web").unwrap().facts;
        if is_lost {
            world = world.with_lost_store().await;
        }
        for _ in 0..2 {
            world.run(&www, 60).await;
            assert_eq!(world.live("www").unwrap().facts, newest);
            world.have(&www, 2).await;
        }
    }
}

#[tokio::test]
async fn the_old_pair_does_not_come_back_in_the_place_of_a_newer_one() {
    for case in ["gone", "revoked"] {
        let (world, www, web) = World::renewed_as_web(61).await;
        if case == "revoked" {
            let order = ByHand::Revoke {
                reason: RevocationReason::KeyCompromise,
                requestor: "prevalidate".to_owned(),
            };
            world.by_hand(&web, order).await.unwrap();
            world.run(&web, 60).await;
        } else {
            std::fs::rename(world.at("web"), world.folder.path().join("aside")).unwrap();
        }
        for _ in 0..2 {
            world.run(&www, 60).await;
            let hold = world.row("www").await.progress.hold.expect(case);
            assert!(hold.words.contains("web"), "{case}: {}", hold.words);
            assert_eq!(world.ca.held().len(), 2, "{case}");
        }
        if case == "gone" {
            std::fs::rename(world.folder.path().join("aside"), world.at("web")).unwrap();
            world.run(&www, 60).await;
            world.have(&www, 2).await;
        }
    }
}

#[tokio::test]
async fn a_renewal_that_lies_under_another_name_is_not_bought_again() {
    // The store was brought back from a time before the name was changed.
    let (world, _, _) = World::renewed_as_web(61).await;
    let newest = world.live("web").unwrap().facts;
    let old = world.row("web").await.progress.installed.unwrap();
    let world = world.with_lost_store().await;
    let www = [world.named("www", BY_NAME, OLD)];
    let aside = world.folder.path().join("aside");
    std::fs::rename(world.at("web"), &aside).unwrap();
    world.clock.set(old.not_before - DAY * 2);
    world.run(&www, 60).await;
    assert_eq!(world.live("www").unwrap().version, 1);
    std::fs::rename(&aside, world.at("web")).unwrap();
    world.clock.set(old.not_before + DAY);
    for _ in 0..2 {
        world.run(&www, 60).await;
        assert_eq!(world.live("www").unwrap().facts, newest);
        world.have(&www, 2).await;
    }
}
