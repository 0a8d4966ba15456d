//! The memory of what was once proven.
//!
//! A CA that replaces a random value, or that lost a registration, may show no proof any more. The
//! domain has lapsed all the same, and stays lapsed until a new proof counts. So the last proof
//! that was seen stays in the record, marked as remembered, whatever the CA shows meanwhile.

use jiff::Timestamp;

use super::observed::{Observed, Sighting};
use super::proof::Proof;
use super::registration::{Registration, Status};
use super::reuse::ReuseTable;

impl Sighting {
    /// Takes over from `before` what a fresh answer of the CA, read at `read_at`, does not say: the
    /// last proof where it shows none, and when a proof without a date was first seen.
    #[must_use]
    pub fn with_memory_of(mut self, before: &Observed, read_at: Timestamp) -> Self {
        if let Self::Present(found) = &mut self
            && found.proof.is_none()
        {
            if found.status == Status::Valid {
                found.proof = Some(Box::new(Proof {
                    first_seen: Some(read_at),
                    ends: Default::default(),
                    ..Proof::default()
                }));
            } else {
                found.proof = before.last_proof().cloned().map(Box::new);
                found.remembered = found.proof.is_some();
            }
        }
        self.keep_first_seen(&before.sighting);
        self
    }
}

impl Registration {
    /// The proof, while the CA shows it: what a new proof is compared with.
    pub fn shown_proof(&self) -> Option<&Proof> {
        self.proof.as_deref().filter(|_| !self.remembered)
    }
}

impl Observed {
    /// The last proof that is known of, whether it counts or not.
    pub fn last_proof(&self) -> Option<&Proof> {
        self.sighting
            .registration()
            .and_then(|found| found.proof.as_deref())
            .or(self.upkeep.past.last_proof.as_ref())
    }

    /// Whether the domain was proven once, is wanted, and no proof of it counts at `now`.
    pub fn is_lapsed(&self, reuse: &ReuseTable, now: Timestamp) -> bool {
        self.desired
            && self.covered_by.is_none()
            && self.usable_until(reuse, now).is_none()
            && self.was_proven()
    }

    /// Whether there was a proof at any time, as far as is known.
    pub fn was_proven(&self) -> bool {
        let status = self.sighting.registration().map(|found| &found.status);
        self.last_proof().is_some() || status == Some(&Status::Expired)
    }

    /// When the last proof stopped counting, for a domain that has lapsed: the end that the proof
    /// had, or the moment at which the loss was noticed if that came first.
    pub fn proven_until(&self, reuse: &ReuseTable) -> Option<Timestamp> {
        let end = self
            .last_proof()
            .and_then(|proof| reuse.usable_until(proof));
        match (
            end,
            self.upkeep.past.lapsed_at.filter(|_| self.lapse_is_noted()),
        ) {
            (Some(end), Some(noticed)) => Some(end.min(noticed)),
            (one, other) => one.or(other),
        }
    }

    /// Whether the history has an entry for this lapse. One that is older than the last proof was
    /// for an earlier lapse.
    fn lapse_is_noted(&self) -> bool {
        let made = self.last_proof().and_then(Proof::made_at);
        self.upkeep
            .past
            .lapsed_at
            .is_some_and(|at| made.is_none_or(|made| made <= at))
    }

    /// Whether the domain has lapsed and the history does not say so yet.
    pub fn has_unnoted_lapse(&self, reuse: &ReuseTable, now: Timestamp) -> bool {
        self.is_lapsed(reuse, now) && !self.lapse_is_noted()
    }

    /// Whether the history has an entry about a lapse that was none, and does not say so yet.
    pub fn has_false_lapse(&self) -> bool {
        self.upkeep.past.false_lapse.is_some() && self.desired && self.covered_by.is_none()
    }

    /// When the history needs an entry about a lapse: now, or at the end of the proof that counts.
    pub fn lapse_due_at(&self, reuse: &ReuseTable, now: Timestamp) -> Option<Timestamp> {
        if self.has_unnoted_lapse(reuse, now) || self.has_false_lapse() {
            return Some(now);
        }
        self.usable_until(reuse, now)
            .filter(|_| self.desired && self.covered_by.is_none())
    }

    /// The entry of the history about a lapse.
    pub fn lapse_in_words(&self, reuse: &ReuseTable, now: Timestamp) -> String {
        let proof = self.last_proof();
        let made = proof
            .and_then(|proof| proof.validated_at)
            .map(|at| format!(", made on {at:.0},"))
            .unwrap_or_default();
        match proof.and_then(|proof| reuse.usable_until(proof)) {
            Some(end) if end <= now => {
                format!("no proof counts any more: the last one{made} ended on {end:.0}")
            }
            Some(end) => format!(
                "no proof counts any more: the last one{made} was good until {end:.0}, and the CA \
                 does not count it any longer"
            ),
            None => "no proof counts any more: the CA says that the last one has ended".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
