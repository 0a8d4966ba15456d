//! A persistent record as the configuration wants it.

use jiff::{SignedDuration, Timestamp};

use super::record::PersistentRecord;
use crate::prevalidation::DomainName;

/// One issuer's record at one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The domain.
    pub domain: DomainName,
    /// The CA's issuer domain name.
    pub issuer: String,
    /// The account at the CA.
    pub account: String,
    /// Until when the record counts.
    pub end: End,
    /// Whether `policy=wildcard` is written.
    pub wildcard: bool,
    /// The `[provider.NAME]`; `None`: the one that has the zone.
    pub provider: Option<String>,
    /// How long the first domain's record must be visible before the other domains follow; zero:
    /// all at once.
    pub canary: SignedDuration,
    /// Whether this is the first domain.
    pub is_canary: bool,
}

/// Until when a record counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The time after it is written; the time before its end a new one is written.
    Rolling {
        /// The life of each record.
        life: SignedDuration,
        /// How long before its end it is replaced.
        replace_before: SignedDuration,
    },
    /// A moment that a person chose and moves.
    Fixed(Timestamp),
}

impl Wanted {
    /// The record that would be written at `now`.
    pub fn record(&self, now: Timestamp) -> PersistentRecord {
        let until = match self.end {
            End::Rolling { life, .. } => now.saturating_add(life).unwrap_or(Timestamp::MAX),
            End::Fixed(until) => until,
        };
        // The record has whole seconds.
        let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
        PersistentRecord {
            issuer: self.issuer.clone(),
            account: self.account.clone(),
            until,
            wildcard: self.wildcard,
        }
    }

    /// When a record that ends at `until` is replaced, or named to a person where only one can.
    pub fn replace_at(&self, until: Timestamp) -> Timestamp {
        let before = match self.end {
            End::Rolling { replace_before, .. } => replace_before,
            End::Fixed(_) => LEAD,
        };
        until.saturating_sub(before).unwrap_or(until)
    }
}

/// How long before a fixed end a person is told.
pub const LEAD: SignedDuration = SignedDuration::from_hours(24 * 30);
