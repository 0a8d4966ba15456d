//! What the parts of the daemon share: the store, the time, the settings of the moment, the last
//! snapshot of all domains.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::hooks::key::Key;
use super::tls::Tls;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::overview::Basis;
use crate::overview::snapshot::Snapshot;
use crate::overview::{certificates, persistent};
use crate::persistent::Wanted;
use crate::prevalidation::Policy;
use crate::store::{Store, StoreError};
use crate::worker::Target;
use crate::worker::issue::Issuer;

/// Handed to every part in an `Arc`.
#[derive(Debug)]
pub struct Shared {
    /// The store, which survives a crash.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Told when something may have become due in this process: the scheduler checks at once.
    pub wake: Notify,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the process begins to end: it takes nothing up any more, and is not ready any
    /// more.
    pub draining: CancellationToken,
    ordered_listings: Mutex<BTreeSet<String>>,
    /// What gives the states of certificates.
    certificates: Mutex<Option<Arc<Issuer>>>,
    live: watch::Sender<Arc<Live>>,
    snapshot: watch::Sender<Option<Arc<Snapshot>>>,
    obstacle: watch::Sender<Option<Obstacle>>,
}

/// What keeps this process from deciding anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The clock was not compared with the database's since the process began, or since the clock
    /// was set.
    Uncompared,
    /// The clocks are too far apart.
    Apart {
        /// How far this machine's is ahead; negative: behind.
        ahead: SignedDuration,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uncompared => {
                f.write_str("this machine's clock has not been compared with the database's yet")
            }
            Self::Apart { ahead } => {
                let way = if ahead.is_negative() {
                    "behind"
                } else {
                    "ahead of"
                };
                write!(
                    f,
                    "this machine's clock is {} s {way} the database's",
                    ahead.abs().as_secs()
                )?;
                f.write_str("; nothing is decided until they agree: set both by NTP")
            }
        }
    }
}

/// What a reload of the configuration may change.
#[derive(Debug, Clone)]
pub struct Live {
    /// The policy.
    pub policy: Policy,
    /// The clients of the configuration.
    pub targets: Vec<Target>,
    /// The names of the providers.
    pub providers: BTreeSet<String>,
    /// The rights of clients over HTTP.
    pub access: Access,
    /// The senders of hooks.
    pub hook_keys: Vec<Key>,
    /// The certificate of the listener; `None`: it speaks in clear.
    pub tls: Option<Tls>,
    /// For how many domains at most the metrics have a label of their own.
    pub domain_labels: usize,
    /// The persistent records that are wanted.
    pub persistent: Vec<Wanted>,
}

impl Live {
    /// What an overview needs of it.
    pub fn basis(&self) -> Basis<'_> {
        Basis {
            targets: &self.targets,
            providers: &self.providers,
            policy: &self.policy,
        }
    }
}

impl Shared {
    /// Before anything was read.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, live: Live) -> Self {
        Self {
            store,
            clock,
            wake: Notify::new(),
            metrics: Arc::new(Metrics::new()),
            draining: CancellationToken::new(),
            ordered_listings: Mutex::default(),
            certificates: Mutex::default(),
            live: watch::Sender::new(Arc::new(live)),
            snapshot: watch::Sender::new(None),
            obstacle: watch::Sender::new(Some(Obstacle::Uncompared)),
        }
    }

    /// The settings of the moment. Code that decides several things by them keeps the `Arc` for all
    /// of these.
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.borrow())
    }

    /// Puts reloaded settings into force.
    pub fn reload(&self, live: Live) {
        self.live.send_replace(Arc::new(live));
    }

    /// Hears of every reload.
    pub fn reloads(&self) -> watch::Receiver<Arc<Live>> {
        self.live.subscribe()
    }

    /// Orders a listing of a client, by its key, that does not wait for the usual time, and wakes
    /// the scheduler.
    pub fn order_listing(&self, client: &str) {
        self.ordered_listings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(client.to_owned());
        self.wake.notify_one();
    }

    /// The clients whose listings were ordered since this was asked last: for the scheduler, which
    /// makes them.
    pub fn take_ordered_listings(&self) -> BTreeSet<String> {
        std::mem::take(
            &mut *self
                .ordered_listings
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// The last snapshot of all domains; `None` until the store was read for the first time. Its
    /// moment is in it.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.borrow().clone()
    }

    /// Hears of every new snapshot.
    pub fn snapshots(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.snapshot.subscribe()
    }

    /// What keeps this process from deciding anything; `None`: nothing does.
    pub fn obstacle(&self) -> Option<Obstacle> {
        *self.obstacle.borrow()
    }

    /// Something keeps it from deciding, or nothing does any more; returns what did before.
    pub(super) fn hinder(&self, obstacle: Option<Obstacle>) -> Option<Obstacle> {
        self.obstacle.send_replace(obstacle)
    }

    /// Returns once nothing keeps it from deciding.
    pub(super) async fn unhindered(&self) {
        // The sender lives as long as `self`: the wait has no other end.
        let _ = self.obstacle.subscribe().wait_for(Option::is_none).await;
    }

    /// What to ask for the states of certificates, from now on.
    pub fn keep_certificates(&self, issuer: Arc<Issuer>) {
        *self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(issuer);
    }

    /// Reads the store for a new snapshot.
    pub async fn read_again(&self) -> Result<Arc<Snapshot>, StoreError> {
        let live = self.live();
        let now = self.clock.now();
        let mut snapshot = Snapshot::read(&*self.store, &live.basis(), now).await?;
        let issuer = self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(issuer) = issuer {
            snapshot.certificates = certificates::read(&issuer, now).await?;
        }
        let rows = self.store.persistent_rows().await?;
        snapshot.persistent = persistent::views(&live.persistent, &rows, now);
        let snapshot = Arc::new(snapshot);
        self.snapshot.send_replace(Some(Arc::clone(&snapshot)));
        Ok(snapshot)
    }
}
