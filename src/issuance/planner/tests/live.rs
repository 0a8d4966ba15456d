//! What is in the place that servers read, orders by hand, and records of orders that wait.

use super::*;

#[test]
fn damage_is_mended_where_the_ca_has_it_and_a_foreign_pair_is_left_alone() {
    let by = |progress: &Progress, live: &Live| {
        let observed = Observed {
            wanted: Some(&wanted()),
            progress,
            live,
            proofs: &Proofs::Enough,
            is_fresh: false,
        };
        next_step(observed, now()).step
    };
    let with = |one: Installed, change: &dyn Fn(&mut Progress)| {
        let mut progress = Progress {
            installed: Some(one),
            ..Progress::default()
        };
        change(&mut progress);
        progress
    };
    let damaged = |key| Live::Damaged {
        why: "fullchain.pem is empty".to_owned(),
        key,
    };
    let foreign = Live::Foreign {
        why: "cert.pem is another certificate".to_owned(),
    };
    let unknown = || Installed {
        reference: String::new(),
        ..installed()
    };
    let renewing = |one: &mut Progress| {
        one.order = Some(Order {
            reference: Some("ord-2".to_owned()),
            submitted_at: Some(now()),
            ..order()
        });
    };
    let other = |one: &mut Progress| one.installed.as_mut().unwrap().print = "other".to_owned();
    let hold = |one: &mut Progress| {
        one.hold = Some(Hold {
            since: now(),
            kind: HoldKind::Refused,
            words: "refused".to_owned(),
            hint: None,
            print: "one".to_owned(),
        });
    };
    for (what, progress, live, expected) in [
        (
            "whole",
            with(installed(), &|_| {}),
            damaged(Some(1)),
            Step::Repair,
        ),
        ("due", with(due(), &|_| {}), damaged(Some(1)), Step::Repair),
        (
            "held",
            with(installed(), &hold),
            damaged(Some(1)),
            Step::Repair,
        ),
        (
            "without a key",
            with(installed(), &|_| {}),
            damaged(None),
            Step::Held,
        ),
        (
            "of no order",
            with(unknown(), &|_| {}),
            damaged(Some(1)),
            Step::Held,
        ),
        (
            "renewed",
            with(installed(), &renewing),
            damaged(Some(1)),
            Step::Read,
        ),
        (
            "foreign",
            with(installed(), &|_| {}),
            foreign.clone(),
            Step::Held,
        ),
        (
            "foreign, due",
            with(due(), &|_| {}),
            foreign.clone(),
            Step::Held,
        ),
        (
            "foreign, other",
            with(installed(), &other),
            foreign.clone(),
            Step::Held,
        ),
        (
            "foreign, again",
            with(installed(), &|one| one.again = true),
            foreign,
            Step::Key,
        ),
    ] {
        assert_eq!(by(&progress, &live), expected, "{what}");
    }
}

#[test]
fn what_was_ordered_by_hand_is_renewed_by_nothing() {
    let name = "csr-0123456789abcdef".to_owned();
    let by_hand = Wanted { name, ..wanted() };
    for (one, words) in [
        (due(), "nothing renews it"),
        (installed(), "nothing renews it"),
    ] {
        let progress = Progress {
            installed: Some(one),
            ..Progress::default()
        };
        let observed = Observed {
            wanted: Some(&by_hand),
            progress: &progress,
            live: &Live::Unknown,
            proofs: &Proofs::Enough,
            is_fresh: true,
        };
        let decision = next_step(observed, now());
        assert_eq!((decision.step, decision.at), (Step::Rest, Timestamp::MAX));
        assert!(decision.why.contains(words), "{}", decision.why);
        assert!(!decision.why.contains("renewed then"), "{}", decision.why);
    }
}

#[test]
fn each_run_checks_the_records_that_the_ca_checks_later() {
    let later = now() + SignedDuration::from_hours(24);
    let record = |state| crate::issuance::progress::Record {
        owner: "_dnsauth.example.ch".to_owned(),
        state,
        stood_at: Some(now()),
        ..Default::default()
    };
    let with = |records: Vec<_>| Progress {
        order: Some(Order {
            reference: Some("7".to_owned()),
            submitted_at: Some(now()),
            last_read_at: Some(now()),
            next_read_at: Some(later),
            next_read_is_from_ca: true,
            records,
            ..order()
        }),
        ..Progress::default()
    };
    let next = |progress: &Progress, is_fresh| {
        let observed = Observed {
            wanted: Some(&wanted()),
            progress,
            live: &Live::Nothing,
            proofs: &Proofs::Enough,
            is_fresh,
        };
        let decision = next_step(observed, now());
        (decision.step, decision.at)
    };
    let visible = with(vec![record(RecordState::Visible)]);
    assert_eq!(next(&visible, true), (Step::Watch, now()));
    let hour = now() + SignedDuration::from_hours(1);
    assert_eq!(next(&visible, false), (Step::Watch, hour));
    assert_eq!(next(&with(Vec::new()), true), (Step::Read, later));
    let gone = with(vec![record(RecordState::Published)]);
    assert_eq!(next(&gone, false).0, Step::Publish);
}
