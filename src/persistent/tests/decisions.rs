//! The planner and the guard.

use jiff::{SignedDuration, Timestamp};

use crate::persistent::guard::{LEAVING, Tally, VANISHED, alarm, hint, shrunk};
use crate::persistent::planner::waits_for_canary;
use crate::persistent::{
    Decision, End, Kept, KeptHold, KeptRecord, KeptState, Seen, Step, Surroundings, Wanted,
    next_step,
};
use crate::prevalidation::DomainName;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn now() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

fn wanted() -> Wanted {
    Wanted {
        domain: DomainName::from_a_labels("example.ch").unwrap(),
        issuer: "ca.example".into(),
        account: "https://ca.example/1".into(),
        end: End::Rolling {
            life: DAY * 100,
            replace_before: DAY * 30,
        },
        wildcard: false,
        provider: None,
        canary: DAY,
        is_canary: true,
    }
}

fn record(state: KeptState, until: Timestamp) -> KeptRecord {
    KeptRecord {
        owner: "_validation-persist.example.ch".into(),
        value: format!("v{}", until.as_second()),
        account: "https://ca.example/1".into(),
        wildcard: false,
        until,
        provider: "dns".into(),
        zone: None,
        ttl_before: None,
        state,
        foreign: false,
        by_others: false,
        created_at: now(),
        published_at: Some(now()),
        visible_at: None,
        change_id: None,
        is_displaced: false,
        retry_at: None,
    }
}

fn kept(records: Vec<KeptRecord>) -> Kept {
    Kept {
        records,
        ..Kept::default()
    }
}

fn decided(wanted: Option<&Wanted>, kept: &Kept, seen: &[Option<Seen>]) -> Decision {
    let around = Surroundings {
        seen,
        poll: SignedDuration::from_secs(10),
        ..Surroundings::default()
    };
    next_step(wanted, kept, &around, now())
}

#[test]
fn a_record_is_published_checked_confirmed_and_left_alone() {
    let wanted = wanted();
    let until = now() + DAY * 100;
    let at = |state, seen: Option<Seen>| {
        decided(Some(&wanted), &kept(vec![record(state, until)]), &[seen]).step
    };
    assert_eq!(
        decided(Some(&wanted), &Kept::default(), &[]).step,
        Step::Publish
    );
    assert_eq!(at(KeptState::Intended, None), Step::Write(0));
    assert_eq!(at(KeptState::Published, None), Step::Check(0));
    assert_eq!(at(KeptState::Published, Some(Seen::Gone)), Step::Rest);
    assert_eq!(
        at(KeptState::Published, Some(Seen::Everywhere)),
        Step::Confirm(0)
    );
    assert_eq!(at(KeptState::Visible, None), Step::Check(0));
    assert_eq!(at(KeptState::Visible, Some(Seen::Everywhere)), Step::Rest);
    assert_eq!(at(KeptState::Visible, Some(Seen::Gone)), Step::PutBack(0));
    let unclear = Seen::Unclear("ns1 is stale".into());
    assert_eq!(at(KeptState::Visible, Some(unclear)), Step::Rest);
}

#[test]
fn the_old_record_goes_when_the_new_one_is_visible_and_not_before() {
    let wanted = wanted();
    let old = record(KeptState::Visible, now() + DAY * 29);
    let one = kept(vec![old.clone()]);
    assert_eq!(
        decided(Some(&wanted), &one, &[Some(Seen::Everywhere)]).step,
        Step::Publish
    );
    let new = |state| record(state, now() + DAY * 100);
    for (state, seen, step) in [
        (KeptState::Intended, None, Step::Write(1)),
        (KeptState::Published, Some(Seen::Gone), Step::Rest),
        (
            KeptState::Published,
            Some(Seen::Everywhere),
            Step::Confirm(1),
        ),
        (KeptState::Visible, None, Step::Check(1)),
        (KeptState::Visible, Some(Seen::Everywhere), Step::Remove(0)),
    ] {
        let both = kept(vec![old.clone(), new(state)]);
        let decision = decided(Some(&wanted), &both, &[Some(Seen::Everywhere), seen]);
        assert_eq!(decision.step, step, "{state:?}");
    }
}

#[test]
fn an_account_that_changes_again_costs_the_unseen_record_never_the_one_that_counts() {
    let mut wanted = wanted();
    wanted.account = "https://ca.example/3".into();
    let old = record(KeptState::Visible, now() + DAY * 90);
    let mut unseen = record(KeptState::Published, now() + DAY * 95);
    unseen.account = "https://ca.example/2".into();
    let both = kept(vec![old.clone(), unseen]);
    assert_eq!(
        decided(Some(&wanted), &both, &[None, None]).step,
        Step::Remove(1)
    );
    assert_eq!(
        decided(Some(&wanted), &kept(vec![old]), &[None]).step,
        Step::Publish
    );
}

