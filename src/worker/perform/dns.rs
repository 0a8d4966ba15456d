//! Steps in DNS. The ledger is written before a zone is, and only what it says is ours is ever
//! removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use prevalidate_providers::{ErrorKind, Preflight, Provider, ProviderError, Receipt, Record};

use super::super::memory::with_memory;
use super::super::place::{Routed, next_owner};
use super::super::task::Task;
use super::super::{Hold, Worker, crashpoint};
use crate::prevalidation::policy::backoff;
use crate::prevalidation::words::counted;
use crate::prevalidation::{LedgerEntry, LedgerState, RecordType, Step};
use crate::store::StoreError;
use crate::text::Reason;

impl Worker {
    /// Proves write access before a proof is put at risk, for those whose turn it is.
    pub(super) async fn preflight(&self, waiting: Vec<Task>) -> Result<(), StoreError> {
        if waiting.is_empty() {
            return Ok(());
        }
        let now = self.ports.clock.now();
        let (mut tasks, mut later) = (Vec::new(), Vec::new());
        for mut task in waiting {
            if self.may_risk(&mut task, now).await? {
                let renews = task.shown_proof();
                task.observed.upkeep.start_with_preflight(now, renews);
                tasks.push(task);
            } else {
                later.push(task);
            }
        }
        self.finish(later).await?;
        let proved = futures::stream::iter(tasks)
            .map(|task| async move {
                let answer = self.try_next_record(&task).await;
                (task, answer)
            })
            .buffer_unordered(self.options.concurrency)
            .collect::<Vec<_>>()
            .await;
        crashpoint::reach("preflight-done");
        let now = self.ports.clock.now();
        let mut done = Vec::with_capacity(proved.len());
        for (mut task, answer) in proved {
            match answer {
                Ok(_) => {
                    task.went_well();
                    task.observed.upkeep.preflight_at = Some(now);
                }
                Err(error) => {
                    // Nothing was risked, and another domain may take the turn.
                    task.observed.upkeep.attempt.put_off();
                    self.dns_failed(&mut task, &error, now);
                }
            }
            done.push(task);
        }
        self.finish(done).await
    }

    /// Asks the provider whether the record of the next validation could be written.
    async fn try_next_record(&self, task: &Task) -> Result<Preflight, ProviderError> {
        let policy = task.policy(self);
        let owner = next_owner(policy, &*self.ports.checker, &task.fence.domain).await?;
        let named = self.provider_of(task, &owner).await?;
        let kind = policy.record.kind.into();
        self.provider(&named)?.preflight(owner.as_str(), kind).await
    }

    /// Makes the tokens present, one call per provider.
    pub(super) async fn publish(&self, tasks: Vec<Task>, hold: &Hold) -> Result<(), StoreError> {
        let wanted = tasks.into_iter().filter_map(|task| {
            let Step::Publish { challenge } = &task.decision.step else {
                return None;
            };
            let challenge = (**challenge).clone();
            Some((task, challenge))
        });
        let routed = self.routed(wanted.collect()).await?;
        let mut routed = self.rehearsed_records(routed).await?;
        if routed.is_empty() {
            return Ok(());
        }
        let now = self.ports.clock.now();
        let new = meant(&mut routed, now);
        let mut tasks = self
            .intend(
                routed.into_iter().map(|routed| routed.task).collect(),
                hold,
                |_| None,
            )
            .await?;
        crashpoint::reach("publish-intended");
        self.read_beside(tasks.iter_mut()).await?;
        let tasks = self.in_their_turn(tasks).await?;
        let mut answered = self.change(tasks, Verb::Present).await;
        crashpoint::reach("publish-done");
        self.read_beside(answered.iter_mut().map(|(task, _)| task))
            .await?;
        let now = self.ports.clock.now();
        let (mut done, mut by_others) = (Vec::with_capacity(answered.len()), Vec::new());
        for (mut task, answers) in answered {
            match self.took_answers(&mut task, answers, &new, now) {
                Some(id) => by_others.push((task, id)),
                None => done.push(task),
            }
        }
        done.extend(self.announce(by_others).await);
        self.finish(done).await
    }

    /// What the provider answered; the entry that it leaves to a foreign writer, if any.
    fn took_answers(
        &self,
        task: &mut Task,
        answers: Vec<(i64, Result<Receipt, ProviderError>)>,
        new: &BTreeSet<i64>,
        now: Timestamp,
    ) -> Option<i64> {
        let mut for_others = None;
        for (id, answer) in answers {
            match answer {
                Err(error) if error.kind == ErrorKind::ByOthers => for_others = Some(id),
                // There before, and no worker of ours ever meant to write it: a foreign record
                // (faults D17).
                Ok(receipt) => {
                    let mut entries = task.observed.ledger.iter();
                    let is_ours = entries.any(|entry| entry.id == id && task.beside.has(entry));
                    let foreign = !receipt.changed && new.contains(&id) && !is_ours;
                    self.published(task, id, &receipt, foreign, now);
                }
                Err(error) => {
                    // This was the first try and it is certain that nothing was written: there
                    // is nothing to remember.
                    let untouched = !matches!(error.kind, ErrorKind::Unknown | ErrorKind::Damaged);
                    if let Some(entry) = task
                        .entry_by_id(id)
                        .filter(|_| untouched && new.contains(&id))
                    {
                        entry.state = LedgerState::Removed;
                    }
                    self.dns_failed(task, &error, now);
                }
            }
        }
        for_others
    }

