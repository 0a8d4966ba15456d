//! What is wrong with a persistent record that is in a zone, and what it allows in the worst case.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::account::{Belonging, belonging, why_no_uri};
use super::record::{LONGEST, Parts, is_issuer, is_key, is_value};
use super::validator::{Accepted, Validator};

/// A right that ends later than this is as good as one without end.
pub const FAR: SignedDuration = SignedDuration::from_hours(24 * 366 * 5);

/// Numbers from here on are milliseconds: as seconds they are after the year 5138.
const MILLISECONDS: i64 = 100_000_000_000;

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is unusual and does no harm.
    Note,
    /// It allows more than it seems to.
    Risk,
    /// Some CA, or every CA, does not accept it.
    Broken,
}

impl Severity {
    /// For people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Risk => "risk",
            Self::Broken => "broken",
        }
    }
}

/// One fault of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for programs: `trailing-semicolon`.
    pub code: &'static str,
    /// What it is and what to write instead.
    pub words: String,
}

/// Everything that is wrong with one TXT record, in its character-strings, at `now`.
pub fn lint(strings: &[Vec<u8>], now: Timestamp) -> Vec<Fault> {
    let mut lint = Lint {
        faults: Vec::new(),
        now,
    };
    lint.strings(strings);
    let joined = strings.concat();
    match String::from_utf8(joined) {
        Ok(value) if value.trim().is_empty() => {
            lint.broken("empty", "the record is empty: remove it");
        }
        Ok(value) => lint.value(&value),
        Err(_) => lint.broken("not-text", "the record is no text in ASCII: remove it"),
    }
    lint.faults
}

/// What is wrong with the records of one name together: several that are good for one issuer.
pub fn lint_together(records: &[Vec<Vec<u8>>]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut issuers = BTreeSet::new();
    for record in records {
        for issuer in accepted(record).into_iter().map(|one| one.issuer) {
            let same =
                |other: &&Vec<Vec<u8>>| accepted(other).iter().any(|other| other.issuer == issuer);
            let count = records.iter().filter(same).count();
            if count > 1 && issuers.insert(issuer.clone()) {
                faults.push(Fault {
                    severity: Severity::Note,
                    code: "several-for-issuer",
                    words: format!(
                        "{count} records are for {issuer}: one is enough for each account, and \
                         some CAs take the first that they can read"
                    ),
                });
            }
        }
    }
    faults
}

/// What either public validator takes from a record, each reading once.
pub fn accepted(strings: &[Vec<u8>]) -> Vec<Accepted> {
    let mut all: Vec<Accepted> = Vec::new();
    for validator in Validator::ALL {
        if let Ok(one) = validator.read(strings)
            && !all.contains(&one)
        {
            all.push(one);
        }
    }
    all
}

/// What a record allows in the worst case, in words; `None` where no CA accepts it at `now`.
pub fn allows(strings: &[Vec<u8>], domain: &str, now: Timestamp) -> Option<String> {
    let readings: Vec<Accepted> = accepted(strings)
        .into_iter()
        .filter(|one| one.counts_at(now))
        .collect();
    let first = readings.first()?;
    let is_endless = readings.iter().any(|one| one.until.is_none());
    let latest = readings.iter().filter_map(|one| one.until).max();
    let end = match latest.filter(|_| !is_endless) {
        None => "without end".to_owned(),
        Some(until) => match Timestamp::from_second(until) {
            Ok(until) => format!("until {until:.0}"),
            Err(_) => "without end".to_owned(),
        },
    };
    Some(format!(
        "{} may issue for {domain}, for every name below it and for wildcards, to the account \
         {}, {end}",
        first.issuer, first.account
    ))
}

struct Lint {
    faults: Vec<Fault>,
    now: Timestamp,
}

impl Lint {
    fn say(&mut self, severity: Severity, code: &'static str, words: impl Into<String>) {
        self.faults.push(Fault {
            severity,
            code,
            words: words.into(),
        });
    }

    fn broken(&mut self, code: &'static str, words: impl Into<String>) {
        self.say(Severity::Broken, code, words);
    }

    fn strings(&mut self, strings: &[Vec<u8>]) {
        let octets: usize = strings.iter().map(Vec::len).sum();
        if octets > LONGEST {
            let words = format!(
                "the record has {octets} octets: more than {LONGEST} do not fit into one string, \
                 and some CAs do not join strings"
            );
            self.broken("too-long", words);
        } else if strings.len() > 1 {
            let words = format!(
                "the record has {} strings: write one, because some CAs put a blank between them",
                strings.len()
            );
            self.broken("several-strings", words);
        }
    }

    fn value(&mut self, value: &str) {
        if value.starts_with('"') || value.ends_with('"') {
            let words = "quotation marks are part of the record: the zone's tool adds its own";
            return self.broken("quoted", words);
        }
        let is_odd = |c: char| !(c.is_ascii_graphic() || c == ' ' || c == '\t');
        if value.chars().any(is_odd) {
            let words = "the record holds a control character or one outside ASCII";
            return self.broken("not-ascii", words);
        }
        let parts = Parts::of(value);
        self.issuer(parts.issuer);
        if parts.ends_open {
            let words = "the record ends with a semicolon: remove it, CAs call it malformed";
            self.broken("trailing-semicolon", words);
        }
        self.parameters(&parts);
        self.account(&parts);
        self.until(&parts);
        self.policy(&parts);
    }

