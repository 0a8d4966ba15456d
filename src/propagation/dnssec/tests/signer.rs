//! Signs zones, and serves them: denials are made for each question (RFC 4470), so that any name
//! can be denied.

use std::sync::Arc;

use hickory_proto::dnssec::crypto::{EcdsaSigningKey, Ed25519SigningKey};
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, NSEC, RRSIG, SigInput};
use hickory_proto::dnssec::{Algorithm, DigestType, SigningKey, TBS};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, SerialNumber};
use jiff::Timestamp;

use crate::propagation::dnssec::Keys;
use crate::propagation::lab::{self, Script, answer, name, once, record};

/// The time of these tests, in seconds since 1970: a day in November 2026.
pub(super) const NOW: u32 = 1_795_000_000;
pub(super) const DAY: u32 = 86_400;

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(i64::from(NOW)).unwrap()
}

/// A key pair that signs a zone.
#[derive(Clone)]
pub(super) struct Signer {
    pub(super) zone: Name,
    pub(super) key: DNSKEY,
    secret: Arc<dyn SigningKey>,
    /// From, until.
    pub(super) valid: (u32, u32),
}

impl Signer {
    pub(super) fn new(zone: &str, algorithm: Algorithm) -> Self {
        let secret: Arc<dyn SigningKey> = match algorithm {
            Algorithm::ED25519 => {
                let key = Ed25519SigningKey::generate_pkcs8().unwrap();
                Arc::new(Ed25519SigningKey::from_pkcs8(&key).unwrap())
            }
            curve => {
                let key = EcdsaSigningKey::generate_pkcs8(curve).unwrap();
                Arc::new(EcdsaSigningKey::from_pkcs8(&key, curve).unwrap())
            }
        };
        let key = DNSKEY::from_key(&secret.to_public_key().unwrap());
        Self {
            zone: name(zone),
            key,
            secret,
            valid: (NOW - DAY, NOW + DAY),
        }
    }

    pub(super) fn p256(zone: &str) -> Self {
        Self::new(zone, Algorithm::ECDSAP256SHA256)
    }

    pub(super) fn tag(&self) -> u16 {
        self.key.calculate_key_tag().unwrap()
    }

    /// As the chain would have authenticated it.
    pub(super) fn keys(&self) -> Keys {
        Keys::new(&self.zone, [&self.key])
    }

    pub(super) fn dnskey(&self) -> Record {
        Record::from_rdata(
            self.zone.clone(),
            300,
            RData::DNSSEC(DNSSECRData::DNSKEY(self.key.clone())),
        )
    }

    pub(super) fn ds(&self) -> Record {
        self.ds_of(DigestType::SHA256)
    }

    pub(super) fn ds_of(&self, digest: DigestType) -> Record {
        let hash = self.key.to_digest(&self.zone, digest).unwrap();
        let ds = DS::new(
            self.tag(),
            self.secret.algorithm(),
            digest,
            hash.as_ref().to_vec(),
        );
        Record::from_rdata(self.zone.clone(), 300, RData::DNSSEC(DNSSECRData::DS(ds)))
    }

    /// What goes into a signature over an RRset of `owner`.
    pub(super) fn input(&self, rrset: &[Record]) -> SigInput {
        SigInput {
            type_covered: rrset[0].record_type(),
            algorithm: self.secret.algorithm(),
            num_labels: rrset[0].name.num_labels(),
            original_ttl: rrset[0].ttl,
            sig_expiration: SerialNumber::new(self.valid.1),
            sig_inception: SerialNumber::new(self.valid.0),
            key_tag: self.tag(),
            signer_name: self.zone.clone(),
        }
    }

    pub(super) fn sign(&self, rrset: &[Record]) -> Record {
        self.sign_as(rrset, self.input(rrset))
    }

    pub(super) fn sign_as(&self, rrset: &[Record], input: SigInput) -> Record {
        let owner = &rrset[0].name;
        let signed = TBS::from_input(owner, DNSClass::IN, &input, rrset.iter()).unwrap();
        let signature = RRSIG::from_sig(input, self.secret.sign(&signed).unwrap());
        Record::from_rdata(
            owner.clone(),
            300,
            RData::DNSSEC(DNSSECRData::RRSIG(signature)),
        )
    }

    /// The RRset and its signature.
    pub(super) fn signed(&self, rrset: &[Record]) -> Vec<Record> {
        [rrset, &[self.sign(rrset)]].concat()
    }

