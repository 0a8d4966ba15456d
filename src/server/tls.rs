//! The server's own certificate and key.

use std::fmt;
use std::sync::Arc;

use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use crate::text::pem;

/// A certificate in force. A reload makes a new value: a client that connects after the reload gets
/// the new certificate.
#[derive(Clone)]
pub struct Tls(pub(super) Arc<ServerConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads a chain and its key, both in PEM. TLS 1.2 and 1.3; HTTP/1.1 only.
    ///
    /// The error says which of the two is wrong, and nothing of what is in the key.
    pub fn new(chain: &[u8], key: &SecretString) -> Result<Self, String> {
        let chain =
            pem::certificates(chain).map_err(|why| format!("the certificate's file: {why}"))?;
        let key: SecretString = pem::private_key(key.expose_secret().as_bytes())
            .map_err(|why| format!("the key's file: {why}"))?
            .into();
        let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
            .map_err(|_| "the key's file: its private key is damaged".to_owned())?;
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .map_err(|error| format!("certificate and key do not fit: {error}"))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}
