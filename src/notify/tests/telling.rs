//! What is reported when.

use super::*;

#[tokio::test]
async fn what_is_wrong_is_told_once_again_after_a_while_and_when_it_is_over() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("example.ch");
    let notifier = world.telling(Pace::DAEMON, &heard);
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(heard.take(), []);

    world.hold(place);
    notifier.tell(&world.snapshot).await.unwrap();
    let notice = heard.take().remove(0);
    assert_eq!(
        (notice.title.as_str(), notice.status),
        ("1 held domain", Status::Open)
    );
    assert_eq!(
        (notice.new[0].name.as_str(), notice.new[0].why.as_deref()),
        ("example.ch", Some("it is so"))
    );
    assert!(
        notice
            .text
            .contains("  example.ch (since 2026-11-22 12:00 UTC): it is so\n"),
        "{}",
        notice.text
    );
    world.pass(hours(23));
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(heard.take(), []);
    world.pass(hours(1));
    notifier.tell(&world.snapshot).await.unwrap();
    let notice = heard.take().remove(0);
    assert_eq!(notice.title, "still 1 held domain");
    assert!(
        notice
            .text
            .contains("Still so:\n  example.ch (since 2026-11-22 12:00 UTC)"),
        "{}",
        notice.text
    );
    world.mend();
    world.pass(hours(1));
    notifier.tell(&world.snapshot).await.unwrap();
    let notice = heard.take().remove(0);
    assert_eq!(
        (notice.title.as_str(), notice.status),
        ("over: 1 held domain", Status::Resolved)
    );
    assert_eq!(notice.resolved[0].name, "example.ch");
    world.pass(hours(100));
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(heard.take(), []);
}

#[tokio::test]
async fn many_domains_are_one_message_that_names_fifty_and_counts_the_rest() {
    let (mut world, heard) = (World::new().await, Heard::default());
    for number in 0..1_000 {
        let place = world.add(&format!("d{number:04}.example.ch"));
        world.hold(place);
    }
    let notifier = world.telling(Pace::DAEMON, &heard);
    notifier.tell(&world.snapshot).await.unwrap();
    let [notice] = &heard.take()[..] else {
        panic!("one message")
    };
    assert_eq!(
        (notice.title.as_str(), notice.new.len(), notice.counts.new),
        ("1000 held domains", 50, 1_000)
    );
    assert!(notice.text.contains("and 950 more\n"), "{}", notice.text);
    assert!(notice.json().to_string().len() < 20_000);
    // One more a moment later waits for others of its kind.
    let place = world.add("late.example.ch");
    world.hold(place);
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(heard.take(), []);
    world.pass(SignedDuration::from_mins(5));
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(heard.titles(), ["1001 held domains (1 new)"]);
}

#[tokio::test]
async fn a_proof_that_comes_nearer_to_its_end_is_never_said_to_be_over_until_it_is() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("example.ch");
    let end = world.snapshot.at + hours(24 * 25);
    world.snapshot.entries[place].usable_until = Some(end);
    let notifier = world.telling(Pace::DAEMON, &heard);
    let mut titles = Vec::new();
    for _ in 0..26 {
        world.pass(hours(24));
        if world.snapshot.at >= end {
            world.snapshot.entries[place].usable_until = None;
            world.trouble(place).lapsed = true;
        }
        notifier.tell(&world.snapshot).await.unwrap();
        titles.extend(
            heard
                .titles()
                .into_iter()
                .filter(|title| !title.starts_with("still")),
        );
    }
    assert_eq!(
        titles,
        [
            "1 proof ends soon",
            "1 proof ends very soon",
            "1 domain is no longer validated"
        ]
    );
    world.mend();
    world.snapshot.entries[place].usable_until = Some(end + hours(24 * 300));
    world.pass(hours(1));
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(heard.titles(), ["over: 1 domain is no longer validated"]);
}

#[tokio::test]
async fn passing_trouble_is_not_told_by_a_daemon_and_is_at_the_end_of_a_night() {
    let (mut world, nightly, daemon) = (World::new().await, Heard::default(), Heard::default());
    let place = world.add("example.ch");
    world.trouble(place).failures = 1;
    let failing = crate::overview::trouble::Failing {
        since: world.snapshot.at,
        error: "no route to it".to_owned(),
    };
    world
        .snapshot
        .troubles
        .unreachable
        .insert(CLIENT.into(), failing);
    let notifier = world.notifier(Pace::DAEMON, vec![sink("daemon", &daemon)]);
    world
        .notifier(Pace::NIGHTLY, vec![sink("night", &nightly)])
        .tell(&world.snapshot)
        .await
        .unwrap();
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(daemon.take(), []);
    assert_eq!(
        nightly.titles(),
        ["1 client whose CA cannot be asked", "1 failing renewal"]
    );
    world.trouble(place).failures = 5;
    world.pass(SignedDuration::from_mins(10));
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(
        daemon.titles(),
        ["1 client whose CA cannot be asked", "1 failing renewal"]
    );
}

