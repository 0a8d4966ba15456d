//! The reconcile loop. [`Worker::step`] does one thing and returns; [`Worker::run`] is a shell
//! around it.
//!
//! A step is either one listing of a client (one list call, examined by the guard before it is
//! believed) or one round of work: claim what is due, ask the planner about each, and perform the
//! steps, like with like. Intents are committed before an effect and results after it, so a worker
//! may die anywhere: the next listing finds out what is true.

mod beside;
mod budget;
pub mod by_hand;
mod covering;
pub mod crashpoint;
mod facts;
mod hold;
mod intake;
pub mod issue;
mod listing;
mod listings;
mod memory;
mod ordered;
mod perform;
pub mod persist;
pub mod place;
mod plan;
pub mod route;
mod survey;
mod target;
mod task;
pub mod visible;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use prevalidate_providers::Provider;
use tokio_util::sync::CancellationToken;

use crate::ca::Validation;
use crate::ca::ending::Ending;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::prevalidation::{Alarm, Policy, RowKey};
use crate::propagation::DnsChecker;
use crate::store::{Claim, Event, Store, StoreError};

use budget::Pauses;
pub use covering::{Above, Cover, Covering, above};
pub use facts::{
    Failing, failure_fact, reference_fact, refusal_fact, unmanaged, unmanaged_fact, warning_fact,
};
use hold::{Hold, Moment};
pub use intake::Intake;
use listings::{Listings, UnderWay};
pub use target::Target;

/// Everything outside that a worker touches.
#[derive(Debug, Clone)]
pub struct Ports {
    /// The CAs by `[ca.NAME]`.
    pub cas: BTreeMap<String, Arc<dyn Validation>>,
    /// The providers by `[provider.NAME]`.
    pub providers: BTreeMap<String, Arc<dyn Provider>>,
    /// The gate.
    pub checker: Arc<dyn DnsChecker>,
    /// The store, which survives a crash.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// How a worker goes about it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names this worker in leases.
    pub holder: String,
    /// Names this run in the history.
    pub run: String,
    /// Only these rows.
    pub only: Option<Vec<RowKey>>,
    /// Act although the guard refuses.
    pub force: bool,
    /// The domains of `only` are tried at once: what they were held for or waited for may have
    /// changed.
    pub afresh: bool,
    /// How many domains one round claims: whole batches of the CA, so that no `register` is sent
    /// half full.
    pub batch: usize,
    /// How many calls to one server are under way at once.
    pub concurrency: usize,
    /// How many rounds are under way at once.
    pub lanes: usize,
    /// How long a lease lives without being extended; at least three times the longest single
    /// effect (faults W06).
    pub lease: SignedDuration,
    /// For a worker that does not end: how old the last listing of a client may be, by any worker
    /// that shares the store. `None`: each client is listed once.
    pub look_every: Option<SignedDuration>,
    /// Counts the leases that another worker took over.
    pub metrics: Option<Arc<Metrics>>,
    /// The domains that wait for their client to be found at the CA.
    pub intake: Intake,
    /// A listing that fails is remembered, so that other workers hear of it.
    pub remembers_failures: bool,
}

impl Options {
    /// The defaults for a run of this name.
    pub fn new(holder: impl Into<String>, run: impl Into<String>) -> Self {
        Self {
            holder: holder.into(),
            run: run.into(),
            only: None,
            force: false,
            afresh: false,
            batch: 100,
            concurrency: 16,
            lanes: 4,
            lease: SignedDuration::from_mins(5),
            look_every: None,
            metrics: None,
            intake: Intake::default(),
            remembers_failures: true,
        }
    }
}

/// The outcome of one [`Worker::step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Listed a client.
    Listed,
    /// The number of domains that it worked on.
    Worked(usize),
    /// Nothing is due; the earliest moment at which something will be.
    Idle {
        /// `None`: only when something changes.
        next: Option<Timestamp>,
    },
}

/// The work that a worker finds.
pub enum Found<'a> {
    /// A thing to do, which [`Worker::work`] does. Given up, it is free again at once, or when its
    /// leases end.
    Job(Job<'a>),
    /// Nothing; the earliest moment at which something will be.
    Nothing {
        /// `None`: only when something changes.
        next: Option<Timestamp>,
    },
}

