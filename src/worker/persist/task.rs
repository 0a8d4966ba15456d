//! One claimed record on its way: a working copy that becomes one fenced write at a time.

mod settle;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use prevalidate_providers::{ErrorKind, Provider, ProviderError, Receipt, Record};

use super::{Keeper, Known};
use crate::persistent::{
    Decision, Kept, KeptRecord, KeptState, Seen, Step, Surroundings, Trouble, Wait, Wanted,
    next_step, owner_of,
};
use crate::prevalidation::RecordName;
use crate::prevalidation::policy::backoff;
use crate::prevalidation::words::counted;
use crate::store::persistent::{PersistentFence, PersistentLease, PersistentWrite};
use crate::store::{Event, StoreError};
use crate::text::Reason;
use crate::worker::crashpoint::reach;
use crate::worker::memory::with_memory;
use crate::worker::route::route_record;

/// A record of one pass takes fewer steps; more would go round in a circle.
const MOST_STEPS: usize = 24;

/// Between two checks whether the foreign writer has removed a record.
const GONE_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// What only a person can repair is tried again after this time.
const REFUSED_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// Whether a decision changes neither DNS nor what is remembered.
pub(super) fn is_quiet(
    kept: &Kept,
    decision: &Decision,
    noted_every: SignedDuration,
    now: Timestamp,
) -> bool {
    let is_fresh = |at: Timestamp| now.duration_since(at) < noted_every;
    let is_verified = kept.records.is_empty() || kept.verified_at.is_some_and(is_fresh);
    let is_well = kept.hold.is_none() && kept.trouble.is_none() && kept.missing_since.is_none();
    match decision.step {
        Step::Rest if kept.withdrawn_at.is_some() => true,
        Step::Rest => is_well && is_verified,
        Step::Forget => false,
        _ => false,
    }
}

/// One record in hand.
pub(super) struct Task<'a> {
    keeper: &'a Keeper,
    wanted: Option<&'a Wanted>,
    fence: PersistentFence,
    domain: crate::prevalidation::DomainName,
    issuer: String,
    kept: Kept,
    seen: Vec<Option<Seen>>,
    place: Option<String>,
    guard: Option<&'a str>,
    shrunk: Option<&'a str>,
    caa: Option<String>,
    canary: Option<Wait>,
    events: Vec<Event>,
}

impl<'a> Task<'a> {
    pub(super) fn new(
        keeper: &'a Keeper,
        wanted: Option<&'a Wanted>,
        lease: PersistentLease,
        known: &'a Known,
        (caa, canary): (Option<String>, Option<Wait>),
    ) -> Self {
        let mut row = lease.row;
        let key = (row.domain.clone(), row.issuer.clone());
        if let Some(is_by_provider) = known.is_by_provider(&key, &row.kept) {
            row.kept.is_by_provider = is_by_provider;
        }
        known.note_displaced(&key, &mut row.kept);
        Self {
            keeper,
            wanted,
            fence: lease.fence,
            seen: known.seen(&key, &row.kept),
            place: known.place(&key, &row.kept),
            domain: row.domain,
            issuer: row.issuer,
            kept: row.kept,
            guard: known.alarm.as_deref(),
            shrunk: known.shrunk.as_deref(),
            caa,
            canary,
            events: Vec::new(),
        }
    }

    /// Takes the record as far as it goes now.
    pub(super) async fn run(mut self) -> Result<Decision, StoreError> {
        let mut last = None;
        for _ in 0..MOST_STEPS {
            let decision = self.decide();
            let step = decision.step.clone();
            last = Some(decision);
            match step {
                Step::Rest | Step::Hold(_) | Step::Forget => break,
                Step::Check(at) => self.check(at).await,
                Step::Confirm(at) => self.confirm(at).await?,
                Step::Publish => self.publish().await?,
                Step::Write(at) => self.write(at, false).await?,
                Step::PutBack(at) => self.put_back(at).await?,
                Step::Remove(at) => self.remove(at).await?,
            }
            if self.keeper.stop.is_cancelled() {
                break;
            }
        }
        let decision = last.unwrap_or_else(|| self.decide());
        self.settle(&decision);
        let forget = decision.step == Step::Forget;
        self.store(true, forget).await?;
        Ok(decision)
    }

