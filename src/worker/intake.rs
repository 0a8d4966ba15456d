//! What the configuration wants of clients that were never found at the CA. It goes into the store
//! only after the CA has listed the client: a client's name that is mistyped must not take the
//! domains of the right one along.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Target, Worker};
use crate::store::{Origin, StoreError, Wanted};

/// Wishes by the key of their client; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Intake(Arc<Mutex<BTreeMap<String, Vec<Wanted>>>>);

impl Intake {
    /// Waits with these, and with nothing else.
    pub fn wait_with(&self, wanted: Vec<Wanted>) {
        let mut by_client: BTreeMap<String, Vec<Wanted>> = BTreeMap::new();
        for one in wanted {
            by_client.entry(one.client.clone()).or_default().push(one);
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = by_client;
    }

    fn of(&self, client: &str) -> Option<Vec<Wanted>> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(client).cloned()
    }

    fn done(&self, client: &str) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(client);
    }
}

impl Worker {
    /// The CA has listed the client: what waited for that goes into the store.
    pub(super) async fn take_in(&self, target: &Target) -> Result<(), StoreError> {
        let Some(wanted) = self.options.intake.of(&target.key) else {
            return Ok(());
        };
        let now = self.ports.clock.now();
        self.ports.store.want(Origin::Config, &wanted, now).await?;
        self.options.intake.done(&target.key);
        Ok(())
    }
}
