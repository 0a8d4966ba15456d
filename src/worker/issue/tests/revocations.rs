//! A revocation that is under way: and where a read before it fails.

use super::*;

fn revoke() -> ByHand {
    ByHand::Revoke {
        reason: RevocationReason::KeyCompromise,
        requestor: "prevalidate".to_owned(),
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