/// A thing to do.
pub struct Job<'a>(Task<'a>);

enum Task<'a> {
    List(UnderWay<'a>),
    Round(Vec<crate::store::Lease>, Hold),
}

/// How a listing of a client ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListingState {
    /// Not listed in this run.
    Waiting,
    /// Another lane lists it.
    Running,
    /// Believed and stored.
    Done,
    /// The guard refused it; nothing is done for this client. Without alarms: the listing of
    /// another worker, which said why.
    Refused(Vec<Alarm>),
    /// The CA could not be asked; the error as text, and whether it may pass by itself.
    Failed {
        /// What the CA or the way to it said, with the hint.
        error: String,
        /// Whether the same may succeed later.
        temporary: bool,
    },
}

/// Performs the steps for the domains of some clients.
pub struct Worker {
    ports: Ports,
    policy: Policy,
    targets: Vec<Target>,
    options: Options,
    stop: CancellationToken,
    tell: Arc<dyn Fn(&Event) + Send + Sync>,
    listings: Listings,
    covering: Mutex<BTreeMap<String, Covering>>,
    pauses: Pauses,
    /// The domains that were taken up afresh in this run: once is enough.
    refreshed: Mutex<BTreeSet<RowKey>>,
    routes: place::Routes,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("run", &self.options.run)
            .field("targets", &self.targets)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker that has not listed anything yet. `tell` hears every event as it is stored; `stop`
    /// ends it between two steps.
    pub fn new(
        mut ports: Ports,
        policy: Policy,
        targets: Vec<Target>,
        mut options: Options,
        stop: CancellationToken,
        tell: Arc<dyn Fn(&Event) + Send + Sync>,
    ) -> Self {
        if let Some(only) = &mut options.only {
            only.sort_unstable();
        }
        let listings = Listings::new(&targets, options.look_every);
        for ca in ports.cas.values_mut() {
            *ca = Arc::new(Ending::new(Arc::clone(ca), stop.clone()));
        }
        Self {
            ports,
            policy,
            targets,
            options,
            stop,
            tell,
            listings,
            covering: Mutex::default(),
            pauses: Pauses::default(),
            refreshed: Mutex::default(),
            routes: Mutex::default(),
        }
    }

    /// Does one thing: a listing of a client that is due, or one round of due work.
    pub async fn step(&self) -> Result<Outcome, StoreError> {
        match self.find().await? {
            Found::Job(job) => self.work(job).await,
            Found::Nothing { next } => Ok(Outcome::Idle { next }),
        }
    }

