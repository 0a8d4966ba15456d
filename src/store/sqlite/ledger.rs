//! The ledger, the history, the budget's counters and the small facts.

use jiff::{SignedDuration, Timestamp};
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::fault::Fault;
use crate::prevalidation::{DomainName, LedgerEntry, RowKey};
use crate::store::row::{self, RawEntry, RawEvent};
use crate::store::{EffectCount, EffectMark, Event, KEPT_DAYS, MESSAGE_DAYS, StoreError};

/// Rows that one transaction of [`retention`] deletes: it never holds the writer for long.
const BATCH: u32 = 2_000;

/// Inserts or updates one entry of the row `key`, by its id. `created_at` never moves.
pub(super) async fn put(
    db: &mut SqliteConnection,
    key: &RowKey,
    entry: &LedgerEntry,
) -> Result<(), Fault> {
    // A write under one domain's lease must not touch another's entries: that lease is another
    // worker's.
    if entry.key != *key {
        let message = format!(
            "a ledger entry for {} under the lease of {key}; nothing of this commit was stored",
            entry.key
        );
        return Err(StoreError::Corrupt(message).into());
    }
    let place = row::Place::of(entry);
    sqlx::query(
        "INSERT INTO ledger (id, owner, value, provider, zone, state, ttl_before, negative_ttl, created_at, published_at,
             removal_tries, retry_at, domain, record, kind)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT (id) DO UPDATE SET zone = ?5, state = ?6, ttl_before = ?7, negative_ttl = ?8, published_at = ?10,
             removal_tries = ?11, retry_at = ?12
         WHERE owner = ?2 AND value = ?3 AND provider = ?4",
    )
    .bind(entry.id)
    .bind(place.owner)
    .bind(&entry.value)
    .bind(&entry.provider)
    .bind(&entry.zone)
    .bind(row::state(entry.state))
    .bind(entry.ttl_before)
    .bind(entry.negative_ttl)
    .bind(entry.created_at.as_microsecond())
    .bind(entry.published_at.map(Timestamp::as_microsecond))
    .bind(entry.removal_tries)
    .bind(entry.retry_at.map(Timestamp::as_microsecond))
    .bind(place.domain)
    .bind(place.record)
    .bind(place.kind)
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn open_entries(
    store: &SqliteStore,
    key: Option<&RowKey>,
) -> Result<Vec<LedgerEntry>, Fault> {
    let mut db = store.read().await?;
    let raw: Vec<RawEntry> = match key {
        Some(key) => {
            sqlx::query_as(
                "SELECT * FROM ledger WHERE coalesce(domain, owner) = ? AND state <> 'removed' ORDER BY id",
            )
            .bind(key.text())
            .fetch_all(&mut *db)
            .await?
        }
        None => {
            sqlx::query_as("SELECT * FROM ledger WHERE state <> 'removed' ORDER BY coalesce(domain, owner), id")
                .fetch_all(&mut *db)
                .await?
        }
    };
    db.end();
    Ok(raw
        .into_iter()
        .map(LedgerEntry::try_from)
        .collect::<Result<_, _>>()?)
}

pub(super) async fn count(
    db: &mut SqliteConnection,
    key: &RowKey,
    effect: EffectMark,
) -> Result<(), Fault> {
    sqlx::query("INSERT INTO effect (at, domain, retry) VALUES (?, ?, ?)")
        .bind(effect.at.as_microsecond())
        .bind(key.domain().as_str())
        .bind(effect.retry)
        .execute(db)
        .await?;
    Ok(())
}

pub(super) async fn effects_since(
    store: &SqliteStore,
    since: Timestamp,
) -> Result<EffectCount, Fault> {
    let mut db = store.read().await?;
    let (all, retries): (i64, i64) =
        sqlx::query_as("SELECT count(*), coalesce(sum(retry), 0) FROM effect WHERE at >= ?")
            .bind(since.as_microsecond())
            .fetch_one(&mut *db)
            .await?;
    db.end();
    Ok(EffectCount {
        all: all.unsigned_abs(),
        retries: retries.unsigned_abs(),
    })
}

/// Appends in the order given.
pub(super) async fn append(db: &mut SqliteConnection, events: &[&Event]) -> Result<(), Fault> {
    if events.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = events
        .iter()
        .map(|e| {
            (
                e.at.as_microsecond(),
                &e.run,
                &e.domain,
                &e.kind,
                row::plain(&e.detail),
                &e.client,
            )
        })
        .collect();
    sqlx::query(
        "INSERT INTO history (at, run, domain, kind, detail, client)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?) ORDER BY key",
    )
    .bind(row::encode(&rows)?)
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn note(store: &SqliteStore, events: &[Event]) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    append(&mut tx, &events.iter().collect::<Vec<_>>()).await?;
    tx.commit().await
}

pub(super) async fn history(store: &SqliteStore, domain: &DomainName) -> Result<Vec<Event>, Fault> {
    let mut db = store.read().await?;
    let raw: Vec<RawEvent> = sqlx::query_as(
        "SELECT at, run, domain, kind, detail, client FROM history WHERE domain = ? ORDER BY id",
    )
    .bind(domain.as_str())
    .fetch_all(&mut *db)
    .await?;
    db.end();
    Ok(raw
        .into_iter()
        .map(Event::try_from)
        .collect::<Result<_, _>>()?)
}

pub(super) async fn fact(store: &SqliteStore, key: &str) -> Result<Option<String>, Fault> {
    let mut db = store.read().await?;
    let value = sqlx::query_scalar("SELECT value FROM fact WHERE key = ?")
        .bind(key)
        .fetch_optional(&mut *db)
        .await?;
    db.end();
    Ok(value)
}

pub(super) async fn set_fact(store: &SqliteStore, key: &str, value: &str) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    sqlx::query("INSERT INTO fact (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value")
        .bind(key)
        .bind(value)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

pub(super) async fn retention(store: &SqliteStore, now: Timestamp) -> Result<u64, Fault> {
    let before = |days| {
        now.saturating_sub(SignedDuration::from_hours(24 * days))
            .unwrap_or(Timestamp::MIN)
    };
    let mut deleted = 0;
    for (days, sql) in [
        (KEPT_DAYS, "DELETE FROM history WHERE id IN (SELECT id FROM history WHERE at < ? LIMIT ?)"),
        (KEPT_DAYS, "DELETE FROM effect WHERE rowid IN (SELECT rowid FROM effect WHERE at < ? LIMIT ?)"),
        (
            KEPT_DAYS,
            "DELETE FROM ledger WHERE id IN
                 (SELECT id FROM ledger WHERE created_at < ? AND state IN ('removed', 'foreign') LIMIT ?)",
        ),
        (KEPT_DAYS, "DELETE FROM notice WHERE key IN (SELECT key FROM notice WHERE since < ? LIMIT ?)"),
        (
            KEPT_DAYS,
            "DELETE FROM certificate_history WHERE id IN (SELECT id FROM certificate_history WHERE at < ? LIMIT ?)",
        ),
        (MESSAGE_DAYS, "DELETE FROM hook WHERE rowid IN (SELECT rowid FROM hook WHERE at < ? LIMIT ?)"),
    ] {
        let oldest = before(days).as_microsecond();
        loop {
            let mut tx = store.begin().await?;
            let batch = sqlx::query(sql).bind(oldest).bind(BATCH).execute(&mut *tx).await?.rows_affected();
            tx.commit().await?;
            deleted += batch;
            if batch < u64::from(BATCH) {
                break;
            }
        }
    }
    Ok(deleted)
}
