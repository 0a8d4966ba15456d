//! Persistent records: rows, and leases by the server's clock.

use async_trait::async_trait;

use super::fault::Fault;
use super::transaction::{reading, writing};
use super::{PostgresStore, ledger, rows, sql};
use crate::store::persistent::{
    PersistentClaim, PersistentFence, PersistentLease, PersistentRecords, PersistentRow,
    PersistentWrite,
};
use crate::store::row::{self, RawPersistent};
use crate::store::{Event, StoreError};

#[async_trait]
impl PersistentRecords for PostgresStore {
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

async fn all(store: &PostgresStore) -> Result<Vec<PersistentRow>, Fault> {
    let raw: Vec<RawPersistent> = reading!(store, |db| Ok(rows(
        "SELECT domain, issuer, kept FROM persistent ORDER BY name"
    )
    .fetch_all(db)
    .await?))?;
    let all = raw.into_iter().map(PersistentRow::try_from);
    Ok(all.collect::<Result<_, _>>()?)
}

async fn claim(
    store: &PostgresStore,
    claim: &PersistentClaim<'_>,
) -> Result<Option<PersistentLease>, Fault> {
    let name = claim.name();
    let lease = i64::try_from(claim.lease.as_micros()).unwrap_or(i64::MAX);
    let claimed: Option<(i64, RawPersistent)> = writing!(store, |db| {
        sql("INSERT INTO persistent (name, domain, issuer) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING")
            .bind(&name)
            .bind(claim.domain.as_str())
            .bind(claim.issuer)
            .execute(&mut *db)
            .await?;
        let epoch: Option<(i64,)> = rows(
            "UPDATE persistent SET lease_epoch = lease_epoch + 1, lease_holder = $2,
                 lease_until = clock_timestamp() + $3 * interval '1 microsecond'
             WHERE name = $1 AND (lease_until IS NULL OR lease_until <= clock_timestamp())
             RETURNING lease_epoch",
        )
        .bind(&name)
        .bind(claim.holder)
        .bind(lease)
        .fetch_optional(&mut *db)
        .await?;
        let Some((epoch,)) = epoch else {
            return Ok(None);
        };
        let raw: RawPersistent =
            rows("SELECT domain, issuer, kept FROM persistent WHERE name = $1")
                .bind(&name)
                .fetch_one(db)
                .await?;
        Ok(Some((epoch, raw)))
    })?;
    let Some((epoch, raw)) = claimed else {
        return Ok(None);
    };
    Ok(Some(PersistentLease {
        fence: PersistentFence { name, epoch },
        row: raw.try_into()?,
    }))
}

async fn commit(store: &PostgresStore, write: &PersistentWrite) -> Result<(), Fault> {
    let kept = row::encode(&write.kept)?;
    let events: Vec<&Event> = write.events.iter().collect();
    writing!(store, |db| {
        let done = sql("UPDATE persistent SET kept = $3,
                 lease_until = CASE WHEN $4 THEN NULL ELSE lease_until END,
                 lease_holder = CASE WHEN $4 THEN NULL ELSE lease_holder END
             WHERE name = $1 AND lease_epoch = $2 AND lease_until IS NOT NULL")
        .bind(&write.fence.name)
        .bind(write.fence.epoch)
        .bind(&*row::plain(&kept))
        .bind(write.release)
        .execute(&mut *db)
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::PersistentLost(write.fence.name.clone()).into());
        }
        if write.forget {
            sql("DELETE FROM persistent WHERE name = $1")
                .bind(&write.fence.name)
                .execute(&mut *db)
                .await?;
        }
        ledger::append(db, &events).await
    })
}
