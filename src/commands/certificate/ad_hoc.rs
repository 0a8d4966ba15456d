//! `certificate order`: one certificate by a request, without a section in the configuration. The
//! order is remembered by its key and by what was ordered, so the same command again continues with
//! it and orders nothing twice.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;

use super::before::{self, ordered};
use super::{pass, product};
use crate::ca::ClientSelector;
use crate::ca::csr::Csr;
use crate::ca::issuing::Subject;
use crate::certificates::{Access, fingerprint, folder};
use crate::commands::app::App;
use crate::commands::{Exit, Failed};
use crate::config::{self, CertificateSettings, KeySettings, MEMORY, Settings, names_of, weakness};
use crate::issuance::{BY_HAND, Lead};
use crate::output::Output;
use crate::prevalidation::Mode;

/// The largest request that is read.
const LARGEST: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct OrderArgs {
    /// The [ca.NAME]; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    ca: Option<String>,
    /// The client at that CA, where it has several
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// The product, by its name at the CA or the CA's key for it
    #[arg(long, value_name = "PRODUCT")]
    product: String,
    /// The [[contact]] of the configuration that the CA asks about the order, where it wants one
    #[arg(long, value_name = "NAME")]
    contact: Option<String>,
    /// The certificate signing request, in PEM or DER; `-` is standard input
    #[arg(long, value_name = "FILE")]
    csr: PathBuf,
    /// Copies cert.pem, chain.pem and fullchain.pem there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Asks the CA whether it would take the order, and orders nothing
    #[arg(long)]
    dry_run: bool,
    /// Orders a new one although the same was ordered before: it may cost money
    #[arg(long, conflicts_with = "dry_run")]
    again: bool,
    /// How long to stay and wait for the certificate [default: `wait` of [worker], 10m]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    wait: Option<SignedDuration>,
}

pub(super) async fn order(mut app: App, args: OrderArgs, output: &Output) -> Result<Exit, Failed> {
    let usage = |message: String| Failed::new(Exit::Usage, message);
    let bytes = read(&args.csr).map_err(|why| usage(format!("{}: {why}", args.csr.display())))?;
    let csr = Csr::read(&bytes).map_err(|why| usage(format!("{}: {why}", args.csr.display())))?;
    let mut faults: Vec<String> = weakness(csr.key()).into_iter().collect();
    let names = names_of(&csr);
    let subject = match (names.is_empty(), csr.mailboxes().first()) {
        (false, _) => Some(Subject::Names(names)),
        (true, Some(email)) => Some(Subject::Mailbox {
            email: email.clone(),
            first_name: None,
            last_name: None,
        }),
        (true, None) => None,
    };
    if subject.is_none() {
        faults.push("the request names no host and no mailbox".to_owned());
    }
    let ca = ca(&app.settings, args.ca.as_deref())
        .map_err(|why| faults.push(why))
        .ok();
    let client = ca.as_deref().and_then(|ca| {
        client(&app.settings, ca, args.client.as_deref())
            .map_err(|why| faults.push(why))
            .ok()
    });
    if let Some(ca) = &ca
        && let Err(why) = check_contact(&app.settings, ca, args.contact.as_deref())
    {
        faults.push(why);
    }
    let (Some(subject), Some(ca), Some(client), true) = (subject, ca, client, faults.is_empty())
    else {
        return Err(usage(faults.join("\n")));
    };
    if app.settings.policy.mode == Mode::Observe {
        return Err(usage(
            "the policy's mode is `observe`: nothing is ordered".to_owned(),
        ));
    }
    if app.settings.store_url == MEMORY {
        let why =
            "store.url names a store that is gone with the process: the order would be forgotten";
        return Err(usage(why.to_owned()).with_hint("name a file in `url` of [store]"));
    }
    // The job reads the request from a file; standard input is read once.
    let file = tempfile::NamedTempFile::new()
        .map_err(|error| Failed::new(Exit::Temporary, error.to_string()))?;
    std::fs::write(file.path(), csr.pem())
        .map_err(|error| Failed::new(Exit::Temporary, error.to_string()))?;
    let key = KeySettings::Request(file.path().to_owned(), fingerprint(csr.public_key()));
    let mut one = by_request(ca, client, args.product.clone(), subject, key);
    one.contact.clone_from(&args.contact);
    let named = before::name_of(&app, &mut one, csr.public_key()).await?;
    let name = named.name;
    one.name.clone_from(&name);
    app.settings.certificates.certificates.push(one);
    let only = [name.clone()];
    if args.dry_run {
        return pass::rehearse(&app, &only, output).await;
    }
    if let Some(why) = named.other.filter(|_| !args.again) {
        return Err(usage(format!("{why}; nothing was ordered"))
            .with_hint("`--again` orders another one: it may cost money"));
    }
    let mut all = app.certificates().into_iter();
    if let Some(one) = all.find(|one| one.wanted.name == name) {
        product::check(&app, &one).await?;
    }
    output.notice(&format!("the certificate is called {name}"));
    if let Some(words) = named.same.filter(|_| !args.again) {
        output.notice(&format!(
            "it is ordered already, and {words}; `--again` orders a new one"
        ));
    }
    let action = match args.again {
        true => pass::Action::Again,
        false => pass::Action::Afresh,
    };
    let exit = pass::by_hand(&app, &only, action, args.wait, output).await?;
    if exit == Exit::Done {
        if let Some(out) = &args.out {
            copy(&app.settings, &name, out)?;
        }
        output.notice("nothing renews it: a [[certificate]] of the configuration is renewed");
    }
    Ok(exit)
}

