//! What becomes of a message that does not arrive, or that several processes are about to send.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::store::NoticeRecord;

fn only(notices: Vec<Notice>) -> Notice {
    let [notice] = &notices[..] else {
        panic!("one message, not {notices:#?}")
    };
    notice.clone()
}

#[tokio::test]
async fn two_processes_on_one_store_tell_once() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("example.ch");
    world.hold(place);
    let notifiers = [(); 8].map(|()| world.telling(Pace::DAEMON, &heard));
    for round in 0..3 {
        let told = futures::future::join_all(
            notifiers
                .iter()
                .map(|notifier| notifier.tell(&world.snapshot)),
        )
        .await;
        assert!(told.into_iter().all(|told| told.unwrap().is_empty()));
        assert_eq!(heard.take().len(), 1, "round {round}");
        world.pass(hours(24));
    }
}

#[tokio::test]
async fn a_message_that_may_have_arrived_is_sent_again_as_it_was() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("example.ch");
    world.hold(place);
    let notifier = world.telling(Pace::DAEMON, &heard);
    heard.fails(Some(Failure::open("the answer was lost")));
    let failed = notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(
        (failed[0].topic, failed[0].error.as_str()),
        (Topic::Held, "the answer was lost")
    );
    let first = only(heard.take());
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(heard.take(), [], "not in a tight loop");
    assert_eq!(
        notifier.open().await.unwrap()[0].error.as_deref(),
        Some("the answer was lost")
    );

    heard.fails(None);
    world.snapshot.entries[place].reason = "it is still so, in other words".into();
    world.pass(SignedDuration::from_mins(1));
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(only(heard.take()), first);
    let open = notifier.open().await.unwrap().remove(0);
    assert_eq!(
        (open.error, open.open[0].name.as_str()),
        (None, "example.ch")
    );
}

#[tokio::test]
async fn what_some_have_is_not_sent_again_and_keeps_nothing_else_from_them() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let (held, lapsed) = (world.add("held.ch"), world.add("lapsed.ch"));
    world.hold(held);
    world.trouble(lapsed).lapsed = true;
    let notifier = world.telling(Pace::DAEMON, &heard);
    heard.fails(Some(Failure::in_part("gone@example.ch: no such user")));
    let failed = notifier.tell(&world.snapshot).await.unwrap();
    assert!(
        matches!(&failed[..], [failed] if !failed.again && failed.error.contains("gone@")),
        "{failed:?}"
    );
    let topics: Vec<_> = heard.take().iter().map(|notice| notice.topic).collect();
    assert_eq!(topics, [Topic::Lapsed, Topic::Held]);
    world.pass(hours(1));
    assert_eq!(notifier.tell(&world.snapshot).await.unwrap(), []);
    assert_eq!(heard.take(), []);
}

#[tokio::test]
async fn what_may_have_been_told_is_told_to_be_over_and_what_certainly_was_not_is_not() {
    for (failure, titles) in [
        (
            Failure::open("the answer was lost"),
            vec!["over: 1 held domain"],
        ),
        (Failure::refused("connection refused"), vec![]),
    ] {
        let (mut world, heard) = (World::new().await, Heard::default());
        let place = world.add("example.ch");
        world.hold(place);
        let notifier = world.telling(Pace::DAEMON, &heard);
        heard.fails(Some(failure));
        notifier.tell(&world.snapshot).await.unwrap();
        heard.take();
        heard.fails(None);
        world.mend();
        world.pass(hours(1));
        notifier.tell(&world.snapshot).await.unwrap();
        assert_eq!(heard.titles(), titles);
        assert!(
            notifier
                .open()
                .await
                .unwrap()
                .iter()
                .all(|open| open.error.is_none() && open.open.is_empty())
        );
    }
}

#[tokio::test]
async fn a_failing_sink_is_asked_less_often_and_delays_no_other_sink() {
    let (mut world, dead, well) = (World::new().await, Heard::default(), Heard::default());
    let place = world.add("example.ch");
    world.hold(place);
    world.trouble(place).failures = 9;
    dead.fails(Some(Failure::open("no answer")));
    let notifier = world.notifier(Pace::DAEMON, vec![sink("dead", &dead), sink("well", &well)]);
    let mut tries = Vec::new();
    for minute in 0..=60 {
        notifier.tell(&world.snapshot).await.unwrap();
        tries.extend(dead.take().iter().map(|_| minute));
        world.pass(SignedDuration::from_mins(1));
    }
    assert_eq!(well.titles(), ["1 held domain", "1 failing renewal"]);
    // Two topics, each by its own waiting times, and never two of them for one snapshot.
    assert_eq!(tries, [0, 1, 2, 3, 4, 6, 8, 11, 18, 21, 38, 41]);
    // A night's run tries at once: the next one may be tomorrow.
    world
        .telling(Pace::NIGHTLY, &Heard::default())
        .tell(&world.snapshot)
        .await
        .unwrap();
    dead.fails(None);
    world
        .notifier(Pace::NIGHTLY, vec![sink("dead", &dead)])
        .tell(&world.snapshot)
        .await
        .unwrap();
    assert_eq!(dead.titles(), ["1 held domain", "1 failing renewal"]);
}

