//! A domain that is at several clients: the records of all of them are side by side, and one that
//! two of them want stays until neither needs it any more.
//!
//! Each client stores its intent before it reads the others, and reads before it writes. So of two
//! that mean to write and to remove the same record at the same moment, one knows of the other.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::super::Worker;
use super::super::ordered::ordered;
use super::super::task::Task;
use crate::prevalidation::name::is_within;
use crate::prevalidation::{Challenge, DomainName, LedgerEntry, LedgerState, Step, next_step};
use crate::store::{DomainRow, StoreError};

/// How soon it is checked again whether another client still needs a record.
const NEEDED_AGAIN: SignedDuration = SignedDuration::from_mins(1);

impl Worker {
    /// Reads what the ledger has for the same domains at other clients. Each of them stores its
    /// intent before it writes, so that whatever a receipt has shown is known after this.
    pub(super) async fn read_beside<'t>(
        &self,
        tasks: impl Iterator<Item = &'t mut Task>,
    ) -> Result<(), StoreError> {
        let mut tasks: Vec<&mut Task> = tasks.collect();
        for task in &mut tasks {
            task.beside.forget();
        }
        let names: BTreeSet<DomainName> =
            tasks.iter().map(|task| task.fence.domain.clone()).collect();
        let names: Vec<_> = names.into_iter().collect();
        for row in self.ports.store.rows_of(&names).await? {
            let is_beside = |task: &&mut &mut Task| {
                task.fence.domain == row.domain && task.fence.key != row.key
            };
            let mut besides: Vec<_> = tasks.iter_mut().filter(is_beside).collect();
            if besides.is_empty() {
                continue;
            }
            let entries = self.ports.store.open_entries(Some(&row.key)).await?;
            let wanted = self.publishes_next(row, entries.clone());
            for task in &mut besides {
                task.beside.take(&entries, wanted.as_ref());
            }
        }
        // An alias may lead several domains to one name.
        let is_alias = |task: &&mut Task| {
            let domain = task.fence.domain.as_str();
            let mut ours = task.observed.ledger.iter();
            ours.any(|entry| !is_within(&entry.owner, domain))
        };
        if tasks.iter().any(is_alias) {
            let all = self.ports.store.open_entries(None).await?;
            for task in &mut tasks {
                let ours = &task.observed.ledger;
                task.beside.take_elsewhere(ours, &all);
            }
        }
        if self.reads_orders() && !tasks.is_empty() {
            let ordered = ordered(self.ports.store.orders().certificates().await?);
            for task in &mut tasks {
                task.beside.take_ordered(&task.observed.ledger, &ordered);
            }
        }
        Ok(())
    }

    /// Whether orders may have records in DNS beside those of proofs.
    fn reads_orders(&self) -> bool {
        let mut issuing = self
            .ports
            .cas
            .values()
            .filter_map(|ca| Arc::clone(ca).issuing());
        issuing.any(|ca| ca.kind().orders_bring_records)
    }

    /// The record that a row publishes next; none while it waits for a person.
    fn publishes_next(&self, row: DomainRow, ledger: Vec<LedgerEntry>) -> Option<Challenge> {
        let policy = self.policy.of(&row.ca);
        let observed = {
            let covering = self.covering.lock().unwrap_or_else(PoisonError::into_inner);
            let covering = covering.get(&row.client);
            self.observed(row, ledger, covering)
        };
        if observed.upkeep.setback.hold.is_some() {
            return None;
        }
        match next_step(&observed, policy, self.ports.clock.now()).step {
            Step::Publish { challenge } => Some(*challenge),
            _ => None,
        }
    }

    /// The tasks that may write their chosen record now. Where another client's removal of the same
    /// record may be under way, its end is waited for: no longer than a lease, because a removal
    /// that begins later knows of the intent. Where another client has the name for a CNAME of its
    /// own, its turn comes first.
    pub(super) async fn in_their_turn(&self, tasks: Vec<Task>) -> Result<Vec<Task>, StoreError> {
        let now = self.ports.clock.now();
        let since = now.saturating_sub(self.options.lease);
        let since = since.unwrap_or(Timestamp::MIN);
        let (mut able, mut waiting) = (Vec::with_capacity(tasks.len()), Vec::new());
        for mut task in tasks {
            let mut chosen = task.chosen_entries();
            let pause = chosen.find_map(|entry| {
                if let Some(other) = task.beside.in_the_way(entry, since) {
                    let text = format!(
                        "another client of the domain has a {} at {}: its turn comes first",
                        other.kind, other.owner
                    );
                    return Some((NEEDED_AGAIN, Some(text)));
                }
                if let Some(other) = task.beside.order_in_the_way(entry) {
                    let (name, record) = (&other.certificate, &other.record);
                    let text = format!(
                        "the order of certificate {name} has a {} at {}: its turn comes first",
                        record.kind,
                        record.place()
                    );
                    return Some((NEEDED_AGAIN, Some(text)));
                }
                let is_going = entry.created_at > since && task.beside.is_going(entry, now);
                is_going.then_some((self.policy.poll, None))
            });
            drop(chosen);
            let Some((pause, text)) = pause else {
                able.push(task);
                continue;
            };
            let setback = &mut task.observed.upkeep.setback;
            setback.pause(pause, now);
            if let Some(text) = text.filter(|text| setback.note(text.clone())) {
                task.say(self, "waiting", text);
            }
            waiting.push(task);
        }
        self.finish(waiting).await?;
        Ok(able)
    }
}

impl Task {
    fn chosen_entries(&self) -> impl Iterator<Item = &LedgerEntry> {
        let ledger = self.observed.ledger.iter();
        ledger.filter(|entry| self.chosen.contains(&entry.id))
    }

    /// Gives up those of the chosen entries whose record another client needs: it stays in the zone,
    /// and goes with the last entry for it.
    pub(super) fn leave_shared(&mut self, worker: &Worker, now: Timestamp) {
        let (mut taken_over, mut needed, mut free) = (Vec::new(), Vec::new(), Vec::new());
        for entry in self.chosen_entries() {
            if self.beside.takes_over(entry) {
                taken_over.push(entry.id);
            } else if self.beside.needs(entry) {
                needed.push(entry.id);
            } else {
                free.push(entry.id);
            }
        }
        self.chosen = free;
        let again = now.saturating_add(NEEDED_AGAIN).ok();
        for id in needed {
            let Some(entry) = self.entry_by_id(id) else {
                continue;
            };
            let is_news = entry.retry_at.is_none();
            let said = stays(entry);
            entry.retry_at = again;
            if is_news {
                self.say(worker, "needed", said);
            }
        }
        for id in taken_over {
            let Some(entry) = self.entry_by_id(id) else {
                continue;
            };
            (entry.state, entry.retry_at) = (LedgerState::Removed, None);
            let said = stays(entry);
            self.say(worker, "removed", said);
        }
        if !self
            .observed
            .ledger
            .iter()
            .any(|entry| entry.state.is_open())
        {
            self.observed.upkeep.stop_waiting();
        }
    }
}

fn stays(entry: &LedgerEntry) -> String {
    let (kind, value) = (entry.kind, &entry.value);
    format!("{kind} {value} stays: the domain needs it at another client, or for an order")
}
