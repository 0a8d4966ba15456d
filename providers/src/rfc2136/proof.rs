//! Proving: what a change that the server accepted has done, by reading it back and, where a read
//! does not show it, by asking the zone that takes the updates.

use std::time::Duration;

use super::ask::Visit;
use super::cname::cname_difference;
use super::edit::{Done, Plan, Verb};
use super::message::plain_name;
use super::reading::Reading;
use super::send::{About, Sent};
use crate::difference::{Difference, compare};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{RecordKind, TxtRecord};

/// A read right after an accepted change may miss it where the server signs the zone inline
/// (measured: up to 4 ms), or keeps answers for a while.
const READ_BACK_WAITS_MS: [u64; 7] = [0, 10, 20, 50, 120, 300, 800];

impl Visit<'_> {
    /// Reads until the change shows, and compares everything else with what was there before.
    pub(super) async fn read_back(&self, plan: &Plan, verb: Verb) -> Result<Done, ProviderError> {
        let before = &plan.reading.rrset;
        let owner = &plan.edit.owner;
        let mut last = None;
        for wait_ms in READ_BACK_WAITS_MS {
            if wait_ms > 0 {
                // The timer counts in steps of a millisecond: a sleep of nothing takes one, too.
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            }
            let reading = self
                .read_for(owner, &before.zone, plan.edit.kind)
                .await
                .map_err(|error| {
                    let what = "the server accepted the change, and it cannot be read back";
                    ProviderError::undecided(owner, &format!("{what}: {error}"))
                })?;
            let reading = if plan.edit.keeps_some(before, verb) {
                reading.own()
            } else {
                reading
            };
            let serials = reading.soa.serial.wrapping_sub(plan.reading.soa.serial);
            match difference(plan, &reading, verb) {
                Err(Difference { ours: false, what }) if serials > 1 => {
                    // Another writer changed the zone between our two reads, and only that can have
                    // done it: our message adds or removes one exact value. If each change raises
                    // the serial by one, a loss by our own update shows as one step.
                    tracing::warn!(
                        owner,
                        serials,
                        "another change came at the same time: {what}"
                    );
                }
                Err(difference) => {
                    last = Some((difference, reading));
                    continue;
                }
                Ok(()) => {}
            }
            return Ok(done(plan, reading));
        }
        match last {
            Some((Difference { ours: true, what }, reading))
                if reading.kind == RecordKind::Cname =>
            {
                self.ask_about_cname(plan, verb, reading, &what).await
            }
            Some((Difference { ours: true, what }, reading)) => {
                self.ask_the_writer(plan, verb, reading, &what).await
            }
            Some((Difference { what, .. }, _)) => Err(self.damaged(owner, &what)),
            None => Err(ProviderError::undecided(owner, "no read came back")),
        }
    }

    /// The server accepted the change, and the server that is read does not show it: it may be
    /// another view, or have not got the change yet. The zone that took the change is asked.
    async fn ask_the_writer(
        &self,
        plan: &Plan,
        verb: Verb,
        reading: Reading,
        what: &str,
    ) -> Result<Done, ProviderError> {
        let (owner, zone, mname) = (&plan.edit.owner, &plan.reading.rrset.zone, reading.mname());
        let owners = [owner.as_str()];
        let about = About::one(zone, &owners, &mname, &reading);
        let mut wanted: Vec<TxtRecord> = reading.rrset.records.clone();
        let changes = |record: &TxtRecord| {
            let ours = plan.records.iter();
            ours.map(TxtRecord::joined)
                .any(|ours| ours == record.joined())
        };
        wanted.retain(|record| !changes(record));
        if verb == Verb::Present {
            wanted.extend(plan.records.iter().cloned());
        }
        if let Sent::Done = self.compare_txt(&about, &reading, &wanted).await {
            let mut reading = reading;
            let ttl = reading.rrset.ttl.or(plan.reading.rrset.ttl);
            wanted.sort();
            reading.rrset.ttl = ttl.filter(|_| !wanted.is_empty());
            if reading.rrset.ttl.is_none() && !wanted.is_empty() {
                reading.rrset.ttl = Some(self.provider.settings.ttl);
            }
            reading.rrset.records = wanted;
            return match compare(
                &plan.reading.rrset,
                &reading.rrset,
                &plan.records,
                verb == Verb::Present,
            ) {
                Ok(()) => Ok(done(plan, reading)),
                Err(Difference { what, .. }) => Err(self.damaged(owner, &what)),
            };
        }
        let server = &self.provider.settings.server;
        if let Sent::Done = self
            .compare_txt(&about, &reading, &reading.rrset.records)
            .await
        {
            if reading.rrset.records == plan.reading.rrset.records {
                return Err(not_kept(&server.to_string(), owner));
            }
            return Err(self.damaged(owner, what));
        }
        Err(self.not_shown_yet(owner, &reading))
    }

    /// As [`Self::ask_the_writer`], for a CNAME.
    async fn ask_about_cname(
        &self,
        plan: &Plan,
        verb: Verb,
        reading: Reading,
        what: &str,
    ) -> Result<Done, ProviderError> {
        let (owner, zone, mname) = (&plan.edit.owner, &plan.reading.rrset.zone, reading.mname());
        let owners = [owner.as_str()];
        let about = About::one(zone, &owners, &mname, &reading);
        let wanted = plan.target.as_ref().filter(|_| verb == Verb::Present);
        if let Sent::Done = self.compare_cname(&about, &reading, wanted).await {
            let mut reading = reading;
            reading.rrset.cname = wanted.map(plain_name);
            reading.rrset.ttl = wanted.map(|_| self.provider.settings.ttl);
            return Ok(done(plan, reading));
        }
        let shown = reading.cname.clone();
        if let Sent::Done = self.compare_cname(&about, &reading, shown.as_ref()).await {
            if reading.rrset.cname == plan.reading.rrset.cname {
                return Err(not_kept(&self.provider.settings.server.to_string(), owner));
            }
            return Err(self.damaged(owner, what));
        }
        Err(self.not_shown_yet(owner, &reading))
    }

    fn not_shown_yet(&self, owner: &str, reading: &Reading) -> ProviderError {
        let (server, serial) = (&self.provider.settings.server, reading.soa.serial);
        let zone = &reading.rrset.zone;
        ProviderError::undecided(
            owner,
            &format!(
                "{server} accepted the change, and still shows the zone {} without it (serial \
                 {serial}): it forwards updates to another server and has not got this one yet, \
                 or answers from another view",
                zone.apex
            ),
        )
    }

    fn damaged(&self, owner: &str, what: &str) -> ProviderError {
        let server = &self.provider.settings.server;
        let text = format!("{server} accepted a change of {owner}, and a read shows: {what}");
        ProviderError::new(ErrorKind::Damaged, text)
            .with_hint("compare the zone with this message and put back by hand what is missing")
    }
}

