//! `bundle.p12`: key, certificate and chain in one file under a password (PKCS #12, RFC 7292).

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKeyChain};
use secrecy::{ExposeSecret as _, SecretString};

use super::PrivateKey;

/// Makes the bundle; `name` is what programs call the key in it.
///
/// # Errors
/// When a part of it cannot stand in a bundle; never anything of the key or the password.
pub fn pkcs12(
    name: &str,
    key: &PrivateKey,
    certificates: &[&[u8]],
    password: &SecretString,
) -> Result<Vec<u8>, String> {
    let unfit = |what: &str| format!("{what} cannot stand in a PKCS #12 bundle");
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
