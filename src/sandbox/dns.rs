//! An authoritative name server on loopback: a primary that takes signed updates and secondaries
//! that lag behind it.
//!
//! [`zone`] holds the data and answers queries, [`update`] changes it, [`tsig`] checks the keys,
//! [`serve`] is the wire. A secondary keeps no copy of its own: the primary keeps its past versions
//! with the time each was made, and a secondary reads that past by the clock. So a lag needs no
//! waiting when the clock is simulated.

mod serve;
mod tsig;
mod update;
pub mod zone;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hickory_proto::rr::{Name, TSigner};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
pub use zone::Zone;
use zone::fqdn;

/// How a name server keeps up with the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// It serves every change at once.
    Now,
    /// It serves every change this long after it was made, by the clock.
    After(SignedDuration),
    /// It stays with what it serves now, until it is told to follow again: stale.
    Never,
    /// It answers nothing.
    Dead,
    /// It answers REFUSED to everything: lame.
    Lame,
}

impl FromStr for Follow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "now" => Self::Now,
            "never" | "stale" => Self::Never,
            "dead" => Self::Dead,
            "lame" => Self::Lame,
            lag => Self::After(lag.parse().map_err(|error| {
                format!("`{text}` is none of now, never, dead, lame nor a time like `10m` to lag behind: {error}")
            })?),
        })
    }
}

/// A running authoritative server. Dropping it stops it.
pub struct Dns {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    cancel: CancellationToken,
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    zones: HashMap<Name, Vec<Version>>,
    keys: Vec<TSigner>,
    /// The primary first.
    servers: Vec<Server>,
    refused: HashSet<Name>,
    lose_updates: u32,
    lose_answers: u32,
    updates: u64,
}

struct Version {
    made: Timestamp,
    zone: Arc<Zone>,
}

struct Server {
    follow: Follow,
    /// What it serves while it follows [`Follow::Never`].
    frozen: HashMap<Name, Arc<Zone>>,
    queries: u64,
}

