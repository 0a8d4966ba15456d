//! The directory after the loss of the store: a certificate that is there is not ordered, and no
//! file is overwritten.

use super::*;
use crate::issuance::progress::HoldKind;

const CSR: (&str, &str) = ("own.csr", "other.csr");

impl World {
    /// The same world with a store that knows nothing.
    pub(super) async fn with_lost_store(self) -> Self {
        let other = Self::new().await;
        Self {
            store: other.store,
            ..self
        }
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join("certificates/joe").join(file)
    }

    /// A certificate whose key is elsewhere.
    pub(super) fn by_request(&self, file: &str) -> Certificate {
        let path = self.folder.path().join(file);
        if !path.exists() {
            let key = crate::certificates::PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
            let csr = key
                .request(&self.certificate("joe").request_content())
                .unwrap();
            std::fs::write(&path, csr.pem()).unwrap();
        }
        Certificate {
            key: KeySource::Request(path),
            ..self.certificate("joe")
        }
    }

    async fn is_held_with(&self, words: &str) {
        let hold = self.row("joe").await.progress.hold.unwrap();
        assert_eq!(hold.kind, HoldKind::Folder);
        assert!(hold.words.contains(words), "{}", hold.words);
        assert!(hold.hint.unwrap().contains("issue joe --again"));
    }
}

#[tokio::test]
async fn a_lost_store_orders_nothing_that_lies_in_the_directory() {
    for is_noted in [true, false] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        let live = world.live("joe").unwrap();
        if !is_noted {
            // An older program installed it.
            std::fs::remove_file(world.path("0001/.order")).unwrap();
        }
        let world = world.with_lost_store().await;
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            assert_eq!(world.ca.held().len(), 1);
            assert_eq!(world.kinds("joe").await, ["adopted"]);
        }
        let installed = world.row("joe").await.progress.installed.unwrap();
        assert_eq!(installed.serial, live.facts.serial);
        assert_eq!(world.live("joe").unwrap(), live);

        // It is renewed at its share; where its order is not known, that is the predecessor of none.
        world.clock.advance(SignedDuration::from_hours(24 * 61));
        world.run(&wanted, 60).await;
        let held = world.ca.held();
        assert_eq!(
            (held.len(), held[1].intent.after.is_some()),
            (2, is_noted),
            "{held:?}"
        );
        assert_eq!(world.live("joe").unwrap().version, 2);
    }
}

#[tokio::test]
async fn what_has_ended_in_the_directory_is_ordered_anew() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    world.clock.advance(SignedDuration::from_hours(24 * 91));
    let world = world.with_lost_store().await;
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 2);
    assert_eq!(world.live("joe").unwrap().version, 2);
}

#[tokio::test]
async fn what_does_not_fit_in_the_directory_is_held_and_written_over_by_hand_only() {
    for words in [
        "lacks the name",
        "privkey.pem is gone",
        "cert.pem",
        "is for another key",
        "is not a link",
        "the chain is not whole",
    ] {
        let world = World::new().await;
        let mut one = world.certificate("joe");
        world.run(std::slice::from_ref(&one), 60).await;
        let key = crate::certificates::PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let other = secrecy::ExposeSecret::expose_secret(&key.pem()).to_owned();
        match words {
            "lacks the name" => {
                one.subject = Subject::Mailbox {
                    email: "ann@example.ch".to_owned(),
                    first_name: None,
                    last_name: None,
                };
            }
            "privkey.pem is gone" => std::fs::remove_file(world.path("0001/privkey.pem")).unwrap(),
            "cert.pem" => std::fs::write(world.path("0001/cert.pem"), "x").unwrap(),
            "is for another key" => {
                std::fs::write(world.path("0001/privkey.pem"), other).unwrap();
            }
            "is not a link" => {
                std::fs::remove_file(world.path("current")).unwrap();
                std::fs::create_dir(world.path("current")).unwrap();
            }
            _ => std::fs::write(world.path("0001/chain.pem"), "").unwrap(),
        }
        let wanted = [one];
        let world = world.with_lost_store().await;
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            world.is_held_with(words).await;
            assert_eq!(world.ca.held().len(), 1, "{words}");
        }
        if words == "is not a link" {
            std::fs::remove_dir(world.path("current")).unwrap();
        }
        world.by_hand(&wanted, ByHand::Again).await.unwrap();
        world.run(&wanted, 60).await;
        assert_eq!(world.ca.held().len(), 2, "{words}");
        assert!(world.path("0002/cert.pem").exists(), "{words}");
    }
}

