//! What an account needs to be reached, and what is refused before anything is sent.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
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
    /// Whether orders go to `/v2/issue/csr`, where they carry no tag.
    pub issues_by_csr: bool,
    /// The person that asks for a revocation, where none is named: a service account must name a
    /// person.
    pub revocation_requestor: String,
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

/// Characters of an API key: letters and digits, as the portal makes it (handbook of the RA API).
const KEY_LENGTH: usize = 64;

/// Why the secret of an `api_key` may be none. The CA may change the form, so it is used
/// nevertheless.
pub fn doubt_of_key(name: &str, key: &SecretString) -> Option<String> {
    let key = key.expose_secret();
    let is_plain = key.bytes().all(|octet| octet.is_ascii_alphanumeric());
    let is_usual = key.len() == KEY_LENGTH && is_plain;
    (name.ends_with("api_key") && !is_usual).then(|| {
        let others = if is_plain {
            ""
        } else {
            ", not all of them letters and digits"
        };
        format!(
            "the key has {} characters{others}; the CA's keys have {KEY_LENGTH} letters and digits: is it whole, and the right one?",
            key.chars().count()
        )
    })
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
            issues_by_csr: false,
            revocation_requestor: "prevalidate".to_owned(),
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
            // Orders here name no contact.
            numbers: Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_length_or_alphabet_is_doubted_and_not_shown() {
        let key = "a1B2".repeat(16);
        assert_eq!(doubt_of_key("api_key", &key.as_str().into()), None);
        let others = [
            key[1..].to_owned(),
            format!("{}-", &key[1..]),
            format!("{key}{key}"),
        ];
        for other in others {
            let secret = SecretString::from(other);
            let doubt = doubt_of_key("second_api_key", &secret).unwrap_or_default();
            assert!(
                doubt.contains("64 letters") && !doubt.contains("a1B2"),
                "{doubt}"
            );
            assert_eq!(doubt_of_key("password", &secret), None);
        }
    }
}
