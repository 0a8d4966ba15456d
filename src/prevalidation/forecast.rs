//! What the next years bring: the planner's own decisions, played forward for every domain, run by
//! run. No formula beside the planner: [`next_step`] says when a renewal is due, and what a run may
//! begin at a time is what the worker allows (`max_at_risk`, the margin, the CA's rate).
//!
//! The world of a forecast has no obstacles: name servers have a record at once, and the CA accepts
//! it when it is asked, a settling time later.

mod course;
mod tally;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

pub use self::tally::{Day, Week};
use super::name::DomainName;
use super::policy::Policy;
use super::proof::Proof;

/// Calls to the CA for one renewal: the registration is read, a new random value is requested, the
/// domain is submitted.
pub const CALLS_PER_RENEWAL: u64 = 3;

/// A nightly run is stopped after this time (`TimeoutStartSec` of its unit).
const LONGEST_RUN: SignedDuration = SignedDuration::from_hours(3);

/// One domain at the beginning.
#[derive(Debug, Clone)]
pub struct Start {
    /// The name.
    pub domain: DomainName,
    /// The `[ca.NAME]`.
    pub ca: Arc<str>,
    /// The key of its client: limits on risk hold for each client.
    pub client: Arc<str>,
    /// The `[provider.NAME]` that writes its records.
    pub provider: Arc<str>,
    /// Its proof, while one counts.
    pub proof: Option<Proof>,
    /// A person must act before anything is done for it.
    pub waits_for_person: bool,
}

/// When the program works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// From the beginning of one run to that of the next.
    pub every: SignedDuration,
    /// How long a run waits for what it has begun.
    pub wait: SignedDuration,
}

impl Rhythm {
    /// A run each night.
    pub fn nightly(wait: SignedDuration) -> Self {
        Self {
            every: SignedDuration::from_hours(24),
            wait,
        }
    }

    /// The daemon: one run after the other.
    pub fn continuous() -> Self {
        let hour = SignedDuration::from_hours(1);
        Self {
            every: hour,
            wait: hour,
        }
    }

    /// The calls that one run may make at `rate` a second.
    fn calls(self, rate: f64) -> u64 {
        let seconds = self.every.min(LONGEST_RUN.max(self.wait)).as_secs_f64();
        // Saturates; a run makes no negative number of calls.
        (seconds * rate) as u64
    }
}

/// What is played forward, and how.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Limits, margins, the table of rules.
    pub policy: &'a Policy,
    /// When the first run begins.
    pub from: Timestamp,
    /// The forecast ends before this moment.
    pub until: Timestamp,
    /// When the program works.
    pub rhythm: Rhythm,
    /// Calls a second, by `[ca.NAME]`; a CA that is missing has no limit.
    pub rates: &'a BTreeMap<String, f64>,
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// By `[ca.NAME]`.
    pub cas: BTreeMap<String, CaForecast>,
    /// By `[provider.NAME]`: every day on which something is renewed.
    pub providers: BTreeMap<String, BTreeMap<Date, Day>>,
}

/// What comes of the domains of one CA.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaForecast {
    /// How many domains there are.
    pub domains: usize,
    /// How many of them wait for a person; nothing is renewed for these.
    pub waiting_for_person: usize,
    /// Every week from the first to the last, by its Monday.
    pub weeks: BTreeMap<Date, Week>,
    /// Every day on which something is renewed.
    pub days: BTreeMap<Date, Day>,
    /// Proofs that end before the next one is there.
    pub lapses: Vec<Lapse>,
}

impl CaForecast {
    /// The day with the most renewals.
    pub fn busiest(&self) -> Option<(Date, Day)> {
        busiest(&self.days)
    }

    /// All renewals.
    pub fn renewals(&self) -> u64 {
        self.weeks.values().map(|week| week.renewals).sum()
    }
}

/// The day with the most renewals; of several the first.
pub fn busiest(days: &BTreeMap<Date, Day>) -> Option<(Date, Day)> {
    let days = days.iter().map(|(&date, &day)| (date, day));
    days.max_by_key(|&(date, day)| (day.renewals, Reverse(date)))
}

/// A domain without a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lapse {
    /// The domain.
    pub domain: DomainName,
    /// Since when.
    pub at: Timestamp,
    /// Until when; `None`: to the end of the forecast.
    pub until: Option<Timestamp>,
    /// Whether it waits for a person; otherwise the limits left no room for it.
    pub waits_for_person: bool,
}

/// Plays all domains forward.
pub fn forecast(starts: &[Start], question: &Question<'_>) -> Forecast {
    course::play(starts, question)
}
