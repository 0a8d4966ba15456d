//! What a case is made of: zones, their servers, which copy each of them serves, and what the gate
//! and the CA make of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU16, Ordering};

/// An address that is not set up, in a network without a route.
pub const UNROUTABLE: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 1));

/// Programs that serve zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Make {
    Bind,
    Knot,
    Nsd,
    Pdns,
}

/// A process serves one copy of a zone, on all its addresses. So each make runs as often as copies
/// differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Root,
    Registry,
    Main,
    Other,
}

/// Copies of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Copy {
    /// With the value.
    Fresh,
    /// From before the value was written.
    Stale,
    /// Without the value, and with a higher serial than all others.
    Ahead,
    /// With the value, and with another SPF than all others.
    Foreign,
    /// With the value, and with signatures that have expired.
    Expired,
    /// A file that does not load: SERVFAIL.
    Broken,
    /// Whatever it got from the first server of its zone by zone transfer.
    Transferred,
}

/// What is at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    Serves(Make, Copy),
    /// Without this zone.
    Refuses(Make),
    /// A host, and nothing listens.
    Closed,
    /// Nothing.
    Dead,
}

/// The zones that name a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    Both,
    Parent,
    Child,
    Neither,
}

#[derive(Debug, Clone)]
pub struct Server {
    pub host: String,
    pub address: IpAddr,
    pub runs: Runs,
    pub listed: Listed,
}

/// How a zone is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    No,
    /// As `dnssec-keygen -a` calls the algorithm.
    With(&'static str),
}

/// The fault of a signed zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoilt {
    No,
    /// Signatures ended five days ago.
    Expired,
    /// Signatures begin in five days.
    Future,
    /// The TXT RRset has no signature.
    Unsigned,
    /// The signature of the TXT RRset is another one's.
    Forged,
    /// No NSEC records.
    NoDenial,
}

/// What the parent says about the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ds {
    /// The zone's key, if it has one.
    Right,
    /// None.
    Missing,
    /// Some other key.
    Wrong,
    /// The zone's key and one that is not there yet.
    Two,
    /// A key of an unknown algorithm.
    Unknown,
}

#[derive(Debug, Clone)]
pub struct Zone {
    pub apex: String,
    pub servers: Vec<Server>,
    /// Lines of the zone file beside SOA, NS, addresses and SPF, in all copies.
    pub records: Vec<String>,
    /// A question from inside our network gets the fresh copy, whatever the copy of a server on
    /// BIND is.
    pub split: bool,
    pub signed: Signed,
    pub spoilt: Spoilt,
    pub ds: Ds,
}

/// A zone without servers.
pub fn zone(apex: &str) -> Zone {
    Zone {
        apex: apex.into(),
        servers: Vec::new(),
        records: Vec::new(),
        split: false,
        signed: Signed::No,
        spoilt: Spoilt::No,
        ds: Ds::Right,
    }
}

