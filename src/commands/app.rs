//! The application: one reading of the configuration, the clock, and all that follows from the two,
//! each made once and in one place. A command takes it, and asks it for the store, the accounts, the
//! providers and the jobs.

mod certificates;
mod hooks;
mod inventory;
mod notify;
mod pace;
mod persistent;
mod ports;
mod read;
mod server;
mod store;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};

pub(super) use self::persistent::{NOTED_BY_COMMANDS, NOTED_BY_DAEMON, Pass};
pub(super) use self::ports::{Providers, Usable};
pub(super) use self::read::names_no_configuration;
pub(super) use self::store::{Named, memory};
use super::{Exit, Failed};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::overview::Basis;
use crate::overview::walk::Overlay;
use crate::persistent::Wanted;
use crate::prevalidation::policy::Terms;
use crate::prevalidation::{Alarm, Policy, ReuseTable};
use crate::rdap::Rdap;
use crate::store::{DomainRow, Store, StoreError};
use crate::worker::{Options, Target};

/// The parts that every command works with.
pub(super) struct App {
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    pub policy: Policy,
    /// The clients of the configuration, each once.
    pub targets: Vec<Target>,
    /// The names of the providers.
    providers: BTreeSet<String>,
    overlay: OnceLock<Overlay>,
    persistent: OnceLock<Vec<Wanted>>,
}

impl App {
    /// What follows from these settings, by this clock.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            policy: policy(&settings),
            targets: targets(&settings),
            providers: settings.providers.keys().cloned().collect(),
            overlay: OnceLock::new(),
            persistent: OnceLock::new(),
            settings,
            clock,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What the states of domains follow from.
    pub fn basis(&self) -> Basis<'_> {
        Basis {
            targets: &self.targets,
            providers: &self.providers,
            policy: &self.policy,
        }
    }

    /// What the configuration wants, to lie over the rows of the store.
    pub fn overlay(&self) -> &Overlay {
        let is_whole = self.settings.left_out.is_empty();
        self.overlay
            .get_or_init(|| Overlay::new(self.wanted(), is_whole))
    }

    /// The rows of the store as the configuration wants them now. `run` would store these before it
    /// lists.
    pub async fn rows(&self, store: &dyn Store) -> Result<Vec<DomainRow>, StoreError> {
        let mut rows = self.overlay().over(store.domains().await?);
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(rows)
    }

    /// How a worker of the run goes about it.
    pub fn options(&self, run: &str) -> Options {
        let from = &self.settings.worker;
        Options {
            lease: span(from.lease),
            concurrency: usize::try_from(from.concurrency).unwrap_or(usize::MAX),
            ..Options::new(format!("{run}/{}", std::process::id()), run)
        }
    }

    /// How long a pass stays, where the command line does not say it.
    pub fn wait(&self, asked: Option<SignedDuration>) -> SignedDuration {
        asked.unwrap_or_else(|| span(self.settings.worker.wait))
    }

    /// What binds a store to its CAs: production and pre-production must not share one (faults C23).
    pub fn fingerprint(&self) -> String {
        let cas = self.settings.cas.iter();
        let parts: Vec<_> = cas
            .map(|(name, ca)| format!("{name}={}", ca.url.authority()))
            .collect();
        parts.join(" ")
    }

    /// The way to the registries, where the settings name one.
    pub fn rdap(&self) -> Result<Option<Rdap>, Failed> {
        let Some(from) = &self.settings.rdap else {
            return Ok(None);
        };
        let every = from.rate.per / from.rate.count;
        let rdap = Rdap::new(&from.url, every, from.ca_file.as_deref());
        let rdap = rdap.map_err(|why| Failed::new(Exit::Usage, format!("[rdap]: {why}")))?;
        Ok(Some(rdap))
    }
}

/// The clock of the program: no command has another one. A test may set it ahead, by seconds.
pub(super) fn clock() -> Arc<dyn Clock> {
    #[cfg(feature = "crashpoints")]
    if let Some(seconds) = std::env::var("PREVALIDATE_CLOCK_AHEAD")
        .ok()
        .and_then(|seconds| seconds.parse().ok())
    {
        let clock = crate::sandbox::clock::ShiftedClock::over(Arc::new(SystemClock));
        clock.advance(SignedDuration::from_secs(seconds));
        return clock;
    }
    Arc::new(SystemClock)
}

/// A time of the settings.
pub(super) fn span(time: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}

/// The policy that the settings spell out.
fn policy(settings: &Settings) -> Policy {
    let from = &settings.policy;
    let mut policy = Policy {
        renew_before: from.renew_before,
        max_at_risk: from.max_at_risk,
        cover: from.cover,
        reuse: if from.reuse.is_empty() {
            ReuseTable::default()
        } else {
            ReuseTable::new(from.reuse.clone())
        },
        settle: span(settings.propagation.settle),
        poll: span(settings.propagation.poll),
        reset_token_before: from.reset_token_before,
        warning: from.warning,
        critical: from.critical,
        ..Policy::new(from.mode)
    };
    for (name, ca) in &settings.cas {
        let kind = ca.kind.kind;
        let terms = Terms {
            reuse: if from.reuse.is_empty() {
                (kind.reuse)()
            } else {
                policy.reuse.clone()
            },
            start_keeps_proof: kind.start_keeps_proof,
            checks_by_itself: kind.checks_by_itself,
            follow_aliases: ca.follow_aliases,
            record: ca.kind.record(&ca.values),
        };
        if terms != policy.terms() {
            policy.differ(name, terms);
        }
    }
    policy
}

/// The clients of the configuration, each once.
fn targets(settings: &Settings) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for client in &settings.clients {
        let target = Target::new(&client.ca, client.selector.clone());
        let is_known = targets.iter().any(|known| known.key == target.key);
        if !is_known {
            targets.push(target.for_purpose(client.purpose));
        }
    }
    targets
}

/// The guard's refusal as the end of a command.
pub(super) fn refused(alarm: &Alarm) -> Failed {
    Failed::new(Exit::Guard, format!("the guard refuses: {alarm}; nothing was done"))
        .with_hint("check the configuration first; if it is meant so, `prevalidate run --force` acts all the same")
}
