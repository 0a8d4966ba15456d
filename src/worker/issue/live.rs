//! What is in the place that servers read, compared with what the store has installed there.

use jiff::Timestamp;

use super::lying::{is_ours_for, is_wanted_there, moved_here};
use super::{Certificate, Issuer, Keeper};
use crate::certificates::folder::{Known, Live as Lying, LiveState};
use crate::certificates::{Checked, Folder};
use crate::issuance::Live;
use crate::issuance::progress::{Installed, Order};
use crate::store::StoreError;
use crate::store::orders::CertificateRow;

impl Issuer {
    /// What servers read, compared with what is installed. No CA is asked.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn live(&self, row: &CertificateRow, now: Timestamp) -> Result<Live, StoreError> {
        let live = match self.keeper(row, now).await? {
            Keeper::Other(_) => Live::Unknown,
            Keeper::Here | Keeper::NoMachine => self.seen(row, now),
        };
        if live.fault().is_none() {
            return Ok(live);
        }
        // Another worker may have installed the next one between the two checks.
        let stored = self.ports.store.orders().certificate(&row.name).await?;
        let is_same = stored.is_some_and(|stored| {
            let order = |row: &CertificateRow| {
                let order = row.progress.order.as_ref();
                order.map(|one| (one.tag.clone(), one.version, one.is_fetched))
            };
            stored.progress.installed == row.progress.installed && order(&stored) == order(row)
        });
        Ok(if is_same { live } else { Live::Unknown })
    }

    fn seen(&self, row: &CertificateRow, now: Timestamp) -> Live {
        let certificate = self.certificate(&row.name);
        let installed = row.progress.installed.as_ref();
        let Some((certificate, installed)) = certificate.zip(installed) else {
            return Live::Nothing;
        };
        let (folder, known) = (self.folder(certificate), known(installed, certificate));
        match folder.live_state(known, now) {
            Ok(LiveState::Whole(pair)) => match unbundled(certificate, &folder, known, &pair) {
                Some(why) => Live::Unbundled { why },
                None => Live::There {
                    serial: installed.serial.clone(),
                    not_before: installed.not_before,
                    not_after: installed.not_after,
                    loose: folder.current().and_then(|version| folder.loose(version)),
                },
            },
            // One that cannot be read is no proof that it is gone: the memory of it counts. That this
            // user may not read it is no fault.
            Err(trouble) if !trouble.may_pass => Live::Unknown,
            Err(trouble) => Live::Unreadable {
                why: trouble.message,
            },
            Ok(LiveState::Damaged(why)) => match folder.version_of_key(known) {
                None if folder.current().is_none() => Live::Gone {
                    why: format!("its files are gone from {}", folder.path().display()),
                },
                key => Live::Damaged { why, key },
            },
            Ok(LiveState::Foreign(why)) => {
                if let Some(live) = self.newer(row, certificate, &folder, now) {
                    return Live::Newer {
                        why: format!(
                            "version {:04} (serial number {}) was installed later than what this store knows",
                            live.version, live.facts.serial
                        ),
                    };
                }
                let order = row.progress.order.as_ref();
                // `current` was switched, and that is not stored yet.
                let is_next = order.is_some_and(|order| is_of(order, &folder));
                let is_wanted = || moved_here(certificate, &folder, installed, now).is_some();
                match is_next || is_wanted() {
                    true => Live::Unknown,
                    false => Live::Foreign { why },
                }
            }
        }
    }
}

impl Issuer {
    /// What this program has put there for what is wanted, later than all that the store knows of.
    pub(super) fn newer(
        &self,
        row: &CertificateRow,
        certificate: &Certificate,
        folder: &Folder,
        now: Timestamp,
    ) -> Option<Lying> {
        let (installed, order) = (row.progress.installed.as_ref()?, &row.progress.order);
        let made = order.as_ref().filter(|order| order.submitted_at.is_some());
        let known = made.map_or(0, |order| order.version).max(installed.version);
        if folder.current()? <= known {
            return None;
        }
        let live = is_wanted_there(certificate, folder, now)?;
        let owner = folder.owner().ok()?;
        let is_here = owner.is_none_or(|host| self.knows(&host));
        let is_later = live.facts.not_after >= installed.not_after && live.version > known;
        let is_ours =
            is_ours_for(certificate, folder, &live) && !self.is_of_a_rehearsal(certificate, &live);
        (is_here && is_later && is_ours).then_some(live)
    }

    /// Why the bundle of a certificate could not be written; `None`: it can, none is wanted, or this user
    /// may not read secrets.
    pub fn lost_password(&self, name: &str) -> Option<String> {
        let certificate = self.certificate(name)?;
        let why = certificate.unreadable_password()?;
        (!self.folder(certificate).keeps_from_us()).then_some(why)
    }

    /// Why the certificate of an open order cannot be used: its key is in no version of the folder.
    pub fn lost_key(&self, row: &CertificateRow) -> Option<String> {
        let certificate = self.certificate(&row.name)?;
        let order = row.progress.order.as_ref();
        let order = order.filter(|one| one.submitted_at.is_some() && !one.is_fetched_again)?;
        let has_key = order.has_key.unwrap_or(certificate.makes_key());
        let folder = self.folder(certificate);
        let sought = Known {
            version: order.version,
            serial: "",
            fingerprint: &order.fingerprint,
            has_key,
        };
        if folder.keeps_from_us() || folder.version_of_key(sought).is_some() {
            return None;
        }
        let reference = order.reference.as_deref();
        let reference = reference.map_or_else(String::new, |order| format!(" {order}"));
        let (folder, version) = (folder.path().display(), order.version);
        Some(format!(
            "{folder}/{version:04}/privkey.pem is gone, and the key of its order{reference} is in no version of {folder}: the certificate would be of no use"
        ))
    }
}

/// Why the bundle that servers read is not the one that was written. `None`: it is the same, none
/// is wanted, or this machine cannot know.
fn unbundled(
    certificate: &Certificate,
    folder: &Folder,
    known: Known<'_>,
    pair: &Checked,
) -> Option<String> {
    let source = certificate
        .p12_password
        .as_ref()
        .filter(|_| known.has_key)?;
    let password = source.read().ok();
    folder.differs_in_bundle(folder.current()?, pair, password.as_ref())
}

/// What is remembered of a pair.
pub(super) fn known<'a>(installed: &'a Installed, certificate: &Certificate) -> Known<'a> {
    Known {
        version: installed.version,
        serial: &installed.serial,
        fingerprint: &installed.fingerprint,
        has_key: installed.has_key.unwrap_or(certificate.makes_key()),
    }
}

/// Whether what counts in a folder belongs to this order.
pub(super) fn is_of(order: &Order, folder: &Folder) -> bool {
    let live = folder.live().ok().flatten();
    live.is_some_and(|live| {
        live.version == order.version && live.facts.fingerprint == order.fingerprint
    })
}
