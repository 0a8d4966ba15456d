//! How CAs read a persistent record. Two validators are public, and they differ: what is written
//! must pass both, and what a foreign record allows is what either of them accepts.
//!
//! Sources: Boulder, `va/dns_persist.go` (2026-08); DigiCert's domain-control-validation,
//! `IssueValueParser` (2026-06).

use jiff::Timestamp;

use super::account::why_no_uri;
use super::record::{Parts, is_issuer, is_key, is_value};

/// A public validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validator {
    /// Let's Encrypt's.
    Boulder,
    /// DigiCert's.
    Digicert,
}

/// What a validator takes from a well-formed record. Whether it is for the CA and the account at
/// hand is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The issuer, lower case without a trailing dot.
    pub issuer: String,
    /// The account.
    pub account: String,
    /// Until which second of UTC it counts; `None`: for ever.
    pub until: Option<i64>,
    /// Whether it counts for wildcards and for names below, by this validator.
    pub wildcard: bool,
}

impl Accepted {
    /// Whether it still counts at `now`.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now.as_second() <= until)
    }
}

impl Validator {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Boulder, Self::Digicert];

    /// Reads one TXT record in its character-strings.
    ///
    /// # Errors
    /// Why the validator passes over the record, in words.
    pub fn read(self, strings: &[Vec<u8>]) -> Result<Accepted, String> {
        let value = self.joined(strings)?;
        let parts = Parts::of(&value);
        let issuer = match self {
            Self::Boulder => parts.issuer.strip_suffix('.').unwrap_or(parts.issuer),
            Self::Digicert => parts.issuer,
        };
        if !is_issuer(issuer) {
            return Err(format!("`{issuer}` is no issuer domain name"));
        }
        if parts.ends_open && !parts.parameters.is_empty() {
            return Err("it ends with a semicolon".to_owned());
        }
        for (key, value) in &parts.parameters {
            let is_good = is_key(key) && value.is_some_and(is_value);
            if !is_good {
                return Err(format!("the parameter `{key}` is malformed"));
            }
        }
        let account = self.one(&parts, "accounturi")?;
        let account = account.ok_or("it names no account")?;
        if self == Self::Digicert && why_no_uri(account).is_some() {
            return Err("its account is no URI".to_owned());
        }
        let until = match self.one(&parts, "persistUntil")? {
            Some(text) => Some(self.seconds(text)?),
            None => None,
        };
        let policy = self.one(&parts, "policy")?;
        let is_wildcard = policy.is_some_and(|policy| policy.eq_ignore_ascii_case("wildcard"));
        Ok(Accepted {
            issuer: issuer.to_ascii_lowercase(),
            account: account.to_owned(),
            until,
            // The BR know no policy, so a CA that reads none covers all names below.
            wildcard: is_wildcard || self == Self::Digicert,
        })
    }

    /// Whether a record lets `account` have certificates of `issuer` at `now`.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn judge(
        self,
        strings: &[Vec<u8>],
        issuer: &str,
        account: &str,
        now: Timestamp,
    ) -> Result<Accepted, String> {
        let accepted = self.read(strings)?;
        if accepted.issuer != issuer {
            return Err(format!("it is for {}", accepted.issuer));
        }
        if accepted.account != account {
            return Err(format!("it names the account {}", accepted.account));
        }
        if !accepted.counts_at(now) {
            return Err("its persistUntil is over".to_owned());
        }
        Ok(accepted)
    }

    fn joined(self, strings: &[Vec<u8>]) -> Result<String, String> {
        let octets = match self {
            Self::Boulder => strings.concat(),
            // It reads the text form, in which a blank is between two strings.
            Self::Digicert => strings.join(&b' '),
        };
        String::from_utf8(octets).map_err(|_| "it is no text".to_owned())
    }

    /// The value of a key that may be there once.
    fn one<'a>(self, parts: &Parts<'a>, key: &str) -> Result<Option<&'a str>, String> {
        let values = parts.values(|found| match self {
            Self::Boulder => found.eq_ignore_ascii_case(key),
            Self::Digicert => found == key,
        });
        match values[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(format!("`{key}` is there {} times", values.len())),
        }
    }

    fn seconds(self, text: &str) -> Result<i64, String> {
        match text.parse::<i64>() {
            Ok(seconds) if seconds < 0 && self == Self::Digicert => {
                Err("its persistUntil is negative".to_owned())
            }
            Ok(seconds) => Ok(seconds),
            Err(_) => Err(format!(
                "its persistUntil `{text}` is not a number of seconds"
            )),
        }
    }
}
