//! What is installed gets another name, or another spelling of its product: it is paid, and nothing is
//! ordered for it.

use super::*;
use crate::issuance::progress::HoldKind;

/// As the configuration makes it.
fn print(product: &str, names: &str) -> String {
    format!("memory\n{CLIENT}\n{product}\n{names}\necdsa-p256")
}

impl World {
    pub(super) fn named(&self, name: &str, product: &str, names: &str) -> Certificate {
        let mut one = self.certificate(name);
        one.wanted.print = print(product, names);
        one.product = product.to_owned();
        one.subject = Subject::Mailbox {
            email: names.to_owned(),
            first_name: None,
            last_name: None,
        };
        one
    }
}

pub(super) const OLD: &str = "joe@example.ch";
pub(super) const NEW: &str = "ann@example.ch";
pub(super) const BY_NAME: &str = "Memory SSL";
pub(super) const BY_KEY: &str = "pma-memory";

#[tokio::test]
async fn a_renamed_section_takes_over_what_is_installed_with_its_key() {
    let world = World::new().await;
    world.run(&[world.named("www", BY_NAME, OLD)], 60).await;
    let before = world.live("www").unwrap().facts;
    let out = world.folder.path().join("out");
    let mut web = world.named("web", BY_NAME, OLD);
    web.wanted.deploys = true;
    let script = format!("echo x >> {}", out.display());
    web.deploy = vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
    let wanted = [web];
    let calls = world.ca.calls().len();
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        assert_eq!(world.live("web").unwrap().facts, before);
        assert_eq!(world.ca.calls().len(), calls, "no CA is asked");
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "x\n");
    }
    let kinds = world.kinds("web").await;
    assert_eq!(kinds[..3], ["key", "taken-over", "installed"], "{kinds:?}");
    assert_eq!(world.kinds("www").await.last().unwrap(), "handed-over");
    assert!(
        world.live("www").is_some(),
        "servers may still read it there"
    );
    // It can be revoked and fetched, and is renewed at its share after the same order.
    world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
    world.run(&wanted, 60).await;
    world.clock.advance(SignedDuration::from_hours(24 * 61));
    world.run(&wanted, 60).await;
    let held = world.ca.held();
    assert_eq!(held.len(), 2);
    assert_eq!(
        held[1].intent.after.as_ref().unwrap().key.reference,
        "ord-000001"
    );
}

#[tokio::test]
async fn a_name_that_is_used_again_in_the_same_edit_orders_once() {
    let world = World::new().await;
    world.run(&[world.named("www", BY_NAME, OLD)], 60).await;
    let before = world.live("www").unwrap().facts;
    let wanted = [
        world.named("web", BY_NAME, OLD),
        world.named("www", BY_NAME, NEW),
    ];
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        assert_eq!(world.live("web").unwrap().facts, before);
        assert_eq!(world.live("www").unwrap().facts.emails, [NEW]);
        assert_eq!(world.ca.held().len(), 2);
    }

    // The same while the order is open.
    let world = World::new().await;
    world.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
    world.run(&[world.named("www", BY_NAME, OLD)], 10).await;
    world.run(&wanted, 10).await;
    assert_eq!(world.ca.held().len(), 2);
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.run(&wanted, 60).await;
    assert_eq!(world.live("web").unwrap().facts.emails, [OLD]);
    assert_eq!(world.live("www").unwrap().facts.emails, [NEW]);
    assert_eq!(world.ca.held().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_held_and_not_ordered() {
    let world = World::new().await;
    world.run(&[world.named("www", BY_NAME, OLD)], 60).await;
    let key = world.at("www/0001/privkey.pem");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let wanted = [world.named("web", BY_NAME, OLD)];
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        let hold = world.row("web").await.progress.hold.unwrap();
        assert_eq!(hold.kind, HoldKind::Folder);
        assert!(hold.words.contains("privkey.pem is gone"), "{}", hold.words);
        assert_eq!(world.ca.held().len(), 1);
    }
    std::fs::write(&key, kept).unwrap();
    world.run(&wanted, 60).await;
    assert!(world.live("web").is_some());
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn another_certificate_takes_nothing_over_that_is_revoked_or_ended_or_wanted() {
    for case in ["revoked", "ended", "wanted", "other names"] {
        let world = World::new().await;
        let first = [world.named("www", BY_NAME, OLD)];
        world.run(&first, 60).await;
        let mut wanted = vec![world.named("web", BY_NAME, OLD)];
        match case {
            "revoked" => {
                let order = ByHand::Revoke {
                    reason: RevocationReason::Superseded,
                    requestor: "prevalidate".to_owned(),
                };
                world.by_hand(&first, order).await.unwrap();
                world.run(&first, 60).await;
            }
            "ended" => world.clock.advance(SignedDuration::from_hours(24 * 91)),
            "wanted" => wanted.extend(first),
            _ => wanted = vec![world.named("web", BY_NAME, NEW)],
        }
        world.run(&wanted, 60).await;
        if case == "revoked" {
            // A person decides on the next one.
            assert_eq!(world.ca.held().len(), 1, "{case}");
            world.by_hand(&wanted, ByHand::Again).await.unwrap();
            world.run(&wanted, 60).await;
        }
        assert_eq!(world.ca.held().len(), 2, "{case}");
    }
}

#[tokio::test]
async fn another_spelling_of_the_product_orders_nothing() {
    let world = World::new().await;
    for (at, product) in [BY_NAME, BY_KEY, "memory ssl", BY_NAME]
        .into_iter()
        .enumerate()
    {
        // The CA takes any letters.
        world.ca.change(|ca| ca.takes_any_letters = true);
        let wanted = [world.named("www", product, OLD)];
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            assert_eq!(world.ca.held().len(), 1, "{product}");
            assert_eq!(world.live("www").unwrap().version, 1);
        }
        let kinds = world.kinds("www").await;
        let respelled = kinds.iter().filter(|kind| *kind == "respelled");
        assert_eq!(respelled.count(), at, "{product}");
    }
    assert!(!world.at("www/0002").exists());

    // Renamed in the same edit.
    world.run(&[world.named("web", BY_KEY, OLD)], 60).await;
    assert!(world.live("web").is_some());
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn an_open_order_in_another_spelling_is_taken_over_by_the_new_name() {
    for at_once in [false, true] {
        let world = World::new().await;
        world.ca.change(|ca| {
            ca.takes_any_letters = true;
            ca.becomes = OrderState::AwaitsPerson;
        });
        world.run(&[world.named("www", BY_NAME, OLD)], 60).await;
        if !at_once {
            world.run(&[world.named("www", BY_KEY, OLD)], 60).await;
        }
        world.run(&[world.named("web", BY_KEY, OLD)], 60).await;
        assert_eq!(world.ca.held().len(), 1, "at once: {at_once}");
        world.ca.change(|ca| ca.becomes = OrderState::Issued);
        world.ca.decide(&OrderState::Issued);
        world.run(&[world.named("web", BY_KEY, OLD)], 600).await;
        assert!(world.live("web").is_some(), "at once: {at_once}");
        assert_eq!(world.ca.held().len(), 1, "at once: {at_once}");
    }
}

#[tokio::test]
async fn a_moved_folder_brings_its_order_with_it() {
    let world = World::new().await;
    world.run(&[world.named("www", BY_NAME, OLD)], 60).await;
    std::fs::rename(world.at("www"), world.at("web")).unwrap();
    world.run(&[world.named("web", BY_NAME, OLD)], 60).await;
    let installed = world.row("web").await.progress.installed.unwrap();
    assert_eq!(installed.reference, "ord-000001");
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn a_duplicate_that_becomes_its_own_certificate_is_ordered_at_its_renewal() {
    let world = World::new().await;
    let first = world.named("www", BY_NAME, OLD);
    let mut second = world.named("two", BY_NAME, OLD);
    let own = second.wanted.print.clone();
    second.wanted.print = crate::issuance::wanted::as_duplicate(&own, "www");
    world.run(&[first.clone(), second.clone()], 60).await;
    assert!(world.live("two").is_some());
    let orders = world.ca.held().len();
    second.wanted.print = own;
    let wanted = [first, second];
    let issuer = world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), orders, "it is valid");
    let row = world.row("two").await;
    let why = issuer.decide(&row, false, world.clock.now()).await.unwrap();
    assert!(why.why.contains("it is a duplicate of www"), "{}", why.why);
    world.clock.advance(SignedDuration::from_hours(24 * 61));
    world.run(&wanted, 60).await;
    let held = world.ca.held();
    assert_eq!(held.len(), orders + 2);
    let follows = |one: &&crate::ca::in_memory::Held| one.intent.after.is_some();
    assert_eq!(held[orders..].iter().filter(follows).count(), 1, "only www");
}

