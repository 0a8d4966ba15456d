//! Messages of RFC 2136 put together by hand from hickory-proto's records.
//!
//! hickory-proto has builders for updates too, but they assert that each name is inside the zone
//! and so turn a configuration fault into a panic; here a name outside the zone is an error before
//! anything is built.

use std::collections::BTreeMap;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::{CNAME, SOA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::record::TxtRecord;

/// `name` as the wire has it, or what is wrong with it.
pub(super) fn wire_name(name: &str) -> Result<Name, String> {
    let name = name.trim_end_matches('.');
    if name.is_empty() || !name.is_ascii() {
        return Err(format!("{name:?} is not a domain name in A-labels"));
    }
    Name::from_ascii(format!("{name}."))
        .map_err(|error| format!("{name:?} is not a domain name: {error}"))
}

/// `name` as the rest of this crate has it: lower case, no trailing dot.
pub(super) fn plain_name(name: &Name) -> String {
    name.to_lowercase()
        .to_ascii()
        .trim_end_matches('.')
        .to_owned()
}

/// The name one label up; `None` above the last label.
pub(super) fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

/// A question to an authoritative server.
pub(super) fn question(name: &Name, record_type: RecordType) -> Message {
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name.clone(), record_type));
    message
}

/// An update under construction.
#[derive(Debug, Clone)]
pub(super) struct Update {
    apex: Name,
    prerequisites: Vec<Record>,
    updates: Vec<Record>,
}

impl Update {
    /// An update of the zone `apex`, guarded by "the apex has an SOA": it cannot go to a parent's
    /// or a child's zone.
    pub(super) fn of(apex: Name) -> Self {
        let mut update = Self {
            apex: apex.clone(),
            prerequisites: Vec::new(),
            updates: Vec::new(),
        };
        update.require(&apex, RecordType::SOA, DNSClass::ANY);
        update
    }

    /// Takes over what `other`, an update of the same zone, requires and changes.
    pub(super) fn append(&mut self, other: &Self) {
        // The first prerequisite is the SOA of the same apex; the one that says which is stricter.
        if let [first, ..] = other.prerequisites.as_slice()
            && first.dns_class == DNSClass::IN
        {
            self.prerequisites[0] = first.clone();
        }
        self.prerequisites
            .extend(other.prerequisites.iter().skip(1).cloned());
        self.updates.extend(other.updates.iter().cloned());
    }

    /// RFC 2136, section 2.4: with ANY the RRset (or with type ANY, the name) must exist, with NONE
    /// it must not.
    pub(super) fn require(&mut self, name: &Name, record_type: RecordType, class: DNSClass) {
        let mut record = Record::update0(name.clone(), 0, record_type);
        record.dns_class = class;
        self.prerequisites.push(record);
    }

    /// The zone must have exactly this SOA, and so be in the state that was read (section 2.4.2).
    pub(super) fn require_soa(&mut self, soa: &SOA) {
        let record = Record::from_rdata(self.apex.clone(), 0, RData::SOA(soa.clone()));
        // Instead of "the apex has an SOA", which is the first.
        self.prerequisites[0] = record;
    }

    /// The guards without which a server says NOERROR and publishes nothing: no alias, no zone cut
    /// at the name.
    pub(super) fn require_safe_owner(&mut self, name: &Name) {
        self.require(name, RecordType::CNAME, DNSClass::NONE);
        if *name != self.apex {
            self.require(name, RecordType::NS, DNSClass::NONE);
        }
    }

    /// The TXT RRset at `name` must be exactly this (section 2.4.2): of two writers with one
    /// snapshot, the second fails.
    pub(super) fn require_txt(&mut self, name: &Name, records: &[TxtRecord]) {
        if records.is_empty() {
            self.require(name, RecordType::TXT, DNSClass::NONE);
        }
        self.prerequisites.extend(
            records
                .iter()
                .map(|record| Record::from_rdata(name.clone(), 0, rdata(record))),
        );
    }

    /// Nothing at all may be at `name` (section 2.4.5). Without it a server puts a CNAME in the
    /// place of another one and says NOERROR (measured: BIND, Knot and PowerDNS).
    pub(super) fn require_unused(&mut self, name: &Name) {
        self.require(name, RecordType::ANY, DNSClass::NONE);
    }

    /// The CNAME at `name` must be exactly this, or there must be none (sections 2.4.2 and 2.4.3).
    pub(super) fn require_cname(&mut self, name: &Name, target: Option<&Name>) {
        match target {
            None => self.require(name, RecordType::CNAME, DNSClass::NONE),
            Some(target) => {
                let data = RData::CNAME(CNAME(target.clone()));
                let record = Record::from_rdata(name.clone(), 0, data);
                self.prerequisites.push(record);
            }
        }
    }

