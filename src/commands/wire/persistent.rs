//! Persistent records: from the configuration to the job that keeps them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::persistent::Wanted;
use crate::prevalidation::{DomainName, Mode};
use crate::store::Event;
use crate::worker::Ports;
use crate::worker::persist::{KeepOptions, Keeper};

/// The records of the configuration. The first domain with an account at an issuer is the canary.
pub(in crate::commands) fn persistent(settings: &Settings) -> Vec<Wanted> {
    let mut accounts = BTreeSet::new();
    let mut all = Vec::new();
    for one in &settings.persistent {
        for domain in &one.domains {
            all.push(Wanted {
                domain: domain.clone(),
                issuer: one.issuer.clone(),
                account: one.account.clone(),
                end: one.end,
                wildcard: one.wildcard,
                provider: one.provider.clone(),
                canary: one.canary,
                is_canary: accounts.insert((&one.issuer, &one.account)),
            });
        }
    }
    all
}

/// How often a command stores that everything is well: a person reads when it was last seen.
pub(in crate::commands) const NOTED_BY_COMMANDS: SignedDuration = SignedDuration::from_mins(1);
/// A daemon checks all day.
pub(in crate::commands) const NOTED_BY_DAEMON: SignedDuration = SignedDuration::from_hours(1);

/// What a pass over persistent records is about.
pub(in crate::commands) struct Pass<'a> {
    /// Names the run in the history.
    pub run: &'a str,
    /// Only these domains.
    pub only: Option<Vec<DomainName>>,
    /// Acts although many records vanished.
    pub force: bool,
    /// A listing that found everything well is stored this often.
    pub noted_every: SignedDuration,
    /// Ends it.
    pub stop: CancellationToken,
    /// Hears every event as it is stored.
    pub tell: Arc<dyn Fn(&Event) + Send + Sync>,
}

/// The job.
pub(in crate::commands) fn keeper(settings: &Settings, ports: &Ports, pass: Pass<'_>) -> Keeper {
    let span = |time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    let options = KeepOptions {
        holder: format!("{}/{}", pass.run, std::process::id()),
        run: pass.run.to_owned(),
        only: pass.only,
        lease: span(settings.worker.lease),
        lanes: usize::try_from(settings.worker.concurrency).unwrap_or(1),
        poll: span(settings.propagation.poll),
        force: pass.force,
        observes: settings.policy.mode == Mode::Observe,
        keeps_unwanted: !settings.left_out.is_empty(),
        noted_every: pass.noted_every,
    };
    Keeper::new(
        ports.clone(),
        persistent(settings),
        options,
        pass.stop,
        pass.tell,
    )
}
