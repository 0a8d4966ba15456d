//! The order that a new one comes after, which makes it a renewal or a reissue. Where the CA knows that
//! one no more, or has revoked it, the new one is an order of its own.

use std::sync::Arc;

use super::super::certificate::Certificate;
use super::super::task::Task;
use crate::ca::issuing::{Issuing, OrderKey};
use crate::ca::{CaError, Failure};
use crate::issuance::OrderState;
use crate::issuance::progress::After;

impl Task<'_> {
    /// The order of what is installed, where the next one may come after it.
    pub(super) fn predecessor(&self, certificate: &Certificate) -> Option<After> {
        let (progress, now) = (&self.row.progress, self.now());
        let installed = progress.installed.as_ref();
        // A duplicate comes after the order of the first, once it is there.
        let one = installed
            .filter(|_| certificate.duplicate_of.is_none() && !progress.forgets_predecessor)
            .filter(|one| one.print == certificate.wanted.print && one.ca == certificate.ca)
            .filter(|one| !one.reference.is_empty())?;
        let open = progress.revocation.as_ref();
        let is_revoked = one.revoked_at.is_some() || open.is_some_and(|it| it.serial == one.serial);
        let is_paid = |from| one.paid_until.is_some_and(|until| until > from);
        let is_reissue = is_paid(one.not_after);
        let has_ended = one.not_after <= now && !(is_reissue && is_paid(now));
        (!is_revoked && !has_ended).then(|| After {
            is_duplicate: false,
            is_reissue,
            reference: one.reference.clone(),
            certificate: one.certificate.clone(),
        })
    }

    /// Whether the CA refused the order because of the one that it was to come after: then it is an
    /// order of its own, and made next. A duplicate stays one.
    pub(super) async fn does_without_predecessor(
        &mut self,
        ca: &Arc<dyn Issuing>,
        error: &CaError,
    ) -> bool {
        let order = self.row.progress.order.as_ref();
        let after = order.and_then(|order| order.after.clone());
        let Some(after) = after.filter(|after| !after.is_duplicate) else {
            return false;
        };
        if !matches!(error.failure, Failure::Refused | Failure::NotFound) {
            return false;
        }
        if !error.is_about_predecessor && !self.is_over(ca, &after).await {
            return false;
        }
        self.stepped();
        let reference = &after.reference;
        self.say(
            "anew",
            format!(
                "{}: it does not come after {reference}, and is a new order",
                error.message
            ),
        );
        let progress = self.progress();
        if let Some(order) = progress.order.as_mut() {
            (order.after, order.answer) = (None, None);
            let records = std::mem::take(&mut order.records);
            progress.leave_behind(records);
        }
        true
    }

    /// Whether the CA says that an order is gone, has ended without a certificate, or that its
    /// certificate is revoked.
    async fn is_over(&self, ca: &Arc<dyn Issuing>, after: &After) -> bool {
        let key = OrderKey {
            reference: after.reference.clone(),
            certificate: after.certificate.clone(),
        };
        match ca.read(&key).await {
            Ok(shown) => shown.state == OrderState::Revoked || shown.state.has_failed(),
            Err(error) => error.failure == Failure::NotFound,
        }
    }
}