impl Dns {
    /// Starts a primary on `listen` (port 0: any) and one secondary for each entry of `secondaries`
    /// on the same address with any port; each serves UDP and TCP on the same port.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub async fn start(
        clock: Arc<dyn Clock>,
        listen: SocketAddr,
        secondaries: &[Follow],
    ) -> io::Result<Self> {
        let cancel = CancellationToken::new();
        let mut sockets = vec![serve::bind(listen).await?];
        for _ in secondaries {
            sockets.push(serve::bind(SocketAddr::new(listen.ip(), 0)).await?);
        }
        let mut addresses = Vec::new();
        for (tcp, _) in &sockets {
            addresses.push(tcp.local_addr()?);
        }
        let follows = std::iter::once(&Follow::Now).chain(secondaries);
        let servers = follows
            .map(|&follow| Server {
                follow,
                frozen: HashMap::new(),
                queries: 0,
            })
            .collect();
        let state = Mutex::new(State {
            servers,
            ..State::default()
        });
        let shared = Arc::new(Shared { clock, state });
        for (index, (tcp, udp)) in sockets.into_iter().enumerate() {
            tokio::spawn(cancel.clone().run_until_cancelled_owned(serve::tcp(
                Arc::clone(&shared),
                index,
                tcp,
            )));
            tokio::spawn(cancel.clone().run_until_cancelled_owned(serve::udp(
                Arc::clone(&shared),
                index,
                udp,
            )));
        }
        Ok(Self {
            shared,
            addresses,
            cancel,
        })
    }

    /// Stops answering. Dropping does the same.
    pub fn stop(&self) {
        self.cancel.cancel();
    }

    /// The primary's address: updates go here.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Every server's address, the primary first.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses of all servers when one of our zones holds `name`, none otherwise.
    pub fn servers_for(&self, name: &str) -> Vec<SocketAddr> {
        let known = self
            .shared
            .state()
            .zone(0, &fqdn(name), self.shared.clock.now())
            .is_some();
        if known {
            self.addresses.clone()
        } else {
            Vec::new()
        }
    }

    /// Serves a zone, or replaces it; all servers have it from now on.
    pub fn add_zone(&self, zone: Zone) {
        let zone = Arc::new(zone);
        let mut state = self.shared.state();
        for server in &mut state.servers {
            server.frozen.insert(zone.apex.clone(), Arc::clone(&zone));
        }
        let versions = vec![Version {
            made: Timestamp::MIN,
            zone: Arc::clone(&zone),
        }];
        state.zones.insert(zone.apex.clone(), versions);
    }

    /// Stops serving a zone: every server answers REFUSED for it.
    pub fn remove_zone(&self, name: &str) {
        self.shared.state().zones.remove(&fqdn(name));
    }

    /// Changes a zone by hand, as a colleague would, and counts its serial up. A zone that is not
    /// here stays so.
    pub fn edit(&self, zone: &str, change: impl FnOnce(Zone) -> Zone) {
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        let apex = fqdn(zone);
        if let Some(old) = state.zones.get(&apex).and_then(|versions| versions.last()) {
            let mut new = change(Zone::clone(&old.zone));
            new.count_up();
            state.publish(new, now);
        }
    }

    /// The zone that holds `name`, as the server with this index serves it now (0: the primary).
    pub fn zone(&self, server: usize, name: &str) -> Option<Arc<Zone>> {
        self.shared
            .state()
            .zone(server, &fqdn(name), self.shared.clock.now())
    }

    /// The joined TXT values at `name` on the primary.
    pub fn txt(&self, name: &str) -> Vec<String> {
        self.zone(0, name)
            .map(|zone| zone.txt_values(name))
            .unwrap_or_default()
    }

    /// Tells a server (0: the primary, which can only be dead, lame or [`Follow::Now`]) how to
    /// follow from now on.
    pub fn follow(&self, server: usize, follow: Follow) {
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        let apexes: Vec<Name> = state.zones.keys().cloned().collect();
        let frozen = apexes
            .into_iter()
            .filter_map(|apex| Some((apex.clone(), state.zone(server, &apex, now)?)));
        let frozen = frozen.collect();
        if let Some(server) = state.servers.get_mut(server) {
            server.frozen = frozen;
            server.follow = follow;
        }
    }

    /// Accepts updates signed with this key (HMAC-SHA256) from now on; `false` when the name is not
    /// a domain name.
    pub fn add_key(&self, name: &str, secret: &[u8]) -> bool {
        let key = tsig::key(name, secret);
        let known = key.is_some();
        self.shared.state().keys.extend(key);
        known
    }

    /// Forgets all keys: every signed update is answered BADKEY.
    pub fn remove_keys(&self) {
        self.shared.state().keys.clear();
    }

    /// Answers REFUSED, signed, to updates that touch `name`: a key without permission there.
    pub fn refuse_updates_at(&self, name: &str) {
        self.shared.state().refused.insert(fqdn(name));
    }

    /// Performs updates that touch `name` again.
    pub fn allow_updates_at(&self, name: &str) {
        self.shared.state().refused.remove(&fqdn(name));
    }

    /// The next `count` updates are neither performed nor answered.
    pub fn lose_updates(&self, count: u32) {
        self.shared.state().lose_updates = count;
    }

    /// The next `count` updates are performed and not answered.
    pub fn lose_update_answers(&self, count: u32) {
        self.shared.state().lose_answers = count;
    }

    /// How many UPDATE messages arrived so far.
    pub fn updates(&self) -> u64 {
        self.shared.state().updates
    }

    /// How many queries the server with this index has got so far.
    pub fn queries(&self, server: usize) -> u64 {
        self.shared
            .state()
            .servers
            .get(server)
            .map_or(0, |server| server.queries)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The closest zone at or above `name` in the version that `server` serves at `now`.
    fn zone(&self, server: usize, name: &Name, now: Timestamp) -> Option<Arc<Zone>> {
        let server = self.servers.get(server)?;
        let apex = (1..=usize::from(name.num_labels()))
            .rev()
            .map(|labels| name.trim_to(labels))
            .find(|apex| self.zones.contains_key(apex))?;
        match server.follow {
            Follow::Never => server.frozen.get(&apex).cloned(),
            Follow::After(lag) => {
                let seen = now.saturating_sub(lag).unwrap_or(Timestamp::MIN);
                let versions = self.zones.get(&apex)?;
                let version = versions
                    .iter()
                    .rev()
                    .find(|version| version.made <= seen)
                    .or(versions.first())?;
                Some(Arc::clone(&version.zone))
            }
            _ => self
                .zones
                .get(&apex)?
                .last()
                .map(|version| Arc::clone(&version.zone)),
        }
    }

    /// Makes `zone` the newest version and forgets those that no secondary can show any more.
    fn publish(&mut self, zone: Zone, now: Timestamp) {
        let lags = self
            .servers
            .iter()
            .filter_map(|server| match server.follow {
                Follow::After(lag) => Some(lag),
                _ => None,
            });
        let lag = lags.max().unwrap_or_default();
        let oldest = now.saturating_sub(lag).unwrap_or(Timestamp::MIN);
        let versions = self.zones.entry(zone.apex.clone()).or_default();
        versions.push(Version {
            made: now,
            zone: Arc::new(zone),
        });
        let outdated = versions
            .iter()
            .skip(1)
            .take_while(|version| version.made <= oldest)
            .count();
        versions.drain(..outdated);
    }
}

#[cfg(test)]
mod tests;
