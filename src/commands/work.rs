//! The pass that `run`, `hook` and `reset` share: a worker, a reporter of what it does, an end by
//! signal, a summary.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::app::{App, NOTED_BY_COMMANDS, Pass};
use super::name::run_name;
use super::order::Order;
use super::signals::Signals;
use super::summary::{Scope, Summary};
use super::{Exit, Failed, asked, certificate, held, persistent};
use crate::output::{Output, Progress};
use crate::overview::trouble;
use crate::prevalidation::{DomainName, RowKey};
use crate::rdap::{self, Rdap, ask_due};
use crate::store::{Event, Store, StoreError};
use crate::worker::issue::Issuer;
use crate::worker::persist::{Keeper, Passed};
use crate::worker::visible::settles;
use crate::worker::{Options, Ports, Target, Worker};

/// Does what is due for the domains asked for, within the time, and says their states then.
///
/// The store comes from [`App::open`] or its like: its inventory is that of the configuration.
pub(super) async fn work(
    app: &App,
    store: Arc<dyn Store>,
    order: Order,
    output: &Output,
) -> Result<Done, Failed> {
    let ports = app.ports(Arc::clone(&store))?;
    let scope = Scope::read(app, &*store, &order).await?;
    scope.warn(output);

    let run = run_name(order.command, app.now());
    let options = options(app, &scope, &order, &run);
    if let Some(only) = scope.only.as_ref().filter(|_| order.only.is_some()) {
        store.wake(only, app.now()).await?;
    }
    let is_asked = |key: &RowKey| scope.only.as_ref().is_none_or(|only| only.contains(key));
    held::tell_run(&*store, is_asked, app.now(), output).await?;
    let (asked_for, valid) = asked_and_valid(app, &*store, &scope, app.now()).await?;
    let places = Places::of(&app.targets);
    let mut voice = Voice::new(output, asked_for, valid, places);

    let (sender, mut heard) = mpsc::unbounded_channel();
    let tell: Arc<dyn Fn(&Event) + Send + Sync> =
        Arc::new(move |event: &Event| drop(sender.send(event.clone())));
    let about = Pass {
        run: &run,
        only: order.only.clone(),
        force: order.force,
        noted_every: NOTED_BY_COMMANDS,
        stop: CancellationToken::new(),
        tell,
    };
    let (crew, unkept) = Crew::new(app, ports, &order, options, about, output).await?;
    let mut signals = Signals::of_a_command()?;
    let drain = app.settings.worker.drain;
    let pass = crew.pass(&order);
    let (passed, deadline) = follow(
        pass,
        &mut heard,
        &mut voice,
        &mut signals,
        &crew.stop,
        drain,
    )
    .await?;
    while let Ok(event) = heard.try_recv() {
        voice.say(&event);
    }
    drop(voice);

    let mut summary = crew.summary(&scope, order, run, passed).await?;
    if let (Exit::Done | Exit::Incomplete, Some(unkept)) = (summary.exit, unkept) {
        summary.exit = unkept;
    }
    summary.print(output);
    Ok(Done {
        exit: summary.exit,
        deadline,
        signals,
    })
}

/// Runs the pass to its end and says what happens in it. After a signal it has `drain` to end; then
/// it is cut off.
async fn follow(
    pass: impl Future<Output = Result<(Passed, Option<rdap::Pass>), StoreError>>,
    heard: &mut mpsc::UnboundedReceiver<Event>,
    voice: &mut Voice<'_>,
    signals: &mut Signals,
    stop: &CancellationToken,
    drain: Duration,
) -> Result<(Passed, Option<Instant>), Failed> {
    let output = voice.output;
    let mut deadline: Option<Instant> = None;
    tokio::pin!(pass);
    loop {
        tokio::select! {
            outcome = &mut pass => {
                let (kept, asked) = outcome?;
                tell_asked(asked, output);
                return Ok((kept, deadline));
            }
            Some(event) = heard.recv() => voice.say(&event),
            () = passed(deadline) => {
                // The next run finds out the outcome.
                let drain = drain.as_secs();
                output.warn(&format!("what was still under way after {drain} s is cut off"), None);
                return Ok((Passed::default(), deadline));
            }
            code = signals.end_of_command() => {
                if deadline.is_some() {
                    std::process::exit(code);
                }
                stop.cancel();
                deadline = Some(Instant::now() + drain);
                output.warn("ends after the steps under way; the same signal again ends at once", None);
            }
        }
    }
}

