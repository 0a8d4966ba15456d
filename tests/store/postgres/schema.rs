//! The owner and version of the database, and what is required of a server or a URL.

use prevalidate::store::conformance::{at, wanted};
use prevalidate::store::{Origin, StoreError};

use super::*;

fn unfit<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    let Err(StoreError::Unfit { message, hint }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(!hint.is_empty(), "{message}");
    format!("{message} ({hint})")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_open_an_empty_database_make_one_schema() {
    let database = Cluster::shared().database().await;
    let opening = (0..6).map(|_| PostgresStore::open(&database.url, None, Some("e")));
    for store in futures::future::join_all(opening).await {
        store.unwrap().close().await;
    }
    assert_eq!(
        database
            .number("SELECT count(*) - max(version) FROM prevalidate_schema")
            .await,
        0
    );
}

#[tokio::test]
async fn a_database_of_the_first_schema_is_brought_up_to_date_with_all_that_is_in_it() {
    let database = Cluster::shared().database().await;
    database
        .run(include_str!(
            "../../../src/store/postgres/migrations/0001.sql"
        ))
        .await;
    database.run("INSERT INTO domain (name, client, ca, origins) VALUES ('a.ch', 'swisssign/a', 'swisssign', 1)").await;
    let older = PostgresStore::open_read_only(&database.url, None, None).await;
    assert!(unfit(older).contains("older"));
    let store = open(&database.url).await;
    assert_eq!(store.domains().await.unwrap().len(), 1);
    assert!(store.notice_records().await.unwrap().is_empty());
    let open_to = "SELECT usable_from FROM prevalidate_schema ORDER BY version DESC LIMIT 1";
    assert_eq!(
        database.number(open_to).await,
        1,
        "the first version continues beside it"
    );
}

#[tokio::test]
async fn a_schema_that_a_newer_one_only_added_to_goes_on_working() {
    let database = Cluster::shared().database().await;
    let older = open(&database.url).await;
    database
        .run(
            "ALTER TABLE domain ADD COLUMN mood text; ALTER TABLE ledger ADD COLUMN mood text DEFAULT 'x';
              INSERT INTO prevalidate_schema (version, usable_from) VALUES (7, 1)",
        )
        .await;
    older
        .want(Origin::Config, &[wanted("a.ch", "swisssign/a")], at(0))
        .await
        .unwrap();
    assert_eq!(open(&database.url).await.domains().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_schema_that_is_too_new_and_a_foreign_one_are_refused_untouched() {
    let newer = Cluster::shared().database().await;
    open(&newer.url).await.close().await;
    newer
        .run("INSERT INTO prevalidate_schema (version, usable_from) VALUES (99, 98)")
        .await;
    let foreign = Cluster::shared().database().await;
    foreign.run("CREATE TABLE history (x int)").await;
    for (database, says) in [
        (newer, "schema 99"),
        (foreign, "another program: it has a table `history`"),
    ] {
        let relations = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
        let before = database.number(relations).await;
        for outcome in [
            PostgresStore::open(&database.url, None, None)
                .await
                .map(Some),
            PostgresStore::open_read_only(&database.url, None, None).await,
        ] {
            let said = unfit(outcome);
            assert!(
                said.contains(says) && said.contains(&database.name),
                "{said}"
            );
        }
        assert_eq!(database.number(relations).await, before);
    }
}

#[tokio::test]
async fn a_database_belongs_to_one_endpoint() {
    let database = Cluster::shared().database().await;
    for _ in 0..2 {
        PostgresStore::open(&database.url, None, Some("pre.example/v2"))
            .await
            .unwrap()
            .close()
            .await;
    }
    for outcome in [
        PostgresStore::open(&database.url, None, Some("prod.example/v2"))
            .await
            .map(Some),
        PostgresStore::open_read_only(&database.url, None, Some("prod.example/v2")).await,
    ] {
        let said = unfit(outcome);
        assert!(
            said.contains("pre.example/v2") && said.contains("prod.example/v2"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn reading_only_creates_and_changes_nothing() {
    let database = Cluster::shared().database().await;
    assert!(
        PostgresStore::open_read_only(&database.url, None, Some("e"))
            .await
            .unwrap()
            .is_none()
    );
    assert!(!PostgresStore::is_there(&database.url, None).await.unwrap());
    assert_eq!(
        database
            .number("SELECT count(*) FROM pg_class WHERE relname = 'domain'")
            .await,
        0
    );
    open(&database.url).await.close().await;
    let reader = PostgresStore::open_read_only(&database.url, None, Some("e"))
        .await
        .unwrap()
        .unwrap();
    assert!(reader.domains().await.unwrap().is_empty());
    let refused = reader.set_fact("k", "v").await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable { message }) if message.contains("only reads")),
        "{refused:?}"
    );
    assert_eq!(database.number("SELECT count(*) FROM fact").await, 0);
}

#[tokio::test]
async fn two_stores_live_in_two_schemas_of_one_database() {
    let database = Cluster::shared().database().await;
    database.run("CREATE SCHEMA one; CREATE SCHEMA two").await;
    let of = |schema: &str| format!("{}&options[search_path]={schema}", database.url);
    let (one, two) = (open(&of("one")).await, open(&of("two")).await);
    one.want(Origin::Config, &[wanted("a.ch", "swisssign/a")], at(0))
        .await
        .unwrap();
    assert_eq!(
        (
            one.domains().await.unwrap().len(),
            two.domains().await.unwrap().len()
        ),
        (1, 0)
    );
    let nowhere = unfit(PostgresStore::open(&of("three"), None, None).await);
    assert!(
        nowhere.contains("no schema") && nowhere.contains("CREATE SCHEMA"),
        "{nowhere}"
    );
}

#[tokio::test]
async fn what_the_server_refuses_is_said_with_advice() {
    let database = Cluster::shared().database().await;
    let missing = unfit(
        PostgresStore::open(&database.url.replace(&database.name, "nowhere"), None, None).await,
    );
    assert!(
        missing.contains("\"nowhere\" does not exist") && missing.contains("createdb"),
        "{missing}"
    );
    database
        .run("CREATE ROLE unprivileged LOGIN; REVOKE CREATE ON SCHEMA public FROM public")
        .await;
    let stranger = database.url.replace("postgres@", "unprivileged@");
    let denied = unfit(PostgresStore::open(&stranger, None, None).await);
    assert!(
        denied.contains("permission denied") && denied.contains("CREATE SCHEMA"),
        "{denied}"
    );
    let secure = unfit(
        PostgresStore::open(&database.url.replace("disable", "verify-full"), None, None).await,
    );
    assert!(
        secure.contains("TLS") && secure.contains("sslmode"),
        "{secure}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_read_from_and_otherwise_named_as_such() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let database = cluster.database().await;
    let store = open(&database.url).await;
    store
        .want(Origin::Config, &[wanted("a.ch", "swisssign/a")], at(0))
        .await
        .unwrap();
    store.close().await;
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.restart_as_standby();
        cluster
    });
    let cluster = cluster.await.unwrap();
    let reader = PostgresStore::open_read_only(&database.url, None, None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(reader.domains().await.unwrap().len(), 1);
    let refused = PostgresStore::open(&database.url, None, None).await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable { message }) if message.contains("only reads")),
        "{refused:?}"
    );
    drop(cluster);
}