/// The differences at the name.
fn difference(plan: &Plan, reading: &Reading, verb: Verb) -> Result<(), Difference> {
    let present = verb == Verb::Present;
    if reading.kind == RecordKind::Cname {
        return match cname_difference(&reading.rrset, &plan.edit, present) {
            Some(what) => Err(Difference { ours: true, what }),
            None => Ok(()),
        };
    }
    if plan.reading.unequal_ttls().is_none() {
        return compare(&plan.reading.rrset, &reading.rrset, &plan.records, present);
    }
    // Only a removal comes here. Each record has a TTL of its own, and keeps it.
    let mut before = plan.reading.rrset.clone();
    before.ttl = reading.rrset.ttl;
    compare(&before, &reading.rrset, &plan.records, present)?;
    for (record, ttl) in &reading.ttls {
        match plan.reading.ttls.get(record) {
            Some(old) if old != ttl => {
                let shown = record.display();
                let what = format!("the TTL of the value \"{shown}\" went from {old} to {ttl}");
                return Err(Difference { ours: false, what });
            }
            _ => {}
        }
    }
    Ok(())
}

fn done(plan: &Plan, reading: Reading) -> Done {
    let text = |record: &TxtRecord| String::from_utf8_lossy(&record.joined()).into_owned();
    let mname = reading.mname();
    let changed = match plan.edit.kind {
        RecordKind::Txt => plan.records.iter().map(text).collect(),
        RecordKind::Cname => plan.edit.values.clone(),
    };
    Done {
        before: plan.reading.rrset.clone(),
        after: reading.rrset,
        changed,
        serial: reading.soa.serial,
        mname,
    }
}

fn not_kept(server: &str, owner: &str) -> ProviderError {
    let text = format!(
        "{server} accepted the change of {owner} (NOERROR) and did not keep it: what is there \
         is as it was, nothing is missing, and the new record is not there"
    );
    ProviderError::new(ErrorKind::Denied, text).with_hint(
        "a rule of the server drops the change without an error: a limit in its update policy \
         (BIND: TXT(1) in update-policy) or a filter (PowerDNS: a Lua update policy); its log \
         says which",
    )
}
