//! Dynamic update (RFC 2136) with the manners of real servers, silent cases included.
//!
//! As BIND 9.18, Knot 3.2 and PowerDNS 4.7 do: an added record gives its TTL to the whole set, a
//! record that is there already changes nothing, deleting an absent one is not an error, and TXT
//! data is compared with its split into character-strings. As BIND and Knot: TXT beside a CNAME is
//! ignored silently, and so NOERROR proves nothing.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::zone::Zone;

/// Applies an update to a copy of the zone: the new zone when something changed, `None` when
/// nothing did.
///
/// # Errors
/// The RCODE to answer with; the zone stays as it is.
pub(super) fn apply(
    zone: &Zone,
    prerequisites: &[Record],
    updates: &[Record],
) -> Result<Option<Zone>, ResponseCode> {
    check_prerequisites(zone, prerequisites)?;
    prescan(zone, updates)?;
    let mut new = zone.clone();
    let mut changed = false;
    for update in updates {
        changed |= apply_one(&mut new, update);
    }
    if changed {
        new.count_up();
    }
    Ok(changed.then_some(new))
}

/// RFC 2136 section 3.2.
fn check_prerequisites(zone: &Zone, prerequisites: &[Record]) -> Result<(), ResponseCode> {
    let mut whole_sets: Vec<(Name, RecordType, Vec<&RData>)> = Vec::new();
    for record in prerequisites {
        let name = record.name.to_lowercase();
        if record.ttl != 0 {
            return Err(ResponseCode::FormErr);
        }
        if !zone.apex.zone_of(&name) {
            return Err(ResponseCode::NotZone);
        }
        let kind = record.record_type();
        let (name_exists, set_exists) =
            (zone.node(&name).is_some(), zone.set(&name, kind).is_some());
        match (record.dns_class, is_empty(record), kind) {
            (DNSClass::ANY, true, RecordType::ANY) if !name_exists => {
                return Err(ResponseCode::NXDomain);
            }
            (DNSClass::NONE, true, RecordType::ANY) if name_exists => {
                return Err(ResponseCode::YXDomain);
            }
            (DNSClass::ANY | DNSClass::NONE, true, RecordType::ANY) => {}
            (DNSClass::ANY, true, _) if !set_exists => return Err(ResponseCode::NXRRSet),
            (DNSClass::NONE, true, _) if set_exists => return Err(ResponseCode::YXRRSet),
            (DNSClass::ANY | DNSClass::NONE, true, _) => {}
            (DNSClass::IN, false, _) => match whole_sets
                .iter_mut()
                .find(|(n, k, _)| *n == name && *k == kind)
            {
                Some((_, _, data)) => data.push(&record.data),
                None => whole_sets.push((name, kind, vec![&record.data])),
            },
            _ => return Err(ResponseCode::FormErr),
        }
    }
    // A whole set, compared by value: the compare-and-swap of RFC 2136. TTLs do not count.
    for (name, kind, wanted) in whole_sets {
        let present = zone
            .set(&name, kind)
            .map(|set| set.data.as_slice())
            .unwrap_or_default();
        if present.len() != wanted.len() || !wanted.iter().all(|data| present.contains(data)) {
            return Err(ResponseCode::NXRRSet);
        }
    }
    Ok(())
}

/// RFC 2136 section 3.4.1: nothing is done when any part is malformed.
fn prescan(zone: &Zone, updates: &[Record]) -> Result<(), ResponseCode> {
    for record in updates {
        if !zone.apex.zone_of(&record.name) {
            return Err(ResponseCode::NotZone);
        }
        let kind = record.record_type();
        let meta = matches!(kind, RecordType::ANY | RecordType::AXFR | RecordType::IXFR);
        let sound = match record.dns_class {
            DNSClass::IN => !meta && !is_empty(record),
            DNSClass::ANY => record.ttl == 0 && is_empty(record),
            DNSClass::NONE => record.ttl == 0 && !meta,
            _ => false,
        };
        if !sound {
            return Err(ResponseCode::FormErr);
        }
    }
    Ok(())
}

/// RDLENGTH 0: the record names a type only, and has no data.
fn is_empty(record: &Record) -> bool {
    matches!(record.data, RData::Update0(_))
}

/// RFC 2136 section 3.4.2. Says whether anything changed.
fn apply_one(zone: &mut Zone, record: &Record) -> bool {
    let name = record.name.to_lowercase();
    let kind = record.record_type();
    let at_apex = name == zone.apex;
    let changed = match record.dns_class {
        DNSClass::IN => add(zone, &name, record),
        DNSClass::ANY => {
            let before = zone.node(&name).map_or(0, |node| node.len());
            zone.node_mut(&name).retain(|at, _| {
                let keep = at_apex && matches!(at, RecordType::SOA | RecordType::NS);
                keep || !(kind == RecordType::ANY || *at == kind)
            });
            zone.node(&name).map_or(0, |node| node.len()) != before
        }
        _ if at_apex && kind == RecordType::SOA => false,
        _ => match zone.node_mut(&name).get_mut(&kind) {
            Some(set) if at_apex && kind == RecordType::NS && set.data.len() == 1 => false,
            Some(set) => {
                let before = set.data.len();
                set.data.retain(|data| *data != record.data);
                set.data.len() != before
            }
            None => false,
        },
    };
    zone.tidy(&name);
    changed
}

fn add(zone: &mut Zone, name: &Name, record: &Record) -> bool {
    let kind = record.record_type();
    let is_alias = zone.set(name, RecordType::CNAME).is_some();
    if is_alias && kind != RecordType::CNAME {
        return false;
    }
    if kind == RecordType::CNAME {
        if !is_alias && zone.node(name).is_some_and(|node| !node.is_empty()) {
            return false;
        }
        zone.node_mut(name).remove(&RecordType::CNAME);
    }
    if let RData::SOA(new) = &record.data {
        let newer = new.serial.wrapping_sub(zone.serial()).cast_signed() > 0;
        if *name != zone.apex || !newer {
            return false;
        }
        zone.node_mut(name).remove(&RecordType::SOA);
    }
    zone.insert(name, record.ttl, record.data.clone())
}
