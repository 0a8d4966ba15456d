//! One RRset and the signatures over it, pure (RFC 4035, section 5.3).
//!
//! The arithmetic is `hickory-proto`'s. The checks before it are ours: which key may sign, when,
//! and how much we are willing to compute, because a zone can be built so that the arithmetic never
//! ends (CVE-2023-50387).

use hickory_proto::dnssec::rdata::{DNSKEY, DS, RRSIG};
use hickory_proto::dnssec::{Algorithm, Verifier};
use hickory_proto::rr::{DNSClass, Name, Record, RecordData, RecordType, SerialNumber};
use hickory_proto::serialize::binary::BinEncodable;
use jiff::Timestamp;

use super::super::evidence::text;
use super::super::race::Budget;
use super::{Fault, FaultKind};

/// Signatures computed for one RRset, over all pairs of a signature and a key: as unbound and BIND
/// do since 2024.
const VERIFICATIONS_PER_RRSET: usize = 8;

/// Keys of one zone that are read. Real zones have two to six.
const MOST_KEYS: usize = 64;

/// A zone's keys, authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    zone: Name,
    /// With their tags (RFC 4034, appendix B).
    keys: Vec<(u16, DNSKEY)>,
}

impl Keys {
    /// The zone of the keys.
    pub fn zone(&self) -> &Name {
        &self.zone
    }

    /// The zone's keys among `keys`; the caller has authenticated them, or is about to.
    pub(super) fn new<'a>(zone: &Name, keys: impl IntoIterator<Item = &'a DNSKEY>) -> Self {
        let zone_keys = keys
            .into_iter()
            .filter(|key| key.zone_key())
            .take(MOST_KEYS);
        let keys = zone_keys
            .filter_map(|key| Some((key.calculate_key_tag().ok()?, key.clone())))
            .collect();
        Self {
            zone: zone.clone(),
            keys,
        }
    }

    /// The keys that one server of the zone shows in `answers`, signed with one of these: a server
    /// that is behind may still show, and sign with, those of last month.
    pub(super) fn shown_by(&self, answers: &[Record], now: u32, effort: &Budget) -> Option<Self> {
        let rrset = rrset(answers, &self.zone, RecordType::DNSKEY);
        verify(&rrset, answers, self, now, effort).ok()?;
        Some(Self::new(
            &self.zone,
            rrset.iter().filter_map(data::<DNSKEY>),
        ))
    }

    /// `tag (algorithm)`, for people.
    fn list(&self) -> String {
        let named = |(tag, key): &(u16, DNSKEY)| format!("{tag} ({})", algorithm(key.algorithm()));
        let shown: Vec<String> = self.keys.iter().take(8).map(named).collect();
        shown.join(", ")
    }
}

/// Reads a zone's own keys out of the answer to "`zone` DNSKEY?": those of an RRset that is signed
/// with a key that one of `ds` names (RFC 4035, section 5.2). `ds` are of supported kinds, see
/// [`super::denial`].
///
/// # Errors
/// The [`Fault`] that a validating resolver would stop at.
pub(super) fn keys(
    answers: &[Record],
    zone: &Name,
    ds: &[DS],
    now: u32,
    effort: &Budget,
) -> Result<Keys, Fault> {
    let rrset = rrset(answers, zone, RecordType::DNSKEY);
    let all = Keys::new(
        zone,
        rrset.iter().filter_map(|record| data::<DNSKEY>(record)),
    );
    if all.keys.is_empty() {
        return Err(Fault::new(
            FaultKind::NoDnskey,
            zone,
            "its parent has DS records for it, but it has no DNSKEY records",
        ));
    }
    let named = |tag: u16, key: &DNSKEY| {
        let algorithm = key.algorithm();
        ds.iter()
            .filter(|ds| ds.key_tag() == tag && ds.algorithm() == algorithm)
            .take(VERIFICATIONS_PER_RRSET)
            .any(|ds| effort.spend() && ds.covers(zone, key).unwrap_or(false))
    };
    let entry: Vec<_> = all
        .keys
        .iter()
        .filter(|(tag, key)| named(*tag, key))
        .cloned()
        .collect();
    if entry.is_empty() {
        let wanted: Vec<String> = ds
            .iter()
            .take(8)
            .map(|ds| format!("{} ({})", ds.key_tag(), algorithm(ds.algorithm())))
            .collect();
        let detail = format!(
            "the DS records of its parent name the keys {}, and the zone has {}: none of them is the same",
            wanted.join(", "),
            all.list()
        );
        return Err(Fault::new(FaultKind::DsMismatch, zone, detail));
    }
    verify(
        &rrset,
        answers,
        &Keys {
            zone: zone.clone(),
            keys: entry,
        },
        now,
        effort,
    )?;
    Ok(all)
}

/// The records of `owner` and `kind`, as the signer saw them: one TTL, no doubles, in canonical
/// order (RFC 4034, section 6.3).
pub(super) fn rrset(records: &[Record], owner: &Name, kind: RecordType) -> Vec<Record> {
    let mut rrset: Vec<Record> = at(records, owner)
        .filter(|record| record.record_type() == kind)
        .cloned()
        .collect();
    for record in &mut rrset {
        record.ttl = 0;
    }
    rrset.sort_by_cached_key(|record| record.data.to_bytes().unwrap_or_default());
    rrset.dedup_by(|one, other| one.data == other.data);
    rrset
}

