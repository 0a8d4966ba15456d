//! What an account needs to be reached, and what is refused before anything is sent.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::SecretString;
use url::{Host, Url};

use crate::ca::token::check_prefix;
use crate::ca::{CaError, Failure};

/// Reads an API key where it lives: a file, a command, the environment. Asked again when the key is
/// refused (faults J04); it may block. The error is for people and never holds the secret.
pub type KeySource = Arc<dyn Fn() -> Result<SecretString, String> + Send + Sync>;

/// Returns when the account allows one more call, of all machines together, or says why nobody can
/// tell: then it is not made.
pub type Permit = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// One service account at SwissSign.
#[derive(Clone)]
pub struct Settings {
    /// The `[ca.NAME]`, for messages.
    pub name: String,
    /// `https://api.ra.swisssign.ch`, with or without `/v2`; `http` only on loopback.
    pub url: Url,
    /// The service account (`sub`).
    pub user: String,
    /// The API key, and the one that follows it during a rollover: a renewed key leaves the old one
    /// valid for 7 days.
    pub api_keys: Vec<KeySource>,
    /// Where the token comes from.
    pub auth: Auth,
    /// `iss`: the README says `SwissPKI`, the handbook `SwissSign CA`.
    pub issuer: String,
    /// `aud`
    pub audience: String,
    /// Calls per second over the whole account; up to a second's worth may go at once.
    pub rate: f64,
    /// Asked before each call, where other machines use the account as well.
    pub permit: Option<Permit>,
    /// Put before a random value that the CA sends bare.
    pub token_prefix: String,
    /// PEM certificates that are trusted in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// An HTTP proxy; the environment's is never used (faults G07).
    pub proxy: Option<Url>,
    /// `User-Agent`
    pub user_agent: String,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// Where the token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auth {
    /// Signed here with the API key: no call, and the key never leaves the machine.
    #[default]
    LocalSigning,
    /// Fetched from `/v2/jwt/{user}`, which is sent the key.
    Helper,
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
    /// `read` where the CA has much to do first: `list`, and `validate`, which looks at DNS from
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

impl Settings {
    /// The documented defaults.
    pub fn new(
        name: impl Into<String>,
        url: Url,
        user: impl Into<String>,
        api_keys: Vec<KeySource>,
    ) -> Self {
        Self {
            name: name.into(),
            url,
            user: user.into(),
            api_keys,
            auth: Auth::default(),
            issuer: "SwissPKI".to_owned(),
            audience: "REST API".to_owned(),
            rate: 2.0,
            permit: None,
            token_prefix: "swiss-pki=".to_owned(),
            ca_file: None,
            proxy: None,
            user_agent: concat!("prevalidate/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeouts: Timeouts::default(),
        }
    }

    /// The URL that `/v2/…` is put after, or why the settings cannot work.
    pub(super) fn base(&self) -> Result<Url, CaError> {
        let refused = |what: &str| {
            Err(CaError::new(
                Failure::Settings,
                format!("{}: {what}", self.name),
            ))
        };
        if self.user.is_empty()
            || self.user.contains(char::is_control)
            || matches!(self.user.as_str(), "." | "..")
        {
            return refused("`user` is not the name of a service account");
        }
        if self.api_keys.is_empty() {
            return refused("no `api_key` is configured");
        }
        if let Err(why) = check_prefix(&self.token_prefix) {
            return refused(&format!("`token_prefix` {why}"));
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            return refused("`url` holds credentials; the API key belongs in `api_key`");
        }
        if self.url.query().is_some() || self.url.fragment().is_some() {
            return refused(
                "`url` holds a query or fragment; give it as https://api.ra.swisssign.ch",
            );
        }
        let loopback = match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return refused("`url` names no host"),
        };
        if !(self.url.scheme() == "https" || self.url.scheme() == "http" && loopback) {
            return refused("`url` must begin with https://; http:// is for loopback only");
        }
        let host = self.url.host_str().unwrap_or_default();
        if !loopback && !host.ends_with(".swisssign.ch") {
            tracing::warn!(
                ca = self.name,
                host,
                "the CA's host is not one of SwissSign's; the account's token goes there"
            );
        }
        let mut base = self.url.clone();
        let path = base.path().trim_end_matches('/');
        let path = path.strip_suffix("/v2").unwrap_or(path).to_owned();
        base.set_path(&path);
        Ok(base)
    }
}

/// Neither keys nor the proxy's user and password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("host", &self.url.host_str())
            .field("user", &self.user)
            .field("api_keys", &self.api_keys.len())
            .field("auth", &self.auth)
            .field("proxy", &self.proxy.as_ref().and_then(Url::host_str))
            .finish_non_exhaustive()
    }
}
