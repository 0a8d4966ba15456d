//! Keys, files and the program that tells servers of a change.

use jiff::Timestamp;

use super::super::certificate::{Certificate, KeySource};
use super::super::live::{is_of, known};
use super::super::lying::read_note;
use super::super::task::Task;
use super::alone::may_be_open;
use super::ca::key_of;
use super::found::installed;
use super::lost::{begun_words, noted};
use crate::ca::Failure;
use crate::ca::csr::Csr;
use crate::ca::issuing::{Fetched, Subject};
use crate::certificates::folder::Known;
use crate::certificates::{
    Expected, Folder, KeyKind, KeyPlace, PrivateKey, Trouble, Wrong, check, fingerprint,
};
use crate::issuance::again;
use crate::issuance::progress::{Deployment, HoldKind, Installed, Order};
use crate::prevalidation::guard::examine_clock;
use crate::store::StoreError;
use crate::text::file;
use crate::worker::crashpoint::reach;

impl Task<'_> {
    pub(super) fn folder(&self) -> Option<Folder> {
        self.certificate().map(|one| self.issuer.folder(one))
    }

    /// Where the key of an order is.
    fn key_place(&self, order: &Order) -> KeyPlace {
        let made_here = self
            .certificate()
            .is_some_and(|one| matches!(one.key, KeySource::Made(_)));
        match order.has_key.unwrap_or(made_here) {
            true => KeyPlace::Here,
            false => KeyPlace::Elsewhere,
        }
    }

    /// The version that has the key of an order; `None`: it is in none.
    pub(super) fn version_with_key(&self, folder: &Folder, order: &Order) -> Option<u32> {
        folder.version_of_key(Known {
            version: order.version,
            serial: "",
            fingerprint: &order.fingerprint,
            has_key: self.key_place(order) == KeyPlace::Here,
        })
    }

    pub(super) fn lacks_key(&self, folder: &Folder, version: u32) -> String {
        format!(
            "the key of version {version:04} is in no version of {}: a certificate without its key is of no use. Put it back, or {} orders a new one",
            folder.path().display(),
            again(&self.row.name)
        )
    }

    /// Why what was ordered cannot be fetched once more for servers; `None`: it can.
    pub(in crate::worker::issue) fn cannot_fetch(&self) -> Option<String> {
        let (certificate, folder) = (self.certificate()?, self.folder()?);
        let progress = &self.row.progress;
        let (version, has_key) = match (&progress.order, &progress.installed) {
            (Some(order), _) => (
                order.version,
                self.version_with_key(&folder, order).is_some(),
            ),
            (None, Some(one)) => {
                let key = folder.version_of_key(known(one, certificate));
                (one.version, key.is_some())
            }
            (None, None) => return None,
        };
        (!has_key).then(|| self.lacks_key(&folder, version))
    }

    pub(super) fn trouble(&mut self, trouble: Trouble) {
        match trouble.may_pass {
            true => self.failed(trouble.message, None),
            false => self.hold(HoldKind::Folder, trouble.message, None),
        }
    }

    /// The key that a new order takes: the one in use, if that is wanted. One that was revoked, or
    /// is to be, is never used again; neither is one of another kind than the wanted one.
    fn kept_key(
        &self,
        certificate: &Certificate,
        folder: &Folder,
        kind: KeyKind,
    ) -> Result<Option<PrivateKey>, Trouble> {
        let progress = &self.row.progress;
        let installed = progress.installed.as_ref();
        let is_revoked = installed.is_some_and(|one| one.revoked_at.is_some());
        let current = folder.current().filter(|_| certificate.wanted.keeps_key);
        let Some(current) = current.filter(|_| !is_revoked && progress.revocation.is_none()) else {
            return Ok(None);
        };
        let key = folder.key(current)?;
        let key = key.filter(|key| key.kind() == Some(kind));
        Ok(key.filter(|key| !folder.has_revoked_key(&key.fingerprint())))
    }

    /// Begins an order, unless what is wanted is there or is ordered, or the place belongs to
    /// another CA.
    pub(super) async fn make_key(&mut self) -> Result<(), StoreError> {
        let (Some(certificate), Some(folder)) = (self.certificate(), self.folder()) else {
            return Ok(());
        };
        let mut has_one = self.is_of_another(&folder).await?
            || self.takes_what_is_newer(certificate, &folder).await?
            || self.has_found(certificate, &folder).await?;
        if !has_one {
            self.goes_on_revoking_nearby(certificate).await?;
            has_one = self.has_one_of_before(certificate, &folder).await?;
        }
        if !has_one && self.has_password() && self.has_place_for_link(&folder) {
            self.begin_order(certificate, &folder).await;
        }
        Ok(())
    }

    /// Whether what is wanted is installed, or ordered: under another name, or by a store before.
    async fn has_one_of_before(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
    ) -> Result<bool, StoreError> {
        let (progress, wanted) = (&self.row.progress, &certificate.wanted);
        if progress.again {
            return Ok(false);
        }
        let is_bare = progress.order.is_none();
        let installed = progress.installed.as_ref();
        let met = installed.filter(|one| wanted.is_met_by(&one.print));
        let (is_lacking, than) = (met.is_none(), met.map(|one| one.not_after));
        let fits = |print: &str| print == wanted.print;
        // The renewal of the installed certificate may be under another name already.
        if self
            .has_a_pair_of_before(certificate, folder, fits, than)
            .await?
        {
            return Ok(true);
        }
        if is_bare
            && self
                .has_an_order_of_before(certificate, folder, fits)
                .await?
        {
            return Ok(true);
        }
        if self
            .has_a_pair_nearby(certificate, folder, fits, than)
            .await?
        {
            return Ok(true);
        }
        // Its own folder first.
        Ok(self.has_one_in_folder(certificate, folder).await?
            || self.has_an_order_nearby(certificate, folder, fits).await?
            || is_lacking && self.is_revoked_there(certificate, fits).await?
            || self.has_an_unnoted_pair(certificate).await?)
    }

    /// A key in a new version of the files, and the request that it signs. Only this program can
    /// read it.
    async fn begin_order(&mut self, certificate: &Certificate, folder: &Folder) {
        let made = match &certificate.key {
            KeySource::Request(path) => file::read(path)
                .map_err(|error| error.to_string())
                .and_then(|bytes| Csr::read(&bytes))
                .map(|csr| (None, csr))
                .map_err(|why| format!("{}: {why}", path.display())),
            KeySource::Made(kind) => {
                let kind = *kind;
                let known = match self.kept_key(certificate, folder, kind) {
                    Ok(known) => known,
                    Err(trouble) if trouble.may_pass => return self.failed(trouble.message, None),
                    Err(trouble) => {
                        let hint = "repair the file, or set `reuse_key = false`";
                        let words = format!("the key to be used again: {trouble}");
                        return self.hold(HoldKind::Key, words, Some(hint.to_owned()));
                    }
                };
                let request_content = certificate.request_content();
                // RSA takes seconds of computing.
                let made = tokio::task::spawn_blocking(move || {
                    let key = known.map_or_else(|| PrivateKey::generate(kind), Ok)?;
                    let csr = key.request(&request_content)?;
                    Ok::<_, String>((Some(key), csr))
                });
                made.await.unwrap_or_else(|error| Err(error.to_string()))
            }
        };
        let (key, csr) = match made {
            Ok(made) => made,
            Err(why) => return self.hold(HoldKind::Key, why, None),
        };
        let installed = self.row.progress.installed.as_ref();
        let least = installed.map_or(0, |one| one.version) + 1;
        let version = match folder.new_version(least) {
            Ok(version) => version,
            Err(trouble) => return self.trouble(trouble),
        };
        let print = certificate.wanted.print.clone();
        let ca = certificate.ca.clone();
        let after = self.predecessor(certificate);
        let order = Order {
            ca,
            tag: format!("prevalidate:{}", uuid::Uuid::new_v4()),
            version,
            print,
            fingerprint: fingerprint(csr.public_key()),
            csr: csr.pem(),
            names: certificate.subject.names().to_vec(),
            email: match &certificate.subject {
                Subject::Mailbox { email, .. } => Some(email.clone()),
                Subject::Names(_) => None,
            },
            after,
            has_key: Some(key.is_some()),
            is_again: self.row.progress.again,
            ..Order::default()
        };
        // First the note: a key that has none is one of an older program, and is searched for.
        let begun = folder.note(version, &noted(&order));
        if let Err(trouble) = begun.and_then(|()| folder.begin(version, key.as_ref())) {
            folder.discard(version);
            return self.trouble(trouble);
        }
        reach("key-made");
        self.stepped();
        self.say("key", begun_words(version, &order.tag));
        self.begin_with(order);
    }

    /// Fetches the certificate, and checks it before anything else is done with it.
    pub(super) async fn fetch(&mut self) {
        let (Some(certificate), Some(folder)) = (self.certificate(), self.folder()) else {
            return;
        };
        let Some(order) = self.row.progress.order.clone() else {
            return;
        };
        let Some(key) = key_of(&order) else { return };
        if !order.is_fetched_again && !order.is_again && is_of(&order, &folder) {
            // Another store that follows the same order has installed it.
            if let Some(order) = self.progress().order.as_mut() {
                order.is_fetched = true;
            }
            return;
        }
        let name = self.ca_of_order();
        let Some(ca) = self.issuer_port(&name) else {
            return;
        };
        let delivered = match ca.fetch(&key).await {
            Ok(Fetched::Certificates(delivered)) => delivered,
            Ok(Fetched::NotYet) => {
                self.answered(&name);
                let now = self.now();
                if let Some(order) = self.progress().order.as_mut() {
                    order.next_read_at = Some(order.next_read(now));
                    order.reads += 1;
                }
                return;
            }
            Err(error) if error.failure == Failure::NotFound && !order.is_fetched_again => {
                return self.missed(&key, &error).await;
            }
            Err(error) => return self.unread(&name, &error),
        };
        self.heard(&name);
        let emails: Vec<String> = order.email.iter().cloned().collect();
        let expected = Expected {
            fingerprint: &order.fingerprint,
            dns_names: &order.names,
            emails: &emails,
        };
        let came = match check(&delivered, expected, self.now()) {
            Ok(came) => came,
            // By a wrong clock it is not known whether it counts.
            Err(wrong)
                if wrong.iter().any(Wrong::is_about_time)
                    && self.is_stopped_by_clock(&name, &*ca) =>
            {
                return;
            }
            Err(wrong) => {
                let words: Vec<_> = wrong.iter().map(Wrong::to_string).collect();
                let words = format!("the CA delivered for {key}: {}", words.join("; "));
                let hint = format!(
                    "nothing was installed; ask the CA, then `prevalidate certificate fetch {}`, or {} orders a new one",
                    self.row.name,
                    again(&self.row.name)
                );
                return self.hold(HoldKind::Check, words, Some(hint));
            }
        };
        let password = match &certificate.p12_password {
            Some(source) => match source.read() {
                Ok(password) => Some(password),
                Err(error) => return self.failed(format!("p12_password: {error}"), None),
            },
            None => None,
        };
        // What servers read, or read before, is never written over.
        let is_again = order.is_fetched_again || folder.current() == Some(order.version);
        let place = self.key_place(&order);
        let version = match is_again {
            true => match self.version_with_key(&folder, &order) {
                Some(version) => folder.prepare().and_then(|()| folder.begin_again(version)),
                None => {
                    let why = self.lacks_key(&folder, order.version);
                    return self.hold(HoldKind::Key, why, None);
                }
            },
            false => Ok(order.version),
        };
        let put = version.and_then(|version| {
            let put = folder.put(version, &self.row.name, &came, place, password.as_ref());
            if put.is_err() && is_again {
                // Else each try on a full disk would leave one behind.
                folder.discard(version);
            }
            put.map(|()| version)
        });
        // What installed it is known by its version too: see `has_a_pair_nearby`.
        let put = put.and_then(|version| {
            let before = folder.noted(order.version)?;
            let before = before.as_deref().and_then(read_note);
            let tag = before.map_or_else(|| order.tag.clone(), |before| before.tag);
            let of_version = Order {
                tag,
                version,
                is_fetched: true,
                ..order.clone()
            };
            folder.note(version, &noted(&of_version))?;
            Ok(version)
        });
        let version = match put {
            Ok(version) => version,
            Err(trouble) => return self.trouble(trouble),
        };
        reach("certificate-fetched");
        self.stepped();
        self.say(
            "fetched",
            format!("{key}: serial number {}", came.facts.serial),
        );
        if let Some(order) = self.progress().order.as_mut() {
            (order.version, order.is_fetched) = (version, true);
        }
    }

    /// Makes the new version count, unless the place belongs to another CA.
    pub(super) async fn install(&mut self) -> Result<(), StoreError> {
        let (Some(certificate), Some(folder)) = (self.certificate(), self.folder()) else {
            return Ok(());
        };
        let Some(order) = self.row.progress.order.clone() else {
            return Ok(());
        };
        if self.lacks_files(&folder, &order)
            || self.is_of_another(&folder).await?
            || self.is_occupied(certificate, &folder, &order)
        {
            return Ok(());
        }
        let was_taken_over = order.is_fetched_again && !order.is_again;
        self.switch(certificate, &folder, order);
        if was_taken_over && self.row.progress.order.is_none() {
            self.takes_an_open_order(certificate, &folder).await?;
        }
        let is_done = self.row.progress.order.is_none() && self.row.progress.installed.is_some();
        let duplicates = self.issuer.duplicates_of(&self.row.name);
        if is_done && !duplicates.is_empty() {
            // They wait for this one.
            self.commit().await?;
            let (orders, now) = (self.issuer.ports.store.orders(), self.now());
            orders.wake_certificates(&duplicates, now).await?;
        }
        Ok(())
    }

    /// Removes the old versions that nothing needs any more.
    fn prune(&self, certificate: &Certificate, folder: &Folder) {
        let now = self.now();
        let is_open = |note: &str| may_be_open(note, now);
        let is_needed = |version: u32| self.is_for_another(folder, version);
        if let Err(trouble) = folder.prune(certificate.keep, is_open, is_needed) {
            tracing::warn!(%trouble, "an old version could not be removed");
        }
    }

    fn switch(&mut self, certificate: &Certificate, folder: &Folder, order: Order) {
        let ca = self.ca_of_order();
        let switched = self
            .issuer
            .mark(folder, &ca)
            .and_then(|()| folder.switch(order.version, self.key_place(&order)))
            .and_then(|()| folder.live());
        let live = match switched {
            Ok(Some(live)) => live,
            Ok(None) => return self.failed("the new version cannot be read", None),
            Err(trouble) => return self.trouble(trouble),
        };
        reach("certificate-switched");
        let now = self.now();
        self.prune(certificate, folder);
        self.stepped();
        let deploys = certificate.wanted.deploys;
        let (version, began_at, ends_at) =
            (live.version, live.facts.not_before, live.facts.not_after);
        self.say(
            "installed",
            format!("version {version:04}, until {ends_at}"),
        );
        let progress = self.progress();
        // Installed once more, a certificate is as revoked as it was.
        let before = progress.installed.take();
        let before = before.filter(|one| one.serial == live.facts.serial);
        progress.installed = Some(Installed {
            ca: order.ca,
            print: order.print,
            reference: order.reference.unwrap_or_default(),
            certificate: order.certificate,
            revoked_at: before.and_then(|one| one.revoked_at),
            paid_until: order.paid_until,
            has_key: order.has_key,
            ..installed(live, now)
        });
        progress.deployment = deploys.then_some(Deployment {
            version,
            failures: 0,
            at: now,
            trouble: None,
        });
        // What was fetched once more ends no hold: it says nothing of the order that is held.
        let hold = progress.hold.take();
        progress.hold = hold.filter(|_| order.is_fetched_again);
        progress.order = None;
        if !order.is_fetched_again {
            let renewal = certificate.wanted.renew_before;
            let renewal = renewal.renew_at(began_at, ends_at);
            self.judge_life(&ca, renewal, ends_at, order.submitted_at);
        }
    }

    /// Holds a certificate that is due again when it is installed, where the next one would be too:
    /// each costs an order.
    fn judge_life(
        &mut self,
        ca: &str,
        renewal: Timestamp,
        end: Timestamp,
        ordered: Option<Timestamp>,
    ) {
        let skew = self.issuer.ports.issuers.get(ca);
        let skew = skew.and_then(|ca| ca.clock_skew());
        if examine_clock(self.now(), None, skew).is_some() {
            return;
        }
        let is_due = renewal <= self.now();
        let progress = self.progress();
        let was_due = std::mem::replace(&mut progress.was_due_at_once, is_due);
        // One that only came late is renewed once.
        let is_born_so = ordered.is_none_or(|at| renewal <= at);
        if !is_due || !(is_born_so || was_due) {
            return;
        }
        let words = format!(
            "the CA issued a certificate until {end}, which is due for renewal since {renewal:.0}: already when it was installed"
        );
        let hint = format!(
            "make `renew_before` shorter, or ask the CA; {} orders a new one",
            again(&self.row.name)
        );
        self.hold(HoldKind::Short, words, Some(hint));
    }
}
