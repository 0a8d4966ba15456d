//! `doctor`: everything that a run needs, tried once: configuration and secrets, the login at each
//! CA, the providers, the name servers, the targets of notifications. Changes nothing anywhere.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use prevalidate_kit::dial;
use serde::Serialize;
use url::Host;

use super::app::{App, Usable, memory};
use super::{Exit, Failed, Global, config, persistent, providers};
use crate::ca::{Client, ClientSelector, Failure, Validation};
use crate::config::{NotifyBy, Settings};
use crate::notify::carrier::door::Door;
use crate::notify::carrier::program::Program;
use crate::notify::carrier::web::Receiver;
use crate::output::{Cell, Output, Tone, counted};
use crate::prevalidation::DomainName;
use crate::propagation::Gate;
use crate::propagation::survey::{CaaSets, Families};
use crate::store::Store;
use crate::worker::{Ports, Target};

/// Questions to different places at once.
const AT_ONCE: usize = 8;
/// For a connection to a target of notifications.
const CONNECT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 all is well · 1 notifications do not get out, or persistent records \
need attention · 2 usage or configuration · 3 CA or authentication · 4 DNS · \
75 temporary, try again; of several the most severe, in this order: 2, 3, 4, 75, 1."
)]
pub(super) struct DoctorArgs {
    /// Tries every domain at its provider, not one of each zone
    #[arg(long)]
    all: bool,
}

/// The check, and the outcome.
#[derive(Debug, Serialize)]
struct Finding {
    /// `configuration`, `store`, `ca`, `provider`, `name servers`, `persistent records`,
    /// `certificates`, `notify`.
    what: &'static str,
    /// Which of them.
    subject: String,
    ok: bool,
    /// The words of the CA or the server, or the fault.
    said: String,
    /// The hint.
    hint: Option<String>,
    /// Its own exit status.
    #[serde(skip)]
    exit: Exit,
}

impl Finding {
    fn good(what: &'static str, subject: impl Into<String>, said: impl Into<String>) -> Self {
        Self {
            what,
            subject: subject.into(),
            ok: true,
            said: said.into(),
            hint: None,
            exit: Exit::Done,
        }
    }

    fn bad(what: &'static str, subject: impl Into<String>, failed: Failed) -> Self {
        Self {
            what,
            subject: subject.into(),
            ok: false,
            said: failed.message,
            hint: failed.hint,
            exit: failed.exit,
        }
    }
}

pub(super) async fn doctor(
    global: &Global,
    args: DoctorArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read_as_written(global, output)?;
    let mut findings = vec![configuration(&app)];
    let store = store(&app, &mut findings).await?;
    let rows = app.rows(&*store).await?;
    let withdrawn = persistent::withdrawn(&*store).await?;
    // What cannot be used is said once; the rest is tried.
    let Usable {
        ports,
        gate,
        unusable,
    } = app.usable_ports(store);
    let is_unusable = |what: &str, name: &str| {
        unusable
            .iter()
            .any(|one| (one.what, &*one.name) == (what, name))
    };
    let mut targets = app.targets.clone();
    targets.retain(|target| !is_unusable("ca", &target.ca));
    let mut wanted = providers::asked_about(&rows, &withdrawn, &app.settings);
    wanted.retain(|want| {
        !want
            .provider()
            .is_some_and(|name| is_unusable("provider", name))
    });
    let lacks_provider = unusable.iter().any(|one| one.what == "provider");
    findings.extend(
        unusable
            .into_iter()
            .map(|one| Finding::bad(one.what, one.name, one.failed)),
    );

    let with_domains = rows.iter().filter(|row| !row.origins.is_empty());
    let with_domains = with_domains.map(|row| row.client.clone()).collect();
    findings.extend(cas(targets, &with_domains, &ports).await);
    let mut tables = providers::tried(&ports, &app.policy, wanted, Some(args.all)).await;
    // Its provider may be the one that cannot be used.
    tables.retain(|row| !(lacks_provider && row.provider == "-"));
    findings.extend(tables.iter().map(of_provider));
    let zones = tables.iter().filter_map(|row| row.domains.first().cloned());
    findings.extend(name_servers(&gate, zones.collect(), app.now()).await);
    findings.extend(records(&app, &*ports.store).await?);
    let unfit = app.unfit_directories();
    findings.extend(unfit.into_iter().map(|why| {
        let subject = app.settings.certificates.directory.display().to_string();
        Finding::bad("certificates", subject, Failed::new(Exit::Usage, why))
    }));
    findings.extend(notify(&app.settings).await);
    output.json(&findings);
    print(&findings, output);
    Ok(gravest(&findings))
}

