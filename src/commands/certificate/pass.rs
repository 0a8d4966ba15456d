//! A pass over certificates: the part of `run` that keeps them, and the commands that order one by
//! hand. Proofs of their domains come first, in the same pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{product, show};
use crate::ca::issuing::Subject;
use crate::ca::{CaError, Failure};
use crate::certificates::PrivateKey;
use crate::commands::app::App;
use crate::commands::by_hand::person;
use crate::commands::name::run_name;
use crate::commands::signals::Signals;
use crate::commands::{Exit, Failed};
use crate::config::Settings;
use crate::output::{Output, counted};
use crate::overview::certificates::{CertificateState, CertificateView};
use crate::prevalidation::{DomainName, Mode};
use crate::store::Store;
use crate::store::orders::CertificateEvent;
use crate::worker::issue::{Against, Certificate, IssuePorts, Issuer};
use crate::worker::{Options, Ports, Worker};

/// The order of a person about certificates by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// What is due.
    Due,
    /// What is due, and what is held.
    Afresh,
    /// A new one.
    Again,
    /// The one that was ordered, fetched again.
    Fetch,
}

/// The states of the certificates after a pass.
#[derive(Debug, Serialize)]
pub(in crate::commands) struct Certificates {
    /// Each of them.
    #[serde(rename = "certificates", skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<CertificateView>,
    /// What accounts said that lets nothing be ordered, by `[ca.NAME]`.
    #[serde(skip)]
    pub accounts: BTreeMap<String, CaError>,
    #[serde(skip)]
    now: Timestamp,
}

impl Certificates {
    pub(in crate::commands) async fn read(
        issuer: &Issuer,
        only: Option<&[String]>,
        now: Timestamp,
    ) -> Result<Self, Failed> {
        let mut views = crate::overview::certificates::read(issuer, now).await?;
        views.retain(|view| only.is_none_or(|only| only.contains(&view.name)));
        Ok(Self {
            views,
            accounts: issuer.refusing_accounts(),
            now,
        })
    }

    /// An order that waits is no failure; one that is held, or fails, is. So is a deploy program that
    /// a signal or the end of the time came before.
    pub(in crate::commands) fn exit(&self) -> Exit {
        if !self.accounts.is_empty() {
            return Exit::Ca;
        }
        let is_open = |view: &CertificateView| view.needs_attention() || view.undeployed;
        let mut wanted = self
            .views
            .iter()
            .filter(|view| view.state != CertificateState::Unmanaged);
        match wanted.any(is_open) {
            true => Exit::Incomplete,
            false => Exit::Done,
        }
    }

    pub(in crate::commands) fn print(&self, output: &Output) {
        for (ca, error) in &self.accounts {
            output.error(&format!("{ca}: {error}"), error.hint.as_deref());
        }
        let wanted = || {
            self.views
                .iter()
                .filter(|view| view.state != CertificateState::Unmanaged)
        };
        let count = wanted().count();
        if count == 0 || output.is_quiet() && self.exit() == Exit::Done {
            return;
        }
        output.line(&format!(
            "{}: {}",
            counted(count, "certificate", "certificates"),
            show::words(wanted()).join(", ")
        ));
        show::attention(&self.views, self.now, output);
    }
}

/// The states of all certificates, without asking any CA and without any secret.
pub(in crate::commands) async fn views(
    app: &App,
    store: &Arc<dyn Store>,
    now: Timestamp,
) -> Result<Vec<CertificateView>, Failed> {
    let issuer = app.reading_issuer(store);
    Ok(crate::overview::certificates::read(&issuer, now).await?)
}

/// The domains of the inventory that certificates depend on, at their clients.
fn domains_of(settings: &Settings, names: &[String]) -> Vec<DomainName> {
    let mut found = Vec::new();
    let wanted = settings.certificates.certificates.iter();
    for one in wanted.filter(|one| names.contains(&one.name)) {
        let Subject::Names(hosts) = &one.subject else {
            continue;
        };
        for host in hosts {
            let base = host.strip_prefix("*.").unwrap_or(host);
            let Ok(base) = DomainName::from_a_labels(base) else {
                continue;
            };
            let above: Vec<&str> = base.at_and_above().collect();
            let clients = settings.clients.iter();
            let clients = clients.filter(|client| {
                client.ca == one.ca && Some(&client.selector) == one.client.as_ref()
            });
            for domain in clients.flat_map(|client| &client.domains) {
                if above.contains(&domain.name.as_str()) && !found.contains(&domain.name) {
                    found.push(domain.name.clone());
                }
            }
        }
    }
    found
}

