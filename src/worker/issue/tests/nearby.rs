//! The wanted certificate is in the directory, under another name or in an older version. It is
//! paid, so nothing is ordered.

use super::renamed::{BY_KEY, BY_NAME, NEW, OLD};
use super::*;

impl World {
    /// The store forgets nothing, and the versions keep nothing of what is installed: an older program
    /// installed it.
    fn forget_notes(&self) {
        let directory = self.folder.path().join("certificates");
        for name in Folder::all_in(&directory) {
            for version in ["0001", "0002", "0003"] {
                let _ = std::fs::remove_file(directory.join(&name).join(version).join(".order"));
            }
        }
    }

    /// That these names have their own certificates, and so many were ordered.
    pub(super) async fn have(&self, wanted: &[Certificate], orders: usize) {
        for one in wanted {
            let name = &one.wanted.name;
            let facts = self.live(name).unwrap().facts;
            assert_eq!(facts.emails, one.names(), "{name}");
            let progress = self.row(name).await.progress;
            assert_eq!((progress.hold, progress.order), (None, None), "{name}");
            let installed = progress.installed.unwrap();
            assert_eq!(installed.serial, facts.serial, "{name}");
            assert!(!installed.reference.is_empty(), "{name}");
        }
        assert_eq!(self.ca.held().len(), orders);
    }
}

#[tokio::test]
async fn a_second_rename_after_a_folder_was_moved_takes_the_newest_that_is_whole() {
    // The names before and after the one that is there, by the alphabet.
    for (old, new) in [("www", "abc"), ("abc", "www")] {
        let world = World::new().await;
        world.run(&[world.named(old, BY_NAME, OLD)], 60).await;
        std::fs::rename(world.at(old), world.at("mid")).unwrap();
        world.run(&[world.named("mid", BY_NAME, OLD)], 60).await;
        let wanted = [world.named(new, BY_NAME, OLD)];
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            world.have(&wanted, 1).await;
        }
    }
}

#[tokio::test]
async fn names_that_are_exchanged_or_moved_on_by_one_order_nothing() {
    for is_old in [false, true] {
        let world = World::new().await;
        let before = [
            world.named("a", BY_NAME, OLD),
            world.named("b", BY_NAME, NEW),
        ];
        world.run(&before, 60).await;
        if is_old {
            world.forget_notes();
            world.run(&before, 60).await;
        }
        let exchanged = [
            world.named("a", BY_NAME, NEW),
            world.named("b", BY_NAME, OLD),
        ];
        let moved = [
            world.named("b", BY_NAME, NEW),
            world.named("c", BY_NAME, OLD),
        ];
        for wanted in [exchanged, before, moved] {
            for _ in 0..2 {
                world.run(&wanted, 60).await;
                world.have(&wanted, 2).await;
            }
        }
    }
}

#[tokio::test]
async fn names_that_are_moved_on_while_the_orders_are_open_order_nothing() {
    let world = World::new().await;
    world.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
    let before = [
        world.named("a", BY_NAME, OLD),
        world.named("b", BY_NAME, NEW),
    ];
    world.run(&before, 10).await;
    let wanted = [
        world.named("b", BY_NAME, OLD),
        world.named("c", BY_NAME, NEW),
    ];
    world.run(&wanted, 10).await;
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.ca.decide(&OrderState::Issued);
    for _ in 0..2 {
        world.run(&wanted, 600).await;
        world.have(&wanted, 2).await;
    }
}

#[tokio::test]
async fn a_store_that_is_lost_together_with_a_name_orders_nothing() {
    for (is_open, product) in [
        (false, BY_NAME),
        (true, BY_NAME),
        (false, BY_KEY),
        (true, BY_KEY),
    ] {
        let world = World::new().await;
        if is_open {
            world.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
        }
        world.run(&[world.named("www", BY_NAME, OLD)], 10).await;
        assert_eq!(world.ca.held().len(), 1);
        let world = world.with_lost_store().await;
        world.ca.change(|ca| ca.becomes = OrderState::Issued);
        world.ca.decide(&OrderState::Issued);
        let wanted = [world.named("web", product, OLD)];
        for _ in 0..2 {
            world.run(&wanted, 600).await;
            world.have(&wanted, 1).await;
        }
    }
}

#[tokio::test]
async fn an_unknown_order_under_another_name_is_searched_for_once() {
    let world = World::new().await;
    world.ca.next(Verb::Submit, Way::RequestLost);
    world.run(&[world.named("www", BY_NAME, OLD)], 0).await;
    let world = world.with_lost_store().await;
    let wanted = [world.named("web", BY_NAME, OLD)];
    for _ in 0..2 {
        world.run(&wanted, 600).await;
        world.have(&wanted, 1).await;
    }
    let kinds = world.kinds("web").await;
    let lost = kinds.iter().filter(|kind| *kind == "lost");
    assert_eq!(lost.count(), 1, "{kinds:?}");
}

