//! Foreign TXT values beside ours: whether they changed while ours was there.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use prevalidate_providers::{Receipt, TxtRrset};

use super::super::Worker;
use super::super::task::Task;
use crate::prevalidation::{LedgerState, OthersChanged, Step};

impl Task {
    /// How many foreign values are in `rrset`, beside all of ours.
    pub(super) fn others_in(&self, rrset: &TxtRrset) -> usize {
        let ours = |octets: &[u8]| {
            let mut ours = self.observed.ledger.iter().chain(&self.beside.entries);
            let is_proof = ours.any(|entry| {
                entry.state != LedgerState::Foreign && entry.value.as_bytes() == octets
            });
            is_proof
                || self.beside.is_ordered(&rrset.owner, octets)
                || self.beside.is_elsewhere(&rrset.owner, octets)
        };
        let others = rrset.records.iter();
        others.filter(|record| !ours(&record.joined())).count()
    }

    /// Compares what a receipt found beside our values with what was read before, and keeps it
    /// while one of ours is there.
    pub(super) fn compare_others(&mut self, worker: &Worker, receipt: &Receipt, now: Timestamp) {
        let ledger = &self.observed.ledger;
        let ours = |octets: &[u8]| {
            let mut ours = ledger.iter().chain(&self.beside.entries);
            let is_proof = ours.any(|entry| entry.value.as_bytes() == octets);
            is_proof
                || self.beside.is_ordered(&receipt.before.owner, octets)
                || self.beside.is_elsewhere(&receipt.before.owner, octets)
        };
        let found = receipt
            .before
            .records
            .iter()
            .filter(|record| !ours(&record.joined()));
        let found: BTreeSet<String> = found.map(|record| record.display()).collect();
        let has_open = ledger.iter().any(|entry| entry.state.is_open());
        let known = self.observed.upkeep.foreign.values.take();
        self.observed.upkeep.foreign.values = has_open.then(|| found.iter().cloned().collect());
        let Some(known) = known
            .map(BTreeSet::from_iter)
            .filter(|known| *known != found)
        else {
            return;
        };
        let list = |word: &str, values: Vec<&String>| {
            let quoted: Vec<_> = values.iter().map(|value| format!("\"{value}\"")).collect();
            (!quoted.is_empty()).then(|| format!("{word} {}", quoted.join(", ")))
        };
        let parts = [
            list("gone:", known.difference(&found).collect()),
            list("new:", found.difference(&known).collect()),
        ];
        let what = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
        self.say(
            worker,
            "others-changed",
            format!("foreign TXT values at the name changed; {what}"),
        );
        self.observed.upkeep.foreign.changed = Some(OthersChanged { at: now, what });
    }
}

/// How soon it is checked again whether a domain of another configuration is ours again.
const OTHERS_AGAIN: SignedDuration = SignedDuration::from_mins(10);

impl Task {
    /// Nothing is done, and nothing is said about it: the domain is at a client that another
    /// program's configuration names and this one's does not.
    pub(super) fn leave_to_others(&mut self, now: Timestamp) {
        let again = now.saturating_add(OTHERS_AGAIN).ok();
        self.observed.upkeep.setback.not_before =
            self.observed.upkeep.setback.not_before.max(again);
        self.decision.step = Step::Rest;
    }
}
