//! A hosted zone and its rules: what a batch of changes may do to it, all or nothing.

use std::collections::BTreeSet;

use super::xml::{Element, leaf};

/// `ResourceRecord` elements of one request; UPSERT counts each twice.
const REQUEST_RECORDS: usize = 1_000;
/// Characters of all `Value` elements of one request; UPSERT counts each twice.
const REQUEST_CHARACTERS: usize = 32_000;
const VALUE_CHARACTERS: usize = 4_000;
/// "The XML elements in your request must appear in the order listed in the syntax."
const ORDER: [&str; 13] = [
    "Name",
    "Type",
    "SetIdentifier",
    "Weight",
    "Region",
    "GeoLocation",
    "Failover",
    "MultiValueAnswer",
    "TTL",
    "ResourceRecords",
    "AliasTarget",
    "HealthCheckId",
    "TrafficPolicyInstanceId",
];

/// One record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rrset {
    /// Lower case, without trailing dot and escapes.
    pub name: String,
    pub kind: String,
    pub ttl: Option<u32>,
    /// As they were written.
    pub values: Vec<String>,
    pub identifier: Option<String>,
    /// What else there is, as elements: `("Weight", "10")`.
    pub more: Vec<(String, String)>,
    pub alias: Option<String>,
}

impl Rrset {
    pub fn new(name: &str, kind: &str, ttl: u32, values: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ttl: Some(ttl),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            identifier: None,
            more: Vec::new(),
            alias: None,
        }
    }

    pub fn routed(mut self, identifier: &str, element: &str, value: &str) -> Self {
        self.identifier = Some(identifier.to_owned());
        self.more.push((element.to_owned(), value.to_owned()));
        self
    }

    pub fn alias(name: &str, kind: &str, target: &str) -> Self {
        Self {
            ttl: None,
            alias: Some(target.to_owned()),
            ..Self::new(name, kind, 0, &[])
        }
    }

    fn read(element: &Element) -> Result<Self, String> {
        let places: Vec<_> = element
            .children
            .iter()
            .map(|child| ORDER.iter().position(|name| *name == child.name))
            .collect();
        if places.contains(&None) || !places.is_sorted() {
            let names: Vec<_> = element
                .children
                .iter()
                .map(|child| child.name.as_str())
                .collect();
            return Err(format!(
                "unexpected element, or out of order: {}",
                names.join(", ")
            ));
        }
        let text = |name: &str| element.text_of(name).map(str::to_owned);
        let ttl = text("TTL")
            .map(|ttl| ttl.parse().map_err(|_| format!("invalid TTL {ttl}")))
            .transpose()?;
        let values = element.child("ResourceRecords").map(|records| {
            records
                .children
                .iter()
                .filter_map(|record| record.text_of("Value").map(str::to_owned))
                .collect::<Vec<_>>()
        });
        let alias = element
            .child("AliasTarget")
            .and_then(|target| target.text_of("DNSName").map(str::to_owned));
        match (&alias, ttl, &values) {
            (None, Some(_), Some(values)) if !values.is_empty() => {}
            (Some(_), None, None) => {}
            _ => {
                return Err(
                    "expected exactly one of [AliasTarget, TTL and ResourceRecords]".to_owned(),
                );
            }
        }
        let more = ["Weight", "Region", "Failover", "MultiValueAnswer"];
        Ok(Self {
            name: plain(&text("Name").ok_or("no Name")?),
            kind: text("Type").ok_or("no Type")?,
            ttl,
            values: values.unwrap_or_default(),
            identifier: text("SetIdentifier"),
            more: more
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), text(name)?)))
                .collect(),
            alias,
        })
    }

    pub fn write(&self) -> String {
        let mut parts = leaf("Name", &shown(&self.name)) + &leaf("Type", &self.kind);
        parts += &self
            .identifier
            .iter()
            .map(|identifier| leaf("SetIdentifier", identifier))
            .collect::<String>();
        parts += &self
            .more
            .iter()
            .map(|(name, text)| leaf(name, text))
            .collect::<String>();
        parts += &self
            .ttl
            .iter()
            .map(|ttl| leaf("TTL", &ttl.to_string()))
            .collect::<String>();
        if !self.values.is_empty() {
            let records = self
                .values
                .iter()
                .map(|value| format!("<ResourceRecord>{}</ResourceRecord>", leaf("Value", value)));
            parts += &format!(
                "<ResourceRecords>{}</ResourceRecords>",
                records.collect::<String>()
            );
        }
        if let Some(target) = &self.alias {
            let inside = leaf("HostedZoneId", "Z2FDTNDATAQYW2") + &leaf("DNSName", target);
            parts += &format!(
                "<AliasTarget>{inside}<EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget>"
            );
        }
        format!("<ResourceRecordSet>{parts}</ResourceRecordSet>")
    }

    fn key(&self) -> (&str, &str, Option<&str>) {
        (&self.name, &self.kind, self.identifier.as_deref())
    }

    fn title(&self) -> String {
        format!("[name='{}', type='{}']", shown(&self.name), self.kind)
    }

    /// Route 53's order: labels from the right, as text with a trailing dot, then the type.
    pub fn place(&self) -> (String, String, String) {
        (
            place(&self.name),
            self.kind.clone(),
            self.identifier.clone().unwrap_or_default(),
        )
    }

    /// The faults of the zone itself.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        for value in &self.values {
            if !seen.insert(value) {
                faults.push(format!("Duplicate Resource Record: '{value}'"));
            }
            if value.chars().count() > VALUE_CHARACTERS {
                faults.push("Invalid Resource Record: FATAL problem: TextTooLong".to_owned());
            }
            if self.kind == "TXT"
                && let Err(fault) = check_txt(value)
            {
                faults.push(format!(
                    "Invalid Resource Record: FATAL problem: {fault} encountered with '{value}'"
                ));
            }
        }
        faults
    }
}

