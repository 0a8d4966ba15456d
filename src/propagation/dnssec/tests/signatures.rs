//! One RRset and its signatures: RFC 4035, section 5.3.1, condition by condition; and zones built
//! to waste time.

use std::time::Instant;

use FaultKind::{BadSignature, DsMismatch, Expired, NoDnskey, NotSigned, NotYetValid};
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, SigInput};
use hickory_proto::dnssec::{Algorithm, PublicKeyBuf};
use hickory_proto::rr::{RData, Record, RecordType, SerialNumber};

use super::signer::{DAY, NOW, Signer, spoiled};
use crate::propagation::dnssec::signatures::{data, keys, rrset, verify};
use crate::propagation::dnssec::{Fault, FaultKind};
use crate::propagation::lab::{name, record};
use crate::propagation::race::Budget;

fn texts() -> Vec<Record> {
    ["v=spf1 -all", "swiss-pki=0123456789abcdef", "a", ""]
        .map(|value| record(&format!("www.example.test TXT \"{value}\"")))
        .into()
}

fn verified(records: &[Record], signer: &Signer) -> Result<u8, Fault> {
    let rrset = rrset(records, &name("www.example.test"), RecordType::TXT);
    verify(&rrset, records, &signer.keys(), NOW, &Budget::of(100))
}

fn spent(budget: &Budget, of: u32) -> u32 {
    (0..of)
        .filter(|_| !budget.spend())
        .count()
        .try_into()
        .unwrap()
}

#[test]
fn a_signature_counts_whatever_order_case_and_ttl_the_records_come_in() {
    for algorithm in [
        Algorithm::ECDSAP256SHA256,
        Algorithm::ECDSAP384SHA384,
        Algorithm::ED25519,
    ] {
        let signer = Signer::new("example.test", algorithm);
        let mut records = signer.signed(&texts());
        assert_eq!(verified(&records, &signer), Ok(3), "{algorithm}");
        records.reverse();
        records[1].ttl = 17;
        records[2].name = name("WWW.Example.TEST");
        records.push(records[1].clone());
        assert_eq!(verified(&records, &signer), Ok(3), "{algorithm}");
    }
}

#[test]
fn each_condition_of_a_signature_is_checked_and_told_apart() {
    let (signer, other) = (Signer::p256("example.test"), Signer::p256("example.test"));
    let rrset = texts();
    let with = |change: fn(&mut SigInput)| {
        let mut input = signer.input(&rrset);
        change(&mut input);
        signer.sign_as(&rrset, input)
    };
    let (good, until_now, from_now) = (
        signer.sign(&rrset),
        with(|i| i.sig_expiration = SerialNumber::new(NOW)),
        with(|i| i.sig_inception = SerialNumber::new(NOW)),
    );
    let expired = with(|i| i.sig_expiration = SerialNumber::new(NOW - 1));
    let table: Vec<(&str, Vec<Record>, Result<u8, FaultKind>)> = vec![
        ("good", vec![good.clone()], Ok(3)),
        ("its last second", vec![until_now], Ok(3)),
        ("its first second", vec![from_now], Ok(3)),
        ("none", vec![], Err(NotSigned)),
        (
            "of another type",
            vec![with(|i| i.type_covered = RecordType::A)],
            Err(NotSigned),
        ),
        ("expired", vec![expired.clone()], Err(Expired)),
        (
            "not yet valid",
            vec![with(|i| i.sig_inception = SerialNumber::new(NOW + 1))],
            Err(NotYetValid),
        ),
        (
            "half a circle of time away",
            vec![with(|i| i.sig_inception = SerialNumber::new(NOW ^ 1 << 31))],
            Err(NotYetValid),
        ),
        (
            "signed by the parent",
            vec![with(|i| i.signer_name = name("test"))],
            Err(BadSignature),
        ),
        (
            "more labels than the name",
            vec![with_labels(&good, 4)],
            Err(BadSignature),
        ),
        ("another key's", vec![other.sign(&rrset)], Err(BadSignature)),
        (
            "another key's tag",
            vec![with(|i| i.key_tag ^= 1)],
            Err(BadSignature),
        ),
        (
            "an unknown algorithm",
            vec![with(|i| i.algorithm = Algorithm::Unknown(200))],
            Err(BadSignature),
        ),
        ("an altered date", vec![redated(&good)], Err(BadSignature)),
        ("spoiled", vec![spoiled(&good)], Err(BadSignature)),
        (
            "spoiled beside expired",
            vec![expired.clone(), spoiled(&good)],
            Err(BadSignature),
        ),
        (
            "one good among bad",
            vec![expired, spoiled(&good), other.sign(&rrset), good],
            Ok(3),
        ),
    ];
    for (what, signatures, expected) in table {
        let found = verified(&[texts(), signatures].concat(), &signer);
        assert_eq!(
            found.as_ref().map_err(|fault| fault.kind),
            expected.as_ref().map_err(|kind| *kind),
            "{what}: {found:?}"
        );
        if let Err(fault) = found {
            assert!(
                fault.zone == "example.test" && fault.detail.contains("www.example.test"),
                "{what}: {fault}"
            );
        }
    }
    let added = [
        signer.signed(&rrset),
        vec![record("www.example.test TXT \"forged\"")],
    ]
    .concat();
    assert_eq!(verified(&added, &signer).unwrap_err().kind, BadSignature);
}

