//! Rehearsing: what a publish would send, without the change.

use std::collections::BTreeSet;

use super::ask::Visit;
use super::edit::{Done, Verb, absent_target, absent_value};
use super::message::{Update, plain_name, wire_name};
use super::reading::unencodable;
use super::refusal::BIND_RECORDS_PER_TYPE;
use super::send::{About, Sent};
use crate::edit::Edit;
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{RecordKind, Zone};

impl Visit<'_> {
    /// What a change of `owner` would send, guards, fallbacks and all, with the deletion of a
    /// random value that is not there.
    pub(super) async fn rehearse(
        &self,
        zone: &Zone,
        owner: &str,
        kind: RecordKind,
    ) -> Result<Done, ProviderError> {
        let absent = match kind {
            RecordKind::Txt => String::from_utf8_lossy(&absent_value().joined()).into_owned(),
            RecordKind::Cname => plain_name(&absent_target()),
        };
        let edit = Edit {
            owner: owner.to_owned(),
            kind,
            values: BTreeSet::from([absent]),
        };
        let done = self
            .change_owner(zone, &edit, Verb::Rehearsal, None)
            .await?;
        if kind == RecordKind::Txt && done.before.records.len() >= BIND_RECORDS_PER_TYPE {
            self.prove_room(zone, owner).await?;
        }
        Ok(done)
    }

    /// Whether one more value has room where there are many: the update adds a value and deletes it
    /// again, so that BIND and Knot change nothing, not even the serial (measured). PowerDNS counts
    /// the serial up, has no such limit, and is not asked.
    async fn prove_room(&self, zone: &Zone, owner: &str) -> Result<(), ProviderError> {
        if self.is_powerdns().await {
            return Ok(());
        }
        let reading = self.read_for(owner, zone, RecordKind::Txt).await?;
        let mut update = Update::of(wire_name(&zone.apex).map_err(unencodable)?);
        update.require_soa(&reading.soa);
        update.require_safe_owner(&reading.name);
        update.require_txt(&reading.name, &reading.rrset.records);
        let absent = absent_value();
        let ttl = reading.rrset.ttl.unwrap_or(self.provider.settings.ttl);
        update.insert(&reading.name, ttl, &absent);
        update.delete(&reading.name, &absent);
        let (owners, mname) = ([owner], reading.mname());
        match self
            .send(update, &About::one(zone, &owners, &mname, &reading))
            .await
        {
            Sent::Failed { error, .. } => Err(error),
            // Another writer changes the zone at the same time, or the server compares otherwise:
            // nothing is shown.
            Sent::Done | Sent::Conflict(_) => Ok(()),
            Sent::Lost(what) => {
                let server = &self.provider.settings.server;
                let text = format!("asking {server} for room at {owner}: {what}");
                Err(ProviderError::new(ErrorKind::Unavailable, text))
            }
        }
    }
}
