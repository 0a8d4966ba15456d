//! `serve`: the daemon. Scheduler, workers and interface in one process, of which any number may
//! share a store.

mod certificates;
mod parts;
mod persistent;
mod registries;
mod voice;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::app::{App, refused};
use super::name::run_name;
use super::signals::{Signal, Signals};
use super::{Exit, Failed, Global, OutputFormat};
use crate::notify::{self, Notifier};
use crate::output::Output;
use crate::server::listener::Serving;
use crate::server::scheduler::{Pace, Scheduler};
use crate::server::shared::Shared;
use crate::server::{http, manager};
use crate::store::Store;
use crate::worker::issue::Issuer;
use crate::worker::persist::Keeper;
use crate::worker::{Intake, Ports};
use parts::Parts;

/// How often what the store could not take is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often it is checked whether the store's inventory is still that of the configuration.
const COMPARE: Duration = Duration::from_secs(600);
/// How long the store may take to let go.
const CLOSE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "SIGHUP reads the configuration and its secrets again; one that is broken changes nothing, and \
`prevalidate config check` tries it first. SIGTERM and SIGINT end it after the steps under way.\n\n\
Exit status: 0 it was told to end · 2 it cannot begin before a person has repaired something · 75 temporary, start it again."
)]
pub(super) struct ServeArgs {
    /// How the log is written; `--output json` means the same
    #[arg(long, value_enum, value_name = "FORMAT")]
    log: Option<LogFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Text,
    /// One object a line
    Json,
}

impl ServeArgs {
    pub(super) fn logs_json(&self, global: &Global) -> bool {
        let by_output = global.output == OutputFormat::Json;
        self.log
            .map_or(by_output, |format| format == LogFormat::Json)
    }
}

pub(super) async fn serve(
    global: &Global,
    _args: ServeArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    voice::speak_of_panics();
    let mut signals = Signals::of_a_daemon()?;
    let Some(store) = reach(&app, &mut signals).await? else {
        return Ok(Exit::Done);
    };
    let run = run_name("serve", app.now());
    let intake = Intake::default();
    let parts = Parts::new(&app, &store, &run, &intake)?;
    let shared = Arc::new(Shared::new(
        Arc::clone(&store),
        Arc::clone(&app.clock),
        parts.live.clone(),
    ));
    let mut daemon = Daemon::new(shared, parts, app, run, intake)?;
    daemon.begin().await;
    daemon.tell();
    let interface = daemon.listen().await?;
    daemon.address = interface.as_ref().map(|interface| interface.address);
    daemon.say_begun();
    manager::ready();
    let exit = daemon.run(global, &mut signals).await;
    let close = async {
        if let Some(interface) = interface {
            interface.end().await;
        }
        // If the store does not answer, the process ends without it, and nothing is lost.
        let _ = tokio::time::timeout(CLOSE, store.close()).await;
    };
    tokio::select! {
        () = close => exit,
        code = signals.end() => std::process::exit(code),
    }
}

/// Opens the store; while it does not answer, for as long as it takes. `None`: the process was told
/// to end.
async fn reach(app: &App, signals: &mut Signals) -> Result<Option<Arc<dyn Store>>, Failed> {
    let mut told = false;
    loop {
        let opened = tokio::select! {
            opened = app.open_to_serve() => opened,
            _ = signals.end() => return Ok(None),
        };
        let failed = match opened {
            Ok(store) => return Ok(Some(store)),
            Err(failed) if failed.exit == Exit::Temporary => failed,
            Err(failed) => return Err(failed),
        };
        if !std::mem::replace(&mut told, true) {
            tracing::error!(error = %failed.message, "the store does not answer; tries again until it does");
        }
        manager::status(&format!("tries again: {}", failed.message));
        tokio::select! {
            () = tokio::time::sleep(AGAIN.mul_f64(rand::random_range(0.4..1.0))) => {}
            _ = signals.end() => return Ok(None),
        }
    }
}

fn notifier(app: &App, shared: &Shared) -> Arc<Notifier> {
    let (store, metrics) = (Arc::clone(&shared.store), Arc::clone(&shared.metrics));
    Arc::new(app.notifier(store, metrics, notify::Pace::DAEMON))
}

