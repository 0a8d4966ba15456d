//! A way through all domains that never holds them at once.

use super::{DomainRow, Store, StoreError};
use crate::prevalidation::RowKey;

/// Rows that are in memory at once while the store is read.
const AT_ONCE: usize = 2_000;

/// All rows of a store, in pages.
#[derive(Debug)]
pub struct Pages<'a, S: ?Sized> {
    store: &'a S,
    at_once: usize,
    after: Option<RowKey>,
    ended: bool,
}

impl<'a, S: Store + ?Sized> Pages<'a, S> {
    /// From the first one on.
    pub fn of(store: &'a S) -> Self {
        Self::sized(store, AT_ONCE)
    }

    /// In pages of this many rows.
    pub fn sized(store: &'a S, at_once: usize) -> Self {
        Self {
            store,
            at_once,
            after: None,
            ended: false,
        }
    }

    /// The next page; `None` after the last one.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn next(&mut self) -> Result<Option<Vec<DomainRow>>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let rows = self
            .store
            .domains_after(self.after.as_ref(), self.at_once)
            .await?;
        self.ended = rows.len() < self.at_once;
        self.after = rows.last().map(|row| row.key.clone());
        Ok(Some(rows))
    }
}
