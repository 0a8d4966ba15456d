//! The cases of certificates: which worker works on one, what is not lost meanwhile.

use super::*;
use crate::issuance::Progress;
use crate::store::orders::{
    CertificateClaim, CertificateEvent, CertificateFence, CertificateLease, CertificateWrite,
    WantedCertificate,
};

const HERE: &str = "here";

fn wants(names: &[&str]) -> Vec<WantedCertificate> {
    let all = names.iter().map(|&name| WantedCertificate {
        name: name.to_owned(),
        ca: "swisssign".to_owned(),
    });
    all.collect()
}

async fn want(store: &Subject, names: &[&str], minute: i64) {
    let orders = store.orders();
    orders
        .sync_certificates(&wants(names), at(minute))
        .await
        .unwrap();
}

fn claim_at(minute: i64, home: &str) -> CertificateClaim<'_> {
    CertificateClaim {
        holder: "run/1",
        home,
        also_of: None,
        only: None,
        except_cas: &[],
        now: at(minute),
        lease: SignedDuration::from_mins(5),
    }
}

async fn claim(store: &Subject, minute: i64) -> Option<CertificateLease> {
    let claim = claim_at(minute, HERE);
    store.orders().claim_certificate(&claim).await.unwrap()
}

fn result(fence: &CertificateFence, due_at: Option<Timestamp>) -> CertificateWrite {
    CertificateWrite {
        fence: fence.clone(),
        progress: Progress::default(),
        due_at,
        events: Vec::new(),
        release: true,
    }
}

async fn let_go(store: &Subject, lease: &CertificateLease, due_at: Option<Timestamp>) {
    let write = result(&lease.fence, due_at);
    store.orders().commit_certificate(&write).await.unwrap();
}

async fn due_at(store: &Subject, name: &str) -> Option<Timestamp> {
    let row = store.orders().certificate(name).await.unwrap();
    row.unwrap().due_at
}

pub async fn certificates_are_claimed_in_order_of_due_by_their_directory(store: Subject) {
    want(&store, &["b"], 1).await;
    want(&store, &["a", "b"], 2).await;
    assert_eq!(claim(&store, 0).await, None, "nothing is due yet");
    let next = |home: &'static str| {
        let store = &store;
        async move { store.orders().next_certificate_due(home, None, &[]).await }
    };
    assert_eq!(next(HERE).await.unwrap(), Some(at(1)));
    let first = claim(&store, 5).await.unwrap();
    assert_eq!((first.fence.name.as_str(), first.claims), ("b", 1));
    assert_eq!(first.row.home.as_deref(), Some(HERE));
    let second = claim(&store, 5).await.unwrap();
    assert_eq!(second.fence.name, "a");
    assert_eq!(claim(&store, 5).await, None, "both are leased");
    let_go(&store, &first, Some(at(7))).await;
    let_go(&store, &second, Some(at(6))).await;
    let there = claim_at(9, "there");
    let orders = store.orders();
    assert_eq!(orders.claim_certificate(&there).await.unwrap(), None);
    assert_eq!(next("there").await.unwrap(), None);
    let except = ["swisssign".to_owned()];
    let excepted = CertificateClaim {
        except_cas: &except,
        ..claim_at(9, HERE)
    };
    assert_eq!(orders.claim_certificate(&excepted).await.unwrap(), None);
    let only = ["b".to_owned()];
    let narrowed = CertificateClaim {
        only: Some(&only),
        ..claim_at(9, HERE)
    };
    let narrowed = orders.claim_certificate(&narrowed).await.unwrap().unwrap();
    assert_eq!(narrowed.fence.name, "b");
    assert!(narrowed.fence.epoch > first.fence.epoch);
}

pub async fn a_certificate_woken_during_the_work_is_due_again(store: Subject) {
    want(&store, &["a", "b"], 0).await;
    let [a, b] = [claim(&store, 1).await, claim(&store, 1).await].map(Option::unwrap);
    let names = ["a", "unknown"].map(str::to_owned);
    store
        .orders()
        .wake_certificates(&names, at(2))
        .await
        .unwrap();
    // What is stored meanwhile loses it neither.
    let meanwhile = CertificateWrite {
        release: false,
        ..result(&a.fence, None)
    };
    store.orders().commit_certificate(&meanwhile).await.unwrap();
    let_go(&store, &a, None).await;
    let_go(&store, &b, None).await;
    let again = claim(&store, 3).await.unwrap();
    assert_eq!(again.fence.name, "a");
    assert_eq!(claim(&store, 3).await, None, "the other one was not woken");
    let_go(&store, &again, None).await;
    assert_eq!(claim(&store, 9).await, None, "the wake-up was answered");

    // An earlier moment of the worker counts, a later one does not.
    let woken = ["b".to_owned()];
    store
        .orders()
        .wake_certificates(&woken, at(10))
        .await
        .unwrap();
    let b = claim(&store, 10).await.unwrap();
    store
        .orders()
        .wake_certificates(&woken, at(11))
        .await
        .unwrap();
    let_go(&store, &b, Some(at(10))).await;
    assert_eq!(due_at(&store, "b").await, Some(at(10)));

    // So is one that the configuration changes.
    let b = claim(&store, 12).await.unwrap();
    let mut changed = wants(&["a", "b"]);
    changed[1].ca = "sectigo".to_owned();
    let orders = store.orders();
    orders.sync_certificates(&changed, at(13)).await.unwrap();
    let_go(&store, &b, Some(at(99))).await;
    let b = claim(&store, 13).await.unwrap();
    assert_eq!((b.row.name.as_str(), b.row.ca.as_str()), ("b", "sectigo"));
}

