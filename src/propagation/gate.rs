//! The gate: finds the servers, asks them all, lets the rule decide.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use hickory_proto::rr::{Name, RecordType};

use super::authority::Asker;
use super::delegation::{WalkError, Walker};
use super::{GateMode, LiveZone, Lookout, Question, ServerAnswer, Verdict, evidence, roots, rule};
use crate::prevalidation::DomainName;

/// Open sockets of all looks together.
const SOCKETS: usize = 256;

/// How visibility is judged, and where looking begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateSettings {
    /// How it is judged.
    pub mode: GateMode,
    /// The first wait between two looks; see [`rule::polling_interval`].
    pub poll: Duration,
    /// How long the caller lets a passed gate settle before it asks the CA (rule 6).
    pub settle: Duration,
    /// Mode `delay`: how long after the write it goes.
    pub delay: Duration,
    /// Where walks begin. A zone that these serve themselves needs no delegation from them.
    pub roots: Vec<SocketAddr>,
    /// The port of delegated servers: 53, except in a lab.
    pub port: u16,
    /// Addresses per zone, asked in place of a walk: for split horizons. The zone is the key, in lower-case A-labels; the
    /// longest that is the domain or lies above it counts.
    pub name_servers: BTreeMap<String, Vec<SocketAddr>>,
    /// For one try at one address: a dead address costs up to three. A walk may take ten times as long.
    pub timeout: Duration,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            mode: GateMode::Authoritative,
            poll: Duration::from_secs(10),
            settle: Duration::from_secs(60),
            delay: Duration::from_secs(600),
            roots: roots::root_servers(),
            port: 53,
            name_servers: BTreeMap::new(),
            timeout: Duration::from_secs(3),
        }
    }
}

/// The [`Lookout`] that asks name servers. One for the whole program: it holds the limit on sockets.
#[derive(Debug)]
pub struct Gate {
    settings: GateSettings,
    asker: Asker,
    walker: Walker,
}

/// Who will be asked about a domain, and why these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Responsible {
    /// The zone that holds the domain: by the walk, or as configured.
    pub zone: String,
    /// Name (unless an override lists bare addresses) and address; one entry per pair.
    pub servers: Vec<(Option<String>, SocketAddr)>,
    /// What is wrong with the delegation, tolerably.
    pub warnings: Vec<String>,
}

/// What caches may still hold about a name's TXT RRset, in seconds, as an authoritative server states it (rule 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// The TTL of the RRset that is there now.
    pub txt_ttl: Option<u32>,
    /// The smaller of the SOA's TTL and its MINIMUM field; 0 when no SOA record could be read.
    pub negative_ttl: u32,
}

