//! What every back end of [`Store`] must do, as cases over a fresh, empty store.
//! [`store_conformance!`](crate::store_conformance) makes one test of each. Those of a fleet, and
//! copies, are in [`fleet`], what only a daemon asks for in [`serving`], certificates in
//! [`orders`].
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "cases of a test suite"
)]

pub mod fleet;
pub mod orders;
pub mod persistent;
pub mod serving;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

use super::{
    Claim, EffectCount, EffectMark, Event, Fence, KEPT_DAYS, Lease, MESSAGE_DAYS, Origin, Received,
    Seen, Store, StoreError, Wanted, Write,
};
use crate::prevalidation::upkeep::{Attempt, Setback, Visibility};
use crate::prevalidation::{
    DomainName, Effect, LedgerEntry, LedgerState, Proof, RecordType, Registration, RowKey,
    Sighting, Status, Token, Upkeep,
};

/// One `#[tokio::test]` per case; `$fresh` is an async expression that gives what keeps an empty
/// database alive, and a [`Subject`] on it, or an `Arc<dyn Store>` that goes by the time it is
/// reported.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance {
    ($fresh:expr) => {
        $crate::store_conformance!(@ $fresh;
            claims_come_in_order_of_due_and_only_when_due
            eight_claimers_share_four_hundred_rows_without_a_double
            a_stale_epoch_is_refused_and_the_others_pass
            an_ended_lease_is_taken_over_and_fences_its_holder_out
            a_released_lease_writes_no_more
            an_extended_lease_lasts_longer_and_a_lost_one_is_named
            claims_without_a_release_are_counted
            only_and_except_narrow_a_claim
            a_listing_skips_leased_rows_and_later_reads
            an_unchanged_listing_moves_read_at_alone
            a_listing_counts_only_for_what_it_showed
            a_change_fences_out_the_holder_of_an_ended_lease
            a_wake_up_during_the_work_is_not_lost
            risk_slots_hold_under_concurrency
            the_ledger_opens_once_and_closes
            a_ledger_entry_of_another_domain_spoils_the_commit
            the_ledger_keeps_records_of_both_types_at_any_name
            two_origins_want_independently
            a_domain_has_a_row_for_each_of_its_clients
            rows_of_one_domain_are_worked_on_side_by_side
            one_record_of_two_rows_has_an_entry_for_each
            a_client_change_forgets_what_was_read
            everything_written_comes_back
            history_keeps_its_order
            effects_are_counted_in_their_window
            facts_and_listings_are_remembered
            retention_forgets_only_what_is_old_and_closed
            a_bucket_is_one_for_all_and_its_waits_queue_up
            a_bucket_far_ahead_is_the_trace_of_a_wrong_clock
            a_copy_is_the_same_and_goes_only_where_nothing_is
            a_copy_keeps_epochs_and_drops_leases
            a_zero_byte_in_foreign_text_spoils_nothing
            the_next_due_is_the_earliest_that_a_claim_could_be_for
            pages_of_domains_come_by_name_and_miss_none
            one_of_many_lists_a_client_and_the_others_are_told_when
            a_turn_ends_with_its_lease_and_a_wrong_clock_delays_none
            a_message_is_new_once_and_its_domains_are_woken
            a_message_sent_to_many_at_once_is_new_to_one
            a_notice_moves_once_from_each_state
            certificates_are_claimed_in_order_of_due_by_their_directory
            a_certificate_woken_during_the_work_is_due_again
            a_stale_epoch_of_a_certificate_stores_nothing
            an_ended_lease_of_a_certificate_is_taken_over
            a_certificate_moves_only_under_its_lease
            certificates_that_are_not_wanted_stay_and_are_due_no_more
            eight_claimers_share_forty_certificates_without_a_double
            a_persistent_record_is_one_workers_until_it_lets_go
            an_ended_lease_of_a_persistent_record_is_taken_over
            a_persistent_record_that_is_over_leaves_its_history_only
        );
    };
    (@ $fresh:expr; $($case:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let (_guard, store) = $fresh.await;
            $crate::store::conformance::$case($crate::store::conformance::Subject::from(store)).await;
        })*
    };
}

pub use fleet::*;
pub use orders::*;
pub use persistent::*;
pub use serving::*;

/// A store, and a way to let time pass for its leases and buckets.
#[derive(Clone)]
pub struct Subject {
    store: Arc<dyn Store>,
    pass: Arc<Pass>,
}

type Pass = dyn Fn(SignedDuration) -> BoxFuture<'static, ()> + Send + Sync;

impl Subject {
    /// A store with a clock of its own, which `pass` moves on.
    pub fn by_own_clock(store: Arc<dyn Store>, pass: Arc<Pass>) -> Self {
        Self { store, pass }
    }

    /// Lets time pass.
    pub async fn pass(&self, minutes: i64) {
        (self.pass)(SignedDuration::from_mins(minutes)).await;
    }
}

impl From<Arc<dyn Store>> for Subject {
    fn from(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            pass: Arc::new(|_| Box::pin(async {})),
        }
    }
}

