//! Certificates: from the configuration to the job that keeps them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{App, span};
use crate::certificates::Folder;
use crate::certificates::folder::make_directory;
use crate::commands::{Exit, Failed};
use crate::config::{CertificateSettings, KeySettings};
use crate::issuance::Wanted;
use crate::overview::machines::host;
use crate::prevalidation::Mode;
use crate::store::orders::{CertificateEvent, WantedCertificate};
use crate::store::{Store, StoreError};
use crate::worker::issue::{Certificate, IssueOptions, IssuePorts, Issuer, KeySource};
use crate::worker::{Ports, Target};

/// The file that names a directory of certificates in the store.
const HOME: &str = ".home";

/// Certificates that are worked on at once.
const LANES: usize = 4;

impl App {
    /// The certificates of the configuration.
    pub fn certificates(&self) -> Vec<Certificate> {
        let all = self.settings.certificates.certificates.iter();
        all.map(|one| self.certificate(one)).collect()
    }

    /// One of them.
    pub fn certificate(&self, one: &CertificateSettings) -> Certificate {
        let contacts = &self.settings.certificates.contacts;
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
            validates_in_order: self
                .settings
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

    /// Has the store want the certificates of the configuration.
    pub async fn want_certificates(&self, store: &dyn Store) -> Result<(), StoreError> {
        let row = |name: &String, ca: &String| WantedCertificate {
            name: name.clone(),
            ca: ca.clone(),
        };
        let from = &self.settings.certificates;
        let all = from.certificates.iter().map(|one| row(&one.name, &one.ca));
        // It is wanted although its request cannot be read now.
        let unusable = from.unusable.iter().map(|one| row(&one.name, &one.ca));
        let wanted: Vec<_> = all.chain(unusable).collect();
        let orders = store.orders();
        orders.sync_certificates(&wanted, self.now()).await
    }

    /// Why certificates cannot be kept where the configuration says, a line each. Nothing is made.
    pub fn unfit_directories(&self) -> Vec<String> {
        let mut found = Vec::new();
        let directory = &self.settings.certificates.directory;
        for one in &self.settings.certificates.certificates {
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
            .map(|why| format!("{}: {why}", self.settings.place(key)))
            .collect()
    }

    /// What the directory of certificates is called in the store: a name that moves with it, and that
    /// all machines which share the directory have in common. `None`: it was never used.
    pub fn home(&self) -> Option<String> {
        let path = self.settings.certificates.directory.join(HOME);
        let text = crate::text::file::read_text(&path).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The same; a directory that was never used gets a name.
    pub fn home_or_made(&self) -> Result<String, Failed> {
        if let Some(home) = self.home() {
            return Ok(home);
        }
        let directory = &self.settings.certificates.directory;
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
        self.home().ok_or_else(|| {
            let shown = directory.join(HOME);
            Failed::new(Exit::Usage, format!("{} cannot be read", shown.display()))
        })
    }

    /// The job, for all certificates of the configuration or for some.
    #[expect(clippy::too_many_arguments, reason = "the parts of the job")]
    pub fn issuer(
        &self,
        ports: &Ports,
        certificates: Vec<Certificate>,
        run: &str,
        only: Option<Vec<String>>,
        stop: CancellationToken,
        tell: Arc<dyn Fn(&CertificateEvent) + Send + Sync>,
    ) -> Result<Issuer, Failed> {
        let observes = self.settings.policy.mode == Mode::Observe;
        let is_unused = certificates.is_empty() && self.settings.certificates.unusable.is_empty();
        let home = match is_unused || observes {
            true => self.home().unwrap_or_default(),
            false => self.home_or_made()?,
        };
        let options = IssueOptions {
            only,
            home,
            ..self.issue_options(run, &ports.store)
        };
        Ok(Issuer::new(
            IssuePorts::of(ports),
            self.policy.clone(),
            certificates,
            options,
            stop,
            tell,
        ))
    }

    fn issue_options(&self, run: &str, store: &Arc<dyn Store>) -> IssueOptions {
        IssueOptions {
            holder: format!("{run}/{}", std::process::id()),
            configuration: self.settings.file.clone(),
            run: run.to_owned(),
            only: None,
            lease: span(self.settings.worker.lease),
            directory: self.settings.certificates.directory.clone(),
            hosts: self.hosts(),
            faults: self.faults(),
            home: String::new(),
            host: host(),
            shares: store.is_shared(),
            lanes: LANES,
            observes: self.settings.policy.mode == Mode::Observe,
            orders: true,
            only_revokes: false,
        }
    }

    /// The job for commands that only read: it has no account, and needs no secret.
    pub fn reading_issuer(&self, store: &Arc<dyn Store>) -> Issuer {
        let ports = IssuePorts {
            cas: Default::default(),
            issuers: Default::default(),
            providers: Default::default(),
            checker: None,
            store: Arc::clone(store),
            clock: Arc::clone(&self.clock),
        };
        let options = IssueOptions {
            lanes: 1,
            observes: true,
            orders: false,
            home: self.home().unwrap_or_default(),
            ..self.issue_options("", store)
        };
        Issuer::new(
            ports,
            self.policy.clone(),
            self.certificates(),
            options,
            CancellationToken::new(),
            Arc::new(|_| {}),
        )
    }

    /// What is wrong with the requests, by the name of the certificate.
    fn faults(&self) -> BTreeMap<String, String> {
        let all = self.settings.certificates.unusable.iter();
        all.map(|one| (one.name.clone(), one.why())).collect()
    }

    /// By which a directory of certificates is recognised as that of another CA environment, as a store is
    /// (see `fingerprint`).
    fn hosts(&self) -> BTreeMap<String, String> {
        let cas = self.settings.cas.iter();
        cas.map(|(name, ca)| (name.clone(), ca.url.authority().to_owned()))
            .collect()
    }
}

fn made(directory: &Path) -> std::io::Result<()> {
    make_directory(directory, 0o711)?;
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
