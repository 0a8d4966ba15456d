//! The number of rows that the frequent questions of a daemon read: the rows of the answer, not all
//! rows.

use jiff::SignedDuration;
use prevalidate::store::conformance::{at, name, seen, wanted};
use prevalidate::store::{Claim, Origin, Seen, Store};

use super::clocks::kept;
use super::faults::until;
use super::*;

const DOMAINS: usize = 5_000;
const CLIENT: &str = "swisssign/a";

/// So many rows of domains the server read for a session, by its own count.
async fn read_for(database: &Database, work: impl AsyncFnOnce(&PostgresStore)) -> i64 {
    let count = "SELECT (seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables WHERE relname = 'domain'";
    // What a session read is counted by its end.
    let others = "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    until(async || database.number(others).await == 0).await;
    let before = database.number(count).await;
    let store = open(&database.url).await;
    work(&store).await;
    store.close().await;
    until(async || database.number(others).await == 0).await;
    database.number(count).await - before
}

#[tokio::test]
async fn the_search_for_work_reads_no_more_rows_than_there_is_work() {
    let database = Cluster::shared().database().await;
    let store = open(&database.url).await;
    // It has not counted the rows, as in the first night, until it is told to.
    database
        .run("ALTER TABLE domain SET (autovacuum_enabled = off)")
        .await;
    let names: Vec<_> = (0..DOMAINS)
        .map(|number| format!("d{number:04}.test"))
        .collect();
    let wants: Vec<_> = names.iter().map(|name| wanted(name, CLIENT)).collect();
    store.want(Origin::Config, &wants, at(0)).await.unwrap();
    let listing: Vec<_> = names
        .iter()
        .map(|name| Seen {
            due_at: Some(at(1)),
            ..seen(name, at(1))
        })
        .collect();
    store.record_listing(CLIENT, &listing, at(0)).await.unwrap();
    store.close().await;

    let claim = Claim {
        holder: "host/1",
        now: at(0),
        lease: SignedDuration::from_mins(5),
        limit: 10,
        only: None,
        except_clients: &[],
    };
    for is_counted in [false, true] {
        if is_counted {
            database.run("ANALYZE domain").await;
        }
        let read = read_for(&database, async |store| {
            assert_eq!(store.claim(&claim).await.unwrap(), []);
            assert_eq!(store.next_due(None, &[]).await.unwrap(), Some(at(1)));
        });
        let read = read.await;
        assert!(read <= 2, "{read} rows when nothing is due");
        let read = read_for(&database, async |store| {
            let leases = store
                .claim(&Claim {
                    now: at(2),
                    ..claim.clone()
                })
                .await
                .unwrap();
            assert_eq!(leases.len(), 10);
            let kept: Vec<_> = leases.iter().map(kept).collect();
            assert!(store.commit(&kept).await.unwrap().iter().all(Result::is_ok));
        });
        let read = read.await;
        assert!(
            (10..=100).contains(&read),
            "{read} rows when all is due and ten are taken"
        );
        let page = async |store: &PostgresStore| {
            assert_eq!(
                store
                    .domains_after(Some(&name("d2000.test").into()), 10)
                    .await
                    .unwrap()
                    .len(),
                10
            );
        };
        let read = read_for(&database, page).await;
        assert!((10..=20).contains(&read), "{read} rows for a page of ten");
    }
}
