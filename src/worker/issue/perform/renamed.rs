//! A certificate that the configuration calls otherwise than before: what is installed and what is
//! under way is paid, and the certificate of the new name takes it over.

use jiff::{SignedDuration, Timestamp};

use super::super::certificate::Certificate;
use super::super::live::known;
use super::super::lying::read_note;
use super::super::task::Task;
use super::lost::{as_noted, noted};
use crate::certificates::{Folder, KeyPlace, Trouble};
use crate::issuance::OrderState;
use crate::issuance::progress::{Installed, Order};
use crate::store::StoreError;
use crate::store::orders::{CertificateClaim, CertificateRow};
use crate::worker::issue::Issuer;

/// How long a certificate whose open order is about to be taken over is left alone.
const LATER: SignedDuration = SignedDuration::from_secs(2);

/// How long the other certificate is left to the worker that has it.
const SOON: SignedDuration = SignedDuration::from_millis(200);

impl Issuer {
    /// Whether nothing wants what was ordered by `print` under the name of a row any more: the
    /// configuration does not have the name, or has it for something else.
    pub(super) fn is_left(&self, row: &CertificateRow, print: &str) -> bool {
        let is_here = row.home.as_deref() == Some(self.home());
        let is_unknown = self.options.faults.contains_key(&row.name);
        let wants_it = match self.certificate(&row.name) {
            Some(one) => one.wanted.is_met_by(print),
            None => row.wanted,
        };
        is_here && !is_unknown && !wants_it
    }

    /// The order of a certificate that the configuration calls otherwise now, where `fits` says of its
    /// print that it is what is wanted, and its key is in this directory.
    pub(in crate::worker::issue) fn left_order<'a>(
        &self,
        row: &'a CertificateRow,
        fits: impl Fn(&str) -> bool,
    ) -> Option<&'a Order> {
        let order = row.progress.order.as_ref();
        let order = order.filter(|order| self.is_left(row, &order.print))?;
        let is_made = order.submitted_at.is_some() && !order.is_fetched_again;
        (is_made && fits(&order.print)).then_some(order)
    }

    /// What was installed under a name that the configuration has no more, or has for something else.
    pub(super) fn left_pair<'a>(
        &self,
        row: &'a CertificateRow,
        now: Timestamp,
    ) -> Option<&'a Installed> {
        let installed = row.progress.installed.as_ref();
        let installed = installed.filter(|one| self.is_left(row, &one.print))?;
        let is_revoked = installed.revoked_at.is_some()
            || row.progress.revocation.is_some()
            || self.is_told_revoked(&row.name, installed);
        (!is_revoked && installed.not_after > now).then_some(installed)
    }
}

impl<'a> Task<'a> {
    /// What was installed with this serial number under another name, at the same CA.
    pub(super) async fn left_by_serial(
        &self,
        serial: &str,
    ) -> Result<Option<(String, Installed)>, StoreError> {
        let now = self.now();
        let rows = self.issuer.ports.store.orders().certificates().await?;
        let ca = self.certificate().map(|one| one.ca.as_str());
        let found = rows.iter().find_map(|row| {
            let pair = self.issuer.left_pair(row, now)?;
            let is_it = pair.serial == serial && Some(pair.ca.as_str()) == ca;
            (is_it && row.name != self.row.name).then(|| (row.name.clone(), pair.clone()))
        });
        Ok(found)
    }

    /// What is installed under names of before and belongs to no section yet, from the newest on.
    pub(super) fn left_pairs(&self, rows: &[CertificateRow]) -> Vec<(String, Installed)> {
        let now = self.now();
        let pairs = rows.iter().filter_map(|row| {
            let pair = self.issuer.left_pair(row, now)?;
            let is_free = row.name != self.row.name && !self.is_taken(rows, &pair.serial);
            is_free.then(|| (row.name.clone(), pair.clone()))
        });
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_by_key(|(_, pair)| std::cmp::Reverse(pair.not_after));
        pairs
    }

