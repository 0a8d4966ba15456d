//! A domain that is at several clients: the records of all of them stand side by side, and one that
//! two of them want stays until neither needs it any more.

use std::collections::BTreeSet;

use super::super::Worker;
use super::super::task::Task;
use crate::prevalidation::{DomainName, LedgerEntry, LedgerState};
use crate::store::StoreError;

impl Worker {
    /// Reads what the ledger has for the same domains at other clients. Each of them stores its
    /// intent before it writes, so that whatever a receipt has shown is known after this.
    pub(super) async fn read_beside<'t>(
        &self,
        tasks: impl Iterator<Item = &'t mut Task>,
    ) -> Result<(), StoreError> {
        let mut tasks: Vec<&mut Task> = tasks.collect();
        let names: BTreeSet<DomainName> =
            tasks.iter().map(|task| task.fence.domain.clone()).collect();
        let names: Vec<_> = names.into_iter().collect();
        for row in self.ports.store.rows_of(&names).await? {
            let beside = |task: &&mut &mut Task| {
                task.fence.domain == row.domain && task.fence.key != row.key
            };
            let Some(task) = tasks.iter_mut().find(beside) else {
                continue;
            };
            let entries = self.ports.store.open_entries(Some(&row.key)).await?;
            task.beside.extend(entries);
        }
        Ok(())
    }
}

impl Task {
    /// Whether another client of the domain needs the same record.
    pub(super) fn is_shared(&self, entry: &LedgerEntry) -> bool {
        self.beside.iter().any(|other| {
            other.is_same_record(entry)
                && matches!(other.state, LedgerState::Intended | LedgerState::Published)
        })
    }

    /// Gives up those of the chosen entries whose record another client needs: it stays in the zone,
    /// and goes with the last entry for it.
    pub(super) fn leave_shared(&mut self, worker: &Worker) {
        let (shared, chosen): (Vec<i64>, Vec<i64>) = std::mem::take(&mut self.chosen)
            .into_iter()
            .partition(|id| {
                let mut entries = self.observed.ledger.iter();
                entries.any(|entry| entry.id == *id && self.is_shared(entry))
            });
        self.chosen = chosen;
        for id in shared {
            let Some(entry) = self.entry_by_id(id) else {
                continue;
            };
            (entry.state, entry.retry_at) = (LedgerState::Removed, None);
            let said = format!(
                "{} {} stays: the domain needs it at another client",
                entry.kind, entry.value
            );
            self.say(worker, "removed", said);
        }
        if !self
            .observed
            .ledger
            .iter()
            .any(|entry| entry.state.is_open())
        {
            self.observed.attempt.stop_waiting();
        }
    }
}