fn one(failed: Failed) -> Vec<String> {
    let hint = failed
        .hint
        .map(|hint| format!(" ({hint})"))
        .unwrap_or_default();
    vec![format!("{}{hint}", failed.message)]
}

struct Daemon {
    shared: Arc<Shared>,
    scheduler: Arc<Scheduler>,
    app: App,
    /// Names the process in leases and in the history.
    run: String,
    /// The sinks of the current settings.
    notifiers: watch::Sender<Arc<Notifier>>,
    /// The inventory of the configuration is not in the store yet.
    unsynced: bool,
    /// Where it listens, until it ends.
    address: Option<SocketAddr>,
    /// The domains that wait for their client to be found.
    intake: Intake,
    /// What keeps certificates, by the settings of the moment.
    issuers: watch::Sender<Arc<Issuer>>,
    /// With what it is made, while it cannot be: their directory is unfit.
    unkept: Option<Ports>,
    /// What asks the registries, by the settings of the moment.
    registries: watch::Sender<registries::Way>,
    /// What keeps persistent records, by the settings of the moment.
    keepers: watch::Sender<Arc<Keeper>>,
}

impl Daemon {
    fn new(
        shared: Arc<Shared>,
        parts: Parts,
        app: App,
        run: String,
        intake: Intake,
    ) -> Result<Self, Failed> {
        let (issuer, unkept) = certificates::issuer(&app, &parts.ports, &run, &shared);
        shared.keep_certificates(Arc::clone(&issuer));
        let unkept = unkept.then(|| parts.ports.clone());
        let keeper = Arc::new(persistent::keeper(&app, &parts.ports, &run, &shared));
        let worker = parts.worker(&shared);
        let pace = Pace::new(
            app.settings.worker.drain,
            app.settings.worker.concurrency as usize,
        );
        let scheduler = Arc::new(Scheduler::new(Arc::clone(&shared), worker, pace));
        let notifiers = watch::Sender::new(notifier(&app, &shared));
        let registries = app.rdap()?.map(Arc::new);
        Ok(Self {
            shared,
            scheduler,
            app,
            run,
            notifiers,
            unsynced: true,
            address: None,
            intake,
            issuers: watch::Sender::new(issuer),
            unkept,
            registries: watch::Sender::new(registries),
            keepers: watch::Sender::new(keeper),
        })
    }

    /// The notifiers hear of each snapshot.
    fn tell(&self) {
        let (shared, notifiers) = (Arc::clone(&self.shared), self.notifiers.subscribe());
        tokio::spawn(async move {
            loop {
                let (ending, seen) = (shared.draining.clone(), Arc::clone(&shared));
                let unhindered = move || seen.obstacle().is_none();
                let telling =
                    notify::follow(shared.snapshots(), notifiers.clone(), ending, unhindered);
                if tokio::spawn(telling).await.is_ok() {
                    return;
                }
                // A fault of the program, which was reported where it happened (faults W14): a
                // message twice is better than none.
                shared.metrics.event("panic");
                tokio::time::sleep(AGAIN).await;
            }
        });
    }

    /// Stores the inventory before a lane searches for work, where that is possible.
    async fn begin(&mut self) {
        if self.scheduler.compare_clocks().await.is_ok() && self.shared.obstacle().is_none() {
            self.sync().await;
        }
    }

    /// Begins to answer over HTTP, if it is configured. It ends last, so that clients can see how
    /// the rest ends.
    async fn listen(&self) -> Result<Option<Serving>, Failed> {
        let Some(server) = &self.app.settings.server else {
            return Ok(None);
        };
        let serving = http::listen(server.listen, &self.shared)
            .await
            .map_err(|error| {
                Failed::new(
                    Exit::Temporary,
                    format!("server.listen: cannot listen on {}: {error}", server.listen),
                )
                .with_hint("is another one running?")
            })?;
        Ok(Some(serving))
    }

    fn say_begun(&self) {
        let clients = self.shared.live().targets.len();
        let domains = self
            .app
            .settings
            .clients
            .iter()
            .map(|client| client.domains.len())
            .sum::<usize>();
        let store = self.app.named().shown().unwrap_or_default();
        let listen = self.address.map(tracing::field::display);
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(version, domains, clients, %store, listen, "keeps the domains of its configuration");
    }

