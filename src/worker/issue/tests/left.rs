//! Certificates that leave the configuration, or get another name there, while their order is open.

use super::*;
use crate::certificates::Folder;
use crate::issuance::progress::{HoldKind, Order};
use crate::store::orders::CertificateRow;

impl World {
    /// A certificate whose order is open.
    async fn with_open_order(&self) -> Certificate {
        let one = self.certificate("joe");
        self.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
        self.run(std::slice::from_ref(&one), 10).await;
        assert_eq!(self.ca.held().len(), 1);
        one
    }

    /// The state of a certificate, in words.
    async fn why(&self, issuer: &Issuer, name: &str) -> String {
        let row = self.row(name).await;
        let decision = issuer.decide(&row, false, self.clock.now()).await;
        decision.unwrap().why
    }

    /// The orders of which only the directory tells.
    async fn strays(&self, wanted: Vec<Certificate>) -> Vec<CertificateRow> {
        self.want(&wanted).await;
        let ca = Arc::clone(&self.ca) as Arc<dyn Issuing>;
        let issuer = self.issuer(ca, wanted);
        let rows = issuer.rows().await.unwrap();
        issuer.strays(&rows, self.clock.now()).await.unwrap()
    }
}

#[tokio::test]
async fn an_open_order_is_followed_although_nothing_wants_its_certificate() {
    let world = World::new().await;
    let one = world.with_open_order().await;
    let reads = world.ca.count(Verb::Read);
    let issuer = world.run(&[], 10).await;
    assert!(world.ca.count(Verb::Read) > reads, "each run reads it");
    let why = world.why(&issuer, "joe").await;
    for part in ["not in the configuration", "ord-000001"] {
        assert!(why.contains(part), "{why}");
    }

    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    let issuer = world.run(&[], 10).await;
    let why = world.why(&issuer, "joe").await;
    assert!(why.contains("has issued"), "{why}");
    let calls = world.ca.calls().len();
    world.run(&[], 60).await;
    assert_eq!(world.ca.calls().len(), calls, "it came to its end");
    // Named again, it is fetched and not ordered.
    world.run(&[one], 60).await;
    assert!(world.live("joe").is_some());
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_searched_for_although_nothing_wants_the_certificate() {
    let world = World::new().await;
    let one = world.certificate("joe");
    world
        .ca
        .change(|ca| ca.found_after = SignedDuration::from_secs(20));
    world.ca.next(Verb::Submit, Way::AnswerLost);
    world.run(std::slice::from_ref(&one), 1).await;
    world.run(&[], 60).await;
    let order = world.row("joe").await.progress.order.unwrap();
    assert_eq!(order.reference.as_deref(), Some("ord-000001"));

    // Where the CA does not have it, it is not made again.
    let world = World::new().await;
    world.ca.next(Verb::Submit, Way::RequestLost);
    world.run(std::slice::from_ref(&one), 1).await;
    world.run(&[], 120).await;
    assert!(world.kinds("joe").await.contains(&"not-found".to_owned()));
    assert_eq!(world.ca.count(Verb::Submit), 1);
}

#[tokio::test]
async fn an_order_that_the_ca_ended_meanwhile_is_held_when_it_is_named_again() {
    let world = World::new().await;
    let one = world.with_open_order().await;
    world.ca.change(|ca| ca.becomes = OrderState::Rejected);
    world.run(&[], 10).await;
    world.run(&[one], 10).await;
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert_eq!(hold.kind, HoldKind::Ended);
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn another_name_takes_the_open_order_over_with_its_key() {
    for is_answered in [true, false] {
        let world = World::new().await;
        if is_answered {
            world.with_open_order().await;
        } else {
            let one = world.certificate("joe");
            world.ca.next(Verb::Submit, Way::AnswerLost);
            world.run(&[one], 0).await;
        }
        let renamed = Certificate {
            subject: world.certificate("joe").subject,
            ..world.certificate("ann")
        };
        let wanted = [renamed];
        world.run(&wanted, 10).await;
        let kinds = world.kinds("ann").await;
        assert_eq!(kinds[0], "taken-over", "{kinds:?}");
        assert_eq!(world.row("joe").await.progress.order, None);
        world.ca.change(|ca| ca.becomes = OrderState::Issued);
        world.run(&wanted, 60).await;
        assert!(world.live("ann").is_some(), "the pair matches");
        assert_eq!(world.ca.held().len(), 1);
        assert_eq!(world.kinds("joe").await.last().unwrap(), "handed-over");
    }
}

#[tokio::test]
async fn another_name_orders_nothing_while_the_key_of_the_open_order_is_gone() {
    let world = World::new().await;
    world.with_open_order().await;
    let folder = world.folder.path().join("certificates/joe/0001");
    std::fs::remove_file(folder.join("privkey.pem")).unwrap();
    let wanted = [world.certificate("ann")];
    world.run(&wanted, 10).await;
    let hold = world.row("ann").await.progress.hold.unwrap();
    assert!(hold.words.contains("ord-000001"), "{}", hold.words);
    assert_eq!(world.ca.held().len(), 1);
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 10).await;
    assert_eq!(world.ca.held().len(), 2);
}

#[tokio::test]
async fn another_certificate_leaves_an_order_alone_that_is_not_for_the_same() {
    let world = World::new().await;
    world.with_open_order().await;
    let mut other = world.certificate("ann");
    other.wanted.print = "second".to_owned();
    world.run(&[other], 10).await;
    assert_eq!(world.ca.held().len(), 2);
    assert!(world.row("joe").await.progress.order.is_some());
}

/// The store was lost, and no section names it; or it went on under another name.
#[tokio::test]
async fn an_order_that_only_the_directory_knows_is_told() {
    let world = World::new().await;
    world.with_open_order().await;
    assert!(world.strays(Vec::new()).await.is_empty(), "the store knows");
    let world = world.with_lost_store().await;
    let strays = world.strays(Vec::new()).await;
    let names: Vec<_> = strays.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["joe"]);
    let order = strays[0].progress.order.as_ref().unwrap();
    assert_eq!((order.version, order.ca.as_str()), (1, "memory"));
    let joe = world.certificate("joe");
    let mut web = joe.clone();
    web.wanted.name = "web".to_owned();
    world.run(std::slice::from_ref(&web), 10).await;
    assert_eq!(world.ca.held().len(), 1);
    assert!(world.strays(vec![web]).await.is_empty(), "it went on");
    assert!(world.strays(vec![joe]).await.is_empty());
}

/// The store is an older copy: it has the row of a certificate, and not its last order.
#[tokio::test]
async fn an_order_that_is_newer_than_the_row_of_its_folder_is_told() {
    let world = World::new().await;
    world.run(&[world.certificate("joe")], 60).await;
    assert!(world.strays(Vec::new()).await.is_empty());
    let folder = Folder::at(&world.at(""), "joe", Access::default());
    let newer = Order {
        ca: "memory".to_owned(),
        tag: "of another store".to_owned(),
        version: 2,
        reference: Some("ord-000007".to_owned()),
        submitted_at: Some(world.clock.now()),
        ..Order::default()
    };
    let note = serde_json::to_string(&newer).unwrap();
    folder.note(2, &note).unwrap();
    let row = world.row("joe").await;
    let strays = world.strays(Vec::new()).await;
    assert_eq!(strays.len(), 1);
    assert_eq!(strays[0].progress.order, Some(newer));
    assert_eq!(strays[0].progress.installed, row.progress.installed);
}
