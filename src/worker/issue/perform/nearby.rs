//! What is in the directory and is what is wanted: in older versions of the folder, or in folders
//! of other names. It was paid, so it is taken over before anything is ordered: after names were
//! changed and changed back, exchanged, or moved on by one, and where the store was lost meanwhile.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::certificate::{Certificate, KeySource};
use super::super::live::known;
use super::super::lying::{order_in, suits_request};
use super::super::task::Task;
use super::alone::is_in_life;
use super::found::installed;
use super::lost::{begun_words, is_beginning};
use super::moved::brought;
use super::spelled::respelled;
use crate::certificates::folder::Live;
use crate::certificates::{Facts, Folder};
use crate::issuance::progress::{HoldKind, Installed, Order};
use crate::issuance::{BY_HAND, again};
use crate::store::StoreError;
use crate::store::orders::{CertificateEvent, CertificateRow};
use crate::worker::issue::Issuer;

/// A version of a folder, and the order that it was started for.
pub(super) struct Version {
    name: String,
    pub(super) folder: Folder,
    pub(super) number: u32,
    order: Order,
    has_certificate: bool,
}

impl Task<'_> {
    /// The versions in the directory whose orders are what is wanted, as `fits` says of the print, and
    /// that no other section of the configuration wants.
    pub(super) fn fitting(
        &self,
        certificate: &Certificate,
        fits: &impl Fn(&str) -> bool,
    ) -> Vec<Version> {
        let issuer = self.issuer;
        let mut found = Vec::new();
        for (name, noted) in &*issuer.notes(self.now()) {
            let is_own = *name == self.row.name;
            let is_unknown = issuer.options.faults.contains_key(name);
            if !is_own && (is_unknown || name.starts_with(BY_HAND)) {
                continue;
            }
            let owner = noted.owner.as_ref();
            if owner.is_some_and(|host| !issuer.knows(host)) {
                continue;
            }
            let other = issuer.certificate(name).filter(|_| !is_own);
            for (number, order, has_certificate) in &noted.versions {
                let is_wanted = order.ca == certificate.ca && fits(&order.print);
                if !is_wanted || !is_for(order, certificate) {
                    continue;
                }
                if other.is_some_and(|other| other.wanted.is_met_by(&order.print)) {
                    continue;
                }
                found.push(Version {
                    name: name.clone(),
                    folder: Folder::at(&issuer.options.directory, name, certificate.access),
                    number: *number,
                    order: order.clone(),
                    has_certificate: *has_certificate,
                });
            }
        }
        found
    }

    /// A pair of a version that can be used now: its certificate, key and chain are whole.
    fn whole(&self, certificate: &Certificate, version: &Version) -> Option<Installed> {
        let (now, number, order) = (self.now(), version.number, &version.order);
        let facts = version.folder.facts_of(number)?;
        let has_all = is_named(&facts, certificate);
        let counts = facts.not_before <= now && facts.not_after > now;
        let is_its_key = facts.fingerprint == order.fingerprint
            && suits_request(certificate, &facts.fingerprint);
        let is_revoked = version.folder.may_be_revoked(number);
        let live = Live {
            version: number,
            facts,
        };
        let is_unfit = !has_all || !counts || !is_its_key || is_revoked;
        if is_unfit || self.is_of_a_rehearsal(certificate, &live) {
            return None;
        }
        let pair = Installed {
            ca: order.ca.clone(),
            print: order.print.clone(),
            reference: order.reference.clone().unwrap_or_default(),
            certificate: order.certificate.clone(),
            paid_until: order.paid_until,
            has_key: Some(certificate.makes_key()),
            ..installed(live, order.submitted_at.unwrap_or(now))
        };
        let whole = version.folder.pair(known(&pair, certificate), now);
        whole.is_ok_and(|whole| whole.is_ok()).then_some(pair)
    }

    /// Searches the directory for a pair that is what is wanted, before one is ordered. It ends
    /// after `than`. True: nothing is ordered now.
    pub(super) async fn has_a_pair_nearby(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
        fits: impl Fn(&str) -> bool,
        than: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        if self.row.name.starts_with(BY_HAND) {
            return Ok(false);
        }
        let mut versions = self.fitting(certificate, &fits);
        versions.retain(|one| one.has_certificate);
        if versions.is_empty() {
            return Ok(false);
        }
        let rows = self.issuer.ports.store.orders().certificates().await?;
        let barred = self.barred(&rows, self.now());
        let newest = self.newest_left(&rows, &fits);
        let pairs = versions.into_iter().filter_map(|version| {
            let pair = self.whole(certificate, &version)?;
            let is_newer = than.is_none_or(|than| pair.not_after > than);
            let is_newest = newest.is_none_or(|newest| pair.not_after >= newest);
            let is_free = !barred.contains(&pair.serial);
            (is_newer && is_newest && is_free).then_some((version, pair))
        });
        let Some((version, pair)) = pairs.max_by_key(|(_, pair)| (pair.not_after, pair.version))
        else {
            return Ok(false);
        };
        let (place, name) = (version.folder, version.name);
        self.take_files(certificate, folder, (&place, &name), pair)
            .await?;
        Ok(true)
    }

    /// The serial numbers of certificates that are not to be taken: revoked ones, this one's own, and
    /// those that another section wants.
    fn barred(&self, rows: &[CertificateRow], now: Timestamp) -> BTreeSet<String> {
        let mut barred = BTreeSet::new();
        for row in rows {
            let revoked = row.progress.revocation.as_ref();
            barred.extend(revoked.map(|one| one.serial.clone()));
            let Some(installed) = &row.progress.installed else {
                continue;
            };
            let is_own = row.name == self.row.name;
            let is_left = self.issuer.left_pair(row, now).is_some();
            if is_own || installed.revoked_at.is_some() || !is_left && row.wanted {
                barred.insert(installed.serial.clone());
            }
        }
        barred
    }

    /// Whether what counts in a folder is what was ordered, and cannot be taken from there because a file
    /// of it is damaged: its order brings it once more.
    fn is_damaged(
        &self,
        certificate: &Certificate,
        version: &Version,
        barred: &BTreeSet<String>,
    ) -> bool {
        let (folder, number) = (&version.folder, version.number);
        if folder.current() != Some(number) || folder.may_be_revoked(number) {
            return false;
        }
        let Some(facts) = folder.facts_of(number) else {
            return true;
        };
        let is_it = facts.fingerprint == version.order.fingerprint
            && facts.not_after > self.now()
            && !barred.contains(&facts.serial);
        let live = Live {
            version: number,
            facts,
        };
        is_it
            && !self.is_of_a_rehearsal(certificate, &live)
            && self.whole(certificate, version).is_none()
    }

    /// The versions in the folders of other names whose orders may be open, or brought a pair that
    /// is damaged, and that no other process works on.
    async fn open_nearby(
        &self,
        certificate: &Certificate,
        fits: &impl Fn(&str) -> bool,
    ) -> Result<Vec<Version>, StoreError> {
        let now = self.now();
        let installed = self.row.progress.installed.as_ref();
        let is_renewal = installed.is_some_and(|one| certificate.wanted.is_met_by(&one.print));
        let rows = self.issuer.ports.store.orders().certificates().await?;
        let barred = self.barred(&rows, now);
        let is_open = |one: &Version| {
            let is_of_another = one.name != self.row.name;
            let may_bring_one = match one.has_certificate {
                true => !is_renewal && self.is_damaged(certificate, one, &barred),
                false => !one.order.is_fetched_again,
            };
            // What is installed came after an older one.
            let is_newest = one.folder.current().is_none_or(|live| one.number > live);
            let counts = is_newest || !is_renewal;
            is_of_another && counts && may_bring_one && is_in_life(&one.order, now)
        };
        let mut versions = self.fitting(certificate, fits);
        versions.retain(is_open);
        let in_hand = |tag: &str| {
            let mut orders = rows.iter().filter_map(|row| row.progress.order.as_ref());
            orders.any(|order| order.tag == tag)
        };
        versions.retain(|one| !in_hand(&one.order.tag));
        Ok(versions)
    }

    /// The name of a folder that has an order, or a newer pair, for what is wanted that this store does
    /// not know; `None`: none has.
    pub(super) async fn beside(
        &self,
        certificate: &Certificate,
    ) -> Result<Option<String>, StoreError> {
        if self.row.name.starts_with(BY_HAND) {
            return Ok(None);
        }
        let fits = |print: &str| print == certificate.wanted.print;
        let rows = self.issuer.ports.store.orders().certificates().await?;
        let barred = self.barred(&rows, self.now());
        let installed = self.row.progress.installed.as_ref();
        let than = installed.map(|one| one.not_after);
        let is_unknown = |one: &Version| {
            let is_other = one.name != self.row.name;
            is_other && !rows.iter().any(|row| row.name == one.name)
        };
        let is_newer = |version: &Version| {
            let pair = self.whole(certificate, version);
            pair.is_some_and(|pair| {
                let is_newer = than.is_none_or(|than| pair.not_after > than);
                is_newer && !barred.contains(&pair.serial)
            })
        };
        let mut versions = self.fitting(certificate, &fits);
        versions.retain(|one| one.has_certificate && is_unknown(one));
        let pair = versions.into_iter().find(is_newer);
        let mut open = self.unknown_nearby(certificate, &fits).await?;
        open.retain(is_unknown);
        // Without its key it is of no use here.
        let made_here = certificate.makes_key();
        open.retain(|one| {
            let needs_key = one.order.has_key.unwrap_or(made_here);
            !needs_key || !matches!(one.folder.key(one.number), Ok(None))
        });
        let found = pair.or_else(|| open.into_iter().next());
        Ok(found.map(|version| version.name))
    }

    /// Those of them that no history of this store tells of.
    async fn unknown_nearby(
        &self,
        certificate: &Certificate,
        fits: &impl Fn(&str) -> bool,
    ) -> Result<Vec<Version>, StoreError> {
        let versions = self.open_nearby(certificate, fits).await?;
        if versions.is_empty() {
            return Ok(versions);
        }
        let orders = self.issuer.ports.store.orders();
        let own = orders.certificate_history(&self.row.name).await?;
        let mut unknown = Vec::new();
        for version in versions {
            let tag = version.order.tag.as_str();
            let theirs = orders.certificate_history(&version.name).await?;
            let is_known =
                |event: &CertificateEvent| is_beginning(event, version.number, Some(tag));
            let is_mine =
                |event: &CertificateEvent| event.kind == "key" && event.detail.ends_with(tag);
            if !theirs.iter().any(is_known) && !own.iter().any(is_mine) {
                unknown.push(version);
            }
        }
        Ok(unknown)
    }

    /// Searches the folders of other names for an order that this store does not know, before one
    /// is made. True: it is searched for at its CA now, or held.
    pub(super) async fn has_an_order_nearby(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
        fits: impl Fn(&str) -> bool,
    ) -> Result<bool, StoreError> {
        if self.row.name.starts_with(BY_HAND) {
            return Ok(false);
        }
        let now = self.now();
        for version in self.unknown_nearby(certificate, &fits).await? {
            let made_here = matches!(certificate.key, KeySource::Made(_));
            let has_key = version.order.has_key.unwrap_or(made_here);
            let order = Order {
                version: version.number,
                print: respelled(&certificate.wanted, &version.order.print),
                ended_at: Some(now),
                next_read_at: None,
                is_recovered: true,
                is_fetched: false,
                is_fetched_again: false,
                ..version.order
            };
            match brought(&version.folder, folder, &order, has_key) {
                Ok(Some(number)) => {
                    self.stepped();
                    self.say("key", begun_words(number, &order.tag));
                    self.say(
                        "lost",
                        format!(
                            "{} has an order for the same that this store does not know; it is searched for at {}",
                            version.folder.path().display(),
                            order.ca
                        ),
                    );
                    self.begin_with(Order {
                        version: number,
                        ..order
                    });
                    return Ok(true);
                }
                // Without its key it is of no use here.
                Ok(None) => {}
                Err(trouble) => {
                    self.trouble(trouble);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Task<'_> {
    /// Whether what is wanted was there under another name, or in an older version, and was revoked. A
    /// person decides on the next one, as under the name of before. True: it is held.
    pub(super) async fn is_revoked_there(
        &mut self,
        certificate: &Certificate,
        fits: impl Fn(&str) -> bool,
    ) -> Result<bool, StoreError> {
        if self.row.name.starts_with(BY_HAND) {
            return Ok(false);
        }
        let now = self.now();
        let rows = self.issuer.ports.store.orders().certificates().await?;
        let of_row = |row: &CertificateRow| {
            let installed = row.progress.installed.as_ref();
            let installed = installed.filter(|one| self.issuer.is_left(row, &one.print))?;
            let open = row.progress.revocation.as_ref();
            let is_open = open.is_some_and(|one| one.serial == installed.serial);
            let is_revoked = installed.revoked_at.is_some();
            let is_it = installed.ca == certificate.ca && fits(&installed.print);
            let counts = is_it && (is_revoked || is_open) && installed.not_after > now;
            counts.then(|| (row.name.clone(), installed.serial.clone(), is_revoked))
        };
        let of_version = |one: Version| {
            let is_revoked = one.folder.revoked(one.number).is_some();
            let is_it = one.folder.may_be_revoked(one.number);
            let facts = one.folder.facts_of(one.number).filter(|_| is_it)?;
            (facts.not_after > now).then_some((one.name, facts.serial, is_revoked))
        };
        let there = rows.iter().find_map(of_row);
        let lying = || self.fitting(certificate, &fits).into_iter();
        let found = there.or_else(|| lying().find_map(of_version));
        let Some((name, serial, is_revoked)) = found else {
            return Ok(false);
        };
        self.hold_for_revoked(&name, &serial, is_revoked);
        Ok(true)
    }

    fn hold_for_revoked(&mut self, name: &str, serial: &str, is_revoked: bool) {
        let how = match is_revoked {
            true => "which is revoked",
            false => "whose revocation a person has asked for",
        };
        let words =
            format!("{name} had a certificate for the same (serial number {serial}), {how}");
        let hint = format!("{} orders a new one", again(&self.row.name));
        self.hold(HoldKind::Ended, words, Some(hint));
    }

    /// Whether a note beside the certificate of a version says that it is revoked, or is to be. True: it
    /// is held.
    pub(super) fn is_revoked_at(
        &mut self,
        folder: &Folder,
        version: u32,
        name: &str,
        serial: &str,
    ) -> bool {
        let is_its = || {
            folder
                .facts_of(version)
                .is_none_or(|one| one.serial == serial)
        };
        let may_be = folder.may_be_revoked(version) && is_its();
        if may_be {
            let is_revoked = folder.revoked(version).is_some();
            self.hold_for_revoked(name, serial, is_revoked);
        }
        may_be
    }

    /// Whether another section of the configuration wants the certificate of a version of this folder,
    /// or may want it, and does not have it yet: it takes it from here.
    pub(super) fn is_for_another(&self, folder: &Folder, version: u32) -> bool {
        let now = self.now();
        let facts = folder.facts_of(version);
        let Some(facts) = facts.filter(|facts| facts.not_after > now) else {
            return false;
        };
        if folder.may_be_revoked(version) {
            return false;
        }
        let order = order_in(folder, version);
        let suits = |one: &Certificate| match &order {
            Some(order) => {
                let (wanted, print) = (&one.wanted, order.print.as_str());
                let is_it = wanted.is_met_by(print) || wanted.differs_in_product_from(print);
                order.ca == one.ca && is_it
            }
            // An older program installed it.
            None => is_named(&facts, one),
        };
        let mut others = self.issuer.certificates();
        let needs_it = |one: &Certificate| {
            one.wanted.name != self.row.name && suits(one) && !self.issuer.serves(one, now)
        };
        // What a section with a fault wants is not known.
        let is_own = self.certificate().is_some_and(suits);
        others.any(needs_it) || !self.issuer.options.faults.is_empty() && !is_own
    }
}

impl Issuer {
    /// Whether what servers read in the folder of a certificate is what is wanted of it.
    fn serves(&self, certificate: &Certificate, now: Timestamp) -> bool {
        let folder = self.folder(certificate);
        let Some(live) = folder.live().ok().flatten() else {
            return false;
        };
        let counts = live.facts.not_after > now;
        counts
            && match order_in(&folder, live.version) {
                Some(order) => certificate.wanted.is_met_by(&order.print),
                None => is_named(&live.facts, certificate),
            }
    }
}

/// Whether a certificate has all names that are wanted of another.
fn is_named(facts: &Facts, certificate: &Certificate) -> bool {
    certificate.names().iter().all(|name| {
        let mut own = facts.dns_names.iter().chain(&facts.emails);
        own.any(|own| own.eq_ignore_ascii_case(name))
    })
}

/// Whether an order is for the names of a certificate.
fn is_for(order: &Order, certificate: &Certificate) -> bool {
    let mut wanted = certificate.names();
    let mut ordered = order.names.clone();
    ordered.extend(order.email.iter().cloned());
    for names in [&mut wanted, &mut ordered] {
        names
            .iter_mut()
            .for_each(|name| name.make_ascii_lowercase());
        names.sort_unstable();
        names.dedup();
    }
    wanted == ordered
}