impl Gate {
    /// A gate with these settings. Opens nothing yet.
    pub fn new(settings: GateSettings) -> Self {
        let asker = Asker::new(settings.timeout, SOCKETS);
        let time = settings.timeout.saturating_mul(10);
        let walker = Walker::new(asker.clone(), settings.roots.clone(), settings.port, time);
        Self { settings, asker, walker }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &GateSettings {
        &self.settings
    }

    /// Finds out afresh who must be asked about `domain`.
    ///
    /// # Errors
    /// [`WalkError`], in words that a verdict may repeat. Never with an override.
    pub async fn responsible(&self, domain: &DomainName) -> Result<Responsible, WalkError> {
        let mut above = Some(domain.as_str());
        while let Some(zone) = above {
            if let Some(addresses) = self.settings.name_servers.get(zone) {
                let addresses: BTreeSet<SocketAddr> = addresses.iter().copied().collect();
                let servers = addresses.into_iter().map(|address| (None, address)).collect();
                return Ok(Responsible { zone: zone.to_owned(), servers, warnings: Vec::new() });
            }
            above = zone.split_once('.').map(|(_, rest)| rest);
        }
        let found = self.walker.delegation(&name(domain)?).await?;
        let servers = found.servers.into_iter().flat_map(|(host, addresses)| {
            addresses.into_iter().map(move |ip| (Some(host.clone()), SocketAddr::from((ip, self.settings.port))))
        });
        Ok(Responsible { zone: found.zone, servers: servers.collect(), warnings: found.warnings })
    }

    /// Reads, before a write, how long caches may hold what is there now, from the first server that answers for the zone.
    ///
    /// # Errors
    /// [`WalkError`] when nobody responsible was found or none of them answered.
    pub async fn lifetimes(&self, domain: &DomainName) -> Result<Lifetimes, WalkError> {
        let owner = name(domain)?;
        let who = self.responsible(domain).await?;
        let zone = Name::from_ascii(format!("{}.", who.zone)).map_err(|_| WalkError::Name(who.zone.clone()))?;
        let mut tried = Vec::new();
        for (_, address) in who.servers {
            let txt = self.asker.ask(address, &owner, RecordType::TXT).await;
            match txt.map_err(|failure| failure.to_string()).and_then(|reply| evidence::txt_ttl(&reply, &owner)) {
                Ok(txt_ttl) => {
                    let soa = self.asker.ask(address, &zone, RecordType::SOA).await;
                    return Ok(Lifetimes { txt_ttl, negative_ttl: soa.as_ref().map_or(0, evidence::negative_ttl) });
                }
                Err(why) => tried.push(format!("{address}: {why}")),
            }
        }
        Err(WalkError::NoAnswer { zone: who.zone, name: domain.to_string(), tried: tried.join("; ") })
    }

    async fn look_at_servers(
        &self,
        domain: &DomainName,
        value: &str,
        published_for: Duration,
    ) -> Result<Verdict, WalkError> {
        let owner = name(domain)?;
        let who = self.responsible(domain).await?;
        // Two names may share an address: it is asked once and answers for both.
        let addresses: BTreeSet<SocketAddr> = who.servers.iter().map(|&(_, address)| address).collect();
        let replies = join_all(addresses.into_iter().map(async |address| {
            (address, evidence::judge(&self.asker.ask(address, &owner, RecordType::TXT).await, &owner, value))
        }));
        let replies: BTreeMap<SocketAddr, _> = replies.await.into_iter().collect();
        let answers = who.servers.into_iter().filter_map(|(name, address)| {
            let (answer, detail) = replies.get(&address)?.clone();
            Some(ServerAnswer { name, address, answer, detail })
        });
        Ok(rule::weigh(answers.collect(), who.warnings, published_for))
    }
}

#[async_trait]
impl Lookout for Gate {
    async fn look(&self, question: &Question<'_>) -> Verdict {
        let &Question { domain, value, published_for, .. } = question;
        match self.settings.mode {
            GateMode::Delay | GateMode::Resolvers | GateMode::Provider => {
                rule::wait_out(self.settings.delay, published_for)
            }
            GateMode::Authoritative => {
                let verdict = self.look_at_servers(domain, value, published_for).await;
                let verdict = verdict.unwrap_or_else(|error| rule::nobody(error.to_string()));
                tracing::debug!(%domain, go = verdict.go, gone = verdict.gone, cause = verdict.cause, "looked");
                verdict
            }
        }
    }

    async fn live_zone(&self, domain: &DomainName) -> Result<Option<LiveZone>, String> {
        if self.settings.mode != GateMode::Authoritative {
            return Ok(None);
        }
        let who = self.responsible(domain).await.map_err(|error| error.to_string())?;
        // Where addresses are configured, names are not known.
        let name_servers: BTreeSet<String> = who.servers.into_iter().filter_map(|(name, _)| name).collect();
        Ok((!name_servers.is_empty()).then_some(LiveZone { apex: who.zone, name_servers }))
    }

    async fn lifetimes(&self, domain: &DomainName) -> Option<Lifetimes> {
        if self.settings.mode != GateMode::Authoritative {
            return None;
        }
        Self::lifetimes(self, domain).await.ok()
    }
}

fn name(domain: &DomainName) -> Result<Name, WalkError> {
    Name::from_ascii(format!("{domain}.")).map_err(|_| WalkError::Name(domain.to_string()))
}
