//! Revocation: asked for by a person, and read back from the CA.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::super::certificate::Certificate;
use super::super::task::Task;
use super::ca::FIRST_SEARCH;
use super::nearby::Version;
use crate::ca::issuing::{Issuing, OrderKey, Revocation, RevocationRequest};
use crate::certificates::Folder;
use crate::issuance::progress::{Refusal, Revocation as RevocationNote};
use crate::issuance::{BY_HAND, OrderState};
use crate::store::StoreError;
use crate::worker::crashpoint::reach;

/// A revocation whose answer was lost is asked for again when the CA does not show it after this
/// time. It is harmless: one that is revoked already is a success.
const REVOKE_AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// Whether what the CA shows may be about the certificate: it shows its serial number, or none.
fn is_of(shown: Option<&str>, serial: &str) -> bool {
    shown.is_none_or(|shown| shown == serial)
}

/// The revocation that a note tells of, to be gone on with: the CA tells its state.
pub(in crate::worker::issue) fn noted_request(
    noted: &str,
    serial: &str,
    now: Timestamp,
) -> Option<RevocationNote> {
    let request = serde_json::from_str::<RevocationNote>(noted).ok();
    let request = request.filter(|request| request.serial == serial)?;
    // Where its order is not known, it is searched for first.
    let is_known = !request.reference.is_empty();
    Some(RevocationNote {
        asked_at: is_known.then_some(now),
        next_read_at: Some(now),
        reads: 0,
        refused: None,
        ..request
    })
}

