//! The decision alone, for many domains in memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use prevalidate::prevalidation::policy::Terms;
use prevalidate::prevalidation::{
    DomainName, Mode, Observed, Policy, Proof, Registration, ReuseTable, Sighting, Status, Token,
    Upkeep, next_step,
};

use crate::Row;
use crate::lab::{names, peak_memory_kb};

const DOMAINS: usize = 100_000;
/// 2026-11-22.
const NOW: Timestamp = Timestamp::constant(1_795_305_600, 0);

/// Seven of ten are valid, one is due for renewal, one waits for its first proof, one is not
/// registered yet.
fn observed(number: usize, name: &str) -> Observed {
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let proof = |made_at: Timestamp| Proof {
        validated_at: Some(made_at),
        expires_at: Some(made_at + days(198)),
        method: Some("cabdns".to_owned()),
        first_seen: None,
        ends: Default::default(),
    };
    let token = |made_at: Timestamp| Token {
        value: format!("swiss-pki={number:032}"),
        created_at: Some(made_at),
        expires_at: Some(made_at + days(30)),
        expired: false,
    };
    let domain = DomainName::from_a_labels(name).unwrap();
    let age = days(i64::try_from(number % 90).unwrap());
    let (status, proof, token) = match number % 10 {
        0 => (Status::Pending, None, Some(token(NOW - days(1)))),
        1 => (Status::Valid, Some(proof(NOW - days(190))), None),
        _ => (
            Status::Valid,
            Some(proof(NOW - age)),
            Some(token(NOW - age)),
        ),
    };
    let registration = Registration {
        reference: format!("cld-{number}"),
        domain: domain.clone(),
        status,
        proof: proof.map(Box::new),
        token: token.map(Box::new),
        remembered: false,
        challenge: None,
        order: None,
        is_summary: false,
        last_words: None,
        doubt: None,
    };
    Observed {
        domain,
        desired: true,
        covered_by: None,
        has_provider: true,
        sighting: if number % 10 == 9 {
            Sighting::Absent
        } else {
            Sighting::Present(registration)
        },
        read_at: Some(NOW),
        upkeep: Upkeep::default(),
        ledger: Vec::new(),
    }
}

/// How many of them are due, and how long it took to find out.
fn asked(all: &[Observed], policy: &Policy) -> (usize, Duration) {
    let begun = Instant::now();
    let due = all
        .iter()
        .filter(|seen| black_box(next_step(black_box(seen), policy, NOW)).is_due(NOW))
        .count();
    (due, begun.elapsed())
}

/// Every domain at two CAs of different kinds: the planner takes no longer than for the two one
/// after the other.
pub fn two_cas() -> Vec<Row> {
    let all: Vec<_> = names(DOMAINS)
        .iter()
        .enumerate()
        .map(|(number, name)| observed(number, name))
        .collect();
    let mut policy = Policy::new(Mode::Manage);
    let terms = Terms {
        reuse: ReuseTable::sectigo(),
        start_keeps_proof: Some(true),
        checks_by_itself: true,
        ..policy.terms()
    };
    policy.differ("second", terms);
    let (one, other) = (policy.of("first"), policy.of("second"));
    let sum = asked(&all, one).1 + asked(&all, other).1;
    let begun = Instant::now();
    for seen in &all {
        for ca in ["first", "second"] {
            black_box(next_step(black_box(seen), policy.of(ca), NOW));
        }
    }
    let took = begun.elapsed();
    vec![Row::below(
        "planner, 100,000 domains at two CAs",
        took,
        sum * 11 / 10,
    )]
}

pub fn plan() -> Vec<Row> {
    let all: Vec<_> = names(DOMAINS)
        .iter()
        .enumerate()
        .map(|(number, name)| observed(number, name))
        .collect();
    let (due, took) = asked(&all, &Policy::new(Mode::Manage));
    assert!(
        (DOMAINS / 5..DOMAINS).contains(&due),
        "{due} of them have something to do"
    );
    vec![
        Row::below("planner, 100,000 domains", took, Duration::from_millis(100)),
        Row::memory(
            "  peak memory, with the domains",
            peak_memory_kb("/proc/self/status"),
            150,
        ),
    ]
}
