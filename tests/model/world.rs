//! A CA, zones with a secondary, a store and a clock in memory; people who meddle; and the
//! invariants after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::{ClientSelector, Validation};
use prevalidate::clock::{Clock, SimulatedClock};
use prevalidate::prevalidation::planner::SEEN_COUNTS;
use prevalidate::prevalidation::policy::Terms;
use prevalidate::prevalidation::{
    Challenge, DomainName, Effect, Mode, Observed, Policy, Proof, RecordName, RecordType, RowKey,
};
use prevalidate::propagation::{
    Answer, DnsChecker, GateMode, InSync, Lifetimes, LiveZone, Question, ServerAnswer, Verdict,
};
use prevalidate::store::sqlite::SqliteStore;
use prevalidate::store::{DomainRow, Origin, Store, Wanted};
use prevalidate::worker::{Options, Outcome, Ports, Target, Worker};
use prevalidate_providers::memory::{MemoryProvider, MemoryZones};
use prevalidate_providers::{
    ErrorKind, Preflight, Provider, ProviderError, Receipt, Record, RecordData, RecordKind,
    TxtRecord, TxtRrset, Zone,
};
use tokio_util::sync::CancellationToken;

use super::ca::ModelCa;
use super::crash::{Fuse, Mortal};
use super::shape::{Shape, TARGETS};

pub const START: &str = "2026-11-22T02:00:00Z";
const SPF: &str = "v=spf1 include:_spf.example.ch -all";
pub const SPF_TTL: u32 = 3600;
/// Another section of the configuration that writes the zones of `memory`.
pub const SECOND: &str = "memory-2";

/// What the ports saw, for the invariants.
#[derive(Default)]
pub struct Witness {
    /// When the gate said go: the owner and the data of each record.
    pub go: Vec<(String, String, Timestamp)>,
    pub preflights: Vec<(String, Timestamp)>,
    /// The type of record that each of them was about.
    pub preflight_kinds: Vec<RecordKind>,
    /// Removals that were sent when they should not have been.
    pub bad_removals: Vec<String>,
    pub desired: BTreeSet<DomainName>,
    /// The name servers of every zone, as the delegation has them.
    pub live: BTreeSet<String>,
    /// What a secondary serves while it is stale, by owner.
    pub stale: BTreeMap<String, Vec<Vec<u8>>>,
    /// Zones that validating resolvers refuse, and why.
    pub bogus: BTreeMap<String, String>,
    /// The gate reaches no server.
    pub deaf: bool,
    /// Only another configuration can open the gate.
    pub lasting: bool,
    /// A listing of it takes so long.
    pub slow: BTreeMap<String, SignedDuration>,
    /// What the gate says a resolver remembers.
    pub cached_until: Option<Timestamp>,
    /// How the gate judges.
    pub mode: GateMode,
    /// The changes that the provider says all of its servers have; `None`: it cannot be asked.
    pub in_sync: Option<BTreeSet<String>>,
    /// The changes that the provider was asked about.
    pub asked: Vec<String>,
    /// Domains whose value a person wants out of DNS.
    pub withdrawn: BTreeSet<DomainName>,
}

pub type Shared = Arc<Mutex<Witness>>;

pub struct World {
    pub clock: SimulatedClock,
    pub ca: ModelCa,
    /// A second CA, which every domain is at as well.
    pub other: Option<ModelCa>,
    pub zones: MemoryZones,
    pub store: Arc<SqliteStore>,
    pub fuse: Arc<Fuse>,
    pub witness: Shared,
    pub policy: Policy,
    pub domains: Vec<DomainName>,
    pub foreign: BTreeMap<DomainName, Vec<String>>,
    /// The TTL of the foreign values.
    pub ttls: BTreeMap<DomainName, u32>,
    /// The provider that all domains name.
    pub provider: Option<String>,
    /// The second client's domains name a section of their own, which writes the same zones.
    pub two_sections: bool,
    /// Providers beside `memory`.
    pub beside: BTreeMap<String, Arc<dyn Provider>>,
    /// Steps that were stopped in their middle and continued later: no CA can fence them off.
    pub thawed: bool,
    checked_calls: [usize; 2],
    /// Whether all that tell of domains are compared after each step. In thousands of worlds that
    /// are nearly alike it is done in a share of them.
    pub compares_five: bool,
    /// Rows that had a proof that counted, as far as the store knew.
    seen_proven: BTreeSet<RowKey>,
}

