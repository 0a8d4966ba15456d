//! Ordering certificates at Sectigo Certificate Manager: enrolled with the names as a list (SCM
//! ignores those of the request), read until issued, collected.
//!
//! Enrolling is not idempotent and no call carries a key of ours, so the tag is in `comments`:
//! after a lost answer the order is searched for by its common name, and known by its tag or its
//! key.

mod find;
mod products;
mod revoke;
mod wire;

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::Sectigo;
use super::error::{ApiError, Endpoint};
use super::organisations::is_id;
use crate::ca::csr::{self, Sight};
use crate::ca::http::answer::Answer;
use crate::ca::http::redact::clean;
use crate::ca::http::{Body, Call, Kind};
use crate::ca::issuing::{
    self, Fetched, Found, Intent, Issuing, Order, OrderKey, Orders, Predecessor, Preflight,
    Product, Revocation, RevocationRequest, Succession,
};
use crate::ca::{CaError, Client, Failure};
use crate::issuance::OrderState;

/// The constants of orders at Sectigo.
pub(super) static KIND: issuing::Kind = issuing::Kind {
    name: "sectigo",
    has_clients: true,
    validates_in_order: false,
    orders_bring_records: false,
    duplicates: false,
    withdraws: true,
    wants_contact: false,
    takes_term: true,
    takes_fields: true,
    issues_for_mailboxes: false,
    takes_reason: true,
    lists_revoked: true,
};

/// What `comments` may hold.
const COMMENTS: usize = 1024;
/// What `externalRequester` may hold.
const REQUESTER: usize = 512;
/// Codes of a certificate that is not ready yet, at `collect` only.
const PENDING: [i64; 5] = [0, -103, -109, -183, -1400];
/// Codes at the call that renews or replaces an order which are about that order: there is no such one,
/// its certificate is revoked, or its state does not allow it.
const NO_PREDECESSOR: [i64; 9] = [-102, -110, -124, -130, -159, -192, -1112, -1113, -5101];
/// The text before the serial number of a certificate that is to be replaced.
const NOT: &str = "not:";
/// From then on, after the end of the call, an empty search shows that the order does not exist.
const SURE_AFTER: SignedDuration = SignedDuration::from_secs(60);

