//! The gate: finds the servers, asks them all, lets the rule decide.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, join, join_all};
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use jiff::Timestamp;

use super::authority::{Asker, Failure};
use super::delegation::{Delegation, WalkError, Walker};
use super::dnssec::{self, Fault, FaultKind, Trust, Validator};
use super::race::{self, Effort};
use super::referral::authoritative;
use super::resolver::ask::Resolvers;
use super::resolver::weigh::{self, Served};
use super::settings::{GateSettings, Way};
use super::wanted::AsRecordType;
use super::{
    DnsChecker, GateMode, LiveZone, Question, RecordKind, ServerAnswer, Verdict, Wanted, evidence,
    rule,
};
use crate::clock::Clock;
use crate::prevalidation::{DomainName, RecordName};

/// The longest walk: a check as a whole must end within its lease (5 minutes), whatever the
/// time-out is.
const LONGEST_WALK: Duration = Duration::from_secs(60);

/// Servers that are asked for one answer that any of them can give.
const MOST_QUESTIONS: u32 = 32;

/// Open sockets of all checks together.
const SOCKETS: usize = 256;

/// The [`DnsChecker`] that asks name servers. One for the whole program: it holds the limits on
/// sockets and questions.
#[derive(Debug)]
pub struct Gate {
    settings: GateSettings,
    pub(super) asker: Asker,
    pub(super) walker: Walker,
    validator: Validator,
    pub(super) resolvers: Resolvers,
    clock: Arc<dyn Clock>,
}

/// Which servers will be asked about a domain, and why these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Responsible {
    /// The zone that holds the domain: by the walk, or as configured.
    pub zone: String,
    /// Name (unless an override lists bare addresses) and address; one entry per pair.
    pub servers: Vec<(Option<String>, SocketAddr)>,
    /// The faults of the delegation that do not stop the check.
    pub warnings: Vec<String>,
    /// What the walk found; `None` with an override.
    pub delegation: Option<Delegation>,
}

/// What one zone says about a record, or about the alias in its place.
pub(super) struct Hop {
    pub(super) verdict: Verdict,
    /// The TTL of the RRset.
    pub(super) ttl: Option<u32>,
    /// Where the alias leads.
    pub(super) target: Option<String>,
}

/// A record as the gate checks it in its zone.
struct Sought<'a> {
    owner: &'a Name,
    zone: &'a Name,
    wanted: Wanted<'a>,
}

/// What caches may still hold about an RRset of a name, in seconds, as an authoritative server
/// states it (rule 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// The TTL of the RRset that is there now, TXT or CNAME.
    pub txt_ttl: Option<u32>,
    /// The smaller of the SOA's TTL and its MINIMUM field; 0 when no SOA record could be read.
    pub negative_ttl: u32,
}

