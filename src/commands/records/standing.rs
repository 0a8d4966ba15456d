//! Persistent records among those that pipelines must keep, and the rules with which a pipeline
//! leaves the ones alone that it does not write.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Format, Records, Value};
use crate::config::Settings;
use crate::overview::persistent::{PersistentView, RecordView};
use crate::persistent::LABEL;
use crate::prevalidation::{LedgerEntry, LedgerState, RecordType, RowKey};

impl Records {
    /// Adds the persistent records: those that must stand, and those that may go.
    pub(super) fn with_persistent(mut self, views: &[PersistentView], settings: &Settings) -> Self {
        for view in views {
            for record in &view.records {
                let value = value(view, record, settings);
                match record.needed {
                    true => self.must_stand.push(value),
                    // What was there before us is not ours to take away.
                    false if record.foreign => {}
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
    let value = Value::new(entry, settings);
    // Without a zone that is known, the domain is a better guess than the label below it.
    match value.zone == value.owner {
        true => Value {
            zone: view.domain.as_str().to_owned(),
            ..value
        },
        false => value,
    }
}

/// The rules of a tool with which it neither removes nor reports persistent records; `None` where
/// the format has none.
pub(super) fn ignore_rules(format: Format, views: &[PersistentView]) -> Option<String> {
    let records = views.iter().flat_map(|view| {
        let records = view.records.iter();
        records.map(|record| {
            let zone = record.zone.clone();
            zone.unwrap_or_else(|| view.domain.as_str().to_owned())
        })
    });
    let zones: BTreeSet<String> = records.collect();
    let mut text = String::new();
    match format {
        Format::Octodns => {
            // Name patterns of octoDNS are without the zone.
            text.push_str(
                "# config.yaml: name this processor in `processors` of each zone below\n\
                 processors:\n  prevalidate-persistent:\n    \
                 class: octodns.processor.filter.NameRejectlistFilter\n    rejectlist:\n",
            );
            let _ = writeln!(text, "      - /^{LABEL}(\\..+)?$/");
            for zone in zones {
                let _ = writeln!(text, "# {zone}.");
            }
        }
        Format::Dnscontrol => {
            for zone in zones {
                let _ = writeln!(
                    text,
                    "D_EXTEND(\"{zone}\",\n  IGNORE(\"{LABEL}\", \"TXT\"),\n  \
                     IGNORE(\"{LABEL}.**\", \"TXT\"),\nEND);"
                );
            }
        }
        Format::Zone | Format::Nsupdate | Format::Terraform | Format::Json => return None,
    }
    Some(text)
}
