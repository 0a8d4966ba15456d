//! What the files of a certificate tell of its revocation while the store does not know: it was brought
//! back from an older copy.

use jiff::Timestamp;

use super::Issuer;
use super::perform::noted_request;
use crate::certificates::{Access, Folder};
use crate::issuance::progress::Installed;
use crate::store::orders::CertificateRow;

/// What a note told: the kind of the entry in the history, and its words.
pub(super) type Told = (&'static str, String);

impl Issuer {
    /// Takes into a row what the notes beside its certificate tell of a revocation.
    pub(super) fn heed(&self, row: &mut CertificateRow, now: Timestamp) -> Option<Told> {
        let installed = row.progress.installed.as_ref()?;
        if row.home.as_deref() != Some(self.home()) || installed.revoked_at.is_some() {
            return None;
        }
        let folder = self.folder_of(&row.name, installed)?;
        let (version, serial) = (installed.version, installed.serial.clone());
        let words = |what: &str| format!("serial number {serial}: {what}, as is noted beside it");
        if let Some(at) = folder.revoked(version) {
            let told = words("it is revoked");
            if let Some(installed) = row.progress.installed.as_mut() {
                installed.revoked_at = Some(at);
            }
            row.progress
                .revocation
                .take_if(|open| open.serial == serial);
            return Some(("revoked", told));
        }
        if row.progress.revocation.is_some() {
            return None;
        }
        let request = noted_request(&folder.revoking(version)?, &serial, now)?;
        row.progress.revocation = Some(Box::new(request));
        Some(("revoking", words("its CA was asked to revoke it")))
    }

    /// Whether the notes beside a certificate say that it was revoked, or is to be.
    pub(super) fn is_told_revoked(&self, name: &str, installed: &Installed) -> bool {
        let folder = self.folder_of(name, installed);
        folder.is_some_and(|folder| folder.may_be_revoked(installed.version))
    }

    /// The folder of a name, where its version is that of the certificate and has a note of that kind.
    fn folder_of(&self, name: &str, installed: &Installed) -> Option<Folder> {
        let folder = Folder::at(&self.options.directory, name, Access::default());
        // Hardly any has one, so that nothing else is read.
        if !folder.may_be_revoked(installed.version) {
            return None;
        }
        let facts = folder.facts_of(installed.version);
        let is_its = facts.is_none_or(|facts| facts.serial == installed.serial);
        is_its.then_some(folder)
    }
}
