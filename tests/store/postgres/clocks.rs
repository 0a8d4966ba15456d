//! Clocks, hints, and many claimers at once: what only several machines on one database have.

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use prevalidate::store::conformance::{at, name, seen, wanted};
use prevalidate::store::{Claim, Fence, Lease, Origin, Store, Write};

use super::*;

const LEASE: SignedDuration = SignedDuration::from_mins(5);
const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);

async fn due(store: &PostgresStore, domains: &[String]) {
    let wants: Vec<_> = domains
        .iter()
        .map(|domain| wanted(domain, "swisssign/a"))
        .collect();
    store.want(Origin::Config, &wants, at(0)).await.unwrap();
    let listing: Vec<_> = domains.iter().map(|domain| seen(domain, at(1))).collect();
    store
        .record_listing("swisssign/a", &listing, at(0))
        .await
        .unwrap();
}

fn claim(now: Timestamp, limit: usize) -> Claim<'static> {
    Claim {
        holder: "host/1",
        now,
        lease: LEASE,
        limit,
        only: None,
        except_clients: &[],
    }
}

pub(super) fn kept(lease: &Lease) -> Write {
    Write {
        fence: lease.fence.clone(),
        sighting: None,
        upkeep: lease.row.upkeep.clone(),
        due_at: lease.row.due_at,
        at_risk: None,
        ledger: Vec::new(),
        events: Vec::new(),
        effect: None,
        release: false,
    }
}

#[tokio::test]
async fn a_clock_a_year_ahead_steals_no_lease() {
    let database = Cluster::shared().database().await;
    let (right, wrong) = (open(&database.url).await, open(&database.url).await);
    due(&right, &["a.ch".to_owned()]).await;
    let held = right.claim(&claim(at(10), 1)).await.unwrap().remove(0);
    assert!(
        wrong
            .claim(&claim(at(10) + YEAR, 1))
            .await
            .unwrap()
            .is_empty(),
        "its lease lives"
    );
    let listing = [prevalidate::store::Seen {
        due_at: None,
        ..seen("a.ch", at(1))
    }];
    wrong
        .record_listing("swisssign/a", &listing, at(10) + YEAR)
        .await
        .unwrap();
    assert!(
        right.commit(&[kept(&held)]).await.unwrap()[0].is_ok(),
        "nor is it fenced out by a listing"
    );
}

#[tokio::test]
async fn a_clock_a_year_ahead_holds_no_lease_for_longer() {
    let (database, store) = super::direct::fresh().await;
    let wrong = open(&database.url).await;
    due(&wrong, &["a.ch".to_owned()]).await;
    let held = wrong
        .claim(&claim(at(10) + YEAR, 1))
        .await
        .unwrap()
        .remove(0);
    assert!(
        wrong
            .extend(std::slice::from_ref(&held.fence), at(10) + YEAR, LEASE)
            .await
            .unwrap()
            .is_empty()
    );
    let right = open(&database.url).await;
    assert!(right.claim(&claim(at(10), 1)).await.unwrap().is_empty());
    store.pass(5).await;
    let taken = right.claim(&claim(at(10), 1)).await.unwrap().remove(0);
    assert!(
        wrong.commit(&[kept(&held)]).await.unwrap()[0].is_err(),
        "its epoch is over"
    );
    assert!(right.commit(&[kept(&taken)]).await.unwrap()[0].is_ok());
}

#[tokio::test]
async fn a_clock_a_year_behind_neither_loses_its_lease_nor_shortens_another() {
    let database = Cluster::shared().database().await;
    let (right, wrong) = (open(&database.url).await, open(&database.url).await);
    due(&right, &["a.ch".to_owned(), "b.ch".to_owned()]).await;
    database
        .run(&format!(
            "UPDATE domain SET due_at = due_at - {}",
            2 * YEAR.as_micros()
        ))
        .await;
    let held = wrong
        .claim(&claim(at(10) - YEAR, 1))
        .await
        .unwrap()
        .remove(0);
    let others = right.claim(&claim(at(10), 9)).await.unwrap();
    assert_eq!(others.len(), 1, "what it holds is held");
    assert_eq!(
        wrong
            .extend(std::slice::from_ref(&others[0].fence), at(0) - YEAR, LEASE)
            .await
            .unwrap(),
        []
    );
    assert!(right.claim(&claim(at(10), 9)).await.unwrap().is_empty());
    for (store, lease) in [(&wrong, &held), (&right, &others[0])] {
        assert!(store.commit(&[kept(lease)]).await.unwrap()[0].is_ok());
    }
}

