//! The states of records, and the texts for them.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::persistent::End;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn now() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

fn wanted(end: End) -> Wanted {
    Wanted {
        domain: DomainName::from_a_labels("example.ch").unwrap(),
        issuer: "ca.example".into(),
        account: "https://ca.example/1".into(),
        end,
        wildcard: false,
        provider: None,
        canary: SignedDuration::ZERO,
        is_canary: true,
    }
}

fn row(until: Timestamp) -> PersistentRow {
    let record = KeptRecord {
        owner: "_validation-persist.example.ch".into(),
        value: "value".into(),
        account: "https://ca.example/1".into(),
        wildcard: false,
        until,
        provider: "dns".into(),
        zone: None,
        ttl_before: None,
        state: KeptState::Visible,
        foreign: false,
        by_others: false,
        created_at: now(),
        published_at: Some(now()),
        visible_at: Some(now()),
        change_id: None,
        is_displaced: false,
        retry_at: None,
    };
    PersistentRow {
        domain: DomainName::from_a_labels("example.ch").unwrap(),
        issuer: "ca.example".into(),
        kept: Kept {
            records: vec![record],
            account: Some(("https://ca.example/1".into(), now())),
            verified_at: Some(now()),
            ..Kept::default()
        },
    }
}

#[test]
fn a_record_that_no_run_has_begun_waits() {
    let end = End::Fixed(now() + DAY * 100);
    let views = views(&[wanted(end)], &[], now());
    assert_eq!(views[0].state, PersistentState::Waiting);
    assert!(!views[0].needs_attention() && !views[0].is_settled());
}

#[test]
fn a_fixed_end_that_is_near_is_told_in_words_that_tables_shorten() {
    let until = now() + DAY * 9;
    let views = views(&[wanted(End::Fixed(until))], &[row(until)], now());
    assert_eq!(views[0].state, PersistentState::Visible);
    assert_eq!(
        crate::text::cause(&views[0].reason, now()),
        "it ends in 9 d and has no successor"
    );
}

#[test]
fn a_record_that_was_withdrawn_and_is_still_in_dns_is_no_good_state() {
    let until = now() + DAY * 100;
    let wanted = [wanted(End::Fixed(until))];
    let mut row = row(until);
    assert!(!views(&wanted, std::slice::from_ref(&row), now())[0].needs_attention());
    row.kept.withdrawn_at = Some(now());
    for wanted in [&wanted[..], &wanted[..0]] {
        let view = &views(wanted, std::slice::from_ref(&row), now())[0];
        assert_eq!(view.gravity, Gravity::Warning);
        assert!(view.reason.contains("still in DNS"), "{}", view.reason);
    }
    row.kept.records.clear();
    let view = &views(&wanted, &[row], now())[0];
    assert_eq!(
        (view.state, view.gravity),
        (PersistentState::Withdrawn, Gravity::Ok)
    );
}

#[test]
fn a_record_that_does_not_become_visible_is_reported() {
    let until = now() + DAY * 100;
    let mut one = row(until);
    let record = &mut one.kept.records[0];
    (record.state, record.visible_at) = (KeptState::Published, None);
    one.kept.account = None;
    one.kept.verified_at = None;
    one.kept.waits_for = Some("waits for d1 (stale)".into());
    let hour = SignedDuration::from_hours(1);
    let of = |row: &PersistentRow, age: SignedDuration| {
        let views = views(
            &[wanted(End::Fixed(until))],
            std::slice::from_ref(row),
            now() + age,
        );
        views[0].clone()
    };
    for by_others in [false, true] {
        one.kept.records[0].by_others = by_others;
        let words = match by_others {
            false => "waits for d1 (stale); the first run for it was on 2026-11-30T12:00:00Z",
            true => {
                "a foreign writer writes its zone: `prevalidate records` prints the record; \
                 the first run for it was on 2026-11-30T12:00:00Z"
            }
        };
        for (age, gravity) in [
            (hour, Gravity::Ok),
            (hour + SignedDuration::from_secs(1), Gravity::Warning),
            (hour * 48, Gravity::Warning),
            (hour * 49, Gravity::Critical),
            (DAY * 90, Gravity::Critical),
        ] {
            let view = of(&one, age);
            assert_eq!(view.gravity, gravity, "{age}");
            assert_eq!(view.reason == words, gravity != Gravity::Ok, "{view:?}");
        }
    }
    // A person that withdrew it, or is stopped by the guard or by CAA, is told the reason.
    one.kept.withdrawn_at = Some(now());
    assert!(!of(&one, DAY * 90).reason.contains("first run"));
}

#[test]
fn what_was_visible_for_long_and_is_gone_is_critical_after_two_days_and_not_at_once() {
    let until = now() + DAY * 100;
    let mut one = row(until);
    let record = &mut one.kept.records[0];
    (record.state, record.created_at) = (KeptState::Published, now() - DAY * 100);
    one.kept.missing_since = Some(now());
    for by_others in [false, true] {
        one.kept.records[0].by_others = by_others;
        for (age, gravity) in [
            (SignedDuration::ZERO, Gravity::Warning),
            (DAY * 2, Gravity::Warning),
            (DAY * 3, Gravity::Critical),
        ] {
            let wanted = [wanted(End::Fixed(until))];
            let view = &views(&wanted, std::slice::from_ref(&one), now() + age)[0];
            assert_eq!(view.gravity, gravity, "{age}");
            assert!(!view.reason.contains("first run"), "{}", view.reason);
        }
    }
}

#[test]
fn a_successor_that_does_not_become_visible_is_a_warning_while_the_old_one_counts() {
    let until = now() + DAY * 100;
    let mut one = row(until);
    let mut coming = one.kept.records[0].clone();
    (coming.state, coming.visible_at) = (KeptState::Published, None);
    coming.account = "https://ca.example/2".into();
    one.kept.records.push(coming);
    one.kept.waits_for = Some("waits for d1 (stale)".into());
    let moved = Wanted {
        account: "https://ca.example/2".into(),
        ..wanted(End::Fixed(until))
    };
    let later = now() + SignedDuration::from_hours(3);
    one.kept.verified_at = Some(later);
    let view = &views(&[moved], &[one], later)[0];
    assert_eq!(
        (view.state, view.gravity),
        (PersistentState::Replacing, Gravity::Warning)
    );
    let words = "its successor is not visible yet: waits for d1 (stale); the first run";
    assert!(view.reason.starts_with(words), "{}", view.reason);
}
