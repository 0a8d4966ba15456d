//! Which names need no registration of their own, because one above them makes it needless: known
//! right after a listing, and to every other process from what that listing stored.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::prevalidation::{DomainName, Policy, Registration, Sighting};
use crate::store::{DomainRow, Store, StoreError};

/// Covered domains of one client, each with the domain above it that makes its own registration needless.
pub type Covering = BTreeMap<DomainName, DomainName>;

/// Domains of one client that are at the CA and that are not wanted here, each with the moment
/// until which it covers what is below it: that of its renewal, which does not begin here.
pub type Above = BTreeMap<DomainName, Timestamp>;

/// What all domains say about those below them at the same client, in a few words for each: there
/// may be 100,000.
#[derive(Debug)]
pub struct Cover {
    /// Whether the policy asks for it.
    asked: bool,
    clients: HashMap<String, HashMap<Arc<str>, Coverage>>,
}

#[derive(Debug, Clone, Copy)]
struct Coverage {
    desired: bool,
    valid: bool,
    registered: bool,
}

impl Cover {
    /// Without any domain yet.
    pub fn new(policy: &Policy) -> Self {
        Self {
            asked: policy.cover,
            clients: HashMap::new(),
        }
    }

    /// Adds a row, with its state at the CA.
    pub fn take(&mut self, row: &DomainRow, sighting: &Sighting, policy: &Policy, now: Timestamp) {
        let registration = sighting.registration();
        let coverage = Coverage {
            desired: !row.origins.is_empty(),
            valid: registration
                .is_some_and(|found| found.usable_until(&policy.of(&row.ca).reuse, now).is_some()),
            registered: registration.is_some(),
        };
        if !self.clients.contains_key(&row.client) {
            self.clients.insert(row.client.clone(), HashMap::new());
        }
        if let Some(domains) = self.clients.get_mut(&row.client) {
            domains.insert(row.domain.as_str().into(), coverage);
        }
    }

    /// Whether a row of this name at this client was taken in.
    pub fn has_row(&self, client: &str, domain: &DomainName) -> bool {
        self.coverage(client, domain.as_str()).is_some()
    }

    fn coverage(&self, client: &str, domain: &str) -> Option<Coverage> {
        self.clients.get(client)?.get(domain).copied()
    }

    /// The highest name above a wanted domain whose proof covers it, as `above` says for each
    /// client. It is wanted at the same client (and is valid, or the domain has no registration),
    /// or it is valid at the CA although it is not wanted here.
    pub fn above(
        &self,
        client: &str,
        domain: &DomainName,
        above: &BTreeMap<String, Above>,
        now: Timestamp,
    ) -> Option<DomainName> {
        let own = self
            .coverage(client, domain.as_str())
            .filter(|own| self.asked && own.desired)?;
        let unwanted = above.get(client);
        let mut found = None;
        let mut next = domain.parent();
        while let Some(name) = next {
            next = name.parent();
            let parent = self
                .coverage(client, name.as_str())
                .filter(|parent| parent.desired);
            let covers = match parent {
                Some(parent) => parent.valid || !own.registered,
                None => unwanted
                    .and_then(|above| above.get(&name))
                    .is_some_and(|&until| now < until),
            };
            if covers {
                found = Some(name);
            }
        }
        found
    }

    /// All covered ones of `client`.
    pub(super) fn covering(&self, client: &str, above: Above, now: Timestamp) -> Covering {
        let Some(domains) = self.clients.get(client) else {
            return Covering::new();
        };
        let above = [(client.to_owned(), above)].into();
        let covered = domains.keys().filter_map(|name| {
            let domain = DomainName::from_a_labels(name).ok()?;
            let covered_by = self.above(client, &domain, &above, now)?;
            Some((domain, covered_by))
        });
        covered.collect()
    }
}

/// Until when a registration that is not renewed here covers what is below it.
pub(super) fn covers_until(
    found: &Registration,
    policy: &Policy,
    now: Timestamp,
) -> Option<Timestamp> {
    found.usable_until(&policy.reuse, now)?;
    policy
        .renew_at(&found.domain, found.proof.as_ref()?)
        .filter(|&at| now < at)
}

/// What the last listing of `client` stored; `None` when none has.
pub async fn above(store: &dyn Store, client: &str) -> Result<Option<Above>, StoreError> {
    let Some(text) = store.fact(&above_fact(client)).await? else {
        return Ok(None);
    };
    let read = |one: &str| {
        let (name, second) = one.split_once('=')?;
        Some((
            DomainName::from_a_labels(name).ok()?,
            Timestamp::from_second(second.parse().ok()?).ok()?,
        ))
    };
    Ok(Some(text.split_whitespace().filter_map(read).collect()))
}

/// As [`above`] reads it: only those that cover something.
pub(super) fn above_text(above: &Above, covering: &Covering) -> String {
    let used: BTreeSet<&DomainName> = covering.values().collect();
    let used = above.iter().filter(|(name, _)| used.contains(name));
    used.map(|(name, until)| format!("{name}={}", until.as_second()))
        .collect::<Vec<_>>()
        .join(" ")
}

pub(super) fn above_fact(client: &str) -> String {
    format!("above/{client}")
}
