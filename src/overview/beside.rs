//! What is at the CA beside the inventory, as the last listings showed it.

use std::collections::BTreeMap;

use super::{At, DomainView};
use crate::prevalidation::{DomainName, State};
use crate::store::{Store, StoreError};
use crate::worker::{Above, Target, above, unmanaged};

/// What the last listings showed at the CA beside the inventory.
pub(in crate::overview) struct Beside {
    /// Domains that the inventory does not have at the client where they were listed.
    pub(in crate::overview) unmanaged: BTreeMap<At, Target>,
    /// What of it covers others, by client.
    pub(in crate::overview) above: BTreeMap<String, Above>,
}

impl Beside {
    pub(in crate::overview) async fn read(
        store: &dyn Store,
        targets: &[Target],
    ) -> Result<Self, StoreError> {
        let mut beside = Self {
            unmanaged: BTreeMap::new(),
            above: BTreeMap::new(),
        };
        for target in targets {
            let names = unmanaged(store, &target.key).await?.into_iter();
            beside
                .unmanaged
                .extend(names.map(|name| ((name, target.key.clone()), target.clone())));
            beside.above.insert(
                target.key.clone(),
                above(store, &target.key).await?.unwrap_or_default(),
            );
        }
        Ok(beside)
    }
}

/// A domain at the CA that the store has no row for.
pub(in crate::overview) fn stranger(domain: DomainName, target: Target) -> DomainView {
    let reason = "at the CA and not in the inventory".to_owned();
    DomainView {
        client: target.key,
        ca: target.ca,
        further: true,
        reason,
        ..DomainView::bare(domain, State::Unmanaged)
    }
}
