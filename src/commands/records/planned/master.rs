//! Zone files, line by line: owners, origins, types, and TXT data. A line that is not understood is a
//! fault and never passed over.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prevalidate_providers::presentation::{Entry, entries};
use prevalidate_providers::record::is_within;

use super::{Planned, plain};

/// Reads a zone file (RFC 1035, section 5).
///
/// # Errors
/// The first line that is not understood or is about another zone. Such a file is not compared.
pub(super) fn read(text: &str, zone: Option<String>) -> Result<Planned, String> {
    let mut file = Master {
        zone: Planned::default(),
        origin: zone.clone(),
        first_origin: None,
        owner: None,
        owners: BTreeMap::new(),
        soa: None,
    };
    for entry in entries(text)? {
        let line = entry.line;
        file.take(entry)
            .map_err(|fault| format!("line {line}: {fault}"))?;
    }
    let mut planned = file.zone;
    planned.apex = file
        .soa
        .or(zone)
        .or(file.first_origin)
        .ok_or("it has no SOA and no $ORIGIN: name the zone with --zone")?;
    let outside = file.owners.into_iter();
    let outside = outside.filter(|(owner, _)| !is_within(owner, &planned.apex));
    if let Some((owner, line)) = outside.min_by_key(|(_, line)| *line) {
        let apex = &planned.apex;
        return Err(format!(
            "line {line}: {owner} is not in the zone {apex}: give each zone a file of its own, \
             or name the zone above all of them with --zone"
        ));
    }
    planned.cuts.remove(&planned.apex);
    Ok(planned)
}

/// A zone file while it is read.
struct Master {
    zone: Planned,
    origin: Option<String>,
    /// The zone's own name where the file has no SOA: later ones only shorten names.
    first_origin: Option<String>,
    owner: Option<String>,
    /// Where each owner is first: the zone's own name may come later.
    owners: BTreeMap<String, usize>,
    soa: Option<String>,
}

impl Master {
    /// Takes one entry. Whatever is not understood is a fault: it could hold a TXT value or a cut.
    fn take(&mut self, entry: Entry) -> Result<(), String> {
        let tokens: Vec<_> = entry
            .tokens
            .iter()
            .map(|token| String::from_utf8_lossy(token))
            .collect();
        if !entry.is_indented && tokens[0].starts_with('$') {
            return self.directive(&tokens);
        }
        let mut at = 0;
        if !entry.is_indented {
            self.owner = Some(absolute(&tokens[0], self.origin.as_deref())?);
            at = 1;
        }
        let owner = self.owner.clone().ok_or("no owner is before it")?;
        self.owners.entry(owner.clone()).or_insert(entry.line);
        while let Some(word) = tokens.get(at) {
            match class_of(word) {
                Some(1) => {}
                Some(_) => return Err(format!("the class {word} is not read, only IN")),
                None if is_ttl(word) || is_age(word) => {}
                None => break,
            }
            at += 1;
        }
        let word = tokens.get(at).ok_or("there is no type")?;
        let kind = type_of(word).ok_or_else(|| {
            format!("`{word}` is not a type of records, no class and no TTL that is known here")
        })?;
        let data = &entry.tokens[at + 1..];
        match kind.as_str() {
            "TXT" => {
                let value = txt(data, word.eq_ignore_ascii_case("TXT"))?;
                self.zone.txt.entry(owner).or_default().push(value);
            }
            "CNAME" => {
                // One that cannot be read is not the one that is searched for.
                let target = tokens.get(at + 1);
                let target = target.map(|it| absolute(it, self.origin.as_deref()));
                if let Some(Ok(target)) = target {
                    self.zone.cname.insert(owner, target);
                }
            }
            "NS" => drop(self.zone.cuts.insert(owner)),
            "DNAME" => drop(self.zone.redirected.insert(owner)),
            "SOA" => match &self.soa {
                Some(soa) if *soa != owner => {
                    return Err(format!(
                        "a second SOA, of {owner} beside {soa}: give one zone a file"
                    ));
                }
                _ => self.soa = Some(owner),
            },
            _ => {}
        }
        Ok(())
    }

    fn directive(&mut self, tokens: &[Cow<'_, str>]) -> Result<(), String> {
        match (tokens[0].to_ascii_uppercase().as_str(), &tokens[1..]) {
            ("$ORIGIN", [origin]) => {
                let origin = absolute(origin, self.origin.as_deref())?;
                if !origin.is_empty() {
                    self.first_origin.get_or_insert_with(|| origin.clone());
                }
                self.origin = Some(origin);
                Ok(())
            }
            ("$TTL", [ttl]) if is_ttl(ttl) => Ok(()),
            (word @ ("$ORIGIN" | "$TTL"), _) => {
                Err(format!("{word} is not followed by one name or time"))
            }
            (word, _) => Err(format!("{word} is not followed")),
        }
    }
}

/// `1200`, `1h30m`, in any case.
fn is_ttl(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word
            .bytes()
            .all(|b| b.is_ascii_digit() || b"smhdwSMHDW".contains(&b))
        && !word
            .bytes()
            .zip(word.bytes().skip(1))
            .any(|(a, b)| a.is_ascii_alphabetic() && b.is_ascii_alphabetic())
}

/// `[AGE:3692880]`: the hour in which a record was last refreshed, as DNS servers of Windows export
/// it.
fn is_age(word: &str) -> bool {
    word.to_ascii_uppercase()
        .strip_prefix("[AGE:")
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|age| !age.is_empty() && age.bytes().all(|b| b.is_ascii_digit()))
}

