//! A finished validation, and how two of them compare.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A finished validation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proof {
    /// `timeValidated`: when the CA finished it. A renewal has succeeded when this moved forward.
    pub validated_at: Option<Timestamp>,
    /// `timeExpired`: when the CA says it ends. It may move backwards when the rules change.
    pub expires_at: Option<Timestamp>,
    /// The CA's word for the method, `cabdns`; unknown methods are shown, not refused.
    pub method: Option<String>,
    /// When this program first saw the proof, where the CA shows no day for it, or a day that is
    /// still to come: the proof is at least as old. `None` where the CA's own date is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    /// The ends that the CA keeps apart, by what they are for: `ov`, `ev`, `smime`, `tls`, or a word
    /// for the proof itself. Empty where it states one end only. See [`super::Purpose`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ends: BTreeMap<String, Timestamp>,
}

impl Proof {
    /// The moment from which the rules count: the CA's, and never later than the first reading.
    pub fn made_at(&self) -> Option<Timestamp> {
        match (self.validated_at, self.first_seen) {
            (Some(validated), Some(seen)) => Some(validated.min(seen)),
            (one, other) => one.or(other),
        }
    }

    /// Whether nothing speaks for another proof than `known`: a date that is missing does not, and
    /// neither does an end that moved backwards.
    pub(super) fn is_same_as(&self, known: &Self) -> bool {
        let differs = self
            .validated_at
            .zip(known.validated_at)
            .is_some_and(|(now, then)| now != then);
        let lasts_longer = self
            .expires_at
            .zip(known.expires_at)
            .is_some_and(|(now, then)| now > then);
        !differs && !lasts_longer
    }

    /// Whether it was made after `old`: by its day, or by a later end where the CA shows no day.
    /// A date that only one of the two has says nothing.
    pub fn is_newer_than(&self, old: &Self) -> bool {
        if let Some((new, old)) = self.validated_at.zip(old.validated_at) {
            return new > old;
        }
        if let Some((new, old)) = self.expires_at.zip(old.expires_at) {
            return new > old;
        }
        // The CA shows no date. A proof is new if the state was not VALID in between.
        self.first_seen
            .zip(old.first_seen)
            .is_some_and(|(new, old)| new > old)
    }
}
