//! Zones in memory that keep the provider's contract, with a handle to read them and switches for
//! faults: for tests, model checks and the demo. Nothing here survives the process.

mod adapter;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use adapter::MemoryProvider;

use crate::provider::{ErrorKind, ProviderError, only_a_wildcard};
use crate::record::{
    Receipt, Record, RecordData, RecordKind, TxtRecord, TxtRrset, Zone, host_of, same_name,
};

/// TTL of an RRset that the provider creates, seconds.
const NEW_TTL: u32 = 300;
const NEGATIVE_TTL: u32 = 300;

/// What goes wrong with one changing call, [`MemoryZones::fail_next`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryFault {
    /// The change is made and the caller learns nothing.
    LoseAnswer,
    /// The change is not made and the caller learns nothing.
    LoseRequest,
    /// The key may not do this.
    Refuse,
    /// The server cannot be reached, or has no time.
    Unavailable,
}

/// The records at a name that are no TXT.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mark {
    Alias,
    Cut,
    Other,
}

#[derive(Debug, Default)]
struct Inside {
    zones: BTreeMap<String, u32>,
    name_servers: BTreeMap<String, Vec<String>>,
    rrsets: BTreeMap<String, (u32, Vec<TxtRecord>)>,
    /// Target and TTL of each CNAME.
    cnames: BTreeMap<String, (String, u32)>,
    marks: BTreeMap<String, Mark>,
    faults: VecDeque<MemoryFault>,
    calls: BTreeMap<&'static str, u64>,
}

/// The zones: clones show the same.
#[derive(Debug, Clone, Default)]
pub struct MemoryZones(Arc<Mutex<Inside>>);

impl MemoryZones {
    /// No zones.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more zone, empty.
    #[must_use]
    pub fn with_zone(self, apex: &str) -> Self {
        self.inside().zones.insert(apex.into(), 1);
        self
    }

    /// What the provider says of the zone's name servers.
    #[must_use]
    pub fn with_name_servers(self, apex: &str, names: &[&str]) -> Self {
        self.inside().name_servers.insert(
            apex.into(),
            names.iter().map(|&name| name.to_owned()).collect(),
        );
        self
    }

    /// Another writer writes: the value is at `owner`, and the whole RRset has `ttl`.
    pub fn put(&self, owner: &str, ttl: u32, record: TxtRecord) {
        let mut inside = self.inside();
        let rrset = inside.rrsets.entry(owner.into()).or_default();
        rrset.0 = ttl;
        if !rrset.1.contains(&record) {
            rrset.1.push(record);
            rrset.1.sort();
        }
        inside.count_change(owner);
    }

    /// Another writer deletes every record with this value.
    pub fn take(&self, owner: &str, value: &str) {
        self.inside().remove(owner, value);
    }

    /// The name becomes an alias.
    pub fn put_alias(&self, owner: &str) {
        self.inside().marks.insert(owner.into(), Mark::Alias);
    }

    /// Another writer makes the name a CNAME.
    pub fn put_cname(&self, owner: &str, ttl: u32, target: &str) {
        let mut inside = self.inside();
        inside.cnames.insert(owner.into(), (target.into(), ttl));
        inside.count_change(owner);
    }

    /// Another writer takes the CNAME away.
    pub fn take_cname(&self, owner: &str) {
        let mut inside = self.inside();
        if inside.cnames.remove(owner).is_some() {
            inside.count_change(owner);
        }
    }

    /// The target of the CNAME at `owner`.
    pub fn cname(&self, owner: &str) -> Option<String> {
        let inside = self.inside();
        inside.cnames.get(owner).map(|(target, _)| target.clone())
    }

    /// The name is delegated to other servers.
    pub fn put_cut(&self, owner: &str) {
        self.inside().marks.insert(owner.into(), Mark::Cut);
    }

    /// Records of another type are at the name; at `*.parent` they answer for all names that do not
    /// exist.
    pub fn put_other(&self, owner: &str) {
        self.inside().marks.insert(owner.into(), Mark::Other);
    }

    /// The joined values at `owner` as a name server would answer them now, sorted.
    pub fn values(&self, owner: &str) -> Vec<Vec<u8>> {
        let inside = self.inside();
        inside
            .rrsets
            .get(owner)
            .map(|(_, records)| records.iter().map(TxtRecord::joined).collect())
            .unwrap_or_default()
    }

