//! A pair that is in the directory while the store knows nothing of it: the store was lost, or is
//! another one. What fits is taken over, and nothing is ordered for it.

use jiff::Timestamp;

use super::super::certificate::Certificate;
use super::super::lying::{compared, moved_here, order_in};
use super::super::task::Task;
use super::lost::is_beginning;
use super::newest::is_ours;
use crate::ca::authority::is_of_a_sandbox;
use crate::certificates::Folder;
use crate::certificates::folder::{Found, Live};
use crate::issuance::again;
use crate::issuance::progress::{HoldKind, Installed, Order};
use crate::store::StoreError;
use crate::store::orders::CertificateEvent;
use crate::worker::issue::Issuer;

/// The state of the files of a version. Its CA and its order are for the caller to
/// add.
pub(super) fn installed(live: Live, at: Timestamp) -> Installed {
    let facts = live.facts;
    let mut names = facts.dns_names;
    names.extend(facts.emails);
    Installed {
        ca: String::new(),
        version: live.version,
        serial: facts.serial,
        issuer: facts.issuer,
        not_before: facts.not_before,
        not_after: facts.not_after,
        names,
        fingerprint: facts.fingerprint,
        print: String::new(),
        reference: String::new(),
        certificate: None,
        at,
        revoked_at: None,
        paid_until: None,
        has_key: None,
    }
}

