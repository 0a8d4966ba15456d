//! Ends TLS before a server that speaks none, and asks for a client certificate.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

use super::certificate::Certificate;

/// A running one. It ends with the runtime in which it was started.
pub struct TlsFront {
    port: u16,
    refused: Arc<AtomicUsize>,
}

impl TlsFront {
    /// Shows `own`, and passes on what comes from holders of a certificate that `root` vouches for.
    pub async fn before(upstream: SocketAddr, own: &Certificate, root: &Path) -> Self {
        let chain = CertificateDer::pem_file_iter(&own.signed).unwrap();
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(root).unwrap() {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let refused = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&refused);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    let Ok(mut inside) = acceptor.accept(stream).await else {
                        count.fetch_add(1, Ordering::SeqCst);
                        return;
                    };
                    let mut outside = TcpStream::connect(upstream).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                });
            }
        });
        Self { port, refused }
    }

    /// The text before a path.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// How many handshakes came to nothing.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}
