//! Leases and the writes under them. Each write names its epoch and touches one row, or nothing of
//! it is stored (faults W02).

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::fault::Fault;
use super::{holder, ledger};
use crate::prevalidation::{LedgerEntry, RowKey};
use crate::store::row::{self, RawDomain, RawEntry};
use crate::store::{Bucket, Claim, DomainRow, Fence, Held, Lease, StoreError, Write};

/// Neither subquery refers to what is outside of it, so SQLite computes each once (faults
/// B14); both go along an index in its order, and end with the first row or the last that is
/// wanted.
const CLAIM: &str =
    "UPDATE domain SET lease_epoch = lease_epoch + 1, lease_holder = ?1, lease_until = ?2, claims = claims + 1, woken_at = NULL
     WHERE name IN (
         SELECT name FROM domain
         WHERE due_at <= ?3 AND (lease_until IS NULL OR lease_until <= ?3)
             AND (?5 IS NULL OR name IN (SELECT value FROM json_each(?5)))
             AND client = (
                 SELECT client FROM domain
                 WHERE due_at <= ?3 AND (lease_until IS NULL OR lease_until <= ?3)
                     AND client NOT IN (SELECT value FROM json_each(?4))
                     AND (?5 IS NULL OR name IN (SELECT value FROM json_each(?5)))
                 ORDER BY due_at, name LIMIT 1)
         ORDER BY due_at, name LIMIT ?6)
     RETURNING name, lease_epoch, claims";

/// Along the same index, to the first row that is wanted.
const NEXT_DUE: &str = "SELECT due_at FROM domain
     WHERE due_at IS NOT NULL AND client NOT IN (SELECT value FROM json_each(?1))
         AND (?2 IS NULL OR name IN (SELECT value FROM json_each(?2)))
     ORDER BY due_at LIMIT 1";