impl World {
    pub async fn new(count: usize) -> Self {
        let clock = SimulatedClock::at(START.parse().unwrap());
        let mut zones = MemoryZones::new();
        let domains: Vec<DomainName> = (0..count)
            .map(|n| DomainName::from_a_labels(&format!("d{n}.ch")).unwrap())
            .collect();
        let mut foreign = BTreeMap::new();
        for domain in &domains {
            zones = zones.with_zone(domain.as_str());
            zones.put(domain.as_str(), SPF_TTL, TxtRecord::of(SPF));
            foreign.insert(domain.clone(), vec![SPF.to_owned()]);
        }
        let witness: Shared = Arc::default();
        witness.lock().unwrap().desired = domains.iter().cloned().collect();
        let (eyes_zones, eyes_witness) = (zones.clone(), Arc::clone(&witness));
        let eyes = Arc::new(move |owner: &str| {
            let primary = at_name(&eyes_zones, owner);
            let stale = eyes_witness.lock().unwrap().stale.get(owner).cloned();
            stale.map_or(primary.clone(), |old| {
                primary
                    .into_iter()
                    .filter(|value| old.contains(value))
                    .collect()
            })
        });
        let ttls = domains.iter().map(|name| (name.clone(), SPF_TTL));
        let ttls = ttls.collect();
        let ca = ModelCa::new(clock.clone(), eyes);
        let store = Arc::new(SqliteStore::open("sqlite::memory:", None).await.unwrap());
        let world = Self {
            clock,
            ca,
            other: None,
            zones,
            store,
            fuse: Arc::default(),
            witness,
            policy: Policy::new(Mode::Manage),
            domains,
            ttls,
            foreign,
            provider: Some("memory".to_owned()),
            two_sections: false,
            beside: BTreeMap::new(),
            thawed: false,
            checked_calls: [0; 2],
            compares_five: true,
            seen_proven: BTreeSet::new(),
        };
        world.sync().await;
        world
    }

    /// Every domain at two CAs, which give the same random values, or values of their own.
    pub async fn at_two_cas(count: usize, same_values: bool) -> Self {
        let mut world = Self::new(count).await;
        let other = world.ca.beside();
        if !same_values {
            other.set(|state| state.begin_at(1_000));
        }
        world.other = Some(other);
        world.sync().await;
        world
    }

    /// The CAs, each with its client.
    pub fn cas(&self) -> Vec<(ModelCa, Target)> {
        let other = self.other.iter().cloned();
        let all = [self.ca.clone()].into_iter().chain(other);
        all.zip([target(), other_target()]).collect()
    }

    pub fn targets(&self) -> Vec<Target> {
        self.cas().into_iter().map(|(_, target)| target).collect()
    }

    /// The same at a CA that begins by a start and carries orders out by itself.
    pub async fn by_orders(count: usize) -> Self {
        let mut world = Self::new(count).await;
        world.ca.by_orders = true;
        (
            world.policy.start_keeps_proof,
            world.policy.checks_by_itself,
        ) = (Some(true), true);
        world
    }

    /// Every domain at a CA that gives random values for TXT at the domain itself, and at one that
    /// carries orders out and wants a CNAME below it. The random values are the same.
    pub async fn of_two_kinds(count: usize, shape: Shape) -> Self {
        let mut world = Self::new(count).await;
        let mut other = world.ca.beside();
        (other.by_orders, other.shape) = (true, shape);
        world.other = Some(other);
        world.policy.differ(&other_target().ca, by_orders_terms());
        world.sync().await;
        world
    }

    /// Every domain at two CAs that carry orders out and want a CNAME, with the same random values
    /// or with values of their own.
    pub async fn at_two_cas_by_orders(count: usize, shape: Shape, same_values: bool) -> Self {
        let mut world = Self::by_orders(count).await;
        world.ca.shape = shape;
        let other = world.ca.beside();
        if !same_values {
            other.set(|state| state.begin_at(1_000));
        }
        world.other = Some(other);
        world.policy.differ(&other_target().ca, by_orders_terms());
        world.sync().await;
        world
    }

