//! A CA in memory that issues real certificates, for tests of everything above the port: with lost
//! answers, orders that wait, and a record of every call.

mod behaviour;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

pub use self::behaviour::Behaviour;
use super::authority::{Authority, Contents};
use super::issuing::{
    Fetched, Found, Intent, Issuing, Kind, Order, OrderKey, Orders, Preflight, Product, Revocation,
    RevocationRequest, Wanted,
};
use super::{CaError, Client, Failure};
use crate::clock::Clock;
use crate::issuance::OrderState;

/// Its constants.
pub static KIND: Kind = Kind {
    name: "memory",
    has_clients: true,
    validates_in_order: false,
    orders_bring_records: true,
    duplicates: true,
    withdraws: true,
    wants_contact: false,
    takes_term: true,
    takes_fields: true,
    issues_for_mailboxes: true,
    takes_reason: true,
    lists_revoked: true,
};

/// The client of the account.
pub const CLIENT: &str = "cli-memory";
/// How long a call to `submit` may take at most.
const LIMIT: Duration = Duration::from_secs(120);
/// The product that it sells.
pub const PRODUCT: &str = "pma-memory";

/// The fault of a call on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The call never reaches the CA.
    RequestLost,
    /// The CA does what it was asked for, and its answer is lost.
    AnswerLost,
    /// The CA does nothing and says why.
    Refused(Failure, String),
    /// The CA refuses an order because of the one that it comes after.
    NoPredecessor(String),
    /// A read before the call is answered with what cannot be understood.
    Garbled,
}

/// The calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names of the calls say it")]
pub enum Verb {
    Products,
    Preflight,
    Challenges,
    Submit,
    Find,
    Read,
    CheckRecords,
    Fetch,
    Revoke,
    Withdraw,
    Orders,
}

/// An order that the CA holds.
#[derive(Debug, Clone)]
pub struct Held {
    /// The intent of the order.
    pub intent: Intent,
    /// When.
    pub at: Timestamp,
    /// Its outcome, where a test or a call decided it.
    pub decided: Option<OrderState>,
    /// When its certificate began, once it was issued.
    pub issued_at: Option<Timestamp>,
    /// Whether its records were checked.
    pub is_checked: bool,
}

/// A call that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub verb: Verb,
    /// The subject: a tag, an order, a client.
    pub about: String,
}

/// The CA.
pub struct InMemory {
    clock: Arc<dyn Clock>,
    authority: Authority,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    behaviour: Behaviour,
    orders: BTreeMap<String, Held>,
    calls: Vec<Call>,
    ways: Vec<(Verb, Way)>,
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").finish_non_exhaustive()
    }
}

impl InMemory {
    /// A CA without orders.
    ///
    /// # Errors
    /// The keys of the throw-away CA cannot be made.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, String> {
        Ok(Self {
            authority: Authority::new("In-memory", clock.now())?,
            clock,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how it behaves.
    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state().behaviour);
    }

    /// The next call of this kind goes this way.
    pub fn next(&self, verb: Verb, way: Way) {
        self.state().ways.push((verb, way));
    }

    /// What was to go wrong and has not yet does not.
    pub fn forgive(&self) {
        self.state().ways.clear();
    }

    /// Every order, oldest first.
    pub fn held(&self) -> Vec<Held> {
        self.state().orders.values().cloned().collect()
    }