impl Deref for Subject {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

/// A moment that no test depends on, with microseconds.
pub fn at(minutes: i64) -> Timestamp {
    Timestamp::from_microsecond(1_795_305_600_000_001).unwrap() + SignedDuration::from_mins(minutes)
}

pub fn name(text: &str) -> DomainName {
    DomainName::from_a_labels(text).unwrap()
}

/// The key of the row of a domain's first client.
pub fn key(text: &str) -> RowKey {
    RowKey::from(name(text))
}

pub fn wanted(domain: &str, client: &str) -> Wanted {
    Wanted {
        domain: name(domain),
        client: client.into(),
        ca: client.split('/').next().unwrap().into(),
        provider: Some("zones".into()),
    }
}

pub fn registered(domain: &str) -> Sighting {
    Sighting::Present(Registration {
        reference: format!("cld-{domain}"),
        domain: name(domain),
        status: Status::Valid,
        proof: Some(Box::new(Proof {
            validated_at: Some(at(-9)),
            expires_at: Some(at(9999)),
            method: Some("cabdns".to_owned()),
            first_seen: None,
            ends: Default::default(),
        })),
        token: Some(Box::new(Token {
            value: "swiss-pki=abcdefghijklmnop".to_owned(),
            created_at: Some(at(-10)),
            expires_at: None,
            expired: false,
        })),
        remembered: false,
        is_summary: false,
        challenge: None,
        order: None,
        last_words: Some("ok \"quoted\"\n".to_owned()),
        doubt: None,
    })
}

pub fn seen(domain: &str, due_at: Timestamp) -> Seen {
    Seen {
        key: key(domain),
        changed: Some(Box::new(registered(domain))),
        due_at: Some(due_at),
    }
}

fn unchanged(domain: &str, due_at: Timestamp) -> Seen {
    Seen {
        changed: None,
        ..seen(domain, due_at)
    }
}

fn claim_of(minute: i64, limit: usize) -> Claim<'static> {
    Claim {
        holder: "host/1",
        now: at(minute),
        lease: FIVE,
        limit,
        only: None,
        except_clients: &[],
    }
}

const FIVE: SignedDuration = SignedDuration::from_mins(5);

fn write(fence: &Fence) -> Write {
    Write {
        fence: fence.clone(),
        sighting: None,
        upkeep: Upkeep {
            attempt: Attempt {
                visibility: Visibility {
                    checks: 7,
                    ..Visibility::default()
                },
                ..Attempt::default()
            },
            ..Upkeep::default()
        },
        due_at: Some(at(600)),
        at_risk: None,
        ledger: Vec::new(),
        events: Vec::new(),
        effect: None,
        release: true,
    }
}

/// An entry whose id follows from its value: `v=3` is 3.
fn entry(owner: &str, value: &str) -> LedgerEntry {
    LedgerEntry {
        id: value.trim_start_matches("v=").parse().unwrap_or(99),
        key: key(owner),
        owner: owner.to_owned(),
        kind: RecordType::Txt,
        value: value.to_owned(),
        provider: "zones".to_owned(),
        zone: None,
        state: LedgerState::Intended,
        ttl_before: Some(3600),
        negative_ttl: Some(300),
        created_at: at(0),
        published_at: None,
        removal_tries: 0,
        retry_at: None,
    }
}

fn event(domain: &str, minute: i64, kind: &str) -> Event {
    Event {
        at: at(minute),
        run: "r1".to_owned(),
        domain: Some(name(domain)),
        client: Some("swisssign/a".to_owned()),
        kind: kind.to_owned(),
        detail: "said \u{fc}".to_owned(),
    }
}

/// Wants the domains at client `swisssign/a`, seen at minute 0 and due at minute 1, 2, 3, … in the
/// order given.
async fn due(store: &Subject, domains: &[&str]) {
    let wants: Vec<_> = domains.iter().map(|d| wanted(d, "swisssign/a")).collect();
    store.want(Origin::Config, &wants, at(0)).await.unwrap();
    let listing: Vec<_> = (1..)
        .zip(domains)
        .map(|(minute, d)| seen(d, at(minute)))
        .collect();
    store
        .record_listing("swisssign/a", &listing, at(0))
        .await
        .unwrap();
}

async fn claim_one(store: &Subject, minute: i64) -> Lease {
    let mut leases = store.claim(&claim_of(minute, 1)).await.unwrap();
    assert_eq!(leases.len(), 1);
    leases.remove(0)
}

fn names(leases: &[Lease]) -> Vec<&str> {
    leases
        .iter()
        .map(|lease| lease.fence.domain.as_str())
        .collect()
}

fn is_lost(outcome: &Result<(), StoreError>) -> bool {
    matches!(outcome, Err(StoreError::LeaseLost(_)))
}

pub async fn claims_come_in_order_of_due_and_only_when_due(store: Subject) {
    due(&store, &["c.ch", "a.ch", "b.ch", "d.ch"]).await;
    store
        .want(
            Origin::Config,
            &[wanted("never-listed.ch", "swisssign/a")],
            at(0),
        )
        .await
        .unwrap();
    assert!(store.claim(&claim_of(0, 9)).await.unwrap().is_empty());
    assert_eq!(
        names(&store.claim(&claim_of(3, 2)).await.unwrap()),
        ["c.ch", "a.ch"]
    );
    assert_eq!(
        names(&store.claim(&claim_of(3, 9)).await.unwrap()),
        ["b.ch"]
    );
}

pub async fn eight_claimers_share_four_hundred_rows_without_a_double(store: Subject) {
    let domains: Vec<String> = (0..400).map(|n| format!("d{n}.ch")).collect();
    due(
        &store,
        &domains.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    let claimers: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let leases = store.claim(&claim_of(1000, 7)).await.unwrap();
                    if leases.is_empty() {
                        return mine;
                    }
                    mine.extend(leases);
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), 400);
    assert_eq!(names(&all).into_iter().collect::<BTreeSet<_>>().len(), 400);
    assert!(all.iter().all(|lease| lease.fence.epoch == 1));
}

