//! What is remembered of one issuer's record at one domain: the ledger of persistent records.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::trouble::Trouble;

/// Everything that is remembered, and all that a worker needs after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// The records that we mean to write, wrote or must remove, the oldest first. At most two stay;
    /// beside them are those whose removal failed.
    pub records: Vec<KeptRecord>,
    /// A person took the record out of DNS: it stays away until a person lets it back.
    pub withdrawn_at: Option<Timestamp>,
    /// It waits for a person.
    pub hold: Option<KeptHold>,
    /// The account whose record was first seen on every name server, and when.
    pub account: Option<(String, Timestamp)>,
    /// The last time that every name server was seen with the record.
    pub verified_at: Option<Timestamp>,
    /// The last check was a read of the provider's zone: the gate asks no name server.
    pub is_by_provider: bool,
    /// Since when name servers lack a record that was visible.
    pub missing_since: Option<Timestamp>,
    /// How often it was put back, and when last.
    pub put_back: u32,
    /// The last time it was put back.
    pub put_back_at: Option<Timestamp>,
    /// What the last check or the last try came to, where it was not good.
    pub trouble: Option<Trouble>,
    /// What the record that was written waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// Not before this moment is it tried again.
    pub not_before: Option<Timestamp>,
}

/// One record of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRecord {
    /// The name that it is written at: `_validation-persist.DOMAIN`, or the end of its aliases.
    pub owner: String,
    /// The whole TXT value.
    pub value: String,
    /// The account in it.
    pub account: String,
    /// Whether `policy=wildcard` is in it.
    #[serde(default)]
    pub wildcard: bool,
    /// Until when it counts.
    pub until: Timestamp,
    /// The `[provider.NAME]` that writes it.
    pub provider: String,
    /// The zone, once a receipt named it.
    #[serde(default)]
    pub zone: Option<String>,
    /// The TTL of the record set before ours came.
    #[serde(default)]
    pub ttl_before: Option<u32>,
    /// Where it is.
    pub state: KeptState,
    /// It was in the zone before we came: it is never removed by us.
    #[serde(default)]
    pub foreign: bool,
    /// A pipeline or a person writes the zone.
    #[serde(default)]
    pub by_others: bool,
    /// When the intent was stored.
    pub created_at: Timestamp,
    /// When a receipt proved it, or, where a foreign writer writes, when it was told.
    #[serde(default)]
    pub published_at: Option<Timestamp>,
    /// When every name server had it first.
    #[serde(default)]
    pub visible_at: Option<Timestamp>,
    /// The provider's name for the change that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_id: Option<String>,
    /// The last check found an alias at its name, so the record cannot be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_displaced: bool,
    /// Not before this moment is its removal tried again.
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptState {
    /// We mean to write it; it may be there if a reply was lost.
    Intended,
    /// It is in the zone, or a foreign writer was told to write it.
    Published,
    /// Every name server had it.
    Visible,
    /// We mean to remove it; it may be gone.
    Removing,
}

impl KeptState {
    /// For people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Published => "published",
            Self::Visible => "visible",
            Self::Removing => "removing",
        }
    }
}

/// Why it waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptHold {
    /// Since when.
    pub since: Timestamp,
    /// A stable word: `caa`, `ended`, `too-far`, `vanished`, `leaving`.
    pub kind: String,
    /// Why, in words.
    pub words: String,
}

impl Kept {
    /// Whether nothing is left that must be remembered.
    pub fn is_over(&self) -> bool {
        self.records.is_empty() && self.withdrawn_at.is_none()
    }

    /// Whether it waits for a person for this reason.
    pub fn is_held_for(&self, kind: &str) -> bool {
        self.hold_since(kind).is_some()
    }

    /// Since when it waits for a person for this reason.
    pub fn hold_since(&self, kind: &str) -> Option<Timestamp> {
        let hold = self.hold.as_ref().filter(|hold| hold.kind == kind);
        hold.map(|hold| hold.since)
    }

    /// A person wants it tried now: no wait of before counts.
    pub fn wake(&mut self) {
        self.not_before = None;
        for record in &mut self.records {
            record.retry_at = None;
        }
    }

    /// The records that the writers of a zone must remove are checked now.
    pub fn wake_checks(&mut self) {
        for record in self.records.iter_mut().filter(|record| record.by_others) {
            record.retry_at = None;
        }
    }

    /// Whether the next check of what the writers of a zone must remove waits for its time.
    pub fn is_checked_later(&self) -> bool {
        let mut records = self.records.iter();
        records.any(|record| record.by_others && record.retry_at.is_some())
    }

    /// Whether the last try to write it failed.
    pub fn is_refused(&self) -> bool {
        self.failures > 0 && self.not_before.is_some() && self.trouble.is_some()
    }

    /// Whether something waits for its time.
    pub fn sleeps(&self) -> bool {
        let mut records = self.records.iter();
        self.not_before.is_some() || records.any(|record| record.retry_at.is_some())
    }

    /// The record that counts: the visible one that ends last.
    pub fn current(&self) -> Option<&KeptRecord> {
        let visible = self.records.iter();
        visible
            .filter(|record| record.state == KeptState::Visible)
            .max_by_key(|record| record.until)
    }
}