#[async_trait]
impl Issuing for Sectigo {
    fn kind(&self) -> &'static issuing::Kind {
        &KIND
    }

    fn clock_skew(&self) -> Option<SignedDuration> {
        self.http.clock_skew()
    }

    async fn clients(&self) -> Result<Vec<Client>, CaError> {
        self.organisations().await
    }

    async fn products(&self, client: &str) -> Result<Vec<Product>, CaError> {
        let profiles = self.profiles(client).await?;
        let fields = self.custom_fields().await?;
        let products = profiles.iter().map(|profile| Product {
            fields: fields.clone(),
            ..profile.product()
        });
        Ok(products.collect())
    }

    async fn preflight(&self, intent: &Intent) -> Result<Preflight, CaError> {
        let profile = self.profile(intent).await?;
        let fields = self.custom_fields().await?;
        let mut faults = profile.faults(intent);
        let missing = fields
            .iter()
            .filter(|field| field.mandatory && !intent.fields.contains_key(&field.name));
        faults.extend(missing.map(|field| format!("the field `{}` is missing", field.name)));
        let unknown = intent
            .fields
            .keys()
            .filter(|name| !fields.iter().any(|field| field.name == **name));
        faults.extend(unknown.map(|name| format!("there is no field `{}`", clean(name))));
        if comments(intent).len() > COMMENTS {
            faults.push(format!("the comments have more than {COMMENTS} characters"));
        }
        if intent
            .requester
            .as_ref()
            .is_some_and(|one| one.len() > REQUESTER)
        {
            faults.push(format!(
                "the requester has more than {REQUESTER} characters"
            ));
        }
        let product = Product {
            fields,
            ..profile.product()
        };
        if faults.is_empty() {
            return Ok(Preflight {
                product,
                warnings: Vec::new(),
            });
        }
        let call = Call::new(
            Kind::Read,
            "order",
            clean(intent.subject.common_name()),
            &[],
        );
        Err(self.http.error(Failure::Refused, &call, &faults.join("; ")))
    }

    async fn submit(&self, intent: &Intent) -> Result<Order, CaError> {
        match &intent.after {
            Some(Predecessor {
                key,
                way: Succession::Renewal,
            }) => self.renew(intent, key).await,
            Some(Predecessor {
                key,
                way: Succession::Reissue,
            }) => self.replace(intent, key).await,
            Some(Predecessor {
                way: Succession::Duplicate,
                ..
            }) => {
                let call = Call::new(
                    Kind::Order,
                    "order",
                    clean(intent.subject.common_name()),
                    &[],
                );
                let why = "Sectigo makes no duplicates here";
                Err(self.http.error(Failure::Refused, &call, why))
            }
            None => self.enroll(intent).await,
        }
    }

    async fn find(&self, intent: &Intent) -> Result<Found, CaError> {
        self.found(intent).await
    }

    async fn read(&self, key: &OrderKey) -> Result<Order, CaError> {
        let details = self.details("read the order", key).await?;
        Ok(self.seen(key, &details))
    }

    async fn fetch(&self, key: &OrderKey) -> Result<Fetched, CaError> {
        let path = ["ssl", "v1", "collect", &key.reference];
        let verb = "collect the certificate of";
        let mut call = Call::new(Kind::Read, verb, clean(&key.reference), &path).by_get();
        self.check(&key.reference, &call)?;
        // The default is PKCS #7. Whatever the format, the order of the chain is not relied on.
        call.query = vec![("format", "x509".to_owned())];
        call.accept = Some("*/*");
        let (answer, refused) = self.answer(Endpoint::Collect, &call).await?;
        if let Some(error) = refused {
            let code = ApiError::read(&answer.body).and_then(|said| said.code);
            return match code {
                Some(code) if PENDING.contains(&code) => Ok(Fetched::NotYet),
                _ => Err(error),
            };
        }
        if answer.body.trim().is_empty() {
            return Ok(Fetched::NotYet);
        }
        let malformed = |why: &str| self.http.error(Failure::Malformed, &call, why);
        if answer.is_page() {
            return Err(malformed("a page in place of a certificate"));
        }
        let mut found = csr::certificates(&answer.body)
            .map_err(|why| malformed(&format!("the answer {why}")))?;
        csr::without_roots(&mut found);
        let replaced = key
            .certificate
            .as_deref()
            .and_then(|old| old.strip_prefix(NOT));
        let is_old = |der: &Vec<u8>| {
            Sight::of(der).is_ok_and(|sight| replaced.is_some_and(|old| sight.serial == old))
        };
        if found.iter().any(is_old) {
            return Ok(Fetched::NotYet);
        }
        Ok(Fetched::Certificates(found))
    }

    async fn revoke(
        &self,
        key: &OrderKey,
        request: &RevocationRequest,
    ) -> Result<Revocation, CaError> {
        self.revocation(key, request).await
    }

    async fn withdraw(&self, key: &OrderKey, why: &str) -> Result<(), CaError> {
        let path = ["ssl", "v1", "decline", &key.reference];
        let mut call = Call::new(Kind::Effect, "decline", clean(&key.reference), &path);
        self.check(&key.reference, &call)?;
        let why = if why.trim().is_empty() {
            "withdrawn"
        } else {
            why
        };
        call.body = Body::Json(json!({"message": why.chars().take(512).collect::<String>()}));
        self.call(Endpoint::Ssl, &call).await.map(drop)
    }

    async fn orders(&self, client: &str) -> Result<Orders, CaError> {
        let (rows, broken) = self
            .rows("list the orders of organisation", client, Vec::new())
            .await?;
        let mut listed = Orders::default();
        if broken > 0 {
            let words = format!("{broken} entries cannot be read");
            listed.unreadable.push(words);
        }
        for row in &rows {
            match wire::row(row) {
                Ok(order) => listed.orders.push(order),
                Err(why) => listed.unreadable.push(why),
            }
        }
        self.mark_revoked(client, &mut listed).await?;
        listed
            .orders
            .sort_by_key(|order| std::cmp::Reverse(number(&order.key)));
        Ok(listed)
    }
}

