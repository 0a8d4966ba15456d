//! Domains that the CA validates by their persistent record (BR 3.2.2.4.22). A person orders it in
//! the portal; from then on the CA checks again and again, and a proof lives from check to check.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use prevalidate_providers::record::is_within;
use serde::Serialize;
use serde_json::{Value, json};

use super::{CaaCheck, Shared};
use crate::persistent::LABEL;
use crate::sandbox::caa::Subject;
use crate::sandbox::check::{Data, Persistent};

/// A proof by this method may be used this long (BR 3.2.2.4.22).
const REUSE: SignedDuration = SignedDuration::from_hours(24 * 10);

/// One check of a persistent record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recheck {
    /// The domain, in A-labels.
    pub domain: String,
    /// When the CA checked.
    pub at: Timestamp,
    /// Whether it found the record.
    pub found: bool,
    /// Its words.
    pub words: String,
}

/// The domains under this method.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// By domain: when the CA checks next.
    next: BTreeMap<String, Timestamp>,
    checks: Vec<Recheck>,
}

impl Watched {
    pub(super) fn checks(&self) -> &[Recheck] {
        &self.checks
    }

    /// Whether a name is validated by the persistent record of its domain.
    pub(super) fn watches(&self, name: &str) -> bool {
        let mut domains = self.next.keys();
        domains.any(|domain| is_within(name, domain))
    }

    fn due(&self, now: Timestamp) -> Vec<String> {
        let due = self.next.iter().filter(|(_, at)| **at <= now);
        due.map(|(domain, _)| domain.clone()).collect()
    }
}

impl Shared {
    /// Puts a domain under this method and checks at once.
    pub(super) async fn watch(&self, domain: &str) -> Result<(), String> {
        if self.state().book.find(domain).is_none() {
            return Err(format!("{domain} is not registered (give A-labels)"));
        }
        self.check_again(domain).await
    }

    /// Checks each record that is due.
    pub(super) async fn recheck(&self) {
        let due = self.state().persistent.due(self.now());
        for domain in due {
            // What it found is in its checks.
            let _ = self.check_again(&domain).await;
        }
    }

    async fn check_again(&self, domain: &str) -> Result<(), String> {
        let (behaviour, now) = (self.state().behaviour.clone(), self.now());
        let wanted = Persistent {
            validators: &behaviour.persistent.validators(),
            issuer: &behaviour.persistent_issuer,
            accounts: &behaviour.persistent_accounts,
            now,
        };
        let owner = format!("{LABEL}.{domain}");
        let every = SignedDuration::from_secs(behaviour.persistent_every);
        let next = now.saturating_add(every).unwrap_or(Timestamp::MAX);
        let watch = |watched: &mut Watched| watched.next.insert(domain.to_owned(), next);
        watch(&mut self.state().persistent);
        let mut seen = self.check_for(&owner, Data::Persistent(&wanted), 0).await;
        if seen.is_ok() && behaviour.caa == CaaCheck::Validate {
            seen = self.caa_after(domain, Subject::Host, true).await.and(seen);
        }
        let mut state = self.state();
        let reference = state.book.find(domain).map(|one| one.reference.clone());
        if let (Some(reference), Ok(words)) = (reference, &seen) {
            let end = now.saturating_add(REUSE).unwrap_or(Timestamp::MAX);
            state.book.prove_until(&reference, words.clone(), now, end);
        }
        let (found, words) = match &seen {
            Ok(words) => (true, words.clone()),
            Err(words) => (false, words.clone()),
        };
        state.persistent.checks.push(Recheck {
            domain: domain.to_owned(),
            at: now,
            found,
            words,
        });
        seen.map(drop)
    }

    /// What the back door shows: the domains under this method, and all checks.
    pub(super) fn watched(&self) -> Value {
        let state = self.state();
        json!({"next": state.persistent.next, "looks": state.persistent.checks})
    }
}
