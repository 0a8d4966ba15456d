//! The port to a certificate authority, in our words. [`swisssign`] is the first; a second one must
//! fit without touching the planner.

pub mod ending;
mod json;
pub mod swisssign;
pub mod token;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::prevalidation::{DomainName, Registration};

/// A certificate authority's prevalidation interface, for one account.
///
/// A failure says whether the call may have taken effect ([`CaError::outcome_unknown`]): nobody
/// repeats such a call before reading. The implementation repeats only reads by itself.
#[async_trait]
pub trait Ca: Send + Sync + fmt::Debug {
    /// What differs between CAs and matters to a decision.
    fn capabilities(&self) -> Capabilities;

    /// Finds the one client that `selector` means; several matches are an error that lists them.
    async fn find_client(&self, selector: &ClientSelector) -> Result<Client, CaError>;

    /// Every registration of a client: one remote call. A name missing here is no proof that it is
    /// not registered (faults C11).
    async fn list(&self, client: &str) -> Result<Listing, CaError>;

    /// Registers up to [`Capabilities::register_batch`] names; the answer names each by its
    /// A-label, in any order, and each name has its own result.
    async fn register(
        &self,
        client: &str,
        names: &[DomainName],
    ) -> Vec<(DomainName, Result<Registration, CaError>)>;

    /// One registration, fresh. [`Failure::NotFound`] is the only proof that it is gone.
    async fn get(&self, reference: &str) -> Result<Registration, CaError>;

    /// Asks the CA to look at DNS now. "Not seen yet" is not an error: the registration comes back
    /// without a new proof and with [`Registration::last_words`].
    async fn validate(&self, reference: &str) -> Result<Registration, CaError>;

    /// A new random value; the old one dies.
    async fn reset_token(&self, reference: &str) -> Result<Registration, CaError>;

    /// Removes the outstanding random value.
    async fn delete_token(&self, reference: &str) -> Result<Registration, CaError>;

    /// Removes the registration and its proof. Only ever by explicit order of a person.
    async fn delete(&self, reference: &str) -> Result<(), CaError>;
}

/// What differs between CAs and matters to a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// How many names one `register` may carry.
    pub register_batch: usize,
    /// Whether a token reset ends the proof: known by contract, or `None` where only observation
    /// can tell.
    pub reset_keeps_proof: Option<bool>,
    /// Whether the CA looks by itself, without `validate`.
    pub polls: bool,
}

/// How a person names a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientSelector {
    /// `cli-…`
    Reference(String),
    /// The exact name; `?` and `*` search, and must find one only.
    Name(String),
}

impl fmt::Display for ClientSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(text) | Self::Name(text) => f.write_str(text),
        }
    }
}

/// A client under an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// `cli-…`
    pub reference: String,
    /// The CA's name for it.
    pub name: String,
}

/// The answer to [`Ca::list`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// All registrations that could be read.
    pub registrations: Vec<Registration>,
    /// Entries that could not be understood, and all but one of several for one name, in words;
    /// they count as not seen.
    pub unreadable: Vec<String>,
    /// Our clock minus the CA's `Date` header, when it sent one; positive: ours is ahead.
    pub clock_skew: Option<SignedDuration>,
    /// When the answer came.
    pub read_at: Timestamp,
}

/// Why a call failed, in terms that decide what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The call never reached the CA, or the CA said it could not do it now: nothing happened.
    Unavailable,
    /// The call was sent and no trustworthy answer came: it may have taken effect.
    Unknown,
    /// The certificate of the CA's server is refused: nothing was sent, and a person is needed.
    Untrusted,
    /// 429 or 503 with a waiting time: nothing happened.
    Throttled,
    /// The credentials are refused, also after one fresh token.
    Unauthenticated,
    /// The account may not do this for this client or domain.
    Forbidden,
    /// The reference is not known to the CA.
    NotFound,
    /// The CA refused this request for what it says.
    Refused,
    /// The answer could not be understood; for an effect this is as good as [`Failure::Unknown`].
    Malformed,
    /// The settings or secrets of the account do not work; found before anything was sent.
    Settings,
}

/// One failed call: what was tried, on which name, what the CA said with its support id, what to do
/// next.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct CaError {
    /// What decides the next step.
    pub failure: Failure,
    /// Call, subject, HTTP status, the CA's code in words, its messages and the `uuid` for its
    /// support. Never a secret.
    pub message: String,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// How long the CA asked us to wait, clamped to 1 s..6 h (faults C15).
    pub retry_after: Option<Duration>,
}

impl CaError {
    /// A failure without hint or waiting time.
    pub fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self {
            failure,
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

    /// Whether the call may have taken effect: read before anything else.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self.failure, Failure::Unknown | Failure::Malformed)
    }

    /// Whether the same may succeed later without a person doing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.failure,
            Failure::Unavailable | Failure::Unknown | Failure::Throttled | Failure::Malformed
        )
    }

    /// Whether it concerns the whole account, so that every other call would fail the same way.
    pub fn is_account_wide(&self) -> bool {
        matches!(self.failure, Failure::Unauthenticated | Failure::Settings)
    }
}