pub async fn a_stale_epoch_is_refused_and_the_others_pass(store: Subject) {
    due(&store, &["a.ch", "b.ch"]).await;
    let leases = store.claim(&claim_of(10, 2)).await.unwrap();
    let stale = Fence {
        epoch: leases[0].fence.epoch - 1,
        ..leases[0].fence.clone()
    };
    let refused = Write {
        ledger: vec![entry("a.ch", "v=stale")],
        events: vec![event("a.ch", 10, "published")],
        effect: Some(EffectMark {
            at: at(10),
            retry: false,
        }),
        ..write(&stale)
    };
    let outcomes = store
        .commit(&[refused, write(&leases[1].fence)])
        .await
        .unwrap();
    assert!(is_lost(&outcomes[0]) && outcomes[1].is_ok());
    assert_eq!(
        store.domain(&key("a.ch")).await.unwrap().unwrap().upkeep,
        Upkeep::default()
    );
    assert_eq!(
        store
            .domain(&key("b.ch"))
            .await
            .unwrap()
            .unwrap()
            .upkeep
            .attempt
            .visibility
            .checks,
        7
    );
    assert!(store.open_entries(None).await.unwrap().is_empty());
    assert!(store.history(&name("a.ch")).await.unwrap().is_empty());
    assert_eq!(
        store.effects_since(at(0)).await.unwrap(),
        EffectCount::default()
    );
}

pub async fn an_ended_lease_is_taken_over_and_fences_its_holder_out(store: Subject) {
    due(&store, &["a.ch"]).await;
    let first = claim_one(&store, 10).await;
    store.pass(4).await;
    assert!(
        store.claim(&claim_of(14, 1)).await.unwrap().is_empty(),
        "the lease still lives"
    );
    store.pass(1).await;
    let second = claim_one(&store, 15).await;
    assert_eq!(second.fence.epoch, first.fence.epoch + 1);
    assert!(is_lost(
        &store.commit(&[write(&first.fence)]).await.unwrap()[0]
    ));
    assert!(matches!(
        store.take_risk_slot(&first.fence, "swisssign/a", 9).await,
        Err(StoreError::LeaseLost(_))
    ));
    assert!(store.commit(&[write(&second.fence)]).await.unwrap()[0].is_ok());
}

pub async fn a_released_lease_writes_no_more(store: Subject) {
    due(&store, &["a.ch"]).await;
    let lease = claim_one(&store, 10).await;
    let kept = Write {
        release: false,
        ..write(&lease.fence)
    };
    let outcomes = store
        .commit(&[kept.clone(), write(&lease.fence), kept])
        .await
        .unwrap();
    assert!(outcomes[0].is_ok() && outcomes[1].is_ok() && is_lost(&outcomes[2]));
    assert_eq!(
        store
            .extend(std::slice::from_ref(&lease.fence), at(10), FIVE)
            .await
            .unwrap(),
        [key("a.ch")]
    );
}

pub async fn an_extended_lease_lasts_longer_and_a_lost_one_is_named(store: Subject) {
    due(&store, &["a.ch", "b.ch"]).await;
    let leases = store.claim(&claim_of(10, 2)).await.unwrap();
    let unknown = Fence {
        key: key("unknown.ch"),
        domain: name("unknown.ch"),
        epoch: 1,
    };
    let lost = store
        .extend(&[leases[0].fence.clone(), unknown], at(10), 4 * FIVE)
        .await
        .unwrap();
    assert_eq!(lost, [key("unknown.ch")]);
    store.pass(10).await;
    assert_eq!(
        names(&store.claim(&claim_of(20, 9)).await.unwrap()),
        ["b.ch"]
    );
}

pub async fn claims_without_a_release_are_counted(store: Subject) {
    due(&store, &["a.ch"]).await;
    for (claims, minute) in [(1, 10), (2, 20), (3, 30)] {
        let lease = claim_one(&store, minute).await;
        assert_eq!(lease.claims, claims);
        store
            .commit(&[Write {
                release: claims == 3,
                due_at: Some(at(1)),
                ..write(&lease.fence)
            }])
            .await
            .unwrap();
        store.pass(10).await;
    }
    assert_eq!(claim_one(&store, 40).await.claims, 1);
}

pub async fn only_and_except_narrow_a_claim(store: Subject) {
    due(&store, &["a.ch", "b.ch"]).await;
    store
        .want(Origin::Config, &[wanted("x.ch", "swisssign/b")], at(0))
        .await
        .unwrap();
    store
        .record_listing("swisssign/b", &[seen("x.ch", at(1))], at(0))
        .await
        .unwrap();
    let only = [key("b.ch"), key("unknown.ch")];
    let claimed = store
        .claim(&Claim {
            only: Some(&only),
            ..claim_of(10, 9)
        })
        .await
        .unwrap();
    assert_eq!(names(&claimed), ["b.ch"]);
    assert!(
        store
            .claim(&Claim {
                only: Some(&[]),
                ..claim_of(10, 9)
            })
            .await
            .unwrap()
            .is_empty()
    );
    let except = ["swisssign/a".to_owned()];
    let claimed = store
        .claim(&Claim {
            except_clients: &except,
            ..claim_of(10, 9)
        })
        .await
        .unwrap();
    assert_eq!(names(&claimed), ["x.ch"]);
}