/// The worker of one pass.
struct Crew<'a> {
    app: &'a App,
    worker: Worker,
    issuer: Issuer,
    keeper: Keeper,
    registry: Option<Rdap>,
    store: Arc<dyn Store>,
    stop: CancellationToken,
}

impl<'a> Crew<'a> {
    /// Without certificates that could be kept, with the exit status that says so.
    async fn new(
        app: &'a App,
        ports: Ports,
        order: &Order,
        options: Options,
        about: Pass<'_>,
        output: &Output,
    ) -> Result<(Self, Option<Exit>), Failed> {
        let store = Arc::clone(&ports.store);
        let (run, stop, tell) = (about.run, about.stop.clone(), Arc::clone(&about.tell));
        let keeper = app.keeper(&ports, about);
        match order.persistent {
            true if order.only.is_some() || order.force => keeper.wake().await?,
            true => keeper.wake_checks().await?,
            false => {}
        }
        let certificates = order.certificates;
        let (issuer, unkept) = issuer(app, &ports, certificates, run, &stop, output)?;
        if certificates {
            app.want_certificates(&*store).await?;
        }
        let registry = match order.registries {
            true => app.rdap()?,
            false => None,
        };
        let (policy, targets) = (app.policy.clone(), order.targets.clone());
        let crew = Self {
            app,
            worker: Worker::new(ports, policy, targets, options, stop.clone(), tell),
            issuer,
            keeper,
            registry,
            store,
            stop,
        };
        Ok((crew, unkept))
    }

    /// Proofs and certificates side by side, then persistent records; registries beside all of them.
    async fn pass(&self, order: &Order) -> Result<(Passed, Option<rdap::Pass>), StoreError> {
        let until = self.app.now().saturating_add(order.wait);
        let until = until.unwrap_or(Timestamp::MAX);
        let upkeep = CancellationToken::new();
        let proofs = async {
            let outcome = self.worker.run(order.wait).await;
            upkeep.cancel();
            outcome
        };
        let certificates = async {
            match order.certificates {
                true => self.issuer.run(until, &upkeep).await,
                false => Ok(()),
            }
        };
        let goes_on = || !self.stop.is_cancelled() && self.app.now() < until;
        let registries = async {
            match &self.registry {
                Some(rdap) => ask_due(rdap, &*self.store, &*self.app.clock, &goes_on)
                    .await
                    .map(Some),
                None => Ok(None),
            }
        };
        let kept = async {
            let (proofs, certificates) = tokio::join!(proofs, certificates);
            proofs.and(certificates)?;
            match order.persistent {
                true => self.keeper.run(until).await,
                false => Ok(Passed::default()),
            }
        };
        let (kept, asked) = tokio::join!(kept, registries);
        kept.and_then(|kept| Ok((kept, asked?)))
    }

    /// How everything that was asked for is after the pass.
    async fn summary(
        &self,
        scope: &Scope,
        order: Order,
        run: String,
        passed: Passed,
    ) -> Result<Summary, Failed> {
        let (app, store, now) = (self.app, &*self.store, self.app.now());
        let views = asked::walk(app, store, self.worker.covered(), now).await?;
        let views = views.all().await?;
        let in_dns = store.open_entries(None).await?;
        let certificates = match order.certificates {
            true => Some(certificate::Certificates::read(&self.issuer, None, now).await?),
            false => None,
        };
        let summary = Summary::new(
            run,
            scope,
            self.worker.listings(),
            views,
            in_dns,
            self.stop.is_cancelled(),
            now,
        )
        .with(certificates)
        .with_warnings(trouble::warnings(store, &order.targets).await?);
        let summary = match order.persistent {
            true => {
                let views = persistent::views(app, store, now).await?;
                summary.with_persistent(views, passed)
            }
            false => summary,
        };
        Ok(summary.without(order.left_out))
    }
}

/// The options of the worker.
fn options(app: &App, scope: &Scope, order: &Order, run: &str) -> Options {
    Options {
        only: scope.only.clone(),
        force: order.force,
        afresh: order.only.is_some(),
        intake: order.intake.clone(),
        ..app.options(run)
    }
}

/// How many domains are asked for, and which of them are valid with their margin.
async fn asked_and_valid(
    app: &App,
    store: &dyn Store,
    scope: &Scope,
    now: Timestamp,
) -> Result<(usize, BTreeSet<(DomainName, String)>), Failed> {
    let (mut asked_for, mut valid) = (0, BTreeSet::new());
    let mut pages = asked::walk(app, store, Default::default(), now).await?;
    while let Some(page) = pages.next().await? {
        for view in page.into_iter().filter(|view| scope.asked(view)) {
            asked_for += 1;
            if view.with_margin {
                valid.insert(view.at());
            }
        }
    }
    Ok((asked_for, valid))
}

