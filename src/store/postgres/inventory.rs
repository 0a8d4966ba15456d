//! The wanted domains by origin. Sets travel as arrays: a statement for any number.

use jiff::Timestamp;
use sqlx::PgConnection;

use super::fault::Fault;
use super::transaction::{reading, writing};
use super::{PostgresStore, hints, rows, sql};
use crate::prevalidation::{DomainName, RowKey};
use crate::store::row::{RawDomain, bit};
use crate::store::wanted_rows::{Dropped, Held, WantedRows};
use crate::store::{DomainRow, Origin, Wanted};

pub(super) async fn sync(
    store: &PostgresStore,
    origin: Origin,
    wanted: &[Wanted],
    now: Timestamp,
) -> Result<(), Fault> {
    change(
        store,
        WantedRows {
            origin,
            wanted,
            dropped: Dropped::AllOthers,
        },
        now,
    )
    .await
}

pub(super) async fn want(
    store: &PostgresStore,
    origin: Origin,
    wanted: &[Wanted],
    now: Timestamp,
) -> Result<(), Fault> {
    change(
        store,
        WantedRows {
            origin,
            wanted,
            dropped: Dropped::These(&[]),
        },
        now,
    )
    .await
}

pub(super) async fn unwant(
    store: &PostgresStore,
    origin: Origin,
    keys: &[RowKey],
    now: Timestamp,
) -> Result<(), Fault> {
    change(
        store,
        WantedRows {
            origin,
            wanted: &[],
            dropped: Dropped::These(keys),
        },
        now,
    )
    .await
}

