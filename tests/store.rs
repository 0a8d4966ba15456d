//! The stores: the suite every back end passes, and what only a file can get wrong. What only a
//! server can: [`postgres`].
#![allow(clippy::unwrap_used)]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use prevalidate::store::conformance::{at, name, registered, seen, wanted};
use prevalidate::store::sqlite::SqliteStore;
use prevalidate::store::{Bucket, Claim, Origin, Store, StoreError};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

mod mending;
mod owners;
mod postgres;
mod upgrade;

mod memory {
    use super::*;

    async fn fresh() -> ((), Arc<dyn Store>) {
        (
            (),
            Arc::new(SqliteStore::open("sqlite::memory:", None).await.unwrap()),
        )
    }

    prevalidate::store_conformance!(fresh());
}

mod file {
    use super::*;

    async fn fresh() -> (tempfile::TempDir, Arc<dyn Store>) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&url(&dir.path().join("state.db")), None)
            .await
            .unwrap();
        (dir, Arc::new(store))
    }

    prevalidate::store_conformance!(fresh());
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap()
}

async fn store_with(path: &Path, domains: &[&str]) -> SqliteStore {
    let store = SqliteStore::open(&url(path), None).await.unwrap();
    let wants: Vec<_> = domains.iter().map(|d| wanted(d, "swisssign/a")).collect();
    store
        .sync_inventory(Origin::Config, &wants, at(0))
        .await
        .unwrap();
    let listing: Vec<_> = domains.iter().map(|d| seen(d, at(1))).collect();
    store
        .record_listing("swisssign/a", &listing, at(0))
        .await
        .unwrap();
    store
}

fn claim(limit: usize) -> Claim<'static> {
    Claim {
        holder: "host/1",
        now: at(9),
        lease: SignedDuration::from_mins(10),
        limit,
        only: None,
        except_clients: &[],
    }
}

#[tokio::test]
async fn files_are_for_the_owner_only_and_no_folder_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = dir.path().join("var/lib/state.db");
    let refused = SqliteStore::open(&url(&elsewhere), None).await;
    assert!(
        matches!(&refused, Err(StoreError::Unfit { hint, .. }) if hint.contains("mkdir -m 700")),
        "{refused:?}"
    );
    assert!(!dir.path().join("var").exists());
    let path = dir.path().join("state.db");
    let store = store_with(&path, &["a.ch"]).await;
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        assert_eq!(mode(&path.with_file_name(file)), 0o600, "{file}");
    }
    store.close().await;
}