pub async fn a_listing_skips_leased_rows_and_later_reads(store: Subject) {
    due(&store, &["leased.ch", "read.ch"]).await;
    let leases = store.claim(&claim_of(10, 2)).await.unwrap();
    let read = Write {
        sighting: Some((registered("read.ch"), at(13))),
        ..write(&leases[1].fence)
    };
    assert!(store.commit(&[read]).await.unwrap()[0].is_ok());
    // This list began before the read above and ends only now.
    let listing = ["leased.ch", "read.ch"].map(|d| Seen {
        changed: Some(Box::new(Sighting::Absent)),
        ..seen(d, at(50))
    });
    store
        .record_listing("swisssign/a", &listing, at(12))
        .await
        .unwrap();
    let rows = store.domains().await.unwrap();
    assert_eq!(rows[0].sighting, registered("leased.ch"));
    assert_eq!(
        (rows[0].read_at, rows[0].due_at),
        (Some(at(0)), Some(at(1))),
        "its holder knows better"
    );
    assert_eq!(rows[1].sighting, registered("read.ch"));
    assert_eq!(
        (rows[1].read_at, rows[1].due_at),
        (Some(at(13)), Some(at(600)))
    );
    assert!(
        store.commit(&[write(&leases[0].fence)]).await.unwrap()[0].is_ok(),
        "the lease lives on"
    );
}

pub async fn an_unchanged_listing_moves_read_at_alone(store: Subject) {
    due(&store, &["a.ch"]).await;
    let before = store.domains().await.unwrap().remove(0);
    assert_eq!(before.read_at, Some(at(0)));
    let listing = Seen {
        due_at: None,
        ..unchanged("a.ch", at(1))
    };
    store
        .record_listing("swisssign/a", &[listing], at(60))
        .await
        .unwrap();
    let after = store.domains().await.unwrap().remove(0);
    assert_eq!(after.read_at, Some(at(60)));
    assert_eq!(
        (after.sighting, after.due_at),
        (before.sighting, before.due_at)
    );
    store
        .record_listing("swisssign/a", &[unchanged("a.ch", at(90))], at(61))
        .await
        .unwrap();
    assert_eq!(store.domains().await.unwrap()[0].due_at, Some(at(90)));
}

pub async fn a_listing_counts_only_for_what_it_showed(store: Subject) {
    due(&store, &["a.ch", "b.ch"]).await;
    store
        .want(
            Origin::Config,
            &[
                wanted("new.ch", "swisssign/a"),
                wanted("x.ch", "swisssign/b"),
            ],
            at(1),
        )
        .await
        .unwrap();
    let listing = [
        unchanged("a.ch", at(1)),
        seen("x.ch", at(1)),
        seen("unmanaged.ch", at(1)),
    ];
    store
        .record_listing("swisssign/a", &listing, at(60))
        .await
        .unwrap();
    let read: Vec<_> = store
        .domains()
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.domain.to_string(), row.read_at))
        .collect();
    let expected = [
        ("a.ch", Some(at(60))),
        ("b.ch", Some(at(0))),
        ("new.ch", None),
        ("x.ch", None),
    ];
    assert_eq!(read, expected.map(|(name, read)| (name.to_owned(), read)));
}

pub async fn a_change_fences_out_the_holder_of_an_ended_lease(store: Subject) {
    due(&store, &["a.ch"]).await;
    let asleep = claim_one(&store, 10).await;
    store.pass(6).await;
    store
        .record_listing(
            "swisssign/a",
            &[Seen {
                changed: Some(Box::new(Sighting::Absent)),
                ..seen("a.ch", at(20))
            }],
            at(16),
        )
        .await
        .unwrap();
    assert!(is_lost(
        &store.commit(&[write(&asleep.fence)]).await.unwrap()[0]
    ));
    assert_eq!(store.domains().await.unwrap()[0].sighting, Sighting::Absent);
}

pub async fn a_wake_up_during_the_work_is_not_lost(store: Subject) {
    due(&store, &["a.ch", "b.ch"]).await;
    let leases = store.claim(&claim_of(10, 2)).await.unwrap();
    store
        .wake(&[key("a.ch"), key("unknown.ch")], at(11))
        .await
        .unwrap();
    store
        .commit(
            &leases
                .iter()
                .map(|lease| write(&lease.fence))
                .collect::<Vec<_>>(),
        )
        .await
        .unwrap();
    let again = claim_one(&store, 12).await;
    assert_eq!(again.fence.domain, name("a.ch"));
    store.commit(&[write(&again.fence)]).await.unwrap();
    assert!(
        store.claim(&claim_of(12, 9)).await.unwrap().is_empty(),
        "the wake-up was answered"
    );
    store.wake(&[key("b.ch")], at(13)).await.unwrap();
    assert_eq!(claim_one(&store, 13).await.fence.domain, name("b.ch"));
}

