//! The planner at a CA that begins a validation by a start, keeps the proof meanwhile, and carries
//! the order out over minutes or days.

#![allow(clippy::unwrap_used)]

mod ended;

use super::*;
use crate::prevalidation::upkeep::{Submission, Upkeep, Visibility};
use crate::prevalidation::{
    Counts, DomainName, Order, OrderState, Progress, Proof, RecordType, Status, absorb,
};

const DAY: i64 = 24 * 60;

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    after(now(), SignedDuration::from_mins(-minutes))
}

fn policy() -> Policy {
    Policy {
        start_keeps_proof: Some(true),
        checks_by_itself: true,
        ..Policy::new(Mode::Manage)
    }
}

fn name() -> DomainName {
    DomainName::from_a_labels("example.ch").unwrap()
}

fn cname(label: &str) -> Challenge {
    let owner = format!("{label}.example.ch");
    Challenge::cname(&name(), &owner, "b2.sectigo.com", Counts::Published).unwrap()
}

fn entry(challenge: &Challenge, state: LedgerState) -> LedgerEntry {
    LedgerEntry {
        state,
        published_at: Some(ago(5)),
        ..LedgerEntry::intended(
            7,
            (&name()).into(),
            &challenge.owner,
            &challenge.data,
            "p",
            ago(5),
        )
    }
}

fn order(state: OrderState, id: &str) -> Order {
    Order {
        id: Some(id.to_owned()),
        state,
        submitted_at: Some(ago(1)),
        last_check: None,
        next_check: None,
    }
}

fn boxed(state: OrderState, id: &str) -> Box<Order> {
    Box::new(order(state, id))
}

/// The proof of such a row.
fn proof(validated_days_ago: i64) -> Option<Proof> {
    registration(Some(validated_days_ago))
        .proof
        .map(|proof| *proof)
}

/// A row of the CA: valid for this many days, or never validated.
fn registration(validated_days_ago: Option<i64>) -> Registration {
    let status = validated_days_ago.map_or(Status::NotValidated, |_| Status::Valid);
    Registration {
        proof: validated_days_ago.map(|days| {
            Box::new(Proof {
                validated_at: Some(ago(days * DAY)),
                ..Proof::default()
            })
        }),
        ..Registration::bare("example.ch", name(), status)
    }
}

fn observed(registration: Registration, upkeep: Upkeep) -> Observed {
    Observed {
        domain: name(),
        desired: true,
        covered_by: None,
        has_provider: true,
        sighting: Sighting::Present(registration),
        read_at: Some(now()),
        upkeep,
        ledger: Vec::new(),
    }
}

fn begun(challenge: &Challenge, renews: Option<Proof>) -> Upkeep {
    let mut upkeep = Upkeep::default();
    upkeep.restart(ago(10), renews);
    upkeep.attempt.take(challenge, None);
    upkeep
}

fn submitted(challenge: &Challenge, renews: Option<Proof>) -> Upkeep {
    let mut upkeep = begun(challenge, renews);
    upkeep.attempt.visibility = Visibility {
        visible_at: Some(ago(3)),
        seen_at: Some(ago(1)),
        ..Visibility::default()
    };
    upkeep.attempt.submission = Submission {
        tries: 1,
        submitted_at: Some(ago(1)),
        order: Some("77".to_owned()),
        next_read_at: Some(after(now(), SignedDuration::from_mins(30))),
        reads: 1,
    };
    upkeep
}

fn step(seen: &Observed) -> &'static str {
    let decision = next_step(seen, &policy(), now());
    if decision.is_due(now()) {
        decision.step.as_str()
    } else {
        "wait"
    }
}

#[test]
fn a_start_gives_the_record_and_the_order_is_submitted_once() {
    let mut seen = observed(registration(None), Upkeep::default());
    assert_eq!(
        step(&seen),
        "start",
        "no challenge came with the registration"
    );
    let wanted = cname("_a1");
    seen.upkeep = begun(&wanted, None);
    let decision = next_step(&seen, &policy(), now());
    let Step::Publish { challenge } = decision.step else {
        panic!("{decision:?}");
    };
    assert_eq!(*challenge, wanted, "the CA's list need not show it");
    seen.ledger = vec![entry(&wanted, LedgerState::Published)];
    assert_eq!(step(&seen), "look");
    (
        seen.upkeep.attempt.visibility.visible_at,
        seen.upkeep.attempt.visibility.seen_at,
    ) = (Some(ago(3)), Some(now()));
    assert_eq!(step(&seen), "validate");
    seen.upkeep = submitted(&wanted, None);
    let decision = next_step(&seen, &policy(), now());
    assert_eq!(
        (decision.step.as_str(), decision.at),
        ("read", seen.upkeep.attempt.submission.next_read_at.unwrap())
    );
}

