//! Checks that a CA delivered the ordered certificate, and sorts the chain: leaf first, each
//! certificate signed by the next, without the root.
//!
//! The order in which a CA delivers certificates means nothing: SwissSign sends the leaf first and
//! the root last, Sectigo the root first.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use x509_parser::certificate::X509Certificate;

use super::facts::{Facts, parse};

/// The certificate that was ordered.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The fingerprint of the key of the request.
    pub fingerprint: &'a str,
    /// DNS names in A-labels and lower case.
    pub dns_names: &'a [String],
    /// E-mail addresses.
    pub emails: &'a [String],
}

/// The delivered certificate, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The certificate, in DER.
    pub leaf: Vec<u8>,
    /// The certificates between it and the root, each in DER.
    pub chain: Vec<Vec<u8>>,
    /// The facts in the certificate.
    pub facts: Facts,
}

/// Why what came is not what was ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// Nothing came.
    Nothing,
    /// One of the certificates cannot be read.
    Unreadable(String),
    /// No certificate is for the key of the request.
    OtherKey,
    /// Names were ordered that the certificate does not have.
    Missing(Vec<String>),
    /// It does not count yet.
    NotYet(Timestamp),
    /// It counts no more.
    Over(Timestamp),
    /// A certificate of the chain does not count at this moment.
    ChainOver(String),
    /// It names itself as its issuer: no CA has signed it.
    SelfIssued,
    /// The certificate of the issuer did not come.
    NoIssuer(String),
    /// A certificate is not signed by the one that bears its issuer's name.
    Unsigned(String),
}

impl Wrong {
    /// Whether another clock would find otherwise.
    pub fn is_about_time(&self) -> bool {
        matches!(self, Self::NotYet(_) | Self::Over(_) | Self::ChainOver(_))
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("no certificate came"),
            Self::Unreadable(why) => write!(f, "one of the certificates is unreadable: {why}"),
            Self::OtherKey => f.write_str("the certificate is for another key"),
            Self::Missing(names) => {
                write!(f, "the certificate lacks the name {}", names.join(", "))
            }
            Self::NotYet(at) => write!(f, "the certificate counts only from {at}"),
            Self::Over(at) => write!(f, "the certificate has ended on {at}"),
            Self::ChainOver(subject) => {
                write!(
                    f,
                    "the certificate of the issuer \"{subject}\" does not count now"
                )
            }
            Self::SelfIssued => f.write_str("the certificate is issued by itself, and by no CA"),
            Self::NoIssuer(issuer) => {
                write!(
                    f,
                    "the chain is not whole: the certificate of \"{issuer}\" is missing"
                )
            }
            Self::Unsigned(subject) => write!(
                f,
                "the chain does not verify: \"{subject}\" is not signed by the issuer that came with it"
            ),
        }
    }
}

/// How far the clock of a CA may be ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// No chain is longer.
const LONGEST: usize = 8;

/// Checks what came in any order against what was ordered; all that is wrong comes at once.
///
/// # Errors
/// Everything that is wrong.
pub fn check(
    delivered: &[Vec<u8>],
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<Checked, Vec<Wrong>> {
    if delivered.is_empty() {
        return Err(vec![Wrong::Nothing]);
    }
    let mut all = Vec::new();
    for der in delivered {
        all.push(parse(der).map_err(|why| vec![Wrong::Unreadable(why)])?);
    }
    let is_ours = |one: &&X509Certificate<'_>| {
        super::fingerprint(one.public_key().raw) == expected.fingerprint
    };
    let Some(leaf) = all.iter().find(is_ours) else {
        return Err(vec![Wrong::OtherKey]);
    };
    let facts = Facts::of(leaf).map_err(|why| vec![Wrong::Unreadable(why)])?;
    let mut wrong = Vec::new();
    let has = |name: &&String| !facts.dns_names.contains(name);
    let has_email = |email: &&String| {
        let same = |own: &String| own.eq_ignore_ascii_case(email);
        !facts.emails.iter().any(same)
    };
    let mut missing: Vec<String> = expected.dns_names.iter().filter(has).cloned().collect();
    missing.extend(expected.emails.iter().filter(has_email).cloned());
    if !missing.is_empty() {
        wrong.push(Wrong::Missing(missing));
    }
    if facts.not_before > now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX) {
        wrong.push(Wrong::NotYet(facts.not_before));
    }
    if facts.not_after <= now {
        wrong.push(Wrong::Over(facts.not_after));
    }
    let chain = match chain_of(leaf, &all, now) {
        Ok(chain) => chain,
        Err(why) => {
            wrong.push(why);
            Vec::new()
        }
    };
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(Checked {
        leaf: leaf.as_raw().to_vec(),
        chain: chain.iter().map(|one| one.as_raw().to_vec()).collect(),
        facts,
    })
}

fn is_root(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

/// The certificates between a leaf and its root, by signatures.
fn chain_of<'a, 'b>(
    leaf: &'a X509Certificate<'b>,
    all: &'a [X509Certificate<'b>],
    now: Timestamp,
) -> Result<Vec<&'a X509Certificate<'b>>, Wrong> {
    if is_root(leaf) {
        return Err(Wrong::SelfIssued);
    }
    let (mut chain, mut at) = (Vec::new(), leaf);
    while chain.len() < LONGEST && !is_root(at) {
        let named: Vec<_> = all
            .iter()
            .filter(|one| one.subject().as_raw() == at.issuer().as_raw())
            .collect();
        if named.is_empty() {
            // The last before the root, which need not come. A leaf alone is not usable.
            if chain.is_empty() {
                return Err(Wrong::NoIssuer(at.issuer().to_string()));
            }
            break;
        }
        let signed: Vec<_> = named
            .into_iter()
            .filter(|one| at.verify_signature(Some(one.public_key())).is_ok())
            .collect();
        // Of several for one key, one that is no root and counts now continues.
        let counts = |one: &&&X509Certificate<'b>| {
            let validity = one.validity();
            (validity.not_before.timestamp()..=validity.not_after.timestamp())
                .contains(&now.as_second())
        };
        let best = signed
            .iter()
            .find(|one| counts(one) && !is_root(one))
            .or_else(|| signed.iter().find(counts))
            .or(signed.first());
        let Some(issuer) = best else {
            return Err(Wrong::Unsigned(at.subject().to_string()));
        };
        if !counts(&issuer) {
            return Err(Wrong::ChainOver(issuer.subject().to_string()));
        }
        if is_root(issuer) {
            break;
        }
        chain.push(*issuer);
        at = issuer;
    }
    Ok(chain)
}

#[cfg(test)]
mod tests;
