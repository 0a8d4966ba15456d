//! The planner's decisions for years ahead.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use prevalidate::prevalidation::forecast::{Question, Rhythm, Start, forecast};
use prevalidate::prevalidation::{DomainName, Mode, Policy, Proof};

use crate::Row;
use crate::lab::names;

const DOMAINS: usize = 10_000;
/// 2026-11-22.
const NOW: Timestamp = Timestamp::constant(1_795_305_600, 0);

/// Ten thousand domains of all ages, to the end of 2029.
pub fn ten_thousand() -> Vec<Row> {
    let starts: Vec<Start> = names(DOMAINS)
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let age = i64::try_from(number * 7919 % 189).unwrap() + 1;
            Start {
                domain: DomainName::from_a_labels(name).unwrap(),
                ca: "swisssign".into(),
                client: "client".into(),
                provider: "internal".into(),
                proof: Some(Proof {
                    validated_at: Some(NOW - SignedDuration::from_hours(24 * age)),
                    ..Proof::default()
                }),
                waits_for_person: false,
            }
        })
        .collect();
    let (policy, rates) = (
        Policy::new(Mode::Manage),
        BTreeMap::from([("swisssign".to_owned(), 2.0)]),
    );
    let rhythms = [
        (
            "a run each night",
            Rhythm::nightly(SignedDuration::from_mins(10)),
        ),
        ("the daemon", Rhythm::continuous()),
    ];
    let row = |(name, rhythm): (&str, Rhythm)| {
        let question = Question {
            policy: &policy,
            from: NOW,
            until: "2030-01-01T00:00:00Z".parse().unwrap(),
            rhythm,
            rates: &rates,
        };
        let began = Instant::now();
        let found = forecast(&starts, &question);
        let took = began.elapsed();
        assert!(found.cas["swisssign"].renewals() > 500_000);
        Row::below(
            &format!("forecast to the end of 2029, 10,000 domains, {name}"),
            took,
            Duration::from_secs(2),
        )
    };
    rhythms.into_iter().map(row).collect()
}
