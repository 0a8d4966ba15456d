//! Who wants which domain, and what list calls said about them. Sets travel as one JSON parameter: a statement for any number.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::SqliteStore;
use super::fault::Fault;
use crate::prevalidation::DomainName;
use crate::store::row::{self, RawDomain};
use crate::store::wish::{Dropped, Held, Wish};
use crate::store::{DomainRow, Origin, Seen, Wanted};

pub(super) async fn sync(store: &SqliteStore, origin: Origin, wanted: &[Wanted], now: Timestamp) -> Result<(), Fault> {
    change(store, origin, wanted, Dropped::AllOthers, now).await
}

pub(super) async fn want(store: &SqliteStore, origin: Origin, wanted: &[Wanted], now: Timestamp) -> Result<(), Fault> {
    change(store, origin, wanted, Dropped::These(&[]), now).await
}

pub(super) async fn unwant(
    store: &SqliteStore,
    origin: Origin,
    domains: &[DomainName],
    now: Timestamp,
) -> Result<(), Fault> {
    change(store, origin, &[], Dropped::These(domains), now).await
}

async fn change(
    store: &SqliteStore,
    origin: Origin,
    wanted: &[Wanted],
    dropped: Dropped<'_>,
    now: Timestamp,
) -> Result<(), Fault> {
    let wish = Wish { origin, wanted, dropped };
    if wish.difference(&wishes(&mut *store.reader.acquire().await?).await?).is_none() {
        return Ok(());
    }
    let mut tx = store.begin().await?;
    let Some((set, drop)) = wish.difference(&wishes(&mut tx).await?) else { return Ok(()) };
    let rows: Vec<_> = set.iter().map(|w| (w.domain.as_str(), &w.client, &w.ca, &w.provider)).collect();
    // A row that moves to another client keeps the moment it was read at: the new client's looks never showed it.
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
    // What the configuration wants stays as it says; the other origin only adds its wish.
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
    .bind(row::encode(&drop)?)
    .bind(row::bit(origin))
    .bind(now.as_microsecond())
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

async fn wishes(db: &mut sqlx::SqliteConnection) -> Result<Vec<Held>, Fault> {
    Ok(sqlx::query_as("SELECT name, client, ca, provider, origins FROM domain").fetch_all(db).await?)
}

pub(super) async fn wake(store: &SqliteStore, domains: &[DomainName], now: Timestamp) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    sqlx::query(
        "UPDATE domain SET woken_at = ?2, due_at = iif(sighting = '\"unread\"', due_at, min(coalesce(due_at, ?2), ?2)) WHERE name IN (SELECT value FROM json_each(?1))",
    )
    .bind(row::encode(domains)?)
    .bind(now.as_microsecond())
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

pub(super) async fn all(store: &SqliteStore) -> Result<Vec<DomainRow>, Fault> {
    let raw: Vec<RawDomain> =
        sqlx::query_as("SELECT * FROM domain_view ORDER BY name").fetch_all(&store.reader).await?;
    Ok(raw.into_iter().map(DomainRow::try_from).collect::<Result<_, _>>()?)
}

pub(super) async fn one(store: &SqliteStore, domain: &DomainName) -> Result<Option<DomainRow>, Fault> {
    let raw: Option<RawDomain> = sqlx::query_as("SELECT * FROM domain_view WHERE name = ?")
        .bind(domain.as_str())
        .fetch_optional(&store.reader)
        .await?;
    Ok(raw.map(DomainRow::try_from).transpose()?)
}

pub(super) async fn record_look(
    store: &SqliteStore,
    client: &str,
    seen: &[Seen],
    read_at: Timestamp,
) -> Result<(), Fault> {
    let mut changed = Vec::new();
    for one in seen.iter().filter(|one| one.changed) {
        changed.push((one.domain.as_str(), row::encode(&one.sighting)?));
    }
    let dues: Vec<_> =
        seen.iter().map(|one| (one.domain.as_str(), one.due_at.map(Timestamp::as_microsecond))).collect();
    let dues = row::encode(&dues)?;
    let at = read_at.as_microsecond();

    let mut tx = store.begin().await?;
    // A lease that has ended goes with the change: its holder, should it wake, decided on what is no longer true.
    sqlx::query(
        "UPDATE domain SET sighting = seen.sighting, read_at = ?3, lease_epoch = lease_epoch + (lease_until IS NOT NULL),
             lease_until = NULL, lease_holder = NULL
         FROM (SELECT value ->> 0 AS name, value ->> 1 AS sighting FROM json_each(?1)) AS seen
         WHERE domain.name = seen.name AND client = ?2 AND coalesce(lease_until <= ?3, true) AND coalesce(read_at <= ?3, true)",
    )
    .bind(row::encode(&changed)?)
    .bind(client)
    .bind(at)
    .execute(&mut *tx)
    .await?;
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
    // The look below does not count for rows whose holder knows better, nor for those it did not show.
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
    Ok(tx.commit().await?)
}

pub(super) async fn looks(store: &SqliteStore) -> Result<BTreeMap<String, Timestamp>, Fault> {
    let raw: Vec<(String, i64)> = sqlx::query_as("SELECT client, at FROM look").fetch_all(&store.reader).await?;
    Ok(raw
        .into_iter()
        .map(|(client, at)| Ok((client, row::time(at)?)))
        .collect::<Result<_, crate::store::StoreError>>()?)
}
