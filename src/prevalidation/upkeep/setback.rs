//! Why the next step waits: failures, a pause, a person.

use jiff::{SignedDuration, Timestamp, TimestampArithmetic};
use serde::{Deserialize, Serialize};

use super::super::policy::backoff;

/// What went wrong last, and until when nothing is tried. A step that goes well ends all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setback {
    /// Failures in a row, for the waiting time.
    pub failures: u32,
    /// The last failure, in words.
    pub last_error: Option<String>,
    /// It was a provider's, or about the way to name servers: DNS is in the way.
    pub dns_failed: bool,
    /// Not before this moment is the next step tried.
    pub not_before: Option<Timestamp>,
    /// Why it waits for a person.
    pub hold: Option<Hold>,
}

impl Setback {
    /// Remembers the last failure. Whether it is another one than before.
    pub fn note(&mut self, error: String) -> bool {
        let is_news = self.last_error.as_deref() != Some(&error);
        self.last_error = Some(error);
        is_news
    }

    /// A step failed and may go better later: after a pause that grows, at least after `asked`.
    pub fn fail(&mut self, asked: SignedDuration, now: Timestamp) {
        self.failures += 1;
        self.pause(backoff(self.failures).max(asked), now);
    }

    /// Nothing is tried for so long.
    pub fn pause(&mut self, time: impl Into<TimestampArithmetic>, now: Timestamp) {
        self.not_before = now.saturating_add(time).ok();
    }

    /// The next step is tried as soon as it is due.
    pub fn end_pause(&mut self) {
        self.not_before = None;
    }

    /// A person is waited for, since `since`.
    pub fn hold(&mut self, since: Timestamp, reason: String, again_at: Timestamp) {
        self.last_error = Some(reason.clone());
        self.hold = Some(Hold {
            since,
            reason,
            again_at,
        });
    }

    /// What is held is tried again at `at` at the latest.
    pub fn try_hold_by(&mut self, at: Timestamp) {
        if let Some(hold) = &mut self.hold {
            hold.again_at = hold.again_at.min(at);
        }
    }
}

/// Waiting for a person, with a reason; never silent, never final: it is tried again at
/// [`Hold::again_at`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// The fault and the hint, for people.
    pub reason: String,
    /// When it is tried again all the same.
    pub again_at: Timestamp,
}