#[tokio::test]
async fn a_request_finds_the_certificate_for_its_own_key_and_no_other() {
    let world = World::new().await;
    let wanted = [world.by_request(CSR.0)];
    world.run(&wanted, 60).await;
    let world = world.with_lost_store().await;
    world.run(&wanted, 60).await;
    assert_eq!(world.kinds("joe").await, ["adopted"]);
    assert_eq!(
        world.row("joe").await.progress.installed.unwrap().has_key,
        Some(false)
    );
    let world = world.with_lost_store().await;
    let other = [world.by_request(CSR.1)];
    world.run(&other, 60).await;
    world.is_held_with("another key").await;
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn what_was_taken_over_is_revoked_by_its_serial_number_and_not_fetched() {
    for is_listed in [true, false] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        // An older program installed it.
        std::fs::remove_file(world.path("0001/.order")).unwrap();
        let mut world = world.with_lost_store().await;
        world.run(&wanted, 60).await;
        let why = world.by_hand(&wanted, ByHand::Fetch).await.unwrap_err();
        assert!(why.contains("taken over"), "{why}");
        if !is_listed {
            let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
            world.ca = Arc::new(InMemory::new(clock).unwrap());
        }
        let revoke = ByHand::Revoke {
            reason: RevocationReason::KeyCompromise,
            requestor: "prevalidate".to_owned(),
        };
        world.by_hand(&wanted, revoke).await.unwrap();
        world.run(&wanted, 60).await;
        let progress = world.row("joe").await.progress;
        let refused = progress.refused_revocation(world.clock.now());
        let refused = refused.map(|refused| refused.words.clone());
        let installed = progress.installed.unwrap();
        assert_eq!(installed.revoked_at.is_some(), is_listed);
        assert_eq!(!installed.reference.is_empty(), is_listed);
        assert_eq!(
            refused.is_some_and(|words| words.contains("lists no order")),
            !is_listed
        );
    }
}

#[tokio::test]
async fn a_pair_whose_full_chain_is_gone_or_another_one_is_held() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let path = world.path("current/fullchain.pem");
    let whole = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let world = world.with_lost_store().await;
    world.run(&wanted, 60).await;
    world.is_held_with("fullchain.pem is not there").await;
    std::fs::copy(world.path("current/chain.pem"), &path).unwrap();
    world.run(&wanted, 60).await;
    world
        .is_held_with("is not the certificate with its chain")
        .await;
    std::fs::write(&path, whole).unwrap();
    world.run(&wanted, 60).await;
    assert!(world.row("joe").await.progress.installed.is_some());
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn what_its_version_tells_the_order_of_is_fetched_after_the_store_was_lost() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let world = world.with_lost_store().await;
    world.run(&wanted, 60).await;
    world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    std::fs::write(world.path("current/fullchain.pem"), "").unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 3);
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn a_revoked_certificate_is_known_as_revoked_after_the_store_was_lost() {
    for is_old in [false, true] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        let order = ByHand::Revoke {
            reason: RevocationReason::KeyCompromise,
            requestor: "prevalidate".to_owned(),
        };
        world.by_hand(&wanted, order).await.unwrap();
        world.run(&wanted, 60).await;
        if is_old {
            // An older program revoked it, and this program ran once afterwards.
            std::fs::remove_file(world.path("0001/.revoked")).unwrap();
            world.run(&wanted, 60).await;
        }
        let world = world.with_lost_store().await;
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            let installed = world.row("joe").await.progress.installed.unwrap();
            assert!(installed.revoked_at.is_some(), "{is_old}");
            assert_eq!(world.ca.held().len(), 1, "a person decides on the next one");
        }
        world.by_hand(&wanted, ByHand::Again).await.unwrap();
        world.run(&wanted, 60).await;
        assert_eq!(world.live("joe").unwrap().version, 2);
        assert!(!world.path("0002/.revoked").exists());
    }
}
