//! The ledger: every TXT value we mean to write, wrote, and must remove. Nothing else may be
//! removed from a zone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One value at one name in one provider's zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Row key, unique in one store.
    pub id: i64,
    /// The name of the record: the domain itself, in A-labels.
    pub owner: String,
    /// The whole TXT value.
    pub value: String,
    /// The `[provider.NAME]` it was or will be written through; outlives the configuration (faults
    /// K19, K20).
    pub provider: String,
    /// The zone's apex, once a receipt named it.
    pub zone: Option<String>,
    /// Where it stands.
    pub state: LedgerState,
    /// The RRset's TTL in seconds before our value came, `None` when there was no RRset or nothing
    /// was written yet.
    pub ttl_before: Option<u32>,
    /// Seconds a resolver may remember that there was no TXT, as read before the write.
    pub negative_ttl: Option<u32>,
    /// When the intent was committed.
    pub created_at: Timestamp,
    /// When a receipt proved that the value stands in the zone; where others write it, when it was
    /// first seen.
    pub published_at: Option<Timestamp>,
    /// How often removing it failed, and when to try next.
    pub removal_tries: u32,
    /// Not before this moment is its removal tried again.
    pub retry_at: Option<Timestamp>,
}

/// Where a ledger entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerState {
    /// We mean to write it; it may already be there if an answer was lost.
    Intended,
    /// A receipt proved it stands in the zone and that we put it there; or others were told to, see
    /// [`LedgerEntry::is_awaited`].
    Published,
    /// It stood there before we came: somebody else's, never removed by us (faults D17).
    Foreign,
    /// We mean to remove it; it may already be gone.
    Removing,
    /// A receipt proved it is gone.
    Removed,
}

impl LedgerEntry {
    /// Whether others have to write it and nobody has seen it yet.
    pub fn is_awaited(&self) -> bool {
        self.state == LedgerState::Published && self.published_at.is_none()
    }
}

impl LedgerState {
    /// Whether a value of ours is or may be in the zone.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Intended | Self::Published | Self::Removing)
    }
}