/// The persistent records that need attention, those whose end is no good, and what the guard refuses
/// for them.
async fn records(app: &App, store: &dyn Store) -> Result<Vec<Finding>, Failed> {
    let now = app.now();
    let ends = persistent::doubtful_ends(&app.settings, now).into_iter();
    let ends = ends.map(|(words, hint)| {
        let failed = Failed::new(Exit::Incomplete, words).with_hint(hint);
        (None, failed)
    });
    const WHAT: &str = "persistent records";
    let found = persistent::troubles(app, store, now).await?;
    let bad = ends.chain(found).map(|(subject, failed)| {
        let subject = subject.unwrap_or_else(|| "-".to_owned());
        Finding::bad(WHAT, subject, failed)
    });
    let way = persistent::on_their_way(app, store, now).await?;
    let good = way.map(|(subject, said)| Finding::good(WHAT, subject, said));
    Ok(bad.chain(good).collect())
}

/// The store; where it cannot be read, an empty one, so that the rest is tried.
async fn store(app: &App, findings: &mut Vec<Finding>) -> Result<Arc<dyn Store>, Failed> {
    let shown = app.named().shown();
    let shown = shown.unwrap_or_else(|_| "-".to_owned());
    let (finding, store) = match app.store_if_there().await {
        Ok(Some(store)) => (Finding::good("store", shown, "can be read"), Some(store)),
        Ok(None) => {
            let said = "is not there yet; the first run makes it";
            (Finding::good("store", shown, said), None)
        }
        Err(failed) => (Finding::bad("store", shown, failed), None),
    };
    findings.push(finding);
    match store {
        Some(store) => Ok(store),
        None => memory().await,
    }
}

fn configuration(app: &App) -> Finding {
    let subject = app.settings.file.display().to_string();
    match config::fault(app) {
        None => Finding::good(
            "configuration",
            subject,
            "in order, all secrets can be read",
        ),
        Some(failed) => Finding::bad("configuration", subject, failed),
    }
}

/// Logs in to each account that can be used, and finds each client.
async fn cas(targets: Vec<Target>, with_domains: &BTreeSet<String>, ports: &Ports) -> Vec<Finding> {
    let is_lone = |(name, _): &(&String, _)| targets.iter().all(|target| target.ca != **name);
    let lone = ports.cas.iter().filter(is_lone);
    let lone: Vec<_> = lone
        .map(|(name, ca)| (name.clone(), Arc::clone(ca)))
        .collect();
    let asked = futures::stream::iter(targets).map(async |target| {
        let Some(ca) = ports.cas.get(&target.ca) else {
            let text = format!("there is no [ca.{}]", target.ca);
            return Finding::bad("ca", target.key, Failed::new(Exit::Usage, text));
        };
        match ca.find_client(&target.selector).await {
            Ok(client) if !with_domains.contains(&target.key) => {
                let said = format!(
                    "logged in; the client is {} ({}), and it has no domain here",
                    client.name, client.reference
                );
                Finding::good("ca", target.key, said)
            }
            Ok(client) => of_client(&**ca, target.key, &client).await,
            Err(error) => Finding::bad("ca", target.key, Failed::from(error)),
        }
    });
    let mut findings: Vec<_> = asked.buffered(AT_ONCE).collect().await;
    let asked = futures::stream::iter(lone).map(async |(name, ca)| without_client(name, ca).await);
    findings.extend(asked.buffered(AT_ONCE).collect::<Vec<_>>().await);
    findings
}

