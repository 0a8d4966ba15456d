//! What is left to do for a certificate that rests: what failed in a step that is no longer taken
//! is forgotten, and an order for it that is open under a name of before continues here.

use super::super::certificate::Certificate;
use super::super::task::{Alone, Task};
use crate::certificates::Folder;
use crate::issuance::{BY_HAND, Step};
use crate::store::StoreError;
use crate::store::orders::CertificateRow;
use crate::worker::issue::Issuer;

/// The rows that have an order under way.
pub(in crate::worker::issue) fn with_orders(
    rows: &[CertificateRow],
) -> impl Iterator<Item = &CertificateRow> {
    rows.iter().filter(|row| row.progress.order.is_some())
}

impl Issuer {
    /// Whether a certificate rests, whatever failed before.
    ///
    /// # Errors
    /// An error of the store.
    async fn rests(&self, row: &CertificateRow) -> Result<bool, StoreError> {
        if row.progress.order.is_some() {
            return Ok(false);
        }
        let now = self.ports.clock.now();
        // A renewal that waits after a failure rests until then, and is under way.
        let mut row = row.clone();
        row.progress.not_before = None;
        let decision = self.decide(&row, false, now).await?;
        Ok(decision.step == Step::Rest && decision.at > now)
    }

    /// Whether something is left to do for a certificate that rests. `open` are the rows with orders.
    pub(in crate::worker::issue) async fn is_unquiet(
        &self,
        row: &CertificateRow,
        open: &[&CertificateRow],
    ) -> Result<bool, StoreError> {
        let has_trouble = row.progress.trouble.is_some();
        Ok((has_trouble || self.has_open_order_of_before(row, open)) && self.rests(row).await?)
    }

    /// Whether an order for a certificate that is installed is open under a name of before.
    fn has_open_order_of_before(&self, row: &CertificateRow, open: &[&CertificateRow]) -> bool {
        let installed = row.progress.installed.as_ref();
        let Some((certificate, installed)) = self.certificate(&row.name).zip(installed) else {
            return false;
        };
        let wanted = &certificate.wanted;
        let fits = |print: &str| print == wanted.print;
        let is_left = |other: &&CertificateRow| {
            other.name != row.name && self.left_order(other, fits).is_some()
        };
        self.options.orders && wanted.is_met_by(&installed.print) && open.iter().any(is_left)
    }
}

impl Task<'_> {
    /// Does what is left to do where it rests.
    pub(in crate::worker::issue) async fn rest(
        &mut self,
        is_fresh: bool,
    ) -> Result<(), StoreError> {
        let progress = &self.row.progress;
        let has_trouble = progress.trouble.is_some() || progress.failures > 0;
        let is_asked = progress.installed.is_some() && (is_fresh || has_trouble);
        if !is_asked || !self.issuer.rests(&self.row).await? {
            return Ok(());
        }
        if has_trouble {
            self.stepped();
        }
        let Some(certificate) = self.certificate().filter(|_| is_fresh) else {
            return Ok(());
        };
        let rows = self.issuer.ports.store.orders().certificates().await?;
        let open: Vec<_> = with_orders(&rows).collect();
        if !self.issuer.has_open_order_of_before(&self.row, &open) {
            return Ok(());
        }
        match self.is_alone(Step::Key) {
            Alone::No => self.stepped(),
            Alone::Yes | Alone::Now => {
                let folder = self.issuer.folder(certificate);
                self.takes_an_open_order(certificate, &folder).await?;
            }
        }
        Ok(())
    }

    /// Continues with an order for what is installed that is open under a name of before, or that
    /// is in its folder and is not known to this store: else the renewal would be ordered twice.
    pub(super) async fn takes_an_open_order(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
    ) -> Result<(), StoreError> {
        let wanted = &certificate.wanted;
        if wanted.name.starts_with(BY_HAND) || !self.issuer.options.orders {
            return Ok(());
        }
        let installed = self.row.progress.installed.as_ref();
        if !installed.is_some_and(|one| wanted.is_met_by(&one.print)) {
            return Ok(());
        }
        self.commit().await?;
        let fits = |print: &str| print == wanted.print;
        let has_one = self
            .has_an_order_of_before(certificate, folder, fits)
            .await?
            || self.has_an_order_nearby(certificate, folder, fits).await?;
        if has_one && self.row.progress.order.is_none() && self.row.progress.hold.is_none() {
            // The next run tries it again.
            self.stepped();
        }
        Ok(())
    }
}
