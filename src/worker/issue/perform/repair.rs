//! What servers read is not what was installed: damage of ours is repaired, and a certificate that
//! this program did not install is never written over by itself.

use super::super::by_hand::fetch_again;
use super::super::certificate::Certificate;
use super::super::live::{is_of, known};
use super::super::lying::is_wanted_there;
use super::super::task::Task;
use super::alone::is_installed;
use super::newest::is_ours;
use crate::certificates::Folder;
use crate::certificates::folder::{self, LiveState};
use crate::issuance::Live;
use crate::issuance::again;
use crate::issuance::progress::{Deployment, HoldKind, Order};
use crate::store::StoreError;

impl Task<'_> {
    /// Fetches once more what is damaged, with its own key, into a new version.
    pub(super) async fn repair(&mut self) -> Result<(), StoreError> {
        let live = self.issuer.live(&self.row, self.now()).await?;
        let Live::Damaged {
            why,
            key: Some(version),
        } = live
        else {
            return Ok(());
        };
        // What is fetched could not count.
        let blocked = self.folder().and_then(|folder| folder.blocked());
        if let Some(why) = blocked {
            self.failed(why, None);
            return Ok(());
        }
        if let Err(why) = fetch_again(self.progress()) {
            self.failed(why, None);
            return Ok(());
        }
        if let Some(order) = self.progress().order.as_mut() {
            order.version = version;
        }
        self.say("damaged", format!("{why}: it is fetched once more"));
        Ok(())
    }

    /// Gives what servers read the owner, the group and the mode of the settings, and its bundle.
    pub(super) async fn restore(&mut self) -> Result<(), StoreError> {
        let Some(certificate) = self.certificate() else {
            return Ok(());
        };
        if let Live::Unbundled { why } = self.issuer.live(&self.row, self.now()).await? {
            self.bundle_again(certificate, why);
            return Ok(());
        }
        self.restore_access(certificate);
        Ok(())
    }

    /// Makes a bundle that servers cannot use again of key, certificate and chain, which are whole.
    fn bundle_again(&mut self, certificate: &Certificate, why: String) {
        let folder = self.issuer.folder(certificate);
        let Some((source, version)) = certificate.p12_password.as_ref().zip(folder.current())
        else {
            return;
        };
        let password = match source.read() {
            Ok(password) => password,
            Err(error) => return self.failed(format!("{why}; p12_password: {error}"), None),
        };
        if let Err(trouble) = folder.bundle_again(version, &self.row.name, &password) {
            return self.failed(format!("{why}; {trouble}"), None);
        }
        self.stepped();
        self.say("restored", why);
        let at = self.now();
        self.progress().deployment = certificate.wanted.deploys.then_some(Deployment {
            version,
            failures: 0,
            at,
            trouble: None,
        });
    }

    fn restore_access(&mut self, certificate: &Certificate) {
        let folder = self.issuer.folder(certificate);
        let loose = |version: u32| Some((version, folder.loose(version)?));
        let Some((version, why)) = folder.current().and_then(loose) else {
            return;
        };
        match folder.restore(version).map(|()| folder.loose(version)) {
            Ok(None) => {
                self.stepped();
                self.say("restored", why);
            }
            // A file system that takes no modes, or a second process that sets others.
            Ok(Some(still)) => self.failed(format!("{still}, and stays so"), None),
            Err(trouble) => self.failed(format!("{why}; {trouble}"), None),
        }
    }

    /// Whether what was fetched or taken over is not in its version any more: it is fetched, or
    /// searched for, once more.
    pub(super) fn lacks_files(&mut self, folder: &Folder, order: &Order) -> bool {
        if !folder.path().is_dir() || folder.has_certificate(order.version) {
            return false;
        }
        let has_key = self.version_with_key(folder, order).is_some();
        if !has_key && !order.is_fetched_again {
            let why = self.lacks_key(folder, order.version);
            self.hold(HoldKind::Key, why, None);
            return true;
        }
        self.stepped();
        self.say(
            "failed",
            format!(
                "version {:04} has no certificate any more; it is searched for again",
                order.version
            ),
        );
        let progress = self.progress();
        match has_key {
            true => {
                if let Some(order) = progress.order.as_mut() {
                    order.is_fetched = false;
                }
            }
            // It was taken over from a place that still has it.
            false => progress.order = None,
        }
        true
    }

    /// Whether a certificate that this program did not install lies where the new one is to count.
    /// True: it is held.
    pub(super) fn is_occupied(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
        order: &Order,
    ) -> bool {
        if order.is_again || is_of(order, folder) || is_installed(order, folder) {
            return false;
        }
        let now = self.now();
        let why = match &self.row.progress.installed {
            Some(installed) => match folder.live_state(known(installed, certificate), now) {
                Ok(LiveState::Foreign(why)) => Some(why),
                _ => None,
            },
            None => {
                let live = folder.live().ok().flatten();
                let live = live.filter(|live| live.facts.not_after > now);
                // This program put it there, and what is wanted was found and copied.
                let is_ours = |live: &folder::Live| {
                    order.is_fetched_again && is_ours(certificate, folder, live.version)
                };
                let live = live.filter(|live| !is_ours(live));
                live.map(|live| {
                    let (serial, path) = (live.facts.serial, folder.path().display());
                    format!("{path} has a certificate that was not installed by this store (serial number {serial})")
                })
            }
        };
        let Some(why) = why else {
            return false;
        };
        let words = format!(
            "{why}; the new certificate is in version {:04} and does not count yet",
            order.version
        );
        let hint = format!(
            "move what is there away, and the next run installs the new one: {}",
            folder.path().display()
        );
        self.hold(HoldKind::Folder, words, Some(hint));
        true
    }

    /// Before a person orders something: what was installed later than this store knows is what counts.
    pub(in crate::worker::issue) async fn accept_newer(&mut self) -> Result<(), StoreError> {
        let Some(certificate) = self.certificate() else {
            return Ok(());
        };
        let folder = self.issuer.folder(certificate);
        self.takes_what_is_newer(certificate, &folder).await?;
        Ok(())
    }

    /// A person says that what is in the place of the installed certificate is right: it is taken
    /// over where it is what is wanted.
    pub(in crate::worker::issue) async fn accept(&mut self) -> Result<(), StoreError> {
        self.accept_unnoted().await?;
        let Some(certificate) = self.certificate() else {
            return Ok(());
        };
        let live = self.issuer.live(&self.row, self.now()).await?;
        let is_free = self.row.progress.order.is_none() && self.row.progress.revocation.is_none();
        if !is_free || !matches!(live, Live::Foreign { .. }) {
            return Ok(());
        }
        let folder = self.issuer.folder(certificate);
        if self.is_of_another(&folder).await? {
            return Ok(());
        }
        if let Some(live) = is_wanted_there(certificate, &folder, self.now())
            && !self.is_of_a_rehearsal(certificate, &live)
        {
            let has_key = certificate.makes_key();
            self.take_over(certificate, live, has_key).await?;
        }
        Ok(())
    }
}

/// What a person does about a foreign certificate in the place of the installed one.
pub fn way_out(name: &str, version: u32, is_known: bool) -> String {
    let fetch = match is_known {
        true => format!(
            ", or `prevalidate certificate fetch {name}` installs that certificate once more"
        ),
        // The CA cannot be asked for it.
        false => String::new(),
    };
    format!(
        "let `current` lead to {version:04} again{fetch}; or `prevalidate certificate issue {name}` takes over what is there if it has all names, its key and its chain; or {} orders a new one in its place",
        again(name)
    )
}
