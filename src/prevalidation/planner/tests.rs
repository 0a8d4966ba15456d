//! The decisions of the planner, case by case.

#![allow(clippy::unwrap_used)]

mod harm;

use super::*;
use crate::prevalidation::upkeep::{Attempt, Submission, Upkeep, Visibility};
use crate::prevalidation::{DomainName, Hold, Proof, RecordType, Status, Token};

const VALUE: &str = "swiss-pki=AAAAAAAAAAAAAAAAAAAA";

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    after(now(), SignedDuration::from_mins(-minutes))
}

const DAY: i64 = 24 * 60;

fn registration(validated: Option<Timestamp>, token_made: Timestamp) -> Registration {
    let status = validated.map_or(Status::Pending, |_| Status::Valid);
    Registration {
        proof: validated.map(|at| {
            Box::new(Proof {
                validated_at: Some(at),
                ..Proof::default()
            })
        }),
        token: Some(Box::new(Token {
            value: VALUE.to_owned(),
            created_at: Some(token_made),
            expires_at: Some(after(token_made, SignedDuration::from_hours(30 * 24))),
            expired: false,
        })),
        ..Registration::bare("cld-1", name(), status)
    }
}

fn name() -> DomainName {
    DomainName::from_a_labels("example.ch").unwrap()
}

fn entry(value: &str, state: LedgerState) -> LedgerEntry {
    LedgerEntry {
        id: 7,
        key: name().into(),
        owner: "example.ch".to_owned(),
        kind: RecordType::Txt,
        value: value.to_owned(),
        provider: "p".to_owned(),
        zone: None,
        state,
        ttl_before: Some(3600),
        negative_ttl: None,
        created_at: ago(5),
        published_at: Some(ago(5)),
        removal_tries: 0,
        retry_at: None,
    }
}

fn observed(sighting: Sighting) -> Observed {
    Observed {
        domain: name(),
        desired: true,
        covered_by: None,
        has_provider: true,
        sighting,
        read_at: Some(now()),
        upkeep: Upkeep::default(),
        ledger: Vec::new(),
    }
}

fn pending() -> Observed {
    observed(Sighting::Present(registration(None, ago(10))))
}

fn step_of(seen: &Observed) -> &'static str {
    let decision = next_step(seen, &Policy::new(Mode::Manage), now());
    if decision.is_due(now()) {
        decision.step.as_str()
    } else {
        "wait"
    }
}

#[test]
fn a_life_goes_one_step_at_a_time() {
    let mut seen = observed(Sighting::Unread);
    assert_eq!(step_of(&seen), "read");
    seen.sighting = Sighting::Absent;
    assert_eq!(step_of(&seen), "register");
    seen = pending();
    assert_eq!(step_of(&seen), "publish");
    seen.ledger = vec![entry(VALUE, LedgerState::Intended)];
    assert_eq!(step_of(&seen), "publish", "an intent proves nothing");
    seen.ledger = vec![entry(VALUE, LedgerState::Published)];
    assert_eq!(step_of(&seen), "look");
    (
        seen.upkeep.attempt.visibility.visible_at,
        seen.upkeep.attempt.visibility.seen_at,
    ) = (Some(now()), Some(now()));
    assert_eq!(step_of(&seen), "wait", "it settles");
    (
        seen.upkeep.attempt.visibility.visible_at,
        seen.upkeep.attempt.visibility.seen_at,
    ) = (Some(ago(2)), Some(ago(2)));
    assert_eq!(step_of(&seen), "look", "seen too long ago");
    seen.upkeep.attempt.visibility.seen_at = Some(now());
    assert_eq!(step_of(&seen), "validate");
    seen.sighting = Sighting::Present(registration(Some(now()), ago(10)));
    assert_eq!(step_of(&seen), "remove");
    seen.ledger.clear();
    assert_eq!(step_of(&seen), "wait", "until the renewal");
}

