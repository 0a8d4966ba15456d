//! A certificate signing request (PKCS #10, RFC 2986) as people hand it over, and the little of
//! X.509 that an adapter needs to know one certificate from another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// A request whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csr {
    der: Vec<u8>,
    public_key: Vec<u8>,
    key: KeyKind,
    names: Vec<String>,
    mailboxes: Vec<String>,
    common_name: Option<String>,
}

/// The kind of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA, with this many bits.
    Rsa(usize),
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Anything else.
    Other,
}

impl Csr {
    /// Reads a request in PEM (with any text around it) or DER, and checks its signature.
    ///
    /// # Errors
    /// Why it is no request that can be sent.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let der = if bytes.first() == Some(&0x30) {
            bytes.to_vec()
        } else {
            let text = std::str::from_utf8(bytes)
                .map_err(|_| "is neither a PEM nor a DER request".to_owned())?;
            let labels = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
            let block = labels.iter().find_map(|label| block(text, label));
            let block = block.ok_or("holds no certificate request in PEM form")?;
            STANDARD
                .decode(block)
                .map_err(|_| "holds a damaged request".to_owned())?
        };
        let (rest, parsed) = X509CertificationRequest::from_der(&der)
            .map_err(|error| format!("holds no readable request: {error}"))?;
        if !rest.is_empty() {
            return Err("holds more than a request".to_owned());
        }
        let info = &parsed.certification_request_info;
        // The verifier refuses short keys, and would blame the signature. The reader of the request
        // judges the length of its key.
        let is_short = matches!(KeyKind::of(&info.subject_pki), KeyKind::Rsa(bits) if bits < 2048);
        if !is_short && parsed.verify_signature().is_err() {
            return Err("holds a request whose signature does not fit its key".to_owned());
        }
        let mut names = Vec::new();
        let mut mailboxes = Vec::new();
        for extension in parsed.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(found) = extension {
                for name in &found.general_names {
                    match name {
                        GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                        GeneralName::RFC822Name(mailbox) => mailboxes.push((*mailbox).to_owned()),
                        _ => {}
                    }
                }
            }
        }
        let common_name = info
            .subject
            .iter_common_name()
            .find_map(|name| name.as_str().ok())
            .map(str::to_owned);
        Ok(Self {
            public_key: info.subject_pki.raw.to_vec(),
            key: KeyKind::of(&info.subject_pki),
            names,
            mailboxes,
            common_name,
            der,
        })
    }

    /// The request.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The request in lines of 64 characters (RFC 7468).
    pub fn pem(&self) -> String {
        let text = STANDARD.encode(&self.der);
        let mut pem = "-----BEGIN CERTIFICATE REQUEST-----\n".to_owned();
        for at in (0..text.len()).step_by(64) {
            pem += &text[at..text.len().min(at + 64)];
            pem.push('\n');
        }
        pem + "-----END CERTIFICATE REQUEST-----\n"
    }

    /// The request as Base64 in one line.
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.der)
    }

    /// The SubjectPublicKeyInfo: what a certificate for this request must have.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The kind of the key.
    pub fn key(&self) -> KeyKind {
        self.key
    }

    /// The DNS names that it asks for, in lower case.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The mail addresses that it asks for.
    pub fn mailboxes(&self) -> &[String] {
        &self.mailboxes
    }

    /// The common name of its subject.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }
}

impl KeyKind {
    /// The kind of a public key.
    pub fn of(info: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> Self {
        let curve = info
            .algorithm
            .parameters
            .as_ref()
            .and_then(|parameters| parameters.as_oid().ok())
            .map(|oid| oid.to_id_string());
        match (info.parsed(), curve.as_deref()) {
            (Ok(PublicKey::RSA(key)), _) => Self::Rsa(key.key_size()),
            (Ok(PublicKey::EC(_)), Some("1.2.840.10045.3.1.7")) => Self::P256,
            (Ok(PublicKey::EC(_)), Some("1.3.132.0.34")) => Self::P384,
            _ => Self::Other,
        }
    }
}

/// The Base64 of the first PEM block with this label, without white space.
fn block(text: &str, label: &str) -> Option<String> {
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let (_, rest) = text.split_once(&begin)?;
    let (body, _) = rest.split_once(&end)?;
    Some(body.split_whitespace().collect())
}

/// What tells one certificate from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
    /// The serial number as lower-case hexadecimal digits without zeros in front.
    pub serial: String,
    /// The issuer as text, the most significant part first.
    pub issuer: String,
    /// Whether subject and issuer are one name: a root.
    pub is_self_issued: bool,
    /// The last second in which it is valid, in seconds since 1970.
    pub not_after: i64,
    /// Its DNS names, in lower case.
    pub names: Vec<String>,
}

