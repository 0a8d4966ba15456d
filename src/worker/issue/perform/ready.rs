//! Whether a certificate could be installed here once it comes: nothing is bought that could not.

use super::super::certificate::Certificate;
use super::super::task::Task;
use crate::certificates::Folder;
use crate::issuance::again;
use crate::issuance::progress::HoldKind;

impl Certificate {
    /// Why its bundle could not be written; `None`: it can, or none is wanted.
    pub fn unreadable_password(&self) -> Option<String> {
        let source = self.p12_password.as_ref()?;
        let error = source.read().err()?;
        Some(format!("p12_password: {error}"))
    }
}

impl Task<'_> {
    /// Whether the secret for the bundle can be read. False: it is held.
    pub(super) fn has_password(&mut self) -> bool {
        let why = self
            .certificate()
            .and_then(Certificate::unreadable_password);
        let Some(why) = why else {
            return true;
        };
        let hint = "nothing is ordered before; repair it, and the next run continues";
        self.hold(HoldKind::Key, why, Some(hint.to_owned()));
        false
    }

    /// Whether a version could be made to count in a folder. False: it is held.
    pub(super) fn has_place_for_link(&mut self, folder: &Folder) -> bool {
        let Some(why) = folder.blocked() else {
            return true;
        };
        let hint = "nothing is ordered before";
        self.hold(HoldKind::Folder, why, Some(hint.to_owned()));
        false
    }

    /// Whether what an order in hand would bring can be installed: the secret for its bundle can be
    /// read, its version can be made to count, and its key is still there. False: nothing is ordered.
    pub(super) fn may_be_installed(&mut self) -> bool {
        if !self.has_password() {
            return false;
        }
        let order = self.row.progress.order.clone();
        let Some((certificate, order)) = self.certificate().zip(order) else {
            return true;
        };
        let folder = self.issuer.folder(certificate);
        if !self.has_place_for_link(&folder) {
            return false;
        }
        let needs_key = order.has_key.unwrap_or(certificate.makes_key());
        if !needs_key || !matches!(folder.key(order.version), Ok(None)) {
            return true;
        }
        let version = order.version;
        self.drop_begun(certificate, &order);
        self.say(
            "failed",
            format!("the key of version {version:04} is gone: nothing is ordered for it"),
        );
        false
    }

    /// Whether the key of the open order is gone. True: it is held, for a person to decide.
    pub(super) fn is_without_its_key(&mut self) -> bool {
        let Some(why) = self.issuer.lost_key(&self.row) else {
            return false;
        };
        let hint = format!(
            "put the key back, and the next run continues; or {} orders a new one",
            again(&self.row.name)
        );
        self.hold(HoldKind::Folder, why, Some(hint));
        true
    }
}
