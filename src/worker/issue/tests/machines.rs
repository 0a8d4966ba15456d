//! Several workers, and several machines, on one store.

use super::*;

#[tokio::test]
async fn two_workers_at_once_make_one_order_for_each_certificate() {
    let world = World::new().await;
    let wanted: Vec<_> = (0..8)
        .map(|n| world.certificate(&format!("c{n}")))
        .collect();
    world.want(&wanted).await;
    let over = CancellationToken::new();
    over.cancel();
    let deadline = world.clock.now() + SignedDuration::from_secs(60);
    let ca = || Arc::clone(&world.ca) as Arc<dyn Issuing>;
    let [one, two] = [(); 2].map(|()| world.issuer(ca(), wanted.clone()));
    let (a, b) = tokio::join!(one.run(deadline, &over), two.run(deadline, &over));
    a.unwrap();
    b.unwrap();
    assert_eq!(world.ca.held().len(), wanted.len());
    for one in &wanted {
        assert!(world.live(&one.wanted.name).is_some());
    }
}

#[tokio::test]
async fn another_directory_leaves_an_order_alone_that_it_has_no_key_for() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.becomes = OrderState::Working);
    world.run(&wanted, 10).await;
    let mut there = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, wanted.to_vec());
    there.options.home = "there".to_owned();
    there.options.directory = world.folder.path().join("there");
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    let over = CancellationToken::new();
    over.cancel();
    let deadline = world.clock.now() + SignedDuration::from_secs(60);
    there.run(deadline, &over).await.unwrap();
    assert!(!world.folder.path().join("there").exists());
    world.run(&wanted, 60).await;
    assert_eq!(
        (world.ca.held().len(), world.live("joe").is_some()),
        (1, true)
    );
}

#[tokio::test]
async fn another_directory_takes_over_only_what_no_worker_works_on() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let mut there = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, wanted.to_vec());
    there.options.home = "there".to_owned();
    there.options.directory = world.folder.path().join("there");
    let orders = world.store.orders();
    let names = ["joe".to_owned()];
    orders
        .wake_certificates(&names, world.clock.now())
        .await
        .unwrap();
    let claim = CertificateClaim {
        holder: "test/1",
        home: "here",
        also_of: None,
        only: None,
        except_cas: &[],
        now: world.clock.now(),
        lease: LEASE,
    };
    let lease = orders.claim_certificate(&claim).await.unwrap().unwrap();
    let again = || there.by_hand("joe", ByHand::Again);
    let why = again().await.unwrap().unwrap_err();
    assert!(why.to_string().contains("another process"), "{why}");
    assert!(why.may_pass, "a moment later it is free");
    assert_eq!(world.row("joe").await.home.as_deref(), Some("here"));
    // The worker that had it continues as if nothing had been.
    let write = crate::store::orders::CertificateWrite {
        fence: lease.fence.clone(),
        progress: lease.row.progress,
        due_at: None,
        events: Vec::new(),
        release: true,
    };
    orders.commit_certificate(&write).await.unwrap();
    let other = orders.move_certificate(&lease.fence, "there").await;
    assert!(matches!(other, Err(StoreError::CertificateLost(_))));
    again().await.unwrap().unwrap();
    assert_eq!(world.row("joe").await.home.as_deref(), Some("there"));
    let over = CancellationToken::new();
    over.cancel();
    let deadline = world.clock.now() + SignedDuration::from_secs(60);
    there.run(deadline, &over).await.unwrap();
    assert!(world.folder.path().join("there/joe/current").exists());
    assert_eq!(world.ca.held().len(), 2);
}

#[tokio::test]
async fn a_thousand_quiet_certificates_cost_no_call() {
    let world = World::new().await;
    let wanted: Vec<_> = (0..1_000)
        .map(|n| world.certificate(&format!("c{n}")))
        .collect();
    world.want(&wanted).await;
    let orders = world.store.orders();
    let installed = crate::issuance::progress::Installed {
        ca: "memory".to_owned(),
        version: 1,
        serial: "1".to_owned(),
        issuer: String::new(),
        not_before: world.clock.now(),
        not_after: world.clock.now() + SignedDuration::from_hours(24 * 90),
        names: Vec::new(),
        fingerprint: String::new(),
        print: "first".to_owned(),
        reference: "ord-1".to_owned(),
        certificate: None,
        at: world.clock.now(),
        revoked_at: None,
        paid_until: None,
        has_key: None,
    };
    for _ in 0..wanted.len() {
        let claim = CertificateClaim {
            holder: "test/1",
            home: "elsewhere",
            also_of: None,
            only: None,
            except_cas: &[],
            now: world.clock.now(),
            lease: LEASE,
        };
        let lease = orders.claim_certificate(&claim).await.unwrap().unwrap();
        let write = crate::store::orders::CertificateWrite {
            fence: lease.fence,
            progress: crate::issuance::Progress {
                installed: Some(installed.clone()),
                ..Default::default()
            },
            due_at: Some(installed.not_after - SignedDuration::from_hours(24 * 30)),
            events: Vec::new(),
            release: true,
        };
        orders.commit_certificate(&write).await.unwrap();
    }
    world.run(&wanted, 600).await;
    assert_eq!(world.ca.calls(), []);
}

/// The store was brought back, and the other machine ordered first.
#[tokio::test]
async fn what_only_the_folder_here_knows_is_told_although_another_machine_keeps_it() {
    for is_open in [true, false] {
        let mut world = World::new().await;
        let wanted = [world.certificate("joe")];
        if is_open {
            world.ca.change(|ca| ca.becomes = OrderState::Working);
        }
        world.run(&wanted, 10).await;
        world.store = World::new().await.store;
        world.want(&wanted).await;
        let ca = Arc::clone(&world.ca) as Arc<dyn Issuing>;
        let mut there = world.issuer(ca, wanted.to_vec());
        there.options.home = "there".to_owned();
        there.options.directory = world.folder.path().join("there");
        world.ca.change(|ca| ca.becomes = OrderState::Issued);
        let over = CancellationToken::new();
        over.cancel();
        let deadline = world.clock.now() + SignedDuration::from_secs(60);
        there.run(deadline, &over).await.unwrap();
        assert_eq!(world.ca.held().len(), 2);
        let ca = Arc::clone(&world.ca) as Arc<dyn Issuing>;
        let here = world.issuer(ca, wanted.to_vec());
        let (row, now) = (world.row("joe").await, world.clock.now());
        let said = here.unknown_here(&row, now).await.unwrap().unwrap();
        let what = if is_open { "an order" } else { "a certificate" };
        assert!(said.contains(what), "{said}");
        assert_eq!(there.unknown_here(&row, now).await.unwrap(), None);
    }
}
