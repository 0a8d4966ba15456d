//! Everything that DNS shows about one domain, in one serialisable piece: the facts behind a verdict. [`finding`](super::finding)
//! says what they mean.
//!
//! It changes nothing, and asks no resolver before the value is everywhere: a question too early would leave "not there" in
//! its cache.

mod climb;
mod server;
#[cfg(test)]
mod tests;
mod wildcard;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use hickory_proto::rr::{Name, RecordType};
use jiff::Timestamp;
use serde::Serialize;

pub use server::{Edns, ServerReport};
pub use wildcard::Wildcard;

use super::caa::CaaAdvice;
use super::chance::chance;
use super::delegation::WalkError;
use super::finding::Code;
use super::gate::name;
use super::{Answer, Gate, GateMode, Responsible, Verdict, evidence, rule};
use crate::prevalidation::{DomainName, NameError};

/// What is to be examined.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The domain.
    pub domain: &'a DomainName,
    /// The TXT value that should stand there, when one should.
    pub value: Option<&'a str>,
    /// How long it has stood there, as far as is known.
    pub published_for: Duration,
    /// Until when resolvers may answer from before it came, where that is known.
    pub horizon: Option<Timestamp>,
    /// What the CA is called in CAA records.
    pub caa_names: &'a [String],
}

/// What DNS shows about one domain. Absent parts are `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Examination {
    /// The domain, in A-labels.
    pub domain: DomainName,
    /// The domain as people write it.
    pub unicode: String,
    /// When it was examined.
    pub at: Timestamp,
    /// The value that should stand there.
    pub value: Option<String>,
    /// Nobody can prove control of it: it is a public suffix.
    pub public_suffix: bool,
    /// How the gate judges this domain; the examination asks authoritative servers in any mode.
    pub mode: GateMode,
    /// Who serves it; `null` when that could not be found out.
    pub delegation: Option<DelegationReport>,
    /// Why nobody responsible could be found.
    pub fault: Option<Fault>,
    /// Each address of each name server.
    pub servers: Vec<ServerReport>,
    /// What the gate says to these answers; its `servers` are left out, they stand above. `null` without a value.
    pub gate: Option<Verdict>,
    /// Records that a wildcard makes up at names beside this one.
    pub wildcard: Option<Wildcard>,
    /// What CAA records say to the CA.
    pub caa: Option<CaaAdvice>,
    /// What caches may hold.
    pub caches: Caches,
    /// The chance, in percent, that a check from several perspectives passes now: below 100 while some servers are stale.
    pub chance_percent: Option<f64>,
}

/// The zone and who is listed as serving it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DelegationReport {
    /// The zone's apex.
    pub zone: String,
    /// The servers are those of the configuration; nobody was asked for a delegation.
    pub configured: bool,
    /// The parent's list; empty when one server holds both zones.
    pub parent: BTreeSet<String>,
    /// The zone's own list; `null` when it could not be read.
    pub child: Option<BTreeSet<String>>,
    /// Listed servers of which no address was found.
    pub without_address: BTreeSet<String>,
    /// Addresses that the CA cannot reach: private and link-local ones.
    pub private: BTreeSet<IpAddr>,
    /// What else the walk stumbled over.
    pub warnings: Vec<String>,
}

/// Why nobody responsible could be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The finding it makes.
    pub code: Code,
    /// Who was asked what, and what came back.
    pub text: String,
}

/// What resolvers may remember, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Caches {
    /// The TTL of the TXT RRset that is there now, seconds.
    pub txt_ttl: Option<u32>,
    /// How long "not there" may be remembered, seconds: min(SOA TTL, SOA MINIMUM).
    pub negative_ttl: Option<u32>,
    /// When no resolver can remember the time before the value any more.
    pub horizon: Option<Timestamp>,
}

