//! What is done beside the work: the snapshot, the comparison of clocks, the tidying of the past.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Scheduler, lock};
use crate::overview::machines::{host, note_daemon};
use crate::overview::snapshot::Snapshot;
use crate::prevalidation::State;
use crate::server::manager;
use crate::store::{StoreError, tidy};

/// A snapshot is never older, while the store answers.
const SNAPSHOT: Duration = Duration::from_secs(30);
/// When something was done, the next snapshot comes sooner: not sooner than this, nor than ten
/// times what the last one took.
const SNAPSHOT_SOON: Duration = Duration::from_secs(2);
/// How often the store is written to, so that one that can only be read is noticed.
const WRITE: Duration = Duration::from_secs(10);
/// The longest time of such a write.
const WRITTEN_WITHIN: Duration = Duration::from_secs(15);
/// How often the clocks are compared.
const CLOCK: Duration = Duration::from_secs(60);
/// How soon an errand that failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often the past is tidied.
const TIDY: Duration = Duration::from_secs(24 * 3600);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errand {
    /// Reads the states of all domains.
    Snapshot,
    /// Writes to the store.
    Write,
    /// Compares the clocks.
    Clock,
    /// Deletes what is too old.
    Tidy,
}

/// When each is due.
pub(super) struct Errands {
    due: BTreeMap<Errand, Instant>,
    running: BTreeSet<Errand>,
    /// When a snapshot may be taken early.
    soon: Instant,
}

impl Errands {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        // Not at once, and not by the whole fleet at the same time.
        let tidy = now + TIDY.mul_f64(rand::random_range(0.01..0.1));
        let due = [
            (Errand::Snapshot, now),
            (Errand::Write, now + WRITE),
            (Errand::Clock, now),
            (Errand::Tidy, tidy),
        ]
        .into();
        Self {
            due,
            running: BTreeSet::new(),
            soon: now,
        }
    }

    /// Those that are due, which are then under way; the snapshot early when something `changed`.
    pub(super) fn due(&mut self, changed: bool) -> Vec<Errand> {
        let now = Instant::now();
        let is_due = |errand: Errand, due: Instant| {
            due <= now || errand == Errand::Snapshot && changed && self.soon <= now
        };
        let idle = self
            .due
            .iter()
            .filter(|(errand, _)| !self.running.contains(errand));
        let due: Vec<Errand> = idle
            .filter(|&(&errand, &due)| is_due(errand, due))
            .map(|(&errand, _)| errand)
            .collect();
        self.running.extend(&due);
        due
    }

    /// This one is due now; false while it is under way, and would not know of what happens
    /// meanwhile.
    pub(super) fn hasten(&mut self, errand: Errand) -> bool {
        self.due.insert(errand, Instant::now());
        !self.running.contains(&errand)
    }

    /// One came to its end; the last snapshot `took` so long.
    pub(super) fn done(&mut self, errand: Errand, took: Duration) {
        let now = Instant::now();
        self.running.remove(&errand);
        let every = match errand {
            Errand::Snapshot => SNAPSHOT,
            Errand::Write => WRITE,
            Errand::Clock => CLOCK,
            Errand::Tidy => TIDY,
        };
        if errand == Errand::Snapshot {
            self.soon = now + (took * 10).clamp(SNAPSHOT_SOON, SNAPSHOT);
        }
        self.due.insert(errand, now + every);
    }
}

impl Scheduler {
    /// Runs one to its end. If the store does not answer, tries again after a pause. Only a write
    /// shows that the store does what it is for: one that is full or locked can still be read.
    pub(super) async fn run_errand(&self, errand: Errand) {
        loop {
            let began = Instant::now();
            let outcome = match errand {
                Errand::Snapshot => self.take_snapshot().await,
                Errand::Write => self.shared.store.try_to_write(WRITTEN_WITHIN).await,
                Errand::Clock => match self.compare_clocks().await {
                    Ok(()) => self.note_machine().await,
                    refused => refused,
                },
                Errand::Tidy => tidy(&*self.shared.store, self.shared.clock.now())
                    .await
                    .map(drop),
            };
            match outcome {
                Ok(()) if matches!(errand, Errand::Write | Errand::Tidy) => {
                    return self.store_answers();
                }
                Ok(()) => return,
                Err(error) => {
                    self.store_fails(began, &error);
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// Every minute, beside the comparison of clocks.
    async fn note_machine(&self) -> Result<(), StoreError> {
        let shared = &self.shared;
        note_daemon(&*shared.store, &host(), shared.clock.now()).await
    }

    async fn take_snapshot(&self) -> Result<(), StoreError> {
        let began = Instant::now();
        let snapshot = self.shared.read_again().await?;
        *lock(&self.snapshot_took) = began.elapsed();
        if self.hear(&snapshot) {
            self.shared.wake.notify_one();
        }
        let line = self
            .shared
            .obstacle()
            .map_or_else(|| summary(&snapshot), |obstacle| obstacle.to_string());
        manager::status(&line);
        Ok(())
    }

    /// Changes at the CA by other programs, and domains that it has not been asked about, make
    /// listings due. True when they do.
    fn hear(&self, snapshot: &Arc<Snapshot>) -> bool {
        let worker = self.worker.borrow().clone();
        let unread: BTreeSet<&str> = snapshot
            .entries
            .iter()
            .filter(|entry| entry.state == State::New && entry.ca_read_at.is_none())
            .map(|entry| &*entry.client)
            .collect();
        let mut news = false;
        for client in &snapshot.clients {
            news |= worker.hear(
                &client.key,
                client.listed_at,
                !client.refusal.is_empty(),
                unread.contains(&*client.key),
            );
        }
        news
    }
}

/// `20 domains: 18 valid, 2 renewing`
fn summary(snapshot: &Snapshot) -> String {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    let managed = snapshot
        .entries
        .iter()
        .filter(|entry| entry.state != State::Unmanaged);
    managed.for_each(|entry| *states.entry(entry.state.as_str()).or_default() += 1);
    let all: usize = states.values().sum();
    let states: Vec<_> = states
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    format!("{all} domains: {}", states.join(", "))
}
