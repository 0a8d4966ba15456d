//! The port to a CA that validates domains, in this program's words. Every kind of CA keeps the
//! contract that is written here on the trait; `conformance` holds each kind to it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::issuing::Issuing;
use super::registrations::Registrations;
use super::{CaError, Client, token};
use crate::prevalidation::{
    Challenge, ChallengeError, Counts, DomainName, RecordName, Registration, ReuseTable,
};
use crate::text::escape;

/// A certificate authority's interface for validating domains in advance, for one account.
///
/// A failure says whether the call may have taken effect ([`CaError::outcome_unknown`]): such a
/// call is never repeated before reading. The implementation repeats only reads by itself, and it
/// remembers nothing but its login: every registration is as fresh as the call that brought it.
#[async_trait]
pub trait Validation: Send + Sync + fmt::Debug {
    /// The constants of this kind of CA.
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
    /// one ends. Whether it may cost the proof is [`Kind::start_keeps_proof`].
    ///
    /// Where the challenge is made by submitting, this submits, and `next_read_at` says when the CA may
    /// have checked.
    async fn start(&self, reference: &str) -> Result<Started, CaError>;

    /// Asks the CA to check DNS, now that the record of the challenge is there. "Not seen yet" is
    /// not an error. [`Verdict::Taken`] is not to be asked again before its moment.
    async fn submit(&self, reference: &str) -> Result<Submission, CaError>;

    /// The next task of a person for the login, in words, such as a password that ends.
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

/// The constants of a kind of CA that matter to a decision.
#[derive(Debug)]
pub struct Kind {
    /// `kind = "…"` in the configuration.
    pub name: &'static str,
    /// How many names one `register` may carry.
    pub register_batch: usize,
    /// Whether a start keeps the proof that counts: known by contract, or `None` where only
    /// observation can tell.
    pub start_keeps_proof: Option<bool>,
    /// Whether the CA checks DNS by itself once a validation was submitted.
    pub checks_by_itself: bool,
    /// The records by which it validates.
    pub methods: &'static [Method],
    /// The label of the record below the domain, by method, where it is the same each time.
    pub labels: &'static [(Method, &'static str)],
    /// The name of the CA in CAA records.
    pub caa_names: &'static [&'static str],
    /// How long its proofs may be used.
    pub reuse: fn() -> ReuseTable,
}

impl Kind {
    /// A TXT value at `owner`, for `domain`, as a CA of this kind asks for it.
    ///
    /// # Errors
    /// The name is none where this kind has its TXT values, or the value may not be published.
    pub fn txt(
        &self,
        domain: &DomainName,
        owner: &str,
        value: &str,
        counts: Counts,
    ) -> Result<Challenge, ChallengeError> {
        self.place(domain, owner, Method::Txt)?;
        if token::is_of_another(value) {
            let why = "it is the record of another protocol, or the mark of another service";
            return Err(ChallengeError::Value(escape(value).into_owned(), why));
        }
        Challenge::txt(domain, owner, value, counts)
    }

    /// A CNAME at `owner` that points at `target`, for `domain`, as a CA of this kind asks for it.
    ///
    /// # Errors
    /// The name is none where this kind has its CNAMEs, or the target may not be published.
    pub fn cname(
        &self,
        domain: &DomainName,
        owner: &str,
        target: &str,
        counts: Counts,
    ) -> Result<Challenge, ChallengeError> {
        self.place(domain, owner, Method::Cname)?;
        Challenge::cname(domain, owner, target, counts)
    }

    /// Whether a record may be at `owner`: a TXT value at the domain itself or at the label of this
    /// kind, a CNAME at its label where there is one. A kind that states no methods sells the
    /// certificates of other CAs, whose labels it does not know. Everything else that is wrong with
    /// a name is found by the challenge itself (faults C08).
    fn place(
        &self,
        domain: &DomainName,
        owner: &str,
        method: Method,
    ) -> Result<(), ChallengeError> {
        let label = self.labels.iter().find(|(of, _)| *of == method);
        let expected = match (label, method) {
            _ if self.methods.is_empty() => return Ok(()),
            (Some((_, label)), _) => format!("{label}.{domain}"),
            (None, Method::Txt) => domain.to_string(),
            (None, Method::Cname) => return Ok(()),
        };
        let is_at_domain = |owner: &str| method == Method::Txt && owner == domain.as_str();
        match RecordName::parse(owner) {
            Ok(owner)
                if owner.is_within(domain.as_str())
                    && owner.as_str() != expected
                    && !is_at_domain(owner.as_str()) =>
            {
                Err(ChallengeError::Elsewhere { owner, expected })
            }
            _ => Ok(()),
        }
    }
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
    /// When the CA may have checked, where the start was a submission already.
    pub next_read_at: Option<Timestamp>,
}

