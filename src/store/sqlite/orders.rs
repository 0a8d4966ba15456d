//! Certificates: rows, leases, history.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::SqliteStore;
use super::fault::Fault;
use super::holder;
use super::lease::LONGEST;
use crate::store::StoreError;
use crate::store::orders::{
    CertificateClaim, CertificateEvent, CertificateFence, CertificateLease, CertificateRow,
    CertificateWrite, Orders, WantedCertificate,
};
use crate::store::row::{self, RawCertificate, RawCertificateEvent};

#[async_trait]
impl Orders for SqliteStore {
    async fn sync_certificates(
        &self,
        wanted: &[WantedCertificate],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.told(sync(self, wanted, now).await)
    }

    async fn certificates(&self) -> Result<Vec<CertificateRow>, StoreError> {
        self.told(all(self).await)
    }

    async fn certificate(&self, name: &str) -> Result<Option<CertificateRow>, StoreError> {
        self.told(one(self, name).await)
    }

    async fn wake_certificates(&self, names: &[String], now: Timestamp) -> Result<(), StoreError> {
        self.told(wake(self, names, now).await)
    }

    async fn claim_certificate(
        &self,
        claim: &CertificateClaim<'_>,
    ) -> Result<Option<CertificateLease>, StoreError> {
        self.told(self::claim(self, claim).await)
    }

    async fn next_certificate_due(
        &self,
        home: &str,
        only: Option<&[String]>,
        except_cas: &[String],
    ) -> Result<Option<Timestamp>, StoreError> {
        self.told(next_due(self, home, only, except_cas).await)
    }

    async fn extend_certificate(
        &self,
        fence: &CertificateFence,
        now: Timestamp,
        lease: SignedDuration,
    ) -> Result<bool, StoreError> {
        self.told(extend(self, fence, now, lease).await)
    }

    async fn commit_certificate(&self, write: &CertificateWrite) -> Result<(), StoreError> {
        self.told(commit(self, write).await)
    }

    async fn move_certificate(
        &self,
        fence: &CertificateFence,
        home: &str,
    ) -> Result<(), StoreError> {
        self.told(settle_at(self, fence, home).await)
    }

    async fn certificate_history(&self, name: &str) -> Result<Vec<CertificateEvent>, StoreError> {
        self.told(events_of(self, name).await)
    }
}

const COLUMNS: &str = "SELECT name, ca, wanted, home, due_at, progress FROM certificate";

pub(super) async fn sync(
    store: &SqliteStore,
    wanted: &[WantedCertificate],
    now: Timestamp,
) -> Result<(), Fault> {
    let rows: Vec<_> = wanted.iter().map(|one| (&one.name, &one.ca)).collect();
    let rows = row::encode(&rows)?;
    let mut db = store.read().await?;
    let differs: bool = sqlx::query_scalar(
        "WITH w AS (SELECT value ->> 0 AS name, value ->> 1 AS ca FROM json_each(?1))
         SELECT EXISTS (SELECT 1 FROM w LEFT JOIN certificate c USING (name)
                        WHERE c.name IS NULL OR c.wanted = 0 OR c.ca <> w.ca)
             OR EXISTS (SELECT 1 FROM certificate c WHERE c.wanted = 1 AND c.name NOT IN (SELECT name FROM w))",
    )
    .bind(&rows)
    .fetch_one(&mut *db)
    .await?;
    db.end();
    if !differs {
        return Ok(());
    }
    let mut tx = store.begin().await?;
    sqlx::query(
        "INSERT INTO certificate (name, ca, wanted, due_at)
         SELECT value ->> 0, value ->> 1, 1, ?2 FROM json_each(?1) WHERE true
         ON CONFLICT (name) DO UPDATE SET ca = excluded.ca, wanted = 1, due_at = ?2, woken_at = ?2
         WHERE certificate.wanted = 0 OR certificate.ca <> excluded.ca",
    )
    .bind(&rows)
    .bind(now.as_microsecond())
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "UPDATE certificate SET wanted = 0, due_at = NULL
         WHERE wanted = 1 AND name NOT IN (SELECT value ->> 0 FROM json_each(?))",
    )
    .bind(&rows)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