#[tokio::test]
async fn a_damaged_pair_under_the_name_of_before_is_fetched_for_the_new_name() {
    for product in [BY_NAME, BY_KEY] {
        let world = World::new().await;
        world.run(&[world.named("www", BY_NAME, OLD)], 60).await;
        let before = world.live("www").unwrap().facts;
        std::fs::write(world.at("www/0001/fullchain.pem"), "").unwrap();
        let wanted = [world.named("web", product, OLD)];
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            let hold = world.row("web").await.progress.hold.unwrap();
            assert!(
                hold.words.contains("fullchain.pem is empty"),
                "{}",
                hold.words
            );
            let hint = hold.hint.unwrap();
            assert!(hint.contains("certificate fetch web`"), "{hint}");
        }
        world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            assert_eq!(world.live("web").unwrap().facts, before);
            world.have(&wanted, 1).await;
        }
        assert_eq!(world.ca.count(Verb::Submit), 1);
    }
}

#[tokio::test]
async fn a_fetch_for_a_new_name_that_fails_orders_nothing() {
    let world = World::new().await;
    world.run(&[world.named("www", BY_NAME, OLD)], 60).await;
    std::fs::write(world.at("www/0001/fullchain.pem"), "").unwrap();
    let wanted = [world.named("web", BY_NAME, OLD)];
    world.run(&wanted, 60).await;
    world.ca.change(|ca| ca.for_another_key = true);
    world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        assert!(world.row("web").await.progress.hold.is_some());
        assert_eq!(world.ca.count(Verb::Submit), 1);
    }
    world.ca.change(|ca| ca.for_another_key = false);
    world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
    world.run(&wanted, 60).await;
    world.have(&wanted, 1).await;
}

#[tokio::test]
async fn what_has_no_key_under_the_name_of_before_is_not_fetched() {
    let world = World::new().await;
    world.run(&[world.named("www", BY_NAME, OLD)], 60).await;
    std::fs::remove_file(world.at("www/0001/privkey.pem")).unwrap();
    let wanted = [world.named("web", BY_NAME, OLD)];
    world.run(&wanted, 60).await;
    let held = world.row("web").await.progress;
    let hint = held.hold.as_ref().unwrap().hint.clone().unwrap();
    assert!(!hint.contains("certificate fetch"), "{hint}");
    let why = world.by_hand(&wanted, ByHand::Fetch).await.unwrap_err();
    assert!(why.contains("is in no version of"), "{why}");
    assert_eq!(world.row("web").await.progress, held);
}
