//! A certificate that the configuration calls otherwise than before, while its order is under way: the
//! order is paid, and the certificate of the new name takes it over.

use jiff::SignedDuration;

use super::super::certificate::{Certificate, KeySource};
use super::super::task::Task;
use crate::certificates::{Folder, PrivateKey, Trouble};
use crate::issuance::again;
use crate::issuance::progress::{HoldKind, Order};
use crate::store::StoreError;
use crate::store::orders::{CertificateClaim, CertificateRow};
use crate::worker::issue::Issuer;

/// How long the other certificate is left to who works on it.
const SOON: SignedDuration = SignedDuration::from_secs(1);

impl Issuer {
    /// The order of a certificate that the configuration does not name any more, where it is for
    /// just what `print` says and its key is in this directory.
    fn left_order<'a>(&self, row: &'a CertificateRow, print: &str) -> Option<&'a Order> {
        let is_named = |name: &str| {
            self.certificates.contains_key(name) || self.options.faults.contains_key(name)
        };
        let is_left = !row.wanted && !is_named(&row.name);
        let is_here = row.home.as_deref() == Some(self.home());
        let order = row.progress.order.as_ref().filter(|_| is_left && is_here)?;
        let is_made = order.submitted_at.is_some() && !order.is_fetched_again;
        (is_made && order.print == print).then_some(order)
    }
}

impl Task<'_> {
    /// Looks for such an order before a first one is made. True: nothing is ordered now.
    pub(super) async fn has_an_order_of_before(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
    ) -> Result<bool, StoreError> {
        let progress = &self.row.progress;
        let is_first = progress.installed.is_none() && progress.order.is_none();
        if !is_first || progress.again {
            return Ok(false);
        }
        let print = &certificate.wanted.print;
        let orders = self.issuer.ports.store.orders();
        let rows = orders.certificates().await?;
        let left = rows
            .into_iter()
            .find(|row| self.issuer.left_order(row, print).is_some());
        let Some(left) = left else {
            return Ok(false);
        };
        let (now, options) = (self.now(), &self.issuer.options);
        let names = [left.name.clone()];
        orders.wake_certificates(&names, now).await?;
        let claim = CertificateClaim {
            holder: &options.holder,
            home: &options.home,
            also_of: None,
            only: Some(&names),
            except_cas: &[],
            now,
            lease: options.lease,
        };
        let Some(lease) = orders.claim_certificate(&claim).await? else {
            let name = &left.name;
            let words = format!("its order is that of {name}, on which another process works");
            self.progress().trouble = Some(words);
            self.progress().not_before = now.saturating_add(SOON).ok();
            return Ok(true);
        };
        let mut before = Task::new(self.issuer, lease);
        if let Some(order) = self.issuer.left_order(&before.row, print).cloned() {
            self.take_order(certificate, folder, &mut before, order)
                .await?;
        }
        before.let_go(now).await?;
        Ok(true)
    }

    /// The order is this certificate's first, and then no more the other one's: whenever the process
    /// dies, one of the two has it.
    async fn take_order(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
        before: &mut Task<'_>,
        order: Order,
    ) -> Result<(), StoreError> {
        let name = before.row.name.clone();
        let there = Folder::at(&self.issuer.options.directory, &name, certificate.access);
        let has_key = order
            .has_key
            .unwrap_or(matches!(certificate.key, KeySource::Made(_)));
        let reference = order.reference.clone();
        let told = reference.unwrap_or_else(|| "an order without an answer yet".to_owned());
        let version = match brought(&there, folder, &order, has_key) {
            Ok(Some(version)) => version,
            Ok(None) => {
                let words = format!(
                    "{name}, which the configuration names no more, has an order for the same ({told}), and its key is gone"
                );
                let hint = format!("{} orders a new one", again(&self.row.name));
                self.hold(HoldKind::Key, words, Some(hint));
                return Ok(());
            }
            Err(trouble) => {
                self.trouble(trouble);
                return Ok(());
            }
        };
        self.stepped();
        self.say(
            "taken-over",
            format!("{told}, of {name}: nothing was ordered"),
        );
        let progress = self.progress();
        progress.hold = None;
        progress.order = Some(Order {
            version,
            is_fetched: false,
            ..order
        });
        self.commit().await?;
        before.progress().order = None;
        before.say(
            "handed-over",
            format!("{told} is that of {}", self.row.name),
        );
        Ok(())
    }
}

/// The key of an order in a new version of another folder; `None`: it is gone.
fn brought(
    from: &Folder,
    to: &Folder,
    order: &Order,
    has_key: bool,
) -> Result<Option<u32>, Trouble> {
    let version = to.next_version()?;
    let key: Option<PrivateKey> = match has_key {
        true => from.key(order.version)?,
        false => None,
    };
    if has_key && key.is_none() {
        return Ok(None);
    }
    to.begin(version, key.as_ref())?;
    Ok(Some(version))
}
