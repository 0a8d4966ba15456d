//! Slows down a client that tries tokens out at the login form. Only wrong tokens count, and each
//! address for itself: a stranger keeps no colleague out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use crate::server::access::Denied;
use crate::server::listener::{Peer, network};
use crate::server::seldom::Seldom;

/// Wrong tokens of one address at once; then one in [`TRY_EVERY`].
const TRIES: u32 = 10;
/// After this time one more try is free.
pub(super) const TRY_EVERY: Duration = Duration::from_secs(6);
/// This many addresses are remembered before those that have been quiet are forgotten.
const ADDRESSES: usize = 10_000;

/// The state of addresses.
#[derive(Debug, Default)]
pub(super) struct Doorkeeper {
    wrong: Mutex<HashMap<IpAddr, Wrong>>,
    told: Seldom,
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    count: u32,
    at: Instant,
}

impl Wrong {
    fn left(self, now: Instant) -> u32 {
        let forgiven = now.saturating_duration_since(self.at).as_secs() / TRY_EVERY.as_secs();
        self.count
            .saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}

/// Where a form came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Visit {
    address: IpAddr,
    /// This machine itself: a proxy that does not say for whom it speaks, or a person on it.
    is_local: bool,
}

impl Visit {
    /// A proxy on this machine says for whom it speaks: the last address of its list is the one that
    /// it has seen itself. No other peer is believed.
    pub(super) fn of(peer: Option<Peer>, headers: &HeaderMap) -> Self {
        let Some(Peer(peer)) = peer else {
            return Self {
                address: Ipv6Addr::UNSPECIFIED.into(),
                is_local: false,
            };
        };
        let lists = headers.get_all("x-forwarded-for").iter();
        let said = lists
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(','))
            .next_back()
            .and_then(|address| address.trim().parse::<IpAddr>().ok())
            .filter(|_| peer.is_loopback());
        Self {
            address: said.unwrap_or(peer),
            is_local: said.is_none() && peer.is_loopback(),
        }
    }
}

impl Doorkeeper {
    /// Whether even a right token is not checked now.
    pub(super) fn bars(&self, visit: Visit, now: Instant) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let known = wrong.get(&network(visit.address));
        !visit.is_local && known.is_some_and(|known| known.left(now) >= TRIES)
    }

    /// Counts a wrong token, and says in the log from where it came: each of the first ones, then
    /// one line a minute. Whether there were too many before it.
    pub(super) fn refuse(&self, visit: Visit, why: Denied, now: Instant) -> bool {
        let too_many = self.count(visit, now);
        let peer = visit.address;
        if !too_many {
            tracing::warn!(%peer, "a token was refused at the login form: {why}");
        } else {
            self.tell(visit, now);
        }
        too_many
    }

    /// Logs once a minute the addresses that must wait.
    pub(super) fn tell(&self, visit: Visit, now: Instant) {
        if let Some(times) = self.told.due(now) {
            let peer = visit.address;
            tracing::warn!(%peer, times, "too many wrong tokens at the login form");
        }
    }

    fn count(&self, visit: Visit, now: Instant) -> bool {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= ADDRESSES {
            wrong.retain(|_, known| known.left(now) > 0);
        }
        let address = network(visit.address);
        let left = wrong.get(&address).map_or(0, |known| known.left(now));
        if left >= TRIES || wrong.len() >= ADDRESSES && left == 0 {
            return true;
        }
        wrong.insert(
            address,
            Wrong {
                count: left + 1,
                at: now,
            },
        );
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn visit(peer: &str, forwarded: Option<&str>) -> Visit {
        let headers =
            forwarded.map(|list| ("x-forwarded-for".parse().unwrap(), list.parse().unwrap()));
        Visit::of(
            Some(Peer(peer.parse().unwrap())),
            &headers.into_iter().collect(),
        )
    }

    #[test]
    fn ten_wrong_tokens_bar_their_address_and_no_other_one() {
        let (door, start) = (Doorkeeper::default(), Instant::now());
        let (stranger, colleague) = (visit("192.0.2.1", None), visit("192.0.2.2", None));
        for _ in 0..10 {
            assert!(!door.refuse(stranger, Denied::Wrong, start));
        }
        assert!(door.refuse(stranger, Denied::Wrong, start));
        assert!(door.bars(stranger, start) && !door.bars(colleague, start));
        assert!(!door.refuse(colleague, Denied::Wrong, start));
        assert!(!door.bars(stranger, start + TRY_EVERY));
    }

    #[test]
    fn a_proxy_on_this_machine_is_believed_and_no_other_peer() {
        let (door, now) = (Doorkeeper::default(), Instant::now());
        let by_proxy = visit("127.0.0.1", Some("10.0.0.1, 192.0.2.1"));
        let claimed = visit("198.51.100.1", Some("192.0.2.2"));
        for _ in 0..10 {
            door.refuse(by_proxy, Denied::Wrong, now);
            door.refuse(claimed, Denied::Wrong, now);
            door.refuse(visit("127.0.0.1", None), Denied::Wrong, now);
        }
        assert!(door.bars(visit("192.0.2.1", None), now));
        assert!(!door.bars(visit("192.0.2.2", None), now));
        // A person on this machine, and every client behind a proxy that says nothing.
        assert!(!door.bars(visit("127.0.0.1", None), now));
        assert!(door.refuse(visit("127.0.0.1", None), Denied::Wrong, now));
    }
}
