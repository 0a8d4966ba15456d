//! What list calls said about the domains of a client, and whose turn it is to make one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sqlx::PgConnection;

use super::fault::Fault;
use super::lease::micros;
use super::transaction::{reading, writing};
use super::{PostgresStore, hints, rows, sql};
use crate::store::row::{encode, time};
use crate::store::{FAR, Seen, StoreError, next_listing};

pub(super) async fn record(
    store: &PostgresStore,
    client: &str,
    seen: &[Seen],
    read_at: Timestamp,
) -> Result<(), Fault> {
    // One statement changes a row once; the last word on a name counts.
    let seen: BTreeMap<&str, &Seen> = seen.iter().map(|one| (one.key.text(), one)).collect();
    let names: Vec<&str> = seen.keys().copied().collect();
    let dues: Vec<_> = seen
        .values()
        .map(|one| one.due_at.map(Timestamp::as_microsecond))
        .collect();
    let changed = seen
        .values()
        .map(|one| one.changed.as_ref().map(encode).transpose());
    let changed: Vec<Option<String>> = changed.collect::<Result<_, _>>()?;
    let at = read_at.as_microsecond();
    writing!(store, |db| {
        disbelieve(db, client, at).await?;
        // Rows that this listing has nothing new to say about are not written.
        let touched: Vec<(String,)> = rows(
                "SELECT d.name FROM domain d
                     LEFT JOIN unnest($2::text[], $3::text[], $4::bigint[]) AS s (name, sighting, due_at) ON s.name = d.name
                 WHERE d.client = $1 AND (s.name IS NULL OR d.lease_until > clock_timestamp() OR coalesce(d.read_at <= $5, true) AND (
                     s.sighting IS NOT NULL OR s.due_at IS NOT NULL AND d.due_at IS DISTINCT FROM least(s.due_at, d.woken_at)))
                 ORDER BY d.name FOR UPDATE OF d",
            )
            .bind(client)
            .bind(&names)
            .bind(&changed)
            .bind(&dues)
            .bind(at)
            .fetch_all(&mut *db)
            .await?;
        // The change removes a lease that has ended: if its worker wakes, the facts of its
        // decision are no longer true. The listing does not count for leased rows, nor for rows
        // that it did not show.
        sql("WITH judged AS (
                     SELECT d.name, s.sighting, s.due_at, counts, counts AND newer AS takes, counts AND newer AND s.sighting IS NOT NULL AS changes
                     FROM domain d LEFT JOIN unnest($2::text[], $3::text[], $4::bigint[]) AS s (name, sighting, due_at) ON s.name = d.name,
                         LATERAL (SELECT s.name IS NOT NULL AND coalesce(d.lease_until <= clock_timestamp(), true) AS counts,
                             coalesce(d.read_at <= $5, true) AS newer) AS judgement
                     WHERE d.name = ANY($1))
                 UPDATE domain d SET
                     sighting = CASE WHEN changes THEN j.sighting ELSE d.sighting END,
                     read_at = CASE WHEN changes THEN $5 ELSE d.read_at END,
                     lease_epoch = d.lease_epoch + CASE WHEN changes AND d.lease_until IS NOT NULL THEN 1 ELSE 0 END,
                     lease_holder = CASE WHEN changes THEN NULL ELSE d.lease_holder END,
                     lease_until = CASE WHEN changes THEN NULL ELSE d.lease_until END,
                     due_at = CASE WHEN takes AND j.due_at IS NOT NULL THEN least(j.due_at, d.woken_at) ELSE d.due_at END,
                     missed_look = CASE WHEN counts THEN d.missed_look ELSE greatest(d.missed_look, $5) END
                 FROM judged j WHERE d.name = j.name")
            .bind(touched.iter().map(|(name,)| name.as_str()).collect::<Vec<_>>())
            .bind(&names)
            .bind(&changed)
            .bind(&dues)
            .bind(at)
            .execute(&mut *db)
            .await?;
        sql("INSERT INTO look (client, at) VALUES ($1, $2)
                 ON CONFLICT (client) DO UPDATE SET at = greatest(look.at, excluded.at)")
        .bind(client)
        .bind(at)
        .execute(&mut *db)
        .await?;
        sql("DELETE FROM turn WHERE client = $1")
            .bind(client)
            .execute(&mut *db)
            .await?;
        // Other workers wait for this listing.
        hints::speak(db).await
    })
}

/// Each listing replaces the moments that a wrong clock has left.
async fn disbelieve(db: &mut PgConnection, client: &str, at: i64) -> Result<(), Fault> {
    let far = at.saturating_add(micros(FAR));
    let rows = "UPDATE domain SET read_at = CASE WHEN read_at > $3 THEN $2 ELSE read_at END,
             missed_look = CASE WHEN missed_look > $3 THEN $2 - 1 ELSE missed_look END,
             woken_at = CASE WHEN woken_at > $3 THEN $2 ELSE woken_at END
         WHERE client = $1 AND (read_at > $3 OR missed_look > $3 OR woken_at > $3)";
    for statement in [
        rows,
        "UPDATE look SET at = $2 WHERE client = $1 AND at > $3",
    ] {
        sql(statement)
            .bind(client)
            .bind(at)
            .bind(far)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

pub(super) async fn all(store: &PostgresStore) -> Result<BTreeMap<String, Timestamp>, Fault> {
    let raw: Vec<(String, i64)> = reading!(store, |db| Ok(rows("SELECT client, at FROM look")
        .fetch_all(db)
        .await?))?;
    Ok(raw
        .into_iter()
        .map(|(client, at)| Ok((client, time(at)?)))
        .collect::<Result<_, StoreError>>()?)
}

pub(super) async fn claim(
    store: &PostgresStore,
    client: &str,
    holder: &str,
    every: SignedDuration,
    lease: SignedDuration,
    now: Timestamp,
) -> Result<Option<Timestamp>, Fault> {
    writing!(
        store,
        |db| {
            let (taken_by, left): (String, i64) = rows(
                "INSERT INTO turn AS t (client, holder, until) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 microsecond')
                 ON CONFLICT (client) DO UPDATE SET
                     holder = CASE WHEN t.until <= clock_timestamp() THEN excluded.holder ELSE t.holder END,
                     until = CASE WHEN t.until <= clock_timestamp() OR t.holder = excluded.holder THEN excluded.until ELSE t.until END
                 RETURNING holder, (extract(epoch FROM until - clock_timestamp()) * 1000000)::bigint",
            )
            .bind(client)
            .bind(holder)
            .bind(micros(lease))
            .fetch_one(&mut *db)
            .await?;
            if taken_by != holder {
                return Ok(Some(
                    now.saturating_add(SignedDuration::from_micros(left))
                        .unwrap_or(Timestamp::MAX),
                ));
            }
            // Only now: a listing that another has just stored gave this turn away.
            let listed: Option<(i64,)> = rows("SELECT at FROM look WHERE client = $1")
                .bind(client)
                .fetch_optional(db)
                .await?;
            Ok(next_listing(listed.map(|(at,)| at), every, now))
        },
        unless | next | next.is_some()
    )
}