/// A certificate without a section, by its request.
fn by_request(
    ca: String,
    client: Option<ClientSelector>,
    product: String,
    subject: Subject,
    key: KeySettings,
) -> CertificateSettings {
    CertificateSettings {
        name: String::new(),
        ca,
        client,
        product,
        duplicate_of: None,
        subject,
        key,
        reuse_key: false,
        renew_before: Lead::default(),
        renew_before_text: "1/3".to_owned(),
        deploy: Vec::new(),
        deploy_timeout: std::time::Duration::from_secs(60),
        access: Access::default(),
        keep: 5,
        p12_password: None,
        term: None,
        comments: None,
        requester: None,
        fields: Default::default(),
        contact: None,
    }
}

/// Takes what was ordered by hand among the certificates of the configuration, where `name` is one,
/// for a command that orders nothing.
pub(super) async fn take_in(app: &mut App, name: &str) -> Result<(), Failed> {
    let all = &app.settings.certificates.certificates;
    if !name.starts_with(BY_HAND) || all.iter().any(|one| one.name == name) {
        return Ok(());
    }
    let Some(store) = app.store_if_there().await? else {
        return Ok(());
    };
    let row = store.orders().certificate(name).await?;
    let one = row.and_then(|row| of_print(&app.settings, ordered(&row.progress)?));
    app.settings
        .certificates
        .certificates
        .extend(one.map(|one| CertificateSettings {
            name: name.to_owned(),
            ..one
        }));
    Ok(())
}

/// The certificate that a print is of; its request is not kept.
fn of_print(settings: &Settings, print: &str) -> Option<CertificateSettings> {
    let mut lines = print.split('\n').map(str::to_owned);
    let [ca, client, product, subject, key] = std::array::from_fn(|_| lines.next());
    let (ca, client) = (ca?, client?);
    let known = settings.clients.iter().filter(|one| one.ca == ca);
    let client = known
        .map(|one| &one.selector)
        .find(|selector| selector.to_string() == client)
        .cloned();
    let subject = subject?;
    let subject = match subject.contains('@') {
        true => Subject::Mailbox {
            email: subject,
            first_name: None,
            last_name: None,
        },
        false => Subject::Names(subject.split(' ').map(str::to_owned).collect()),
    };
    let key = KeySettings::Request(PathBuf::from("(the request of an order by hand)"), key?);
    Some(by_request(ca, client, product?, subject, key))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().take(LARGEST).read_to_end(&mut bytes),
        _ => std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes)),
    };
    read.map(|_| bytes).map_err(|error| error.to_string())
}