fn changed(signature: &Record, change: impl Fn(&mut SigInput)) -> Record {
    let RData::DNSSEC(DNSSECRData::RRSIG(sig)) = &signature.data else {
        panic!("no signature")
    };
    let mut input = sig.input().clone();
    change(&mut input);
    let changed = hickory_proto::dnssec::rdata::RRSIG::from_sig(input, sig.sig().to_vec());
    Record::from_rdata(
        signature.name.clone(),
        300,
        RData::DNSSEC(DNSSECRData::RRSIG(changed)),
    )
}

fn with_labels(signature: &Record, labels: u8) -> Record {
    changed(signature, |input| input.num_labels = labels)
}

fn redated(signature: &Record) -> Record {
    changed(signature, |input| {
        input.sig_expiration = SerialNumber::new(NOW + 2 * DAY)
    })
}

#[test]
fn an_expired_signature_is_told_with_its_date() {
    let mut signer = Signer::p256("example.test");
    signer.valid = (NOW - 2 * DAY, 1_767_225_600);
    let fault = verified(&signer.signed(&texts()), &signer).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "DNSSEC of example.test: the signature over www.example.test TXT expired at 2026-01-01T00:00:00Z"
    );
}

#[test]
fn a_wildcards_signature_says_so_by_its_labels() {
    let signer = Signer::p256("example.test");
    let wildcard: Vec<Record> = vec![record("*.example.test TXT \"for all\"")];
    let mut records = signer.signed(&wildcard);
    for record in &mut records {
        record.name = name("www.example.test");
    }
    assert_eq!(verified(&records, &signer), Ok(2));
}

#[test]
fn keys_need_a_ds_record_that_names_the_one_that_signed_them() {
    let (ksk, zsk, stranger) = (
        Signer::p256("example.test"),
        Signer::p256("example.test"),
        Signer::p256("example.test"),
    );
    let ds = |record: &Record| data::<DS>(record).unwrap().clone();
    let set = vec![ksk.dnskey(), zsk.dnskey()];
    let read = |answers: &[Record], of: &[Record]| {
        let ds: Vec<DS> = of.iter().map(ds).collect();
        keys(answers, &name("example.test"), &ds, NOW, &Budget::of(100))
    };
    let signed = ksk.signed(&set);
    let found = read(&signed, &[ksk.ds()]).unwrap();
    // The other key signs the zone's records.
    let sorted = rrset(&texts(), &name("www.example.test"), RecordType::TXT);
    assert_eq!(
        verify(&sorted, &zsk.signed(&sorted), &found, NOW, &Budget::of(9)),
        Ok(3)
    );
    let not_a_zone_key = DNSKEY::with_flags(0, ksk.key.public_key().clone());
    let no_zone_key = Record::from_rdata(
        name("example.test"),
        300,
        RData::DNSSEC(DNSSECRData::DNSKEY(not_a_zone_key)),
    );
    let spoilt = [set.clone(), vec![spoiled(&ksk.sign(&set))]].concat();
    let by_the_other = zsk.signed(&set);
    let table: [(&str, &[Record], &[Record], FaultKind); 7] = [
        ("no keys", &[], &[ksk.ds()], NoDnskey),
        ("no zone keys", &[no_zone_key], &[ksk.ds()], NoDnskey),
        ("another DS record", &signed, &[stranger.ds()], DsMismatch),
        ("not signed", &set, &[ksk.ds()], NotSigned),
        (
            "signed with a key without DS record",
            &by_the_other,
            &[ksk.ds()],
            BadSignature,
        ),
        ("spoiled", &spoilt, &[ksk.ds()], BadSignature),
        (
            "the right tag, another digest",
            &signed,
            &[retagged(&stranger.ds(), ksk.tag())],
            DsMismatch,
        ),
    ];
    for (what, answers, of, expected) in table {
        assert_eq!(read(answers, of).unwrap_err().kind, expected, "{what}");
    }
    assert!(
        read(&signed, &[stranger.ds(), ksk.ds()]).is_ok(),
        "one of two is enough while keys are rolled"
    );
}

