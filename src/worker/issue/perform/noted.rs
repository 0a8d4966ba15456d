//! The notes of all folders of the directory, read once for many certificates: each of them may be what
//! another one searches for.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::super::lying::read_note;
use crate::certificates::{Access, Folder};
use crate::issuance::progress::Order;
use crate::worker::issue::Issuer;

/// So long they are remembered, where no survey reads them again.
const READ_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// What the versions of a folder keep of orders that were made.
#[derive(Debug, Default)]
pub(in crate::worker::issue) struct Noted {
    /// The host of the CA whose certificate counts there.
    pub(super) owner: Option<String>,
    /// Each version with its order, and whether it has a certificate.
    pub(super) versions: Vec<(u32, Order, bool)>,
}

impl Noted {
    /// The versions whose orders were made.
    #[cfg(test)]
    pub(in crate::worker::issue) fn versions(&self) -> impl Iterator<Item = u32> {
        self.versions.iter().map(|(version, ..)| *version)
    }
}

/// The folders of the directory, by name.
pub(in crate::worker::issue) type Notes = BTreeMap<String, Arc<Noted>>;

fn read(folder: &Folder) -> Arc<Noted> {
    let versions = folder.noted_versions().into_iter();
    let versions = versions.filter_map(|(version, note, has_certificate)| {
        let order = read_note(&note).filter(|order| order.submitted_at.is_some())?;
        Some((version, order, has_certificate))
    });
    Arc::new(Noted {
        owner: folder.owner().ok().flatten(),
        versions: versions.collect(),
    })
}

impl Issuer {
    /// What all folders of the directory keep of orders, as it was a minute ago at most.
    pub(in crate::worker::issue) fn notes(&self, now: Timestamp) -> Arc<Notes> {
        let is_young = |at: Timestamp| now.duration_since(at).abs() < READ_AGAIN;
        let known = self.state().notes.clone();
        if let Some((_, notes)) = known.filter(|(at, _)| is_young(*at)) {
            return notes;
        }
        let names = Folder::all_in(&self.options.directory).into_iter();
        let notes = names.map(|name| (name.clone(), read(&self.place(&name))));
        let notes: Arc<Notes> = Arc::new(notes.collect());
        self.state().notes = Some((now, Arc::clone(&notes)));
        notes
    }

    /// Whether the folder of another name has an order with this tag.
    pub(super) fn has_order_beside(&self, name: &str, tag: &str, now: Timestamp) -> bool {
        let notes = self.notes(now);
        let mut others = notes.iter().filter(|(other, _)| *other != name);
        others.any(|(_, noted)| noted.versions.iter().any(|(_, order, _)| order.tag == tag))
    }

    /// Reads again the folders that no section of this configuration names: another store may be at work
    /// there at this moment.
    pub(super) fn read_strangers_again(&self, now: Timestamp) {
        let known = self.notes(now);
        let is_stranger = |name: &String| {
            self.certificate(name).is_none() && !self.options.faults.contains_key(name)
        };
        let names = Folder::all_in(&self.options.directory).into_iter();
        let mut strangers = names.filter(is_stranger).peekable();
        if strangers.peek().is_none() && !known.keys().any(is_stranger) {
            return;
        }
        let own = known.iter().filter(|(name, _)| !is_stranger(name));
        let own = own.map(|(name, noted)| (name.clone(), Arc::clone(noted)));
        let fresh = strangers.map(|name| (name.clone(), read(&self.place(&name))));
        let notes: Arc<Notes> = Arc::new(own.chain(fresh).collect());
        self.state().notes = Some((now, notes));
    }

    fn place(&self, name: &str) -> Folder {
        Folder::at(&self.options.directory, name, Access::default())
    }
}
