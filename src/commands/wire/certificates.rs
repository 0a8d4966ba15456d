//! Certificates: from the configuration to the job that keeps them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::{Exit, Failed, policy};
use crate::certificates::Folder;
use crate::config::{CertificateSettings, KeySettings, Settings};
use crate::issuance::Wanted;
use crate::overview::machines::host;
use crate::prevalidation::Mode;
use crate::store::Store;
use crate::store::orders::{CertificateEvent, WantedCertificate};
use crate::worker::issue::{Certificate, IssueOptions, IssuePorts, Issuer, KeySource};
use crate::worker::{Ports, Target};

/// The file that names a directory of certificates in the store.
const HOME: &str = ".home";

/// Certificates that are worked on at once.
const LANES: usize = 4;

/// The certificates of the configuration.
pub(in crate::commands) fn certificates(settings: &Settings) -> Vec<Certificate> {
    let all = settings.certificates.certificates.iter();
    all.map(|one| certificate(settings, one)).collect()
}

/// One of them.
pub(in crate::commands) fn certificate(
    settings: &Settings,
    one: &CertificateSettings,
) -> Certificate {
    let contacts = &settings.certificates.contacts;
    Certificate {
        wanted: Wanted {
            name: one.name.clone(),
            print: one.print(),
            renew_before: one.renew_before,
            deploys: !one.deploy.is_empty(),
            keeps_key: one.reuse_key,
        },
        ca: one.ca.clone(),
        client: one
            .client
            .clone()
            .map(|selector| Target::new(&one.ca, selector)),
        product: one.product.clone(),
        duplicate_of: one.duplicate_of.clone(),
        validates_in_order: settings
            .cas
            .get(&one.ca)
            .and_then(|ca| ca.kind.issuing)
            .is_some_and(|kind| kind.validates_in_order),
        subject: one.subject.clone(),
        key: match &one.key {
            KeySettings::Made(kind) => KeySource::Made(*kind),
            KeySettings::Request(path, _) => KeySource::Request(path.clone()),
        },
        deploy: one.deploy.clone(),
        deploy_timeout: one.deploy_timeout,
        access: one.access,
        keep: one.keep,
        p12_password: one.p12_password.clone(),
        term: one.term,
        comments: one.comments.clone(),
        requester: one.requester.clone(),
        fields: one.fields.clone(),
        contact: one
            .contact
            .as_ref()
            .and_then(|name| contacts.get(name).cloned()),
    }
}

/// What the store is to want.
pub(in crate::commands) fn wanted_certificates(settings: &Settings) -> Vec<WantedCertificate> {
    let row = |name: &String, ca: &String| WantedCertificate {
        name: name.clone(),
        ca: ca.clone(),
    };
    let all = settings.certificates.certificates.iter();
    // It is wanted although its request cannot be read now.
    let unusable = settings.certificates.unusable.iter();
    all.map(|one| row(&one.name, &one.ca))
        .chain(unusable.map(|one| row(&one.name, &one.ca)))
        .collect()
}

/// What is wrong with the requests, by the name of the certificate.
fn faults(settings: &Settings) -> BTreeMap<String, String> {
    let all = settings.certificates.unusable.iter();
    all.map(|one| (one.name.clone(), one.why())).collect()
}

/// Why certificates cannot be kept where the configuration says, a line each. Nothing is made.
pub(in crate::commands) fn unfit_directories(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    let directory = &settings.certificates.directory;
    for one in &settings.certificates.certificates {
        let folder = Folder::at(directory, &one.name, one.access);
        if let Err(trouble) = folder.examine()
            && !found.contains(&trouble.message)
        {
            found.push(trouble.message);
        }
    }
    let key = "certificates.directory";
    found
        .into_iter()
        .map(|why| format!("{}: {why}", settings.place(key)))
        .collect()
}

