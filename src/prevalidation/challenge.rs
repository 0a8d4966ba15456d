//! What the CA wants to find in DNS before it counts a domain as validated.
//!
//! A CA's answer is not trusted here: a record that is outside the domain, a target that is not a
//! name and a value with control characters are refused, and a refused challenge is never
//! published.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};

use super::name::{DomainName, escape, is_within};

/// The octets that one TXT value may have: one string of a TXT record. Random values have 32 to 240.
const LONGEST_VALUE: usize = 255;

/// Labels of other protocols (IANA, "Underscored and Globally Scoped DNS Node Names"): a CA's record
/// below one of them would change mail, keys or certificates of the domain.
const OTHERS: [&str; 14] = [
    "_acme-challenge",
    "_atproto",
    "_bimi",
    "_caldav",
    "_dmarc",
    "_dnslink",
    "_domainkey",
    "_mta-sts",
    "_report",
    "_smtp",
    "_tcp",
    "_tls",
    "_udp",
    "_validation-persist",
];

/// One record that the CA asks for, and how long it is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The name of the record: the domain itself or a name below it.
    pub owner: RecordName,
    /// The data of the record.
    pub data: ChallengeData,
    /// When the CA made it, if the CA says so.
    #[serde(default)]
    pub made: Option<Timestamp>,
    /// Until when the CA accepts it, if the CA says so.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// The event that makes the CA check it.
    pub counts: Counts,
}

/// The type and the data of the record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeData {
    /// One TXT value, compared octet by octet. Other TXT values at the name stay as they are.
    Txt(String),
    /// The target of a CNAME, compared without case and without the last full stop.
    Cname(RecordName),
}

/// How a challenge comes to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// It exists before the CA is asked to check: publish the record, then submit.
    Published,
    /// The call that asks the CA to check makes it: submit, then publish the record.
    BySubmit,
}

/// A DNS name that a record may have or point at: ASCII, lower case, without the last full stop.
/// Labels may begin with an underscore, which a [`DomainName`] that people wrote may not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RecordName(String);

/// Why a challenge is refused. The text names what the CA sent, with control characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// The owner is not a DNS name.
    #[error("the CA names a record `{0}`, which is not a DNS name: {1}")]
    Owner(String, &'static str),
    /// The owner is not in the domain.
    #[error("the CA names a record `{owner}`, which is not in {domain}: nothing is published")]
    Outside {
        /// The text that the CA sent.
        owner: String,
        /// The domain that it is asked to validate.
        domain: DomainName,
    },
    /// The kind of CA does not have its records there.
    #[error("the CA names a record at `{owner}`, and its records are at {expected}")]
    Elsewhere {
        /// The text that the CA sent.
        owner: RecordName,
        /// Where records of this kind of CA are.
        expected: String,
    },
    /// The owner is no name for a validation.
    #[error("the CA names a record at `{0}`: {1}")]
    Label(RecordName, &'static str),
    /// A CNAME at the domain itself would hide every other record there.
    #[error("the CA wants a CNAME at {0} itself, which would hide every other record there")]
    CnameAtDomain(DomainName),
    /// The target is not a DNS name.
    #[error("the CA names `{0}` as the target of a CNAME, which is not a DNS name: {1}")]
    Target(String, &'static str),
    /// The target is a name of the domain.
    #[error("the CA wants a CNAME to `{target}`, which is in {domain} itself")]
    TargetInside {
        /// The text that the CA sent.
        target: RecordName,
        /// The domain that it is asked to validate.
        domain: DomainName,
    },
    /// The target is the owner itself.
    #[error("the CA wants a CNAME at {0} that points at itself")]
    Loop(String),
    /// The value cannot be in a TXT record as it is.
    #[error("the CA's TXT value `{0}` is refused: {1}")]
    Value(String, &'static str),
}

impl Challenge {
    /// A TXT value at `owner`, for `domain`.
    ///
    /// # Errors
    /// The owner is no name in the domain, or the value is empty, too long or not printable ASCII.
    pub fn txt(
        domain: &DomainName,
        owner: &str,
        value: &str,
        counts: Counts,
    ) -> Result<Self, ChallengeError> {
        let owner = owner_in(domain, owner)?;
        let wrong = match value {
            _ if value.trim().is_empty() => Some("it is empty"),
            _ if value.len() > LONGEST_VALUE => Some("it is longer than 255 octets"),
            _ if value.chars().any(char::is_control) => Some("it holds a control character"),
            _ if value.trim() != value => Some("it begins or ends with a blank"),
            _ if !value.is_ascii() => Some("it holds a character outside ASCII"),
            _ => None,
        };
        match wrong {
            Some(why) => Err(ChallengeError::Value(escape(value), why)),
            None => Ok(Self::of(
                owner,
                ChallengeData::Txt(value.to_owned()),
                counts,
            )),
        }
    }

    /// A CNAME at `owner` that points at `target`, for `domain`.
    ///
    /// # Errors
    /// The owner is no name below the domain, or the target is not a name.
    pub fn cname(
        domain: &DomainName,
        owner: &str,
        target: &str,
        counts: Counts,
    ) -> Result<Self, ChallengeError> {
        let owner = owner_in(domain, owner)?;
        if owner.as_str() == domain.as_str() {
            return Err(ChallengeError::CnameAtDomain(domain.clone()));
        }
        let parsed =
            RecordName::parse(target).map_err(|why| ChallengeError::Target(escape(target), why))?;
        if parsed == owner {
            return Err(ChallengeError::Loop(parsed.0));
        }
        if parsed.is_within(domain.as_str()) {
            return Err(ChallengeError::TargetInside {
                target: parsed,
                domain: domain.clone(),
            });
        }
        if !owner.as_str().starts_with('_') {
            let why = "it does not begin with an underscore, so it may be a host";
            return Err(ChallengeError::Label(owner, why));
        }
        Ok(Self::of(owner, ChallengeData::Cname(parsed), counts))
    }

    fn of(owner: RecordName, data: ChallengeData, counts: Counts) -> Self {
        Self {
            owner,
            data,
            made: None,
            until: None,
            counts,
        }
    }

    /// The same challenge with the CA's two dates.
    #[must_use]
    pub fn dated(mut self, made: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        (self.made, self.until) = (made, until);
        self
    }

    /// Whether the CA accepts it for more than `margin`. However long the margin, a fresh challenge
    /// is not replaced.
    pub fn is_live(&self, margin: SignedDuration, now: Timestamp) -> bool {
        let Some(end) = self.until else {
            return true;
        };
        let life = self.made.map(|made| end.duration_since(made));
        let margin = life.map_or(margin, |life| margin.min(life / 3));
        end.saturating_sub(margin).unwrap_or(Timestamp::MIN) > now
    }

    /// Whether `other` asks for the same record, whatever its dates.
    pub fn is_same_record(&self, other: &Self) -> bool {
        self.owner == other.owner && self.data == other.data
    }

    /// Whether the record belongs to `domain`. A challenge that was read back from a store is held
    /// against this once more before it is published.
    pub fn is_for(&self, domain: &DomainName) -> bool {
        let is_alias_of_host = match &self.data {
            ChallengeData::Txt(_) => false,
            ChallengeData::Cname(_) => !self.owner.as_str().starts_with('_'),
        };
        let is_inside = self.owner.is_within(domain.as_str());
        is_inside && !is_alias_of_host && !is_anothers(&self.owner, domain)
    }

    /// `TXT` or `CNAME`.
    pub fn record_type(&self) -> &'static str {
        self.data.record_type()
    }
}

impl ChallengeData {
    /// `TXT` or `CNAME`.
    pub fn record_type(&self) -> &'static str {
        match self {
            Self::Txt(_) => "TXT",
            Self::Cname(_) => "CNAME",
        }
    }

    /// The TXT value, or the target without the last full stop.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Txt(value) => value,
            Self::Cname(target) => target.as_str(),
        }
    }
}

