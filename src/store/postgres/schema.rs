//! The schema's versions, and whose database it is. The tables are in the first schema of the
//! role's `search_path`.

use sqlx::{Connection as _, PgConnection};

use super::fault::Fault;
use super::place::Place;
use super::{READ_WRITE, rows, sql};
use crate::store::StoreError;
use crate::store::endpoint::{Bound, OF_ALL, OF_ONE};

/// Each brings the schema one version further; all that are missing run in one transaction. Never
/// change one that was released. Each only adds, and says in `prevalidate_schema` from which
/// version on programs can continue beside it.
const MIGRATIONS: [&str; 6] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
];

/// The oldest PostgreSQL, as `server_version_num` counts.
const OLDEST_SERVER: i64 = 140_000;

/// The content of the database.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing of ours.
    Empty,
    /// A schema that wants migrations.
    Older,
    /// This version's schema, or a newer one that this version can work with.
    Current,
}

/// Reads without changing anything; refuses what is not ours, or too new for this program (faults
/// B07).
pub(super) async fn inspect(db: &mut PgConnection, place: &Place) -> Result<Content, Fault> {
    match version(db, place).await? {
        None => Ok(Content::Empty),
        Some(version) if version < MIGRATIONS.len() as i64 => Ok(Content::Older),
        Some(_) => Ok(Content::Current),
    }
}

async fn version(db: &mut PgConnection, place: &Place) -> Result<Option<i64>, Fault> {
    let shown = place.shown();
    let unfit = |message: String, hint: &str| {
        Err(StoreError::Unfit {
            message,
            hint: hint.to_owned(),
        }
        .into())
    };
    let (server, schema, ours, taken): (i64, Option<String>, bool, Option<String>) = rows(
        "SELECT current_setting('server_version_num')::bigint, current_schema()::text, to_regclass('prevalidate_schema') IS NOT NULL,
             (SELECT min(relname)::text FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(current_schema()))
                 AND relname IN ('domain', 'look', 'domain_view', 'ledger', 'history', 'effect', 'fact', 'bucket', 'settled',
                     'hook', 'notice', 'turn'))",
    )
    .fetch_one(&mut *db)
    .await?;
    if server < OLDEST_SERVER {
        let message = format!(
            "{shown} runs PostgreSQL {}; prevalidate needs 14 or newer",
            server / 10_000
        );
        return unfit(message, "use a newer server");
    }
    let Some(schema) = schema else {
        let hint = "CREATE SCHEMA prevalidate AUTHORIZATION ROLE; ALTER ROLE ROLE SET search_path = prevalidate";
        return unfit(
            format!("in {shown} no schema of the search_path is there"),
            hint,
        );
    };
    if !ours {
        return match taken {
            None => Ok(None),
            Some(table) => unfit(
                format!(
                    "the schema `{schema}` of {shown} belongs to another program: it has a table `{table}`"
                ),
                "name another database, or give prevalidate a schema of its own by its role's search_path",
            ),
        };
    }
    let newest: Option<(i64, i64)> =
        rows("SELECT version, usable_from FROM prevalidate_schema ORDER BY version DESC LIMIT 1")
            .fetch_optional(db)
            .await?;
    match newest {
        Some((version, usable_from)) if usable_from > MIGRATIONS.len() as i64 => unfit(
            format!(
                "{shown} has schema {version}; this version of prevalidate knows up to {}",
                MIGRATIONS.len()
            ),
            "use the newer prevalidate that wrote it, or restore the backup made before the upgrade",
        ),
        Some((version, _)) => Ok(Some(version)),
        None => Err(
            StoreError::Corrupt(format!("{shown}: the table prevalidate_schema is empty")).into(),
        ),
    }
}

/// Brings the schema up to date, or leaves it as it was. A second process waits at the lock, which
/// ends with the transaction, and then finds nothing to do.
pub(super) async fn migrate(db: &mut PgConnection, place: &Place) -> Result<(), Fault> {
    let mut tx = db.begin_with(READ_WRITE).await?;
    if inspect(&mut tx, place).await? != Content::Current {
        sql("SELECT pg_advisory_xact_lock(hashtextextended('prevalidate schema', 0))")
            .execute(&mut *tx)
            .await?;
        let version = version(&mut tx, place).await?.unwrap_or(0);
        for migration in MIGRATIONS
            .iter()
            .skip(usize::try_from(version).unwrap_or(0))
        {
            sqlx::raw_sql(*migration).execute(&mut *tx).await?;
        }
    }
    Ok(tx.commit().await?)
}

/// Ties the database to its CAs (faults C23).
pub(super) async fn bind(
    db: &mut PgConnection,
    fingerprint: &str,
    place: &Place,
) -> Result<(), Fault> {
    let mut tx = db.begin_with(READ_WRITE).await?;
    let facts = bound(&mut tx).await?.binding(fingerprint, place.shown())?;
    for (key, value) in facts {
        sql("INSERT INTO fact (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(key)
            .bind(value)
            .execute(&mut *tx)
            .await?;
    }
    // Another machine may have bound it meanwhile.
    compare(&mut tx, fingerprint, place).await?;
    Ok(tx.commit().await?)
}

/// Refuses a database that is tied to other CAs.
pub(super) async fn compare(
    db: &mut PgConnection,
    fingerprint: &str,
    place: &Place,
) -> Result<(), Fault> {
    let bound = bound(db).await?;
    bound.binding(fingerprint, place.shown())?;
    Ok(())
}

async fn bound(db: &mut PgConnection) -> Result<Bound, Fault> {
    let facts =
        rows("SELECT key, value FROM fact WHERE key = $1 OR starts_with(key, $2) ORDER BY key")
            .bind(OF_ALL)
            .bind(OF_ONE)
            .fetch_all(db)
            .await?;
    Ok(Bound::of(facts))
}
