//! The directory of certificates is gone, lost its name, or is another one now.

use super::*;
use crate::issuance::Step;

impl World {
    fn job(&self, wanted: &[Certificate], change: impl FnOnce(&mut IssueOptions)) -> Issuer {
        let ca = Arc::clone(&self.ca) as Arc<dyn Issuing>;
        let mut issuer = self.issuer(ca, wanted.to_vec());
        change(&mut issuer.options);
        issuer
    }

    async fn go(&self, issuer: &Issuer) {
        let over = CancellationToken::new();
        over.cancel();
        let deadline = self.clock.now() + SignedDuration::from_secs(60);
        issuer.run(deadline, &over).await.unwrap();
    }

    async fn seen(&self, issuer: &Issuer) -> Seen {
        let (row, now) = (self.row("joe").await, self.clock.now());
        let live = issuer.live(&row, now).await.unwrap();
        Seen {
            decision: issuer.decide_by(&row, &live, false, now).await.unwrap(),
            keeper: issuer.keeper(&row, now).await.unwrap(),
            lost_key: issuer.lost_key(&row),
            live,
        }
    }
}

#[derive(Debug)]
struct Seen {
    live: Live,
    decision: Decision,
    keeper: Keeper,
    lost_key: Option<String>,
}

impl Seen {
    fn is_well(&self) -> bool {
        matches!(self.live, Live::There { .. }) && self.decision.step != Step::Held
    }

    fn other(self) -> Other {
        match self.keeper {
            Keeper::Other(other) => other,
            _ => panic!("{self:?}"),
        }
    }
}

/// A store of one machine, whose directory has this name.
fn alone(home: &'static str) -> impl Fn(&mut IssueOptions) {
    move |options| (options.shares, options.home) = (false, home.to_owned())
}

#[tokio::test]
async fn a_directory_that_is_gone_is_told_at_once_and_nothing_is_bought() {
    for place in ["certificates", "other"] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        if place == "certificates" {
            std::fs::remove_dir_all(world.at("")).unwrap();
        }
        let directory = world.folder.path().join(place);
        let there = |options: &mut IssueOptions| options.directory.clone_from(&directory);
        // A command that only reads finds no name of a directory.
        for home in ["", "new"] {
            let issuer = world.job(&wanted, |options| {
                alone(home)(options);
                there(options);
            });
            if !home.is_empty() {
                world.go(&issuer).await;
            }
            let seen = world.seen(&issuer).await;
            let place = directory.join("joe");
            let gone = format!("its files are gone from {}", place.display());
            assert_eq!(seen.live.fault(), Some(gone.as_str()), "{seen:?}");
            assert_eq!(seen.decision.step, Step::Held);
            let why = &seen.decision.why;
            assert!(
                why.starts_with(&gone) && why.contains("issue joe --again"),
                "{why}"
            );
        }
        world.clock.advance(SignedDuration::from_hours(24 * 80));
        let issuer = world.job(&wanted, |options| {
            alone("new")(options);
            there(options);
        });
        world.go(&issuer).await;
        assert_eq!(world.ca.count(Verb::Submit), 1, "{place}");
        // Put back, it is kept again, and renewed.
        if place == "other" {
            std::fs::rename(world.at(""), &directory).unwrap();
            world.go(&issuer).await;
            assert_eq!(world.ca.count(Verb::Submit), 2);
            assert!(world.seen(&issuer).await.is_well());
        }
    }
}

#[tokio::test]
async fn a_directory_that_lost_its_name_goes_on_to_be_kept() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let reads = world.job(&wanted, alone(""));
    assert!(world.seen(&reads).await.is_well());
    let issuer = world.job(&wanted, alone("new"));
    issuer.by_hand("joe", ByHand::Fetch).await.unwrap().unwrap();
    world.go(&issuer).await;
    assert_eq!(world.row("joe").await.home.as_deref(), Some("new"));
    assert_eq!(world.live("joe").unwrap().version, 2);
    world.clock.advance(SignedDuration::from_hours(24 * 61));
    let issuer = world.job(&wanted, alone("newer"));
    world.go(&issuer).await;
    assert_eq!(world.live("joe").unwrap().version, 3);
    assert_eq!(world.ca.count(Verb::Submit), 2);
    assert!(world.seen(&issuer).await.is_well());
}

