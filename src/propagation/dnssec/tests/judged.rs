//! One server's answer with the zone's keys at hand, and what the rule makes of several.

use Answer::{Lame, Match, NoMatch, Unreachable};
use hickory_proto::op::{Message, OpCode};
use hickory_proto::rr::{Name, Record, RecordType};
use std::sync::Arc;

use super::signer::{DAY, NOW, Signer, now, spoiled};
use crate::propagation::dnssec::signatures::rrset;
use crate::propagation::dnssec::{Fault, FaultKind, Trust, Unsigned, expanded_from};
use crate::propagation::lab::{name, record};
use crate::propagation::{Answer, ServerAnswer, rule};

const TXT: RecordType = RecordType::TXT;

fn owner() -> Name {
    name("example.test")
}

fn reply(answers: &[Record], authorities: &[Record]) -> Message {
    let mut reply = Message::response(1, OpCode::Query);
    reply.metadata.authoritative = true;
    (reply.answers, reply.authorities) = (answers.to_vec(), authorities.to_vec());
    reply
}

fn judged(trust: &Trust, reply: &Message) -> Result<(), FaultKind> {
    trust
        .judge(reply, &owner(), TXT, now())
        .map_err(|fault| fault.kind)
}

#[test]
fn what_is_there_and_what_is_not_must_both_be_signed() {
    let zone = Signer::p256("example.test");
    let trust = Trust::Secure(Arc::new(zone.keys()));
    let value = [record("example.test TXT \"swiss-pki=0123456789abcdef\"")];
    let nothing = [Signer::nsec(
        "example.test",
        "www.example.test",
        &[RecordType::SOA, RecordType::NS],
    )];
    let mut late = zone.clone();
    late.valid = (NOW - 2 * DAY, NOW - DAY);
    let alias = [record("example.test CNAME www.example.net.")];
    let table: [(&str, Message, Result<(), FaultKind>); 8] = [
        ("a signed value", reply(&zone.signed(&value), &[]), Ok(())),
        (
            "an unsigned value",
            reply(&value, &[]),
            Err(FaultKind::NotSigned),
        ),
        (
            "a spoiled value",
            reply(&[value[0].clone(), spoiled(&zone.sign(&value))], &[]),
            Err(FaultKind::BadSignature),
        ),
        (
            "an old value",
            reply(&late.signed(&value), &[]),
            Err(FaultKind::Expired),
        ),
        ("signed absence", reply(&[], &zone.signed(&nothing)), Ok(())),
        (
            "old absence",
            reply(&[], &late.signed(&nothing)),
            Err(FaultKind::Expired),
        ),
        (
            "unsigned absence",
            reply(&[], &[]),
            Err(FaultKind::BadDenial),
        ),
        ("an alias", reply(&alias, &[]), Ok(())),
    ];
    for (what, reply, expected) in table {
        assert_eq!(judged(&trust, &reply), expected, "{what}");
        let unsigned = Trust::Insecure {
            at: "test".to_owned(),
            why: Unsigned::NotSigned,
        };
        assert_eq!(judged(&unsigned, &reply), Ok(()), "{what}");
        assert_eq!(
            judged(&Trust::Unchecked(String::new()), &reply),
            Ok(()),
            "{what}"
        );
    }
}

#[test]
fn an_answer_from_a_wildcard_needs_the_proof_that_the_name_is_not_there() {
    let zone = Signer::p256("test");
    let trust = Trust::Secure(Arc::new(zone.keys()));
    let mut expanded = zone.signed(&[record("*.test TXT \"swiss-pki=0123456789abcdef\"")]);
    for record in &mut expanded {
        record.name = owner();
    }
    assert_eq!(
        judged(&trust, &reply(&expanded, &[])),
        Err(FaultKind::BadDenial)
    );
    let between = zone.signed(&[Signer::nsec("d.test", "f.test", &[RecordType::A])]);
    let proved = reply(&expanded, &between);
    assert_eq!(judged(&trust, &proved), Ok(()));
    assert_eq!(expanded_from(&proved, &owner(), TXT), Some(name("*.test")));
    let own = reply(&zone.signed(&[record("example.test TXT \"own\"")]), &[]);
    assert_eq!(expanded_from(&own, &owner(), TXT), None);
}

