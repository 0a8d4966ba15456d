//! Each step of a life, and what nothing may change in it.

#![allow(clippy::unwrap_used)]

mod live;

use super::*;
use crate::issuance::RevocationReason;
use crate::issuance::progress::{
    Deployment, Hold, HoldKind, Installed, RecordState, Refusal, Revocation,
};
use crate::issuance::wanted::Lead;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const NOW: &str = "2026-12-01T12:00:00Z";

fn now() -> Timestamp {
    at(NOW)
}

fn wanted() -> Wanted {
    Wanted {
        name: "www".to_owned(),
        print: "one".to_owned(),
        renew_before: Lead::default(),
        deploys: true,
        keeps_key: false,
    }
}

fn installed() -> Installed {
    Installed {
        ca: "swisssign".to_owned(),
        version: 1,
        serial: "0a".to_owned(),
        issuer: "CN=Test".to_owned(),
        not_before: at("2026-11-01T00:00:00Z"),
        not_after: at("2027-01-30T00:00:00Z"),
        names: vec!["www.example.ch".to_owned()],
        fingerprint: "f".to_owned(),
        print: "one".to_owned(),
        reference: "ord-1".to_owned(),
        certificate: None,
        at: at("2026-11-01T00:00:00Z"),
        revoked_at: None,
        paid_until: None,
        has_key: None,
    }
}

fn revocation() -> Revocation {
    Revocation {
        ca: "swisssign".to_owned(),
        serial: "0a".to_owned(),
        reference: "ord-1".to_owned(),
        certificate: None,
        reason: RevocationReason::Superseded,
        requestor: "pki@example.ch".to_owned(),
        since: None,
        asked_at: None,
        next_read_at: None,
        reads: 0,
        not_after: None,
        refused: None,
    }
}

fn due() -> Installed {
    Installed {
        not_after: at("2026-12-10T00:00:00Z"),
        ..installed()
    }
}

fn order() -> Order {
    Order {
        tag: "t".to_owned(),
        version: 2,
        print: "one".to_owned(),
        ..Order::default()
    }
}

fn decided(progress: &Progress, proofs: &Proofs) -> Decision {
    let live = match &progress.installed {
        Some(one) => Live::There {
            serial: one.serial.clone(),
            not_before: one.not_before,
            not_after: one.not_after,
            loose: None,
        },
        None => Live::Nothing,
    };
    let observed = Observed {
        wanted: Some(&wanted()),
        progress,
        live: &live,
        proofs,
        is_fresh: false,
    };
    next_step(observed, now())
}

fn step(progress: &Progress) -> Step {
    decided(progress, &Proofs::Enough).step
}

#[test]
fn a_life_goes_from_the_key_to_the_servers_and_rests() {
    let mut progress = Progress::default();
    assert_eq!(step(&progress), Step::Key);
    progress.order = Some(order());
    assert_eq!(step(&progress), Step::Preflight);
    let of = |progress: &mut Progress, change: &dyn Fn(&mut Order)| {
        change(progress.order.as_mut().unwrap());
    };
    of(&mut progress, &|order| {
        order.product = Some("pma-1".to_owned())
    });
    let missing = Proofs::Missing("example.ch is not proven".to_owned());
    assert_eq!(decided(&progress, &missing).step, Step::Prove);
    assert_eq!(step(&progress), Step::Submit);
    of(&mut progress, &|order| order.submitted_at = Some(now()));
    assert_eq!(step(&progress), Step::Find);
    of(&mut progress, &|order| {
        order.reference = Some("ord-2".to_owned())
    });
    assert_eq!(step(&progress), Step::Read);
    of(&mut progress, &|order| {
        order.state = Some(OrderState::Issued)
    });
    assert_eq!(step(&progress), Step::Fetch);
    of(&mut progress, &|order| order.is_fetched = true);
    assert_eq!(step(&progress), Step::Install);
    progress.order = None;
    progress.installed = Some(installed());
    progress.deployment = Some(Deployment {
        version: 1,
        failures: 0,
        at: now(),
        trouble: None,
    });
    assert_eq!(step(&progress), Step::Deploy);
    progress.deployment = None;
    let rest = decided(&progress, &Proofs::Enough);
    assert_eq!(
        (rest.step, rest.at),
        (Step::Rest, at("2026-12-31T00:00:00Z"))
    );
}