pub async fn risk_slots_hold_under_concurrency(store: Subject) {
    let domains: Vec<String> = (0..24).map(|n| format!("d{n}.ch")).collect();
    due(
        &store,
        &domains.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    let leases = store.claim(&claim_of(100, 24)).await.unwrap();
    let takers: Vec<_> = leases
        .iter()
        .map(|lease| {
            let (store, fence) = (store.clone(), lease.fence.clone());
            tokio::spawn(async move {
                (
                    store
                        .take_risk_slot(&fence, "swisssign/a", 3)
                        .await
                        .unwrap(),
                    fence,
                )
            })
        })
        .collect();
    let (mut granted, mut refused) = (Vec::new(), Vec::new());
    for taker in takers {
        let (yes, fence) = taker.await.unwrap();
        if yes {
            granted.push(fence)
        } else {
            refused.push(fence)
        }
    }
    assert_eq!(granted.len(), 3);
    assert_eq!(
        store
            .domains()
            .await
            .unwrap()
            .iter()
            .filter(|row| row.at_risk)
            .count(),
        3
    );
    assert!(
        store
            .take_risk_slot(&granted[0], "swisssign/a", 3)
            .await
            .unwrap(),
        "one that counts counts once"
    );
    let back = Write {
        at_risk: Some(false),
        ..write(&granted[0])
    };
    assert!(store.commit(&[back]).await.unwrap()[0].is_ok());
    assert!(
        store
            .take_risk_slot(&refused[0], "swisssign/a", 3)
            .await
            .unwrap()
    );
    assert!(
        !store
            .take_risk_slot(&refused[1], "swisssign/a", 3)
            .await
            .unwrap()
    );
}

pub async fn the_ledger_opens_once_and_closes(store: Subject) {
    due(&store, &["a.ch", "b.ch"]).await;
    let leases = store.claim(&claim_of(10, 2)).await.unwrap();
    let fence = &leases[0].fence;
    let put = async |entries: Vec<LedgerEntry>| {
        let write = Write {
            ledger: entries,
            release: false,
            ..write(fence)
        };
        store.commit(&[write]).await.unwrap().remove(0).unwrap();
        store.open_entries(Some(&key("a.ch"))).await.unwrap()
    };
    let open = put(vec![entry("a.ch", "v=1"), entry("a.ch", "v=2")]).await;
    assert_eq!(open.len(), 2);
    assert_eq!(open[0], entry("a.ch", "v=1"));

    let published = LedgerEntry {
        state: LedgerState::Published,
        zone: Some("ch".to_owned()),
        published_at: Some(at(11)),
        removal_tries: 2,
        retry_at: Some(at(12)),
        ..open[0].clone()
    };
    assert_eq!(put(vec![published.clone()]).await[0], published);
    let again = LedgerEntry {
        created_at: at(50),
        ..published.clone()
    };
    assert_eq!(
        put(vec![again]).await[0],
        published,
        "an intent keeps the moment it was made"
    );

    let other = LedgerEntry {
        id: 11,
        provider: "other".to_owned(),
        ..entry("a.ch", "v=1")
    };
    assert_eq!(
        put(vec![other]).await.len(),
        3,
        "through another provider it is another entry"
    );
    let removed = LedgerEntry {
        state: LedgerState::Removed,
        ..published.clone()
    };
    assert_eq!(put(vec![removed]).await.len(), 2);
    let foreign = LedgerEntry {
        state: LedgerState::Foreign,
        ..entry("a.ch", "v=3")
    };
    let left = put(vec![foreign]).await;
    assert_eq!(left.len(), 3, "what is not ours is remembered as such");

    assert!(
        store
            .open_entries(Some(&key("b.ch")))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.open_entries(None).await.unwrap().len(), 3);
    store.commit(&[write(&leases[1].fence)]).await.unwrap();
    store.pass(590).await;
    let again = store.claim(&claim_of(600, 1)).await.unwrap();
    assert_eq!(
        again[0].ledger, left,
        "a claim brings the open entries along"
    );
}

pub async fn the_ledger_keeps_records_of_both_types_at_any_name(store: Subject) {
    due(&store, &["a.ch"]).await;
    let lease = claim_one(&store, 10).await;
    // One value at the domain, at two names below it, and as the target of an alias.
    let value = "x.ca.example";
    let entries = [
        ("a.ch", RecordType::Txt),
        ("_one.a.ch", RecordType::Txt),
        ("_two.a.ch", RecordType::Txt),
        ("_one.a.ch", RecordType::Cname),
    ];
    let entries = (1..).zip(entries).map(|(id, (owner, kind))| LedgerEntry {
        id,
        owner: owner.to_owned(),
        kind,
        ..entry("a.ch", value)
    });
    let entries: Vec<_> = entries.collect();
    let put = async |entries: Vec<LedgerEntry>| {
        let write = Write {
            ledger: entries,
            release: false,
            ..write(&lease.fence)
        };
        store.commit(&[write]).await.unwrap().remove(0).unwrap();
        store.open_entries(Some(&key("a.ch"))).await.unwrap()
    };
    assert_eq!(put(entries.clone()).await, entries);
    let published = |entry: &LedgerEntry| LedgerEntry {
        state: LedgerState::Published,
        published_at: Some(at(11)),
        ..entry.clone()
    };
    let published: Vec<_> = entries.iter().map(published).collect();
    assert_eq!(put(published.clone()).await, published);
    assert_eq!(store.open_entries(None).await.unwrap(), published);
    let removed = LedgerEntry {
        state: LedgerState::Removed,
        ..published[3].clone()
    };
    assert_eq!(put(vec![removed]).await, published[..3]);
    store.commit(&[write(&lease.fence)]).await.unwrap();
    store.pass(590).await;
    let again = store.claim(&claim_of(600, 1)).await.unwrap();
    assert_eq!(again[0].ledger, published[..3]);
}

pub async fn a_ledger_entry_of_another_domain_spoils_the_commit(store: Subject) {
    due(&store, &["a.ch"]).await;
    let lease = claim_one(&store, 10).await;
    let twice = LedgerEntry {
        id: 77,
        ..entry("a.ch", "v=1")
    };
    for bad in [
        vec![entry("b.ch", "v=1")],
        vec![entry("a.ch", "v=1"), twice],
    ] {
        let write = Write {
            ledger: [vec![entry("a.ch", "v=2")], bad].concat(),
            ..write(&lease.fence)
        };
        assert!(store.commit(&[write]).await.is_err());
    }
    assert!(store.open_entries(None).await.unwrap().is_empty());
    assert_eq!(store.domains().await.unwrap()[0].upkeep, Upkeep::default());
}

pub async fn two_origins_want_independently(store: Subject) {
    use Origin::{Added, Config};
    let origins = async |domain: &str| store.domain(&key(domain)).await.unwrap().unwrap().origins;
    store
        .sync_inventory(
            Config,
            &[wanted("a.ch", "swisssign/a"), wanted("b.ch", "swisssign/a")],
            at(0),
        )
        .await
        .unwrap();
    store
        .want(
            Added,
            &[
                wanted("b.ch", "swisssign/other"),
                wanted("c.ch", "swisssign/a"),
            ],
            at(1),
        )
        .await
        .unwrap();
    let other = RowKey::further(&name("b.ch"), "swisssign/other");
    assert_eq!(
        (origins("a.ch").await, origins("b.ch").await),
        (vec![Config], vec![Config])
    );
    let b = store.domain(&other).await.unwrap().unwrap();
    assert_eq!(
        (b.client.as_str(), b.origins),
        ("swisssign/other", vec![Added]),
        "each says where"
    );
    store
        .want(Added, &[wanted("b.ch", "swisssign/a")], at(1))
        .await
        .unwrap();
    assert_eq!(origins("b.ch").await, [Config, Added]);

    store
        .record_listing(
            "swisssign/a",
            &[seen("a.ch", at(500)), seen("b.ch", at(500))],
            at(2),
        )
        .await
        .unwrap();
    store.sync_inventory(Config, &[], at(3)).await.unwrap();
    assert_eq!(
        (
            origins("a.ch").await,
            origins("b.ch").await,
            origins("c.ch").await
        ),
        (vec![], vec![Added], vec![Added])
    );
    let a = store.domain(&key("a.ch")).await.unwrap().unwrap();
    assert_eq!(a.sighting, registered("a.ch"), "an undesired row is kept");
    assert_eq!(
        a.due_at,
        Some(at(3)),
        "and woken, so that its values are removed"
    );

    store
        .unwant(Added, &[key("c.ch"), key("unknown.ch")], at(4))
        .await
        .unwrap();
    assert_eq!(
        (origins("b.ch").await, origins("c.ch").await),
        (vec![Added], vec![])
    );
    store
        .sync_inventory(Config, &[wanted("a.ch", "swisssign/a")], at(5))
        .await
        .unwrap();
    assert_eq!(origins("a.ch").await, [Config]);
    assert_eq!(store.domains().await.unwrap().len(), 4);
}

/// Two clients want `a.ch`; the first one's row was there before.
async fn shared(store: &Subject) -> (RowKey, RowKey) {
    due(store, &["a.ch"]).await;
    let both = [wanted("a.ch", "swisssign/a"), wanted("a.ch", "sectigo/b")];
    store
        .sync_inventory(Origin::Config, &both, at(0))
        .await
        .unwrap();
    let other = RowKey::further(&name("a.ch"), "sectigo/b");
    let listing = Seen {
        key: other.clone(),
        ..seen("a.ch", at(1))
    };
    store
        .record_listing("sectigo/b", &[listing], at(0))
        .await
        .unwrap();
    (key("a.ch"), other)
}

pub async fn a_domain_has_a_row_for_each_of_its_clients(store: Subject) {
    let (first, other) = shared(&store).await;
    let clients = async || {
        let rows = store.rows_of(&[name("a.ch"), name("a.ch.org")]).await;
        let rows = rows.unwrap().into_iter();
        let at = |row: super::DomainRow| (row.key, row.client, row.origins.len());
        rows.map(at).collect::<Vec<_>>()
    };
    let (a, b) = ("swisssign/a".to_owned(), "sectigo/b".to_owned());
    let both = [(first.clone(), a.clone(), 1), (other.clone(), b.clone(), 1)];
    assert_eq!(clients().await, both);
    // Names that only begin alike are other domains.
    let alike = ["a.cham", "a.ch-b.ch"].map(|name| wanted(name, &a));
    store.want(Origin::Added, &alike, at(1)).await.unwrap();
    assert_eq!(clients().await, both);
    let wants = [wanted("a.ch", &b), wanted("a.ch", &a)];
    store
        .sync_inventory(Origin::Config, &wants, at(2))
        .await
        .unwrap();
    assert_eq!(clients().await, both, "whatever the order");
    // The first client goes: the other's row stays where it is.
    store
        .sync_inventory(Origin::Config, &wants[..1], at(3))
        .await
        .unwrap();
    let left = [(first.clone(), a.clone(), 0), (other.clone(), b.clone(), 1)];
    assert_eq!(clients().await, left);
    let row = store.domain(&other).await.unwrap().unwrap();
    assert_eq!(row.sighting, registered("a.ch"), "nothing was forgotten");
    // A third one takes the row that is not wanted any more.
    let c = "digicert/c".to_owned();
    let wants = [wanted("a.ch", &b), wanted("a.ch", &c)];
    store
        .sync_inventory(Origin::Config, &wants, at(4))
        .await
        .unwrap();
    let moved = [(first, c, 1), (other.clone(), b, 1)];
    assert_eq!(clients().await, moved);
    store.unwant(Origin::Config, &[other], at(5)).await.unwrap();
    assert_eq!(clients().await[1].2, 0);
}

pub async fn rows_of_one_domain_are_worked_on_side_by_side(store: Subject) {
    let (first, other) = shared(&store).await;
    let one = claim_one(&store, 10).await;
    let two = claim_one(&store, 10).await;
    let mut claimed = [one.fence.key.clone(), two.fence.key.clone()];
    claimed.sort();
    assert_eq!(claimed, [first.clone(), other.clone()]);
    assert_ne!(one.row.client, two.row.client);
    let held = store.held(at(10)).await.unwrap().into_iter();
    assert_eq!(held.map(|held| held.key).collect::<Vec<_>>(), claimed);
    let event = Event {
        client: Some(two.row.client.clone()),
        ..event("a.ch", 10, "published")
    };
    let done = Write {
        events: vec![event.clone()],
        ..write(&two.fence)
    };
    assert!(store.commit(&[done]).await.unwrap()[0].is_ok());
    assert_eq!(store.history(&name("a.ch")).await.unwrap(), [event]);
    let checks = async |key: &RowKey| {
        store
            .domain(key)
            .await
            .unwrap()
            .unwrap()
            .upkeep
            .attempt
            .visibility
            .checks
    };
    assert_eq!(
        (checks(&one.fence.key).await, checks(&two.fence.key).await),
        (0, 7),
        "the other row is as it was"
    );
    store.wake(&[first, other.clone()], at(11)).await.unwrap();
    let claim = Claim {
        only: Some(std::slice::from_ref(&two.fence.key)),
        ..claim_of(11, 9)
    };
    assert_eq!(store.claim(&claim).await.unwrap().len(), 1);
    assert!(store.commit(&[write(&one.fence)]).await.unwrap()[0].is_ok());
    // A listing of one client says nothing of the other.
    let gone = Seen {
        key: one.fence.key.clone(),
        changed: Some(Box::new(Sighting::Absent)),
        ..seen("a.ch", at(600))
    };
    store
        .record_listing(&two.row.client, &[gone], at(12))
        .await
        .unwrap();
    let row = store.domain(&one.fence.key).await.unwrap().unwrap();
    assert_eq!(row.sighting, registered("a.ch"));
}

pub async fn one_record_of_two_rows_has_an_entry_for_each(store: Subject) {
    let (first, other) = shared(&store).await;
    let leases = [claim_one(&store, 10).await, claim_one(&store, 10).await];
    let of = |key: &RowKey, id| LedgerEntry {
        id,
        key: key.clone(),
        ..entry("a.ch", "v=1")
    };
    let both = [of(&first, 1), of(&other, 2)];
    let writes = leases.map(|lease| Write {
        ledger: both
            .iter()
            .filter(|entry| entry.key == lease.fence.key)
            .cloned()
            .collect(),
        due_at: Some(at(20)),
        ..write(&lease.fence)
    });
    let stored = store.commit(&writes).await.unwrap();
    assert!(stored.iter().all(Result::is_ok), "{stored:?}");
    assert_eq!(store.open_entries(None).await.unwrap(), both);
    for (key, entry) in [(&first, &both[0]), (&other, &both[1])] {
        let own = store.open_entries(Some(key)).await.unwrap();
        assert_eq!(own, std::slice::from_ref(entry));
    }
    let claim = Claim {
        only: Some(std::slice::from_ref(&other)),
        ..claim_of(20, 9)
    };
    let lease = store.claim(&claim).await.unwrap().remove(0);
    assert_eq!(lease.ledger, both[1..]);
    let taken = Write {
        ledger: vec![LedgerEntry {
            state: LedgerState::Removed,
            ..both[1].clone()
        }],
        ..write(&lease.fence)
    };
    assert!(store.commit(&[taken]).await.unwrap()[0].is_ok());
    assert_eq!(store.open_entries(None).await.unwrap(), both[..1]);
}

/// The entry of the old client is not the new one's: nothing that was read there counts any more.
pub async fn a_client_change_forgets_what_was_read(store: Subject) {
    due(&store, &["a.ch"]).await;
    store
        .record_listing("swisssign/a", &[unchanged("a.ch", at(500))], at(30))
        .await
        .unwrap();
    store
        .record_listing("swisssign/b", &[], at(40))
        .await
        .unwrap();
    store
        .sync_inventory(Origin::Config, &[wanted("a.ch", "swisssign/b")], at(50))
        .await
        .unwrap();
    let row = store.domains().await.unwrap().remove(0);
    assert_eq!((row.client.as_str(), row.read_at), ("swisssign/b", None));
    assert_eq!((row.sighting, row.due_at), (Sighting::Unread, Some(at(50))));
}

pub async fn everything_written_comes_back(store: Subject) {
    due(&store, &["a.ch"]).await;
    let lease = claim_one(&store, 10).await;
    assert_eq!(lease.row, store.domains().await.unwrap()[0]);
    let mut upkeep = Upkeep {
        attempt: Attempt {
            value: Some("v=\u{1f512}".to_owned()),
            ..Attempt::default()
        },
        setback: Setback {
            not_before: Some(at(7)),
            ..Setback::default()
        },
        ..Upkeep::default()
    };
    upkeep.calls.begin(Effect::Validate, at(8));
    let Sighting::Present(registration) = registered("a.ch") else {
        unreachable!()
    };
    let missing = Sighting::Missing(Registration {
        status: Status::Unknown("ODD".to_owned()),
        ..registration
    });
    let write = Write {
        sighting: Some((missing.clone(), at(9))),
        upkeep: upkeep.clone(),
        due_at: None,
        at_risk: Some(true),
        ..write(&lease.fence)
    };
    assert!(store.commit(&[write]).await.unwrap()[0].is_ok());
    let row = store.domain(&key("a.ch")).await.unwrap().unwrap();
    assert_eq!(
        (row.sighting, row.read_at, row.upkeep),
        (missing, Some(at(9)), upkeep)
    );
    assert_eq!(
        (row.due_at, row.at_risk, row.provider.as_deref()),
        (None, true, Some("zones"))
    );
    assert_eq!(store.domain(&key("unknown.ch")).await.unwrap(), None);
}

pub async fn history_keeps_its_order(store: Subject) {
    due(&store, &["a.ch"]).await;
    let lease = claim_one(&store, 10).await;
    let told = ["registered", "published", "visible"].map(|kind| event("a.ch", 10, kind));
    store
        .commit(&[Write {
            events: told.to_vec(),
            ..write(&lease.fence)
        }])
        .await
        .unwrap();
    let run = Event {
        domain: None,
        ..event("a.ch", 11, "run_started")
    };
    // The clock was set back in between; the order is that of the deeds.
    store
        .note(&[
            run,
            event("b.ch", 12, "held"),
            event("a.ch", 2, "validated"),
        ])
        .await
        .unwrap();
    let mut expected = told.to_vec();
    expected.push(event("a.ch", 2, "validated"));
    assert_eq!(store.history(&name("a.ch")).await.unwrap(), expected);
}

pub async fn effects_are_counted_in_their_window(store: Subject) {
    due(&store, &["a.ch"]).await;
    let lease = claim_one(&store, 10).await;
    let writes = [(1, false), (5, true), (9, false)].map(|(minute, retry)| Write {
        effect: Some(EffectMark {
            at: at(minute),
            retry,
        }),
        release: false,
        ..write(&lease.fence)
    });
    store.commit(&writes).await.unwrap();
    assert_eq!(
        store.effects_since(at(0)).await.unwrap(),
        EffectCount { all: 3, retries: 1 }
    );
    assert_eq!(
        store.effects_since(at(5)).await.unwrap(),
        EffectCount { all: 2, retries: 1 }
    );
    assert_eq!(
        store.effects_since(at(6)).await.unwrap(),
        EffectCount { all: 1, retries: 0 }
    );
}

pub async fn facts_and_listings_are_remembered(store: Subject) {
    assert_eq!(store.fact("k").await.unwrap(), None);
    store.set_fact("k", "1").await.unwrap();
    store.set_fact("k", "2").await.unwrap();
    assert_eq!(store.fact("k").await.unwrap().as_deref(), Some("2"));
    store
        .record_listing("swisssign/b", &[], at(5))
        .await
        .unwrap();
    store
        .record_listing("swisssign/b", &[], at(4))
        .await
        .unwrap();
    store
        .record_listing("swisssign/a", &[], at(3))
        .await
        .unwrap();
    let listings: Vec<_> = store.listings().await.unwrap().into_iter().collect();
    assert_eq!(
        listings,
        [
            ("swisssign/a".to_owned(), at(3)),
            ("swisssign/b".to_owned(), at(5))
        ]
    );
}

pub async fn retention_forgets_only_what_is_old_and_closed(store: Subject) {
    due(&store, &["a.ch"]).await;
    let lease = claim_one(&store, 10).await;
    let closed = |value: &str, created_at| LedgerEntry {
        state: LedgerState::Removed,
        created_at,
        ..entry("a.ch", value)
    };
    for (id, minute) in [
        ("m-1", 0),
        ("m-2", 24 * 60 * (KEPT_DAYS - MESSAGE_DAYS) + 2),
    ] {
        store
            .receive("pipeline", id, b"digest", &[], at(minute))
            .await
            .unwrap();
    }
    assert!(
        store
            .claim_notice("held a.ch", None, "told", at(0))
            .await
            .unwrap()
    );
    assert!(
        store
            .claim_notice("held b.ch", None, "told", at(2))
            .await
            .unwrap()
    );
    let write = Write {
        ledger: vec![
            entry("a.ch", "v=7"),
            closed("v=8", at(0)),
            closed("v=9", at(2)),
        ],
        effect: Some(EffectMark {
            at: at(0),
            retry: false,
        }),
        ..write(&lease.fence)
    };
    store.commit(&[write]).await.unwrap();
    let many: Vec<_> = (0..4500).map(|_| event("a.ch", 0, "checked")).collect();
    store.note(&many).await.unwrap();
    store.note(&[event("a.ch", 2, "validated")]).await.unwrap();
    let now = at(1) + SignedDuration::from_hours(24 * KEPT_DAYS);
    assert_eq!(store.retention(now).await.unwrap(), 4504);
    assert_eq!(
        store
            .receive("pipeline", "m-2", b"another", &[], now)
            .await
            .unwrap(),
        Received::Other
    );
    assert_eq!(
        store
            .receive("pipeline", "m-1", b"another", &[], now)
            .await
            .unwrap(),
        Received::New
    );
    assert_eq!(store.notice_records().await.unwrap().len(), 1);
    assert_eq!(
        store.history(&name("a.ch")).await.unwrap(),
        [event("a.ch", 2, "validated")]
    );
    assert_eq!(store.open_entries(None).await.unwrap().len(), 1);
    assert_eq!(store.retention(now).await.unwrap(), 0);
}
