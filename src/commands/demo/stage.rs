//! The demo's world: a sandbox on a clock of its own, and the real program before it: client,
//! provider, gate, store, worker.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::super::app::App;
use super::super::{Exit, Failed};
use crate::clock::SimulatedClock;
use crate::config;
use crate::prevalidation::DomainName;
use crate::sandbox::{self, Sandbox};
use crate::store::sqlite::SqliteStore;
use crate::store::{Event, Store};
use crate::worker::{ListingState, Options, Ports, Worker};

/// How long a run of the demo stays: longer than the slow name server needs.
const WAIT: SignedDuration = SignedDuration::from_hours(1);

pub(super) struct Stage {
    pub(super) clock: SimulatedClock,
    pub(super) sandbox: Arc<Sandbox>,
    /// How often `run` ran.
    pub(super) runs: u32,
    pub(super) app: App,
    ports: Ports,
    store: SqliteStore,
    witness: Arc<Witness>,
    stop: CancellationToken,
}

/// What happened, with the zone and the CA's word as they were at that moment.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) event: Event,
    /// The TXT values at the domain.
    pub(super) txt: Vec<String>,
    /// Their TTL, seconds.
    pub(super) ttl: Option<u32>,
    /// The end of the proof that counts.
    pub(super) until: Option<Timestamp>,
}

/// One proof as the CA showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(super) struct Shown {
    pub(super) validated: Timestamp,
    pub(super) until: Timestamp,
}

/// Reads the sandbox itself, never through the program that is shown.
#[derive(Debug)]
struct Witness {
    sandbox: Arc<Sandbox>,
    domains: Vec<DomainName>,
    /// Every record of every zone before anything was done.
    zones: BTreeMap<DomainName, Vec<String>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    heard: Vec<Heard>,
    proofs: BTreeMap<DomainName, Vec<Shown>>,
    lost: BTreeSet<DomainName>,
}

impl Stage {
    /// Everything started, nothing done yet.
    pub(super) async fn start(
        directory: &Path,
        domains: Vec<DomainName>,
        begin: Timestamp,
        stop: CancellationToken,
    ) -> Result<Self, Failed> {
        let clock = SimulatedClock::at(begin);
        let options = sandbox::Options::new(directory, Arc::new(clock.clone()), domains.clone());
        let sandbox = Sandbox::start(options).await;
        let sandbox =
            Arc::new(sandbox.map_err(|error| Failed::new(Exit::Temporary, error.to_string()))?);
        let file = directory.join("prevalidate.toml");
        std::fs::write(&file, sandbox.configuration()).map_err(|error| {
            Failed::new(
                Exit::Temporary,
                format!("cannot write {}: {error}", file.display()),
            )
        })?;
        let mut settings =
            config::load(&file).map_err(|error| Failed::new(Exit::Usage, error.to_string()))?;
        // Calls are spaced in real time, which does not pass here.
        settings
            .cas
            .values_mut()
            .for_each(|ca| ca.rate.count = 1_000);
        let app = App::new(settings, Arc::new(clock.clone()));
        let store = SqliteStore::open(&app.settings.store_url, Some(&app.fingerprint())).await?;
        let ports = app.ports(Arc::new(store.clone()))?;
        let witness = Arc::new(Witness::new(Arc::clone(&sandbox), domains));
        Ok(Self {
            clock,
            sandbox,
            runs: 0,
            app,
            ports,
            store,
            witness,
            stop,
        })
    }

