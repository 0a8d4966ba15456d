//! The CA environment that owns the directory. The program of one CA environment does not put its
//! certificates in the place of those of another, as its store is not used by another.

use jiff::Timestamp;

use super::super::task::Task;
use super::lost::as_noted;
use crate::certificates::folder::Live;
use crate::certificates::{Access, Folder, Trouble};
use crate::issuance::progress::{HoldKind, Revocation};
use crate::store::orders::CertificateRow;
use crate::store::{StoreError, endpoint_fact};
use crate::worker::issue::Issuer;

impl Task<'_> {
    /// Holds the certificate where what counts in its folder was installed for a CA that neither the
    /// configuration nor what this store has installed knows. True: it is held.
    pub(super) async fn is_of_another(&mut self, folder: &Folder) -> Result<bool, StoreError> {
        let owner = match folder.owner() {
            Ok(owner) => owner.filter(|_| folder.current().is_some()),
            Err(trouble) => {
                self.trouble(trouble);
                return Ok(true);
            }
        };
        let Some(owner) = owner else {
            return Ok(false);
        };
        if self.issuer.knows(&owner) {
            return Ok(false);
        }
        if let Some(installed) = &self.row.progress.installed {
            // A CA that the configuration had before.
            let fact = endpoint_fact(&installed.ca);
            if self.issuer.ports.store.fact(&fact).await?.as_ref() == Some(&owner) {
                return Ok(false);
            }
        }
        let words = format!(
            "the certificate in {} was installed for the CA at {owner}, which is no CA of this configuration",
            folder.path().display()
        );
        let hint = format!(
            "give this configuration a `directory` of its own in [certificates]; if its CA is to take the place, remove {}",
            folder.owner_path().display()
        );
        self.hold(HoldKind::Folder, words, Some(hint));
        Ok(true)
    }
}

impl Issuer {
    /// Whether this is the host of a CA of the configuration. Without any nothing is compared.
    pub(in crate::worker::issue) fn knows(&self, host: &str) -> bool {
        let hosts = &self.options.hosts;
        hosts.is_empty() || hosts.values().any(|own| own == host)
    }

    /// Notes whose certificates count in the directory, for those that an older program installed.
    /// What was only found there is left to the installation that ordered it.
    pub(in crate::worker::issue) fn mark_what_is_ours(&self, row: &CertificateRow) {
        let installed = row.progress.installed.as_ref();
        self.note_what_is_ours(row);
        let revoked = installed.and_then(|one| one.revoked_at.map(|at| (one, at)));
        if let Some((one, at)) = revoked {
            self.mark_revoked(&row.name, one.version, &one.serial, at);
        }
        let open = row.progress.revocation.as_ref();
        if let Some(asked) = open.filter(|one| one.asked_at.is_some() && one.refused.is_none()) {
            self.mark_revoking(&row.name, asked);
        }
        let ordered = installed.filter(|one| !one.reference.is_empty());
        let Some((certificate, installed)) = self.certificate(&row.name).zip(ordered) else {
            return;
        };
        let folder = self.folder(certificate);
        let host = self.options.hosts.get(&installed.ca);
        let is_noted = || folder.owner().ok().flatten().as_ref() == host;
        if host.is_none() || is_noted() {
            return;
        }
        let is_ours = |live: &Option<Live>| {
            let live = live.as_ref();
            live.is_some_and(|one| one.facts.serial == installed.serial)
        };
        let marked = match folder.live() {
            Ok(live) if is_ours(&live) => self.mark(&folder, &installed.ca),
            _ => Ok(()),
        };
        if let Err(trouble) = marked {
            tracing::warn!(%trouble, "the CA of a certificate could not be noted");
        }
    }

    /// Notes beside what is installed which order it is of, where an older program did not: it is known
    /// by that under another name, and by a store that has lost it.
    fn note_what_is_ours(&self, row: &CertificateRow) {
        let installed = row.progress.installed.as_ref();
        let ordered = installed.filter(|one| !one.reference.is_empty());
        let Some((certificate, installed)) = self.certificate(&row.name).zip(ordered) else {
            return;
        };
        let (folder, version) = (self.folder(certificate), installed.version);
        if !matches!(folder.noted(version), Ok(None)) {
            return;
        }
        let facts = folder.facts_of(version);
        if facts.is_some_and(|facts| facts.serial == installed.serial)
            && let Err(trouble) = folder.note(version, &as_noted(installed))
        {
            tracing::warn!(%trouble, "the order of a certificate could not be noted");
        }
    }

    /// Notes beside a certificate that it was revoked, for a store that does not know.
    pub(in crate::worker::issue) fn mark_revoked(
        &self,
        name: &str,
        version: u32,
        serial: &str,
        at: Timestamp,
    ) {
        let directory = &self.options.directory;
        let folder = Folder::at(directory, name, Access::default());
        // Where its own version cannot be read, a folder of another name may have it too.
        if folder.revoked(version).is_some() {
            return;
        }
        self.mark_revoked_anywhere(serial, at);
    }

    /// The same where its version is not known: it is not the one that is installed.
    pub(super) fn mark_revoked_anywhere(&self, serial: &str, at: Timestamp) {
        if let Err(trouble) = Folder::mark_revoked(&self.options.directory, serial, at) {
            tracing::warn!(%trouble, "the revocation could not be noted beside the certificate");
        }
    }

    /// Notes beside a certificate that its CA is asked to revoke it, for a store that does not know.
    pub(super) fn mark_revoking(&self, name: &str, request: &Revocation) {
        let directory = &self.options.directory;
        let folder = Folder::at(directory, name, Access::default());
        let is_noted = folder
            .current()
            .is_some_and(|one| folder.may_be_revoked(one));
        if is_noted {
            return;
        }
        let text = serde_json::to_string(request).unwrap_or_default();
        if let Err(trouble) = Folder::mark_revoking(directory, &request.serial, &text) {
            // The store knows. For this note alone no revocation waits: a key may be stolen.
            tracing::warn!(
                %trouble,
                "the revocation is asked for, and not noted beside the certificate: if the store is \
                 lost now, the certificate counts as valid here; the next run notes it"
            );
        }
    }

    /// Notes in a folder whose certificate counts there from now on.
    pub(in crate::worker::issue) fn mark(&self, folder: &Folder, ca: &str) -> Result<(), Trouble> {
        match self.options.hosts.get(ca) {
            Some(host) => folder.set_owner(host),
            None => Ok(()),
        }
    }
}
