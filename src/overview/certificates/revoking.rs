//! A revocation that a person has asked for, while the CA has not confirmed it.

use jiff::{SignedDuration, Timestamp};

use super::CertificateView;
use crate::issuance::Progress;

/// A CA may take this long before it is reported.
const TOLD_AFTER: SignedDuration = SignedDuration::from_mins(10);

impl CertificateView {
    /// The same where its revocation takes long. One that the CA refused is held.
    pub(super) fn still_revoking(self, progress: &Progress, now: Timestamp) -> Self {
        let open = progress.revocation.as_ref();
        let open = open.filter(|one| one.refused.is_none());
        let since = open.and_then(|one| one.since.or(one.asked_at));
        let Some(since) = since.filter(|&at| now.duration_since(at) >= TOLD_AFTER) else {
            return self;
        };
        let reason = match self.held || self.failing {
            true => self.reason,
            false => {
                format!(
                    "the CA has not confirmed its revocation, which was asked for on {since:.0}"
                )
            }
        };
        Self {
            revoking: true,
            reason,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::{asked_for, now, samples};
    use super::*;
    use crate::issuance::progress::Revocation;

    #[test]
    fn a_revocation_that_the_ca_does_not_confirm_needs_attention() {
        let (_, view, _) = samples().swap_remove(0);
        let open = |minutes| Progress {
            revocation: Some(Box::new(Revocation {
                since: Some(now() - SignedDuration::from_mins(minutes)),
                ..asked_for()
            })),
            ..Progress::default()
        };
        let young = view.clone().still_revoking(&open(9), now());
        assert!(!young.needs_attention());
        let old = view.still_revoking(&open(10), now());
        assert!(old.needs_attention());
        assert!(
            old.reason.contains("2026-12-01T11:50:00Z"),
            "{}",
            old.reason
        );
    }
}
