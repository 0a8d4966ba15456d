//! A directory that several CA environments use: none puts its certificates in the place of those
//! of another.

use super::*;
use crate::issuance::progress::HoldKind;
use crate::store::endpoint_fact;

const PRODUCTION: &str = "ca.example";
const REHEARSAL: &str = "pre.ca.example";

impl World {
    async fn run_for(&self, host: &str, wanted: &[Certificate], order: Option<ByHand>) {
        self.want(wanted).await;
        let ca = Arc::clone(&self.ca) as Arc<dyn Issuing>;
        let mut issuer = self.issuer(ca, wanted.to_vec());
        issuer.options.hosts = BTreeMap::from([("memory".to_owned(), host.to_owned())]);
        if let Some(order) = order {
            issuer.by_hand("joe", order).await.unwrap().unwrap();
        }
        let over = CancellationToken::new();
        over.cancel();
        let deadline = self.clock.now() + SignedDuration::from_secs(60);
        issuer.run(deadline, &over).await.unwrap();
    }
}

#[tokio::test]
async fn a_rehearsal_in_the_directory_of_production_orders_and_switches_nothing() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run_for(PRODUCTION, &wanted, None).await;
    let live = world.live("joe").unwrap();
    let world = world.with_lost_store().await;
    for order in [None, Some(ByHand::Afresh), Some(ByHand::Again)] {
        world.run_for(REHEARSAL, &wanted, order).await;
        let hold = world.row("joe").await.progress.hold.unwrap();
        assert_eq!(hold.kind, HoldKind::Folder);
        assert!(hold.words.contains("CA at ca.example"), "{}", hold.words);
        assert!(hold.hint.unwrap().contains("directory"));
        assert_eq!(world.ca.held().len(), 1);
        assert_eq!(world.live("joe").unwrap(), live);
    }
}

#[tokio::test]
async fn an_order_that_comes_after_another_ca_installed_does_not_switch() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.becomes = OrderState::Working);
    world.run_for(REHEARSAL, &wanted, None).await;
    let rehearsal = Arc::clone(&world.store);
    let world = world.with_lost_store().await;
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.run_for(PRODUCTION, &wanted, None).await;
    let live = world.live("joe").unwrap();
    let world = World {
        store: rehearsal,
        ..world
    };
    world.run_for(REHEARSAL, &wanted, None).await;
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert!(hold.words.contains("CA at ca.example"), "{}", hold.words);
    assert_eq!(world.live("joe").unwrap(), live);
}

#[tokio::test]
async fn a_ca_that_the_configuration_had_before_is_no_other_one() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    let before = endpoint_fact("memory");
    world.store.set_fact(&before, PRODUCTION).await.unwrap();
    world.run_for(PRODUCTION, &wanted, None).await;
    // Another `ca` for the certificate, and the section of the one before is gone.
    world
        .run_for("other.example", &wanted, Some(ByHand::Again))
        .await;
    assert_eq!(world.ca.held().len(), 2);
    assert_eq!(world.live("joe").unwrap().version, 2);
    let owner = world.folder.path().join("certificates/joe/.ca");
    assert_eq!(std::fs::read_to_string(owner).unwrap(), "other.example\n");
}

#[tokio::test]
async fn a_run_notes_whose_certificate_an_older_program_installed() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let owner = world.folder.path().join("certificates/joe/.ca");
    assert!(!owner.exists());
    let calls = world.ca.calls().len();
    world.run_for(PRODUCTION, &wanted, None).await;
    assert_eq!(std::fs::read_to_string(owner).unwrap(), "ca.example\n");
    assert_eq!(world.ca.calls().len(), calls);
}

#[tokio::test]
async fn a_sandbox_takes_over_no_real_certificate() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let world = world.with_lost_store().await;
    world.run_for("127.0.0.1:8443", &wanted, None).await;
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert!(hold.words.contains("issued by"), "{}", hold.words);
    assert_eq!(world.ca.held().len(), 1);
}