    /// Searches for a certificate that is installed under a name of before, before one is ordered:
    /// `fits` says of its print whether it is what is wanted. It ends after `than`. True: nothing
    /// is ordered now.
    pub(super) async fn has_a_pair_of_before(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
        fits: impl Fn(&str) -> bool,
        than: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        let rows = self.issuer.ports.store.orders().certificates().await?;
        let newest = self.newest_left(&rows, &fits);
        let mut left = self.left_pairs(&rows);
        left.retain(|(_, pair)| {
            let is_newest = newest.is_none_or(|newest| pair.not_after >= newest);
            let is_newer = than.is_none_or(|than| pair.not_after > than);
            is_newest && is_newer && fits(&pair.print)
        });
        // The newest that is whole: the folder of an older name may have been moved.
        let is_whole = |(name, pair): &&(String, Installed)| {
            let there = Folder::at(&self.issuer.options.directory, name, certificate.access);
            let whole = there.pair(known(pair, certificate), now);
            whole.is_ok_and(|whole| whole.is_ok())
        };
        let whole = left.iter().find(is_whole);
        let than = whole.map(|(_, pair)| pair.not_after).or(than);
        // What is installed is renewed where the newer one is no use.
        let installed = self.row.progress.installed.as_ref();
        let is_renewal = installed.is_some_and(|one| certificate.wanted.is_met_by(&one.print));
        let chosen = whole.or(left.first().filter(|_| !is_renewal));
        let chosen = chosen.map(|(name, pair)| (name.clone(), pair.serial.clone()));
        let Some((name, serial)) = chosen else {
            return Ok(false);
        };
        if self
            .has_a_pair_nearby(certificate, folder, &fits, than)
            .await?
        {
            return Ok(true);
        }
        let Some(mut before) = self.claimed(&name).await? else {
            return Ok(true);
        };
        let pair = self.issuer.left_pair(&before.row, now).cloned();
        if let Some(pair) = pair.filter(|one| one.serial == serial && fits(&one.print)) {
            self.take_pair(certificate, folder, &mut before, pair)
                .await?;
        }
        // An order of it that is open is taken over once the pair is installed.
        let is_open = self.issuer.left_order(&before.row, &fits).is_some();
        let later = now.saturating_add(LATER).ok().filter(|_| is_open);
        before.let_go(later.unwrap_or(now)).await?;
        Ok(true)
    }

