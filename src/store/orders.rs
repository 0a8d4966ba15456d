//! The stored state of certificates: which are wanted, how far each is, which worker has its lease.
//! The same rules as for domains: a lease with an epoch, an intent stored before its effect, and a
//! write under a lost lease stores nothing.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::issuance::Progress;

/// The durable state of certificates.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Makes the wanted certificates those of `wanted`, by name. New ones are added and due at
    /// `now`; missing ones stay with all that is known of them, and are due no more. Nothing is
    /// written when nothing changed.
    async fn sync_certificates(
        &self,
        wanted: &[WantedCertificate],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// All certificates, those too that nothing wants any more, by name.
    async fn certificates(&self) -> Result<Vec<CertificateRow>, StoreError>;

    /// One of them.
    async fn certificate(&self, name: &str) -> Result<Option<CertificateRow>, StoreError>;

    /// Makes certificates due at `now`. One that is leased is due when the worker releases it,
    /// unless that worker says an earlier time.
    async fn wake_certificates(&self, names: &[String], now: Timestamp) -> Result<(), StoreError>;

    /// Leases the certificate that is due first and whose files are at `home`, or nowhere yet; the
    /// epoch grows by one, and a row without an owner is `home`'s from now on.
    async fn claim_certificate(
        &self,
        claim: &CertificateClaim<'_>,
    ) -> Result<Option<CertificateLease>, StoreError>;

    /// When the next certificate of `home` is due, leased ones too, but not those of some CAs.
    async fn next_certificate_due(
        &self,
        home: &str,
        only: Option<&[String]>,
        except_cas: &[String],
    ) -> Result<Option<Timestamp>, StoreError>;

    /// Lets a lease end `lease` from now. False when another worker has taken over.
    async fn extend_certificate(
        &self,
        fence: &CertificateFence,
        now: Timestamp,
        lease: SignedDuration,
    ) -> Result<bool, StoreError>;

    /// Stores what was found and decided, with its events, in one transaction.
    /// [`StoreError::CertificateLost`] when another worker has taken over: nothing is stored then.
    async fn commit_certificate(&self, write: &CertificateWrite) -> Result<(), StoreError>;

    /// Lets another directory have a certificate: a person says that its files are gone for good,
    /// or that it is to be kept here. [`StoreError::CertificateLost`] when another worker has taken
    /// over: a worker at the other directory may be at work.
    async fn move_certificate(
        &self,
        fence: &CertificateFence,
        home: &str,
    ) -> Result<(), StoreError>;

    /// Everything that was done for a certificate, oldest first.
    async fn certificate_history(&self, name: &str) -> Result<Vec<CertificateEvent>, StoreError>;
}

/// A certificate as the configuration wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedCertificate {
    /// Its name.
    pub name: String,
    /// The `[ca.NAME]`.
    pub ca: String,
}

/// One certificate's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// Its name.
    pub name: String,
    /// The `[ca.NAME]`.
    pub ca: String,
    /// Whether the configuration wants it.
    pub wanted: bool,
    /// The directory that has its key and its files; `None` while there are none.
    pub home: Option<String>,
    /// When it is due; `None`: only when something changes.
    pub due_at: Option<Timestamp>,
    /// How far it is.
    pub progress: Progress,
}

/// The filter of the claim.
#[derive(Debug, Clone, Copy)]
pub struct CertificateClaim<'a> {
    /// The worker that claims: host, process, worker.
    pub holder: &'a str,
    /// The directory that the claimer keeps files in.
    pub home: &'a str,
    /// Another directory whose certificates are claimed too, until they are moved.
    pub also_of: Option<&'a str>,
    /// Only these certificates, when given.
    pub only: Option<&'a [String]>,
    /// Not the certificates of these CAs.
    pub except_cas: &'a [String],
    /// The moment of the claim.
    pub now: Timestamp,
    /// How long the lease lasts.
    pub lease: SignedDuration,
}

/// A claimed certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateLease {
    /// Names the lease in every write.
    pub fence: CertificateFence,
    /// The row as of the claim.
    pub row: CertificateRow,
    /// Claims in a row that were not released, this one included.
    pub claims: u32,
}

/// The proof of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFence {
    /// The certificate.
    pub name: String,
    /// Grows with every claim.
    pub epoch: i64,
}

/// One fenced write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateWrite {
    /// Under which lease.
    pub fence: CertificateFence,
    /// How far it is now.
    pub progress: Progress,
    /// When to ask the planner again.
    pub due_at: Option<Timestamp>,
    /// The new entries of its history.
    pub events: Vec<CertificateEvent>,
    /// Ends the lease with this write.
    pub release: bool,
}

/// One line of the history of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateEvent {
    /// When.
    pub at: Timestamp,
    /// The run that did it.
    pub run: String,
    /// The certificate.
    pub certificate: String,
    /// A stable word: `key`, `preflight`, `ordered`, `found`, `issued`, `refused`, `installed`,
    /// `deployed`, `revoked`, `held`, `failed`, …
    pub kind: String,
    /// For people. Never a secret.
    pub detail: String,
}
