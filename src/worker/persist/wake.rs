//! A person's word: what waits for its time is tried now.

use super::Keeper;
use crate::store::StoreError;
use crate::store::persistent::{PersistentClaim, PersistentWrite};

impl Keeper {
    /// Ends the waits of the records that this pass is about: a refusal may have been mended since. A
    /// record that another worker has in hand is left to it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn wake(&self) -> Result<(), StoreError> {
        let (options, store) = (&self.options, &self.ports.store);
        if options.observes {
            return Ok(());
        }
        let only = options.only.as_ref();
        for row in store.persistent_rows().await? {
            let is_asked = only.is_none_or(|only| only.contains(&row.domain));
            if !is_asked || !row.kept.sleeps() {
                continue;
            }
            let claim = PersistentClaim {
                domain: &row.domain,
                issuer: &row.issuer,
                holder: &options.holder,
                now: self.ports.clock.now(),
                lease: options.lease,
            };
            let Some(lease) = store.claim_persistent(&claim).await? else {
                continue;
            };
            let mut kept = lease.row.kept;
            kept.wake();
            let write = PersistentWrite {
                fence: lease.fence,
                kept,
                events: Vec::new(),
                release: true,
                forget: false,
            };
            match store.commit_persistent(&write).await {
                Ok(()) | Err(StoreError::PersistentLost(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
