//! What a person must hear of, and a sample of each way in which a certificate may be.

#![allow(clippy::unwrap_used)]

use jiff::SignedDuration;

use super::*;
use crate::ca::issuing::Subject;
use crate::certificates::{Access, KeyKind};
use crate::issuance::progress::{
    Deployment, Hold, HoldKind, Installed, Order, Refusal, Revocation,
};
use crate::issuance::{
    Lead, Live, Observed, Progress, Proofs, RevocationReason, Wanted, next_step,
};
use crate::worker::issue::KeySource;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The moment that the samples are about.
pub(crate) fn now() -> Timestamp {
    "2026-12-01T12:00:00Z".parse().unwrap()
}

fn certificate() -> Certificate {
    Certificate {
        wanted: Wanted {
            name: "www".to_owned(),
            print: "one".to_owned(),
            renew_before: Lead::default(),
            deploys: true,
            keeps_key: false,
        },
        ca: "swisssign".to_owned(),
        client: None,
        product: "OV".to_owned(),
        duplicate_of: None,
        validates_in_order: false,
        subject: Subject::Names(vec!["www.example.ch".to_owned()]),
        key: KeySource::Made(KeyKind::default()),
        deploy: Vec::new(),
        deploy_timeout: std::time::Duration::from_secs(60),
        access: Access::default(),
        keep: 5,
        p12_password: None,
        term: None,
        comments: None,
        requester: None,
        fields: Default::default(),
        contact: None,
    }
}

fn installed(age: i64) -> Installed {
    let begin = now() - DAY * i32::try_from(age).unwrap();
    Installed {
        ca: "swisssign".to_owned(),
        version: 1,
        serial: "0a".to_owned(),
        issuer: String::new(),
        not_before: begin,
        not_after: begin + DAY * 90,
        names: Vec::new(),
        fingerprint: String::new(),
        print: "one".to_owned(),
        reference: "ord-1".to_owned(),
        certificate: None,
        at: begin,
        revoked_at: None,
        paid_until: None,
        has_key: None,
    }
}

fn hold() -> Hold {
    Hold {
        since: now(),
        kind: HoldKind::Ended,
        words: "rejected".to_owned(),
        hint: None,
        print: "one".to_owned(),
    }
}

fn view(progress: Progress, has_files: bool, proofs: &Proofs) -> CertificateView {
    let live = match &progress.installed {
        Some(one) if has_files => Live::There {
            serial: one.serial.clone(),
            not_before: one.not_before,
            not_after: one.not_after,
            loose: None,
        },
        _ => Live::Nothing,
    };
    view_of(progress, &live, proofs)
}

fn view_of(progress: Progress, live: &Live, proofs: &Proofs) -> CertificateView {
    let certificate = certificate();
    let observed = Observed {
        wanted: Some(&certificate.wanted),
        progress: &progress,
        live,
        proofs,
        is_fresh: false,
    };
    let decision = next_step(observed, now());
    let row = CertificateRow {
        name: "www".to_owned(),
        ca: "swisssign".to_owned(),
        wanted: true,
        home: Some("here".to_owned()),
        due_at: None,
        progress,
    };
    CertificateView::new(&row, Some(&certificate), &decision, live, now())
}

/// A revocation that a person has asked for.
pub(super) fn asked_for() -> Revocation {
    Revocation {
        ca: "swisssign".to_owned(),
        serial: "0a".to_owned(),
        reference: "ord-1".to_owned(),
        certificate: None,
        reason: RevocationReason::Superseded,
        requestor: String::new(),
        since: None,
        asked_at: None,
        next_read_at: None,
        reads: 0,
        not_after: None,
        refused: None,
    }
}