#[test]
fn an_order_without_an_answer_is_searched_for_whatever_else_changed() {
    let submitted = Order {
        submitted_at: Some(now()),
        print: "another".to_owned(),
        ..order()
    };
    let progress = Progress {
        order: Some(submitted),
        again: true,
        ..Progress::default()
    };
    let missing = Proofs::Missing(String::new());
    assert_eq!(decided(&progress, &missing).step, Step::Find);
}

#[test]
fn a_certificate_is_renewed_at_its_share_and_at_once_when_another_is_wanted() {
    let mut progress = Progress {
        installed: Some(installed()),
        ..Progress::default()
    };
    let mut late = installed();
    late.not_after = at("2026-12-10T00:00:00Z");
    progress.installed = Some(late);
    assert_eq!(step(&progress), Step::Key);
    let mut other = installed();
    other.print = "another".to_owned();
    progress.installed = Some(other);
    assert_eq!(step(&progress), Step::Key);
}

#[test]
fn what_a_person_must_see_orders_nothing_until_something_else_is_wanted() {
    let mut progress = Progress {
        hold: Some(Hold {
            since: now(),
            kind: HoldKind::Check,
            words: "the certificate is for another key".to_owned(),
            hint: None,
            print: "one".to_owned(),
        }),
        ..Progress::default()
    };
    let held = decided(&progress, &Proofs::Enough);
    assert_eq!((held.step, held.at), (Step::Held, Timestamp::MAX));
    assert!(!held.is_due(now()));
    progress.hold.as_mut().unwrap().print = "before".to_owned();
    assert_eq!(step(&progress), Step::Key);
}

#[test]
fn a_revoked_certificate_and_lost_files_order_nothing_by_themselves() {
    let mut one = installed();
    one.revoked_at = Some(now());
    let progress = Progress {
        installed: Some(one),
        ..Progress::default()
    };
    let rest = decided(&progress, &Proofs::Enough);
    assert_eq!((rest.step, rest.at), (Step::Rest, Timestamp::MAX));

    let progress = Progress {
        installed: Some(installed()),
        ..Progress::default()
    };
    let observed = Observed {
        wanted: Some(&wanted()),
        progress: &progress,
        live: &Live::Nothing,
        proofs: &Proofs::Enough,
        is_fresh: false,
    };
    assert_eq!(next_step(observed, now()).step, Step::Held);
}

#[test]
fn a_revocation_comes_first_and_is_read_back() {
    let mut progress = Progress {
        installed: Some(installed()),
        revocation: Some(Box::new(revocation())),
        ..Progress::default()
    };
    assert_eq!(step(&progress), Step::Revoke);
    progress.revocation.as_mut().unwrap().asked_at = Some(now());
    assert_eq!(step(&progress), Step::Confirm);
}

#[test]
fn an_open_order_is_read_by_each_run_unless_the_ca_named_the_moment() {
    let later = now() + SignedDuration::from_hours(1);
    let mut progress = Progress {
        order: Some(Order {
            reference: Some("ord-1".to_owned()),
            next_read_at: Some(later),
            ..order()
        }),
        ..Progress::default()
    };
    let fresh = |progress: &Progress| {
        let observed = Observed {
            wanted: Some(&wanted()),
            progress,
            live: &Live::Nothing,
            proofs: &Proofs::Enough,
            is_fresh: true,
        };
        next_step(observed, now()).at
    };
    assert_eq!(decided(&progress, &Proofs::Enough).at, later);
    assert_eq!(fresh(&progress), now());
    progress.order.as_mut().unwrap().next_read_is_from_ca = true;
    assert_eq!(fresh(&progress), later);

    // A failure of the run before puts off neither the check nor the fetch of the next run.
    progress.not_before = Some(later);
    for state in [None, Some(OrderState::Issued)] {
        let order = progress.order.as_mut().unwrap();
        (order.state, order.next_read_is_from_ca) = (state, false);
        assert_eq!(decided(&progress, &Proofs::Enough).at, later);
        assert_eq!(fresh(&progress), now());
    }
}