pub async fn a_stale_epoch_of_a_certificate_stores_nothing(store: Subject) {
    want(&store, &["a"], 0).await;
    let old = claim(&store, 1).await.unwrap();
    let_go(&store, &old, Some(at(2))).await;
    let orders = store.orders();
    let event = CertificateEvent {
        at: at(3),
        run: "run".to_owned(),
        certificate: "a".to_owned(),
        kind: "ordered".to_owned(),
        detail: "nul\0".to_owned(),
    };
    let write = CertificateWrite {
        events: vec![event.clone()],
        progress: Progress {
            again: true,
            ..Progress::default()
        },
        ..result(&old.fence, None)
    };
    let lost = |outcome: Result<(), StoreError>| {
        assert!(matches!(outcome, Err(StoreError::CertificateLost(name)) if name == "a"));
    };
    lost(orders.commit_certificate(&write).await);
    let new = claim(&store, 3).await.unwrap();
    lost(orders.commit_certificate(&write).await);
    let lease = SignedDuration::from_mins(5);
    assert!(
        !orders
            .extend_certificate(&old.fence, at(3), lease)
            .await
            .unwrap()
    );
    assert!(
        orders
            .extend_certificate(&new.fence, at(3), lease)
            .await
            .unwrap()
    );
    assert_eq!(orders.certificate_history("a").await.unwrap(), []);
    let write = CertificateWrite {
        fence: new.fence,
        ..write
    };
    orders.commit_certificate(&write).await.unwrap();
    assert!(
        orders
            .certificate("a")
            .await
            .unwrap()
            .unwrap()
            .progress
            .again
    );
    let history = orders.certificate_history("a").await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].at, &history[0].kind), (event.at, &event.kind));
}

pub async fn an_ended_lease_of_a_certificate_is_taken_over(store: Subject) {
    want(&store, &["a"], 0).await;
    let orders = store.orders();
    // It ends when it begins, by whatever clock.
    let short = CertificateClaim {
        lease: SignedDuration::ZERO,
        ..claim_at(1, HERE)
    };
    let old = orders.claim_certificate(&short).await.unwrap().unwrap();
    let new = claim(&store, 2).await.unwrap();
    assert_eq!(new.claims, 2, "the first was never released");
    assert!(new.fence.epoch > old.fence.epoch);
    let late = orders.commit_certificate(&result(&old.fence, None)).await;
    assert!(matches!(late, Err(StoreError::CertificateLost(_))));
    assert_eq!(claim(&store, 2).await, None, "the second lives");
    let_go(&store, &new, Some(at(8))).await;
    assert_eq!(claim(&store, 9).await.unwrap().claims, 1);
}

pub async fn a_certificate_moves_only_under_its_lease(store: Subject) {
    want(&store, &["a"], 0).await;
    let here = claim(&store, 1).await.unwrap();
    let_go(&store, &here, Some(at(2))).await;
    let orders = store.orders();
    let moved = orders.move_certificate(&here.fence, "there").await;
    assert!(matches!(moved, Err(StoreError::CertificateLost(_))));
    let taken = CertificateClaim {
        also_of: Some(HERE),
        ..claim_at(3, "there")
    };
    let lease = orders.claim_certificate(&taken).await.unwrap().unwrap();
    assert_eq!(lease.row.home.as_deref(), Some(HERE), "not by the claim");
    orders
        .move_certificate(&lease.fence, "there")
        .await
        .unwrap();
    let_go(&store, &lease, Some(at(4))).await;
    assert_eq!(claim(&store, 9).await, None);
    let there = claim_at(9, "there");
    assert!(orders.claim_certificate(&there).await.unwrap().is_some());
}

pub async fn certificates_that_are_not_wanted_stay_and_are_due_no_more(store: Subject) {
    want(&store, &["a", "b"], 0).await;
    let lease = claim(&store, 1).await.unwrap();
    let progress = Progress {
        again: true,
        ..Progress::default()
    };
    let write = CertificateWrite {
        progress: progress.clone(),
        ..result(&lease.fence, Some(at(2)))
    };
    store.orders().commit_certificate(&write).await.unwrap();
    want(&store, &["b"], 3).await;
    let row = store.orders().certificate("a").await.unwrap().unwrap();
    assert_eq!(
        (row.wanted, row.due_at, row.progress),
        (false, None, progress)
    );
    assert_eq!(claim(&store, 9).await.unwrap().fence.name, "b");
    want(&store, &["a", "b"], 10).await;
    let row = store.orders().certificate("a").await.unwrap().unwrap();
    assert!(row.wanted && row.progress.again);
    assert_eq!(row.due_at, Some(at(10)));
    let all = store.orders().certificates().await.unwrap();
    let names: Vec<_> = all.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

pub async fn eight_claimers_share_forty_certificates_without_a_double(store: Subject) {
    let names: Vec<String> = (0..40).map(|n| format!("c{n:02}")).collect();
    let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
    want(&store, &borrowed, 0).await;
    let claimers = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            while let Some(lease) = claim(&store, 1).await {
                taken.push(lease.fence.name);
            }
            taken
        })
    });
    let mut taken = Vec::new();
    for claimer in claimers.collect::<Vec<_>>() {
        taken.extend(claimer.await.unwrap());
    }
    taken.sort();
    assert_eq!(taken, names);
}