    /// The TTL of the RRset, seconds.
    pub fn ttl(&self, owner: &str) -> Option<u32> {
        self.inside().rrsets.get(owner).map(|(ttl, _)| *ttl)
    }

    /// Everything in the zone, one line per record, sorted.
    pub fn dump(&self, apex: &str) -> Vec<String> {
        let inside = self.inside();
        let here = |owner: &&String| inside.zone_of(owner) == Some(apex);
        let marks = inside
            .marks
            .iter()
            .filter(|(owner, _)| here(owner))
            .map(|(owner, mark)| format!("{owner} {mark:?}"));
        let mut lines: Vec<String> = marks.collect();
        for (owner, (ttl, records)) in inside.rrsets.iter().filter(|(owner, _)| here(owner)) {
            lines.extend(
                records
                    .iter()
                    .map(|record| format!("{owner} {ttl} TXT {:?}", record.strings)),
            );
        }
        let cnames = inside.cnames.iter().filter(|(owner, _)| here(owner));
        lines.extend(cnames.map(|(owner, (target, ttl))| format!("{owner} {ttl} CNAME {target}")));
        lines.sort();
        lines
    }

    /// How often the zone was changed.
    pub fn serial(&self, apex: &str) -> Option<u32> {
        self.inside().zones.get(apex).copied()
    }

    /// The next changing call meets this; several queue up.
    pub fn fail_next(&self, fault: MemoryFault) {
        self.inside().faults.push_back(fault);
    }

    /// Forgets faults that did not occur.
    pub fn heal(&self) {
        self.inside().faults.clear();
    }

