//! Changes of one zone follow each other: at the same time they would only conflict.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// One queue for each zone.
#[derive(Debug)]
pub(crate) struct Queues<Z>(Mutex<HashMap<Z, Arc<tokio::sync::Mutex<()>>>>);

impl<Z> Default for Queues<Z> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Z: Eq + Hash> Queues<Z> {
    /// Waits for a turn in the zone, which lasts until it is dropped.
    pub(crate) async fn turn(&self, zone: Z) -> OwnedMutexGuard<()> {
        let queue = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(zone).or_default())
        };
        queue.lock_owned().await
    }
}