impl Task<'_> {
    /// Reads what servers read, before a first order. True: nothing is ordered now.
    pub(super) async fn has_found(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
    ) -> Result<bool, StoreError> {
        let progress = &self.row.progress;
        if progress.order.is_some() || progress.again {
            return Ok(false);
        }
        if let Some(installed) = &progress.installed {
            let live = moved_here(certificate, folder, installed, self.now());
            let live = live.filter(|live| !self.is_of_a_rehearsal(certificate, live));
            let Some(live) = live else { return Ok(false) };
            self.takes_the_newest(certificate, folder, live).await?;
            return Ok(true);
        }
        let has_one = self.takes_what_lies_there(certificate, folder).await?;
        if !has_one && let Some(Ok(Found::Ended(at))) = compared(certificate, folder, self.now()) {
            self.say("ended", format!("what is in the directory ended on {at}"));
        }
        Ok(has_one)
    }

    /// Takes over what was installed later than all that this store knows: it was brought back from an
    /// older copy, or another store was at work. What it has in hand came before that.
    pub(super) async fn takes_what_is_newer(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
    ) -> Result<bool, StoreError> {
        let newer = self
            .issuer
            .newer(&self.row, certificate, folder, self.now());
        let Some(live) = newer else { return Ok(false) };
        let progress = self.progress();
        if let Some(before) = progress.order.take() {
            progress.leave_behind(before.records);
        }
        (progress.again, progress.forgets_predecessor) = (false, false);
        let has_key = certificate.makes_key();
        self.take_over(certificate, live, has_key).await?;
        Ok(true)
    }

    /// Checks what servers read, whatever was begun here. True: it is taken over, or held.
    pub(super) async fn takes_what_lies_there(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
    ) -> Result<bool, StoreError> {
        let Some(compared) = compared(certificate, folder, self.now()) else {
            return Ok(false);
        };
        match compared {
            Ok(Found::Nothing | Found::Ended(_)) => Ok(false),
            Ok(Found::Fit(live)) if !self.is_of_a_rehearsal(certificate, &live) => {
                self.takes_the_newest(certificate, folder, live).await?;
                Ok(true)
            }
            Ok(Found::Fit(live)) => {
                let why = format!("it was issued by \"{}\"", live.facts.issuer);
                Ok(self.is_unfit(folder, why))
            }
            Ok(Found::Unfit(why)) => {
                // What this program has put there, and is damaged or for something else, hides nothing.
                let current = folder.current();
                let is_ours = current.is_some_and(|one| is_ours(certificate, folder, one));
                let has_one = is_ours && self.has_a_newer_pair(certificate, folder, None).await?;
                Ok(has_one || self.is_unfit(folder, why))
            }
            Err(trouble) => {
                self.trouble(trouble);
                Ok(true)
            }
        }
    }

    pub(super) fn is_of_a_rehearsal(&self, certificate: &Certificate, live: &Live) -> bool {
        self.issuer.is_of_a_rehearsal(certificate, live)
    }

    fn is_unfit(&mut self, folder: &Folder, why: String) -> bool {
        if let Some(why) = folder.blocked() {
            let hint = format!(
                "nothing is ordered before; after that, {} orders a new one whatever is there",
                again(&self.row.name)
            );
            self.hold(HoldKind::Folder, why, Some(hint));
            return true;
        }
        let words = format!(
            "a certificate that this store does not know is in the directory, and is not what is wanted: {why}"
        );
        let hint = format!(
            "repair or move {}, and the next run continues; {} orders a new one in its place",
            folder.path().display(),
            again(&self.row.name)
        );
        self.hold(HoldKind::Folder, words, Some(hint));
        true
    }

    /// The order of what is there, by what its version keeps of it, or by the history of this
    /// store.
    async fn noted_order(
        &self,
        certificate: &Certificate,
        folder: &Folder,
        live: &Live,
    ) -> Result<Option<Paid>, StoreError> {
        let order = order_in(folder, live.version);
        let is_its = |order: &Order| {
            order.fingerprint == live.facts.fingerprint && order.ca == certificate.ca
        };
        if let Some(order) = order.filter(is_its)
            && let Some(reference) = order.reference.filter(|one| !one.is_empty())
        {
            return Ok(Some(Paid {
                reference,
                certificate: order.certificate,
                paid_until: order.paid_until,
            }));
        }
        let orders = self.issuer.ports.store.orders();
        let history = orders.certificate_history(&self.row.name).await?;
        let is_begun = |event: &CertificateEvent| is_beginning(event, live.version, None);
        if !history.iter().any(is_begun) {
            return Ok(None);
        }
        let end = format!(": serial number {}", live.facts.serial);
        let fetched = history.iter().rev().filter(|event| event.kind == "fetched");
        let mut keys = fetched.filter_map(|event| event.detail.strip_suffix(&end));
        Ok(keys.next().map(|reference| Paid {
            reference: reference.to_owned(),
            certificate: None,
            paid_until: None,
        }))
    }

    /// What is there is installed from now on. Its order is known where the store has it under a
    /// name that the configuration does not use any more: its folder was moved.
    pub(super) async fn take_over(
        &mut self,
        certificate: &Certificate,
        live: Live,
        has_key: bool,
    ) -> Result<(), StoreError> {
        let folder = self.issuer.folder(certificate);
        let revoked_at = folder.revoked(live.version);
        let revoking = folder
            .revoking(live.version)
            .filter(|_| revoked_at.is_none());
        let noted = self.noted_order(certificate, &folder, &live).await?;
        let (now, facts) = (self.now(), &live.facts);
        let before = self.left_by_serial(&facts.serial).await?;
        self.stepped();
        let of = before.as_ref().map(|(name, _)| format!(" of {name}"));
        self.say(
            "adopted",
            format!(
                "version {:04}, serial number {}{}, until {}: it lay in the directory, and nothing was ordered",
                live.version,
                facts.serial,
                of.unwrap_or_default(),
                facts.not_after
            ),
        );
        let before = before.map(|(_, one)| Paid {
            reference: one.reference,
            certificate: one.certificate,
            paid_until: one.paid_until,
        });
        let before = before.filter(|one| !one.reference.is_empty()).or(noted);
        self.goes_on_revoking(revoking.as_deref(), &live.facts.serial);
        let progress = self.progress();
        progress.hold = None;
        progress.installed = Some(Installed {
            ca: certificate.ca.clone(),
            print: certificate.wanted.print.clone(),
            reference: before
                .as_ref()
                .map(|one| one.reference.clone())
                .unwrap_or_default(),
            certificate: before.as_ref().and_then(|one| one.certificate.clone()),
            revoked_at,
            paid_until: before.as_ref().and_then(|one| one.paid_until),
            has_key: Some(has_key),
            ..installed(live, now)
        });
        Ok(())
    }
}

impl Issuer {
    /// Whether a sandbox issued it and the configuration is for a real CA, or the other way round.
    pub(in crate::worker::issue) fn is_of_a_rehearsal(
        &self,
        certificate: &Certificate,
        live: &Live,
    ) -> bool {
        let host = self.options.hosts.get(&certificate.ca);
        host.is_some_and(|host| is_loopback(host) != is_of_a_sandbox(&live.facts.issuer))
    }
}

/// The order that a certificate belongs to.
struct Paid {
    reference: String,
    certificate: Option<String>,
    paid_until: Option<Timestamp>,
}

/// Whether a host, as a URL names it with its port, is this machine: only sandboxes are called there.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, _)) if !host.ends_with(']') => name,
        _ => host,
    };
    let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