    /// How often a verb of the provider was called: `ensure_present`, `ensure_absent`, `inspect`,
    /// `find_zone`, `preflight`.
    pub fn calls(&self, verb: &str) -> u64 {
        self.inside().calls.get(verb).copied().unwrap_or_default()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// The longest match on labels.
    fn zone_of(&self, owner: &str) -> Option<&str> {
        let mut name = Some(owner);
        while let Some(current) = name {
            if let Some((apex, _)) = self.zones.get_key_value(current) {
                return Some(apex);
            }
            name = current.split_once('.').map(|(_, parent)| parent);
        }
        None
    }

    /// The records at the name.
    ///
    /// # Errors
    /// Below a zone cut, and in no zone.
    fn present(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        let apex = self.zone_of(owner).ok_or_else(|| {
            ProviderError::new(
                ErrorKind::NoZone,
                format!("no zone in memory holds {owner}"),
            )
            .with_hint("route the domain to a provider that has its zone")
        })?;
        let mut name = owner;
        while name != apex {
            if self.marks.get(name) == Some(&Mark::Cut) {
                return Err(unsafe_name(owner, &format!("below the zone cut at {name}")));
            }
            let Some((_, parent)) = name.split_once('.') else {
                break;
            };
            name = parent;
        }
        let (mut ttl, records) = self
            .rrsets
            .get(owner)
            .map(|(ttl, records)| (Some(*ttl), records.clone()))
            .unwrap_or_default();
        let cname = self.cnames.get(owner).map(|(target, cname_ttl)| {
            ttl = Some(*cname_ttl);
            target.clone()
        });
        let zone = Zone::of(apex);
        Ok(TxtRrset {
            zone,
            owner: owner.into(),
            ttl,
            records,
            cname,
            negative_ttl: Some(NEGATIVE_TTL),
        })
    }

    /// The records at the name, where it can hold TXT.
    fn rrset(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        let present = self.present(owner)?;
        if present.cname.is_some() || self.marks.get(owner) == Some(&Mark::Alias) {
            return Err(unsafe_name(owner, "an alias cannot hold a TXT value"));
        }
        Ok(present)
    }

    /// What is at the name, where it can be a CNAME: nothing, or a CNAME.
    fn alias(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        let present = self.present(owner)?;
        if owner == present.zone.apex {
            return Err(unsafe_name(owner, "a zone's apex cannot be a CNAME"));
        }
        if !present.records.is_empty() || self.marks.contains_key(owner) {
            return Err(unsafe_name(
                owner,
                "a CNAME allows no other record beside it",
            ));
        }
        Ok(present)
    }

    fn read_name(&self, owner: &str, kind: RecordKind) -> Result<TxtRrset, ProviderError> {
        match kind {
            RecordKind::Txt => self.rrset(owner),
            RecordKind::Cname => self.alias(owner),
        }
    }

    /// Where an alias is at the name, no TXT value is left to be removed.
    fn read_to_change(&self, record: &Record, present: bool) -> Result<TxtRrset, ProviderError> {
        match record.kind() {
            RecordKind::Txt if !present => self.present(&record.owner),
            kind => self.read_name(&record.owner, kind),
        }
    }

    fn exists(&self, name: &str) -> bool {
        let below = format!(".{name}");
        let mut names = self
            .rrsets
            .keys()
            .chain(self.marks.keys())
            .chain(self.cnames.keys())
            .chain(self.zones.keys());
        names.any(|other| other == name || other.ends_with(&below))
    }

    /// Whether a wildcard answers for `owner` now (RFC 4592: the one at the closest name that
    /// exists).
    fn is_made_up(&self, owner: &str) -> bool {
        let mut name = owner;
        while !self.exists(name) {
            let Some((_, parent)) = name.split_once('.') else {
                return false;
            };
            name = parent;
        }
        name != owner && self.exists(&format!("*.{name}"))
    }

    /// Refuses a record with which a host would begin to exist that a wildcard answers for.
    fn refuse_shadow(&self, owner: &str, apex: &str) -> Result<(), ProviderError> {
        match host_of(owner, apex).filter(|host| self.is_made_up(host)) {
            Some(host) => Err(only_a_wildcard(owner, host, "a wildcard")),
            None => Ok(()),
        }
    }

    fn remove(&mut self, owner: &str, value: &str) -> bool {
        let Some((_, records)) = self.rrsets.get_mut(owner) else {
            return false;
        };
        let before = records.len();
        records.retain(|record| record.joined() != value.as_bytes());
        let changed = records.len() < before;
        if records.is_empty() {
            self.rrsets.remove(owner);
        }
        if changed {
            self.count_change(owner);
        }
        changed
    }

    fn count_change(&mut self, owner: &str) {
        if let Some(apex) = self.zone_of(owner).map(str::to_owned) {
            self.zones.entry(apex).and_modify(|serial| *serial += 1);
        }
    }

    fn change(&mut self, record: &Record, present: bool) -> Result<Receipt, ProviderError> {
        let Record { owner, data } = record;
        let (RecordData::Txt(text) | RecordData::Cname(text)) = data;
        if text.is_empty() {
            let text = format!("an empty {} for {owner}", record.kind());
            return Err(ProviderError::new(ErrorKind::Settings, text));
        }
        let before = self.read_to_change(record, present)?;
        let changed = before.has(data) != present;
        if changed && present {
            self.refuse_shadow(owner, &before.zone.apex)?;
            if let Some(there) = &before.cname {
                return Err(unsafe_name(owner, &format!("it is a CNAME to {there}")));
            }
            match data {
                RecordData::Txt(value) => {
                    let rrset = self.rrsets.entry(owner.clone());
                    let rrset = rrset.or_insert((NEW_TTL, Vec::new()));
                    rrset.1.push(TxtRecord::of(value));
                    rrset.1.sort();
                }
                RecordData::Cname(target) => {
                    let plain = target.trim_end_matches('.').to_owned();
                    self.cnames.insert(owner.clone(), (plain, NEW_TTL));
                }
            }
            self.count_change(owner);
        } else if changed {
            match data {
                RecordData::Txt(value) => drop(self.remove(owner, value)),
                RecordData::Cname(target) => {
                    self.cnames
                        .retain(|name, (there, _)| name != owner || !same_name(there, target));
                    self.count_change(owner);
                }
            }
        }
        let after = self.read_to_change(record, present)?;
        let serial = self.zones.get(&after.zone.apex);
        let change_id = serial
            .filter(|_| changed)
            .map(|serial| format!("serial {serial}"));
        Ok(Receipt {
            before,
            after,
            changed,
            change_id,
        })
    }
}

fn unsafe_name(owner: &str, what: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Unsafe, format!("{owner}: {what}"))
}
