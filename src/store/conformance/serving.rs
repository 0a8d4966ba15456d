//! The cases of a daemon: when to list and what comes next, messages of hooks, notices.

use super::*;
use crate::store::NoticeRecord;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

pub async fn the_next_due_is_the_earliest_that_a_claim_could_be_for(store: Subject) {
    assert_eq!(store.next_due(None, &[]).await.unwrap(), None);
    due(&store, &["a.ch", "b.ch"]).await;
    store
        .want(
            Origin::Config,
            &[
                wanted("x.ch", "swisssign/b"),
                wanted("unread.ch", "swisssign/b"),
            ],
            at(0),
        )
        .await
        .unwrap();
    store
        .record_listing("swisssign/b", &[seen("x.ch", at(9))], at(0))
        .await
        .unwrap();
    let next = async |only: Option<&[RowKey]>, except: &[&str]| {
        let except: Vec<String> = except.iter().map(|&client| client.to_owned()).collect();
        store.next_due(only, &except).await.unwrap()
    };
    assert_eq!(next(None, &[]).await, Some(at(1)));
    assert_eq!(next(None, &["swisssign/a"]).await, Some(at(9)));
    assert_eq!(
        next(Some(&[key("b.ch"), key("unknown.ch")]), &[]).await,
        Some(at(2))
    );
    assert_eq!(next(Some(&[key("b.ch")]), &["swisssign/a"]).await, None);
    assert_eq!(next(Some(&[key("unread.ch")]), &[]).await, None);
    assert_eq!(next(Some(&[]), &[]).await, None);
    let lease = claim_one(&store, 10).await;
    assert_eq!(next(None, &[]).await, Some(at(1)), "its holder may die");
    store
        .commit(&[Write {
            due_at: None,
            ..write(&lease.fence)
        }])
        .await
        .unwrap();
    assert_eq!(next(None, &[]).await, Some(at(2)));
}

pub async fn pages_of_domains_come_by_name_and_miss_none(store: Subject) {
    // By their octets, whatever a collation makes of hyphens, digits and dots.
    due(&store, &["b.ch", "a.ch", "a-b.ch", "a.b.ch", "1a.ch"]).await;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.domains_after(after.as_ref(), 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        found.extend(page);
    }
    assert_eq!(found, store.domains().await.unwrap());
    assert_eq!(found.len(), 5);
    let behind: Vec<_> = store.domains_after(Some(&key("a.bb.ch")), 9).await.unwrap();
    assert_eq!(
        behind
            .iter()
            .map(|row| row.domain.as_str())
            .collect::<Vec<_>>(),
        ["a.ch", "b.ch"]
    );
}

pub async fn one_of_many_lists_a_client_and_the_others_are_told_when(store: Subject) {
    let ask = |holder: String, minute: i64| {
        let store = store.clone();
        async move {
            store
                .claim_listing("swisssign/a", &holder, HOUR, FIVE, at(minute))
                .await
                .unwrap()
        }
    };
    let askers: Vec<_> = (0..6)
        .map(|n| tokio::spawn(ask(n.to_string(), 0)))
        .collect();
    let (mut going, mut waiting) = (Vec::new(), Vec::new());
    for (n, asker) in askers.into_iter().enumerate() {
        match asker.await.unwrap() {
            None => going.push(n.to_string()),
            Some(until) => waiting.push(until),
        }
    }
    assert_eq!(going.len(), 1, "{waiting:?}");
    assert!(
        waiting
            .iter()
            .all(|&until| at(0) < until && until <= at(0) + FIVE),
        "{waiting:?}"
    );
    assert_eq!(
        ask(going.remove(0), 1).await,
        None,
        "the turn stays where it is"
    );
    let listed = store.record_listing("swisssign/a", &[], at(2));
    listed.await.unwrap();
    assert_eq!(ask("other".to_owned(), 3).await, Some(at(2) + HOUR));
    assert_eq!(
        ask("late".to_owned(), 1).await,
        Some(at(2) + HOUR),
        "it was made while a process was about to ask"
    );
    let at_once = store
        .claim_listing("swisssign/a", "other", SignedDuration::ZERO, FIVE, at(3))
        .await
        .unwrap();
    assert_eq!(at_once, None, "a person does not wait for the hour");
    let wait = store
        .claim_listing("swisssign/a", "third", SignedDuration::ZERO, FIVE, at(4))
        .await
        .unwrap();
    assert!(
        wait.is_some_and(|until| until <= at(4) + FIVE),
        "but for the one that is listing already: {wait:?}"
    );
    assert_eq!(
        store
            .claim_listing("swisssign/b", "third", HOUR, FIVE, at(3))
            .await
            .unwrap(),
        None
    );
}

