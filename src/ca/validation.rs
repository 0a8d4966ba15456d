//! The port to a CA that validates domains, in our words. Every kind of CA keeps the contract that
//! is written here on the trait; `conformance` holds each kind to it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::issuing::Issuing;
use super::{CaError, Client};
use crate::prevalidation::{DomainName, Registration, ReuseTable};

/// A certificate authority's interface for validating domains in advance, for one account.
///
/// A failure says whether the call may have taken effect ([`CaError::outcome_unknown`]): nobody
/// repeats such a call before reading. The implementation repeats only reads by itself, and it
/// remembers nothing but its login: every registration is as fresh as the call that brought it.
#[async_trait]
pub trait Validation: Send + Sync + fmt::Debug {
    /// What is fixed for this kind of CA.
    fn kind(&self) -> &'static Kind;

    /// Finds the one client that `selector` means; several matches are an error that lists them.
    async fn find_client(&self, selector: &ClientSelector) -> Result<Client, CaError>;

    /// Every registration of a client. A name missing here is no proof that it is not registered,
    /// and a challenge missing here takes none away.
    async fn list(&self, client: &str) -> Result<Listing, CaError>;

    /// Registers up to [`Kind::register_batch`] names; the answer names each by its A-label, in any
    /// order, and each name has its own result. A CA may give no challenge with it: then `start`
    /// does.
    async fn register(
        &self,
        client: &str,
        names: &[DomainName],
    ) -> Vec<(DomainName, Result<Registration, CaError>)>;

    /// One registration, fresh. [`Failure::NotFound`](super::Failure::NotFound) is the only proof
    /// that it is gone.
    async fn get(&self, reference: &str) -> Result<Registration, CaError>;

    /// Begins a new validation: the registration comes back with a new challenge, and an earlier
    /// one dies. Whether it may cost the proof is [`Kind::start_keeps_proof`].
    ///
    /// Where the challenge is made by submitting, this submits, and `look_at` says when the CA may
    /// have looked.
    async fn start(&self, reference: &str) -> Result<Started, CaError>;

    /// Asks the CA to look at DNS, now that the record of the challenge is there. "Not seen yet" is
    /// no error. [`Verdict::Taken`] is not to be asked again before its moment.
    async fn submit(&self, reference: &str) -> Result<Submission, CaError>;

    /// What a person should do about the login before long, in words, such as a password that ends.
    /// `asked_at` is when this was last asked; `None` is answered where that is not long enough ago,
    /// or where there is nothing to ask.
    async fn warnings(&self, asked_at: Option<Timestamp>) -> Result<Option<Vec<String>>, CaError> {
        let _ = asked_at;
        Ok(None)
    }

    /// Removes the registration and its proof. Only ever by explicit order of a person.
    async fn delete(&self, reference: &str) -> Result<(), CaError>;

    /// The same account as a place to order certificates, with the same login and the same pace;
    /// none where this kind does not issue.
    fn issuing(self: Arc<Self>) -> Option<Arc<dyn Issuing>> {
        None
    }
}

/// What is fixed for a kind of CA, and matters to a decision.
#[derive(Debug)]
pub struct Kind {
    /// `kind = "…"` in the configuration.
    pub name: &'static str,
    /// How many names one `register` may carry.
    pub register_batch: usize,
    /// Whether a start keeps the proof that counts: known by contract, or `None` where only
    /// observation can tell.
    pub start_keeps_proof: Option<bool>,
    /// Whether the CA looks at DNS by itself once a validation was submitted.
    pub looks_by_itself: bool,
    /// The records by which it validates.
    pub methods: &'static [Method],
    /// The label of the record below the domain, by method, where it is the same each time.
    pub labels: &'static [(Method, &'static str)],
    /// What the CA is called in CAA records.
    pub caa_names: &'static [&'static str],
    /// How long its proofs may be used.
    pub reuse: fn() -> ReuseTable,
}

/// The type of record by which a CA validates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// A random value in a TXT record.
    Txt,
    /// A CNAME that the CA names, owner and target.
    Cname,
}

/// The answer to [`Validation::start`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The registration with its new challenge.
    pub registration: Registration,
    /// When the CA may have looked, where the start was a submission already.
    pub look_at: Option<Timestamp>,
}

/// The answer to [`Validation::submit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// What the CA says now.
    pub registration: Registration,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The CA has looked and counts the domain as validated. Whether this is a new proof is told by
    /// its dates alone: an old one may have counted before.
    Proven,
    /// The CA has looked and did not find the record.
    NotSeen,
    /// The CA has taken the order and looks by itself.
    Taken {
        /// When there may be news.
        look_at: Timestamp,
    },
}

/// How a person names a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientSelector {
    /// The CA's key for it, `cli-…`.
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

/// The answer to [`Validation::list`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// All registrations that could be read.
    pub registrations: Vec<Registration>,
    /// Entries that could not be understood, and all but one of several for one name, in words;
    /// they count as not seen.
    pub unreadable: Vec<String>,
    /// What a person should do about the account before long.
    pub warnings: Vec<String>,
    /// Our clock minus the CA's `Date` header, when it sent one; positive: ours is ahead.
    pub clock_skew: Option<SignedDuration>,
    /// When the answer came.
    pub read_at: Timestamp,
}