    /// The inventory as the configuration has it now.
    pub async fn sync(&self) {
        let desired = self.witness.lock().unwrap().desired.clone();
        let wanted: Vec<_> = desired
            .into_iter()
            .flat_map(|domain| {
                self.targets().into_iter().map(move |target| Wanted {
                    domain: domain.clone(),
                    provider: match target == other_target() && self.two_sections {
                        true => Some(SECOND.into()),
                        false => self.provider.as_deref().map(Into::into),
                    },
                    client: target.key.into(),
                    ca: target.ca.into(),
                })
            })
            .collect();
        self.store
            .sync_inventory(Origin::Config, &wanted, self.clock.now())
            .await
            .unwrap();
    }

    /// A worker that has just been started, mortal.
    pub fn worker(&self, name: &str) -> Worker {
        self.start(Options::new(name, name))
    }

    /// The same, by `--force`.
    pub fn forced(&self) -> Worker {
        self.start(Options {
            force: true,
            ..Options::new("forced", "forced")
        })
    }

    /// The rows of all domains at the first client.
    pub fn keys(&self) -> Vec<RowKey> {
        self.domains.iter().map(RowKey::from).collect()
    }

    /// The same, by a sender that names all domains.
    pub fn afresh(&self) -> Worker {
        let only = Some(self.keys());
        self.start(Options {
            only,
            afresh: true,
            ..Options::new("afresh", "afresh")
        })
    }

    fn start(&self, options: Options) -> Worker {
        let provider: Arc<dyn Provider> = Arc::new(Watched {
            inner: MemoryProvider::new(self.zones.clone()),
            cas: self.cas().into_iter().map(|(ca, _)| ca).collect(),
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            witness: Arc::clone(&self.witness),
        });
        let store: Arc<dyn Store> = self.store.clone();
        let mut providers = self.beside.clone();
        let mut sections = vec!["memory"];
        sections.extend(self.two_sections.then_some(SECOND));
        for section in sections {
            let provider = Mortal::new(Arc::clone(&provider), &self.fuse);
            providers.insert(section.to_owned(), provider as Arc<dyn Provider>);
        }
        let mortal = |(ca, target): (ModelCa, Target)| {
            let ca: Arc<dyn Validation> = Arc::new(ca);
            (
                target.ca,
                Mortal::new(ca, &self.fuse) as Arc<dyn Validation>,
            )
        };
        let ports = Ports {
            cas: self.cas().into_iter().map(mortal).collect(),
            providers,
            checker: Arc::new(Eye {
                zones: self.zones.clone(),
                clock: self.clock.clone(),
                witness: Arc::clone(&self.witness),
            }),
            store: Mortal::new(store, &self.fuse),
            clock: Arc::new(self.clock.clone()),
        };
        let options = Options {
            lanes: 1,
            concurrency: 4,
            batch: 4,
            ..options
        };
        Worker::new(
            ports,
            self.policy.clone(),
            self.targets(),
            options,
            CancellationToken::new(),
            Arc::new(|event| {
                if std::env::var_os("MODEL_TRACE").is_some() {
                    let domain = event.domain.as_ref().map(DomainName::as_str).unwrap_or("-");
                    use std::io::Write;
                    let _ = writeln!(
                        std::io::stderr(),
                        "{} {domain} {}: {}",
                        event.at,
                        event.kind,
                        event.detail
                    );
                }
            }),
        )
    }

    /// One step, or the death of the worker in it.
    pub async fn step(&self, worker: &Worker) -> Option<Outcome> {
        tokio::select! {
            biased;
            outcome = worker.step() => Some(outcome.unwrap()),
            () = self.fuse.blown.notified() => None,
        }
    }

    /// Nightly runs of ten minutes until nothing more is to be done before the next night.
    pub async fn nights(&mut self, count: usize) {
        for _ in 0..count {
            let worker = self.worker("night");
            worker.run(SignedDuration::from_mins(10)).await.unwrap();
            self.check().await;
            self.clock.advance(SignedDuration::from_hours(24));
        }
    }

    pub async fn rows(&self) -> Vec<DomainRow> {
        self.store.domains().await.unwrap()
    }

    /// What was done for a domain, in words.
    pub async fn store_history(&self, domain: usize) -> Vec<String> {
        let events = self.store.history(&self.domains[domain]).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }

    pub fn all_valid(&self) -> bool {
        let desired = self.witness.lock().unwrap().desired.clone();
        let cas = self.cas();
        let at_all = |domain| cas.iter().all(|(ca, _)| ca.valid_until(domain).is_some());
        desired.iter().all(at_all)
    }

