//! A certificate that is a duplicate of another one, the first: it has its own key, and the order of
//! the first. What is decided for it waits for the first.

use jiff::Timestamp;

use super::progress::Progress;
use super::{Decision, Lead, Step};

/// How the first certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// It has an order of which duplicates are made.
    There {
        /// The CA's key for the order.
        reference: String,
    },
    /// It has none now; the reason in words.
    Lacking(String),
}

impl First {
    /// The first certificate by its name, its row, and when it is renewed.
    pub fn of(name: &str, ca: &str, progress: &Progress, lead: Lead, now: Timestamp) -> Self {
        let lacking = |why: &str| Self::Lacking(format!("certificate {name}, the first, {why}"));
        let Some(installed) = progress.installed.as_ref().filter(|one| one.ca == ca) else {
            return lacking("is not issued yet");
        };
        if installed.revoked_at.is_some() || progress.revocation.is_some() {
            return lacking("is revoked");
        }
        let renew_at = lead.renew_at(installed.not_before, installed.not_after);
        let order = progress.order.as_ref();
        if order.is_some_and(|order| !order.is_fetched_again) || renew_at <= now {
            return lacking("is renewed before it");
        }
        Self::There {
            reference: installed.reference.clone(),
        }
    }

    /// What is next for the duplicate, by what is next for it alone: it is renewed when the first has
    /// another order, and nothing is ordered while the first lacks one.
    #[must_use]
    pub fn decide(&self, own: &Progress, decision: Decision, now: Timestamp) -> Decision {
        let wait = |why: &str| Decision {
            step: Step::Prove,
            at: Timestamp::MAX,
            why: why.to_owned(),
            beside: decision.beside,
        };
        match (self, decision.step) {
            (Self::Lacking(why), Step::Key) if decision.is_due(now) => wait(why),
            (Self::There { reference }, Step::Rest) => {
                let installed = own.installed.as_ref();
                let installed = installed.filter(|one| one.revoked_at.is_none());
                match installed.is_some_and(|one| one.reference != *reference) {
                    true => Decision {
                        step: Step::Key,
                        at: own.not_before.unwrap_or(now),
                        why: "the first certificate has another order".to_owned(),
                        beside: decision.beside,
                    },
                    false => decision,
                }
            }
            _ => decision,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::SignedDuration;

    use super::super::progress::{Installed, Order};
    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn now() -> Timestamp {
        "2026-12-01T12:00:00Z".parse().unwrap()
    }

    fn installed(reference: &str, age: i32) -> Progress {
        let not_before = now() - DAY * age;
        Progress {
            installed: Some(Installed {
                ca: "digicert".to_owned(),
                version: 1,
                serial: "0a".to_owned(),
                issuer: String::new(),
                not_before,
                not_after: not_before + DAY * 90,
                names: Vec::new(),
                fingerprint: String::new(),
                print: String::new(),
                reference: reference.to_owned(),
                certificate: None,
                at: not_before,
                revoked_at: None,
                paid_until: None,
                has_key: None,
            }),
            ..Progress::default()
        }
    }

    fn first(progress: &Progress) -> First {
        First::of("www", "digicert", progress, Lead::default(), now())
    }

    fn decision(step: Step, at: Timestamp) -> Decision {
        Decision {
            step,
            at,
            why: String::new(),
            beside: None,
        }
    }

    #[test]
    fn a_duplicate_waits_while_the_first_has_no_order_that_stays() {
        let mut ordering = installed("7", 10);
        ordering.order = Some(Order::default());
        let mut revoked = installed("7", 10);
        revoked.installed.as_mut().unwrap().revoked_at = Some(now());
        for (progress, words) in [
            (Progress::default(), "is not issued yet"),
            (installed("7", 61), "is renewed before it"),
            (ordering, "is renewed before it"),
            (revoked, "is revoked"),
        ] {
            let first = first(&progress);
            let own = Progress::default();
            let decided = first.decide(&own, decision(Step::Key, now()), now());
            assert_eq!(decided.step, Step::Prove);
            assert!(decided.why.contains(words), "{decided:?}");
            // What is under way continues.
            let read = decision(Step::Read, now());
            assert_eq!(first.decide(&own, read.clone(), now()), read);
        }
    }

    #[test]
    fn a_duplicate_is_renewed_when_the_first_has_another_order() {
        let first = first(&installed("8", 1));
        let rest = decision(Step::Rest, now() + DAY);
        let kept = first.decide(&installed("8", 20), rest.clone(), now());
        assert_eq!(kept, rest);
        let renewed = first.decide(&installed("7", 20), rest, now());
        assert_eq!((renewed.step, renewed.at), (Step::Key, now()));
    }
}
