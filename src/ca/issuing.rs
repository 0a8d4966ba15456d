//! The port to a CA that issues certificates, in this program's words. Every kind of CA keeps the
//! contract that is written here on the trait; `issuing_conformance` holds each kind to it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::csr::Csr;
use super::{CaError, Client, Failure};
use crate::issuance::{OrderState, RevocationReason};
use crate::prevalidation::Challenge;

/// A certificate authority's interface for ordering certificates, for one account.
///
/// A failure says whether the call may have taken effect ([`CaError::outcome_unknown`]): such a
/// call is never repeated before [`Issuing::find`] (or [`Issuing::read`], after `revoke` and
/// `withdraw`). The implementation repeats only reads by itself, and it remembers nothing but its
/// login: what it says is as fresh as the call that brought it.
///
/// After a call with an effect was answered, nothing that is read turns the outcome into a failure:
/// where a read after it fails, the answer still counts, and `read` tells the rest. An error with
/// [`CaError::is_of_a_read`] is one of a read *before* the effect: then the effect was not tried, and the
/// call is made again. Where the effect has no clear answer, a read may only make it clear; if that read
/// fails, the error is still that of the effect.
#[async_trait]
pub trait Issuing: Send + Sync + fmt::Debug {
    /// The constants of this kind of CA.
    fn kind(&self) -> &'static Kind;

    /// Our clock minus the CA's, as its last answer in this process showed it; `None`: none did.
    fn clock_skew(&self) -> Option<SignedDuration> {
        None
    }

    /// The clients under which the account may order; none where the CA has no clients.
    async fn clients(&self) -> Result<Vec<Client>, CaError>;

    /// What may be ordered for a client. At a CA without clients, or without a catalogue, the list
    /// may be empty although orders are taken.
    async fn products(&self, client: &str) -> Result<Vec<Product>, CaError>;

    /// A free rehearsal: whether the CA would take this order, as far as it tells. It buys nothing.
    /// Every fault that can be found is in the one error ([`Failure::Refused`]).
    ///
    /// The answer names the product by the CA's own key: with it in [`Intent::product`], `submit`
    /// need not search for it again.
    async fn preflight(&self, intent: &Intent) -> Result<Preflight, CaError>;

    /// Whether a refusal says that the CA does not sell the product at all. Where there is a catalogue,
    /// [`Issuing::products`] tells.
    fn is_about_the_product(&self, error: &CaError) -> bool {
        let _ = error;
        false
    }

    /// The records that this order needs in DNS before it is submitted, and the data that the
    /// submission must repeat. Empty where orders depend on domains that were validated in advance.
    /// It buys nothing.
    async fn challenges(&self, intent: &Intent) -> Result<Wanted, CaError> {
        let _ = intent;
        Ok(Wanted::default())
    }

    /// Orders the certificate: the one call that costs money. Never made twice for one
    /// [`Intent::tag`] unless `find` said [`Found::No`] in between. A refusal is in the CA's own
    /// words; any other answer, such as a proxy's page, leaves open whether there is an order.
    async fn submit(&self, intent: &Intent) -> Result<Order, CaError>;

    /// Searches for the order of an intent whose `submit` brought no answer. It is recognised by
    /// its tag or by its public key, never by its names alone. [`Found::No`] is the word that an
    /// order is made again on: an entry that cannot be read and may be the order, or a list that
    /// broke off, is [`Found::NotYet`].
    async fn find(&self, intent: &Intent) -> Result<Found, CaError>;

    /// One order, fresh. [`Failure::NotFound`] is the only proof that the CA does not have it.
    async fn read(&self, key: &OrderKey) -> Result<Order, CaError>;

    /// Asks the CA to check the records of an order, [`Order::challenges`], which every name server
    /// has now. It may be repeated; `read` tells the outcome.
    async fn check_records(&self, key: &OrderKey) -> Result<(), CaError> {
        let _ = key;
        Ok(())
    }

