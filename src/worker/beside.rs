//! What the other clients of a domain, and the orders of certificates, have in DNS, or are about to
//! write there.

use jiff::Timestamp;

use super::ordered::{Ordered, is_same};
use crate::prevalidation::{Challenge, LedgerEntry, LedgerState, RecordType};

/// What was read of them.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Their entries. One that was open at an earlier read and is closed now stays here as removed:
    /// a receipt of the time between shows its record.
    pub(super) entries: Vec<LedgerEntry>,
    /// What they publish next.
    pub(super) wanted: Vec<Challenge>,
    /// The records of orders at the names of the domain's records. Those that were there at an earlier
    /// read stay here as going.
    ordered: Vec<Ordered>,
    /// The values of other domains at names that they share with this domain, such as the target of
    /// an alias. Only names that were read before are known.
    elsewhere: Vec<LedgerEntry>,
}

impl Beside {
    /// Takes in what other domains have at the names of these entries.
    pub(super) fn take_elsewhere(&mut self, ours: &[LedgerEntry], all: &[LedgerEntry]) {
        for entry in all {
            let is_shared = ours.iter().any(|one| one.owner == entry.owner);
            let mut known = self.elsewhere.iter();
            if is_shared && !known.any(|known| known.id == entry.id) {
                self.elsewhere.push(entry.clone());
            }
        }
    }

    /// Whether a TXT value is, or was at an earlier read, one that another domain has at this name.
    pub(super) fn is_elsewhere(&self, owner: &str, octets: &[u8]) -> bool {
        let mut all = self.elsewhere.iter();
        all.any(|one| {
            let is_ours = one.state != LedgerState::Foreign && one.kind == RecordType::Txt;
            is_ours && one.owner == owner && one.value.as_bytes() == octets
        })
    }

    /// All of it is read again.
    pub(super) fn forget(&mut self) {
        self.wanted.clear();
        for entry in &mut self.entries {
            entry.state = LedgerState::Removed;
        }
        for other in &mut self.ordered {
            other.is_gone = true;
        }
    }

    /// Takes in what orders have at the names of these entries.
    pub(super) fn take_ordered(&mut self, ours: &[LedgerEntry], ordered: &[Ordered]) {
        for other in ordered {
            if !ours.iter().any(|entry| entry.owner == other.record.place()) {
                continue;
            }
            let is_known = |known: &&mut Ordered| {
                let is_its = known.certificate == other.certificate;
                is_its && is_same(&known.record, &other.record)
            };
            match self.ordered.iter_mut().find(is_known) {
                Some(known) => known.clone_from(other),
                None => self.ordered.push(other.clone()),
            }
        }
    }

    /// Whether the order of a certificate has, or had at an earlier read, this TXT value.
    pub(super) fn is_ordered(&self, owner: &str, octets: &[u8]) -> bool {
        let is_it = |other: &Ordered| {
            let record = &other.record;
            record.place() == owner && !record.is_alias() && record.data.as_bytes() == octets
        };
        self.ordered.iter().any(is_it)
    }

    /// The record of an order that has the name of this entry for itself.
    pub(super) fn order_in_the_way(&self, entry: &LedgerEntry) -> Option<&Ordered> {
        let mut stand = self.ordered.iter().filter(|other| !other.is_gone);
        stand.find(|other| other.excludes(entry))
    }

    /// Takes one of the other clients in: its open entries and what it publishes next.
    pub(super) fn take(&mut self, entries: &[LedgerEntry], wanted: Option<&Challenge>) {
        self.wanted.extend(wanted.cloned());
        for entry in entries {
            let mut known = self.entries.iter_mut();
            match known.find(|known| known.id == entry.id) {
                Some(known) => known.clone_from(entry),
                None => self.entries.push(entry.clone()),
            }
        }
    }

    /// Whether another client has written, or means to write, this record. Two sections may write
    /// one zone, so the provider does not matter.
    pub(super) fn has(&self, entry: &LedgerEntry) -> bool {
        let ours = |other: &&LedgerEntry| other.state != LedgerState::Foreign;
        let mut ours = self.entries.iter().filter(ours);
        let is_ordered = self.ordered.iter().any(|other| other.is_of(entry));
        is_ordered || ours.any(|other| other.is_same_data(entry))
    }

    /// Whether the removal of this record by another client may be under way.
    pub(super) fn is_going(&self, entry: &LedgerEntry, now: Timestamp) -> bool {
        self.entries.iter().any(|other| {
            let is_in_flight = other.retry_at.is_none_or(|retry| retry <= now);
            other.state == LedgerState::Removing && is_in_flight && other.is_same_data(entry)
        })
    }

    /// The entry of another client that has the name of this record for itself: a CNAME allows no
    /// other record beside it. Of two that were intended at the same moment the earlier number goes
    /// first; one that was intended before `since` and not written is no reason to wait.
    pub(super) fn in_the_way(&self, entry: &LedgerEntry, since: Timestamp) -> Option<&LedgerEntry> {
        let mut open = self.entries.iter().filter(|other| other.state.is_open());
        open.find(|other| {
            let has_alias = [other.kind, entry.kind].contains(&RecordType::Cname);
            let goes_first = match other.state {
                LedgerState::Intended => other.id < entry.id && other.created_at > since,
                _ => true,
            };
            has_alias && goes_first && other.owner == entry.owner && !other.is_same_data(entry)
        })
    }

    /// Whether another client's entry continues for this record by the same provider, and removes
    /// it at its end.
    pub(super) fn takes_over(&self, entry: &LedgerEntry) -> bool {
        self.entries.iter().any(|other| {
            other.is_same_record(entry)
                && matches!(other.state, LedgerState::Intended | LedgerState::Published)
        })
    }

    /// Whether another client needs this record and does not take it over: by another section of
    /// the configuration, or with an entry that is still to come.
    pub(super) fn needs(&self, entry: &LedgerEntry) -> bool {
        let by_another = self.entries.iter().any(|other| {
            let stays = !matches!(other.state, LedgerState::Removing | LedgerState::Removed);
            stays && other.is_same_data(entry)
        });
        let mut ordered = self.ordered.iter();
        let by_order = ordered.any(|one| !one.is_gone && !one.is_going && one.is_of(entry));
        by_another || by_order || self.wanted.iter().any(|challenge| entry.carries(challenge))
    }
}