#[tokio::test]
async fn a_sink_that_asks_for_time_gets_it() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("example.ch");
    world.hold(place);
    let notifier = world.telling(Pace::DAEMON, &heard);
    heard.fails(Some(Failure {
        retry_after: Some(Duration::from_secs(3_600)),
        ..Failure::open("busy")
    }));
    notifier.tell(&world.snapshot).await.unwrap();
    world.pass(SignedDuration::from_mins(59));
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(heard.take().len(), 1);
    world.pass(SignedDuration::from_mins(1));
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(heard.take().len(), 1);
}

#[tokio::test]
async fn a_message_of_a_process_that_died_is_sent_by_another_one_with_the_same_id() {
    /// Dies after it has sent.
    struct Dying(Heard);

    #[async_trait]
    impl Carrier for Dying {
        async fn carry(&self, notice: &Notice) -> Result<(), Failure> {
            self.0.carry(notice).await?;
            std::future::pending().await
        }
    }

    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("example.ch");
    world.hold(place);
    let dying = Sink {
        carrier: Box::new(Dying(heard.clone())),
        ..sink("team", &heard)
    };
    let dying = world.notifier(Pace::DAEMON, vec![dying]);
    tokio::select! {
        _ = dying.tell(&world.snapshot) => panic!("it never ends"),
        () = async { while heard.notices.lock().unwrap().is_empty() { tokio::task::yield_now().await } } => {}
    }
    drop(dying);
    let sent = only(heard.take());
    for pace in [Pace::DAEMON, Pace::NIGHTLY] {
        let other = world.telling(pace, &heard);
        other.tell(&world.snapshot).await.unwrap();
        assert_eq!(heard.take(), [], "it may still be alive");
    }
    world.pass(SignedDuration::from_mins(2));
    world
        .telling(Pace::DAEMON, &heard)
        .tell(&world.snapshot)
        .await
        .unwrap();
    assert_eq!(only(heard.take()), sent);
}

#[tokio::test]
async fn an_unreadable_state_is_told_anew() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("example.ch");
    world.hold(place);
    assert!(
        world
            .store
            .claim_notice("team/held", None, "{\"open\": 7}", world.clock.now())
            .await
            .unwrap()
    );
    world
        .telling(Pace::DAEMON, &heard)
        .tell(&world.snapshot)
        .await
        .unwrap();
    assert_eq!(heard.titles(), ["1 held domain"]);
    let records: Vec<NoticeRecord> = world.store.notice_records().await.unwrap();
    assert!(records[0].state.contains("example.ch"), "{records:?}");
}

#[tokio::test]
async fn a_loop_that_makes_snapshots_never_waits_and_the_last_is_told() {
    let (mut world, before, after) = (World::new().await, Heard::default(), Heard::default());
    let place = world.add("example.ch");
    let (snapshots, shown) = watch::channel(None);
    let (notifiers, current) = watch::channel(Arc::new(world.telling(Pace::DAEMON, &before)));
    let ending = CancellationToken::new();
    let task = tokio::spawn(follow(shown, current, ending.clone(), || true));
    snapshots.send_replace(Some(Arc::new(world.snapshot.clone())));
    notifiers.send_replace(Arc::new(world.telling(Pace::DAEMON, &after)));
    world.hold(place);
    (0..1_000).for_each(|_| drop(snapshots.send_replace(Some(Arc::new(world.snapshot.clone())))));
    while after.notices.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    ending.cancel();
    task.await.unwrap();
    assert_eq!(
        (before.titles(), after.titles()),
        (vec![], vec!["1 held domain".to_owned()])
    );
}

#[tokio::test]
async fn neither_a_greedy_sink_nor_a_wrong_clock_puts_a_message_off_for_longer_than_six_hours() {
    for (ahead, greedy) in [
        (0, Duration::from_secs(u64::MAX / 4)),
        (24 * 200, Duration::ZERO),
    ] {
        let (mut world, heard) = (World::new().await, Heard::default());
        let place = world.add("example.ch");
        world.hold(place);
        let notifier = world.telling(Pace::DAEMON, &heard);
        heard.fails(Some(Failure {
            retry_after: Some(greedy),
            ..Failure::refused("busy")
        }));
        world.pass(hours(ahead));
        assert_eq!(notifier.tell(&world.snapshot).await.unwrap().len(), 1);
        world.pass(hours(-ahead));
        heard.fails(None);
        world.pass(hours(6));
        notifier.tell(&world.snapshot).await.unwrap();
        assert_eq!(heard.titles(), ["1 held domain"], "{ahead} h ahead");
    }
}

#[tokio::test]
async fn a_snapshot_of_a_wrong_clock_is_not_told() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("example.ch");
    world.trouble(place).lapsed = true;
    let (snapshots, shown) = watch::channel(None);
    let (_notifiers, current) = watch::channel(Arc::new(world.telling(Pace::DAEMON, &heard)));
    let (ending, asked) = (CancellationToken::new(), Arc::new(Mutex::new(0)));
    let counted = Arc::clone(&asked);
    let task = tokio::spawn(follow(shown, current, ending.clone(), move || {
        *counted.lock().unwrap() += 1;
        false
    }));
    for round in 1..=3 {
        snapshots.send_replace(Some(Arc::new(world.snapshot.clone())));
        while *asked.lock().unwrap() < round {
            tokio::task::yield_now().await;
        }
    }
    ending.cancel();
    task.await.unwrap();
    assert_eq!(heard.take(), []);
}
