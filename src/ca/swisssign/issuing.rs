//! Ordering certificates at SwissSign: by `/v2/issue`, where an order carries our tag and is found
//! by it, or by `/v2/issue/csr`, which knows no tags.
//!
//! The API has no call to withdraw an order and none to renew one: a renewal is a new order. An
//! order for a name that was not validated in advance waits, and none of its fields has the reason.

mod find;
mod products;
mod wire;

use async_trait::async_trait;
use jiff::SignedDuration;
use reqwest::StatusCode;
use serde_json::{Value, json};

use self::products::Known;
use super::error::{self, ApiError};
use super::{SwissSign, wire as domains};
use crate::ca::csr;
use crate::ca::http::answer::Answer;
use crate::ca::http::redact::clean;
use crate::ca::http::{Body, Call, Kind};
use crate::ca::issuing::{
    self, Fetched, Found, Intent, Issuing, Order, OrderKey, Orders, Preflight, Product, Revocation,
    RevocationRequest,
};
use crate::ca::{CaError, Client, Failure, json as text};
use crate::issuance::{OrderState, RevocationReason};

/// The constants of orders at SwissSign.
pub(super) static KIND: issuing::Kind = issuing::Kind {
    name: "swisssign",
    has_clients: true,
    validates_in_order: false,
    orders_bring_records: false,
    duplicates: false,
    withdraws: false,
    wants_contact: false,
    takes_term: true,
    takes_fields: false,
    issues_for_mailboxes: true,
    takes_reason: true,
    lists_revoked: true,
};

