//! Persistent records: kept in DNS, not removed. A pass checks every record that is in DNS, asks
//! the planner about each, and performs its steps.
//!
//! The rules are those of proofs: the intent is stored before a zone is written, only what is
//! remembered as ours is removed, and the name servers decide what is visible.

mod check;
mod task;
mod wake;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use self::check::Sight;
use self::task::Task;
use super::{Ports, refusal_fact};
use crate::persistent::guard::{self, Tally, VANISHED};
use crate::persistent::planner::waits_for_canary;
use crate::persistent::{
    Decision, Kept, KeptRecord, KeptState, Seen, Step, Surroundings, Wait, Wanted, next_step,
};
use crate::prevalidation::DomainName;
use crate::store::persistent::{PersistentClaim, PersistentRow};
use crate::store::{Event, StoreError};

/// In the place of a client, for what the guard says about persistent records.
pub const RECORDS: &str = "persistent-records";

/// How the job goes about it.
#[derive(Debug, Clone)]
pub struct KeepOptions {
    /// Names this worker in leases.
    pub holder: String,
    /// Names this run in the history.
    pub run: String,
    /// Only these domains.
    pub only: Option<Vec<DomainName>>,
    /// How long a lease lives.
    pub lease: SignedDuration,
    /// How many records are worked on at once.
    pub lanes: usize,
    /// Between two checks at a record that is not visible yet.
    pub poll: SignedDuration,
    /// Acts although many records vanished.
    pub force: bool,
    /// Nothing is written in DNS.
    pub observes: bool,
    /// Records that the configuration does not name stay: a line of it cannot be read.
    pub keeps_unwanted: bool,
    /// A check that found everything well is stored this often.
    pub noted_every: SignedDuration,
}

/// One record's decision at the end of a pass.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The domain.
    pub domain: DomainName,
    /// The issuer.
    pub issuer: String,
    /// What is next, or was left.
    pub decision: Decision,
}

/// The outcome of a pass.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    /// The verdict of the guard.
    pub alarm: Option<String>,
    /// The hint.
    pub hint: String,
    /// The last decision of each record.
    pub decided: Vec<Decided>,
}

impl Passed {
    /// When something is due next.
    pub fn next(&self) -> Option<Timestamp> {
        let at = self.decided.iter().map(|one| one.decision.at);
        at.filter(|&at| at < Timestamp::MAX).min()
    }
}

/// Keeps persistent records.
pub struct Keeper {
    ports: Ports,
    wanted: Vec<Wanted>,
    options: KeepOptions,
    stop: CancellationToken,
    tell: Arc<dyn Fn(&Event) + Send + Sync>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("run", &self.options.run)
            .finish_non_exhaustive()
    }
}

/// Names a row: a domain and an issuer.
type Key = (DomainName, String);

/// Names a check of a record.
fn spot(key: &Key, record: &KeptRecord) -> (Key, String) {
    (key.clone(), format!("{} {}", record.owner, record.value))
}

/// What is known when a pass begins.
struct Known {
    rows: BTreeMap<Key, Kept>,
    /// By row, name and value.
    seen: BTreeMap<(Key, String), Sight>,
    alarm: Option<String>,
    /// What the guard says of the configuration: then nothing that it does not name is removed.
    shrunk: Option<String>,
}

impl Known {
    fn alarms(&self) -> Option<String> {
        let said = self.alarm.iter().chain(&self.shrunk);
        let said: Vec<&str> = said.map(String::as_str).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    fn hint(&self) -> String {
        guard::hint(self.alarm.is_some(), self.shrunk.is_some())
    }

    fn seen(&self, key: &Key, kept: &Kept) -> Vec<Option<Seen>> {
        let of = |record: &KeptRecord| Some(self.seen.get(&spot(key, record))?.seen.clone());
        kept.records.iter().map(of).collect()
    }

    /// Whether the provider was asked in the place of name servers; `None`: none was asked.
    fn is_by_provider(&self, key: &Key, kept: &Kept) -> Option<bool> {
        let mut sights = kept.records.iter().map(|record| spot(key, record));
        sights.find_map(|spot| Some(self.seen.get(&spot)?.is_by_provider))
    }

    /// Notes of each record whether an alias is at its name now.
    fn note_displaced(&self, key: &Key, kept: &mut Kept) {
        for record in &mut kept.records {
            let sight = self.seen.get(&spot(key, record));
            if let Some(is_displaced) = sight.and_then(|sight| sight.is_displaced) {
                record.is_displaced = is_displaced;
            }
        }
    }

    /// Where the record must be written now.
    fn place(&self, key: &Key, kept: &Kept) -> Option<String> {
        let mut sights = kept.records.iter().map(|record| spot(key, record));
        sights.find_map(|spot| self.seen.get(&spot)?.end.clone())
    }
}

impl Keeper {
    /// A job that has not read anything yet. `tell` hears every event as it is stored.
    pub fn new(
        ports: Ports,
        wanted: Vec<Wanted>,
        options: KeepOptions,
        stop: CancellationToken,
        tell: Arc<dyn Fn(&Event) + Send + Sync>,
    ) -> Self {
        Self {
            ports,
            wanted,
            options,
            stop,
            tell,
        }
    }