impl Gate {
    /// Examines a domain: asks all its name servers, over all transports, and whoever knows about wildcards and CAA.
    ///
    /// Never fails: what could not be found out is part of the examination. Takes as long as a walk and a few tries at the
    /// slowest address.
    pub async fn examine(&self, subject: &Subject<'_>, now: Timestamp) -> Examination {
        let Subject { domain, value, .. } = *subject;
        let mut seen = Examination::begin(subject, self.settings().way(domain).mode, now);
        let found = match self.responsible(domain).await {
            Ok(who) => name(domain).map(|owner| (who, owner)),
            Err(error) => Err(error),
        };
        let (who, owner) = match found {
            Ok(found) => found,
            Err(error) => {
                seen.fault = Some(match self.redirected(&error).await {
                    Some(text) => Fault { code: Code::Port53Redirected, text },
                    None => Fault { code: code(&error), text: error.to_string() },
                });
                return seen;
            }
        };
        let zone = Name::from_ascii(format!("{}.", who.zone.trim_end_matches('.'))).unwrap_or_else(|_| owner.clone());
        let topic = server::Topic { owner: &owner, zone: &zone, value };
        // Two names may share an address: it is asked once and answers for both.
        let addresses: BTreeSet<SocketAddr> = who.servers.iter().map(|&(_, address)| address).collect();
        let examined = addresses
            .into_iter()
            .map(async |address| (address, server::examine(&self.asker, None, address, &topic).await));
        let (examined, caa) = futures::join!(join_all(examined), self.caa(domain, &who, subject.caa_names, now));
        let examined: BTreeMap<SocketAddr, ServerReport> = examined.into_iter().collect();
        let named = who
            .servers
            .iter()
            .filter_map(|(name, address)| Some(ServerReport { name: name.clone(), ..examined.get(address)?.clone() }));
        seen.servers = named.collect();
        seen.caa = Some(caa);
        seen.weigh(subject.published_for);
        if let Some(address) = seen.servers.iter().find(|server| server.serves()).map(|server| server.address) {
            let soa = self.asker.ask(address, &zone, RecordType::SOA).await;
            seen.caches.negative_ttl = soa.ok().as_ref().map(evidence::negative_ttl);
            if owner != zone {
                seen.wildcard = wildcard::look(&self.asker, address, &owner, &zone).await;
            }
        }
        seen.delegation = Some(delegation(who));
        seen
    }

    /// Whether the roots speak as resolvers do, where the walk found nobody: then something on the way answers for them.
    async fn redirected(&self, error: &WalkError) -> Option<String> {
        if !matches!(error, WalkError::NoAnswer { .. } | WalkError::Late { .. }) {
            return None;
        }
        let roots = self.settings().roots.iter().take(3);
        let replies = roots.map(async |root| self.asker.ask(*root, &Name::root(), RecordType::NS).await);
        let replies: Vec<_> = join_all(replies).await.into_iter().flatten().map(|reply| reply.metadata).collect();
        let by_resolver = replies.iter().all(|said| said.recursion_available && !said.authoritative);
        (by_resolver && !replies.is_empty()).then(|| {
            format!("this network answers DNS questions itself: root servers speak as a resolver does; {error}")
        })
    }
}

impl Examination {
    /// An examination before anybody was asked.
    pub(super) fn begin(subject: &Subject<'_>, mode: GateMode, now: Timestamp) -> Self {
        Self {
            domain: subject.domain.clone(),
            unicode: subject.domain.unicode(),
            at: now,
            value: subject.value.map(str::to_owned),
            public_suffix: matches!(DomainName::parse(subject.domain.as_str()), Err(NameError::PublicSuffix(_))),
            mode,
            delegation: None,
            fault: None,
            servers: Vec::new(),
            gate: None,
            wildcard: None,
            caa: None,
            caches: Caches { horizon: subject.horizon, ..Caches::default() },
            chance_percent: None,
        }
    }

    /// What follows from the answers alone.
    pub(super) fn weigh(&mut self, published_for: Duration) {
        self.caches.txt_ttl = self.servers.iter().filter_map(|server| server.ttl).max();
        if self.value.is_none() {
            return;
        }
        let answers: Vec<_> = self.servers.iter().filter_map(ServerReport::evidence).collect();
        let of = |wanted| answers.iter().filter(|server| server.answer == wanted).count();
        let (stale, serving) = (of(Answer::NoMatch), of(Answer::NoMatch) + of(Answer::Match));
        self.chance_percent = Some((chance(stale, serving, self.at) * 1000.0).round() / 10.0);
        let verdict = rule::weigh(answers, Vec::new(), published_for);
        // It counts from the moment at which the last server had the value.
        self.caches.horizon = self.caches.horizon.filter(|_| verdict.go);
        self.gate = Some(Verdict { servers: Vec::new(), ..verdict });
    }
}

fn delegation(who: Responsible) -> DelegationReport {
    let is_private = |address: &IpAddr| match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    let configured = who.delegation.is_none();
    let (parent, child, servers) =
        who.delegation.map(|found| (found.parent, found.child, found.servers)).unwrap_or_default();
    let addresses = who.servers.iter().map(|(_, address)| address.ip());
    DelegationReport {
        zone: who.zone,
        configured,
        parent,
        child,
        private: addresses.filter(is_private).collect(),
        without_address: servers.into_iter().filter(|(_, found)| found.is_empty()).map(|(host, _)| host).collect(),
        warnings: who.warnings,
    }
}

fn code(error: &WalkError) -> Code {
    match error {
        WalkError::NotDelegated { .. } => Code::NotDelegated,
        WalkError::Endless { .. } => Code::ReferralLoop,
        WalkError::Redirected { .. } => Code::Port53Redirected,
        WalkError::Name(_) => Code::NoSuchName,
        WalkError::NoAnswer { .. } | WalkError::Late { .. } => Code::NoServerReachable,
    }
}