/// Lists the client's domains, as each run does: a key may log in and have no right to that. And what
/// the CA says about the login.
async fn of_client(ca: &dyn Validation, key: String, client: &Client) -> Finding {
    let listing = match ca.list(&client.reference).await {
        Ok(listing) => listing,
        Err(error) => return Finding::bad("ca", key, Failed::from(error)),
    };
    let warnings = ca.warnings(None).await.ok().flatten().unwrap_or_default();
    if let Some(warning) = warnings.first() {
        return Finding::bad("ca", key, Failed::new(Exit::Ca, warning.clone()));
    }
    let mut said = format!(
        "logged in; the client is {} ({}) and has {}",
        client.name,
        client.reference,
        counted(listing.registrations.len(), "registration", "registrations")
    );
    if let Some(first) = listing.unreadable.iter().chain(&listing.warnings).next() {
        let first: String = first.chars().take(200).collect();
        said.push_str(&format!("; {first}"));
    }
    Finding::good("ca", key, said)
}

/// Logs in to an account that has no `[[client]]`: one that only takes orders, or one whose client is
/// still to come.
async fn without_client(name: String, ca: Arc<dyn Validation>) -> Finding {
    let issuer = Arc::clone(&ca).issuing();
    let said = match issuer.filter(|issuer| !issuer.kind().has_clients) {
        Some(issuer) => issuer.orders("").await.map(|found| {
            let count = found.orders.len();
            format!("logged in; the account shows {count} orders")
        }),
        None => match ca.find_client(&ClientSelector::Name("*".to_owned())).await {
            Ok(client) => Ok(format!(
                "logged in; no [[client]] is {} ({})",
                client.name, client.reference
            )),
            // There are several clients, or none: that was said to a known account.
            Err(error) if matches!(error.failure, Failure::NotFound | Failure::Refused) => {
                Ok("logged in; no [[client]] is of this account".to_owned())
            }
            Err(error) => Err(error),
        },
    };
    match said {
        Ok(said) => Finding::good("ca", name, said),
        Err(error) => Finding::bad("ca", name, Failed::from(error)),
    }
}

fn of_provider(row: &providers::Row) -> Finding {
    let zone = row.zone.clone().or_else(|| {
        let first = row.domains.first();
        first.map(DomainName::both_forms)
    });
    let subject = match zone {
        Some(zone) => format!("{}, {zone}", row.provider),
        None => row.provider.clone(),
    };
    if let Some(error) = &row.error {
        return Finding::bad("provider", subject, Failed::new(Exit::Dns, error.clone()));
    }
    match row.checks.iter().find(|check| !check.ok) {
        Some(check) => {
            let mut failed = Failed::new(Exit::Dns, check.evidence.clone());
            failed.hint.clone_from(&check.hint);
            Finding::bad("provider", subject, failed)
        }
        None if row.checks.is_empty() => Finding::good("provider", subject, "no domain uses it"),
        None => Finding::good("provider", subject, "can be written"),
    }
}

/// Asks all name servers of one domain of each zone.
async fn name_servers(gate: &Gate, domains: Vec<DomainName>, now: Timestamp) -> Vec<Finding> {
    const WHAT: &str = "name servers";
    let sets = CaaSets::default();
    let asked = futures::stream::iter(domains).map(async |domain| {
        let survey = gate.survey(&domain, &[], now, &sets).await;
        let subject = survey.zone.clone().unwrap_or_else(|| domain.both_forms());
        if let Some(fault) = survey.fault {
            return Finding::bad(WHAT, subject, Failed::new(Exit::Dns, fault));
        }
        let Families { ipv4, ipv6 } = survey.families;
        let (answering, asked) = (ipv4.answering + ipv6.answering, ipv4.asked + ipv6.asked);
        let said = format!("{answering} of {asked} addresses answer");
        if answering == 0 {
            let hint =
                "is port 53 open to them, by UDP and TCP? docs/network.md lists all connections";
            return Finding::bad(WHAT, subject, Failed::new(Exit::Dns, said).with_hint(hint));
        }
        Finding::good(WHAT, subject, said)
    });
    asked.buffered(AT_ONCE).collect().await
}