    /// The certificate with the intermediate certificates that the CA sends: DER, in any order,
    /// roots left out. Nothing of it is checked here: the certificate may be for another key, the
    /// chain may be incomplete.
    async fn fetch(&self, key: &OrderKey) -> Result<Fetched, CaError>;

    /// Asks the CA to revoke a certificate. One that is revoked already is a success.
    async fn revoke(
        &self,
        key: &OrderKey,
        request: &RevocationRequest,
    ) -> Result<Revocation, CaError>;

    /// Cancels an order before there is a certificate, where [`Kind::withdraws`].
    async fn withdraw(&self, key: &OrderKey, why: &str) -> Result<(), CaError> {
        let _ = why;
        let what = format!(
            "order {} cannot be withdrawn: the CA's API has no call for it",
            key.reference
        );
        Err(CaError::new(Failure::Refused, what).with_hint("Ask the CA's support, or let it end."))
    }

    /// Every order of a client that the CA shows, newest first where it tells, in as few calls as
    /// it takes. An order missing here is no proof that it does not exist; fields that a list does
    /// not carry are empty.
    async fn orders(&self, client: &str) -> Result<Orders, CaError>;
}

/// The constants of a kind of CA that matter to a decision.
#[derive(Debug)]
pub struct Kind {
    /// `kind = "…"` in the configuration.
    pub name: &'static str,
    /// Whether orders belong to a client of the account.
    pub has_clients: bool,
    /// Whether an order brings its own record for DNS (`challenges`), in place of domains that were
    /// validated in advance. Where that depends on the product, see [`Product::brings_records`].
    pub validates_in_order: bool,
    /// Whether the orders of some product, at least, want records of their own in DNS.
    pub orders_bring_records: bool,
    /// Whether an order can have several certificates at a time, with a key each.
    pub duplicates: bool,
    /// Whether an order can be cancelled.
    pub withdraws: bool,
    /// Whether an order names a contact of the CA's.
    pub wants_contact: bool,
    /// Whether an order may ask for a term, in days.
    pub takes_term: bool,
    /// Whether an order may carry comments, a requester and fields of the customer's own.
    pub takes_fields: bool,
    /// Whether certificates for mailboxes (S/MIME) can be ordered.
    pub issues_for_mailboxes: bool,
    /// Whether a revocation may say why.
    pub takes_reason: bool,
    /// Whether the list of orders tells which of them were revoked; else only each one by itself.
    pub lists_revoked: bool,
}

/// The marks by which an order is found again at the CA.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderKey {
    /// The CA's key for the order: `ord-…`, a number, the number of a job.
    pub reference: String,
    /// The CA's key for the certificate, where it is another one and known already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

impl OrderKey {
    /// The key of an order whose certificate has no other.
    pub fn new(reference: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            certificate: None,
        }
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reference)
    }
}

/// A certificate that is to be ordered. It is written down before it is submitted, and never changes
/// afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// Names this order and no other: letters, digits, `-` and `:`, such as
    /// `prevalidate:4d0c…`. Where the CA keeps it, the order is found by it.
    pub tag: String,
    /// The CA's key for the client; empty where [`Kind::has_clients`] is false.
    pub client: String,
    /// The product: the CA's key for it, or its exact name.
    pub product: String,
    /// The request.
    pub csr: Csr,
    /// For what the certificate is.
    pub subject: Subject,
    /// How long it should be valid, in days.
    pub term: Option<u32>,
    /// A note for people at the CA.
    pub comments: Option<String>,
    /// The mail addresses that the CA tells about the order.
    pub requester: Option<String>,
    /// Fields of the customer's own, by name.
    pub fields: BTreeMap<String, String>,
    /// The person that the CA knows as the contact.
    pub contact: Option<Contact>,
    /// The order that this one comes after, for the same names and product.
    pub after: Option<Predecessor>,
    /// [`Wanted::answer`], once its records are in DNS.
    pub answer: Option<String>,
    /// When `submit` was called, by our clock; none: it was not.
    pub submitted_at: Option<Timestamp>,
    /// When that call ended, or was cut off; none: that is not known. `find` counts from it.
    pub ended_at: Option<Timestamp>,
    /// Whether the tag is not the one that it was submitted with: the store that knew it is lost. Then
    /// `find` goes by the public key alone, and an order with another tag of this program may be it.
    pub tag_is_lost: bool,
}