/// A TXT value is one or more strings in quotes, each of at most 255 octets; what is not printable
/// is octal.
fn check_txt(value: &str) -> Result<(), &'static str> {
    let mut rest = value.trim();
    while !rest.is_empty() {
        rest = rest
            .strip_prefix('"')
            .ok_or("InvalidCharacterString (Value should be enclosed in quotation marks)")?;
        let mut octets = 0;
        loop {
            let letter = rest
                .chars()
                .next()
                .ok_or("InvalidCharacterString (unbalanced quotation marks)")?;
            rest = &rest[letter.len_utf8()..];
            match letter {
                '"' => break,
                '\\' => {
                    let octal = rest.get(..3).is_some_and(|digits| {
                        digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit))
                    });
                    let taken = if octal { 3 } else { 1 };
                    rest = rest
                        .get(taken..)
                        .ok_or("InvalidCharacterString (open escape)")?;
                }
                ' '..='~' => {}
                _ => return Err("InvalidCharacterString (unsupported character)"),
            }
            octets += 1;
        }
        if octets > 255 {
            return Err("CharacterStringTooLong (Value is too long)");
        }
        rest = rest.trim_start();
    }
    if value.trim().is_empty() {
        Err("InvalidCharacterString (empty)")
    } else {
        Ok(())
    }
}

/// A hosted zone.
#[derive(Debug, Clone)]
pub struct Zone {
    pub apex: String,
    pub account: String,
    pub private: bool,
    pub name_servers: Vec<String>,
    pub sets: Vec<Rrset>,
    /// Batches that were accepted.
    pub serial: u32,
    /// A name that no change may touch, for a reason that no read shows.
    pub locked: Option<String>,
}

impl Zone {
    pub fn put(&mut self, set: Rrset) {
        self.sets.retain(|other| other.key() != set.key());
        let place = set.place();
        self.sets.insert(
            self.sets.partition_point(|other| other.place() < place),
            set,
        );
    }

    pub fn set(&self, name: &str, kind: &str) -> Option<&Rrset> {
        self.sets
            .iter()
            .find(|set| set.name == name && set.kind == kind)
    }

