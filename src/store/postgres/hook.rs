//! The messages of hooks, and what people were told about.

use jiff::Timestamp;

use super::fault::Fault;
use super::transaction::{reading, writing};
use super::{PostgresStore, inventory, rows, sql};
use crate::prevalidation::RowKey;
use crate::store::record::RawNotice;
use crate::store::{NoticeRecord, Received, row};

pub(super) async fn receive(
    store: &PostgresStore,
    key: &str,
    id: &str,
    digest: &[u8],
    concerned: &[RowKey],
    now: Timestamp,
) -> Result<Received, Fault> {
    let (id, digest) = (row::plain(id), row::hex(digest));
    let names: Vec<&str> = concerned.iter().map(RowKey::text).collect();
    writing!(
        store,
        |db| {
            // Waits for another process that takes the same message at this moment, and then sees
            // it.
            let new = sql(
                "INSERT INTO hook (sender, message, digest, at) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (sender, message) DO NOTHING",
            );
            let new = new
                .bind(key)
                .bind(&*id)
                .bind(&digest)
                .bind(now.as_microsecond())
                .execute(&mut *db)
                .await?;
            let known: (String,) =
                rows("SELECT digest FROM hook WHERE sender = $1 AND message = $2")
                    .bind(key)
                    .bind(&*id)
                    .fetch_one(&mut *db)
                    .await?;
            if known.0 != digest {
                return Ok(Received::Other);
            }
            inventory::rouse(db, &names, now).await?;
            Ok(if new.rows_affected() == 1 {
                Received::New
            } else {
                Received::Again
            })
        },
        unless | received | *received == Received::Other
    )
}

pub(super) async fn notices(store: &PostgresStore) -> Result<Vec<NoticeRecord>, Fault> {
    let raw: Vec<RawNotice> = reading!(store, |db| Ok(rows(
        "SELECT key, state, since FROM notice ORDER BY key"
    )
    .fetch_all(db)
    .await?))?;
    Ok(raw
        .into_iter()
        .map(NoticeRecord::try_from)
        .collect::<Result<_, _>>()?)
}

pub(super) async fn claim_notice(
    store: &PostgresStore,
    key: &str,
    expected: Option<&str>,
    new: &str,
    now: Timestamp,
) -> Result<bool, Fault> {
    let (expected, new) = (expected.map(row::plain), row::plain(new));
    writing!(store, |db| {
        let moved = match &expected {
            None => sql(
                "INSERT INTO notice (key, state, since) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING",
            ),
            Some(_) => {
                sql("UPDATE notice SET state = $2, since = $3 WHERE key = $1 AND state = $4")
            }
        };
        let moved = moved.bind(key).bind(&*new).bind(now.as_microsecond());
        let moved = match &expected {
            None => moved,
            Some(expected) => moved.bind(&**expected),
        };
        Ok(moved.execute(db).await?.rows_affected() == 1)
    })
}
