//! Ordering certificates at CertCentral: ordered by product with the names as a list (DigiCert takes
//! none from the request), read until issued, downloaded.
//!
//! Ordering is not idempotent and no call carries a key of ours, so the tag is in `comments`; after
//! a lost answer an order is known by it or by the public key of its request, which DigiCert shows
//! with the order ("Order info"). OV and EV products depend on domains that were validated in
//! advance. A DV product is validated by a random value of the order, which `read` names: it is no
//! value of the domain's.

mod duplicate;
mod find;
mod predecessor;
mod products;
mod reissue;
mod request;
mod revoke;
mod wire;

use async_trait::async_trait;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use super::entry::is_id;
use super::record::Form;
use super::{DigiCert, error, record};
use crate::ca::csr;
use crate::ca::http::answer::Answer;
use crate::ca::http::redact::clean;
use crate::ca::http::{Body, Call, Kind};
use crate::ca::issuing::{
    self, Fetched, Found, Intent, Issuing, Order, OrderKey, Orders, Predecessor, Preflight,
    Product, Revocation, RevocationRequest, Succession,
};
use crate::ca::{CaError, Client, Failure};
use crate::issuance::OrderState;
use crate::prevalidation::{Challenge, DomainName};

/// The constants of orders at DigiCert.
pub(super) static KIND: issuing::Kind = issuing::Kind {
    name: "digicert",
    has_clients: true,
    // A DV product is: `Product::brings_records`.
    validates_in_order: false,
    orders_bring_records: true,
    duplicates: true,
    withdraws: true,
    wants_contact: false,
    takes_term: true,
    takes_fields: true,
    issues_for_mailboxes: false,
    takes_reason: true,
    lists_revoked: true,
};

/// From then on, after the end of the call, an empty search shows that the order does not exist.
const SURE_AFTER: SignedDuration = SignedDuration::from_secs(60);

const RIGHTS: &str = "In CertCentral, under Automation > API Keys, the key needs no restriction, \
    `Orders`, or `Orders, Domains, Organizations`, and its user a role that orders certificates. If \
    it may order and not approve, set `skip_approval = false`.";