pub async fn a_turn_ends_with_its_lease_and_a_wrong_clock_delays_none(store: Subject) {
    let ask = async |holder: &str, minute: i64| {
        store
            .claim_listing("swisssign/a", holder, HOUR, FIVE, at(minute))
            .await
            .unwrap()
    };
    assert_eq!(ask("dies", 0).await, None);
    assert!(ask("other", 1).await.is_some());
    store.pass(6).await;
    assert_eq!(ask("other", 6).await, None);
    assert!(ask("dies", 7).await.is_some(), "its turn is over");
    store
        .record_listing("swisssign/a", &[], at(365 * 24 * 60))
        .await
        .unwrap();
    assert_eq!(ask("third", 8).await, None, "a listing a year ahead");
}

pub async fn a_message_is_new_once_and_its_domains_are_woken(store: Subject) {
    due(&store, &["a.ch", "b.ch"]).await;
    let settle = async |minute: i64| {
        let leases = store.claim(&claim_of(minute, 9)).await.unwrap();
        store
            .commit(
                &leases
                    .iter()
                    .map(|lease| write(&lease.fence))
                    .collect::<Vec<_>>(),
            )
            .await
            .unwrap();
        names(&leases).join(" ")
    };
    assert_eq!(settle(10).await, "a.ch b.ch");
    let concerned = [key("b.ch"), key("unknown.ch")];
    let receive = async |key: &str, id: &str, digest: &[u8], minute: i64| {
        store
            .receive(key, id, digest, &concerned, at(minute))
            .await
            .unwrap()
    };
    assert_eq!(receive("pipeline", "m-1", b"one", 11).await, Received::New);
    assert_eq!(settle(11).await, "b.ch");
    assert_eq!(
        receive("pipeline", "m-1", b"one", 12).await,
        Received::Again
    );
    assert_eq!(
        settle(12).await,
        "b.ch",
        "a sender that repeats may not know that it was heard"
    );
    assert_eq!(
        receive("pipeline", "m-1", b"two", 13).await,
        Received::Other
    );
    assert_eq!(settle(13).await, "", "nothing was done");
    assert_eq!(
        receive("pipeline", "m-1", b"one", 14).await,
        Received::Again,
        "the first one stays"
    );
    assert_eq!(
        receive("another", "m-1", b"two", 14).await,
        Received::New,
        "each key has its own ids"
    );
    assert_eq!(store.domain(&key("unknown.ch")).await.unwrap(), None);
}

pub async fn a_message_sent_to_many_at_once_is_new_to_one(store: Subject) {
    due(&store, &["a.ch", "b.ch"]).await;
    let receivers: Vec<_> = (0..8)
        .map(|n| {
            let store = store.clone();
            // Domains in two orders, digests in two kinds.
            let (concerned, digest) = match n % 4 {
                0 => ([key("a.ch"), key("b.ch")], b"one"),
                1 => ([key("b.ch"), key("a.ch")], b"one"),
                _ => ([key("a.ch"), key("b.ch")], b"two"),
            };
            tokio::spawn(async move {
                store
                    .receive("pipeline", "m-1", digest, &concerned, at(5))
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for receiver in receivers {
        outcomes.push(receiver.await.unwrap());
    }
    let count = |which| outcomes.iter().filter(|&&outcome| outcome == which).count();
    assert_eq!(
        (
            count(Received::New),
            count(Received::Again),
            count(Received::Other)
        ),
        (1, 3, 4),
        "{outcomes:?}"
    );
}

pub async fn a_notice_moves_once_from_each_state(store: Subject) {
    let movers: Vec<_> = (0..6)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .claim_notice("held a.ch", None, "told", at(1))
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut moved = 0;
    for mover in movers {
        moved += usize::from(mover.await.unwrap());
    }
    assert_eq!(moved, 1);
    let record = |state: &str, since| NoticeRecord {
        key: "held a.ch".to_owned(),
        state: state.to_owned(),
        since,
    };
    assert_eq!(
        store.notice_records().await.unwrap(),
        [record("told", at(1))]
    );
    assert!(
        !store
            .claim_notice("held a.ch", Some("over"), "told", at(2))
            .await
            .unwrap()
    );
    assert!(
        !store
            .claim_notice("held b.ch", Some("told"), "over", at(2))
            .await
            .unwrap(),
        "it is not there"
    );
    assert!(
        store
            .claim_notice("held a.ch", Some("told"), "over", at(3))
            .await
            .unwrap()
    );
    assert!(
        !store
            .claim_notice("held a.ch", Some("told"), "over", at(4))
            .await
            .unwrap()
    );
    assert_eq!(
        store.notice_records().await.unwrap(),
        [record("over", at(3))]
    );
}
