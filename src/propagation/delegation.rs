//! Which servers are responsible for a name: a walk down from the root (rule 1).
//!
//! Every look walks afresh. Only the delegations of top-level domains are remembered, for five
//! minutes, and the addresses of name servers outside the zone, for one ([`super::shared`]):
//! infrastructure which cannot lie about the zone. Zone cuts are what servers answer (a referral,
//! the owner of an SOA record), never a count of dots. Hostile answers cost a bounded number of
//! questions and a bounded time, nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join, join_all};
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, Record, RecordType};
use rand::seq::SliceRandom;
use tokio::time::{Instant, timeout};

use super::authority::Asker;
use super::dnssec::{Chain, Link};
use super::evidence::text;
use super::race::{self, Budget};
use super::referral::{self, Step};
use super::rule::OTHER_WAY;
use super::shared::Addresses;

mod above;

/// Name servers of one zone that are looked at. Registries allow 13 or fewer; hostile delegations
/// name thousands.
const MOST_SERVERS: usize = 32;
/// Addresses of one name server that are looked at.
const MOST_ADDRESSES: usize = 16;
/// Questions one walk may ask: an ordinary one asks 10 to 40.
const MOST_QUESTIONS: u32 = 200;
/// How many name servers without glue may hang on one another (BIND allows 7; real chains have 1 or
/// 2).
const MOST_DEPTH: u32 = 4;
/// How long the delegation of a top-level domain is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);

/// The zone of a name and everybody who is listed as serving it, by the parent or by the zone
/// itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// The zone's apex, without a trailing dot.
    pub zone: String,
    /// Name server names and their addresses: glue and the addresses' own zones together. May be
    /// empty for a name.
    pub servers: BTreeMap<String, BTreeSet<IpAddr>>,
    /// The names in the parent's delegation; empty when one server holds both zones, so that no
    /// referral showed.
    pub parent: BTreeSet<String>,
    /// The names in the zone itself; `None` when that list could not be read.
    pub child: Option<BTreeSet<String>>,
    /// Parent and child differ, a name without an address, an address that only works inside a
    /// network.
    pub warnings: Vec<String>,
    /// The delegations on the way, for the chain of trust.
    pub chain: Chain,
}

/// Why the servers of a name could not be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// Everybody responsible for `zone` was asked about `name`.
    #[error(
        "no name server of {zone} gave a usable answer about {name}: {tried}; if this network lets no DNS out, {OTHER_WAY}"
    )]
    NoAnswer {
        /// The zone whose servers were asked.
        zone: String,
        /// The name asked about.
        name: String,
        /// Each address and what it said.
        tried: String,
    },
    /// Every answer came from a resolver, even in the place of the root's servers.
    #[error(
        "port 53 is redirected in this network: whoever is asked about {name}, a resolver answers ({tried}), also for the servers of {zone}; {OTHER_WAY}"
    )]
    Redirected {
        /// The zone whose servers were asked last.
        zone: String,
        /// The name asked about.
        name: String,
        /// Each address and what it said.
        tried: String,
    },
    /// The name does not exist in a zone where only a delegation could make it exist.
    #[error(
        "{name} is not delegated: the servers of {zone} say that it does not exist; is it registered, and not misspelt?"
    )]
    NotDelegated {
        /// The name asked about.
        name: String,
        /// The zone that denies it.
        zone: String,
    },
    /// Loops, or a delegation built to waste time.
    #[error("gave up on the delegation of {name}: {why}; look for a loop among its name servers")]
    Endless {
        /// The name asked about.
        name: String,
        /// Which limit was met.
        why: String,
    },
    /// Too slow: servers on the way that take long or do not answer.
    #[error(
        "the servers of {name} were not found in {time:?}; are servers on the way slow, or is DNS blocked here?"
    )]
    Late {
        /// The name asked about.
        name: String,
        /// How long it was tried.
        time: Duration,
    },
    /// The labels do not form a DNS name.
    #[error("{0} cannot be asked for in the DNS")]
    Name(String),
}

/// A zone, its servers as a referral named them, and their glue.
#[derive(Debug, Clone)]
struct Cut {
    zone: Name,
    hosts: BTreeMap<Name, Vec<IpAddr>>,
    /// Addresses without a name: the roots.
    fixed: Vec<SocketAddr>,
    /// What its parent said about its keys.
    proof: Vec<Record>,
}