/// Ways in which a certificate may be: what to call it, how it is shown, and whether a person must
/// hear of it.
pub(crate) fn samples() -> Vec<(&'static str, CertificateView, bool)> {
    let with = |one: Installed, change: &dyn Fn(&mut Progress)| {
        let mut progress = Progress {
            installed: Some(one),
            ..Progress::default()
        };
        change(&mut progress);
        view(progress, true, &Proofs::Enough)
    };
    let fresh = |change: &dyn Fn(&mut Progress)| with(installed(10), change);
    let order = Order {
        print: "one".to_owned(),
        product: Some("pma".to_owned()),
        ..Order::default()
    };
    let open = Order {
        submitted_at: Some(now()),
        reference: Some("ord-2".to_owned()),
        ..order.clone()
    };
    let waiting = Progress {
        order: Some(order),
        ..Progress::default()
    };
    let ordering = Progress {
        order: Some(open.clone()),
        ..Progress::default()
    };
    let there = Progress {
        installed: Some(installed(10)),
        ..Progress::default()
    };
    let missing = Proofs::Missing("example.ch is not proven".to_owned());
    let by = |live: Live, change: &dyn Fn(&mut Progress)| {
        let mut progress = there.clone();
        change(&mut progress);
        view_of(progress, &live, &Proofs::Enough)
    };
    let (damaged, foreign) = (
        |key| Live::Damaged {
            why: "fullchain.pem is empty".to_owned(),
            key,
        },
        || Live::Foreign {
            why: "cert.pem is another certificate".to_owned(),
        },
    );
    let loose = || {
        let one = there.installed.clone().unwrap();
        Live::There {
            serial: one.serial,
            not_before: one.not_before,
            not_after: one.not_after,
            loose: Some("other users can use privkey.pem".to_owned()),
        }
    };
    let refused = Revocation {
        not_after: Some(now() + DAY),
        refused: Some(Refusal {
            since: now(),
            words: "unknown".to_owned(),
            hint: None,
        }),
        ..asked_for()
    };
    let deployment = Deployment {
        version: 1,
        failures: 1,
        at: now() + DAY,
        trouble: Some("exit status: 1".to_owned()),
    };
    vec![
        ("valid", fresh(&|_| {}), false),
        (
            "renewing",
            with(installed(61), &|one| one.order = Some(open.clone())),
            false,
        ),
        ("ordering", view(ordering, true, &Proofs::Enough), false),
        (
            "revoked",
            fresh(&|one| one.installed.as_mut().unwrap().revoked_at = Some(now())),
            true,
        ),
        (
            "files gone",
            view(there.clone(), false, &Proofs::Enough),
            true,
        ),
        (
            "files gone while it is fetched",
            by(Live::Nothing, &|one| one.order = Some(open.clone())),
            true,
        ),
        ("damaged", by(damaged(Some(1)), &|_| {}), true),
        ("damaged without its key", by(damaged(None), &|_| {}), true),
        (
            "damaged while it is renewed",
            by(damaged(Some(1)), &|one| one.order = Some(open.clone())),
            true,
        ),
        ("open to others", by(loose(), &|_| {}), true),
        ("foreign", by(foreign(), &|_| {}), true),
        (
            "foreign while it is renewed",
            by(foreign(), &|one| one.order = Some(open.clone())),
            true,
        ),
        (
            "never ordered",
            view(Progress::default(), false, &Proofs::Enough),
            true,
        ),
        ("waits for a proof", view(waiting, false, &missing), true),
        ("ended", with(installed(91), &|_| {}), true),
        ("late", with(installed(80), &|_| {}), true),
        ("held", fresh(&|one| one.hold = Some(hold())), true),
        (
            "revocation refused",
            fresh(&|one| one.revocation = Some(Box::new(refused.clone()))),
            true,
        ),
        (
            "not deployed",
            fresh(&|one| one.deployment = Some(deployment.clone())),
            true,
        ),
        (
            "record left",
            fresh(&|one| one.leftovers_trouble = Some("refused".to_owned())),
            true,
        ),
        (
            "failing",
            fresh(&|one| one.trouble = Some("no answer".to_owned())),
            true,
        ),
    ]
}

#[test]
fn everything_that_servers_may_suffer_from_needs_attention() {
    for (what, view, expected) in samples() {
        assert_eq!(view.needs_attention(), expected, "{what}: {view:?}");
    }
    let state = |what: &str| {
        let all = samples();
        let found = all.into_iter().find(|(name, ..)| *name == what);
        found.unwrap().1.state
    };
    assert_eq!(state("files gone"), CertificateState::Missing);
    let fetched = state("files gone while it is fetched");
    assert_eq!(fetched, CertificateState::Missing);
    assert_eq!(state("foreign"), CertificateState::Valid);
    assert_eq!(state("damaged"), CertificateState::Valid);
    let word = |what: &str| {
        let all = samples();
        let found = all.into_iter().find(|(name, ..)| *name == what);
        found.unwrap().1.word()
    };
    for (what, expected) in [
        ("valid", "valid"),
        ("damaged", "damaged"),
        ("damaged while it is renewed", "damaged"),
        ("files gone while it is fetched", "missing"),
        ("held", "held"),
        ("open to others", "valid"),
    ] {
        assert_eq!(word(what), expected, "{what}");
    }
    let mut all = samples().into_iter();
    let (_, foreign, _) = all.find(|(name, ..)| *name == "foreign").unwrap();
    assert!(foreign.held);
    let hint = foreign.hint.unwrap();
    for part in [
        "0001",
        "fetch www`",
        "issue www` takes over",
        "issue www --again",
    ] {
        assert!(hint.contains(part), "{hint}");
    }
    assert_eq!(state("revoked"), CertificateState::Revoked);
    assert_eq!(state("held"), CertificateState::Valid);
}