    /// Safety, after every step.
    pub async fn check(&mut self) {
        self.zones_hold_what_they_should().await;
        self.calls_were_right();
        let rows = self.rows().await;
        self.no_lapse_is_forgotten(&rows);
        if self.compares_five {
            self.all_five_agree(rows).await;
        }
        let witness = self.witness.lock().unwrap();
        assert!(
            witness.bad_removals.is_empty(),
            "I4, I9: {:?}",
            witness.bad_removals
        );
    }

    async fn zones_hold_what_they_should(&self) {
        let open = self.store.open_entries(None).await.unwrap();
        let cas = self.cas().len();
        for domain in &self.domains {
            let owner = domain.as_str();
            let cnames = self.cnames_below(domain);
            for (owner, target) in &cnames {
                let ends_so = target.ends_with(TARGETS);
                assert!(ends_so, "I1: a foreign CNAME at {owner}: {target}");
                assert!(
                    open.iter().any(|entry| entry.owner == *owner
                        && entry.kind == RecordType::Cname
                        && entry.value == *target
                        && entry.state.is_open()),
                    "I2: {owner} CNAME {target} is in no open ledger entry: {open:?}"
                );
            }
            assert!(cnames.len() <= 2 * cas, "I3: {cnames:?} below {owner}");
            let values: Vec<String> = self
                .zones
                .values(owner)
                .into_iter()
                .map(|value| String::from_utf8(value).unwrap())
                .collect();
            let (ours, mut foreign): (Vec<_>, Vec<_>) = values
                .into_iter()
                .partition(|value| value.starts_with("swiss-pki=model"));
            foreign.sort();
            let mut expected = self.foreign[domain].clone();
            expected.sort();
            assert_eq!(foreign, expected, "I1: the foreign values at {owner}");
            if !foreign.is_empty() {
                assert_eq!(
                    self.zones.ttl(owner),
                    self.ttls.get(domain).copied(),
                    "I1, I19: the TTL at {owner}"
                );
            }
            for value in &ours {
                assert!(
                    open.iter().any(|entry| entry.owner == owner
                        && entry.value == *value
                        && entry.state.is_open()),
                    "I2: {value} at {owner} is in no open ledger entry: {open:?}"
                );
            }
            assert!(ours.len() <= 2 * cas, "I3: {ours:?} at {owner}");
        }
    }

    fn calls_were_right(&mut self) {
        for (place, (ca, target)) in self.cas().into_iter().enumerate() {
            self.calls_to_one_were_right(place, &ca, &target);
        }
    }

    fn calls_to_one_were_right(&mut self, place: usize, ca: &ModelCa, target: &Target) {
        let policy = self.policy.of(&target.ca).clone();
        let state = ca.state.lock().unwrap();
        let witness = self.witness.lock().unwrap();
        for call in &state.calls[self.checked_calls[place]..] {
            let (at, domain) = (call.at, &call.domain);
            let recent: Vec<_> = state
                .calls
                .iter()
                .filter(|c| c.domain == *domain && c.at <= at)
                .map(|c| at.duration_since(c.at))
                .collect();
            let (hour, day) = policy.effects_per_domain;
            let spare = usize::from(self.thawed) * 2;
            assert!(
                recent.iter().filter(|age| age.as_secs() < 3_600).count() <= hour + spare,
                "I6: {domain} at {at}"
            );
            assert!(
                recent.iter().filter(|age| age.as_secs() < 86_400).count() <= day + spare,
                "I6: {domain} at {at}"
            );
            if self.thawed {
                continue;
            }
            match call.effect {
                Effect::Validate => {
                    let is_asked_for = |owner: &str, data: &str| {
                        state.asked_for.iter().any(|record| {
                            record.is_for(domain)
                                && record.owner.as_str() == owner
                                && record.data.as_str() == data
                        })
                    };
                    let seen = witness.go.iter().any(|(owner, data, seen)| {
                        let is_young = *seen <= at && at.duration_since(*seen) <= SEEN_COUNTS;
                        is_young && is_asked_for(owner, data)
                    });
                    assert!(
                        seen,
                        "I5: {domain} was submitted at {at} without being seen"
                    );
                }
                Effect::ResetToken => {
                    if let Some(end) = call.valid_until {
                        let proof = Proof {
                            validated_at: call.validated_at,
                            expires_at: Some(end),
                            method: None,
                            first_seen: None,
                            ends: Default::default(),
                        };
                        let renew_at = policy.renew_at(domain, &proof).unwrap();
                        assert!(
                            at >= renew_at,
                            "I8: {domain} was reset at {at}, its renewal is due at {renew_at}"
                        );
                        let proven = witness.preflights.iter().any(|(owner, proven)| {
                            owner == domain.as_str()
                                && *proven <= at
                                && at.duration_since(*proven).as_mins() <= 10
                        });
                        assert!(proven, "I8: {domain} was reset at {at} without a preflight");
                    }
                }
                Effect::Start => {
                    if let Some(end) = call.valid_until {
                        let proof = Proof {
                            validated_at: call.validated_at,
                            expires_at: Some(end),
                            method: None,
                            first_seen: None,
                            ends: Default::default(),
                        };
                        let renew_at = policy.renew_at(domain, &proof).unwrap();
                        assert!(
                            at >= renew_at,
                            "{domain}: started at {at}, due at {renew_at}"
                        );
                        assert!(call.valid_after, "{domain}: a start keeps the proof");
                    }
                }
                Effect::Register => {}
            }
        }
        assert!(
            state.trespasses.is_empty() || self.thawed,
            "an order under way is left alone: {:?}",
            state.trespasses
        );
        self.checked_calls[place] = state.calls.len();
        for domain in &self.domains {
            let live = state
                .entries
                .values()
                .filter(|entry| entry.domain == *domain)
                .count();
            assert!(
                live <= 1 || self.thawed,
                "I7: {live} registrations of {domain}"
            );
        }
    }

