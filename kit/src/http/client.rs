//! The HTTP client of every exchange: what it trusts, which way it goes, and what it never does.
//!
//! Redirects are never followed, since credentials would go along, and the environment's proxies
//! are never used. Nothing is repeated here. A host is reached by any of its addresses, each with a
//! share of the time; where none is reached, they are named.

use std::collections::HashMap;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls_pki_types::CertificateDer;
use secrecy::{ExposeSecret, SecretString};
use tokio_rustls::rustls::RootCertStore;

use crate::causes::chain;
use crate::text::pem;

/// A connection that the server closes just as it is used costs a change its answer.
const IDLE: Duration = Duration::from_secs(15);
const USER_AGENT: &str = concat!("prevalidate/", env!("CARGO_PKG_VERSION"));

/// The way to one host.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// For a connection, to the end of the TLS handshake; the addresses of a host share it.
    pub connect: Duration,
    /// Without TLS, which is for this machine only: no roots are needed then.
    pub is_plain: bool,
    /// PEM certificates that are trusted in place of the system's.
    pub ca_file: Option<&'a Path>,
    /// The certificate and the key that this client shows, in PEM.
    pub identity: Option<(&'a Path, &'a Path)>,
    /// A proxy, where there is one.
    pub proxy: Option<&'a Url>,
    /// User and password, for a proxy that asks for them.
    pub proxy_login: Option<(&'a str, &'a SecretString)>,
    /// A host, and the only addresses that it may be reached by.
    pub pinned: Option<(&'a str, &'a [SocketAddr])>,
    /// `User-Agent`; `None`: the program's name and version.
    pub user_agent: Option<&'a str>,
}

/// A client, and the addresses that it found.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    found: Found,
}

impl Client {
    /// Makes the client.
    ///
    /// # Errors
    /// Which setting cannot work, and why.
    pub fn new(way: &Way<'_>) -> Result<Self, String> {
        let found = Found::default();
        let mut builder = reqwest::Client::builder()
            .user_agent(way.user_agent.unwrap_or(USER_AGENT))
            // One call, one answer: a shared connection could take several changes down with it.
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(way.connect)
            .pool_idle_timeout(IDLE)
            .https_only(!way.is_plain)
            .dns_resolver(found.clone());
        if let Some((host, addresses)) = way.pinned {
            builder = builder.resolve_to_addrs(host, addresses);
            found.note(host, addresses);
        }
        if let Some(proxy) = way.proxy {
            let mut proxy = reqwest::Proxy::all(proxy.clone()).map_err(|_| {
                "`proxy` is not a URL of a proxy; write it as http://host:port".to_owned()
            })?;
            if let Some((user, password)) = way.proxy_login {
                proxy = proxy.basic_auth(user, password.expose_secret());
            }
            builder = builder.proxy(proxy);
        }
        if way.is_plain {
            // A machine without any roots must still run a sandbox, and be told about.
            builder = builder.tls_certs_only([]);
        } else if let Some(file) = way.ca_file {
            let roots =
                roots(file).map_err(|why| format!("`ca_file` {}: {why}", file.display()))?;
            builder = builder.tls_certs_only(roots);
        }
        if let Some((certificate, key)) = way.identity {
            builder = builder.identity(identity(certificate, key)?);
        }
        let inner = builder.build().map_err(|error| {
            let why = chain(&error.without_url());
            format!("the HTTPS client cannot be set up: {why}")
        })?;
        Ok(Self { inner, found })
    }

    /// The library's client, for making a request.
    pub fn inner(&self) -> &reqwest::Client {
        &self.inner
    }

    /// Why no answer came, in words: the causes, and the addresses of `host` (that of the proxy
    /// where there is one) when no connection came about.
    pub fn words(&self, error: reqwest::Error, host: &str) -> String {
        let is_unreached = error.is_connect();
        let why = chain(&error.without_url());
        match self.found.of(host) {
            Some(addresses) if is_unreached => format!("{why} (addresses: {addresses})"),
            _ => why,
        }
    }
}