#[async_trait]
impl Issuing for DigiCert {
    fn kind(&self) -> &'static issuing::Kind {
        &KIND
    }

    fn clock_skew(&self) -> Option<SignedDuration> {
        self.http.clock_skew()
    }

    async fn clients(&self) -> Result<Vec<Client>, CaError> {
        let path = ["organization"];
        let call = Call::new(Kind::Read, "list", "the organisations", &path).by_get();
        self.organisations(&call).await
    }

    async fn products(&self, _: &str) -> Result<Vec<Product>, CaError> {
        let fields = self.metadata().await?;
        let fields: Vec<_> = fields.into_iter().map(|one| one.field).collect();
        let products = self.offers().await?.into_iter().map(|offer| Product {
            fields: fields.clone(),
            ..offer.product()
        });
        Ok(products.collect())
    }

    async fn preflight(&self, intent: &Intent) -> Result<Preflight, CaError> {
        let offer = self.offer(intent).await?;
        let known = self.metadata().await?;
        let mut faults = offer.faults(intent);
        let missing = known
            .iter()
            .filter(|one| one.field.mandatory && !intent.fields.contains_key(&one.field.name));
        faults.extend(missing.map(|one| format!("the field `{}` is missing", one.field.name)));
        let unknown = intent
            .fields
            .keys()
            .filter(|name| !known.iter().any(|one| one.field.name == **name));
        faults.extend(unknown.map(|name| format!("there is no field `{}`", clean(name))));
        let call = Call::new(
            Kind::Read,
            "order",
            clean(intent.subject.common_name()),
            &[],
        );
        self.check_id(&intent.client, &call)?;
        let now = self.http.clock.now();
        faults.extend(self.lacks_validation(&intent.client, &offer, now).await?);
        if !faults.is_empty() {
            return Err(self.http.error(Failure::Refused, &call, &faults.join("; ")));
        }
        let product = Product {
            fields: known.into_iter().map(|one| one.field).collect(),
            ..offer.product()
        };
        Ok(Preflight {
            warnings: product.warnings.clone(),
            product,
        })
    }

    async fn submit(&self, intent: &Intent) -> Result<Order, CaError> {
        let prepared = self.prepared(intent).await.map_err(before_the_call);
        let prepared = prepared.map_err(|error| predecessor::told(intent, error))?;
        let anew = ["order", "certificate", &prepared.of];
        let verb = prepared.verb;
        let another = ["order", "certificate", &prepared.of, verb];
        let path: &[&str] = match verb {
            "order" => &anew,
            _ => &another,
        };
        let mut call = Call::new(Kind::Order, verb, clean(intent.subject.common_name()), path);
        call.body = Body::Json(prepared.body);
        let answer = self.order_call(&call).await;
        let answer = answer.map_err(|error| predecessor::told(intent, error))?;
        let made = self.json(&call, &answer)?.value;
        let order = match verb {
            "duplicate" => duplicate::made(intent, &made),
            _ => request::submitted(&made, prepared.old),
        };
        order.ok_or_else(|| {
            let why = "the answer names no order (`id`)";
            self.http.error(Failure::Malformed, &call, why)
        })
    }

    async fn find(&self, intent: &Intent) -> Result<Found, CaError> {
        self.found(intent).await
    }

    async fn read(&self, key: &OrderKey) -> Result<Order, CaError> {
        if let Some(request) = revoke::request_of(key) {
            return self.revocation_request(key, request).await;
        }
        if let Some(public_key) = duplicate::wanted_key(key) {
            return self.read_duplicate(key, &public_key).await;
        }
        let details = self.order_details("read the order", key).await?;
        let meant = key.certificate.as_deref().filter(|id| is_id(id));
        if meant.is_some() && meant != wire::certificate_id(&details).as_deref() {
            return self.read_beside(key, &details).await;
        }
        let order = reissue::with_request(self.seen(key, &details)?, &details);
        self.with_reasons(order, &details).await
    }

    async fn check_records(&self, key: &OrderKey) -> Result<(), CaError> {
        let path = ["order", "certificate", &key.reference, "check-dcv"];
        let verb = "have DigiCert check the record of";
        let mut call = Call::new(Kind::SlowEffect, verb, clean(&key.reference), &path);
        call.method = Method::PUT;
        self.check_id(&key.reference, &call)?;
        match self.order_call(&call).await {
            // Not seen yet, or not pending any more: the order itself says what counts.
            Err(error) if matches!(error.failure, Failure::Refused | Failure::NotFound) => {
                tracing::debug!(ca = self.http.ca, %error, "a check found nothing");
                Ok(())
            }
            other => other.map(drop),
        }
    }

    async fn fetch(&self, key: &OrderKey) -> Result<Fetched, CaError> {
        let known = key.certificate.clone().filter(|id| is_id(id));
        let id = match known {
            Some(id) => Some(id),
            None => {
                let details = self.order_details("read the order", key).await?;
                self.seen(key, &details)?.key.certificate
            }
        };
        let Some(id) = id.filter(|id| is_id(id)) else {
            return Ok(Fetched::NotYet);
        };
        let path = ["certificate", &id, "download", "format", "pem_all"];
        let mut call = Call::new(Kind::Read, "download certificate", clean(&id), &path).by_get();
        call.accept = Some("*/*");
        let answer = match self.order_call(&call).await {
            Ok(answer) => answer,
            Err(error) if error.failure == Failure::NotFound => return Ok(Fetched::NotYet),
            Err(error) => return Err(error),
        };
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
        let path = ["order", "certificate", &key.reference, "status"];
        let mut call = Call::new(Kind::Effect, "cancel order", clean(&key.reference), &path);
        call.method = Method::PUT;
        self.check_id(&key.reference, &call)?;
        let why = match why.trim() {
            "" => "withdrawn",
            why => why,
        };
        call.body = Body::Json(json!({"status": "canceled", "note": why}));
        self.order_call(&call).await.map(drop)
    }

    async fn orders(&self, client: &str) -> Result<Orders, CaError> {
        let subject = format!("organisation {}", clean(client));
        let listed = self.order_rows("list the orders of", subject, &[]).await?;
        let mut orders = Orders::default();
        if !listed.is_whole {
            let words = "the list broke off before its end";
            orders.unreadable.push(words.to_owned());
        }
        for row in listed.rows {
            let row = match row {
                Ok(row) => row,
                Err(why) => {
                    orders.unreadable.push(why);
                    continue;
                }
            };
            // An order for a DV product has none.
            let organisation = row.pointer("/organization/id").map(Value::to_string);
            let organisation = organisation.map(|id| id.trim_matches('"').to_owned());
            if organisation.is_some_and(|id| id != client) {
                continue;
            }
            match wire::order(&row) {
                Ok(order) => orders.orders.push(order),
                Err(why) => orders.unreadable.push(why),
            }
        }
        orders
            .orders
            .sort_by_key(|order| std::cmp::Reverse(order.ordered_at));
        Ok(orders)
    }
}

