//! The ledger entries of a task: what it means to write, wrote, and takes back.

use jiff::Timestamp;

use super::Task;
use crate::prevalidation::{Challenge, ChallengeData, LedgerEntry, LedgerState, RecordName};

impl Task {
    /// Foreign values stay in the zone; the ledger need not remember them any longer.
    pub(super) fn close_foreign(&mut self) {
        for entry in self
            .observed
            .ledger
            .iter_mut()
            .filter(|entry| entry.state == LedgerState::Foreign)
        {
            entry.state = LedgerState::Removed;
            self.touched.push(entry.id);
        }
    }

    /// The entry for a record through `provider`, made if there is none. A provider that was
    /// replaced in the configuration keeps its own entry, and its own cleanup (faults K20).
    pub(in crate::worker) fn entry(
        &mut self,
        owner: &RecordName,
        data: &ChallengeData,
        provider: &str,
        now: Timestamp,
    ) -> &mut LedgerEntry {
        let id = rand::random_range(1..i64::MAX);
        let wanted = LedgerEntry::intended(id, self.fence.key.clone(), owner, data, provider, now);
        let ledger = &mut self.observed.ledger;
        let known = ledger
            .iter()
            .position(|entry| entry.is_same_record(&wanted));
        let index = known.unwrap_or_else(|| {
            ledger.push(wanted);
            ledger.len() - 1
        });
        let entry = &mut ledger[index];
        if !self.touched.contains(&entry.id) {
            self.touched.push(entry.id);
        }
        entry
    }

    pub(in crate::worker) fn entry_by_id(&mut self, id: i64) -> Option<&mut LedgerEntry> {
        if !self.touched.contains(&id) {
            self.touched.push(id);
        }
        self.observed.ledger.iter_mut().find(|entry| entry.id == id)
    }

    /// Has the entries for the challenge published once more; a foreign one again: it may have been
    /// removed.
    pub(in crate::worker) fn publish_again(&mut self, challenge: &Challenge) {
        for entry in self
            .observed
            .ledger
            .iter_mut()
            .filter(|entry| entry.carries(challenge))
        {
            // A foreign record becomes ours if it must be written again; the provider's receipt
            // says so.
            let foreign = entry.state == LedgerState::Foreign;
            entry.state = if foreign {
                LedgerState::Removed
            } else {
                LedgerState::Intended
            };
            self.touched.push(entry.id);
        }
        self.observed.upkeep.setback.end_pause();
    }
}