#[test]
fn what_hangs_on_a_proof_is_ordered_at_its_client_and_lies_below_it() {
    let mut view = view(Progress::default(), false, &Proofs::Enough);
    let own = "swisssign/Muster AG";
    assert!(!view.hangs_on("example.ch", own), "its CA has no clients");
    view.client = Some("Muster AG".to_owned());
    for (domain, client, expected) in [
        ("example.ch", own, true),
        ("www.example.ch", own, true),
        ("ample.ch", own, false),
        ("a.www.example.ch", own, false),
        ("example.ch", "sectigo/Muster AG", false),
    ] {
        assert_eq!(view.hangs_on(domain, client), expected, "{domain} {client}");
    }
    let mut gone = view.clone();
    (gone.name, gone.state) = ("old".to_owned(), CertificateState::Unmanaged);
    let all = [view, gone];
    let until = "2027-03-15T08:00:00Z".parse().ok();
    let said = at_stake(&all, "example.ch", own, until).unwrap();
    assert_eq!(
        said,
        "without a new proof the certificates www cannot be renewed after 2027-03-15 08:00 UTC"
    );
    let said = at_stake(&all, "example.ch", own, None).unwrap();
    assert!(said.ends_with("cannot be renewed now"), "{said}");
    assert_eq!(at_stake(&all, "example.org", own, until), None);
}

/// One that the configuration does not name.
fn unnamed(name: &str, progress: Progress, at: Timestamp) -> CertificateView {
    let observed = Observed {
        wanted: None,
        progress: &progress,
        live: &Live::Unknown,
        proofs: &Proofs::Enough,
        is_fresh: false,
    };
    let decision = next_step(observed, at);
    let row = CertificateRow {
        name: name.to_owned(),
        ca: "swisssign".to_owned(),
        wanted: false,
        home: Some("here".to_owned()),
        due_at: None,
        progress,
    };
    CertificateView::new(&row, None, &decision, &Live::Unknown, at)
}

#[test]
fn an_open_order_that_nothing_names_is_left_behind_until_it_ends() {
    let with = |state: Option<OrderState>, records: usize| {
        let record = crate::issuance::progress::Record {
            owner: "_dnsauth.example.ch".to_owned(),
            kind: "TXT".to_owned(),
            data: "a".to_owned(),
            state: crate::issuance::progress::RecordState::Published,
            ..Default::default()
        };
        let progress = Progress {
            order: state.map(|state| Order {
                submitted_at: Some(now()),
                reference: Some("ord-2".to_owned()),
                names: vec!["www.example.ch".to_owned()],
                state: Some(state),
                ..Order::default()
            }),
            leftovers: vec![record; records],
            ..Progress::default()
        };
        unnamed("www", progress, now())
    };
    let open = with(Some(OrderState::AwaitsPerson), 0);
    assert!(open.left_behind && !open.needs_attention(), "{open:?}");
    assert!(open.reason.contains("its order ord-2"), "{}", open.reason);
    assert_eq!(open.names, ["www.example.ch"]);
    assert!(!with(Some(OrderState::Issued), 0).left_behind);
    assert!(with(None, 1).left_behind, "its record is in DNS");
    assert!(!with(None, 0).left_behind);
}

#[test]
fn what_was_ordered_by_hand_is_told_from_its_last_third_to_a_month_after_its_end() {
    let told = |name: &str, age: i32| {
        let progress = Progress {
            installed: Some(installed(0)),
            ..Progress::default()
        };
        unnamed(name, progress, now() + DAY * age).ends_for_good
    };
    for (age, expected) in [(59, false), (60, true), (119, true), (120, false)] {
        assert_eq!(told("csr-0123456789abcdef", age), expected, "{age} days");
        assert!(!told("www", age), "it was taken out");
    }
}
