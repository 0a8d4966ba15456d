//! Certificate authorities: the ports in this program's words ([`validation`] and [`issuing`]), the
//! kinds of CA that keep them ([`registry`]), and what all of them share: the exchange over HTTP,
//! JSON read part by part.
//!
//! A new kind is one folder here, one line in the registry, one folder of the sandbox.

pub mod adapter;
pub mod authority;
pub mod conformance;
pub mod csr;
pub mod digicert;
pub mod ending;
#[cfg(test)]
pub mod hello;
pub mod http;
pub mod in_memory;
pub mod internetx;
pub mod issuing;
pub mod issuing_conformance;
mod json;
pub mod registrations;
pub mod registry;
pub mod sectigo;
mod selector;
pub mod settings;
pub mod swisssign;
pub mod token;
pub mod validation;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use issuing::Issuing;
pub use validation::{ClientSelector, Listing, Started, Submission, Validation, Verdict};

/// A client under an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The CA's key for it, `cli-…`.
    pub reference: String,
    /// The CA's name for it.
    pub name: String,
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
    /// 429 or 503 with a waiting time: nothing happened. For an order a 503 is this only in the CA's
    /// own words.
    Throttled,
    /// The credentials are refused, also after one fresh token.
    Unauthenticated,
    /// The account may not do this for this client or domain.
    Forbidden,
    /// The reference is not known to the CA.
    NotFound,
    /// The CA refused this request for what it says.
    Refused,
    /// The answer could not be understood; after an effect this means [`Failure::Unknown`].
    Malformed,
    /// The settings or secrets of the account do not work; found before anything was sent.
    Settings,
}

/// One failed call: what was tried, on which name, what the CA said with its support id, what to do
/// next.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct CaError {
    /// The kind of the failure; it decides the next step.
    pub failure: Failure,
    /// Call, subject, HTTP status, the CA's code in words, its messages and the `uuid` for its
    /// support. Never a secret.
    pub message: String,
    /// The hint: how a person can solve it.
    pub hint: Option<String>,
    /// How long the CA asked us to wait, clamped to 1 s..6 h.
    pub retry_after: Option<Duration>,
    /// Whether the call changes nothing at the CA, such as a read before an effect. What has an effect
    /// never fails with the error of a read after it.
    pub is_of_a_read: bool,
    /// Whether the CA refuses an order because of the one that it was to come after.
    pub is_about_predecessor: bool,
}

impl CaError {
    /// A failure without hint or waiting time.
    pub fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self {
            failure,
            message: message.into(),
            hint: None,
            retry_after: None,
            is_of_a_read: false,
            is_about_predecessor: false,
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
