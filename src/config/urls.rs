//! URLs as settings have them.

use url::{Host, Url};

use super::tree::Section;

/// Whether a CA is a sandbox: no other one is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(host)) => host == "localhost",
        None => false,
    }
}

pub(super) fn plain_url(section: &Section<'_>, key: &str, text: &str) -> Option<Url> {
    match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            section.fault(key, "must not hold a user name or password");
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            section.fault(key, "must not hold `?` or `#`");
        }
        Ok(url) if url.host().is_some() => return Some(url),
        _ => section.fault(key, "must be a URL such as \"https://api.ra.swisssign.ch\""),
    }
    None
}
