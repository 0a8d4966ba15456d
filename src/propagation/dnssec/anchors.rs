//! Where trust begins: the root's keys as IANA publishes them, or those of a file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS};
use hickory_proto::dnssec::{Algorithm, DigestType, PublicKeyBuf, TrustAnchors, Verifier};
use hickory_proto::rr::{Name, RData, RecordType};

use super::super::roots;
use crate::text::decode;

/// Trust anchors: keys that are believed because the configuration says so. They do not follow a
/// key roll-over by themselves (RFC 5011): a new version of the program, or of the file, does.
///
/// The default is IANA's root keys of 2017 and 2024. They count only where a walk begins at the
/// root servers of the Internet: other roots have other keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Anchors(Option<BTreeMap<Name, Vec<DS>>>);

/// Why a line of a trust anchor file is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line} is no DS or DNSKEY record ({why}); one record a line, as in `. IN DS 20326 8 2 e06d…`"
)]
pub struct NoAnchor {
    /// The line, from 1.
    pub line: usize,
    /// The fault in the line.
    pub why: String,
}

impl Anchors {
    /// Reads DS and DNSKEY records in the form of a zone file, one a line, with owner, and with or
    /// without TTL and class, as `dnssec-dsfromkey`, `keymgr`, `dig` and unbound's
    /// `auto-trust-anchor-file` write them. `;` begins a comment.
    ///
    /// # Errors
    /// [`NoAnchor`] for the first line that is neither a record nor empty, or for a file without
    /// records.
    pub fn parse(text: &str) -> Result<Self, NoAnchor> {
        let mut anchors: BTreeMap<Name, Vec<DS>> = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let record = line.split_once(';').map_or(line, |(record, _)| record);
            if !record.trim().is_empty() {
                let (zone, ds) = parse(record).map_err(|why| NoAnchor { line: at + 1, why })?;
                anchors.entry(zone).or_default().push(ds);
            }
        }
        if anchors.is_empty() {
            return Err(NoAnchor {
                line: text.lines().count(),
                why: "the file has no record".to_owned(),
            });
        }
        Ok(Self(Some(anchors)))
    }

    /// The anchors of a file, whatever program wrote it.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn read(file: &Path) -> Result<Self, String> {
        let bytes =
            crate::text::file::read(file).map_err(|error| format!("cannot be read: {error}"))?;
        let text = decode(&bytes).map_err(|fault| format!("{}; {}", fault.message, fault.hint))?;
        let text = std::str::from_utf8(&text).map_err(|_| "is not UTF-8 text")?;
        Self::parse(text).map_err(|error| error.to_string())
    }

    /// The anchors that count when a walk begins at `roots`: none for foreign roots without a file.
    pub(super) fn counting_at(self, roots: &[SocketAddr]) -> BTreeMap<Name, Vec<DS>> {
        let iana = roots::root_servers();
        match self.0 {
            Some(anchors) => anchors,
            None if roots.iter().all(|root| iana.contains(root)) => {
                [(Name::root(), root_keys())].into()
            }
            None => BTreeMap::new(),
        }
    }
}

/// The root's keys, as the message library ships them.
fn root_keys() -> Vec<DS> {
    let shipped = TrustAnchors::default();
    (0..shipped.len())
        .filter_map(|nth| shipped.get(nth))
        .filter_map(|key| signer(&Name::root(), &DNSKEY::new(true, true, false, key.clone())).ok())
        .collect()
}

fn parse(record: &str) -> Result<(Name, DS), String> {
    let record = record.replace(['(', ')'], " ");
    let mut fields = record.split_whitespace().peekable();
    let owner = fields.next().unwrap_or_default();
    let owner = Name::from_ascii(owner).map_err(|error| format!("the owner {owner}: {error}"))?;
    let zone = Name::from_labels(owner.to_lowercase().iter()).map_err(|error| error.to_string())?;
    let is_ttl_or_class =
        |field: &&str| field.eq_ignore_ascii_case("IN") || field.parse::<u32>().is_ok();
    while fields.next_if(is_ttl_or_class).is_some() {}
    let kind = fields.next().unwrap_or_default().to_ascii_uppercase();
    let rest: Vec<&str> = fields.collect();
    match (kind.as_str(), rest.as_slice()) {
        ("DS", rest) => match RData::try_from_str(RecordType::DS, &rest.join(" ")) {
            Ok(RData::DNSSEC(DNSSECRData::DS(ds))) => Ok((zone, ds)),
            Ok(_) => Err("not a DS record".to_owned()),
            Err(error) => Err(error.to_string()),
        },
        ("DNSKEY", [flags, "3", algorithm, key @ ..]) => {
            let number = |field: &str| {
                field
                    .parse::<u16>()
                    .map_err(|error| format!("{field}: {error}"))
            };
            let algorithm = u8::try_from(number(algorithm)?).map_err(|error| error.to_string())?;
            let key = STANDARD
                .decode(key.concat())
                .map_err(|error| format!("the key: {error}"))?;
            let key = PublicKeyBuf::new(key, Algorithm::from_u8(algorithm));
            let ds = signer(&zone, &DNSKEY::with_flags(number(flags)?, key))?;
            Ok((zone, ds))
        }
        ("DNSKEY", _) => Err("expected flags, protocol 3, algorithm and key".to_owned()),
        (other, _) => Err(format!("expected DS or DNSKEY, found {other:?}")),
    }
}

/// The DS record that names a key: from there on an anchor is like any delegation.
fn signer(zone: &Name, key: &DNSKEY) -> Result<DS, String> {
    let digest = key
        .to_digest(zone, DigestType::SHA256)
        .map_err(|error| error.to_string())?;
    let tag = key.calculate_key_tag().map_err(|error| error.to_string())?;
    Ok(DS::new(
        tag,
        key.algorithm(),
        DigestType::SHA256,
        digest.as_ref().to_vec(),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_shipped_root_keys_are_those_that_iana_publishes() {
        // <https://data.iana.org/root-anchors/root-anchors.xml>
        let published = Anchors::parse(
            ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n\
             . IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16\n",
        );
        assert_eq!(
            Anchors::default().counting_at(&roots::root_servers()),
            published.unwrap().0.unwrap()
        );
    }

    #[test]
    fn foreign_roots_have_no_anchor_but_that_of_a_file() {
        let lab: Vec<SocketAddr> = vec![([127, 0, 0, 2], 53).into()];
        assert!(Anchors::default().counting_at(&lab).is_empty());
        let file = "; made by hand\n\nTest.\t3600 IN ( DS 1 13 2 00ff ) ; a comment\n";
        let anchors = Anchors::parse(file).unwrap().counting_at(&lab);
        assert_eq!(
            anchors.keys().map(ToString::to_string).collect::<Vec<_>>(),
            ["test."]
        );
    }

    #[test]
    fn a_key_and_its_ds_record_are_the_same_anchor() {
        // RFC 6605, section 6.1.
        let key =
            "example.net. 3600 IN DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edb\n";
        let key = key.replace('\n', "krSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==");
        let ds = "example.net. 3600 IN DS 55648 13 2 \
                  b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17";
        assert_eq!(Anchors::parse(&key), Anchors::parse(ds));
    }

    #[test]
    fn a_line_that_is_no_anchor_is_told_with_its_number() {
        for (text, line) in [
            (". IN DS 1 13 2 00\nexample. IN A 192.0.2.1", 2),
            ("DS", 1),
            ("", 0),
            (". DNSKEY 257 2 8 AA==", 1),
        ] {
            assert_eq!(Anchors::parse(text).unwrap_err().line, line, "{text:?}");
        }
    }
}
