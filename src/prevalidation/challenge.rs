//! What the CA wants to find in DNS before it counts a domain as validated.
//!
//! A CA's answer is not trusted here: a record that lies outside the domain, a target that is no
//! name and a value with control characters are refused, and a refused challenge is never
//! published.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};

use super::name::{DomainName, escape, is_within};

/// The octets that one TXT value may have. Random values have 32 to 240; the rest is room for
/// values that name an account.
const LONGEST_VALUE: usize = 1000;

/// One record that the CA asks for, and how long it is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The name of the record: the domain itself or a name below it.
    pub owner: RecordName,
    /// What the record holds.
    pub data: ChallengeData,
    /// When the CA made it, if the CA says so.
    #[serde(default)]
    pub made: Option<Timestamp>,
    /// Until when the CA accepts it, if the CA says so.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// What makes the CA look for it.
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
    /// It exists before the CA is asked to look: publish the record, then submit.
    Published,
    /// The call that asks the CA to look makes it: submit, then publish the record.
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
    /// The owner is no DNS name.
    #[error("the CA names a record `{0}`, which is no DNS name: {1}")]
    Owner(String, &'static str),
    /// The owner lies in somebody else's domain.
    #[error(
        "the CA names a record `{owner}`, which does not lie in {domain}: nothing is published"
    )]
    Outside {
        /// What the CA sent.
        owner: String,
        /// The domain that it is asked to validate.
        domain: DomainName,
    },
    /// A CNAME at the domain itself would hide every other record there.
    #[error("the CA wants a CNAME at {0} itself, which would hide every other record there")]
    CnameAtDomain(DomainName),
    /// The target is no DNS name.
    #[error("the CA names `{0}` as the target of a CNAME, which is no DNS name: {1}")]
    Target(String, &'static str),
    /// The target is the owner itself.
    #[error("the CA wants a CNAME at {0} that points at itself")]
    Loop(String),
    /// The value cannot stand in a TXT record as it is.
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
            _ if value.len() > LONGEST_VALUE => Some("it is longer than 1000 octets"),
            _ if value.chars().any(char::is_control) => Some("it holds a control character"),
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
    /// The owner is no name below the domain, or the target is no name.
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
        self.owner.is_within(domain.as_str())
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
    /// What is wrong with it, in a few words.
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

    /// Whether this name is `apex` or lies below it, on a label boundary.
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
    if parsed.is_within(domain.as_str()) {
        Ok(parsed)
    } else {
        Err(ChallengeError::Outside {
            owner: parsed.0,
            domain: domain.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn domain() -> DomainName {
        DomainName::from_a_labels("example.org").unwrap()
    }

    fn txt(owner: &str, value: &str) -> Result<Challenge, ChallengeError> {
        Challenge::txt(&domain(), owner, value, Counts::BySubmit)
    }

    fn cname(owner: &str, target: &str) -> Result<Challenge, ChallengeError> {
        Challenge::cname(&domain(), owner, target, Counts::Published)
    }

    #[test]
    fn a_record_may_stand_at_the_domain_or_below_it_in_any_case_with_or_without_a_full_stop() {
        for (sent, owner) in [
            ("example.org", "example.org"),
            ("EXAMPLE.org.", "example.org"),
            (
                "_PKI-validation.example.org.",
                "_pki-validation.example.org",
            ),
            ("_a.b.Example.Org", "_a.b.example.org"),
        ] {
            assert_eq!(txt(sent, "x").unwrap().owner.as_str(), owner, "{sent}");
        }
        let shown = DomainName::parse("déjà.example").unwrap().name;
        for sent in ["_x.déjà.example.", "_x.xn--dj-kia8a.example"] {
            let made = Challenge::txt(&shown, sent, "x", Counts::Published).unwrap();
            assert_eq!(made.owner.as_str(), "_x.xn--dj-kia8a.example");
        }
    }

    #[test]
    fn a_record_outside_the_domain_is_refused() {
        for sent in [
            "_x.example.com.",
            "notexample.org",
            "_x.example.org.evil.test",
            "org",
            "_x.org",
        ] {
            let refused = txt(sent, "x").unwrap_err();
            let said = refused.to_string();
            assert!(
                said.contains("does not lie in example.org") || said.contains("no DNS name"),
                "{sent}: {said}"
            );
            assert!(cname(sent, "a.sectigo.com").is_err(), "{sent}");
        }
    }

    #[test]
    fn an_owner_or_a_target_that_is_no_name_is_refused_with_the_reason() {
        let long = format!("{}.example.org", "a".repeat(64));
        let longer = format!("{}example.org", "abcdefgh.".repeat(28));
        for (sent, why) in [
            ("", "empty"),
            (".", "empty"),
            ("a..example.org", "empty label"),
            (".example.org", "empty label"),
            ("a b.example.org", "character"),
            ("a\n.example.org", "character"),
            ("*.example.org", "character"),
            ("a\\.example.org", "character"),
            ("http://x.example.org", "character"),
            (long.as_str(), "63"),
            (longer.as_str(), "253"),
        ] {
            let refused = txt(sent, "x").unwrap_err().to_string();
            assert!(refused.contains(why), "{sent:?}: {refused}");
            let refused = cname("_x.example.org", sent).unwrap_err().to_string();
            assert!(refused.contains(why), "{sent:?}: {refused}");
            assert!(!refused.contains('\n'), "{refused}");
        }
        let refused = cname("_x.example.org", "localhost").unwrap_err();
        assert!(refused.to_string().contains("one label"), "{refused}");
    }

    #[test]
    fn a_cname_neither_hides_the_domain_nor_points_at_itself() {
        assert_eq!(
            cname("example.org.", "a.sectigo.com"),
            Err(ChallengeError::CnameAtDomain(domain()))
        );
        assert!(matches!(
            cname("_x.example.org", "_X.Example.ORG."),
            Err(ChallengeError::Loop(_))
        ));
    }

    #[test]
    fn a_value_of_odd_printable_characters_stays_as_it_is_and_others_are_refused() {
        let odd = r#"F(U_t|L%>8]iU6Yx\CFm;0O8"DViEQ/`"#;
        let made = txt("_pki-validation.example.org.", odd).unwrap();
        assert_eq!(made.data.as_str(), odd);
        let long = "a".repeat(1001);
        for (value, why) in [
            ("", "empty"),
            ("  ", "empty"),
            ("a\nb", "control"),
            ("a\0", "control"),
            ("a\u{7f}", "control"),
            ("a\u{9b}31m", "control"),
            ("tête", "outside ASCII"),
            (long.as_str(), "1000"),
        ] {
            let refused = txt("example.org", value).unwrap_err().to_string();
            assert!(refused.contains(why), "{value:?}: {refused}");
            assert!(!refused.chars().any(char::is_control), "{refused:?}");
        }
    }

    #[test]
    fn the_same_record_is_the_same_in_any_case_of_its_names_and_with_other_dates() {
        let one = cname("_A1.example.org", "B2.C3.Sectigo.com").unwrap();
        let other = cname("_a1.Example.org.", "b2.c3.sectigo.com.")
            .unwrap()
            .dated(Some(Timestamp::UNIX_EPOCH), None);
        assert!(one.is_same_record(&other));
        assert_ne!(one, other, "the dates differ");
        assert!(
            !txt("example.org", "A")
                .unwrap()
                .is_same_record(&txt("example.org", "a").unwrap())
        );
    }

    #[test]
    fn a_stored_challenge_is_read_back_and_one_whose_name_was_spoilt_is_not() {
        let made = cname("_a1.example.org", "b2.sectigo.com").unwrap();
        let stored = serde_json::to_string(&made).unwrap();
        let read: Challenge = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, made);
        assert!(read.is_for(&domain()));
        let spoilt = stored.replace("b2.sectigo.com", "b2 sectigo");
        assert!(serde_json::from_str::<Challenge>(&spoilt).is_err());
    }
}