impl Sectigo {
    /// Rows have no state: the revoked ones are those that the list shows when it is asked for them.
    async fn mark_revoked(&self, client: &str, listed: &mut Orders) -> Result<(), CaError> {
        let is_issued = |order: &Order| order.state == OrderState::Issued;
        if !listed.orders.iter().any(is_issued) {
            return Ok(());
        }
        let wanted = vec![("status", "Revoked".to_owned())];
        let verb = "list the revoked orders of organisation";
        let (rows, _) = self.rows(verb, client, wanted).await?;
        let rows = rows.iter().filter_map(|row| wire::row(row).ok());
        let revoked: BTreeSet<String> = rows.map(|order| order.key.reference).collect();
        let mut found = listed.orders.iter_mut();
        let Some(first) = found.find(|order| revoked.contains(&order.key.reference)) else {
            return Ok(());
        };
        // A list that takes no notice of the question shows all orders.
        let details = self.details("read the order", &first.key).await?;
        if wire::details(first.key.clone(), &details).state != OrderState::Revoked {
            let words = "which orders are revoked is not known: SCM's list does not tell";
            listed.unreadable.push(words.to_owned());
            return Ok(());
        }
        let revoked = |order: &&mut Order| revoked.contains(&order.key.reference);
        for order in listed.orders.iter_mut().filter(revoked) {
            order.state = OrderState::Revoked;
        }
        Ok(())
    }

    async fn enroll(&self, intent: &Intent) -> Result<Order, CaError> {
        let profile = match (is_id(&intent.product), intent.term) {
            (true, Some(term)) => (intent.product.clone(), term),
            _ => {
                let profile = self.profile(intent).await?;
                let term = intent.term.or_else(|| profile.longest_term());
                let call = Call::new(
                    Kind::Read,
                    "order",
                    clean(intent.subject.common_name()),
                    &[],
                );
                let term = term.ok_or_else(|| {
                    let why = "the product names no term; set `term`";
                    self.http.error(Failure::Refused, &call, why)
                })?;
                (profile.id.clone(), term)
            }
        };
        let path = ["ssl", "v1", "enroll"];
        let mut call = Call::new(
            Kind::Order,
            "order",
            clean(intent.subject.common_name()),
            &path,
        );
        let number = |text: &str| {
            text.parse::<u64>()
                .map_or(json!(text), |number| json!(number))
        };
        let mut body = json!({
            "orgId": number(&intent.client),
            "csr": intent.csr.pem(),
            "certType": number(&profile.0),
            "term": profile.1,
            "comments": comments(intent),
        });
        let names = intent.subject.names();
        // One name is in the request's subject already, and profiles for one name take no list.
        if names.len() > 1 || intent.csr.common_name() != names.first().map(String::as_str) {
            body["subjAltNames"] = json!(names.join(","));
        }
        if let Some(requester) = &intent.requester {
            body["externalRequester"] = json!(requester);
        }
        if !intent.fields.is_empty() {
            let fields = intent.fields.iter();
            let fields: Vec<_> = fields
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
            body["customFields"] = json!(fields);
        }
        call.body = Body::Json(body);
        let answer = self.call(Endpoint::Ssl, &call).await?;
        self.submitted(&call, &answer)
    }

    /// The next certificate for the same names and profile. The request is sent, so that the key is
    /// a new one; comments cannot be sent.
    async fn renew(&self, intent: &Intent, key: &OrderKey) -> Result<Order, CaError> {
        let path = ["ssl", "v1", "renewById", &key.reference];
        let mut call = Call::new(Kind::Order, "renew", clean(&key.reference), &path);
        self.check(&key.reference, &call)?;
        call.body = Body::Json(json!({"csr": intent.csr.pem()}));
        let answer = self.succeeds(&call).await?;
        self.submitted(&call, &answer)
    }

