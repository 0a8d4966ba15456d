//! `[[persistent]]`: the persistent records that are kept in DNS, for CAs that accept them. No
//! account at the CA is needed; what is copied from the CA is held against the issuer.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::names::{Listed, read_lines, read_name};
use super::quantity::duration;
use super::tree::{Schema, Section, shown_key};
use super::{AUTO, ProviderTable, bounded, nearest};
use crate::persistent::account::{AccountForm, Belonging, belonging, host_of, why_no_uri};
use crate::persistent::record::{LONGEST, is_issuer};
use crate::persistent::{End, PersistentRecord, owner_of};
use crate::prevalidation::{DomainName, Notice};

pub(super) const PERSISTENT: Schema = Schema {
    path: "persistent",
    keys: &[
        "issuer",
        "accounturi",
        "account_host",
        "until",
        "replace_before",
        "policy",
        "canary",
        "provider",
        "domains",
        "domains_file",
    ],
};

/// The method by persistent records, as a configuration may call it.
pub(super) const METHOD_PERSISTENT: &str = "persistent";
/// What to do where a CA does not offer it.
pub(super) const PERSISTENT_INSTEAD: &str = "choose the method in the CA's portal, and keep the \
    record by [[persistent]] (docs/persistent.md)";

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The life of a record, unless the configuration says otherwise.
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);
/// How long before its end a record is replaced, if its life allows it.
const REPLACE_BEFORE: SignedDuration = SignedDuration::from_hours(24 * 30);
/// The longest life: a permission must end.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(24 * 1826);
/// No record of this method is older (BR 3.2.2.4.22 came with ballot SC-088).
const FIRST: Timestamp = Timestamp::constant(1_759_276_800, 0);
/// What is later was mistyped, whatever day it is: 2100-01-01.
const LAST: Timestamp = Timestamp::constant(4_102_444_800, 0);

/// `[[persistent]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistentSettings {
    /// The CA's issuer domain name.
    pub issuer: String,
    /// The account, as the CA shows it.
    pub account: String,
    /// The host of the CA's accounts, where a person names it.
    pub account_host: Option<String>,
    /// Until when a record counts.
    pub end: End,
    /// The line of `until`, or of the section.
    pub end_line: Option<usize>,
    /// Whether `policy=wildcard` is written.
    pub wildcard: bool,
    /// How long the first domain goes before the others.
    pub canary: SignedDuration,
    /// The `[provider.NAME]`; `None`: the one that has the zone.
    pub provider: Option<String>,
    /// The domains, in the order of the file.
    pub domains: Vec<DomainName>,
}

/// Reads all sections; what is wrong with one key costs no other one.
pub(super) fn read(
    top: &Section<'_>,
    providers: &BTreeMap<String, ProviderTable>,
    accept_idn: bool,
) -> Vec<PersistentSettings> {
    // At one name each issuer has one record: some CAs take the first that they can read.
    let mut seen: BTreeMap<(String, DomainName), Option<usize>> = BTreeMap::new();
    let mut all = Vec::new();
    for section in top.tables("persistent", &PERSISTENT) {
        let one = One {
            section: &section,
            accept_idn,
        };
        let found = one.read(providers);
        for (domain, line) in &found.domains {
            let Some(issuer) = &found.issuer else {
                continue;
            };
            let key = (issuer.clone(), domain.clone());
            if let Some(first) = seen.insert(key, *line) {
                let first =
                    first.map_or_else(String::new, |line| format!(", first in line {line}"));
                let words = format!(
                    "{} has a record of {issuer} already{first}: one for each issuer",
                    domain.both_forms()
                );
                let key = section.key("domains");
                section.reader.fault(*line, &key, words, None);
            }
        }
        all.extend(found.settings());
    }
    all
}

/// The providers that these sections use; `None` is the one that has the zone.
pub(super) fn providers_used(top: &Section<'_>) -> Vec<Option<String>> {
    let sections = top.tables("persistent", &PERSISTENT);
    let named = sections.iter().map(|section| {
        let name = section.peek("provider").filter(|name| *name != AUTO);
        name.map(str::to_owned)
    });
    named.collect()
}

/// What one section says, as far as it can be read.
struct Found {
    issuer: Option<String>,
    account: Option<String>,
    account_host: Option<String>,
    end: Option<End>,
    end_line: Option<usize>,
    wildcard: bool,
    canary: SignedDuration,
    provider: Option<String>,
    domains: Vec<(DomainName, Option<usize>)>,
}

impl Found {
    fn settings(self) -> Option<PersistentSettings> {
        Some(PersistentSettings {
            issuer: self.issuer?,
            account: self.account?,
            account_host: self.account_host,
            end: self.end?,
            end_line: self.end_line,
            wildcard: self.wildcard,
            canary: self.canary,
            provider: self.provider,
            domains: self.domains.into_iter().map(|(domain, _)| domain).collect(),
        })
    }
}