#[async_trait]
impl Issuing for SwissSign {
    fn kind(&self) -> &'static issuing::Kind {
        &KIND
    }

    fn clock_skew(&self) -> Option<SignedDuration> {
        self.http.clock_skew()
    }

    async fn clients(&self) -> Result<Vec<Client>, CaError> {
        self.search("*").await
    }

    async fn products(&self, client: &str) -> Result<Vec<Product>, CaError> {
        let now = self.http.clock.now();
        let known = self.known_products(client).await?;
        Ok(known.iter().map(|one| one.product(None, now)).collect())
    }

    async fn preflight(&self, intent: &Intent) -> Result<Preflight, CaError> {
        let now = self.http.clock.now();
        let known = self.known_product(intent).await?;
        let product = known.product(Some(intent), now);
        let mut faults: Vec<String> = product.refusal.iter().cloned().collect();
        let asked = intent.csr.names();
        let missing = intent.subject.names().iter();
        let missing = missing.filter(|name| !asked.contains(name));
        faults.extend(missing.map(|name| {
            format!("the request does not ask for {name}, and the CA takes the names from it")
        }));
        let path = ["validate"];
        let mut call = Call::new(
            Kind::Read,
            "rehearse the order",
            clean(intent.subject.common_name()),
            &path,
        );
        if !faults.is_empty() {
            return Err(self.http.error(Failure::Refused, &call, &faults.join("; ")));
        }
        let mut warnings = product.warnings.clone();
        call.body = Body::Json(self.request(intent, &known)?);
        let answer = self.call(&call).await?;
        if answer.status == StatusCode::NOT_FOUND && ApiError::read(&answer.body).is_none() {
            // The call came with version 3 of the API.
            warnings.push("the CA has no rehearsal of orders (`/v2/validate`)".to_owned());
        } else if !answer.status.is_success() || answer.is_page() {
            return Err(self.refused(&call, &answer));
        }
        Ok(Preflight { product, warnings })
    }

    async fn submit(&self, intent: &Intent) -> Result<Order, CaError> {
        let by_csr = ["issue", "csr", intent.product.as_str()];
        let by_tag = ["issue"];
        let known = if domains::is_reference(&intent.product)
            && intent.product.starts_with("pma-")
            && intent.term.is_none()
        {
            None
        } else {
            Some(self.known_product(intent).await?)
        };
        let product = known
            .as_ref()
            .map_or(&*intent.product, |one| &*one.reference);
        let named = ["issue", "csr", product];
        let path: &[&str] = match (self.issues_by_csr, &known) {
            (true, Some(_)) => &named,
            (true, None) => &by_csr,
            (false, _) => &by_tag,
        };
        let mut call = Call::new(
            Kind::Order,
            "order",
            clean(intent.subject.common_name()),
            path,
        );
        call.body = if self.issues_by_csr {
            Body::Text(intent.csr.pem())
        } else {
            let bare = Known::bare(product);
            Body::Json(self.request(intent, known.as_ref().unwrap_or(&bare))?)
        };
        let answer = self.call(&call).await?;
        if !answer.status.is_success() {
            return Err(self.refused(&call, &answer));
        }
        let value = error::json(&self.http, &call, &answer)?.value;
        wire::order(&value).map_err(|why| self.http.error(Failure::Malformed, &call, &why))
    }

    async fn find(&self, intent: &Intent) -> Result<Found, CaError> {
        self.found(intent).await
    }

    async fn read(&self, key: &OrderKey) -> Result<Order, CaError> {
        let path = ["order", &key.reference, "status"];
        let call = Call::new(Kind::Read, "read the order", clean(&key.reference), &path);
        self.check(&key.reference, "ord-", &call)?;
        let answer = self.call(&call).await?;
        if !answer.status.is_success() {
            return Err(error::refusal(&self.http, &call, &answer));
        }
        // One word: as a JSON string, or bare.
        let word = answer.body.trim().trim_matches('"');
        if answer.is_page() || word.is_empty() || !wire::is_word(word) {
            return Err(self.http.no_json(&call, &answer));
        }
        let mut order = Order::new(key.clone(), wire::state(word));
        let asks_why = order.state.has_failed()
            || matches!(
                order.state,
                OrderState::AwaitsValidation | OrderState::AwaitsPerson | OrderState::Unknown(_)
            );
        if asks_why {
            order.words = self.why(&key.reference).await;
        }
        Ok(order)
    }

    async fn fetch(&self, key: &OrderKey) -> Result<Fetched, CaError> {
        let path = ["order", &key.reference, "certificate", "chain"];
        let verb = "fetch the certificate of";
        let call = Call::new(Kind::Read, verb, clean(&key.reference), &path);
        self.check(&key.reference, "ord-", &call)?;
        let answer = self.call(&call).await?;
        let value = error::json(&self.http, &call, &answer)?.value;
        let malformed = |why: &str| self.http.error(Failure::Malformed, &call, why);
        let entries = match &value {
            Value::Null => return Ok(Fetched::NotYet),
            Value::Array(entries) if entries.is_empty() => return Ok(Fetched::NotYet),
            Value::Array(entries) => entries,
            _ => return Err(malformed("the answer is not a list of certificates")),
        };
        let mut found = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            let said = entry.as_str().unwrap_or_default();
            let read = csr::certificates(said);
            found.extend(read.map_err(|why| malformed(&format!("entry {} {why}", at + 1)))?);
        }
        csr::without_roots(&mut found);
        Ok(Fetched::Certificates(found))
    }

    async fn revoke(
        &self,
        key: &OrderKey,
        request: &RevocationRequest,
    ) -> Result<Revocation, CaError> {
        let path = ["order", &key.reference];
        let read = Call::new(Kind::Read, "read the order", clean(&key.reference), &path);
        self.check(&key.reference, "ord-", &read)?;
        let answer = self.call(&read).await?;
        let value = error::json(&self.http, &read, &answer)?.value;
        let order =
            wire::order(&value).map_err(|why| self.http.error(Failure::Malformed, &read, &why))?;
        let path = ["revoke"];
        let verb = "revoke the certificate of";
        let mut call = Call::new(Kind::Effect, verb, clean(&key.reference), &path);
        let wanted = csr::serial(&request.serial);
        if let Some(other) = order.serial.as_ref().filter(|serial| **serial != wanted) {
            let why =
                format!("the order's certificate has the serial number {other}, not {wanted}");
            return Err(self.http.error(Failure::Refused, &call, &why));
        }
        if order.state == OrderState::Revoked {
            return Ok(Revocation::Done);
        }
        let names = wire::certificate_names(&value);
        let Some((serial, issuer)) = names.filter(|_| order.state == OrderState::Issued) else {
            let why = format!("the order is {}, and has no certificate", order.state);
            return Err(self.http.error(Failure::Refused, &call, &why));
        };
        let requestor = [&*request.requestor, &*self.revocation_requestor];
        let requestor = requestor.iter().find(|name| !name.trim().is_empty());
        call.body = Body::Json(json!([{
            "serialNumber": serial,
            "issuerName": issuer,
            "revocationReason": reason(request.reason),
            "revocationRequestor": requestor,
        }]));
        let answer = self.call(&call).await?;
        if answer.status.is_success() && !answer.is_page() {
            return Ok(Revocation::Taken(key.clone()));
        }
        let said = ApiError::read(&answer.body);
        if said.is_some_and(|said| said.is("0233")) {
            return Ok(Revocation::Done);
        }
        Err(error::refusal(&self.http, &call, &answer))
    }

    async fn orders(&self, client: &str) -> Result<Orders, CaError> {
        let wanted = json!({"clientReferences": [client]});
        let found = self
            .search_orders(wanted, "list the orders of", client)
            .await?;
        let mut listed = Orders::default();
        listed.unreadable.extend(found.troubles());
        for value in &found.entries {
            match wire::order(value) {
                Ok(order) => listed.orders.push(order),
                Err(why) => listed.unreadable.push(why),
            }
        }
        listed
            .orders
            .sort_by_key(|order| std::cmp::Reverse(order.ordered_at));
        Ok(listed)
    }
}

