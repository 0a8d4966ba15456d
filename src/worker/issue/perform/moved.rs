//! What the configuration calls otherwise now, wherever a person has moved its folder: an open order
//! goes on with its key, and a pair that lacks a file is fetched once more.

use super::super::certificate::Certificate;
use super::super::live::known;
use super::super::lying::read_note;
use super::super::task::Task;
use super::alone::is_installed;
use super::lost::{begun_words, noted};
use super::spelled::respelled;
use crate::certificates::folder::Known;
use crate::certificates::{Folder, PrivateKey, Trouble};
use crate::issuance::again;
use crate::issuance::progress::{HoldKind, Installed, Order};
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

/// Where a pair lies that the store has under a name of before.
pub(super) struct Place {
    pub(super) folder: Folder,
    pub(super) version: u32,
    /// Whether that is not the folder of its name.
    is_moved: bool,
}

impl Task<'_> {
    /// Where the files of a pair of before lie: in the folder of its name, or where that was moved. Its
    /// key tells, or what is left of the files.
    pub(super) fn place_of(
        &self,
        certificate: &Certificate,
        folder: &Folder,
        name: &str,
        pair: &Installed,
    ) -> Place {
        let directory = &self.issuer.options.directory;
        let at = |name: &str| Folder::at(directory, name, certificate.access);
        let (there, known) = (at(name), known(pair, certificate));
        let with_key = |one: &Folder| match known.has_key {
            true => one.version_of_key(known),
            false => None,
        };
        let with_files = |one: &Folder| version_of_pair(one, pair);
        let mut places = vec![there.clone(), folder.clone()];
        let others = Folder::all_in(directory).into_iter();
        places.extend(others.filter(|one| one != name).map(|one| at(&one)));
        let found = |version: &dyn Fn(&Folder) -> Option<u32>| {
            let mut found = places.iter().filter_map(|one| Some((one, version(one)?)));
            found.next().map(|(one, version)| (one.clone(), version))
        };
        let found = found(&with_key).or_else(|| found(&with_files));
        match found.filter(|(one, _)| one.path() != there.path()) {
            Some((folder, version)) => Place {
                folder,
                version,
                is_moved: true,
            },
            None => Place {
                folder: there,
                version: pair.version,
                is_moved: false,
            },
        }
    }

    /// Has what lies in a folder that was moved, and lacks a file there, fetched from the CA with its
    /// key. False: it is whole, or cannot be fetched.
    pub(super) fn fetches_what_was_moved(
        &mut self,
        certificate: &Certificate,
        place: &Place,
        name: &str,
        pair: &Installed,
    ) -> bool {
        let pair = Installed {
            version: place.version,
            ..pair.clone()
        };
        let whole = place.folder.pair(known(&pair, certificate), self.now());
        if !place.is_moved || whole.is_ok_and(|whole| whole.is_ok()) {
            return false;
        }
        let begun = self.begin_to_fetch(certificate, (&place.folder, name), pair);
        if begun.is_ok() {
            self.stepped();
        }
        begun.is_ok()
    }
}

/// The version of a folder that has what is left of a pair: its certificate, or the note of its order.
fn version_of_pair(folder: &Folder, pair: &Installed) -> Option<u32> {
    let is_its = |&(version, ref note, _): &(u32, String, bool)| match folder.facts_of(version) {
        Some(facts) => facts.serial == pair.serial,
        None => read_note(note).is_some_and(|order| order.fingerprint == pair.fingerprint),
    };
    let noted = folder.noted_versions();
    noted.iter().rev().find(|one| is_its(one)).map(|one| one.0)
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
