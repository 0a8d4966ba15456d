//! The cases of several machines on one store, and of copies from one store to another.

use std::sync::Mutex;

use super::*;
use crate::prevalidation::upkeep::{Attempt, Calls};
use crate::store::sqlite::SqliteStore;
use crate::store::{Bucket, Kind, record};

const CALLS: Bucket<'static> = Bucket {
    name: "ca/swisssign",
    per_second: 1.0 / 60.0,
    burst: 2,
};

/// A minute, less the moments that a test takes.
fn is_about(wait: SignedDuration, minutes: i64) -> bool {
    let minutes = SignedDuration::from_mins(minutes);
    wait <= minutes && wait > minutes - SignedDuration::from_secs(50)
}

pub async fn a_bucket_is_one_for_all_and_its_waits_queue_up(store: Subject) {
    let takers: Vec<_> = (0..6)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.take(&CALLS, 1, at(0)).await.unwrap() })
        })
        .collect();
    let mut waits = Vec::new();
    for taker in takers {
        waits.push(taker.await.unwrap());
    }
    waits.sort_unstable();
    assert_eq!(
        waits[..2],
        [SignedDuration::ZERO; 2],
        "as much as the burst at once"
    );
    for (wait, minutes) in waits[2..].iter().zip(1..) {
        assert!(is_about(*wait, minutes), "one a minute: {waits:?}");
    }
    let other = Bucket {
        name: "ca/other",
        ..CALLS
    };
    assert_eq!(
        store.take(&other, 2, at(0)).await.unwrap(),
        SignedDuration::ZERO
    );
    assert!(
        is_about(store.take(&other, 3, at(0)).await.unwrap(), 3),
        "three at once take three minutes"
    );
    store.pass(60).await;
    assert_eq!(
        store.take(&CALLS, 2, at(60)).await.unwrap(),
        SignedDuration::ZERO,
        "a rest fills it"
    );
    assert!(
        is_about(store.take(&CALLS, 1, at(60)).await.unwrap(), 1),
        "and no further than its burst"
    );
}

pub async fn a_bucket_far_ahead_is_the_trace_of_a_wrong_clock(store: Subject) {
    let year = 365 * 24 * 60;
    store.pass(year).await;
    store.take(&CALLS, 2, at(year)).await.unwrap();
    store.pass(-year).await;
    let wait = store.take(&CALLS, 1, at(0)).await.unwrap();
    assert!(wait <= SignedDuration::from_mins(1), "{wait}");
}

/// Every kind of row, with what is odd about each.
async fn fill(store: &Subject) {
    due(store, &["a.ch", "b.ch", "xn--bcher-kva.ch"]).await;
    store
        .want(
            Origin::Added,
            &[
                wanted("b.ch", "swisssign/a"),
                wanted("unread.ch", "swisssign/b"),
            ],
            at(1),
        )
        .await
        .unwrap();
    store
        .unwant(Origin::Config, &[key("b.ch")], at(2))
        .await
        .unwrap();
    store
        .record_listing("swisssign/a", &[unchanged("b.ch", at(5))], at(4))
        .await
        .unwrap();
    let leases = store.claim(&claim_of(10, 9)).await.unwrap();
    let closed = LedgerEntry {
        state: LedgerState::Removed,
        ..entry("a.ch", "v=8")
    };
    let mut upkeep = Upkeep {
        attempt: Attempt {
            value: Some("v=\"\u{1f512}\\".to_owned()),
            ..Attempt::default()
        },
        ..Upkeep::default()
    };
    upkeep.calls.begin(Effect::Validate, at(8));
    let kept = Write {
        upkeep,
        at_risk: Some(true),
        ledger: vec![
            entry("a.ch", "v=7"),
            closed,
            LedgerEntry {
                id: -4,
                ..entry("a.ch", "v=9")
            },
        ],
        events: ["published", "visible"]
            .map(|kind| event("a.ch", 10, kind))
            .to_vec(),
        effect: Some(EffectMark {
            at: at(10),
            retry: true,
        }),
        release: false,
        ..write(&leases[0].fence)
    };
    store.commit(&[kept]).await.unwrap().remove(0).unwrap();
    store
        .wake(&[key("xn--bcher-kva.ch")], at(11))
        .await
        .unwrap();
    store
        .set_fact("reset endangers", "'quoted' \u{1f512}\n")
        .await
        .unwrap();
    let many: Vec<_> = (0..record::PAGE + 3)
        .map(|n| Event {
            detail: n.to_string(),
            ..event("b.ch", 3, "checked")
        })
        .collect();
    store.note(&many).await.unwrap();
    store
        .note(&[Event {
            domain: None,
            ..event("b.ch", 12, "run_started")
        }])
        .await
        .unwrap();
    store
        .receive("pipeline", "m-1", &[0, 255], &[], at(13))
        .await
        .unwrap();
    store
        .claim_notice("held a.ch", None, "told 'it'", at(13))
        .await
        .unwrap();
    persistent::fill(store).await;
}