/// Works on some certificates by order of a person, their proofs first.
pub(super) async fn by_hand(
    app: &App,
    names: &[String],
    action: Action,
    wait: Option<SignedDuration>,
    output: &Output,
) -> Result<Exit, Failed> {
    if app.settings.policy.mode == Mode::Observe {
        return Err(Failed::new(
            Exit::Usage,
            "the policy's mode is `observe`: nothing is ordered",
        ));
    }
    let (store, intake) = app.open_or_make(false, output).await?;
    let ports = app.ports(Arc::clone(&store))?;
    let now = ports.clock.now();
    app.want_certificates(&*store).await?;
    let run = run_name("certificate", now);
    let stop = CancellationToken::new();
    let issuer = app
        .issuer(
            &ports,
            app.certificates(),
            &run,
            Some(names.to_vec()),
            stop.clone(),
            voice(output),
        )?
        .asked_by(person());
    let issuer = match action {
        Action::Fetch => issuer.without_orders(),
        Action::Due | Action::Afresh | Action::Again => issuer,
    };
    if action != Action::Due {
        let order = match action {
            Action::Again => crate::worker::issue::ByHand::Again,
            Action::Fetch => crate::worker::issue::ByHand::Fetch,
            Action::Due | Action::Afresh => crate::worker::issue::ByHand::Afresh,
        };
        for name in names {
            issuer
                .by_hand(name, order.clone())
                .await?
                .map_err(refused)?;
        }
    }
    let wait = app.wait(wait);
    let domains = match action {
        Action::Fetch => Vec::new(),
        _ => domains_of(&app.settings, names),
    };
    let worker = upkeep(app, ports, &domains, intake, &run, &stop).await?;
    let deadline = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
    go(worker.as_ref(), &issuer, wait, deadline, &stop, app, output).await?;
    finish(app, &store, &issuer, names, output).await
}

/// Why nothing is done of what a person orders: what may pass is temporary.
pub(super) fn refused(refused: crate::worker::issue::Refused) -> Failed {
    let exit = match refused.may_pass {
        true => Exit::Temporary,
        false => Exit::Usage,
    };
    Failed::new(exit, refused.why)
}

/// The worker that proves the domains first; `None`: there are none.
async fn upkeep(
    app: &App,
    ports: Ports,
    domains: &[DomainName],
    intake: crate::worker::Intake,
    run: &str,
    stop: &CancellationToken,
) -> Result<Option<Worker>, Failed> {
    if domains.is_empty() {
        return Ok(None);
    }
    let rows = ports.store.rows_of(domains).await?;
    let mut targets = app.targets.clone();
    targets.retain(|target| {
        app.settings.clients.iter().any(|client| {
            client.ca == target.ca
                && client.selector == target.selector
                && client.domains.iter().any(|one| domains.contains(&one.name))
        })
    });
    let options = Options {
        only: Some(rows.into_iter().map(|row| row.key).collect()),
        afresh: true,
        intake,
        ..app.options(run)
    };
    Ok(Some(Worker::new(
        ports,
        app.policy.clone(),
        targets,
        options,
        stop.clone(),
        Arc::new(|_| {}),
    )))
}

/// Both lives at once, until nothing is due, the time is over, or a signal comes.
#[expect(
    clippy::too_many_arguments,
    reason = "who works, for how long, and who tells it"
)]
pub(super) async fn go(
    worker: Option<&Worker>,
    issuer: &Issuer,
    wait: SignedDuration,
    deadline: Timestamp,
    stop: &CancellationToken,
    app: &App,
    output: &Output,
) -> Result<(), Failed> {
    let over = CancellationToken::new();
    let proofs = async {
        let outcome = match worker {
            Some(worker) => worker.run(wait).await,
            None => Ok(()),
        };
        over.cancel();
        outcome
    };
    let both = async {
        let (proofs, certificates) = tokio::join!(proofs, issuer.run(deadline, &over));
        proofs.and(certificates)
    };
    tokio::pin!(both);
    let mut signals = Signals::of_a_command()?;
    tokio::select! {
        outcome = &mut both => Ok(outcome?),
        code = signals.end_of_command() => {
            if stop.is_cancelled() {
                std::process::exit(code);
            }
            stop.cancel();
            output.warn("ends after the steps under way; the same signal again ends at once", None);
            let drain = app.settings.worker.drain;
            tokio::select! {
                outcome = &mut both => Ok(outcome?),
                () = tokio::time::sleep(drain) => Ok(()),
                code = signals.end_of_command() => std::process::exit(code),
            }
        }
    }
}

/// Says the states of the certificates. One that was asked for by name and is not there yet is no
/// success.
pub(super) async fn finish(
    app: &App,
    store: &Arc<dyn Store>,
    issuer: &Issuer,
    names: &[String],
    output: &Output,
) -> Result<Exit, Failed> {
    let now = app.now();
    let all = Certificates::read(issuer, Some(names), now).await?;
    output.json(&all.views);
    for (ca, error) in &all.accounts {
        output.error(&format!("{ca}: {error}"), error.hint.as_deref());
    }
    show::table(&all.views, now, output);
    for view in all.views.iter().filter(|view| view.held) {
        output.error(
            &format!("the certificate {}: {}", view.name, view.reason),
            view.hint.as_deref(),
        );
    }
    let exit = match all.exit() {
        Exit::Done
            if all
                .views
                .iter()
                .any(|view| view.state != CertificateState::Valid) =>
        {
            Exit::Incomplete
        }
        exit => exit,
    };
    store.close().await;
    Ok(exit)
}