pub(super) async fn all(store: &SqliteStore) -> Result<Vec<CertificateRow>, Fault> {
    let mut db = store.read().await?;
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} ORDER BY name"));
    let raw: Vec<RawCertificate> = sqlx::query_as(sql).fetch_all(&mut *db).await?;
    db.end();
    let rows = raw.into_iter().map(CertificateRow::try_from);
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) async fn one(store: &SqliteStore, name: &str) -> Result<Option<CertificateRow>, Fault> {
    let mut db = store.read().await?;
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE name = ?"));
    let raw: Option<RawCertificate> = sqlx::query_as(sql)
        .bind(name)
        .fetch_optional(&mut *db)
        .await?;
    db.end();
    Ok(raw.map(CertificateRow::try_from).transpose()?)
}

pub(super) async fn wake(
    store: &SqliteStore,
    names: &[String],
    now: Timestamp,
) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    sqlx::query(
        "UPDATE certificate SET woken_at = ?2, due_at = min(coalesce(due_at, ?2), ?2)
         WHERE name IN (SELECT value FROM json_each(?1))",
    )
    .bind(row::encode(names)?)
    .bind(now.as_microsecond())
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

pub(super) async fn claim(
    store: &SqliteStore,
    claim: &CertificateClaim<'_>,
) -> Result<Option<CertificateLease>, Fault> {
    let now = claim.now.as_microsecond();
    let mut tx = store.begin().await?;
    // Free at once: leases of processes that are gone, and leases that a wrong clock has made.
    let holders: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT lease_holder FROM certificate WHERE lease_until > ? AND lease_holder IS NOT NULL",
    )
    .bind(now)
    .fetch_all(&mut *tx)
    .await?;
    let gone: Vec<_> = holders
        .iter()
        .filter(|holder| holder::is_gone(holder))
        .collect();
    let claimed: Option<(String, i64, u32)> = sqlx::query_as(
        "UPDATE certificate SET lease_epoch = lease_epoch + 1, lease_holder = ?1, lease_until = ?2,
             claims = claims + 1, home = coalesce(home, ?3), woken_at = NULL
         WHERE name = (
             SELECT name FROM certificate
             WHERE due_at <= ?4 AND (home IS NULL OR home = ?3 OR home = ?8)
                 AND (lease_until IS NULL OR lease_until <= ?4 OR lease_until > ?9
                      OR lease_holder IN (SELECT value FROM json_each(?7)))
                 AND (?5 IS NULL OR name IN (SELECT value FROM json_each(?5)))
                 AND ca NOT IN (SELECT value FROM json_each(?6))
             ORDER BY due_at, name LIMIT 1)
         RETURNING name, lease_epoch, claims",
    )
    .bind(holder::since(claim.holder, claim.now))
    .bind(until(claim.now, claim.lease))
    .bind(claim.home)
    .bind(now)
    .bind(claim.only.map(row::encode).transpose()?)
    .bind(row::encode(claim.except_cas)?)
    .bind(row::encode(&gone)?)
    .bind(claim.also_of)
    .bind(now.saturating_add(LONGEST))
    .fetch_optional(&mut *tx)
    .await?;
    let Some((name, epoch, claims)) = claimed else {
        tx.leave().await?;
        return Ok(None);
    };
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE name = ?"));
    let raw: RawCertificate = sqlx::query_as(sql).bind(&name).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(Some(CertificateLease {
        fence: CertificateFence { name, epoch },
        row: raw.try_into()?,
        claims,
    }))
}