async fn contents(store: &Subject) -> Vec<record::Content> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        all.push(record::content(&**store, kind).await.unwrap());
    }
    all
}

async fn memory() -> Subject {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open("sqlite::memory:", None).await.unwrap());
    store.into()
}

pub async fn a_copy_is_the_same_and_goes_only_where_nothing_is(store: Subject) {
    let source = memory().await;
    fill(&source).await;
    let told = Mutex::new(Vec::new());
    let tell = |kind: Kind, rows: usize| told.lock().unwrap().push((kind, rows));
    store.restore(&*source, &Kind::ALL, &tell).await.unwrap();
    let expected = contents(&source).await;
    assert_eq!(contents(&store).await, expected);
    let rows: Vec<u64> = expected.iter().map(|content| content.rows).collect();
    let page = record::PAGE as u64;
    assert_eq!(rows, [4, 1, 3, 1, 1, page + 6, 1, 1, 0, 0, 1]);
    let told: u64 = told
        .lock()
        .unwrap()
        .iter()
        .map(|(_, rows)| *rows as u64)
        .sum();
    assert_eq!(told, rows.iter().sum::<u64>());
    assert_eq!(
        store.domains().await.unwrap(),
        source.domains().await.unwrap()
    );
    assert_eq!(
        store.history(&name("b.ch")).await.unwrap(),
        source.history(&name("b.ch")).await.unwrap()
    );

    let back = memory().await;
    back.restore(&*store, &Kind::ALL, &|_, _| {}).await.unwrap();
    assert_eq!(contents(&back).await, expected);

    let refused = store.restore(&*source, &Kind::ALL, &|_, _| {}).await;
    assert!(
        matches!(&refused, Err(StoreError::Unfit { message, .. }) if message.contains("not empty")),
        "{refused:?}"
    );
    assert_eq!(contents(&store).await, expected);
}

pub async fn a_copy_keeps_epochs_and_drops_leases(store: Subject) {
    let source = memory().await;
    fill(&source).await;
    store
        .restore(&*source, &Kind::ALL, &|_, _| {})
        .await
        .unwrap();
    let leases = store
        .claim(&Claim {
            only: Some(&[key("a.ch")]),
            ..claim_of(900, 9)
        })
        .await
        .unwrap();
    assert_eq!(
        (leases[0].fence.epoch, leases[0].claims),
        (2, 2),
        "the former lease is fenced out, and its claim counts"
    );
    assert_eq!(
        leases[0].ledger,
        source.open_entries(Some(&key("a.ch"))).await.unwrap()
    );
    store.note(&[event("a.ch", 13, "held")]).await.unwrap();
    let kinds: Vec<_> = store
        .history(&name("a.ch"))
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.kind)
        .collect();
    assert_eq!(
        kinds,
        ["published", "visible", "held"],
        "what comes after comes behind"
    );
}

pub async fn a_zero_byte_in_foreign_text_spoils_nothing(store: Subject) {
    due(&store, &["a.ch"]).await;
    let said = "before\0behind".to_owned();
    let Sighting::Present(registration) = registered("a.ch") else {
        unreachable!()
    };
    let sighting = Sighting::Present(Registration {
        last_words: Some(said.clone()),
        ..registration
    });
    store
        .record_listing(
            "swisssign/a",
            &[Seen {
                changed: Some(Box::new(sighting.clone())),
                ..seen("a.ch", at(1))
            }],
            at(1),
        )
        .await
        .unwrap();
    assert_eq!(store.domains().await.unwrap()[0].sighting, sighting);
    store
        .note(&[Event {
            detail: said.clone(),
            ..event("a.ch", 1, "failed")
        }])
        .await
        .unwrap();
    assert_eq!(
        store.history(&name("a.ch")).await.unwrap()[0].detail,
        "before\u{fffd}behind"
    );
    store.set_fact("refused", &said).await.unwrap();
    assert!(
        store
            .fact("refused")
            .await
            .unwrap()
            .unwrap()
            .ends_with("behind")
    );
    let lease = store.claim(&claim_of(9, 1)).await.unwrap().remove(0);
    let mut upkeep = lease.row.upkeep;
    upkeep.foreign.values = Some(vec![said.clone()]);
    upkeep.setback.last_error = Some(said);
    let effects = vec![at(1)];
    upkeep.calls.made.clone_from(&effects);
    let told = Write {
        upkeep,
        ..write(&lease.fence)
    };
    assert!(store.commit(&[told]).await.unwrap()[0].is_ok());
    memory()
        .await
        .restore(&*store, &Kind::ALL, &|_, _| {})
        .await
        .unwrap();
    store
        .sync_inventory(Origin::Config, &[wanted("a.ch", "swisssign/b")], at(10))
        .await
        .unwrap();
    assert_eq!(
        store.domains().await.unwrap()[0].upkeep,
        Upkeep {
            calls: Calls {
                made: effects,
                ..Calls::default()
            },
            ..Upkeep::default()
        }
    );
}
