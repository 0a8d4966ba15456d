//! What servers read is not what was installed: damage is repaired without an order, and a foreign
//! certificate is said and stays.

use std::path::PathBuf;

use super::*;
use crate::issuance::progress::HoldKind;

/// The state of the place that servers read, and the next step.
#[derive(Debug)]
pub(super) struct LiveState {
    pub(super) live: Live,
    pub(super) decision: Decision,
}

impl LiveState {
    fn is_well(&self) -> bool {
        self.live.fault().is_none() && self.decision.step != crate::issuance::Step::Held
    }

    fn is_held(&self) -> bool {
        self.decision.step == crate::issuance::Step::Held
    }

    fn why(&self) -> &str {
        self.live.fault().unwrap_or(&self.decision.why)
    }
}

/// A secret that only its owner may read.
pub(super) fn write_secret(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, "a password").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

impl World {
    pub(super) fn at(&self, file: &str) -> PathBuf {
        self.folder.path().join("certificates").join(file)
    }

    pub(super) async fn live_state(&self, wanted: &[Certificate]) -> LiveState {
        let ca = Arc::clone(&self.ca) as Arc<dyn Issuing>;
        let issuer = self.issuer(ca, wanted.to_vec());
        let (row, now) = (self.row(&wanted[0].wanted.name).await, self.clock.now());
        let live = issuer.live(&row, now).await.unwrap();
        let decision = issuer.decide_by(&row, &live, false, now).await.unwrap();
        LiveState { live, decision }
    }

    /// Another certificate, as a person puts it into a version of joe's folder by hand.
    pub(super) async fn put_foreign(&self, version: &str) {
        let mut other = self.certificate("ann");
        other.subject = self.certificate("joe").subject;
        other.wanted.print = "second".to_owned();
        let ca = Arc::new(InMemory::new(Arc::clone(&self.clock) as Arc<dyn Clock>).unwrap());
        let mut issuer = self.issuer(ca, vec![other.clone()]);
        issuer.options.only = Some(vec!["ann".to_owned()]);
        self.want(&[self.certificate("joe"), other]).await;
        let over = CancellationToken::new();
        over.cancel();
        let deadline = self.clock.now() + SignedDuration::from_secs(60);
        issuer.run(deadline, &over).await.unwrap();
        std::fs::create_dir_all(self.at("joe").join(version)).unwrap();
        for file in ["privkey.pem", "cert.pem", "chain.pem", "fullchain.pem"] {
            let to = self.at("joe").join(version).join(file);
            std::fs::copy(self.at("ann/0001").join(file), to).unwrap();
        }
        self.lead_to(version);
    }

    pub(super) fn lead_to(&self, version: &str) {
        let link = self.at("joe/current");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(version, link).unwrap();
    }

    fn is_foreign(&self) -> bool {
        let files = ["cert.pem", "privkey.pem", "fullchain.pem"];
        files.iter().all(|file| {
            let read = |folder: &str| std::fs::read(self.at(folder).join(file)).unwrap();
            read("joe/current") == read("ann/0001")
        })
    }
}