impl Task<'_> {
    pub(super) async fn revoke(&mut self) -> Result<(), StoreError> {
        let Some(revocation) = self.row.progress.revocation.clone() else {
            return Ok(());
        };
        let name = self.ca_of(&revocation);
        let Some(ca) = self.issuer.ports.issuers.get(&name).cloned() else {
            self.no_such_ca(&name);
            return Ok(());
        };
        if revocation.reference.is_empty() {
            return self
                .find_for_revocation(&name, &ca, &revocation.serial)
                .await;
        }
        let key = OrderKey {
            reference: revocation.reference.clone(),
            certificate: revocation.certificate.clone(),
        };
        let request = RevocationRequest {
            serial: revocation.serial.clone(),
            reason: revocation.reason,
            requestor: revocation.requestor.clone(),
            comment: None,
        };
        self.issuer.mark_revoking(&self.row.name, &revocation);
        reach("revoke-intended");
        let answer = ca.revoke(&key, &request).await;
        reach("revoke-done");
        let now = self.now();
        match answer {
            Ok(Revocation::Done) => {
                self.answered(&name);
                self.revoked();
            }
            Ok(Revocation::Taken(key)) => {
                self.answered(&name);
                self.say("revoking", format!("{key}: the CA has taken the request"));
                if let Some(open) = self.progress().revocation.as_mut() {
                    open.asked_at = Some(now);
                    open.next_read_at = now.saturating_add(FIRST_SEARCH).ok();
                    open.reference = key.reference;
                    open.certificate = key.certificate;
                }
            }
            // The CA was not asked yet.
            Err(error) if error.is_of_a_read && error.is_retryable() => self.unread(&name, &error),
            Err(error) if error.outcome_unknown() => {
                self.say("unanswered", error.message.clone());
                if let Some(open) = self.progress().revocation.as_mut() {
                    open.asked_at = Some(now);
                    open.next_read_at = now.saturating_add(FIRST_SEARCH).ok();
                }
            }
            Err(error) => {
                if self.refused_for_good(&name, &error) {
                    self.revocation_refused(error.message, error.hint);
                }
            }
        }
        Ok(())
    }

    /// Searches for the order of a certificate that was taken over from its directory, by its
    /// serial number: the CA revokes by the order.
    async fn find_for_revocation(
        &mut self,
        name: &str,
        ca: &Arc<dyn Issuing>,
        serial: &str,
    ) -> Result<(), StoreError> {
        let Some(client) = self.client(name, ca).await? else {
            return Ok(());
        };
        let shown = match ca.orders(&client).await {
            Ok(shown) => shown.orders,
            Err(error) => {
                if self.refused_for_good(name, &error) {
                    self.revocation_refused(error.message, error.hint);
                }
                return Ok(());
            }
        };
        self.answered(name);
        let mut same = shown.into_iter();
        let Some(order) = same.find(|one| one.serial.as_deref() == Some(serial)) else {
            let words = format!("the CA lists no order with the serial number {serial}");
            let hint = "revoke it in the CA's portal, or ask the CA's support";
            self.revocation_refused(words, Some(hint.to_owned()));
            return Ok(());
        };
        self.say("found", format!("{}: the order of {serial}", order.key));
        let progress = self.progress();
        if let Some(installed) = progress.installed.as_mut()
            && installed.serial == serial
        {
            installed.reference.clone_from(&order.key.reference);
            installed.certificate.clone_from(&order.key.certificate);
        }
        if let Some(open) = progress.revocation.as_mut() {
            (open.reference, open.certificate) = (order.key.reference, order.key.certificate);
        }
        Ok(())
    }

    /// Continues with a revocation that the files of a certificate tell of, and this store does
    /// not: the CA tells its state.
    pub(super) fn goes_on_revoking(&mut self, noted: Option<&str>, serial: &str) {
        let Some(noted) = noted.filter(|_| self.row.progress.revocation.is_none()) else {
            return;
        };
        let Some(request) = noted_request(noted, serial, self.now()) else {
            tracing::warn!("the note of a revocation cannot be read");
            return;
        };
        self.say(
            "revoking",
            format!("serial number {serial}: this store did not know of it"),
        );
        self.progress().revocation = Some(Box::new(request));
    }

    /// The same for a certificate under another name or in an older version, which no row of this store
    /// tells of: the store was lost, or brought back, and the section has another name now.
    pub(super) async fn goes_on_revoking_nearby(
        &mut self,
        certificate: &Certificate,
    ) -> Result<(), StoreError> {
        if self.row.progress.revocation.is_some() || self.row.name.starts_with(BY_HAND) {
            return Ok(());
        }
        let now = self.now();
        let fits = |print: &str| certificate.wanted.is_met_by(print);
        let open = self.fitting(certificate, &fits).into_iter();
        let open = open.filter_map(|Version { folder, number, .. }| {
            let noted = folder.revoking(number)?;
            let facts = folder.facts_of(number)?;
            let counts = folder.revoked(number).is_none() && facts.not_after > now;
            counts.then_some((noted, facts.serial))
        });
        let open: Vec<_> = open.collect();
        if open.is_empty() {
            return Ok(());
        }
        let rows = self.issuer.ports.store.orders().certificates().await?;
        let is_known = |serial: &str| {
            rows.iter().any(|row| {
                let installed = row.progress.installed.as_ref();
                let asked = row.progress.revocation.as_ref();
                installed.is_some_and(|one| one.serial == serial)
                    || asked.is_some_and(|one| one.serial == serial)
            })
        };
        if let Some((noted, serial)) = open.iter().find(|(_, serial)| !is_known(serial)) {
            self.goes_on_revoking(Some(noted), serial);
        }
        Ok(())
    }

    fn ca_of(&self, revocation: &RevocationNote) -> String {
        match revocation.ca.is_empty() {
            true => self.row.ca.clone(),
            false => revocation.ca.clone(),
        }
    }

    fn no_such_ca(&mut self, name: &str) {
        let words = format!("[ca.{name}], which issued it, is not configured");
        self.revocation_refused(words, None);
    }

    /// People hear of it, and everything else of the certificate continues.
    fn revocation_refused(&mut self, words: String, hint: Option<String>) {
        self.say("held", format!("the revocation: {words}"));
        let since = self.now();
        let progress = self.progress();
        progress.not_before = None;
        let Some(open) = progress.revocation.as_mut() else {
            return;
        };
        open.refused = Some(Refusal { since, words, hint });
        let serial = open.serial.clone();
        Folder::unmark_revoking(&self.issuer.options.directory, &serial);
    }

    /// Whether the CA says that it is revoked.
    pub(super) async fn confirm(&mut self) {
        let Some(revocation) = self.row.progress.revocation.clone() else {
            return;
        };
        let name = self.ca_of(&revocation);
        let Some(ca) = self.issuer.ports.issuers.get(&name).cloned() else {
            return self.no_such_ca(&name);
        };
        let key = OrderKey {
            reference: revocation.reference,
            certificate: revocation.certificate,
        };
        let now = self.now();
        match ca.read(&key).await {
            // A number that is shown must be that of the certificate: an order may have several.
            Ok(shown)
                if shown.state == OrderState::Revoked
                    && is_of(shown.serial.as_deref(), &revocation.serial) =>
            {
                self.answered(&name);
                self.revoked();
            }
            Ok(_) => {
                self.answered(&name);
                let Some(open) = self.progress().revocation.as_mut() else {
                    return;
                };
                let span = FIRST_SEARCH * i32::try_from((open.reads + 1).min(150)).unwrap_or(1);
                open.reads += 1;
                open.next_read_at = now.saturating_add(span).ok();
                let asked = open.asked_at;
                if asked.is_some_and(|at| now.duration_since(at) > REVOKE_AGAIN) {
                    open.asked_at = None;
                }
            }
            Err(error) => {
                if let Some(open) = self.progress().revocation.as_mut() {
                    open.next_read_at = now.saturating_add(FIRST_SEARCH * 5).ok();
                }
                self.unread(&name, &error);
            }
        }
    }

    fn revoked(&mut self) {
        let now = self.now();
        let progress = self.progress();
        let Some(done) = progress.revocation.take() else {
            return;
        };
        if let Some(installed) = progress
            .installed
            .as_mut()
            .filter(|one| one.serial == done.serial)
        {
            installed.revoked_at = Some(now);
            let version = installed.version;
            self.issuer
                .mark_revoked(&self.row.name, version, &done.serial, now);
        } else {
            self.issuer.mark_revoked_anywhere(&done.serial, now);
        }
        let words = format!("serial number {}, {}", done.serial, done.reason);
        self.say("revoked", words);
    }
}
