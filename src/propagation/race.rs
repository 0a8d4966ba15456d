//! One question to many servers of one zone, for the first reply that can be used.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use rand::seq::SliceRandom;
use tokio::time::timeout;

use super::authority::Asker;

/// After this long without an answer the next server is asked too.
const HEDGE: Duration = Duration::from_millis(400);

/// How many questions, or other costly steps, are left: hostile answers use up this and nothing
/// else.
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

/// Nobody gave a reply that could be used.
#[derive(Debug)]
pub(super) struct Lost {
    /// Each address and what it said, sorted: the same words while it is the same.
    pub(super) tried: Vec<String>,
    /// Whether that is because the budget was used up.
    pub(super) spent: bool,
}

/// Asks `addresses` in random order, the next one whenever one fails or takes long, until `read`
/// can use a reply. Its errors, in words, are for people.
pub(super) async fn first<T, R>(
    asker: &Asker,
    mut addresses: Vec<SocketAddr>,
    (name, kind): (&Name, RecordType),
    questions: &Budget,
    read: R,
) -> Result<T, Lost>
where
    R: Fn(&Message) -> Result<T, String> + Send + Sync,
{
    addresses.shuffle(&mut rand::rng());
    let mut asked = FuturesUnordered::new();
    let mut tried = Vec::new();
    loop {
        if let Some(address) = addresses.pop() {
            if !questions.spend() {
                return Err(Lost { tried, spent: true });
            }
            asked.push(async move { (address, asker.ask(address, name, kind).await) });
        }
        let answered = if addresses.is_empty() {
            asked.next().await
        } else {
            let Ok(answered) = timeout(HEDGE, asked.next()).await else {
                continue;
            };
            answered
        };
        let Some((address, reply)) = answered else {
            tried.sort_unstable();
            return Err(Lost {
                tried,
                spent: false,
            });
        };
        match reply
            .map_err(|failure| failure.to_string())
            .and_then(|reply| read(&reply))
        {
            Ok(found) => return Ok(found),
            Err(why) => tried.push(format!("{address}: {why}")),
        }
    }
}
