//! What may block a renewal, and what may never be used for one.

use super::*;
use crate::certificates::PrivateKey;
use crate::issuance::progress::HoldKind;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn revoke() -> ByHand {
    ByHand::Revoke {
        reason: RevocationReason::KeyCompromise,
        requestor: "prevalidate".to_owned(),
    }
}

fn key(world: &World, version: u32) -> PrivateKey {
    let directory = world.folder.path().join("certificates");
    let folder = Folder::at(&directory, "joe", Access::default());
    folder.key(version).unwrap().unwrap()
}

#[tokio::test]
async fn a_revocation_that_is_refused_is_told_and_the_renewal_goes_on() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let words = "the certificate is unknown".to_owned();
    let refusal = Way::Refused(Failure::Refused, words.clone());
    world.ca.next(Verb::Revoke, refusal);
    world.by_hand(&wanted, revoke()).await.unwrap();
    world.run(&wanted, 60).await;
    let progress = world.row("joe").await.progress;
    let told = progress.refused_revocation(world.clock.now());
    assert_eq!(told.unwrap().words, words);

    world.clock.advance(DAY * 70);
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    assert_eq!(
        world.ca.count(Verb::Revoke),
        1,
        "not asked for again by itself"
    );
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 3);

    // A person has what is held tried again: the old certificate is revoked, the new one is not.
    world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    world.run(&wanted, 60).await;
    let progress = world.row("joe").await.progress;
    assert_eq!(progress.revocation, None);
    assert_eq!(progress.installed.unwrap().revoked_at, None);
    assert_eq!(world.ca.held()[0].decided, Some(OrderState::Revoked));
}

#[tokio::test]
async fn a_deploy_program_that_never_succeeds_stops_no_renewal() {
    let world = World::new().await;
    let mut one = world.certificate("joe");
    one.wanted.deploys = true;
    let script = "exit 7".to_owned();
    one.deploy = vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
    let wanted = [one];
    for version in 1..=3 {
        world.run(&wanted, 60).await;
        assert_eq!(world.live("joe").unwrap().version, version);
        assert!(world.row("joe").await.progress.deployment.is_some());
        world.clock.advance(DAY * 70);
    }
}

#[tokio::test]
async fn the_history_has_the_program_that_told_servers_and_never_its_arguments() {
    let world = World::new().await;
    let mut one = world.certificate("joe");
    one.wanted.deploys = true;
    let arguments = ["-c", "exit 0", "canary-4711-abcdef"];
    one.deploy = vec!["/bin/sh".to_owned()];
    one.deploy.extend(arguments.map(str::to_owned));
    world.run(&[one], 60).await;
    let events = world.store.orders().certificate_history("joe").await;
    let events = events.unwrap();
    let deployed = events.iter().find(|event| event.kind == "deployed");
    assert_eq!(deployed.unwrap().detail, "/bin/sh");
    assert!(!format!("{events:?}").contains("canary"));
}

#[tokio::test]
async fn an_order_is_followed_at_the_ca_that_has_it_after_a_change_of_ca() {
    let world = World::new().await;
    let other = Arc::new(InMemory::new(Arc::clone(&world.clock) as Arc<dyn Clock>).unwrap());
    let selector = ClientSelector::Reference(CLIENT.to_owned());
    let target = Target::new("other", selector);
    let fact = reference_fact(&target.key);
    world.store.set_fact(&fact, CLIENT).await.unwrap();
    world.keep("example.ch", &target).await;
    let mut one = world.certificate("joe");
    world.ca.change(|ca| ca.becomes = OrderState::Working);
    world.run(std::slice::from_ref(&one), 10).await;
    world.ca.change(|ca| ca.becomes = OrderState::Issued);

    (one.ca, one.client) = ("other".to_owned(), Some(target));
    one.wanted.print = "second".to_owned();
    let wanted = [one];
    let run = |seconds| {
        let (world, other, wanted) = (&world, &other, &wanted);
        async move {
            world.want(wanted).await;
            let ca = Arc::clone(&world.ca) as Arc<dyn Issuing>;
            let mut issuer = world.issuer(ca, wanted.to_vec());
            let new = Arc::clone(other) as Arc<dyn Issuing>;
            issuer.ports.issuers.insert("other".to_owned(), new);
            let over = CancellationToken::new();
            over.cancel();
            let deadline = world.clock.now() + SignedDuration::from_secs(seconds);
            issuer.run(deadline, &over).await.unwrap();
            issuer
        }
    };
    run(60).await;
    let abouts = |ca: &InMemory, verb| {
        let calls = ca.calls().into_iter();
        calls.filter(|call| call.verb == verb).count()
    };
    assert_eq!(abouts(&world.ca, Verb::Fetch), 1, "the old order came home");
    assert_eq!((world.ca.held().len(), other.held().len()), (1, 1));
    let installed = world.row("joe").await.progress.installed.unwrap();
    assert_eq!((installed.version, &*installed.ca), (2, "other"));

    // And back: what the other CA issued is revoked there.
    let mut back = world.certificate("joe");
    back.wanted.print = "second".to_owned();
    world.want(std::slice::from_ref(&back)).await;
    let issuer = run(1).await;
    issuer.by_hand("joe", revoke()).await.unwrap().unwrap();
    run(60).await;
    assert_eq!(abouts(&other, Verb::Revoke), 1);
    assert_eq!(abouts(&world.ca, Verb::Revoke), 0);
}