    /// Makes all changes of a request or none.
    ///
    /// # Errors
    /// The code and what is wrong with which change.
    pub fn change(&mut self, request: &Element) -> Result<(), (&'static str, Vec<String>)> {
        let invalid = |what: &str| ("InvalidInput", vec![what.to_owned()]);
        let batch = request
            .child("ChangeBatch")
            .ok_or_else(|| invalid("no ChangeBatch"))?;
        let changes = &batch
            .child("Changes")
            .ok_or_else(|| invalid("no Changes"))?
            .children;
        let mut read = Vec::new();
        for change in changes {
            let action = change
                .text_of("Action")
                .ok_or_else(|| invalid("no Action"))?;
            let set = change
                .child("ResourceRecordSet")
                .ok_or_else(|| invalid("no ResourceRecordSet"))?;
            read.push((action, Rrset::read(set).map_err(|fault| invalid(&fault))?));
        }
        let weight = |action: &str| if action == "UPSERT" { 2 } else { 1 };
        let records: usize = read
            .iter()
            .map(|(action, set)| weight(action) * set.values.len())
            .sum();
        let characters = |set: &Rrset| {
            set.values
                .iter()
                .map(|value| value.chars().count())
                .sum::<usize>()
        };
        let characters: usize = read
            .iter()
            .map(|(action, set)| weight(action) * characters(set))
            .sum();
        let mut faults = Vec::new();
        if records > REQUEST_RECORDS {
            faults.push(format!(
                "Number of records limit of {REQUEST_RECORDS} exceeded."
            ));
        }
        if characters > REQUEST_CHARACTERS {
            faults.push(format!(
                "Request characters limit of {REQUEST_CHARACTERS} exceeded."
            ));
        }
        let mut after = self.clone();
        for (action, set) in read {
            after.apply(action, set, &mut faults);
        }
        if faults.is_empty() {
            after.serial += 1;
            *self = after;
            Ok(())
        } else {
            Err(("InvalidChangeBatch", faults))
        }
    }

    fn apply(&mut self, action: &str, set: Rrset, faults: &mut Vec<String>) {
        let title = set.title();
        let within = set
            .name
            .strip_suffix(&self.apex)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if !within {
            faults.push(format!(
                "RRSet with DNS name {}. is not permitted in zone {}.",
                set.name, self.apex
            ));
        }
        if self.locked.as_ref() == Some(&set.name) {
            faults.push(format!(
                "The record set {title} is managed by another service"
            ));
        }
        faults.extend(set.faults());
        let at = self.sets.iter().position(|other| other.key() == set.key());
        match (action, at) {
            ("DELETE", None) => {
                faults.push(format!("Tried to delete resource record set {title} but it was not found"))
            }
            ("DELETE", Some(at)) if self.sets[at] != set => faults.push(format!(
                "Tried to delete resource record set {title} but the values provided do not match the current values"
            )),
            ("DELETE", Some(at)) => drop(self.sets.remove(at)),
            ("CREATE", Some(_)) => {
                faults.push(format!("Tried to create resource record set {title} but it already exists"));
            }
            ("CREATE", None) => {
                for other in self.sets.iter().filter(|other| other.name == set.name) {
                    let mixed = other.kind == set.kind && other.identifier.is_some() != set.identifier.is_some();
                    if mixed || (other.kind == "CNAME") != (set.kind == "CNAME") {
                        faults.push(format!(
                            "RRSet of type {} with DNS name {}. is not permitted because a conflicting RRSet of type {} with the \
                             same DNS name already exists in zone {}.",
                            set.kind, set.name, other.kind, self.apex
                        ));
                    }
                }
                self.put(set);
            }
            _ => faults.push(format!("this account may not {action}")),
        }
    }
}

/// A name as Route 53 shows it.
pub fn shown(name: &str) -> String {
    name.replace('*', "\\052") + "."
}

/// A name as it is compared.
pub fn plain(name: &str) -> String {
    name.to_ascii_lowercase()
        .replace("\\052", "*")
        .trim_end_matches('.')
        .to_owned()
}

/// What names are sorted by.
pub fn place(name: &str) -> String {
    name.rsplit('.')
        .map(|label| label.replace('*', "\\052") + ".")
        .collect()
}