impl Sight {
    /// Reads a certificate.
    ///
    /// # Errors
    /// It is not a certificate.
    pub fn of(der: &[u8]) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der)
            .map_err(|error| format!("no readable certificate: {error}"))?;
        let names = parsed
            .subject_alternative_name()
            .ok()
            .flatten()
            .map(|found| {
                let names = found.value.general_names.iter();
                names
                    .filter_map(|name| match name {
                        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                        _ => None,
                    })
                    .collect()
            })
            .unwrap_or_default();
        Ok(Self {
            public_key: parsed.public_key().raw.to_vec(),
            serial: serial(&hex(parsed.raw_serial())),
            issuer: parsed.issuer().to_string(),
            is_self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            not_after: parsed.validity().not_after.timestamp(),
            names,
        })
    }
}

/// Where a certificate says that its issuer's certificate is (RFC 5280, section 4.2.2.1).
pub fn issuer_url(der: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let access = parsed
        .extensions()
        .iter()
        .find_map(|one| match one.parsed_extension() {
            ParsedExtension::AuthorityInfoAccess(access) => Some(access),
            _ => None,
        })?;
    let mut places = access.accessdescs.iter();
    places.find_map(|place| match &place.access_location {
        GeneralName::URI(url) if place.access_method.to_id_string() == "1.3.6.1.5.5.7.48.2" => {
            Some((*url).to_owned())
        }
        _ => None,
    })
}

/// A serial number in one form, however it is written: `0x`, colons, blanks, upper case, zeros in
/// front.
pub fn serial(text: &str) -> String {
    let digits: String = text
        .trim()
        .trim_start_matches("0x")
        .chars()
        .filter(char::is_ascii_hexdigit)
        .map(|digit| digit.to_ascii_lowercase())
        .collect();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() { "0" } else { digits }.to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The certificates of a text: PEM blocks, or one Base64 of DER without lines around it.
///
/// # Errors
/// What the text is in place of certificates.
pub fn certificates(text: &str) -> Result<Vec<Vec<u8>>, String> {
    if text.contains("-----BEGIN") {
        let found = crate::text::pem::certificates(text.as_bytes())?;
        return Ok(found.into_iter().map(|one| one.to_vec()).collect());
    }
    let plain: String = text.split_whitespace().collect();
    let der = STANDARD
        .decode(&plain)
        .map_err(|_| "is neither PEM nor the Base64 of a certificate".to_owned())?;
    match Sight::of(&der) {
        Ok(_) => Ok(vec![der]),
        Err(_) if x509_parser::der_parser::parse_der(&der).is_ok() => {
            Err("is not a certificate; a PKCS #7 bundle is not read: ask for PEM or DER".to_owned())
        }
        Err(why) => Err(format!("is {why}")),
    }
}

/// Drops the roots of a chain. A lone certificate stays, whatever it is: the caller checks it.
pub fn without_roots(chain: &mut Vec<Vec<u8>>) {
    if chain.len() > 1 {
        chain.retain(|der| Sight::of(der).is_ok_and(|sight| !sight.is_self_issued));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn request(names: &[&str]) -> (KeyPair, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let csr = params.serialize_request(&key).unwrap();
        (key, csr.pem().unwrap())
    }

    #[test]
    fn a_request_tells_its_names_and_its_key() {
        let (_, pem) = request(&["www.Example.ch", "*.example.ch"]);
        let csr = Csr::read(format!("text before\n{pem}").as_bytes()).unwrap();
        assert_eq!(csr.names(), ["www.example.ch", "*.example.ch"]);
        assert_eq!(csr.key(), KeyKind::P256);
        assert_eq!(Csr::read(csr.pem().as_bytes()).unwrap(), csr);
        assert_eq!(Csr::read(csr.der()).unwrap(), csr);
    }

    #[test]
    fn a_request_that_was_changed_or_is_none_is_refused() {
        let (key, pem) = request(&["example.ch"]);
        let csr = Csr::read(pem.as_bytes()).unwrap();
        let mut der = csr.der().to_vec();
        let last = der.len() - 1;
        der[last] ^= 1;
        assert!(Csr::read(&der).is_err());
        for bad in [&b""[..], b"<html>", key.serialize_pem().as_bytes()] {
            assert!(Csr::read(bad).is_err());
        }
    }

    #[test]
    fn a_serial_number_has_one_form() {
        for text in ["00ab12", "AB:12", "0xAB12", " ab 12 "] {
            assert_eq!(serial(text), "ab12");
        }
        assert_eq!(serial("00"), "0");
    }

    #[test]
    fn certificates_are_read_from_pem_and_from_bare_base64() {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["example.ch".to_owned()]).unwrap();
        let made = params.self_signed(&key).unwrap();
        let der = made.der().to_vec();
        assert_eq!(
            certificates(&made.pem()).unwrap(),
            std::slice::from_ref(&der)
        );
        assert_eq!(
            certificates(&STANDARD.encode(&der)).unwrap(),
            std::slice::from_ref(&der)
        );
        let sight = Sight::of(&der).unwrap();
        assert!(sight.is_self_issued);
        assert_eq!(sight.names, ["example.ch"]);
        for bad in ["", "<html>", "MAA="] {
            assert!(certificates(bad).is_err(), "{bad}");
        }
    }
}
