//! Connections that break, servers that crash, disks that are full: what was stored is known to be
//! stored, and nothing is done twice.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use prevalidate::prevalidation::{LedgerEntry, LedgerState, RecordType};
use prevalidate::store::conformance::{at, name, seen, wanted};
use prevalidate::store::{Claim, EffectMark, Event, Lease, Origin, StoreError, Write};

use super::clocks::kept;
use super::*;
use crate::support::wire::{Cut, Wire};

async fn filled(store: &PostgresStore) {
    store
        .want(Origin::Config, &[wanted("a.ch", "swisssign/a")], at(0))
        .await
        .unwrap();
    store
        .record_listing("swisssign/a", &[seen("a.ch", at(1))], at(0))
        .await
        .unwrap();
}

fn claim() -> Claim<'static> {
    let lease = SignedDuration::from_mins(5);
    Claim {
        holder: "host/1",
        now: at(9),
        lease,
        limit: 9,
        only: None,
        except_clients: &[],
    }
}

async fn leased(store: &PostgresStore) -> Lease {
    filled(store).await;
    store.claim(&claim()).await.unwrap().remove(0)
}

/// A result with one of everything that must not be there twice.
fn result(lease: &Lease) -> Write {
    let entry = LedgerEntry {
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
    };
    let event = Event {
        at: at(2),
        run: "r".to_owned(),
        domain: Some(name("a.ch")),
        client: None,
        kind: "published".to_owned(),
        detail: String::new(),
    };
    let effect = Some(EffectMark {
        at: at(2),
        retry: false,
    });
    Write {
        ledger: vec![entry],
        events: vec![event],
        effect,
        release: true,
        due_at: Some(at(50)),
        ..kept(lease)
    }
}

async fn is_there_once(database: &Database) {
    for table in ["history", "effect", "ledger"] {
        assert_eq!(
            database
                .number(&format!("SELECT count(*) FROM {table}"))
                .await,
            1,
            "{table}"
        );
    }
    assert_eq!(
        database
            .number("SELECT count(*) FROM domain WHERE lease_until IS NULL AND lease_epoch = 1")
            .await,
        1
    );
}

/// The answer is lost, or the request is, or it is late: never "failed" for what was stored, never
/// twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_asked_about_and_not_repeated() {
    for cut in [Cut::AfterCommit, Cut::BeforeCommit] {
        let database = Cluster::shared().database().await;
        let wire = Wire::before(Cluster::shared().address()).await;
        let store = open(&database.by(wire.address())).await;
        let lease = leased(&store).await;
        wire.cut(cut);
        let outcomes = store.commit(&[result(&lease)]).await.unwrap();
        assert!(
            wire.is_done() && outcomes[0].is_ok(),
            "{cut:?}: {outcomes:?}"
        );
        is_there_once(&database).await;
    }
}