#[test]
fn what_is_not_wanted_goes_and_is_forgotten() {
    let both = kept(vec![
        record(KeptState::Visible, now() + DAY),
        record(KeptState::Removing, now() + DAY * 90),
    ]);
    assert_eq!(decided(None, &both, &[]).step, Step::Remove(1));
    assert_eq!(decided(None, &Kept::default(), &[]).step, Step::Forget);
    let mut withdrawn = both;
    withdrawn.withdrawn_at = Some(now());
    assert_eq!(
        decided(Some(&wanted()), &withdrawn, &[]).step,
        Step::Remove(1)
    );
    withdrawn.records.clear();
    assert_eq!(decided(Some(&wanted()), &withdrawn, &[]).step, Step::Rest);
}

#[test]
fn an_until_that_is_over_or_too_far_waits_for_a_person() {
    let mut wanted = wanted();
    wanted.end = End::Fixed(now() - DAY);
    assert_eq!(
        decided(Some(&wanted), &Kept::default(), &[]).step,
        Step::Hold("ended")
    );
    let ended = kept(vec![record(KeptState::Visible, now() - DAY)]);
    assert_eq!(
        decided(Some(&wanted), &ended, &[None]).step,
        Step::Remove(0)
    );
    wanted.end = End::Fixed("2500-01-01T00:00:00Z".parse().unwrap());
    let decision = decided(Some(&wanted), &Kept::default(), &[]);
    assert_eq!(decision.step, Step::Hold("too-far"));
    let why = decision.why.as_str();
    assert!(why.contains("2500-01-01"), "{why}");
}

#[test]
fn caa_holds_a_new_record_and_leaves_a_published_one() {
    let wanted = wanted();
    let current = kept(vec![record(KeptState::Visible, now() + DAY * 90)]);
    let around = |seen| Surroundings {
        seen,
        caa: Some("CAA forbids it"),
        ..Surroundings::default()
    };
    let decision = next_step(Some(&wanted), &Kept::default(), &around(&[]), now());
    assert_eq!(
        (decision.step, decision.why.as_str()),
        (Step::Hold("caa"), "CAA forbids it")
    );
    let seen = [Some(Seen::Gone)];
    let decision = next_step(Some(&wanted), &current, &around(&seen), now());
    assert_eq!(decision.step, Step::PutBack(0));
}

#[test]
fn a_failure_puts_writes_off_and_no_check() {
    let wanted = wanted();
    let mut failing = kept(vec![record(KeptState::Intended, now() + DAY * 90)]);
    failing.not_before = Some(now() + DAY);
    assert_eq!(decided(Some(&wanted), &failing, &[None]).step, Step::Rest);
    failing.records[0].state = KeptState::Published;
    assert_eq!(
        decided(Some(&wanted), &failing, &[None]).step,
        Step::Check(0)
    );
}

#[test]
fn the_guard_speaks_of_many_and_lets_few_be_put_back() {
    for (vanished, current, speaks) in [
        (0, 0, false),
        (1, 1, false),
        (3, 3, false),
        (4, 4, true),
        (4, 5, false),
        (4, 20, false),
        (7, 20, true),
        (20, 20, true),
    ] {
        let tally = Tally {
            affected: vanished,
            known: current,
            refused_since: None,
        };
        assert_eq!(
            [alarm(tally).is_some(), shrunk(tally).is_some()],
            [speaks; 2],
            "{vanished} of {current}"
        );
        // What was refused stays refused, however few are left.
        let refused = Tally {
            refused_since: Some(now() - DAY),
            ..tally
        };
        assert_eq!(
            [alarm(refused).is_some(), shrunk(refused).is_some()],
            [vanished > 0; 2],
            "{vanished} of {current}"
        );
    }
    let four = Tally {
        affected: 4,
        known: 4,
        refused_since: None,
    };
    assert_eq!(
        alarm(four).unwrap(),
        "4 of 4 persistent records vanished from DNS, so none is put back (the guard refuses all of \
         fewer than 10 records, or more than 30 % of them, from 4 on)"
    );
    let one = Tally {
        affected: 1,
        refused_since: Some(now()),
        ..four
    };
    assert_eq!(
        shrunk(one).unwrap(),
        "1 of 4 persistent records are no longer in the configuration, so none is removed (refused \
         since 2026-11-30T12:00:00Z)"
    );
    let wanted = wanted();
    let around = Surroundings {
        seen: &[Some(Seen::Gone)],
        guard: Some("many vanished"),
        ..Surroundings::default()
    };
    let current = kept(vec![record(KeptState::Visible, now() + DAY * 90)]);
    let decision = next_step(Some(&wanted), &current, &around, now());
    assert_eq!(decision.step, Step::Hold("vanished"));
}

