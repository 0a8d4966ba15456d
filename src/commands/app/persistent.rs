//! Persistent records: from the configuration to the job that keeps them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::{App, span};
use crate::persistent::Wanted;
use crate::prevalidation::{DomainName, Mode};
use crate::store::Event;
use crate::worker::Ports;
use crate::worker::persist::{KeepOptions, Keeper};

impl App {
    /// The persistent records of the configuration. The first domain with an account at an issuer is
    /// the canary.
    pub fn persistent(&self) -> &[Wanted] {
        self.persistent.get_or_init(|| {
            let mut accounts = BTreeSet::new();
            let mut all = Vec::new();
            for one in &self.settings.persistent {
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
        })
    }

    /// The job that keeps them.
    pub fn keeper(&self, ports: &Ports, pass: Pass<'_>) -> Keeper {
        let options = KeepOptions {
            holder: format!("{}/{}", pass.run, std::process::id()),
            run: pass.run.to_owned(),
            only: pass.only,
            lease: span(self.settings.worker.lease),
            lanes: usize::try_from(self.settings.worker.concurrency).unwrap_or(1),
            poll: span(self.settings.propagation.poll),
            force: pass.force,
            observes: self.settings.policy.mode == Mode::Observe,
            keeps_unwanted: !self.settings.left_out.is_empty(),
            noted_every: pass.noted_every,
        };
        Keeper::new(
            ports.clone(),
            self.persistent().to_vec(),
            options,
            pass.stop,
            pass.tell,
        )
    }
}

/// How often a command stores that everything is well: a person reads when it was last seen.
pub const NOTED_BY_COMMANDS: SignedDuration = SignedDuration::from_mins(1);
/// A daemon checks all day.
pub const NOTED_BY_DAEMON: SignedDuration = SignedDuration::from_hours(1);

/// The scope of a pass over persistent records.
pub struct Pass<'a> {
    /// Names the run in the history.
    pub run: &'a str,
    /// Only these domains.
    pub only: Option<Vec<DomainName>>,
    /// Acts although many records vanished.
    pub force: bool,
    /// A check that found everything well is stored this often.
    pub noted_every: SignedDuration,
    /// Ends it.
    pub stop: CancellationToken,
    /// Hears every event as it is stored.
    pub tell: Arc<dyn Fn(&Event) + Send + Sync>,
}