impl SwissSign {
    /// What an order says, for the rehearsal and for the order itself.
    fn request(&self, intent: &Intent, product: &Known) -> Result<Value, CaError> {
        let mut request = json!({
            "productReference": product.reference,
            "csr": intent.csr.pem(),
            "tags": [intent.tag],
        });
        if let Some(comments) = &intent.comments {
            request["note"] = json!(comments);
        }
        if let Some(days) = intent.term {
            let validity = product.validity(days).map_err(|why| {
                let call = Call::new(
                    Kind::Read,
                    "order",
                    clean(intent.subject.common_name()),
                    &[],
                );
                self.http.error(Failure::Refused, &call, &why)
            })?;
            request["overrides"] = json!({"validity": validity});
        }
        Ok(request)
    }

    /// A refusal of an order. What the backend did not take may exist all the same.
    fn refused(&self, call: &Call<'_>, answer: &Answer) -> CaError {
        let mut error = error::refusal(&self.http, call, answer);
        let Some(said) = ApiError::read(&answer.body) else {
            return error;
        };
        let products = ["0234", "0243", "0244", "0245", "0246", "0247", "0248"];
        if said.is("0239") && !call.is_read() {
            error.failure = Failure::Unknown;
        } else if products.iter().any(|code| said.is(code)) {
            error.failure = Failure::Refused;
            error.hint = Some(
                "Choose a product that the client may order; `prevalidate products` lists them."
                    .to_owned(),
            );
        } else if error.failure == Failure::NotFound {
            error.failure = Failure::Refused;
        }
        error
    }

    /// Why an order is where it is, by its tasks. A courtesy: without it the state counts.
    async fn why(&self, reference: &str) -> Option<String> {
        let path = ["order", reference, "tasks"];
        let call = Call::new(Kind::Read, "read the tasks of", clean(reference), &path);
        let entries = match self.call(&call).await {
            Ok(answer) => error::entries(&self.http, &call, &answer, None),
            Err(error) => Err(error),
        };
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                tracing::debug!(ca = self.http.ca, %error, "the tasks of an order are not known");
                return None;
            }
        };
        let tasks = entries.iter().filter_map(|entry| text::read(entry).ok());
        let words: Vec<_> = tasks.filter_map(|task| wire::task(&task.value)).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// The API has no word for "no reason".
fn reason(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::Unspecified => "UNUSED",
        RevocationReason::KeyCompromise => "KEY_COMPROMISE",
        RevocationReason::AffiliationChanged => "AFFILIATION_CHANGED",
        RevocationReason::Superseded => "SUPERSEDED",
        RevocationReason::CessationOfOperation => "CESSATION_OF_OPERATION",
    }
}
