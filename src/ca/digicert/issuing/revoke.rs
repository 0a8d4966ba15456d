//! Revocation: of one certificate by its id or its serial number, since revoking an order revokes its
//! duplicates too. Without the right to approve it is a request, which is read until an administrator
//! has decided.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::DigiCert;
use super::super::entry::{is_id, number};
use super::wire::{self, REQUEST};
use crate::ca::csr;
use crate::ca::http::redact::clean;
use crate::ca::http::{self, Body, Call, Kind};
use crate::ca::issuing::{Order, OrderKey, Revocation, RevocationRequest};
use crate::ca::{CaError, Failure};
use crate::issuance::{OrderState, RevocationReason};

/// The request that a key names, where it is that of a revocation.
pub(super) fn request_of(key: &OrderKey) -> Option<&str> {
    key.certificate.as_deref()?.strip_prefix(REQUEST)
}

impl DigiCert {
    /// See [`crate::ca::issuing::Issuing::revoke`].
    pub(super) async fn revocation(
        &self,
        key: &OrderKey,
        asked: &RevocationRequest,
    ) -> Result<Revocation, CaError> {
        if let Some(request) = request_of(key) {
            return self.asked_before(key, request).await;
        }
        let details = self.settled_details(key).await?;
        let known = self.seen(&OrderKey::new(key.reference.clone()), &details)?;
        let wanted = csr::serial(&asked.serial);
        let is_present = known.serial.as_ref() == Some(&wanted);
        // An order tells of one certificate, and not of those beside it.
        let is_over = match is_present {
            true => known.state == OrderState::Revoked,
            false => self.is_revoked_beside(key, &wanted).await?,
        };
        if is_over {
            return Ok(Revocation::Done);
        }
        if let Some(request) = self.request_for(&details, &wanted).await? {
            return Ok(taken(key, &request));
        }
        let id = wire::certificate_id(&details).filter(|_| is_present);
        let digits = wanted.to_uppercase();
        let number = match digits.len() % 2 {
            0 => digits,
            _ => format!("0{digits}"),
        };
        let path = ["certificate", id.as_ref().unwrap_or(&number), "revoke"];
        let verb = "revoke the certificate of";
        let mut call = Call::new(Kind::Effect, verb, clean(&key.reference), &path);
        call.method = Method::PUT;
        let mut body = json!({
            "revocation_reason": word(asked.reason),
            "comments": comments(asked, &wanted),
        });
        if self.settings.skip_approval {
            body["skip_approval"] = json!(true);
        }
        call.body = Body::Json(body);
        let answer = match self.order_call(&call).await {
            Ok(answer) => answer,
            Err(error) if is_revoked_already(&error) => return Ok(Revocation::Done),
            Err(error) => return Err(error),
        };
        // 204 is done; 201 is a request that waits for an administrator. Anything else is no word of
        // DigiCert's: the order tells.
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(Revocation::Done);
        }
        if answer.body.trim().is_empty() {
            return Ok(Revocation::Taken(key.clone()));
        }
        let made = self.json(&call, &answer)?.value;
        let request = made.get("id").and_then(self::number);
        Ok(match request {
            Some(request) => taken(key, &request),
            None => Revocation::Taken(key.clone()),
        })
    }

    /// The details of an order that is certainly not there when it is not found: a hasty answer is asked
    /// for again.
    async fn settled_details(&self, key: &OrderKey) -> Result<Value, CaError> {
        for pause in http::SETTLING {
            match self.order_details("read the order", key).await {
                Err(error) if error.failure == Failure::NotFound => self.http.rest(pause).await,
                other => return other,
            }
        }
        self.order_details("read the order", key).await
    }

    /// The open request for the revocation of this very certificate. One that does not say of which
    /// certificate it is, is another one's: an order has several.
    async fn request_for(&self, details: &Value, serial: &str) -> Result<Option<String>, CaError> {
        for one in open_requests(details) {
            let Some(id) = number(&one["id"]) else {
                continue;
            };
            if is_about(one, serial) {
                return Ok(Some(id));
            }
            if one["comments"].is_string() {
                continue;
            }
            let path = ["request", &id];
            let call = Call::new(Kind::Read, "read request", clean(&id), &path).by_get();
            match self.order_call(&call).await {
                Ok(answer) => {
                    if is_about(&self.json(&call, &answer)?.value, serial) {
                        return Ok(Some(id));
                    }
                }
                Err(error) if error.is_retryable() || error.is_account_wide() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    async fn asked_before(&self, key: &OrderKey, request: &str) -> Result<Revocation, CaError> {
        let found = self.revocation_request(key, request).await?;
        match found.state {
            OrderState::Revoked => Ok(Revocation::Done),
            OrderState::Rejected => {
                let call = Call::new(Kind::Read, "revoke", clean(&key.reference), &[]);
                let why = format!("an administrator rejected request {request}");
                let error = self.http.error(Failure::Refused, &call, &why);
                Err(error.with_hint("Ask the administrators of CertCentral, then ask again."))
            }
            _ => Ok(Revocation::Taken(key.clone())),
        }
    }

    /// The state of the request for a revocation, as an order.
    pub(super) async fn revocation_request(
        &self,
        key: &OrderKey,
        request: &str,
    ) -> Result<Order, CaError> {
        let path = ["request", request];
        let call = Call::new(Kind::Read, "read request", clean(request), &path).by_get();
        if !is_id(request) {
            let why = "the id of a request is a number";
            return Err(self.http.error(Failure::Refused, &call, why));
        }
        let answer = self.order_call(&call).await?;
        let value = self.json(&call, &answer)?.value;
        let status = value["status"].as_str().unwrap_or_default().to_owned();
        let waits =
            "an administrator must approve it in CertCentral, under Certificates > Requests";
        let (state, words) = match status.as_str() {
            "approved" => (OrderState::Revoked, None),
            "rejected" => (OrderState::Rejected, Some("rejected".to_owned())),
            "pending" | "needs_approval" | "submitted" => {
                (OrderState::AwaitsPerson, Some(format!("{status}: {waits}")))
            }
            _ => (OrderState::Unknown(clean(&status)), None),
        };
        let mut order = Order::new(key.clone(), state);
        order.words = words;
        Ok(order)
    }
}

fn taken(key: &OrderKey, request: &str) -> Revocation {
    Revocation::Taken(OrderKey {
        reference: key.reference.clone(),
        certificate: Some(format!("{REQUEST}{request}")),
    })
}

/// The requests for a revocation that are not decided yet.
fn open_requests(details: &Value) -> impl Iterator<Item = &Value> {
    let requests = details["requests"].as_array().into_iter().flatten();
    requests.filter(|one| one["type"] == "revoke" && one["status"] == "pending")
}

/// A note for the administrator who decides, and the certificate by which the request is found.
fn comments(asked: &RevocationRequest, serial: &str) -> String {
    let note = asked.comment.clone();
    let note = note.unwrap_or_else(|| asked.reason.to_string());
    format!("{note} [{}]", mark(serial))
}

fn mark(serial: &str) -> String {
    format!("serial number {serial}")
}

/// Whether a request says that it is about this certificate.
fn is_about(request: &Value, serial: &str) -> bool {
    let comments = request["comments"].as_str().unwrap_or_default();
    let stated = request.pointer("/certificate/serial_number");
    let stated = stated.and_then(Value::as_str).map(csr::serial);
    stated.as_deref() == Some(serial) || comments.contains(&format!("[{}]", mark(serial)))
}

/// Its code is not documented.
fn is_revoked_already(error: &CaError) -> bool {
    let words = error.message.to_lowercase();
    let says = |text: &str| words.contains(text);
    error.failure == Failure::Refused && (says("already revoked") || says("already_revoked"))
}

/// DigiCert, "Revoke certificate".
fn word(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::Unspecified => "unspecified",
        RevocationReason::KeyCompromise => "keyCompromise",
        RevocationReason::AffiliationChanged => "affiliationChanged",
        RevocationReason::Superseded => "superseded",
        RevocationReason::CessationOfOperation => "cessationOfOperation",
    }
}
