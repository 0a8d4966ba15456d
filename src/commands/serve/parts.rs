//! What a configuration makes of a daemon: all that a reload replaces.

use std::net::SocketAddr;
use std::sync::Arc;

use super::voice;
use crate::commands::app::{App, span};
use crate::commands::{Exit, Failed};
use crate::config::Settings;
use crate::server::metered::metered;
use crate::server::shared::{Live, Shared};
use crate::store::Store;
use crate::worker::{Intake, Options, Ports, Worker};

/// Built from one reading of the configuration and its secrets.
pub(super) struct Parts {
    pub live: Live,
    pub ports: Ports,
    options: Options,
}

impl Parts {
    /// Everything that can be wrong with the settings is wrong here. `run` names the process: what
    /// it holds, it holds on to.
    pub(super) fn new(
        app: &App,
        store: &Arc<dyn Store>,
        run: &str,
        intake: &Intake,
    ) -> Result<Self, Failed> {
        let ports = app.ports(Arc::clone(store))?;
        let options = app.options(run);
        let options = Options {
            // Few enough for a short round, because other processes cannot claim these domains
            // meanwhile.
            batch: (2 * options.concurrency).clamp(8, 100),
            look_every: Some(span(app.settings.worker.look_every)),
            intake: intake.clone(),
            ..options
        };
        let (access, hook_keys, tls) = (app.access(), app.hook_keys(), app.tls());
        let mut faults = access.as_ref().err().cloned().unwrap_or_default();
        faults.extend(hook_keys.as_ref().err().into_iter().flatten().cloned());
        faults.extend(tls.as_ref().err().cloned());
        let (Ok(access), Ok(hook_keys), Ok(tls)) = (access, hook_keys, tls) else {
            return Err(Failed::new(Exit::Usage, faults.join("\n")));
        };
        let live = Live {
            policy: app.policy.clone(),
            targets: app.targets.clone(),
            providers: app.settings.providers.keys().cloned().collect(),
            access,
            hook_keys,
            tls,
            domain_labels: app
                .settings
                .server
                .as_ref()
                .map_or(0, |server| server.domain_labels as usize),
            persistent: app.persistent().to_vec(),
        };
        Ok(Self {
            live,
            ports,
            options,
        })
    }

    /// A worker that ends when the process does, and tells what it does.
    pub(super) fn worker(self, shared: &Shared) -> Worker {
        let metrics = Arc::clone(&shared.metrics);
        let ports = metered(self.ports, &metrics);
        let counted = Arc::clone(&metrics);
        let tell = Arc::new(move |event: &_| voice::event(event, &counted));
        let options = Options {
            metrics: Some(metrics),
            ..self.options
        };
        Worker::new(
            ports,
            self.live.policy,
            self.live.targets,
            options,
            shared.draining.clone(),
            tell,
        )
    }
}

/// Why the settings may not be taken over by a process that listens at `address` until it ends,
/// wherever they say to listen: what other machines hear is never in clear, and never open.
pub(super) fn exposed(address: Option<SocketAddr>, live: &Live) -> Option<String> {
    let address = address.filter(|address| !address.ip().is_loopback())?;
    (live.tls.is_none() || live.access.is_open()).then(|| {
        format!(
            "server.listen: this process continues listening at {address} until it is started again, and must not do so without \
             `tls` and with reading open to all"
        )
    })
}

/// The keys that only a new process can follow.
pub(super) fn fixed(before: &Settings, after: &Settings) -> Vec<&'static str> {
    let mut changed = Vec::new();
    if (&before.store_url, &before.store_password) != (&after.store_url, &after.store_password) {
        changed.push("[store]");
    }
    let listen = |settings: &Settings| settings.server.as_ref().map(|server| server.listen);
    if listen(before) != listen(after) {
        changed.push("server.listen");
    }
    if before.worker.drain != after.worker.drain {
        changed.push("worker.drain");
    }
    changed
}
