//! What one domain's facts mean for the day, as tables.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot continue says so by panicking"
)]

use jiff::{SignedDuration, Timestamp};

use super::judge::{Judged, Seen, judge};
use crate::overview::ProofView;
use crate::prevalidation::DomainName;
use crate::propagation::caa::{METHODS_COUNT_FROM, Property, evaluate};
use crate::propagation::finding::Severity::{self, Blocks, Info, Warns};
use crate::propagation::survey::{Answering, Families, Survey};

const ON: Timestamp = METHODS_COUNT_FROM;

fn before(days: i64) -> Timestamp {
    ON.saturating_sub(SignedDuration::from_hours(24 * days))
        .unwrap()
}

fn answering(listed: usize, asked: usize, answering: usize) -> Answering {
    Answering {
        listed,
        asked,
        answering,
    }
}

/// A domain with nothing to say about.
fn ready() -> Survey {
    Survey {
        fault: None,
        zone: Some("example.ch".to_owned()),
        caa: None,
        dnssec: None,
        families: Families {
            ipv4: answering(2, 2, 2),
            ipv6: answering(2, 2, 2),
        },
    }
}

fn proof(usable_until: Option<Timestamp>, method: &str) -> ProofView {
    ProofView {
        usable_until,
        method: Some(method.to_owned()),
        ..ProofView::default()
    }
}

fn judged(survey: &Survey, proof: ProofView, provider: Option<&str>) -> Vec<Judged> {
    let domain = DomainName::from_a_labels("example.ch").unwrap();
    let seen = Seen {
        registered_until: None,
        domain: &domain,
        ca: "swisssign",
        proof: Some(proof),
        covered: false,
        renew_at: None,
        survey,
        provider: provider.map(str::to_owned),
    };
    judge(&seen, ON, before(100))
}

fn codes(found: &[Judged]) -> Vec<(Severity, &'static str)> {
    found.iter().map(|it| (it.severity, it.code)).collect()
}

fn good() -> ProofView {
    proof(Some(before(10)), "cabdns")
}

#[test]
fn a_domain_without_any_fault_is_ready() {
    assert_eq!(codes(&judged(&ready(), good(), None)), []);
}

#[test]
fn each_verdict_on_caa_has_its_weight_its_code_and_its_change() {
    let set = |records: &[&str]| -> Vec<Property> {
        let property = |text: &&str| {
            let (tag, value) = text.split_once(' ').unwrap();
            Property {
                critical: tag.starts_with('!'),
                tag: tag.trim_start_matches('!').to_owned(),
                value: value.as_bytes().to_vec(),
            }
        };
        records.iter().map(property).collect()
    };
    type Row = (&'static [&'static str], &'static [(Severity, &'static str)]);
    let table: &[Row] = &[
        (&["issue swisssign.com"], &[]),
        (&["issue other.example"], &[(Blocks, "caa-forbids")]),
        (
            &["issue swisssign.com; validationmethods=dns-01"],
            &[(Warns, "caa-ask-the-ca")],
        ),
        (
            &["issue swisssign.com; validationmethods=http-01"],
            &[(Blocks, "caa-other-methods")],
        ),
        (
            &["issue swisssign.com; accounturi=https://acme.example/1"],
            &[(Blocks, "caa-other-account")],
        ),
        (&["!future x"], &[(Blocks, "caa-unknown-critical")]),
        (
            &["issue swisssign.com", "issuewild ;", "issuemail ;"],
            &[(Info, "caa-wildcards"), (Info, "caa-mail")],
        ),
    ];
    for (records, expected) in table {
        let names = ["swisssign.com".to_owned()];
        let caa = evaluate(Some("example.ch".to_owned()), &set(records), &names, ON);
        let survey = Survey {
            caa: Some(caa),
            ..ready()
        };
        let found = judged(&survey, good(), None);
        assert_eq!(codes(&found), *expected, "{records:?}");
        let admits = |it: &Judged| it.next.iter().any(|next| next.contains("every account"));
        let names_one = records.iter().any(|text| text.contains("accounturi"));
        assert_eq!(found.iter().any(admits), names_one, "{records:?}");
        for finding in found.iter().filter(|it| it.code != "caa-mail") {
            let added = finding.changes.iter().filter_map(|it| it.add.as_ref());
            let removed = finding.changes.iter().filter_map(|it| it.remove.as_ref());
            let lines: Vec<_> = added.chain(removed).collect();
            assert!(!lines.is_empty(), "{finding:?}");
            assert!(lines.iter().all(|it| it.starts_with("example.ch. CAA ")));
        }
    }
}

#[test]
fn one_family_is_told_by_what_answers_and_not_by_what_this_machine_cannot_reach() {
    let table = [
        ((2, 2, 2), (2, 2, 1), None),
        ((2, 2, 2), (0, 0, 0), Some(Info)),
        ((2, 2, 2), (2, 0, 0), Some(Info)),
        ((2, 2, 2), (2, 2, 0), Some(Warns)),
        ((2, 2, 0), (2, 2, 2), Some(Warns)),
        ((0, 0, 0), (2, 2, 2), Some(Warns)),
        ((0, 0, 0), (0, 0, 0), None),
    ];
    for ((a, b, c), (d, e, f), expected) in table {
        let survey = Survey {
            families: Families {
                ipv4: answering(a, b, c),
                ipv6: answering(d, e, f),
            },
            ..ready()
        };
        let found = codes(&judged(&survey, good(), None));
        let expected: Vec<_> = expected.map(|it| (it, "one-family")).into_iter().collect();
        assert_eq!(found, expected, "{a}{b}{c} {d}{e}{f}");
    }
}

#[test]
fn proofs_that_end_that_day_that_are_missing_and_methods_that_end_are_told() {
    let second = SignedDuration::from_secs(1);
    let (last, next_day) = (before(-1).saturating_sub(second).unwrap(), before(-1));
    for (end, method, expected) in [
        (Some(ON), "cabdns", vec![(Info, "proof-ends")]),
        (Some(last), "cabdns", vec![(Info, "proof-ends")]),
        (Some(next_day), "cabdns", vec![]),
        (Some(before(1)), "cabdns", vec![]),
        (Some(before(200)), "cabdns", vec![(Warns, "no-proof")]),
        (None, "cabdns", vec![(Warns, "no-proof")]),
        (Some(before(1)), "email", vec![(Warns, "method-ends")]),
        (
            Some(before(1)),
            "Constructed E-Mail",
            vec![(Warns, "method-ends")],
        ),
        (
            Some(before(1)),
            "phone-contact",
            vec![(Blocks, "method-ended")],
        ),
        (
            Some(before(1)),
            "ip-address",
            vec![(Blocks, "method-ended")],
        ),
    ] {
        let found = codes(&judged(&ready(), proof(end, method), None));
        assert_eq!(found, expected, "{end:?} {method}");
    }
}

#[test]
fn a_refusing_provider_and_a_zone_without_servers_stop_certificates() {
    let lost = Survey {
        fault: Some("example.ch is not delegated".to_owned()),
        families: Families::default(),
        ..ready()
    };
    let found = judged(&lost, good(), Some("provider `bind`: REFUSED"));
    assert_eq!(
        codes(&found),
        [(Blocks, "not-delegated"), (Blocks, "provider-refuses")]
    );
    assert!(found[1].text.contains("REFUSED"));
}
