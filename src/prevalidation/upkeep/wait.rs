//! The wait for a proof while a record of ours is in DNS.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::lateness::Lateness;

/// A value that is not proven this long after it was written is late.
pub const LATE_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// It is not expected any more to succeed by itself.
pub const OVERDUE_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Since when a domain waits, and for what. A new token is no excuse: the wait goes on over it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wait {
    /// Since when a value of ours is there to be seen and has brought no proof.
    pub since: Option<Timestamp>,
    /// The party or event that this waits for, in a few words that stay the same while it is the
    /// same.
    pub subject: Option<String>,
    /// How late it was when that was last told.
    pub told: Lateness,
    /// Validating resolvers refuse the zone's answers, as far as the last check knows.
    pub bogus: Option<Bogus>,
}

impl Wait {
    /// A value of ours is there to be seen, since `since` if it was not before.
    pub fn begin(&mut self, since: Option<Timestamp>) {
        self.since = self.since.or(since);
    }

    /// It waits for `subject` from now on. Whether that is another one than before.
    pub fn turn_to(&mut self, subject: String) -> bool {
        let is_news = self.subject.as_ref() != Some(&subject);
        self.subject = Some(subject);
        is_news
    }

    /// How late it was when that was last told, and how late it is: that is told now.
    pub fn tell(&mut self, now: Timestamp) -> (Lateness, Lateness) {
        let lateness = self.lateness(now);
        (std::mem::replace(&mut self.told, lateness), lateness)
    }

    /// What a check said about the zone's signatures. What was known before.
    pub fn saw_bogus(&mut self, fault: Option<String>, now: Timestamp) -> Option<Bogus> {
        let known = self.bogus.take();
        let since = known.as_ref().map_or(now, |known| known.since);
        self.bogus = fault.map(|fault| Bogus { since, fault });
        known
    }

    /// How late it is.
    pub fn lateness(&self, now: Timestamp) -> Lateness {
        match self.since.map(|since| now.duration_since(since)) {
            Some(waited) if waited >= OVERDUE_AFTER => Lateness::Overdue,
            Some(waited) if waited >= LATE_AFTER => Lateness::Late,
            _ => Lateness::InTime,
        }
    }
}

/// A zone whose answers validating resolvers refuse (RFC 4033, section 5): it is gone for most of
/// the world, not for us alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bogus {
    /// The first check that found it so.
    pub since: Timestamp,
    /// The fault, for people.
    pub fault: String,
}
