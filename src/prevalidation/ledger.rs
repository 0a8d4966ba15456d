//! The ledger: every record we mean to write, wrote, and must remove. Nothing else may be removed
//! from a zone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::challenge::{Challenge, ChallengeData, RecordName};
use super::name::DomainName;
use super::row_key::RowKey;

/// One record at one name in one provider's zone, for one domain at one client. Two entries may name
/// the same record: it stays in the zone until none of them needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Row key, unique in one store.
    pub id: i64,
    /// The row whose domain the record is for: only that row's lease writes the entry.
    #[serde(rename = "row")]
    pub key: RowKey,
    /// The name of the record, in A-labels: the domain itself, or a name below it.
    pub owner: String,
    /// The type of the record.
    #[serde(rename = "type", default)]
    pub kind: RecordType,
    /// The whole TXT value, or the target of the CNAME.
    pub value: String,
    /// The `[provider.NAME]` it was or will be written through; outlives the configuration (faults
    /// K19, K20).
    pub provider: String,
    /// The zone's apex, once a receipt named it.
    pub zone: Option<String>,
    /// Where it is.
    pub state: LedgerState,
    /// The RRset's TTL in seconds before our value came, `None` when there was no RRset or nothing
    /// was written yet.
    pub ttl_before: Option<u32>,
    /// Seconds a resolver may remember that there was no TXT, as read before the write.
    pub negative_ttl: Option<u32>,
    /// When the intent was committed.
    pub created_at: Timestamp,
    /// When a receipt proved that the value is in the zone; where a foreign writer writes it, when
    /// it was first seen.
    pub published_at: Option<Timestamp>,
    /// How often removing it failed, and when to try next.
    pub removal_tries: u32,
    /// Not before this moment is its removal tried again.
    pub retry_at: Option<Timestamp>,
}

/// The type of a record in the ledger.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub enum RecordType {
    /// One whole TXT value; others may be beside it.
    #[default]
    #[serde(rename = "TXT")]
    Txt,
    /// An alias.
    #[serde(rename = "CNAME")]
    Cname,
}

impl RecordType {
    /// As zone files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Txt => "TXT",
            Self::Cname => "CNAME",
        }
    }
}

impl std::fmt::Display for RecordType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&ChallengeData> for RecordType {
    fn from(data: &ChallengeData) -> Self {
        match data {
            ChallengeData::Txt(_) => Self::Txt,
            ChallengeData::Cname(_) => Self::Cname,
        }
    }
}

/// The record by which a CA validates, as far as it is known before the CA names it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordForm {
    /// Its type.
    pub kind: RecordType,
    /// Its name is below the domain.
    pub below: bool,
    /// The label there, where it is the same each time.
    pub label: Option<String>,
}

impl RecordForm {
    /// Whether [`Self::at`] is the name that the CA will want.
    pub fn is_exact(&self) -> bool {
        !self.below || self.label.is_some()
    }

    /// Where such a record of `domain` is. For a label that the CA has not named yet another one
    /// is: a key that may write the one may write the other.
    pub fn at(&self, domain: &DomainName) -> RecordName {
        let label = self.label.as_deref().unwrap_or("_prevalidate");
        let below = format!("{label}.{domain}");
        let below = RecordName::parse(&below).ok().filter(|_| self.below);
        below.unwrap_or_else(|| domain.into())
    }
}

/// Where a ledger entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerState {
    /// We mean to write it; it may already be there if an answer was lost.
    Intended,
    /// A receipt proved that the record is in the zone and that this program wrote it; or a foreign
    /// writer was told to write it, see [`LedgerEntry::is_awaited`].
    Published,
    /// It was there before: a foreign record, never removed by this program (faults D17).
    Foreign,
    /// We mean to remove it; it may already be gone.
    Removing,
    /// A receipt proved it is gone.
    Removed,
}

impl LedgerEntry {
    /// The intent to write a record for the domain of `key`.
    pub fn intended(
        id: i64,
        key: RowKey,
        owner: &RecordName,
        data: &ChallengeData,
        provider: &str,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            key,
            owner: owner.as_str().to_owned(),
            kind: data.into(),
            value: data.as_str().to_owned(),
            provider: provider.to_owned(),
            zone: None,
            state: LedgerState::Intended,
            ttl_before: None,
            negative_ttl: None,
            created_at: now,
            published_at: None,
            removal_tries: 0,
            retry_at: None,
        }
    }

    /// Whether it is for the record that `challenge` wants.
    pub fn is_for(&self, challenge: &Challenge) -> bool {
        self.kind == RecordType::from(&challenge.data)
            && self.owner == challenge.owner.as_str()
            && self.value == challenge.data.as_str()
    }

    /// Whether it holds what `challenge` wants, at the owner or where an alias of the owner leads.
    pub fn carries(&self, challenge: &Challenge) -> bool {
        self.kind == RecordType::from(&challenge.data) && self.value == challenge.data.as_str()
    }

    /// Whether both name the same record, of any writer.
    pub fn is_same_data(&self, other: &Self) -> bool {
        (self.kind, &self.owner, &self.value) == (other.kind, &other.owner, &other.value)
    }

    /// Whether both name the same record in the same zone's provider.
    pub fn is_same_record(&self, other: &Self) -> bool {
        self.is_same_data(other) && self.provider == other.provider
    }

    /// Whether it is a TXT value at the domain itself, which is all that older programs know.
    pub fn is_plain(&self) -> bool {
        self.kind == RecordType::Txt && self.owner == self.key.text()
    }

    /// Whether a foreign writer must write it and it was not seen yet.
    pub fn is_awaited(&self) -> bool {
        self.state == LedgerState::Published && self.published_at.is_none()
    }
}

impl LedgerState {
    /// Whether a record of ours is or may be in the zone.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Intended | Self::Published | Self::Removing)
    }
}