#[test]
fn one_domain_changes_first_and_a_new_account_has_its_own_canary() {
    let canary = wanted();
    let mut other = wanted();
    (other.domain, other.is_canary) = (DomainName::from_a_labels("other.ch").unwrap(), false);
    let (mut first, second) = (Kept::default(), Kept::default());
    let waits = |first: &Kept, second: &Kept, other: &Wanted| {
        waits_for_canary(other, &[(&canary, first), (other, second)], now())
    };
    assert!(waits_for_canary(&canary, &[], now()).is_none());
    let wait = waits(&first, &second, &other).unwrap();
    let why = wait.why;
    assert!(why.contains("example.ch") && why.contains("24 h"), "{why}");
    assert_eq!(wait.until, now() + DAY);
    first.account = Some((canary.account.clone(), now() - DAY / 2));
    first.records = vec![record(KeptState::Visible, now() + DAY * 90)];
    let wait = waits(&first, &second, &other).unwrap();
    assert_eq!(wait.until, now() + DAY / 2);
    first.account = Some((canary.account.clone(), now() - DAY));
    assert!(waits(&first, &second, &other).is_none());
    let mut moved = other.clone();
    moved.account = "https://ca.example/2".into();
    assert!(waits(&first, &second, &moved).is_some());
    moved.canary = SignedDuration::ZERO;
    assert!(waits(&first, &second, &moved).is_none());
}

#[test]
fn a_canary_that_is_withdrawn_or_was_away_lets_no_domain_follow() {
    let canary = wanted();
    let mut other = wanted();
    (other.domain, other.is_canary) = (DomainName::from_a_labels("other.ch").unwrap(), false);
    let mut first = kept(vec![record(KeptState::Visible, now() + DAY * 90)]);
    first.account = Some((canary.account.clone(), now() - DAY * 3));
    let nothing = Kept::default();
    let waits =
        |first: &Kept| waits_for_canary(&other, &[(&canary, first), (&other, &nothing)], now());
    assert!(waits(&first).is_none());
    let mut withdrawn = first.clone();
    withdrawn.withdrawn_at = Some(now() - DAY * 3);
    let why = waits(&withdrawn).unwrap().why;
    assert!(why.contains("example.ch, which is withdrawn"), "{why}");
    withdrawn.records.clear();
    assert!(waits(&withdrawn).is_some());
    let mut missing = first.clone();
    missing.missing_since = Some(now());
    assert!(waits(&missing).is_some());
    let mut back = first.clone();
    back.put_back_at = Some(now() - DAY / 4);
    assert_eq!(waits(&back).unwrap().until, now() + DAY * 3 / 4);
    first.records[0].state = KeptState::Published;
    assert!(waits(&first).is_some());
}

#[test]
fn the_hint_of_the_guard_says_when_force_removes_records() {
    assert!(hint(true, false).contains("puts them back"));
    assert!(!hint(true, false).contains("REMOVES"));
    assert!(hint(false, true).contains("--force` REMOVES"));
    assert!(!hint(false, true).contains("puts them back"));
    let both = hint(true, true);
    assert!(
        both.contains("puts them back") && both.contains("REMOVES"),
        "{both}"
    );
}

#[test]
fn nothing_is_waited_for_while_a_record_with_a_fixed_end_is_visible() {
    let mut wanted = wanted();
    let until = now() + DAY * 9;
    wanted.end = End::Fixed(until);
    let current = kept(vec![record(KeptState::Visible, until)]);
    let decision = decided(Some(&wanted), &current, &[Some(Seen::Everywhere)]);
    assert_eq!((decision.step, decision.at), (Step::Rest, until));
}