#[tokio::test]
async fn the_database_tells_its_own_time() {
    let database = Cluster::shared().database().await;
    let store = open(&database.url).await;
    let theirs = store.clock().await.unwrap().unwrap();
    let again = store.clock().await.unwrap().unwrap();
    assert!(again > theirs && again.duration_since(theirs) < SignedDuration::from_mins(1));
    let raw = database
        .number("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        .await;
    assert!(
        Timestamp::from_microsecond(raw)
            .unwrap()
            .duration_since(again)
            .abs()
            < SignedDuration::from_mins(1)
    );
}

/// Two stores, as of two machines, four lanes each; they commit while the others claim.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_claimers_of_two_machines_share_two_thousand_domains_without_a_double() {
    let database = Cluster::shared().database().await;
    let stores = [
        open(&database.url).await,
        open(&database.by(Bouncer::shared().address())).await,
    ];
    let domains: Vec<String> = (0..2000).map(|n| format!("d{n}.ch")).collect();
    due(&stores[0], &domains).await;
    let claimers: Vec<_> = (0..8)
        .map(|n| {
            let store = stores[n % 2].clone();
            tokio::spawn(async move {
                let mut mine: Vec<Fence> = Vec::new();
                loop {
                    let leases = store.claim(&claim(at(99), 30)).await.unwrap();
                    if leases.is_empty() {
                        return mine;
                    }
                    let done: Vec<_> = leases
                        .iter()
                        .map(|lease| Write {
                            release: true,
                            due_at: None,
                            ..kept(lease)
                        })
                        .collect();
                    assert!(store.commit(&done).await.unwrap().iter().all(Result::is_ok));
                    mine.extend(leases.into_iter().map(|lease| lease.fence));
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), 2000, "each once");
    assert!(all.iter().all(|fence| fence.epoch == 1));
    assert_eq!(
        database
            .number("SELECT count(DISTINCT name) FROM domain WHERE claims = 0 AND lease_epoch = 1")
            .await,
        2000
    );
}

/// Listings of all domains, wake-ups and commits of single ones: they lock rows in one order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_wake_ups_and_commits_do_not_wait_in_a_circle() {
    let database = Cluster::shared().database().await;
    let domains: Vec<String> = (0..300).map(|n| format!("d{n}.ch")).collect();
    let first = open(&database.url).await;
    due(&first, &domains).await;
    let mut tasks = Vec::new();
    for lane in 0..6 {
        let (store, domains) = (first.clone(), domains.clone());
        tasks.push(tokio::spawn(async move {
            for round in 0..15 {
                match lane % 3 {
                    0 => {
                        let listing: Vec<_> = domains
                            .iter()
                            .rev()
                            .map(|domain| seen(domain, at(1)))
                            .collect();
                        store
                            .record_listing("swisssign/a", &listing, at(round))
                            .await
                            .unwrap();
                    }
                    1 => {
                        let all: Vec<_> = domains
                            .iter()
                            .rev()
                            .map(|domain| name(domain).into())
                            .collect();
                        store.wake(&all, at(round)).await.unwrap();
                    }
                    _ => {
                        let leases = store.claim(&claim(at(99), 100)).await.unwrap();
                        let done: Vec<_> = leases
                            .iter()
                            .rev()
                            .map(|lease| Write {
                                release: true,
                                ..kept(lease)
                            })
                            .collect();
                        store.commit(&done).await.unwrap();
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    // Statistics of a session are reported when it ends.
    first.close().await;
    let deadlocks = format!(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = '{}'",
        database.name
    );
    assert_eq!(database.number(&deadlocks).await, 0);
}

#[tokio::test]
async fn a_wake_up_is_heard_by_others_and_the_ear_is_mended() {
    let database = Cluster::shared().database().await;
    let (here, there) = (open(&database.url).await, open(&database.url).await);
    due(&here, &["a.ch".to_owned()]).await;
    let mut hints = there.hints();
    hints.next().await.unwrap();
    here.wake(&[name("a.ch").into()], at(2)).await.unwrap();
    hints.next().await.unwrap();

    let ear = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(database.number(ear).await, 1);
    hints.next().await.unwrap();
    here.wake(&[name("a.ch").into()], at(3)).await.unwrap();
    hints.next().await.unwrap();
    there.close().await;
    assert_eq!(hints.next().await, None, "it ends with the store");
}

#[tokio::test]
async fn behind_a_pooler_the_missing_hints_do_no_harm() {
    let database = Cluster::shared().database().await;
    let store = open(&database.by(Bouncer::shared().address())).await;
    due(&store, &["a.ch".to_owned()]).await;
    let mut hints = store.hints();
    hints.next().await.unwrap();
    for round in 0..20 {
        store.wake(&[name("a.ch").into()], at(round)).await.unwrap();
        assert!(store.domain(&name("a.ch").into()).await.unwrap().is_some());
    }
    store.close().await;
}