impl Gate {
    /// A gate with these settings. Opens nothing yet.
    pub fn new(settings: GateSettings, clock: Arc<dyn Clock>) -> Self {
        let asker = Asker::new(settings.timeout, SOCKETS, settings.rate);
        let time = settings.timeout.saturating_mul(10).min(LONGEST_WALK);
        let walker = Walker::new(asker.clone(), settings.roots.clone(), settings.port, time);
        let resolvers = Resolvers::new(asker.clone(), settings.extra_roots.clone());
        let anchors = settings.trust_anchors.clone();
        let validator = Validator::new(
            asker.clone(),
            anchors,
            &settings.roots,
            Arc::clone(&clock),
            time,
        );
        Self {
            settings,
            asker,
            walker,
            validator,
            resolvers,
            clock,
        }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &GateSettings {
        &self.settings
    }

    /// Questions that were sent so far, by all checks together.
    pub fn questions(&self) -> u64 {
        self.asker.asked()
    }

    /// Finds out afresh which servers must be asked about `domain`.
    ///
    /// # Errors
    /// [`WalkError`], in words that a verdict may repeat. Never with an override.
    pub async fn responsible(&self, domain: &DomainName) -> Result<Responsible, WalkError> {
        self.responsible_for(&RecordName::from(domain)).await
    }

    /// Finds out afresh which servers must be asked about a name: it may be in another zone than
    /// its domain.
    ///
    /// # Errors
    /// As [`responsible`](Self::responsible).
    pub async fn responsible_for(&self, owner: &RecordName) -> Result<Responsible, WalkError> {
        if let Some((zone, addresses)) = self.settings.way_at(owner.as_str()).name_servers {
            let addresses: BTreeSet<SocketAddr> = addresses.iter().copied().collect();
            let servers = addresses
                .into_iter()
                .map(|address| (None, address))
                .collect();
            return Ok(Responsible {
                zone: zone.to_owned(),
                servers,
                warnings: Vec::new(),
                delegation: None,
            });
        }
        self.settings.reserved(owner.as_str())?;
        let found = self.walker.delegation(&name(owner.as_str())?).await?;
        let servers = found.servers.iter().flat_map(|(host, addresses)| {
            addresses.iter().map(move |ip| {
                let address = SocketAddr::from((*ip, self.settings.port));
                (Some(host.clone()), address)
            })
        });
        Ok(Responsible {
            zone: found.zone.clone(),
            servers: servers.collect(),
            warnings: found.warnings.clone(),
            delegation: Some(found),
        })
    }

    /// What the chain of trust from the root says about the zone of `who`.
    pub async fn trust(&self, who: &Responsible) -> Trust {
        match &who.delegation {
            Some(found) => self.validator.trust(&found.chain).await,
            None => Trust::Unchecked(format!(
                "the name servers of {} are configured, not found",
                who.zone
            )),
        }
    }

    /// Mode `authoritative`.
    async fn check_servers(
        &self,
        question: &Question<'_>,
        way: &Way<'_>,
    ) -> Result<Verdict, WalkError> {
        let hop = self.check_through_aliases(question, way).await?;
        let mut verdict = hop.verdict;
        // Now, and not before, a resolver's question does no harm.
        if verdict.go && !way.resolvers.is_empty() {
            let owner = name(question.owner().as_str())?;
            let answers = self.resolvers.ask(way.resolvers, &owner, question).await;
            let served = Served {
                ttls: [hop.ttl, None],
                published_for: question.published_for,
            };
            verdict = weigh::advise(verdict, &answers, served, self.clock.now());
        }
        Ok(verdict)
    }

    /// Asks every address of the zone that holds `owner`: for the wanted record, or, where `owner`
    /// is an alias that may be followed, for that alias.
    pub(super) async fn check_zone(
        &self,
        question: &Question<'_>,
        owner: &RecordName,
        rounds: u32,
    ) -> Result<Hop, WalkError> {
        let who = self.responsible_for(owner).await?;
        let owner = &name(owner.as_str())?;
        let kind = question.wanted.kind();
        let (trust, replies) = join(self.trust(&who), self.round(&who, owner, kind)).await;
        let target = if question.follows() {
            evidence::alias_target(replies.values().flatten(), owner)
        } else {
            None
        };
        let wanted = target.as_deref().map_or(question.wanted, Wanted::Cname);
        let sought = Sought {
            owner,
            zone: &apex(&who)?,
            wanted,
        };
        let signed = replies
            .values()
            .flatten()
            .any(|reply| dnssec::is_signed(&reply.answers));
        let ttl = replies
            .values()
            .flatten()
            .filter_map(|reply| evidence::ttl(reply, owner, wanted.kind()))
            .max();
        let (first, bogus) = self.judge(&who, &sought, &trust, replies).await;
        let warnings = who
            .warnings
            .iter()
            .cloned()
            .chain(trust.warning(&who.zone, signed))
            .collect();
        let mut verdict = rule::weigh(first, warnings, question.published_for);
        if let Some(fault) = bogus {
            verdict = rule::refuse(verdict, &fault);
        }
        for _ in 1..rounds {
            if verdict.go {
                let replies = self.round(&who, owner, kind).await;
                let (again, bogus) = self.judge(&who, &sought, &trust, replies).await;
                verdict = rule::compare(verdict, again);
                if let Some(fault) = bogus {
                    verdict = rule::refuse(verdict, &fault);
                }
            }
        }
        Ok(Hop {
            verdict,
            ttl,
            target,
        })
    }

    /// Asks every address, from new sockets.
    pub(super) async fn round(
        &self,
        who: &Responsible,
        owner: &Name,
        kind: RecordKind,
    ) -> BTreeMap<SocketAddr, Result<Message, Failure>> {
        // Two names may share an address: it is asked once and answers for both.
        let addresses: BTreeSet<SocketAddr> =
            who.servers.iter().map(|&(_, address)| address).collect();
        let ask = |address| -> BoxFuture<'_, (SocketAddr, Result<Message, Failure>)> {
            async move {
                let reply = self.asker.ask(address, owner, kind.record_type()).await;
                (address, reply)
            }
            .boxed()
        };
        let asked = race::all(addresses.into_iter().map(ask).collect()).await;
        asked.into_iter().collect()
    }