/// An order that is ready to be made.
struct Prepared {
    /// The product, or the order that is reissued.
    of: String,
    body: Value,
    /// `order`, `reissue` or `duplicate`.
    verb: &'static str,
    /// The certificate that gives way to the new one.
    old: Option<String>,
}

/// A failure of a read before an order is made: nothing was ordered, whatever the answer was.
fn before_the_call(mut error: CaError) -> CaError {
    if error.outcome_unknown() {
        error.failure = Failure::Unavailable;
    }
    error
}

impl DigiCert {
    /// A call about orders. What a key lacks for them is not what it lacks for domains.
    async fn order_call(&self, call: &Call<'_>) -> Result<Answer, CaError> {
        self.call(call).await.map_err(|failed| {
            match failed.hint.as_deref() == Some(error::RIGHTS) {
                true => failed.with_hint(RIGHTS),
                false => failed,
            }
        })
    }

    /// An id is in the path of calls.
    fn check_id(&self, reference: &str, call: &Call<'_>) -> Result<(), CaError> {
        if is_id(reference) {
            return Ok(());
        }
        let why = "the id of an order, and of an organisation, is a number";
        Err(self.http.error(Failure::Refused, call, why))
    }

    /// The details of an order.
    async fn order_details(&self, verb: &'static str, key: &OrderKey) -> Result<Value, CaError> {
        let path = ["order", "certificate", &key.reference];
        let call = Call::new(Kind::Read, verb, clean(&key.reference), &path).by_get();
        self.check_id(&key.reference, &call)?;
        let answer = self.order_call(&call).await?;
        let value = self.json(&call, &answer)?.value;
        let shown = value.get("id").and_then(super::entry::number);
        if shown.as_deref() != Some(&*key.reference) || value.get("status").is_none() {
            let why = "the answer is about another order, or has no `status`";
            return Err(self.http.error(Failure::Malformed, &call, why));
        }
        Ok(value)
    }

    fn seen(&self, key: &OrderKey, details: &Value) -> Result<Order, CaError> {
        wire::seen(key, details).map_err(|why| {
            let call = Call::new(Kind::Read, "read the order", clean(&key.reference), &[]);
            self.http.error(Failure::Malformed, &call, &why)
        })
    }