    /// Makes a call for an order that comes after another one.
    async fn succeeds(&self, call: &Call<'_>) -> Result<Answer, CaError> {
        let (answer, refused) = self.answer(Endpoint::Ssl, call).await?;
        let Some(mut error) = refused else {
            return Ok(answer);
        };
        let code = ApiError::read(&answer.body).and_then(|said| said.code);
        let is_about_it = code.is_some_and(|code| NO_PREDECESSOR.contains(&code));
        error.is_about_predecessor = is_about_it && !error.outcome_unknown();
        Err(error)
    }

    /// Another certificate with another key under the same number.
    async fn replace(&self, intent: &Intent, key: &OrderKey) -> Result<Order, CaError> {
        let before = self.details("read the order", key).await;
        let before = before.map_err(|mut error| {
            error.is_about_predecessor = error.failure == Failure::NotFound;
            error
        })?;
        let path = ["ssl", "v1", "replace", &key.reference];
        let mut call = Call::new(Kind::Order, "replace", clean(&key.reference), &path);
        call.body = Body::Json(json!({
            "csr": intent.csr.pem(),
            "reason": "a new key",
            "commonName": intent.subject.common_name(),
            "subjectAlternativeNames": intent.subject.names(),
        }));
        self.succeeds(&call).await?;
        let old = wire::serial(&before);
        let key = OrderKey {
            reference: key.reference.clone(),
            certificate: old.map(|serial| format!("{NOT}{serial}")),
        };
        Ok(Order::new(key, OrderState::Working))
    }

    /// The new order that an answer names.
    fn submitted(&self, call: &Call<'_>, answer: &Answer) -> Result<Order, CaError> {
        let value = self.json(call, answer)?.value;
        let id = value.get("sslId").and_then(wire::id);
        let id = id.filter(|id| id.parse() != Ok(0_u64)).ok_or_else(|| {
            let why = "the answer names no order (`sslId`)";
            self.http.error(Failure::Malformed, call, why)
        })?;
        Ok(Order::new(OrderKey::new(id), OrderState::Working))
    }

    /// The details of an order.
    async fn details(&self, verb: &'static str, key: &OrderKey) -> Result<Value, CaError> {
        let path = ["ssl", "v1", &key.reference];
        let call = Call::new(Kind::Read, verb, clean(&key.reference), &path).by_get();
        self.check(&key.reference, &call)?;
        let answer = self.call(Endpoint::Ssl, &call).await?;
        let value = self.json(&call, &answer)?.value;
        let malformed = |why: &str| Err(self.http.error(Failure::Malformed, &call, why));
        if value.get("status").is_none() {
            return malformed("the answer has no `status`");
        }
        let shown = value.get("id").or_else(|| value.get("sslId"));
        let shown = shown.and_then(wire::id);
        if shown.is_some_and(|shown| shown.parse::<u64>().ok() != key.reference.parse().ok()) {
            return malformed("the answer is about another order");
        }
        Ok(value)
    }

    /// The order that details show. One that is being replaced is not issued before it has another
    /// serial number.
    fn seen(&self, key: &OrderKey, details: &Value) -> Order {
        let mut order = wire::details(key.clone(), details);
        let replaced = key
            .certificate
            .as_deref()
            .and_then(|old| old.strip_prefix(NOT));
        if order.state == OrderState::Issued
            && replaced.is_some()
            && order.serial.as_deref() == replaced
        {
            order.state = OrderState::Working;
        }
        order
    }

    /// The number of an order is in the path of calls.
    fn check(&self, reference: &str, call: &Call<'_>) -> Result<(), CaError> {
        if is_id(reference) {
            return Ok(());
        }
        let why = "the key of an order is a number";
        Err(self.http.error(Failure::Refused, call, why))
    }
}

/// A note for people, and the tag by which the order is found.
fn comments(intent: &Intent) -> String {
    match &intent.comments {
        Some(words) => format!("{words} [{}]", intent.tag),
        None => format!("[{}]", intent.tag),
    }
}

fn number(key: &OrderKey) -> u64 {
    key.reference.parse().unwrap_or(0)
}
