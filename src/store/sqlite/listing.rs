//! What list calls said about the domains of a client, and whose turn it is to make one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sqlx::SqliteConnection;

use super::fault::Fault;
use super::{SqliteStore, holder, lease};
use crate::store::{FAR, SKEW, Seen, StoreError, next_listing, row};

/// The entries of so many domains are in memory as text at once.
const AT_ONCE: usize = 1_000;

pub(super) async fn record(
    store: &SqliteStore,
    client: &str,
    seen: &[Seen],
    read_at: Timestamp,
) -> Result<(), Fault> {
    let changed: Vec<_> = seen
        .iter()
        .filter_map(|one| Some((one.key.text(), one.changed.as_ref()?)))
        .collect();
    let dues: Vec<_> = seen
        .iter()
        .map(|one| (one.key.text(), one.due_at.map(Timestamp::as_microsecond)))
        .collect();
    let dues = row::encode(&dues)?;
    let at = read_at.as_microsecond();

    let mut tx = store.begin().await?;
    lease::free_the_gone(&mut tx, read_at).await?;
    disbelieve(&mut tx, client, at).await?;
    // A lease that has ended goes with the change: its worker, should it wake, decided on what is
    // no longer true.
    for some in changed.chunks(AT_ONCE) {
        let some: Result<Vec<_>, _> = some
            .iter()
            .map(|(name, seen)| Ok::<_, StoreError>((name, row::encode(seen)?)))
            .collect();
        sqlx::query(
            "UPDATE domain SET sighting = seen.sighting, read_at = ?3, lease_epoch = lease_epoch + (lease_until IS NOT NULL),
             lease_until = NULL, lease_holder = NULL
         FROM (SELECT value ->> 0 AS name, value ->> 1 AS sighting FROM json_each(?1)) AS seen
         WHERE domain.name = seen.name AND client = ?2 AND coalesce(lease_until <= ?3, true) AND coalesce(read_at <= ?3, true)",
    )
        .bind(row::encode(&some?)?)
        .bind(client)
        .bind(at)
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query(
        "UPDATE domain SET due_at = min(seen.due_at, coalesce(woken_at, seen.due_at))
         FROM (SELECT value ->> 0 AS name, value ->> 1 AS due_at FROM json_each(?1)) AS seen
         WHERE domain.name = seen.name AND client = ?2 AND coalesce(lease_until <= ?3, true) AND coalesce(read_at <= ?3, true)
             AND seen.due_at IS NOT NULL AND domain.due_at IS NOT min(seen.due_at, coalesce(woken_at, seen.due_at))",
    )
    .bind(&dues)
    .bind(client)
    .bind(at)
    .execute(&mut *tx)
    .await?;
    // The listing below does not count for leased rows, nor for those it did not show.
    sqlx::query(
        "UPDATE domain SET missed_look = max(?3, coalesce(missed_look, ?3)) WHERE client = ?2
             AND (lease_until > ?3 OR name NOT IN (SELECT value ->> 0 FROM json_each(?1)))",
    )
    .bind(&dues)
    .bind(client)
    .bind(at)
    .execute(&mut *tx)
    .await?;
    sqlx::query("INSERT INTO look (client, at) VALUES (?, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)")
        .bind(client)
        .bind(at)
        .execute(&mut *tx)
        .await?;
    sqlx::query("DELETE FROM turn WHERE client = ?")
        .bind(client)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Moments that a wrong clock has left do not outlive the next listing.
async fn disbelieve(db: &mut SqliteConnection, client: &str, at: i64) -> Result<(), Fault> {
    let far = at.saturating_add(micros(FAR));
    sqlx::query(
        "UPDATE domain SET read_at = iif(read_at > ?3, ?2, read_at), missed_look = iif(missed_look > ?3, ?2 - 1, missed_look),
             woken_at = iif(woken_at > ?3, ?2, woken_at)
         WHERE client = ?1 AND (read_at > ?3 OR missed_look > ?3 OR woken_at > ?3)",
    )
    .bind(client)
    .bind(at)
    .bind(far)
    .execute(&mut *db)
    .await?;
    sqlx::query("UPDATE look SET at = ?2 WHERE client = ?1 AND at > ?3")
        .bind(client)
        .bind(at)
        .bind(far)
        .execute(db)
        .await?;
    Ok(())
}

fn micros(length: SignedDuration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

pub(super) async fn all(store: &SqliteStore) -> Result<BTreeMap<String, Timestamp>, Fault> {
    let mut db = store.read().await?;
    let raw: Vec<(String, i64)> = sqlx::query_as("SELECT client, at FROM look")
        .fetch_all(&mut *db)
        .await?;
    db.end();
    Ok(raw
        .into_iter()
        .map(|(client, at)| Ok((client, row::time(at)?)))
        .collect::<Result<_, StoreError>>()?)
}

pub(super) async fn claim(
    store: &SqliteStore,
    client: &str,
    holder: &str,
    every: SignedDuration,
    lease: SignedDuration,
    now: Timestamp,
) -> Result<Option<Timestamp>, Fault> {
    let mut tx = store.begin().await?;
    let listed: Option<i64> = sqlx::query_scalar("SELECT at FROM look WHERE client = ?")
        .bind(client)
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(next) = next_listing(listed, every, now) {
        tx.leave().await?;
        return Ok(Some(next));
    }
    // A turn of a process that is gone has ended, and so has one that is longer than any is.
    let turn: Option<(String, i64)> =
        sqlx::query_as("SELECT holder, until FROM turn WHERE client = ?")
            .bind(client)
            .fetch_optional(&mut *tx)
            .await?;
    let longest = now
        .saturating_add(lease)
        .and_then(|end| end.saturating_add(SKEW));
    let longest = longest.unwrap_or(Timestamp::MAX).as_microsecond();
    if turn.is_some_and(|(holder, until)| until > longest || holder::is_gone(&holder)) {
        sqlx::query("DELETE FROM turn WHERE client = ?")
            .bind(client)
            .execute(&mut *tx)
            .await?;
    }
    let holder = holder::here(holder);
    let (taken_by, until): (String, i64) = sqlx::query_as(
        "INSERT INTO turn (client, holder, until) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET until = iif(until <= ?4 OR holder = ?2, ?3, until), holder = iif(until <= ?4, ?2, holder)
         RETURNING holder, until",
    )
    .bind(client)
    .bind(&holder)
    .bind(now.saturating_add(lease).unwrap_or(Timestamp::MAX).as_microsecond())
    .bind(now.as_microsecond())
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok((taken_by != holder).then(|| row::time(until)).transpose()?)
}