    /// Another certificate under its own lease; `None`: another process works on it.
    async fn claimed(&mut self, name: &str) -> Result<Option<Task<'a>>, StoreError> {
        let (now, issuer) = (self.now(), self.issuer);
        let (options, orders) = (&issuer.options, issuer.ports.store.orders());
        let names = [name.to_owned()];
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
        if let Some(lease) = orders.claim_certificate(&claim).await? {
            return Ok(Some(Task::new(issuer, lease)));
        }
        let words =
            format!("it is that of {name} before, which a worker has in hand; it is tried again");
        // Two certificates that want each other's pair are not exchanged twice.
        let wait = match self.row.name.as_str() < name {
            true => SOON,
            false => SOON * 3,
        };
        self.progress().trouble = Some(words);
        self.progress().not_before = now.saturating_add(wait).ok();
        Ok(None)
    }

    /// What is installed under another name, in a version of this one's folder, which counts next. The
    /// files of before stay where they are: servers may still read them.
    async fn take_pair(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
        before: &mut Task<'_>,
        pair: Installed,
    ) -> Result<(), StoreError> {
        let name = before.row.name.clone();
        let told = format!("serial number {}, until {}", pair.serial, pair.not_after);
        let place = self.place_of(certificate, folder, &name, &pair);
        if self.is_revoked_at(&place.folder, place.version, &name, &pair.serial)
            || self.fetches_what_was_moved(certificate, &place, &name, &pair)
        {
            return Ok(());
        }
        let pair = Installed {
            version: place.version,
            ..pair
        };
        if !self
            .take_files(certificate, folder, (&place.folder, &name), pair)
            .await?
        {
            return Ok(());
        }
        let new = self.row.name.clone();
        if self.issuer.certificate(&name).is_none() {
            before.progress().installed = None;
            before.say("handed-over", format!("{told}, is that of {new}"));
        } else {
            // Its files stay until another certificate takes their place.
            before.say("handed-over", format!("{told}, is that of {new} too"));
        }
        Ok(())
    }

    /// The files of a pair in a version of this one's folder, which counts next. False: they cannot be
    /// taken, and it is held.
    pub(super) async fn take_files(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
        (there, name): (&Folder, &str),
        pair: Installed,
    ) -> Result<bool, StoreError> {
        if !self.has_password() {
            return Ok(false);
        }
        let version = match self.copied(certificate, there, folder, &pair) {
            Ok(version) => version,
            Err(NotTaken::Trouble(trouble)) => {
                self.trouble(trouble);
                return Ok(false);
            }
            Err(NotTaken::Unfit(why)) => {
                self.cannot_take(certificate, (there, name), &pair, &why);
                return Ok(false);
            }
        };
        self.stepped();
        let told = format!("serial number {}, until {}", pair.serial, pair.not_after);
        self.say("key", format!("version {version:04}"));
        let of = match name == self.row.name {
            true => format!("version {:04}", pair.version),
            false => name.to_owned(),
        };
        self.say(
            "taken-over",
            format!("{told}, of {of}: nothing was ordered"),
        );
        let (emails, names): (Vec<_>, Vec<_>) =
            pair.names.into_iter().partition(|name| name.contains('@'));
        // It is installed as what was fetched once more is: it says nothing of its life.
        let order = Order {
            ca: pair.ca,
            version,
            print: certificate.wanted.print.clone(),
            fingerprint: pair.fingerprint,
            names,
            email: emails.into_iter().next(),
            product: Some(String::new()),
            submitted_at: Some(pair.at),
            reference: Some(pair.reference),
            certificate: pair.certificate,
            state: Some(OrderState::Issued),
            paid_until: pair.paid_until,
            is_fetched: true,
            is_fetched_again: true,
            has_key: Some(certificate.makes_key()),
            ..Order::default()
        };
        self.begin_with(order);
        self.commit().await?;
        Ok(true)
    }

    /// Continues with this order, in the place of one that was started and not made.
    pub(super) fn begin_with(&mut self, order: Order) {
        let progress = self.progress();
        (progress.hold, progress.again) = (None, false);
        progress.forgets_predecessor = false;
        if let Some(before) = progress.order.take() {
            progress.leave_behind(before.records);
        }
        progress.order = Some(order);
    }

    /// The pair of another folder in a new version of this one.
    fn copied(
        &self,
        certificate: &Certificate,
        from: &Folder,
        to: &Folder,
        pair: &Installed,
    ) -> Result<u32, NotTaken> {
        let known = known(pair, certificate);
        let whole = from.pair(known, self.now())?.map_err(NotTaken::Unfit)?;
        let place = match known.has_key {
            true => KeyPlace::Here,
            false => KeyPlace::Elsewhere,
        };
        let key = match known.has_key {
            true => from.key(pair.version)?,
            false => None,
        };
        let password = match &certificate.p12_password {
            Some(source) => {
                let read = source.read();
                Some(read.map_err(|error| NotTaken::Unfit(format!("p12_password: {error}")))?)
            }
            None => None,
        };
        let version = to.new_version(1)?;
        let before = from.noted(pair.version)?;
        let before = before.as_deref().and_then(read_note);
        let note = match before {
            Some(before) => noted(&Order {
                version,
                print: certificate.wanted.print.clone(),
                is_fetched_again: true,
                ..before
            }),
            None => as_noted(&Installed {
                version,
                print: certificate.wanted.print.clone(),
                ..pair.clone()
            }),
        };
        let put = to
            .note(version, &note)
            .and_then(|()| to.begin(version, key.as_ref()))
            .and_then(|()| to.put(version, &self.row.name, &whole, place, password.as_ref()));
        if let Err(trouble) = put {
            to.discard(version);
            return Err(trouble.into());
        }
        Ok(version)
    }

    /// Searches for an order that is under way under a name of before, before one is made: `fits`
    /// says of its print whether it is what is wanted. True: nothing is ordered now.
    pub(super) async fn has_an_order_of_before(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
        fits: impl Fn(&str) -> bool,
    ) -> Result<bool, StoreError> {
        let rows = self.issuer.ports.store.orders().certificates().await?;
        let left = rows
            .into_iter()
            .find(|row| row.name != self.row.name && self.issuer.left_order(row, &fits).is_some());
        let Some(left) = left else {
            return Ok(false);
        };
        let Some(mut before) = self.claimed(&left.name).await? else {
            return Ok(true);
        };
        if let Some(order) = self.issuer.left_order(&before.row, &fits).cloned() {
            self.take_order(certificate, folder, &mut before, order)
                .await?;
        }
        before.let_go(self.now()).await?;
        Ok(true)
    }
}

/// Why a pair was not taken over.
enum NotTaken {
    Trouble(Trouble),
    Unfit(String),
}

impl From<Trouble> for NotTaken {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}