struct One<'a> {
    section: &'a Section<'a>,
    accept_idn: bool,
}

impl One<'_> {
    fn read(&self, providers: &BTreeMap<String, ProviderTable>) -> Found {
        let section = self.section;
        section.must_have(
            "issuer",
            "the CA's issuer domain name, as in its CAA records: issuer = \"ca.example\"",
        );
        section.must_have(
            "accounturi",
            "your account, copied from the CA's own page; never from a mail",
        );
        let issuer = self.issuer();
        let account = self.account();
        let account_host = self.account_host();
        let is_read = account_host.is_some() || !section.has("account_host");
        if let (Some(issuer), Some(account), true) = (&issuer, &account, is_read) {
            self.belongs(issuer, account, account_host.as_deref());
        }
        let wildcard = self.wildcard();
        if let (Some(issuer), Some(account)) = (&issuer, &account) {
            let octets = PersistentRecord::longest(issuer, account, wildcard);
            if octets > LONGEST {
                let words = format!(
                    "makes a record of {octets} octets; one string of a TXT record has {LONGEST}"
                );
                section.fault("accounturi", words);
            }
        }
        Found {
            issuer,
            account,
            account_host,
            end: self.end(),
            end_line: section.line_of("until"),
            wildcard,
            canary: section.duration("canary", SignedDuration::ZERO..=DAY * 30, DAY),
            provider: self.provider(providers),
            domains: self.domains(),
        }
    }

    fn issuer(&self) -> Option<String> {
        let text = self.section.text("issuer")?;
        let bare = text.trim_end_matches('.').to_ascii_lowercase();
        if is_issuer(text) && bare == text {
            return Some(bare);
        }
        let hint = match is_issuer(&bare) {
            true => format!("write issuer = \"{bare}\""),
            false => "such as \"letsencrypt.org\"; A-labels where it is an IDN".to_owned(),
        };
        let words = "must be a domain name in lower case without a trailing dot";
        self.section.fault_hint("issuer", words, hint);
        None
    }

    fn account(&self) -> Option<String> {
        let text = self.section.text("accounturi")?;
        let why = match text {
            _ if text.contains(char::is_whitespace) => Some("it holds a blank"),
            _ => why_no_uri(text),
        };
        match why {
            None => Some(text.to_owned()),
            Some(why) => {
                let words = format!("is no URI of an account: {why}");
                let hint = "copy it from the CA, octet by octet";
                self.section.fault_hint("accounturi", words, hint);
                None
            }
        }
    }

    /// The host alone: with anything beside it no account would be on it.
    fn account_host(&self) -> Option<String> {
        let text = self.section.text("account_host")?;
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if !text.is_empty() && !text.ends_with('.') && text.chars().all(is_part) {
            return Some(text.to_owned());
        }
        let words = "must be a host name alone, without scheme, port, path or trailing dot";
        let hint = match host_of(text) {
            Some(host) => format!("write account_host = \"{host}\""),
            None => "such as account_host = \"acme.ca.example\"".to_owned(),
        };
        self.section.fault_hint("account_host", words, hint);
        None
    }

    /// A record that names a foreign account lets that account have certificates.
    fn belongs(&self, issuer: &str, account: &str, host: Option<&str>) {
        let section = self.section;
        match belonging(issuer, account, host) {
            Belonging::Ours => {}
            Belonging::Foreign { host, whose } => {
                let whose = whose.map_or_else(
                    || "which is none of its hosts that are known".to_owned(),
                    |whose| format!("which is {whose}'s"),
                );
                let words = format!(
                    "is not the issuer's: issuer {issuer}, account {account}, at {host}, {whose}"
                );
                let hint = "copy it from this CA's own page; `account_host` names another host, if \
                            the CA's documents say so";
                section.fault_hint("accounturi", words, hint);
            }
            Belonging::Unknown => {
                let why = match host_of(account) {
                    None => "the account names no host that could be compared",
                    Some(_) => "this CA is not known here",
                };
                let words = format!(
                    "issuer {issuer}, account {account}: compare both with the CA's own page, \
                     because {why}"
                );
                let line = section.line_of("accounturi");
                section
                    .reader
                    .notice(line, &section.key("accounturi"), words);
            }
        }
        if AccountForm::of(account) == AccountForm::Hash {
            let words =
                "is a hash of the account (draft-02): it changes when the account's key does";
            let line = section.line_of("accounturi");
            section
                .reader
                .notice(line, &section.key("accounturi"), words);
        }
    }

    fn wildcard(&self) -> bool {
        match self.section.text("policy") {
            Some("wildcard") => true,
            Some(_) => {
                let words = "must be \"wildcard\", or be left out: CAs know no other policy";
                self.section.fault("policy", words);
                false
            }
            None => false,
        }
    }

    /// A length of time that continues, or a date.
    fn end(&self) -> Option<End> {
        let section = self.section;
        let Some(text) = section.text("until") else {
            return match section.has("until") {
                true => None,
                false => self.rolling(LIFE),
            };
        };
        if let Ok(life) = duration(text) {
            if (DAY..=LONGEST_LIFE).contains(&life) {
                return self.rolling(life);
            }
            section.fault("until", "must be from 1d to 1826d: a permission must end");
            return None;
        }
        let date = text
            .parse::<Timestamp>()
            .or_else(|_| format!("{text}T00:00:00Z").parse::<Timestamp>());
        match date {
            Ok(date) if date < FIRST => {
                section.fault("until", "is in the past: no record counts then");
            }
            Ok(date) if date >= LAST => {
                section.fault("until", "is too far away: a permission must end");
            }
            Ok(date) => {
                if section.has("replace_before") {
                    let words =
                        "goes with a length of time in `until`: a date is moved by a person";
                    section.fault("replace_before", words);
                }
                return Some(End::Fixed(date));
            }
            Err(_) => section.fault(
                "until",
                "must be a length of time such as \"365d\", which goes on, or a date such as \
                 \"2027-12-31\"",
            ),
        }
        None
    }

    fn rolling(&self, life: SignedDuration) -> Option<End> {
        let usual = REPLACE_BEFORE.min(life / 3);
        let hour = SignedDuration::from_hours(1);
        let replace_before = self
            .section
            .duration("replace_before", hour..=LONGEST_LIFE, usual);
        if replace_before >= life {
            let words = "must be shorter than `until`: a record is replaced within its life";
            self.section.fault("replace_before", words);
            return None;
        }
        Some(End::Rolling {
            life,
            replace_before,
        })
    }

    fn provider(&self, providers: &BTreeMap<String, ProviderTable>) -> Option<String> {
        let section = self.section;
        let name = section.text("provider").filter(|name| *name != AUTO)?;
        if providers.contains_key(name) {
            return Some(name.to_owned());
        }
        let hint = nearest(name, providers.keys().map(String::as_str))
            .map(|meant| format!("did you mean \"{}\"?", shown_key(meant)));
        section.reader.absent(
            section.line_of("provider"),
            &section.key("provider"),
            "there is no section [provider.…] of this name",
            hint,
        );
        None
    }

    fn domains(&self) -> Vec<(DomainName, Option<usize>)> {
        let section = self.section;
        let mut domains = Vec::new();
        for item in section.texts("domains") {
            match read_name(item.text, self.accept_idn) {
                Ok((name, notices)) => {
                    self.tell(&notices, Some(item.line), "domains");
                    domains.push((name, Some(item.line)));
                }
                Err((message, hint)) => {
                    let key = section.key("domains");
                    section.reader.fault(Some(item.line), &key, message, hint);
                }
            }
        }
        self.file(&mut domains);
        for (domain, line) in &domains {
            if owner_of(domain).is_none() {
                let words = format!("{domain} is too long for a record at `_validation-persist`");
                let key = section.key("domains");
                section.reader.fault(*line, &key, words, None);
            }
        }
        if domains.is_empty() && !section.has("domains") && !section.has("domains_file") {
            section.must_have("domains", "the domains that the record is kept at");
        } else if domains.is_empty() {
            section
                .reader
                .notice(section.line, "persistent", "names no domain");
        }
        domains
    }

    fn file(&self, domains: &mut Vec<(DomainName, Option<usize>)>) {
        let section = self.section;
        let (Some(path), Some(text)) = (section.path("domains_file"), section.text("domains_file"))
        else {
            return;
        };
        let bytes = match bounded(&path) {
            Ok(bytes) => bytes,
            Err(cause) => {
                let folder = section.reader.folder.display();
                let hint = format!("a relative path starts from {folder}");
                return section.fault_hint("domains_file", cause, hint);
            }
        };
        let folder = section.reader.path.parent().unwrap_or(Path::new(""));
        let list = read_lines(&folder.join(text), &bytes, self.accept_idn);
        if list.is_unbelievable() {
            section.reader.faults.borrow_mut().extend(list.faults);
            return;
        }
        // A bad line costs only itself; while there is one, no record is withdrawn.
        section.reader.left_out.borrow_mut().extend(list.faults);
        let line = section.line_of("domains_file");
        for Listed { name, notices, .. } in list.names {
            self.tell(&notices, line, "domains_file");
            domains.push((name, line));
        }
    }

    /// What was read otherwise than it is written.
    fn tell(&self, notices: &[Notice], line: Option<usize>, key: &str) {
        let section = self.section;
        for notice in notices {
            let words = match notice {
                Notice::WildcardStripped(name) => format!(
                    "`*.` was left out: the record is kept at {name}, and allows its wildcards"
                ),
                // No CA needs to be public here.
                Notice::Lab(_) => continue,
                _ => notice.to_string(),
            };
            section.reader.notice(line, &section.key(key), words);
        }
    }
}
