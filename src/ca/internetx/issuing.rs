//! Ordering at InterNetX: rehearsed by `_prepareOrder`, which also gives the record that the order
//! wants in DNS; made as a job; renewed or reissued with a request of its own.
//!
//! The value of the record depends on the moment in which it was made. So the very entry whose record
//! was published goes back with the order: without it the CA would make another one.

use async_trait::async_trait;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use super::envelope::{self, TOO_EARLY};
use super::request::{NO_PRODUCT, Way, is_mailbox};
use super::{InterNetX, wire};
use crate::ca::csr::{self, KeyKind, Sight};
use crate::ca::http::redact::clean;
use crate::ca::http::{self, Body, Call, Kind};
use crate::ca::issuing::{
    self, Fetched, Found, Intent, Issuing, Order, OrderKey, Orders, Preflight, Product, Revocation,
    RevocationRequest, Wanted,
};
use crate::ca::{CaError, Client, Failure};

/// The constants of orders at InterNetX.
pub(super) static KIND: issuing::Kind = issuing::Kind {
    name: "internetx",
    has_clients: false,
    validates_in_order: true,
    orders_bring_records: true,
    duplicates: false,
    withdraws: true,
    wants_contact: true,
    takes_term: true,
    takes_fields: false,
    issues_for_mailboxes: true,
    takes_reason: false,
    lists_revoked: false,
};

/// The longest list of one call.
const PAGE: usize = 500;
/// Pages of a list at most.
const PAGES: usize = 200;
/// Certificates between a leaf and its root at most.
const LEVELS: usize = 3;
/// After this time from the end of the call an order that is found nowhere was not made.
pub(super) const SURE_AFTER: SignedDuration = SignedDuration::from_mins(2);