    /// A domain that was once seen proven and that has no proof now has lapsed (invariant I20).
    fn no_lapse_is_forgotten(&mut self, rows: &[DomainRow]) {
        let now = self.clock.now();
        for row in rows {
            let reuse = &self.policy.of(&row.ca).reuse;
            let found = row.sighting.registration();
            let counts = found.and_then(|found| found.usable_until(reuse, now));
            if counts.is_some() {
                self.seen_proven.insert(row.key.clone());
                continue;
            }
            let is_wanted = !row.origins.is_empty();
            if is_wanted && self.seen_proven.contains(&row.key) {
                let observed = Observed {
                    domain: row.domain.clone(),
                    desired: true,
                    covered_by: None,
                    has_provider: true,
                    sighting: row.sighting.clone(),
                    read_at: row.read_at,
                    upkeep: row.upkeep.clone(),
                    ledger: Vec::new(),
                };
                assert!(observed.is_lapsed(reuse, now), "I20: {observed:?}");
            }
        }
    }

    /// Every desired domain is valid, on its way with a next moment, or held with a reason
    /// (invariant I15).
    pub async fn no_domain_is_forgotten(&self) {
        for row in self
            .rows()
            .await
            .iter()
            .filter(|row| !row.origins.is_empty())
        {
            let soon = self.clock.now() + SignedDuration::from_hours(6);
            // As far as the last check knows; the next one will know better.
            let known = row.sighting.registration().and_then(|r| {
                let reuse = &self.policy.of(&row.ca).reuse;
                r.usable_until(reuse, self.clock.now())
            });
            let valid = known.is_some() && row.due_at.is_some();
            if row.read_at.is_none() {
                continue; // every listing failed so far, and each run says so
            }
            let moving = row.due_at.is_some_and(|at| at <= soon);
            assert!(
                valid || moving || row.upkeep.setback.hold.is_some(),
                "I15: {row:?}"
            );
        }
    }

    /// How many records of ours are or may be in the zones.
    pub async fn open_values(&self) -> usize {
        self.store
            .open_entries(None)
            .await
            .unwrap()
            .iter()
            .filter(|entry| entry.state.is_open())
            .count()
    }

    pub async fn is_clean(&self) {
        let open = self.store.open_entries(None).await.unwrap();
        assert!(
            open.iter().all(|entry| !entry.state.is_open()),
            "L-2: {open:?}"
        );
        for domain in &self.domains {
            let left: Vec<_> = self.zones.values(domain.as_str());
            assert_eq!(left.len(), self.foreign[domain].len(), "L-2: {domain}");
            assert_eq!(self.cnames_below(domain), [], "L-2: {domain}");
        }
    }

    /// The CNAMEs in the zone of a domain: owner and target.
    pub fn cnames_below(&self, domain: &DomainName) -> Vec<(String, String)> {
        let lines = self.zones.dump(domain.as_str()).into_iter();
        let words = lines.filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                [owner, _, "CNAME", target] => Some((owner.to_owned(), target.to_owned())),
                _ => None,
            }
        });
        words.collect()
    }
}

