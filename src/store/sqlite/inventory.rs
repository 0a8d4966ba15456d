//! The wanted domains by origin. Sets travel as one JSON parameter: a statement for any number.

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::fault::Fault;
use crate::prevalidation::{DomainName, RowKey};
use crate::store::row::{self, RawDomain};
use crate::store::wanted_rows::{Dropped, Held, WantedRows};
use crate::store::{DomainRow, Origin, Wanted};

pub(super) async fn sync(
    store: &SqliteStore,
    origin: Origin,
    wanted: &[Wanted],
    now: Timestamp,
) -> Result<(), Fault> {
    change(store, origin, wanted, Dropped::AllOthers, now).await
}

pub(super) async fn want(
    store: &SqliteStore,
    origin: Origin,
    wanted: &[Wanted],
    now: Timestamp,
) -> Result<(), Fault> {
    change(store, origin, wanted, Dropped::These(&[]), now).await
}

pub(super) async fn unwant(
    store: &SqliteStore,
    origin: Origin,
    keys: &[RowKey],
    now: Timestamp,
) -> Result<(), Fault> {
    change(store, origin, &[], Dropped::These(keys), now).await
}

async fn change(
    store: &SqliteStore,
    origin: Origin,
    wanted: &[Wanted],
    dropped: Dropped<'_>,
    now: Timestamp,
) -> Result<(), Fault> {
    let wanted_rows = WantedRows {
        origin,
        wanted,
        dropped,
    };
    let mut db = store.read().await?;
    let known = held_rows(&mut db).await?;
    db.end();
    if wanted_rows.difference(&known).is_none() {
        return Ok(());
    }
    drop(known);
    let mut tx = store.begin().await?;
    let Some((set, unset)) = wanted_rows.difference(&held_rows(&mut tx).await?) else {
        return tx.leave().await;
    };
    let rows: Vec<_> = set
        .iter()
        .map(|(key, w)| (key, &w.client, &w.ca, &w.provider))
        .collect();
    // A row that moves to another client keeps the time of its last read, because no listing of the
    // new client has shown it.
    sqlx::query(
        "INSERT INTO domain (name, client, ca, provider, origins)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, ?2 FROM json_each(?1) WHERE true
         ON CONFLICT (name) DO UPDATE SET
             client = excluded.client, ca = excluded.ca, provider = excluded.provider, origins = origins | excluded.origins,
             read_at = iif(client = excluded.client, read_at, (SELECT v.read_at FROM domain_view v WHERE v.name = domain.name)),
             sighting = iif(client = excluded.client, sighting, '\"unread\"'), at_risk = at_risk AND client = excluded.client,
             attempt = iif(client = excluded.client, attempt, json_object('effects', json(coalesce(attempt -> '$.effects', '[]')))),
             missed_look = iif(client = excluded.client, missed_look, (SELECT at FROM look l WHERE l.client = excluded.client)),
             woken_at = ?3, due_at = iif(sighting = '\"unread\"', due_at, min(coalesce(due_at, ?3), ?3))
         WHERE ?2 = 1 OR origins & 1 = 0",
    )
    .bind(row::encode(&rows)?)
    .bind(row::bit(origin))
    .bind(now.as_microsecond())
    .execute(&mut *tx)
    .await?;
    // The values of the configuration stay. The other origin only adds its own.
    if origin != Origin::Config {
        sqlx::query("UPDATE domain SET origins = origins | ?2 WHERE name IN (SELECT value ->> 0 FROM json_each(?1))")
            .bind(row::encode(&rows)?)
            .bind(row::bit(origin))
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query(
        "UPDATE domain SET origins = origins & ~?2, woken_at = ?3, due_at = iif(sighting = '\"unread\"', due_at, min(coalesce(due_at, ?3), ?3))
         WHERE name IN (SELECT value FROM json_each(?1))",
    )
    .bind(row::encode(&unset)?)
    .bind(row::bit(origin))
    .bind(now.as_microsecond())
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

async fn held_rows(db: &mut SqliteConnection) -> Result<Vec<Held>, Fault> {
    Ok(
        sqlx::query_as("SELECT name, client, ca, provider, origins FROM domain")
            .fetch_all(db)
            .await?,
    )
}

pub(super) async fn wake(
    store: &SqliteStore,
    keys: &[RowKey],
    now: Timestamp,
) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    rouse(&mut tx, keys, now).await?;
    tx.commit().await
}

/// Makes rows due.
pub(super) async fn rouse(
    db: &mut SqliteConnection,
    keys: &[RowKey],
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE domain SET woken_at = ?2, due_at = iif(sighting = '\"unread\"', due_at, min(coalesce(due_at, ?2), ?2)) WHERE name IN (SELECT value FROM json_each(?1))",
    )
    .bind(row::encode(keys)?)
    .bind(now.as_microsecond())
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn after(
    store: &SqliteStore,
    after: Option<&RowKey>,
    limit: usize,
) -> Result<Vec<DomainRow>, Fault> {
    let mut db = store.read().await?;
    // Every name comes after the empty one.
    let raw: Vec<RawDomain> =
        sqlx::query_as("SELECT * FROM domain_view WHERE name > ? ORDER BY name LIMIT ?")
            .bind(after.map_or("", RowKey::text))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *db)
            .await?;
    db.end();
    Ok(raw
        .into_iter()
        .map(DomainRow::try_from)
        .collect::<Result<_, _>>()?)
}

pub(super) async fn one(store: &SqliteStore, key: &RowKey) -> Result<Option<DomainRow>, Fault> {
    let mut db = store.read().await?;
    let raw: Option<RawDomain> = sqlx::query_as("SELECT * FROM domain_view WHERE name = ?")
        .bind(key.text())
        .fetch_optional(&mut *db)
        .await?;
    db.end();
    Ok(raw.map(DomainRow::try_from).transpose()?)
}

/// The rows of each name are adjacent: no other text is between the name and the name with `!`.
pub(super) async fn of(
    store: &SqliteStore,
    domains: &[DomainName],
) -> Result<Vec<DomainRow>, Fault> {
    let mut db = store.read().await?;
    let raw: Vec<RawDomain> = sqlx::query_as(
        "SELECT v.* FROM json_each(?) asked CROSS JOIN domain_view v
         WHERE v.name >= asked.value AND v.name < asked.value || '!' ORDER BY v.name",
    )
    .bind(row::encode(domains)?)
    .fetch_all(&mut *db)
    .await?;
    db.end();
    Ok(raw
        .into_iter()
        .map(DomainRow::try_from)
        .collect::<Result<_, _>>()?)
}
