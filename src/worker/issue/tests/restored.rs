//! A store that was brought back from a copy which is older than a renewal, a revocation or an order:
//! the directory knows more. Nothing is ordered again, and what was revoked does not count.

use super::renamed::{BY_NAME, OLD};
use super::*;
use crate::issuance::Step;
use crate::store::orders::CertificateWrite;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a store has of one certificate.
struct Copy {
    row: CertificateRow,
    events: Vec<CertificateEvent>,
}

impl World {
    async fn copied(&self, name: &str) -> Copy {
        let orders = self.store.orders();
        Copy {
            row: self.row(name).await,
            events: orders.certificate_history(name).await.unwrap(),
        }
    }

    /// The same world with a store that has the copy and nothing else.
    async fn with(self, copy: &Copy) -> Self {
        let world = self.with_lost_store().await;
        let one = world.certificate(&copy.row.name);
        world.want(&[one]).await;
        let lease = world.in_hand(&copy.row.name, 300).await;
        let write = CertificateWrite {
            fence: lease.fence,
            progress: copy.row.progress.clone(),
            due_at: copy.row.due_at,
            events: copy.events.clone(),
            release: true,
        };
        let orders = world.store.orders();
        orders.commit_certificate(&write).await.unwrap();
        world
    }

    /// Whether the rows that commands read say that it is revoked, before any run.
    async fn shows_revoked(&self, wanted: &[Certificate]) -> bool {
        let ca = Arc::clone(&self.ca) as Arc<dyn Issuing>;
        let rows = self.issuer(ca, wanted.to_vec()).rows().await.unwrap();
        let mut installed = rows
            .iter()
            .filter_map(|row| row.progress.installed.as_ref());
        installed.any(|one| one.revoked_at.is_some())
    }
}

fn revoke() -> ByHand {
    ByHand::Revoke {
        reason: RevocationReason::KeyCompromise,
        requestor: "prevalidate".to_owned(),
    }
}

#[tokio::test]
async fn a_store_older_than_renewals_takes_the_newest_and_orders_nothing() {
    for (days, renewals) in [(61, 1), (61, 2), (10, 1), (10, 2)] {
        let world = World::new().await;
        let wanted = [world.named("joe", BY_NAME, OLD)];
        world.run(&wanted, 60).await;
        let copy = world.copied("joe").await;
        for _ in 0..renewals {
            world.clock.advance(DAY * days);
            if days < 60 {
                world.by_hand(&wanted, ByHand::Again).await.unwrap();
            }
            world.run(&wanted, 60).await;
        }
        let orders = world.ca.held().len();
        assert_eq!(orders, 1 + renewals);
        let newest = world.live("joe").unwrap();
        let world = world.with(&copy).await;
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            assert_eq!(world.live("joe").unwrap(), newest, "{days}, {renewals}");
            world.have(&wanted, orders).await;
            assert_eq!(world.live_state(&wanted).await.live.fault(), None);
        }
        assert!(world.kinds("joe").await.contains(&"adopted".to_owned()));
        // It is renewed at its own share, after its own order.
        world.clock.advance(DAY * 61);
        world.run(&wanted, 60).await;
        let held = world.ca.held();
        assert_eq!(held.len(), orders + 1, "{days}, {renewals}");
        let after = held.last().unwrap().intent.after.as_ref().unwrap();
        assert_eq!(after.key.reference, format!("ord-{orders:06}"));
    }
}

#[tokio::test]
async fn a_store_older_than_what_a_person_ordered_does_as_the_person_says_of_the_newest() {
    for order in [ByHand::Afresh, ByHand::Fetch, ByHand::Again] {
        let world = World::new().await;
        let wanted = [world.named("joe", BY_NAME, OLD)];
        world.run(&wanted, 60).await;
        let copy = world.copied("joe").await;
        world.clock.advance(DAY * 61);
        world.run(&wanted, 60).await;
        let newest = world.live("joe").unwrap().facts;
        let world = world.with(&copy).await;
        let why = world.by_hand(&wanted, revoke()).await.unwrap_err();
        assert!(why.contains("later than what this store knows"), "{why}");
        let known = copy.row.progress.installed.as_ref().unwrap();
        for serial in [&newest.serial, &known.serial] {
            assert!(why.contains(serial), "{why}");
        }
        world.by_hand(&wanted, order.clone()).await.unwrap();
        world.run(&wanted, 60).await;
        let is_again = order == ByHand::Again;
        world.have(&wanted, 2 + usize::from(is_again)).await;
        let is_newest = world.live("joe").unwrap().facts == newest;
        assert_eq!(is_newest, !is_again, "{order:?}");
    }
}

