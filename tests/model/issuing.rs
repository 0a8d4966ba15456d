//! The second life against a world in memory: a CA that issues real certificates, zones for the
//! records of an order, a store, and files on the disk; and what must hold after every step.

mod crash;
mod matrix;
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use prevalidate::ca::in_memory::{CLIENT, InMemory};
use prevalidate::ca::issuing::{Subject, Wanted as WantedInDns};
use prevalidate::ca::{ClientSelector, Issuing};
use prevalidate::certificates::folder::Live;
use prevalidate::certificates::{Access, Folder, KeyKind};
use prevalidate::clock::{Clock, SimulatedClock};
use prevalidate::issuance::{Lead, OrderState, Progress, Wanted};
use prevalidate::prevalidation::{Challenge, Counts, DomainName, Mode, Policy};
use prevalidate::propagation::{DnsChecker, GateMode, Question, Verdict, Wanted as DnsWanted};
use prevalidate::store::Store;
use prevalidate::store::orders::WantedCertificate;
use prevalidate::store::sqlite::SqliteStore;
use prevalidate::worker::issue::{
    ByHand, Certificate, IssueOptions, IssuePorts, Issuer, KeySource,
};
use prevalidate::worker::{Target, reference_fact};
use prevalidate_providers::Provider;
use prevalidate_providers::memory::{MemoryProvider, MemoryZones};
use tokio_util::sync::CancellationToken;

use super::crash::{Fuse, Mortal};

const NAME: &str = "www";
const LEASE: SignedDuration = SignedDuration::from_mins(5);
const TXT: (&str, &str) = ("_dnsauth.example.ch", "a-value");
const CNAME: (&str, &str) = ("_abc.www.example.ch", "target.ca.test");

/// A gate that sees what is in the zones.
#[derive(Debug)]
struct Gate(MemoryZones);

#[async_trait]
impl DnsChecker for Gate {
    async fn check(&self, question: &Question<'_>) -> Verdict {
        let owner = question.owner();
        let go = match question.wanted {
            DnsWanted::Txt(value) => {
                let values = self.0.values(owner.as_str());
                values.contains(&value.as_bytes().to_vec())
            }
            DnsWanted::Cname(target) => self.0.cname(owner.as_str()).as_deref() == Some(target),
        };
        Verdict::new(GateMode::default(), go, String::new())
    }
}