/// Where a walk ends.
struct Place {
    /// The servers that answer for the name.
    cut: Cut,
    /// The zone that holds it: below the cut's own when one server serves parent and child, so that
    /// no referral shows.
    apex: Name,
    /// Whether its SOA record came with a signature.
    signed: bool,
}

/// Walks. Shared by all looks, for the sake of the top-level domains.
#[derive(Debug)]
pub struct Walker {
    asker: Asker,
    roots: Vec<SocketAddr>,
    port: u16,
    time: Duration,
    top: Mutex<HashMap<Name, (Instant, Cut)>>,
    shared: Addresses,
}

impl Walker {
    /// A walker that begins at `roots`, finds delegated servers on `port`, and takes at most `time`
    /// for a walk.
    pub fn new(asker: Asker, roots: Vec<SocketAddr>, port: u16, time: Duration) -> Self {
        Self {
            asker,
            roots,
            port,
            time,
            top: Mutex::default(),
            shared: Addresses::default(),
        }
    }

    /// Finds who serves the zone that holds `name`.
    ///
    /// # Errors
    /// [`WalkError`] when nobody responsible could be found; it names the zone and the servers that
    /// were asked.
    pub async fn delegation(&self, name: &Name) -> Result<Delegation, WalkError> {
        let late = |_| WalkError::Late {
            name: text(name),
            time: self.time,
        };
        timeout(self.time, self.walk().delegation(name))
            .await
            .map_err(late)?
    }

    /// One authoritative answer to "`name` `kind`?", from any server of the zone that holds it.
    ///
    /// # Errors
    /// [`WalkError`] when nobody responsible could be found, or none of them gave such an answer.
    pub(super) async fn answer(&self, name: &Name, kind: RecordType) -> Result<Message, WalkError> {
        let walk = self.walk();
        let answer = async {
            let place = walk.descend(name, 0).await?;
            walk.first(&place.cut, name, kind, 0, |reply| {
                referral::authoritative(reply).map(|()| reply.clone())
            })
            .await
        };
        let late = |_| WalkError::Late {
            name: text(name),
            time: self.time,
        };
        timeout(self.time, answer).await.map_err(late)?
    }

    fn walk(&self) -> Walk<'_> {
        Walk {
            walker: self,
            questions: Budget::of(MOST_QUESTIONS),
            cuts: Mutex::default(),
            found: Mutex::default(),
            heard: AtomicU32::new(0),
            heard_from_resolvers: AtomicU32::new(0),
        }
    }
}

/// One look's walk: what it found is shared within it, and forgotten after it.
struct Walk<'a> {
    walker: &'a Walker,
    questions: Budget,
    cuts: Mutex<HashMap<Name, Cut>>,
    found: Mutex<HashMap<Name, Vec<IpAddr>>>,
    /// Replies, and how many of them only a resolver gives: no authority (AA), but recursion (RA).
    heard: AtomicU32,
    heard_from_resolvers: AtomicU32,
}

