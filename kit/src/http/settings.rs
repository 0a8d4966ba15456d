//! What every adapter that speaks HTTP is told: where, how patiently, how often, through which
//! proxy.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::client::{Client, Way, check_trusted};
use crate::fault::{Fault, FaultKind};
use crate::secret::SecretSource;
use crate::table::secrets::read_secret;
use crate::table::{DEFAULT_TIMEOUT, Rate, Reader};

/// The keys that [`HttpSettings::read`] knows.
pub const HTTP_KEYS: [&str; 7] = [
    "url",
    "timeout",
    "rate",
    "ca_file",
    "proxy",
    "proxy_user",
    "proxy_password",
];
/// Calls per second that a rate may reach.
const MOST_PER_SECOND: u32 = 1000;

/// How to reach an API.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub(super) url: Url,
    pub(super) timeout: Duration,
    pub(super) rate: Rate,
    pub(super) burst: NonZeroU32,
    ca_file: Option<PathBuf>,
    proxy: Option<Url>,
    proxy_login: Option<(String, SecretSource)>,
}

impl HttpSettings {
    /// `per_second` is the default of `rate`; after a quiet time what it gives in `burst_seconds`
    /// may go at once.
    pub fn read(
        reader: &mut Reader<'_>,
        url: &str,
        per_second: u32,
        burst_seconds: u32,
    ) -> Option<Self> {
        let url = reader.text("url").unwrap_or_else(|| url.to_owned());
        let url = reader.good("url", read_base(&url));
        let timeout = reader.timeout(DEFAULT_TIMEOUT);
        let rate = reader.rate(per_second, MOST_PER_SECOND);
        let ca_file = reader.text("ca_file").map(PathBuf::from);
        if let Some(file) = &ca_file
            && let Err(why) = check_trusted(file)
        {
            reader.fault("ca_file", format!("{}: {why}", file.display()));
        }
        let proxy = match reader.text("proxy") {
            Some(text) => Some(reader.good("proxy", read_proxy(&text))?),
            None => None,
        };
        let proxy_login = read_login(reader)?;
        let (count, per) = rate?;
        let burst = u64::from(count.get()) * u64::from(burst_seconds) / per.as_secs().max(1);
        let burst =
            NonZeroU32::new(u32::try_from(burst).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN);
        Some(Self {
            url: url?,
            timeout: timeout?,
            rate: (count, per),
            burst,
            ca_file,
            proxy,
            proxy_login,
        })
    }

    pub(super) fn client(&self) -> Result<Client, Fault> {
        let password = match &self.proxy_login {
            Some((_, source)) => Some(read_secret("proxy_password", source)?),
            None => None,
        };
        let login = self.proxy_login.as_ref().zip(password.as_ref());
        Client::new(&Way {
            connect: self.timeout / 2,
            is_plain: self.url.scheme() == "http",
            ca_file: self.ca_file.as_deref(),
            identity: None,
            proxy: self.proxy.as_ref(),
            proxy_login: login.map(|((user, _), password)| (user.as_str(), password)),
            pinned: None,
            user_agent: None,
        })
        .map_err(|why| Fault::new(FaultKind::Settings, why))
    }

    /// The host that connections go to: the proxy's where there is one.
    pub(super) fn next_host(&self) -> &str {
        let url = self.proxy.as_ref().unwrap_or(&self.url);
        url.host_str().unwrap_or_default()
    }
}

/// The parts that use the proxy: both, with a proxy, or neither. `None`: something is wrong with
/// it.
fn read_login(reader: &mut Reader<'_>) -> Option<Option<(String, SecretSource)>> {
    let has = |reader: &Reader<'_>, key: &str| reader.table.contains_key(key);
    let (is_user, is_password) = (has(reader, "proxy_user"), has(reader, "proxy_password"));
    if !is_user && !is_password {
        return Some(None);
    }
    for (key, other) in [
        ("proxy_user", "proxy_password"),
        ("proxy_password", "proxy_user"),
    ] {
        if !has(reader, key) {
            reader.fault(key, format!("missing: it goes with `{other}`"));
        }
    }
    if !has(reader, "proxy") {
        reader.fault("proxy", "missing: `proxy_user` is for a proxy");
    }
    let login = (reader.text("proxy_user"), reader.secret("proxy_password"));
    Some(Some((login.0?, login.1?)))
}

fn read_base(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("no URL ({error}); give it like https://api.example.com/v1"))?;
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("holds more than an address; give it like https://api.example.com/v1".into());
    }
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        _ => Err("must begin with https://; http:// is for this machine only".into()),
    }
}

fn read_proxy(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    match url {
        Some(url) if url.username().is_empty() && url.password().is_none() => Ok(url),
        Some(_) => Err("user name and password must not be in the configuration".into()),
        None => Err("expected a proxy like http://proxy.example.ch:3128".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn secrets_travel_encrypted_and_to_the_address_that_was_given() {
        for good in [
            "https://api.cloudflare.com/client/v4",
            "http://127.0.0.1:8080",
            "http://[::1]/v1",
            "http://localhost/",
        ] {
            read_base(good).unwrap();
        }
        for bad in [
            "http://api.cloudflare.com/",
            "http://localhost.example.ch/",
            "ftp://x/",
            "https://u:p@x/",
            "https://x/?q",
            "x",
        ] {
            read_base(bad).unwrap_err();
        }
        read_proxy("http://proxy.example.ch:3128").unwrap();
        assert!(
            !read_proxy("http://u:CANARY@proxy")
                .unwrap_err()
                .contains("CANARY")
        );
    }
}