    /// Works until nothing more is due before `deadline`, or until it is stopped.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn run(&self, deadline: Timestamp) -> Result<Passed, StoreError> {
        loop {
            let passed = self.pass().await?;
            let now = self.ports.clock.now();
            let soonest = now.saturating_add(self.options.poll).unwrap_or(now);
            let next = passed.next().map(|next| next.max(soonest));
            let Some(next) = next.filter(|&next| next <= deadline) else {
                return Ok(passed);
            };
            tokio::select! {
                () = self.ports.clock.sleep_until(next) => {}
                () = self.stop.cancelled() => return Ok(passed),
            }
        }
    }

    /// One pass over all records, each as far as it goes now.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn pass(&self) -> Result<Passed, StoreError> {
        let known = self.know().await?;
        self.remember(&known).await?;
        let subjects = self.subjects(&known);
        let decided = futures::stream::iter(subjects)
            .map(|key| self.keep(key, &known))
            .buffer_unordered(self.options.lanes.max(1))
            .collect::<Vec<_>>()
            .await;
        let mut passed = Passed {
            alarm: known.alarms(),
            hint: known.hint(),
            decided: Vec::new(),
        };
        for one in decided {
            passed.decided.extend(one?);
        }
        passed
            .decided
            .sort_by(|a, b| (&a.domain, &a.issuer).cmp(&(&b.domain, &b.issuer)));
        Ok(passed)
    }

    /// What a pass would do next for each record. Nothing is stored and no zone is written.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn plan(&self) -> Result<Passed, StoreError> {
        let known = self.know().await?;
        let now = self.ports.clock.now();
        let mut decided = Vec::new();
        for key in self.subjects(&known) {
            let mut kept = known.rows.get(&key).cloned().unwrap_or_default();
            // As a run does.
            match self.options.only.is_some() {
                true => kept.wake(),
                false => kept.wake_checks(),
            }
            let wanted = self.wanted(&key);
            let caa = self.caa(wanted, &kept).await;
            let canary = self.canary(wanted, &known, now);
            let place = known.place(&key, &kept);
            let around = Surroundings {
                seen: &known.seen(&key, &kept),
                place: place.as_deref(),
                caa: caa.as_deref(),
                guard: known.alarm.as_deref(),
                shrunk: known.shrunk.as_deref(),
                canary: canary.as_ref(),
                poll: self.options.poll,
            };
            decided.push(Decided {
                decision: next_step(wanted, &kept, &around, now),
                domain: key.0,
                issuer: key.1,
            });
        }
        Ok(Passed {
            alarm: known.alarms(),
            hint: known.hint(),
            decided,
        })
    }

    /// What the guard refuses, for those that watch.
    async fn remember(&self, known: &Known) -> Result<(), StoreError> {
        if self.options.force && self.options.only.is_some() {
            // A person has answered for these domains, and for no other.
            return Ok(());
        }
        let (fact, said) = (refusal_fact(RECORDS), known.alarms().unwrap_or_default());
        let store = &self.ports.store;
        if store.fact(&fact).await?.unwrap_or_default() != said {
            store.set_fact(&fact, &said).await?;
        }
        Ok(())
    }

    fn wanted(&self, (domain, issuer): &Key) -> Option<&Wanted> {
        self.wanted
            .iter()
            .find(|one| one.domain == *domain && one.issuer == *issuer)
    }

    fn subjects(&self, known: &Known) -> Vec<Key> {
        let of = |one: &Wanted| (one.domain.clone(), one.issuer.clone());
        let mut keys: BTreeSet<Key> = self.wanted.iter().map(of).collect();
        let is_withdrawn = |kept: &Kept| kept.withdrawn_at.is_some();
        let stored = known.rows.iter();
        let stays = self.options.keeps_unwanted;
        let stored = stored.filter(|(_, kept)| !stays || is_withdrawn(kept));
        keys.extend(stored.map(|(key, _)| key.clone()));
        let only = self.options.only.as_ref();
        keys.into_iter()
            .filter(|(domain, _)| only.is_none_or(|only| only.contains(domain)))
            .collect()
    }

    /// The rows, and what name servers say of the records that were visible: all of them, before
    /// anything is written, so that the guard sees how many are gone.
    async fn know(&self) -> Result<Known, StoreError> {
        let rows = self.ports.store.persistent_rows().await?;
        let rows: BTreeMap<Key, Kept> = rows
            .into_iter()
            .map(
                |PersistentRow {
                     domain,
                     issuer,
                     kept,
                 }| ((domain, issuer), kept),
            )
            .collect();
        let mut to_check = Vec::new();
        for (key, kept) in &rows {
            if self.wanted(key).is_none() || kept.withdrawn_at.is_some() {
                continue;
            }
            let visible = kept.records.iter();
            let visible = visible.filter(|record| record.state == KeptState::Visible);
            to_check.extend(visible.map(|record| (key.clone(), record.clone())));
        }
        let seen = futures::stream::iter(to_check)
            .map(async |(key, record)| {
                let sight = self.check(&key.0, &record).await;
                let has_vanished = sight.has_vanished(&record.owner);
                let hold = rows.get(&key).and_then(|kept| kept.hold_since(VANISHED));
                // What the guard keeps away, and what cannot be seen now, is not back.
                let is_away = has_vanished || (hold.is_some() && sight.is_unclear());
                (spot(&key, &record), sight, is_away, hold)
            })
            .buffer_unordered(self.options.lanes.max(1))
            .collect::<Vec<_>>()
            .await;
        let away = seen.iter().filter(|(_, _, is_away, _)| *is_away);
        let vanished = Tally {
            affected: away.clone().count(),
            known: seen.len(),
            refused_since: away.filter_map(|(.., hold)| *hold).min(),
        };
        let leaving = Tally::of_leaving(rows.iter().map(|(key, kept)| {
            let is_wanted = self.wanted(key).is_some();
            (kept, is_wanted)
        }));
        let seen = seen.into_iter().map(|(at, sight, ..)| (at, sight));
        let seen: BTreeMap<_, _> = seen.collect();
        let acts = self.options.force;
        let alarm = guard::alarm(vanished).filter(|_| !acts);
        let shrunk = guard::shrunk(leaving).filter(|_| !acts);
        Ok(Known {
            rows,
            seen,
            alarm,
            shrunk,
        })
    }

    /// Why CAA refuses the record, where a new one is to be written.
    async fn caa(&self, wanted: Option<&Wanted>, kept: &Kept) -> Option<String> {
        let wanted = wanted?;
        let is_current = |record: &KeptRecord| {
            record.account == wanted.account && record.state != KeptState::Removing
        };
        // One that is there stays: CAs check CAA when they issue, and the record is not the fault.
        if kept.withdrawn_at.is_some() || kept.records.iter().any(is_current) {
            return None;
        }
        let checker = &self.ports.checker;
        checker.caa_refuses(&wanted.domain, &wanted.issuer).await
    }

    fn canary(&self, wanted: Option<&Wanted>, known: &Known, now: Timestamp) -> Option<Wait> {
        let nothing = Kept::default();
        let all: Vec<(&Wanted, &Kept)> = self
            .wanted
            .iter()
            .map(|one| {
                let key = (one.domain.clone(), one.issuer.clone());
                (one, known.rows.get(&key).unwrap_or(&nothing))
            })
            .collect();
        waits_for_canary(wanted?, &all, now)
    }

    /// One record, as far as it goes now. `None` where another worker has it.
    async fn keep(&self, key: Key, known: &Known) -> Result<Option<Decided>, StoreError> {
        let now = self.ports.clock.now();
        let wanted = self.wanted(&key);
        let stored = known.rows.get(&key);
        let canary = self.canary(wanted, known, now);
        let as_stored = stored.cloned().unwrap_or_default();
        let caa = self.caa(wanted, &as_stored).await;
        let seen = known.seen(&key, &as_stored);
        let place = known.place(&key, &as_stored);
        let around = Surroundings {
            seen: &seen,
            place: place.as_deref(),
            caa: caa.as_deref(),
            guard: known.alarm.as_deref(),
            shrunk: known.shrunk.as_deref(),
            canary: canary.as_ref(),
            poll: self.options.poll,
        };
        let decision = next_step(wanted, &as_stored, &around, now);
        // What cannot be verified now is reported now, however young the last good check is.
        let is_unclear = |seen: &Seen| matches!(seen, Seen::Unclear(_));
        let is_clear = as_stored.withdrawn_at.is_some() || !seen.iter().flatten().any(is_unclear);
        let noted_every = self.options.noted_every;
        let is_quiet = is_clear && task::is_quiet(&as_stored, &decision, noted_every, now);
        if self.options.observes || is_quiet || self.stop.is_cancelled() {
            let (domain, issuer) = key;
            return Ok(Some(Decided {
                domain,
                issuer,
                decision,
            }));
        }
        let claim = PersistentClaim {
            domain: &key.0,
            issuer: &key.1,
            holder: &self.options.holder,
            now,
            lease: self.options.lease,
        };
        let Some(lease) = self.ports.store.claim_persistent(&claim).await? else {
            return Ok(None);
        };
        super::crashpoint::reach("persistent-claimed");
        // A worker that takes the row over counts on it that the calls of this one have ended.
        let limit = self.options.lease.unsigned_abs() * 2 / 3;
        let task = Task::new(self, wanted, lease, known, (caa, canary));
        match tokio::time::timeout(limit, task.run()).await {
            Ok(Err(StoreError::PersistentLost(_))) | Err(_) => Ok(None),
            Ok(Ok(decision)) => Ok(Some(Decided {
                domain: key.0,
                issuer: key.1,
                decision,
            })),
            Ok(Err(error)) => Err(error),
        }
    }

    /// Whether a decision leaves something to be done by a person or a later run.
    pub fn is_settled(decision: &Decision, kept: &Kept) -> bool {
        matches!(decision.step, Step::Rest | Step::Forget)
            && kept.trouble.is_none()
            && kept
                .records
                .iter()
                .all(|one| one.state == KeptState::Visible)
    }
}