/// The server has not heard that the connection is broken: the question waits until the server
/// gives the transaction up, and the COMMIT that arrives afterwards finds no session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_comes_late_comes_too_late() {
    let database = Cluster::shared().database().await;
    let wire = Wire::before(Cluster::shared().address()).await;
    let store = open(&database.by(wire.address())).await;
    let lease = leased(&store).await;
    wire.cut(Cut::CommitLate);
    let committing = tokio::spawn(async move { store.commit(&[result(&lease)]).await });
    // Patience of the server cut short by hand: the session that holds the transaction open is
    // ended.
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until(async || database.number(idle).await == 1).await;
    assert_eq!(
        database.number("SELECT count(*) FROM history").await,
        0,
        "still under way"
    );
    database
        .run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND state = 'idle in transaction'",
        )
        .await;
    assert!(committing.await.unwrap().unwrap()[0].is_ok());
    wire.let_go();
    is_there_once(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_answer_is_lost_is_held() {
    let database = Cluster::shared().database().await;
    let wire = Wire::before(Cluster::shared().address()).await;
    let store = open(&database.by(wire.address())).await;
    filled(&store).await;
    wire.cut(Cut::AfterCommit);
    let leases = store.claim(&claim()).await.unwrap();
    assert!(wire.is_done());
    assert_eq!(
        (leases.len(), leases[0].fence.epoch, leases[0].claims),
        (1, 1, 1)
    );
    assert!(store.commit(&[result(&leases[0])]).await.unwrap()[0].is_ok());
    is_there_once(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_terminated_in_its_transaction_starts_again() {
    let database = Cluster::shared().database().await;
    let store = open(&database.url).await;
    let lease = leased(&store).await;
    // Another session locks the row, so that the commit hangs in the middle of its transaction.
    let mut holder = database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT 1 FROM domain FOR UPDATE")
        .execute(&mut holder)
        .await
        .unwrap();
    let committing = {
        let (store, write) = (store.clone(), result(&lease));
        tokio::spawn(async move { store.commit(&[write]).await })
    };
    let waiting =
        "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until(async || database.number(&format!("SELECT count(*) {waiting}")).await == 1).await;
    assert_eq!(
        database
            .number(&format!(
                "SELECT count(pg_terminate_backend(pid)) {waiting}"
            ))
            .await,
        1
    );
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut holder)
        .await
        .unwrap();
    assert!(committing.await.unwrap().unwrap()[0].is_ok());
    is_there_once(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_and_comes_back_is_waited_for_and_has_lost_nothing() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let database = cluster.database().await;
    let store = open(&database.url).await;
    let lease = leased(&store).await;
    let noting = {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..200 {
                store.set_fact(&format!("k{n:03}"), "v").await.unwrap();
            }
        })
    };
    until(async || database.number("SELECT count(*) FROM fact").await > 3).await;
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.crash_and_restart();
        cluster
    });
    let cluster = cluster.await.unwrap();
    noting.await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM fact").await, 200);
    assert!(store.commit(&[result(&lease)]).await.unwrap()[0].is_ok());
    is_there_once(&database).await;
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_unavailable_and_named() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let database = cluster.database().await;
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.stop();
        cluster
    });
    let cluster = cluster.await.unwrap();
    let outcome = PostgresStore::open(&database.url, None, None).await;
    let Err(StoreError::Unavailable { message }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        message.contains("refused") && message.contains(&cluster.address().to_string()),
        "{message}"
    );
}

/// A full disk as the client sees it: the server refuses to extend a file.
#[tokio::test]
async fn a_full_disk_stores_nothing_and_says_so() {
    let database = Cluster::shared().database().await;
    let store = open(&database.url).await;
    let lease = leased(&store).await;
    database
        .run(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
              $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
              CREATE TRIGGER full_disk BEFORE INSERT ON history FOR EACH ROW EXECUTE FUNCTION full_disk()",
        )
        .await;
    let refused = store.commit(&[result(&lease)]).await;
    let Err(StoreError::Unavailable { message }) = refused else {
        panic!("{refused:?}")
    };
    assert!(
        message.contains("could not extend file") && message.contains("free some space"),
        "{message}"
    );
    assert_eq!(database.number("SELECT count(*) FROM ledger").await, 0);
    database.run("DROP TRIGGER full_disk ON history").await;
    assert!(store.commit(&[result(&lease)]).await.unwrap()[0].is_ok());
    is_there_once(&database).await;
}

