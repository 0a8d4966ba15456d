//! What the chain of trust means for a zone, in a form for programs.

use serde::Serialize;

use super::Fault;
use crate::propagation::dnssec::{self, FaultKind, Trust, Unsigned};
use crate::propagation::finding::code::Code;

/// DNSSEC of the zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DnssecReport {
    /// How far the chain of trust reaches.
    pub status: DnssecStatus,
    /// In words, why it ends or could not be followed.
    pub why: Option<String>,
    /// The finding that an insecure zone makes: signed in vain, or by algorithms that are not
    /// known.
    pub oddity: Option<Code>,
    /// Why validating resolvers refuse all answers of the zone; `null` while they believe one.
    pub bogus: Option<Fault>,
}

/// How far the chain of trust reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnssecStatus {
    /// To the zone.
    Secure,
    /// It ends above the zone, properly.
    Insecure,
    /// It is broken.
    Bogus,
    /// It could not be checked.
    Unchecked,
}

impl DnssecReport {
    /// `bogus` is what makes all answers unbelievable, of the chain or of each server by itself.
    pub(in crate::propagation) fn of(trust: &Trust, bogus: Option<&dnssec::Fault>) -> Self {
        let (status, why, oddity) = match trust {
            Trust::Secure(_) => (DnssecStatus::Secure, None, None),
            Trust::Bogus(fault) => (DnssecStatus::Bogus, Some(fault.to_string()), None),
            Trust::Unchecked(why) => (DnssecStatus::Unchecked, Some(why.clone()), None),
            Trust::Insecure { at, why } => {
                let oddity = match why {
                    Unsigned::NotSigned => None,
                    Unsigned::Stray => Some(Code::DnssecStray),
                    Unsigned::Unsupported(_) | Unsigned::Iterations(_) => {
                        Some(Code::DnssecUnsupported)
                    }
                };
                (
                    DnssecStatus::Insecure,
                    Some(format!("of {at}: {why}")),
                    oddity,
                )
            }
        };
        // A broken chain is reported even where no server answers: resolvers would refuse what
        // came.
        let chain = if let Trust::Bogus(fault) = trust {
            Some(fault)
        } else {
            None
        };
        Self {
            status,
            why,
            oddity,
            bogus: bogus.or(chain).map(fault),
        }
    }
}

/// A fault with its code.
pub(super) fn fault(fault: &dnssec::Fault) -> Fault {
    let code = match fault.kind {
        FaultKind::Expired => Code::DnssecExpired,
        FaultKind::NotYetValid => Code::DnssecNotYetValid,
        FaultKind::NoDnskey => Code::DnssecNoDnskey,
        FaultKind::DsMismatch => Code::DnssecDsMismatch,
        FaultKind::BadSignature => Code::DnssecBadSignature,
        FaultKind::NotSigned => Code::DnssecNotSigned,
        FaultKind::BadDenial => Code::DnssecBadDenial,
    };
    Fault::new(code, fault.to_string())
}
