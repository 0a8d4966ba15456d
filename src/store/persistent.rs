//! What is remembered of persistent records: the port. The rules are those of domains: a lease with
//! an epoch, an intent that is stored before its effect, and a write under a lost lease that stores
//! nothing.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{Event, StoreError};
use crate::persistent::Kept;
use crate::prevalidation::DomainName;

/// The durable state of persistent records.
#[async_trait]
pub trait PersistentRecords: Send + Sync {
    /// All rows, by domain and issuer.
    async fn persistent_rows(&self) -> Result<Vec<PersistentRow>, StoreError>;

    /// Leases the row of an issuer at a domain; makes it where there is none. `None` while another
    /// worker has it.
    async fn claim_persistent(
        &self,
        claim: &PersistentClaim<'_>,
    ) -> Result<Option<PersistentLease>, StoreError>;

    /// Stores what was found and decided, with its events, in one transaction.
    /// [`StoreError::PersistentLost`] when another worker has taken over: nothing is stored then.
    async fn commit_persistent(&self, write: &PersistentWrite) -> Result<(), StoreError>;
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistentRow {
    /// The domain.
    pub domain: DomainName,
    /// The issuer domain name.
    pub issuer: String,
    /// The stored state.
    pub kept: Kept,
}

/// The filter of the claim.
#[derive(Debug, Clone, Copy)]
pub struct PersistentClaim<'a> {
    /// The domain.
    pub domain: &'a DomainName,
    /// The issuer domain name.
    pub issuer: &'a str,
    /// The claiming worker: host, process, worker.
    pub holder: &'a str,
    /// The moment of the claim.
    pub now: Timestamp,
    /// How long the lease lasts.
    pub lease: SignedDuration,
}

impl PersistentClaim<'_> {
    /// The key of the row.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.domain, self.issuer)
    }
}

/// A claimed row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistentLease {
    /// Names the lease in every write.
    pub fence: PersistentFence,
    /// The row as of the claim.
    pub row: PersistentRow,
}

/// The proof of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistentFence {
    /// The key of the row: the domain, a blank, the issuer.
    pub name: String,
    /// Grows with every claim.
    pub epoch: i64,
}

/// One fenced write.
#[derive(Debug, Clone, PartialEq)]
pub struct PersistentWrite {
    /// Under which lease.
    pub fence: PersistentFence,
    /// What is remembered now.
    pub kept: Kept,
    /// The new entries of the history of the domain.
    pub events: Vec<Event>,
    /// Ends the lease with this write.
    pub release: bool,
    /// Nothing is left to remember: the row goes.
    pub forget: bool,
}
