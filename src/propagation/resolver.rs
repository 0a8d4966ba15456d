//! Validating resolvers as they are in the configuration, and what one of them said.
//!
//! They are asked as the CA's own resolvers are: recursion, DNSSEC checked there, caches and all.
//! So they show what a cache still holds and what does not validate, and they are asked only when
//! the value has been there for a while: before, they would keep "not there" for as long as the
//! zone lets them.
//!
//! [`ask`] asks over UDP and TCP, TLS (RFC 7858) or HTTPS (RFC 8484); [`reading`] and [`weigh`] are
//! pure.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::Answer;

pub mod ask;
mod extended;
mod reading;
pub mod weigh;

/// DNS over TLS, where no port is given (RFC 7858, section 3.1).
const TLS_PORT: u16 = 853;

/// How a resolver is reached: `9.9.9.9`, `[2620:fe::fe]:5353`, `tls://9.9.9.9#dns.quad9.net`,
/// `https://dns.quad9.net/dns-query`.
///
/// ```
/// # use prevalidate::propagation::resolver::Resolver;
/// let resolver: Resolver = "tls://9.9.9.9#dns.quad9.net".parse().expect("a resolver");
/// assert_eq!(resolver.to_string(), "tls://9.9.9.9:853#dns.quad9.net");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolver {
    /// UDP and TCP, port 53 when none is given.
    Plain(SocketAddr),
    /// TLS, port 853 when none is given.
    Tls {
        /// Where it is.
        address: SocketAddr,
        /// The name that its certificate must have; the address when there is none.
        name: Option<String>,
    },
    /// HTTPS; the certificate must name the URL's host.
    Https(Url),
}

impl FromStr for Resolver {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "must be a resolver: \"9.9.9.9\", \"[2620:fe::fe]:53\", \"tls://9.9.9.9#dns.quad9.net\" or \
            \"https://dns.quad9.net/dns-query\"";
        if let Some(rest) = text.strip_prefix("tls://") {
            let (address, name) = rest
                .split_once('#')
                .map_or((rest, None), |(address, name)| (address, Some(name)));
            let address = server_address(address, TLS_PORT).ok_or(
                "needs an IP address after tls://, and the name in its certificate after `#`",
            )?;
            // A name is checked against the certificate, never resolved.
            let is_name = |name: &str| matches!(Host::parse(name), Ok(Host::Domain(host)) if host == name.to_lowercase());
            if name.is_some_and(|name| !is_name(name)) {
                return Err(
                    "needs the name in its certificate after `#`, such as tls://9.9.9.9#dns.quad9.net",
                );
            }
            return Ok(Self::Tls {
                address,
                name: name.map(str::to_lowercase),
            });
        }
        if text.starts_with("https://") {
            let url = Url::parse(text).map_err(|_| FORM)?;
            if !url.username().is_empty()
                || url.password().is_some()
                || url.query().is_some()
                || url.fragment().is_some()
            {
                return Err("must not hold a user name, a password, `?` or `#`");
            }
            return Ok(Self::Https(url));
        }
        server_address(text, 53).map(Self::Plain).ok_or(FORM)
    }
}

impl fmt::Display for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => write!(f, "{address}"),
            Self::Tls {
                address,
                name: None,
            } => write!(f, "tls://{address}"),
            Self::Tls {
                address,
                name: Some(name),
            } => write!(f, "tls://{address}#{name}"),
            Self::Https(url) => write!(f, "{url}"),
        }
    }
}

/// Reads `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:5353`.
pub fn server_address(text: &str, port: u16) -> Option<SocketAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare
        .parse::<IpAddr>()
        .map(|ip| SocketAddr::new(ip, port))
        .or_else(|_| text.parse())
        .ok()?;
    (address.port() != 0 && !address.ip().is_unspecified()).then_some(address)
}

/// The answer of one resolver about one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverAnswer {
    /// As configured.
    pub resolver: String,
    /// Where it was; `None` when it did not come to that.
    pub address: Option<SocketAddr>,
    /// [`Answer::NoMatch`] is what a cache may still say, too; [`Answer::Lame`] is a refusal, bogus
    /// zones among them.
    pub answer: Answer,
    /// In words.
    pub detail: String,
    /// How long it will continue saying so from its cache, seconds; `None` when it said nothing
    /// that is cached.
    pub ttl: Option<u32>,
    /// The resolver checked the answer's signatures (AD, RFC 4035 section 3.2.3). False for
    /// unsigned zones.
    pub validated: bool,
    /// Why it refuses the zone's answers as forged or broken.
    pub bogus: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_resolver_is_read_in_its_four_forms_only() {
        for (text, shown) in [
            ("9.9.9.9", "9.9.9.9:53"),
            ("9.9.9.9:5353", "9.9.9.9:5353"),
            ("2620:fe::fe", "[2620:fe::fe]:53"),
            ("[2620:fe::fe]:5353", "[2620:fe::fe]:5353"),
            (
                "tls://9.9.9.9#dns.quad9.net",
                "tls://9.9.9.9:853#dns.quad9.net",
            ),
            (
                "tls://[2620:fe::fe]#DNS.quad9.net",
                "tls://[2620:fe::fe]:853#dns.quad9.net",
            ),
            ("tls://1.1.1.1:8853", "tls://1.1.1.1:8853"),
            (
                "https://dns.quad9.net/dns-query",
                "https://dns.quad9.net/dns-query",
            ),
            (
                "https://9.9.9.9:8443/dns-query",
                "https://9.9.9.9:8443/dns-query",
            ),
        ] {
            let resolver: Resolver = text.parse().unwrap();
            assert_eq!(resolver.to_string(), shown);
            assert_eq!(
                shown.parse(),
                Ok(resolver),
                "what is shown can be read again"
            );
        }
        for text in [
            "",
            "dns.quad9.net",
            "9.9.9.9:0",
            "0.0.0.0",
            "tls://dns.quad9.net",
            "tls://9.9.9.9#",
            "tls://9.9.9.9#9.9.9.9",
            "tls://9.9.9.9#a b",
            "tls://9.9.9.9#dns.quad9.net/x",
            "http://9.9.9.9/dns-query",
            "https://",
            "https://u:p@9.9.9.9/",
            "https://9.9.9.9/dns-query?dns=x",
            "quic://9.9.9.9",
        ] {
            assert!(text.parse::<Resolver>().is_err(), "{text}");
        }
    }
}