#[tokio::test]
async fn damaged_files_are_fetched_once_more_with_their_key_and_nothing_is_ordered() {
    type Damage = (&'static str, fn(&World));
    let cases: [Damage; 13] = [
        ("current leads to version 0009: ", |world| {
            world.lead_to("0009")
        }),
        ("which is not there", |world| world.lead_to("../gone/0001")),
        ("cert.pem: the certificate on line 1", |world| {
            let half = "-----BEGIN CERTIFICATE-----\nTUlJ\n";
            std::fs::write(world.at("joe/current/cert.pem"), half).unwrap();
        }),
        ("is damaged: it is not a certificate", |world| {
            let other = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n";
            std::fs::write(world.at("joe/current/cert.pem"), other).unwrap();
        }),
        ("fullchain.pem is empty", |world| {
            std::fs::write(world.at("joe/current/fullchain.pem"), "").unwrap();
        }),
        ("fullchain.pem is not there", |world| {
            std::fs::remove_file(world.at("joe/current/fullchain.pem")).unwrap();
        }),
        ("is not the certificate with its chain", |world| {
            let full = world.at("joe/current/fullchain.pem");
            std::fs::copy(world.at("joe/current/cert.pem"), full).unwrap();
        }),
        ("chain.pem is empty", |world| {
            std::fs::write(world.at("joe/current/chain.pem"), "\n").unwrap();
        }),
        ("chain.pem is not there", |world| {
            std::fs::remove_file(world.at("joe/current/chain.pem")).unwrap();
        }),
        ("chain.pem is no use", |world| {
            let chain = world.at("joe/current/chain.pem");
            std::fs::copy(world.at("joe/current/cert.pem"), chain).unwrap();
        }),
        ("cert.pem is not there", |world| {
            std::fs::remove_file(world.at("joe/current/cert.pem")).unwrap();
        }),
        ("cert.pem has no certificates", |world| {
            std::fs::write(world.at("joe/current/cert.pem"), "half").unwrap();
        }),
        ("current is not there", |world| {
            std::fs::remove_file(world.at("joe/current")).unwrap();
        }),
    ];
    for (words, damage) in cases {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        let before = world.live("joe").unwrap().facts;
        damage(&world);
        let found = world.live_state(&wanted).await;
        assert!(
            matches!(found.live, Live::Damaged { .. }),
            "{words}: {found:?}"
        );
        assert!(found.why().contains(words), "{words}: {found:?}");
        world.run(&wanted, 60).await;
        let kinds = world.kinds("joe").await;
        assert_eq!(
            kinds[kinds.len() - 3..],
            ["damaged", "fetched", "installed"]
        );
        assert_eq!(world.live("joe").unwrap().facts, before, "{words}");
        let found = world.live_state(&wanted).await;
        assert!(found.is_well(), "{words}: {found:?}");
        assert_eq!(world.ca.count(Verb::Submit), 1, "{words}");
        let calls = world.ca.calls().len();
        world.run(&wanted, 60).await;
        assert_eq!(world.ca.calls().len(), calls, "{words}: it is quiet again");
    }
}

#[tokio::test]
async fn a_pair_whose_key_is_gone_or_another_one_waits_for_a_person_and_its_key() {
    for words in ["is gone", "is not the key of the certificate"] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        let path = world.at("joe/current/privkey.pem");
        let kept = std::fs::read(&path).unwrap();
        match words {
            "is gone" => std::fs::remove_file(&path).unwrap(),
            _ => {
                let key = crate::certificates::PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
                let pem = secrecy::ExposeSecret::expose_secret(&key.pem()).to_owned();
                std::fs::write(&path, pem).unwrap();
            }
        }
        let calls = world.ca.calls().len();
        for days in [0, 80] {
            world.clock.advance(SignedDuration::from_hours(24 * days));
            world.run(&wanted, 60).await;
            let found = world.live_state(&wanted).await;
            assert!(found.is_held() && !found.is_well(), "{found:?}");
            assert!(found.why().contains(words), "{found:?}");
            let why = &found.decision.why;
            assert!(why.contains("issue joe --again"), "{why}");
            assert_eq!(world.ca.calls().len(), calls, "nothing is ordered for it");
        }
        world.clock.advance(SignedDuration::from_hours(-24 * 80));
        std::fs::write(&path, kept).unwrap();
        world.run(&wanted, 60).await;
        assert!(world.live_state(&wanted).await.is_well());
    }
}

#[tokio::test]
async fn a_key_that_lies_in_another_version_mends_its_certificate() {
    let world = World::new().await;
    let mut one = world.certificate("joe");
    one.wanted.keeps_key = true;
    let wanted = [one];
    world.run(&wanted, 60).await;
    world.clock.advance(SignedDuration::from_hours(24 * 61));
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    std::fs::remove_file(world.at("joe/0002/privkey.pem")).unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 3);
    assert_eq!(world.ca.count(Verb::Submit), 2);
}

