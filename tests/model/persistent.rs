//! Persistent records against a world in memory: zones with a secondary that is behind, a CA that
//! checks again every 8 days in the ways of both public validators, and the invariants after every
//! step.

mod matrix;
mod months;
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use prevalidate::clock::{Clock, SimulatedClock};
use prevalidate::persistent::{End, Kept, KeptState, Validator, Wanted};
use prevalidate::prevalidation::{DomainName, RecordName};
use prevalidate::propagation::{DnsChecker, GateMode, Question, Verdict};
use prevalidate::store::Store;
use prevalidate::store::persistent::PersistentRecords as _;
use prevalidate::store::sqlite::SqliteStore;
use prevalidate::worker::Ports;
use prevalidate::worker::persist::{KeepOptions, Keeper, Passed};
use prevalidate_providers::memory::{MemoryProvider, MemoryZones};
use prevalidate_providers::{Provider, TxtRecord};
use tokio_util::sync::CancellationToken;

use super::crash::{Fuse, Mortal};

const START: &str = "2026-12-01T02:00:00Z";
const SPF: &str = "v=spf1 -all";
const ISSUER: &str = "ca.example";
/// A record of another CA at the same name, by another writer.
const OTHER: &str =
    "other.example; accounturi=https://other.example/acct/9; persistUntil=1999999999";
const LEASE: SignedDuration = SignedDuration::from_mins(5);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What the secondary of each zone has, by owner.
type Secondary = Arc<Mutex<BTreeMap<String, Vec<Vec<u8>>>>>;

/// Two name servers of each zone.
#[derive(Debug, Clone)]
struct Eye {
    zones: MemoryZones,
    secondary: Secondary,
}

impl Eye {
    /// What each of the two servers has.
    fn at(&self, owner: &str) -> [Vec<Vec<u8>>; 2] {
        let behind = self.secondary.lock().unwrap().get(owner).cloned();
        [self.zones.values(owner), behind.unwrap_or_default()]
    }
}

#[async_trait]
impl DnsChecker for Eye {
    async fn check(&self, question: &Question<'_>) -> Verdict {
        let owner = question.owner();
        let has = |values: &Vec<Vec<u8>>| {
            let mut values = values.iter();
            values.any(|value| value == question.wanted.as_str().as_bytes())
        };
        let have = self
            .at(owner.as_str())
            .iter()
            .filter(|&values| has(values))
            .count();
        let cause = format!("{have} of 2 have it");
        Verdict {
            gone: have == 0,
            ..Verdict::new(GateMode::Authoritative, have == 2, cause)
        }
    }

    async fn texts(&self, owner: &RecordName) -> Result<Vec<Vec<Vec<u8>>>, String> {
        Ok(self
            .zones
            .values(owner.as_str())
            .into_iter()
            .map(|value| vec![value])
            .collect())
    }
}

struct World {
    clock: SimulatedClock,
    eye: Eye,
    store: Arc<SqliteStore>,
    fuse: Arc<Fuse>,
    wanted: Vec<Wanted>,
    domains: Vec<DomainName>,
    /// Names at which another writer dropped our record since it was last seen whole.
    dropped: BTreeSet<DomainName>,
    /// Names whose record was on both servers once, and is wanted since.
    kept_records: BTreeSet<DomainName>,
}

fn owner(domain: &DomainName) -> String {
    format!("_validation-persist.{domain}")
}

fn account(number: u32) -> String {
    format!("https://acme.ca.example/acct/{number}")
}

