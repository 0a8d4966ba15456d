//! The forecast against the world: the same domains, night by night to the end of 2029.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use prevalidate::clock::Clock;
use prevalidate::prevalidation::forecast::{Forecast, Question, Rhythm, Start, forecast};
use prevalidate::prevalidation::policy::Terms;
use prevalidate::prevalidation::upkeep::Past;
use prevalidate::prevalidation::{
    DomainName, Effect, LedgerEntry, LedgerState, Mode, Observed, Policy, Proof, RecordType,
    Registration, ReuseRow, ReuseTable, Sighting, Status, Step, Token, Upkeep, next_step,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::world::{START, World};

const UNTIL: &str = "2030-01-01T00:00:00Z";
/// How long a night's run waits for what it has begun.
const WAIT: SignedDuration = SignedDuration::from_mins(10);
const NIGHT: SignedDuration = SignedDuration::from_hours(24);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The ages of a real year: proofs were made on working days, in a few large batches and many
/// small ones, and all of them still count.
fn made(rng: &mut StdRng, start: Timestamp) -> Timestamp {
    let days = if rng.random_bool(0.3) {
        [12, 45, 46, 90, 130][rng.random_range(0..5)]
    } else {
        rng.random_range(1..190)
    };
    let moment = start - SignedDuration::from_hours(24 * days);
    moment + SignedDuration::from_secs(rng.random_range(5 * 3600..16 * 3600))
}

fn proof(made: Timestamp) -> Proof {
    Proof {
        validated_at: Some(made),
        ..Proof::default()
    }
}

fn start(domain: &DomainName, made: Timestamp) -> Start {
    Start {
        domain: domain.clone(),
        ca: "model".into(),
        client: "model/model".into(),
        provider: "memory".into(),
        proof: Some(proof(made)),
        waits_for_person: false,
    }
}

fn foretold(starts: &[Start], policy: &Policy) -> Forecast {
    forecast(
        starts,
        &Question {
            policy,
            from: at(START),
            until: at(UNTIL),
            rhythm: Rhythm::nightly(WAIT),
            rates: &BTreeMap::new(),
        },
    )
}

fn monday(at: Timestamp) -> Date {
    let date = at.to_zoned(TimeZone::UTC).date();
    date - i32::from(date.weekday().to_monday_zero_offset()).days()
}

/// The counts of all weeks side by side: none is more than 1 % of the larger one apart.
fn alike(foretold: &Forecast, happened: &BTreeMap<Date, u64>) {
    let ca = &foretold.cas["model"];
    let mut apart = Vec::new();
    let mut seen = 0;
    for (week, counts) in &ca.weeks {
        let real = happened.get(week).copied().unwrap_or(0);
        seen += real;
        if counts.renewals.abs_diff(real) * 100 > counts.renewals.max(real) {
            apart.push(format!("{week}: foretold {}, {real}", counts.renewals));
        }
    }
    assert_eq!(
        seen,
        happened.values().sum::<u64>(),
        "renewals outside of the weeks"
    );
    assert!(
        apart.is_empty(),
        "{} of {} weeks:\n{}",
        apart.len(),
        ca.weeks.len(),
        apart.join("\n")
    );
    assert_eq!(ca.lapses, []);
}

/// The worker itself, with its store, its leases and its turns of `max_at_risk`.
#[tokio::test]
async fn the_forecast_is_what_the_worker_does_night_by_night() {
    let mut rng = StdRng::seed_from_u64(2026);
    let mut world = World::new(50).await;
    world.policy.max_at_risk = 2;
    let mut starts = Vec::new();
    for domain in world.domains.clone() {
        let made = made(&mut rng, at(START));
        let asked = made - SignedDuration::from_hours(1);
        world.ca.seed(domain.as_str(), Some(made), asked);
        starts.push(start(&domain, made));
    }
    let foretold = foretold(&starts, &world.policy);
    let mut night = at(START);
    while night < at(UNTIL) {
        world.clock.set(night);
        world.worker("night").run(WAIT).await.unwrap();
        assert!(world.clock.now() < night + NIGHT);
        night += NIGHT;
        // A night in which nothing is due lists the domains and does nothing else.
        let rows = world.rows().await;
        let next = rows.iter().filter_map(|row| row.due_at).min().unwrap();
        while night < at(UNTIL) && night + WAIT < next {
            night += NIGHT;
        }
    }
    let mut happened: BTreeMap<Date, u64> = BTreeMap::new();
    for call in &world.ca.state.lock().unwrap().calls {
        if call.effect == Effect::Validate && call.valid_after && call.at < at(UNTIL) {
            *happened.entry(monday(call.at)).or_default() += 1;
        }
    }
    assert!(happened.values().sum::<u64>() > 2_000, "{happened:?}");
    // A turn of `max_at_risk` may fall into the next night, and with it into the next week: the two
    // are never more than one turn apart, in all weeks together.
    let (mut told, mut real) = (0, 0);
    for (week, counts) in &foretold.cas["model"].weeks {
        told += counts.renewals;
        real += happened.get(week).copied().unwrap_or(0);
        let turn = u64::from(world.policy.max_at_risk);
        assert!(
            told.abs_diff(real) <= turn,
            "until {week}: foretold {told}, {real}"
        );
    }
    assert_eq!(foretold.cas["model"].lapses, []);
}

/// A CA that keeps the proof has no canary and no turns, and a table of its own: here every proof
/// was made on one day, and all of them are renewed in the same few nights.
#[tokio::test]
async fn the_forecast_for_a_ca_that_keeps_the_proof_is_what_the_worker_does() {
    const LAST: &str = "2027-06-01T00:00:00Z";
    let mut rng = StdRng::seed_from_u64(2027);
    let mut world = World::by_orders(40).await;
    let terms = Terms {
        reuse: ninety_days(),
        ..world.policy.terms()
    };
    world.ca.reuse = terms.reuse.clone();
    // As in every forecast, the CA checks as soon as it is asked.
    world
        .ca
        .set(|state| state.behaviour.checks_every = SignedDuration::ZERO);
    world.policy = Policy {
        max_at_risk: 1,
        renew_before: SignedDuration::from_hours(96),
        critical: SignedDuration::from_hours(1),
        ..Policy::new(Mode::Manage)
    };
    world.policy.differ("model", terms);
    let mut starts = Vec::new();
    for domain in world.domains.clone() {
        let day = at(START) - SignedDuration::from_hours(24 * 60);
        let made = day + SignedDuration::from_secs(rng.random_range(0..3600));
        let asked = made - SignedDuration::from_hours(1);
        world.ca.seed(domain.as_str(), Some(made), asked);
        starts.push(start(&domain, made));
    }
    let question = Question {
        policy: &world.policy,
        from: at(START),
        until: at(LAST),
        rhythm: Rhythm::nightly(WAIT),
        rates: &BTreeMap::new(),
    };
    let foretold = forecast(&starts, &question);
    let mut night = at(START);
    while night < at(LAST) {
        world.clock.set(night);
        world.worker("night").run(WAIT).await.unwrap();
        night += NIGHT;
    }
    let mut happened: BTreeMap<Date, u64> = BTreeMap::new();
    for proof in &world.ca.state.lock().unwrap().proofs {
        let day = proof.to_zoned(TimeZone::UTC).date();
        *happened.entry(day).or_default() += 1;
    }
    let days: BTreeMap<Date, u64> = foretold.cas["model"]
        .days
        .iter()
        .map(|(&day, counts)| (day, counts.renewals))
        .collect();
    assert_eq!(days, happened);
    assert!(happened.values().any(|&count| count > 10), "{happened:?}");
    assert_eq!(foretold.cas["model"].lapses, []);
    let late: u64 = foretold.cas["model"].weeks.values().map(|it| it.late).sum();
    assert_eq!(late, 0);
}

/// Shorter than what any rule asks for.
fn ninety_days() -> ReuseTable {
    ReuseTable::new(vec![ReuseRow {
        start: Timestamp::UNIX_EPOCH,
        limit: SignedDuration::from_hours(24 * 90),
        source: "this test".to_owned(),
    }])
}

/// One domain and the CA's word about it, moved by every step of the planner.
struct Walker {
    seen: Observed,
    serial: u64,
}

impl Walker {
    fn new(start: &Start) -> Self {
        let made = start.proof.as_ref().and_then(|proof| proof.validated_at);
        let registration = Registration {
            proof: start.proof.clone().map(Box::new),
            token: Some(Box::new(token(
                0,
                made.unwrap() - SignedDuration::from_hours(1),
            ))),
            ..Registration::bare("cld-1", start.domain.clone(), Status::Valid)
        };
        Self {
            seen: Observed {
                domain: start.domain.clone(),
                desired: true,
                covered_by: None,
                has_provider: true,
                sighting: Sighting::Present(registration),
                read_at: None,
                upkeep: Upkeep::default(),
                ledger: Vec::new(),
            },
            serial: 0,
        }
    }

    /// A run that begins `now`, step by step: when the planner wants the next thing, and which
    /// proofs were made.
    fn night(&mut self, mut now: Timestamp, policy: &Policy) -> (Timestamp, Vec<Timestamp>) {
        let (deadline, mut proofs) = (now + WAIT, Vec::new());
        loop {
            let decision = next_step(&self.seen, policy, now);
            if decision.at > deadline {
                return (decision.at, proofs);
            }
            now = now.max(decision.at);
            proofs.extend(self.perform(decision.step, now));
        }
    }

    fn perform(&mut self, step: Step, now: Timestamp) -> Option<Timestamp> {
        let Sighting::Present(registration) = &mut self.seen.sighting else {
            panic!("it is registered");
        };
        let upkeep = &mut self.seen.upkeep;
        match step {
            Step::Preflight => upkeep.preflight_at = Some(now),
            Step::ResetToken { .. } => {
                self.serial += 1;
                let token = token(self.serial, now);
                upkeep.attempt.since = Some(now);
                upkeep.attempt.value = Some(token.value.clone());
                registration.token = Some(Box::new(token));
            }
            Step::Publish { challenge } => {
                let value = challenge.data.as_str().to_owned();
                self.seen.ledger.push(entry(&self.seen.domain, value, now));
            }
            Step::Check { .. } => {
                upkeep.attempt.visibility.visible_at.get_or_insert(now);
                upkeep.attempt.visibility.seen_at = Some(now);
            }
            Step::Validate => {
                registration.proof = Some(Box::new(proof(now)));
                *upkeep = Upkeep {
                    past: Past {
                        proved_at: Some(now),
                        ..Past::default()
                    },
                    ..Upkeep::default()
                };
                return Some(now);
            }
            Step::Remove { .. } => self.seen.ledger.clear(),
            other => panic!("{other:?} at {now}"),
        }
        None
    }
}

fn token(serial: u64, made: Timestamp) -> Token {
    Token {
        value: format!("swiss-pki=model{serial:020}"),
        created_at: Some(made),
        expires_at: Some(made + SignedDuration::from_hours(30 * 24)),
        expired: false,
    }
}

fn entry(domain: &DomainName, value: String, now: Timestamp) -> LedgerEntry {
    LedgerEntry {
        id: 1,
        key: domain.into(),
        owner: domain.as_str().to_owned(),
        kind: RecordType::Txt,
        value,
        provider: "memory".into(),
        zone: Some(domain.as_str().to_owned()),
        state: LedgerState::Published,
        ttl_before: None,
        negative_ttl: None,
        created_at: now,
        published_at: Some(now),
        removal_tries: 0,
        retry_at: None,
    }
}

#[test]
fn ten_thousand_domains_of_a_real_year_are_foretold_to_the_end_of_2029() {
    let mut rng = StdRng::seed_from_u64(10_000);
    let starts: Vec<Start> = (0..10_000)
        .map(|n| {
            let domain = DomainName::from_a_labels(&format!("d{n}.example.ch")).unwrap();
            start(&domain, made(&mut rng, at(START)))
        })
        .collect();
    // Turns are the worker's; here all of them may go at once.
    let policy = Policy {
        max_at_risk: 100_000,
        ..Policy::new(Mode::Manage)
    };
    let foretold = foretold(&starts, &policy);
    let (from, until) = (at(START), at(UNTIL));
    let mut happened: BTreeMap<Date, u64> = BTreeMap::new();
    for start in &starts {
        let mut walker = Walker::new(start);
        let mut night = from;
        while night < until {
            let (next, proofs) = walker.night(night, &policy);
            for made in proofs.into_iter().filter(|&made| made < until) {
                *happened.entry(monday(made)).or_default() += 1;
            }
            // The nights before have nothing to do.
            night += NIGHT;
            while night < until && night + WAIT < next {
                night += NIGHT;
            }
        }
    }
    assert!(happened.values().sum::<u64>() > 400_000, "{happened:?}");
    alike(&foretold, &happened);
}