pub(super) async fn claim(store: &SqliteStore, claim: &Claim<'_>) -> Result<Vec<Lease>, Fault> {
    let only = claim.only.map(row::encode).transpose()?;
    let mut tx = store.begin().await?;
    free_the_gone(&mut tx, claim.now).await?;
    let claimed: Vec<(String, i64, u32)> = sqlx::query_as(CLAIM)
        .bind(holder::since(claim.holder, claim.now))
        .bind(
            claim
                .now
                .saturating_add(claim.lease)
                .unwrap_or(Timestamp::MAX)
                .as_microsecond(),
        )
        .bind(claim.now.as_microsecond())
        .bind(row::encode(claim.except_clients)?)
        .bind(only)
        .bind(i64::try_from(claim.limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await?;
    if claimed.is_empty() {
        tx.leave().await?;
        return Ok(Vec::new());
    }
    let names = row::encode(&claimed.iter().map(|(name, ..)| name).collect::<Vec<_>>())?;
    let rows: Vec<RawDomain> = sqlx::query_as(
        "SELECT * FROM domain_view WHERE name IN (SELECT value FROM json_each(?)) ORDER BY due_at, name",
    )
    .bind(&names)
    .fetch_all(&mut *tx)
    .await?;
    let entries: Vec<RawEntry> = sqlx::query_as(
        "SELECT * FROM ledger WHERE coalesce(domain, owner) IN (SELECT value FROM json_each(?)) AND state <> 'removed' ORDER BY id",
    )
    .bind(&names)
    .fetch_all(&mut *tx)
    .await?;
    let mut entries_of: HashMap<String, Vec<LedgerEntry>> = HashMap::new();
    for entry in entries {
        let entry = LedgerEntry::try_from(entry)?;
        entries_of
            .entry(entry.key.text().to_owned())
            .or_default()
            .push(entry);
    }
    let epochs: HashMap<String, (i64, u32)> = claimed
        .into_iter()
        .map(|(name, epoch, claims)| (name, (epoch, claims)))
        .collect();
    let mut leases = Vec::with_capacity(rows.len());
    for raw in rows {
        let row = DomainRow::try_from(raw)?;
        let name = row.key.text();
        let ledger = entries_of.remove(name).unwrap_or_default();
        let &(epoch, claims) = epochs.get(name).ok_or_else(|| {
            StoreError::Corrupt(format!("the row of {name} has another spelling"))
        })?;
        leases.push(Lease {
            fence: Fence {
                key: row.key.clone(),
                domain: row.domain.clone(),
                epoch,
            },
            row,
            ledger,
            claims,
        });
    }
    tx.commit().await?;
    Ok(leases)
}

/// No lease ends later than this, in microseconds: the configuration allows an hour, and the other
/// process's clock is this one.
pub(super) const LONGEST: i64 = 2 * 3_600_000_000;

/// Ends the leases of processes that are gone, and those that a wrong clock has made.
pub(super) async fn free_the_gone(db: &mut SqliteConnection, now: Timestamp) -> Result<(), Fault> {
    let now = now.as_microsecond();
    // Both go along the index of leases, which is empty most of the time.
    let held: Vec<(String, i64)> = sqlx::query_as(
        "SELECT lease_holder, max(lease_until) FROM domain
         WHERE lease_until IS NOT NULL AND lease_holder IS NOT NULL GROUP BY lease_holder",
    )
    .fetch_all(&mut *db)
    .await?;
    let longest = now.saturating_add(LONGEST);
    let is_too_long = held.iter().any(|&(_, until)| until > longest);
    let held: Vec<String> = held.into_iter().map(|(holder, _)| holder).collect();
    let is_gone = |holder: &&String| holder::is_gone(holder);
    let gone: Vec<&String> = held.iter().filter(is_gone).collect();
    if gone.is_empty() && !is_too_long {
        return Ok(());
    }
    sqlx::query(
        "UPDATE domain SET lease_until = ?1 WHERE lease_until IS NOT NULL AND lease_until > ?1
             AND lease_holder IN (SELECT value FROM json_each(?2))
             AND (lease_until > ?3 OR lease_holder IN (SELECT value FROM json_each(?4)))",
    )
    .bind(now)
    .bind(row::encode(&held)?)
    .bind(longest)
    .bind(row::encode(&gone)?)
    .execute(db)
    .await?;
    Ok(())
}

/// What processes hold that live, for all that is known.
pub(super) async fn held(store: &SqliteStore, now: Timestamp) -> Result<Vec<Held>, Fault> {
    let now = now.as_microsecond();
    let mut db = store.read().await?;
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT name, lease_holder, lease_until FROM domain
         WHERE lease_until IS NOT NULL AND lease_holder IS NOT NULL AND lease_until > ? AND lease_until <= ? ORDER BY name",
    )
    .bind(now)
    .bind(now.saturating_add(LONGEST))
    .fetch_all(&mut *db)
    .await?;
    db.end();
    let mut gone: HashMap<String, bool> = HashMap::new();
    let mut held = Vec::new();
    for (name, holder, until) in rows {
        if *gone
            .entry(holder.clone())
            .or_insert_with(|| holder::is_gone(&holder))
        {
            continue;
        }
        let (who, since) = holder::read(&holder);
        held.push(Held {
            key: row::key(&name)?,
            holder: who.to_owned(),
            since,
            until: row::time(until)?,
        });
    }
    Ok(held)
}

pub(super) async fn next_due(
    store: &SqliteStore,
    only: Option<&[RowKey]>,
    except_clients: &[String],
) -> Result<Option<Timestamp>, Fault> {
    let mut db = store.read().await?;
    let due: Option<i64> = sqlx::query_scalar(NEXT_DUE)
        .bind(row::encode(except_clients)?)
        .bind(only.map(row::encode).transpose()?)
        .fetch_optional(&mut *db)
        .await?;
    db.end();
    Ok(due.map(row::time).transpose()?)
}

pub(super) async fn extend(
    store: &SqliteStore,
    leases: &[Fence],
    until: Timestamp,
) -> Result<Vec<RowKey>, Fault> {
    let mut tx = store.begin().await?;
    let mut lost = Vec::new();
    for fence in leases {
        let held = sqlx::query(
            "UPDATE domain SET lease_until = ?3 WHERE name = ?1 AND lease_epoch = ?2 AND lease_until IS NOT NULL",
        )
        .bind(fence.key.text())
        .bind(fence.epoch)
        .bind(until.as_microsecond())
        .execute(&mut *tx)
        .await?;
        if held.rows_affected() != 1 {
            lost.push(fence.key.clone());
        }
    }
    tx.commit().await?;
    Ok(lost)
}

pub(super) async fn commit(
    store: &SqliteStore,
    writes: &[Write],
) -> Result<Vec<Result<(), StoreError>>, Fault> {
    let mut tx = store.begin().await?;
    let mut outcomes = Vec::with_capacity(writes.len());
    let mut events = Vec::new();
    for write in writes {
        let key = &write.fence.key;
        if !put(&mut tx, write).await? {
            outcomes.push(Err(StoreError::LeaseLost(key.clone())));
            continue;
        }
        for entry in &write.ledger {
            ledger::put(&mut tx, key, entry).await?;
        }
        if let Some(effect) = write.effect {
            ledger::count(&mut tx, key, effect).await?;
        }
        events.extend(&write.events);
        outcomes.push(Ok(()));
    }
    ledger::append(&mut tx, &events).await?;
    tx.commit().await?;
    Ok(outcomes)
}

/// Whether the lease still holds.
async fn put(db: &mut SqliteConnection, write: &Write) -> Result<bool, Fault> {
    let sighting = write
        .sighting
        .as_ref()
        .map(|(sighting, _)| row::encode(sighting))
        .transpose()?;
    let done = sqlx::query(
        "UPDATE domain SET sighting = coalesce(?3, sighting), read_at = coalesce(?4, read_at), attempt = ?5,
             due_at = iif(woken_at IS NULL, ?6, min(coalesce(?6, woken_at), woken_at)), at_risk = coalesce(?7, at_risk),
             lease_until = iif(?8, NULL, lease_until), lease_holder = iif(?8, NULL, lease_holder), claims = iif(?8, 0, claims)
         WHERE name = ?1 AND lease_epoch = ?2 AND lease_until IS NOT NULL",
    )
    .bind(write.fence.key.text())
    .bind(write.fence.epoch)
    .bind(sighting)
    .bind(write.sighting.as_ref().map(|(_, read_at)| read_at.as_microsecond()))
    .bind(row::attempt(&write.upkeep)?)
    .bind(write.due_at.map(Timestamp::as_microsecond))
    .bind(write.at_risk)
    .bind(write.release)
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn take_risk_slot(
    store: &SqliteStore,
    fence: &Fence,
    client: &str,
    limit: u32,
) -> Result<bool, Fault> {
    let mut tx = store.begin().await?;
    let at_risk: Option<bool> = sqlx::query_scalar(
        "SELECT at_risk FROM domain WHERE name = ? AND lease_epoch = ? AND lease_until IS NOT NULL",
    )
    .bind(fence.key.text())
    .bind(fence.epoch)
    .fetch_optional(&mut *tx)
    .await?;
    match at_risk {
        None => {
            tx.leave().await?;
            return Err(StoreError::LeaseLost(fence.key.clone()).into());
        }
        Some(true) => {
            tx.leave().await?;
            return Ok(true);
        }
        Some(false) => {}
    }
    let granted = sqlx::query(
        "UPDATE domain SET at_risk = 1 WHERE name = ?1
             AND (SELECT count(*) FROM domain other WHERE other.client = ?2 AND other.at_risk = 1) < ?3",
    )
    .bind(fence.key.text())
    .bind(client)
    .bind(limit)
    .execute(&mut *tx)
    .await?
    .rows_affected()
        == 1;
    tx.commit().await?;
    Ok(granted)
}

/// The generic cell rate algorithm (ITU-T I.371, annex A), as a queue: the bucket holds the moment
/// at which it will be full again.
pub(super) async fn take(
    store: &SqliteStore,
    bucket: &Bucket<'_>,
    cost: u32,
    now: Timestamp,
) -> Result<SignedDuration, Fault> {
    let mut tx = store.begin().await?;
    let full_at: i64 = sqlx::query_scalar(
        "INSERT INTO bucket (name, full_at) VALUES (?1, ?2 + ?3)
         ON CONFLICT DO UPDATE SET full_at = iif(full_at > ?2 + ?4, ?2, max(full_at, ?2)) + ?3 RETURNING full_at",
    )
    .bind(bucket.name)
    .bind(now.as_microsecond())
    .bind(bucket.span(cost))
    .bind(Bucket::FARTHEST)
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    let wait = full_at
        .saturating_sub(bucket.span(bucket.burst))
        .saturating_sub(now.as_microsecond());
    Ok(SignedDuration::from_micros(wait.max(0)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// How SQLite goes about a statement: one line for each table.
    async fn plan(store: &SqliteStore, statement: &str) -> Vec<String> {
        let explained = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "EXPLAIN QUERY PLAN {statement}"
        )));
        let steps: Vec<(i64, i64, i64, String)> = explained.fetch_all(&store.reader).await.unwrap();
        steps
            .into_iter()
            .map(|(.., step)| step)
            .filter(|step| !step.contains("json_each"))
            .collect()
    }

    #[tokio::test]
    async fn the_search_for_work_uses_an_index_and_ends_with_what_is_wanted() {
        let store = SqliteStore::open("sqlite::memory:", None).await.unwrap();
        let along = |step: &String| step.starts_with("SEARCH domain USING INDEX domain_due");
        let claim = plan(&store, CLAIM).await;
        assert_eq!(
            claim.iter().filter(|step| along(step)).count(),
            2,
            "{claim:#?}"
        );
        let next_due = plan(&store, NEXT_DUE).await;
        assert_eq!(
            next_due.iter().filter(|step| along(step)).count(),
            1,
            "{next_due:#?}"
        );
        // What is sorted, or scanned, is read to its end.
        let to_the_end = |step: &&String| step.starts_with("SCAN") || step.contains("TEMP B-TREE");
        assert_eq!(claim.iter().chain(&next_due).find(to_the_end), None);
    }
}