    fn published(
        &self,
        task: &mut Task,
        id: i64,
        receipt: &Receipt,
        foreign: bool,
        now: Timestamp,
    ) {
        let Some(entry) = task.entry_by_id(id) else {
            return;
        };
        let value = in_words(entry);
        let is_text = entry.kind == RecordType::Txt;
        let stood_before = entry.published_at.is_some();
        entry.state = if foreign {
            LedgerState::Foreign
        } else {
            LedgerState::Published
        };
        entry.zone = Some(receipt.after.zone.apex.clone());
        if receipt.changed || !stood_before {
            entry.published_at = Some(now);
        }
        if !stood_before {
            // Also where the answer to the write itself was lost: no write of ours changes an
            // RRset's TTL, so what is read now is no shorter than what caches may hold.
            entry.ttl_before = receipt.before.ttl;
            entry.negative_ttl = receipt.before.negative_ttl;
        }
        let vanished = receipt.changed && stood_before;
        let detail = if foreign {
            format!("{value} was there already and is not ours to remove")
        } else if !is_text {
            let ttl = receipt.after.ttl.unwrap_or_default();
            format!("{value} in zone {}, TTL {ttl} s", receipt.after.zone.apex)
        } else {
            let ttl = receipt.after.ttl.unwrap_or_default();
            let others = task.others_in(&receipt.before);
            let beside = counted(others, "other value", "other values");
            format!(
                "{value} in zone {}, TTL {ttl} s, beside {beside}",
                receipt.after.zone.apex
            )
        };
        task.went_well();
        let upkeep = &mut task.observed.upkeep;
        upkeep.wait.begin(Some(now));
        let visibility = &mut upkeep.attempt.visibility;
        visibility.written_by(receipt.change_id.clone());
        if vanished {
            visibility.vanish();
            task.say(
                self,
                "vanished",
                "the value had been removed; it is published again",
            );
        }
        if receipt.changed || !stood_before {
            task.say(self, "published", detail);
        }
        if !foreign && is_text {
            task.compare_others(self, receipt, now);
        }
    }

    /// Makes records of ours absent, one call per provider that wrote them.
    pub(super) async fn remove(&self, mut tasks: Vec<Task>, hold: &Hold) -> Result<(), StoreError> {
        if tasks.is_empty() {
            return Ok(());
        }
        for task in &mut tasks {
            let Step::Remove { entries } = task.decision.step.clone() else {
                continue;
            };
            for &id in &entries {
                if let Some(entry) = task.entry_by_id(id) {
                    entry.state = LedgerState::Removing;
                }
            }
            task.chosen = entries;
        }
        let mut tasks = self.intend(tasks, hold, |_| None).await?;
        crashpoint::reach("remove-intended");
        self.read_beside(tasks.iter_mut()).await?;
        let now = self.ports.clock.now();
        for task in &mut tasks {
            task.leave_shared(self, now);
        }
        let mut answered = self.change(tasks, Verb::Absent).await;
        crashpoint::reach("remove-done");
        self.read_beside(answered.iter_mut().map(|(task, _)| task))
            .await?;
        let now = self.ports.clock.now();
        let mut done = Vec::with_capacity(answered.len());
        let mut by_others = Vec::new();
        for (mut task, answers) in answered {
            let mut for_others = Vec::new();
            for (id, answer) in answers {
                match answer {
                    Err(error) if error.kind == ErrorKind::ByOthers => for_others.push(id),
                    answer => self.removed(&mut task, id, answer, now),
                }
            }
            if for_others.is_empty() {
                done.push(task);
            } else {
                by_others.push((task, for_others));
            }
        }
        done.extend(self.see_gone(by_others).await);
        self.finish(done).await
    }

    fn removed(
        &self,
        task: &mut Task,
        id: i64,
        answer: Result<Receipt, ProviderError>,
        now: Timestamp,
    ) {
        let Some(entry) = task.entry_by_id(id) else {
            return;
        };
        let value = in_words(entry);
        let is_text = entry.kind == RecordType::Txt;
        match answer {
            Ok(receipt) => {
                entry.state = LedgerState::Removed;
                entry.retry_at = None;
                let zone = &receipt.after.zone.apex;
                let others = task.others_in(&receipt.after);
                let others = counted(others, "other value stays", "other values stay");
                let said = if is_text {
                    format!("{value} from zone {zone}; {others}")
                } else {
                    format!("{value} from zone {zone}")
                };
                task.say(self, "removed", said);
                if is_text {
                    task.compare_others(self, &receipt, now);
                }
                if !task
                    .observed
                    .ledger
                    .iter()
                    .any(|entry| entry.state.is_open())
                {
                    task.observed.upkeep.stop_waiting();
                }
            }
            Err(error) => {
                entry.removal_tries += 1;
                entry.retry_at = now.saturating_add(backoff(entry.removal_tries)).ok();
                let zone = entry.zone.clone().unwrap_or_else(|| "its zone".to_owned());
                let text = Reason::new(&error.message, error.hint.as_deref()).to_string();
                let text = format!("cannot remove {value} from {zone}: {text}");
                if task.observed.upkeep.setback.note(text.clone()) {
                    task.say(self, "removal-failed", text);
                }
            }
        }
    }

