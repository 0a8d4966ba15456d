//! The way out: a host is resolved once, its addresses are judged, and the connection goes to one
//! of these and to no other, so that a name that leads elsewhere a moment later leads nowhere
//! (faults H10).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use url::Host;

use crate::notify::Failure;

/// What finds the addresses of a name.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Finds where to connect to, and refuses what is not public unless that is allowed.
#[derive(Clone)]
pub struct Door {
    allow_private: bool,
    lookup: Lookup,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("allow_private", &self.allow_private)
            .finish_non_exhaustive()
    }
}

impl Door {
    /// Resolves host names as the machine does.
    pub fn new(allow_private: bool) -> Self {
        let lookup: Lookup = Arc::new(|name| {
            Box::pin(async move {
                Ok(tokio::net::lookup_host((name, 0))
                    .await?
                    .map(|address| address.ip())
                    .collect())
            })
        });
        Self::with(allow_private, lookup)
    }

    /// Resolves host names by `lookup`.
    pub fn with(allow_private: bool, lookup: Lookup) -> Self {
        Self {
            allow_private,
            lookup,
        }
    }

    /// Whether connections may stay inside the network.
    pub fn allows_private(&self) -> bool {
        self.allow_private
    }

    /// The addresses of a host, every one of them judged.
    ///
    /// # Errors
    /// When it has none, or one that is not public: then none of them is used: an attacker may have
    /// chosen it.
    pub async fn find(&self, host: &Host<String>, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let found = match host {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => (self.lookup)(name.clone()).await.map_err(|error| {
                Failure::refused(format!("the address of {name} cannot be found: {error}"))
            })?,
        };
        if found.is_empty() {
            return Err(Failure::refused(format!("{host} has no address")));
        }
        if let Some(private) = found
            .iter()
            .find(|address| !self.allow_private && !is_public(**address))
        {
            let what = format!("{host} leads to {private}, which is not a public address");
            return Err(Failure::refused(format!(
                "{what}; `allow_private = true` allows it, if it is meant so"
            )));
        }
        Ok(found
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }
}

/// Whether an address belongs to the Internet (IANA's registries of special-purpose addresses, RFC
/// 6890), and not to this machine or its networks.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        // Multicast and what is reserved, the broadcast address among it.
        || a >= 224
        || a == 0
        // Carrier-grade NAT (RFC 6598), IETF protocols (RFC 6890), benchmarks (RFC 2544).
        || a == 100 && (64..128).contains(&b)
        || a == 192 && b == 0 && c == 0
        || a == 198 && (18..20).contains(&b);
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        // An IPv4 address in another dress: mapped, compatible, NAT64 (RFC 6052 and 8215), 6to4
        // (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => is_public_v4(v4(high, low)),
        // Only what is given out to networks of the Internet; Teredo, documentation and protocols
        // have ranges of their own.
        [0x2001, second, ..] => second >= 0x0200 && second != 0x0db8,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for private in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "2001:db8::1",
            "2001::1",
            "100::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "9.9.9.9",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "2620:fe::fe",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "::ffff:9.9.9.9",
            "64:ff9b::909:909",
            "2002:909:909::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn one_private_address_among_public_ones_closes_the_door_unless_it_is_allowed() {
        let lookup: Lookup = Arc::new(|_| {
            Box::pin(async {
                Ok(vec![
                    "9.9.9.9".parse().unwrap(),
                    "169.254.169.254".parse().unwrap(),
                ])
            })
        });
        let host = Host::Domain("hooks.example".to_owned());
        let failure = Door::with(false, Arc::clone(&lookup))
            .find(&host, 443)
            .await
            .unwrap_err();
        assert!(
            failure
                .message
                .contains("hooks.example leads to 169.254.169.254"),
            "{failure}"
        );
        assert!(!failure.is_open);
        assert_eq!(
            Door::with(true, lookup)
                .find(&host, 443)
                .await
                .unwrap()
                .len(),
            2
        );
    }
}
