//! A substitute for DigiCert CertCentral's Services API: the calls about organisations, domains,
//! their validations and orders, in the shapes of DigiCert's documents, with every open question as
//! a switch.
//!
//! `book` is what the CA knows, `calls` what each call does to it, `dcv` the validations: it really
//! asks the name servers before it counts a domain, when it is told to and by itself. `orders` has
//! the certificates, `order_calls` the calls about them, `order_wire` their shapes, `order_dcv` what
//! they wait for. `behaviour` holds the switches, `serve` the HTTP around it with the key and the two
//! limits on calls.

mod asked;
mod behaviour;
mod book;
mod calls;
mod dcv;
mod door;
pub mod kind;
mod order_calls;
mod order_dcv;
mod order_wire;
mod orders;
mod requests;
mod serve;
mod wire;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

pub use behaviour::{Approval, Behaviour, Dates, Existing, Fault, Rights, Submitted, What};
pub use orders::OrderView;
pub use serve::Request;

use super::clock::ShiftedClock;
use super::dns::Dns;
use super::service::{self, NameServers, Service};
use crate::clock::Clock;

/// How to start one.
pub struct CertCentralOptions {
    /// The CA's time.
    pub clock: Arc<ShiftedClock>,
    /// Where to listen; port 0: any.
    pub listen: SocketAddr,
    /// The key that is accepted.
    pub api_key: SecretString,
    /// Id, name and division of each organisation.
    pub organisations: Vec<(u64, String, String)>,
    /// The open questions about the real one.
    pub behaviour: Behaviour,
    /// Of all randomness.
    pub seed: u64,
    /// Where the CA checks.
    pub name_servers: NameServers,
}

/// A running CA. Dropping it stops it.
pub struct CertCentral {
    shared: Arc<Shared>,
    service: Service,
}

impl fmt::Debug for CertCentral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertCentral")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

struct Shared {
    clock: Arc<ShiftedClock>,
    name_servers: NameServers,
    /// For the back door.
    dns: OnceLock<Arc<Dns>>,
    api_key: SecretString,
    state: Mutex<State>,
}

