//! What is wrong on this machine: the next run sees whether it was repaired, and a wrong clock
//! judges nothing.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::issuance::progress::HoldKind;

impl World {
    fn open_to_others(&self, is_open: bool) {
        let directory = self.folder.path().join("certificates");
        let mode = if is_open { 0o777 } else { 0o711 };
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[tokio::test]
async fn a_folder_that_was_mended_goes_on_with_the_next_run_and_the_same_order() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.becomes = OrderState::Working);
    world.run(&wanted, 10).await;
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    let key = world
        .folder
        .path()
        .join("certificates/joe/0001/privkey.pem");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    world.run(&wanted, 60).await;
    let first = world.row("joe").await.progress.hold.unwrap();
    assert_eq!(first.kind, HoldKind::Folder);
    world.clock.advance(SignedDuration::from_hours(24));
    world.run(&wanted, 60).await;
    let again = world.row("joe").await.progress.hold.unwrap();
    assert_eq!(again, first, "held since the same moment");
    let kinds = world.kinds("joe").await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "held").count(), 1);
    std::fs::write(&key, kept).unwrap();
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some());
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn a_directory_and_a_request_that_were_mended_are_ordered_for_by_the_next_run() {
    let world = World::new().await;
    let path = world.folder.path().join("own.csr");
    let own = Certificate {
        key: KeySource::Request(path.clone()),
        ..world.certificate("own")
    };
    let wanted = [own, world.certificate("joe")];
    std::fs::create_dir(world.folder.path().join("certificates")).unwrap();
    world.open_to_others(true);
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 0);
    world.open_to_others(false);
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some());
    assert_eq!(world.ca.held().len(), 1);
    assert_eq!(
        world.row("own").await.progress.hold.unwrap().kind,
        HoldKind::Key
    );
    let key = crate::certificates::PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let csr = key.request(&wanted[0].request_content()).unwrap();
    std::fs::write(&path, csr.pem()).unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 2);
    assert_eq!(world.row("own").await.progress.hold, None);
}

#[tokio::test]
async fn what_a_ca_refused_is_not_tried_again_by_a_run() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    let words = "the product is retired".to_owned();
    let way = Way::Refused(Failure::Refused, words);
    world.ca.next(Verb::Preflight, way);
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        assert_eq!(world.ca.count(Verb::Preflight), 1);
    }
}

#[tokio::test]
async fn a_wrong_clock_holds_no_certificate_for_its_dates() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.becomes = OrderState::Working);
    world.run(&wanted, 10).await;
    world.ca.change(|ca| {
        ca.becomes = OrderState::Issued;
        // The CA's clock, by which it issues, is a year ahead of ours.
        ca.backdated = SignedDuration::from_hours(-24 * 365);
        ca.clock_ahead = SignedDuration::from_hours(-24 * 365);
    });
    world.run(&wanted, 60).await;
    let progress = world.row("joe").await.progress;
    assert_eq!(progress.hold, None);
    assert!(progress.trouble.unwrap().contains("clock"));
    world.clock.advance(SignedDuration::from_hours(24 * 365));
    world.ca.change(|ca| ca.clock_ahead = SignedDuration::ZERO);
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some());
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn a_hold_of_a_clock_that_was_ahead_ends_with_it() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.becomes = OrderState::Working);
    world.run(&wanted, 10).await;
    let now = world.clock.now();
    world.ca.change(|ca| {
        ca.becomes = OrderState::Issued;
        ca.life = SignedDuration::from_hours(24);
        ca.leaves_out = None;
    });
    // Issued by the right clock, and fetched by one that is ahead; the CA's answers tell no time.
    let ca = Arc::clone(&world.ca) as Arc<dyn Issuing>;
    let key = crate::ca::issuing::OrderKey::new("ord-000001");
    ca.read(&key).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(48));
    world.run(&wanted, 60).await;
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert_eq!(hold.kind, HoldKind::Check);
    world.clock.set(now);
    world.run(&wanted, 60).await;
    assert_eq!(world.row("joe").await.progress.hold, None);
    assert!(world.live("joe").is_some());
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn a_revocation_ends_although_the_deploy_program_fails_or_an_order_waits() {
    for waits in [false, true] {
        let world = World::new().await;
        let mut one = world.certificate("joe");
        one.wanted.deploys = true;
        one.deploy = ["/bin/sh", "-c", "exit 7"].map(str::to_owned).to_vec();
        let wanted = [one];
        world.run(&wanted, 60).await;
        if waits {
            world.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
            world.clock.advance(SignedDuration::from_hours(24 * 61));
            world.run(&wanted, 10).await;
            assert_eq!(world.ca.held().len(), 2);
        }
        let failed =
            |kinds: Vec<String>| kinds.iter().filter(|one| *one == "deploy-failed").count();
        let before = failed(world.kinds("joe").await);
        let ca = Arc::clone(&world.ca) as Arc<dyn Issuing>;
        let issuer = world.issuer(ca, wanted.to_vec()).only_revoking();
        let order = ByHand::Revoke {
            reason: RevocationReason::Superseded,
            requestor: "prevalidate".to_owned(),
        };
        issuer.by_hand("joe", order).await.unwrap().unwrap();
        let over = CancellationToken::new();
        over.cancel();
        let (begin, hour) = (world.clock.now(), SignedDuration::from_hours(1));
        issuer.run(begin + hour, &over).await.unwrap();
        let progress = world.row("joe").await.progress;
        assert!(progress.installed.unwrap().revoked_at.is_some(), "{waits}");
        let took = world.clock.now().duration_since(begin);
        assert!(took < SignedDuration::from_secs(30), "{waits}: {took}");
        assert_eq!(failed(world.kinds("joe").await), before, "{waits}");
        assert!(
            progress.deployment.is_some(),
            "it is tried again by the next run"
        );
    }
}

#[tokio::test]
async fn a_run_soon_after_a_failed_one_waits_for_the_step_that_is_due() {
    for verb in [Verb::Preflight, Verb::Read, Verb::Fetch] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world
            .ca
            .change(|ca| ca.works_for = SignedDuration::from_secs(1));
        for _ in 0..3 {
            let words = "maintenance".to_owned();
            world
                .ca
                .next(verb, Way::Refused(Failure::Unavailable, words));
        }
        world.run(&wanted, 600).await;
        assert!(world.row("joe").await.progress.trouble.is_some());
        let begun = world.clock.now();
        world.run(&wanted, 250).await;
        assert!(world.live("joe").is_some(), "{verb:?}");
        let took = world.clock.now().duration_since(begun);
        assert!(took < SignedDuration::from_secs(60), "{verb:?}: {took}");
        assert_eq!(world.row("joe").await.progress.trouble, None);
    }
}