    fn issuer(&mut self, issuer: &str) {
        if issuer.is_empty() {
            let words = "no issuer is named: the record begins with the CA's domain name";
            return self.broken("no-issuer", words);
        }
        if issuer.contains('=') {
            let words = "the record begins with a parameter: the CA's domain name comes first";
            return self.broken("no-issuer", words);
        }
        let bare = issuer.strip_suffix('.').unwrap_or(issuer);
        if bare != issuer {
            let words = "the issuer has a trailing dot: some CAs call that malformed";
            self.broken("issuer-dot", words);
        }
        if !is_issuer(bare) {
            let words = format!("the issuer `{bare}` is not a domain name of a CA");
            self.broken("issuer-name", words);
        } else if bare.chars().any(|c| c.is_ascii_uppercase()) {
            let words = format!(
                "write the issuer in lower case: {}",
                bare.to_ascii_lowercase()
            );
            self.say(Severity::Note, "issuer-case", words);
        }
    }

    fn parameters(&mut self, parts: &Parts<'_>) {
        let mut seen = BTreeSet::new();
        for (key, value) in &parts.parameters {
            if key.is_empty() && value.is_none() {
                self.broken("empty-parameter", "two semicolons follow each other");
                continue;
            }
            if !is_key(key) {
                let words = format!("`{key}` is no key: letters, digits and hyphens only");
                self.broken("key", words);
            }
            match value {
                None => {
                    let words = format!("`{key}` has no `=` and no value");
                    self.broken("no-value", words);
                }
                Some(value) if !is_value(value) => {
                    let words = format!("the value of `{key}` holds a blank");
                    self.broken("blank", words);
                }
                Some(_) => {}
            }
            if !seen.insert(key.to_ascii_lowercase()) {
                let words = format!("`{key}` is there more than once: CAs refuse the record");
                self.broken("doubled", words);
            }
            self.spelling(key);
        }
    }

    fn spelling(&mut self, key: &str) {
        let lower = key.to_ascii_lowercase();
        let meant = match lower.as_str() {
            "accounturi" | "account-uri" | "accounturl" | "account" => "accounturi",
            "persistuntil" | "persist-until" | "until" => "persistUntil",
            "policy" => "policy",
            _ => {
                if is_key(key) {
                    let words = format!("CAs do not know the key `{key}` and pass over it");
                    self.say(Severity::Note, "unknown-key", words);
                }
                return;
            }
        };
        if key == meant {
            return;
        }
        if meant == "persistUntil" {
            // DigiCert's passes over it: the record never ends there.
            let words =
                format!("`{key}` must be `persistUntil`: for some CAs the record never ends");
            self.say(Severity::Risk, "until-spelling", words);
        } else {
            let words = format!("`{key}` must be `{meant}`: some CAs do not find it");
            self.broken("spelling", words);
        }
    }

    fn account(&mut self, parts: &Parts<'_>) {
        let values = parts.values(|key| key.eq_ignore_ascii_case("accounturi"));
        let Some(&account) = values.first() else {
            let words = "no account is named: add `accounturi=` as the CA shows it";
            return self.broken("no-account", words);
        };
        if account.is_empty() {
            return self.broken("no-account", "`accounturi` is empty: copy it from the CA");
        }
        if let Some(why) = why_no_uri(account) {
            let words = format!("the account `{account}` is no URI: {why}");
            self.broken("account-uri", words);
        } else if let Belonging::Foreign { host, whose } = belonging(parts.issuer, account, None) {
            let whose = whose.map_or_else(
                || "which is not known as one of its hosts".to_owned(),
                |whose| format!("which is {whose}'s"),
            );
            let words = format!(
                "the issuer is {} and the account is at {host}, {whose}: compare it with the CA's \
                 own page",
                parts.issuer
            );
            self.say(Severity::Risk, "foreign-account", words);
        }
    }

    fn until(&mut self, parts: &Parts<'_>) {
        let values = parts.values(|key| key.eq_ignore_ascii_case("persistUntil"));
        let Some(&text) = values.first() else {
            let words = "no `persistUntil`: the record never ends";
            return self.say(Severity::Risk, "no-until", words);
        };
        let Ok(until) = text.parse::<i64>() else {
            let words = format!("`persistUntil={text}` is not a number: write seconds since 1970");
            return self.broken("until-number", words);
        };
        if text.starts_with('+') || (text.len() > 1 && text.starts_with('0')) {
            let words = format!("write `persistUntil={until}`, without a sign and leading zeros");
            self.say(Severity::Note, "until-form", words);
        }
        let now = self.now.as_second();
        if until < 0 {
            self.broken("until-negative", "`persistUntil` is negative");
        } else if until < now {
            let words = match Timestamp::from_second(until) {
                Ok(until) => format!("the record ended at {until:.0}: remove it"),
                Err(_) => "the record has ended: remove it".to_owned(),
            };
            self.say(Severity::Broken, "ended", words);
        } else if until >= MILLISECONDS {
            let words = "`persistUntil` seems to be in milliseconds: it must be seconds since 1970";
            self.say(Severity::Risk, "until-milliseconds", words);
        } else if until - now > FAR.as_secs() {
            let words = "the record ends more than five years from now, as good as never";
            self.say(Severity::Risk, "until-far", words);
        }
    }

    fn policy(&mut self, parts: &Parts<'_>) {
        let values = parts.values(|key| key.eq_ignore_ascii_case("policy"));
        for policy in values {
            if policy == "wildcard" {
                continue;
            }
            let words = if policy.eq_ignore_ascii_case("wildcard") {
                "write `policy=wildcard` in lower case".to_owned()
            } else {
                format!("`policy={policy}` limits nothing: CAs know only `wildcard`")
            };
            self.say(Severity::Note, "policy", words);
        }
    }
}