    fn decide(&self) -> Decision {
        let around = Surroundings {
            seen: &self.seen,
            place: self.place.as_deref(),
            caa: self.caa.as_deref(),
            guard: self.guard,
            shrunk: self.shrunk,
            canary: self.canary.as_ref(),
            poll: self.keeper.options.poll,
        };
        next_step(self.wanted, &self.kept, &around, self.now())
    }

    fn now(&self) -> Timestamp {
        self.keeper.ports.clock.now()
    }

    async fn check(&mut self, at: usize) {
        let sight = self
            .keeper
            .check(&self.domain, &self.kept.records[at])
            .await;
        self.seen.resize(self.kept.records.len(), None);
        self.seen[at] = Some(sight.seen);
        if let Some(is_displaced) = sight.is_displaced {
            self.kept.records[at].is_displaced = is_displaced;
        }
        self.kept.is_by_provider = sight.is_by_provider;
        self.place = sight.end.or(self.place.take());
    }

    async fn confirm(&mut self, at: usize) -> Result<(), StoreError> {
        let now = self.now();
        let record = &mut self.kept.records[at];
        record.state = KeptState::Visible;
        record.visible_at = Some(now);
        record.published_at.get_or_insert(now);
        let words = format!("{} at {}", record.value, record.owner);
        let account = record.account.clone();
        let is_same = |known: &(String, Timestamp)| known.0 == account;
        if !self.kept.account.as_ref().is_some_and(is_same) {
            self.kept.account = Some((account, now));
        }
        (self.kept.verified_at, self.kept.missing_since) = (Some(now), None);
        self.well();
        self.say("visible", words);
        self.store(false, false).await
    }

    /// Stores the intent of a new record, then writes it.
    async fn publish(&mut self) -> Result<(), StoreError> {
        let Some(wanted) = self.wanted else {
            return Ok(());
        };
        let now = self.now();
        let (owner, provider) = match self.place(wanted).await {
            Ok(found) => found,
            Err(error) => {
                self.failed(&error, now);
                return self.store(false, false).await;
            }
        };
        let record = wanted.record(now);
        self.kept.records.push(KeptRecord {
            owner: owner.to_string(),
            value: record.value(),
            account: record.account,
            wildcard: record.wildcard,
            until: record.until,
            provider,
            zone: None,
            ttl_before: None,
            state: KeptState::Intended,
            foreign: false,
            by_others: false,
            created_at: now,
            published_at: None,
            visible_at: None,
            change_id: None,
            is_displaced: false,
            retry_at: None,
        });
        self.seen.resize(self.kept.records.len(), None);
        self.store(false, false).await?;
        reach("persistent-intended");
        self.write(self.kept.records.len() - 1, true).await
    }

    /// Where the record is written, and by which provider.
    async fn place(&self, wanted: &Wanted) -> Result<(RecordName, String), ProviderError> {
        let unfit = |words: String| ProviderError::new(ErrorKind::Settings, words);
        let shown = self.domain.both_forms();
        let owner = owner_of(&self.domain)
            .ok_or_else(|| unfit(format!("{shown} is too long for a record below it")))?;
        let ports = &self.keeper.ports;
        let place = ports
            .checker
            .target(&owner)
            .await
            .map_err(|why| ProviderError::new(ErrorKind::Unavailable, why))?;
        let named = wanted.provider.as_deref();
        let checker = &*ports.checker;
        let provider = route_record(&ports.providers, checker, &place, &shown, named).await?;
        Ok((place, provider))
    }

    fn provider(&self, name: &str) -> Result<Arc<dyn Provider>, ProviderError> {
        let provider = self.keeper.ports.providers.get(name).cloned();
        provider.ok_or_else(|| {
            let words = format!("provider `{name}` is no longer in the configuration");
            ProviderError::new(ErrorKind::Settings, words)
                .with_hint("bring it back until a run has removed the record")
        })
    }

