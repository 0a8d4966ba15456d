//! A substitute for the SwissSign RA API: the same calls, shapes and checks, on loopback, with
//! every open question as a switch and every fault on order.
//!
//! [`book`] is what the CA knows, [`calls`] what each call does to it, [`check`] how it checks DNS:
//! it really asks the name servers. [`behaviour`] holds switches and faults, [`serve`] the HTTP
//! around it, [`admin`] the back door.

mod admin;
mod asked;
mod auth;
mod behaviour;
mod book;
mod calls;
pub mod kind;
mod log;
mod order_calls;
mod orders;
mod persist;
mod products;
mod serve;
mod wire;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::time::Instant;

pub use admin::REQUESTS;
pub use behaviour::{
    Behaviour, CaaCheck, Call, ChainOrder, Fault, Known, Reading, Refusal, SubmitFault, Unproven,
    What,
};
pub use book::{Lifetimes, published_lifetimes};
pub use log::Request;
pub use orders::OrderView;
pub use persist::Recheck;
pub use wire::ClientDns;

use super::caa::{self, Rules, Source, Subject};
use super::check;
use super::clock::ShiftedClock;
use super::dns::Dns;
use super::service::{self, NameServers, Service};
use crate::clock::Clock;

/// How to start a CA.
pub struct CaOptions {
    /// The CA's time.
    pub clock: Arc<ShiftedClock>,
    /// Where to listen; port 0: any.
    pub listen: SocketAddr,
    /// The service account.
    pub user: String,
    /// Its API key, 64 characters.
    pub api_key: SecretString,
    /// Names of the clients that the account may use.
    pub clients: Vec<String>,
    /// How proofs end.
    pub lifetimes: Lifetimes,
    /// The open questions about the real one.
    pub behaviour: Behaviour,
    /// Of all randomness: references, tokens, order, perspectives.
    pub seed: u64,
    /// Where the CA checks.
    pub name_servers: NameServers,
    /// What the back door moves as `/_sandbox/dns`.
    pub dns: Option<Arc<Dns>>,
}

/// A running CA. Dropping it stops it.
pub struct Ca {
    shared: Arc<Shared>,
    service: Service,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

struct Shared {
    clock: Arc<ShiftedClock>,
    name_servers: NameServers,
    dns: Option<Arc<Dns>>,
    seed: u64,
    state: Mutex<State>,
}

struct State {
    account: auth::Account,
    book: book::Book,
    orders: orders::Orders,
    persistent: persist::Watched,
    behaviour: Behaviour,
    faults: behaviour::Faults,
    log: log::Log,
    /// The beginning of the present second of the call limit, and the calls in it.
    second: Option<(Instant, u32)>,
}

impl Ca {
    /// Starts a CA without domains.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(options: CaOptions) -> io::Result<Self> {
        let bound = service::bind(options.listen).await?;
        let mut book = book::Book::new(options.seed, options.lifetimes);
        for name in &options.clients {
            book.add_client(name, true);
        }
        let orders = orders::Orders::new(options.seed, options.clock.now());
        let state = State {
            orders: orders.map_err(io::Error::other)?,
            account: auth::Account::new(options.user, options.api_key),
            book,
            persistent: persist::Watched::default(),
            behaviour: options.behaviour,
            faults: behaviour::Faults::default(),
            log: log::Log::default(),
            second: None,
        };
        let CaOptions {
            clock,
            name_servers,
            dns,
            seed,
            ..
        } = options;
        let shared = Arc::new(Shared {
            clock,
            name_servers,
            dns,
            seed,
            state: Mutex::new(state),
        });
        let service = bound.serve(&shared, serve::work);
        Ok(Self { shared, service })
    }