impl Intent {
    /// The names that a CA may list the order under, each once: some take it from the request, some from
    /// the order. A list by one of them alone is no proof that the order does not exist.
    pub(in crate::ca) fn listed_names(&self) -> Vec<String> {
        let own = self.csr.common_name().map(str::trim);
        // Without one, the first name of the request may be taken in its place.
        let own = own.filter(|name| !name.is_empty());
        let own = own.or_else(|| self.csr.names().first().map(String::as_str));
        let mut names: Vec<String> = Vec::new();
        for name in own.into_iter().chain([self.subject.common_name()]) {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// From when on an empty search shows that the order does not exist: `span` after the call to
    /// `submit` ended or was cut off. Where that is not known, nothing is sure before the time limit
    /// of the call is over. `None`: it was not submitted.
    pub(in crate::ca) fn sure_at(
        &self,
        span: SignedDuration,
        limit: Duration,
    ) -> Option<Timestamp> {
        if let Some(end) = self.ended_at {
            return Some(later(end, span));
        }
        let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
        Some(later(self.submitted_at?, span.max(limit)))
    }

    /// The meaning of an empty search at `now`.
    pub(in crate::ca) fn not_found(
        &self,
        span: SignedDuration,
        limit: Duration,
        now: Timestamp,
    ) -> Found {
        match self.sure_at(span, limit).filter(|&at| at > now) {
            Some(next_read_at) => Found::NotYet { next_read_at },
            None => Found::No,
        }
    }
}

fn later(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}

/// For what a certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// DNS names in lower-case A-labels, `*.` in front for a wildcard. The first is the common name.
    Names(Vec<String>),
    /// A mailbox (S/MIME).
    Mailbox {
        /// The mail address.
        email: String,
        /// The person's first name.
        first_name: Option<String>,
        /// The person's last name.
        last_name: Option<String>,
    },
}

impl Subject {
    /// The DNS names; none for a mailbox.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Names(names) => names,
            Self::Mailbox { .. } => &[],
        }
    }

    /// The common name: the first name, or the mail address.
    pub fn common_name(&self) -> &str {
        match self {
            Self::Names(names) => names.first().map_or("", String::as_str),
            Self::Mailbox { email, .. } => email,
        }
    }
}

/// The order that another one comes after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predecessor {
    /// Its key.
    pub key: OrderKey,
    /// What the new order is to it.
    pub way: Succession,
}

/// What an order is to the one before it. A CA that knows no difference orders again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// The next certificate, for the next period.
    Renewal,
    /// Another certificate with another key within the same period.
    Reissue,
    /// Another certificate beside that of the order, with another key, where [`Kind::duplicates`].
    Duplicate,
}

/// A person that a CA asks about orders. Their data are told to the CA only.
#[derive(Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of an address")]
pub struct Contact {
    pub name: String,
    pub first_name: String,
    pub last_name: String,
    pub organization: Option<String>,
    pub address: Vec<String>,
    pub postal_code: String,
    pub city: String,
    pub country: String,
    pub phone: String,
    pub email: String,
}