impl Walk<'_> {
    async fn delegation(&self, name: &Name) -> Result<Delegation, WalkError> {
        let (mut place, child) = match self.descend(name, 0).await {
            Ok(place) => {
                let zone = &place.apex;
                let child = self
                    .first(&place.cut, zone, RecordType::NS, 0, |reply| {
                        referral::own_servers(reply, zone)
                    })
                    .await;
                (place, child)
            }
            // Delegated, and nobody there answers: each server shall be asked by itself and show
            // how it fails.
            Err(error @ WalkError::NoAnswer { .. }) => {
                let cut = self.nearest(name);
                let zone = cut.zone.clone();
                if zone.iter().len() < 2 {
                    return Err(error);
                }
                (
                    Place {
                        cut,
                        apex: zone,
                        signed: false,
                    },
                    Err(error),
                )
            }
            Err(error) => return Err(error),
        };
        let parent = self.look_above(&mut place).await;
        let Place {
            cut,
            apex: zone,
            signed,
        } = place;
        let silent = child.is_err();
        let texts = |names: &BTreeSet<Name>| {
            names
                .iter()
                .take(MOST_SERVERS)
                .map(text)
                .collect::<BTreeSet<_>>()
        };
        let lists = (texts(&parent), child.as_ref().ok().map(texts));
        let mut warnings = Vec::new();
        let mut names: BTreeSet<Name> = cut.hosts.keys().cloned().collect();
        match child {
            Ok(child) => {
                if !parent.is_empty() && parent != child {
                    warnings.push(format!(
                        "the delegation of {} and the zone itself name different servers: {} in the parent, {} in the zone",
                        text(&zone),
                        list(&parent),
                        list(&child)
                    ));
                }
                names.extend(child);
            }
            Err(error) if names.is_empty() => return Err(error),
            Err(error) => warnings.push(format!(
                "the zone's own list of name servers could not be read: {error}"
            )),
        }
        if names.len() > MOST_SERVERS {
            warnings.push(format!(
                "{} lists {} name servers; {MOST_SERVERS} were looked at",
                text(&zone),
                names.len()
            ));
        }

        let hosts: Vec<Name> = names.into_iter().take(MOST_SERVERS).collect();
        let found = join_all(hosts.iter().map(async |host| {
            // Nobody would answer for a name inside a silent zone; a host that takes long must not
            // cost the others.
            if silent && zone.zone_of(host) {
                None
            } else {
                timeout(self.walker.time / 2, self.addresses_outside(&zone, host, 0))
                    .await
                    .ok()
            }
        }));
        let found = found.await;
        let mut servers = BTreeMap::new();
        for (host, found) in hosts.iter().zip(found) {
            let mut addresses: BTreeSet<IpAddr> =
                cut.hosts.get(host).into_iter().flatten().copied().collect();
            match found {
                Some(Ok(more)) => addresses.extend(more),
                // The glue is enough to ask the server itself.
                _ if !addresses.is_empty() => {}
                Some(Err(error)) => warnings.push(format!(
                    "name server {} has no address: {error}",
                    text(host)
                )),
                None => warnings.push(format!(
                    "name server {}: its address was not found in time",
                    text(host)
                )),
            }
            if addresses.len() > MOST_ADDRESSES {
                warnings.push(format!(
                    "{} has {} addresses; {MOST_ADDRESSES} were asked",
                    text(host),
                    addresses.len()
                ));
            }
            let addresses: BTreeSet<IpAddr> = addresses.into_iter().take(MOST_ADDRESSES).collect();
            if let Some(inside) = addresses.iter().find(|address| is_inside(**address)) {
                warnings.push(format!(
                    "name server {} has the private address {inside}, which the CA cannot reach: is this an internal view of the zone?",
                    text(host)
                ));
            }
            servers.insert(text(host), addresses);
        }
        let asked = servers
            .values()
            .flatten()
            .map(|&ip| SocketAddr::from((ip, self.walker.port)))
            .collect();
        let chain = Chain {
            links: self.links(&cut, &zone, asked),
            signed,
        };
        let (parent, child) = lists;
        Ok(Delegation {
            zone: text(&zone),
            servers,
            parent,
            child,
            warnings,
            chain,
        })
    }

    /// The zones from the root to `apex`, whose servers are `servers`; `cut` is the last one that
    /// was delegated to.
    fn links(&self, cut: &Cut, apex: &Name, servers: Vec<SocketAddr>) -> Vec<Link> {
        let mut cuts: BTreeMap<usize, Cut> = BTreeMap::new();
        let top = locked(&self.walker.top)
            .get(&cut.zone.trim_to(1))
            .map(|(_, top)| top.clone());
        let walked = locked(&self.cuts)
            .clone()
            .into_values()
            .filter(|walked| walked.zone.zone_of(&cut.zone));
        let all = top
            .into_iter()
            .chain(walked)
            .chain([self.root(), cut.clone()]);
        cuts.extend(all.map(|cut| (cut.zone.iter().len(), cut)));
        let found = locked(&self.found);
        let link = |cut: Cut| {
            let also = cut
                .hosts
                .keys()
                .filter_map(|host| found.get(host))
                .flatten();
            let addresses: BTreeSet<IpAddr> =
                cut.hosts.values().flatten().chain(also).copied().collect();
            let with_port = addresses
                .into_iter()
                .map(|ip| SocketAddr::from((ip, self.walker.port)));
            Link {
                zone: cut.zone,
                servers: with_port.chain(cut.fixed).collect(),
                proof: cut.proof,
            }
        };
        let mut links: Vec<Link> = cuts.into_values().map(link).collect();
        match links.last_mut() {
            Some(last) if last.zone == *apex => last.servers = servers,
            _ => links.push(Link {
                zone: apex.clone(),
                servers,
                proof: Vec::new(),
            }),
        }
        links
    }

    /// Walks down to the servers that answer for `name` themselves.
    async fn descend(&self, name: &Name, depth: u32) -> Result<Place, WalkError> {
        if depth > MOST_DEPTH {
            let why =
                format!("more than {MOST_DEPTH} name servers hang on one another's addresses");
            return Err(WalkError::Endless {
                name: text(name),
                why,
            });
        }
        let mut cut = self.nearest(name);
        let mut asked = name.clone();
        loop {
            let above = cut.zone.clone();
            match self
                .first(&cut, &asked, RecordType::SOA, depth, |reply| {
                    referral::step(reply, &asked, &above)
                })
                .await
            {
                // Strictly deeper each time: at most as often as the name has labels.
                Ok(Step::Down { zone, hosts, proof }) => {
                    cut = Cut {
                        zone,
                        hosts,
                        fixed: Vec::new(),
                        proof,
                    };
                    self.remember(&cut);
                }
                Ok(Step::Here {
                    apex,
                    exists,
                    signed,
                }) => {
                    if !exists && apex.iter().len() < 2 {
                        return Err(WalkError::NotDelegated {
                            name: text(name),
                            zone: text(&apex),
                        });
                    }
                    return Ok(Place { cut, apex, signed });
                }
                // An alias hides the SOA record; the name above it is in the same zone or is its
                // apex.
                Ok(Step::Alias) if asked.base_name() == cut.zone || asked == cut.zone => {
                    let apex = cut.zone.clone();
                    return Ok(Place {
                        cut,
                        apex,
                        signed: false,
                    });
                }
                Ok(Step::Alias) => asked = asked.base_name(),
                // What was remembered may have moved: once more from the root.
                Err(WalkError::NoAnswer { .. }) if self.forget(&cut.zone) => cut = self.root(),
                Err(error) => return Err(error),
            }
        }
    }

    /// The addresses of a name server, asked of those responsible for its own zone.
    fn addresses<'a>(
        &'a self,
        host: &'a Name,
        depth: u32,
    ) -> BoxFuture<'a, Result<Vec<IpAddr>, WalkError>> {
        async move {
            if let Some(found) = locked(&self.found).get(host) {
                return Ok(found.clone());
            }
            let Place { cut, .. } = self.descend(host, depth).await?;
            let ask = |kind| {
                self.first(&cut, host, kind, depth, |reply| {
                    referral::addresses(reply, host)
                })
            };
            let found = match join(ask(RecordType::A), ask(RecordType::AAAA)).await {
                (Ok(v4), Ok(v6)) => v4.into_iter().chain(v6).collect(),
                (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.is_empty() => some,
                (Err(error), _) | (_, Err(error)) => return Err(error),
            };
            if found.is_empty() {
                let tried = "it has neither A nor AAAA records of its own".to_owned();
                return Err(WalkError::NoAnswer {
                    zone: text(&cut.zone),
                    name: text(host),
                    tried,
                });
            }
            locked(&self.found).insert(host.clone(), found.clone());
            Ok(found)
        }
        .boxed()
    }

    /// The addresses of a name server of `zone`: shared with other walks when it lies outside that
    /// zone.
    async fn addresses_outside(
        &self,
        zone: &Name,
        host: &Name,
        depth: u32,
    ) -> Result<Vec<IpAddr>, WalkError> {
        let find = self.addresses(host, depth + 1);
        // Further down nobody waits for another walk, which may be waiting for this one.
        if depth > 0 || zone.zone_of(host) {
            find.await
        } else {
            self.walker.shared.of(host, find).await
        }
    }

    /// The first usable reply from any server of the cut: in random order, the next one whenever
    /// one fails or takes long. Servers without glue are looked up only when those with glue have
    /// failed.
    async fn first<T, R>(
        &self,
        cut: &Cut,
        name: &Name,
        kind: RecordType,
        depth: u32,
        read: R,
    ) -> Result<T, WalkError>
    where
        R: Fn(&Message) -> Result<T, String> + Send + Sync,
    {
        let with_port = |ip: &IpAddr| SocketAddr::from((*ip, self.walker.port));
        let mut servers: Vec<SocketAddr> = cut
            .hosts
            .values()
            .flatten()
            .map(with_port)
            .chain(cut.fixed.clone())
            .collect();
        let mut without_glue: Vec<&Name> = cut
            .hosts
            .iter()
            .filter(|(_, glue)| glue.is_empty())
            .map(|(host, _)| host)
            .collect();
        // Many domains on the same servers shall not all ask the first of them.
        without_glue.shuffle(&mut rand::rng());
        let read = |reply: &Message| {
            let of_resolver = reply.metadata.recursion_available && !reply.metadata.authoritative;
            self.heard.fetch_add(1, Ordering::Relaxed);
            self.heard_from_resolvers
                .fetch_add(u32::from(of_resolver), Ordering::Relaxed);
            read(reply)
        };
        let (mut tried, mut endless) = (Vec::new(), None);
        loop {
            match race::first(
                &self.walker.asker,
                servers,
                (name, kind),
                &self.questions,
                &read,
            )
            .await
            {
                Ok(found) => return Ok(found),
                Err(lost) if lost.spent => {
                    let why = format!("{MOST_QUESTIONS} questions were not enough");
                    return Err(WalkError::Endless {
                        name: text(name),
                        why,
                    });
                }
                Err(lost) => tried.extend(lost.tried),
            }
            let Some(host) = without_glue.pop() else {
                break;
            };
            servers = match self.addresses_outside(&cut.zone, host, depth).await {
                Ok(found) => found.iter().map(with_port).collect(),
                Err(error) => {
                    match error {
                        // Another host may still do: a loop among some name servers is not a loop
                        // among all.
                        WalkError::Endless { .. } => endless = Some(error),
                        _ => tried.push(format!(
                            "{} has neither glue nor an address to be found",
                            text(host)
                        )),
                    }
                    Vec::new()
                }
            };
        }
        if let Some(endless) = endless {
            return Err(endless);
        }
        tried.sort_unstable();
        let more = tried.len().saturating_sub(3);
        tried.truncate(3);
        if more > 0 {
            tried.push(format!("and {more} more"));
        }
        let (zone, name, tried) = (text(&cut.zone), text(name), tried.join("; "));
        let heard = self.heard.load(Ordering::Relaxed);
        if heard > 0 && heard == self.heard_from_resolvers.load(Ordering::Relaxed) {
            return Err(WalkError::Redirected { zone, name, tried });
        }
        Err(WalkError::NoAnswer { zone, name, tried })
    }

    fn root(&self) -> Cut {
        Cut {
            zone: Name::root(),
            hosts: BTreeMap::new(),
            fixed: self.walker.roots.clone(),
            proof: Vec::new(),
        }
    }

    /// The deepest cut known above `name`: of this walk, of the remembered top-level domains, or
    /// the root.
    fn nearest(&self, name: &Name) -> Cut {
        let own = locked(&self.cuts)
            .values()
            .filter(|cut| cut.zone.zone_of(name))
            .max_by_key(|cut| cut.zone.iter().len())
            .cloned();
        own.or_else(|| {
            let top = locked(&self.walker.top);
            let (at, cut) = top.get(&name.trim_to(1))?;
            (at.elapsed() < REMEMBERED).then(|| cut.clone())
        })
        .unwrap_or_else(|| self.root())
    }

    fn remember(&self, cut: &Cut) {
        locked(&self.cuts).insert(cut.zone.clone(), cut.clone());
        if cut.zone.iter().len() == 1 {
            locked(&self.walker.top).insert(cut.zone.clone(), (Instant::now(), cut.clone()));
        }
    }

    /// Whether `zone` was a remembered top-level domain that this walk had not looked up itself.
    fn forget(&self, zone: &Name) -> bool {
        !locked(&self.cuts).contains_key(zone) && locked(&self.walker.top).remove(zone).is_some()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn list(names: &BTreeSet<Name>) -> String {
    let names: Vec<String> = names.iter().take(MOST_SERVERS).map(text).collect();
    if names.is_empty() {
        "nobody".to_owned()
    } else {
        names.join(", ")
    }
}

fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
