//! All that is known about one domain when a decision is due, and the state that people see.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use super::ledger::LedgerEntry;
use super::name::DomainName;
use super::registration::Registration;

/// What is known of a domain at the CA.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sighting {
    /// Nobody has looked yet.
    #[default]
    Unread,
    /// The CA was asked and does not know it.
    Absent,
    /// The CA's entry.
    Present(Registration),
    /// It was known under this reference and a list did not show it: only a read of the reference can tell (faults C11).
    Missing(Registration),
}

impl Sighting {
    /// The entry, while there is one.
    pub fn registration(&self) -> Option<&Registration> {
        match self {
            Self::Present(registration) | Self::Missing(registration) => Some(registration),
            Self::Unread | Self::Absent => None,
        }
    }
}

/// All that is known about one domain when a decision is due. Kept from last week, it gives last week's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The domain.
    pub domain: DomainName,
    /// Whether the inventory still wants it.
    pub desired: bool,
    /// A registered or desired domain above it that makes its own registration needless.
    pub covered_by: Option<DomainName>,
    /// Whether a provider is configured for it.
    pub has_provider: bool,
    /// What the CA said last.
    pub sighting: Sighting,
    /// When that was.
    pub read_at: Option<Timestamp>,
    /// Where the way to the next proof stands.
    pub attempt: Attempt,
    /// Its open ledger entries.
    pub ledger: Vec<LedgerEntry>,
}