    async fn run(&mut self, global: &Global, signals: &mut Signals) -> Result<Exit, Failed> {
        let scheduler = Arc::clone(&self.scheduler);
        let work = tokio::spawn(async move { scheduler.run().await });
        tokio::pin!(work);
        let keeping = certificates::keep(Arc::clone(&self.shared), self.issuers.subscribe());
        let keeping = tokio::spawn(keeping);
        let asking = registries::keep(Arc::clone(&self.shared), self.registries.subscribe());
        tokio::spawn(asking);
        let records = persistent::keep(Arc::clone(&self.shared), self.keepers.subscribe());
        let records = tokio::spawn(records);
        let mut again = tokio::time::interval(AGAIN);
        let first = tokio::time::Instant::now() + COMPARE;
        let mut compare = tokio::time::interval_at(first, COMPARE);
        loop {
            tokio::select! {
                ended = &mut work => {
                    // What is under way for a certificate is stored before its effect: cut off, it
                    // is found by the next process.
                    let both = futures::future::join(keeping, records);
                    let _ = tokio::time::timeout(self.app.settings.worker.drain, both).await;
                    return self.ended(ended);
                }
                _ = compare.tick() => self.unless_it_ends(signals, Self::compare).await,
                _ = again.tick() => {
                    if self.unsynced && !self.shared.draining.is_cancelled() && self.shared.obstacle().is_none() {
                        self.unless_it_ends(signals, Self::sync).await;
                    }
                    self.keep_certificates_again();
                }
                signal = signals.next() => match signal {
                    Signal::Reload if self.shared.draining.is_cancelled() => {}
                    Signal::Reload => self.unless_it_ends(signals, async |daemon| daemon.reload(global).await).await,
                    Signal::End(code) if self.shared.draining.is_cancelled() => {
                        // What is under way is cut off; the next process finds out the outcome.
                        std::process::exit(code);
                    }
                    Signal::End(_) => self.drain(),
                },
            }
        }
    }

    /// A person who repairs the directory of certificates need not reload.
    fn keep_certificates_again(&mut self) {
        let Some(ports) = &self.unkept else { return };
        let made = certificates::issuer_again(&self.app, ports, &self.run, &self.shared);
        if let Some(issuer) = made {
            self.unkept = None;
            self.shared.keep_certificates(Arc::clone(&issuer));
            self.issuers.send_replace(issuer);
        }
    }

    /// Does something that a store which does not answer may hold up for long, and leaves it when
    /// the process is to end.
    async fn unless_it_ends(&mut self, signals: &mut Signals, work: impl AsyncFnOnce(&mut Self)) {
        let ends = tokio::select! {
            () = work(&mut *self) => false,
            _ = signals.end() => true,
        };
        if ends {
            self.drain();
        }
    }

    /// Takes nothing up any more.
    fn drain(&self) {
        tracing::info!("ends after the steps under way; the same signal again ends at once");
        manager::stopping();
        self.shared.draining.cancel();
    }

    fn ended(&self, ended: Result<usize, tokio::task::JoinError>) -> Result<Exit, Failed> {
        if let Some(why) = self.scheduler.lost() {
            return Err(Failed::new(Exit::Temporary, why).with_hint(
                "started again, it opens the store that is there now, or makes a new one",
            ));
        }
        match ended {
            Ok(0) => tracing::info!("ended; nothing is left under way"),
            Ok(cut) => tracing::warn!(
                rounds = cut,
                "ended; what took too long was cut off, and its domains come free when their leases end"
            ),
            Err(_) => {
                return Err(Failed::new(
                    Exit::Temporary,
                    "the scheduler ended by a fault of the program",
                ));
            }
        }
        Ok(Exit::Done)
    }

    /// On one machine another program with another configuration may have stored its inventory: that
    /// of the daemon is stored again. Machines that share a database have one configuration each,
    /// which may differ while they are brought up to date, and must not undo each other's.
    async fn compare(&mut self) {
        if self.shared.store.is_shared() || self.shared.draining.is_cancelled() {
            return;
        }
        if let Ok(true) = self.app.differs(&*self.shared.store).await {
            tracing::warn!("the inventory in the store is not that of the configuration");
            self.unsynced = true;
        }
    }