/// Only the name of the section: a person's data are in no log.
impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contact")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Something that may be ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Product {
    /// The CA's key for it: `pma-…`, a number, a word.
    pub reference: String,
    /// The CA's name for it.
    pub name: String,
    /// The CA's description.
    pub description: Option<String>,
    /// The terms that may be asked for, as the CA writes them: `365 days`.
    pub terms: Vec<String>,
    /// The keys that it takes, as the CA writes them.
    pub keys: Vec<String>,
    /// Fields that an order must or may carry.
    pub fields: Vec<Field>,
    /// Whether an order for it brings records for DNS, in place of domains that were validated in
    /// advance: the CA names them once it has the order ([`Order::challenges`]).
    pub brings_records: bool,
    /// What blocks an order without people: an approval, a mail, documents.
    pub warnings: Vec<String>,
    /// Why it cannot be ordered by CSR at all: retired, other keys only.
    pub refusal: Option<String>,
}

/// A field of the customer's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Whether an order must carry it.
    pub mandatory: bool,
}

/// The answer to [`Issuing::preflight`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preflight {
    /// The product that is meant.
    pub product: Product,
    /// What may hold the order up although it would be taken.
    pub warnings: Vec<String>,
}

/// The answer to [`Issuing::challenges`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// The records that must be visible before `submit`.
    pub challenges: Vec<Challenge>,
    /// What goes back with the order in [`Intent::answer`]: opaque, no secret.
    pub answer: Option<String>,
}

/// An order as the CA shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Its key. It may learn the certificate's key later: keep the latest.
    pub key: OrderKey,
    /// How far it is.
    pub state: OrderState,
    /// The CA's words on the state, for people: what failed, what it waits for.
    pub words: Option<String>,
    /// When the CA means to continue, where it says so.
    pub next_read_at: Option<Timestamp>,
    /// When it was ordered.
    pub ordered_at: Option<Timestamp>,
    /// The product: key or name.
    pub product: Option<String>,
    /// The names of the certificate, as far as the CA shows them.
    pub names: Vec<String>,
    /// The serial number: lower-case hexadecimal digits without zeros in front.
    pub serial: Option<String>,
    /// When the certificate ends.
    pub ends_at: Option<Timestamp>,
    /// When the paid period ends, where it is another moment.
    pub paid_until: Option<Timestamp>,
    /// Whether the next certificate is a reissue within the paid period.
    pub wants_reissue: bool,
    /// The records that the order wants in DNS now.
    pub challenges: Vec<Challenge>,
}

impl Order {
    /// An order of which only key and state are known.
    pub fn new(key: OrderKey, state: OrderState) -> Self {
        Self {
            key,
            state,
            words: None,
            next_read_at: None,
            ordered_at: None,
            product: None,
            names: Vec::new(),
            serial: None,
            ends_at: None,
            paid_until: None,
            wants_reissue: false,
            challenges: Vec::new(),
        }
    }
}

/// The answer to [`Issuing::find`].
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The CA has it.
    Order(Box<Order>),
    /// The CA does not have it, and would show it by now: it may be submitted again.
    No,
    /// The CA does not show it, and may show it later.
    NotYet {
        /// When to read again.
        next_read_at: Timestamp,
    },
}

/// The answer to [`Issuing::fetch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// DER, in any order, without roots.
    Certificates(Vec<Vec<u8>>),
    /// The CA calls the order issued and has not put the certificate in its place yet.
    NotYet,
}

/// The certificate to revoke, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationRequest {
    /// The serial number of the certificate, hexadecimal.
    pub serial: String,
    /// Why.
    pub reason: RevocationReason,
    /// The person that asks for it, where the CA wants a name.
    pub requestor: String,
    /// A note for people at the CA.
    pub comment: Option<String>,
}

/// The answer to [`Issuing::revoke`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// The CA says that the certificate is revoked.
    Done,
    /// The CA has taken the request: `read` at this key until it says [`OrderState::Revoked`].
    Taken(OrderKey),
}

/// The answer to [`Issuing::orders`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Orders {
    /// All orders that could be read.
    pub orders: Vec<Order>,
    /// Entries that could not be understood, in words.
    pub unreadable: Vec<String>,
}
