//! The HTTPS client of one account: whom it trusts, which way it goes, and what it means in words
//! when no connection comes about.

use std::error::Error as _;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use prevalidate_kit::causes::chain;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{CertificateError, Error as TlsError, RootCertStore};
use url::Url;

use super::Reach;
use super::redact::clean;
use crate::ca::{CaError, Failure};

/// What a person can do where the CA's certificate is not trusted.
const TRUST_HINT: &str = "If a TLS inspection stands between, or the CA has a root of its own, name \
    that root in `ca_file`; else the system's roots count, or those of SSL_CERT_FILE.";

/// Makes the client that `reach` describes.
pub(in crate::ca) fn client(reach: &Reach) -> Result<reqwest::Client, CaError> {
    let refused = |what: String| CaError::new(Failure::Settings, format!("{}: {what}", reach.name));
    let base = &reach.base;
    let mut builder = reqwest::Client::builder()
        .user_agent(&reach.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        // One call, one answer: a connection that others share could take several effects down
        // with it.
        .http1_only()
        .connect_timeout(reach.timeouts.connect)
        // A connection that the CA closes just as we use it costs an effect its answer.
        .pool_idle_timeout(Duration::from_secs(15))
        .https_only(base.scheme() == "https");
    if let Some(proxy) = &reach.proxy {
        let proxy = reqwest::Proxy::all(proxy.clone()).map_err(|_| {
            refused("`proxy` is no URL of a proxy; write it as http://host:port".to_owned())
        })?;
        builder = builder.proxy(proxy);
    }
    if base.scheme() == "http" {
        // Loopback needs no roots, and a machine without any must still run the sandbox.
        builder = builder.tls_certs_only([]);
    } else if let Some(file) = &reach.ca_file {
        let roots =
            roots(file).map_err(|why| refused(format!("`ca_file` {}: {why}", file.display())))?;
        builder = builder.tls_certs_only(roots);
    }
    if let Some((certificate, key)) = &reach.identity {
        builder = builder.identity(identity(certificate, key).map_err(refused)?);
    }
    builder.build().map_err(|error| {
        refused(format!(
            "the HTTPS client cannot be set up: {}",
            chain(&error.without_url())
        ))
    })
}

/// The certificate and the key that this client shows.
fn identity(certificate: &Path, key: &Path) -> Result<reqwest::Identity, String> {
    let read = |what: &str, file: &Path| {
        std::fs::read(file).map_err(|error| format!("`{what}` {}: {error}", file.display()))
    };
    let mut pem = read("certificate", certificate)?;
    pem.push(b'\n');
    pem.extend(read("key", key)?);
    reqwest::Identity::from_pem(&pem).map_err(|_| {
        format!(
            "`certificate` {} and `key` {} are no certificate and its key in PEM form",
            certificate.display(),
            key.display()
        )
    })
}

/// The certificates of a file, each of which must be one that can be trusted.
fn roots(file: &Path) -> Result<Vec<reqwest::Certificate>, String> {
    let pem = std::fs::read(file).map_err(|error| error.to_string())?;
    let mut roots = Vec::new();
    for (index, found) in CertificateDer::pem_slice_iter(&pem).enumerate() {
        let broken = || format!("certificate {} in it cannot be read", index + 1);
        let found = found.map_err(|_| broken())?;
        RootCertStore::empty()
            .add(found.clone())
            .map_err(|_| broken())?;
        roots.push(reqwest::Certificate::from_der(&found).map_err(|_| broken())?);
    }
    if roots.is_empty() {
        return Err("holds no certificate in PEM form".to_owned());
    }
    Ok(roots)
}

/// The host with its port, as a firewall knows it, and the proxy that stands before it.
pub(in crate::ca) fn peer(base: &Url, proxy: Option<&Url>) -> String {
    let place = |url: &Url| {
        let host = url.host_str().unwrap_or_default();
        url.port_or_known_default()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    };
    let mut peer = place(base);
    if let Some(proxy) = proxy {
        let _ = write!(peer, " through the proxy {}", place(proxy));
    }
    peer
}

/// Why a certificate was refused, when that is what went wrong: the words, and what to do.
pub(in crate::ca) fn distrust(error: &reqwest::Error) -> Option<(String, &'static str)> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(TlsError::InvalidCertificate(why)) = tls_error(error) {
            return Some(words(why));
        }
        cause = error.source();
    }
    None
}

/// The TLS error that an error is. One error of I/O may stand within another, and none of them
/// names what it holds as its source.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a TlsError> {
    if let Some(tls) = error.downcast_ref::<TlsError>() {
        return Some(tls);
    }
    tls_error(error.downcast_ref::<std::io::Error>()?.get_ref()?)
}

fn words(why: &CertificateError) -> (String, &'static str) {
    const RENEW: &str =
        "Look at the certificate, and at this machine's clock; the CA's support can renew it.";
    let (what, hint) = match why {
        CertificateError::UnknownIssuer => {
            ("is from an issuer that is not trusted here", TRUST_HINT)
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("has expired", RENEW)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("is not valid yet", RENEW)
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "is for another name",
            "Check `url`: the certificate must hold its host name. A proxy or a TLS inspection may answer in the CA's place.",
        ),
        CertificateError::Revoked => ("has been revoked", RENEW),
        CertificateError::BadEncoding => ("cannot be read", TRUST_HINT),
        // webpki's own word for it is `CaUsedAsEndEntity`.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => (
            "is a certificate authority's (CA:TRUE), which no server may show as its own",
            "Give the server a certificate of its own, issued by that authority, and name the authority's in `ca_file`.",
        ),
        other => {
            let words = format!(
                "the server's certificate is refused: {}",
                clean(&other.to_string())
            );
            return (words, TRUST_HINT);
        }
    };
    (format!("the server's certificate {what}"), hint)
}