    /// The first authoritative answer of any of the servers.
    ///
    /// # Errors
    /// Each address and what it said.
    pub(super) async fn first_of(
        &self,
        who: &Responsible,
        owner: &Name,
        kind: RecordType,
    ) -> Result<Message, String> {
        let mut addresses: Vec<_> = who.servers.iter().map(|&(_, address)| address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let addresses = race::shuffled(addresses.into_iter().map(|it| vec![it]).collect());
        let effort = Effort::new(MOST_QUESTIONS, 0);
        let read = |reply: &Message| authoritative(reply).map(|()| reply.clone());
        race::first(
            &self.asker,
            addresses,
            Vec::new(),
            (owner, kind),
            &effort,
            read,
        )
        .await
        .map_err(|lost| lost.tried.join("; "))
    }

    /// What each server said about the owner of the value in its zone, and the fault that makes all
    /// of it bogus.
    async fn judge(
        &self,
        who: &Responsible,
        sought: &Sought<'_>,
        trust: &Trust,
        replies: BTreeMap<SocketAddr, Result<Message, Failure>>,
    ) -> (Vec<ServerAnswer>, Option<Fault>) {
        let now = self.clock.now();
        let judged = replies.into_iter().map(async |(address, reply)| {
            let Sought {
                owner,
                zone,
                wanted,
            } = *sought;
            let said = evidence::judge(&reply, owner, zone, wanted);
            let question = (owner, wanted.kind().record_type());
            let fault = match reply {
                Ok(reply) => self.fault(trust, address, &reply, question, now).await,
                Err(_) => None,
            };
            (address, (said, fault))
        });
        let judged: BTreeMap<SocketAddr, _> = join_all(judged).await.into_iter().collect();
        let answers = who.servers.iter().filter_map(|(name, address)| {
            let ((answer, detail), fault) = judged.get(address)?.clone();
            Some((
                ServerAnswer {
                    name: name.clone(),
                    address: *address,
                    answer,
                    detail,
                },
                fault,
            ))
        });
        rule::validate(answers.collect(), trust)
    }

    /// What validating resolvers would not accept of one server's reply to a question.
    ///
    /// A server that is behind may have been left behind by the zone's keys, too. A resolver that
    /// gets both the keys and the answer from it believes it, so it is asked for its own before its
    /// answer is passed over.
    pub(super) async fn fault(
        &self,
        trust: &Trust,
        address: SocketAddr,
        reply: &Message,
        (owner, kind): (&Name, RecordType),
        now: Timestamp,
    ) -> Option<Fault> {
        let fault = trust.judge(reply, owner, kind, now).err()?;
        if let (FaultKind::BadSignature, Trust::Secure(keys)) = (fault.kind, trust)
            && let Ok(own) = self
                .asker
                .ask(address, keys.zone(), RecordType::DNSKEY)
                .await
            && let Some(own) = trust.at_server(&own.answers, now)
        {
            return own.judge(reply, owner, kind, now).err();
        }
        Some(fault)
    }

    /// Mode `resolvers`.
    async fn check_resolvers(
        &self,
        question: &Question<'_>,
        way: &Way<'_>,
    ) -> Result<Verdict, WalkError> {
        let published_for = question.published_for;
        let owner = name(question.owner().as_str())?;
        if let Some(moment) = rule::left_until(way.delay, published_for, self.clock.now()) {
            let cause = format!(
                "waits until {moment} before it asks resolvers: asked too early, they would keep \"not there\" in their \
                 caches"
            );
            return Ok(Verdict::new(GateMode::Resolvers, false, cause));
        }
        let round = async || {
            let answers = self.resolvers.ask(way.resolvers, &owner, question).await;
            weigh::weigh(&answers, published_for, self.clock.now())
        };
        let mut verdict = round().await;
        for _ in 1..way.rounds {
            if verdict.go {
                verdict = weigh::compare(verdict, round().await);
            }
        }
        Ok(verdict)
    }
}

#[async_trait]
impl DnsChecker for Gate {
    async fn check(&self, question: &Question<'_>) -> Verdict {
        let way = self.settings.way(question.domain);
        let way = if question.by_others {
            way.by_checking()
        } else {
            way
        };
        let (published_for, now) = (question.published_for, self.clock.now());
        let verdict = match way.mode {
            GateMode::Authoritative => self.check_servers(question, &way).await,
            GateMode::Resolvers => self.check_resolvers(question, &way).await,
            GateMode::Provider => Ok(rule::trust_provider(
                question.in_sync,
                way.delay,
                published_for,
                now,
            )),
            GateMode::Delay => Ok(rule::wait_out(way.delay, published_for, now)),
        };
        let verdict = verdict.unwrap_or_else(|error| {
            tracing::info!(domain = %question.domain, "{}", error.in_full());
            Verdict {
                lasting: error.is_lasting(),
                ..Verdict::new(way.mode, false, error.to_string())
            }
        });
        tracing::debug!(domain = %question.domain, go = verdict.go, gone = verdict.gone, cause = verdict.cause, "looked");
        verdict
    }