/// The constants of a CA that carries orders out.
fn by_orders_terms() -> Terms {
    Terms {
        start_keeps_proof: Some(true),
        checks_by_itself: true,
        ..Policy::new(Mode::Manage).terms()
    }
}

/// What a name server answers for TXT at a name, or the target of its CNAME.
fn at_name(zones: &MemoryZones, owner: &str) -> Vec<Vec<u8>> {
    let target = zones.cname(owner).map(String::into_bytes);
    zones.values(owner).into_iter().chain(target).collect()
}

pub fn target() -> Target {
    Target::new("model", ClientSelector::Reference("cli-1".to_owned()))
}

/// The client at the second CA.
pub fn other_target() -> Target {
    Target::new("other", ClientSelector::Reference("cli-1".to_owned()))
}

/// The gate: primary and secondary, by a check.
struct Eye {
    zones: MemoryZones,
    clock: SimulatedClock,
    witness: Shared,
}

impl fmt::Debug for Eye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Eye")
    }
}

#[async_trait]
impl DnsChecker for Eye {
    fn mode(&self, _: &DomainName) -> GateMode {
        self.witness.lock().unwrap().mode
    }

    async fn check(&self, question: &Question<'_>) -> Verdict {
        let &Question {
            domain,
            wanted,
            published_for,
            in_sync,
            by_others,
            ..
        } = question;
        let owner = question.owner();
        let value = wanted.as_str();
        let primary = at_name(&self.zones, owner.as_str()).contains(&value.as_bytes().to_vec());
        let mut witness = self.witness.lock().unwrap();
        let secondary = witness
            .stale
            .get(owner.as_str())
            .map_or(primary, |old| old.contains(&value.as_bytes().to_vec()));
        let mode = match witness.mode {
            GateMode::Provider | GateMode::Delay if by_others => GateMode::Authoritative,
            mode => mode,
        };
        // Resolvers keep what they know for a day.
        let is_told = mode != GateMode::Resolvers || published_for.as_secs() >= 86_400;
        if witness.lasting {
            let mut verdict = Verdict::new(mode, false, "port 53 is redirected".to_owned());
            verdict.lasting = true;
            return verdict;
        }
        if witness.deaf {
            return Verdict::new(mode, false, "no name server gave an answer".to_owned());
        }
        let by_provider = [InSync::Yes, InSync::Unnamed].contains(&in_sync);
        let go = match mode {
            GateMode::Provider => by_provider,
            GateMode::Delay => true,
            GateMode::Authoritative | GateMode::Resolvers => primary && secondary,
        };
        let bogus = witness.bogus.get(domain.as_str()).cloned();
        if let Some(time) = witness.slow.get(domain.as_str()) {
            self.clock.advance(*time);
        }
        if go && bogus.is_none() {
            let record = (owner.as_str().to_owned(), value.to_owned());
            witness.go.push((record.0, record.1, self.clock.now()));
        }
        Verdict {
            mode,
            go,
            gone: !primary && !secondary && is_told,
            bogus,
            cached_until: witness.cached_until,
            cause: format!("primary {primary}, secondary {secondary}"),
            lasting: false,
            end: None,
            warnings: vec!["ns3 gave no answer".to_owned()],
            servers: [("ns1", primary), ("ns2", secondary)]
                .into_iter()
                .map(|(name, has)| ServerAnswer {
                    name: Some(name.to_owned()),
                    address: ([192, 0, 2, 1], 53).into(),
                    answer: if has { Answer::Match } else { Answer::NoMatch },
                    detail: "as asked".to_owned(),
                })
                .collect(),
        }
    }

    async fn live_zone(&self, domain: &RecordName) -> Result<Option<LiveZone>, String> {
        let name_servers = self.witness.lock().unwrap().live.clone();
        Ok((!name_servers.is_empty()).then(|| LiveZone {
            apex: domain.as_str().to_owned(),
            name_servers,
        }))
    }

    async fn lifetimes(&self, domain: &RecordName, _: RecordKind) -> Option<Lifetimes> {
        Some(Lifetimes {
            txt_ttl: self.zones.ttl(domain.as_str()),
            negative_ttl: 300,
        })
    }
}

