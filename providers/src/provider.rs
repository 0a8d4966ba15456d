//! The contract that every DNS provider keeps, written once; `conformance` holds each adapter to
//! it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use prevalidate_kit::{Fault, FaultKind};

use crate::record::{Receipt, Record, RecordKind, TxtRrset, Zone};

/// Something that can write records into zones: TXT values and CNAMEs.
///
/// * **Record-level verbs only.** There is no "set the RRset", no wildcard delete, no empty value.
/// * **Foreign records and the RRset's TTL are the same before and after.** A new RRset gets the
///   provider's configured TTL; an existing one keeps its own.
/// * **A CNAME never comes beside anything else**, and never takes the place of another CNAME: an
///   owner that has any record, or an alias with another target, is refused. Only the CNAME with
///   exactly our target is removed.
/// * **Idempotent**, safe twice and concurrently. A lost answer is *unknown*: the adapter reads
///   before it repeats, and returns [`ErrorKind::Unknown`] when it cannot find out.
/// * **Evidence has a place and a time.** A read counts for a write only when it comes from the same
///   zone and is not older; what is not seen is not gone.
/// * **It never waits for propagation.** A receipt says what the server that was written to holds
///   now.
/// * **Many records at once**: one change per zone where the protocol can, results in the order of
///   the input, and one bad record costs only itself.
/// * **Refusal leaves the zone untouched**: CNAME at the name, zone cut between zone and name,
///   wildcard shadowing.
#[async_trait]
pub trait Provider: Send + Sync + fmt::Debug {
    /// The adapter's kind as it is in the configuration: `rfc2136`.
    fn kind(&self) -> &'static str;

    /// Whether it writes itself. One that does not answers every change with
    /// [`ErrorKind::ByOthers`].
    fn writes(&self) -> bool {
        true
    }

    /// Whether its own writes are tried first, without an effect: then a rehearsal before the first
    /// write at a name shows nothing that the write itself does not show.
    fn rehearses(&self) -> bool {
        false
    }

    /// What it has seen over time and a later process must know, as text; empty while there is
    /// nothing. `None` where its kind has no such thing.
    fn memory(&self) -> Option<String> {
        None
    }

    /// Takes over what an earlier process has seen, in addition to what it knows itself.
    fn recall(&self, memory: &str) {
        let _ = memory;
    }

    /// The zone of this provider that holds `owner`: the longest match on labels, with its name
    /// servers as far as the provider states them.
    async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError>;

    /// The TXT RRset at `owner`, read from where it is written, never from a cache. An RRset that
    /// does not exist is not an error; an alias is.
    async fn inspect(&self, owner: &str) -> Result<TxtRrset, ProviderError>;