fn retagged(ds: &Record, tag: u16) -> Record {
    let of = data::<DS>(ds).unwrap();
    let ds = DS::new(tag, of.algorithm(), of.digest_type(), of.digest().to_vec());
    Record::from_rdata(
        name("example.test"),
        300,
        RData::DNSSEC(DNSSECRData::DS(ds)),
    )
}

/// A key of 64 octets without a private half, with this tag.
fn colliding(nth: u8, tag: u16) -> DNSKEY {
    let made = |high: u8, low: u8| {
        let mut bytes = vec![nth; 64];
        (bytes[0], bytes[1]) = (high, low);
        DNSKEY::with_flags(257, PublicKeyBuf::new(bytes, Algorithm::ECDSAP256SHA256))
    };
    let mut all = (0..=u8::MAX).flat_map(|high| (0..=u8::MAX).map(move |low| made(high, low)));
    all.find(|key| key.calculate_key_tag().unwrap() == tag)
        .unwrap()
}

#[test]
fn keys_of_one_tag_and_signatures_without_end_cost_eight_computations() {
    let signer = Signer::p256("example.test");
    let mut hostile: Vec<DNSKEY> = (0..40).map(|nth| colliding(nth, signer.tag())).collect();
    hostile.push(signer.key.clone());
    let trap = crate::propagation::dnssec::Keys::new(&name("example.test"), &hostile);
    let rrset = rrset(&texts(), &name("www.example.test"), RecordType::TXT);
    let good = signer.sign(&rrset);
    let many: Vec<Record> = rrset
        .iter()
        .cloned()
        .chain((0..600).map(|_| spoiled(&good)))
        .collect();
    let (begun, effort) = (Instant::now(), Budget::of(100));
    let fault = verify(&rrset, &many, &trap, NOW, &effort).unwrap_err();
    assert_eq!(
        (fault.kind, spent(&effort, 100)),
        (BadSignature, 8),
        "{fault}"
    );
    assert!(
        fault
            .detail
            .contains("more signatures and keys of one tag than resolvers try"),
        "{fault}"
    );
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());

    // The same on the way to the keys, where each pair of a DS record and a key costs a hash.
    let set: Vec<Record> = hostile
        .iter()
        .map(|key| {
            Record::from_rdata(
                name("example.test"),
                300,
                RData::DNSSEC(DNSSECRData::DNSKEY(key.clone())),
            )
        })
        .collect();
    let ds: Vec<DS> = (0..100)
        .map(|nth| {
            DS::new(
                signer.tag(),
                Algorithm::ECDSAP256SHA256,
                hickory_proto::dnssec::DigestType::SHA256,
                vec![nth; 32],
            )
        })
        .collect();
    let effort = Budget::of(128);
    assert_eq!(
        keys(&set, &name("example.test"), &ds, NOW, &effort)
            .unwrap_err()
            .kind,
        DsMismatch
    );
    assert_eq!(spent(&effort, 128), 128, "the chain's budget ends it");
}
