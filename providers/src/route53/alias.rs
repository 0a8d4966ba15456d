//! CNAME records: what is at a name that is to become an alias, and the change that makes or
//! removes exactly ours. CREATE is refused where anything of the type is, and DELETE where the
//! record is not literally the one that was read, so no foreign alias is replaced.

use std::collections::BTreeSet;

use aws_sdk_route53::types::{Change, ChangeAction, ResourceRecord, ResourceRecordSet, RrType};

use super::plan::{Plan, Verb, change, unbuildable};
use super::reading::{Listing, Reading};
use super::text::read_name;
use super::zones::Known;
use crate::edit::Edit;
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{RecordData, RecordKind};

impl Listing {
    /// What is at `owner`, for a CNAME that is to be added there or removed.
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`] below a zone cut, and for a new alias where anything else is.
    pub(super) fn read_alias(
        &self,
        zone: &Known,
        owner: &str,
        verb: Verb,
    ) -> Result<Reading, ProviderError> {
        self.refuse_cut(zone, owner)?;
        let refused = |what: String| {
            let text = format!("{owner} in {}: {what}", zone.shown());
            Err(ProviderError::new(ErrorKind::Unsafe, text)
                .with_hint("remove what is there, if it is not needed; it is never replaced"))
        };
        let sets = self.at(owner);
        let is_simple = |set: &&ResourceRecordSet| {
            set.r#type == RrType::Cname
                && set.alias_target.is_none()
                && set.set_identifier.is_none()
                && set.traffic_policy_instance_id.is_none()
        };
        let stored = sets.iter().find(is_simple).cloned();
        let other = sets.iter().find(|set| !is_simple(set));
        if let (Verb::Present(_), Some(other)) = (verb, other) {
            let kind = other.r#type.as_str();
            return refused(format!(
                "it has a record of the type {kind}, and a CNAME allows no other record beside it"
            ));
        }
        let mut rrset = self.nothing_at(zone, owner);
        let records = stored
            .iter()
            .flat_map(|set| set.resource_records.iter().flatten());
        rrset.cname = records.map(|record| read_name(&record.value)).next();
        rrset.ttl = stored.as_ref().and_then(|set| set.ttl?.try_into().ok());
        Ok(Reading {
            rrset,
            stored,
            shadowed: self.shadowed(zone, owner),
        })
    }
}

impl Plan {
    /// What `edit` takes, or `None` where all is as wanted.
    pub(super) fn of_alias(
        reading: &Reading,
        edit: &Edit,
        verb: Verb,
        new_ttl: u32,
    ) -> Result<Option<Self>, ProviderError> {
        let refused = |text: String| Err(ProviderError::new(ErrorKind::Unsafe, text));
        let before = reading.rrset.clone();
        let has = |target: &String| before.has(&RecordData::Cname(target.clone()));
        let mut after = before.clone();
        let (changes, changed) = match verb {
            Verb::Absent(_) => {
                let Some((stored, target)) = reading
                    .stored
                    .clone()
                    .zip(edit.values.iter().find(|target| has(target)))
                else {
                    return Ok(None);
                };
                (after.cname, after.ttl) = (None, None);
                (vec![change(ChangeAction::Delete, stored)?], target)
            }
            Verb::Present(_) => {
                let [target] = edit.values.iter().collect::<Vec<_>>()[..] else {
                    let all: Vec<_> = edit.values.iter().map(String::as_str).collect();
                    return refused(format!(
                        "{}: several targets for one CNAME: {}",
                        edit.owner,
                        all.join(", ")
                    ));
                };
                if has(target) {
                    return Ok(None);
                }
                if let Some(there) = &before.cname {
                    return refused(format!(
                        "{} is a CNAME already, to {there}, and it is never replaced",
                        edit.owner
                    ));
                }
                (after.cname, after.ttl) = (Some(target.clone()), Some(new_ttl));
                (vec![create(&edit.owner, target, new_ttl)?], target)
            }
        };
        let changed = BTreeSet::from([changed.clone()]);
        Ok(Some(Self::new(
            edit.clone(),
            before,
            after,
            changed,
            changes,
        )))
    }
}

/// What a publish of an alias would send, bound to be refused as a whole: its DELETE is for an
/// alias that is nowhere.
pub(super) fn rehearsal(owner: &str, ttl: u32) -> Result<Vec<Change>, ProviderError> {
    let target = format!("preflight-{:032x}.invalid", rand::random::<u128>());
    let set = cname_set(owner, &target, ttl)?;
    Ok(vec![
        change(ChangeAction::Delete, set.clone())?,
        change(ChangeAction::Create, set)?,
    ])
}

fn create(owner: &str, target: &str, ttl: u32) -> Result<Change, ProviderError> {
    change(ChangeAction::Create, cname_set(owner, target, ttl)?)
}

fn cname_set(owner: &str, target: &str, ttl: u32) -> Result<ResourceRecordSet, ProviderError> {
    let record = ResourceRecord::builder()
        .value(format!("{target}."))
        .build()
        .map_err(unbuildable)?;
    ResourceRecordSet::builder()
        .name(owner)
        .r#type(RrType::Cname)
        .ttl(ttl.into())
        .resource_records(record)
        .build()
        .map_err(unbuildable)
}

impl Verb {
    /// The type that is wanted, or not.
    pub(super) fn kind(self) -> RecordKind {
        let (Self::Present(kind) | Self::Absent(kind)) = self;
        kind
    }
}
