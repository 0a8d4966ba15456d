//! The questions: every server that knows something about a domain is asked, at the same time where
//! possible.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use hickory_proto::rr::{Name, RecordType};
use jiff::Timestamp;

use super::climb::CaaSets;
use super::{DelegationReport, Examination, Fault, ServerReport, Subject, server, wildcard};
use crate::propagation::delegation::{WalkError, is_private};
use crate::propagation::dnssec;
use crate::propagation::evidence;
use crate::propagation::finding::code::Code;
use crate::propagation::gate::name;
use crate::propagation::race;
use crate::propagation::resolver::weigh;
use crate::propagation::{Gate, GateMode, Responsible, Verdict};

impl Gate {
    /// Examines a domain: asks all its name servers, over all transports, and the servers that know
    /// about wildcards, DNSSEC and CAA; then resolvers, when a question no longer fills their
    /// caches with an answer without the value.
    ///
    /// Never fails: what could not be found out is part of the examination. Takes as long as a walk
    /// and a few tries at the slowest address. `now` judges signatures.
    pub async fn examine(&self, subject: &Subject<'_>, now: Timestamp) -> Examination {
        let mut seen = Examination::begin(subject, self.settings().way(subject.domain).mode, now);
        let found = self.find(&mut seen, subject).await;
        match found {
            Ok((who, owner)) => {
                self.ask_servers(&mut seen, &who, &owner, subject).await;
                seen.delegation = Some(delegation(who));
            }
            Err(error) => {
                seen.fault = Some(Fault {
                    code: code(&error),
                    text: error.to_string(),
                    tried: error.tried().to_vec(),
                })
            }
        }
        self.ask_resolvers(&mut seen, subject).await;
        seen
    }

    /// The name to ask about, behind its aliases, and its servers.
    async fn find(
        &self,
        seen: &mut Examination,
        subject: &Subject<'_>,
    ) -> Result<(Responsible, Name), WalkError> {
        let (aliases, owner) = self.aliases(&subject.question()).await?;
        (seen.aliases, seen.owner) = (aliases, owner.to_string());
        let who = self.responsible_for(&owner).await?;
        Ok((who, name(owner.as_str())?))
    }

    async fn ask_servers(
        &self,
        seen: &mut Examination,
        who: &Responsible,
        owner: &Name,
        subject: &Subject<'_>,
    ) {
        let zone = Name::from_ascii(format!("{}.", who.zone.trim_end_matches('.')))
            .unwrap_or_else(|_| owner.clone());
        let topic = server::Topic {
            owner,
            zone: &zone,
            wanted: subject.wanted,
        };
        // Two names may share an address: it is asked once and answers for both.
        let addresses: BTreeSet<SocketAddr> =
            who.servers.iter().map(|&(_, address)| address).collect();
        let topic = &topic;
        let ask = |address| -> BoxFuture<'_, _> {
            async move {
                let examined = server::examine(&self.asker, None, address, topic).await;
                (address, examined)
            }
            .boxed()
        };
        let sets = CaaSets::default();
        let (examined, trust, caa) = futures::join!(
            race::all(addresses.into_iter().map(ask).collect()),
            self.trust(who),
            self.caa(subject.domain, who, subject.caa_names, seen.at, &sets)
        );
        let now = seen.at;
        let judged = examined
            .into_iter()
            .map(async |(address, (report, reply))| {
                let fault = match reply {
                    Some(reply) => {
                        let question = (owner, topic.kind());
                        self.fault(&trust, address, &reply, question, now).await
                    }
                    None => None,
                };
                (address, (report, fault))
            });
        let judged: BTreeMap<SocketAddr, (ServerReport, Option<dnssec::Fault>)> =
            join_all(judged).await.into_iter().collect();
        let named = who.servers.iter().filter_map(|(name, address)| {
            let (report, fault) = judged.get(address)?.clone();
            Some((
                ServerReport {
                    name: name.clone(),
                    ..report
                },
                fault,
            ))
        });
        let faults;
        (seen.servers, faults) = named.unzip();
        seen.caa = Some(caa);
        seen.weigh(subject.published_for, &trust, faults);
        if let Some(address) = seen
            .servers
            .iter()
            .find(|server| server.serves())
            .map(|server| server.address)
        {
            let soa = self.asker.ask(address, &zone, RecordType::SOA).await;
            seen.caches.negative_ttl = soa.ok().as_ref().map(evidence::negative_ttl);
            if *owner != zone {
                seen.wildcard = wildcard::check(&self.asker, address, owner, &zone).await;
            }
        }
    }

    /// Asks resolvers where that does no harm: the value is everywhere, or they alone are to be
    /// asked. Where none is expected, one may be written soon, and then what is there now would be
    /// in their caches: only those are asked that the user names.
    async fn ask_resolvers(&self, seen: &mut Examination, subject: &Subject<'_>) {
        let way = self.settings().way(subject.domain);
        let resolvers = subject.resolvers.unwrap_or(way.resolvers);
        let served = seen.servers.iter().any(ServerReport::serves);
        let alone =
            !served && way.mode == GateMode::Resolvers && subject.published_for >= way.delay;
        let named = subject.resolvers.is_some();
        let complete = seen
            .gate
            .as_ref()
            .map_or(served && named && subject.wanted.is_none(), |gate| gate.go);
        let question = subject.question();
        let Ok(owner) = name(question.owner().as_str()) else {
            return;
        };
        if resolvers.is_empty() || !(alone || complete) {
            return;
        }
        let answers = self.resolvers.ask(resolvers, &owner, &question).await;
        if subject.wanted.is_some() {
            seen.gate = Some(match seen.gate.take() {
                Some(gate) if gate.go => weigh::advise(gate, &answers, seen.served(), seen.at),
                _ => Verdict {
                    servers: Vec::new(),
                    ..weigh::weigh(&answers, subject.published_for, seen.at)
                },
            });
        }
        seen.caches.resolvers = answers;
    }
}

fn delegation(who: Responsible) -> DelegationReport {
    let configured = who.delegation.is_none();
    let (parent, child, servers) = who
        .delegation
        .map(|found| (found.parent, found.child, found.servers))
        .unwrap_or_default();
    let addresses = who.servers.iter().map(|(_, address)| address.ip());
    DelegationReport {
        zone: who.zone,
        configured,
        parent,
        child,
        private: addresses.filter(|address| is_private(*address)).collect(),
        without_address: servers
            .into_iter()
            .filter(|(_, found)| found.is_empty())
            .map(|(host, _)| host)
            .collect(),
        warnings: who.warnings,
    }
}

fn code(error: &WalkError) -> Code {
    match error {
        WalkError::NotDelegated { .. } => Code::NotDelegated,
        WalkError::Reserved { .. } => Code::ReservedName,
        WalkError::Endless { .. } | WalkError::Aliases { .. } => Code::ReferralLoop,
        WalkError::Name(_) => Code::NoSuchName,
        WalkError::Redirected { .. } => Code::Port53Redirected,
        WalkError::NoAnswer { .. } | WalkError::Late { .. } => Code::NoServerReachable,
    }
}
