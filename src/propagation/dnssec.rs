//! Whether validating resolvers will believe a zone: its chain of trust, from the root's keys down
//! (RFC 4033 to 4035).
//!
//! 1. The delegation signer (DS) records of each zone came with the parent's referral; they, or the
//!    proof that there are none ([`denial`]), must be signed with the parent's keys
//!    ([`signatures`]).
//! 2. Each zone's keys (DNSKEY) are asked for: one of them must be named by a DS record and must
//!    have signed all of them. The keys of the root and of top-level domains are remembered for five
//!    minutes, those of a zone never ([`chain`]).
//! 3. The chain ends *secure* with the keys of the zone, *insecure* where a parent proves that it
//!    signs no further, *bogus* with a [`Fault`] where a resolver would answer SERVFAIL, or
//!    *unchecked* where there is nothing to begin at ([`anchors`]).
//! 4. With a secure zone's keys each server's answer is judged by itself: [`Trust::judge`], pure.
//!
//! Signatures count exactly between their two dates. unbound forgives a tenth of the time between
//! them, an hour to a day; others forgive nothing, so neither do we.

use std::fmt;
use std::sync::Arc;

use hickory_proto::op::Message;
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use jiff::Timestamp;

pub mod anchors;
pub mod chain;
mod denial;
pub mod signatures;
#[cfg(test)]
mod tests;

pub use anchors::Anchors;
pub use chain::{Chain, Link, Validator};
pub use signatures::Keys;

use super::evidence::text;
use super::race::Budget;
use denial::Denials;

/// Signatures that may be computed for one reply: an ordinary one needs one to four.
const VERIFICATIONS_PER_REPLY: u32 = 32;

/// How far the chain of trust reaches down to a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// To the zone: its answers must be signed with these keys.
    Secure(Arc<Keys>),
    /// It ends above the zone, properly: nothing is validated from there on.
    Insecure {
        /// The zone that its parent does not sign for.
        at: String,
        /// Why validation ends there.
        why: Unsigned,
    },
    /// It is broken: validating resolvers refuse every answer of the zone.
    Bogus(Fault),
    /// Not checked, in words: no trust anchor for these roots, servers by configuration, no answer
    /// from above.
    Unchecked(String),
}

/// Why validation ends at a zone without anything being wrong (RFC 4035, section 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsigned {
    /// The parent proves that there is no DS record, and the zone is not signed.
    NotSigned,
    /// The parent proves that there is no DS record, yet the zone is signed: half of a set-up, good
    /// for nothing yet.
    Stray,
    /// Every DS record is of an algorithm or digest that we do not know; they are named. A resolver
    /// that knows it validates.
    Unsupported(String),
    /// The parent's proof takes more hash iterations than validators are willing to compute (RFC
    /// 9276, section 3.2).
    Iterations(u16),
}

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSigned => f.write_str("it has no DS record, so it is not signed"),
            Self::Stray => f.write_str(
                "it is signed, but its parent has no DS record for it, so no resolver validates it",
            ),
            Self::Unsupported(what) => {
                write!(
                    f,
                    "its DS records are of kinds that this program does not know ({what})"
                )
            }
            Self::Iterations(count) => {
                write!(
                    f,
                    "its parent's NSEC3 records take {count} iterations, which validators do not compute"
                )
            }
        }
    }
}

/// What validating resolvers will not accept, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("DNSSEC of {zone}: {detail}")]
pub struct Fault {
    /// Which kind of fault.
    pub kind: FaultKind,
    /// The zone at fault, without a trailing dot.
    pub zone: String,
    /// In words: the records, the key, the date.
    pub detail: String,
}

/// The faults of a signed zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// A signature is past its end.
    Expired,
    /// A signature has not begun: signed by a machine whose clock is ahead, or ours is behind.
    NotYetValid,
    /// The parent has DS records, the zone shows no keys.
    NoDnskey,
    /// No DS record of the parent names a key of the zone.
    DsMismatch,
    /// A signature does not fit the records and keys.
    BadSignature,
    /// The records have no signature at all.
    NotSigned,
    /// The denial is not proved.
    BadDenial,
}

