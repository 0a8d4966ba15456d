//! Walks the chain of trust down to a zone: asks for keys, and for DS records where no referral
//! brought them.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::dnssec::rdata::DS;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use tokio::time::{Instant, timeout};

use super::super::authority::Asker;
use super::super::evidence::{rcode, text};
use super::super::race::{self, Budget, Effort};
use super::denial::{self, Below};
use super::{Anchors, Fault, FaultKind, Keys, Trust, Unsigned, signatures};
use crate::clock::Clock;

/// How long the keys of the root and of top-level domains are remembered.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How long it is remembered that there were none: a thousand checks shall not wait for them one
/// after the other.
const MISSED: Duration = Duration::from_secs(10);
/// Addresses that are asked for one zone's keys or DS records before it counts as broken.
const MOST_ADDRESSES: usize = 16;
/// Questions for one chain: an ordinary one takes one to three.
const MOST_QUESTIONS: u32 = 64;
/// Signatures and digests computed for one chain: an ordinary one takes five to ten.
const MOST_VERIFICATIONS: u32 = 128;

/// The delegations that lead to a zone, from the root to the zone itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The root first, the zone last.
    pub links: Vec<Link>,
    /// Whether the zone's SOA record came with a signature.
    pub signed: bool,
}

/// One zone of a [`Chain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The zone's apex.
    pub zone: Name,
    /// Its servers.
    pub servers: Vec<SocketAddr>,
    /// The DS, NSEC and NSEC3 records and signatures of the referral to it; none when no referral
    /// was seen.
    pub proof: Vec<Record>,
}

/// Validates chains. One for the whole program, for the sake of the keys of the root and of
/// top-level domains.
#[derive(Debug)]
pub struct Validator {
    asker: Asker,
    anchors: BTreeMap<Name, Vec<DS>>,
    clock: Arc<dyn Clock>,
    time: Duration,
    /// A lock for each zone, so that a thousand checks at once ask for its keys once.
    remembered: Mutex<HashMap<Name, Remembered>>,
}

type Remembered = Arc<tokio::sync::Mutex<Option<(Instant, Result<Arc<Keys>, Trust>)>>>;

impl Validator {
    /// A validator that trusts `anchors`, as far as they count at `roots`, and takes at most `time`
    /// for a chain.
    pub fn new(
        asker: Asker,
        anchors: Anchors,
        roots: &[SocketAddr],
        clock: Arc<dyn Clock>,
        time: Duration,
    ) -> Self {
        Self {
            asker,
            anchors: anchors.counting_at(roots),
            clock,
            time,
            remembered: Mutex::default(),
        }
    }

    /// The time that signatures are judged by.
    pub fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// Follows the chain. A zone is bogus only when none of its servers gives keys that validate,
    /// because a resolver that fails at one server continues to the next (unbound, measured).
    pub async fn trust(&self, chain: &Chain) -> Trust {
        let (mut trust, remembered) = self.follow(chain).await;
        if remembered && matches!(trust, Trust::Bogus(_)) {
            // A top-level domain may have changed its keys since.
            self.remembered
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
            (trust, _) = self.follow(chain).await;
        }
        match trust {
            Trust::Insecure {
                at,
                why: Unsigned::NotSigned,
            } if chain.signed
                && chain
                    .links
                    .last()
                    .is_some_and(|last| text(&last.zone) == at) =>
            {
                Trust::Insecure {
                    at,
                    why: Unsigned::Stray,
                }
            }
            other => other,
        }
    }

    async fn follow(&self, chain: &Chain) -> (Trust, bool) {
        let following = Following {
            validator: self,
            now: signatures::seconds(self.clock.now()),
            questions: Effort::new(MOST_QUESTIONS, 0),
            effort: Budget::of(MOST_VERIFICATIONS),
            remembered: AtomicBool::new(false),
        };
        let trust = {
            let mut followed = pin!(following.trust(chain));
            // The open questions can be named as long as the search is not dropped.
            let trust = timeout(self.time, followed.as_mut()).await;
            trust.unwrap_or_else(|_| {
                Trust::Unchecked(format!(
                    "the chain of trust was not followed to its end in {:?}; no answer yet from {}",
                    self.time,
                    following.questions.open()
                ))
            })
        };
        (trust, following.remembered.into_inner())
    }
}

/// One chain's validation.
struct Following<'a> {
    validator: &'a Validator,
    now: u32,
    questions: Effort<'static>,
    effort: Budget,
    /// Whether remembered keys were used.
    remembered: AtomicBool,
}

