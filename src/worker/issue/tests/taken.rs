//! What is taken over from another name while something else continues: a renewal that is open, old
//! versions that are removed, a worker that has the other name in hand.

use super::renamed::{BY_KEY, BY_NAME, NEW, OLD};
use super::*;
use crate::store::orders::{CertificateClaim, CertificateLease};

impl World {
    /// Another worker has the lease of this certificate for a number of seconds.
    pub(super) async fn in_hand(&self, name: &str, seconds: i64) -> CertificateLease {
        let (orders, now) = (self.store.orders(), self.clock.now());
        let names = [name.to_owned()];
        orders.wake_certificates(&names, now).await.unwrap();
        let claim = CertificateClaim {
            holder: "other/1",
            home: "here",
            also_of: None,
            only: Some(&names),
            except_cas: &[],
            now,
            lease: SignedDuration::from_secs(seconds),
        };
        orders.claim_certificate(&claim).await.unwrap().unwrap()
    }

    /// One certificate whose renewal is open.
    async fn with_open_renewal(&self, by_hand: bool) {
        let first = [self.named("www", BY_NAME, OLD)];
        self.run(&first, 60).await;
        self.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
        match by_hand {
            true => self.by_hand(&first, ByHand::Again).await.unwrap(),
            false => self.clock.advance(SignedDuration::from_hours(24 * 61)),
        }
        self.run(&first, 10).await;
        assert_eq!(self.ca.held().len(), 2);
        assert!(self.row("www").await.progress.order.is_some());
    }
}

#[tokio::test]
async fn a_renewal_that_is_open_goes_on_under_the_new_name() {
    for (is_lost, by_hand, product) in [
        (true, true, BY_NAME),
        (true, false, BY_NAME),
        (true, false, BY_KEY),
        (false, true, BY_NAME),
        (false, false, BY_NAME),
        (false, false, BY_KEY),
    ] {
        let case = format!("lost: {is_lost}, by hand: {by_hand}, {product}");
        let mut world = World::new().await;
        world.with_open_renewal(by_hand).await;
        if is_lost {
            world = world.with_lost_store().await;
        }
        let wanted = [world.named("web", product, OLD)];
        world.run(&wanted, 60).await;
        let order = world.row("web").await.progress.order;
        let order = order.unwrap_or_else(|| panic!("{case}: it is taken over at once"));
        assert_eq!(order.reference.as_deref(), Some("ord-000002"), "{case}");
        let before = world.live("web").unwrap().facts.serial;
        world.ca.change(|ca| ca.becomes = OrderState::Issued);
        world.ca.decide(&OrderState::Issued);
        for _ in 0..2 {
            world.run(&wanted, 600).await;
            assert_eq!(world.ca.held().len(), 2, "{case}");
            let progress = world.row("web").await.progress;
            assert_eq!((progress.order, progress.trouble), (None, None), "{case}");
        }
        assert_ne!(world.live("web").unwrap().facts.serial, before, "{case}");
    }
}

#[tokio::test]
async fn a_renewal_is_taken_over_by_the_next_run_where_a_worker_has_it() {
    let world = World::new().await;
    world.with_open_renewal(true).await;
    let wanted = [world.named("web", BY_NAME, OLD)];
    // The program that took the pair over left the order unchanged.
    let orders = world.store.orders();
    let row = world.row("www").await;
    world.run(&wanted, 60).await;
    let taken = world.row("web").await.progress.order.unwrap();
    for (name, order) in [("web", None), ("www", row.progress.order)] {
        let lease = world.in_hand(name, 300).await;
        let mut progress = lease.row.progress.clone();
        progress.order = order;
        let write = crate::store::orders::CertificateWrite {
            fence: lease.fence,
            progress,
            due_at: Some(world.clock.now() + SignedDuration::from_hours(24)),
            events: Vec::new(),
            release: true,
        };
        orders.commit_certificate(&write).await.unwrap();
    }
    let lease = world.in_hand("www", 300).await;
    world.run(&wanted, 10).await;
    let progress = world.row("web").await.progress;
    assert_eq!((progress.order, progress.trouble), (None, None));
    let issuer = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, wanted.to_vec());
    Task::new(&issuer, lease)
        .let_go(world.clock.now())
        .await
        .unwrap();
    world.run(&wanted, 10).await;
    let order = world.row("web").await.progress.order.unwrap();
    assert_eq!(order.reference, taken.reference);
    assert_eq!(world.ca.held().len(), 2);
}

#[tokio::test]
async fn names_that_are_exchanged_order_nothing_where_no_old_version_is_kept() {
    let world = World::new().await;
    let named = |name: &str, product: &str, names: &str| Certificate {
        keep: 0,
        ..world.named(name, product, names)
    };
    let straight = [named("a", BY_NAME, OLD), named("b", BY_NAME, NEW)];
    let exchanged = [named("a", BY_NAME, NEW), named("b", BY_NAME, OLD)];
    let spelled = [named("a", BY_KEY, NEW), named("b", BY_KEY, OLD)];
    let moved = [named("b", BY_NAME, NEW), named("c", BY_NAME, OLD)];
    let moved_on = [named("c", BY_NAME, NEW), named("d", BY_NAME, OLD)];
    for wanted in [
        straight.clone(),
        exchanged.clone(),
        straight.clone(),
        exchanged,
        straight.clone(),
        spelled,
        straight,
        moved.clone(),
        moved_on,
        moved,
    ] {
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            world.have(&wanted, 2).await;
        }
    }
    // What is not wanted there is removed.
    world
        .by_hand(&[named("b", BY_NAME, NEW)], ByHand::Fetch)
        .await
        .unwrap();
    world
        .run(&[named("b", BY_NAME, NEW), named("c", BY_NAME, OLD)], 60)
        .await;
    let folder = std::fs::read_dir(world.at("b")).unwrap().flatten();
    let versions = folder.filter(|one| one.file_name().to_string_lossy().starts_with('0'));
    assert_eq!(versions.count(), 1);
}