/// Tells what is done as it is stored, with `-v`.
pub(in crate::commands) fn voice(output: &Output) -> Arc<dyn Fn(&CertificateEvent) + Send + Sync> {
    let says = output.is_verbose();
    Arc::new(move |event| {
        if says {
            tracing::info!(certificate = %event.certificate, kind = %event.kind, detail = %event.detail, "certificate");
        }
    })
}

/// How a rehearsal ends that failed. A product that the CA does not sell is a wrong input, told in
/// our words.
async fn refusal(app: &App, one: &Certificate, error: &mut CaError) -> Exit {
    if error.failure == Failure::Refused
        && let Err(failed) = product::check(app, one).await
    {
        error.message = failed.message;
        error.hint = failed.hint;
        return failed.exit;
    }
    match error.is_retryable() {
        true => Exit::Temporary,
        false if product::is_refused(app, one, error) => Exit::Usage,
        false => Exit::Ca,
    }
}

/// Asks the CA for free whether it would take the orders, and orders nothing. Nothing is stored.
pub(super) async fn rehearse(app: &App, names: &[String], output: &Output) -> Result<Exit, Failed> {
    let (store, _folder) = app.store_copy().await?;
    let ports = app.ports(Arc::clone(&store))?;
    let clock = Arc::clone(&ports.clock);
    let now = clock.now();
    app.pretend(&*store).await?;
    app.want_certificates(&*store).await?;
    let issue = IssuePorts::of(&ports);
    let reader = app.reading_issuer(&store);
    let unfit = app.unfit_directories();
    for why in &unfit {
        output.error(why, Some("`run` orders nothing before this is repaired"));
    }
    let mut exit = match unfit.is_empty() {
        true => Exit::Done,
        false => Exit::Usage,
    };
    let mut documents = Vec::new();
    for one in app.certificates() {
        if !names.contains(&one.wanted.name) {
            continue;
        }
        let name = one.wanted.name.clone();
        let (mut warnings, mut product, mut fault) = (Vec::new(), None, None);
        let mut against = None;
        let password = one.unreadable_password();
        let mut missing = reader.lacking_proofs(&one, now).await?;
        match reader.rehearse(&issue, &one, PrivateKey::generate).await? {
            Ok(found) => {
                against = reader.obstacles(&issue, &one, &found).await?;
                warnings.extend(found.warnings);
                missing = missing.filter(|_| !found.product.brings_records);
                product = Some(found.product.reference);
            }
            Err(error) => fault = Some(error),
        }
        if let Some(error) = fault.as_mut() {
            exit = exit.graver(refusal(app, &one, error).await);
            output.error(&format!("{name}: {error}"), error.hint.as_deref());
        }
        if let Some(why) = &password {
            exit = exit.graver(Exit::Usage);
            output.error(&format!("{name}: {why}"), None);
        }
        let against = against.map(|against| match against {
            Against::Configuration(words) => (words, Exit::Incomplete),
            Against::Dns(words) => (format!("its record cannot be written: {words}"), Exit::Dns),
        });
        if let Some((_, end)) = &against {
            exit = exit.graver(*end);
        }
        let against = password.or(against.map(|(words, _)| words));
        let verdict = match (&fault, &against, &missing) {
            (Some(error), ..) if error.is_retryable() => {
                "it is not known whether the CA would take the order".to_owned()
            }
            (Some(_), ..) => "the CA would refuse the order".to_owned(),
            (None, Some(why), _) => format!("nothing would be ordered: {why}"),
            (None, None, Some(why)) => {
                format!("the CA would take the order, and the proofs come first: {why}")
            }
            (None, None, None) => "the CA would take the order".to_owned(),
        };
        output.line(&format!("{name}: {verdict}"));
        warnings
            .iter()
            .for_each(|warning| output.warn(&format!("{name}: {warning}"), None));
        documents.push(serde_json::json!({
            "name": name,
            "accepted": fault.is_none() && against.is_none(),
            "product": product,
            "warnings": warnings,
            "missing_proofs": missing,
            "error": fault.map(|error| error.message).or(against),
        }));
    }
    output.json(&documents);
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::issue::Refused;

    #[test]
    fn an_order_that_another_process_keeps_from_us_fails_for_the_moment() {
        for (may_pass, exit) in [(true, Exit::Temporary), (false, Exit::Usage)] {
            let why = "a reason".to_owned();
            assert_eq!(refused(Refused { why, may_pass }).exit, exit);
        }
    }
}
