//! Revocation: of the certificate that an order shows by the order, of an older one by its serial
//! number. It is done when SCM shows this very certificate as revoked.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::super::Sectigo;
use super::super::error::{ApiError, Endpoint};
use super::wire;
use crate::ca::http::redact::clean;
use crate::ca::http::{Body, Call, Kind};
use crate::ca::issuing::{OrderKey, Revocation, RevocationRequest};
use crate::ca::{CaError, Failure, csr};
use crate::issuance::OrderState;

/// Codes of a revocation that the state does not allow. Often it is revoked already, and only SCM's
/// state tells: a certificate that is not issued yet is refused with the same codes.
const WRONG_STATE: [i64; 3] = [-102, -130, -159];

/// How the list shows a certificate that no order shows any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Revoked,
    NotRevoked,
    Nowhere,
}

impl Sectigo {
    /// See [`crate::ca::issuing::Issuing::revoke`].
    pub(super) async fn revocation(
        &self,
        key: &OrderKey,
        request: &RevocationRequest,
    ) -> Result<Revocation, CaError> {
        let known = match self.details("read the order", key).await {
            Ok(details) => Some(details),
            // The number of the certificate names it too.
            Err(error) if error.failure == Failure::NotFound => None,
            Err(error) => return Err(error),
        };
        let wanted = csr::serial(&request.serial);
        let shown = known.as_ref().and_then(wire::serial);
        // After a replacement the order has another certificate, and the old one goes by number.
        // Where the order shows no number, only the number names the certificate.
        let is_present = shown.as_ref() == Some(&wanted);
        let replaced = known.as_ref().filter(|_| shown.is_some() && !is_present);
        let is_revoked = |value: &Value| self.seen(key, value).state == OrderState::Revoked;
        if is_present && known.as_ref().is_some_and(is_revoked) {
            return Ok(Revocation::Done);
        }
        let by_id = ["ssl", "v1", "revoke", &key.reference];
        let number = wanted.to_uppercase();
        let by_serial = ["ssl", "v1", "revoke", "serial", &number];
        let path: &[&str] = if is_present { &by_id } else { &by_serial };
        let verb = "revoke the certificate of";
        let mut call = Call::new(Kind::Effect, verb, clean(&key.reference), path);
        let reason = request
            .comment
            .clone()
            .unwrap_or_else(|| request.reason.to_string());
        call.body = Body::Json(json!({
            "reasonCode": request.reason.code(),
            "reason": reason.chars().take(512).collect::<String>(),
        }));
        let (answer, refused) = self.answer(Endpoint::Ssl, &call).await?;
        let Some(error) = refused else {
            // The order is read until it says so.
            let Some(details) = replaced else {
                return Ok(Revocation::Taken(key.clone()));
            };
            // SCM says 204; anything else is no word of its own. What the list does not show can be
            // read nowhere, and there SCM's own word counts. A list that cannot be read now says
            // nothing of what SCM has answered.
            let is_done = answer.status == StatusCode::NO_CONTENT
                && matches!(
                    self.listed_as(details, &wanted).await,
                    Ok(Listed::Revoked | Listed::Nowhere)
                );
            return Ok(match is_done {
                true => Revocation::Done,
                false => Revocation::Taken(key.clone()),
            });
        };
        let code = ApiError::read(&answer.body).and_then(|said| said.code);
        if !code.is_some_and(|code| WRONG_STATE.contains(&code)) {
            return Err(error);
        }
        // A refusal shows nothing by itself. Where nothing can be read now, it stays the answer.
        let is_done = match self.details("read the order", key).await {
            Ok(now) if wire::serial(&now).is_some_and(|shown| shown != wanted) => {
                let listed = self.listed_as(&now, &wanted).await;
                listed.is_ok_and(|listed| listed == Listed::Revoked)
            }
            Ok(now) => is_revoked(&now),
            Err(_) => false,
        };
        match is_done {
            true => Ok(Revocation::Done),
            false => Err(error),
        }
    }

    /// Whether the list of the organisation shows a certificate among the revoked ones. If the list
    /// ignores the state in the question, it shows the certificate among the issued ones too. Then
    /// it counts as not revoked.
    async fn listed_as(&self, order: &Value, serial: &str) -> Result<Listed, CaError> {
        let Some(client) = order.get("orgId").and_then(wire::id) else {
            return Ok(Listed::Nowhere);
        };
        let mut found = [false; 2];
        for (found, state) in found.iter_mut().zip(["Revoked", "Issued"]) {
            let wanted = vec![
                ("status", state.to_owned()),
                ("serialNumber", serial.to_uppercase()),
            ];
            let verb = "search for the revoked certificate in organisation";
            let (rows, _) = self.rows(verb, &client, wanted).await?;
            let mut rows = rows.iter();
            *found = rows.any(|row| wire::serial(row).as_deref() == Some(serial));
        }
        Ok(match found {
            [true, false] => Listed::Revoked,
            [_, true] => Listed::NotRevoked,
            [false, false] => Listed::Nowhere,
        })
    }
}