#[tokio::test]
async fn what_a_living_machine_keeps_is_left_alone_and_its_place_named() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let there = |world: &World| {
        let directory = world.folder.path().join("there");
        world.job(&wanted, |options| {
            (options.home, options.host) = ("there".to_owned(), "second".to_owned());
            options.directory = directory;
        })
    };
    let issuer = there(&world);
    world.go(&issuer).await;
    let other = world.seen(&issuer).await.other();
    let place = format!("by machine in {}", world.at("").display());
    let place = place.trim_end_matches('/');
    assert_eq!(other.place.as_deref(), Some(place));
    assert_eq!(other.silent_since, None);
    let why = issuer.by_hand("joe", ByHand::Fetch).await.unwrap();
    assert!(why.unwrap_err().why.contains(place));
    // No machine has seen it for days.
    world.clock.advance(SignedDuration::from_hours(24 * 4));
    let issuer = there(&world);
    world.go(&issuer).await;
    let other = world.seen(&issuer).await.other();
    let words = other.words();
    assert!(words.contains("no machine has seen since"), "{words}");
    assert_eq!(world.row("joe").await.home.as_deref(), Some("here"));
    // The first machine is back, and notes it.
    world.run(&wanted, 60).await;
    let issuer = there(&world);
    let other = world.seen(&issuer).await.other();
    assert_eq!(other.silent_since, None);
    assert_eq!(world.ca.count(Verb::Submit), 1);
}

#[tokio::test]
async fn a_machine_of_several_finds_its_own_directory_replaced() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    world.clock.advance(SignedDuration::from_hours(3));
    let issuer = world.job(&wanted, |options| options.home = "new".to_owned());
    world.go(&issuer).await;
    assert_eq!(world.row("joe").await.home.as_deref(), Some("new"));
    assert!(world.seen(&issuer).await.is_well());
    assert_eq!(world.ca.count(Verb::Submit), 1);
}

#[tokio::test]
async fn an_open_order_whose_key_is_gone_is_told_at_once_and_held() {
    for gone in ["joe", "joe/0001/privkey.pem"] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.ca.change(|ca| ca.becomes = OrderState::Working);
        world.run(&wanted, 10).await;
        let (path, kept) = (world.at(gone), world.folder.path().join("kept"));
        std::fs::rename(&path, &kept).unwrap();
        let issuer = world.job(&wanted, |_| {});
        let why = world.seen(&issuer).await.lost_key.unwrap();
        assert!(why.contains("is in no version of"), "{why}");
        world.run(&wanted, 10).await;
        let hold = world.row("joe").await.progress.hold.unwrap();
        assert_eq!(hold.words, why);
        assert!(hold.hint.unwrap().contains("issue joe --again"));
        std::fs::rename(&kept, &path).unwrap();
        world.ca.change(|ca| ca.becomes = OrderState::Issued);
        world.run(&wanted, 60).await;
        assert!(world.live("joe").is_some());
        assert_eq!(world.ca.count(Verb::Submit), 1, "{gone}");
    }
}

#[tokio::test]
async fn nothing_is_bought_whose_bundle_cannot_be_written() {
    let world = World::new().await;
    let mut one = world.certificate("joe");
    let path = world.folder.path().join("password");
    one.p12_password = Some(prevalidate_kit::secret::SecretSource::File(path.clone()));
    let wanted = [one, world.certificate("ann")];
    world.run(&wanted, 60).await;
    assert_eq!(
        world.ca.count(Verb::Submit),
        1,
        "it costs its certificate only"
    );
    assert!(world.live("ann").is_some());
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert!(hold.words.contains("p12_password"), "{}", hold.words);
    super::live::write_secret(&path);
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some());
    assert!(world.at("joe/0001/bundle.p12").exists());
}
