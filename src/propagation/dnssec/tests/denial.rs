//! What a parent's records prove about a name below it, with NSEC and with NSEC3.

use FaultKind::{BadDenial, Expired, NotSigned};
use RecordType::{A, NS, SOA};
use hickory_proto::dnssec::rdata::{DNSSECRData, DS, NSEC3};
use hickory_proto::dnssec::{Algorithm, DigestType, Nsec3HashAlgorithm};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::signer::{DAY, NOW, Signer};
use crate::propagation::dnssec::denial::{Below, Denials, below};
use crate::propagation::dnssec::signatures::data;
use crate::propagation::dnssec::{FaultKind, Unsigned};
use crate::propagation::lab::name;
use crate::propagation::race::Budget;

const CHILD: &str = "example.test";

fn found(records: &[Record], parent: &Signer) -> Result<Below, FaultKind> {
    below(records, &name(CHILD), &parent.keys(), NOW, &Budget::of(100)).map_err(|fault| fault.kind)
}

fn hash(of: &Name, iterations: u16) -> Vec<u8> {
    Nsec3HashAlgorithm::SHA1
        .hash(&[0xab], of, iterations)
        .unwrap()
        .as_ref()
        .to_vec()
}

fn label(hash: &[u8]) -> String {
    let bits: String = hash.iter().map(|byte| format!("{byte:08b}")).collect();
    (0..32)
        .map(|nth| {
            char::from_digit(
                u32::from_str_radix(&bits[nth * 5..nth * 5 + 5], 2).unwrap(),
                32,
            )
            .unwrap()
        })
        .collect()
}

/// An NSEC3 record that begins `before` places before the hash of `of` and ends `after` places
/// after it.
fn nsec3(
    of: &str,
    (before, after): (u8, u8),
    opt_out: bool,
    iterations: u16,
    types: &[RecordType],
) -> Record {
    let shifted = |by: i16| {
        let (mut hash, mut carry) = (hash(&name(of), iterations), by);
        for octet in hash.iter_mut().rev() {
            carry += i16::from(*octet);
            *octet = u8::try_from(carry.rem_euclid(256)).unwrap();
            carry = carry.div_euclid(256);
        }
        hash
    };
    let (owner, next) = (shifted(-i16::from(before)), shifted(i16::from(after)));
    let owner = name(&format!("{}.test", label(&owner)));
    let nsec3 = NSEC3::new(
        Nsec3HashAlgorithm::SHA1,
        opt_out,
        iterations,
        vec![0xab],
        next,
        types.iter().copied(),
    );
    Record::from_rdata(owner, 300, RData::DNSSEC(DNSSECRData::NSEC3(nsec3)))
}

fn signed(parent: &Signer, records: &[Record]) -> Vec<Record> {
    records
        .iter()
        .flat_map(|record| parent.signed(std::slice::from_ref(record)))
        .collect()
}

#[test]
fn nsec_proves_an_unsigned_delegation_or_none_or_nothing() {
    let parent = Signer::p256("test");
    let unsigned = Ok(Below::Unsigned(Unsigned::NotSigned));
    let table: Vec<(&str, Record, Result<Below, FaultKind>)> = vec![
        (
            "a delegation without DS",
            Signer::nsec(CHILD, "f.test", &[NS]),
            unsigned,
        ),
        (
            "a name that is not a delegation",
            Signer::nsec(CHILD, "f.test", &[A]),
            Ok(Below::SameZone),
        ),
        (
            "a DS record that is not shown",
            Signer::nsec(CHILD, "f.test", &[NS, RecordType::DS]),
            Err(BadDenial),
        ),
        (
            "the child's own",
            Signer::nsec(CHILD, "f.test", &[NS, SOA]),
            Err(BadDenial),
        ),
        (
            "a name that does not exist",
            Signer::nsec("d.test", "f.test", &[A]),
            Ok(Below::SameZone),
        ),
        (
            "the end of the zone",
            Signer::nsec("d.test", "test", &[A]),
            Ok(Below::SameZone),
        ),
        (
            "an empty name above others",
            Signer::nsec("d.test", "a.example.test", &[A]),
            Ok(Below::SameZone),
        ),
        (
            "another part of the zone",
            Signer::nsec("f.test", "g.test", &[A]),
            Err(BadDenial),
        ),
        (
            "a part that ends before it",
            Signer::nsec("a.test", "d.test", &[A]),
            Err(BadDenial),
        ),
    ];
    for (what, nsec, expected) in table {
        assert_eq!(found(&parent.signed(&[nsec]), &parent), expected, "{what}");
    }
    assert_eq!(found(&[], &parent), Err(BadDenial), "no record at all");
    assert_eq!(
        found(&[Signer::nsec(CHILD, "f.test", &[NS])], &parent),
        Err(NotSigned)
    );
    let other = Signer::p256("example.test");
    assert!(
        found(
            &other.signed(&[Signer::nsec(CHILD, "f.test", &[NS])]),
            &parent
        )
        .is_err(),
        "signed by the child"
    );
    let mut late = parent.clone();
    late.valid = (NOW - 2 * DAY, NOW - DAY);
    assert_eq!(
        found(
            &late.signed(&[Signer::nsec(CHILD, "f.test", &[NS])]),
            &parent
        ),
        Err(Expired)
    );
}

