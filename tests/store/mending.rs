//! A file that could not be written, or is no longer there: the store continues by itself when the
//! cause is gone, and says what is wrong while it is not.

use std::time::Duration;

use prevalidate::prevalidation::{LedgerEntry, LedgerState, RecordType};
use prevalidate::store::orders::{CertificateClaim, WantedCertificate};
use prevalidate::store::{EffectMark, Event, Write};

use super::*;

/// SQLite ends a transaction by itself when the disk is full, and so does this trigger.
async fn refuse(path: &Path, table: &str) -> SqliteConnection {
    let mut db = raw(path).await;
    for verb in ["INSERT", "UPDATE", "DELETE"] {
        let trigger = format!(
            "CREATE TRIGGER full_{verb} BEFORE {verb} ON {table}
             BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(trigger))
            .execute(&mut db)
            .await
            .unwrap();
    }
    db
}

async fn allow(mut db: SqliteConnection) {
    for verb in ["INSERT", "UPDATE", "DELETE"] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP TRIGGER full_{verb}")))
            .execute(&mut db)
            .await
            .unwrap();
    }
    db.close().await.unwrap();
}

fn event() -> Event {
    Event {
        at: at(2),
        run: "r".to_owned(),
        domain: Some(name("a.ch")),
        client: None,
        kind: "published".to_owned(),
        detail: String::new(),
    }
}

fn entry() -> LedgerEntry {
    LedgerEntry {
        id: 1,
        key: name("a.ch").into(),
        owner: "a.ch".to_owned(),
        kind: RecordType::Txt,
        value: "v=1".to_owned(),
        provider: "zones".to_owned(),
        zone: None,
        state: LedgerState::Intended,
        ttl_before: None,
        negative_ttl: None,
        created_at: at(2),
        published_at: None,
        removal_tries: 0,
        retry_at: None,
    }
}

/// Every call that writes, each with the table that refuses it.
async fn write(store: &SqliteStore, table: &str, hour: i64) -> Result<(), StoreError> {
    match table {
        "history" => store.note(&[event()]).await,
        "fact" => store.set_fact("k", "v").await,
        "look" => store.record_listing("swisssign/a", &[], at(3)).await,
        "turn" => {
            let (every, lease) = (SignedDuration::from_secs(1), SignedDuration::from_secs(1));
            let claimed = store.claim_listing("swisssign/b", "h", every, lease, at(9));
            claimed.await.map(drop)
        }
        "hook" => {
            let names = [name("a.ch").into()];
            let received = store.receive("key", "id", b"digest", &names, at(3));
            received.await.map(drop)
        }
        "notice" => store.claim_notice("n", None, "s", at(3)).await.map(drop),
        "bucket" => {
            let bucket = Bucket {
                name: "b",
                per_second: 1.0,
                burst: 1,
            };
            store.take(&bucket, 1, at(3)).await.map(drop)
        }
        "domain" => {
            store.wake(&[name("a.ch").into()], at(3)).await?;
            store.claim(&claim(1)).await.map(drop)
        }
        "ledger" | "effect" => {
            store.wake(&[name("a.ch").into()], at(3)).await?;
            let now = at(3600 * hour);
            let late = Claim { now, ..claim(1) };
            let lease = store.claim(&late).await?.remove(0);
            let write = Write {
                sighting: None,
                upkeep: lease.row.upkeep.clone(),
                due_at: None,
                at_risk: None,
                ledger: vec![entry()],
                events: Vec::new(),
                effect: Some(EffectMark {
                    at: at(2),
                    retry: false,
                }),
                release: true,
                fence: lease.fence,
            };
            store.commit(&[write]).await?.remove(0)
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_disk_that_was_full_once_is_written_again_whatever_was_under_way() {
    for table in [
        "history", "fact", "look", "turn", "hook", "notice", "bucket", "domain", "ledger", "effect",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let store = store_with(&path, &["a.ch"]).await;
        let full = refuse(&path, table).await;
        for hour in [1, 2] {
            let refused = write(&store, table, hour).await;
            assert!(
                matches!(&refused, Err(StoreError::Unavailable { message }) if message.contains("full")),
                "{table}: {refused:?}"
            );
        }
        allow(full).await;
        store.try_to_write(Duration::from_secs(9)).await.unwrap();
        write(&store, table, 3).await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn a_lock_is_seen_by_the_write_that_tests_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = store_with(&path, &["a.ch"]).await;
    store.try_to_write(Duration::from_secs(9)).await.unwrap();
    let mut other = raw(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    assert!(store.fact("any").await.is_ok(), "it can be read");
    let refused = store.try_to_write(Duration::from_millis(200)).await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable { message }) if message.contains("lock")),
        "{refused:?}"
    );
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    store.try_to_write(Duration::from_secs(30)).await.unwrap();
    assert!(
        store.fact("can be written").await.unwrap().is_none(),
        "it leaves nothing"
    );
}

#[tokio::test]
async fn a_file_that_is_deleted_or_replaced_under_the_process_takes_nothing_more() {
    for replaced in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let store = store_with(&path, &["a.ch"]).await;
        let copy = dir.path().join("backup.db");
        store.copy_to(&copy).await.unwrap();
        for file in ["state.db", "state.db-wal", "state.db-shm"] {
            std::fs::remove_file(dir.path().join(file)).unwrap();
        }
        if replaced {
            std::fs::rename(&copy, &path).unwrap();
        }
        for outcome in [
            store.set_fact("k", "v").await,
            store.fact("k").await.map(drop),
            store.claim(&claim(1)).await.map(drop),
            store.try_to_write(Duration::from_secs(9)).await,
        ] {
            assert!(
                matches!(&outcome, Err(StoreError::Replaced { gone, .. }) if *gone != replaced),
                "{outcome:?}"
            );
        }
        store.close().await;
    }
}

#[tokio::test]
async fn what_can_never_be_a_file_is_a_wrong_setting() {
    let dir = tempfile::tempdir().unwrap();
    let folder = url(dir.path());
    let socket = dir.path().join("socket");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let unfit = |outcome: Result<(), StoreError>| match outcome {
        Err(StoreError::Unfit { message, hint }) => format!("{message} ({hint})"),
        other => panic!("{other:?}"),
    };
    let opened = unfit(SqliteStore::open(&folder, None).await.map(drop));
    assert!(
        opened.contains("is a folder") && opened.contains("/prevalidate.db"),
        "{opened}"
    );
    unfit(SqliteStore::open_read_only(&folder, None).await.map(drop));
    unfit(SqliteStore::open(&url(&socket), None).await.map(drop));
    for wrong in [folder, url(&socket), url(&file.join("state.db"))] {
        unfit(SqliteStore::is_there(&wrong).map(drop));
    }
}

/// The name of a process of this boot that has ended, as the store writes it down.
fn ended() -> String {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let ns = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let ns = ns
        .to_str()
        .unwrap()
        .trim_matches(|c: char| !c.is_ascii_digit());
    format!("pid={pid} start=1 boot={} ns={ns}", boot.trim())
}

async fn holder_is(path: &Path, holder: &str) {
    let mut db = raw(path).await;
    for table in ["domain SET lease_holder", "turn SET holder"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE {table} = ?")))
            .bind(holder)
            .execute(&mut db)
            .await
            .unwrap();
    }
    db.close().await.unwrap();
}

#[tokio::test]
async fn what_a_process_held_that_is_gone_is_free_at_once_and_what_another_holds_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = store_with(&path, &["a.ch"]).await;
    let listing = async |holder: &str| {
        let (every, lease) = (SignedDuration::from_secs(1), SignedDuration::from_mins(5));
        let claimed = store.claim_listing("swisssign/a", holder, every, lease, at(9));
        claimed.await.unwrap()
    };
    assert_eq!(store.claim(&claim(1)).await.unwrap().len(), 1);
    assert_eq!(listing("one").await, None);
    assert!(store.claim(&claim(1)).await.unwrap().is_empty());
    assert!(listing("two").await.is_some());
    let held = store.held(at(9)).await.unwrap();
    assert_eq!(
        (held[0].holder.as_str(), held[0].since, held[0].until),
        ("host/1", Some(at(9)), at(19))
    );

    for unknown in ["host/1", "host/1 pid=1 start=1 boot=x"] {
        holder_is(&path, unknown).await;
        assert!(
            store.claim(&claim(1)).await.unwrap().is_empty(),
            "{unknown}"
        );
        assert!(listing("two").await.is_some(), "{unknown}");
    }
    holder_is(&path, &format!("host/1 {}", ended())).await;
    assert!(store.held(at(9)).await.unwrap().is_empty());
    assert_eq!(store.claim(&claim(1)).await.unwrap().len(), 1);
    assert_eq!(listing("two").await, None);
}

