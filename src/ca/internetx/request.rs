//! What an order says: to the rehearsal, and to the call that makes it.

use reqwest::Method;
use serde_json::{Value, json};

use super::{InterNetX, wire};
use crate::ca::http::redact::clean;
use crate::ca::http::{Body, Call, Kind};
use crate::ca::issuing::{Intent, Order, Subject, Succession};
use crate::ca::{CaError, Failure};
use crate::issuance::OrderState;

/// Months of an order that names no term.
const MONTHS: u32 = 12;

/// The end of the hint where InterNetX does not know a product.
pub(super) const NO_PRODUCT: &str =
    "a product of InterNetX, as BASIC_SSL is one, and does it take such a request?";

/// The kind of an order at InterNetX.
pub(super) enum Way {
    Create,
    Renew(String),
    Reissue(String),
}

impl InterNetX {
    /// Whether the order is a new one, the next period, or another certificate of the same period.
    pub(super) async fn way(&self, intent: &Intent) -> Result<Way, CaError> {
        let Some(after) = &intent.after else {
            return Ok(Way::Create);
        };
        let Some(id) = self.certificate_of(&after.key).await? else {
            return Ok(Way::Create);
        };
        let is_revoked = |value: &Value| {
            let shown = wire::certificate(value);
            shown.is_some_and(|shown| shown.state == OrderState::Revoked)
        };
        match self.certificate(&id).await {
            // Nothing comes after it.
            Ok(value) if is_revoked(&value) => Ok(Way::Create),
            Ok(_) if after.way == Succession::Reissue => Ok(Way::Reissue(id)),
            Ok(value) if value["reissueRequired"] == true => Ok(Way::Reissue(id)),
            Ok(_) => Ok(Way::Renew(id)),
            Err(error) if error.failure == Failure::NotFound => Ok(Way::Create),
            Err(error) => Err(error),
        }
    }

    /// The free rehearsal: the request is read, and the records are made.
    pub(super) async fn prepared(&self, intent: &Intent, way: &Way) -> Result<Value, CaError> {
        let path = ["certificate", "_prepareOrder"];
        let mut call = Call::new(
            Kind::Read,
            "prepare the order",
            clean(intent.subject.common_name()),
            &path,
        );
        let mut body = json!({"plain": plain(intent), "product": intent.product});
        // The common name is that of the request here.
        let common_name = intent.csr.common_name();
        let common_name = common_name.unwrap_or_else(|| intent.subject.common_name());
        let others = alternative_names(intent, common_name);
        if !others.is_empty() {
            body["subjectAlternativeNames"] = json!(others);
        }
        let (case, id) = match way {
            Way::Create => ("CREATE", None),
            Way::Renew(id) => ("RENEW", Some(id)),
            Way::Reissue(id) => ("REISSUE", Some(id)),
        };
        body["businessCase"] = json!(case);
        if let Some(id) = id {
            body["certificate"] = json!({"id": number(id)});
        }
        call.body = Body::Json(body);
        let said = |error: CaError| {
            // Which code an unknown product has is not known; the words name it.
            let names_it = error.failure == Failure::Refused
                && error.hint.is_none()
                && !intent.product.trim().is_empty()
                && error.message.contains(intent.product.trim());
            if error.failure != Failure::NotFound && !names_it {
                return error;
            }
            let hint = format!("Is `{}` {NO_PRODUCT}", clean(&intent.product));
            CaError {
                failure: Failure::Refused,
                ..error
            }
            .with_hint(hint)
        };
        let answer = self.call(&call).await.map_err(said)?;
        answer
            .data
            .into_iter()
            .next()
            .ok_or_else(|| self.malformed("prepare the order", &intent.tag))
    }

