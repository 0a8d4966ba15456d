//! Rows as they are, for copies.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::fault::Fault;
use super::transaction::{Trials, reading, tried};
use super::{PostgresStore, rows};
use crate::store::Store;
use crate::store::record::{self, Kind, PAGE, Page};

/// A copy of a hundred thousand domains and a year of their history takes minutes.
const LONGEST: Duration = Duration::from_secs(3600);

pub(super) async fn page(
    store: &PostgresStore,
    kind: Kind,
    after: Option<&str>,
) -> Result<Page, Fault> {
    let mut has_keys = true;
    if store.is_older {
        let (is_there, keys): (bool, bool) = reading!(store, |db| {
            let asked = rows(
                "SELECT to_regclass($1) IS NOT NULL, EXISTS (SELECT FROM information_schema.columns
                     WHERE table_schema = current_schema() AND table_name = 'history' AND column_name = 'client')",
            );
            Ok(asked.bind(kind.as_str()).fetch_one(db).await?)
        })?;
        if !is_there {
            return Ok(Page {
                rows: Vec::new(),
                next: None,
            });
        }
        has_keys = keys;
    }
    let sql = || AssertSqlSafe(kind.select("id", !has_keys));
    let after = after.map_or_else(|| kind.start(), str::to_owned);
    let limit = PAGE as i64;
    reading!(store, |db| Ok(record::found!(
        kind,
        rows(sql())
            .bind(&after)
            .bind(limit)
            .fetch_all(&mut *db)
            .await?
    )?))
}

pub(super) async fn restore(
    store: &PostgresStore,
    from: &dyn Store,
    kinds: &[Kind],
    tell: &(dyn Fn(Kind, usize) + Sync),
) -> Result<(), Fault> {
    // Once: `tell` has told of it.
    tried!(Trials::long(store, LONGEST), |_| true, |db| {
        for &kind in kinds {
            let table = kind.as_str();
            let filled: (bool,) = rows(AssertSqlSafe(format!(
                "SELECT EXISTS (SELECT 1 FROM {table})"
            )))
            .fetch_one(&mut *db)
            .await?;
            if filled.0 {
                return Err(record::not_empty(store.place.shown(), kind).into());
            }
            let columns = kind.columns();
            let sql = format!(
                "INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1::text::json)"
            );
            let mut after = None;
            loop {
                let page = from.records(kind, after.as_deref()).await?;
                let insert = sqlx::query(AssertSqlSafe(sql.as_str())).persistent(false);
                insert.bind(page.as_array()).execute(&mut *db).await?;
                tell(kind, page.rows.len());
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    })
}
