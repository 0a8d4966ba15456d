//! A person's word: what waits for its time is tried now.

use super::Keeper;
use crate::persistent::Kept;
use crate::store::StoreError;
use crate::store::persistent::{PersistentClaim, PersistentWrite};

impl Keeper {
    /// Ends the waits of the records that this pass is about: a refusal may have been repaired
    /// since. A record that another worker has in hand is left to it.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn wake(&self) -> Result<(), StoreError> {
        self.change(Kept::sleeps, Kept::wake).await
    }

    /// Ends the waits between two checks whether the writers of a zone have removed a record: a
    /// person who runs a command may have removed it just now, and a check changes nothing.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn wake_checks(&self) -> Result<(), StoreError> {
        self.change(Kept::is_checked_later, Kept::wake_checks).await
    }

    async fn change(
        &self,
        is_concerned: impl Fn(&Kept) -> bool,
        change: impl Fn(&mut Kept),
    ) -> Result<(), StoreError> {
        let (options, store) = (&self.options, &self.ports.store);
        if options.observes {
            return Ok(());
        }
        let only = options.only.as_ref();
        for row in store.persistent_rows().await? {
            let is_asked = only.is_none_or(|only| only.contains(&row.domain));
            if !is_asked || !is_concerned(&row.kept) {
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
            change(&mut kept);
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