#[async_trait]
impl Issuing for InterNetX {
    fn kind(&self) -> &'static issuing::Kind {
        &KIND
    }

    fn clock_skew(&self) -> Option<SignedDuration> {
        self.http.clock_skew()
    }

    async fn clients(&self) -> Result<Vec<Client>, CaError> {
        Ok(Vec::new())
    }

    /// The API has no catalogue; a product is checked by the rehearsal.
    async fn products(&self, _: &str) -> Result<Vec<Product>, CaError> {
        Ok(Vec::new())
    }

    async fn preflight(&self, intent: &Intent) -> Result<Preflight, CaError> {
        let mut faults = Vec::new();
        if intent.contact.is_none() {
            faults.push("the order names no contact; set `contact` to a [[contact]]".to_owned());
        }
        if matches!(intent.csr.key(), KeyKind::Rsa(bits) if bits < 2048) {
            faults.push("the request has an RSA key of less than 2048 bits".to_owned());
        }
        let asked = intent.csr.names();
        let missing = intent
            .subject
            .names()
            .iter()
            .filter(|name| !asked.contains(name));
        let missing: Vec<_> = missing.cloned().collect();
        if !asked.is_empty() && !missing.is_empty() {
            faults.push(format!(
                "the request does not ask for {}",
                missing.join(", ")
            ));
        }
        if !faults.is_empty() {
            let call = Call::new(
                Kind::Read,
                "order",
                clean(intent.subject.common_name()),
                &[],
            );
            return Err(self.http.error(Failure::Refused, &call, &faults.join("; ")));
        }
        if !is_mailbox(intent) {
            self.prepared(intent, &Way::Create).await?;
        }
        let product = Product {
            reference: intent.product.clone(),
            name: intent.product.clone(),
            ..Product::default()
        };
        let waits = "the order waits until the owner of the mailbox opens a link in a mail";
        Ok(Preflight {
            product,
            warnings: is_mailbox(intent)
                .then(|| waits.to_owned())
                .into_iter()
                .collect(),
        })
    }

    fn is_about_the_product(&self, error: &CaError) -> bool {
        let hint = error.hint.as_deref().unwrap_or_default();
        error.failure == Failure::Refused && hint.ends_with(NO_PRODUCT)
    }

    async fn challenges(&self, intent: &Intent) -> Result<Wanted, CaError> {
        if is_mailbox(intent) {
            return Ok(Wanted::default());
        }
        let way = self.way(intent).await?;
        let prepared = self.prepared(intent, &way).await?;
        let entries = prepared["authentication"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let call = Call::new(
            Kind::Read,
            "prepare the order",
            clean(intent.subject.common_name()),
            &[],
        );
        let refused = |why: &str| self.http.error(Failure::Refused, &call, why);
        let mut wanted = Wanted::default();
        let mut chosen: Vec<Value> = Vec::new();
        for entry in &entries {
            let nested = entry["domains"].as_array().into_iter().flatten();
            for one in std::iter::once(entry).chain(nested) {
                let challenge = wire::challenge(one).map_err(|why| {
                    refused(&why).with_hint("Nothing is published. Ask InterNetX' support.")
                })?;
                let Some(challenge) = challenge else {
                    continue;
                };
                if !wanted.challenges.contains(&challenge) {
                    wanted.challenges.push(challenge);
                }
                if std::ptr::eq(one, entry) {
                    chosen.push(entry.clone());
                }
            }
        }
        if wanted.challenges.is_empty() {
            let why = format!(
                "the product `{}` is not validated by DNS",
                clean(&intent.product)
            );
            return Err(refused(&why).with_hint("Choose a product that is."));
        }
        // An order takes one entry; the others go below it.
        if let Some((first, others)) = chosen.split_first() {
            let mut answer = first.clone();
            if !others.is_empty() {
                let own = answer["domains"].as_array().cloned().unwrap_or_default();
                answer["domains"] = json!([own, others.to_vec()].concat());
            }
            wanted.answer = Some(answer.to_string());
        }
        Ok(wanted)
    }

    async fn submit(&self, intent: &Intent) -> Result<Order, CaError> {
        let way = self.way(intent).await?;
        let order = self.request(intent).await?;
        match self.order_by(intent, &way, &order).await {
            // Not in the last 90 days: then it is another certificate of the paid period.
            Err(error) if envelope::says(&error, TOO_EARLY) => {
                let Way::Renew(id) = way else {
                    return Err(error);
                };
                self.order_by(intent, &Way::Reissue(id), &order).await
            }
            other => other,
        }
    }

    async fn find(&self, intent: &Intent) -> Result<Found, CaError> {
        self.found(intent).await
    }

    async fn read(&self, key: &OrderKey) -> Result<Order, CaError> {
        self.order(key).await
    }

    async fn fetch(&self, key: &OrderKey) -> Result<Fetched, CaError> {
        let Some(id) = self.certificate_of(key).await? else {
            return Ok(Fetched::NotYet);
        };
        let value = self.certificate(&id).await?;
        let malformed = |why: String| {
            let call = Call::new(Kind::Read, "read certificate", clean(&id), &[]);
            self.http.error(Failure::Malformed, &call, &why)
        };
        let Some(pem) = value["server"]
            .as_str()
            .filter(|pem| !pem.trim().is_empty())
        else {
            return Ok(Fetched::NotYet);
        };
        let mut found =
            wire::certificates(pem).map_err(|why| malformed(format!("`server` {why}")))?;
        for above in value["certificationAuthority"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let pem = above["caCertificate"].as_str().unwrap_or_default();
            match wire::certificates(pem) {
                Ok(more) => found.extend(more),
                // The chain is checked where it is installed.
                Err(why) => {
                    tracing::debug!(ca = self.http.ca, why, "a part of the chain is unreadable")
                }
            }
        }
        found.sort();
        found.dedup();
        csr::without_roots(&mut found);
        if found.len() == 1 {
            self.complete(&mut found).await;
        }
        Ok(Fetched::Certificates(found))
    }

    /// By the serial number; where the CA does not revoke the present version so, the certificate is
    /// deleted, which is a job that is validated as the order was.
    async fn revoke(
        &self,
        key: &OrderKey,
        request: &RevocationRequest,
    ) -> Result<Revocation, CaError> {
        let Some(id) = self.certificate_of(key).await? else {
            let call = Call::new(Kind::Read, "revoke", clean(&key.reference), &[]);
            let why = "the order has no certificate";
            return Err(self.http.error(Failure::Refused, &call, why));
        };
        let wanted = csr::serial(&request.serial);
        let shown = match self.settled_certificate(&id).await {
            Ok(value) if wire::is_revoked(&value, &wanted) => return Ok(Revocation::Done),
            Ok(value) => wire::certificate(&value).and_then(|order| order.serial),
            // The certificate is deleted, or another user has it. Only the first is a revocation,
            // and the answer does not say which.
            Err(error) if error.failure == Failure::NotFound => {
                let hint = "Ask InterNetX whether it is revoked.";
                return Err(error.with_hint(hint));
            }
            Err(error) => return Err(error),
        };
        let path = ["certificate", &id, "_revoke"];
        let mut call = Call::new(Kind::Effect, "revoke certificate", clean(&id), &path);
        call.body = Body::Json(json!({"serialNumber": wanted}));
        let mut is_deleted = false;
        let made = match self.call(&call).await {
            // An answer that cannot be understood may be that of a revocation: nothing is deleted
            // after it. The call deletes the newest version, whichever version it names.
            Err(error) if shown.as_ref().is_some_and(|shown| *shown != wanted) => {
                return Err(error);
            }
            Err(error) if matches!(error.failure, Failure::Refused | Failure::NotFound) => {
                let path = ["certificate", id.as_str()];
                let mut call = Call::new(Kind::Effect, "delete certificate", clean(&id), &path);
                call.method = Method::DELETE;
                is_deleted = true;
                self.call(&call).await?
            }
            // The certificate itself tells the outcome of the call.
            Err(error) if error.outcome_unknown() => {
                let value = self.certificate(&id).await.map_err(|_| error)?;
                return Ok(read_back(&value, &id, &wanted));
            }
            other => other?,
        };
        let entry = made.data.first();
        let is_job = entry
            .map(wire::job)
            .filter(|job| job["serialNumber"].is_null());
        let job = is_job.filter(|job| job["status"].as_str() != Some("SUCCESS"));
        let reference = job.and_then(|job| job.get("id")).and_then(wire::id);
        if let Some(reference) = reference {
            return Ok(Revocation::Taken(OrderKey {
                reference,
                certificate: Some(id),
            }));
        }
        match self.certificate(&id).await {
            Ok(value) => Ok(read_back(&value, &id, &wanted)),
            Err(error) if is_deleted && error.failure == Failure::NotFound => Ok(Revocation::Done),
            Err(_) => Ok(Revocation::Taken(by_certificate(id))),
        }
    }

    async fn withdraw(&self, key: &OrderKey, _: &str) -> Result<(), CaError> {
        let path = ["job", &key.reference, "_cancel"];
        let mut call = Call::new(Kind::Effect, "cancel job", clean(&key.reference), &path);
        call.method = Method::PUT;
        self.call(&call).await.map(drop)
    }

    async fn orders(&self, _: &str) -> Result<Orders, CaError> {
        let (rows, is_whole) = self
            .certificates("list the certificates of", "the user", json!([]))
            .await?;
        let mut listed = Orders::default();
        if !is_whole {
            let words = "the list broke off before its end".to_owned();
            listed.unreadable.push(words);
        }
        for row in &rows {
            match wire::certificate(row) {
                Some(order) => listed.orders.push(order),
                None => listed
                    .unreadable
                    .push("a certificate without `id`".to_owned()),
            }
        }
        listed
            .orders
            .sort_by_key(|order| std::cmp::Reverse(order.ordered_at));
        Ok(listed)
    }
}

