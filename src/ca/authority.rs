//! A throw-away certificate authority: a root and an intermediate made at start, whose keys never
//! leave the process. Sandboxes and tests issue real certificates with it; no client trusts it.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer,
    CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};

use super::csr::{self, Csr, Sight};

/// A root and an intermediate.
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// What to put into a certificate.
#[derive(Debug, Clone)]
pub struct Contents {
    /// The common name; none: no subject.
    pub common_name: Option<String>,
    /// DNS names.
    pub names: Vec<String>,
    /// Mail addresses.
    pub mailboxes: Vec<String>,
    /// The first moment in which it is valid.
    pub from: Timestamp,
    /// How long it is valid.
    pub life: SignedDuration,
    /// The octets of the serial number; the first must be below 0x80 and not 0.
    pub serial: Vec<u8>,
    /// Where the certificate of its issuer is, as the certificate says; none: it does not say.
    pub issuer_url: Option<String>,
}

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub der: Vec<u8>,
    /// The mark that tells it from the others.
    pub sight: Sight,
}

/// Whether a certificate names a sandbox's authority as its issuer: all of them begin so.
pub fn is_of_a_sandbox(issuer: &str) -> bool {
    issuer.contains("CN=Sandbox")
}

impl Authority {
    /// Makes both keys and both certificates, valid from a day before `now` for ten years.
    ///
    /// # Errors
    /// The library's words.
    pub fn new(name: &str, now: Timestamp) -> Result<Self, String> {
        let from = now
            .saturating_sub(SignedDuration::from_hours(24))
            .unwrap_or(now);
        let params = |what: &str, depth: u8, life_days: i64| {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params
                .distinguished_name
                .push(DnType::CommonName, format!("{name} {what}"));
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(depth));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.use_authority_key_identifier_extension = true;
            let end = plus(from, SignedDuration::from_hours(24 * life_days));
            params.not_before = date_time_ymd(1970, 1, 1) + since_1970(from)?;
            params.not_after = date_time_ymd(1970, 1, 1) + since_1970(end)?;
            Ok::<_, String>(params)
        };
        let key = || KeyPair::generate().map_err(|error| error.to_string());
        let root = CertifiedIssuer::self_signed(params("Root", 1, 3660)?, key()?);
        let root = root.map_err(|error| error.to_string())?;
        let intermediate =
            CertifiedIssuer::signed_by(params("Issuing CA", 0, 3650)?, key()?, &root);
        let intermediate = intermediate.map_err(|error| error.to_string())?;
        Ok(Self { root, intermediate })
    }

    /// The root, DER.
    pub fn root(&self) -> Vec<u8> {
        self.root.der().to_vec()
    }

    /// The root, PEM: what a client of the certificates must trust.
    pub fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// The intermediate, DER.
    pub fn intermediate(&self) -> Vec<u8> {
        self.intermediate.der().to_vec()
    }

    /// Issues a certificate for the key of a request.
    ///
    /// # Errors
    /// The library's words.
    pub fn issue(&self, csr: &Csr, contents: &Contents) -> Result<Issued, String> {
        let read = CertificateSigningRequestParams::from_der(&csr.der().into());
        let mut request = read.map_err(|error| error.to_string())?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = &contents.common_name {
            params
                .distinguished_name
                .push(DnType::CommonName, name.as_str());
        }
        let name = |text: &String| {
            text.as_str()
                .try_into()
                .map_err(|_| format!("{text} is not a name"))
        };
        for text in &contents.names {
            params.subject_alt_names.push(SanType::DnsName(name(text)?));
        }
        for text in &contents.mailboxes {
            params
                .subject_alt_names
                .push(SanType::Rfc822Name(name(text)?));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![if contents.mailboxes.is_empty() {
            ExtendedKeyUsagePurpose::ServerAuth
        } else {
            ExtendedKeyUsagePurpose::EmailProtection
        }];
        params.use_authority_key_identifier_extension = true;
        params
            .custom_extensions
            .extend(contents.issuer_url.as_deref().and_then(issuer_extension));
        params.serial_number = Some(SerialNumber::from_slice(&contents.serial));
        let end = plus(contents.from, contents.life);
        params.not_before = date_time_ymd(1970, 1, 1) + since_1970(contents.from)?;
        params.not_after = date_time_ymd(1970, 1, 1) + since_1970(end)?;
        request.params = params;
        let made = request.signed_by(&self.intermediate);
        let der = made.map_err(|error| error.to_string())?.der().to_vec();
        let sight = Sight::of(&der)?;
        Ok(Issued { der, sight })
    }

    /// Issues a certificate with the same contents for a key that was not ordered.
    ///
    /// # Errors
    /// The library's words.
    pub fn issue_for_another_key(&self, contents: &Contents) -> Result<Issued, String> {
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        let request = CertificateParams::default().serialize_request(&key);
        let request = request.map_err(|error| error.to_string())?;
        self.issue(&csr::Csr::read(request.der())?, contents)
    }
}

fn plus(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}

/// Authority information access (RFC 5280, section 4.2.2.1) with one address, of at most 100
/// characters: all lengths take one octet.
fn issuer_extension(url: &str) -> Option<CustomExtension> {
    const ISSUERS: [u8; 10] = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];
    let length = u8::try_from(url.len())
        .ok()
        .filter(|length| *length <= 100)?;
    let place = [&[0x86, length], url.as_bytes()].concat();
    let inner = [&ISSUERS[..], &place].concat();
    let wrapped = |inner: &[u8]| -> Option<Vec<u8>> {
        Some([&[0x30, u8::try_from(inner.len()).ok()?], inner].concat())
    };
    let content = wrapped(&wrapped(&inner)?)?;
    let oid = [1, 3, 6, 1, 5, 5, 7, 1, 1];
    Some(CustomExtension::from_oid_content(&oid, content))
}

/// Since 1970, in whole seconds.
fn since_1970(at: Timestamp) -> Result<Duration, String> {
    let seconds = u64::try_from(at.as_second()).map_err(|_| format!("{at} is before 1970"))?;
    Ok(Duration::from_secs(seconds))
}