    /// Stops taking connections; calls that are under way are finished. Dropping does the same.
    pub fn stop(&self) {
        self.service.stop();
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// The base URL, without `/v2`.
    pub fn url(&self) -> String {
        format!("http://{}", self.service.address())
    }

    /// The CA's time.
    pub fn clock(&self) -> &ShiftedClock {
        &self.shared.clock
    }

    /// Changes switches.
    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.state().behaviour);
    }

    /// Orders a fault.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().faults.add(fault);
    }

    /// Whether a fault has not struck yet. One that delays a call strikes when the call arrives.
    pub fn has_faults(&self) -> bool {
        !self.shared.state().faults.pending().is_empty()
    }

    /// Cancels the faults that have not struck yet.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// All requests since the start or the last [`Ca::clear_log`].
    pub fn log(&self) -> Vec<Request> {
        self.shared.state().log.requests().cloned().collect()
    }

    /// How many calls of a kind came since the start or the last [`Ca::clear_log`].
    pub fn count(&self, call: Call) -> u64 {
        self.shared
            .state()
            .log
            .counts()
            .get(&call)
            .copied()
            .unwrap_or(0)
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        self.shared.state().log.clear();
    }

    /// One more client, its reference; without permission every use of it is answered 403.
    pub fn add_client(&self, name: &str, permitted: bool) -> String {
        self.shared.state().book.add_client(name, permitted)
    }

    /// References and names of all clients.
    pub fn clients(&self) -> Vec<(String, String)> {
        let state = self.shared.state();
        state
            .book
            .clients()
            .map(|(reference, client)| (reference.clone(), client.name.clone()))
            .collect()
    }

    /// Registers names as a colleague would in the portal; how many the client got from it.
    pub fn register(&self, client: &str, names: &[String]) -> usize {
        let now = self.shared.now();
        let mut state = self.shared.state();
        let behaviour = Behaviour {
            bad_name_fails_batch: false,
            ..state.behaviour.clone()
        };
        state
            .book
            .register(client, names, &behaviour, now)
            .map_or(0, |registered| registered.len())
    }

    /// The domain with this name (A-labels) as the API shows it now.
    pub fn domain(&self, name: &str) -> Option<ClientDns> {
        let (now, state) = (self.shared.now(), self.shared.state());
        state
            .book
            .find(name)
            .map(|domain| state.book.view(domain, &state.behaviour, now))
    }

    /// Checks for `value` at `name` (A-labels) as `validate` does, and changes nothing. `Ok` when
    /// it is seen; the CA's words.
    ///
    /// # Errors
    /// The words of a CA that does not see it.
    pub async fn check(&self, name: &str, value: &str) -> Result<String, String> {
        self.shared.check(name, value, 0).await
    }

    /// Asks DNS whether CAA lets this CA issue for `name` (A-labels, without `*.`), and changes
    /// nothing.
    ///
    /// # Errors
    /// Why it does not, in the CA's words.
    pub async fn caa(&self, name: &str, subject: Subject) -> Result<(), String> {
        self.shared.caa(name, subject).await
    }

    /// Validates a domain, as the call `validate` does; the CA's words.
    ///
    /// # Errors
    /// The words of a CA that does not validate it.
    pub async fn validate(&self, name: &str) -> Result<(), String> {
        let domain = self.domain(name).ok_or("it is not registered")?;
        calls::validate_now(&self.shared, &domain.uuid).await
    }

    /// Validates a domain by its persistent record from now on, again and again, as a person orders
    /// it in the portal. The result of the first check.
    ///
    /// # Errors
    /// There is no such domain, or the CA does not find the record.
    pub async fn watch_persistent(&self, name: &str) -> Result<(), String> {
        self.shared.watch(name).await
    }

    /// Checks the persistent records that are due, and says what all checks so far have shown.
    pub async fn rechecks(&self) -> Vec<Recheck> {
        self.shared.recheck().await;
        self.shared.state().persistent.checks().to_vec()
    }

    /// Ends the proof of a domain now. `false`, here and below: there is no such domain.
    pub fn expire(&self, name: &str) -> bool {
        self.by_hand(name, |book, reference, now| book.expire(reference, now))
    }

    /// Deletes a domain, as a colleague would in the portal.
    pub fn delete(&self, name: &str) -> bool {
        self.by_hand(name, |book, reference, _| drop(book.delete(reference)))
    }

    /// Gives a domain a new token, as a colleague would in the portal.
    pub fn reset_token(&self, name: &str) -> bool {
        let behaviour = self.shared.state().behaviour.clone();
        self.by_hand(name, |book, reference, now| {
            drop(book.reset_token(reference, &behaviour, now))
        })
    }

    /// Makes the token of a domain so old.
    pub fn set_token_age(&self, name: &str, age: SignedDuration) -> bool {
        self.by_hand(name, |book, reference, now| {
            book.set_token_age(reference, age, now)
        })
    }

    /// Makes a domain validated at that time, with its token used up.
    pub fn set_validated(&self, name: &str, at: Timestamp) -> bool {
        self.by_hand(name, |book, reference, _| book.set_validated(reference, at))
    }

    /// Every order, oldest first.
    pub fn orders(&self) -> Vec<OrderView> {
        self.shared.seen_orders()
    }

    /// Decides about an order, as a person in the portal does.
    pub fn decide_order(&self, reference: &str, status: &str) -> bool {
        self.shared.state().orders.decide(reference, status)
    }

    /// Names and keys of the products.
    pub fn products(&self) -> Vec<(String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let state = self.shared.state();
        let products = state.orders.products().iter();
        products
            .map(|one| (text(&one["productName"]), text(&one["uuid"])))
            .collect()
    }

    /// The root that its certificates lead to, PEM.
    pub fn root_pem(&self) -> String {
        self.shared.state().orders.root_pem()
    }

    /// A new API key; the old one stays good for 7 days.
    pub fn renew_key(&self, key: SecretString) {
        let now = self.shared.now();
        self.shared.state().account.renew_key(key, now);
    }

    /// Another API key; the old one is refused at once.
    pub fn replace_key(&self, key: SecretString) {
        self.shared.state().account.replace_key(key);
    }

    fn by_hand(&self, name: &str, act: impl FnOnce(&mut book::Book, &str, Timestamp)) -> bool {
        let (now, mut state) = (self.shared.now(), self.shared.state());
        let reference = state.book.find(name).map(|domain| domain.reference.clone());
        if let Some(reference) = &reference {
            act(&mut state.book, reference, now);
        }
        reference.is_some()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether CAA lets this CA issue, whatever `caa` says about when it asks.
    async fn caa(&self, name: &str, subject: Subject) -> Result<(), String> {
        let is_persistent = self.state().persistent.watches(name);
        self.caa_after(name, subject, is_persistent).await
    }

    /// The same after a validation by the persistent record, or by a random value.
    async fn caa_after(
        &self,
        name: &str,
        subject: Subject,
        is_persistent: bool,
    ) -> Result<(), String> {
        let (behaviour, now) = (self.state().behaviour.clone(), self.now());
        // The account that persistent records name.
        let persistent = behaviour
            .persistent_accounts
            .iter()
            .filter(|_| is_persistent);
        let accounts = behaviour.caa_accounts.iter().chain(persistent);
        let accounts: Vec<String> = accounts.cloned().collect();
        let rules = Rules {
            names: &behaviour.caa_names,
            accounts: &accounts,
            methods: match is_persistent {
                true => ["ca-tbr-22", "dns-persist-01"],
                false => ["ca-tbr-7", "dns-01"],
            },
            is_lenient: behaviour.caa_lenient,
            parameters_bind: now >= behaviour.caa_from,
        };
        let source = match behaviour.resolvers.is_empty() {
            true => Source::Servers(&*self.name_servers),
            false => Source::Resolvers(&behaviour.resolvers),
        };
        caa::check(name, subject, &source, &rules).await
    }

    /// The `nth` check of a name. Without resolvers its number chooses the server of each
    /// perspective.
    async fn check(&self, name: &str, value: &str, nth: u64) -> Result<String, String> {
        self.check_for(name, check::Data::Txt(value), nth).await
    }

    async fn check_for(
        &self,
        name: &str,
        data: check::Data<'_>,
        nth: u64,
    ) -> Result<String, String> {
        let behaviour = self.state().behaviour.clone();
        let may_fail = behaviour.perspective_failures;
        if behaviour.resolvers.is_empty() {
            let perspectives = check::Perspectives {
                count: behaviour.perspectives,
                may_fail,
                seed: self.seed.wrapping_add(nth),
            };
            return check::check(name, data, &(self.name_servers)(name), perspectives).await;
        }
        check::check_through(name, data, &behaviour.resolvers, may_fail).await
    }
}

impl State {
    /// Lets a call in: the fault it meets, how long it is held up, and whether it is one too many
    /// in this second.
    fn admit(&mut self, call: Call) -> (Option<What>, Duration, bool) {
        let now = Instant::now();
        let begun = self
            .second
            .filter(|(start, _)| now.duration_since(*start) < Duration::from_secs(1));
        let (start, calls) = begun.map_or((now, 1), |(start, calls)| (start, calls + 1));
        self.second = Some((start, calls));
        let limit = self.behaviour.calls_per_second;
        (
            self.faults.next(call),
            Duration::from_millis(self.behaviour.latency_ms),
            limit > 0 && calls > limit,
        )
    }
}

#[cfg(test)]
mod tests;