struct State {
    book: book::Book,
    orders: orders::Orders,
    behaviour: Behaviour,
    faults: Vec<Fault>,
    log: Vec<Request>,
    /// When each call of the last three minutes came.
    calls: Vec<Timestamp>,
    /// How many mails the default method would have sent.
    mails: usize,
    /// Values of orders that were offered for domains.
    offered: Vec<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl CertCentral {
    /// Starts a CA without domains.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(options: CertCentralOptions) -> io::Result<Self> {
        let bound = service::bind(options.listen).await?;
        let now = options.clock.now();
        let orders = orders::Orders::new(options.seed, now).map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            clock: options.clock,
            name_servers: options.name_servers,
            dns: OnceLock::new(),
            api_key: options.api_key,
            state: Mutex::new(State {
                book: book::Book::new(options.seed, options.organisations),
                orders,
                behaviour: options.behaviour,
                faults: Vec::new(),
                log: Vec::new(),
                calls: Vec::new(),
                mails: 0,
                offered: Vec::new(),
            }),
        });
        let service = bound.serve(&shared, serve::work);
        Ok(Self { shared, service })
    }

    /// Stops taking connections; calls that are under way are finished. Dropping does the same.
    pub fn stop(&self) {
        self.service.stop();
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://{}/services/v2", self.service.address())
    }

    /// Changes switches.
    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.state().behaviour);
    }

    /// Orders a fault.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().faults.push(fault);
    }

    /// Cancels the faults that have not struck yet.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// All requests since the start or the last [`CertCentral::clear_log`].
    pub fn log(&self) -> Vec<Request> {
        self.shared.state().log.clone()
    }

    /// How many requests had this method and a path that ends so.
    pub fn count(&self, method: &str, end: &str) -> usize {
        let state = self.shared.state();
        let fits = |request: &&Request| request.method == method && request.path.ends_with(end);
        state.log.iter().filter(fits).count()
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        self.shared.state().log.clear();
    }

    /// How many mails a call without a method has sent.
    pub fn mails(&self) -> usize {
        self.shared.state().mails
    }

    /// Adds a domain of an organisation, as a person does in the portal, and gives its id.
    pub fn add_domain(&self, name: &str, organisation: u64) -> String {
        let mut state = self.shared.state();
        state.book.add(name, organisation).to_string()
    }

    /// Gives a domain a proof of this age, as if it had been validated then.
    pub fn prove(&self, name: &str, age: SignedDuration) {
        let now = self.shared.now();
        self.edit(name, |domain| {
            domain.approved_at = now.saturating_sub(age).ok()
        });
    }

    /// A colleague submits a domain in the portal. The random value.
    pub fn submit_in_portal(&self, name: &str) -> Option<String> {
        let now = self.shared.now();
        dcv::submit(&mut self.shared.state(), name, "dns-txt-token", now)
    }

    /// An order of the portal gets a random value, which counts for its domain as well.
    pub fn order_value(&self, name: &str) -> Option<String> {
        let now = self.shared.now();
        let mut state = self.shared.state();
        let value = state.book.value(false);
        let domain = state.book.named_mut(name)?;
        domain.values.push(book::Value::new(&value, now, true));
        Some(value)
    }

    /// Lets the CA check by itself now. Whether it counts the domain.
    pub async fn check_now(&self, name: &str) -> bool {
        dcv::check_dns(&self.shared, name).await
    }

    /// Switches a domain off, as a person does in the portal.
    pub fn deactivate(&self, name: &str) {
        self.edit(name, |domain| domain.is_active = false);
    }

    /// When a domain was validated last.
    pub fn validated_at(&self, name: &str) -> Option<Timestamp> {
        let state = self.shared.state();
        state.book.named(name)?.approved_at
    }

    /// The random value of a domain.
    pub fn value_of(&self, name: &str) -> Option<String> {
        let state = self.shared.state();
        let value = state.book.named(name)?.value()?;
        Some(value.text.clone())
    }

    /// The values of orders that were offered for domains by mistake.
    pub fn offered(&self) -> Vec<String> {
        self.shared.state().offered.clone()
    }

    /// The names of all domains.
    pub fn names(&self) -> Vec<String> {
        let state = self.shared.state();
        state
            .book
            .domains()
            .iter()
            .map(|one| one.name.clone())
            .collect()
    }

    /// Every order for a certificate, oldest first.
    pub fn orders(&self) -> Vec<OrderView> {
        let state = self.shared.state();
        state.orders.views(&state.behaviour)
    }

    /// Decides about an order, as a person at the CA does. `None`: the order continues by itself.
    pub fn decide_order(&self, id: u64, word: Option<&str>) -> bool {
        let mut state = self.shared.state();
        let order = state.orders.order_mut(id);
        order
            .map(|order| order.decided = word.map(str::to_owned))
            .is_some()
    }

    /// The ids of the requests that are not decided yet, the oldest first.
    pub fn open_requests(&self) -> Vec<u64> {
        let state = self.shared.state();
        let all = state.orders.requests.values();
        let open = all.filter(|request| request.status == "pending");
        open.map(|request| request.id).collect()
    }

    /// An administrator approves or rejects one request.
    pub fn decide_request(&self, id: u64, approves: bool) {
        let now = self.shared.now();
        let orders = &mut self.shared.state().orders;
        orders.decide(|request| request.id == id, approves, now);
    }

    /// An administrator approves or rejects every request that is open.
    pub fn decide_requests(&self, approves: bool) {
        let now = self.shared.now();
        self.shared.state().orders.decide(|_| true, approves, now);
    }

    /// The random value of an order.
    pub fn value_of_order(&self, id: u64) -> Option<String> {
        let state = self.shared.state();
        let value = state.orders.order(id)?.value.as_ref();
        value.map(|value| value.text.clone())
    }

    /// The root that its certificates lead to, PEM.
    pub fn root_pem(&self) -> String {
        self.shared.state().orders.root_pem()
    }

    fn edit(&self, name: &str, change: impl FnOnce(&mut book::Domain)) {
        if let Some(domain) = self.shared.state().book.named_mut(name) {
            change(domain);
        }
    }
}
