//! A substitute for Sectigo Certificate Manager's REST API: the calls about organisations, domains
//! and validations, in the shapes of Sectigo's manual, with every open question as a switch.
//!
//! `book` is what the CA knows, `calls` what each call does to it, `dcv` the validations: it really
//! asks the name servers before it counts a domain. `behaviour` holds the switches, `serve` the
//! HTTP around it, with both logins.

mod asked;
mod behaviour;
mod book;
mod calls;
mod dcv;
mod door;
pub mod kind;
mod serve;
mod ssl;
mod ssl_calls;
mod wire;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

pub use behaviour::{Behaviour, Dates, Delegation, Fault, OrderEnd, Pending, Spelling, What};
pub use serve::Request;
pub use ssl::SslView;

use super::clock::ShiftedClock;
use super::dns::Dns;
use super::service::{self, NameServers, Service};
use crate::clock::Clock;

/// How to start one.
pub struct ScmOptions {
    /// The CA's time.
    pub clock: Arc<ShiftedClock>,
    /// Where to listen; port 0: any.
    pub listen: SocketAddr,
    /// The administrator, who is also the API client of the OAuth login.
    pub user: String,
    /// The password, which is also the secret of the OAuth login.
    pub password: SecretString,
    /// The customer's part of the portal's address.
    pub customer_uri: String,
    /// Id and name of each organisation.
    pub organisations: Vec<(u64, String)>,
    /// The open questions about the real one.
    pub behaviour: Behaviour,
    /// Of all randomness.
    pub seed: u64,
    /// Where the CA checks.
    pub name_servers: NameServers,
}

/// A running CA. Dropping it stops it.
pub struct Scm {
    shared: Arc<Shared>,
    service: Service,
}

impl fmt::Debug for Scm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scm")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

struct Shared {
    clock: Arc<ShiftedClock>,
    name_servers: NameServers,
    /// For the back door.
    dns: OnceLock<Arc<Dns>>,
    login: serve::Account,
    state: Mutex<State>,
}

struct State {
    book: book::Book,
    ssl: ssl::Ssl,
    behaviour: Behaviour,
    faults: Vec<Fault>,
    log: Vec<Request>,
    tokens: Vec<(String, Timestamp)>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Scm {
    /// Starts a CA without domains.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(options: ScmOptions) -> io::Result<Self> {
        let bound = service::bind(options.listen).await?;
        let ssl = ssl::Ssl::new(options.seed, options.clock.now()).map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            clock: options.clock,
            name_servers: options.name_servers,
            dns: OnceLock::new(),
            login: serve::Account {
                user: options.user,
                password: options.password,
                customer_uri: options.customer_uri,
            },
            state: Mutex::new(State {
                ssl,
                book: book::Book::new(options.seed, options.organisations),
                behaviour: options.behaviour,
                faults: Vec::new(),
                log: Vec::new(),
                tokens: Vec::new(),
            }),
        });
        let service = bound.serve(&shared, serve::work);
        Ok(Self { shared, service })
    }

    /// Stops taking connections; calls that are under way are finished. Dropping does the same.
    pub fn stop(&self) {
        self.service.stop();
    }

    /// The base URL of the header login, and of OAuth.
    pub fn url(&self) -> String {
        format!("http://{}/api", self.service.address())
    }

    /// Where the OAuth login fetches its token.
    pub fn token_url(&self) -> String {
        format!("http://{}/token", self.service.address())
    }

    /// Changes switches.
    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.state().behaviour);
    }

    /// Orders a fault.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().faults.push(fault);
    }

    /// All requests since the start or the last [`Scm::clear_log`].
    pub fn log(&self) -> Vec<Request> {
        self.shared.state().log.clone()
    }

    /// How many requests had a path that ends so.
    pub fn count(&self, end: &str) -> usize {
        let state = self.shared.state();
        state
            .log
            .iter()
            .filter(|request| request.path.ends_with(end))
            .count()
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        self.shared.state().log.clear();
    }

    /// Adds a domain of an organisation, as a person does in the portal.
    pub fn add_domain(&self, name: &str, organisation: u64) {
        let mut state = self.shared.state();
        state.book.add(name, organisation, false);
    }

    /// Gives a domain a proof of this age, as if it had been validated then.
    pub fn prove(&self, name: &str, age: SignedDuration) {
        let now = self.shared.now();
        let mut state = self.shared.state();
        if let Some(domain) = state.book.domain_mut(name) {
            domain.validated_at = now.saturating_sub(age).ok();
        }
    }

    /// A person of the level above approves every delegation.
    pub fn approve(&self) {
        self.shared.state().book.approve();
    }

    /// When a domain was validated last.
    pub fn validated_at(&self, name: &str) -> Option<Timestamp> {
        let state = self.shared.state();
        state
            .book
            .domain(name)
            .and_then(|domain| domain.validated_at)
    }

    /// Every order for a certificate, oldest first.
    pub fn orders(&self) -> Vec<SslView> {
        self.shared.seen_orders()
    }

    /// Decides about an order, as a person in the portal does. `None`: the order continues by
    /// itself.
    pub fn decide_order(&self, id: u64, word: Option<&str>) -> bool {
        self.shared.state().ssl.decide(id, word)
    }

    /// The root that its certificates lead to, PEM.
    pub fn root_pem(&self) -> String {
        self.shared.state().ssl.root_pem()
    }

    /// Ends every token of the OAuth login.
    pub fn end_tokens(&self) {
        self.shared.state().tokens.clear();
    }
}