#[tokio::test]
async fn a_store_older_than_a_revocation_says_revoked_and_orders_nothing() {
    for is_confirmed in [true, false] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        let copy = world.copied("joe").await;
        world.by_hand(&wanted, revoke()).await.unwrap();
        world.run(&wanted, if is_confirmed { 60 } else { 0 }).await;
        let world = world.with(&copy).await;
        assert_eq!(world.shows_revoked(&wanted).await, is_confirmed);
        for days in [0, 61] {
            world.clock.advance(DAY * days);
            world.run(&wanted, 60).await;
            let progress = world.row("joe").await.progress;
            assert!(progress.installed.unwrap().revoked_at.is_some());
            assert_eq!(progress.revocation, None);
            assert_eq!(world.ca.held().len(), 1, "{is_confirmed}, {days}");
        }
        let kinds = world.kinds("joe").await;
        assert_eq!(kinds.iter().filter(|kind| *kind == "revoked").count(), 1);
        world.by_hand(&wanted, ByHand::Again).await.unwrap();
        world.run(&wanted, 60).await;
        assert_eq!(world.ca.held().len(), 2);
        assert!(!world.shows_revoked(&wanted).await);
    }
}

#[tokio::test]
async fn a_newer_certificate_that_was_revoked_is_taken_as_revoked() {
    for is_newest in [true, false] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        let copy = world.copied("joe").await;
        if is_newest {
            world.clock.advance(DAY * 61);
            world.run(&wanted, 60).await;
        }
        world.by_hand(&wanted, revoke()).await.unwrap();
        world.run(&wanted, 60).await;
        if !is_newest {
            world.by_hand(&wanted, ByHand::Again).await.unwrap();
            world.run(&wanted, 60).await;
        }
        let world = world.with(&copy).await;
        for days in [0, 70] {
            world.run(&wanted, 60).await;
            let installed = world.row("joe").await.progress.installed.unwrap();
            assert_eq!(installed.serial, world.live("joe").unwrap().facts.serial);
            assert_eq!(installed.revoked_at.is_some(), is_newest);
            assert_eq!(world.ca.held().len(), 2, "{is_newest}");
            world.clock.advance(DAY * if is_newest { days } else { 0 });
        }
    }
}

#[tokio::test]
async fn a_store_older_than_a_revocation_takes_nothing_revoked_under_a_new_name() {
    for is_moved in [false, true] {
        let world = World::new().await;
        let www = [world.named("www", BY_NAME, OLD)];
        world.run(&www, 60).await;
        let copy = world.copied("www").await;
        world.by_hand(&www, revoke()).await.unwrap();
        world.run(&www, 60).await;
        let world = world.with(&copy).await;
        if is_moved {
            std::fs::rename(world.at("www"), world.at("web")).unwrap();
        }
        let web = [world.named("web", BY_NAME, OLD)];
        for _ in 0..2 {
            world.run(&web, 60).await;
            let progress = world.row("web").await.progress;
            let is_revoked = progress
                .installed
                .is_some_and(|one| one.revoked_at.is_some());
            let hold = progress.hold.map(|hold| hold.words).unwrap_or_default();
            let is_held = hold.contains("is revoked");
            assert!(is_revoked || is_held, "{is_moved}: {hold}");
            assert_eq!(world.ca.held().len(), 1, "{is_moved}");
        }
    }
}

/// The copy has a key that was not submitted yet. The order was made after the copy.
#[tokio::test]
async fn an_order_that_was_made_after_the_copy_is_found_and_not_made_again() {
    for (is_renewal, is_installed) in [(false, false), (false, true), (true, false), (true, true)] {
        for is_again in [false, true] {
            made_after_the_copy(is_renewal, is_installed, is_renewal && is_again).await;
        }
    }
}

async fn made_after_the_copy(is_renewal: bool, is_installed: bool, is_again: bool) {
    let world = World::new().await;
    let wanted = [world.named("joe", BY_NAME, OLD)];
    if is_renewal {
        world.run(&wanted, 60).await;
        match is_again {
            true => world.by_hand(&wanted, ByHand::Again).await.unwrap(),
            false => world.clock.advance(DAY * 61),
        }
    }
    let orders = 1 + usize::from(is_renewal);
    for _ in 0..3 {
        let later = Way::Refused(Failure::Unavailable, "later".to_owned());
        world.ca.next(Verb::Submit, later);
    }
    world.run(&wanted, 0).await;
    let copy = world.copied("joe").await;
    let begun = copy.row.progress.order.clone().unwrap();
    assert_eq!((begun.submitted_at, begun.is_again), (None, is_again));
    world.ca.forgive();
    world.clock.advance(SignedDuration::from_mins(20));
    if !is_installed {
        world.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
    }
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), orders);
    let world = world.with(&copy).await;
    world.run(&wanted, 60).await;
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    for _ in 0..2 {
        world.run(&wanted, 600).await;
        world.have(&wanted, orders).await;
    }
}

