//! A pair is in a folder that no section names, and nothing tells its order: the store is lost, and
//! so is the note beside it. It is held, and a person says whether it is the wanted one.

use super::renamed::{BY_NAME, NEW, OLD};
use super::*;
use crate::issuance::progress::HoldKind;

impl World {
    /// What was installed as www, with a store that knows nothing and without any note.
    async fn with_nothing_but_files(self) -> Self {
        self.run(&[self.named("www", BY_NAME, OLD)], 60).await;
        std::fs::remove_file(self.at("www/0001/.order")).unwrap();
        self.with_lost_store().await
    }
}

#[tokio::test]
async fn a_pair_without_its_note_under_another_name_is_held_and_taken_by_hand() {
    let world = World::new().await.with_nothing_but_files().await;
    let before = world.live("www").unwrap().facts;
    let wanted = [world.named("web", BY_NAME, OLD)];
    // Before the person was asked nothing is taken.
    world.want(&wanted).await;
    world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        let hold = world.row("web").await.progress.hold.unwrap();
        assert_eq!(hold.kind, HoldKind::Folder);
        let place = world.at("www").display().to_string();
        for part in [&place, &before.serial] {
            assert!(hold.words.contains(part), "{}", hold.words);
        }
        let hint = hold.hint.unwrap();
        for part in ["certificate issue web` ", "certificate issue web --again`"] {
            assert!(hint.contains(part), "{hint}");
        }
        assert_eq!(world.ca.held().len(), 1);
    }
    world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        assert_eq!(world.live("web").unwrap().facts, before);
        let progress = world.row("web").await.progress;
        assert_eq!((progress.hold, progress.order), (None, None));
        assert_eq!(world.ca.held().len(), 1);
    }
    assert!(world.live("www").is_some(), "servers may still read it");
    assert!(world.kinds("web").await.contains(&"taken-over".to_owned()));
    // It is renewed at its share.
    world.clock.advance(SignedDuration::from_hours(24 * 61));
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 2);
    assert_ne!(world.live("web").unwrap().facts, before);
}

#[tokio::test]
async fn another_one_is_ordered_in_the_place_of_an_unnoted_pair_by_hand_only() {
    let world = World::new().await.with_nothing_but_files().await;
    let wanted = [world.named("web", BY_NAME, OLD)];
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 1);
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 2);
    world.have(&wanted, 2).await;
}

#[tokio::test]
async fn an_unnoted_pair_that_is_not_what_is_wanted_holds_nothing() {
    for case in [
        "other names",
        "no key",
        "another kind of key",
        "ended",
        "revoked",
        "another section",
        "another CA",
        "for a sandbox",
    ] {
        let world = World::new().await.with_nothing_but_files().await;
        let mut one = world.named("web", BY_NAME, OLD);
        let mut others = Vec::new();
        let mut host = None;
        match case {
            "other names" => one = world.named("web", BY_NAME, NEW),
            "no key" => std::fs::remove_file(world.at("www/0001/privkey.pem")).unwrap(),
            "another kind of key" => one.key = KeySource::Made(KeyKind::EcdsaP384),
            "ended" => world.clock.advance(SignedDuration::from_hours(24 * 91)),
            "revoked" => std::fs::write(world.at("www/0001/.revoked"), "").unwrap(),
            "another section" => others.push(world.named("www", BY_NAME, OLD)),
            "another CA" => {
                std::fs::write(world.at("www/.ca"), "other.example.ch\n").unwrap();
                host = Some("ca.example.ch");
            }
            // What is there was not issued by one.
            _ => host = Some("127.0.0.1:1"),
        }
        let wanted = [vec![one], others].concat();
        world.want(&wanted).await;
        let mut issuer = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, wanted);
        let hosts = host.map(|host| ("memory".to_owned(), host.to_owned()));
        issuer.options.hosts.extend(hosts);
        let over = CancellationToken::new();
        over.cancel();
        let deadline = world.clock.now() + SignedDuration::from_secs(60);
        issuer.run(deadline, &over).await.unwrap();
        assert_eq!(world.row("web").await.progress.hold, None, "{case}");
        assert_eq!(world.ca.held().len(), 2, "{case}");
    }
}