/// The domain that a record belongs to: all of them have two labels.
fn domain_of(owner: &str) -> DomainName {
    let labels: Vec<&str> = owner.rsplit('.').take(2).collect();
    DomainName::from_a_labels(&format!("{}.{}", labels[1], labels[0])).unwrap()
}

/// The provider, with a witness of what is removed and when.
struct Watched {
    inner: MemoryProvider,
    cas: Vec<ModelCa>,
    store: Arc<SqliteStore>,
    clock: SimulatedClock,
    witness: Shared,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

#[async_trait]
impl Provider for Watched {
    fn kind(&self) -> &'static str {
        "memory"
    }
    async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError> {
        self.inner.find_zone(owner).await
    }
    async fn inspect(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        self.inner.inspect(owner).await
    }
    async fn ensure_present(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.inner.ensure_present(records).await
    }
    async fn ensure_absent(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        let open = self.store.open_entries(None).await.unwrap();
        for record in records {
            let (RecordData::Txt(value) | RecordData::Cname(value)) = &record.data;
            let domain = domain_of(&record.owner);
            let rows = self.store.rows_of(std::slice::from_ref(&domain)).await;
            let rows = rows.unwrap();
            let is_it = |challenge: &Challenge| {
                challenge.owner.as_str() == record.owner && challenge.data.as_str() == value
            };
            // The value that a CA waits for may not go, even if another client is no longer needed
            // it.
            let now = self.clock.now();
            // What a client knows that its CA waits for, published or not. A client that waits for a
            // person publishes its record when the person has come.
            let knows = |place: usize| {
                let is_own = |key: &RowKey| key.further_client().is_some() == (place == 1);
                let mut own = open.iter().filter(|entry| entry.state.is_open());
                let has_entry = own.any(|entry| {
                    let is_here = entry.owner == record.owner && entry.value == *value;
                    is_here && is_own(&entry.key)
                });
                let row = rows.iter().find(|row| is_own(&row.key));
                let is_shown = row.is_some_and(|row| {
                    let found = row.sighting.registration();
                    let token = found.and_then(|it| it.token.as_ref().map(|t| it.challenge_of(t)));
                    let shown = found.and_then(|found| found.challenge.as_deref().cloned());
                    let known = [token, shown, row.upkeep.attempt.challenge.clone()];
                    let waits =
                        row.upkeep.setback.hold.is_some() || row.upkeep.calls.unanswered.is_some();
                    !waits && known.iter().flatten().any(is_it)
                });
                has_entry || is_shown
            };
            let needed = self.cas.iter().enumerate().any(|(place, ca)| {
                let proved = ca.valid_until(&domain).is_some();
                let (mut current, mut under_way) = (false, false);
                for entry in ca.state.lock().unwrap().entries.values() {
                    let is_it = entry.domain == domain && is_it(&ca.wanted(entry));
                    current |= is_it && (!ca.by_orders || entry.order.is_some());
                    let submitted = entry.order.as_ref().and_then(|order| order.submitted);
                    // The CA may have proved it by now, without a question.
                    under_way |= is_it && submitted.is_some_and(|(_, next)| next > now);
                }
                current && !proved && (self.cas.len() == 1 || knows(place)) || under_way
            });
            let witness = self.witness.lock().unwrap();
            let wanted = witness.desired.contains(&domain) && !witness.withdrawn.contains(&domain);
            drop(witness);
            let is_ours = value.starts_with("swiss-pki=model") || value.ends_with(TARGETS);
            if (wanted && needed) || !is_ours {
                let what = format!("{record} at {}", self.clock.now());
                self.witness.lock().unwrap().bad_removals.push(what);
            }
        }
        self.inner.ensure_absent(records).await
    }
    async fn preflight(&self, owner: &str, kind: RecordKind) -> Result<Preflight, ProviderError> {
        let proven = self.inner.preflight(owner, kind).await?;
        let mut witness = self.witness.lock().unwrap();
        let at = self.clock.now();
        witness.preflights.push((owner.to_owned(), at));
        witness.preflight_kinds.push(kind);
        drop(witness);
        Ok(proven)
    }
    async fn in_sync(&self, change_id: &str) -> Result<Option<bool>, ProviderError> {
        let mut witness = self.witness.lock().unwrap();
        witness.asked.push(change_id.to_owned());
        let synced = witness
            .in_sync
            .as_ref()
            .ok_or_else(|| ProviderError::new(ErrorKind::Unavailable, "no answer"))?;
        Ok(Some(synced.contains(change_id)))
    }
}
