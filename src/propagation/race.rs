//! One question to many servers of one zone, for the first reply that can be used, and what such a
//! search may cost.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered, StreamExt};
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use rand::seq::SliceRandom;
use tokio::time::sleep;

use super::authority::Asker;

/// After this long without an answer the next server is asked too (as RFC 8305 does for
/// connections).
const HEDGE: Duration = Duration::from_millis(400);

/// Addresses that are named where a search took too long.
const MOST_NAMED: usize = 3;

/// A number of costly steps that may still be made.
#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Budget {
    pub(super) fn of(count: u32) -> Self {
        Self(AtomicU32::new(count))
    }

    /// Takes one; `false` when none is left.
    pub(super) fn spend(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }
}

/// What a search may cost: questions, and steps that need no question, because the answer is known
/// already. Hostile answers use up this and nothing else. A share is spent together with the whole
/// that it is a part of.
#[derive(Debug)]
pub(super) struct Effort<'a> {
    questions: Budget,
    steps: Budget,
    whole: Option<&'a Effort<'a>>,
    /// The addresses that are asked now.
    open: Mutex<Vec<SocketAddr>>,
}

impl<'a> Effort<'a> {
    pub(super) fn new(questions: u32, steps: u32) -> Self {
        Self {
            questions: Budget::of(questions),
            steps: Budget::of(steps),
            whole: None,
            open: Mutex::default(),
        }
    }

    /// A part of this effort, which one branch of the search may spend.
    pub(super) fn share(&'a self, questions: u32, steps: u32) -> Self {
        Self {
            whole: Some(self),
            ..Self::new(questions, steps)
        }
    }

    /// Takes one step; `false` when none is left.
    pub(super) fn step(&self) -> bool {
        self.steps.spend() && self.whole.is_none_or(Effort::step)
    }

    /// Takes one question; `false` when none is left.
    pub(super) fn question(&self) -> bool {
        self.questions.spend() && self.whole.is_none_or(Effort::question)
    }

    /// The addresses that have not answered yet, for people.
    pub(super) fn open(&self) -> String {
        let mut open = self.locked().clone();
        open.sort_unstable();
        open.dedup();
        let more = open.len().saturating_sub(MOST_NAMED);
        let mut named: Vec<String> = open
            .iter()
            .take(MOST_NAMED)
            .map(ToString::to_string)
            .collect();
        if more > 0 {
            named.push(format!("{more} more"));
        }
        named.join(", ")
    }

    fn root(&self) -> &Effort<'a> {
        self.whole.map_or(self, Effort::root)
    }

    fn locked(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address is asked for as long as this lives.
struct Open<'a>(&'a Effort<'a>, SocketAddr);

impl<'a> Open<'a> {
    fn new(effort: &'a Effort<'a>, address: SocketAddr) -> Self {
        let root = effort.root();
        root.locked().push(address);
        Self(root, address)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut open = self.0.locked();
        if let Some(at) = open.iter().position(|address| *address == self.1) {
            open.swap_remove(at);
        }
    }
}

/// This many addresses of one zone are asked at once: a zone of many silent ones must leave sockets
/// to other zones.
const AT_ONCE: usize = 32;

/// What all of `asks` bring, a few of them under way at once.
pub(super) async fn all<T>(asks: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(asks).buffer_unordered(AT_ONCE).collect().await
}

/// No server gave a reply that could be used.
#[derive(Debug)]
pub(super) struct Lost {
    /// Each address and what it said, sorted: the same words while it is the same.
    pub(super) tried: Vec<String>,
    /// Whether that is because the budget was used up.
    pub(super) spent: bool,
}

/// More addresses, which must be found first.
pub(super) type Search<'a> = BoxFuture<'a, Vec<SocketAddr>>;

/// One address after the other in random order, and one of each server before a second one of any:
/// a server with many dead addresses must not hide the others.
pub(super) fn shuffled(servers: Vec<Vec<SocketAddr>>) -> Vec<SocketAddr> {
    let mut order: Vec<(usize, SocketAddr)> = Vec::new();
    for mut addresses in servers {
        addresses.shuffle(&mut rand::rng());
        order.extend(addresses.into_iter().enumerate());
    }
    order.shuffle(&mut rand::rng());
    // The sort is stable: what is at the same place stays in random order.
    order.sort_by_key(|(place, _)| *place);
    order.into_iter().map(|(_, address)| address).collect()
}

/// Asks `addresses` in their order, the next one whenever one fails or takes long, until `read`
/// can use a reply. Its errors, in words, are for people. When all addresses are asked, the
/// searches of `later` begin, one after the other in the same way, while the open questions stay
/// open: a silent server costs the others nothing.
pub(super) async fn first<T, R>(
    asker: &Asker,
    addresses: Vec<SocketAddr>,
    later: Vec<Search<'_>>,
    (name, kind): (&Name, RecordType),
    effort: &Effort<'_>,
    read: R,
) -> Result<T, Lost>
where
    R: Fn(&Message) -> Result<T, String> + Send + Sync,
{
    let mut addresses = VecDeque::from(addresses);
    let mut later = later.into_iter();
    let (mut asked, mut searches) = (FuturesUnordered::new(), FuturesUnordered::new());
    let (mut tried, mut took_long) = (Vec::new(), false);
    loop {
        if let Some(address) = addresses.pop_front() {
            if !effort.question() {
                return Err(Lost { tried, spent: true });
            }
            asked.push(async move {
                let _open = Open::new(effort, address);
                (address, asker.ask(address, name, kind).await)
            });
        } else if (took_long || (asked.is_empty() && searches.is_empty()))
            && let Some(search) = later.next()
        {
            searches.push(search);
        }
        took_long = false;
        let more = !addresses.is_empty() || later.len() > 0;
        tokio::select! {
            Some((address, reply)) = asked.next() => {
                let reply = reply.map_err(|failure| failure.to_string());
                match reply.and_then(|reply| read(&reply)) {
                    Ok(found) => return Ok(found),
                    Err(why) => tried.push(format!("{address}: {why}")),
                }
            }
            Some(mut found) = searches.next() => {
                found.shuffle(&mut rand::rng());
                addresses.extend(found);
            }
            () = sleep(HEDGE), if more => took_long = true,
            else => {
                tried.sort_unstable();
                return Err(Lost { tried, spent: false });
            }
        }
    }
}