#[test]
fn a_renewal_begins_without_a_preflight_and_leaves_the_proof_alone() {
    let seen = observed(registration(Some(195)), Upkeep::default());
    assert_eq!(step(&seen), "start");
    let resting = observed(registration(Some(10)), Upkeep::default());
    let decision = next_step(&resting, &policy(), now());
    assert!(decision.step == Step::Start && decision.at > now());
}

#[test]
fn a_cname_that_was_replaced_goes_before_the_next_one_at_its_name() {
    let at = |label: &str, target: &str| {
        let owner = format!("{label}.example.ch");
        Challenge::cname(&name(), &owner, target, Counts::Published).unwrap()
    };
    let old = at("_dnsauth", "a1.dcv.example.net");
    for (next, expected) in [
        (at("_dnsauth", "b2.dcv.example.net"), "remove"),
        (at("_other", "b2.dcv.example.net"), "publish"),
    ] {
        let mut seen = observed(registration(None), begun(&next, None));
        seen.ledger = vec![entry(&old, LedgerState::Published)];
        assert_eq!(step(&seen), expected);
        // The older value could not be removed yet, so the next one has no place.
        seen.ledger[0].removal_tries = 5;
        seen.ledger[0].retry_at = Some(after(now(), SignedDuration::from_mins(5)));
        let expected = if expected == "remove" {
            "wait"
        } else {
            expected
        };
        assert_eq!(step(&seen), expected);
    }
}

#[test]
fn a_challenge_that_lies_outside_the_domain_or_is_too_old_is_not_published() {
    let mut outside = cname("_a1");
    outside.owner = (&DomainName::from_a_labels("example.org").unwrap()).into();
    let seen = observed(registration(None), begun(&outside, None));
    assert_eq!(step(&seen), "start");
    let old = cname("_a1").dated(Some(ago(29 * DAY)), Some(ago(-DAY)));
    let mut seen = observed(registration(None), begun(&old, None));
    seen.upkeep.attempt.since = Some(ago(29 * DAY));
    assert_eq!(step(&seen), "start");
    let mut taken = observed(registration(None), submitted(&old, None));
    taken.ledger = vec![entry(&old, LedgerState::Published)];
    assert_eq!(step(&taken), "wait", "the CA may check at any moment");
}

#[test]
fn valid_and_submitted_right_after_the_submission_is_no_success() {
    let wanted = cname("_a1");
    let proof = proof(195);
    let mut upkeep = submitted(&wanted, proof.clone());
    let mut found = registration(Some(195));
    (found.challenge, found.order) = (
        Some(Box::new(wanted.clone())),
        Some(boxed(OrderState::Submitted, "77")),
    );
    let reuse = policy().reuse;
    for age in [0, 60, DAY] {
        let later = after(now(), SignedDuration::from_mins(age));
        assert_eq!(
            absorb(&mut upkeep, &found, &reuse, later),
            Progress::None,
            "{age}"
        );
    }
    let mut row = registration(Some(195));
    (row.is_summary, row.order) = (true, Some(boxed(OrderState::Submitted, "77")));
    assert_eq!(absorb(&mut upkeep, &row, &reuse, now()), Progress::None);
    assert_eq!(
        upkeep.attempt.challenge,
        Some(wanted),
        "a list takes nothing away"
    );
    assert_eq!(
        absorb(&mut upkeep, &registration(Some(0)), &reuse, now()),
        Progress::Won
    );
}

#[test]
fn a_second_proof_of_one_day_is_told_by_its_order() {
    let wanted = cname("_a1");
    let day: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
    let mut found = registration(Some(0));
    found.proof.as_mut().unwrap().validated_at = Some(day);
    let reuse = policy().reuse;
    let upkeep = submitted(&wanted, found.proof.as_deref().cloned());
    for (id, last_check, next_check, won) in [
        ("77", None, None, false),
        ("77", Some(ago(2)), None, true),
        ("77", Some(now()), Some(ago(-60)), false),
        ("76", Some(now()), None, false),
        ("77", Some(now()), None, true),
    ] {
        found.order = Some(Box::new(Order {
            last_check,
            next_check,
            ..order(OrderState::Submitted, id)
        }));
        let progress = absorb(&mut upkeep.clone(), &found, &reuse, now());
        assert_eq!(progress == Progress::Won, won, "{:?}", found.order);
    }
    found.order = None;
    let progress = absorb(&mut upkeep.clone(), &found, &reuse, now());
    assert_eq!(progress, Progress::Won, "the order is over");
}