#[tokio::test]
async fn names_that_are_changed_and_changed_back_take_the_old_pair() {
    let world = World::new().await;
    let first = [world.named("www", BY_NAME, OLD)];
    world.run(&first, 60).await;
    let pair = world.live("www").unwrap().facts;
    world.run(&[world.named("www", BY_NAME, NEW)], 60).await;
    for _ in 0..2 {
        world.run(&first, 60).await;
        assert_eq!(world.live("www").unwrap().facts, pair);
        world.have(&first, 2).await;
    }
    // A person gets a new one.
    world.by_hand(&first, ByHand::Again).await.unwrap();
    world.run(&first, 60).await;
    world.have(&first, 3).await;
    assert_ne!(world.live("www").unwrap().facts, pair);
}

#[tokio::test]
async fn what_is_revoked_or_of_another_ca_or_has_no_key_is_not_taken() {
    for case in ["revoked", "another CA", "no key", "another section"] {
        let world = World::new().await;
        let first = [world.named("www", BY_NAME, OLD)];
        world.run(&first, 60).await;
        if case == "revoked" {
            let order = ByHand::Revoke {
                reason: RevocationReason::KeyCompromise,
                requestor: "prevalidate".to_owned(),
            };
            world.by_hand(&first, order).await.unwrap();
            world.run(&first, 60).await;
        }
        let world = world.with_lost_store().await;
        let mut wanted = vec![world.named("web", BY_NAME, OLD)];
        match case {
            "another CA" => std::fs::write(
                world.at("www/0001/.order"),
                std::fs::read_to_string(world.at("www/0001/.order"))
                    .unwrap()
                    .replace("\"ca\":\"memory\"", "\"ca\":\"other\""),
            )
            .unwrap(),
            "no key" => std::fs::remove_file(world.at("www/0001/privkey.pem")).unwrap(),
            "another section" => wanted.extend(first),
            _ => {}
        }
        world.run(&wanted, 60).await;
        if case == "revoked" {
            // A person decides on the next one.
            assert_eq!(world.ca.held().len(), 1, "{case}");
            world.by_hand(&wanted, ByHand::Again).await.unwrap();
            world.run(&wanted, 60).await;
        }
        world.have(&wanted[..1], 2).await;
    }
}

#[tokio::test]
async fn a_duplicate_that_is_taken_out_and_spelled_otherwise_at_once_orders_nothing() {
    let world = World::new().await;
    let first = world.named("www", BY_NAME, OLD);
    let mut second = world.named("two", BY_NAME, OLD);
    let own = second.wanted.print.clone();
    second.wanted.print = crate::issuance::wanted::as_duplicate(&own, "www");
    world.run(&[first.clone(), second], 60).await;
    let orders = world.ca.held().len();
    let wanted = [first, world.named("two", BY_KEY, OLD)];
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        world.have(&wanted, orders).await;
    }
    let row = world.row("two").await;
    let issuer = world.run(&wanted, 0).await;
    let why = issuer.decide(&row, false, world.clock.now()).await.unwrap();
    assert!(why.why.contains("it is a duplicate of www"), "{}", why.why);
}

#[tokio::test]
async fn a_damaged_pair_under_another_name_is_fetched_after_the_store_was_lost() {
    for (file, product) in [
        ("fullchain.pem", BY_NAME),
        ("cert.pem", BY_NAME),
        ("chain.pem", BY_KEY),
    ] {
        for is_copied in [false, true] {
            let world = World::new().await;
            world.run(&[world.named("old", BY_NAME, OLD)], 60).await;
            let mut damaged = "old";
            if is_copied {
                world.run(&[world.named("www", BY_NAME, OLD)], 60).await;
                std::fs::remove_dir_all(world.at("old")).unwrap();
                damaged = "www";
            }
            let facts = world.live(damaged).unwrap().facts;
            std::fs::write(world.at(&format!("{damaged}/0001/{file}")), "").unwrap();
            let world = world.with_lost_store().await;
            let wanted = [world.named("web", product, OLD)];
            for _ in 0..2 {
                world.run(&wanted, 600).await;
                world.have(&wanted, 1).await;
                assert_eq!(world.live("web").unwrap().facts, facts);
            }
            assert_eq!(world.ca.count(Verb::Submit), 1, "{file}, {is_copied}");
        }
    }
}
