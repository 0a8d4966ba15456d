//! The cases of persistent records: which worker works on one, what is kept, what is forgotten.

use super::*;
use crate::persistent::{Kept, KeptHold};
use crate::store::persistent::{
    PersistentClaim, PersistentFence, PersistentLease, PersistentWrite,
};

const ISSUER: &str = "ca.example";

async fn claim(store: &Subject, domain: &str, minute: i64) -> Option<PersistentLease> {
    claim_for(store, domain, minute, SignedDuration::from_mins(5)).await
}

async fn claim_for(
    store: &Subject,
    domain: &str,
    minute: i64,
    lease: SignedDuration,
) -> Option<PersistentLease> {
    let domain = name(domain);
    let claim = PersistentClaim {
        domain: &domain,
        issuer: ISSUER,
        holder: "run/1",
        now: at(minute),
        lease,
    };
    store.claim_persistent(&claim).await.unwrap()
}

/// One row, for copies.
pub(super) async fn fill(store: &Subject) {
    let lease = claim(store, "a.ch", 0).await.unwrap();
    let write = result(&lease.fence, held("it's \u{1f512}"));
    store.commit_persistent(&write).await.unwrap();
}

fn held(words: &str) -> Kept {
    let hold = KeptHold {
        since: at(1),
        kind: "caa".to_owned(),
        words: words.to_owned(),
    };
    Kept {
        hold: Some(hold),
        ..Kept::default()
    }
}

fn result(fence: &PersistentFence, kept: Kept) -> PersistentWrite {
    PersistentWrite {
        fence: fence.clone(),
        kept,
        events: Vec::new(),
        release: true,
        forget: false,
    }
}

pub async fn a_persistent_record_is_one_workers_until_it_lets_go(store: Subject) {
    let first = claim(&store, "a.ch", 0).await.unwrap();
    assert_eq!(first.row.kept, Kept::default());
    assert!(claim(&store, "a.ch", 1).await.is_none());
    assert!(
        claim(&store, "b.ch", 1).await.is_some(),
        "another row is free"
    );
    let event = Event {
        at: at(1),
        run: "run".to_owned(),
        domain: Some(name("a.ch")),
        client: None,
        kind: "held".to_owned(),
        detail: "zero\0byte".to_owned(),
    };
    let write = PersistentWrite {
        events: vec![event],
        ..result(&first.fence, held("why"))
    };
    store.commit_persistent(&write).await.unwrap();
    assert_eq!(store.history(&name("a.ch")).await.unwrap().len(), 1);
    let second = claim(&store, "a.ch", 2).await.unwrap();
    assert_eq!(second.row.kept, held("why"));
    assert_eq!(second.fence.epoch, first.fence.epoch + 1);
    let late = store.commit_persistent(&write).await;
    assert!(
        matches!(late, Err(StoreError::PersistentLost(_))),
        "{late:?}"
    );
    let rows = store.persistent_rows().await.unwrap();
    let rows: Vec<_> = rows.iter().map(|row| row.domain.as_str()).collect();
    assert_eq!(rows, ["a.ch", "b.ch"]);
}

pub async fn an_ended_lease_of_a_persistent_record_is_taken_over(store: Subject) {
    // It ends when it begins, by whatever clock.
    let short = claim_for(&store, "a.ch", 1, SignedDuration::ZERO).await;
    let first = short.unwrap();
    let second = claim(&store, "a.ch", 2).await.unwrap();
    let late = store
        .commit_persistent(&result(&first.fence, held("late")))
        .await;
    assert!(
        matches!(late, Err(StoreError::PersistentLost(_))),
        "{late:?}"
    );
    store
        .commit_persistent(&result(&second.fence, held("good")))
        .await
        .unwrap();
    assert_eq!(store.persistent_rows().await.unwrap()[0].kept, held("good"));
}

pub async fn a_persistent_record_that_is_over_leaves_its_history_only(store: Subject) {
    let lease = claim(&store, "a.ch", 0).await.unwrap();
    let write = PersistentWrite {
        forget: true,
        ..result(&lease.fence, Kept::default())
    };
    store.commit_persistent(&write).await.unwrap();
    assert_eq!(store.persistent_rows().await.unwrap(), []);
    assert!(
        claim(&store, "a.ch", 1).await.is_some(),
        "it may come again"
    );
}