#[test]
fn a_delegation_above_a_name_proves_nothing_about_it() {
    // RFC 6840, section 4.1.
    let parent = Signer::p256("test");
    let above = parent.signed(&[Signer::nsec(CHILD, "f.test", &[NS])]);
    let below = below(
        &above,
        &name("sub.example.test"),
        &parent.keys(),
        NOW,
        &Budget::of(100),
    );
    assert_eq!(below.unwrap_err().kind, BadDenial);
}

#[test]
fn nsec3_proves_the_same_and_opt_out_an_unsigned_delegation() {
    let parent = Signer::p256("test");
    let unsigned = Ok(Below::Unsigned(Unsigned::NotSigned));
    let apex = |iterations| nsec3("test", (0, 1), true, iterations, &[NS, SOA]);
    let table: Vec<(&str, Vec<Record>, Result<Below, FaultKind>)> = vec![
        (
            "a delegation without DS",
            vec![nsec3(CHILD, (0, 1), false, 0, &[NS])],
            unsigned.clone(),
        ),
        (
            "a name that is not a delegation",
            vec![nsec3(CHILD, (0, 1), false, 0, &[A])],
            Ok(Below::SameZone),
        ),
        (
            "a DS record that is not shown",
            vec![nsec3(CHILD, (0, 1), false, 0, &[NS, RecordType::DS])],
            Err(BadDenial),
        ),
        (
            "opt-out",
            vec![apex(5), nsec3(CHILD, (1, 1), true, 5, &[A])],
            unsigned,
        ),
        (
            "a name that does not exist",
            vec![apex(5), nsec3(CHILD, (1, 1), false, 5, &[A])],
            Ok(Below::SameZone),
        ),
        (
            "no closest encloser",
            vec![nsec3(CHILD, (1, 1), true, 0, &[A])],
            Err(BadDenial),
        ),
        ("no cover", vec![apex(0)], Err(BadDenial)),
        (
            "another number of iterations",
            vec![apex(1), nsec3(CHILD, (1, 1), true, 2, &[A])],
            Err(BadDenial),
        ),
        (
            "as many as are computed",
            vec![apex(150), nsec3(CHILD, (1, 1), true, 150, &[A])],
            Ok(Below::Unsigned(Unsigned::NotSigned)),
        ),
        (
            "one more",
            vec![apex(151), nsec3(CHILD, (1, 1), true, 151, &[A])],
            Ok(Below::Unsigned(Unsigned::Iterations(151))),
        ),
        (
            "the most there can be",
            vec![apex(u16::MAX)],
            Ok(Below::Unsigned(Unsigned::Iterations(u16::MAX))),
        ),
    ];
    for (what, records, expected) in table {
        assert_eq!(
            found(&signed(&parent, &records), &parent),
            expected,
            "{what}"
        );
    }
}

#[test]
fn unknown_ds_records_end_the_chain_and_a_weak_digest_is_no_substitute() {
    let (parent, child) = (Signer::p256("test"), Signer::p256(CHILD));
    let ds = |record: &Record| data::<DS>(record).unwrap().clone();
    let made = |algorithm: u8, digest: u8| {
        let ds = DS::new(
            7,
            Algorithm::from_u8(algorithm),
            DigestType::from(digest),
            vec![0; 32],
        );
        Record::from_rdata(name(CHILD), 300, RData::DNSSEC(DNSSECRData::DS(ds)))
    };
    let unknown = vec![made(16, 2), made(13, 5)];
    let Ok(Below::Unsigned(Unsigned::Unsupported(what))) = found(&parent.signed(&unknown), &parent)
    else {
        panic!("unknown kinds end the chain")
    };
    assert!(
        what.contains("algorithm 16, digest 2") && what.contains("ECDSAP256SHA256, digest 5"),
        "{what}"
    );
    let both = [unknown, vec![child.ds()]].concat();
    assert_eq!(
        found(&parent.signed(&both), &parent),
        Ok(Below::Signed(vec![ds(&child.ds())]))
    );
    let weak = vec![child.ds_of(DigestType::SHA1), made(13, 2)];
    assert_eq!(
        found(&parent.signed(&weak), &parent),
        Ok(Below::Signed(vec![ds(&made(13, 2))]))
    );
    let alone = vec![child.ds_of(DigestType::SHA1)];
    assert_eq!(
        found(&parent.signed(&alone), &parent),
        Ok(Below::Signed(vec![ds(&alone[0])]))
    );
    assert_eq!(found(&[child.ds()], &parent), Err(NotSigned));
}

#[test]
fn a_wildcard_answers_only_for_names_that_are_proved_not_to_be_there() {
    let zone = Signer::p256("test");
    let (owner, keys) = (name("a.b.test"), zone.keys());
    let proved = |records: &[Record]| {
        let records = signed(&zone, records);
        Denials::of(&records, &keys, NOW, &Budget::of(100))
            .no_closer_match(&owner, 1)
            .map_err(|fault| fault.kind)
    };
    assert_eq!(proved(&[Signer::nsec("a.test", "c.test", &[A])]), Ok(()));
    assert_eq!(proved(&[nsec3("b.test", (1, 1), false, 0, &[A])]), Ok(()));
    assert_eq!(
        proved(&[Signer::nsec("b.test", "c.test", &[A])]),
        Err(BadDenial),
        "b.test is there"
    );
    assert_eq!(
        proved(&[nsec3("b.test", (0, 1), false, 0, &[A])]),
        Err(BadDenial),
        "b.test is there"
    );
    assert_eq!(proved(&[]), Err(BadDenial));
}