#[tokio::test]
async fn what_a_wrong_clock_has_stored_ends_with_the_next_listing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = store_with(&path, &["a.ch", "b.ch"]).await;
    let year = 400 * 86_400;
    let listing = [seen("a.ch", at(year + 5)), seen("b.ch", at(year + 5))];
    let (every, lease) = (SignedDuration::from_hours(6), SignedDuration::from_mins(5));
    store
        .record_listing("swisssign/a", &listing, at(year))
        .await
        .unwrap();
    let ahead = Claim {
        now: at(year + 9),
        ..claim(9)
    };
    assert_eq!(store.claim(&ahead).await.unwrap().len(), 2);
    store
        .claim_listing("swisssign/a", "one", every, lease, at(year + 86_400))
        .await
        .unwrap();

    // The clock is right again.
    let claimed = store.claim_listing("swisssign/a", "two", every, lease, at(100));
    assert_eq!(claimed.await.unwrap(), None, "the turn is not believed");
    let listing = [seen("a.ch", at(150)), seen("b.ch", at(150))];
    store
        .record_listing("swisssign/a", &listing, at(110))
        .await
        .unwrap();
    assert_eq!(store.listings().await.unwrap()["swisssign/a"], at(110));
    for row in store.domains().await.unwrap() {
        assert_eq!(
            (row.read_at, row.due_at),
            (Some(at(110)), Some(at(150))),
            "{}",
            row.domain
        );
    }
    let now = Claim {
        now: at(150),
        ..claim(9)
    };
    assert_eq!(store.claim(&now).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_lease_of_a_certificate_by_a_wrong_clock_locks_out_no_worker() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = store_with(&path, &["a.ch"]).await;
    let wanted = [WantedCertificate {
        name: "www".to_owned(),
        ca: "swisssign".to_owned(),
    }];
    let orders = store.orders();
    orders.sync_certificates(&wanted, at(0)).await.unwrap();
    let by = |now| CertificateClaim {
        holder: "host/1",
        home: "here",
        also_of: None,
        only: None,
        except_cas: &[],
        now,
        lease: SignedDuration::from_hours(1),
    };
    let month = at(30 * 24 * 60);
    let wrong = orders.claim_certificate(&by(month)).await.unwrap().unwrap();

    // The clock is right again.
    let right = orders.claim_certificate(&by(at(9))).await.unwrap().unwrap();
    assert!(
        right.fence.epoch > wrong.fence.epoch,
        "the first is fenced out"
    );
    let second = orders.claim_certificate(&by(at(10))).await.unwrap();
    assert_eq!(second, None, "what a lease can be is believed");
}
