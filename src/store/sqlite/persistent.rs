//! Persistent records: rows and leases.

use async_trait::async_trait;
use jiff::Timestamp;

use super::SqliteStore;
use super::fault::Fault;
use super::lease::LONGEST;
use super::{holder, ledger};
use crate::store::persistent::{
    PersistentClaim, PersistentFence, PersistentLease, PersistentRecords, PersistentRow,
    PersistentWrite,
};
use crate::store::row::{self, RawPersistent};
use crate::store::{Event, StoreError};

#[async_trait]
impl PersistentRecords for SqliteStore {
    async fn persistent_rows(&self) -> Result<Vec<PersistentRow>, StoreError> {
        self.told(all(self).await)
    }

    async fn claim_persistent(
        &self,
        claim: &PersistentClaim<'_>,
    ) -> Result<Option<PersistentLease>, StoreError> {
        self.told(self::claim(self, claim).await)
    }

    async fn commit_persistent(&self, write: &PersistentWrite) -> Result<(), StoreError> {
        self.told(commit(self, write).await)
    }
}

async fn all(store: &SqliteStore) -> Result<Vec<PersistentRow>, Fault> {
    let mut db = store.read().await?;
    let raw: Vec<RawPersistent> =
        sqlx::query_as("SELECT domain, issuer, kept FROM persistent ORDER BY name")
            .fetch_all(&mut *db)
            .await?;
    db.end();
    let rows = raw.into_iter().map(PersistentRow::try_from);
    Ok(rows.collect::<Result<_, _>>()?)
}

async fn claim(
    store: &SqliteStore,
    claim: &PersistentClaim<'_>,
) -> Result<Option<PersistentLease>, Fault> {
    let (name, now) = (claim.name(), claim.now.as_microsecond());
    let mut tx = store.begin().await?;
    sqlx::query(
        "INSERT INTO persistent (name, domain, issuer) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(&name)
    .bind(claim.domain.as_str())
    .bind(claim.issuer)
    .execute(&mut *tx)
    .await?;
    let (until, held_by): (Option<i64>, Option<String>) =
        sqlx::query_as("SELECT lease_until, lease_holder FROM persistent WHERE name = ?")
            .bind(&name)
            .fetch_one(&mut *tx)
            .await?;
    // The lease of a process that is gone is free at once, and one that a wrong clock has made.
    let is_living = until.is_some_and(|until| until > now && until <= now.saturating_add(LONGEST));
    if is_living && !held_by.is_some_and(|held_by| holder::is_gone(&held_by)) {
        tx.leave().await?;
        return Ok(None);
    }
    let until = claim
        .now
        .saturating_add(claim.lease)
        .unwrap_or(Timestamp::MAX);
    let epoch: i64 = sqlx::query_scalar(
        "UPDATE persistent SET lease_epoch = lease_epoch + 1, lease_holder = ?2, lease_until = ?3
         WHERE name = ?1 RETURNING lease_epoch",
    )
    .bind(&name)
    .bind(holder::since(claim.holder, claim.now))
    .bind(until.as_microsecond())
    .fetch_one(&mut *tx)
    .await?;
    let raw: RawPersistent =
        sqlx::query_as("SELECT domain, issuer, kept FROM persistent WHERE name = ?")
            .bind(&name)
            .fetch_one(&mut *tx)
            .await?;
    tx.commit().await?;
    Ok(Some(PersistentLease {
        fence: PersistentFence { name, epoch },
        row: raw.try_into()?,
    }))
}

async fn commit(store: &SqliteStore, write: &PersistentWrite) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    let done = sqlx::query(
        "UPDATE persistent SET kept = ?3,
             lease_until = iif(?4, NULL, lease_until), lease_holder = iif(?4, NULL, lease_holder)
         WHERE name = ?1 AND lease_epoch = ?2 AND lease_until IS NOT NULL",
    )
    .bind(&write.fence.name)
    .bind(write.fence.epoch)
    .bind(row::encode(&write.kept)?)
    .bind(write.release)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() != 1 {
        return Err(StoreError::PersistentLost(write.fence.name.clone()).into());
    }
    if write.forget {
        sqlx::query("DELETE FROM persistent WHERE name = ?")
            .bind(&write.fence.name)
            .execute(&mut *tx)
            .await?;
    }
    ledger::append(&mut tx, &write.events.iter().collect::<Vec<&Event>>()).await?;
    tx.commit().await
}