    /// Writes a record whose intent is stored. `is_new`: no worker has stored an intent for it
    /// before.
    async fn write(&mut self, at: usize, is_new: bool) -> Result<(), StoreError> {
        let record = self.kept.records[at].clone();
        let answer = match self.provider(&record.provider) {
            Ok(provider) => {
                let wanted = [Record::txt(&record.owner, &record.value)];
                let store = &*self.keeper.ports.store;
                let asked = provider.ensure_present(&wanted);
                let answers = with_memory(store, &record.provider, &*provider, asked).await;
                one(answers)
            }
            Err(error) => Err(error),
        };
        reach("persistent-written");
        let now = self.now();
        self.seen[at] = None;
        match answer {
            Ok(receipt) => self.written(at, &receipt, is_new, now),
            Err(error) if error.kind == ErrorKind::ByOthers => self.announce(at).await,
            Err(error) => {
                let is_open = matches!(error.kind, ErrorKind::Unknown | ErrorKind::Damaged);
                if is_new && !is_open {
                    // It is certain that nothing was written: there is nothing to remember.
                    self.drop_record(at);
                }
                self.failed(&error, now);
            }
        }
        self.store(false, false).await
    }

    fn written(&mut self, at: usize, receipt: &Receipt, is_new: bool, now: Timestamp) {
        let record = &mut self.kept.records[at];
        record.state = KeptState::Published;
        record.by_others = false;
        record.zone = Some(receipt.after.zone.apex.clone());
        // It was there before any worker of ours meant to write it (faults D17).
        record.foreign = (record.foreign || is_new) && !receipt.changed;
        record.change_id = receipt.change_id.clone().or(record.change_id.take());
        if record.published_at.is_none() {
            record.ttl_before = receipt.before.ttl;
        }
        if receipt.changed || record.published_at.is_none() {
            record.published_at = Some(now);
        }
        let beside = counted(receipt.before.records.len(), "other value", "other values");
        let words = match record.foreign {
            true => format!(
                "{} at {} was there before and is not ours to remove",
                record.value, record.owner
            ),
            false => format!(
                "{} at {}, beside {beside}, until {:.0}",
                record.value, record.owner, record.until
            ),
        };
        self.well();
        self.say("published", words);
    }

    /// The zone's own writer must write it; name servers show when it has.
    async fn announce(&mut self, at: usize) {
        let owner = RecordName::parse(&self.kept.records[at].owner).ok();
        let live = match owner {
            Some(owner) => self.keeper.ports.checker.live_zone(&owner).await,
            None => Ok(None),
        };
        let record = &mut self.kept.records[at];
        record.zone = live
            .ok()
            .flatten()
            .map(|live| live.apex)
            .or(record.zone.take());
        record.state = KeptState::Published;
        record.published_at = None;
        let was_told = record.by_others;
        record.by_others = true;
        let words = format!(
            "{} at {} is for the zone's own writer to write: `prevalidate records` prints it",
            record.value, record.owner
        );
        self.well();
        if !was_told {
            self.say("announced", words);
        }
    }

    /// A pipeline dropped the record: it comes back.
    async fn put_back(&mut self, at: usize) -> Result<(), StoreError> {
        let now = self.now();
        let record = &mut self.kept.records[at];
        record.state = KeptState::Intended;
        let words = format!(
            "{} at {} was removed by another writer of the zone; it is put back",
            record.value, record.owner
        );
        self.kept.put_back += 1;
        self.kept.put_back_at = Some(now);
        self.kept.missing_since.get_or_insert(now);
        self.say("vanished", words);
        self.store(false, false).await?;
        reach("persistent-put-back");
        self.write(at, false).await
    }