fn until(now: Timestamp, lease: SignedDuration) -> i64 {
    now.saturating_add(lease)
        .unwrap_or(Timestamp::MAX)
        .as_microsecond()
}

pub(super) async fn next_due(
    store: &SqliteStore,
    home: &str,
    only: Option<&[String]>,
    except_cas: &[String],
) -> Result<Option<Timestamp>, Fault> {
    let mut db = store.read().await?;
    let due: Option<i64> = sqlx::query_scalar(
        "SELECT due_at FROM certificate
         WHERE due_at IS NOT NULL AND (home IS NULL OR home = ?1)
             AND (?2 IS NULL OR name IN (SELECT value FROM json_each(?2)))
             AND ca NOT IN (SELECT value FROM json_each(?3))
         ORDER BY due_at LIMIT 1",
    )
    .bind(home)
    .bind(only.map(row::encode).transpose()?)
    .bind(row::encode(except_cas)?)
    .fetch_optional(&mut *db)
    .await?;
    db.end();
    Ok(due.map(row::time).transpose()?)
}

pub(super) async fn extend(
    store: &SqliteStore,
    fence: &CertificateFence,
    now: Timestamp,
    lease: SignedDuration,
) -> Result<bool, Fault> {
    let mut tx = store.begin().await?;
    let held = sqlx::query(
        "UPDATE certificate SET lease_until = ?3
         WHERE name = ?1 AND lease_epoch = ?2 AND lease_until IS NOT NULL",
    )
    .bind(&fence.name)
    .bind(fence.epoch)
    .bind(until(now, lease))
    .execute(&mut *tx)
    .await?
    .rows_affected();
    tx.commit().await?;
    Ok(held == 1)
}

pub(super) async fn commit(store: &SqliteStore, write: &CertificateWrite) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    let done = sqlx::query(
        "UPDATE certificate SET progress = ?3,
             due_at = iif(woken_at IS NULL, ?4, min(coalesce(?4, woken_at), woken_at)),
             lease_until = iif(?5, NULL, lease_until), lease_holder = iif(?5, NULL, lease_holder),
             claims = iif(?5, 0, claims)
         WHERE name = ?1 AND lease_epoch = ?2 AND lease_until IS NOT NULL",
    )
    .bind(&write.fence.name)
    .bind(write.fence.epoch)
    .bind(row::encode(&write.progress)?)
    .bind(write.due_at.map(Timestamp::as_microsecond))
    .bind(write.release)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() != 1 {
        return Err(StoreError::CertificateLost(write.fence.name.clone()).into());
    }
    for event in &write.events {
        sqlx::query(
            "INSERT INTO certificate_history (at, run, certificate, kind, detail) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(event.at.as_microsecond())
        .bind(&event.run)
        .bind(&event.certificate)
        .bind(&event.kind)
        .bind(row::plain(&event.detail))
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await
}

pub(super) async fn settle_at(
    store: &SqliteStore,
    fence: &CertificateFence,
    home: &str,
) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    let done = sqlx::query(
        "UPDATE certificate SET home = ?3
         WHERE name = ?1 AND lease_epoch = ?2 AND lease_until IS NOT NULL",
    )
    .bind(&fence.name)
    .bind(fence.epoch)
    .bind(home)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() != 1 {
        return Err(StoreError::CertificateLost(fence.name.clone()).into());
    }
    tx.commit().await
}

pub(super) async fn events_of(
    store: &SqliteStore,
    name: &str,
) -> Result<Vec<CertificateEvent>, Fault> {
    let mut db = store.read().await?;
    let raw: Vec<RawCertificateEvent> = sqlx::query_as(
        "SELECT at, run, certificate, kind, detail FROM certificate_history WHERE certificate = ? ORDER BY id",
    )
    .bind(name)
    .fetch_all(&mut *db)
    .await?;
    db.end();
    let events = raw.into_iter().map(CertificateEvent::try_from);
    Ok(events.collect::<Result<_, _>>()?)
}
