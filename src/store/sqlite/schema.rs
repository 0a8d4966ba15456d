//! The schema's versions, and whose database it is.

use sqlx::{Connection as _, SqliteConnection};

use super::fault::Fault;
use super::place::Place;
use crate::store::StoreError;
use crate::store::endpoint::{Bound, OF_ALL, OF_ONE};

/// Each brings the schema one version further; all that are missing run in one transaction. Never
/// change one that was released.
const MIGRATIONS: [&str; 7] = [
    include_str!("../migrations/0001.sql"),
    include_str!("../migrations/0002.sql"),
    include_str!("../migrations/0003.sql"),
    include_str!("../migrations/0004.sql"),
    include_str!("../migrations/0005.sql"),
    include_str!("../migrations/0006.sql"),
    include_str!("../migrations/0007.sql"),
];

/// The processes with leases are asked for at every claim, and most of the time there is none. An
/// index changes what no program says or hears, so it needs no version: older programs continue
/// with the file.
const INDEX: &str = "CREATE INDEX IF NOT EXISTS domain_leased ON domain (lease_holder) WHERE lease_until IS NOT NULL";

/// `PRAGMA application_id`, "pval": tells the database of another program from ours.
const APPLICATION: i64 = 0x7076_616c;

/// The content of a database.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// No table: a new file.
    Empty,
    /// A schema that wants migrations.
    Older,
    /// This version's schema.
    Current,
}

/// Reads and changes nothing; refuses a database that is not ours, or is newer than this program
/// (faults B07).
pub(super) async fn inspect(db: &mut SqliteConnection, place: &Place) -> Result<Content, Fault> {
    // One statement, and so of one moment: another process may be making it ours.
    let (tables, application, version): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM sqlite_schema), application_id, user_version
         FROM pragma_application_id, pragma_user_version",
    )
    .fetch_one(&mut *db)
    .await?;
    let newest = MIGRATIONS.len() as i64;
    let unfit = |message: String, hint: &str| {
        Err(StoreError::Unfit {
            message,
            hint: hint.to_owned(),
        }
        .into())
    };
    match (application, version) {
        (0, 0) if tables == 0 => Ok(Content::Empty),
        (APPLICATION, 1..) if version > newest => unfit(
            format!(
                "{} has schema {version}; this version of prevalidate knows up to {newest}",
                place.shown()
            ),
            "use the newer prevalidate that wrote it, or restore the backup made before the upgrade",
        ),
        (APPLICATION, 1..) if version == newest => Ok(Content::Current),
        (APPLICATION, 1..) => Ok(Content::Older),
        _ => unfit(
            format!("{} belongs to another program", place.shown()),
            "name another file for the store",
        ),
    }
}

/// Brings the schema up to date, or leaves it as it was. A second process waits at the lock and
/// then finds nothing to do.
pub(super) async fn migrate(db: &mut SqliteConnection, place: &Place) -> Result<(), Fault> {
    if inspect(db, place).await? == Content::Current {
        sqlx::query(INDEX).execute(db).await?;
        return Ok(());
    }
    let mut tx = db.begin_with("BEGIN IMMEDIATE").await?;
    inspect(&mut tx, place).await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *tx)
        .await?;
    for migration in MIGRATIONS
        .iter()
        .skip(usize::try_from(version).unwrap_or(0))
    {
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
    }
    // PRAGMA takes no parameters; both numbers are constants of this file.
    let stamp = format!(
        "PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {}",
        MIGRATIONS.len()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(stamp))
        .execute(&mut *tx)
        .await?;
    sqlx::query(INDEX).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Ties the database to its CAs (faults C23). Only `bind` writes it down; a read compares.
pub(super) async fn check_endpoint(
    db: &mut SqliteConnection,
    fingerprint: &str,
    place: &Place,
    bind: bool,
) -> Result<(), Fault> {
    let bound = bound(db).await?;
    let facts = bound.binding(fingerprint, &place.shown())?;
    if !bind || facts.is_empty() {
        return Ok(());
    }
    for (key, value) in facts {
        sqlx::query("INSERT INTO fact (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(key)
            .bind(value)
            .execute(&mut *db)
            .await?;
    }
    // Another process may have bound it meanwhile.
    self::bound(db)
        .await?
        .binding(fingerprint, &place.shown())
        .map(drop)
        .map_err(Fault::from)
}

async fn bound(db: &mut SqliteConnection) -> Result<Bound, Fault> {
    let facts = sqlx::query_as(
        "SELECT key, value FROM fact WHERE key = ?1 OR substr(key, 1, length(?2)) = ?2",
    )
    .bind(OF_ALL)
    .bind(OF_ONE)
    .fetch_all(db)
    .await?;
    Ok(Bound::of(facts))
}