#[test]
fn checks_become_slower_and_the_first_comes_within_2_seconds() {
    let mut order = order();
    let mut last = SignedDuration::ZERO;
    for read in 0..30 {
        order.reads = read;
        let span = order.next_read(now()).duration_since(now());
        assert!(
            span >= last && span <= SignedDuration::from_hours(1),
            "{read}"
        );
        last = span;
    }
    order.reads = 0;
    assert_eq!(order.next_read(now()).duration_since(now()).as_secs(), 2);
    assert_eq!(last, SignedDuration::from_hours(1));
}

#[test]
fn records_of_an_order_are_asked_for_published_and_visible_before_it_is_submitted() {
    let mut progress = Progress {
        order: Some(Order {
            product: Some("DV".to_owned()),
            ..order()
        }),
        ..Progress::default()
    };
    let step = |progress: &Progress| decided(progress, &Proofs::InOrder).step;
    assert_eq!(step(&progress), Step::Challenge);
    let order = progress.order.as_mut().unwrap();
    order.answer = Some(String::new());
    order.records = vec![crate::issuance::progress::Record {
        owner: "_dnsauth.example.ch".to_owned(),
        kind: "TXT".to_owned(),
        data: "x".to_owned(),
        state: RecordState::Published,
        ..Default::default()
    }];
    assert_eq!(step(&progress), Step::Publish);
    progress.order.as_mut().unwrap().records[0].state = RecordState::Visible;
    assert_eq!(step(&progress), Step::Submit);
}

#[test]
fn records_that_the_ca_names_with_the_order_are_published_and_a_run_asks_first() {
    let record = crate::issuance::progress::Record {
        owner: "_dnsauth.example.ch".to_owned(),
        kind: "TXT".to_owned(),
        data: "x".to_owned(),
        state: RecordState::Intended,
        ..Default::default()
    };
    let mut progress = Progress {
        order: Some(Order {
            product: Some("DV".to_owned()),
            brings_records: true,
            reference: Some("7".to_owned()),
            submitted_at: Some(now()),
            state: Some(OrderState::AwaitsValidation),
            records: vec![record],
            ..order()
        }),
        ..Progress::default()
    };
    assert_eq!(step(&progress), Step::Publish);
    let observed = Observed {
        wanted: Some(&wanted()),
        progress: &progress,
        live: &Live::Nothing,
        proofs: &Proofs::Enough,
        is_fresh: true,
    };
    assert_eq!(next_step(observed, now()).step, Step::Read);
    progress.order.as_mut().unwrap().records[0].state = RecordState::Visible;
    assert_eq!(step(&progress), Step::Read);
    progress.order.as_mut().unwrap().state = Some(OrderState::Issued);
    assert_eq!(step(&progress), Step::Fetch);
}

#[test]
fn a_revocation_that_is_refused_or_waits_stops_no_renewal() {
    let later = now() + SignedDuration::from_hours(1);
    let refused = Revocation {
        refused: Some(Refusal {
            since: now(),
            words: "the certificate is unknown".to_owned(),
            hint: None,
        }),
        ..revocation()
    };
    let waiting = Revocation {
        asked_at: Some(now()),
        next_read_at: Some(later),
        ..revocation()
    };
    for open in [refused, waiting] {
        let mut progress = Progress {
            installed: Some(due()),
            revocation: Some(Box::new(open.clone())),
            ..Progress::default()
        };
        assert_eq!(step(&progress), Step::Key, "{open:?}");
        progress.again = true;
        assert_eq!(step(&progress), Step::Key, "{open:?}");
        progress.again = false;
        progress.installed = Some(installed());
        let next = decided(&progress, &Proofs::Enough);
        let expected = match open.refused {
            Some(_) => (Step::Rest, at("2026-12-31T00:00:00Z")),
            None => (Step::Confirm, later),
        };
        assert_eq!((next.step, next.at), expected);
    }
}

