//! A change of one name: the update that is planned, and what was done.

use std::collections::BTreeSet;

use hickory_proto::rr::Name;

use super::message::Update;
use super::reading::Reading;
use crate::edit::{self, Edit};
use crate::record::{TxtRecord, TxtRrset};

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Present,
    Absent,
    /// What `Present` would send, with the deletion of the wanted values, which are nowhere,
    /// instead of their addition.
    Rehearsal,
}

impl Edit {
    pub(super) fn is_for(&self, record: &TxtRecord) -> bool {
        self.values
            .iter()
            .any(|value| record.joined() == value.as_bytes())
    }

    /// Whether TXT records stay at the name, so that no wildcard answers for it after the change
    /// from `before`.
    pub(super) fn keeps_some(&self, before: &TxtRrset, verb: Verb) -> bool {
        verb != Verb::Absent || !before.records.iter().all(|record| self.is_for(record))
    }
}

/// A change of one name that is not made yet.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) reading: Reading,
    pub(super) update: Update,
    /// The records that come or go; none when the update only asks the zone whether the values are
    /// really not there.
    pub(super) records: Vec<TxtRecord>,
    /// The target of the CNAME that comes or goes.
    pub(super) target: Option<Name>,
    pub(super) edit: Edit,
    /// Whether the guard is "there are TXT values".
    pub(super) any_value: bool,
    /// Whether the guard is the SOA that was read.
    pub(super) soa_required: bool,
}

impl Plan {
    /// Whether the update changes nothing and only asks.
    pub(super) fn is_question(&self) -> bool {
        self.records.is_empty() && self.target.is_none()
    }
}

/// The planned work.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one value at a time, which is taken apart at once"
)]
pub(super) enum Next {
    /// The values are there already.
    Nothing(Reading),
    Send(Plan),
}

/// What the settings say about a new record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Seconds, for an RRset that does not exist.
    pub(super) ttl: u32,
    /// Whether a value may be written at a name that only a wildcard answered for.
    pub(super) wildcard_shadow: bool,
}

/// The outcome for one name.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) before: TxtRrset,
    pub(super) after: TxtRrset,
    pub(super) changed: BTreeSet<String>,
    pub(super) serial: u32,
    /// The primary that the SOA names.
    pub(super) mname: String,
}

impl Done {
    /// The name is as it was read.
    pub(super) fn nothing(reading: Reading) -> Self {
        let mname = reading.mname();
        Self {
            before: reading.rrset.clone(),
            after: reading.rrset,
            changed: BTreeSet::new(),
            serial: reading.soa.serial,
            mname,
        }
    }
}

impl From<Done> for edit::Done {
    fn from(done: Done) -> Self {
        Self {
            before: done.before,
            after: done.after,
            changed: done.changed,
            change_id: Some(format!("serial {}", done.serial)),
        }
    }
}

/// A change of one name whose message may have been done.
pub(super) struct Open {
    pub(super) before: TxtRrset,
    pub(super) losses: u32,
}

/// A value that is nowhere: its deletion changes nothing and shows that deletions work.
pub(super) fn absent_value() -> TxtRecord {
    TxtRecord::of(&format!(
        "swiss-pki=preflight-{:016x}",
        rand::random::<u64>()
    ))
}

/// A target that no CNAME has: the deletion of such a CNAME changes nothing.
pub(super) fn absent_target() -> Name {
    let label = format!("preflight-{:016x}.invalid.", rand::random::<u64>());
    Name::from_ascii(label).unwrap_or_else(|_| Name::root())
}