/// One certificate, whose orders bring two records with them.
struct World {
    clock: Arc<SimulatedClock>,
    ca: Arc<InMemory>,
    zones: MemoryZones,
    store: Arc<dyn Store>,
    fuse: Arc<Fuse>,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(SimulatedClock::at("2026-11-29T12:00:00Z".parse().unwrap()));
        let store = SqliteStore::open("sqlite::memory:", None).await.unwrap();
        let target = Target::new("memory", ClientSelector::Reference(CLIENT.to_owned()));
        let fact = reference_fact(&target.key);
        store.set_fact(&fact, CLIENT).await.unwrap();
        let ca = InMemory::new(Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let (domain, by) = (
            DomainName::from_a_labels("example.ch").unwrap(),
            Counts::Published,
        );
        ca.change(|ca| {
            ca.works_for = SignedDuration::from_secs(3);
            ca.wants = WantedInDns {
                challenges: vec![
                    Challenge::txt(&domain, TXT.0, TXT.1, by).unwrap(),
                    Challenge::cname(&domain, CNAME.0, CNAME.1, by).unwrap(),
                ],
                answer: Some("opaque".to_owned()),
            };
        });
        Self {
            ca: Arc::new(ca),
            clock,
            zones: MemoryZones::new().with_zone("example.ch"),
            store: Arc::new(store),
            fuse: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn certificate(&self) -> Certificate {
        Certificate {
            wanted: Wanted {
                name: NAME.to_owned(),
                print: "first".to_owned(),
                renew_before: Lead::default(),
                deploys: true,
                keeps_key: false,
            },
            ca: "memory".to_owned(),
            client: Some(Target::new(
                "memory",
                ClientSelector::Reference(CLIENT.to_owned()),
            )),
            product: "Memory SSL".to_owned(),
            duplicate_of: None,
            validates_in_order: true,
            subject: Subject::Names(vec!["www.example.ch".to_owned()]),
            key: KeySource::Made(KeyKind::EcdsaP256),
            deploy: vec!["/bin/true".to_owned()],
            deploy_timeout: Duration::from_secs(10),
            access: Access::default(),
            keep: 5,
            p12_password: None,
            term: None,
            comments: None,
            requester: None,
            fields: BTreeMap::new(),
            contact: None,
        }
    }

    /// A process of its own, which dies where the fuse says.
    async fn process(&self) -> Issuer {
        let wanted = [WantedCertificate {
            name: NAME.to_owned(),
            ca: "memory".to_owned(),
        }];
        let orders = self.store.orders();
        let synced = orders.sync_certificates(&wanted, self.clock.now());
        synced.await.unwrap();
        let ca = Arc::clone(&self.ca) as Arc<dyn Issuing>;
        let provider = Arc::new(MemoryProvider::new(self.zones.clone())) as Arc<dyn Provider>;
        let ports = IssuePorts {
            cas: BTreeMap::new(),
            issuers: BTreeMap::from([(
                "memory".to_owned(),
                Mortal::new(ca, &self.fuse) as Arc<dyn Issuing>,
            )]),
            providers: BTreeMap::from([(
                "memory".to_owned(),
                Mortal::new(provider, &self.fuse) as Arc<dyn Provider>,
            )]),
            checker: Some(Arc::new(Gate(self.zones.clone()))),
            store: Mortal::new(Arc::clone(&self.store), &self.fuse),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
        };
        let options = IssueOptions {
            holder: "model/1".to_owned(),
            configuration: Default::default(),
            run: "model".to_owned(),
            only: None,
            lease: LEASE,
            directory: self.directory(),
            home: "here".to_owned(),
            host: "machine".to_owned(),
            shares: true,
            hosts: BTreeMap::new(),
            faults: BTreeMap::new(),
            lanes: 1,
            observes: false,
            orders: true,
            only_revokes: false,
        };
        let (policy, stop) = (Policy::new(Mode::Manage), CancellationToken::new());
        let wanted = vec![self.certificate()];
        Issuer::new(ports, policy, wanted, options, stop, Arc::new(|_| {}))
    }

    fn directory(&self) -> std::path::PathBuf {
        self.folder.path().join("certificates")
    }

    /// One run, for as long as this. False: it died, and its lease has ended since.
    async fn run(&self, wait: SignedDuration) -> bool {
        let process = self.process().await;
        let over = CancellationToken::new();
        over.cancel();
        let deadline = self.clock.now() + wait;
        let lives = tokio::select! {
            outcome = process.run(deadline, &over) => { outcome.unwrap(); true }
            () = self.fuse.blown.notified() => false,
        };
        self.buried(lives)
    }

    /// What a person orders. `None`: the process died over it.
    async fn by_hand(&self, order: ByHand) -> Option<Result<(), String>> {
        let process = self.process().await;
        let outcome = tokio::select! {
            outcome = process.by_hand(NAME, order) => Some(outcome.unwrap()),
            () = self.fuse.blown.notified() => None,
        };
        self.buried(outcome.is_some());
        outcome.map(|done| done.map_err(|refused| refused.why))
    }

    fn buried(&self, lives: bool) -> bool {
        if !lives {
            self.clock.advance(LEASE + SignedDuration::from_secs(1));
        }
        lives
    }

    async fn progress(&self) -> Progress {
        let row = self.store.orders().certificate(NAME).await.unwrap();
        row.map(|row| row.progress).unwrap_or_default()
    }

    /// What servers read. Key and certificate match, always.
    fn live(&self) -> Option<Live> {
        let folder = Folder::at(&self.directory(), NAME, Access::default());
        let live = folder.live().unwrap()?;
        let key = folder.key(live.version).unwrap().unwrap();
        assert_eq!(key.fingerprint(), live.facts.fingerprint);
        Some(live)
    }

    /// What holds at every moment.
    fn check(&self) {
        self.live();
        let held = self.ca.held();
        let tags: BTreeSet<&str> = held.iter().map(|one| &*one.intent.tag).collect();
        assert_eq!(tags.len(), held.len(), "an order was made twice");
        for one in &held {
            let answer = one.intent.answer.as_deref();
            assert_eq!(answer, Some("opaque"), "ordered before its records");
        }
    }

    /// How many orders of the CA may still become a certificate.
    async fn open(&self) -> usize {
        let shown = self.ca.orders(CLIENT).await.unwrap().orders;
        shown.iter().filter(|one| one.state.is_open()).count()
    }

    /// Nothing of an order is left in DNS.
    fn is_clean(&self) -> bool {
        self.zones.values(TXT.0).is_empty() && self.zones.cname(CNAME.0).is_none()
    }

    /// How many certificates the CA says are revoked.
    async fn revoked(&self) -> usize {
        let shown = self.ca.orders(CLIENT).await.unwrap().orders;
        let revoked = shown.iter().filter(|one| one.state == OrderState::Revoked);
        revoked.count()
    }
}
