//! A person has moved the folder of a certificate: while its order is open, and to a name that was used
//! before.

use super::renamed::{BY_NAME, NEW, OLD};
use super::*;

#[tokio::test]
async fn an_order_that_is_open_goes_on_where_its_folder_was_moved() {
    for way in [None, Some(Way::AnswerLost), Some(Way::RequestLost)] {
        let world = World::new().await;
        world.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
        if let Some(way) = way.clone() {
            world.ca.next(Verb::Submit, way);
        }
        world.run(&[world.named("www", BY_NAME, OLD)], 0).await;
        assert!(world.row("www").await.progress.order.is_some());
        std::fs::rename(world.at("www"), world.at("web")).unwrap();
        let wanted = [world.named("web", BY_NAME, OLD)];
        world.run(&wanted, 0).await;
        assert_eq!(world.row("web").await.progress.hold, None, "{way:?}");
        assert_eq!(world.row("www").await.progress.order, None, "{way:?}");
        world.ca.change(|ca| ca.becomes = OrderState::Issued);
        world.ca.decide(&OrderState::Issued);
        for _ in 0..2 {
            world.run(&wanted, 900).await;
            world.have(&wanted, 1).await;
        }
    }
}

#[tokio::test]
async fn a_renewal_that_is_open_goes_on_where_its_folder_was_moved() {
    for name in ["web", "mid"] {
        let world = World::new().await;
        let first = [world.named("www", BY_NAME, OLD)];
        world.run(&first, 60).await;
        world.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
        world.clock.advance(SignedDuration::from_hours(24 * 61));
        world.run(&first, 10).await;
        assert_eq!(world.ca.held().len(), 2);
        // To the new name, or to one that is not used.
        std::fs::rename(world.at("www"), world.at(name)).unwrap();
        let wanted = [world.named("web", BY_NAME, OLD)];
        world.run(&wanted, 10).await;
        world.ca.change(|ca| ca.becomes = OrderState::Issued);
        world.ca.decide(&OrderState::Issued);
        for _ in 0..2 {
            world.run(&wanted, 900).await;
            world.have(&wanted, 2).await;
        }
        assert_eq!(world.row("www").await.progress.order, None, "{name}");
    }
}

#[tokio::test]
async fn an_order_whose_certificate_lies_there_is_not_missed() {
    let world = World::new().await;
    world.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
    let first = [world.named("www", BY_NAME, OLD)];
    world.run(&first, 10).await;
    // Another store on the same directory has followed it to its end.
    let store = Arc::clone(&world.store);
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.ca.decide(&OrderState::Issued);
    let other = world.with_lost_store().await;
    other.run(&first, 900).await;
    assert!(other.live("www").is_some());
    let world = World { store, ..other };
    assert!(world.row("www").await.progress.order.is_some());
    std::fs::rename(world.at("www"), world.at("web")).unwrap();
    let wanted = [world.named("web", BY_NAME, OLD)];
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        world.have(&wanted, 1).await;
    }
    assert_eq!(world.row("www").await.progress.order, None);
}

#[tokio::test]
async fn folders_that_were_moved_to_names_of_before_are_taken_as_they_lie() {
    let world = World::new().await;
    let before = [
        world.named("a", BY_NAME, OLD),
        world.named("e", BY_NAME, NEW),
    ];
    world.run(&before, 60).await;
    std::fs::rename(world.at("e"), world.at("b")).unwrap();
    std::fs::rename(world.at("a"), world.at("e")).unwrap();
    let wanted = [
        world.named("e", BY_NAME, OLD),
        world.named("b", BY_NAME, NEW),
    ];
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        world.have(&wanted, 2).await;
        for one in &wanted {
            let name = std::slice::from_ref(one);
            assert_eq!(world.stands(name).await.live.fault(), None);
        }
    }
}
