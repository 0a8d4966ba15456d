//! Zones in memory that keep the provider's contract, with a handle to look inside and switches for
//! faults: for tests, model checks and the demo. Nothing here survives the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::provider::{ErrorKind, Preflight, Provider, ProviderError};
use crate::record::{Receipt, TxtRecord, TxtRrset, TxtValue, Zone};

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

/// What stands at a name beside TXT.
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

    /// Somebody else writes: the value stands at `owner`, and the whole RRset has `ttl`.
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

    /// Somebody else deletes every record with this value.
    pub fn take(&self, owner: &str, value: &str) {
        self.inside().remove(owner, value);
    }

    /// The name becomes an alias.
    pub fn put_alias(&self, owner: &str) {
        self.inside().marks.insert(owner.into(), Mark::Alias);
    }

    /// The name is delegated to other servers.
    pub fn put_cut(&self, owner: &str) {
        self.inside().marks.insert(owner.into(), Mark::Cut);
    }

    /// Records of another type stand at the name; at `*.parent` they answer for all names that do
    /// not exist.
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

    /// Forgets faults that nobody met.
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

    fn rrset(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        let apex = self.zone_of(owner).ok_or_else(|| {
            ProviderError::new(
                ErrorKind::NoZone,
                format!("no zone in memory holds {owner}"),
            )
            .with_hint("route the domain to a provider that has its zone")
        })?;
        let unsafe_name =
            |what: String| ProviderError::new(ErrorKind::Unsafe, format!("{owner}: {what}"));
        if self.marks.get(owner) == Some(&Mark::Alias) {
            return Err(unsafe_name("an alias cannot hold a TXT value".into()));
        }
        let mut name = owner;
        while name != apex {
            if self.marks.get(name) == Some(&Mark::Cut) {
                return Err(unsafe_name(format!("below the zone cut at {name}")));
            }
            let Some((_, parent)) = name.split_once('.') else {
                break;
            };
            name = parent;
        }
        let (ttl, records) = self
            .rrsets
            .get(owner)
            .map(|(ttl, records)| (Some(*ttl), records.clone()))
            .unwrap_or_default();
        let zone = Zone::of(apex);
        Ok(TxtRrset {
            zone,
            owner: owner.into(),
            ttl,
            records,
            negative_ttl: Some(NEGATIVE_TTL),
        })
    }

    fn exists(&self, name: &str) -> bool {
        let below = format!(".{name}");
        let mut names = self
            .rrsets
            .keys()
            .chain(self.marks.keys())
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

    fn change(
        &mut self,
        TxtValue { owner, value }: &TxtValue,
        present: bool,
    ) -> Result<Receipt, ProviderError> {
        if value.is_empty() {
            return Err(ProviderError::new(
                ErrorKind::Settings,
                format!("an empty TXT value for {owner}"),
            ));
        }
        let before = self.rrset(owner)?;
        let changed = before.holds(value) != present;
        if changed && present {
            if self.is_made_up(owner) {
                return Err(ProviderError::new(
                    ErrorKind::Unsafe,
                    format!("{owner} exists only through a wildcard"),
                ));
            }
            let rrset = self
                .rrsets
                .entry(owner.clone())
                .or_insert((NEW_TTL, Vec::new()));
            rrset.1.push(TxtRecord::of(value));
            rrset.1.sort();
            self.count_change(owner);
        } else if changed {
            self.remove(owner, value);
        }
        let after = self.rrset(owner)?;
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

/// The provider of [`MemoryZones`].
#[derive(Debug, Clone)]
pub struct MemoryProvider(MemoryZones);

impl MemoryProvider {
    /// A provider that may write all of `zones`.
    pub fn new(zones: MemoryZones) -> Self {
        Self(zones)
    }

    fn called(&self, verb: &'static str) -> MutexGuard<'_, Inside> {
        let mut inside = self.0.inside();
        *inside.calls.entry(verb).or_default() += 1;
        inside
    }

    fn change(
        &self,
        verb: &'static str,
        values: &[TxtValue],
        present: bool,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let mut inside = self.called(verb);
        let all = |kind: ErrorKind, what: &str| {
            values
                .iter()
                .map(|value| Err(ProviderError::new(kind, format!("{}: {what}", value.owner))))
                .collect()
        };
        let fault = inside.faults.pop_front();
        match fault {
            Some(MemoryFault::Refuse) => return all(ErrorKind::Denied, "the key may not do this"),
            Some(MemoryFault::Unavailable) => return all(ErrorKind::Unavailable, "no connection"),
            Some(MemoryFault::LoseRequest) => return all(ErrorKind::Unknown, "no answer"),
            Some(MemoryFault::LoseAnswer) | None => {}
        }
        let befores: Vec<_> = values
            .iter()
            .map(|value| inside.rrset(&value.owner))
            .collect();
        let results: Vec<_> = values
            .iter()
            .map(|value| inside.change(value, present))
            .collect();
        // One change for all values of a name: each receipt shows the name before the first and
        // after the last.
        let results = results
            .into_iter()
            .zip(befores)
            .map(|(result, before)| {
                let receipt = result?;
                Ok(Receipt {
                    before: before?,
                    after: inside.rrset(&receipt.after.owner)?,
                    ..receipt
                })
            })
            .collect();
        if fault.is_some() {
            all(ErrorKind::Unknown, "no answer")
        } else {
            results
        }
    }
}

#[async_trait]
impl Provider for MemoryProvider {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError> {
        let inside = self.called("find_zone");
        let found = inside.zone_of(owner).map(|apex| Zone {
            name_servers: inside.name_servers.get(apex).cloned().unwrap_or_default(),
            ..Zone::of(apex)
        });
        found.ok_or_else(|| {
            ProviderError::new(
                ErrorKind::NoZone,
                format!("no zone in memory holds {owner}"),
            )
        })
    }

    async fn inspect(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        self.called("inspect").rrset(owner)
    }

    async fn ensure_present(&self, values: &[TxtValue]) -> Vec<Result<Receipt, ProviderError>> {
        self.change("ensure_present", values, true)
    }

    async fn ensure_absent(&self, values: &[TxtValue]) -> Vec<Result<Receipt, ProviderError>> {
        self.change("ensure_absent", values, false)
    }

    async fn preflight(&self, owner: &str) -> Result<Preflight, ProviderError> {
        let inside = self.called("preflight");
        let zone = inside.rrset(owner)?.zone;
        if inside.is_made_up(owner) {
            return Err(ProviderError::new(
                ErrorKind::Unsafe,
                format!("{owner} exists only through a wildcard"),
            ));
        }
        match inside.faults.front() {
            Some(MemoryFault::Refuse) => Err(ProviderError::new(
                ErrorKind::Denied,
                format!("{owner}: the key may not do this"),
            )),
            Some(MemoryFault::Unavailable) => Err(ProviderError::new(
                ErrorKind::Unavailable,
                format!("{owner}: no connection"),
            )),
            _ => Ok(Preflight {
                zone,
                evidence: "zones in memory take everything".into(),
                warnings: Vec::new(),
            }),
        }
    }
}