#[tokio::test]
async fn the_guard_a_silent_ca_and_foreign_changes_are_told() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("example.ch");
    let notifier = world.telling(Pace::DAEMON, &heard);
    world.snapshot.clients[0].listed_at = Some(world.snapshot.at - hours(27));
    world.snapshot.clients[0].refusal = "4 of 5 registrations are no longer there".to_owned();
    world.snapshot.troubles.inventory = "6 of 12 domains are gone".to_owned();
    world.snapshot.troubles.persistent = "6 of 6 records vanished".to_owned();
    world.trouble(place).others_changed = Some(OthersChanged {
        at: world.snapshot.at,
        what: "gone: \"v=spf1 -all\"".to_owned(),
    });
    notifier.tell(&world.snapshot).await.unwrap();
    let notices = heard.take();
    let titles: Vec<_> = notices.iter().map(|notice| notice.title.as_str()).collect();
    let others = "1 name where foreign TXT values changed";
    assert_eq!(
        titles,
        [
            "3 refusals by the guard",
            "1 client whose CA cannot be asked",
            others
        ]
    );
    assert!(
        notices[0].text.contains("configuration (since"),
        "{}",
        notices[0].text
    );
    assert!(
        notices[1].text.contains("it was last asked 27 hours ago"),
        "{}",
        notices[1].text
    );
    assert_eq!(
        (notices[2].new[0].name.as_str(), notices[2].status),
        ("example.ch", Status::Told)
    );
    // What happened is reported once and is never over; the next time is another time.
    world.pass(hours(24 * 8));
    world.mend();
    world.snapshot.clients[0].refusal.clear();
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(
        heard.titles(),
        [
            "over: 3 refusals by the guard",
            "over: 1 client whose CA cannot be asked"
        ]
    );
    world.trouble(place).others_changed = Some(OthersChanged {
        at: world.snapshot.at,
        what: "new: \"x\"".to_owned(),
    });
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(heard.titles(), [others]);
}

#[tokio::test]
async fn covered_unmanaged_and_withdrawn_domains_raise_no_notice() {
    let (mut world, heard) = (World::new().await, Heard::default());
    for (name, state, covered) in [
        ("a.test", State::Unmanaged, false),
        ("b.test", State::Held, true),
    ] {
        let place = world.add(name);
        world.hold(place);
        let entry = &mut world.snapshot.entries[place];
        (entry.state, entry.covered, entry.usable_until) =
            (state, covered, Some(world.snapshot.at));
    }
    world
        .telling(Pace::NIGHTLY, &heard)
        .tell(&world.snapshot)
        .await
        .unwrap();
    assert_eq!(heard.take(), []);
}

#[tokio::test]
async fn a_sink_hears_of_its_topics_from_its_severity_on() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("example.ch");
    world.hold(place);
    world.trouble(place).lapsed = true;
    let mut only = sink("pager", &heard);
    only.wants.severity = Severity::Critical;
    world
        .notifier(Pace::DAEMON, vec![only])
        .tell(&world.snapshot)
        .await
        .unwrap();
    assert_eq!(heard.titles(), ["1 domain is no longer validated"]);
}

#[tokio::test]
async fn the_summary_comes_once_a_day() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("example.ch");
    world.add("example.com");
    world.hold(place);
    world.snapshot.entries[place].state = State::Held;
    let mut all = sink("team", &heard);
    all.wants.topics = vec![Topic::DailySummary];
    let notifier = world.notifier(Pace::DAEMON, vec![all]);
    let mut days = Vec::new();
    for _ in 0..72 {
        notifier.tell(&world.snapshot).await.unwrap();
        days.extend(heard.take());
        world.pass(hours(1));
    }
    let at: Vec<_> = days
        .iter()
        .map(|notice| notice.at.strftime("%d %H").to_string())
        .collect();
    assert_eq!(at, ["22 12", "23 06", "24 06", "25 06"]);
    assert_eq!(days[0].title, "2 domains: 1 valid, 1 held");
    assert!(
        days[0]
            .text
            .contains("1 held domain:\n  example.ch: it is so"),
        "{}",
        days[0].text
    );
}

#[tokio::test]
async fn foreign_words_are_harmless_and_short() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("xn--dj-kia8a.vu.com");
    world.hold(place);
    let words = format!(
        "\u{1b}[31mred\r\nBcc: all@example.ch\u{202e}{}",
        "x".repeat(5_000)
    );
    world.snapshot.entries[place].reason = words.as_str().into();
    world
        .telling(Pace::NIGHTLY, &heard)
        .tell(&world.snapshot)
        .await
        .unwrap();
    let notice = heard.take().remove(0);
    let why = notice.new[0].why.clone().unwrap();
    assert!(
        why.starts_with("\\u{1b}[31mred Bcc: all@example.ch\\u{202e}xxx")
            && why.chars().count() == 301,
        "{why}"
    );
    assert_eq!(
        notice
            .text
            .lines()
            .filter(|line| line.contains("Bcc"))
            .count(),
        1,
        "{}",
        notice.text
    );
    assert!(
        notice.text.contains("déjà.vu.com (xn--dj-kia8a.vu.com)"),
        "{}",
        notice.text
    );
}

/// The clock of a machine was months ahead, everything was reported, and the clock was set right
/// (faults T02).
#[tokio::test]
async fn a_notice_of_a_wrong_clock_suppresses_no_later_notice() {
    let (mut world, heard) = (World::new().await, Heard::default());
    let place = world.add("example.ch");
    let late = world.add("late.example.ch");
    world.hold(place);
    let mut all = sink("team", &heard);
    all.wants.topics.push(Topic::DailySummary);
    let notifier = world.notifier(Pace::DAEMON, vec![all]);
    world.pass(hours(24 * 200));
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(
        heard.take().len(),
        2,
        "a domain that is held, and a summary"
    );
    world.pass(hours(-24 * 200));
    world.hold(late);
    notifier.tell(&world.snapshot).await.unwrap();
    let notices = heard.take();
    let titles: Vec<_> = notices.iter().map(|notice| notice.title.as_str()).collect();
    assert_eq!(titles, ["2 held domains (1 new)", "2 domains: 2 valid"]);
    assert_eq!(
        notices[0].still[0].since,
        Some(world.clock.now()),
        "not since next year"
    );
    notifier.tell(&world.snapshot).await.unwrap();
    assert_eq!(heard.take(), []);
}
