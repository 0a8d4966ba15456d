//! What a parent says about a delegation, and proofs that something is not there, pure (NSEC: RFC
//! 4035, section 5.4; NSEC3: RFC 5155, section 8; both: RFC 6840, section 4).

use hickory_proto::dnssec::DigestType;
use hickory_proto::dnssec::rdata::{DS, NSEC, NSEC3};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType, RecordTypeSet};

use super::super::evidence::text;
use super::super::race::Budget;
use super::signatures::{self, Keys, algorithm, data};
use super::{Fault, FaultKind, Unsigned};

/// More hash iterations than this are not computed: the zone counts as insecure, as for unbound and
/// BIND 9.18. Newer resolvers draw the line at 50.
const MOST_ITERATIONS: u16 = 150;

/// NSEC and NSEC3 records of one reply that are read; a proof takes at most three.
const MOST_RECORDS: usize = 8;

/// What the records of a parent prove about a name below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Below {
    /// A signed zone begins there, and these DS records, of supported kinds, name its keys.
    Signed(Vec<DS>),
    /// An unsigned zone begins there, or validation ends there.
    Unsigned(Unsigned),
    /// No zone begins there.
    SameZone,
}

/// Reads what `records`, a referral's or those of an answer to "`child` DS?", prove about `child`.
///
/// # Errors
/// The [`Fault`] when they are not signed with the parent's `keys` or prove nothing.
pub(super) fn below(
    records: &[Record],
    child: &Name,
    keys: &Keys,
    now: u32,
    effort: &Budget,
) -> Result<Below, Fault> {
    let rrset = signatures::rrset(records, child, RecordType::DS);
    if rrset.is_empty() {
        return Denials::of(records, keys, now, effort).below(child);
    }
    if signatures::verify(&rrset, records, keys, now, effort)? < child.num_labels() {
        let detail = format!("the DS records of {} come from a wildcard", text(child));
        return Err(Fault::new(FaultKind::BadDenial, keys.zone(), detail));
    }
    let all: Vec<&DS> = rrset.iter().filter_map(data::<DS>).collect();
    let mut known: Vec<DS> = all
        .iter()
        .filter(|ds| ds.algorithm().is_supported() && ds.digest_type().is_supported())
        .map(|&ds| ds.clone())
        .collect();
    if known.is_empty() {
        let kinds = all.iter().take(MOST_RECORDS).map(|ds| {
            let digest = u8::from(ds.digest_type());
            format!("{}, digest {digest}", algorithm(ds.algorithm()))
        });
        return Ok(Below::Unsigned(Unsigned::Unsupported(
            kinds.collect::<Vec<_>>().join("; "),
        )));
    }
    // SHA-1 does not count beside a stronger digest (RFC 4509, section 3). BIND keeps to it,
    // unbound does not (measured).
    if known.iter().any(|ds| ds.digest_type() != DigestType::SHA1) {
        known.retain(|ds| ds.digest_type() != DigestType::SHA1);
    }
    Ok(Below::Signed(known))
}

/// The signed NSEC and NSEC3 records of one reply.
pub(super) struct Denials<'a> {
    zone: &'a Name,
    nsec: Vec<(&'a Name, &'a NSEC)>,
    /// With the hash that is the owner's first label; all of one salt and number of iterations.
    nsec3: Vec<(Vec<u8>, &'a NSEC3)>,
    /// More than [`MOST_ITERATIONS`].
    iterations: Option<u16>,
    /// Why the first of those that do not count does not count.
    fault: Option<Fault>,
}