#[test]
fn a_proof_that_ends_within_a_day_of_a_success_is_renewed_while_it_counts() {
    let end = after(now(), SignedDuration::from_hours(16));
    let mut found = registration(Some(ago(10 * DAY)), ago(20 * DAY));
    found.proof.as_mut().unwrap().expires_at = Some(end);
    let mut seen = observed(Sighting::Present(found));
    seen.upkeep.past.proved_at = Some(now());
    let policy = Policy::new(Mode::Manage);
    let decision = next_step(&seen, &policy, now());
    assert_eq!(decision.at, after(now(), SignedDuration::from_hours(8)));
    assert!(!decision.is_due(now()), "no new cycle at once");
}

#[test]
fn a_lost_answer_is_read_before_anything_else() {
    let mut seen = pending();
    seen.upkeep.calls.unanswered = Some(Effect::Validate);
    assert_eq!(step_of(&seen), "read");
    seen.sighting = Sighting::Missing(registration(None, ago(10)));
    seen.upkeep.calls.unanswered = None;
    assert_eq!(
        step_of(&seen),
        "read",
        "missing in a list is no proof of absence"
    );
}

#[test]
fn a_renewal_proves_write_access_before_it_risks_the_proof() {
    let mut seen = observed(Sighting::Present(registration(
        Some(ago(195 * DAY)),
        ago(196 * DAY),
    )));
    assert_eq!(step_of(&seen), "preflight");
    seen.upkeep.preflight_at = Some(ago(11));
    assert_eq!(step_of(&seen), "preflight", "that was too long ago");
    seen.upkeep.preflight_at = Some(ago(9));
    assert_eq!(step_of(&seen), "renew");
    seen.has_provider = false;
    assert_eq!(
        step_of(&seen),
        "hold",
        "without a provider nothing is risked"
    );
}

#[test]
fn a_token_that_a_colleague_asked_for_is_used_instead_of_another_reset() {
    let seen = observed(Sighting::Present(registration(
        Some(ago(195 * DAY)),
        ago(60),
    )));
    assert_eq!(step_of(&seen), "publish");
}

#[test]
fn the_ca_is_asked_after_5_15_and_60_minutes_at_the_horizon_and_every_6_hours() {
    let policy = Policy::new(Mode::Manage);
    let mut seen = pending();
    seen.ledger = vec![entry(VALUE, LedgerState::Published)];
    let visible = ago(0);
    let minutes = |tries: u32, submitted: i64| {
        let upkeep = Upkeep {
            attempt: Attempt {
                visibility: Visibility {
                    visible_at: Some(visible),
                    seen_at: Some(visible),
                    horizon_at: Some(after(visible, SignedDuration::from_hours(4))),
                    ..Visibility::default()
                },
                submission: Submission {
                    submitted_at: (tries > 0)
                        .then(|| after(visible, SignedDuration::from_mins(submitted))),
                    tries,
                    ..Submission::default()
                },
                ..Attempt::default()
            },
            ..Upkeep::default()
        };
        let seen = Observed {
            upkeep,
            ..seen.clone()
        };
        next_step(&seen, &policy, now())
            .at
            .duration_since(visible)
            .as_mins()
    };
    assert_eq!(minutes(0, 0), 1);
    assert_eq!(minutes(1, 1), 6);
    assert_eq!(minutes(2, 6), 16);
    assert_eq!(minutes(3, 16), 61);
    assert_eq!(minutes(4, 61), 240);
    assert_eq!(minutes(5, 240), 600);
    assert_eq!(minutes(1, 50), 61, "what was missed is not made up for");
    assert_eq!(minutes(2, 59), 64, "never closer than five minutes");
    assert_eq!(minutes(1, 24 * 60), 30 * 60, "no worker ran for a day");
}

