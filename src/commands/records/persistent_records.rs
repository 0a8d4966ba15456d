//! Persistent records among those that pipelines must keep, and the rules with which a pipeline
//! leaves the ones alone that it does not write.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use prevalidate_providers::record::is_within;

use super::format::relative;
use super::{Format, Records, Value};
use crate::config::Settings;
use crate::overview::persistent::{PersistentView, RecordView};
use crate::persistent::{LABEL, owner_of};
use crate::prevalidation::{LedgerEntry, LedgerState, RecordType, RowKey};
use crate::rdap::registrable_of;

impl Records {
    /// Adds the persistent records: those that must be, and those that may go.
    pub(super) fn with_persistent(mut self, views: &[PersistentView], settings: &Settings) -> Self {
        for view in views {
            for record in &view.records {
                let value = value(view, record, settings);
                match record.needed {
                    true => self.must_stand.push(value),
                    // A record that existed before is not removed. No record can be beside an
                    // alias.
                    false if record.foreign || record.is_displaced => {}
                    false => self.may_go.push(value),
                }
            }
        }
        self
    }
}

fn value(view: &PersistentView, record: &RecordView, settings: &Settings) -> Value {
    let seen = record.state == "visible";
    let entry = LedgerEntry {
        id: 0,
        key: RowKey::from(&view.domain),
        owner: record.owner.clone(),
        kind: RecordType::Txt,
        value: record.value.clone(),
        provider: record.provider.clone(),
        zone: record.zone.clone(),
        state: LedgerState::Published,
        ttl_before: record.ttl,
        negative_ttl: None,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        published_at: seen.then_some(jiff::Timestamp::UNIX_EPOCH),
        removal_tries: 0,
        retry_at: None,
    };
    // The label was not too long for the record that is there.
    let asked = owner_of(&view.domain).map_or_else(|| record.owner.clone(), |it| it.to_string());
    let value = Value::new(entry, asked, settings);
    if value.zone != value.owner {
        return value;
    }
    // Without a zone that is known, the domain is a better guess than the label below it. An alias
    // leads out of the domain.
    let domain = view.domain.as_str();
    let zone = match is_within(&value.owner, domain) {
        true => domain,
        false => registrable_of(&value.owner).unwrap_or(&value.owner),
    };
    Value {
        zone: zone.to_owned(),
        ..value
    }
}

/// The rules of a tool with which it neither removes nor reports persistent records; `None` where
/// the format has none.
pub(super) fn ignore_rules(
    format: Format,
    views: &[PersistentView],
    settings: &Settings,
) -> Option<String> {
    let records = views.iter().flat_map(|view| {
        let records = view.records.iter();
        records.map(|record| value(view, record, settings))
    });
    // By zone, the names to which aliases of the label lead.
    let mut zones: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in records {
        let name = relative(&record).to_owned();
        let aliased = zones.entry(record.zone).or_default();
        if name != LABEL && !name.starts_with(&format!("{LABEL}.")) {
            aliased.insert(name);
        }
    }
    let mut text = String::new();
    match format {
        Format::Octodns => octodns_rules(&zones, &mut text),
        Format::Dnscontrol => {
            for (zone, names) in zones {
                let _ = writeln!(
                    text,
                    "D_EXTEND(\"{zone}\",\n  IGNORE(\"{LABEL}\", \"TXT\"),\n  \
                     IGNORE(\"{LABEL}.**\", \"TXT\"),"
                );
                for name in names {
                    let name = if name.is_empty() { "@" } else { &name };
                    let _ = writeln!(text, "  IGNORE(\"{name}\", \"TXT\"),");
                }
                let _ = writeln!(text, "END);");
            }
        }
        Format::Zone | Format::Nsupdate | Format::Terraform | Format::Json => return None,
    }
    Some(text)
}

/// octoDNS lists processors by zone, and its patterns are of names without the zone: a zone with
/// names of its own has a processor of its own (`octodns.processor.filter`).
fn octodns_rules(zones: &BTreeMap<String, BTreeSet<String>>, text: &mut String) {
    const SHARED: &str = "prevalidate-persistent";
    let of = |zone: &str, names: &BTreeSet<String>| match names.is_empty() {
        true => SHARED.to_owned(),
        false => format!("{SHARED}-{zone}"),
    };
    let (none, own) = (BTreeSet::new(), zones.iter());
    let own = own.map(|(zone, names)| (of(zone, names), names));
    let mut processors: BTreeMap<String, &BTreeSet<String>> = own.collect();
    if processors.is_empty() {
        processors.insert(SHARED.to_owned(), &none);
    }
    text.push_str(
        "# config.yaml: merge these into what is there; every type at these names is left alone\n\
         processors:\n",
    );
    for (processor, names) in processors {
        let _ = writeln!(
            text,
            "  {processor}:\n    class: octodns.processor.filter.NameRejectlistFilter\n    \
             rejectlist:\n      - /^{LABEL}(\\..+)?$/"
        );
        for name in names {
            let _ = writeln!(text, "      - /^{}$/", name.replace('.', "\\."));
        }
    }
    if !zones.is_empty() {
        text.push_str("zones:\n");
    }
    for (zone, names) in zones {
        let processor = of(zone, names);
        let _ = writeln!(text, "  {zone}.:\n    processors:\n      - {processor}");
    }
}
