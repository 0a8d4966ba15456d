//! A revocation that is under way: under another name, after the store was lost, and where a read
//! before it fails.

use super::renamed::{BY_NAME, OLD};
use super::*;
use crate::issuance::progress::HoldKind;

fn revoke() -> ByHand {
    ByHand::Revoke {
        reason: RevocationReason::KeyCompromise,
        requestor: "prevalidate".to_owned(),
    }
}

#[tokio::test]
async fn an_open_revocation_orders_nothing_under_another_name() {
    for is_asked in [false, true] {
        let world = World::new().await;
        let before = [world.named("www", BY_NAME, OLD)];
        world.run(&before, 60).await;
        world.by_hand(&before, revoke()).await.unwrap();
        if is_asked {
            world.ca.next(Verb::Revoke, Way::RequestLost);
            world.run(&before, 0).await;
            let open = world.row("www").await.progress.revocation.unwrap();
            assert!(open.asked_at.is_some());
        }
        let wanted = [world.named("web", BY_NAME, OLD)];
        for wait in [0, 0, 1_000] {
            world.run(&wanted, wait).await;
            let hold = world.row("web").await.progress.hold.unwrap();
            assert_eq!(hold.kind, HoldKind::Ended);
            assert_eq!(world.ca.held().len(), 1, "asked: {is_asked}");
        }
        let installed = world.row("www").await.progress.installed.unwrap();
        assert!(installed.revoked_at.is_some(), "it continues to its end");
        world.by_hand(&wanted, ByHand::Again).await.unwrap();
        world.run(&wanted, 60).await;
        assert_eq!(world.ca.held().len(), 2);
    }
}

#[tokio::test]
async fn a_read_that_fails_before_a_revocation_is_no_revocation() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    world.by_hand(&wanted, revoke()).await.unwrap();
    world.ca.next(Verb::Revoke, Way::Garbled);
    world.run(&wanted, 0).await;
    let progress = world.row("joe").await.progress;
    assert_eq!(progress.revocation.unwrap().asked_at, None);
    assert!(progress.trouble.unwrap().contains("no JSON"));
    let begun = world.clock.now();
    world.run(&wanted, 60).await;
    let installed = world.row("joe").await.progress.installed.unwrap();
    assert!(installed.revoked_at.is_some());
    assert!(world.clock.now() < begun + SignedDuration::from_secs(60));
}

#[tokio::test]
async fn a_revocation_is_known_after_the_store_was_lost() {
    // Done at the CA, taken and not confirmed, or never arrived.
    for way in [None, Some(Way::AnswerLost), Some(Way::RequestLost)] {
        let mut world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        world.by_hand(&wanted, revoke()).await.unwrap();
        if let Some(way) = way.clone() {
            world.ca.next(Verb::Revoke, way);
        }
        world.run(&wanted, 0).await;
        assert!(world.row("joe").await.progress.revocation.is_some());
        let fresh = World::new().await;
        world.store = fresh.store;
        world.run(&wanted, 1_000).await;
        let progress = world.row("joe").await.progress;
        assert_eq!(progress.revocation, None, "{way:?}");
        assert!(progress.installed.unwrap().revoked_at.is_some(), "{way:?}");
        assert_eq!(world.ca.held().len(), 1, "{way:?}");
        assert_eq!(
            world.ca.count(Verb::Revoke),
            1 + usize::from(way == Some(Way::RequestLost))
        );
    }
}

#[tokio::test]
async fn a_revocation_under_way_is_known_under_another_name_without_the_store() {
    let mut world = World::new().await;
    let before = [world.named("www", BY_NAME, OLD)];
    world.run(&before, 60).await;
    world.by_hand(&before, revoke()).await.unwrap();
    world.run(&before, 0).await;
    world.store = World::new().await.store;
    let wanted = [world.named("web", BY_NAME, OLD)];
    world.run(&wanted, 60).await;
    let hold = world.row("web").await.progress.hold.unwrap();
    assert_eq!(hold.kind, HoldKind::Ended);
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn a_revocation_that_the_ca_refused_is_not_asked_for_after_the_store_was_lost() {
    let mut world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    world.by_hand(&wanted, revoke()).await.unwrap();
    let refusal = Way::Refused(Failure::Refused, "ask the support".to_owned());
    world.ca.next(Verb::Revoke, refusal);
    world.run(&wanted, 0).await;
    world.store = World::new().await.store;
    world.run(&wanted, 1_000).await;
    let progress = world.row("joe").await.progress;
    assert_eq!(progress.revocation, None);
    assert_eq!(progress.installed.unwrap().revoked_at, None);
    assert_eq!(world.ca.count(Verb::Revoke), 1);
}

/// It never arrived: also where a person orders a new one first.
#[tokio::test]
async fn a_revocation_that_was_asked_for_goes_on_under_another_name_without_the_store() {
    for is_again in [false, true] {
        let mut world = World::new().await;
        let before = [world.named("www", BY_NAME, OLD)];
        world.run(&before, 60).await;
        let serial = world.live("www").unwrap().facts.serial;
        world.by_hand(&before, revoke()).await.unwrap();
        world.ca.next(Verb::Revoke, Way::RequestLost);
        world.run(&before, 0).await;
        world.store = World::new().await.store;
        let wanted = [world.named("web", BY_NAME, OLD)];
        if is_again {
            world.want(&wanted).await;
            world.by_hand(&wanted, ByHand::Again).await.unwrap();
        }
        world.run(&wanted, 1_000).await;
        let progress = world.row("web").await.progress;
        assert_eq!(progress.revocation, None, "again: {is_again}");
        assert_eq!(world.ca.count(Verb::Revoke), 2, "again: {is_again}");
        let history = world.history("web").await;
        let revoked = format!("serial number {serial}, key-compromise");
        assert!(history.contains(&revoked), "{history:?}");
        assert!(world.at("www/0001/.revoked").exists());
        assert_eq!(world.ca.held().len(), 1 + usize::from(is_again));
        assert_eq!(progress.hold.is_some(), !is_again);
    }
}

/// Only a note beside each copy tells a store that does not know of it.
#[tokio::test]
async fn copies_are_marked_although_its_own_version_cannot_be_read() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let copy = world.at("old/0001");
    std::fs::create_dir_all(&copy).unwrap();
    std::fs::copy(world.at("joe/0001/cert.pem"), copy.join("cert.pem")).unwrap();
    std::fs::write(world.at("joe/0001/cert.pem"), "damaged").unwrap();
    world.by_hand(&wanted, revoke()).await.unwrap();
    world.run(&wanted, 60).await;
    let installed = world.row("joe").await.progress.installed.unwrap();
    assert!(installed.revoked_at.is_some());
    assert!(copy.join(".revoked").exists());
}
