//! Challenges that have ended while their order continues, orders in a state that this version does
//! not know, and holds that are over.

use super::*;
use crate::prevalidation::Hold;
use crate::prevalidation::upkeep::{Setback, Upkeep};

fn txt(made: i64, until: i64) -> Challenge {
    let owner = "_pki-validation.example.ch";
    let value = Challenge::txt(&name(), owner, "v", Counts::BySubmit).unwrap();
    value.dated(Some(ago(made)), Some(ago(until)))
}

#[test]
fn a_record_stays_and_nothing_is_started_while_an_order_outlives_its_value() {
    let ended = txt(31 * DAY, DAY);
    for proven in [None, Some(195)] {
        let renews = registration(proven).proof.map(|proof| *proof);
        for tries in [0, 1] {
            let mut seen = observed(registration(proven), submitted(&ended, renews.clone()));
            seen.upkeep.attempt.submission.tries = tries;
            seen.upkeep.attempt.visibility.seen_at = Some(ago(5 * DAY));
            seen.upkeep.attempt.submission.reads = 90;
            for ledger in [vec![], vec![entry(&ended, LedgerState::Published)]] {
                seen.ledger = ledger;
                for (next_read_at, expected) in [(ago(1), "read"), (ago(-30), "wait")] {
                    seen.upkeep.attempt.submission.next_read_at = Some(next_read_at);
                    assert_eq!(step(&seen), expected);
                }
            }
        }
    }
    // The order is gone: the record goes, and a new one is started.
    let mut seen = observed(registration(None), submitted(&ended, None));
    seen.ledger = vec![entry(&ended, LedgerState::Published)];
    seen.upkeep.attempt.end_order();
    assert_eq!(step(&seen), "remove");
    seen.ledger.clear();
    assert_eq!(step(&seen), "start");
}

#[test]
fn a_start_that_gives_the_value_that_is_there_already_is_not_repeated() {
    let old = cname("_a1").dated(Some(ago(28 * DAY)), Some(ago(-2 * DAY)));
    let mut seen = observed(registration(None), begun(&old, None));
    assert_eq!(step(&seen), "publish", "it is what the CA has");
    seen.ledger = vec![entry(&old, LedgerState::Published)];
    assert_eq!(step(&seen), "look");
    seen.upkeep.attempt.since = Some(ago(20 * DAY));
    assert_eq!(step(&seen), "remove", "a younger one is asked for in time");
}

#[test]
fn an_order_in_an_unknown_state_is_under_way_and_a_leftover_of_one_is_not() {
    let wanted = cname("_a1");
    let unknown = OrderState::Unknown("IN_PROGRESS".to_owned());
    let mut found = registration(Some(195));
    (found.challenge, found.order) = (
        Some(Box::new(wanted.clone())),
        Some(boxed(unknown.clone(), "77")),
    );
    let mut upkeep = submitted(&wanted, proof(195));
    let progress = absorb(&mut upkeep, &found, &policy().reuse, now());
    assert_eq!(progress, Progress::None);
    assert_eq!(upkeep.attempt.challenge, Some(wanted.clone()));
    let mut seen = observed(found.clone(), upkeep);
    seen.ledger = vec![entry(&wanted, LedgerState::Published)];
    assert_eq!(step(&seen), "wait");
    assert_eq!(step(&observed(found.clone(), Upkeep::default())), "publish");
    found.order.as_mut().unwrap().submitted_at = Some(ago(196 * DAY));
    assert_eq!(step(&observed(found, Upkeep::default())), "start");
}

#[test]
fn a_hold_is_over_when_a_proof_counts_and_nothing_is_under_way() {
    let held = Upkeep {
        setback: Setback {
            hold: Some(Hold {
                since: ago(DAY),
                reason: "the provider refused it".to_owned(),
                again_at: ago(-60),
            }),
            ..Setback::default()
        },
        ..Upkeep::default()
    };
    let over = |seen: &Observed| seen.hold_is_over(&policy(), now());
    let mut seen = observed(registration(Some(1)), held.clone());
    assert!(over(&seen));
    seen.sighting = Sighting::Present(registration(Some(195)));
    assert!(!over(&seen), "its renewal is due");
    seen.sighting = Sighting::Present(registration(None));
    assert!(!over(&seen), "no proof counts");
    seen = observed(registration(Some(1)), held);
    seen.upkeep.withdrawn_at = Some(ago(DAY));
    assert!(!over(&seen), "a person wants it so");
    seen.upkeep.withdrawn_at = None;
    seen.upkeep.attempt.since = Some(ago(DAY));
    seen.upkeep.attempt.renews = proof(1);
    assert!(!over(&seen), "an attempt continues, and brought no proof");
    seen.upkeep = Upkeep::default();
    assert!(!over(&seen), "there is none");
}