/// Whether an error says that nothing was sent.
pub fn is_not_sent(error: &reqwest::Error) -> bool {
    error.is_connect() || error.is_builder()
}

/// Reads a regular file: a pipe would wait for a writer, and a device has no end.
fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    match std::fs::metadata(file)?.is_file() {
        true => std::fs::read(file),
        false => Err(std::io::Error::new(
            ErrorKind::InvalidInput,
            "it is not a regular file",
        )),
    }
}

/// The certificate and the key that this client shows. Both files are read as any file in PEM form
/// is, whatever wrote them.
///
/// # Errors
/// Which of the two files cannot be used, and why. Never anything of the key.
fn identity(certificate: &Path, key: &Path) -> Result<reqwest::Identity, String> {
    let bytes_of = |what: &str, file: &Path| {
        read(file).map_err(|error| format!("`{what}` {}: {error}", file.display()))
    };
    let said = |what: &str, file: &Path, why: String| format!("`{what}` {}: {why}", file.display());
    let chain = pem::certificates(&bytes_of("certificate", certificate)?)
        .map_err(|why| said("certificate", certificate, why))?;
    let own_key = SecretString::from(
        pem::private_key(&bytes_of("key", key)?).map_err(|why| said("key", key, why))?,
    );
    let chain = chain.iter().map(|one| pem::write("CERTIFICATE", one));
    let both = SecretString::from(chain.collect::<String>() + own_key.expose_secret());
    reqwest::Identity::from_pem(both.expose_secret().as_bytes()).map_err(|_| {
        format!(
            "`certificate` {} and `key` {} are no certificate and its key in PEM form",
            certificate.display(),
            key.display()
        )
    })
}

/// Whether this user may not read the file. The user of the monitoring reads a configuration whose
/// keys are for the service alone: that is no fault of the configuration, and the process that
/// needs the file says that it cannot read it.
pub fn is_forbidden(file: &Path) -> bool {
    // Opening a pipe would wait for a writer; the process that reads it says what it is.
    if std::fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return false;
    }
    let opened = std::fs::File::open(file);
    opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Whether the two files can be shown as this client's certificate, as far as this user may read
/// them: told when the configuration is read, before anything is started.
///
/// # Errors
/// Which of the two files cannot be used, and why. Never anything of the key.
pub fn check_identity(certificate: &Path, key: &Path) -> Result<(), String> {
    if is_forbidden(certificate) || is_forbidden(key) {
        return Ok(());
    }
    let shown = identity(certificate, key)?;
    let client = reqwest::Client::builder().identity(shown);
    // No roots are needed to try the key.
    client.tls_certs_only([]).build().map(drop).map_err(|_| {
        format!(
            "`key` {} is not the key of `certificate` {}",
            key.display(),
            certificate.display()
        )
    })
}

/// The certificates of a file, each of which must be one that can be trusted.
fn roots(file: &Path) -> Result<Vec<reqwest::Certificate>, String> {
    let roots = trusted(file).map_err(|why| why.to_string())?;
    let root = |found: &CertificateDer<'_>| {
        let broken = |_| "holds a certificate that cannot be read".to_owned();
        reqwest::Certificate::from_der(found).map_err(broken)
    };
    roots.iter().map(root).collect()
}

/// Whether a `ca_file` can be used, as far as this user may read it.
///
/// # Errors
/// Why not.
pub fn check_trusted(file: &Path) -> Result<(), String> {
    match is_forbidden(file) {
        true => Ok(()),
        false => trusted(file).map(drop).map_err(|why| why.to_string()),
    }
}

/// Why a `ca_file` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untrusted {
    /// It cannot be read: the error of the system.
    Unreadable(String),
    /// It was read, and has no certificates that can be trusted: why, in words.
    Unusable(String),
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::Unusable(why) => f.write_str(why),
        }
    }
}