impl Fault {
    fn new(kind: FaultKind, zone: &Name, detail: impl Into<String>) -> Self {
        Self {
            kind,
            zone: text(zone),
            detail: detail.into(),
        }
    }
}

impl Trust {
    /// Judges a server's authoritative reply to "`owner` `kind`?" as a validating resolver would:
    /// the records must be signed with the zone's keys at `now`, and so must the records that prove
    /// that there are none. Without a chain that reaches the zone there is nothing to judge, and
    /// every reply passes.
    ///
    /// A value that comes from a wildcard passes when the reply proves that the name itself is not
    /// there (RFC 4035, section 5.3.4), because resolvers accept it; [`expanded_from`] tells it
    /// apart. An alias passes: it is reported elsewhere.
    ///
    /// # Errors
    /// The [`Fault`]; for [`Trust::Bogus`] its own.
    pub fn judge(
        &self,
        reply: &Message,
        owner: &Name,
        kind: RecordType,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let keys = match self {
            Self::Secure(keys) => keys,
            Self::Bogus(fault) => return Err(fault.clone()),
            Self::Insecure { .. } | Self::Unchecked(_) => return Ok(()),
        };
        let (now, effort) = (
            signatures::seconds(now),
            Budget::of(VERIFICATIONS_PER_REPLY),
        );
        let rrset = signatures::rrset(&reply.answers, owner, kind);
        if rrset.is_empty() {
            let aliased = reply
                .answers
                .iter()
                .any(|record| record.record_type() != RecordType::RRSIG);
            if aliased {
                return Ok(());
            }
            return Denials::of(&reply.authorities, keys, now, &effort).any(owner);
        }
        match signatures::verify(&rrset, &reply.answers, keys, now, &effort)? {
            labels if labels < owner.num_labels() => {
                Denials::of(&reply.authorities, keys, now, &effort).no_closer_match(owner, labels)
            }
            _ => Ok(()),
        }
    }
}

impl Trust {
    /// The chain of trust as a resolver has it that asked for the keys at the very server that gave
    /// `answers` to "DNSKEY?": `None` when they are none that these keys vouch for.
    pub fn at_server(&self, answers: &[Record], now: Timestamp) -> Option<Self> {
        let Self::Secure(keys) = self else {
            return None;
        };
        let effort = Budget::of(VERIFICATIONS_PER_REPLY);
        keys.shown_by(answers, signatures::seconds(now), &effort)
            .map(|keys| Self::Secure(Arc::new(keys)))
    }

    /// What people should know although nothing is broken: that a zone whose answers are `signed`
    /// was not validated by us, while the CA's resolvers may validate it.
    pub fn warning(&self, zone: &str, signed: bool) -> Option<String> {
        match self {
            Self::Unchecked(why) if signed => {
                Some(format!("the signatures of {zone} were not checked: {why}"))
            }
            Self::Insecure {
                at,
                why: why @ Unsigned::Unsupported(_),
            } => Some(format!(
                "the signatures of {zone} were not checked: of {at}, {why}"
            )),
            _ => None,
        }
    }
}

/// The wildcard that a signed answer of `owner` was made from, as its signatures state it.
pub fn expanded_from(reply: &Message, owner: &Name, kind: RecordType) -> Option<Name> {
    let labels = signatures::over(&reply.answers, owner, kind)
        .map(|signature| signature.input().num_labels)
        .min()?;
    let parent = owner.trim_to(usize::from(labels));
    (labels < owner.num_labels()).then(|| parent.prepend_label("*").ok())?
}

/// Whether there is any signature among these records.
pub fn is_signed(records: &[Record]) -> bool {
    records
        .iter()
        .any(|record| record.dns_class == DNSClass::IN && record.record_type() == RecordType::RRSIG)
}
