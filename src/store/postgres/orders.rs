//! Certificates: rows, leases by the server's clock, history.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::fault::Fault;
use super::transaction::{reading, writing};
use super::{PostgresStore, rows, sql};
use crate::store::StoreError;
use crate::store::orders::{
    CertificateClaim, CertificateEvent, CertificateFence, CertificateLease, CertificateRow,
    CertificateWrite, Orders, WantedCertificate,
};
use crate::store::row::{self, RawCertificate, RawCertificateEvent};

#[async_trait]
impl Orders for PostgresStore {
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
        let _ = now;
        self.told(extend(self, fence, lease).await)
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

pub(super) async fn sync(
    store: &PostgresStore,
    wanted: &[WantedCertificate],
    now: Timestamp,
) -> Result<(), Fault> {
    let names: Vec<&str> = wanted.iter().map(|one| one.name.as_str()).collect();
    let cas: Vec<&str> = wanted.iter().map(|one| one.ca.as_str()).collect();
    // Most of the time nothing changed, and nothing is written.
    let differs: (bool,) = reading!(store, |db| Ok(rows(
        "SELECT EXISTS (SELECT 1 FROM unnest($1::text[], $2::text[]) AS w (name, ca)
                        LEFT JOIN certificate c ON c.name = w.name
                        WHERE c.name IS NULL OR NOT c.wanted OR c.ca <> w.ca)
             OR EXISTS (SELECT 1 FROM certificate c WHERE c.wanted AND c.name <> ALL($1))"
    )
    .bind(&names)
    .bind(&cas)
    .fetch_one(db)
    .await?))?;
    if !differs.0 {
        return Ok(());
    }
    writing!(
        store,
        |db| {
            let added = sql(
                "INSERT INTO certificate (name, ca, wanted, due_at)
                 SELECT name, ca, true, $3 FROM unnest($1::text[], $2::text[]) AS w (name, ca) ORDER BY name
                 ON CONFLICT (name) DO UPDATE SET ca = excluded.ca, wanted = true, due_at = $3, woken_at = $3
                 WHERE NOT certificate.wanted OR certificate.ca <> excluded.ca",
            )
            .bind(&names)
            .bind(&cas)
            .bind(now.as_microsecond())
            .execute(&mut *db)
            .await?
            .rows_affected();
            let gone = sql(
                "UPDATE certificate SET wanted = false, due_at = NULL WHERE wanted AND name <> ALL($1)",
            )
            .bind(&names)
            .execute(db)
            .await?
            .rows_affected();
            Ok(added + gone)
        },
        unless | changed | *changed == 0
    )
    .map(drop)
}

pub(super) async fn all(store: &PostgresStore) -> Result<Vec<CertificateRow>, Fault> {
    let raw: Vec<RawCertificate> = reading!(store, |db| Ok(rows(
        "SELECT name, ca, wanted, home, due_at, progress FROM certificate ORDER BY name"
    )
    .fetch_all(db)
    .await?))?;
    let rows = raw.into_iter().map(CertificateRow::try_from);
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) async fn one(
    store: &PostgresStore,
    name: &str,
) -> Result<Option<CertificateRow>, Fault> {
    let raw: Option<RawCertificate> = reading!(store, |db| Ok(rows(
        "SELECT name, ca, wanted, home, due_at, progress FROM certificate WHERE name = $1"
    )
    .bind(name)
    .fetch_optional(db)
    .await?))?;
    Ok(raw.map(CertificateRow::try_from).transpose()?)
}

pub(super) async fn wake(
    store: &PostgresStore,
    names: &[String],
    now: Timestamp,
) -> Result<(), Fault> {
    writing!(store, |db| {
        sql(
            "UPDATE certificate SET woken_at = $2, due_at = least(due_at, $2) WHERE name = ANY($1)",
        )
        .bind(names)
        .bind(now.as_microsecond())
        .execute(db)
        .await?;
        Ok(())
    })
}