    fn mode(&self, domain: &DomainName) -> GateMode {
        self.settings.way(domain).mode
    }

    async fn live_zone(&self, owner: &RecordName) -> Result<Option<LiveZone>, String> {
        if self.settings.way_at(owner.as_str()).mode != GateMode::Authoritative {
            return Ok(None);
        }
        let who = self
            .responsible_for(owner)
            .await
            .map_err(|error| error.to_string())?;
        // Where addresses are configured, names are not known.
        let name_servers: BTreeSet<String> = who
            .servers
            .into_iter()
            .filter_map(|(name, _)| name)
            .collect();
        Ok((!name_servers.is_empty()).then_some(LiveZone {
            apex: who.zone,
            name_servers,
        }))
    }

    async fn lifetimes(&self, owner: &RecordName, kind: RecordKind) -> Option<Lifetimes> {
        if self.settings.way_at(owner.as_str()).mode != GateMode::Authoritative {
            return None;
        }
        let who = self.responsible_for(owner).await.ok()?;
        let (owner, zone) = (name(owner.as_str()).ok()?, apex(&who).ok()?);
        // The first server that answers for the zone; a silent one must not cost all the time.
        let reply = self.first_of(&who, &owner, kind.record_type()).await.ok()?;
        let soa = self.first_of(&who, &zone, RecordType::SOA).await;
        Some(Lifetimes {
            txt_ttl: evidence::ttl(&reply, &owner, kind),
            negative_ttl: soa.as_ref().map_or(0, evidence::negative_ttl),
        })
    }

    async fn target(&self, owner: &RecordName) -> Result<RecordName, String> {
        self.end_of_aliases(owner).await
    }

    async fn texts(&self, owner: &RecordName) -> Result<Vec<Vec<Vec<u8>>>, String> {
        self.all_texts(owner).await
    }

    async fn caa_refuses(&self, domain: &DomainName, issuer: &str) -> Option<String> {
        self.caa_against(domain, issuer).await
    }
}

pub(super) fn apex(who: &Responsible) -> Result<Name, WalkError> {
    Name::from_ascii(format!("{}.", who.zone.trim_end_matches('.')))
        .map_err(|_| WalkError::Name(who.zone.clone()))
}

pub(super) fn name(owner: &str) -> Result<Name, WalkError> {
    Name::from_ascii(format!("{owner}.")).map_err(|_| WalkError::Name(owner.to_owned()))
}
