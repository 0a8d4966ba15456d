//! The machine that keeps the files of a certificate, and whether the key of its order is there.

use std::path::Path;

use super::CertificateView;
use crate::issuance::{BY_HAND, Step, again};
use crate::store::orders::CertificateRow;
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

    /// The same where only a note in its folder tells of its order: nothing goes on with it.
    pub(super) fn astray(self, row: &CertificateRow, directory: &Path) -> Self {
        let folder = directory.join(&self.name);
        let order = row.progress.order.as_ref();
        let reference = order.and_then(|order| order.reference.as_deref());
        let reference = reference.map_or_else(String::new, |order| format!(" {order}"));
        let (place, ca) = (folder.display(), &self.ca);
        let way = match self.name.starts_with(BY_HAND) {
            true => "the same `prevalidate certificate order` again finds it",
            false => "a [[certificate]] with its name goes on with it",
        };
        Self {
            reason: format!(
                "not in the configuration; {place} tells of an order{reference} at {ca} that this store does not know, and nothing goes on with it"
            ),
            hint: Some(format!(
                "`prevalidate certificate list --at-ca` shows what the CA has; {way}; or move {place} away"
            )),
            next: Step::Rest.as_str(),
            due_at: None,
            left_behind: true,
            ..self
        }
    }

    /// The same where another machine keeps its files, and the folder here has something that the store
    /// does not know: it was paid too.
    pub(super) fn beside_its_own(self, unknown: Option<String>) -> Self {
        let Some(unknown) = unknown.filter(|_| !self.held) else {
            return self;
        };
        let wanted = self.state != super::CertificateState::Unmanaged;
        Self {
            failing: self.failing || wanted,
            reason: format!(
                "{unknown} that this store does not know: it was made before the store was lost or brought back, and another directory keeps this certificate now"
            ),
            hint: Some(format!(
                "let servers here read the files of the other directory, and move the folder away; or {} orders a new one here",
                again(&self.name)
            )),
            ..self
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
    use crate::issuance::Progress;
    use crate::issuance::progress::Order;
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
    fn what_the_store_does_not_know_is_told_with_its_folder() {
        let (_, view, _) = samples().swap_remove(0);
        assert!(!view.clone().beside_its_own(None).needs_attention());
        let unknown = "/srv/certificates/www has an order".to_owned();
        let told = view.clone().beside_its_own(Some(unknown));
        assert!(told.needs_attention() && told.reason.contains("does not know"));
        let row = CertificateRow {
            name: "www".to_owned(),
            ca: "swisssign".to_owned(),
            wanted: false,
            home: None,
            due_at: None,
            progress: Progress {
                order: Some(Order {
                    reference: Some("ord-7".to_owned()),
                    ..Order::default()
                }),
                ..Progress::default()
            },
        };
        let stray = view.astray(&row, Path::new("/srv/certificates"));
        assert!(stray.left_behind);
        for part in ["/srv/certificates/www", "an order ord-7", "does not know"] {
            assert!(stray.reason.contains(part), "{}", stray.reason);
        }
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