    /// An NSEC record, unsigned.
    pub(super) fn nsec(owner: &str, next: &str, types: &[RecordType]) -> Record {
        let nsec = NSEC::new(name(next), types.iter().copied());
        Record::from_rdata(name(owner), 300, RData::DNSSEC(DNSSECRData::NSEC(nsec)))
    }

    /// A server of the zone with these records, as of [`lab::serve`], and `more`, signed.
    pub(super) fn serve(&self, records: &[&str], more: &[Record]) -> Script {
        let records: Vec<Record> = records
            .iter()
            .map(|text| record(text))
            .chain(more.iter().cloned())
            .collect();
        let this = self.clone();
        lab::always(move |question| this.reply(question, &records))
    }

    fn reply(&self, question: &Message, records: &[Record]) -> Message {
        let (owner, kind) = (
            question.queries[0].name().clone(),
            question.queries[0].query_type(),
        );
        let there = |kind: RecordType, owner: &Name| -> Vec<Record> {
            records
                .iter()
                .filter(|r| r.name == *owner && r.record_type() == kind)
                .cloned()
                .collect()
        };
        let mut reply = if kind == RecordType::DS && self.zone.zone_of(&owner) && owner != self.zone
        {
            let mut reply = answer(question, &[]);
            reply.answers = there(kind, &owner);
            reply
        } else if kind == RecordType::DNSKEY && owner == self.zone {
            let mut reply = answer(question, &[]);
            reply.answers = [vec![self.dnskey()], there(kind, &owner)].concat();
            reply
        } else {
            lab::from_zone(question, &self.zone, records)
        };
        if reply.metadata.response_code == ResponseCode::Refused {
            return reply;
        }
        reply.edns = question.edns.clone();
        if reply.metadata.authoritative {
            reply.answers = self.with_signatures(&reply.answers);
        }
        let cut = reply
            .authorities
            .iter()
            .find(|r| r.record_type() == RecordType::NS)
            .map(|ns| ns.name.clone());
        let denied = match cut {
            Some(cut) if !reply.metadata.authoritative => {
                let ds = there(RecordType::DS, &cut);
                reply.authorities.extend(self.with_signatures(&ds));
                ds.is_empty().then_some(cut)
            }
            _ => reply.answers.is_empty().then_some(owner),
        };
        if let Some(denied) = denied {
            let soa: Vec<Record> = reply
                .authorities
                .iter()
                .filter(|r| r.record_type() == RecordType::SOA)
                .cloned()
                .collect();
            let types: Vec<RecordType> = records
                .iter()
                .filter(|r| r.name == denied)
                .map(Record::record_type)
                .collect();
            let next = format!("0.{denied}");
            let nsec = Self::nsec(&denied.to_ascii(), &next, &types);
            reply
                .authorities
                .extend(soa.first().map(|_| self.sign(&soa)));
            reply.authorities.extend(self.signed(&[nsec]));
        }
        reply
    }

    fn with_signatures(&self, records: &[Record]) -> Vec<Record> {
        let mut all = records.to_vec();
        let mut kinds: Vec<RecordType> = records.iter().map(Record::record_type).collect();
        kinds.dedup();
        for kind in kinds {
            let rrset: Vec<Record> = records
                .iter()
                .filter(|r| r.record_type() == kind)
                .cloned()
                .collect();
            all.push(self.sign(&rrset));
        }
        all
    }
}

/// A script that changes what another one says.
pub(super) fn tampered(
    script: Script,
    change: impl Fn(&mut Message) + Send + Sync + 'static,
) -> Script {
    Box::new(move |question, over| {
        let mut reply = Message::from_vec(&script(question, over)[0]).unwrap();
        change(&mut reply);
        once(&reply)
    })
}

/// Spoils the data of a signature.
pub(super) fn spoiled(signature: &Record) -> Record {
    let RData::DNSSEC(DNSSECRData::RRSIG(sig)) = &signature.data else {
        panic!("no signature")
    };
    let mut bytes = sig.sig().to_vec();
    bytes[7] ^= 1;
    let spoiled = RRSIG::from_sig(sig.input().clone(), bytes);
    Record::from_rdata(
        signature.name.clone(),
        signature.ttl,
        RData::DNSSEC(DNSSECRData::RRSIG(spoiled)),
    )
}
