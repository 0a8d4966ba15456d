//! Rows as they are, for copies.

use super::SqliteStore;
use super::fault::Fault;
use crate::store::Store;
use crate::store::record::{self, Kind, PAGE, Page};

pub(super) async fn page(
    store: &SqliteStore,
    kind: Kind,
    after: Option<&str>,
) -> Result<Page, Fault> {
    let mut db = store.read().await?;
    let sql = || sqlx::AssertSqlSafe(kind.select("rowid", false));
    let after = after.map_or_else(|| kind.start(), str::to_owned);
    let limit = PAGE as i64;
    let page = record::found!(
        kind,
        sqlx::query_as(sql())
            .bind(after)
            .bind(limit)
            .fetch_all(&mut *db)
            .await?
    )?;
    db.end();
    Ok(page)
}

pub(super) async fn restore(
    store: &SqliteStore,
    from: &dyn Store,
    kinds: &[Kind],
    tell: &(dyn Fn(Kind, usize) + Sync),
) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    for &kind in kinds {
        let table = kind.as_str();
        let filled: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT EXISTS (SELECT 1 FROM {table})"
        )))
        .fetch_one(&mut *tx)
        .await?;
        if filled {
            return Err(record::not_empty(&store.place.shown(), kind).into());
        }
        let columns = kind.columns();
        let values: Vec<_> = columns
            .split(", ")
            .map(|column| format!("value ->> '$.{column}'"))
            .collect();
        let sql = format!(
            "INSERT INTO {table} ({columns}) SELECT {} FROM json_each(?) ORDER BY key",
            values.join(", ")
        );
        let mut after = None;
        loop {
            let page = from.records(kind, after.as_deref()).await?;
            sqlx::query(sqlx::AssertSqlSafe(sql.as_str()))
                .bind(page.as_array())
                .execute(&mut *tx)
                .await?;
            tell(kind, page.rows.len());
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    tx.commit().await
}