#[tokio::test]
async fn a_foreign_pair_is_said_and_stays_until_a_person_decides() {
    for version in ["0007", "0001"] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        world.put_foreign(version).await;
        let calls = world.ca.calls().len();
        for days in [0, 70] {
            world.clock.advance(SignedDuration::from_hours(24 * days));
            world.run(&wanted, 60).await;
            let found = world.live_state(&wanted).await;
            assert!(found.is_held() && !found.is_well(), "{found:?}");
            for part in ["another certificate", "0001"] {
                assert!(found.why().contains(part), "{found:?}");
            }
            assert!(world.is_foreign());
            assert_eq!(
                world.ca.calls().len(),
                calls,
                "no order is made for nothing"
            );
        }
        world.by_hand(&wanted, ByHand::Again).await.unwrap();
        world.run(&wanted, 60).await;
        assert!(!world.is_foreign());
        assert!(world.live_state(&wanted).await.is_well());
        assert_eq!(world.ca.count(Verb::Submit), 2);
    }
}

#[tokio::test]
async fn a_person_puts_the_installed_certificate_back_without_an_order() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    world.put_foreign("0007").await;
    world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
    world.run(&wanted, 60).await;
    assert!(!world.is_foreign());
    assert_eq!(world.live("joe").unwrap().version, 8);
    assert!(world.live_state(&wanted).await.is_well());
    assert_eq!(world.ca.count(Verb::Submit), 1);
}

#[tokio::test]
async fn a_person_accepts_a_foreign_pair_that_is_what_is_wanted() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    world.put_foreign("0007").await;
    world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    world.run(&wanted, 60).await;
    assert!(world.is_foreign());
    assert!(world.live_state(&wanted).await.is_well());
    let installed = world.row("joe").await.progress.installed.unwrap();
    assert_eq!((installed.version, installed.reference.as_str()), (7, ""));

    // One for other names is not.
    let world = World::new().await;
    let mut other = world.certificate("joe");
    other.subject = Subject::Mailbox {
        email: "person@example.ch".to_owned(),
        first_name: None,
        last_name: None,
    };
    let wanted = [other];
    world.run(&wanted, 60).await;
    world.put_foreign("0007").await;
    world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    world.run(&wanted, 60).await;
    assert!(world.is_foreign() && world.live_state(&wanted).await.is_held());
    world.lead_to("0001");
    world.run(&wanted, 60).await;
    assert!(world.live_state(&wanted).await.is_well());
    assert_eq!(world.ca.count(Verb::Submit), 1);
}

#[tokio::test]
async fn a_renewal_that_comes_while_a_foreign_pair_is_there_waits_in_its_version() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    world.clock.advance(SignedDuration::from_hours(24 * 61));
    world.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
    world.run(&wanted, 10).await;
    assert_eq!(world.ca.count(Verb::Submit), 2);
    world.put_foreign("0007").await;
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.run(&wanted, 60).await;
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert_eq!(hold.kind, HoldKind::Folder);
    assert!(hold.words.contains("another certificate"), "{}", hold.words);
    assert!(world.is_foreign());
    world.lead_to("0001");
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    assert_eq!(world.ca.count(Verb::Submit), 2);
}