#[tokio::test]
async fn names_moved_on_and_spelled_otherwise_at_once_are_copied_once_the_worker_is_done() {
    for exchanged in [true, false] {
        let world = World::new().await;
        let before = [
            world.named("a", BY_NAME, OLD),
            world.named("b", BY_NAME, NEW),
        ];
        world.run(&before, 60).await;
        let wanted = match exchanged {
            true => [world.named("a", BY_KEY, NEW), world.named("b", BY_KEY, OLD)],
            false => [world.named("b", BY_KEY, OLD), world.named("c", BY_KEY, NEW)],
        };
        world.want(&wanted).await;
        for name in ["a", "b"] {
            world.in_hand(name, 1).await;
            world.run(&wanted, 0).await;
        }
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            world.have(&wanted, 2).await;
        }
    }
}

#[tokio::test]
async fn a_version_without_its_certificate_is_no_dead_end() {
    let world = World::new().await;
    world.run(&[world.named("a", BY_NAME, OLD)], 60).await;
    let wanted = [world.named("b", BY_NAME, OLD)];
    world.run(&wanted, 60).await;
    // An older program removed what it had just copied.
    let orders = world.store.orders();
    let lease = world.in_hand("b", 300).await;
    let mut progress = lease.row.progress.clone();
    let installed = progress.installed.take().unwrap();
    progress.order = Some(crate::issuance::progress::Order {
        ca: installed.ca,
        version: 1,
        print: installed.print,
        fingerprint: installed.fingerprint,
        email: Some(OLD.to_owned()),
        product: Some(String::new()),
        submitted_at: Some(installed.at),
        reference: Some(installed.reference),
        state: Some(OrderState::Issued),
        is_fetched: true,
        is_fetched_again: true,
        has_key: Some(true),
        ..Default::default()
    });
    let write = crate::store::orders::CertificateWrite {
        fence: lease.fence,
        progress,
        due_at: Some(world.clock.now()),
        events: Vec::new(),
        release: true,
    };
    orders.commit_certificate(&write).await.unwrap();
    std::fs::remove_dir_all(world.at("b/0001")).unwrap();
    std::fs::remove_file(world.at("b/current")).unwrap();
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        world.have(&wanted, 1).await;
    }
}

#[tokio::test]
async fn a_failure_on_a_way_that_is_no_longer_used_is_forgotten() {
    let world = World::new().await;
    let straight = [
        world.named("a", BY_NAME, OLD),
        world.named("b", BY_NAME, NEW),
    ];
    world.run(&straight, 60).await;
    let exchanged = [
        world.named("a", BY_NAME, NEW),
        world.named("b", BY_NAME, OLD),
    ];
    world.in_hand("b", 300).await;
    world.run(&exchanged, 0).await;
    let trouble = world.row("a").await.progress.trouble.unwrap();
    assert!(trouble.contains("which a worker has in hand"), "{trouble}");
    world.run(&straight, 0).await;
    let progress = world.row("a").await.progress;
    assert_eq!(
        (progress.trouble, progress.not_before, progress.failures),
        (None, None, 0)
    );
    world.have(&straight, 2).await;
}

#[tokio::test]
async fn a_lost_store_takes_the_right_pair_from_where_it_lies() {
    let world = World::new().await;
    let before = [
        world.named("a", BY_NAME, OLD),
        world.named("b", BY_NAME, NEW),
    ];
    world.run(&before, 60).await;
    let world = world.with_lost_store().await;
    let exchanged = [
        world.named("a", BY_NAME, NEW),
        world.named("b", BY_NAME, OLD),
    ];
    for _ in 0..2 {
        world.run(&exchanged, 60).await;
        world.have(&exchanged, 2).await;
    }

    // The names of one certificate are changed, and back.
    let world = World::new().await;
    let first = [world.named("www", BY_NAME, OLD)];
    world.run(&first, 60).await;
    world.run(&[world.named("www", BY_NAME, NEW)], 60).await;
    let world = world.with_lost_store().await;
    for _ in 0..2 {
        world.run(&first, 60).await;
        world.have(&first, 2).await;
    }
}

#[tokio::test]
async fn what_is_revoked_is_not_ordered_anew_under_another_name() {
    for (is_lost, product) in [
        (false, BY_NAME),
        (true, BY_NAME),
        (false, BY_KEY),
        (true, BY_KEY),
    ] {
        let mut world = World::new().await;
        let first = [world.named("www", BY_NAME, OLD)];
        world.run(&first, 60).await;
        let order = ByHand::Revoke {
            reason: RevocationReason::KeyCompromise,
            requestor: "prevalidate".to_owned(),
        };
        world.by_hand(&first, order).await.unwrap();
        world.run(&first, 60).await;
        if is_lost {
            world = world.with_lost_store().await;
        }
        let wanted = [world.named("web", product, OLD)];
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            let hold = world.row("web").await.progress.hold.unwrap();
            assert!(hold.words.contains("which is revoked"), "{}", hold.words);
            assert!(hold.hint.unwrap().contains("issue web --again"));
            assert_eq!(world.ca.held().len(), 1, "{is_lost} {product}");
        }
        world.by_hand(&wanted, ByHand::Again).await.unwrap();
        world.run(&wanted, 60).await;
        world.have(&wanted, 2).await;
    }
}