pub(super) async fn claim(
    store: &PostgresStore,
    claim: &CertificateClaim<'_>,
) -> Result<Option<CertificateLease>, Fault> {
    let claimed: Option<(String, i64, i64, RawCertificate)> = writing!(
        store,
        |db| {
            let claimed: Option<(String, i64, i64)> = rows(
                "WITH picked AS MATERIALIZED (
                     SELECT name FROM certificate
                     WHERE due_at <= $3 AND (home IS NULL OR home = $4 OR home = $7)
                         AND (lease_until IS NULL OR lease_until <= clock_timestamp())
                         AND ($5::text[] IS NULL OR name = ANY($5)) AND ca <> ALL($6)
                     ORDER BY due_at, name LIMIT 1 FOR UPDATE SKIP LOCKED)
                 UPDATE certificate c SET lease_epoch = lease_epoch + 1, lease_holder = $1, claims = claims + 1,
                     home = coalesce(home, $4), woken_at = NULL, lease_until = clock_timestamp() + $2 * interval '1 microsecond'
                 FROM picked WHERE c.name = picked.name
                 RETURNING c.name, c.lease_epoch, c.claims",
            )
            .bind(claim.holder)
            .bind(micros(claim.lease))
            .bind(claim.now.as_microsecond())
            .bind(claim.home)
            .bind(claim.only)
            .bind(claim.except_cas)
            .bind(claim.also_of)
            .fetch_optional(&mut *db)
            .await?;
            let Some((name, epoch, claims)) = claimed else {
                return Ok(None);
            };
            let raw: RawCertificate = rows(
                "SELECT name, ca, wanted, home, due_at, progress FROM certificate WHERE name = $1",
            )
            .bind(&name)
            .fetch_one(db)
            .await?;
            Ok(Some((name, epoch, claims, raw)))
        },
        unless | claimed | claimed.is_none()
    )?;
    let Some((name, epoch, claims, raw)) = claimed else {
        return Ok(None);
    };
    Ok(Some(CertificateLease {
        fence: CertificateFence { name, epoch },
        row: raw.try_into()?,
        claims: row::count(claims)?,
    }))
}

fn micros(span: SignedDuration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

pub(super) async fn next_due(
    store: &PostgresStore,
    home: &str,
    only: Option<&[String]>,
    except_cas: &[String],
) -> Result<Option<Timestamp>, Fault> {
    let due: Option<(i64,)> = reading!(store, |db| Ok(rows(
        "SELECT due_at FROM certificate
         WHERE due_at IS NOT NULL AND (home IS NULL OR home = $1)
             AND ($2::text[] IS NULL OR name = ANY($2)) AND ca <> ALL($3)
         ORDER BY due_at LIMIT 1"
    )
    .bind(home)
    .bind(only)
    .bind(except_cas)
    .fetch_optional(db)
    .await?))?;
    Ok(due.map(|(due,)| row::time(due)).transpose()?)
}

pub(super) async fn extend(
    store: &PostgresStore,
    fence: &CertificateFence,
    lease: SignedDuration,
) -> Result<bool, Fault> {
    let held: u64 = writing!(store, |db| Ok(sql(
        "UPDATE certificate SET lease_until = clock_timestamp() + $3 * interval '1 microsecond'
         WHERE name = $1 AND lease_epoch = $2 AND lease_until IS NOT NULL"
    )
    .bind(&fence.name)
    .bind(fence.epoch)
    .bind(micros(lease))
    .execute(db)
    .await?
    .rows_affected()))?;
    Ok(held == 1)
}

pub(super) async fn commit(store: &PostgresStore, write: &CertificateWrite) -> Result<(), Fault> {
    let progress = row::encode(&write.progress)?;
    writing!(store, |db| {
        let done = sql("UPDATE certificate SET progress = $3,
                 due_at = CASE WHEN woken_at IS NULL THEN $4 ELSE least($4, woken_at) END,
                 lease_until = CASE WHEN $5 THEN NULL ELSE lease_until END,
                 lease_holder = CASE WHEN $5 THEN NULL ELSE lease_holder END,
                 claims = CASE WHEN $5 THEN 0 ELSE claims END
             WHERE name = $1 AND lease_epoch = $2 AND lease_until IS NOT NULL")
        .bind(&write.fence.name)
        .bind(write.fence.epoch)
        .bind(&*row::plain(&progress))
        .bind(write.due_at.map(Timestamp::as_microsecond))
        .bind(write.release)
        .execute(&mut *db)
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::CertificateLost(write.fence.name.clone()).into());
        }
        for event in &write.events {
            sql(
                "INSERT INTO certificate_history (at, run, certificate, kind, detail) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(event.at.as_microsecond())
            .bind(&event.run)
            .bind(&event.certificate)
            .bind(&event.kind)
            .bind(&*row::plain(&event.detail))
            .execute(&mut *db)
            .await?;
        }
        Ok(())
    })
}

pub(super) async fn settle_at(
    store: &PostgresStore,
    fence: &CertificateFence,
    home: &str,
) -> Result<(), Fault> {
    writing!(store, |db| {
        let done = sql("UPDATE certificate SET home = $3
             WHERE name = $1 AND lease_epoch = $2 AND lease_until IS NOT NULL")
        .bind(&fence.name)
        .bind(fence.epoch)
        .bind(home)
        .execute(db)
        .await?;
        match done.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::CertificateLost(fence.name.clone()).into()),
        }
    })
}

pub(super) async fn events_of(
    store: &PostgresStore,
    name: &str,
) -> Result<Vec<CertificateEvent>, Fault> {
    let raw: Vec<RawCertificateEvent> = reading!(store, |db| {
        Ok(rows(
        "SELECT at, run, certificate, kind, detail FROM certificate_history WHERE certificate = $1 ORDER BY id"
    )
    .bind(name)
    .fetch_all(db)
    .await?)
    })?;
    let events = raw.into_iter().map(CertificateEvent::try_from);
    Ok(events.collect::<Result<_, _>>()?)
}
