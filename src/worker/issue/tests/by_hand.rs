//! What a person orders: it does what it says, and never buys what was not asked for.

use super::*;
use crate::issuance::progress::HoldKind;

fn refusal() -> Way {
    Way::Refused(Failure::Refused, "the product is retired".to_owned())
}

#[tokio::test]
async fn a_fetch_that_cannot_be_done_leaves_what_is_held_as_it_was() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.next(Verb::Preflight, refusal());
    world.run(&wanted, 60).await;
    let before = world.row("joe").await.progress;
    assert_eq!(before.hold.as_ref().unwrap().kind, HoldKind::Refused);
    let why = world.by_hand(&wanted, ByHand::Fetch).await.unwrap_err();
    assert!(why.contains("nothing to fetch"), "{why}");
    assert_eq!(world.row("joe").await.progress, before);
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 0, "nothing was ordered");
    world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 1, "what is held is tried again");
}

#[tokio::test]
async fn an_order_that_has_ended_is_made_again_only_when_a_person_says_so() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.becomes = OrderState::Rejected);
    world.run(&wanted, 60).await;
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    world.run(&wanted, 60).await;
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert_eq!(hold.kind, HoldKind::Ended);
    assert!(hold.hint.unwrap().contains("--again"));
    assert_eq!(world.ca.held().len(), 1);
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 2);
    assert!(world.live("joe").is_some());
}

#[tokio::test]
async fn a_fetch_of_what_is_installed_orders_nothing_whatever_is_held_or_due() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let current = world.folder.path().join("certificates/joe/current");
    // The renewal was rejected.
    world.ca.change(|ca| ca.becomes = OrderState::Rejected);
    world.clock.advance(SignedDuration::from_hours(24 * 70));
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 2);
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    std::fs::remove_file(&current).unwrap();
    world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        assert!(world.live("joe").is_some());
        let hold = world.row("joe").await.progress.hold.unwrap();
        assert_eq!(hold.kind, HoldKind::Ended);
        assert_eq!(world.ca.held().len(), 2);
    }

    // Nothing is held, and the renewal is due: the fetch itself orders nothing.
    let world = World::new().await;
    world.run(&wanted, 60).await;
    world.clock.advance(SignedDuration::from_hours(24 * 70));
    world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
    let ca = Arc::clone(&world.ca) as Arc<dyn Issuing>;
    let issuer = world.issuer(ca, wanted.to_vec()).without_orders();
    let over = CancellationToken::new();
    over.cancel();
    let deadline = world.clock.now() + SignedDuration::from_secs(60);
    issuer.run(deadline, &over).await.unwrap();
    let kinds = world.kinds("joe").await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "installed").count(), 2);
    assert_eq!(world.ca.held().len(), 1);
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 2, "the next run renews it");
}

#[tokio::test]
async fn a_fetch_makes_a_new_version_beside_the_one_that_servers_read() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let folder = world.folder.path().join("certificates/joe");
    let before = std::fs::read(folder.join("0001/fullchain.pem")).unwrap();
    world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 2, "key and all");
    assert_eq!(
        std::fs::read(folder.join("0001/fullchain.pem")).unwrap(),
        before
    );
    assert_eq!(
        world.row("joe").await.progress.installed.unwrap().version,
        2
    );

    // What comes is wrong this time: what counts stays, and nothing is held or ordered.
    world.ca.change(|ca| ca.for_another_key = true);
    world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    let progress = world.row("joe").await.progress;
    assert_eq!((progress.order, progress.hold), (None, None));
    assert!(progress.trouble.unwrap().contains("another key"));
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn a_key_that_is_gone_before_its_certificate_comes_is_held() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.becomes = OrderState::Working);
    world.run(&wanted, 10).await;
    let folder = world.folder.path().join("certificates/joe");
    std::fs::remove_file(folder.join("0001/privkey.pem")).unwrap();
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.run(&wanted, 60).await;
    assert!(!folder.join("current").exists());
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert_eq!(hold.kind, HoldKind::Folder);
    assert!(hold.words.contains("privkey.pem is gone"), "{}", hold.words);
}

#[tokio::test]
async fn a_revoked_certificate_that_is_fetched_again_stays_revoked() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let revoke = ByHand::Revoke {
        reason: RevocationReason::KeyCompromise,
        requestor: "prevalidate".to_owned(),
    };
    world.by_hand(&wanted, revoke).await.unwrap();
    world.run(&wanted, 60).await;
    world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
    world.run(&wanted, 60).await;
    let installed = world.row("joe").await.progress.installed.unwrap();
    assert!(installed.revoked_at.is_some());
}

#[tokio::test]
async fn files_that_are_gone_order_nothing_and_are_fetched_again_on_request() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let current = world.folder.path().join("certificates/joe/current");
    std::fs::remove_file(&current).unwrap();
    let key = world
        .folder
        .path()
        .join("certificates/joe/0001/privkey.pem");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_none());
    assert_eq!(world.ca.held().len(), 1);
    std::fs::write(&key, kept).unwrap();
    let issuer = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, wanted.to_vec());
    issuer.by_hand("joe", ByHand::Fetch).await.unwrap().unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    assert_eq!(world.ca.held().len(), 1);
}