    /// Decides what becomes of every open order.
    pub fn decide(&self, state: &OrderState) {
        let now = self.clock.now();
        let mut all = self.state();
        let behaviour = all.behaviour.clone();
        for held in all.orders.values_mut() {
            if state_of(held, &behaviour, now).is_open() {
                held.decided = Some(state.clone());
            }
        }
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How often a call came.
    pub fn count(&self, verb: Verb) -> usize {
        let state = self.state();
        state.calls.iter().filter(|call| call.verb == verb).count()
    }

    /// The root, PEM.
    pub fn root_pem(&self) -> String {
        self.authority.root_pem()
    }

    fn product(&self) -> Product {
        Product {
            reference: PRODUCT.to_owned(),
            name: "Memory SSL".to_owned(),
            brings_records: self.state().behaviour.brings_records,
            ..Product::default()
        }
    }

    /// Counts a call. Returns the error of a call that never arrives, or whether its answer will be
    /// lost.
    fn come(&self, verb: Verb, about: &str) -> Result<bool, CaError> {
        let at = self.clock.now();
        let mut state = self.state();
        state.calls.push(Call {
            at,
            verb,
            about: about.to_owned(),
        });
        let due = state.ways.iter().position(|(on, _)| *on == verb);
        match due.map(|at| state.ways.remove(at).1) {
            None => Ok(false),
            Some(Way::AnswerLost) => Ok(true),
            Some(Way::RequestLost) => Err(lost(about)),
            Some(Way::Refused(failure, words)) => Err(CaError::new(failure, words)),
            Some(Way::NoPredecessor(words)) => {
                let mut error = CaError::new(Failure::Refused, words);
                error.is_about_predecessor = true;
                Err(error)
            }
            Some(Way::Garbled) => {
                let mut error = CaError::new(Failure::Malformed, "memory: no JSON");
                error.is_of_a_read = true;
                Err(error)
            }
        }
    }

    fn order(&self, reference: &str) -> Result<Order, CaError> {
        let now = self.clock.now();
        let mut state = self.state();
        let behaviour = state.behaviour.clone();
        let held = state
            .orders
            .get_mut(reference)
            .ok_or_else(|| gone(reference))?;
        let mut word = state_of(held, &behaviour, now);
        let waits = behaviour.brings_records && !held.is_checked && held.decided.is_none();
        if waits {
            word = OrderState::AwaitsValidation;
        }
        if word == OrderState::Issued && held.issued_at.is_none() {
            held.issued_at = now.checked_sub(behaviour.backdated).ok();
        }
        let mut order = Order::new(OrderKey::new(reference), word);
        order.words = behaviour
            .words
            .filter(|_| order.state != OrderState::Issued);
        if waits {
            order.challenges = behaviour.wants.challenges;
        }
        order.ordered_at = Some(held.at);
        if let Some(span) = behaviour.goes_on_after.filter(|_| order.state.is_open()) {
            order.next_read_at = held.at.checked_add(span).ok();
        }
        order.product = Some(PRODUCT.to_owned());
        if let Some(from) = held.issued_at {
            order.names = held.intent.subject.names().to_vec();
            order.serial = Some(format!("{:x}", serial(reference)));
            order.ends_at = from.saturating_add(behaviour.life).ok();
        }
        Ok(order)
    }
}

fn state_of(held: &Held, behaviour: &Behaviour, now: Timestamp) -> OrderState {
    match &held.decided {
        Some(state) => state.clone(),
        // Whatever becomes of later ones.
        None if held.issued_at.is_some() => OrderState::Issued,
        None if now.duration_since(held.at) < behaviour.works_for => OrderState::Working,
        None => behaviour.becomes.clone(),
    }
}

/// Orders are counted; so are their serial numbers.
fn serial(reference: &str) -> u32 {
    0x0100_0000
        + reference
            .trim_start_matches("ord-")
            .parse::<u32>()
            .unwrap_or(0)
}

fn lost(about: &str) -> CaError {
    let what = format!("memory: no answer about {about}; it may have taken effect");
    CaError::new(Failure::Unknown, what)
}

fn gone(reference: &str) -> CaError {
    CaError::new(
        Failure::NotFound,
        format!("memory: there is no order {reference}"),
    )
}

#[async_trait]
impl Issuing for InMemory {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn clock_skew(&self) -> Option<SignedDuration> {
        Some(self.state().behaviour.clock_ahead)
    }

    async fn clients(&self) -> Result<Vec<Client>, CaError> {
        Ok(vec![Client {
            reference: CLIENT.to_owned(),
            name: "Memory AG".to_owned(),
        }])
    }

    async fn products(&self, client: &str) -> Result<Vec<Product>, CaError> {
        self.come(Verb::Products, client)?;
        Ok(vec![self.product()])
    }

    async fn preflight(&self, intent: &Intent) -> Result<Preflight, CaError> {
        self.come(Verb::Preflight, &intent.tag)?;
        let products = [PRODUCT, "Memory SSL"];
        let is_lenient = self.state().behaviour.takes_any_letters;
        let is_it = |one: &&str| match is_lenient {
            true => one.eq_ignore_ascii_case(&intent.product),
            false => **one == intent.product,
        };
        if !products.iter().any(is_it) {
            let what = format!("memory: there is no product `{}`", intent.product);
            return Err(CaError::new(Failure::Refused, what));
        }
        Ok(Preflight {
            product: self.product(),
            warnings: Vec::new(),
        })
    }

    async fn challenges(&self, intent: &Intent) -> Result<Wanted, CaError> {
        self.come(Verb::Challenges, &intent.tag)?;
        let behaviour = &self.state().behaviour;
        Ok(match behaviour.brings_records {
            true => Wanted::default(),
            false => behaviour.wants.clone(),
        })
    }

    async fn submit(&self, intent: &Intent) -> Result<Order, CaError> {
        let came = self.come(Verb::Submit, &intent.tag);
        let takes = self.state().behaviour.submit_takes;
        if let Ok(until) = self.clock.now().saturating_add(takes) {
            self.clock.sleep_until(until).await;
        }
        let is_lost = came?;
        let reference = {
            let mut state = self.state();
            let reference = format!("ord-{:06}", state.orders.len() + 1);
            let held = Held {
                intent: intent.clone(),
                at: self.clock.now(),
                decided: None,
                issued_at: None,
                is_checked: false,
            };
            state.orders.insert(reference.clone(), held);
            reference
        };
        if is_lost {
            return Err(lost(&intent.tag));
        }
        let mut order = self.order(&reference)?;
        if self.state().behaviour.garbles_keys {
            order.key.reference = "0".to_owned();
        }
        Ok(order)
    }