proptest::proptest! {
    #[test]
    fn no_octet_of_a_signed_answer_can_change_its_values(at in 12_usize..400, flip in 1_u8..) {
        let zone = Signer::p256("example.test");
        let mut bytes = reply(&zone.signed(&texts()), &[]).to_vec().unwrap();
        // Beyond the end: the last octet.
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= flip;
        if let Ok(changed) = Message::from_vec(&bytes) {
            let values = |records: &[Record]| -> Vec<_> {
                rrset(records, &owner(), TXT).into_iter().map(|record| record.data).collect()
            };
            let passes = judged(&Trust::Secure(Arc::new(zone.keys())), &changed).is_ok();
            let found = values(&changed.answers);
            proptest::prop_assert!(!passes || found.is_empty() || found == values(&texts()), "octet {at}");
        }
    }
}

fn texts() -> [Record; 2] {
    ["v=spf1 -all", "swiss-pki=0123456789abcdef"]
        .map(|text| record(&format!("example.test TXT \"{text}\"")))
}

fn fault() -> Fault {
    Fault::new(FaultKind::Expired, &owner(), "as asked")
}

#[test]
fn an_answer_that_does_not_validate_is_passed_over_and_no_other_makes_the_zone_bogus() {
    // The answer as read, whether it validates; then as it counts.
    type Row = (&'static [(Answer, bool)], &'static [Answer], bool);
    let table: &[Row] = &[
        (&[(Match, true), (Match, true)], &[Match, Match], false),
        (&[(Match, true), (Match, false)], &[Match, Lame], false),
        (&[(Match, false), (Match, false)], &[Lame, Lame], true),
        (&[(Match, false), (NoMatch, true)], &[Lame, NoMatch], true),
        (&[(Match, true), (NoMatch, false)], &[Match, Lame], false),
        (
            &[(NoMatch, true), (NoMatch, false)],
            &[NoMatch, Lame],
            false,
        ),
        (&[(NoMatch, false), (NoMatch, false)], &[Lame, Lame], true),
        (
            &[(Match, false), (Unreachable, true)],
            &[Lame, Unreachable],
            true,
        ),
        (&[(Unreachable, true)], &[Unreachable], false),
        (&[(Lame, false)], &[Lame], false),
    ];
    for (answers, expected, bogus) in table {
        let servers = answers.iter().map(|&(answer, good)| {
            let address = ([192, 0, 2, 1], 53).into();
            let server = ServerAnswer {
                name: None,
                address,
                answer,
                detail: String::new(),
            };
            (server, (!good).then(fault))
        });
        let servers: Vec<_> = servers.collect();
        let (found, broken) = rule::validate(
            servers.clone(),
            &Trust::Secure(Arc::new(Signer::p256("test").keys())),
        );
        let counted: Vec<Answer> = found.iter().map(|server| server.answer).collect();
        assert_eq!(
            (counted.as_slice(), broken.is_some()),
            (*expected, *bogus),
            "{answers:?}"
        );
        assert!(
            found
                .iter()
                .zip(*answers)
                .all(|(now, (was, _))| now.answer == *was || now.detail == fault().to_string())
        );

        // A broken chain is told of a zone that answers at all; its answers are shown as they are.
        let (found, broken) = rule::validate(servers, &Trust::Bogus(fault()));
        let answering = answers
            .iter()
            .any(|(answer, _)| matches!(answer, Match | NoMatch));
        assert_eq!(broken.is_some(), answering, "{answers:?}");
        assert!(
            found
                .iter()
                .zip(*answers)
                .all(|(now, (was, _))| now.answer == *was)
        );
    }
}

#[test]
fn a_bogus_zone_never_goes_and_says_why_first() {
    let server = ServerAnswer {
        name: None,
        address: ([192, 0, 2, 1], 53).into(),
        answer: Match,
        detail: String::new(),
    };
    let verdict = rule::weigh(vec![server], Vec::new(), std::time::Duration::ZERO);
    assert!(verdict.go);
    let verdict = rule::refuse(verdict, &fault());
    assert!(
        !verdict.go && verdict.bogus.as_deref() == Some("DNSSEC of example.test: as asked"),
        "{verdict:?}"
    );
    assert!(
        verdict.cause.contains("validating resolvers") && verdict.cause.contains("as asked"),
        "{verdict:?}"
    );
}