#[tokio::test]
async fn an_open_file_is_tightened_and_an_open_directory_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    store_with(&path, &["a.ch"]).await.close().await;
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    SqliteStore::open(&url(&path), None)
        .await
        .unwrap()
        .close()
        .await;
    assert_eq!(mode(&path), 0o600);
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    let refused = SqliteStore::open(&url(&path), None).await;
    assert!(
        matches!(&refused, Err(StoreError::Unfit { hint, .. }) if hint.starts_with("chmod")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_newer_schema_and_a_foreign_file_are_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let newer = dir.path().join("newer.db");
    store_with(&newer, &["a.ch"]).await.close().await;
    let mut db = raw(&newer).await;
    sqlx::raw_sql("PRAGMA user_version = 99")
        .execute(&mut db)
        .await
        .unwrap();
    db.close().await.unwrap();
    let foreign = dir.path().join("foreign.db");
    let mut db = raw(&foreign).await;
    sqlx::raw_sql("CREATE TABLE domain (x)")
        .execute(&mut db)
        .await
        .unwrap();
    db.close().await.unwrap();
    let text = dir.path().join("text.db");
    std::fs::write(&text, "domain = \"example.ch\"\n".repeat(99)).unwrap();
    for (path, says) in [
        (newer, "schema 99"),
        (foreign, "another program"),
        (text, "no SQLite database"),
    ] {
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let before = std::fs::read(&path).unwrap();
        for outcome in [
            SqliteStore::open(&url(&path), None).await.map(Some),
            SqliteStore::open_read_only(&url(&path), None).await,
        ] {
            let Err(StoreError::Unfit { message, hint }) = outcome else {
                panic!("{outcome:?}")
            };
            assert!(
                message.contains(says) && message.contains(path.to_str().unwrap()),
                "{message}"
            );
            assert!(!hint.is_empty());
        }
        assert!(
            std::fs::read(&path).unwrap() == before,
            "{says}: the file was changed"
        );
        assert_eq!(mode(&path), 0o644, "{says}");
    }
}

#[tokio::test]
async fn a_file_of_the_first_schema_is_brought_up_to_date_with_all_that_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut db = raw(&path).await;
    sqlx::raw_sql(include_str!("../src/store/migrations/0001.sql"))
        .execute(&mut db)
        .await
        .unwrap();
    let stamp = "PRAGMA application_id = 1886806380; PRAGMA user_version = 1;
        INSERT INTO domain (name, client, ca, origins) VALUES ('a.ch', 'swisssign/a', 'swisssign', 1)";
    sqlx::raw_sql(stamp).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let unread = SqliteStore::open_read_only(&url(&path), None).await;
    assert!(
        matches!(&unread, Err(StoreError::Unfit { message, .. }) if message.contains("older")),
        "{unread:?}"
    );
    let store = SqliteStore::open(&url(&path), None).await.unwrap();
    assert_eq!(store.domains().await.unwrap().len(), 1);
    let bucket = Bucket {
        name: "ca",
        per_second: 1.0,
        burst: 1,
    };
    assert_eq!(
        store.take(&bucket, 1, at(0)).await.unwrap(),
        SignedDuration::ZERO
    );
    store.close().await;
    assert!(
        SqliteStore::open_read_only(&url(&path), None)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_store_belongs_to_one_endpoint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    SqliteStore::open(&url(&path), Some("pre.example/v2"))
        .await
        .unwrap()
        .close()
        .await;
    SqliteStore::open(&url(&path), Some("pre.example/v2"))
        .await
        .unwrap()
        .close()
        .await;
    let refused = [
        SqliteStore::open(&url(&path), Some("prod.example/v2"))
            .await
            .map(Some),
        SqliteStore::open_read_only(&url(&path), Some("prod.example/v2")).await,
    ];
    for outcome in refused {
        let Err(StoreError::Unfit { message, .. }) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(
            message.contains("pre.example/v2") && message.contains("prod.example/v2"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn reading_only_creates_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    assert!(
        SqliteStore::open_read_only(&url(&path), None)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        SqliteStore::open_read_only(&url(&dir.path().join("no/dir.db")), None)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

    let writer = store_with(&path, &["a.ch"]).await;
    let beside = SqliteStore::open_read_only(&url(&path), Some("any"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        beside.domains().await.unwrap()[0].sighting,
        registered("a.ch"),
        "what is in the log only is read"
    );
    beside.close().await;
    writer.close().await;

    let before = std::fs::read(&path).unwrap();
    let alone = SqliteStore::open_read_only(&url(&path), Some("any"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(alone.domains().await.unwrap().len(), 1);
    let refused = alone.set_fact("k", "v").await;
    let Err(StoreError::Unavailable { message }) = refused else {
        panic!("{refused:?}")
    };
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    alone.close().await;
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "no -wal, no -shm"
    );
    assert!(std::fs::read(&path).unwrap() == before);
}

#[tokio::test]
async fn a_crash_inside_a_transaction_leaves_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = store_with(&path, &["a.ch"]).await;
    let mut db = raw(&path).await;
    // Enough to spill uncommitted pages into the log.
    sqlx::raw_sql(
        "PRAGMA cache_size = 2; BEGIN IMMEDIATE; DELETE FROM domain;
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO fact SELECT 'k' || i, printf('%.200c', 'x') FROM n",
    )
    .execute(&mut db)
    .await
    .unwrap();
    let crashed = dir.path().join("crashed.db");
    std::fs::copy(&path, &crashed).unwrap();
    let log = std::fs::copy(
        dir.path().join("state.db-wal"),
        dir.path().join("crashed.db-wal"),
    )
    .unwrap();
    assert!(log > 500_000, "the uncommitted pages are in the log: {log}");
    let after = SqliteStore::open(&url(&crashed), None).await.unwrap();
    assert_eq!(
        after.domains().await.unwrap(),
        store.domains().await.unwrap()
    );
    assert_eq!(after.fact("k1").await.unwrap(), None);
    after.close().await;
    drop(db);
    assert!(
        store.set_fact("k", "v").await.is_ok(),
        "a connection that goes takes its transaction along"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_becomes_ours_is_never_taken_for_another_programs() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..50 {
        let url = url(&dir.path().join(format!("{round}.db")));
        let maker = tokio::spawn({
            let url = url.clone();
            async move { SqliteStore::open(&url, None).await.unwrap() }
        });
        while SqliteStore::open_read_only(&url, None)
            .await
            .unwrap()
            .is_none()
        {
            tokio::task::yield_now().await;
        }
        maker.await.unwrap().close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pools_on_a_new_file_share_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let url = url(&path);
    let (one, two) = tokio::join!(
        SqliteStore::open(&url, Some("e")),
        SqliteStore::open(&url, Some("e"))
    );
    let stores = [one.unwrap(), two.unwrap()];
    let domains: Vec<String> = (0..200).map(|n| format!("d{n}.ch")).collect();
    store_with(
        &path,
        &domains.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await
    .close()
    .await;
    let claimers: Vec<_> = (0..8)
        .map(|n| {
            let store = stores[n % 2].clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let leases = store.claim(&claim(3)).await.unwrap();
                    if leases.is_empty() {
                        return mine;
                    }
                    mine.extend(
                        leases
                            .into_iter()
                            .map(|lease| lease.fence.domain.to_string()),
                    );
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), 200);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 200);
}

#[tokio::test]
async fn an_unchanged_inventory_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = store_with(&path, &["a.ch", "b.ch"]).await;
    let mut db = raw(&path).await;
    // It moves whenever another connection has written
    // (https://sqlite.org/pragma.html#pragma_data_version).
    let version = async |db: &mut SqliteConnection| -> i64 {
        sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(db)
            .await
            .unwrap()
    };
    let before = version(&mut db).await;
    let wants = ["b.ch", "a.ch", "a.ch"].map(|d| wanted(d, "swisssign/a"));
    store
        .sync_inventory(Origin::Config, &wants, at(5))
        .await
        .unwrap();
    store
        .want(Origin::Config, &wants[..1], at(5))
        .await
        .unwrap();
    store
        .unwant(Origin::Added, &[name("a.ch").into()], at(5))
        .await
        .unwrap();
    assert_eq!(version(&mut db).await, before);
    store
        .sync_inventory(Origin::Config, &wants[..1], at(5))
        .await
        .unwrap();
    assert_ne!(version(&mut db).await, before);
}

#[tokio::test]
async fn an_unusable_place_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = SqliteStore::open(&url(&path), None).await.unwrap();
    // A parent that is a file acts as a directory that cannot be made, by any user.
    let under = SqliteStore::open(&url(&path.join("state.db")), None).await;
    let Err(StoreError::Unavailable { message }) = under else {
        panic!("{under:?}")
    };
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    store.close().await;
    let closed = store.set_fact("k", "v").await;
    assert!(
        matches!(&closed, Err(StoreError::Unavailable { message }) if message.contains("state.db")),
        "{closed:?}"
    );
}

#[tokio::test]
async fn a_damaged_file_is_called_corrupt_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    store_with(&path, &["a.ch"]).await.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let outcome = match SqliteStore::open(&url(&path), None).await {
        Ok(store) => store.domains().await.map(|_| ()),
        Err(error) => Err(error),
    };
    let Err(StoreError::Corrupt(message)) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        message.contains("state.db") && message.contains("backup"),
        "{message}"
    );
}
