//! The HTTPS client of one account: the roots that it trusts, its proxy, and the words for a failed
//! connection.

use std::error::Error as _;
use std::fmt::Write as _;

use prevalidate_kit::http::{Client, Way};
use tokio_rustls::rustls::{CertificateError, Error as TlsError};
use url::Url;

use super::Reach;
use super::redact::clean;
use crate::ca::{CaError, Failure};

/// What a person can do where the CA's certificate is not trusted.
const TRUST_HINT: &str = "If a TLS inspection is in between, or the CA has a root of its own, name \
    that root in `ca_file`; else the system's roots count, or those of SSL_CERT_FILE.";

/// Makes the client that `reach` describes.
pub(in crate::ca) fn client(reach: &Reach) -> Result<Client, CaError> {
    let identity = reach.identity.as_ref();
    Client::new(&Way {
        connect: reach.timeouts.connect,
        is_plain: reach.base.scheme() == "http",
        ca_file: reach.ca_file.as_deref(),
        identity: identity.map(|(certificate, key)| (certificate.as_path(), key.as_path())),
        proxy: reach.proxy.as_ref(),
        proxy_login: None,
        pinned: None,
        user_agent: Some(&reach.user_agent),
    })
    .map_err(|why| CaError::new(Failure::Settings, format!("{}: {why}", reach.name)))
}

/// The host that connections go to: the proxy's where there is one.
pub(in crate::ca) fn next_host(reach: &Reach) -> String {
    let url = reach.proxy.as_ref().unwrap_or(&reach.base);
    url.host_str().unwrap_or_default().to_owned()
}

/// The host with its port, as a firewall knows it, and the proxy that is before it.
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

/// The cause and the hint, if the connection failed because a certificate was refused.
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

/// The TLS error that an error is. One error of I/O may be within another, and none of them names
/// what it holds as its source.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a TlsError> {
    if let Some(tls) = error.downcast_ref::<TlsError>() {
        return Some(tls);
    }
    tls_error(error.downcast_ref::<std::io::Error>()?.get_ref()?)
}

fn words(why: &CertificateError) -> (String, &'static str) {
    const RENEW: &str =
        "Check the certificate and this machine's clock; the CA's support can renew it.";
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
