//! The record: written in the one form that every known validator reads alike, and taken apart as
//! far as it can be read.

use jiff::Timestamp;

use crate::prevalidation::{DomainName, RecordName};

/// The label below which the record is, for each domain.
pub const LABEL: &str = "_validation-persist";

/// The longest record: one character-string of a TXT record (RFC 1035, section 3.3). A validator
/// that gets several strings may join them with a blank.
pub const LONGEST: usize = 255;

/// A record as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistentRecord {
    /// The CA's issuer domain name, an A-label in lower case without a trailing dot.
    pub issuer: String,
    /// The account at the CA, octet by octet as the CA shows it.
    pub account: String,
    /// Until when the record counts. The second itself still counts.
    pub until: Timestamp,
    /// Whether ACME's `policy=wildcard` is written.
    pub wildcard: bool,
}

impl PersistentRecord {
    /// The TXT value: exact spelling, no trailing dot, no trailing semicolon, each key once.
    pub fn value(&self) -> String {
        let policy = if self.wildcard {
            "; policy=wildcard"
        } else {
            ""
        };
        format!(
            "{}; accounturi={}{policy}; persistUntil={}",
            self.issuer,
            self.account,
            self.until.as_second()
        )
    }

    /// The octets of the longest value that this issuer and account ever have.
    pub fn longest(issuer: &str, account: &str, wildcard: bool) -> usize {
        // Ten digits last until the year 2286.
        let until = Timestamp::constant(9_999_999_999, 0);
        let record = Self {
            issuer: issuer.to_owned(),
            account: account.to_owned(),
            until,
            wildcard,
        };
        record.value().len()
    }
}

/// The name of a domain's records; `None` where it would be longer than a name can be.
pub fn owner_of(domain: &DomainName) -> Option<RecordName> {
    RecordName::parse(&format!("{LABEL}.{domain}")).ok()
}

/// A value in its parts (RFC 8659, section 4.2), whatever they hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts<'a> {
    /// What is before the first semicolon, without blanks around it.
    pub issuer: &'a str,
    /// What is between the others, without blanks around it: a key, and a value where there is `=`.
    pub parameters: Vec<(&'a str, Option<&'a str>)>,
    /// The value ends with a semicolon.
    pub ends_open: bool,
}

impl<'a> Parts<'a> {
    /// Takes a value apart. Nothing is judged.
    pub fn of(value: &'a str) -> Self {
        let mut pieces = value.split(';').map(trimmed);
        let issuer = pieces.next().unwrap_or_default();
        let mut pieces: Vec<&str> = pieces.collect();
        let ends_open = pieces.last().is_some_and(|last| last.is_empty());
        if ends_open {
            pieces.pop();
        }
        let parameters = pieces.into_iter().map(|piece| match piece.split_once('=') {
            Some((key, value)) => (trimmed(key), Some(trimmed(value))),
            None => (piece, None),
        });
        Self {
            issuer,
            parameters: parameters.collect(),
            ends_open,
        }
    }

    /// The values of a key, by a rule of comparison.
    pub fn values(&self, is: impl Fn(&str) -> bool) -> Vec<&'a str> {
        let found = self.parameters.iter().filter(|(key, _)| is(key));
        found.filter_map(|(_, value)| *value).collect()
    }
}

/// Without the blanks that the grammar allows.
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Whether a key is one of the grammar: letters, digits and hyphens, no hyphen at its ends.
pub fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !key.starts_with('-')
        && !key.ends_with('-')
}

/// Whether a parameter's value is one of the grammar: printable ASCII without blanks.
pub fn is_value(value: &str) -> bool {
    value.bytes().all(|octet| (0x21..=0x7e).contains(&octet))
}

/// Whether an issuer is a domain name of at least two labels in ASCII, in whatever case.
pub fn is_issuer(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(label)
}
