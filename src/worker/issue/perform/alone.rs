//! One process at a time in a folder, and what another store has done there meanwhile: two stores on
//! one directory buy a certificate once.

use jiff::{SignedDuration, Timestamp};

use super::super::certificate::Certificate;
use super::super::lying::parsed;
use super::super::task::{Alone, Task};
use super::lost::LIFE;
use crate::certificates::Folder;
use crate::issuance::progress::Order;
use crate::issuance::{Live, Step};
use crate::store::StoreError;

/// A folder in which another process works is asked about again after this time.
const AGAIN: SignedDuration = SignedDuration::from_secs(1);

impl Task<'_> {
    /// Has the folder for itself before a step that makes a key, orders, or changes files.
    pub(in crate::worker::issue) fn is_alone(&mut self, step: Step) -> Alone {
        let needs_it = matches!(
            step,
            Step::Key
                | Step::Preflight
                | Step::Submit
                | Step::Drop
                | Step::Fetch
                | Step::Repair
                | Step::Install
        );
        let Some(certificate) = self.certificate().filter(|_| needs_it) else {
            return Alone::Yes;
        };
        let folder = self.issuer.folder(certificate);
        if self.held.is_some() {
            return Alone::Yes;
        }
        let ready = match step {
            Step::Key => folder.prepare(),
            // Nothing is made in the place of a folder that is gone.
            _ if !folder.path().is_dir() => return Alone::Yes,
            _ => Ok(()),
        };
        let options = &self.issuer.options;
        let who = format!(
            "{} with {}",
            options.holder,
            options.configuration.display()
        );
        let locked = ready.and_then(|()| folder.lock(&who));
        match locked {
            Ok(Ok(held)) => {
                self.held = Some(held);
                return Alone::Now;
            }
            Ok(Err(who)) => {
                let words = format!(
                    "another process works in {} ({who}); nothing is ordered or changed there before it has ended; if that is another installation, give this configuration a `directory` of its own in [certificates]",
                    folder.path().display()
                );
                let at = self.now().saturating_add(AGAIN).ok();
                let progress = self.progress();
                (progress.trouble, progress.not_before) = (Some(words), at);
            }
            Err(trouble) => self.trouble(trouble),
        }
        Alone::No
    }

    /// Whether another store was first, while the order in hand was made ready: it has installed a
    /// certificate in the folder, or begun an order there. True: nothing is ordered now.
    pub(super) async fn is_forestalled(&mut self) -> Result<bool, StoreError> {
        let (Some(certificate), Some(order)) =
            (self.certificate(), self.row.progress.order.clone())
        else {
            return Ok(false);
        };
        let folder = self.issuer.folder(certificate);
        if order.is_again {
            return Ok(self.was_made_since(certificate, &folder, order.version));
        }
        if self.row.progress.installed.is_none() {
            if self.takes_what_lies_there(certificate, &folder).await? {
                self.drop_begun(certificate, &order);
                return Ok(true);
            }
        } else if let Live::Foreign { .. } | Live::Newer { .. } =
            self.issuer.live(&self.row, self.now()).await?
        {
            // A person decides which version counts there; a newer version is taken over.
            self.drop_begun(certificate, &order);
            return Ok(true);
        }
        let has_one = self.has_one_in_folder(certificate, &folder).await?;
        if has_one {
            self.discard_unless_in_hand(&folder, order.version);
        }
        Ok(has_one)
    }

    /// Whether another store on this directory, with another name for the certificate, has ordered or
    /// installed the same since this task last searched for it. Each store notes its order before it
    /// searches, so one of two sees the other. True: nothing is ordered now.
    pub(super) async fn is_ordered_beside(&mut self) -> Result<bool, StoreError> {
        let (Some(certificate), Some(order)) =
            (self.certificate(), self.row.progress.order.clone())
        else {
            return Ok(false);
        };
        if order.is_again {
            return Ok(false);
        }
        let (now, folder) = (self.now(), self.issuer.folder(certificate));
        self.issuer.read_strangers_again(now);
        let Some(other) = self.beside(certificate).await? else {
            return Ok(false);
        };
        self.not_submitted();
        self.drop_begun(certificate, &order);
        if other < self.row.name {
            let fits = |print: &str| print == certificate.wanted.print;
            let installed = self.row.progress.installed.as_ref();
            let than = installed.map(|one| one.not_after);
            let _ = self
                .has_a_pair_nearby(certificate, &folder, fits, than)
                .await?
                || self.has_an_order_nearby(certificate, &folder, fits).await?;
        }
        if self.row.progress.order.is_none() && self.row.progress.hold.is_none() {
            // Both may have seen each other: one waits, and then searches for what the other has
            // made.
            let words = format!(
                "{other} in the same directory has an order or a certificate for the same; nothing is ordered before that is followed"
            );
            self.failed(words, None);
        }
        Ok(true)
    }

    /// Leaves a renewal that was started and is not due: by a clock that was wrong, or by another
    /// setting.
    pub(super) fn leave_what_is_early(&mut self) {
        let (Some(certificate), Some(order)) =
            (self.certificate(), self.row.progress.order.clone())
        else {
            return;
        };
        self.drop_begun(certificate, &order);
        self.stepped();
        self.say(
            "dropped",
            format!(
                "version {:04} was started for a renewal that is not due, and nothing was ordered for it",
                order.version
            ),
        );
    }

    /// Leaves an order that was started and not made, with its version.
    pub(super) fn drop_begun(&mut self, certificate: &Certificate, order: &Order) {
        let is_own = |one: &Order| one.tag == order.tag && one.submitted_at.is_none();
        let progress = self.progress();
        if let Some(begun) = progress.order.take_if(|one| is_own(one)) {
            progress.leave_behind(begun.records);
        }
        self.discard_unless_in_hand(&self.issuer.folder(certificate), order.version);
    }

    /// Removes a version that was started for an order which is not made, unless the order in hand
    /// is still the one of this version: it is tried again, or waits for a person.
    ///
    /// A version whose order was made is never removed: an older copy of the store may not know it.
    pub(super) fn discard_unless_in_hand(&self, folder: &Folder, version: u32) {
        let order = self.row.progress.order.as_ref();
        let note = folder.noted(version).ok().flatten();
        let is_made = note.is_some_and(|note| may_be_open(&note, self.now()));
        if !is_made && order.is_none_or(|order| order.version != version) {
            folder.discard(version);
        }
    }
}

/// Whether the note of a version tells of an order that may still bring a certificate: no other
/// process removes its key.
pub(super) fn may_be_open(note: &str, now: Timestamp) -> bool {
    parsed(note).is_some_and(|order| is_in_life(&order, now))
}

/// The same of an order.
pub(super) fn is_in_life(order: &Order, now: Timestamp) -> bool {
    let submitted = order.submitted_at;
    submitted.is_some_and(|at| now.duration_since(at) < LIFE)
}

/// Whether what counts in a folder belongs to this order, in its version or in another one.
pub(super) fn is_installed(order: &Order, folder: &Folder) -> bool {
    let live = folder.live().ok().flatten();
    live.is_some_and(|live| {
        let is_its_key = live.facts.fingerprint == order.fingerprint;
        let note = folder.noted(live.version).ok().flatten();
        let noted = note.as_deref().and_then(parsed);
        is_its_key && noted.is_some_and(|noted| noted.tag == order.tag)
    })
}