    /// Makes each record present. A record that is already there, by any writer, is left alone
    /// (`changed: false`).
    async fn ensure_present(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>>;

    /// Makes each record absent and leaves everything else. A record that is not there is success
    /// (`changed: false`).
    ///
    /// The caller passes only records that its ledger says it wrote.
    async fn ensure_absent(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>>;

    /// Proves, without changing anything, that a record of this type could be written at `owner`
    /// now: zone, credentials, permission, clock.
    async fn preflight(&self, owner: &str, kind: RecordKind) -> Result<Preflight, ProviderError>;

    /// Whether all of the provider's own name servers have the change that a [`Receipt::change_id`]
    /// names (Route 53: `INSYNC`). `None` where a provider cannot tell.
    async fn in_sync(&self, change_id: &str) -> Result<Option<bool>, ProviderError> {
        let _ = change_id;
        Ok(None)
    }
}

/// Why a record at `owner` is not written: it would end the answers that `wildcard` gives for `host`,
/// which is `owner` or a name above it.
pub(crate) fn only_a_wildcard(owner: &str, host: &str, wildcard: &str) -> ProviderError {
    let text = format!(
        "{host} exists only through {wildcard}; a record at {owner} would take the wildcard's other \
         answers away from {host}"
    );
    ProviderError::new(ErrorKind::Unsafe, text).with_hint(format!(
        "validate the parent domain instead, it covers this name; or give {host} a record of its own; \
         or set allow_wildcard_shadow = true"
    ))
}

/// The adapter writes TXT only.
#[cfg(feature = "exec")]
pub(crate) fn no_cname(owner: &str) -> ProviderError {
    let text = format!("a CNAME is wanted at {owner}, and this kind of provider writes TXT only");
    ProviderError::new(ErrorKind::Settings, text)
        .with_hint("route the domain to another provider, or have the CA ask for TXT")
}

/// The name servers that an apex is delegated to, asked from the root down: lower case without
/// trailing dot, or why they are not known. For an adapter that sees several zones of the same
/// name.
pub type LiveNameServers =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Vec<String>, String>> + Send + Sync>;

/// The facts that a [`Provider::preflight`] proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// The zone that would be written.
    pub zone: Zone,
    /// The check and its method, one line for people.
    pub evidence: String,
    /// What is allowed but worth a check: the server is not the SOA's MNAME, the RRset outgrows a
    /// UDP answer.
    pub warnings: Vec<String>,
}

/// Why a provider could not do what it was asked, in terms that decide what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing was sent or the server refused for a passing reason: try again later.
    Unavailable,
    /// The change was sent and its outcome could not be found out: read before anything else.
    Unknown,
    /// The credentials are wrong, unknown to the server or may not write this name: a person is
    /// needed.
    Denied,
    /// Our clock and the server's differ by more than the protocol allows.
    ClockSkew,
    /// No zone of this provider holds the name, or the server does not serve it.
    NoZone,
    /// The name cannot take a TXT value safely: CNAME, zone cut, wildcard shadowing, a limit of the
    /// provider.
    Unsafe,
    /// The server says it did the change and a read shows otherwise, or foreign values or the TTL
    /// moved.
    Damaged,
    /// The settings of the adapter do not work; found before anything was sent.
    Settings,
    /// This provider writes nothing: a foreign writer adds the record or removes it, and a check
    /// shows when.
    ByOthers,
}

/// One failure: what was tried, on which name, what the server said, what to do next.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// The kind of the failure; it decides the next step.
    pub kind: ErrorKind,
    /// What was tried, on which name and server, and what the server said. Never a secret.
    pub message: String,
    /// The hint: how a person can solve it.
    pub hint: Option<String>,
    /// How long the server asked us to wait.
    pub retry_after: Option<Duration>,
}

impl ProviderError {
    /// A failure without hint or waiting time.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            retry_after: None,
        }
    }

    /// The same failure with a word on what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure after something that may still be done was sent: an open question, whatever
    /// it is in itself.
    #[must_use]
    pub(crate) fn after_loss(self, owner: &str) -> Self {
        if matches!(self.kind, ErrorKind::Unknown | ErrorKind::Damaged) {
            return self;
        }
        Self {
            retry_after: self.retry_after,
            ..Self::undecided(owner, &self.message)
        }
    }

    /// The change of `subject` was sent, and whether it was made is not known.
    pub(crate) fn undecided(subject: &str, why: &str) -> Self {
        let text = format!("the change of {subject} is undecided: {why}");
        Self::new(ErrorKind::Unknown, text).with_hint(
            "it is read again before anything else is done; nothing needs to be repaired",
        )
    }

    /// Whether the same call may succeed later without a person doing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unavailable | ErrorKind::Unknown | ErrorKind::ClockSkew
        )
    }
}

impl From<Fault> for ProviderError {
    fn from(fault: Fault) -> Self {
        let kind = match fault.kind {
            FaultKind::Settings => ErrorKind::Settings,
            FaultKind::Unavailable => ErrorKind::Unavailable,
        };
        Self {
            kind,
            message: fault.message,
            hint: fault.hint,
            retry_after: fault.retry_after,
        }
    }
}
