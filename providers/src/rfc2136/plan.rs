//! Planning: the guarded update that makes the wanted change, from one read. No I/O.

use hickory_proto::rr::{DNSClass, RecordType};

use super::cname::plan_cname;
use super::edit::{Limits, Next, Plan, Verb, absent_value};
use super::findings::{Findings, Place};
use super::message::{Update, plain_name, wire_name};
use super::reading::{Reading, unencodable};
use crate::edit::Edit;
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{RecordKind, TxtRecord, TxtValue, Zone};

/// The guarded update that fulfils `edit`. `default_ttl` is for an RRset that does not exist.
///
/// # Errors
/// [`ErrorKind::Unsafe`] where a value cannot be written without harm.
pub(super) fn plan(
    zone: &Zone,
    reading: Reading,
    edit: &Edit,
    verb: Verb,
    findings: &Findings,
    limits: Limits,
) -> Result<Next, ProviderError> {
    let reading = findings.read(reading, edit, verb);
    if edit.kind == RecordKind::Cname {
        return plan_cname(zone, reading, edit, verb, findings, limits);
    }
    let stored = &reading.rrset.records;
    let records: Vec<TxtRecord> = match verb {
        Verb::Present => {
            let missing = edit
                .values
                .iter()
                .filter(|value| !reading.rrset.holds(value));
            missing.map(|value| TxtRecord::of(value)).collect()
        }
        Verb::Rehearsal => edit
            .values
            .iter()
            .map(|value| TxtRecord::of(value))
            .collect(),
        // In the split they are stored in: servers compare RDATA and say NOERROR to a delete
        // that matches nothing.
        Verb::Absent => {
            let ours = stored.iter().filter(|record| edit.is_for(record));
            ours.cloned().collect()
        }
    };
    if records.is_empty() && verb != Verb::Absent {
        return Ok(Next::Nothing(reading));
    }
    if verb != Verb::Absent
        && let Some(ttls) = reading.unequal_ttls()
    {
        return Err(several_ttls(&edit.owner, &ttls));
    }
    let mut update = Update::of(wire_name(&zone.apex).map_err(unencodable)?);
    let (any_value, soa_required) = guard(&mut update, &reading, verb, findings);
    if verb != Verb::Absent && stored.is_empty() {
        update.require_host(&reading, findings, limits);
    }
    match verb {
        Verb::Present => {
            // What cannot be removed is not written: PowerDNS adds to an RRset in which a row has
            // no quotes, and fails to remove from it.
            update.delete(&reading.name, &absent_value());
            // The TTL is the RRset's (RFC 2181, section 5.2): one record with another TTL changes
            // the TTL of all.
            let ttl = reading.rrset.ttl.unwrap_or(limits.ttl);
            let insert = |record| update.insert(&reading.name, ttl, record);
            records.iter().for_each(insert);
        }
        Verb::Absent if records.is_empty() => {
            let values = edit.values.iter().map(|value| TxtRecord::of(value));
            values.for_each(|record| update.delete(&reading.name, &record));
        }
        Verb::Absent | Verb::Rehearsal => {
            let delete = |record| update.delete(&reading.name, record);
            records.iter().for_each(delete);
        }
    }
    if update.size() > usize::from(u16::MAX) - 1024 {
        let text = format!(
            "the TXT values of {} and the new ones together do not fit into one update",
            edit.owner
        );
        return Err(ProviderError::new(ErrorKind::Unsafe, text));
    }
    Ok(Next::Send(Plan {
        reading,
        update,
        records,
        target: None,
        edit: edit.clone(),
        any_value,
        soa_required,
    }))
}

impl Update {
    /// A new name under a wildcard takes the wildcard's answers of every type away from that name
    /// (RFC 4592, section 2.2.1), and so from a name above it that begins to exist. Unless that is
    /// allowed, the name must exist already, and the server checks it in the same step.
    pub(super) fn require_host(&mut self, reading: &Reading, findings: &Findings, limits: Limits) {
        let allowed = limits.wildcard_shadow || findings.new_name;
        if let Some(host) = reading.shadowed.as_ref().filter(|_| !allowed) {
            self.require(host, RecordType::ANY, DNSClass::ANY);
        }
    }
}

/// The guards that tie the update to what was read; whether "there are TXT values" had to do, and
/// whether the SOA is required.
fn guard(update: &mut Update, reading: &Reading, verb: Verb, findings: &Findings) -> (bool, bool) {
    let any_value = findings.any_values(&reading.rrset);
    // No guard compares a TTL. The RRset has the TTL that was read if the zone has the SOA that
    // was read: so no update reaches a zone that is in another state, or another zone.
    let takes_ttl = verb != Verb::Absent && reading.rrset.ttl.is_some();
    let soa_required = (takes_ttl || any_value) && findings.place != Place::Incomparable;
    if soa_required {
        update.require_soa(&reading.soa);
    }
    update.require_safe_owner(&reading.name);
    if any_value {
        update.require(&reading.name, RecordType::TXT, DNSClass::ANY);
    } else {
        update.require_txt(&reading.name, &reading.rrset.records);
    }
    (any_value, soa_required)
}

fn several_ttls(owner: &str, ttls: &[u32]) -> ProviderError {
    let shown: Vec<String> = ttls.iter().map(ToString::to_string).collect();
    let text = format!(
        "the TXT records of {owner} have several TTLs ({}), and a write would give one of them to \
         all (RFC 2181, section 5.2; PowerDNS does so); nothing was written",
        shown.join(", ")
    );
    ProviderError::new(ErrorKind::Unsafe, text).with_hint(format!(
        "give all TXT records of {owner} the same TTL at the name server, then try again"
    ))
}

/// What no zone is asked about.
pub(super) fn check(value: &TxtValue, kind: RecordKind) -> Result<(), ProviderError> {
    let TxtValue { owner, value } = value;
    let refused = |text: String| Err(ProviderError::new(ErrorKind::Settings, text));
    if value.is_empty() {
        return refused(format!("an empty {kind} value for {owner}"));
    }
    let name = wire_name(owner).map_err(unencodable)?;
    if plain_name(&name) != *owner {
        return refused(format!(
            "{owner:?} is not in lower case without a trailing dot"
        ));
    }
    if kind == RecordKind::Cname {
        let target = wire_name(value).map_err(unencodable)?;
        if target == name {
            return refused(format!("a CNAME of {owner} to itself"));
        }
    }
    Ok(())
}