/// The certificates of a `ca_file`, each of which can be trusted.
///
/// # Errors
/// Why the file cannot be used.
pub fn trusted(file: &Path) -> Result<Vec<CertificateDer<'static>>, Untrusted> {
    let bytes = read(file).map_err(|error| Untrusted::Unreadable(error.to_string()))?;
    let roots = pem::certificates(&bytes).map_err(Untrusted::Unusable)?;
    for (index, found) in roots.iter().enumerate() {
        let mut store = RootCertStore::empty();
        if store.add(found.clone()).is_err() {
            let why = format!("certificate {} in it cannot be read", index + 1);
            return Err(Untrusted::Unusable(why));
        }
    }
    Ok(roots)
}

/// Resolves host names as the machine does, and remembers the addresses.
#[derive(Debug, Clone, Default)]
struct Found(Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>);

impl Found {
    fn note(&self, host: &str, addresses: &[SocketAddr]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(host.to_owned(), addresses.to_vec());
    }

    fn of(&self, host: &str) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = all
            .get(host)?
            .iter()
            .map(|address| address.ip().to_string());
        Some(addresses.collect::<Vec<_>>().join(", "))
    }
}

impl Resolve for Found {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.clone();
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            found.note(name.as_str(), &addresses);
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_told_and_not_waited_for() {
        let own = format!("prevalidate-pipe-{}", std::process::id());
        let folder = std::env::temp_dir().join(own);
        std::fs::create_dir_all(&folder).unwrap();
        let pipe = folder.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for place in [&pipe, &folder] {
            assert!(!is_forbidden(place));
            for why in [
                check_trusted(place).unwrap_err(),
                check_identity(place, place).unwrap_err(),
            ] {
                assert!(why.contains("it is not a regular file"), "{why}");
            }
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
    use crate::dial::tests::Silent;

    fn way<'a>(pinned: Option<(&'a str, &'a [SocketAddr])>, connect: Duration) -> Way<'a> {
        Way {
            connect,
            is_plain: true,
            ca_file: None,
            identity: None,
            proxy: None,
            proxy_login: None,
            pinned,
            user_agent: None,
        }
    }

    #[tokio::test]
    async fn an_address_that_swallows_connections_has_a_share_of_the_time_and_is_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent = Silent::at(([127, 0, 0, 2], port).into()).await;
        let serve = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096])
                .await
                .unwrap();
            let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
                .await
                .unwrap();
            drop(listener);
        });
        let both = [silent.address, ([127, 0, 0, 1], port).into()];
        let url = format!("http://api.test:{port}/");
        let client = Client::new(&way(Some(("api.test", &both)), Duration::from_secs(4))).unwrap();
        let answer = client.inner().get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 204);
        serve.await.unwrap();
        let client =
            Client::new(&way(Some(("api.test", &both)), Duration::from_millis(400))).unwrap();
        let error = client.inner().get(&url).send().await.unwrap_err();
        assert!(is_not_sent(&error));
        let words = client.words(error, "api.test");
        assert!(
            words.ends_with("(addresses: 127.0.0.2, 127.0.0.1)"),
            "{words}"
        );
    }

    #[tokio::test]
    async fn a_proxy_that_asks_is_given_user_and_password_and_no_other_server_is() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let serve = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = tokio::io::AsyncReadExt::read(&mut stream, &mut asked)
                .await
                .unwrap();
            let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
                .await
                .unwrap();
            String::from_utf8_lossy(&asked[..length]).to_lowercase()
        });
        let password = SecretString::from("open sesame");
        let client = Client::new(&Way {
            proxy: Some(&proxy),
            proxy_login: Some(("me", &password)),
            ..way(None, Duration::from_secs(4))
        })
        .unwrap();
        client.inner().get("http://api.test/").send().await.unwrap();
        let asked = serve.await.unwrap();
        // `me:open sesame`
        let expected = "proxy-authorization: basic bwu6b3blbibzzxnhbwu=";
        assert!(asked.contains(expected), "{asked}");
        assert!(!asked.contains("\r\nauthorization:"), "{asked}");
    }
}
