//! `bundle.p12`: key, certificate and chain in one file under a password (PKCS #12, RFC 7292).

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, Pkcs12ImportPolicy, PrivateKeyChain};
use secrecy::{ExposeSecret as _, SecretString};

use super::PrivateKey;

/// Why this is no bundle of a certificate; `None`: it is one, as far as is known. Without its
/// password only its form is checked.
pub fn differs(
    bytes: &[u8],
    certificate: &[u8],
    password: Option<&SecretString>,
) -> Option<&'static str> {
    let unfit = "is not a bundle that can be opened with its password";
    let Some(password) = password else {
        // The length of its DER form tells whether it is whole.
        return (!is_whole(bytes)).then_some(unfit);
    };
    let policy = Pkcs12ImportPolicy::Strict;
    let Ok(store) = KeyStore::from_pkcs12(bytes, password.expose_secret(), policy) else {
        return Some(unfit);
    };
    let Some((_, chain)) = store.private_key_chain() else {
        return Some("has no key");
    };
    let leaf = chain.certs().first().map(Certificate::as_der);
    (leaf != Some(certificate)).then_some("is not that of the certificate beside it")
}

/// Whether bytes are one DER sequence (X.690, 8.1.3), of just this length.
fn is_whole(bytes: &[u8]) -> bool {
    let Some((0x30, rest)) = bytes.split_first().map(|(tag, rest)| (*tag, rest)) else {
        return false;
    };
    let Some((&first, rest)) = rest.split_first() else {
        return false;
    };
    let (length, rest) = match first {
        0..0x80 => (usize::from(first), rest),
        _ => {
            let Some((digits, rest)) = rest.split_at_checked(usize::from(first & 0x7f)) else {
                return false;
            };
            let add = |sum: usize, digit: &u8| sum.saturating_mul(256) + usize::from(*digit);
            (digits.iter().take(4).fold(0, add), rest)
        }
    };
    rest.len() == length
}

/// Makes the bundle; `name` is what programs call the key in it.
///
/// # Errors
/// When a part of it cannot be in a bundle; never anything of the key or the password.
pub fn pkcs12(
    name: &str,
    key: &PrivateKey,
    certificates: &[&[u8]],
    password: &SecretString,
) -> Result<Vec<u8>, String> {
    let unfit = |what: &str| format!("{what} cannot be in a PKCS #12 bundle");
    let chain = certificates
        .iter()
        .map(|der| Certificate::from_der(der).map_err(|_| unfit("the certificate")))
        .collect::<Result<Vec<_>, _>>()?;
    let private =
        p12_keystore::PrivateKey::from_der(key.der()).map_err(|_| unfit("the private key"))?;
    let mut store = KeyStore::new();
    let entry = PrivateKeyChain::new(key.fingerprint(), private, chain);
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(entry));
    store
        .writer(password.expose_secret())
        .write()
        .map_err(|_| "the PKCS #12 bundle could not be made".to_owned())
}