/// Connects to each target, and sends no message: `notify test` does.
async fn notify(settings: &Settings) -> Vec<Finding> {
    let asked = futures::stream::iter(&settings.notify).map(async |sink| {
        let door = Door::new(sink.allow_private);
        let place = match &sink.by {
            NotifyBy::Program(Program(command)) => {
                let path = command.first().map_or("", String::as_str);
                return program_of(&sink.name, path);
            }
            NotifyBy::Mail(letter) => Ok((letter.host.clone(), letter.port)),
            NotifyBy::Web(Receiver::Webhook { url, .. }) => place(url),
            NotifyBy::Web(Receiver::Chat { url, .. }) => chat(url),
        };
        match reach(&door, place).await {
            Ok(said) => Finding::good("notify", &sink.name, said),
            Err(why) => Finding::bad("notify", &sink.name, Failed::new(Exit::Incomplete, why)),
        }
    });
    asked.buffered(AT_ONCE).collect().await
}

/// Whether a program is there and may be run.
fn program_of(sink: &str, path: &str) -> Finding {
    use std::os::unix::fs::PermissionsExt as _;
    let why = match std::fs::metadata(path) {
        Err(error) => format!("{path}: {error}"),
        Ok(found) if !found.is_file() => format!("{path} is no program"),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => {
            format!("{path} may not be run")
        }
        Ok(_) => return Finding::good("notify", sink, "a program of this machine"),
    };
    Finding::bad("notify", sink, Failed::new(Exit::Usage, why))
}

type Place = Result<(Host<String>, u16), String>;

fn place(url: &url::Url) -> Place {
    let host = url.host().map(|host| host.to_owned());
    let place = host.zip(url.port_or_known_default());
    place.ok_or_else(|| "its address has no host".to_owned())
}

/// The address is the secret: no part of it is shown.
fn chat(source: &prevalidate_kit::secret::SecretSource) -> Place {
    use secrecy::ExposeSecret as _;
    let text = source.read().map_err(|error| error.to_string())?;
    let url =
        url::Url::parse(text.expose_secret()).map_err(|_| "its secret is not a URL".to_owned())?;
    place(&url)
}

async fn reach(door: &Door, place: Place) -> Result<String, String> {
    let (host, port) = place?;
    let found = door
        .find(&host, port)
        .await
        .map_err(|failure| failure.to_string())?;
    dial::tcp(&found, CONNECT)
        .await
        .map(|_| "takes connections; `prevalidate notify test` sends a message".to_owned())
        .map_err(|error| format!("cannot be reached: {error}"))
}

fn print(findings: &[Finding], output: &Output) {
    let cells = findings.iter().map(|finding| {
        let (word, tone) = match finding.ok {
            true => ("ok", Tone::Good),
            false => ("wrong", Tone::Bad),
        };
        let said = finding.said.lines().next().unwrap_or_default();
        vec![
            finding.what.into(),
            finding.subject.as_str().into(),
            Cell::new(word, tone),
            said.into(),
        ]
    });
    output.table(&["WHAT", "WHICH", "IS", "SAID"], cells.collect());
    for finding in findings.iter().filter(|finding| !finding.ok) {
        let text = format!("{} {}: {}", finding.what, finding.subject, finding.said);
        output.error(&text, finding.hint.as_deref());
    }
    let wrong = findings.iter().filter(|finding| !finding.ok).count();
    output.line(&match wrong {
        0 => "all is well: `prevalidate plan` shows what a run would do".to_owned(),
        1 => "1 thing is wrong".to_owned(),
        many => format!("{many} things are wrong"),
    });
}

fn gravest(findings: &[Finding]) -> Exit {
    let exits = findings.iter().map(|finding| finding.exit);
    exits.fold(Exit::Done, Exit::graver)
}