/// The job for certificates. Where it cannot be made, the domains continue, and the exit status
/// says that the certificates were not kept.
fn issuer(
    app: &App,
    ports: &Ports,
    keeps_certificates: bool,
    run: &str,
    stop: &CancellationToken,
    output: &Output,
) -> Result<(Issuer, Option<Exit>), Failed> {
    let certificates = match keeps_certificates {
        true => app.certificates(),
        false => Vec::new(),
    };
    let voice = certificate::voice(output);
    let issuer = app.issuer(ports, certificates, run, None, stop.clone(), voice);
    match issuer {
        Ok(issuer) => Ok((issuer, None)),
        Err(failed) if keeps_certificates => {
            output.error(&failed.message, failed.hint.as_deref());
            Ok((app.reading_issuer(&ports.store), Some(failed.exit)))
        }
        Err(failed) => Err(failed),
    }
}

/// The outcome of asking the registries: one line, since nothing that is due depends on it.
fn tell_asked(asked: Option<rdap::Pass>, output: &Output) {
    let Some(pass) = asked else { return };
    pass.faults.iter().for_each(|fault| output.detail(fault));
    if let Some(first) = pass.faults.first() {
        let text = format!(
            "when registrations end: {} of {} questions brought no answer, the first: {first}",
            pass.faults.len(),
            pass.asked
        );
        output.warn(&text, Some("the next run asks again; `-v` shows all"));
    }
}

/// A pass that is over.
pub(super) struct Done {
    /// The states of the domains.
    pub exit: Exit,
    /// When the process must be gone, where a signal ended the pass.
    pub deadline: Option<Instant>,
    /// To be heard for as long as anything follows.
    pub signals: Signals,
}

/// Returns at the deadline, where there is one.
pub(super) async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Tells what happens as it is stored: lines with `-v`, else a bar.
struct Voice<'a> {
    output: &'a Output,
    bar: Progress<'a>,
    /// Each at its client.
    valid: BTreeSet<(DomainName, String)>,
    places: Places,
}

/// How much of a client's `CA/CLIENT` says where something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Places {
    /// There is one client: nothing.
    One,
    /// Each is at a CA of its own: the CA.
    ByCa,
    /// All of it.
    ByClient,
}

impl Places {
    fn of(targets: &[Target]) -> Self {
        let cas: BTreeSet<&String> = targets.iter().map(|target| &target.ca).collect();
        match (targets.len(), cas.len()) {
            (..=1, _) => Self::One,
            (clients, cas) if clients == cas => Self::ByCa,
            _ => Self::ByClient,
        }
    }

    /// ` (CA)` behind the name of a domain.
    fn shown(self, client: Option<&String>) -> String {
        let client = client.map_or("", String::as_str);
        let place = match self {
            Self::One => "",
            Self::ByCa => client.split('/').next().unwrap_or_default(),
            Self::ByClient => client,
        };
        match place {
            "" => String::new(),
            place => format!(" ({place})"),
        }
    }
}

impl<'a> Voice<'a> {
    fn new(
        output: &'a Output,
        asked: usize,
        valid: BTreeSet<(DomainName, String)>,
        places: Places,
    ) -> Self {
        let bar = output.progress(u64::try_from(asked).unwrap_or(u64::MAX), "valid domains");
        let voice = Self {
            output,
            bar,
            valid,
            places,
        };
        voice.count();
        voice
    }

    fn count(&self) {
        self.bar
            .done(u64::try_from(self.valid.len()).unwrap_or(u64::MAX));
    }

    fn say(&mut self, event: &Event) {
        let subject = match &event.domain {
            Some(domain) => {
                let place = self.places.shown(event.client.as_ref());
                format!("{}{place} ", domain.unicode())
            }
            // Its detail names the client.
            None => String::new(),
        };
        self.output.detail(&format!(
            "{} {subject}{}: {}",
            event.at.strftime("%H:%M:%S"),
            event.kind,
            event.detail
        ));
        let until = settles(event).map_or_else(String::new, |until| format!(": {until}"));
        self.bar.say(&format!("{subject}{}{until}", event.kind));
        if let Some(domain) = event.domain.as_ref().filter(|_| event.kind == "validated") {
            let client = event.client.clone().unwrap_or_default();
            self.valid.insert((domain.clone(), client));
            self.count();
        }
    }
}
