//! An open order that the configuration calls otherwise now: it continues with its key, wherever a
//! person has moved the folder.

use super::super::certificate::Certificate;
use super::super::task::Task;
use super::alone::is_installed;
use super::lost::{begun_words, noted};
use super::spelled::respelled;
use crate::certificates::folder::Known;
use crate::certificates::{Folder, PrivateKey, Trouble};
use crate::issuance::again;
use crate::issuance::progress::{HoldKind, Order};
use crate::store::StoreError;

impl Task<'_> {
    /// The order is this certificate's first, and then no more the other one's: whenever the process
    /// dies, one of the two has it.
    pub(super) async fn take_order(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
        before: &mut Task<'_>,
        order: Order,
    ) -> Result<(), StoreError> {
        let name = before.row.name.clone();
        let has_key = order.has_key.unwrap_or(certificate.makes_key());
        let order = Order {
            print: respelled(&certificate.wanted, &order.print),
            ..order
        };
        let reference = order.reference.clone();
        let told = reference.unwrap_or_else(|| "an order without an answer yet".to_owned());
        let handed = format!("{told} is that of {}", self.row.name);
        if self.row.progress.installed.is_some() && is_installed(&order, folder) {
            // Another store has followed the order to its end.
            self.stepped();
            before.progress().order = None;
            before.say("handed-over", handed);
            return Ok(());
        }
        let version = match self.with_its_key(certificate, folder, &name, &order, has_key) {
            Ok(Some(version)) => version,
            Ok(None) => {
                let words = format!(
                    "{name}, which the configuration names no more, has an order for the same ({told}), and its key is in no folder of the directory"
                );
                let hint = format!(
                    "put the key back, and the next run continues; or {} orders a new one",
                    again(&self.row.name)
                );
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
        self.say("key", begun_words(version, &order.tag));
        self.begin_with(Order {
            version,
            is_fetched: false,
            ..order
        });
        self.commit().await?;
        before.progress().order = None;
        before.say("handed-over", handed);
        Ok(())
    }

    /// The version of this folder with the key of an order: it is brought from the folder of before, or
    /// from where that was moved; `None`: it is nowhere.
    fn with_its_key(
        &self,
        certificate: &Certificate,
        folder: &Folder,
        name: &str,
        order: &Order,
        has_key: bool,
    ) -> Result<Option<u32>, Trouble> {
        let directory = &self.issuer.options.directory;
        let at = |name: &str| Folder::at(directory, name, certificate.access);
        let there = at(name);
        if !has_key {
            return brought(&there, folder, order, has_key);
        }
        let own = version_of(folder, order);
        // The folder itself was moved: its version continues.
        if let Some(own) = own.filter(|&own| !folder.has_certificate(own)) {
            folder.note(own, &noted(&with_version(order, own)))?;
            return Ok(Some(own));
        }
        if let Some(version) = version_of(&there, order) {
            return brought(&there, folder, &with_version(order, version), has_key);
        }
        if let Some(own) = own {
            return brought(folder, folder, &with_version(order, own), has_key);
        }
        for other in Folder::all_in(directory) {
            let other = at(&other);
            if let Some(version) = version_of(&other, order) {
                return brought(&other, folder, &with_version(order, version), has_key);
            }
        }
        Ok(None)
    }
}

fn with_version(order: &Order, version: u32) -> Order {
    Order {
        version,
        ..order.clone()
    }
}

/// The version of a folder that has the key of an order.
fn version_of(folder: &Folder, order: &Order) -> Option<u32> {
    folder.version_of_key(Known {
        version: order.version,
        serial: "",
        fingerprint: &order.fingerprint,
        has_key: true,
    })
}

/// The key of an order in a new version of another folder; `None`: it is gone.
pub(super) fn brought(
    from: &Folder,
    to: &Folder,
    order: &Order,
    has_key: bool,
) -> Result<Option<u32>, Trouble> {
    let key: Option<PrivateKey> = match has_key {
        true => from.key(order.version)?,
        false => None,
    };
    if has_key && key.is_none() {
        return Ok(None);
    }
    let version = to.new_version(1)?;
    let begun = to.note(version, &noted(order));
    if let Err(trouble) = begun.and_then(|()| to.begin(version, key.as_ref())) {
        to.discard(version);
        return Err(trouble);
    }
    Ok(Some(version))
}
