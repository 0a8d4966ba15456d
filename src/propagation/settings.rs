//! How visibility is judged, in general and for single zones, and where a walk begins.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use super::delegation::WalkError;
use super::dnssec::Anchors;
use super::resolver::Resolver;
use super::{GateMode, roots};
use crate::prevalidation::DomainName;

/// Everything a gate is told.
#[derive(Debug, Clone, PartialEq)]
pub struct GateSettings {
    /// How domains are judged that no zone of `zones` holds. Its `name_servers` do not count.
    pub general: Judging,
    /// The same per zone, in lower-case A-labels: the longest that is the domain or is above it
    /// counts, alone, and the general settings where it says nothing.
    pub zones: BTreeMap<String, Judging>,
    /// Where walks begin. If these servers serve a zone themselves, its delegation is not read from
    /// them.
    pub roots: Vec<SocketAddr>,
    /// The port of delegated servers: 53, except in a lab.
    pub port: u16,
    /// For one try at one address: a dead address costs up to three. A walk may take ten times as
    /// long, a minute at most.
    pub timeout: Duration,
    /// Questions a second that one server gets at most; more than 0.
    pub rate: f64,
    /// Root certificates for resolvers, beside the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Where the chain of trust of signed zones begins.
    pub trust_anchors: Anchors,
}

/// How a zone is judged; what is not said is left to the general settings, and there to the
/// defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judging {
    /// How it is judged.
    pub mode: Option<GateMode>,
    /// Addresses to ask in place of those that the delegation names, for split horizons; empty: a
    /// walk.
    pub name_servers: Vec<SocketAddr>,
    /// Mode `resolvers`: the resolvers to ask. Mode `authoritative`: whose caches to check when the
    /// rule says go.
    pub resolvers: Vec<Resolver>,
    /// How long after the write nothing happens; see [`GateMode::default_delay`].
    pub delay: Option<Duration>,
    /// How often every name server is asked and must have the value, 1 or more.
    pub rounds: Option<u32>,
}

/// The settings of one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way<'a> {
    /// How it is judged.
    pub mode: GateMode,
    /// The zone as configured and its servers, which replace a walk.
    pub name_servers: Option<(&'a str, &'a [SocketAddr])>,
    /// May be empty in mode `authoritative`.
    pub resolvers: &'a [Resolver],
    /// Does not count in mode `authoritative`.
    pub delay: Duration,
    /// 1 or more.
    pub rounds: u32,
}

impl GateSettings {
    /// The settings of `domain`.
    pub fn way(&self, domain: &DomainName) -> Way<'_> {
        self.way_at(domain.as_str())
    }

    /// What counts for a name, in lower-case A-labels without the last full stop.
    pub(super) fn way_at(&self, name: &str) -> Way<'_> {
        let names = std::iter::successors(Some(name), |name| {
            name.split_once('.').map(|(_, above)| above)
        });
        let zone = names
            .into_iter()
            .find_map(|name| self.zones.get_key_value(name));
        let (own, general) = (zone.map(|(_, own)| own), &self.general);
        let mode = own
            .and_then(|own| own.mode)
            .or(general.mode)
            .unwrap_or_default();
        Way {
            mode,
            name_servers: zone
                .filter(|(_, own)| !own.name_servers.is_empty())
                .map(|(zone, own)| (zone.as_str(), own.name_servers.as_slice())),
            resolvers: own
                .map(|own| &own.resolvers)
                .filter(|own| !own.is_empty())
                .unwrap_or(&general.resolvers),
            delay: own
                .and_then(|own| own.delay)
                .or(general.delay)
                .unwrap_or(mode.default_delay()),
            rounds: own
                .and_then(|own| own.rounds)
                .or(general.rounds)
                .unwrap_or(Judging::ROUNDS)
                .max(1),
        }
    }
}

/// Top-level domains that are never delegated on the Internet (RFC 2606, RFC 6761, RFC 6762,
/// RFC 7686), and `.internal`, which ICANN reserved in 2024.
const RESERVED: [&str; 7] = [
    "test",
    "example",
    "invalid",
    "localhost",
    "local",
    "onion",
    "internal",
];

