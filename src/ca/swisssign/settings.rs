//! What an account needs to be reached, and what is refused before anything is sent.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::ca::http::{self, Permit, Reach, SecretReader, Timeouts};
use crate::ca::token::check_prefix;
use crate::ca::{CaError, Failure};

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
    pub api_keys: Vec<SecretReader>,
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
    /// An HTTP proxy; the environment's is never used.
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

impl Settings {
    /// The documented defaults.
    pub fn new(
        name: impl Into<String>,
        url: Url,
        user: impl Into<String>,
        api_keys: Vec<SecretReader>,
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

    /// How the account is reached, or why the settings cannot work.
    pub(super) fn reach(&self) -> Result<Reach, CaError> {
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
        if let Err(why) = Reach::check_url(&self.url) {
            return refused(&format!("`url` {why}; write https://api.ra.swisssign.ch"));
        }
        let host = self.url.host_str().unwrap_or_default();
        if http::is_loopback(&self.url) == Some(false) && !host.ends_with(".swisssign.ch") {
            tracing::warn!(
                ca = self.name,
                host,
                "the CA's host is not one of SwissSign's; the account's token goes there"
            );
        }
        let mut base = self.url.clone();
        let path = base.path().trim_end_matches('/');
        let path = path.strip_suffix("/v2").unwrap_or(path).to_owned();
        base.set_path(&format!("{path}/v2"));
        Ok(Reach {
            name: self.name.clone(),
            base,
            rate: self.rate,
            permit: self.permit.clone(),
            ca_file: self.ca_file.clone(),
            identity: None,
            proxy: self.proxy.clone(),
            user_agent: self.user_agent.clone(),
            timeouts: self.timeouts,
        })
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