    /// Removes a record of ours.
    async fn remove(&mut self, at: usize) -> Result<(), StoreError> {
        if self.kept.records[at].foreign {
            let record = self.drop_record(at);
            let words = format!("{} at {} is not ours to remove", record.value, record.owner);
            self.say("left", words);
            return self.store(false, false).await;
        }
        self.kept.records[at].state = KeptState::Removing;
        self.store(false, false).await?;
        reach("persistent-removing");
        let record = self.kept.records[at].clone();
        let answer = match self.provider(&record.provider) {
            Ok(provider) => {
                let records = [Record::txt(&record.owner, &record.value)];
                one(provider.ensure_absent(&records).await)
            }
            Err(error) => Err(error),
        };
        reach("persistent-removed");
        let now = self.now();
        match answer {
            Ok(_) => {
                self.drop_record(at);
                if self.has_unremoved() {
                    (self.kept.trouble, self.kept.failures) = (None, 0);
                }
                self.say("removed", format!("{} at {}", record.value, record.owner));
            }
            Err(error) if error.kind == ErrorKind::ByOthers => self.see_gone(at, now).await,
            Err(error) => {
                let why = Reason::new(&error.message, error.hint.as_deref());
                let trouble = Trouble::removal(&record.value, &record.owner, why);
                if self.kept.trouble.as_ref() != Some(&trouble) {
                    self.say("removal-failed", trouble.to_string());
                }
                self.kept.trouble = Some(trouble);
                self.kept.failures += 1;
                let again = now.saturating_add(backoff(self.kept.failures));
                self.kept.records[at].retry_at = again.ok();
            }
        }
        self.store(false, false).await
    }

    /// Whether the foreign writer has removed it.
    async fn see_gone(&mut self, at: usize, now: Timestamp) {
        let was_told = self.kept.records[at].retry_at.is_some();
        let record = &self.kept.records[at];
        if self.keeper.is_gone(&self.domain, record).await {
            let record = self.drop_record(at);
            self.say("removed", format!("{} at {}", record.value, record.owner));
            return;
        }
        let record = &mut self.kept.records[at];
        record.by_others = true;
        record.retry_at = now.saturating_add(GONE_AGAIN).ok();
        let words = format!(
            "{} at {} is no longer needed; the zone's own writer may remove it",
            record.value, record.owner
        );
        if !was_told {
            self.say("may-go", words);
        }
    }

    fn drop_record(&mut self, at: usize) -> KeptRecord {
        if at < self.seen.len() {
            self.seen.remove(at);
        }
        self.kept.records.remove(at)
    }

    /// Whether the trouble is a record that could not be removed.
    fn has_unremoved(&self) -> bool {
        self.kept.trouble.as_ref().is_some_and(Trouble::is_removal)
    }

    fn well(&mut self) {
        (self.kept.failures, self.kept.trouble, self.kept.not_before) = (0, None, None);
    }

    fn failed(&mut self, error: &ProviderError, now: Timestamp) {
        let words = Reason::new(&error.message, error.hint.as_deref()).to_string();
        let trouble = Trouble::from(words);
        if self.kept.trouble.as_ref() != Some(&trouble) {
            self.say("failed", trouble.to_string());
        }
        self.kept.failures += 1;
        let asked = error.retry_after.map(SignedDuration::try_from);
        let asked = asked.and_then(Result::ok).unwrap_or_default();
        let wait = match error.is_retryable() {
            true => backoff(self.kept.failures).max(asked),
            false => REFUSED_AGAIN,
        };
        self.kept.not_before = now.saturating_add(wait).ok();
        self.kept.trouble = Some(trouble);
    }

    fn say(&mut self, kind: &str, detail: impl Into<String>) {
        self.events.push(Event {
            at: self.now(),
            run: self.keeper.options.run.clone(),
            domain: Some(self.domain.clone()),
            client: None,
            kind: kind.to_owned(),
            detail: format!("persistent record of {}: {}", self.issuer, detail.into()),
        });
    }

    async fn store(&mut self, release: bool, forget: bool) -> Result<(), StoreError> {
        let write = PersistentWrite {
            fence: self.fence.clone(),
            kept: self.kept.clone(),
            events: std::mem::take(&mut self.events),
            release,
            forget,
        };
        self.keeper.ports.store.commit_persistent(&write).await?;
        write
            .events
            .iter()
            .for_each(|event| (self.keeper.tell)(event));
        Ok(())
    }
}

/// The answer about the only record of a call.
fn one(answers: Vec<Result<Receipt, ProviderError>>) -> Result<Receipt, ProviderError> {
    let nothing = || ProviderError::new(ErrorKind::Unknown, "the provider said nothing");
    answers.into_iter().next().unwrap_or_else(|| Err(nothing()))
}
