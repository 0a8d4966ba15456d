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
            assert_eq!(world.live_state(name).await.live.fault(), None);
        }
    }
}

#[tokio::test]
async fn a_moved_folder_that_lacks_a_file_is_fetched_once_more_with_its_key() {
    for file in ["cert.pem", "chain.pem", "fullchain.pem", "current"] {
        // To the new name, or to one that is not in use; the old name may be used again.
        for (to, is_used_again) in [("web", false), ("mid", false), ("web", true), ("mid", true)] {
            let world = World::new().await;
            world.run(&[world.named("www", BY_NAME, OLD)], 60).await;
            let before = world.live("www").unwrap().facts;
            std::fs::rename(world.at("www"), world.at(to)).unwrap();
            let lost = match file {
                "current" => world.at(to).join(file),
                _ => world.at(to).join("0001").join(file),
            };
            std::fs::remove_file(lost).unwrap();
            let mut wanted = vec![world.named("web", BY_NAME, OLD)];
            if is_used_again {
                wanted.push(world.named("www", BY_NAME, NEW));
            }
            for _ in 0..2 {
                world.run(&wanted, 60).await;
                let hold = world.row("web").await.progress.hold;
                assert_eq!(hold, None, "{file}, {to}, {is_used_again}");
                assert_eq!(world.live("web").unwrap().facts, before, "{file}, {to}");
                world.have(&wanted, wanted.len()).await;
            }
        }
    }
}

#[tokio::test]
async fn a_moved_folder_that_cannot_be_fetched_is_named_where_it_lies_now() {
    for lost in ["privkey.pem", "chain.pem"] {
        for to in ["web", "mid"] {
            let world = World::new().await;
            world.run(&[world.named("www", BY_NAME, OLD)], 60).await;
            std::fs::rename(world.at("www"), world.at(to)).unwrap();
            let path = world.at(to).join("0001").join(lost);
            let kept = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            if lost == "chain.pem" {
                // Its order is not known.
                let lease = world.in_hand("www", 300).await;
                let mut progress = lease.row.progress.clone();
                progress.installed.as_mut().unwrap().reference.clear();
                let write = crate::store::orders::CertificateWrite {
                    fence: lease.fence,
                    progress,
                    due_at: None,
                    events: Vec::new(),
                    release: true,
                };
                world
                    .store
                    .orders()
                    .commit_certificate(&write)
                    .await
                    .unwrap();
            }
            let wanted = [world.named("web", BY_NAME, OLD)];
            for _ in 0..2 {
                world.run(&wanted, 60).await;
                let hold = world.row("web").await.progress.hold.expect(to);
                let place = world.at(to).display().to_string();
                let hint = hold.hint.unwrap();
                assert!(hint.contains(&place), "{lost}, {to}: {hint}");
                let old = world.at("www").display().to_string();
                assert!(!hint.contains(&old), "{lost}, {to}: {hint}");
                assert!(hold.words.contains(lost), "{lost}, {to}: {}", hold.words);
                assert_eq!(world.ca.held().len(), 1);
            }
            std::fs::write(&path, kept).unwrap();
            world.run(&wanted, 60).await;
            assert!(world.live("web").is_some(), "{lost}, {to}");
            assert_eq!(world.ca.held().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_moved_folder_without_a_key_of_ours_is_fetched_for_its_request() {
    let world = World::new().await;
    let by_request = |name: &str| Certificate {
        key: world.by_request("joe.csr").key,
        ..world.named(name, BY_NAME, "joe@example.ch")
    };
    world.run(&[by_request("www")], 60).await;
    assert_eq!(world.ca.held().len(), 1);
    std::fs::rename(world.at("www"), world.at("web")).unwrap();
    std::fs::remove_file(world.at("web/0001/chain.pem")).unwrap();
    let wanted = [by_request("web")];
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        let progress = world.row("web").await.progress;
        assert_eq!(progress.hold, None);
        assert!(progress.installed.is_some());
        assert!(world.at("web/current/chain.pem").exists());
        assert_eq!(world.ca.held().len(), 1);
    }
}