#[test]
fn what_a_resolver_remembers_moves_the_next_try_within_the_horizon_and_the_budget() {
    let policy = Policy::new(Mode::Manage);
    let visible = ago(0);
    let minutes = |tries: u32, submitted: i64, cached: i64| {
        let at = |minutes| after(visible, SignedDuration::from_mins(minutes));
        let mut seen = pending();
        seen.ledger = vec![entry(VALUE, LedgerState::Published)];
        seen.upkeep = Upkeep {
            attempt: Attempt {
                visibility: Visibility {
                    visible_at: Some(visible),
                    seen_at: Some(visible),
                    horizon_at: Some(at(120)),
                    cached_until: Some(at(cached)),
                    ..Visibility::default()
                },
                submission: Submission {
                    submitted_at: (tries > 0).then(|| at(submitted)),
                    tries,
                    ..Submission::default()
                },
                ..Attempt::default()
            },
            ..Upkeep::default()
        };
        let decision = next_step(&seen, &policy, now());
        (
            decision.at.duration_since(visible).as_mins(),
            decision
                .why
                .to_string()
                .contains("a resolver has forgotten"),
        )
    };
    assert_eq!(
        minutes(0, 0, 50),
        (1, false),
        "the CA's cache may be empty: the first try is never late"
    );
    assert_eq!(
        minutes(1, 1, 50),
        (50, true),
        "asked before, it would say the same"
    );
    assert_eq!(
        minutes(3, 16, 30),
        (30, true),
        "earlier than the schedule has it"
    );
    assert_eq!(
        minutes(2, 6, 7),
        (11, true),
        "and never closer than five minutes"
    );
    assert_eq!(
        minutes(1, 1, 999),
        (120, true),
        "no cache remembers longer than the horizon"
    );
    assert_eq!(
        minutes(2, 6, 6),
        (16, false),
        "what was remembered until the last try is no reason any more"
    );
    assert_eq!(
        minutes(5, 125, 999),
        (485, false),
        "nor is anything after the horizon"
    );
}

#[test]
fn a_person_who_withdraws_a_value_is_obeyed_until_a_person_says_otherwise() {
    let mut seen = pending();
    seen.upkeep.withdrawn_at = Some(ago(60));
    seen.upkeep.calls.unanswered = Some(Effect::Validate);
    seen.ledger = vec![entry(VALUE, LedgerState::Published)];
    assert_eq!(step_of(&seen), "remove");
    seen.upkeep.setback.hold = Some(Hold {
        since: ago(60),
        reason: "by hand".to_owned(),
        again_at: ago(-300),
    });
    assert_eq!(
        step_of(&seen),
        "remove",
        "a hold does not keep the value in DNS"
    );
    seen.ledger = vec![entry(VALUE, LedgerState::Foreign)];
    seen.upkeep.setback.hold = None;
    let held = next_step(&seen, &Policy::new(Mode::Manage), now());
    assert_eq!(held.step, Step::Hold);
    let why = held.why.to_string();
    assert!(
        why.contains("2026-11-22 11:00 UTC") && why.contains("--domain example.ch"),
        "{why}"
    );
    for token_made in [ago(26 * DAY), ago(31 * DAY)] {
        seen.sighting = Sighting::Present(registration(None, token_made));
        assert_eq!(step_of(&seen), "hold", "its token is left alone, too");
    }
    seen.upkeep.restart(now(), None);
    assert_eq!(
        seen.upkeep.withdrawn_at,
        Some(ago(60)),
        "a new token changes nothing about it"
    );
}

#[test]
fn a_dying_token_is_replaced_and_an_expired_domain_starts_with_a_reset() {
    assert_eq!(
        step_of(&observed(Sighting::Present(registration(
            None,
            ago(26 * DAY)
        )))),
        "reset"
    );
    assert_eq!(
        step_of(&observed(Sighting::Present(registration(
            None,
            ago(24 * DAY)
        )))),
        "publish"
    );
    let mut expired = registration(Some(ago(300 * DAY)), ago(301 * DAY));
    expired.status = Status::Expired;
    assert_eq!(step_of(&observed(Sighting::Present(expired))), "reset");
}