    /// The order, with its contact.
    pub(super) async fn request(&self, intent: &Intent) -> Result<Value, CaError> {
        let Some(contact) = &intent.contact else {
            let call = Call::new(
                Kind::Read,
                "order",
                clean(intent.subject.common_name()),
                &[],
            );
            return Err(self
                .http
                .error(Failure::Refused, &call, "the order names no contact"));
        };
        let contact = number(&self.contact(contact).await?);
        let months = intent
            .term
            .map_or(MONTHS, |days| (days.saturating_add(15) / 30).max(1));
        let mut order = json!({
            "name": intent.subject.common_name(),
            "product": intent.product,
            "certificateType": if is_mailbox(intent) { "MAIL" } else { "FQDN" },
            "csr": plain(intent),
            "lifetime": {"unit": "MONTH", "period": months},
            "adminContact": {"id": contact},
            "technicalContact": {"id": contact},
        });
        if let Subject::Mailbox {
            first_name,
            last_name,
            ..
        } = &intent.subject
        {
            // Without it the CA's side would make the key.
            order["hasCsr"] = json!(true);
            for (key, name) in [("firstname", first_name), ("lastname", last_name)] {
                if let Some(name) = name {
                    order[key] = json!(name);
                }
            }
        } else {
            order["software"] = json!("APACHESSL");
        }
        let others = alternative_names(intent, intent.subject.common_name());
        if !others.is_empty() {
            order["subjectAlternativeNames"] = json!(others);
        }
        if let Some(comments) = &intent.comments {
            order["comment"] = json!(comments);
        }
        if let Some(answer) = &intent.answer {
            let read = serde_json::from_str::<Value>(answer);
            order["authentication"] = read.map_err(|_| {
                let call = Call::new(
                    Kind::Read,
                    "order",
                    clean(intent.subject.common_name()),
                    &[],
                );
                self.http.error(
                    Failure::Refused,
                    &call,
                    "the validation of the order is unreadable",
                )
            })?;
        }
        Ok(order)
    }

    pub(super) async fn order_by(
        &self,
        intent: &Intent,
        way: &Way,
        order: &Value,
    ) -> Result<Order, CaError> {
        let create = ["certificate"];
        let (renew, reissue): ([&str; 3], [&str; 2]);
        let (path, method): (&[&str], _) = match way {
            Way::Create => (&create, Method::POST),
            Way::Renew(id) => {
                renew = ["certificate", id, "_renew"];
                (&renew, Method::PUT)
            }
            Way::Reissue(id) => {
                reissue = ["certificate", id];
                (&reissue, Method::PUT)
            }
        };
        let mut call = Call::new(
            Kind::Order,
            "order",
            clean(intent.subject.common_name()),
            path,
        );
        call.method = method;
        call.body = Body::Json(order.clone());
        let answer = self.call_tagged(&call, Some(&intent.tag)).await?;
        let entry = answer.data.first();
        let reference = entry
            .map(wire::job)
            .and_then(|job| job.get("id"))
            .and_then(wire::id);
        let (Some(entry), Some(reference)) = (entry, reference) else {
            let why = "the answer names no job";
            return Err(self.http.error(Failure::Malformed, &call, why));
        };
        Ok(wire::order(&reference, None, entry))
    }
}

/// The request as the vendor's own programs send it: in one line between its marks.
fn plain(intent: &Intent) -> String {
    let body = intent.csr.base64();
    format!("-----BEGIN CERTIFICATE REQUEST-----\r\n{body}\r\n-----END CERTIFICATE REQUEST-----")
}

pub(super) fn is_mailbox(intent: &Intent) -> bool {
    matches!(intent.subject, Subject::Mailbox { .. })
}

/// The names beside the common name.
fn alternative_names(intent: &Intent, common_name: &str) -> Vec<Value> {
    let names = intent.subject.names().iter();
    let others = names.filter(|name| !name.eq_ignore_ascii_case(common_name));
    others.map(|name| json!({"name": name})).collect()
}

fn number(id: &str) -> Value {
    id.parse::<u64>().map_or(json!(id), |number| json!(number))
}