fn ca(settings: &Settings, wanted: Option<&str>) -> Result<String, String> {
    let issuing: Vec<&String> = settings
        .cas
        .iter()
        .filter(|(_, ca)| ca.kind.issuing.is_some())
        .map(|(name, _)| name)
        .collect();
    let list = || {
        issuing
            .iter()
            .map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (wanted, issuing.as_slice()) {
        (Some(wanted), all) if all.iter().any(|name| *name == wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => Err(format!(
            "`{wanted}` is no [ca.NAME] that issues certificates; there are: {}",
            list()
        )),
        (None, [only]) => Ok((*only).clone()),
        (None, []) => Err("no [ca.NAME] of the configuration issues certificates".to_owned()),
        (None, _) => Err(format!(
            "several CAs issue certificates: name one by --ca: {}",
            list()
        )),
    }
}

fn client(
    settings: &Settings,
    ca: &str,
    wanted: Option<&str>,
) -> Result<Option<ClientSelector>, String> {
    let kind = settings.cas.get(ca).and_then(|ca| ca.kind.issuing);
    if kind.is_some_and(|kind| !kind.has_clients) {
        return Ok(None);
    }
    let all: Vec<&ClientSelector> = settings
        .clients
        .iter()
        .filter(|client| client.ca == ca)
        .map(|client| &client.selector)
        .collect();
    let list = || {
        all.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (wanted, all.as_slice()) {
        (Some(wanted), all) => all
            .iter()
            .find(|one| one.to_string() == wanted)
            .map(|one| Some((*one).clone()))
            .ok_or_else(|| format!("`{wanted}` is no [[client]] of {ca}; there are: {}", list())),
        (None, [only]) => Ok(Some((*only).clone())),
        (None, []) => Err(format!("the configuration has no [[client]] of {ca}")),
        (None, _) => Err(format!(
            "{ca} has several clients: name one by --client: {}",
            list()
        )),
    }
}

/// The faults of the contact of an order.
fn check_contact(settings: &Settings, ca: &str, wanted: Option<&str>) -> Result<(), String> {
    let kind = settings.cas.get(ca).and_then(|ca| ca.kind.issuing);
    let wants = kind.is_some_and(|kind| kind.wants_contact);
    let known = &settings.certificates.contacts;
    let names = || match known.is_empty() {
        true => "the configuration has no [[contact]]: write one".to_owned(),
        false => {
            let names = known.keys().map(String::as_str);
            format!("there are: {}", names.collect::<Vec<_>>().join(", "))
        }
    };
    match wanted {
        None if wants => Err(format!(
            "[ca.{ca}] asks a person about an order: name a [[contact]] by --contact; {}",
            names()
        )),
        Some(_) if !wants => Err(format!("[ca.{ca}] takes no contact: leave --contact out")),
        Some(name) if !known.contains_key(name) => {
            Err(format!("`{name}` is no [[contact]]; {}", names()))
        }
        _ => Ok(()),
    }
}

/// Copies the certificates to where a person wants them.
fn copy(settings: &Settings, name: &str, out: &Path) -> Result<(), Failed> {
    let from = settings
        .certificates
        .directory
        .join(name)
        .join(folder::CURRENT);
    let failed = |error: std::io::Error| {
        Failed::new(
            Exit::Usage,
            format!("cannot write into {}: {error}", out.display()),
        )
        .with_hint(format!("the files are in {}", from.display()))
    };
    std::fs::create_dir_all(out).map_err(failed)?;
    for file in [folder::CERTIFICATE, folder::CHAIN, folder::FULL_CHAIN] {
        let bytes = crate::text::file::read(&from.join(file)).map_err(failed)?;
        let mut next = tempfile::NamedTempFile::new_in(out).map_err(failed)?;
        std::io::Write::write_all(&mut next, &bytes).map_err(failed)?;
        next.persist(out.join(file))
            .map_err(|error| failed(error.error))?;
    }
    Ok(())
}
