//! How a CA is reached, whatever its kind: the address, the rate, the proxy, the trusted roots.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::SecretString;
use url::{Host, Url};

/// Returns when the account allows one more call, of all machines together, or says why that is not
/// known: then it is not made.
pub type Permit = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Reads a secret where it lives: a file, a command, the environment. It may block. The error is
/// for people and never holds the secret.
pub type SecretReader = Arc<dyn Fn() -> Result<SecretString, String> + Send + Sync>;

/// How to reach a CA, whatever its kind.
#[derive(Clone)]
pub struct Reach {
    /// The `[ca.NAME]`, for messages.
    pub name: String,
    /// What the paths of all calls are put after; `http` only on loopback.
    pub base: Url,
    /// Calls per second over the whole account; up to a second's worth may go at once.
    pub rate: f64,
    /// Asked before each call, where other machines use the account as well.
    pub permit: Option<Permit>,
    /// PEM certificates that are trusted in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificate and the key that this client shows, in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// An HTTP proxy; the environment's is never used.
    pub proxy: Option<Url>,
    /// Telephone numbers of people, which no answer brings into a log or a store.
    pub numbers: Vec<SecretString>,
    /// `User-Agent`
    pub user_agent: String,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// How long to wait for the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To the end of the TLS handshake.
    pub connect: Duration,
    /// Between two bytes, and before the first.
    pub read: Duration,
    /// For a whole call.
    pub total: Duration,
    /// `read` where the CA has much to do first: a list, and a call during which it checks DNS from
    /// several places.
    pub slow_read: Duration,
    /// `total` for those.
    pub slow_total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(10),
            total: Duration::from_secs(30),
            slow_read: Duration::from_secs(60),
            slow_total: Duration::from_secs(120),
        }
    }
}

impl Reach {
    /// A CA at `base`, with 2 calls a second, no proxy and the system's roots.
    pub fn new(name: impl Into<String>, base: Url) -> Self {
        Self {
            name: name.into(),
            base,
            rate: 2.0,
            permit: None,
            ca_file: None,
            identity: None,
            proxy: None,
            numbers: Vec::new(),
            user_agent: concat!("prevalidate/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeouts: Timeouts::default(),
        }
    }

    /// Whether `url` can be the address of a CA.
    ///
    /// # Errors
    /// The fault in the URL.
    pub(in crate::ca) fn check_url(url: &Url) -> Result<(), &'static str> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds credentials; they belong into settings of their own");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("holds a query or fragment; give the address of the API only");
        }
        let Some(loopback) = is_loopback(url) else {
            return Err("names no host");
        };
        if url.scheme() == "https" || url.scheme() == "http" && loopback {
            Ok(())
        } else {
            Err("must begin with https://; http:// is for loopback only")
        }
    }
}

/// Whether the URL's host is this machine; `None` where it names no host.
pub(in crate::ca) fn is_loopback(url: &Url) -> Option<bool> {
    Some(match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    })
}

/// The address of a file that a certificate names (RFC 5280, section 4.2.2.1): by HTTP, with no
/// credentials, and at this machine only where the CA itself, at `host`, is.
pub(in crate::ca) fn public_file(text: &str, host: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "no address of a file")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("an address that is not fetched by HTTP");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address with credentials");
    }
    let is_here = |host: &str| host == "localhost" || host.starts_with("127.") || host == "[::1]";
    match is_loopback(&url) {
        None => Err("an address without a host"),
        Some(true) if !is_here(host) => Err("an address on this machine"),
        Some(_) => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_certificate_names_is_fetched_by_http_and_not_from_this_machine() {
        let of = |url, host| public_file(url, host).is_ok();
        assert!(of("http://cacerts.example.com/ca.der", "api.example.com"));
        assert!(of("https://cacerts.example.com/ca.der", "api.example.com"));
        assert!(of("http://127.0.0.1:8080/ca.der", "127.0.0.1"));
        for url in [
            "ldap://directory.example.com/cn=CA",
            "file:///etc/passwd",
            "ftp://cacerts.example.com/ca.der",
            "http://user:word@cacerts.example.com/ca.der",
            "http://127.0.0.1:8080/ca.der",
            "http://localhost/ca.der",
            "http://[::1]/ca.der",
            "data:application/pkix-cert;base64,AA",
            "cacerts",
        ] {
            assert!(!of(url, "api.example.com"), "{url}");
        }
    }
}
