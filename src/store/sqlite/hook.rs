//! The messages of hooks, and what people were told about.

use jiff::Timestamp;

use super::fault::Fault;
use super::{SqliteStore, inventory};
use crate::prevalidation::RowKey;
use crate::store::record::RawNotice;
use crate::store::{NoticeRecord, Received, row};

pub(super) async fn receive(
    store: &SqliteStore,
    key: &str,
    id: &str,
    digest: &[u8],
    concerned: &[RowKey],
    now: Timestamp,
) -> Result<Received, Fault> {
    let digest = row::hex(digest);
    let mut tx = store.begin().await?;
    let new = sqlx::query(
        "INSERT INTO hook (sender, message, digest, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(key)
    .bind(row::plain(id))
    .bind(&digest)
    .bind(now.as_microsecond())
    .execute(&mut *tx)
    .await?
    .rows_affected()
        == 1;
    let known: String =
        sqlx::query_scalar("SELECT digest FROM hook WHERE sender = ? AND message = ?")
            .bind(key)
            .bind(row::plain(id))
            .fetch_one(&mut *tx)
            .await?;
    if known != digest {
        tx.leave().await?;
        return Ok(Received::Other);
    }
    inventory::rouse(&mut tx, concerned, now).await?;
    tx.commit().await?;
    Ok(if new { Received::New } else { Received::Again })
}

pub(super) async fn notices(store: &SqliteStore) -> Result<Vec<NoticeRecord>, Fault> {
    let mut db = store.read().await?;
    let raw: Vec<RawNotice> = sqlx::query_as("SELECT key, state, since FROM notice ORDER BY key")
        .fetch_all(&mut *db)
        .await?;
    db.end();
    Ok(raw
        .into_iter()
        .map(NoticeRecord::try_from)
        .collect::<Result<_, _>>()?)
}

pub(super) async fn claim_notice(
    store: &SqliteStore,
    key: &str,
    expected: Option<&str>,
    new: &str,
    now: Timestamp,
) -> Result<bool, Fault> {
    let mut tx = store.begin().await?;
    let moved = match expected {
        None => sqlx::query(
            "INSERT INTO notice (key, state, since) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        ),
        Some(_) => {
            sqlx::query("UPDATE notice SET state = ?2, since = ?3 WHERE key = ?1 AND state = ?4")
        }
    };
    let moved = moved
        .bind(key)
        .bind(row::plain(new))
        .bind(now.as_microsecond());
    let moved = match expected {
        None => moved,
        Some(expected) => moved.bind(row::plain(expected)),
    };
    let moved = moved.execute(&mut *tx).await?.rows_affected() == 1;
    tx.commit().await?;
    Ok(moved)
}