impl Following<'_> {
    async fn trust(&self, chain: &Chain) -> Trust {
        let mut trust =
            Trust::Unchecked("there is no trust anchor for these root servers".to_owned());
        let mut above: Option<&Link> = None;
        for link in &chain.links {
            let anchor = self.validator.anchors.get(&link.zone);
            trust = match (anchor, trust, above) {
                (Some(ds), ..) => match self.keys(link, ds).await {
                    Ok(keys) => Trust::Secure(keys),
                    // No zone is the cause: an old anchor, a wrong clock, a network that answers
                    // for the root.
                    Err(Trust::Bogus(fault)) => Trust::Unchecked(format!(
                        "the trust anchors do not fit ({fault}); check this machine's clock and propagation.trust_anchors"
                    )),
                    Err(other) => other,
                },
                (None, Trust::Secure(keys), Some(above)) => self
                    .descend(above, keys, link)
                    .await
                    .map_or_else(|ended| ended, Trust::Secure),
                (_, other, _) => other,
            };
            above = Some(link);
        }
        trust
    }

    /// From a secure zone, whose servers are `above`'s, to `link`'s. `Err` is where it ends.
    async fn descend(
        &self,
        above: &Link,
        keys: Arc<Keys>,
        link: &Link,
    ) -> Result<Arc<Keys>, Trust> {
        match denial::below(&link.proof, &link.zone, &keys, self.now, &self.effort) {
            Ok(Below::Signed(ds)) => return self.keys(link, &ds).await,
            Ok(Below::Unsigned(why)) => {
                return Err(Trust::Insecure {
                    at: text(&link.zone),
                    why,
                });
            }
            // No referral, a server without DNSSEC, or zones between the two on the same servers:
            // ask for each label.
            Ok(Below::SameZone) | Err(_) => {}
        }
        let mut keys = keys;
        for labels in keys.zone().iter().len() + 1..=link.zone.iter().len() {
            let zone = link.zone.trim_to(labels);
            match self.below(above, &keys, &zone).await? {
                Below::Signed(ds) if zone == link.zone => return self.keys(link, &ds).await,
                Below::Signed(ds) => {
                    let between = Link {
                        zone,
                        servers: above.servers.clone(),
                        proof: Vec::new(),
                    };
                    keys = self.keys(&between, &ds).await?;
                }
                Below::Unsigned(why) => {
                    return Err(Trust::Insecure {
                        at: text(&zone),
                        why,
                    });
                }
                Below::SameZone => {}
            }
        }
        let detail = format!(
            "it proves that {} is not delegated, and yet that is a zone",
            text(&link.zone)
        );
        Err(Trust::Bogus(Fault::new(
            FaultKind::BadDenial,
            keys.zone(),
            detail,
        )))
    }

    /// Asks the servers of a secure zone what is below it at `child`.
    async fn below(&self, above: &Link, keys: &Keys, child: &Name) -> Result<Below, Trust> {
        let fault = Mutex::new(None);
        let read = |reply: &Message| {
            usable(reply)?;
            if reply.edns.is_none() {
                return Err(
                    "it answered without EDNS, so it could not show any signature".to_owned(),
                );
            }
            let records = [reply.answers.as_slice(), &reply.authorities].concat();
            denial::below(&records, child, keys, self.now, &self.effort)
                .map_err(|found| first(&fault, found))
        };
        self.ask(above, (child, RecordType::DS), read)
            .await
            .map_err(|tried| match fault.into_inner() {
                Ok(Some(fault)) => Trust::Bogus(fault),
                _ => Trust::Unchecked(format!(
                    "no server of {} told whether {} is signed: {tried}",
                    text(&above.zone),
                    text(child)
                )),
            })
    }

    /// The keys of a zone that `ds` lead to: remembered for the root and top-level domains, else
    /// asked for.
    async fn keys(&self, link: &Link, ds: &[DS]) -> Result<Arc<Keys>, Trust> {
        if link.zone.iter().len() > 1 {
            return self.fresh_keys(link, ds).await;
        }
        let slot = {
            let mut remembered = self
                .validator
                .remembered
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Arc::clone(remembered.entry(link.zone.clone()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some((at, keys)) = slot.as_ref()
            && at.elapsed() < if keys.is_ok() { REMEMBERED } else { MISSED }
        {
            self.remembered.fetch_or(keys.is_ok(), Ordering::Relaxed);
            return keys.clone();
        }
        let keys = self.fresh_keys(link, ds).await;
        *slot = Some((Instant::now(), keys.clone()));
        keys
    }

    async fn fresh_keys(&self, link: &Link, ds: &[DS]) -> Result<Arc<Keys>, Trust> {
        let fault = Mutex::new(None);
        let read = |reply: &Message| {
            usable(reply)?;
            signatures::keys(&reply.answers, &link.zone, ds, self.now, &self.effort)
                .map_err(|found| first(&fault, found))
        };
        let keys = self.ask(link, (&link.zone, RecordType::DNSKEY), read).await;
        keys.map(Arc::new).map_err(|tried| match fault.into_inner() {
            Ok(Some(fault)) => Trust::Bogus(fault),
            // The root and the top-level domains have keys: it is this network that does not let
            // them through.
            _ if link.zone.iter().len() < 2 => {
                Trust::Unchecked(format!("no server of {} told its keys: {tried}", text(&link.zone)))
            }
            _ => {
                let detail =
                    format!("its parent has DS records for it, and none of its servers tells its keys: {tried}");
                Trust::Bogus(Fault::new(FaultKind::NoDnskey, &link.zone, detail))
            }
        })
    }

    /// Asks the servers of a zone until one gives what `read` wants.
    async fn ask<T, R>(
        &self,
        link: &Link,
        question: (&Name, RecordType),
        read: R,
    ) -> Result<T, String>
    where
        R: Fn(&Message) -> Result<T, String> + Send + Sync,
    {
        let servers = link.servers.iter().take(MOST_ADDRESSES).map(|&it| vec![it]);
        let servers = race::shuffled(servers.collect());
        let answer = race::first(
            &self.validator.asker,
            servers,
            Vec::new(),
            question,
            &self.questions,
            read,
        )
        .await;
        answer.map_err(|mut lost| {
            lost.tried.truncate(3);
            if lost.tried.is_empty() {
                "there is no server to ask".to_owned()
            } else {
                lost.tried.join("; ")
            }
        })
    }
}

/// Whether a reply is an answer at all, not the refusal to give one.
fn usable(reply: &Message) -> Result<(), String> {
    match reply.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(()),
        other => Err(rcode(other)),
    }
}

/// Keeps the first fault; its words continue to the list of what was tried.
fn first(kept: &Mutex<Option<Fault>>, fault: Fault) -> String {
    let words = fault.to_string();
    kept.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert(fault);
    words
}