#[tokio::test]
async fn an_older_order_of_the_copy_does_not_come_in_the_place_of_a_newer_one() {
    let world = World::new().await;
    let wanted = [world.named("joe", BY_NAME, OLD)];
    world.run(&wanted, 60).await;
    world.clock.advance(DAY * 61);
    world.ca.change(|ca| ca.becomes = OrderState::Working);
    world.run(&wanted, 10).await;
    let copy = world.copied("joe").await;
    assert!(copy.row.progress.order.is_some());
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.run(&wanted, 60).await;
    world.clock.advance(DAY * 20);
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 60).await;
    let newest = world.live("joe").unwrap();
    assert_eq!(newest.version, 3);
    let world = world.with(&copy).await;
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        assert_eq!(world.live("joe").unwrap(), newest);
        world.have(&wanted, 3).await;
    }
}

/// The version that the copy has begun was dropped since, and its number used for another order.
#[tokio::test]
async fn a_number_that_was_used_again_since_the_copy_keeps_its_key_and_its_order() {
    let world = World::new().await;
    let wanted = [world.named("joe", BY_NAME, OLD)];
    let later = || Way::Refused(Failure::Unavailable, "later".to_owned());
    (0..3).for_each(|_| world.ca.next(Verb::Submit, later()));
    world.run(&wanted, 0).await;
    let copy = world.copied("joe").await;
    world.ca.forgive();
    std::fs::remove_dir_all(world.at("joe/0001")).unwrap();
    world.clock.advance(SignedDuration::from_mins(20));
    world.ca.change(|ca| ca.becomes = OrderState::Working);
    world.run(&wanted, 60).await;
    let order = world.row("joe").await.progress.order.unwrap();
    assert_eq!((order.version, world.ca.held().len()), (1, 1));
    let world = world.with(&copy).await;
    world.run(&wanted, 60).await;
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    for _ in 0..2 {
        world.run(&wanted, 600).await;
        world.have(&wanted, 1).await;
    }
}

#[tokio::test]
async fn an_order_that_the_ca_refused_is_noted_as_not_made() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    let refused = Way::Refused(Failure::Refused, "no".to_owned());
    world.ca.next(Verb::Submit, refused);
    world.run(&wanted, 60).await;
    assert!(world.row("joe").await.progress.hold.is_some());
    world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some());
    assert_eq!(
        world.ca.count(Verb::Find),
        0,
        "there is nothing to search for"
    );
}

#[tokio::test]
async fn what_is_newer_and_not_ours_waits_for_a_person() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let copy = world.copied("joe").await;
    world.clock.advance(DAY * 61);
    world.run(&wanted, 60).await;
    std::fs::remove_file(world.at("joe/0002/.order")).unwrap();
    let world = world.with(&copy).await;
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        let live_state = world.live_state(&wanted).await;
        assert_eq!(live_state.decision.step, Step::Held, "{live_state:?}");
        assert_eq!(world.ca.held().len(), 2);
    }
}

/// Two certificates have one key, and the older one was revoked.
#[tokio::test]
async fn the_key_of_a_revoked_certificate_is_not_used_again() {
    let world = World::new().await;
    let mut one = world.certificate("joe");
    one.wanted.keeps_key = true;
    let wanted = [one];
    world.run(&wanted, 60).await;
    let copy = world.copied("joe").await;
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 60).await;
    let first = copy.row.progress.installed.as_ref().unwrap();
    let key = world.live("joe").unwrap().facts.fingerprint;
    assert_eq!(key, first.fingerprint);
    Folder::mark_revoked(&world.at(""), &first.serial, world.clock.now()).unwrap();
    world.clock.advance(DAY * 61);
    world.run(&wanted, 60).await;
    let live = world.live("joe").unwrap();
    assert_eq!(live.version, 3);
    assert_ne!(live.facts.fingerprint, key);
}

#[tokio::test]
async fn another_certificate_in_its_place_is_not_the_one_that_is_revoked() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 60).await;
    let installed = world.live("joe").unwrap().facts.serial;
    std::fs::remove_file(world.at("joe/current")).unwrap();
    std::os::unix::fs::symlink("0001", world.at("joe/current")).unwrap();
    let why = world.by_hand(&wanted, revoke()).await.unwrap_err();
    for part in [installed.as_str(), "0002", "certificate fetch joe"] {
        assert!(why.contains(part), "{why}");
    }
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.count(Verb::Revoke), 0);
}