/// The number of a class by its name or as `CLASS1` (RFC 3597, section 5).
fn class_of(word: &str) -> Option<u16> {
    let word = word.to_ascii_uppercase();
    match word.as_str() {
        "IN" => Some(1),
        "CS" => Some(2),
        "CH" => Some(3),
        "HS" => Some(4),
        _ => word.strip_prefix("CLASS")?.parse().ok(),
    }
}

/// The type by its name or as `TYPE16`; those that matter here by their name.
fn type_of(word: &str) -> Option<String> {
    let word = word.to_ascii_uppercase();
    match word.strip_prefix("TYPE").map(str::parse::<u16>) {
        Some(Ok(2)) => Some("NS".to_owned()),
        Some(Ok(6)) => Some("SOA".to_owned()),
        Some(Ok(16)) => Some("TXT".to_owned()),
        Some(Ok(39)) => Some("DNAME".to_owned()),
        Some(Ok(_)) => Some(word),
        _ => TYPES.contains(&word.as_str()).then_some(word),
    }
}

/// The types of IANA's registry that zone files hold, and the two that only Windows knows.
const TYPES: [&str; 91] = [
    "A",
    "A6",
    "AAAA",
    "AFSDB",
    "ALIAS",
    "AMTRELAY",
    "ANAME",
    "APL",
    "ATMA",
    "AVC",
    "CAA",
    "CDNSKEY",
    "CDS",
    "CERT",
    "CNAME",
    "CSYNC",
    "DHCID",
    "DLV",
    "DNAME",
    "DNSKEY",
    "DOA",
    "DS",
    "DSYNC",
    "EID",
    "EUI48",
    "EUI64",
    "GID",
    "GPOS",
    "HHIT",
    "HINFO",
    "HIP",
    "HTTPS",
    "IPN",
    "IPSECKEY",
    "ISDN",
    "KEY",
    "KX",
    "L32",
    "L64",
    "LOC",
    "LP",
    "LUA",
    "MB",
    "MD",
    "MF",
    "MG",
    "MINFO",
    "MR",
    "MX",
    "NAPTR",
    "NID",
    "NIMLOC",
    "NINFO",
    "NS",
    "NSAP",
    "NSAP-PTR",
    "NSEC",
    "NSEC3",
    "NSEC3PARAM",
    "NULL",
    "NXNAME",
    "NXT",
    "OPENPGPKEY",
    "PTR",
    "PX",
    "RESINFO",
    "RKEY",
    "RP",
    "RRSIG",
    "RT",
    "SIG",
    "SINK",
    "SMIMEA",
    "SOA",
    "SPF",
    "SRV",
    "SSHFP",
    "SVCB",
    "TA",
    "TALINK",
    "TLSA",
    "TXT",
    "UID",
    "UINFO",
    "UNSPEC",
    "URI",
    "WALLET",
    "WINS",
    "WINSR",
    "WKS",
    "ZONEMD",
];

/// The joined octets of a TXT record; `\#` and a length is its wire form (RFC 3597, section 5).
fn txt(data: &[Vec<u8>], may_be_text: bool) -> Result<Vec<u8>, String> {
    let text = |octets: &Vec<u8>| String::from_utf8_lossy(octets).into_owned();
    let length = data
        .get(1)
        .and_then(|octets| text(octets).parse::<usize>().ok());
    if data.first().is_some_and(|first| first == b"#") && (length.is_some() || !may_be_text) {
        let hex: String = data[2.min(data.len())..].iter().map(text).collect();
        return wire(length.unwrap_or_default(), &hex)
            .ok_or_else(|| "the unknown data (RFC 3597) is no TXT record".to_owned());
    }
    if !may_be_text || data.is_empty() {
        return Err("there is no data of a TXT record".to_owned());
    }
    if data.iter().any(|string| string.len() > 255) {
        return Err("a character-string is longer than 255 octets".to_owned());
    }
    Ok(data.concat())
}

fn wire(length: usize, hex: &str) -> Option<Vec<u8>> {
    let octets = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect::<Option<Vec<_>>>()?;
    if octets.len() != length || octets.is_empty() {
        return None;
    }
    let (mut joined, mut rest) = (Vec::new(), octets.as_slice());
    while let Some((&count, more)) = rest.split_first() {
        let (string, more) = more.split_at_checked(usize::from(count))?;
        joined.extend_from_slice(string);
        rest = more;
    }
    Some(joined)
}

fn absolute(name: &str, origin: Option<&str>) -> Result<String, String> {
    match (name, origin) {
        (name, _) if name.ends_with('.') => Ok(plain(name)),
        ("@", Some(origin)) => Ok(origin.to_owned()),
        // The root has no label.
        (name, Some("")) => Ok(plain(name)),
        (name, Some(origin)) => Ok(plain(&format!("{name}.{origin}"))),
        (name, None) => Err(format!(
            "{name} is relative and there is no $ORIGIN: name the zone with --zone"
        )),
    }
}