/// What the directory of certificates is called in the store: a name that moves with it, and that
/// all machines which share the directory have in common. `None`: it was never used.
pub(in crate::commands) fn home(settings: &Settings) -> Option<String> {
    let path = settings.certificates.directory.join(HOME);
    let text = crate::text::file::read_text(&path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The same; a directory that was never used gets a name.
pub(in crate::commands) fn home_or_made(settings: &Settings) -> Result<String, Failed> {
    if let Some(home) = home(settings) {
        return Ok(home);
    }
    let directory = &settings.certificates.directory;
    made(directory).map_err(|error| {
        let message = format!("certificates.directory {}: {error}", directory.display());
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Failed::new(Exit::Temporary, message).with_hint("make room on this file system")
            }
            _ => Failed::new(Exit::Usage, message)
                .with_hint("make it, writable for the user of prevalidate only"),
        }
    })?;
    home(settings).ok_or_else(|| {
        let shown = directory.join(HOME);
        Failed::new(Exit::Usage, format!("{} cannot be read", shown.display()))
    })
}

fn made(directory: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(directory)?;
    let path = directory.join(HOME);
    let tag = uuid::Uuid::new_v4().to_string();
    let before = directory.join(format!("{HOME}.{tag}"));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&before)?;
    file.write_all(tag.as_bytes())?;
    file.sync_all()?;
    // The first of several processes wins.
    let linked = fs::hard_link(&before, &path);
    fs::remove_file(&before)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// By which a directory of certificates is recognised as that of another CA environment, as a store is
/// (see `fingerprint`).
fn hosts(settings: &Settings) -> BTreeMap<String, String> {
    let cas = settings.cas.iter();
    cas.map(|(name, ca)| (name.clone(), ca.url.authority().to_owned()))
        .collect()
}

/// The job, for all certificates of the configuration or for some.
#[expect(clippy::too_many_arguments, reason = "the parts of the job")]
pub(in crate::commands) fn issuer(
    settings: &Settings,
    ports: &Ports,
    certificates: Vec<Certificate>,
    run: &str,
    only: Option<Vec<String>>,
    stop: CancellationToken,
    tell: Arc<dyn Fn(&CertificateEvent) + Send + Sync>,
) -> Result<Issuer, Failed> {
    let observes = settings.policy.mode == Mode::Observe;
    let is_unused = certificates.is_empty() && settings.certificates.unusable.is_empty();
    let home = match is_unused || observes {
        true => home(settings).unwrap_or_default(),
        false => home_or_made(settings)?,
    };
    let options = IssueOptions {
        holder: format!("{run}/{}", std::process::id()),
        configuration: settings.file.clone(),
        run: run.to_owned(),
        only,
        lease: SignedDuration::try_from(settings.worker.lease).unwrap_or(SignedDuration::MAX),
        directory: settings.certificates.directory.clone(),
        hosts: hosts(settings),
        faults: faults(settings),
        home,
        host: host(),
        shares: ports.store.is_shared(),
        lanes: LANES,
        observes,
        orders: true,
        only_revokes: false,
    };
    Ok(Issuer::new(
        IssuePorts::of(ports),
        policy(settings),
        certificates,
        options,
        stop,
        tell,
    ))
}

/// The job for commands that only read: it has no account, and needs no secret.
pub(in crate::commands) fn looking_issuer(settings: &Settings, store: &Arc<dyn Store>) -> Issuer {
    let ports = IssuePorts {
        cas: Default::default(),
        issuers: Default::default(),
        providers: Default::default(),
        lookout: None,
        store: Arc::clone(store),
        clock: super::clock(),
    };
    let options = IssueOptions {
        holder: String::new(),
        configuration: settings.file.clone(),
        run: String::new(),
        only: None,
        lease: SignedDuration::from_mins(5),
        directory: settings.certificates.directory.clone(),
        hosts: hosts(settings),
        faults: faults(settings),
        home: home(settings).unwrap_or_default(),
        host: host(),
        shares: store.is_shared(),
        lanes: 1,
        observes: true,
        orders: false,
        only_revokes: false,
    };
    Issuer::new(
        ports,
        policy(settings),
        certificates(settings),
        options,
        CancellationToken::new(),
        Arc::new(|_| {}),
    )
}