impl<'a> Denials<'a> {
    pub(super) fn of(records: &'a [Record], keys: &'a Keys, now: u32, effort: &Budget) -> Self {
        let zone = keys.zone();
        let mut found = Self {
            zone,
            nsec: Vec::new(),
            nsec3: Vec::new(),
            iterations: None,
            fault: None,
        };
        let denying = |record: &&Record| {
            record.dns_class == DNSClass::IN
                && matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3)
        };
        for record in records.iter().filter(denying).take(MOST_RECORDS) {
            let rrset = signatures::rrset(records, &record.name, record.record_type());
            if let Err(fault) = signatures::verify(&rrset, records, keys, now, effort) {
                found.fault.get_or_insert(fault);
            } else if let Some(nsec) = data::<NSEC>(record) {
                found.nsec.push((&record.name, nsec));
            } else if let Some(nsec3) = data::<NSEC3>(record) {
                found.add(&record.name, nsec3);
            }
        }
        found
    }

    fn add(&mut self, owner: &Name, nsec3: &'a NSEC3) {
        if nsec3.iterations() > MOST_ITERATIONS {
            self.iterations = Some(nsec3.iterations());
            return;
        }
        // RFC 5155, section 8.2: one reply, one set of parameters. It also bounds what is hashed.
        let same = self.nsec3.first().is_none_or(|(_, first)| {
            first.salt() == nsec3.salt() && first.iterations() == nsec3.iterations()
        });
        let hash = owner.iter().next().and_then(base32);
        if let (true, true, Some(hash)) = (same, owner.base_name() == *self.zone, hash) {
            self.nsec3.push((hash, nsec3));
        }
    }

    /// That `child`, which has no DS record here, needs none.
    fn below(&self, child: &Name) -> Result<Below, Fault> {
        if let Some(iterations) = self.iterations {
            return Ok(Below::Unsigned(Unsigned::Iterations(iterations)));
        }
        if let Some(types) = self.types_at(child) {
            return match (
                types.contains(RecordType::DS),
                types.contains(RecordType::SOA),
            ) {
                (true, _) => {
                    Err(self.disproved(child, "has a DS record, which the server does not show"))
                }
                // The child's own, from below the cut: it says nothing about DS.
                (_, true) => Err(self.disproved(child, "is the zone itself, not its parent")),
                _ if types.contains(RecordType::NS) => Ok(Below::Unsigned(Unsigned::NotSigned)),
                _ => Ok(Below::SameZone),
            };
        }
        match self.covering(child) {
            Some(Cover { opt_out: true }) => Ok(Below::Unsigned(Unsigned::NotSigned)),
            Some(Cover { opt_out: false }) => Ok(Below::SameZone),
            None => Err(self.unproved(&format!("{} has no DS record", text(child)))),
        }
    }

    /// That a wildcard with so many `labels` was right to answer for `owner`: nothing nearer to it
    /// exists.
    pub(super) fn no_closer_match(&self, owner: &Name, labels: u8) -> Result<(), Fault> {
        let closer = owner.trim_to(usize::from(labels) + 1);
        if self.iterations.is_some()
            || self.nsec_covers(&closer)
            || self.nsec3_covers(&closer).is_some()
        {
            return Ok(());
        }
        Err(self.unproved(&format!(
            "{}, answered from a wildcard, does not exist itself",
            text(owner)
        )))
    }

    /// That there is any proof at all. Whether it is the right one is not checked: the key that
    /// signs existing records also signs denials.
    pub(super) fn any(&self, owner: &Name) -> Result<(), Fault> {
        if self.iterations.is_some() || !self.nsec.is_empty() || !self.nsec3.is_empty() {
            return Ok(());
        }
        Err(self.unproved(&format!("{} has no such record", text(owner))))
    }

    /// The types at a name, when a record says so.
    fn types_at(&self, name: &Name) -> Option<&RecordTypeSet> {
        let nsec = self
            .nsec
            .iter()
            .find(|(owner, _)| *owner == name)
            .map(|(_, nsec)| nsec.type_set());
        nsec.or_else(|| self.nsec3_at(name).map(NSEC3::type_set))
    }

    /// That a name does not exist, or, with opt-out, may be an unsigned delegation (RFC 5155,
    /// section 8.9).
    fn covering(&self, name: &Name) -> Option<Cover> {
        if self.nsec_covers(name) {
            return Some(Cover { opt_out: false });
        }
        // The closest encloser, and the name one label longer (RFC 5155, section 8.3).
        let mut closer = name.clone();
        while closer != *self.zone && self.zone.zone_of(&closer) {
            let encloser = closer.base_name();
            if let Some(nsec3) = self.nsec3_at(&encloser) {
                let opt_out = self.nsec3_covers(&closer)?;
                return (!nsec3.is_ancestor_delegation()).then_some(Cover { opt_out });
            }
            closer = encloser;
        }
        None
    }

    fn nsec_covers(&self, name: &Name) -> bool {
        self.nsec.iter().any(|&(owner, nsec)| {
            let next = nsec.next_domain_name();
            // The last one points back to the apex; a name that is delegated or redirected says
            // nothing about what is below.
            let within = owner < name && (name < next || next == self.zone);
            within
                && self.zone.zone_of(name)
                && !(owner.zone_of(name) && nsec.is_ancestor_delegation())
        })
    }

    fn nsec3_at(&self, name: &Name) -> Option<&'a NSEC3> {
        let hash = self.hash(name)?;
        self.nsec3
            .iter()
            .find(|(owner, _)| *owner == hash)
            .map(|&(_, nsec3)| nsec3)
    }

    /// Whether the record that covers the name's hash has the opt-out flag; `None` when none covers
    /// it.
    fn nsec3_covers(&self, name: &Name) -> Option<bool> {
        let hash = self.hash(name)?;
        let covers = |(owner, nsec3): &&(Vec<u8>, &NSEC3)| {
            let next = nsec3.next_hashed_owner_name();
            if owner.as_slice() < next {
                *owner < hash && *hash < *next
            } else {
                *owner < hash || *hash < *next
            }
        };
        self.nsec3
            .iter()
            .find(covers)
            .map(|(_, nsec3)| nsec3.opt_out())
    }

    fn hash(&self, name: &Name) -> Option<Vec<u8>> {
        let (_, nsec3) = self.nsec3.first()?;
        let hash = nsec3
            .hash_algorithm()
            .hash(nsec3.salt(), name, nsec3.iterations())
            .ok()?;
        Some(hash.as_ref().to_vec())
    }

    fn disproved(&self, name: &Name, what: &str) -> Fault {
        Fault::new(
            FaultKind::BadDenial,
            self.zone,
            format!("its own proof (NSEC) says that {} {what}", text(name)),
        )
    }

    /// Nothing proves `what`: because a signature failed, or because it was not sent.
    fn unproved(&self, what: &str) -> Fault {
        self.fault.clone().unwrap_or_else(|| {
            let detail =
                format!("nothing proves that {what} (no NSEC or NSEC3 record that says so)");
            Fault::new(FaultKind::BadDenial, self.zone, detail)
        })
    }
}

/// That a name is between two that exist.
struct Cover {
    opt_out: bool,
}

/// Base 32 with extended hex alphabet, no padding (RFC 4648, section 7), as in owner names of NSEC3
/// records.
fn base32(label: &[u8]) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for &letter in label {
        let value = char::from(letter).to_digit(32)?;
        bits = (bits << 5 | value) & 0xfff;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_from_owner_names_in_either_case() {
        // RFC 5155, appendix A: the hash of `example`, salt aabbccdd, 12 iterations.
        let lower = base32(b"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom").unwrap_or_default();
        assert_eq!(lower.len(), 20);
        assert_eq!(
            Some(lower.clone()),
            base32(b"0P9MHAVEQVM6T7VBL5LOP2U3T2RP3TOM")
        );
        let name = Name::from_ascii("example.").unwrap_or_default();
        let salt = [0xaa, 0xbb, 0xcc, 0xdd];
        let hash = hickory_proto::dnssec::Nsec3HashAlgorithm::SHA1.hash(&salt, &name, 12);
        assert_eq!(
            hash.map(|hash| hash.as_ref().to_vec()).unwrap_or_default(),
            lower
        );
        assert_eq!(base32(b"not-a-hash"), None);
    }
}