#[test]
fn a_deploy_program_that_fails_stops_no_renewal() {
    let later = now() + SignedDuration::from_hours(6);
    let deployment = |at| {
        Some(Deployment {
            version: 1,
            failures: 9,
            at,
            trouble: Some("exit status: 1".to_owned()),
        })
    };
    let mut progress = Progress {
        installed: Some(due()),
        deployment: deployment(later),
        ..Progress::default()
    };
    assert_eq!(step(&progress), Step::Key);
    progress.deployment = deployment(now());
    assert_eq!(step(&progress), Step::Key, "the renewal goes first");
    progress.installed = Some(installed());
    assert_eq!(step(&progress), Step::Deploy);
    progress.deployment = deployment(later);
    let next = decided(&progress, &Proofs::Enough);
    assert_eq!((next.step, next.at), (Step::Deploy, later));

    // What is held stays held, and the servers are told all the same.
    progress.hold = Some(Hold {
        since: now(),
        kind: HoldKind::Ended,
        words: "rejected".to_owned(),
        hint: None,
        print: "one".to_owned(),
    });
    let next = decided(&progress, &Proofs::Enough);
    assert_eq!((next.step, next.beside), (Step::Held, Some(later)));
    progress.deployment = deployment(now());
    assert_eq!(step(&progress), Step::Deploy);
}

#[test]
fn what_an_older_version_stored_keeps_its_ca_and_its_refused_revocation() {
    let text = r#"{
        "order": {"tag": "t", "print": "old\ncli-1\nOV", "reference": "ord-2"},
        "installed": {"version": 1, "serial": "0a", "issuer": "", "names": [], "fingerprint": "",
            "not_before": "2026-11-01T00:00:00Z", "not_after": "2027-01-30T00:00:00Z",
            "print": "older\ncli-1\nOV", "reference": "ord-1", "at": "2026-11-01T00:00:00Z"},
        "revocation": {"serial": "0a", "reference": "ord-1", "reason": "superseded", "requestor": "x"},
        "hold": {"since": "2026-11-30T00:00:00Z", "kind": "revocation", "words": "no", "print": "one"}
    }"#;
    let stored: Progress = serde_json::from_str(text).unwrap();
    let read = stored.brought_up("new");
    let revocation = read.revocation.as_ref().unwrap();
    let cas = [
        &read.order.as_ref().unwrap().ca,
        &read.installed.as_ref().unwrap().ca,
        &revocation.ca,
    ];
    assert_eq!(cas, ["old", "older", "older"]);
    assert_eq!(revocation.refused.as_ref().unwrap().words, "no");
    assert_eq!(read.hold, None);
    assert_eq!(read.clone().brought_up("new"), read, "once is enough");
    let bare: Progress = serde_json::from_str(r#"{"order": {"print": "one"}}"#).unwrap();
    assert_eq!(bare.brought_up("new").order.unwrap().ca, "new");
}

#[test]
fn a_renewal_that_was_begun_is_dropped_while_it_is_not_due() {
    let begun = |installed: Installed, order: Order| Progress {
        installed: Some(installed),
        order: Some(order),
        // It waits after a failure.
        not_before: Some(at("2026-12-01T13:00:00Z")),
        ..Progress::default()
    };
    let early = decided(&begun(installed(), order()), &Proofs::Enough);
    assert_eq!((early.step, early.at), (Step::Drop, now()));
    let proofs = Proofs::Missing("no proof".to_owned());
    let early = decided(&begun(installed(), order()), &proofs);
    assert_eq!(early.step, Step::Drop, "no proof is made for it");
    let asked = Order {
        is_again: true,
        ..order()
    };
    let made = Order {
        submitted_at: Some(now()),
        ..order()
    };
    let other = Installed {
        print: "two".to_owned(),
        ..installed()
    };
    for (what, progress, expected) in [
        ("due", begun(due(), order()), Step::Preflight),
        ("a person asked", begun(installed(), asked), Step::Preflight),
        ("it is made", begun(installed(), made), Step::Find),
        ("for another", begun(other, order()), Step::Preflight),
    ] {
        assert_eq!(step(&progress), expected, "{what}");
    }
}