impl World {
    async fn new(count: usize) -> Self {
        let clock = SimulatedClock::at(START.parse().unwrap());
        let mut zones = MemoryZones::new();
        let domains: Vec<DomainName> = (0..count)
            .map(|n| DomainName::from_a_labels(&format!("d{n:02}.ch")).unwrap())
            .collect();
        for domain in &domains {
            zones = zones.with_zone(domain.as_str());
            zones.put(domain.as_str(), 3600, TxtRecord::of(SPF));
            zones.put(&owner(domain), 1800, TxtRecord::of(OTHER));
        }
        let wanted = domains.iter().enumerate().map(|(n, domain)| Wanted {
            domain: domain.clone(),
            issuer: ISSUER.to_owned(),
            account: account(1),
            end: End::Rolling {
                life: DAY * 130,
                replace_before: DAY * 30,
            },
            wildcard: false,
            provider: None,
            canary: DAY,
            is_canary: n == 0,
        });
        let eye = Eye {
            zones,
            secondary: Secondary::default(),
        };
        let world = Self {
            clock,
            eye,
            store: Arc::new(SqliteStore::open("sqlite::memory:", None).await.unwrap()),
            fuse: Arc::default(),
            wanted: wanted.collect(),
            domains,
            dropped: BTreeSet::new(),
            kept_records: BTreeSet::new(),
        };
        world.transfer();
        world
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The secondary gets what the primary has.
    fn transfer(&self) {
        let mut secondary = self.eye.secondary.lock().unwrap();
        for domain in &self.domains {
            let owner = owner(domain);
            let values = self.eye.zones.values(&owner);
            secondary.insert(owner, values);
        }
    }

    fn keeper(&self, force: bool) -> Keeper {
        let provider: Arc<dyn Provider> = Arc::new(MemoryProvider::new(self.eye.zones.clone()));
        let provider: Arc<dyn Provider> = Mortal::new(provider, &self.fuse);
        let store: Arc<dyn Store> = self.store.clone();
        let ports = Ports {
            cas: BTreeMap::new(),
            providers: BTreeMap::from([("memory".to_owned(), provider)]),
            checker: Arc::new(self.eye.clone()),
            store: Mortal::new(store, &self.fuse),
            clock: Arc::new(self.clock.clone()),
        };
        let options = KeepOptions {
            holder: "model".to_owned(),
            run: "model".to_owned(),
            only: None,
            lease: LEASE,
            lanes: 1,
            poll: SignedDuration::from_secs(5),
            force,
            observes: false,
            keeps_unwanted: false,
            noted_every: SignedDuration::from_hours(1),
        };
        let stop = CancellationToken::new();
        Keeper::new(ports, self.wanted.clone(), options, stop, Arc::new(|_| {}))
    }

    /// One pass of a new process; `None` where it died.
    async fn pass_by(&mut self, force: bool) -> Option<Passed> {
        let keeper = self.keeper(force);
        let passed = tokio::select! {
            passed = keeper.pass() => Some(passed.unwrap()),
            () = self.fuse.blown.notified() => None,
        };
        if passed.is_none() {
            self.clock.advance(LEASE + SignedDuration::from_secs(1));
        }
        self.check().await;
        passed
    }

    async fn pass(&mut self) -> Option<Passed> {
        self.pass_by(false).await
    }

    /// A nightly run: passes until nothing is due soon, while the secondary keeps up.
    async fn night(&mut self) -> bool {
        for _ in 0..20 {
            let Some(passed) = self.pass().await else {
                return false;
            };
            self.transfer();
            self.check().await;
            let soon = self.now() + SignedDuration::from_mins(10);
            match passed.next() {
                Some(next) if next <= soon => {
                    self.clock.advance(SignedDuration::from_secs(5));
                }
                _ => break,
            }
        }
        true
    }

    async fn rows(&self) -> BTreeMap<DomainName, Kept> {
        let rows = self.store.persistent_rows().await.unwrap();
        rows.into_iter().map(|row| (row.domain, row.kept)).collect()
    }

    /// Our values at a domain, as the primary has them.
    fn ours(&self, domain: &DomainName) -> Vec<String> {
        let values = self.eye.zones.values(&owner(domain)).into_iter();
        let values = values.map(|value| String::from_utf8(value).unwrap());
        values.filter(|value| value != OTHER).collect()
    }

    /// Another writer drops our records at a domain.
    fn drop_at(&mut self, domain: &DomainName) {
        for value in self.ours(domain) {
            self.eye.zones.take(&owner(domain), &value);
        }
        self.transfer();
        self.dropped.insert(domain.clone());
    }

    /// The first domain is the canary, as in a configuration.
    fn elect(&mut self) {
        let all = self.wanted.iter_mut().enumerate();
        all.for_each(|(nth, one)| one.is_canary = nth == 0);
    }

    fn set_account(&mut self, number: u32) {
        self.wanted
            .iter_mut()
            .for_each(|one| one.account = account(number));
    }

    /// Whether a CA that asks either server, in the way of either validator, finds a record of one
    /// of the accounts.
    fn is_valid(&self, domain: &DomainName, accounts: &[String]) -> bool {
        let servers = self.eye.at(&owner(domain));
        servers.iter().all(|values| {
            Validator::ALL.iter().all(|validator| {
                values.iter().any(|value| {
                    let record = [value.clone()];
                    accounts.iter().any(|account| {
                        validator
                            .judge(&record, ISSUER, account, self.now())
                            .is_ok()
                    })
                })
            })
        })
    }

    /// The invariants of persistent records that a zone and the store show.
    async fn check(&mut self) {
        let rows = self.rows().await;
        let all: Vec<String> = (1..10).map(account).collect();
        for domain in self.domains.clone() {
            let (at, now) = (owner(&domain), self.now());
            assert_eq!(
                self.eye.zones.values(domain.as_str()),
                [SPF.as_bytes()],
                "{now} {domain}: I22"
            );
            assert_eq!(
                self.eye.zones.ttl(domain.as_str()),
                Some(3600),
                "{domain}: I22"
            );
            assert_eq!(self.eye.zones.ttl(&at), Some(1800), "{now} {domain}: I22");
            let other = OTHER.as_bytes().to_vec();
            assert!(
                self.eye.zones.values(&at).contains(&other),
                "{now} {domain}: I22"
            );
            let ours = self.ours(&domain);
            let nothing = Kept::default();
            let kept = rows.get(&domain).unwrap_or(&nothing);
            for value in &ours {
                let is_known = kept.records.iter().any(|record| record.value == *value);
                assert!(is_known, "{now} {domain}: I23: {value} is in no ledger");
            }
            let is_leaving = |state| state == KeptState::Removing;
            let records = kept.records.iter();
            let leaving = records.filter(|record| is_leaving(record.state)).count();
            assert!(
                ours.len() <= 2 + leaving && kept.records.len() <= (2 + leaving).min(4),
                "{now} {domain}: I24: {ours:?}"
            );
            let is_wanted = self.wanted.iter().any(|one| one.domain == domain);
            if !is_wanted || kept.withdrawn_at.is_some() {
                self.kept_records.remove(&domain);
                continue;
            }
            let is_valid = self.is_valid(&domain, &all);
            if is_valid {
                self.dropped.remove(&domain);
            }
            // One that is being removed, because it was not wanted for a while, goes first.
            if is_valid && kept.current().is_some() {
                self.kept_records.insert(domain.clone());
            }
            let may_lack = self.dropped.contains(&domain);
            assert!(
                is_valid || may_lack || !self.kept_records.contains(&domain),
                "{now} {domain}: I25: a gap: {kept:?}"
            );
        }
    }

    /// Everything that is wanted is visible, and nothing else is there.
    async fn settled(&self, number: u32) {
        let rows = self.rows().await;
        for domain in &self.domains {
            let is_wanted = self.wanted.iter().any(|one| one.domain == *domain);
            let ours = self.ours(domain);
            assert_eq!(ours.len(), usize::from(is_wanted), "{domain}: {ours:?}");
            match is_wanted {
                true => assert!(
                    self.is_valid(domain, &[account(number)]),
                    "{domain}: {ours:?}"
                ),
                false => assert!(!rows.contains_key(domain), "{domain}: {:?}", rows[domain]),
            }
        }
    }
}