impl GateSettings {
    /// Whether walks begin at the root servers of the Internet.
    fn asks_the_internet(&self) -> bool {
        let of_internet = roots::root_servers();
        self.roots.iter().any(|root| of_internet.contains(root))
    }

    /// Refuses a name that no server of the Internet can ever know, before any question.
    ///
    /// # Errors
    /// [`WalkError::Reserved`], with the setting that makes the name known.
    pub(super) fn reserved(&self, name: &str) -> Result<(), WalkError> {
        let top = name.rsplit('.').next().unwrap_or_default();
        // A label with an underscore begins no zone: it is the host above that has name servers.
        let mut host = name;
        while let Some((_, above)) = host.split_once('.').filter(|_| host.starts_with('_')) {
            host = above;
        }
        match RESERVED.into_iter().find(|reserved| *reserved == top) {
            Some(top) if self.asks_the_internet() => Err(WalkError::Reserved {
                name: host.to_owned(),
                top,
            }),
            _ => Ok(()),
        }
    }
}

impl Way<'_> {
    /// The same with nothing but checks: neither time nor a provider knows when a foreign writer
    /// has written a value.
    pub fn by_checking(self) -> Self {
        let mode = match self.mode {
            GateMode::Authoritative | GateMode::Resolvers => return self,
            GateMode::Provider | GateMode::Delay if self.resolvers.is_empty() => {
                GateMode::Authoritative
            }
            GateMode::Provider | GateMode::Delay => GateMode::Resolvers,
        };
        Self {
            mode,
            delay: Duration::ZERO,
            ..self
        }
    }
}

impl Judging {
    /// Rounds, unless configured: two show what anycast hides from one.
    pub const ROUNDS: u32 = 2;
}

impl GateMode {
    /// How long after the write nothing happens, unless configured. Name servers need no such time.
    pub fn default_delay(self) -> Duration {
        Duration::from_secs(match self {
            Self::Authoritative => 0,
            // What a primary needs to tell its secondaries. A question that reaches a cache earlier
            // waits for the cache.
            Self::Resolvers | Self::Provider => 60,
            Self::Delay => 600,
        })
    }
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            general: Judging::default(),
            zones: BTreeMap::new(),
            roots: roots::root_servers(),
            port: 53,
            timeout: Duration::from_secs(3),
            rate: 300.0,
            extra_roots: Vec::new(),
            trust_anchors: Anchors::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_longest_zone_counts_alone_and_leaves_the_rest_to_the_general_settings() {
        let server: SocketAddr = ([192, 0, 2, 1], 53).into();
        let resolver: Resolver = "192.0.2.9".parse().unwrap();
        let settings = GateSettings {
            general: Judging {
                resolvers: vec![resolver.clone()],
                rounds: Some(3),
                ..Judging::default()
            },
            zones: [
                (
                    "ch".to_owned(),
                    Judging {
                        mode: Some(GateMode::Delay),
                        rounds: Some(1),
                        ..Judging::default()
                    },
                ),
                (
                    "example.ch".to_owned(),
                    Judging {
                        name_servers: vec![server],
                        ..Judging::default()
                    },
                ),
                (
                    "r.example.ch".to_owned(),
                    Judging {
                        mode: Some(GateMode::Resolvers),
                        ..Judging::default()
                    },
                ),
            ]
            .into(),
            ..GateSettings::default()
        };
        let way = |name: &str| {
            let domain = DomainName::from_a_labels(name).unwrap();
            let way = settings.way(&domain);
            (
                way.mode,
                way.name_servers.map(|(zone, _)| zone.to_owned()),
                way.delay.as_secs(),
                way.rounds,
            )
        };
        assert_eq!(way("example.com"), (GateMode::Authoritative, None, 0, 3));
        assert_eq!(way("other.ch"), (GateMode::Delay, None, 600, 1));
        assert_eq!(
            way("www.example.ch"),
            (GateMode::Authoritative, Some("example.ch".to_owned()), 0, 3)
        );
        assert_eq!(way("notexample.ch").0, GateMode::Delay);
        assert_eq!(way("r.example.ch"), (GateMode::Resolvers, None, 60, 3));
        let domain = DomainName::from_a_labels("r.example.ch").unwrap();
        assert_eq!(settings.way(&domain).resolvers, [resolver]);
    }
}
