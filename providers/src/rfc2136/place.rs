//! Finding out whether the zone that is read is the zone that takes the updates, in the same state,
//! and what can be done where it is not.

use super::ask::Visit;
use super::change::OTHERS_BEFORE_INCOMPARABLE;
use super::edit::Verb;
use super::findings::{Findings, Place};
use super::message::{Update, wire_name};
use super::outcome::{behind, changing, kept};
use super::reading::Reading;
use super::send::{About, Sent};
use crate::edit::Edit;
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{RecordKind, TxtRecord, Zone};

impl Visit<'_> {
    /// Guards were refused, and the server still shows what they were made from: the zone that
    /// takes the updates is asked whether it is in the state that was read.
    pub(super) async fn find_place(
        &self,
        zone: &Zone,
        edit: &Edit,
        verb: Verb,
        reading: &Reading,
        findings: &mut Findings,
    ) -> Result<(), ProviderError> {
        if matches!(findings.place, Place::Same | Place::Incomparable) {
            return Ok(());
        }
        let (owners, mname) = ([edit.owner.as_str()], reading.mname());
        let about = About::one(zone, &owners, &mname, reading);
        findings.place = match self.compare_soa(&about, reading, &reading.soa).await {
            Sent::Done => {
                self.provider.owns_soa(zone);
                Place::Same
            }
            Sent::Conflict(_) => {
                findings.others += 1;
                if findings.others >= OTHERS_BEFORE_INCOMPARABLE
                    && self.may_store_another_soa(zone, reading, edit, verb).await
                {
                    Place::Incomparable
                } else {
                    Place::Other
                }
            }
            Sent::Failed { error, .. } => return Err(error),
            Sent::Lost(what) => {
                let server = &self.provider.settings.server;
                let text = format!("asking {server} for the state of {}: {what}", zone.apex);
                return Err(ProviderError::new(ErrorKind::Unavailable, text));
            }
        };
        Ok(())
    }

    /// Whether the server may show another SOA than it compares: it signs the zone, or it is
    /// PowerDNS, which is known to (SOA-EDIT). What PowerDNS shows may come from a cache, too, and
    /// the TTL with it: before one is taken over, that must be out of the question.
    async fn may_store_another_soa(
        &self,
        zone: &Zone,
        reading: &Reading,
        edit: &Edit,
        verb: Verb,
    ) -> bool {
        if self.is_powerdns().await {
            let is_lasting = self.provider.disowns_for_long(zone, &reading.soa);
            let takes_ttl = verb == Verb::Present && edit.kind == RecordKind::Txt;
            return is_lasting || !takes_ttl;
        }
        self.is_signed(zone).await
    }

    /// Why all attempts failed.
    pub(super) async fn given_up(
        &self,
        zone: &Zone,
        edit: &Edit,
        verb: Verb,
        findings: &Findings,
        last: &str,
    ) -> ProviderError {
        let (owner, server) = (&edit.owner, self.provider.settings.server.to_string());
        if findings.place != Place::Other {
            return changing(&server, owner, last);
        }
        let shown = findings.serial().unwrap_or_default();
        self.waits_no_more();
        if verb == Verb::Present && self.is_powerdns().await {
            return kept(&server, zone, owner, shown);
        }
        if verb != Verb::Absent {
            return behind(&server, zone, owner, shown);
        }
        // The deletion names our value and nothing else, so it is right in every state of the zone.
        // What it did is not known before a read of that zone shows it.
        match self.delete_unseen(zone, edit).await {
            Sent::Done => ProviderError::undecided(
                owner,
                &format!(
                    "{server} took the deletion and shows the zone {} as of before (serial \
                     {shown}): it forwards updates to another server and has not got the latest \
                     state yet, or answers from another view",
                    zone.apex
                ),
            ),
            Sent::Failed { error, .. } => error,
            Sent::Conflict(code) => changing(&server, owner, &format!("{code:?}")),
            Sent::Lost(what) => ProviderError::undecided(owner, &what),
        }
    }

    async fn delete_unseen(&self, zone: &Zone, edit: &Edit) -> Sent {
        let names = wire_name(&zone.apex).and_then(|apex| Ok((apex, wire_name(&edit.owner)?)));
        let (apex, name) = match names {
            Ok(names) => names,
            Err(fault) => return Sent::Lost(fault),
        };
        let mut update = Update::of(apex);
        for value in &edit.values {
            match (edit.kind, wire_name(value)) {
                (RecordKind::Txt, _) => update.delete(&name, &TxtRecord::of(value)),
                (RecordKind::Cname, Ok(target)) => update.delete_cname(&name, &target),
                (RecordKind::Cname, Err(fault)) => return Sent::Lost(fault),
            }
        }
        let about = About {
            zone,
            owners: &[&edit.owner],
            mname: &zone.apex,
            values: 0,
            kind: edit.kind,
        };
        self.send(update, &about).await
    }
}
