//! Which names need no registration of their own, because one above them makes it needless: known right after a look, and to
//! everybody else from what that look stored.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::prevalidation::{DomainName, Policy, Registration, Sighting};
use crate::store::{DomainRow, Store, StoreError};

/// Covered domains, each with the domain above it that makes its own registration needless.
pub type Covering = BTreeMap<DomainName, DomainName>;

/// Domains of one client that are at the CA and that nobody here wants, each with the moment until which it covers what lies
/// below it: that of its renewal, which nobody here begins.
pub type Above = BTreeMap<DomainName, Timestamp>;

/// One domain of a client as the covering sees it.
#[derive(Debug, Clone, Copy)]
pub struct Below<'a> {
    /// The name.
    pub domain: &'a DomainName,
    /// Whether the inventory wants it.
    pub desired: bool,
    /// What the CA said.
    pub sighting: &'a Sighting,
}

impl<'a> From<&'a DomainRow> for Below<'a> {
    fn from(row: &'a DomainRow) -> Self {
        Self { domain: &row.domain, desired: !row.origins.is_empty(), sighting: &row.sighting }
    }
}

/// Which domains of one client lie below a valid one of it, or, while they have no registration, below a wanted one.
pub fn covering<'a>(
    domains: impl Iterator<Item = Below<'a>> + Clone,
    above: &Above,
    policy: &Policy,
    now: Timestamp,
) -> Covering {
    let valid = |sighting: &Sighting| {
        sighting.registration().is_some_and(|found| found.usable_until(&policy.reuse, now).is_some())
    };
    let wanted: BTreeMap<&DomainName, bool> =
        domains.clone().filter(|one| one.desired).map(|one| (one.domain, valid(one.sighting))).collect();
    let mut covering = Covering::new();
    for one in domains {
        let unregistered = one.sighting.registration().is_none();
        let mut name = one.domain.parent();
        while let Some(parent) = name {
            name = parent.parent();
            let covers = match wanted.get(&parent) {
                Some(valid) => *valid || unregistered,
                None => above.get(&parent).is_some_and(|&until| now < until),
            };
            if covers {
                covering.insert(one.domain.clone(), parent);
            }
        }
    }
    covering
}

/// Until when a registration that nobody here renews covers what lies below it.
pub(super) fn covers_until(found: &Registration, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    found.usable_until(&policy.reuse, now)?;
    policy.renew_at(&found.domain, found.proof.as_ref()?).filter(|&at| now < at)
}

/// What the last look at `client` stored; `None` when none has.
pub async fn above(store: &dyn Store, client: &str) -> Result<Option<Above>, StoreError> {
    let Some(text) = store.fact(&above_fact(client)).await? else { return Ok(None) };
    let read = |one: &str| {
        let (name, second) = one.split_once('=')?;
        Some((DomainName::from_a_labels(name).ok()?, Timestamp::from_second(second.parse().ok()?).ok()?))
    };
    Ok(Some(text.split_whitespace().filter_map(read).collect()))
}

/// As [`above`] reads it: only those that cover something.
pub(super) fn above_text(above: &Above, covering: &Covering) -> String {
    let used: std::collections::BTreeSet<&DomainName> = covering.values().collect();
    let used = above.iter().filter(|(name, _)| used.contains(name));
    used.map(|(name, until)| format!("{name}={}", until.as_second())).collect::<Vec<_>>().join(" ")
}

pub(super) fn above_fact(client: &str) -> String {
    format!("above/{client}")
}