/// The signatures over `owner` and `kind`.
pub(super) fn over<'a>(
    records: &'a [Record],
    owner: &'a Name,
    kind: RecordType,
) -> impl Iterator<Item = &'a RRSIG> + 'a {
    at(records, owner)
        .filter_map(data::<RRSIG>)
        .filter(move |signature| signature.input().type_covered == kind)
}

/// Why a signature cannot count, whatever its key; the higher the number, the nearer it is to being
/// good.
fn unfit(
    signature: &RRSIG,
    subject: &str,
    owner: &Name,
    zone: &Name,
    now: u32,
) -> Option<(u8, Fault)> {
    let input = signature.input();
    let fault = |kind, detail: String| Fault::new(kind, zone, detail);
    if input.signer_name != *zone || input.num_labels > owner.num_labels() {
        let by = text(&input.signer_name);
        let detail = format!("{subject} is signed by {by}, which may not sign it");
        return Some((1, fault(FaultKind::BadSignature, detail)));
    }
    if is_before(input.sig_expiration, now) {
        let at = date(input.sig_expiration);
        let detail = format!("the signature over {subject} expired at {at}");
        return Some((4, fault(FaultKind::Expired, detail)));
    }
    if !is_before(input.sig_inception, now) && input.sig_inception.get() != now {
        let at = date(input.sig_inception);
        let detail = format!("the signature over {subject} is not valid before {at}");
        return Some((3, fault(FaultKind::NotYetValid, detail)));
    }
    None
}

/// Verifies `rrset`, which is not empty, with the signatures among `records`. One good signature is
/// enough (RFC 6840, section 5.11). Returns its number of labels: fewer than the owner has when the
/// records come from a wildcard.
///
/// # Errors
/// What is wrong with the signature that came nearest.
pub(super) fn verify(
    rrset: &[Record],
    records: &[Record],
    keys: &Keys,
    now: u32,
    effort: &Budget,
) -> Result<u8, Fault> {
    let nothing = || Fault::new(FaultKind::NotSigned, &keys.zone, "nothing to verify");
    let first = rrset.first().ok_or_else(nothing)?;
    let (owner, kind) = (&first.name, first.record_type());
    let subject = format!("{} {kind}", text(owner));
    let fault = |kind, detail: String| Fault::new(kind, &keys.zone, detail);
    let mut computed = 0;
    // The nearer to being good, the higher.
    let mut nearest = (
        0,
        fault(
            FaultKind::NotSigned,
            format!("{subject} has no signature (RRSIG)"),
        ),
    );
    let mut note = |rank: u8, fault: Fault| {
        if rank > nearest.0 {
            nearest = (rank, fault);
        }
    };
    for signature in over(records, owner, kind) {
        let input = signature.input();
        if let Some((rank, fault)) = unfit(signature, &subject, owner, &keys.zone, now) {
            note(rank, fault);
            continue;
        }
        let made_with = |(tag, key): &&(u16, DNSKEY)| {
            *tag == input.key_tag
                && key.algorithm() == input.algorithm
                && input.algorithm.is_supported()
        };
        let mut candidates = keys.keys.iter().filter(made_with).peekable();
        if candidates.peek().is_none() {
            let detail = format!(
                "{subject} is signed with the key {} ({}), which is not among the zone's keys that count for it: {}",
                input.key_tag,
                algorithm(input.algorithm),
                keys.list()
            );
            note(2, fault(FaultKind::BadSignature, detail));
        }
        for (tag, key) in candidates {
            computed += 1;
            if computed > VERIFICATIONS_PER_RRSET || !effort.spend() {
                let detail =
                    format!("{subject} has more signatures and keys of one tag than resolvers try");
                return Err(fault(FaultKind::BadSignature, detail));
            }
            if key
                .verify_rrsig(owner, DNSClass::IN, signature, rrset.iter())
                .is_ok()
            {
                return Ok(input.num_labels);
            }
            let detail = format!("the signature over {subject} does not fit the key {tag}");
            note(5, fault(FaultKind::BadSignature, detail));
        }
    }
    Err(nearest.1)
}

/// An algorithm as operators know it: its name, or its number.
pub(super) fn algorithm(algorithm: Algorithm) -> String {
    match algorithm {
        Algorithm::Unknown(number) => format!("algorithm {number}"),
        known => known.as_str().to_owned(),
    }
}

/// Time as signatures count it: seconds since 1970, modulo 2^32 (RFC 4034, section 3.1.5).
pub(super) fn seconds(now: Timestamp) -> u32 {
    u32::try_from(now.as_second().rem_euclid(1 << 32)).unwrap_or_default()
}

fn is_before(time: SerialNumber, now: u32) -> bool {
    time.partial_cmp(&SerialNumber::new(now)) == Some(std::cmp::Ordering::Less)
}

fn date(time: SerialNumber) -> String {
    Timestamp::from_second(i64::from(time.get()))
        .map_or_else(|_| time.get().to_string(), |time| time.to_string())
}

fn at<'a>(records: &'a [Record], owner: &'a Name) -> impl Iterator<Item = &'a Record> + 'a {
    records
        .iter()
        .filter(move |record| record.dns_class == DNSClass::IN && record.name == *owner)
}

/// A record's data as one of the DNSSEC types.
pub(super) fn data<T: RecordData>(record: &Record) -> Option<&T> {
    T::try_borrow(&record.data)
}
