//! A substitute for InterNetX' Domainrobot JSON API, as far as certificates go: contacts, the
//! rehearsal, orders as jobs, their history, the queue of messages. Every open question is a switch.
//!
//! `book` is what it knows, `calls` what each call does, `behaviour` the switches, `serve` the HTTP
//! around it. It really asks the name servers for the record of an order.

mod asked;
mod behaviour;
mod book;
mod calls;
mod contacts;
mod door;
pub mod kind;
mod serve;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use secrecy::SecretString;

pub use behaviour::{Behaviour, Fault, Lines, Nothing, What};
pub use book::JobView;
pub use serve::Request;

use super::clock::ShiftedClock;
use super::dns::Dns;
use super::service::{self, NameServers, Service};
use crate::clock::Clock;

/// How to start one.
pub struct RobotOptions {
    /// Its time.
    pub clock: Arc<ShiftedClock>,
    /// Where to listen; port 0: any.
    pub listen: SocketAddr,
    /// The user.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// The context.
    pub context: u32,
    /// The open questions about the real one.
    pub behaviour: Behaviour,
    /// Of all randomness.
    pub seed: u64,
    /// The name servers that it asks.
    pub name_servers: NameServers,
}

/// A running one. Dropping it stops it.
pub struct Robot {
    shared: Arc<Shared>,
    service: Service,
}

impl fmt::Debug for Robot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Robot")
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
    behaviour: Behaviour,
    faults: Vec<Fault>,
    log: Vec<Request>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Robot {
    /// Starts one without orders.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(options: RobotOptions) -> io::Result<Self> {
        let bound = service::bind(options.listen).await?;
        let book = book::Book::new(options.seed, options.clock.now());
        let mut book = book.map_err(io::Error::other)?;
        book.issuer_url = format!("http://{}/issuer.der", bound.address());
        let shared = Arc::new(Shared {
            clock: options.clock,
            name_servers: options.name_servers,
            dns: OnceLock::new(),
            login: serve::Account {
                user: options.user,
                password: options.password,
                context: options.context,
            },
            state: Mutex::new(State {
                book,
                behaviour: options.behaviour,
                faults: Vec::new(),
                log: Vec::new(),
            }),
        });
        let service = bound.serve(&shared, serve::work);
        Ok(Self { shared, service })
    }

    /// Stops taking connections. Dropping does the same.
    pub fn stop(&self) {
        self.service.stop();
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.service.address())
    }

    /// Changes switches.
    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.state().behaviour);
    }

    /// Orders a fault.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().faults.push(fault);
    }

    /// All requests since the start.
    pub fn log(&self) -> Vec<Request> {
        self.shared.state().log.clone()
    }

    /// The most requests that came within any second.
    pub fn busiest_second(&self) -> usize {
        let state = self.shared.state();
        let times: Vec<_> = state.log.iter().map(|one| one.at).collect();
        let within = |start: &std::time::Instant| {
            let calls = times.iter().filter(|at| {
                **at >= *start && at.duration_since(*start) < std::time::Duration::from_secs(1)
            });
            calls.count()
        };
        times.iter().map(within).max().unwrap_or(0)
    }

    /// How many contacts there are.
    pub fn contacts(&self) -> usize {
        self.shared.state().book.contacts.len()
    }

    /// Every job, oldest first.
    pub fn jobs(&self) -> Vec<JobView> {
        self.shared.state().book.views()
    }

    /// Puts a message about something else at the end of the queue.
    pub fn add_foreign_message(&self) {
        self.shared.state().book.add_message(None);
    }

    /// How many messages wait in the queue.
    pub fn messages(&self) -> usize {
        self.shared.state().book.messages.len()
    }

    /// The owner of the mailbox opens the link; or a person decides otherwise.
    pub fn decide(&self, job: u64, status: &str) {
        self.shared.state().book.decide(job, status);
    }

    /// The root that its certificates lead to, PEM.
    pub fn root_pem(&self) -> String {
        self.shared.state().book.authority.root_pem()
    }
}