impl RecordName {
    /// Reads a name as a CA sends it: any case, with or without the last full stop, A-labels or
    /// U-labels.
    ///
    /// # Errors
    /// The fault in the name, in a few words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let written = text.strip_suffix('.').unwrap_or(text);
        // Label by label: the strict rules refuse the underscore of `_dnsauth`.
        let ascii = written
            .split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'])
            .map(|label| match label.is_ascii() {
                true => Ok(label.to_ascii_lowercase()),
                false => idna::domain_to_ascii_strict(label),
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| "UTS #46 does not permit it")?
            .join(".");
        let permitted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if ascii.is_empty() {
            Err("it is empty")
        } else if ascii.len() > 253 {
            Err("it is longer than 253 octets")
        } else if ascii.split('.').any(str::is_empty) {
            Err("it has an empty label")
        } else if ascii.split('.').any(|label| label.len() > 63) {
            Err("a label is longer than 63 octets")
        } else if !ascii.bytes().all(|b| b == b'.' || permitted(b)) {
            Err("it holds a character that no name in DNS should have")
        } else if !ascii.contains('.') {
            Err("it has one label only")
        } else {
            Ok(Self(ascii))
        }
    }

    /// Lower case, without the last full stop.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name is `apex` or is below it, on a label boundary.
    pub fn is_within(&self, apex: &str) -> bool {
        is_within(&self.0, apex)
    }
}

impl From<&DomainName> for RecordName {
    fn from(domain: &DomainName) -> Self {
        Self(domain.as_str().to_owned())
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RecordName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}",
            self.owner,
            self.record_type(),
            self.data.as_str()
        )
    }
}

fn owner_in(domain: &DomainName, owner: &str) -> Result<RecordName, ChallengeError> {
    let parsed =
        RecordName::parse(owner).map_err(|why| ChallengeError::Owner(escape(owner), why))?;
    if !parsed.is_within(domain.as_str()) {
        return Err(ChallengeError::Outside {
            owner: parsed.0,
            domain: domain.clone(),
        });
    }
    if is_anothers(&parsed, domain) {
        let why = "the name belongs to another protocol";
        return Err(ChallengeError::Label(parsed, why));
    }
    Ok(parsed)
}

/// Whether a label of `owner` below `domain` is that of another protocol.
fn is_anothers(owner: &RecordName, domain: &DomainName) -> bool {
    let below = owner.as_str().strip_suffix(domain.as_str());
    let mut labels = below.unwrap_or_default().split('.');
    labels.any(|label| OTHERS.contains(&label))
}

#[cfg(test)]
mod tests;
