//! Orders of which only the directory tells, by the notes in folders that no section of the configuration
//! names: the store was lost, or is an older copy. They are paid, and nothing goes on with them.

use jiff::Timestamp;

use super::super::lying::read_note;
use super::alone::is_in_life;
use super::lost::is_beginning;
use crate::certificates::{Access, Folder};
use crate::issuance::Progress;
use crate::issuance::progress::Order;
use crate::store::StoreError;
use crate::store::orders::CertificateRow;
use crate::worker::issue::Issuer;

impl Issuer {
    /// The newest of them in each folder, as a row that the store does not have, or with what its row
    /// has: the store is an older copy. `rows` are those that it has. No CA is asked.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn strays(
        &self,
        rows: &[CertificateRow],
        now: Timestamp,
    ) -> Result<Vec<CertificateRow>, StoreError> {
        let mut strays = Vec::new();
        for name in Folder::all_in(&self.options.directory) {
            if self.certificate(&name).is_some() || self.options.faults.contains_key(&name) {
                continue;
            }
            let Some(order) = self.open_order_in(&name, now) else {
                continue;
            };
            let known = rows.iter().find(|row| row.name == name);
            let is_older = known.is_some_and(|row| {
                let installed = row.progress.installed.as_ref().map(|one| one.version);
                let in_hand = row.progress.order.as_ref().map(|one| one.version);
                installed.max(in_hand) >= Some(order.version)
            });
            if !is_older && !self.is_followed(&name, &order, rows, now).await? {
                strays.push(CertificateRow {
                    ca: order.ca.clone(),
                    wanted: false,
                    home: known.and_then(|row| row.home.clone()),
                    due_at: None,
                    progress: Progress {
                        order: Some(order),
                        ..known.map(|row| row.progress.clone()).unwrap_or_default()
                    },
                    name,
                });
            }
        }
        Ok(strays)
    }

    /// An order or a certificate in a folder here that the store does not know, while another
    /// directory keeps the certificate. Servers here may read it. It was made before the store was
    /// lost, or after the copy that it is.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn unknown_here(
        &self,
        row: &CertificateRow,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let folder = Folder::at(&self.options.directory, &row.name, Access::default());
        let order = self.open_order_in(&row.name, now);
        let live = folder.live().ok().flatten();
        let live = live.filter(|live| live.facts.not_after > now);
        if order.is_none() && live.is_none() {
            return Ok(None);
        }
        let (in_hand, installed) = (&row.progress.order, &row.progress.installed);
        let orders = self.ports.store.orders();
        let history = orders.certificate_history(&row.name).await?;
        let is_told = |part: &str| history.iter().any(|event| event.detail.contains(part));
        let order = order.filter(|order| {
            let is_in_hand = in_hand.as_ref().is_some_and(|one| one.tag == order.tag);
            !is_in_hand && !is_told(&order.tag)
        });
        let live = live.filter(|live| {
            let serial = &live.facts.serial;
            let is_installed = installed.as_ref().is_some_and(|one| one.serial == *serial);
            !is_installed && !is_told(serial)
        });
        let place = folder.path().display();
        Ok(match (order, live) {
            (Some(order), _) => {
                let reference = order.reference.as_deref();
                let reference = reference.map_or_else(String::new, |one| format!(" {one}"));
                Some(format!("{place} has an order{reference} at {}", order.ca))
            }
            (None, Some(live)) => {
                let serial = live.facts.serial;
                Some(format!(
                    "{place} has a certificate (serial number {serial})"
                ))
            }
            (None, None) => None,
        })
    }

    /// The order of the newest version that may be open still.
    fn open_order_in(&self, name: &str, now: Timestamp) -> Option<Order> {
        let folder = Folder::at(&self.options.directory, name, Access::default());
        let versions = folder.noted_versions().into_iter();
        let open = versions.filter_map(|(version, note, has_certificate)| {
            let order = read_note(&note).filter(|one| is_in_life(one, now))?;
            let is_open = !has_certificate && !order.is_fetched_again;
            is_open.then_some(Order { version, ..order })
        });
        open.max_by_key(|order| order.version)
    }

    /// Whether the store knows an order of this folder, or another folder has it too: it went on there.
    async fn is_followed(
        &self,
        name: &str,
        order: &Order,
        rows: &[CertificateRow],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let in_hand = rows.iter().filter_map(|row| row.progress.order.as_ref());
        if in_hand.into_iter().any(|one| one.tag == order.tag) {
            return Ok(true);
        }
        if self.has_order_beside(name, &order.tag, now) {
            return Ok(true);
        }
        let orders = self.ports.store.orders();
        let history = orders.certificate_history(name).await?;
        let mut events = history.iter();
        Ok(events.any(|event| is_beginning(event, order.version, Some(&order.tag))))
    }
}