async fn change(
    store: &PostgresStore,
    wanted_rows: WantedRows<'_>,
    now: Timestamp,
) -> Result<(), Fault> {
    if wanted_rows
        .difference(&reading!(store, |db| held(db).await)?)
        .is_none()
    {
        return Ok(());
    }
    let now = now.as_microsecond();
    let bit = bit(wanted_rows.origin);
    writing!(store, |db| {
        // Two machines that read the same new configuration do it one after the other, and the
        // second has nothing to do.
        sql("SELECT pg_advisory_xact_lock(hashtextextended('prevalidate inventory', 0))")
            .execute(&mut *db)
            .await?;
        let Some((set, drop)) = wanted_rows.difference(&held(db).await?) else {
            return Ok(());
        };
        let names: Vec<&str> = set.iter().map(|(key, _)| key.text()).collect();
        let all: Vec<&str> = names
            .iter()
            .copied()
            .chain(drop.iter().map(String::as_str))
            .collect();
        lock(db, &all).await?;
        // A row that moves to another client keeps the moment it was read at: the new client's
        // listings never showed it. A zero byte in a text would spoil all of the JSON.
        sql("INSERT INTO domain (name, client, ca, provider, origins)
                 SELECT name, client, ca, provider, $5 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
                     AS new (name, client, ca, provider)
                 ON CONFLICT (name) DO UPDATE SET
                     client = excluded.client, ca = excluded.ca, provider = excluded.provider,
                     origins = domain.origins | excluded.origins,
                     read_at = CASE WHEN domain.client = excluded.client THEN domain.read_at
                         ELSE (SELECT v.read_at FROM domain_view v WHERE v.name = domain.name) END,
                     sighting = CASE WHEN domain.client = excluded.client THEN domain.sighting ELSE '\"unread\"' END,
                     at_risk = domain.at_risk AND domain.client = excluded.client,
                     attempt = CASE WHEN domain.client = excluded.client THEN domain.attempt
                         ELSE json_build_object('effects', coalesce(replace(domain.attempt, '\\u0000', '\\ufffd')::json -> 'effects',
                             '[]'))::text END,
                     missed_look = CASE WHEN domain.client = excluded.client THEN domain.missed_look
                         ELSE (SELECT l.at FROM look l WHERE l.client = excluded.client) END,
                     woken_at = $6,
                     due_at = CASE WHEN domain.sighting = '\"unread\"' THEN domain.due_at ELSE least(domain.due_at, $6) END
                 WHERE $5 = 1 OR domain.origins & 1 = 0")
            .bind(&names)
            .bind(set.iter().map(|(_, w)| &*w.client).collect::<Vec<_>>())
            .bind(set.iter().map(|(_, w)| &*w.ca).collect::<Vec<_>>())
            .bind(set.iter().map(|(_, w)| w.provider.as_deref()).collect::<Vec<_>>())
            .bind(bit)
            .bind(now)
            .execute(&mut *db)
            .await?;
        // What the configuration wants stays as it says; the other origin only adds what it wants.
        if wanted_rows.origin != Origin::Config {
            let added = sql("UPDATE domain SET origins = origins | $2 WHERE name = ANY($1)");
            added.bind(&names).bind(bit).execute(&mut *db).await?;
        }
        sql("UPDATE domain SET origins = origins & ~$2::bigint, woken_at = $3,
                     due_at = CASE WHEN sighting = '\"unread\"' THEN due_at ELSE least(due_at, $3) END
                 WHERE name = ANY($1)")
        .bind(&drop)
        .bind(bit)
        .bind(now)
        .execute(&mut *db)
        .await?;
        hints::speak(db).await
    })
}

/// Locks rows in the order of their names, so that no two transactions wait for each other in a
/// circle.
pub(super) async fn lock(db: &mut PgConnection, names: &[&str]) -> Result<(), Fault> {
    sql("SELECT 1 FROM domain WHERE name = ANY($1) ORDER BY name FOR UPDATE")
        .bind(names)
        .execute(db)
        .await?;
    Ok(())
}

async fn held(db: &mut PgConnection) -> Result<Vec<Held>, Fault> {
    Ok(
        rows("SELECT name, client, ca, provider, origins FROM domain")
            .fetch_all(db)
            .await?,
    )
}

pub(super) async fn wake(
    store: &PostgresStore,
    keys: &[RowKey],
    now: Timestamp,
) -> Result<(), Fault> {
    let names: Vec<&str> = keys.iter().map(RowKey::text).collect();
    writing!(store, |db| rouse(db, &names, now).await)
}

/// Makes rows due, and says so.
pub(super) async fn rouse(
    db: &mut PgConnection,
    names: &[&str],
    now: Timestamp,
) -> Result<(), Fault> {
    lock(db, names).await?;
    sql("UPDATE domain SET woken_at = $2,
             due_at = CASE WHEN sighting = '\"unread\"' THEN due_at ELSE least(due_at, $2) END
         WHERE name = ANY($1)")
    .bind(names)
    .bind(now.as_microsecond())
    .execute(&mut *db)
    .await?;
    hints::speak(db).await
}

pub(super) async fn after(
    store: &PostgresStore,
    after: Option<&RowKey>,
    limit: usize,
) -> Result<Vec<DomainRow>, Fault> {
    // Every name comes after the empty one.
    let (after, limit) = (
        after.map_or("", RowKey::text),
        i64::try_from(limit).unwrap_or(i64::MAX),
    );
    let raw: Vec<RawDomain> = reading!(store, |db| {
        let page = rows("SELECT * FROM domain_view WHERE name > $1 ORDER BY name LIMIT $2");
        Ok(page.bind(after).bind(limit).fetch_all(db).await?)
    })?;
    Ok(raw
        .into_iter()
        .map(DomainRow::try_from)
        .collect::<Result<_, _>>()?)
}

pub(super) async fn one(store: &PostgresStore, key: &RowKey) -> Result<Option<DomainRow>, Fault> {
    let raw: Option<RawDomain> = reading!(store, |db| {
        Ok(rows("SELECT * FROM domain_view WHERE name = $1")
            .bind(key.text())
            .fetch_optional(db)
            .await?)
    })?;
    Ok(raw.map(DomainRow::try_from).transpose()?)
}

/// The rows of each name are adjacent: no other text is between the name and the name with `!`.
pub(super) async fn of(
    store: &PostgresStore,
    domains: &[DomainName],
) -> Result<Vec<DomainRow>, Fault> {
    let names: Vec<&str> = domains.iter().map(DomainName::as_str).collect();
    let raw: Vec<RawDomain> = reading!(store, |db| {
        let found = rows(
            "SELECT v.* FROM unnest($1::text[]) AS asked (name) JOIN domain_view v
                 ON v.name >= asked.name COLLATE \"C\" AND v.name < (asked.name || '!') COLLATE \"C\"
             ORDER BY v.name",
        );
        Ok(found.bind(&names).fetch_all(db).await?)
    })?;
    Ok(raw
        .into_iter()
        .map(DomainRow::try_from)
        .collect::<Result<_, _>>()?)
}
