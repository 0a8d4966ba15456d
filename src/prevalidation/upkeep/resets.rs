//! What each reset keeps, key by key as it is stored.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::stored_form::full;
use super::*;
use crate::prevalidation::{
    DomainName, Mode, Observed, Policy, Registration, Sighting, Status, Step, next_step,
};

/// What belongs to the domain, whatever becomes of an attempt.
const OF_THE_DOMAIN: &str = "preflight_at effects unanswered lost proved_at waits_since told bogus withdrawn_at \
                             others others_changed last_proof lapsed_at";

/// The keys whose value stays while `change` is made to a record with all of them.
fn kept(change: impl FnOnce(&mut Upkeep)) -> BTreeSet<String> {
    let mut upkeep = full();
    change(&mut upkeep);
    let after = serde_json::to_value(upkeep).unwrap();
    let before = serde_json::to_value(full()).unwrap();
    let before = before.as_object().unwrap().iter();
    let kept = before.filter(|(key, value)| after.get(key) == Some(value));
    kept.map(|(key, _)| key.clone()).collect()
}

fn keys(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// All keys but these.
fn all_but(text: &str) -> BTreeSet<String> {
    let gone = keys(text);
    kept(|_| ())
        .into_iter()
        .filter(|key| !gone.contains(key))
        .collect()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_900_000_000).unwrap()
}

#[track_caller]
fn begins(more: &str, change: impl FnOnce(&mut Upkeep)) {
    assert_eq!(kept(change), keys(&format!("{OF_THE_DOMAIN} {more}")));
}

#[test]
fn another_attempt_keeps_what_belongs_to_the_domain() {
    begins("", |upkeep| upkeep.restart(now(), None));
    begins("ordered", |upkeep| upkeep.start_over(now(), None, None));
    begins("ordered hold failures last_error", |upkeep| {
        upkeep.start_with_preflight(now(), None);
    });
    begins("since renews ordered", Upkeep::replace);
    begins("since renews ordered tries", Upkeep::order_new_value);
    let by_hand = kept(|upkeep| upkeep.order(now(), None));
    let mut wanted = keys(&format!("{OF_THE_DOMAIN} ordered"));
    wanted.remove("withdrawn_at");
    wanted.remove("lost");
    assert_eq!(by_hand, wanted);
}

#[test]
fn a_proof_ends_all_but_the_budget_and_what_is_beside_the_value() {
    let withdrawn = kept(|upkeep| upkeep.prove(now()));
    assert_eq!(
        withdrawn,
        keys("effects others others_changed withdrawn_at hold")
    );
    let free = kept(|upkeep| {
        upkeep.withdrawn_at = None;
        upkeep.prove(now());
    });
    assert_eq!(free, keys("effects others others_changed"));
}

#[test]
fn what_ends_a_part_ends_nothing_else() {
    assert_eq!(
        kept(|upkeep| upkeep.attempt.end_order()),
        all_but(
            "challenge value change_id look_at order order_reads visible_at seen_at horizon_at \
             submitted_at tries looks vanished"
        )
    );
    assert_eq!(
        kept(|upkeep| drop(upkeep.went_well())),
        all_but("failures lost hold not_before last_error dns_failed")
    );
    assert_eq!(
        kept(Upkeep::stop_waiting),
        all_but("waits_since waits_for told bogus")
    );
    assert_eq!(kept(Upkeep::try_at_once), all_but("hold not_before"));
}

/// Whether the call took effect is not known, also where a person orders a new value.
#[test]
fn whatever_begins_after_a_lost_reply_reads_the_ca_first() {
    let beginnings: [fn(&mut Upkeep); 7] = [
        |upkeep| upkeep.order(now(), None),
        |upkeep| upkeep.restart(now(), None),
        |upkeep| upkeep.start_with_preflight(now(), None),
        |upkeep| upkeep.take_up(now()),
        |upkeep| {
            upkeep.withdraw(now());
            upkeep.take_up(now());
        },
        Upkeep::replace,
        Upkeep::order_new_value,
    ];
    let domain = DomainName::from_a_labels("example.ch").unwrap();
    let found = Registration::bare("cld-1", domain.clone(), Status::Pending);
    for begin in beginnings {
        for lost in [Effect::Validate, Effect::ResetToken, Effect::Start] {
            let mut seen = Observed {
                domain: domain.clone(),
                desired: true,
                covered_by: None,
                has_provider: true,
                sighting: Sighting::Present(found.clone()),
                read_at: Some(now()),
                upkeep: Upkeep::default(),
                ledger: Vec::new(),
            };
            seen.upkeep.calls.begin(lost, now());
            begin(&mut seen.upkeep);
            let decision = next_step(&seen, &Policy::new(Mode::Manage), now());
            assert_eq!(decision.step, Step::Read, "{lost}");
        }
    }
}
