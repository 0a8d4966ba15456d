//! Private keys: made here, or read back from the place where an earlier step put them.

use std::fmt;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData as _, RsaKeySize, SanType,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::fingerprint;
use crate::ca::csr::{self, Csr};
use crate::text::pem;

/// The kinds of key that are made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum KeyKind {
    /// ECDSA on P-256, which every server and client takes.
    #[default]
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA on P-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// RSA with 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA with 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA with 4096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
}

impl KeyKind {
    /// Every kind with its word in the configuration.
    pub const ALL: [(&'static str, Self); 5] = [
        ("ecdsa-p256", Self::EcdsaP256),
        ("ecdsa-p384", Self::EcdsaP384),
        ("rsa-2048", Self::Rsa2048),
        ("rsa-3072", Self::Rsa3072),
        ("rsa-4096", Self::Rsa4096),
    ];

    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(word, _)| word)
    }
}

/// What a request made here asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestContent {
    /// The common name.
    pub common_name: String,
    /// DNS names in A-labels, wildcards too.
    pub dns_names: Vec<String>,
    /// The e-mail address of an S/MIME certificate.
    pub email: Option<String>,
}

/// The longest common name (RFC 5280, `ub-common-name`).
const LONGEST_COMMON_NAME: usize = 64;

/// A private key. It is shown nowhere.
pub struct PrivateKey(KeyPair);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl PrivateKey {
    /// Makes a new one. RSA takes up to some seconds of computing.
    ///
    /// # Errors
    /// When the machine has no good random numbers.
    pub fn generate(kind: KeyKind) -> Result<Self, String> {
        let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
        let made = match kind {
            KeyKind::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            KeyKind::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            KeyKind::Rsa2048 => rsa(RsaKeySize::_2048),
            KeyKind::Rsa3072 => rsa(RsaKeySize::_3072),
            KeyKind::Rsa4096 => rsa(RsaKeySize::_4096),
        };
        made.map(Self)
            .map_err(|error| format!("no key could be made: {error}"))
    }

    /// Reads a key in PEM.
    ///
    /// # Errors
    /// Why it is none that can be used; never anything of it.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let text = pem::private_key(bytes)?;
        KeyPair::from_pem(&text)
            .map(Self)
            .map_err(|_| "holds no private key that this program can use".to_owned())
    }

    /// The key in PEM, PKCS #8.
    pub fn pem(&self) -> SecretString {
        SecretString::from(self.0.serialize_pem())
    }

    /// The key in DER, PKCS #8.
    pub(super) fn der(&self) -> &[u8] {
        self.0.serialized_der()
    }

    /// The fingerprint of its public key.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.0.subject_public_key_info())
    }

    /// Its kind; `None` where it is of a kind that is not made here.
    pub fn kind(&self) -> Option<KeyKind> {
        let info = self.0.subject_public_key_info();
        let (_, info) = SubjectPublicKeyInfo::from_der(&info).ok()?;
        match csr::KeyKind::of(&info) {
            csr::KeyKind::P256 => Some(KeyKind::EcdsaP256),
            csr::KeyKind::P384 => Some(KeyKind::EcdsaP384),
            csr::KeyKind::Rsa(2048) => Some(KeyKind::Rsa2048),
            csr::KeyKind::Rsa(3072) => Some(KeyKind::Rsa3072),
            csr::KeyKind::Rsa(4096) => Some(KeyKind::Rsa4096),
            csr::KeyKind::Rsa(_) | csr::KeyKind::Other => None,
        }
    }

    /// A request for a certificate on this key.
    ///
    /// # Errors
    /// When a name cannot be in a request.
    pub fn request(&self, subject: &RequestContent) -> Result<Csr, String> {
        let unfit = |what: &str| format!("`{what}` cannot be in a certificate request");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if subject.common_name.chars().count() <= LONGEST_COMMON_NAME {
            params
                .distinguished_name
                .push(DnType::CommonName, subject.common_name.as_str());
        }
        for name in &subject.dns_names {
            let name = name.as_str().try_into().map_err(|_| unfit(name))?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        if let Some(email) = &subject.email {
            let name = email.as_str().try_into().map_err(|_| unfit(email))?;
            params.subject_alt_names.push(SanType::Rfc822Name(name));
        }
        let made = params
            .serialize_request(&self.0)
            .map_err(|error| format!("no certificate request could be made: {error}"))?;
        Csr::read(made.der())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_key_of_every_kind_is_read_back_and_makes_a_request() {
        for (word, kind) in KeyKind::ALL {
            if kind == KeyKind::Rsa4096 {
                // Some seconds of computing show nothing more than RSA with 3072 bits does.
                continue;
            }
            let key = PrivateKey::generate(kind).unwrap();
            let again = PrivateKey::read(key.pem().expose_secret().as_bytes()).unwrap();
            assert_eq!(key.fingerprint(), again.fingerprint(), "{word}");
            let request = again
                .request(&RequestContent {
                    common_name: "www.example.ch".to_owned(),
                    dns_names: vec!["www.example.ch".to_owned(), "*.example.ch".to_owned()],
                    email: None,
                })
                .unwrap();
            assert_eq!(
                fingerprint(request.public_key()),
                key.fingerprint(),
                "{word}"
            );
            assert_eq!(request.names(), ["www.example.ch", "*.example.ch"]);
            assert_eq!(kind.as_str(), word);
            assert_eq!(again.kind(), Some(kind));
        }
    }

    #[test]
    fn a_common_name_that_is_too_long_is_left_out() {
        let long = format!("{}.example.ch", "a".repeat(60));
        let request = PrivateKey::generate(KeyKind::EcdsaP256)
            .unwrap()
            .request(&RequestContent {
                common_name: long.clone(),
                dns_names: vec![long.clone()],
                email: None,
            })
            .unwrap();
        assert_eq!(
            (request.common_name(), request.names()),
            (None, &[long][..])
        );
    }

    #[test]
    fn a_key_is_shown_by_no_text_of_ours() {
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let shown = format!("{key:?} {:?}", key.pem());
        let pem = key.pem();
        let line = pem.expose_secret().lines().nth(1).unwrap();
        assert!(!shown.contains(line), "{shown}");
        let broken = pem.expose_secret().replace("END", "ENDE");
        let why = PrivateKey::read(broken.as_bytes()).unwrap_err();
        assert!(!why.contains(line), "{why}");
    }
}