#[test]
fn a_rejected_order_or_one_that_is_gone_is_begun_anew_and_its_record_goes_first() {
    let wanted = cname("_a1");
    let reuse = policy().reuse;
    let rejected = {
        let mut found = registration(Some(195));
        found.order = Some(boxed(OrderState::Rejected, "77"));
        found.last_words = Some("CAA forbids it".to_owned());
        found
    };
    for (found, progress) in [
        (rejected, Progress::Rejected("CAA forbids it".to_owned())),
        (registration(Some(195)), Progress::OrderGone),
    ] {
        let mut upkeep = submitted(&wanted, proof(195));
        assert_eq!(absorb(&mut upkeep, &found, &reuse, now()), progress);
        let mut seen = observed(found, upkeep);
        seen.ledger = vec![entry(&wanted, LedgerState::Published)];
        assert_eq!(step(&seen), "remove");
        seen.ledger.clear();
        assert_eq!(step(&seen), "start");
    }
}

#[test]
fn an_order_that_another_hand_began_is_gone_on_with_and_a_leftover_is_not() {
    let wanted = cname("_a1");
    let mut found = registration(None);
    (found.challenge, found.order) = (
        Some(Box::new(wanted.clone())),
        Some(boxed(OrderState::Submitted, "12")),
    );
    assert_eq!(step(&observed(found.clone(), Upkeep::default())), "publish");
    found.order.as_mut().unwrap().state = OrderState::Begun;
    assert_eq!(step(&observed(found, Upkeep::default())), "publish");
    let mut leftover = registration(Some(195));
    (leftover.challenge, leftover.order) = (
        Some(Box::new(wanted)),
        Some(boxed(OrderState::Submitted, "12")),
    );
    leftover.order.as_mut().unwrap().submitted_at = Some(ago(196 * DAY));
    assert_eq!(step(&observed(leftover, Upkeep::default())), "start");
}

#[test]
fn a_record_that_a_colleague_had_replaced_is_taken_over() {
    let mut upkeep = submitted(&cname("_a1"), None);
    let mut found = registration(None);
    (found.challenge, found.order) = (
        Some(Box::new(cname("_a2"))),
        Some(boxed(OrderState::Submitted, "78")),
    );
    let progress = absorb(&mut upkeep, &found, &policy().reuse, now());
    assert_eq!(progress, Progress::TokenReplaced);
    assert_eq!(upkeep.attempt.challenge, Some(cname("_a2")));
    assert_eq!(
        (
            upkeep.attempt.submission.next_read_at,
            upkeep.attempt.submission.tries
        ),
        (None, 0)
    );
}

#[test]
fn while_an_order_is_taken_it_is_only_read_and_the_interval_grows() {
    let wanted = cname("_a1");
    let mut seen = observed(registration(Some(195)), submitted(&wanted, None));
    seen.ledger = vec![entry(&wanted, LedgerState::Published)];
    let mut at = now();
    seen.upkeep.attempt.submission.next_read_at = None;
    let mut waits = Vec::new();
    for _ in 0..14 {
        seen.upkeep
            .attempt
            .submission
            .wait_for_ca(None, policy().poll, at);
        seen.upkeep.attempt.visibility.seen_at = Some(at);
        for minutes in [0, 1, 5, 61, 12 * 60] {
            let later = after(at, SignedDuration::from_mins(minutes));
            let step = next_step(&seen, &policy(), later).step;
            assert!(
                matches!(step, Step::Read | Step::Check { .. }),
                "{minutes}: {step:?}"
            );
        }
        let next_read_at = seen.upkeep.attempt.submission.next_read_at.unwrap();
        waits.push(next_read_at.duration_since(at));
        at = next_read_at;
    }
    assert!(waits.is_sorted(), "{waits:?}");
    assert_eq!(waits[0], SignedDuration::from_secs(10));
    assert!(*waits.last().unwrap() <= SignedDuration::from_hours(6));
    let named = after(at, SignedDuration::from_hours(2));
    seen.upkeep
        .attempt
        .submission
        .wait_for_ca(Some(named), policy().poll, at);
    assert_eq!(
        seen.upkeep.attempt.submission.next_read_at,
        Some(named),
        "the CA's own moment"
    );
}

#[test]
fn a_ledger_entry_where_an_alias_leads_is_the_record_of_the_challenge() {
    let owner = "_pki-validation.example.ch";
    let wanted = Challenge::txt(&name(), owner, "v", Counts::BySubmit).unwrap();
    let mut seen = observed(registration(None), begun(&wanted, None));
    let mut there = entry(&wanted, LedgerState::Published);
    there.owner = "x.validation.example.net".to_owned();
    assert_eq!(there.kind, RecordType::Txt);
    seen.ledger = vec![there];
    assert_eq!(step(&seen), "look");
}