#[test]
fn a_record_is_published_where_the_alias_leads_now_and_then_leaves_the_old_place() {
    let wanted = wanted();
    let until = now() + DAY * 100;
    let old = record(KeptState::Visible, until);
    let moved = |kept: &Kept, seen: &[Option<Seen>], place| {
        let around = Surroundings {
            seen,
            place,
            poll: SignedDuration::from_secs(10),
            ..Surroundings::default()
        };
        next_step(Some(&wanted), kept, &around, now())
    };
    let one = kept(vec![old.clone()]);
    let gone = [Some(Seen::Gone)];
    for (place, step) in [
        (None, Step::PutBack(0)),
        (Some("_validation-persist.example.ch"), Step::PutBack(0)),
        (Some("x.example.net"), Step::Publish),
    ] {
        assert_eq!(moved(&one, &gone, place).step, step, "{place:?}");
    }
    let why = moved(&one, &gone, Some("x.example.net")).why;
    assert_eq!(
        why.as_str(),
        "the alias leads to x.example.net now, and the record is at _validation-persist.example.ch"
    );
    // The one that was visible stays until its successor is.
    for (state, seen, step) in [
        (KeptState::Intended, None, Step::Write(1)),
        (
            KeptState::Published,
            Some(Seen::Everywhere),
            Step::Confirm(1),
        ),
        (KeptState::Visible, Some(Seen::Everywhere), Step::Remove(0)),
    ] {
        let mut new = record(state, until);
        new.owner = "x.example.net".into();
        let both = kept(vec![old.clone(), new]);
        let seen = [Some(Seen::Gone), seen];
        assert_eq!(
            moved(&both, &seen, Some("x.example.net")).step,
            step,
            "{state:?}"
        );
    }
}

fn around<'a>(
    seen: &'a [Option<Seen>],
    guard: Option<&'a str>,
    shrunk: Option<&'a str>,
) -> Surroundings<'a> {
    Surroundings {
        seen,
        guard,
        shrunk,
        ..Surroundings::default()
    }
}

#[test]
fn what_the_guard_keeps_away_stays_away_while_it_refuses() {
    let wanted = wanted();
    let mut held = kept(vec![record(KeptState::Visible, now() + DAY * 90)]);
    let hold = |kind: &str| KeptHold {
        since: now() - DAY,
        kind: kind.to_owned(),
        words: "many".to_owned(),
    };
    held.hold = Some(hold(VANISHED));
    let gone = [Some(Seen::Gone)];
    let unclear = [Some(Seen::Unclear("no server answers".into()))];
    let there = [Some(Seen::Everywhere)];
    let step = |kept: &Kept, seen: &[Option<Seen>], guard| {
        next_step(Some(&wanted), kept, &around(seen, guard, None), now()).step
    };
    for (seen, with_guard, without) in [
        (&gone, Step::Hold(VANISHED), Step::PutBack(0)),
        (&unclear, Step::Hold(VANISHED), Step::Rest),
        (&there, Step::Rest, Step::Rest),
    ] {
        assert_eq!(step(&held, seen, Some("many")), with_guard, "{seen:?}");
        assert_eq!(step(&held, seen, None), without, "{seen:?}");
    }
    // Neither does a successor come in its place, now or at a later pass.
    held.records[0].until = now() + DAY;
    assert_eq!(step(&held, &gone, None), Step::Publish);
    assert_eq!(step(&held, &unclear, Some("many")), Step::Hold(VANISHED));
    held.hold = None;
    assert_eq!(step(&held, &gone, Some("many")), Step::Hold(VANISHED));
    assert_eq!(step(&held, &there, Some("many")), Step::Publish);

    let leaves =
        |kept: &Kept, shrunk| next_step(None, kept, &around(&[], None, shrunk), now()).step;
    let mut leaving = kept(vec![record(KeptState::Visible, now() + DAY * 90)]);
    assert_eq!(leaves(&leaving, Some("many")), Step::Hold(LEAVING));
    assert_eq!(leaves(&leaving, None), Step::Remove(0));
    // A person who withdraws it has answered.
    leaving.withdrawn_at = Some(now());
    assert_eq!(leaves(&leaving, Some("many")), Step::Remove(0));
    let removing = kept(vec![record(KeptState::Removing, now() + DAY * 90)]);
    assert_eq!(leaves(&removing, Some("many")), Step::Remove(0));
}

#[test]
fn a_persons_word_ends_every_wait() {
    let mut sleeping = kept(vec![record(KeptState::Removing, now() + DAY * 90)]);
    assert!(!sleeping.sleeps());
    sleeping.not_before = Some(now() + DAY);
    assert!(sleeping.sleeps());
    sleeping.wake();
    assert!(!sleeping.sleeps());
    sleeping.records[0].retry_at = Some(now() + DAY);
    assert!(sleeping.sleeps());
    sleeping.wake();
    assert!(!sleeping.sleeps());
}