    /// Finds the next thing to do, and claims it.
    pub async fn find(&self) -> Result<Found<'_>, StoreError> {
        let now = self.ports.clock.now();
        if let Some(listing) = self.listings.begin(self.to_list(now), now) {
            return Ok(Found::Job(Job(Task::List(listing))));
        }
        let except_clients = self.idle_clients(now);
        let claim = Claim {
            holder: &self.options.holder,
            now,
            lease: self.options.lease,
            limit: self.options.batch,
            only: self.options.only.as_deref(),
            except_clients: &except_clients,
        };
        let hold = Hold::new(self.options.lease, Moment::now(&*self.ports.clock));
        let leases = self.ports.store.claim(&claim).await?;
        if leases.is_empty() {
            return Ok(Found::Nothing {
                next: self.next_due(now, &except_clients).await?,
            });
        }
        crashpoint::reach("claimed");
        Ok(Found::Job(Job(Task::Round(leases, hold))))
    }

    /// Does what was found.
    pub async fn work(&self, job: Job<'_>) -> Result<Outcome, StoreError> {
        match job.0 {
            Task::List(listing) => {
                self.list_or_adopt(listing).await?;
                Ok(Outcome::Listed)
            }
            Task::Round(leases, hold) => {
                let count = leases.len();
                let fences: Vec<_> = leases.iter().map(|lease| lease.fence.clone()).collect();
                tokio::select! {
                    outcome = self.perform(leases, &hold) => outcome?,
                    never = self.extend_for_ever(&fences, &hold) => match never {},
                }
                Ok(Outcome::Worked(count))
            }
        }
    }

    /// Works until nothing more is due before `wait` is over, or until it is stopped. What still
    /// waits is for the next run.
    pub async fn run(&self, wait: SignedDuration) -> Result<(), StoreError> {
        let deadline = self
            .ports
            .clock
            .now()
            .saturating_add(wait)
            .unwrap_or(Timestamp::MAX);
        let lanes = (0..self.options.lanes.max(1)).map(|_| self.lane(deadline));
        futures::future::try_join_all(lanes).await.map(|_| ())
    }

    async fn lane(&self, deadline: Timestamp) -> Result<(), StoreError> {
        while !self.stop.is_cancelled() {
            let Outcome::Idle { next } = self.step().await? else {
                continue;
            };
            let now = self.ports.clock.now();
            // What is due and held by a worker that died is due in the past: the deadline counts
            // all the same.
            let Some(next) = next.filter(|&next| next.max(now) <= deadline) else {
                break;
            };
            // Other lanes and workers may add earlier work, or have the lease of due work.
            let until = if self.options.lanes > 1 || next <= now {
                next.max(now + SignedDuration::from_millis(100))
                    .min(now + SignedDuration::from_secs(1))
            } else {
                next
            };
            tokio::select! {
                () = self.ports.clock.sleep_until(until) => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Lists every client that has not been listed in this run, and does nothing else.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        while let Some(listing) = self
            .listings
            .begin(self.targets.iter(), self.ports.clock.now())
        {
            self.list_or_adopt(listing).await?;
        }
        Ok(())
    }

    /// What the store was seen to say about a client: when it was last listed by any process,
    /// whether the guard refuses it, and whether domains of it wait for their first listing. True
    /// when that makes something due here.
    pub fn hear(
        &self,
        client: &str,
        listed_at: Option<Timestamp>,
        refused: bool,
        unread: bool,
    ) -> bool {
        self.listings
            .hear(client, listed_at, refused, unread, self.ports.clock.now())
    }

    /// Makes a listing of a client due now, by order of a person.
    pub fn order_listing(&self, client: &str) {
        self.listings.order(client, self.ports.clock.now());
    }

    /// How the listing of each client ended.
    pub fn listings(&self) -> BTreeMap<String, ListingState> {
        self.listings.states()
    }

    /// The covered domains of each client found by the listings of this run, each with the domain
    /// above it.
    pub fn covered(&self) -> BTreeMap<String, Covering> {
        self.covering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn concerns(&self, key: &RowKey) -> bool {
        self.options
            .only
            .as_ref()
            .is_none_or(|only| only.binary_search(key).is_ok())
    }

    fn is_asked_afresh(&self, key: &RowKey) -> bool {
        let mut refreshed = self
            .refreshed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.options.afresh && self.options.only.is_some() && refreshed.insert(key.clone())
    }

    /// Clients that may be listed. A daemon makes no calls to a CA that asked for a pause.
    fn to_list(&self, now: Timestamp) -> impl Iterator<Item = &Target> {
        let once = self.options.look_every.is_none();
        self.targets
            .iter()
            .filter(move |target| once || self.pauses.until(&target.ca, now).is_none())
    }

    /// Clients for which nothing may be done now: not listed, refused by the guard, or of a CA that
    /// asked for a pause.
    fn idle_clients(&self, now: Timestamp) -> Vec<String> {
        let idle = self.targets.iter().filter(|target| {
            !self.listings.are_done(&target.key) || self.pauses.until(&target.ca, now).is_some()
        });
        idle.map(|target| target.key.clone()).collect()
    }

    async fn next_due(
        &self,
        now: Timestamp,
        except_clients: &[String],
    ) -> Result<Option<Timestamp>, StoreError> {
        if self.listings.are_running() {
            return Ok(Some(now));
        }
        let paused = self
            .targets
            .iter()
            .filter_map(|target| self.pauses.until(&target.ca, now))
            .min();
        let due = self
            .ports
            .store
            .next_due(self.options.only.as_deref(), except_clients)
            .await?;
        Ok(due
            .into_iter()
            .chain(paused)
            .chain(self.listings.next(self.to_list(now)))
            .min())
    }
}