#[test]
fn a_third_value_waits_until_a_dead_one_is_gone() {
    let mut seen = pending();
    let dead = |id, value: &str| LedgerEntry {
        id,
        ..entry(value, LedgerState::Published)
    };
    seen.ledger = vec![dead(1, "swiss-pki=old1"), dead(2, "swiss-pki=old2")];
    assert_eq!(step_of(&seen), "remove");
    seen.ledger = vec![dead(1, "swiss-pki=old1")];
    assert_eq!(step_of(&seen), "publish");
    seen.ledger.push(dead(3, VALUE));
    let Step::Remove { entries } = next_step(&seen, &Policy::new(Mode::Manage), now()).step else {
        panic!()
    };
    assert_eq!(entries, [1], "the value in use stays");
}

#[test]
fn a_foreign_value_is_used_and_never_removed() {
    let mut seen = pending();
    seen.ledger = vec![entry(VALUE, LedgerState::Foreign)];
    assert_eq!(step_of(&seen), "look");
    seen.sighting = Sighting::Present(registration(Some(now()), ago(10)));
    assert_eq!(step_of(&seen), "wait", "there is nothing of ours to remove");
}

#[test]
fn an_answer_that_contradicts_itself_never_leads_to_a_reset() {
    let mut doubtful = registration(Some(ago(DAY)), ago(26 * DAY));
    doubtful.status = Status::Unknown("REVALIDATING".to_owned());
    doubtful.token = None;
    assert_eq!(
        step_of(&observed(Sighting::Present(doubtful.clone()))),
        "hold"
    );
    doubtful.status = Status::NotValidated;
    doubtful.doubt = Some("validated is true and status is NOT_VALIDATED".to_owned());
    assert_eq!(step_of(&observed(Sighting::Present(doubtful))), "hold");
}

#[test]
fn a_held_domain_is_tried_again_and_its_cleanup_does_not_wait() {
    let mut seen = pending();
    let hold = |again_at| {
        Some(Hold {
            since: ago(60),
            reason: "CNAME".to_owned(),
            again_at,
        })
    };
    seen.upkeep.setback.hold = hold(after(now(), SignedDuration::from_hours(1)));
    assert_eq!(step_of(&seen), "wait");
    seen.upkeep.setback.hold = hold(now());
    assert_eq!(step_of(&seen), "publish");
    seen.upkeep.setback.hold = hold(after(now(), SignedDuration::from_hours(1)));
    seen.desired = false;
    seen.ledger = vec![entry(VALUE, LedgerState::Published)];
    assert_eq!(step_of(&seen), "remove");
}

#[test]
fn observing_covered_and_unwanted_domains_do_nothing_at_the_ca() {
    let seen = pending();
    assert_eq!(
        next_step(&seen, &Policy::new(Mode::Observe), now()).step,
        Step::Rest
    );
    let covered = Observed {
        covered_by: Some(DomainName::from_a_labels("ch.ch").unwrap()),
        ..seen.clone()
    };
    assert_eq!(step_of(&covered), "wait");
    let policy = Policy {
        cover: false,
        ..Policy::new(Mode::Manage)
    };
    assert_eq!(next_step(&covered, &policy, now()).step.as_str(), "publish");
    assert_eq!(
        step_of(&Observed {
            desired: false,
            ..seen
        }),
        "wait"
    );
}

#[test]
fn the_budget_of_ca_calls_is_waited_for() {
    let mut seen = observed(Sighting::Absent);
    seen.upkeep.calls.made = (1..=5).map(|n| ago(n * 10)).collect();
    let decision = next_step(&seen, &Policy::new(Mode::Manage), now());
    assert_eq!(decision.at, after(now(), SignedDuration::from_mins(10)));
    assert!(decision.why.to_string().contains("budget"));
}
