//! What is old is forgotten: by the clock of this machine, as far as a CA has confirmed it.

use jiff::Timestamp;

use super::{Store, StoreError};

/// Deletes what is older than it is kept; see [`Store::retention`]. Returns how many rows.
///
/// A clock that is a year ahead would delete the history of a year. A listing of a CA is stored
/// only while its clock and this one agree, so no later moment than the last listing counts as now.
/// Without any listing, as where a CA only issues, nothing else tells the time.
///
/// # Errors
/// An error of the store.
pub async fn tidy(store: &dyn Store, now: Timestamp) -> Result<u64, StoreError> {
    let listed = store.listings().await?.into_values().max();
    store
        .retention(listed.map_or(now, |listed| now.min(listed)))
        .await
}