    /// One call per provider for all chosen entries; per task its entries with their answers.
    async fn change(
        &self,
        tasks: Vec<Task>,
        verb: Verb,
    ) -> Vec<(Task, Vec<(i64, Result<Receipt, ProviderError>)>)> {
        let mut wanted: BTreeMap<String, Vec<(usize, i64, Record)>> = BTreeMap::new();
        for (index, task) in tasks.iter().enumerate() {
            for entry in task
                .observed
                .ledger
                .iter()
                .filter(|entry| task.chosen.contains(&entry.id))
            {
                let value = match entry.kind {
                    RecordType::Txt => Record::txt(&entry.owner, &entry.value),
                    RecordType::Cname => Record::cname(&entry.owner, &entry.value),
                };
                wanted
                    .entry(entry.provider.clone())
                    .or_default()
                    .push((index, entry.id, value));
            }
        }
        let asked =
            futures::future::join_all(wanted.into_iter().map(|(name, wanted)| async move {
                let values: Vec<Record> = wanted.iter().map(|(.., value)| value.clone()).collect();
                let answers = match (self.provider(&name), verb) {
                    (Ok(provider), Verb::Present) => {
                        let store = &*self.ports.store;
                        let asked = provider.ensure_present(&values);
                        with_memory(store, &name, &**provider, asked).await
                    }
                    (Ok(provider), Verb::Absent) => {
                        let store = &*self.ports.store;
                        let asked = provider.ensure_absent(&values);
                        with_memory(store, &name, &**provider, asked).await
                    }
                    (Err(error), _) => vec![Err(error); values.len()],
                };
                wanted.into_iter().zip(answers).collect::<Vec<_>>()
            }))
            .await;
        let mut answered: Vec<_> = tasks.into_iter().map(|task| (task, Vec::new())).collect();
        for ((index, id, _), answer) in asked.into_iter().flatten() {
            answered[index].1.push((id, answer));
        }
        answered
    }

    pub(super) fn provider(&self, name: &str) -> Result<&Arc<dyn Provider>, ProviderError> {
        self.ports.providers.get(name).ok_or_else(|| {
            ProviderError::new(
                ErrorKind::Settings,
                format!("provider `{name}` is no longer in the configuration"),
            )
            .with_hint("bring it back until a run has removed the value")
        })
    }

    pub(in crate::worker) fn dns_failed(
        &self,
        task: &mut Task,
        error: &ProviderError,
        now: Timestamp,
    ) {
        let text = Reason::new(&error.message, error.hint.as_deref()).to_string();
        task.observed.upkeep.setback.dns_failed = true;
        if error.is_retryable() {
            task.wait(self, text, error.retry_after, now);
        } else {
            task.hold(self, text, now);
            // The provider knows that it may pass by itself: a frozen zone.
            let sooner = error
                .retry_after
                .and_then(|wait| now.checked_add(wait).ok());
            if let Some(sooner) = sooner {
                task.observed.upkeep.setback.try_hold_by(sooner);
            }
        }
    }
}

/// A record in words: its name is said where it is not the domain's own.
pub(super) fn in_words(entry: &LedgerEntry) -> String {
    let (kind, value) = (entry.kind, &entry.value);
    if entry.owner == entry.key.domain().as_str() {
        format!("{kind} {value}")
    } else {
        format!("{} {kind} {value}", entry.owner)
    }
}

#[derive(Clone, Copy)]
enum Verb {
    Present,
    Absent,
}

/// Notes in each ledger what is to be written; the entries that are new.
fn meant(routed: &mut [Routed], now: Timestamp) -> BTreeSet<i64> {
    let mut new = BTreeSet::new();
    for routed in routed {
        let (task, challenge) = (&mut routed.task, &routed.challenge);
        let renews = task.shown_proof();
        let upkeep = &mut task.observed.upkeep;
        if upkeep.attempt.since.is_none() {
            upkeep.restart(now, renews);
        }
        if !upkeep.attempt.is_about(challenge) {
            upkeep.attempt.visibility.change_id = None;
        }
        let found = task.observed.sighting.registration();
        let token = found.and_then(|found| found.token.as_deref());
        upkeep.attempt.take(challenge, token);
        let known = task.observed.ledger.len();
        let entry = task.entry(&routed.owner, &challenge.data, &routed.provider, now);
        entry.state = LedgerState::Intended;
        entry.retry_at = None;
        let id = entry.id;
        task.chosen = vec![id];
        if task.observed.ledger.len() > known {
            new.insert(id);
        }
    }
    new
}
