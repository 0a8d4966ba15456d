//! A store that was lost while an order was open: the order is searched for before another one is
//! made.

use super::*;

impl World {
    /// A certificate whose order is open when the store is lost.
    async fn with_lost_order(self) -> Self {
        let wanted = [self.certificate("joe")];
        self.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
        self.run(&wanted, 10).await;
        assert_eq!(self.ca.held().len(), 1);
        self.with_lost_store().await
    }

    fn forget_note(&self, version: &str) {
        std::fs::remove_file(self.at("joe").join(version).join(".order")).unwrap();
    }

    fn open_note(&self, version: &str) -> String {
        std::fs::read_to_string(self.at("joe").join(version).join(".order")).unwrap()
    }
}

#[tokio::test]
async fn an_order_that_the_lost_store_knew_is_found_by_its_tag_and_installed() {
    let world = World::new().await.with_lost_order().await;
    assert!(!world.open_note("0001").contains("PRIVATE"));
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 10).await;
    let order = world.row("joe").await.progress.order.unwrap();
    assert_eq!(order.reference.as_deref(), Some("ord-000001"));
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some(), "the pair matches");
    assert_eq!(world.ca.held().len(), 1);
    let kinds = world.kinds("joe").await;
    assert_eq!(kinds[..3], ["key", "lost", "found"], "{kinds:?}");
}

#[tokio::test]
async fn a_key_of_an_older_program_finds_its_order_by_the_key_alone() {
    let world = World::new().await.with_lost_order().await;
    world.forget_note("0001");
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some(), "the pair matches");
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn nothing_is_ordered_while_a_ca_does_not_tell_whether_it_has_the_order() {
    let world = World::new().await.with_lost_order().await;
    world.forget_note("0001");
    world.ca.change(|ca| ca.hides_keys = true);
    let wanted = [world.certificate("joe")];
    for _ in 0..2 {
        world.run(&wanted, 300).await;
        let progress = world.row("joe").await.progress;
        let trouble = progress.trouble.unwrap();
        for part in ["version 0001", "does not tell", "--at-ca", "joe --again"] {
            assert!(trouble.contains(part), "{trouble}");
        }
        assert_eq!(world.ca.held().len(), 1);
    }
    // A person who has checked the portal orders one.
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    assert_eq!(world.ca.held().len(), 2);
}

#[tokio::test]
async fn a_key_whose_order_never_reached_the_ca_is_left_and_one_is_ordered() {
    for is_noted in [true, false] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.ca.next(Verb::Submit, Way::RequestLost);
        world.run(&wanted, 0).await;
        let world = world.with_lost_store().await;
        if !is_noted {
            world.forget_note("0001");
        }
        world.run(&wanted, 5).await;
        assert_eq!(world.ca.held().len(), 0, "it is waited for first");
        world.run(&wanted, 600).await;
        assert_eq!(world.ca.held().len(), 1);
        assert_eq!(world.live("joe").unwrap().version, 2);
        assert!(world.kinds("joe").await.contains(&"not-found".to_owned()));
    }
}

#[tokio::test]
async fn a_key_that_was_never_submitted_is_searched_for_at_no_ca() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    let refused = Way::Refused(Failure::Unavailable, "later".to_owned());
    for _ in 0..3 {
        world.ca.next(Verb::Preflight, refused.clone());
    }
    world.run(&wanted, 600).await;
    assert_eq!(world.ca.held().len(), 0);
    world.ca.forgive();
    let world = world.with_lost_store().await;
    world.run(&wanted, 10).await;
    assert_eq!(world.ca.count(Verb::Find), 0);
    assert_eq!(world.live("joe").unwrap().version, 2);
}

#[tokio::test]
async fn a_renewal_under_way_when_the_store_was_lost_is_found_when_it_is_due() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    world.clock.advance(SignedDuration::from_hours(24 * 61));
    world.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
    world.run(&wanted, 10).await;
    let world = world.with_lost_store().await;
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    assert_eq!(world.ca.held().len(), 2, "no third one");
}

#[tokio::test]
async fn the_store_that_knows_an_ended_order_does_not_search_for_it() {
    let world = World::new().await;
    let mut one = world.certificate("joe");
    world.ca.change(|ca| ca.becomes = OrderState::Rejected);
    world.run(std::slice::from_ref(&one), 60).await;
    assert!(world.row("joe").await.progress.hold.is_some());
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    one.wanted.print = "second".to_owned();
    world.run(&[one], 60).await;
    assert_eq!(world.ca.count(Verb::Find), 0);
    assert_eq!(world.live("joe").unwrap().version, 2);
}
