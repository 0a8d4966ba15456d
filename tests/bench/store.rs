//! What the store takes for 100,000 domains: what a scheduler asks all the time, and what it asks
//! once a night.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use prevalidate::prevalidation::Upkeep;
use prevalidate::store::conformance::{at, registered, wanted};
use prevalidate::store::postgres::PostgresStore;
use prevalidate::store::sqlite::SqliteStore;
use prevalidate::store::{Claim, Lease, Origin, Seen, Store, Write};

use crate::Row;
use crate::lab::names;
use crate::support::postgres::Cluster;

const DOMAINS: usize = 100_000;
const CLIENT: &str = "swisssign/a";

/// Both stores.
pub fn hundred_thousand() -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let database = Cluster::shared().database_now();
    runtime.block_on(async {
        let file = format!("sqlite:{}", folder.path().join("state.db").display());
        let mut rows = measure(
            "SQLite",
            Arc::new(SqliteStore::open(&file, None).await.unwrap()),
        )
        .await;
        let server = PostgresStore::open(&database.url, None, None)
            .await
            .unwrap();
        rows.extend(measure("PostgreSQL", Arc::new(server)).await);
        rows
    })
}

async fn measure(name: &str, store: Arc<dyn Store>) -> Vec<Row> {
    let domains = names(DOMAINS);
    let wants: Vec<_> = domains
        .iter()
        .map(|domain| wanted(domain, CLIENT))
        .collect();
    // A year of renewals, evenly spread; a hundred of them are due.
    let due = |number: usize, shift: i64| at(5 * (number as i64 - 100) + shift);
    let check = |shift: i64, changed: bool| -> Vec<Seen> {
        let seen = |(number, want): (usize, &prevalidate::store::Wanted)| Seen {
            key: want.domain.clone().into(),
            changed: changed.then(|| Box::new(registered(want.domain.as_str()))),
            due_at: Some(due(number, shift)),
        };
        wants.iter().enumerate().map(seen).collect()
    };
    let mut rows = Vec::new();
    let mut told = |what: &str, began: Instant, aim_ms: u64| {
        let row = Row::below(
            &format!("{name}: {what}"),
            began.elapsed(),
            Duration::from_millis(aim_ms),
        );
        rows.push(row);
    };
    let began = Instant::now();
    store
        .sync_inventory(Origin::Config, &wants, at(0))
        .await
        .unwrap();
    told("100,000 domains become wanted", began, 20_000);
    let (first, again, shifted) = (check(0, true), check(0, false), check(1, false));
    let began = Instant::now();
    store.record_listing(CLIENT, &first, at(0)).await.unwrap();
    told("  the first listing", began, 20_000);
    let began = Instant::now();
    store.record_listing(CLIENT, &again, at(1)).await.unwrap();
    told("  a listing that changes nothing", began, 2_000);
    let began = Instant::now();
    store.record_listing(CLIENT, &shifted, at(2)).await.unwrap();
    told("  a listing that moves every due moment", began, 20_000);

    let began = Instant::now();
    store.next_due(None, &[]).await.unwrap().unwrap();
    told("  what is due next", began, 20);
    let began = Instant::now();
    store.next_due(None, &[CLIENT.to_owned()]).await.unwrap();
    told("  the same, all clients but one paused", began, 200);
    let began = Instant::now();
    let leases = claim(&*store, at(0), &[]).await;
    assert_eq!(leases.len(), 100);
    told("  a claim of a hundred", began, 100);
    let began = Instant::now();
    assert_eq!(claim(&*store, at(600_000), &[]).await.len(), 100);
    told("  a claim of a hundred of a hundred thousand", began, 100);
    let began = Instant::now();
    store
        .commit(&leases.iter().map(released).collect::<Vec<_>>())
        .await
        .unwrap();
    told("  and its result", began, 200);
    let began = Instant::now();
    assert!(claim(&*store, at(0), &[]).await.is_empty());
    told("  a claim when nothing is due", began, 20);
    let began = Instant::now();
    assert!(
        claim(&*store, at(600_000), &[CLIENT.to_owned()])
            .await
            .is_empty()
    );
    told("  a claim when all that is due is paused", began, 300);
    let began = Instant::now();
    let concerned: Vec<_> = wants[..500]
        .iter()
        .map(|want| want.domain.clone().into())
        .collect();
    store
        .receive("pipeline", "m-1", b"digest", &concerned, at(0))
        .await
        .unwrap();
    told("  a hook about 500 domains", began, 200);
    let began = Instant::now();
    let (mut after, mut count) = (None, 0);
    loop {
        let page = store.domains_after(after.as_ref(), 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        (after, count) = (Some(last.key.clone()), count + page.len());
    }
    assert_eq!(count, DOMAINS);
    told("  all rows, page by page", began, 10_000);
    rows
}

async fn claim(store: &dyn Store, now: jiff::Timestamp, except_clients: &[String]) -> Vec<Lease> {
    let lease = SignedDuration::from_mins(5);
    store
        .claim(&Claim {
            holder: "bench",
            now,
            lease,
            limit: 100,
            only: None,
            except_clients,
        })
        .await
        .unwrap()
}

fn released(lease: &Lease) -> Write {
    Write {
        fence: lease.fence.clone(),
        sighting: Some((lease.row.sighting.clone(), at(3))),
        upkeep: Upkeep::default(),
        due_at: Some(at(700_000)),
        at_risk: None,
        ledger: Vec::new(),
        events: Vec::new(),
        effect: None,
        release: true,
    }
}