    /// The records that a pending order waits for. An order that brings its own record needs that
    /// record.
    async fn with_reasons(&self, mut order: Order, details: &Value) -> Result<Order, CaError> {
        let is_pending = details["status"].as_str() == Some("pending");
        if order.state != OrderState::Working || !is_pending {
            return Ok(order);
        }
        let path = ["order", "certificate", &order.key.reference, "validation"];
        let verb = "read the validations of order";
        let subject = clean(&order.key.reference);
        let call = Call::new(Kind::Read, verb, subject, &path).by_get();
        let told = match self.order_call(&call).await {
            Ok(answer) => Some(wire::Waits::of(&self.json(&call, &answer)?.value)),
            Err(error) if error.is_retryable() || error.is_account_wide() => return Err(error),
            Err(_) => None,
        };
        let bare = |name: &String| name.strip_prefix("*.").unwrap_or(name).to_owned();
        let domains: Vec<String> = match &told {
            Some(waits) => waits.domains.clone(),
            None if wire::is_dv(details) => order.names.iter().map(bare).collect(),
            None => Vec::new(),
        };
        order.words = told.and_then(|waits| waits.words());
        if domains.is_empty() {
            return Ok(order);
        }
        order.state = OrderState::AwaitsValidation;
        if wire::is_dv(details) {
            let form = self.settings.form().of_order(details);
            let found = self.order_challenges(&order.key, &domains, &form).await?;
            order.challenges = found;
        }
        Ok(order)
    }

    /// The records of an order, from its random value: a value that lives is given again, and one that
    /// has ended gives way to another (DigiCert, "Get order DCV random value").
    async fn order_challenges(
        &self,
        key: &OrderKey,
        domains: &[String],
        form: &Form,
    ) -> Result<Vec<Challenge>, CaError> {
        let path = ["order", "certificate", &key.reference, "dcv-random-value"];
        let verb = "read the random value of order";
        let mut call = Call::new(Kind::Effect, verb, clean(&key.reference), &path);
        call.method = Method::PUT;
        let answer = self.order_call(&call).await?;
        let value = self.json(&call, &answer)?.value;
        let token = json!({
            "token": value["dcv_random_value"], "expiration_date": value["expiration_date"],
        });
        let refused = |why: &str| {
            let error = self.http.error(Failure::Refused, &call, why);
            error.with_hint("Nothing is published. Ask DigiCert's support, and name the order.")
        };
        let now = self.http.clock.now();
        let mut challenges = Vec::new();
        for domain in domains {
            let domain = DomainName::from_a_labels(domain)
                .map_err(|_| refused(&format!("`{domain}` is not a domain")))?;
            let made =
                record::challenge(&token, &domain, form, now).map_err(|why| refused(&why))?;
            challenges.extend(made);
        }
        match challenges.is_empty() {
            true => Err(refused("DigiCert shows no value that lives")),
            false => Ok(challenges),
        }
    }

    /// Reads what goes into an order; it makes none.
    async fn prepared(&self, intent: &Intent) -> Result<Prepared, CaError> {
        let call = Call::new(
            Kind::Read,
            "order",
            clean(intent.subject.common_name()),
            &[],
        );
        self.check_id(&intent.client, &call)?;
        let offer = match products::is_name_id(&intent.product) {
            true => self.product_info(&intent.product).await?,
            false => self.offer(intent).await?,
        };
        let known = match intent.fields.is_empty() {
            true => Vec::new(),
            false => self.metadata().await?,
        };
        let content = request::Content {
            offer: &offer,
            method: self.settings.form().word(),
            skips_approval: self.settings.skip_approval,
            fields: &known,
            now: self.http.clock.now(),
        };
        if let Some(Predecessor {
            key,
            way: Succession::Duplicate,
        }) = &intent.after
        {
            return Ok(Prepared {
                of: key.reference.clone(),
                body: content.reissue(intent),
                verb: "duplicate",
                old: None,
            });
        }
        if let Some(Predecessor {
            key,
            way: Succession::Reissue,
        }) = &intent.after
        {
            let before = self.order_details("read the order", key).await?;
            return Ok(Prepared {
                of: key.reference.clone(),
                body: content.reissue(intent),
                verb: "reissue",
                old: wire::certificate_id(&before),
            });
        }
        Ok(Prepared {
            of: offer.id.clone(),
            body: content.order(intent),
            verb: "order",
            old: None,
        })
    }
}
