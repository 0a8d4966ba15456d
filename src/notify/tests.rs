//! What is reported, to which sink, how often: over a real store, with sinks that fail when they
//! are told to.
#![allow(clippy::unwrap_used)]

mod delivery;
mod telling;

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::clock::{Clock, SimulatedClock};
use crate::metrics::Metrics;
use crate::overview::snapshot::{ClientState, Entry, Snapshot};
use crate::overview::trouble::{Trouble, Troubles};
use crate::prevalidation::{DomainName, Lateness, Mode, OthersChanged, Policy, State};
use crate::store::Store;
use crate::store::sqlite::SqliteStore;

const CLIENT: &str = "swisssign/Muster AG";

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// A sink that remembers what it got.
#[derive(Clone, Default)]
struct Heard {
    notices: Arc<Mutex<Vec<Notice>>>,
    failure: Arc<Mutex<Option<Failure>>>,
}

impl Heard {
    fn fails(&self, failure: Option<Failure>) {
        *self.failure.lock().unwrap() = failure;
    }

    fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut self.notices.lock().unwrap())
    }

    fn titles(&self) -> Vec<String> {
        self.take().into_iter().map(|notice| notice.title).collect()
    }
}

#[async_trait]
impl Carrier for Heard {
    async fn carry(&self, notice: &Notice) -> Result<(), Failure> {
        let failure = self.failure.lock().unwrap().clone();
        if failure
            .as_ref()
            .is_none_or(|failure| failure.is_open || failure.in_part)
        {
            self.notices.lock().unwrap().push(notice.clone());
        }
        failure.map_or(Ok(()), Err)
    }
}

/// A store, a time, and the states of the domains.
struct World {
    store: Arc<dyn Store>,
    clock: SimulatedClock,
    snapshot: Snapshot,
}

impl World {
    /// A CA that was asked a moment ago, and no domains.
    async fn new() -> Self {
        let at: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let client = ClientState {
            key: CLIENT.into(),
            listed_at: Some(at),
            refusal: String::new(),
        };
        let snapshot = Snapshot {
            at,
            entries: Vec::new(),
            clients: vec![client],
            certificates: Vec::new(),
            registrations: Vec::new(),
            machines: Default::default(),
            persistent: Vec::new(),
            troubles: Troubles::default(),
        };
        let store = Arc::new(SqliteStore::open("sqlite::memory:", None).await.unwrap());
        Self {
            store,
            clock: SimulatedClock::at(at),
            snapshot,
        }
    }

    /// One more domain, valid for a year.
    fn add(&mut self, name: &str) -> usize {
        self.snapshot.entries.push(Entry {
            domain: DomainName::from_a_labels(name).unwrap(),
            client: CLIENT.into(),
            further: false,
            provider: None,
            state: State::Valid,
            covered: false,
            usable_until: Some(self.snapshot.at + hours(24 * 365)),
            with_margin: true,
            danger: Default::default(),
            made_at: None,
            proven_until: None,
            gravity: Default::default(),
            renew_at: None,
            due_at: None,
            needs_a_person: false,
            lateness: Lateness::InTime,
            ca_read_at: None,
            reason: "it is so".into(),
        });
        self.snapshot.entries.len() - 1
    }

    fn trouble(&mut self, place: usize) -> &mut Trouble {
        let well = Trouble {
            held: false,
            lapsed: false,
            failures: 0,
            others_changed: None,
        };
        self.snapshot.troubles.domains.entry(place).or_insert(well)
    }

    fn hold(&mut self, place: usize) {
        self.trouble(place).held = true;
    }

    /// Everything is well again.
    fn mend(&mut self) {
        self.snapshot.troubles = Troubles::default();
    }

    fn pass(&mut self, time: SignedDuration) {
        self.clock.advance(time);
        self.snapshot.at = self.clock.now();
        self.snapshot
            .clients
            .iter_mut()
            .for_each(|client| client.listed_at = Some(self.clock.now()));
    }

    fn notifier(&self, pace: Pace, sinks: Vec<Sink>) -> Notifier {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let metrics = Arc::new(Metrics::new());
        Notifier::new(
            Arc::clone(&self.store),
            clock,
            metrics,
            Policy::new(Mode::Manage),
            pace,
            sinks,
        )
    }

    /// A notifier that sends this sink everything but the summary.
    fn telling(&self, pace: Pace, heard: &Heard) -> Notifier {
        self.notifier(pace, vec![sink("team", heard)])
    }
}

fn sink(name: &str, heard: &Heard) -> Sink {
    let topics = Topic::ALL
        .into_iter()
        .filter(|&topic| topic != Topic::DailySummary)
        .collect();
    let wants = Wants {
        topics,
        severity: Severity::Info,
        repeat: hours(24),
        repeat_critical: hours(6),
    };
    Sink {
        name: name.to_owned(),
        wants,
        carrier: Box::new(heard.clone()),
    }
}