impl Zone {
    fn server(mut self, runs: Runs) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let [high, low] = (NEXT.fetch_add(1, Ordering::Relaxed) + 256).to_be_bytes();
        let network = if runs == Runs::Dead { 19 } else { 18 };
        let host = format!("ns{}.{}", self.servers.len() + 1, self.apex);
        let address = Ipv4Addr::new(198, network, high, low).into();
        self.servers.push(Server {
            host,
            address,
            runs,
            listed: Listed::Both,
        });
        self
    }

    /// One more server with the value.
    pub fn on(self, make: Make) -> Self {
        self.copy(make, Copy::Fresh)
    }

    /// One more server with this copy.
    pub fn copy(self, make: Make, copy: Copy) -> Self {
        self.server(Runs::Serves(make, copy))
    }

    /// One more server, which does not know the zone.
    pub fn refusing(self, make: Make) -> Self {
        self.server(Runs::Refuses(make))
    }

    /// One more server that does not run.
    pub fn closed(self) -> Self {
        self.server(Runs::Closed)
    }

    /// One more server that is not there.
    pub fn dead(self) -> Self {
        self.server(Runs::Dead)
    }

    fn last(mut self, change: impl FnOnce(&mut Server)) -> Self {
        change(self.servers.last_mut().expect("a server to change"));
        self
    }

    /// The last server has an IPv6 address instead.
    pub fn by_ipv6(self) -> Self {
        self.last(|server| {
            let IpAddr::V4(v4) = server.address else {
                return;
            };
            let network = if server.runs == Runs::Dead {
                0xdead
            } else {
                0x53
            };
            let [_, _, high, low] = v4.octets();
            let host = u16::from_be_bytes([high, low]);
            server.address = Ipv6Addr::new(0x2001, 0xdb8, network, 0, 0, 0, 0, host).into();
        })
    }

    /// The last server has an address to which there is no route.
    pub fn unroutable(self) -> Self {
        self.last(|server| server.address = UNROUTABLE)
    }

    pub fn listed(self, listed: Listed) -> Self {
        self.last(|server| server.listed = listed)
    }

    /// The last server has this name.
    pub fn named(self, host: &str) -> Self {
        self.last(|server| server.host = host.into())
    }

    pub fn record(mut self, line: &str) -> Self {
        self.records.push(line.into());
        self
    }

    /// So many strings of 200 octets at the apex.
    pub fn padded(mut self, strings: usize) -> Self {
        self.records
            .extend((0..strings).map(|nth| format!("@ TXT \"{nth:03}={}\"", "x".repeat(196))));
        self
    }

    pub fn split(mut self) -> Self {
        self.split = true;
        self
    }

    pub fn signed(self) -> Self {
        self.signed_with("ECDSAP256SHA256")
    }

    pub fn signed_with(mut self, algorithm: &'static str) -> Self {
        self.signed = Signed::With(algorithm);
        self
    }

    pub fn spoilt(mut self, spoilt: Spoilt) -> Self {
        self.spoilt = spoilt;
        self.signed()
    }

    pub fn ds(mut self, ds: Ds) -> Self {
        self.ds = ds;
        self
    }
}

/// How often the CA succeeds, asked again and again with empty caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Success {
    Always,
    Sometimes,
    Never,
}

/// A topology, and what is true about it.
#[derive(Debug, Clone)]
pub struct Case {
    pub domain: String,
    pub zones: Vec<Zone>,
    /// Lines of an nftables chain that sees what arrives at servers; `{1}` is the address
    /// of the first one.
    pub weather: Vec<&'static str>,
    /// The zone is judged in mode `resolvers`, as configured.
    pub by_resolvers: bool,
    /// The verdict right after the write, and a day later.
    pub go: [bool; 2],
    /// The code of the most severe finding of `diagnose`.
    pub cause: &'static str,
    pub ca: Success,
}

/// A topology with one zone, where the gate waits for ever and the CA never succeeds.
pub fn case(zone: Zone, cause: &'static str) -> Case {
    let domain = zone.apex.clone();
    Case {
        domain,
        zones: vec![zone],
        weather: Vec::new(),
        by_resolvers: false,
        go: [false, false],
        cause,
        ca: Success::Never,
    }
}

impl Case {
    /// It goes at once, and the CA succeeds.
    pub fn goes(self) -> Self {
        Self {
            go: [true, true],
            ca: Success::Always,
            ..self
        }
    }

    /// It goes when lame servers have had their time, and the CA succeeds.
    pub fn goes_later(self) -> Self {
        Self {
            go: [false, true],
            ca: Success::Always,
            ..self
        }
    }

    /// The gate waits for ever: whether the CA succeeds is chance.
    pub fn by_chance(self) -> Self {
        Self {
            ca: Success::Sometimes,
            ..self
        }
    }

    /// The name is another one of that zone, or below it.
    pub fn asked(mut self, domain: &str) -> Self {
        self.domain = domain.into();
        self
    }

    pub fn with(mut self, zone: Zone) -> Self {
        self.zones.push(zone);
        self
    }

    /// Public resolvers are asked in place of name servers.
    pub fn by_resolvers(self) -> Self {
        Self {
            by_resolvers: true,
            ..self
        }
    }

    pub fn weather(mut self, lines: &[&'static str]) -> Self {
        self.weather.extend(lines);
        self
    }
}