#[tokio::test]
async fn a_fetch_without_the_key_is_refused_at_once_and_leaves_no_folder() {
    for gone in ["joe", "joe/0001/privkey.pem"] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        let path = world.at(gone);
        match path.is_dir() {
            true => std::fs::remove_dir_all(&path).unwrap(),
            false => std::fs::remove_file(&path).unwrap(),
        }
        let why = world.by_hand(&wanted, ByHand::Fetch).await.unwrap_err();
        for part in ["is in no version of", "issue joe --again"] {
            assert!(why.contains(part), "{why}");
        }
        assert_eq!(world.row("joe").await.progress.order, None);
        let calls = world.ca.calls().len();
        world.run(&wanted, 600).await;
        assert_eq!(world.ca.calls().len(), calls, "{gone}");
        assert!(!world.at("joe/0002").exists(), "{gone}");
        assert!(world.live_state(&wanted).await.is_held(), "{gone}");

        // The key goes between the order of the person and the run.
        let world = World::new().await;
        world.run(&wanted, 60).await;
        world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
        let path = world.at(gone);
        match path.is_dir() {
            true => std::fs::remove_dir_all(&path).unwrap(),
            false => std::fs::remove_file(&path).unwrap(),
        }
        world.run(&wanted, 600).await;
        let progress = world.row("joe").await.progress;
        assert_eq!(progress.order, None, "{gone}");
        assert!(progress.trouble.unwrap().contains("is in no version of"));
        assert_eq!(world.ca.count(Verb::Fetch), 2, "{gone}");
        assert!(!world.at("joe/0002").exists(), "{gone}");
    }
}

#[tokio::test]
async fn what_fails_here_after_the_ca_answered_is_left_to_the_next_run() {
    let world = World::new().await;
    let password = world.folder.path().join("password");
    let mut one = world.certificate("joe");
    one.p12_password = Some(prevalidate_kit::secret::SecretSource::File(
        password.clone(),
    ));
    let wanted = [one];
    write_secret(&password);
    world.ca.change(|ca| ca.becomes = OrderState::Working);
    world.run(&wanted, 10).await;
    std::fs::remove_file(&password).unwrap();
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.run(&wanted, 600).await;
    assert_eq!(world.ca.count(Verb::Fetch), 3, "three times in a run");
    write_secret(&password);
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some());
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn files_that_other_users_can_read_are_told_and_restored() {
    use std::os::unix::fs::PermissionsExt as _;
    for (file, mode, right, words) in [
        ("privkey.pem", 0o644, 0o640, "other users can use"),
        ("privkey.pem", 0o600, 0o640, "in the place of 0640"),
        ("cert.pem", 0o666, 0o644, "other users can use"),
        ("", 0o755, 0o750, "other users can use"),
    ] {
        let world = World::new().await;
        let mut one = world.certificate("joe");
        one.access.mode = 0o640;
        let wanted = [one];
        world.run(&wanted, 60).await;
        assert_eq!(world.live_state(&wanted).await.live.loose(), None);
        let path = world.at("joe/0001").join(file);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let found = world.live_state(&wanted).await;
        let why = found.live.loose().unwrap().to_owned();
        assert!(why.contains(words) && why.contains(file), "{why}");
        let calls = world.ca.calls().len();
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            let own = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(own & 0o7777, right, "{file}");
            assert_eq!(world.live_state(&wanted).await.live.loose(), None);
        }
        assert_eq!(world.row("joe").await.progress.trouble, None);
        let kinds = world.kinds("joe").await;
        let restored = kinds.iter().filter(|kind| *kind == "restored");
        assert_eq!(restored.count(), 1, "{kinds:?}");
        assert_eq!(world.ca.calls().len(), calls, "no CA is asked");
    }
}

#[tokio::test]
async fn an_older_version_that_a_person_accepts_keeps_its_order() {
    for is_noted in [true, false] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        let first = world.live("joe").unwrap().facts;
        world.by_hand(&wanted, ByHand::Again).await.unwrap();
        world.run(&wanted, 60).await;
        assert_eq!(world.ca.held().len(), 2);
        if !is_noted {
            std::fs::remove_file(world.at("joe/0001/.order")).unwrap();
        }
        world.lead_to("0001");
        world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
        world.run(&wanted, 60).await;
        assert!(world.live_state(&wanted).await.is_well());
        std::fs::write(world.at("joe/current/fullchain.pem"), "").unwrap();
        world.run(&wanted, 60).await;
        assert_eq!(world.live("joe").unwrap().facts, first, "{is_noted}");
        let found = world.live_state(&wanted).await;
        assert!(found.is_well(), "{is_noted}: {found:?}");
        assert_eq!(world.ca.held().len(), 2, "{is_noted}");
    }
}
