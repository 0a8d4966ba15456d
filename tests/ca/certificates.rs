//! What is said of a CA whose certificate is not trusted, and of a `ca_file` that cannot be used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prevalidate::ca::http::SecretReader;
use prevalidate::ca::swisssign::{Settings, SwissSign};
use prevalidate::ca::{CaError, Failure, Validation};
use prevalidate::clock::SystemClock;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::support::certificate::Certificate;
use crate::support::process;

const CLIENT: &str = "cli-123e4567-e89b-12d3-a456-426614174000";

/// A server that shakes hands with `certificate` and says nothing more. Its port.
async fn server(certificate: &Path, key: &Path) -> u16 {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    port
}

fn adapter(url: &str, change: impl FnOnce(&mut Settings)) -> Result<SwissSign, CaError> {
    let key: SecretReader = Arc::new(|| Ok(SecretString::from("k".repeat(64))));
    let mut settings = Settings::new("swisssign", url.parse().unwrap(), "robot", vec![key]);
    settings.rate = 1000.0;
    change(&mut settings);
    SwissSign::new(settings, Arc::new(SystemClock))
}

async fn refused(url: &str, ca_file: Option<PathBuf>) -> CaError {
    let ca = adapter(url, |settings| settings.ca_file = ca_file).unwrap();
    let error = ca.list(CLIENT).await.unwrap_err();
    assert_eq!(error.failure, Failure::Untrusted, "{error}");
    assert!(!error.is_retryable(), "a person is needed");
    let effect = ca.start("cld-1").await.unwrap_err();
    assert_eq!(effect.failure, Failure::Untrusted);
    assert!(!effect.outcome_unknown(), "nothing was sent");
    error
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_in_words_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Certificate::issue(&folder.path().join("root.pem"), "DNS:localhost");
    let port = server(&ours.signed, &ours.key).await;

    let error = refused(&format!("https://localhost:{port}"), None).await;
    assert!(
        error.message.contains("from an issuer that is not trusted"),
        "{error}"
    );
    let hint = error.hint.unwrap();
    assert!(
        hint.contains("`ca_file`") && hint.contains("SSL_CERT_FILE"),
        "{hint}"
    );

    let by_address = format!("https://127.0.0.1:{port}");
    let error = refused(&by_address, Some(ours.root.clone())).await;
    assert!(error.message.contains("is for another name"), "{error}");

    let itself = server(&ours.root, &folder.path().join("root.key")).await;
    let error = refused(&format!("https://localhost:{itself}"), Some(ours.root)).await;
    assert!(
        error.message.contains("is a certificate authority's"),
        "{error}"
    );
    assert!(!error.message.contains("CaUsedAsEndEntity"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_refused_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    let ours = Certificate::issue(&root, "DNS:localhost");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let ended = path("ended.crt");
    let sign = [
        "x509",
        "-req",
        "-in",
        &path("s.csr"),
        "-CA",
        &path("root.pem"),
        "-CAkey",
        &path("root.key"),
        "-CAcreateserial",
        "-extfile",
        &path("s.ext"),
        // It ended yesterday.
        "-days",
        "-1",
        "-out",
        &ended,
    ];
    process::run("openssl", &sign, "");
    let port = server(Path::new(&ended), &ours.key).await;
    let error = refused(&format!("https://localhost:{port}"), Some(root)).await;
    assert!(error.message.contains("has expired"), "{error}");
}

#[tokio::test]
async fn a_ca_file_with_a_broken_certificate_says_which_one_and_a_dead_proxy_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    Certificate::issue(&root, "DNS:localhost");
    let good = std::fs::read_to_string(&root).unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nMAAwADAA\n-----END CERTIFICATE-----\n";
    for (text, words) in [
        (
            format!("{good}{broken}"),
            "is damaged: it is not a certificate",
        ),
        (String::new(), "has no certificates in PEM form"),
    ] {
        let file = folder.path().join("bad.pem");
        std::fs::write(&file, text).unwrap();
        let error = adapter("https://localhost:1", |settings| {
            settings.ca_file = Some(file.clone());
        });
        let error = error.unwrap_err();
        assert_eq!(error.failure, Failure::Settings);
        assert!(
            error.message.contains("`ca_file`") && error.message.contains(words),
            "{error}"
        );
    }
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", dead.local_addr().unwrap());
    drop(dead);
    let ca = adapter("https://api.ra.swisssign.ch", |settings| {
        settings.proxy = Some(proxy.parse().unwrap());
    });
    let error = ca.unwrap().start("cld-1").await.unwrap_err();
    let named = format!("through the proxy {}", proxy.trim_start_matches("http://"));
    assert!(error.message.contains(&named), "{error}");
    assert_eq!(error.failure, Failure::Unavailable);
}
