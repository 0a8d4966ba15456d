//! What the parts of the daemon share: the store, the time, the settings of the moment, the last picture of all domains.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::tls::Tls;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::overview::Basis;
use crate::overview::snapshot::Snapshot;
use crate::prevalidation::Policy;
use crate::store::{Store, StoreError};
use crate::worker::Target;

/// Handed to every part in an `Arc`.
#[derive(Debug)]
pub struct Shared {
    /// What survives a crash.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Told when something may have become due in this process: the scheduler looks at once.
    pub wake: Notify,
    /// What monitoring counts.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the process begins to end: it takes nothing up any more, and is not ready any more.
    pub draining: CancellationToken,
    live: watch::Sender<Arc<Live>>,
    picture: watch::Sender<Option<Arc<Snapshot>>>,
}

/// What a reload of the configuration may change.
#[derive(Debug, Clone)]
pub struct Live {
    /// The policy.
    pub policy: Policy,
    /// The clients that are looked after.
    pub targets: Vec<Target>,
    /// The names of the providers.
    pub providers: BTreeSet<String>,
    /// Who may do what over HTTP.
    pub access: Access,
    /// The certificate of the listener; `None`: it speaks in clear.
    pub tls: Option<Tls>,
    /// For how many domains at most the metrics have a label of their own.
    pub domain_labels: usize,
}

impl Live {
    /// What an overview needs of it.
    pub fn basis(&self) -> Basis<'_> {
        Basis { targets: &self.targets, providers: &self.providers, policy: &self.policy }
    }
}

impl Shared {
    /// Before anything was looked at.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, live: Live) -> Self {
        Self {
            store,
            clock,
            wake: Notify::new(),
            metrics: Arc::new(Metrics::new()),
            draining: CancellationToken::new(),
            live: watch::Sender::new(Arc::new(live)),
            picture: watch::Sender::new(None),
        }
    }

    /// The settings of the moment. Whoever decides several things by them keeps the `Arc` for all of these.
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

    /// The last picture of all domains; `None` until the store was read for the first time. Its moment stands in it.
    pub fn picture(&self) -> Option<Arc<Snapshot>> {
        self.picture.borrow().clone()
    }

    /// Hears of every new picture.
    pub fn pictures(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.picture.subscribe()
    }

    /// Reads the store for a new picture.
    pub async fn look_again(&self) -> Result<Arc<Snapshot>, StoreError> {
        let live = self.live();
        let picture = Arc::new(Snapshot::read(&*self.store, &live.basis(), self.clock.now()).await?);
        self.picture.send_replace(Some(Arc::clone(&picture)));
        Ok(picture)
    }
}
