//! When a CA is left alone for a while: because it asked for it, or because it fails again and
//! again (faults C15, C16).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::ca::{CaError, Failure};

/// This many failures in a row open the circuit.
const FAILURES: u32 = 5;

/// While the circuit is open, one call in this time tests the CA.
const PAUSE: SignedDuration = SignedDuration::from_mins(5);

/// No pause is longer. One that seems to be was made by a clock that was wrong.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// How long a CA is left alone that says "too many requests" and not for how long.
const UNTOLD: SignedDuration = SignedDuration::from_mins(1);

/// The CAs that are left alone, by `[ca.NAME]`.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<BTreeMap<String, Pause>>);

#[derive(Debug, Default)]
struct Pause {
    failures: u32,
    until: Option<Timestamp>,
}

impl Pauses {
    /// Until when `ca` is left alone, while it is.
    pub(super) fn until(&self, ca: &str, now: Timestamp) -> Option<Timestamp> {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses
            .get(ca)
            .and_then(|pause| pause.until)
            .filter(|&until| now < until && until.duration_since(now) <= LONGEST)
    }

    /// The CA answered.
    pub(super) fn answered(&self, ca: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(ca);
    }

    /// The CA did not, or wants a pause.
    pub(super) fn failed(&self, ca: &str, error: &CaError, now: Timestamp) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = pauses.entry(ca.to_owned()).or_default();
        pause.failures += 1;
        let span = match error.failure {
            // A refused credential stays refused: asking on would lock the account (faults J02).
            Failure::Unauthenticated | Failure::Settings => Some(LONGEST),
            Failure::Throttled if error.retry_after.is_none() => Some(UNTOLD),
            _ if error.retry_after.is_some() => error
                .retry_after
                .and_then(|wait| SignedDuration::try_from(wait).ok()),
            _ if pause.failures >= FAILURES => Some(PAUSE),
            _ => None,
        };
        let span = span.map(|span| span.min(LONGEST));
        if let Some(until) = span.and_then(|span| now.saturating_add(span).ok()) {
            let known = pause
                .until
                .filter(|&known| known.duration_since(now) <= LONGEST);
            pause.until = known.max(Some(until));
        }
    }
}
