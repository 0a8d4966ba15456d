//! A pair in a folder that no section of the configuration names, of which nothing tells what it was
//! ordered for: the store is lost, and so is the note in its version. It may be what is wanted under a
//! name of before. A person says so; until then nothing is ordered.

use super::super::certificate::{Certificate, KeySource};
use super::super::lying::{is_wanted_there, order_in};
use super::super::task::{Alone, Task};
use super::found::installed;
use crate::certificates::Folder;
use crate::certificates::folder::Live;
use crate::issuance::progress::{HoldKind, Installed};
use crate::issuance::{BY_HAND, Step, again};
use crate::store::StoreError;

impl Task<'_> {
    /// Searches for such a pair before a first order. True: it is held.
    pub(super) async fn has_an_unnoted_pair(
        &mut self,
        certificate: &Certificate,
    ) -> Result<bool, StoreError> {
        let Some((folder, _, pair)) = self.unnoted(certificate).await? else {
            return Ok(false);
        };
        let hint = format!(
            "if it is the one, `prevalidate certificate issue {}` takes it over; {} orders a new one",
            self.row.name,
            again(&self.row.name)
        );
        self.hold(HoldKind::Folder, words(&folder, &pair), Some(hint));
        Ok(true)
    }

    /// A person says that the pair for which this certificate is held is what is wanted.
    pub(super) async fn accept_unnoted(&mut self) -> Result<(), StoreError> {
        let Some(certificate) = self.certificate() else {
            return Ok(());
        };
        let Some((there, name, pair)) = self.unnoted(certificate).await? else {
            return Ok(());
        };
        let hold = self.row.progress.hold.as_ref();
        let is_told = hold.is_some_and(|hold| hold.words == words(&there, &pair));
        if !is_told || self.is_alone(Step::Key) == Alone::No {
            return Ok(());
        }
        let folder = self.issuer.folder(certificate);
        self.take_files(certificate, &folder, (&there, &name), pair)
            .await?;
        Ok(())
    }

    /// The newest pair of a folder that no section names which may be what is wanted, while this
    /// certificate has nothing.
    async fn unnoted(
        &self,
        certificate: &Certificate,
    ) -> Result<Option<(Folder, String, Installed)>, StoreError> {
        let (progress, issuer) = (&self.row.progress, self.issuer);
        let has_one = progress.installed.is_some() || progress.order.is_some();
        if has_one || self.row.name.starts_with(BY_HAND) {
            return Ok(None);
        }
        let directory = &issuer.options.directory;
        let mut found = Vec::new();
        for name in issuer.notes(self.now()).keys().cloned() {
            let is_named = issuer.certificate(&name).is_some()
                || issuer.options.faults.contains_key(&name)
                || name.starts_with(BY_HAND)
                || name == self.row.name;
            let folder = Folder::at(directory, &name, certificate.access);
            if !is_named && let Some(live) = self.may_be_wanted(certificate, &folder) {
                found.push((folder, name, live));
            }
        }
        if found.is_empty() {
            return Ok(None);
        }
        // What the store knows was compared by what it was ordered for.
        let rows = issuer.ports.store.orders().certificates().await?;
        let is_known = |serial: &str| {
            let mut installed = rows
                .iter()
                .filter_map(|row| row.progress.installed.as_ref());
            installed.any(|one| one.serial == serial)
        };
        found.retain(|(_, _, live)| !is_known(&live.facts.serial));
        let newest = found
            .into_iter()
            .max_by_key(|(_, _, live)| live.facts.not_after);
        Ok(newest.map(|(folder, name, live)| {
            let pair = Installed {
                ca: certificate.ca.clone(),
                print: certificate.wanted.print.clone(),
                has_key: Some(certificate.makes_key()),
                ..installed(live, self.now())
            };
            (folder, name, pair)
        }))
    }

    /// What counts in a folder, where it is whole, nothing tells its order, and all that can be seen of
    /// it is as it is wanted: its names and no others, its kind of key, its CA.
    fn may_be_wanted(&self, certificate: &Certificate, folder: &Folder) -> Option<Live> {
        let host = self.issuer.options.hosts.get(&certificate.ca);
        let owner = folder.owner().ok()?;
        if owner.is_some_and(|owner| host.is_some_and(|host| *host != owner)) {
            return None;
        }
        let live = is_wanted_there(certificate, folder, self.now())?;
        let is_noted = order_in(folder, live.version).is_some();
        if is_noted || folder.revoked(live.version).is_some() {
            return None;
        }
        let mut names = live.facts.dns_names.iter().chain(&live.facts.emails);
        let wanted = certificate.names();
        let is_wanted = |name: &String| wanted.iter().any(|one| one.eq_ignore_ascii_case(name));
        let has_its_kind = match &certificate.key {
            KeySource::Made(kind) => {
                let key = folder.key(live.version).ok().flatten();
                key.is_some_and(|key| key.kind() == Some(*kind))
            }
            KeySource::Request(_) => true,
        };
        let fits =
            names.all(is_wanted) && has_its_kind && !self.is_of_a_rehearsal(certificate, &live);
        fits.then_some(live)
    }
}

/// Why nothing is ordered.
fn words(folder: &Folder, pair: &Installed) -> String {
    format!(
        "{} has a certificate for the same names (serial number {}, until {}): no section of the configuration has this name, and nothing tells what it was ordered for",
        folder.path().display(),
        pair.serial,
        pair.not_after
    )
}
