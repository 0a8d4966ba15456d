//! Planning: which changes give a name its wanted state, and how many of them fit into one batch.
//! Pure.

use std::collections::BTreeSet;

use aws_sdk_route53::types::{Change, ChangeAction, ResourceRecord, ResourceRecordSet, RrType};

use super::reading::Reading;
use super::text::{read_value, write_value};
use crate::edit::{Done, Edit};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{RecordKind, TxtRecord, TxtRrset};

/// `ResourceRecord` elements of one batch (API reference, ChangeResourceRecordSets).
const BATCH_RECORDS: usize = 1_000;
/// Characters of all `Value` elements of one batch.
const BATCH_CHARACTERS: usize = 32_000;
/// Characters of one `Value` (Developer Guide, quotas on records).
const VALUE_CHARACTERS: usize = 4_000;

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Present(RecordKind),
    Absent(RecordKind),
}

/// A change of one name that is not made yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) edit: Edit,
    pub(super) before: TxtRrset,
    after: TxtRrset,
    /// The values that come or go.
    pub(super) changed: BTreeSet<String>,
    pub(super) changes: Vec<Change>,
}

impl Plan {
    /// What `edit` takes, or `None` where all is as wanted. `new_ttl` is for an RRset that does not
    /// exist yet, seconds.
    ///
    /// DELETE names the RRset as it was read, and Route 53 refuses the batch when it is not
    /// literally so any more; CREATE refuses it when there is one already. So no change of another
    /// writer in the meantime is lost.
    pub(super) fn of(
        reading: &Reading,
        edit: &Edit,
        verb: Verb,
        new_ttl: u32,
    ) -> Result<Option<Self>, ProviderError> {
        let before = reading.rrset.clone();
        let wanted = |value: &&String| before.holds(value) != matches!(verb, Verb::Present(_));
        let changed: BTreeSet<String> = edit.values.iter().filter(wanted).cloned().collect();
        if changed.is_empty() {
            return Ok(None);
        }
        let goes = |record: &TxtRecord| {
            matches!(verb, Verb::Absent(_))
                && changed
                    .iter()
                    .any(|value| record.joined() == value.as_bytes())
        };
        let stored = reading
            .stored
            .as_ref()
            .and_then(|set| set.resource_records.clone())
            .unwrap_or_default();
        // Foreign values go back as they were read, letter by letter.
        let mut values: Vec<ResourceRecord> = stored
            .into_iter()
            .filter(|record| !goes(&read_value(&record.value)))
            .collect();
        let mut after = before.clone();
        after.records.retain(|record| !goes(record));
        if matches!(verb, Verb::Present(_)) {
            for value in &changed {
                let record = TxtRecord::of(value);
                values.push(resource_record(&record, &edit.owner)?);
                after.records.push(record);
            }
        }
        after.ttl = (!values.is_empty()).then(|| before.ttl.unwrap_or(new_ttl));
        let mut changes = Vec::new();
        if let Some(stored) = &reading.stored {
            changes.push(change(ChangeAction::Delete, stored.clone())?);
        }
        if !values.is_empty() {
            let set = match &reading.stored {
                Some(stored) => {
                    let mut set = stored.clone();
                    set.resource_records = Some(values);
                    set
                }
                None => txt_set(&edit.owner, new_ttl, values)?,
            };
            changes.push(change(ChangeAction::Create, set)?);
        }
        let plan = Self {
            edit: edit.clone(),
            before,
            after,
            changed,
            changes,
        };
        if !plan.size().fits() {
            let text = format!(
                "{}: its TXT record set with the new values is too large to be changed in one batch ({BATCH_RECORDS} values and \
                 {BATCH_CHARACTERS} characters, counted before and after)",
                edit.owner
            );
            return Err(ProviderError::new(ErrorKind::Unsafe, text));
        }
        Ok(Some(plan))
    }

    pub(super) fn new(
        edit: Edit,
        before: TxtRrset,
        after: TxtRrset,
        changed: BTreeSet<String>,
        changes: Vec<Change>,
    ) -> Self {
        Self {
            edit,
            before,
            after,
            changed,
            changes,
        }
    }

    pub(super) fn done(self, change_id: Option<String>) -> Done {
        Done {
            before: self.before,
            after: self.after,
            changed: self.changed,
            change_id,
        }
    }

    fn size(&self) -> Size {
        let records = || {
            self.changes
                .iter()
                .filter_map(|change| change.resource_record_set.as_ref())
        };
        let values = || records().flat_map(|set| set.resource_records.iter().flatten());
        Size {
            records: values().count(),
            characters: values().map(|record| record.value.chars().count()).sum(),
        }
    }
}

/// The size of a batch by the two limits.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    records: usize,
    characters: usize,
}

impl Size {
    fn fits(self) -> bool {
        self.records <= BATCH_RECORDS && self.characters <= BATCH_CHARACTERS
    }

    fn with(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            characters: self.characters + other.characters,
        }
    }
}

/// Batches, each within the limits.
pub(super) fn batches(plans: Vec<Plan>) -> Vec<Vec<Plan>> {
    let mut batches: Vec<(Size, Vec<Plan>)> = Vec::new();
    for plan in plans {
        let size = plan.size();
        match batches.last_mut() {
            Some((total, batch)) if total.with(size).fits() => {
                *total = total.with(size);
                batch.push(plan);
            }
            _ => batches.push((size, vec![plan])),
        }
    }
    batches.into_iter().map(|(_, batch)| batch).collect()
}

/// What a publish would send, bound to be refused as a whole: its DELETE is for a value that is
/// nowhere.
pub(super) fn rehearsal(owner: &str, ttl: u32) -> Result<Vec<Change>, ProviderError> {
    let absent = TxtRecord::of(&format!(
        "swiss-pki=preflight-{:032x}",
        rand::random::<u128>()
    ));
    let set = txt_set(owner, ttl, vec![resource_record(&absent, owner)?])?;
    Ok(vec![
        change(ChangeAction::Delete, set.clone())?,
        change(ChangeAction::Create, set)?,
    ])
}

fn resource_record(record: &TxtRecord, owner: &str) -> Result<ResourceRecord, ProviderError> {
    let value = write_value(record);
    if value.chars().count() > VALUE_CHARACTERS {
        let text = format!(
            "a value for {owner} takes more than {VALUE_CHARACTERS} characters, the most that Route 53 takes"
        );
        return Err(ProviderError::new(ErrorKind::Unsafe, text));
    }
    ResourceRecord::builder()
        .value(value)
        .build()
        .map_err(unbuildable)
}

fn txt_set(
    owner: &str,
    ttl: u32,
    values: Vec<ResourceRecord>,
) -> Result<ResourceRecordSet, ProviderError> {
    let set = ResourceRecordSet::builder()
        .name(owner)
        .r#type(RrType::Txt)
        .ttl(ttl.into());
    set.set_resource_records(Some(values))
        .build()
        .map_err(unbuildable)
}

pub(super) fn change(
    action: ChangeAction,
    set: ResourceRecordSet,
) -> Result<Change, ProviderError> {
    Change::builder()
        .action(action)
        .resource_record_set(set)
        .build()
        .map_err(unbuildable)
}

/// The SDK's builders miss something: a fault of ours.
pub(super) fn unbuildable(error: impl std::fmt::Display) -> ProviderError {
    ProviderError::new(
        ErrorKind::Settings,
        format!("a change cannot be put into words: {error}"),
    )
}