/// What a certificate tells of its revocation, which the CA was asked for.
fn read_back(value: &Value, id: &str, serial: &str) -> Revocation {
    match wire::is_revoked(value, serial) {
        true => Revocation::Done,
        false => Revocation::Taken(by_certificate(id.to_owned())),
    }
}

/// The key of a certificate, whatever its job was.
fn by_certificate(id: String) -> OrderKey {
    OrderKey {
        reference: format!("{}{id}", wire::CERTIFICATE),
        certificate: Some(id),
    }
}

impl InterNetX {
    /// Reads a certificate. A first "not found" is asked again, so that the second one is certain.
    async fn settled_certificate(&self, id: &str) -> Result<Value, CaError> {
        for pause in http::SETTLING {
            match self.certificate(id).await {
                Err(error) if error.failure == Failure::NotFound => self.http.rest(pause).await,
                other => return other,
            }
        }
        self.certificate(id).await
    }

    /// Fetches what is above a lone certificate from where it says itself: InterNetX has a chain only
    /// where the CA hands one over. Whether it is the right one is checked where it is installed.
    async fn complete(&self, found: &mut Vec<Vec<u8>>) {
        for _ in 0..LEVELS {
            let Some(url) = found.last().and_then(|der| csr::issuer_url(der)) else {
                return;
            };
            match self.http.file(&url).await {
                Ok(der) if Sight::of(&der).is_ok_and(|one| !one.is_self_issued) => found.push(der),
                Ok(_) => return,
                Err(why) => {
                    tracing::debug!(ca = self.http.ca, why, "a part of the chain is not there");
                    return;
                }
            }
        }
    }

    /// Every certificate that a search finds, page by page; false where the list broke off.
    pub(super) async fn certificates(
        &self,
        verb: &'static str,
        subject: &str,
        filters: Value,
    ) -> Result<(Vec<Value>, bool), CaError> {
        let path = ["certificate", "_search"];
        let mut found: Vec<Value> = Vec::new();
        for _ in 0..PAGES {
            let mut call = Call::new(Kind::List, verb, clean(subject), &path);
            let keys = [
                "serialNumber",
                "subjectAlternativeNames",
                "payable",
                "expire",
                "created",
            ];
            call.query = keys
                .iter()
                .map(|key| ("keys[]", (*key).to_owned()))
                .collect();
            let view = json!({"limit": PAGE, "offset": found.len()});
            call.body = Body::Json(json!({"filters": filters, "view": view}));
            let rows = self.call(&call).await?.data;
            let count = rows.len();
            if rows.first().is_some_and(|first| found.contains(first)) {
                // The same page again: what is behind it is not shown.
                return Ok((found, count < PAGE));
            }
            found.extend(rows);
            if count < PAGE {
                return Ok((found, true));
            }
        }
        Ok((found, false))
    }
}