    /// Adds a CNAME.
    pub(super) fn insert_cname(&mut self, name: &Name, ttl: u32, target: &Name) {
        let data = RData::CNAME(CNAME(target.clone()));
        self.updates
            .push(Record::from_rdata(name.clone(), ttl, data));
    }

    /// Deletes the CNAME with exactly this target; one that is not there is no error.
    pub(super) fn delete_cname(&mut self, name: &Name, target: &Name) {
        let data = RData::CNAME(CNAME(target.clone()));
        let mut record = Record::from_rdata(name.clone(), 0, data);
        record.dns_class = DNSClass::NONE;
        self.updates.push(record);
    }

    /// Adds one record (section 2.5.1).
    pub(super) fn insert(&mut self, name: &Name, ttl: u32, record: &TxtRecord) {
        self.updates
            .push(Record::from_rdata(name.clone(), ttl, rdata(record)));
    }

    /// Deletes one record by its exact octets (section 2.5.4); one that is not there is no error.
    pub(super) fn delete(&mut self, name: &Name, record: &TxtRecord) {
        let mut record = Record::from_rdata(name.clone(), 0, rdata(record));
        record.dns_class = DNSClass::NONE;
        self.updates.push(record);
    }

    /// The message, not yet signed.
    pub(super) fn message(self) -> Message {
        let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Update);
        message.add_query(Query::query(self.apex, RecordType::SOA));
        message.insert_answers(self.prerequisites);
        message.insert_authorities(self.updates);
        message
    }

    /// Octets of the message, at most: names may be compressed.
    pub(super) fn size(&self) -> usize {
        let of = |record: &Record| {
            let data = match &record.data {
                RData::TXT(txt) => txt.txt_data.iter().map(|string| string.len() + 1).sum(),
                RData::CNAME(target) => target.0.len() + 1,
                _ => 0,
            };
            record.name.len() + 10 + data
        };
        self.prerequisites.iter().chain(&self.updates).map(of).sum()
    }
}

fn rdata(record: &TxtRecord) -> RData {
    RData::TXT(TXT::from_bytes(
        record.strings.iter().map(Vec::as_slice).collect(),
    ))
}

/// The TXT records at `name` in a reply, each with its TTL.
pub(super) fn txt_at(records: &[Record], name: &Name) -> BTreeMap<TxtRecord, u32> {
    let at = records.iter().filter(|record| record.name == *name);
    at.filter_map(|record| match &record.data {
        RData::TXT(txt) => {
            let strings = txt.txt_data.iter().map(|string| string.to_vec()).collect();
            Some((TxtRecord { strings }, record.ttl))
        }
        _ => None,
    })
    .collect()
}

/// The CNAME at `name` in a reply, with its TTL.
pub(super) fn cname_at(records: &[Record], name: &Name) -> Option<(Name, u32)> {
    let at = records.iter().filter(|record| record.name == *name);
    at.into_iter().find_map(|record| match &record.data {
        RData::CNAME(target) => Some((target.0.clone(), record.ttl)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_update_has_its_sections_where_rfc_2136_wants_them() {
        let apex = wire_name("example.ch").unwrap();
        let mut update = Update::of(apex.clone());
        update.require_safe_owner(&apex);
        update.require_txt(&apex, &[TxtRecord::of("v=spf1 -all")]);
        update.delete(&apex, &TxtRecord::of("gone"));
        let bytes = update.message().to_vec().unwrap();
        let message = Message::from_vec(&bytes).unwrap();
        let classes = |records: &[Record]| {
            records
                .iter()
                .map(|record| record.dns_class)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            classes(&message.answers),
            [DNSClass::ANY, DNSClass::NONE, DNSClass::IN]
        );
        assert_eq!(classes(&message.authorities), [DNSClass::NONE]);
        assert!(
            message
                .answers
                .iter()
                .chain(&message.authorities)
                .all(|record| record.ttl == 0)
        );
    }

    proptest! {
        #[test]
        fn txt_octets_survive_the_wire(strings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=255), 1..6)) {
            let (name, record) = (wire_name("example.ch").unwrap(), TxtRecord { strings });
            let mut update = Update::of(name.clone());
            update.insert(&name, 60, &record);
            let bytes = update.message().to_vec().unwrap();
            let message = Message::from_vec(&bytes).unwrap();
            prop_assert_eq!(txt_at(&message.authorities, &name), BTreeMap::from([(record, 60)]));
        }

        #[test]
        fn a_value_is_split_at_255_octets_and_joins_to_itself(value in "\\PC{0,400}") {
            let record = TxtRecord::of(&value);
            prop_assert_eq!(record.joined(), value.as_bytes());
            prop_assert!(record.strings.iter().all(|string| string.len() <= 255) && !record.strings.is_empty());
        }
    }
}
