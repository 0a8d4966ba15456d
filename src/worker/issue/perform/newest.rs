//! The newest pair of all that are what is wanted: the one that is in the folder, those that the
//! store has under names of before, and those in the versions of the directory. An older one never
//! comes back in the place of one that was paid after it.

use jiff::Timestamp;

use super::super::certificate::Certificate;
use super::super::lying::order_in;
use super::super::task::Task;
use crate::certificates::Folder;
use crate::certificates::folder::Live;
use crate::store::StoreError;
use crate::store::orders::CertificateRow;

impl Task<'_> {
    /// Whether a certificate of the store has this serial number, and is none that can be taken over.
    pub(super) fn is_taken(&self, rows: &[CertificateRow], serial: &str) -> bool {
        let now = self.now();
        rows.iter().any(|row| {
            let installed = row.progress.installed.as_ref();
            let has_it = installed.is_some_and(|one| one.serial == serial);
            has_it && self.issuer.left_pair(row, now).is_none()
        })
    }

    /// When the newest ends that the store has under names of before for what is wanted, revoked or
    /// not: nothing older is taken, whatever is in the directory.
    pub(super) fn newest_left(
        &self,
        rows: &[CertificateRow],
        fits: &impl Fn(&str) -> bool,
    ) -> Option<Timestamp> {
        let now = self.now();
        let installed = |row: &'_ CertificateRow| row.progress.installed.clone();
        let is_wanted = |serial: &str| {
            let mut rows = rows.iter().filter_map(|row| Some((row, installed(row)?)));
            rows.any(|(row, one)| one.serial == serial && !self.issuer.is_left(row, &one.print))
        };
        let left = rows.iter().filter_map(|row| {
            let one = installed(row)?;
            let is_other = row.name != self.row.name && self.issuer.is_left(row, &one.print);
            let is_it = is_other && fits(&one.print) && one.not_after > now;
            (is_it && !is_wanted(&one.serial)).then_some(one.not_after)
        });
        left.max()
    }

    /// Searches for a pair that fits and ends after `than`: under an earlier name, and in the
    /// directory. True: it is taken, or held.
    pub(super) async fn has_a_newer_pair(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
        than: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let wanted = &certificate.wanted;
        let fits = |print: &str| print == wanted.print;
        Ok(self
            .has_a_pair_of_before(certificate, folder, fits, than)
            .await?
            || self
                .has_a_pair_nearby(certificate, folder, fits, than)
                .await?)
    }

    /// Takes over what is in the folder and fits, unless there is a newer one. True: something is
    /// taken over, or held.
    pub(super) async fn takes_the_newest(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
        live: Live,
    ) -> Result<(), StoreError> {
        let is_revoked = folder.may_be_revoked(live.version);
        let than = Some(live.facts.not_after).filter(|_| !is_revoked);
        if self.has_a_newer_pair(certificate, folder, than).await? {
            return Ok(());
        }
        let wanted = &certificate.wanted;
        let fits = |print: &str| print == wanted.print;
        let rows = self.issuer.ports.store.orders().certificates().await?;
        let newest = self.newest_left(&rows, &fits);
        let is_older = newest.is_some_and(|newest| live.facts.not_after < newest);
        if is_older && self.is_revoked_there(certificate, fits).await? {
            return Ok(());
        }
        let has_key = certificate.makes_key();
        self.take_over(certificate, live, has_key).await
    }
}

/// Whether this program has put what is in a version there, as its note tells.
pub(super) fn is_ours(certificate: &Certificate, folder: &Folder, version: u32) -> bool {
    let facts = folder.facts_of(version);
    order_in(folder, version).is_some_and(|noted| {
        let is_its = facts.is_none_or(|facts| facts.fingerprint == noted.fingerprint);
        is_its && noted.ca == certificate.ca
    })
}