    async fn find(&self, intent: &Intent) -> Result<Found, CaError> {
        self.come(Verb::Find, &intent.tag)?;
        let now = self.clock.now();
        let (found, behaviour) = {
            let state = self.state();
            let mut tagged = state.orders.iter().filter(|(_, held)| {
                let own = (&held.intent.tag, held.intent.csr.public_key());
                let is_it = match intent.tag_is_lost {
                    true => own.1 == intent.csr.public_key() && !state.behaviour.hides_keys,
                    false => *own.0 == intent.tag,
                };
                is_it && now.duration_since(held.at) >= state.behaviour.found_after
            });
            let found = tagged.next().map(|(reference, _)| reference.clone());
            (found, state.behaviour.clone())
        };
        let is_listed = found.is_some() && behaviour.lacks_details;
        if is_listed || intent.tag_is_lost && behaviour.hides_keys {
            let next_read_at = now + SignedDuration::from_secs(60);
            return Ok(Found::NotYet { next_read_at });
        }
        if let Some(reference) = found {
            return Ok(Found::Order(Box::new(self.order(&reference)?)));
        }
        Ok(intent.not_found(behaviour.sure_after, LIMIT, now))
    }

    async fn read(&self, key: &OrderKey) -> Result<Order, CaError> {
        self.come(Verb::Read, &key.reference)?;
        match self.state().behaviour.lacks_details {
            true => Err(gone(&key.reference)),
            false => Ok(()),
        }?;
        self.order(&key.reference)
    }

    async fn check_records(&self, key: &OrderKey) -> Result<(), CaError> {
        let is_lost = self.come(Verb::CheckRecords, &key.reference)?;
        let mut state = self.state();
        let held = state.orders.get_mut(&key.reference);
        held.ok_or_else(|| gone(&key.reference))?.is_checked = true;
        (!is_lost).then_some(()).ok_or_else(|| lost(&key.reference))
    }

    async fn fetch(&self, key: &OrderKey) -> Result<Fetched, CaError> {
        if self.come(Verb::Fetch, &key.reference)? {
            return Err(CaError::new(Failure::Unavailable, "memory: no answer"));
        }
        self.order(&key.reference)?;
        let state = self.state();
        let held = state.orders.get(&key.reference);
        let held = held.ok_or_else(|| gone(&key.reference))?;
        let Some(from) = held.issued_at else {
            return Ok(Fetched::NotYet);
        };
        let mut names = held.intent.subject.names().to_vec();
        names.retain(|name| Some(name) != state.behaviour.leaves_out.as_ref());
        let contents = Contents {
            common_name: names.first().cloned(),
            names,
            mailboxes: held.intent.csr.mailboxes().to_vec(),
            from,
            life: state.behaviour.life,
            serial: serial(&key.reference).to_be_bytes().to_vec(),
            issuer_url: None,
        };
        let issued = if state.behaviour.for_another_key {
            self.authority.issue_for_another_key(&contents)
        } else {
            self.authority.issue(&held.intent.csr, &contents)
        };
        let leaf = issued.map_err(|why| CaError::new(Failure::Malformed, why))?;
        // Not in the order of the chain, because no client may rely on the order.
        Ok(Fetched::Certificates(vec![
            self.authority.intermediate(),
            leaf.der,
        ]))
    }

    async fn revoke(&self, key: &OrderKey, _: &RevocationRequest) -> Result<Revocation, CaError> {
        let is_lost = self.come(Verb::Revoke, &key.reference)?;
        let at_once = {
            let mut state = self.state();
            let at_once = state.behaviour.revokes_at_once;
            let held = state.orders.get_mut(&key.reference);
            held.ok_or_else(|| gone(&key.reference))?.decided = Some(OrderState::Revoked);
            at_once
        };
        match is_lost {
            true => Err(lost(&key.reference)),
            false if at_once => Ok(Revocation::Done),
            false => Ok(Revocation::Taken(key.clone())),
        }
    }

    async fn withdraw(&self, key: &OrderKey, _: &str) -> Result<(), CaError> {
        let is_lost = self.come(Verb::Withdraw, &key.reference)?;
        let mut state = self.state();
        let held = state.orders.get_mut(&key.reference);
        held.ok_or_else(|| gone(&key.reference))?.decided = Some(OrderState::Withdrawn);
        (!is_lost).then_some(()).ok_or_else(|| lost(&key.reference))
    }

    async fn orders(&self, client: &str) -> Result<Orders, CaError> {
        self.come(Verb::Orders, client)?;
        let references: Vec<_> = self.state().orders.keys().rev().cloned().collect();
        let orders = references.iter().map(|reference| self.order(reference));
        Ok(Orders {
            orders: orders.collect::<Result<_, _>>()?,
            unreadable: Vec::new(),
        })
    }
}