#[tokio::test]
async fn serialization_failures_are_tried_again() {
    let database = Cluster::shared().database().await;
    let store = open(&database.url).await;
    database
        .run("CREATE SEQUENCE tries; CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS
              $$ BEGIN IF nextval('tries') < 4 THEN RAISE EXCEPTION 'again' USING ERRCODE = 'serialization_failure'; END IF;
              RETURN NEW; END $$;
              CREATE TRIGGER conflict BEFORE INSERT ON fact FOR EACH ROW EXECUTE FUNCTION conflict()")
        .await;
    store.set_fact("k", "v").await.unwrap();
    assert_eq!(database.number("SELECT last_value FROM tries").await, 4);
}

#[tokio::test]
async fn a_database_that_does_not_wait_for_its_disk_is_made_to() {
    let database = Cluster::shared().database().await;
    database
        .run(&format!(
            "ALTER DATABASE {} SET synchronous_commit = off",
            database.name
        ))
        .await;
    let store = open(&database.url).await;
    database
        .run(
            "CREATE TABLE heard (setting text); CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS
              $$ BEGIN INSERT INTO heard VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$;
              CREATE TRIGGER hear BEFORE INSERT ON fact FOR EACH ROW EXECUTE FUNCTION hear()",
        )
        .await;
    store.set_fact("k", "v").await.unwrap();
    assert_eq!(
        database
            .number("SELECT count(*) FROM heard WHERE setting = 'on'")
            .await,
        1
    );
}

#[tokio::test]
async fn marks_of_transactions_do_not_pile_up() {
    let database = Cluster::shared().database().await;
    let store = open(&database.url).await;
    filled(&store).await;
    let before = database.number("SELECT count(*) FROM settled").await;
    assert!(before > 0);
    assert_eq!(
        store
            .claim(&Claim {
                now: at(0),
                ..claim()
            })
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        database.number("SELECT count(*) FROM settled").await,
        before,
        "who polls leaves none"
    );
    database
        .run("UPDATE settled SET at = at - interval '2 days'")
        .await;
    store.retention(at(0)).await.unwrap();
    let left = database
        .number("SELECT count(*) FROM settled WHERE at < clock_timestamp() - interval '1 day'")
        .await;
    assert_eq!(left, 0);
}

/// Checks again until it is so; a minute is for ever.
pub(super) async fn until(mut so: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::timeout(Duration::from_secs(60), async {
        while !so().await {
            tokio::task::yield_now().await;
        }
    });
    patience.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_reads_hears_soon_that_the_server_is_gone() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let database = cluster.database().await;
    open(&database.url).await.close().await;
    let reader = PostgresStore::open_read_only(&database.url, None, None)
        .await
        .unwrap()
        .unwrap();
    assert!(reader.domains().await.unwrap().is_empty());
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.stop();
        cluster
    });
    let cluster = cluster.await.unwrap();
    let began = Instant::now();
    let gone = reader.domains().await;
    assert!(
        matches!(&gone, Err(StoreError::Unavailable { message }) if message.contains("refused")),
        "{gone:?}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    drop(cluster);
}

/// An administrator rebuilds a table, or the pooler takes connections for a server that is gone.
#[tokio::test]
async fn a_server_that_lets_one_in_and_says_no_more_is_given_up() {
    let database = Cluster::shared().database().await;
    open(&database.url).await.close().await;
    let mut holder = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE prevalidate_schema")
        .execute(&mut holder)
        .await
        .unwrap();
    let first_look = tokio::time::timeout(
        Duration::from_secs(30),
        PostgresStore::is_there(&database.url, None),
    );
    let silent = first_look.await.expect("it is given up");
    assert!(
        matches!(&silent, Err(StoreError::Unavailable { message }) if message.contains("no answer")),
        "{silent:?}"
    );
}

/// The server says no in the middle of the first message of a transaction: the session is in an
/// aborted transaction, and still answers a ping.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_refused_in_the_middle_is_not_used_again() {
    let database = Cluster::shared().database().await;
    let store = open(&database.url).await;
    filled(&store).await;
    database
        .run(
            "CREATE FUNCTION nospace() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'No space left on device' USING errcode = '53100'; END $$;
             CREATE TRIGGER nospace BEFORE INSERT ON settled FOR EACH ROW EXECUTE FUNCTION nospace()",
        )
        .await;
    // All connections of the pool.
    let refused = futures::future::join_all((0..16).map(|_| store.set_fact("k", "v"))).await;
    for outcome in refused {
        assert!(
            matches!(&outcome, Err(StoreError::Unavailable { message }) if message.contains("space")),
            "{outcome:?}"
        );
    }
    assert!(store.try_to_write(Duration::from_secs(9)).await.is_err());
    let aborted = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    until(async || database.number(aborted).await == 0).await;
    database.run("DROP TRIGGER nospace ON settled").await;
    for outcome in futures::future::join_all((0..16).map(|_| store.set_fact("k", "v"))).await {
        outcome.unwrap();
    }
    for _ in 0..16 {
        assert_eq!(store.fact("k").await.unwrap().as_deref(), Some("v"));
    }
    store.try_to_write(Duration::from_secs(9)).await.unwrap();
}

/// A call that is given up leaves no session in its transaction for the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_given_up_in_the_middle_leaves_no_open_transaction() {
    let database = Cluster::shared().database().await;
    let store = open(&database.url).await;
    filled(&store).await;
    let mut other = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE fact IN EXCLUSIVE MODE")
        .execute(&mut other)
        .await
        .unwrap();
    for _ in 0..8 {
        let given_up = tokio::time::timeout(Duration::from_millis(50), store.set_fact("k", "v"));
        assert!(given_up.await.is_err());
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    store.set_fact("k", "w").await.unwrap();
    let open = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    until(async || database.number(open).await == 0).await;
    assert_eq!(store.fact("k").await.unwrap().as_deref(), Some("w"));
}
