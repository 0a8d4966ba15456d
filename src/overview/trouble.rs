//! What is wrong, beyond what every domain's entry tells: kept for the few that it concerns, so
//! that a snapshot of 100,000 well ones stays small.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::danger::Danger;
use super::{Basis, DomainView};
use crate::prevalidation::{Lateness, OthersChanged, State};
use crate::store::{Store, StoreError};
pub use crate::worker::Failing;
use crate::worker::persist::RECORDS;
use crate::worker::{Target, failure_fact, refusal_fact, warning_fact};

/// In the place of a client, for what the guard says about the inventory of the configuration.
pub const INVENTORY: &str = "configuration";

/// All trouble at one moment.
#[derive(Debug, Clone, Default)]
pub struct Troubles {
    /// By the place of the domain among the entries.
    pub domains: BTreeMap<usize, Trouble>,
    /// Why a client's CA cannot be asked, by the client's key.
    pub unreachable: BTreeMap<Arc<str>, Failing>,
    /// What a CA says that a person should know, by the key of the client or the name of the account.
    pub warnings: BTreeMap<String, String>,
    /// Why the guard refuses the inventory of the configuration; empty when it does not.
    pub inventory: String,
    /// What the guard refuses for persistent records; empty when it does not.
    pub persistent: String,
}

/// The trouble of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// It waits for a person, and not because one wants it so.
    pub held: bool,
    /// It was validated once, and no proof counts any more.
    pub lapsed: bool,
    /// The number of failures in a row; `u32::MAX` when it is late or resolvers refuse its zone.
    pub failures: u32,
    /// Foreign TXT values changed beside ours.
    pub others_changed: Option<OthersChanged>,
}

impl Trouble {
    /// The trouble of the domain, if it has one.
    pub fn of(view: &DomainView) -> Option<Self> {
        if !view.is_managed() || view.covered_by.is_some() {
            return None;
        }
        let is_held = view.state == State::Held;
        // While it waits for name servers or the CA to see it, a failed check is not a failure;
        // being late is one.
        let failures = match () {
            () if is_held => 0,
            () if view.bogus.is_some() || view.lateness() > Lateness::InTime => u32::MAX,
            () if view.waiting.is_some() => 0,
            () => view.failures,
        };
        let trouble = Self {
            held: is_held && !view.is_withdrawn(),
            lapsed: view.danger == Danger::Lapsed,
            failures,
            others_changed: view.others_changed.clone(),
        };
        let well = Self {
            held: false,
            lapsed: false,
            failures: 0,
            others_changed: None,
        };
        Some(trouble).filter(|trouble| *trouble != well)
    }
}

impl Troubles {
    /// What the store knows about the clients; the domains come from their views.
    pub(super) async fn of_clients(
        store: &dyn Store,
        basis: &Basis<'_>,
    ) -> Result<Self, StoreError> {
        let inventory = store
            .fact(&refusal_fact(INVENTORY))
            .await?
            .unwrap_or_default();
        let persistent = store.fact(&refusal_fact(RECORDS)).await?;
        let mut troubles = Self {
            inventory,
            persistent: persistent.unwrap_or_default(),
            ..Self::default()
        };
        troubles.warnings = warnings(store, basis.targets).await?;
        for target in basis.targets {
            let known = store
                .fact(&failure_fact(&target.key))
                .await?
                .unwrap_or_default();
            if let Some(failing) = Failing::read(&known) {
                troubles
                    .unreachable
                    .insert(target.key.as_str().into(), failing);
            }
        }
        Ok(troubles)
    }
}

/// What the last listing of each client found that a person should know, and what its CA says about
/// the login; by the key of the client, and by the name of the account.
///
/// # Errors
/// An error of the store.
pub async fn warnings(
    store: &dyn Store,
    targets: &[Target],
) -> Result<BTreeMap<String, String>, StoreError> {
    let accounts: BTreeSet<&str> = targets.iter().map(|target| target.ca.as_str()).collect();
    let clients = targets.iter().map(|target| target.key.as_str());
    let mut found = BTreeMap::new();
    for whom in accounts.into_iter().chain(clients) {
        let said = store.fact(&warning_fact(whom)).await?.unwrap_or_default();
        if !said.is_empty() {
            found.insert(whom.to_owned(), said);
        }
    }
    Ok(found)
}