    /// Does a `prevalidate run` for all domains or for one. Returns the events of this run.
    pub(super) async fn run(&mut self, only: Option<&DomainName>) -> Result<Vec<Heard>, Failed> {
        self.runs += 1;
        self.witness.observe();
        self.app.pretend(&self.store).await?;
        let witness = Arc::clone(&self.witness);
        let options = Options {
            only: only.map(|domain| vec![domain.into()]),
            lanes: 1,
            ..Options::new("demo", format!("night-{}", self.runs))
        };
        let worker = Worker::new(
            self.ports.clone(),
            self.app.policy.clone(),
            self.app.targets.clone(),
            options,
            self.stop.clone(),
            Arc::new(move |event| witness.hear(event)),
        );
        worker.run(WAIT).await?;
        self.witness.observe();
        if self.stop.is_cancelled() {
            return Err(Failed::new(
                Exit::Temporary,
                "stopped before its end; nothing is left behind",
            ));
        }
        for (client, state) in worker.listings() {
            if state != ListingState::Done {
                return Err(Failed::new(
                    Exit::Ca,
                    format!("the listing of {client} did not work: {state:?}"),
                ));
            }
        }
        Ok(std::mem::take(&mut self.witness.seen().heard))
    }

    /// Every proof of a domain so far.
    pub(super) fn proofs(&self, domain: &DomainName) -> Vec<Shown> {
        self.witness
            .seen()
            .proofs
            .get(domain)
            .cloned()
            .unwrap_or_default()
    }

    /// The domains that once had a proof and were seen without one later.
    pub(super) fn lost(&self) -> BTreeSet<DomainName> {
        self.witness.seen().lost.clone()
    }

    /// Whether a zone says what it said before anything was done, on every name server.
    pub(super) fn is_as_before(&self, domain: &DomainName) -> bool {
        let servers = 0..self.sandbox.dns.addresses().len();
        let records = |server| {
            self.sandbox
                .dns
                .zone(server, domain.as_str())
                .map(|zone| zone.records())
        };
        servers
            .into_iter()
            .all(|server| records(server).as_ref() == self.witness.zones.get(domain))
    }

    /// Lets go of every file.
    pub(super) async fn close(self) {
        self.sandbox.stop();
        self.store.close().await;
    }

    /// Records of ours that the ledger still counts as in a zone.
    pub(super) async fn open_entries(&self) -> Result<usize, Failed> {
        Ok(self.store.open_entries(None).await?.len())
    }
}

impl Witness {
    fn new(sandbox: Arc<Sandbox>, domains: Vec<DomainName>) -> Self {
        let records = |domain: &DomainName| {
            let zone = sandbox.dns.zone(0, domain.as_str());
            (
                domain.clone(),
                zone.map(|zone| zone.records()).unwrap_or_default(),
            )
        };
        let zones = domains.iter().map(records).collect();
        Self {
            sandbox,
            domains,
            zones,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observe(&self) {
        let mut seen = self.seen();
        for domain in &self.domains {
            let counts = self
                .sandbox
                .ca
                .domain(domain.as_str())
                .filter(|shown| shown.validated);
            let proof = counts.and_then(|shown| {
                Some(Shown {
                    validated: shown.time_validated?,
                    until: shown.time_expired?,
                })
            });
            let Seen { proofs, lost, .. } = &mut *seen;
            match (proof, proofs.entry(domain.clone()).or_default()) {
                (Some(proof), proofs) if proofs.last() != Some(&proof) => proofs.push(proof),
                (None, proofs) if !proofs.is_empty() => drop(lost.insert(domain.clone())),
                _ => {}
            }
        }
    }

    fn hear(&self, event: &Event) {
        self.observe();
        let Some(domain) = &event.domain else { return };
        let zone = self.sandbox.dns.zone(0, domain.as_str());
        let heard = Heard {
            event: event.clone(),
            txt: zone
                .as_ref()
                .map(|zone| zone.txt_values(domain.as_str()))
                .unwrap_or_default(),
            ttl: zone.and_then(|zone| zone.txt_ttl(domain.as_str())),
            until: self
                .sandbox
                .ca
                .domain(domain.as_str())
                .filter(|shown| shown.validated)
                .and_then(|d| d.time_expired),
        };
        self.seen().heard.push(heard);
    }
}
