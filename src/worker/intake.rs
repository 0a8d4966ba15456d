//! What the configuration wants of clients that were never found at the CA. It goes into the store
//! only after the CA has listed the client: a client's name that is mistyped must not take the
//! domains of the right one along.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Target, Worker};
use crate::prevalidation::{DomainName, RowKey};
use crate::store::{Origin, StoreError, Wanted};

/// Wanted domains by the key of their client; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Intake(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    wanted: BTreeMap<String, Vec<Wanted>>,
    /// Rows that stay wanted where they are until the client of the same domain is found.
    kept: BTreeMap<DomainName, RowKey>,
}

impl Intake {
    /// Waits with these, and with nothing else. `kept` are rows that the configuration wants no
    /// longer once their domain is wanted elsewhere.
    pub fn wait_with(&self, wanted: Vec<Wanted>, kept: Vec<RowKey>) {
        let mut by_client: BTreeMap<String, Vec<Wanted>> = BTreeMap::new();
        for one in wanted {
            by_client
                .entry(one.client.to_string())
                .or_default()
                .push(one);
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Waiting {
            wanted: by_client,
            kept: kept
                .into_iter()
                .map(|key| (key.domain().clone(), key))
                .collect(),
        };
    }

    /// What waits for the client, and the rows that are left for it.
    pub(super) fn of(&self, client: &str) -> Option<(Vec<Wanted>, Vec<RowKey>)> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = waiting.wanted.get(client)?.clone();
        let left = wanted
            .iter()
            .filter_map(|one| waiting.kept.get(&one.domain));
        let left = left.cloned().collect();
        Some((wanted, left))
    }

    fn done(&self, client: &str) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.wanted.remove(client);
    }
}

impl Worker {
    /// The CA has listed the client: what waited for that goes into the store.
    pub(super) async fn take_in(&self, target: &Target) -> Result<(), StoreError> {
        let Some((wanted, left)) = self.options.intake.of(&target.key) else {
            return Ok(());
        };
        let now = self.ports.clock.now();
        self.ports.store.unwant(Origin::Config, &left, now).await?;
        self.ports.store.want(Origin::Config, &wanted, now).await?;
        self.options.intake.done(&target.key);
        Ok(())
    }
}