/// The answer to [`Validation::submit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The present state at the CA.
    pub registration: Registration,
    /// The outcome.
    pub verdict: Verdict,
}

/// The outcome of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The CA has checked and counts the domain as validated. Only the dates of a proof say whether
    /// it is new: an old one may have counted before.
    Proven,
    /// The CA has checked and did not find the record.
    NotSeen,
    /// The CA has taken the order and checks by itself.
    Taken {
        /// The moment of the next possible change.
        next_read_at: Timestamp,
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
    pub registrations: Registrations,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{digicert, hello, internetx, sectigo, swisssign};
    use super::*;

    fn domain() -> DomainName {
        DomainName::from_a_labels("a.test").unwrap()
    }

    fn txt(kind: &Kind, owner: &str, value: &str) -> Result<Challenge, ChallengeError> {
        kind.txt(&domain(), owner, value, Counts::Published)
    }

    #[test]
    fn a_txt_value_is_taken_at_the_domain_or_at_the_label_of_the_kind_only() {
        for (kind, label) in [
            (&sectigo::KIND, "_pki-validation.a.test"),
            (&digicert::KIND, "_dnsauth.a.test"),
            (&hello::KIND, "_hello.a.test"),
            (&swisssign::KIND, "a.test"),
        ] {
            for owner in [label, "a.test", "A.test."] {
                assert!(txt(kind, owner, "abc").is_ok(), "{} {owner}", kind.name);
            }
            for owner in [
                "_dmarc.a.test",
                "_acme-challenge.a.test",
                "_x.a.test",
                "www.a.test",
            ] {
                let refused = txt(kind, owner, "abc").unwrap_err();
                let is_it = matches!(refused, ChallengeError::Elsewhere { .. });
                assert!(is_it, "{} {owner}: {refused}", kind.name);
                assert!(refused.to_string().contains(label), "{refused}");
            }
            for value in [
                "v=spf1 +all",
                "v=DMARC1; p=none",
                "google-site-verification=x",
            ] {
                let refused = txt(kind, label, value).unwrap_err().to_string();
                assert!(
                    refused.contains("another protocol"),
                    "{}: {refused}",
                    kind.name
                );
            }
            let outside = txt(kind, "_pki-validation.b.test", "abc").unwrap_err();
            assert!(matches!(outside, ChallengeError::Outside { .. }));
        }
    }

    #[test]
    fn a_cname_is_taken_at_the_label_of_the_kind_or_below_an_underscore() {
        let cname = |kind: &Kind, owner: &str| {
            kind.cname(&domain(), owner, "b2.ca.example", Counts::Published)
        };
        assert!(cname(&digicert::KIND, "_dnsauth.a.test").is_ok());
        let refused = cname(&digicert::KIND, "_0a1b.a.test").unwrap_err();
        assert!(matches!(refused, ChallengeError::Elsewhere { .. }));
        assert!(cname(&sectigo::KIND, "_0a1b.a.test").is_ok());
        assert!(cname(&internetx::KIND, "_0a1b.www.a.test").is_ok());
        for kind in [&sectigo::KIND, &digicert::KIND, &internetx::KIND] {
            for owner in ["ns1.a.test", "_dmarc.a.test", "a.test"] {
                assert!(cname(kind, owner).is_err(), "{} {owner}", kind.name);
            }
        }
        // The records of the CAs whose certificates it sells are at any name.
        let value = "_globalsign-domain-verification=AbC";
        assert!(txt(&internetx::KIND, "www.a.test", value).is_ok());
        assert!(txt(&internetx::KIND, "a.test", "v=spf1 -all").is_err());
    }
}