    /// Takes the inventory into the store; what did not work is tried again.
    async fn sync(&mut self) {
        let store = &*self.shared.store;
        match self.app.sync(store, &self.intake, false).await {
            Ok(alarm) => {
                if let Some(alarm) = alarm {
                    tracing::error!(
                        "the guard refuses the inventory of the configuration: {alarm}; the one in the store stays; if it is \
                         meant so, `prevalidate run --force` takes it over"
                    );
                }
                self.unsynced = false;
                self.scheduler.read_again();
                self.want_certificates().await;
            }
            Err(failed) => {
                tracing::warn!(error = %failed.message, "the inventory could not be stored; tries again");
            }
        }
    }

    /// Takes the certificates of the configuration into the store.
    async fn want_certificates(&mut self) {
        if let Err(error) = self.app.want_certificates(&*self.shared.store).await {
            tracing::warn!(%error, "the certificates could not be stored; tries again");
            self.unsynced = true;
        }
    }

    /// Reads the configuration and its secrets again. One that is broken, or that the guard
    /// refuses, changes nothing.
    async fn reload(&mut self, global: &Global) {
        manager::reloading();
        let outcome = self.take_over(global).await;
        self.shared.metrics.config_reload(outcome.is_ok());
        match outcome {
            Ok(()) => tracing::info!(file = %self.app.settings.file.display(), "reloaded"),
            Err(faults) => {
                faults.iter().for_each(|fault| voice::fault(fault));
                tracing::error!("not reloaded: the settings from before stay in force");
            }
        }
        manager::ready();
    }

    /// The configuration with its secrets. A command that prints the secret may take long.
    /// Meanwhile the process still obeys a signal to end.
    async fn read_again(&self, global: &Global) -> Result<(App, Parts), Vec<String>> {
        let (global, store) = (global.clone(), Arc::clone(&self.shared.store));
        let (run, intake) = (self.run.clone(), self.intake.clone());
        let clock = Arc::clone(&self.app.clock);
        let reading = tokio::task::spawn_blocking(move || {
            let app = App::read_again(&global, clock)?;
            let parts = Parts::new(&app, &store, &run, &intake).map_err(one)?;
            Ok((app, parts))
        });
        reading
            .await
            .unwrap_or_else(|fault| Err(vec![format!("reading the configuration: {fault}")]))
    }

    async fn take_over(&mut self, global: &Global) -> Result<(), Vec<String>> {
        let (app, parts) = self.read_again(global).await?;
        if let Some(words) = app.left_out() {
            tracing::warn!("{words}");
        }
        if app.fingerprint() != self.app.fingerprint() {
            // A CA may come or go; one of the same name is never another one.
            let bound = self.app.named().open(Some(&app.fingerprint())).await;
            bound.map_err(one)?.close().await;
        }
        if let Some(fault) = parts::exposed(self.address, &parts.live) {
            return Err(vec![fault]);
        }
        if self.shared.obstacle().is_none() {
            match app.sync(&*self.shared.store, &self.intake, false).await {
                Ok(None) => self.unsynced = false,
                Ok(Some(alarm)) => return Err(one(refused(&alarm))),
                Err(failed) if failed.exit == Exit::Temporary => self.unsynced = true,
                Err(failed) => return Err(one(failed)),
            }
        } else {
            self.unsynced = true;
        }
        for key in parts::fixed(&self.app.settings, &app.settings) {
            tracing::warn!("{key} has changed; it takes effect when the process is started again");
        }
        let (issuer, unkept) = certificates::issuer(&app, &parts.ports, &self.run, &self.shared);
        let unkept = unkept.then(|| parts.ports.clone());
        let registries = app.rdap().map_err(one)?.map(Arc::new);
        let keeper = persistent::keeper(&app, &parts.ports, &self.run, &self.shared);
        self.shared.reload(parts.live.clone());
        self.notifiers.send_replace(notifier(&app, &self.shared));
        self.scheduler.employ(parts.worker(&self.shared));
        self.app = app;
        self.want_certificates().await;
        self.shared.keep_certificates(Arc::clone(&issuer));
        self.issuers.send_replace(issuer);
        self.unkept = unkept;
        self.registries.send_replace(registries);
        self.keepers.send_replace(Arc::new(keeper));
        Ok(())
    }
}
