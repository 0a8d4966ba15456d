//! The ledger, the history, the budget's counters and the small facts.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use sqlx::PgConnection;

use super::fault::Fault;
use super::transaction::{reading, writing};
use super::{PostgresStore, rows, sql};
use crate::prevalidation::{DomainName, LedgerEntry, RowKey};
use crate::store::row::{self, RawEntry, RawEvent};
use crate::store::{EffectCount, Event, KEPT_DAYS, MESSAGE_DAYS, StoreError, Write};

/// Rows that one transaction of [`retention`] deletes.
const BATCH: i64 = 2_000;

/// Inserts or updates the entries of writes whose lease holds, by their ids. `created_at` never
/// moves.
pub(super) async fn put(db: &mut PgConnection, writes: &[(usize, &Write)]) -> Result<(), Fault> {
    let mut entries: Vec<&LedgerEntry> = Vec::new();
    for (_, write) in writes {
        // A write under one domain's lease must not touch another's entries: that lease is another
        // worker's.
        let key = &write.fence.key;
        if let Some(entry) = write.ledger.iter().find(|entry| entry.key != *key) {
            let other = &entry.key;
            let message = format!(
                "a ledger entry for {other} under the lease of {key}; nothing of this commit was stored"
            );
            return Err(StoreError::Corrupt(message).into());
        }
        entries.extend(&write.ledger);
    }
    if entries.is_empty() {
        return Ok(());
    }
    // One statement writes a row once; the last word counts.
    let mut seen = HashSet::new();
    let mut entries: Vec<_> = entries
        .into_iter()
        .rev()
        .filter(|entry| seen.insert(entry.id))
        .collect();
    entries.reverse();
    let all = || entries.iter();
    let places: Vec<_> = all().map(|entry| row::Place::of(entry)).collect();
    sql("INSERT INTO ledger (id, owner, value, provider, zone, state, ttl_before, negative_ttl, created_at, published_at,
             removal_tries, retry_at, domain, record, kind)
         SELECT id, owner, value, provider, zone, state, ttl_before, negative_ttl, created_at, published_at, removal_tries, retry_at,
             domain, record, kind
         FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
             $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[], $14::text[], $15::text[]) WITH ORDINALITY
             AS new (id, owner, value, provider, zone, state, ttl_before, negative_ttl, created_at, published_at, removal_tries,
                 retry_at, domain, record, kind, nth)
         ORDER BY nth
         ON CONFLICT (id) DO UPDATE SET zone = excluded.zone, state = excluded.state, ttl_before = excluded.ttl_before,
             negative_ttl = excluded.negative_ttl, published_at = excluded.published_at,
             removal_tries = excluded.removal_tries, retry_at = excluded.retry_at
         WHERE ledger.owner = excluded.owner AND ledger.value = excluded.value AND ledger.provider = excluded.provider")
    .bind(all().map(|e| e.id).collect::<Vec<_>>())
    .bind(places.iter().map(|place| &*place.owner).collect::<Vec<_>>())
    .bind(all().map(|e| e.value.as_str()).collect::<Vec<_>>())
    .bind(all().map(|e| e.provider.as_str()).collect::<Vec<_>>())
    .bind(all().map(|e| e.zone.as_deref()).collect::<Vec<_>>())
    .bind(all().map(|e| row::state(e.state)).collect::<Vec<_>>())
    .bind(all().map(|e| e.ttl_before.map(i64::from)).collect::<Vec<_>>())
    .bind(all().map(|e| e.negative_ttl.map(i64::from)).collect::<Vec<_>>())
    .bind(all().map(|e| e.created_at.as_microsecond()).collect::<Vec<_>>())
    .bind(all().map(|e| e.published_at.map(Timestamp::as_microsecond)).collect::<Vec<_>>())
    .bind(all().map(|e| i64::from(e.removal_tries)).collect::<Vec<_>>())
    .bind(all().map(|e| e.retry_at.map(Timestamp::as_microsecond)).collect::<Vec<_>>())
    .bind(places.iter().map(|place| place.domain).collect::<Vec<_>>())
    .bind(places.iter().map(|place| place.record).collect::<Vec<_>>())
    .bind(places.iter().map(|place| place.kind).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn open_entries(
    store: &PostgresStore,
    key: Option<&RowKey>,
) -> Result<Vec<LedgerEntry>, Fault> {
    let raw: Vec<RawEntry> = reading!(store, |db| {
        let open = rows(
            "SELECT * FROM ledger WHERE state <> 'removed' AND ($1::text IS NULL OR coalesce(domain, owner) = $1) ORDER BY coalesce(domain, owner), id",
        );
        Ok(open.bind(key.map(RowKey::text)).fetch_all(db).await?)
    })?;
    Ok(raw
        .into_iter()
        .map(LedgerEntry::try_from)
        .collect::<Result<_, _>>()?)
}

/// Counts the CA effects of these writes.
pub(super) async fn count<'a>(
    db: &mut PgConnection,
    writes: impl Iterator<Item = &'a Write>,
) -> Result<(), Fault> {
    let marks: Vec<_> = writes
        .filter_map(|write| Some((write.effect?, write.fence.key.domain().as_str())))
        .collect();
    if marks.is_empty() {
        return Ok(());
    }
    sql("INSERT INTO effect (at, domain, retry) SELECT * FROM unnest($1::bigint[], $2::text[], $3::boolean[])")
        .bind(marks.iter().map(|(effect, _)| effect.at.as_microsecond()).collect::<Vec<_>>())
        .bind(marks.iter().map(|(_, domain)| *domain).collect::<Vec<_>>())
        .bind(marks.iter().map(|(effect, _)| effect.retry).collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(())
}

pub(super) async fn effects_since(
    store: &PostgresStore,
    since: Timestamp,
) -> Result<EffectCount, Fault> {
    let (all, retries): (i64, i64) = reading!(store, |db| {
        let counted =
            rows("SELECT count(*), count(*) FILTER (WHERE retry) FROM effect WHERE at >= $1");
        Ok(counted.bind(since.as_microsecond()).fetch_one(db).await?)
    })?;
    Ok(EffectCount {
        all: all.unsigned_abs(),
        retries: retries.unsigned_abs(),
    })
}

/// Appends in the order given.
pub(super) async fn append(db: &mut PgConnection, events: &[&Event]) -> Result<(), Fault> {
    if events.is_empty() {
        return Ok(());
    }
    let all = || events.iter();
    sql("INSERT INTO history (at, run, domain, kind, detail, client)
         SELECT at, run, domain, kind, detail, client
         FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY
             AS new (at, run, domain, kind, detail, client, nth)
         ORDER BY nth")
    .bind(all().map(|e| e.at.as_microsecond()).collect::<Vec<_>>())
    .bind(all().map(|e| e.run.as_str()).collect::<Vec<_>>())
    .bind(
        all()
            .map(|e| e.domain.as_ref().map(DomainName::as_str))
            .collect::<Vec<_>>(),
    )
    .bind(all().map(|e| e.kind.as_str()).collect::<Vec<_>>())
    .bind(
        all()
            .map(|e| row::plain(&e.detail).into_owned())
            .collect::<Vec<_>>(),
    )
    .bind(all().map(|e| e.client.as_deref()).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn note(store: &PostgresStore, events: &[Event]) -> Result<(), Fault> {
    let events: Vec<&Event> = events.iter().collect();
    writing!(store, |db| append(db, &events).await)
}

pub(super) async fn history(
    store: &PostgresStore,
    domain: &DomainName,
) -> Result<Vec<Event>, Fault> {
    let raw: Vec<RawEvent> = reading!(store, |db| {
        let told = rows(
            "SELECT at, run, domain, kind, detail, client FROM history WHERE domain = $1 ORDER BY id",
        );
        Ok(told.bind(domain.as_str()).fetch_all(db).await?)
    })?;
    Ok(raw
        .into_iter()
        .map(Event::try_from)
        .collect::<Result<_, _>>()?)
}

pub(super) async fn fact(store: &PostgresStore, key: &str) -> Result<Option<String>, Fault> {
    let found: Option<(String,)> = reading!(store, |db| Ok(rows(
        "SELECT value FROM fact WHERE key = $1"
    )
    .bind(key)
    .fetch_optional(db)
    .await?))?;
    Ok(found.map(|(value,)| value))
}

pub(super) async fn set_fact(store: &PostgresStore, key: &str, value: &str) -> Result<(), Fault> {
    let value = row::plain(value);
    writing!(store, |db| {
        let set = sql(
            "INSERT INTO fact (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        );
        set.bind(key).bind(&*value).execute(db).await?;
        Ok(())
    })
}

pub(super) async fn retention(store: &PostgresStore, now: Timestamp) -> Result<u64, Fault> {
    let before = |days| {
        now.saturating_sub(SignedDuration::from_hours(24 * days))
            .unwrap_or(Timestamp::MIN)
    };
    let mut deleted = 0;
    for (days, text) in [
        (KEPT_DAYS, "DELETE FROM history WHERE id IN (SELECT id FROM history WHERE at < $1 LIMIT $2)"),
        (KEPT_DAYS, "DELETE FROM effect WHERE id IN (SELECT id FROM effect WHERE at < $1 LIMIT $2)"),
        (
            KEPT_DAYS,
            "DELETE FROM ledger WHERE id IN
                 (SELECT id FROM ledger WHERE created_at < $1 AND state IN ('removed', 'foreign') LIMIT $2)",
        ),
        (KEPT_DAYS, "DELETE FROM notice WHERE key IN (SELECT key FROM notice WHERE since < $1 LIMIT $2)"),
        (
            KEPT_DAYS,
            "DELETE FROM certificate_history WHERE id IN (SELECT id FROM certificate_history WHERE at < $1 LIMIT $2)",
        ),
        (MESSAGE_DAYS, "DELETE FROM hook WHERE id IN (SELECT id FROM hook WHERE at < $1 LIMIT $2)"),
    ] {
        let oldest = before(days).as_microsecond();
        loop {
            let batch =
                writing!(store, |db| Ok(sql(text).bind(oldest).bind(BATCH).execute(db).await?.rows_affected()))?;
            deleted += batch;
            if batch < BATCH.unsigned_abs() {
                break;
            }
        }
    }
    // No COMMIT is open for a day.
    let marks = "DELETE FROM settled WHERE token IN
        (SELECT token FROM settled WHERE at < clock_timestamp() - interval '1 day' LIMIT $1)";
    while writing!(store, |db| Ok(sql(marks)
        .bind(BATCH)
        .execute(db)
        .await?
        .rows_affected()))?
        == BATCH.unsigned_abs()
    {}
    Ok(deleted)
}