#[tokio::test]
async fn a_certificate_that_is_due_at_its_birth_is_held_and_not_renewed_for_ever() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.backdated = DAY * 80);
    for _ in 0..3 {
        world.run(&wanted, 600).await;
        let hold = world.row("joe").await.progress.hold.unwrap();
        assert_eq!(hold.kind, HoldKind::Short);
        assert_eq!(world.live("joe").unwrap().version, 1, "it is in use");
        assert_eq!(world.ca.held().len(), 1);
        world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    }
    world.ca.change(|ca| ca.backdated = SignedDuration::ZERO);
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 600).await;
    assert_eq!(world.ca.held().len(), 2);
    assert_eq!(world.row("joe").await.progress.hold, None);
}

#[tokio::test]
async fn a_certificate_that_only_came_late_is_renewed_once_and_then_held() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.life = DAY * 6);
    let late = || async {
        for _ in 0..3 {
            world.ca.next(Verb::Fetch, Way::AnswerLost);
        }
        world.run(&wanted, 600).await;
        world.clock.advance(DAY * 5);
    };
    late().await;
    // The run fetches the late one, and renews it at once.
    world.run(&wanted, 600).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    assert_eq!(world.row("joe").await.progress.hold, None);
    assert_eq!(world.ca.held().len(), 2);
}

#[tokio::test]
async fn a_key_is_used_again_only_while_it_may_be() {
    let world = World::new().await;
    let mut one = world.certificate("joe");
    one.wanted.keeps_key = true;
    let mut wanted = [one];
    world.run(&wanted, 60).await;
    world.clock.advance(DAY * 70);
    world.run(&wanted, 60).await;
    let print = |version| key(&world, version).fingerprint();
    assert_eq!(print(1), print(2), "as the configuration wants it");

    // Another kind is wanted.
    wanted[0].key = KeySource::Made(KeyKind::EcdsaP384);
    wanted[0].wanted.print = "second".to_owned();
    world.run(&wanted, 60).await;
    assert_eq!(key(&world, 3).kind(), Some(KeyKind::EcdsaP384));

    // Revoked.
    world.by_hand(&wanted, revoke()).await.unwrap();
    world.run(&wanted, 60).await;
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 60).await;
    assert_ne!(print(3), print(4));

    // Unreadable: nothing is ordered on another key in silence.
    let path = world
        .folder
        .path()
        .join("certificates/joe/0004/privkey.pem");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, "nonsense").unwrap();
    let before = world.ca.held().len();
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 60).await;
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert_eq!(hold.kind, HoldKind::Key);
    assert!(hold.words.contains("privkey.pem"), "{}", hold.words);
    assert_eq!(world.ca.held().len(), before);
    std::fs::write(&path, whole).unwrap();
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(print(4), print(5));
}

#[tokio::test]
async fn a_local_step_lifts_no_pause_of_an_account() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.want(&wanted).await;
    let issuer = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, wanted.to_vec());
    let now = world.clock.now();
    let names = ["joe".to_owned()];
    let claim = CertificateClaim {
        holder: "test/1",
        home: "here",
        also_of: None,
        only: Some(&names),
        except_cas: &[],
        now,
        lease: LEASE,
    };
    let lease = world.store.orders().claim_certificate(&claim).await;
    let mut task = Task::new(&issuer, lease.unwrap().unwrap());
    let refused = CaError::new(Failure::Unauthenticated, "wrong password");
    task.refused("memory", &refused);
    task.stepped();
    assert!(issuer.pauses.until("memory", now).is_some());
    assert_eq!(issuer.refusing_accounts().len(), 1);
    task.answered("memory");
    assert!(issuer.pauses.until("memory", now).is_none());
    assert_eq!(issuer.refusing_accounts().len(), 0);
}

#[tokio::test]
async fn an_account_that_is_not_configured_any_more_holds_its_order_and_does_not_spin() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.next(Verb::Fetch, Way::AnswerLost);
    let ca = Arc::clone(&world.ca) as Arc<dyn Issuing>;
    world.want(&wanted).await;
    let issuer = world.issuer(ca, wanted.to_vec());
    let over = CancellationToken::new();
    over.cancel();
    // The certificate is issued, and its fetch failed once.
    issuer.run(world.clock.now(), &over).await.unwrap();
    let mut issuer = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, wanted.to_vec());
    issuer.ports.issuers.clear();
    let deadline = world.clock.now() + SignedDuration::from_secs(60);
    issuer.run(deadline, &over).await.unwrap();
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert!(hold.words.contains("[ca.memory]"), "{}", hold.words);
}

#[tokio::test]
async fn a_wait_that_a_wrong_clock_made_up_holds_no_renewal_back() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    world.clock.advance(DAY * 400);
    let words = "the token is from the future".to_owned();
    let refusal = Way::Refused(Failure::Unavailable, words);
    world.ca.next(Verb::Preflight, refusal);
    world.run(&wanted, 0).await;
    let waits = world.row("joe").await.progress.not_before;
    assert!(waits > Some(world.clock.now()), "{waits:?}");
    world.clock.advance(-(DAY * 400));
    world.clock.advance(DAY * 70);
    world.run(&wanted, 600).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
}
