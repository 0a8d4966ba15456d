//! Who keeps the files of a certificate, and whether the key of its order is there.

use super::CertificateView;
use crate::issuance::{Step, again};
use crate::worker::issue::Keeper;

impl CertificateView {
    /// The same with what is said of the machine that keeps its files. While that one lives, nothing is
    /// wrong here.
    pub(super) fn kept_by(self, keeper: &Keeper) -> Self {
        let Keeper::Other(other) = keeper else {
            return self;
        };
        let view = Self {
            elsewhere: true,
            ..self
        };
        match (&other.place, other.silent_since) {
            (_, Some(_)) => Self {
                held: view.state != super::CertificateState::Unmanaged,
                reason: format!("its files are kept {}", other.words()),
                hint: Some(format!(
                    "start prevalidate there; if that directory is lost for good, {} orders a new one here",
                    again(&view.name)
                )),
                next: Step::Held.as_str(),
                due_at: None,
                ..view
            },
            (Some(place), None) => Self {
                reason: format!("{}; its files are kept {place}", view.reason),
                ..view
            },
            (None, None) => view,
        }
    }

    /// The same where the key of its open order is gone: the certificate would be of no use.
    pub(super) fn without_its_key(self, lost: Option<String>) -> Self {
        let Some(reason) = lost.filter(|_| !self.held) else {
            return self;
        };
        Self {
            held: true,
            reason,
            hint: Some(format!(
                "put the key back, and the next run continues; or {} orders a new one",
                again(&self.name)
            )),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::samples;
    use super::*;
    use crate::worker::issue::Other;

    #[test]
    fn what_another_machine_keeps_is_held_only_once_that_one_is_silent() {
        let other = |silent_since| {
            Keeper::Other(Other {
                place: Some("by web1 in /srv/certificates".to_owned()),
                silent_since,
            })
        };
        let (_, view, _) = samples().swap_remove(0);
        let alive = view.clone().kept_by(&other(None));
        assert_eq!((alive.held, alive.elsewhere), (view.held, true));
        let words = "its files are kept by web1 in /srv/certificates";
        assert!(alive.reason.ends_with(words), "{}", alive.reason);
        let silent = other(Some("2026-12-01T12:00:00Z".parse().unwrap()));
        let silent = view.kept_by(&silent);
        assert!(silent.held && silent.elsewhere);
        let since = "which no machine has seen since 2026-12-01T12:00:00Z";
        assert!(silent.reason.contains(since), "{}", silent.reason);
        assert!(silent.hint.unwrap().contains("issue www --again"));
    }

    #[test]
    fn an_order_without_its_key_is_held() {
        let (_, view, _) = samples().swap_remove(0);
        assert!(!view.held);
        let lost = view
            .clone()
            .without_its_key(Some("the key is gone".to_owned()));
        assert!(lost.held && lost.hint.unwrap().contains("put the key back"));
        assert!(!view.without_its_key(None).held);
    }

    #[test]
    fn a_password_that_cannot_be_read_is_told_before_the_renewal() {
        let (_, view, _) = samples().swap_remove(0);
        assert!(!view.needs_attention());
        let why = "p12_password: the file is gone".to_owned();
        let told = view.clone().without_its_password(Some(why.clone()));
        assert!(told.needs_attention());
        assert_eq!((told.reason, told.doubt), (why, Some("cannot be renewed")));
        assert!(!view.without_its_password(None).needs_attention());
    }
}
