//! Which servers are responsible for a name: a walk down from the root (rule 1).
//!
//! Every check walks afresh. Only the delegations of top-level domains are remembered, for five
//! minutes, and the addresses of name servers outside the zone, for one ([`super::shared`]):
//! infrastructure which cannot lie about the zone. Zone cuts are what servers answer (a referral,
//! the owner of an SOA record), never a count of dots.
//!
//! A walk has one budget of questions and steps ([`Effort`]), and each name server whose address
//! must be found has a share of it. A search that failed is not repeated within the walk, and the
//! walk gives way to other tasks at each step. So a delegation that is built to waste time costs
//! its own domain a bounded number of questions, steps and seconds, and costs other domains
//! nothing.
//!
//! `descent` walks down, `servers` puts the zone's servers together, `above` asks servers that hold
//! a zone and its parent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, Record, RecordType};
use tokio::time::{Instant, timeout_at};

use super::authority::Asker;
use super::dnssec::Chain;
use super::evidence::text;
use super::race::Effort;
use super::referral::{self, Down};
use super::shared::Addresses;

mod above;
mod descent;
mod error;
mod servers;

use descent::Trail;
pub use error::WalkError;
pub(super) use servers::is_private;

/// Questions one walk may ask: an ordinary one asks 10 to 40.
const MOST_QUESTIONS: u32 = 200;
/// Searches for a name server's address that one walk may begin: an ordinary one begins 2 to 30.
const MOST_STEPS: u32 = 400;
/// What the search for the address of one name server may spend of these.
const QUESTIONS_PER_HOST: u32 = 60;
const STEPS_PER_HOST: u32 = 100;
/// How many name servers without glue may depend on one another (BIND allows 7; real chains have 1
/// or 2).
const MOST_DEPTH: u32 = 4;
/// How long the delegation of a top-level domain is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);

/// The zone of a name and every name server that the parent or the zone itself lists.
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

/// A zone, its servers as a referral named them, and their glue.
#[derive(Debug, Clone)]
struct Cut {
    zone: Name,
    hosts: BTreeMap<Name, Vec<IpAddr>>,
    /// Servers that the referral named beside `hosts`; they are not asked.
    others: BTreeSet<Name>,
    /// Addresses without a name: the roots.
    fixed: Vec<SocketAddr>,
    /// The answer of its parent about its keys.
    proof: Vec<Record>,
}

impl From<Down> for Cut {
    fn from(down: Down) -> Self {
        Self {
            zone: down.zone,
            hosts: down.hosts,
            others: down.others,
            fixed: Vec::new(),
            proof: down.proof,
        }
    }
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

/// Walks. Shared by all checks, for the sake of the top-level domains.
#[derive(Debug)]
pub struct Walker {
    asker: Asker,
    roots: Vec<SocketAddr>,
    port: u16,
    time: Duration,
    top: Mutex<HashMap<Name, (Instant, Arc<Cut>)>>,
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

    /// Finds the servers of the zone that holds `name`.
    ///
    /// # Errors
    /// [`WalkError`] when no responsible server could be found; it names the zone and the servers
    /// that were asked.
    pub async fn delegation(&self, name: &Name) -> Result<Delegation, WalkError> {
        let walk = self.walk();
        walk.in_time(name, walk.delegation(name)).await
    }

    /// Begins a walk. All that is asked in it shares its budget, its time and what it found.
    pub(super) fn walk(&self) -> Walk<'_> {
        Walk {
            walker: self,
            effort: Effort::new(MOST_QUESTIONS, MOST_STEPS),
            deadline: Instant::now() + self.time,
            cuts: Mutex::default(),
            found: Mutex::default(),
            failed: Mutex::default(),
            heard: AtomicU32::new(0),
            heard_from_resolvers: AtomicU32::new(0),
        }
    }
}

/// One check's walk: what it found is shared within it, and forgotten after it.
pub(super) struct Walk<'a> {
    walker: &'a Walker,
    effort: Effort<'a>,
    deadline: Instant,
    cuts: Mutex<HashMap<Name, Arc<Cut>>>,
    found: Mutex<HashMap<Name, Vec<IpAddr>>>,
    /// Name servers whose addresses were not found, with the depth of that search.
    failed: Mutex<HashMap<Name, (u32, WalkError)>>,
    /// Replies, and how many of them only a resolver gives: no authority (AA), but recursion (RA).
    heard: AtomicU32,
    heard_from_resolvers: AtomicU32,
}

impl Walk<'_> {
    /// One authoritative answer to "`name` `kind`?", from any server of the zone that holds it.
    ///
    /// # Errors
    /// [`WalkError`] when no responsible server could be found, or none of them gave such an
    /// answer.
    pub(super) async fn answer(&self, name: &Name, kind: RecordType) -> Result<Message, WalkError> {
        let trail = Trail::begin(&self.effort);
        let answer = async {
            let place = self.descend(name, &trail).await?;
            self.first(&place.cut, (name, kind), &trail, |reply| {
                referral::authoritative(reply).map(|()| reply.clone())
            })
            .await
        };
        self.in_time(name, answer).await
    }

    /// The result of `search`, or else the addresses that kept it waiting.
    async fn in_time<T>(
        &self,
        name: &Name,
        search: impl Future<Output = Result<T, WalkError>>,
    ) -> Result<T, WalkError> {
        let mut search = pin!(search);
        // The open questions can be named as long as the search is not dropped.
        timeout_at(self.deadline, search.as_mut())
            .await
            .unwrap_or_else(|_| {
                Err(WalkError::Late {
                    name: text(name),
                    time: self.walker.time,
                    open: self.effort.open(),
                })
            })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
