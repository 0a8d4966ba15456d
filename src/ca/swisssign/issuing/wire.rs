//! `CertificateOrder` and `CertificateOrderTask` as they come, field by field.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::super::wire::{date, is_reference};
use crate::ca::csr::{self, Sight};
use crate::ca::http::redact::clean;
use crate::ca::issuing::{Order, OrderKey};
use crate::issuance::OrderState;

/// Reads an order. Only `uuid` and `status` must be there.
pub(super) fn order(value: &Value) -> Result<Order, String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let reference = text("uuid").filter(|text| text.starts_with("ord-") && is_reference(text));
    let reference = reference.ok_or_else(|| {
        let shown: String = clean(&value.to_string()).chars().take(80).collect();
        format!("an order without a usable `uuid`: {shown}")
    })?;
    let word = text("status").ok_or_else(|| format!("order {reference} has no `status`"))?;
    let mut order = Order::new(OrderKey::new(reference), state(word));
    order.ordered_at = text("createdOn").and_then(date);
    order.product = text("productReference").map(clean);
    let of_certificate = |key: &str| value.get("certificate")?.get(key)?.as_str();
    order.serial = of_certificate("serial").map(csr::serial);
    order.ends_at = of_certificate("endValidity").and_then(date);
    if let Some(sight) = leaf(value).and_then(|der| Sight::of(&der).ok()) {
        order.names = sight.names;
        order.ends_at = Timestamp::from_second(sight.not_after)
            .ok()
            .or(order.ends_at);
    }
    Ok(order)
}

/// The key of an order, or nothing.
pub(super) fn reference(value: &Value) -> String {
    let uuid = value.get("uuid").and_then(Value::as_str);
    uuid.map_or_else(|| value.to_string(), str::to_owned)
}

/// The tags of an order.
pub(super) fn tags(value: &Value) -> impl Iterator<Item = &str> {
    let tags = value.get("tags").and_then(Value::as_array);
    tags.into_iter().flatten().filter_map(Value::as_str)
}

/// The certificate of an order, DER.
pub(super) fn leaf(value: &Value) -> Option<Vec<u8>> {
    let text = value.get("certificate")?.get("certificate")?.as_str()?;
    csr::certificates(text)
        .ok()?
        .into_iter()
        .next()
        .or_else(|| STANDARD.decode(text).ok())
}

/// Serial number and issuer, exactly as the CA writes them: a revocation repeats them.
pub(super) fn certificate_names(value: &Value) -> Option<(&str, &str)> {
    let certificate = value.get("certificate")?;
    Some((
        certificate.get("serial")?.as_str()?,
        certificate.get("issuer")?.as_str()?,
    ))
}

/// Whether a text may be the word of a status.
pub(super) fn is_word(text: &str) -> bool {
    text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b' '))
}

/// The state that a word means, in any case and with any separators.
pub(super) fn state(word: &str) -> OrderState {
    let letters: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
    match letters.to_ascii_uppercase().as_str() {
        "NEW" | "KEYVALIDATION" | "GENERATETBS" | "PREISSUE" | "ISSUE" | "POSTVALIDATION"
        | "FINALIZEISSUANCE" => OrderState::Working,
        "PREVALIDATION" => OrderState::AwaitsValidation,
        "PENDINGAUTH" | "PENDINGCSRRENEWAL" => OrderState::AwaitsPerson,
        "ISSUED" => OrderState::Issued,
        "REVOKED" => OrderState::Revoked,
        "FAILED" => OrderState::Failed,
        "REJECTED" => OrderState::Rejected,
        _ => OrderState::Unknown(clean(word)),
    }
}

/// The words about a task that is not done.
pub(super) fn task(value: &Value) -> Option<String> {
    let text = |key: &str| {
        let text = value.get(key).and_then(Value::as_str);
        text.map(str::trim).filter(|text| !text.is_empty())
    };
    let status = text("status").unwrap_or("UNKNOWN");
    let error = text("error");
    if error.is_none() && status.eq_ignore_ascii_case("success") {
        return None;
    }
    let name = text("type").unwrap_or("task");
    let said = error
        .or_else(|| text("response"))
        .map(|said| format!(": {said}"));
    Some(clean(&format!(
        "{name} {status}{}",
        said.unwrap_or_default()
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_is_understood_however_it_is_written() {
        for word in ["ISSUED", "issued", "Issued"] {
            assert_eq!(state(word), OrderState::Issued);
        }
        for word in ["PRE_VALIDATION", "preValidation", "pre-validation"] {
            assert_eq!(state(word), OrderState::AwaitsValidation);
        }
        assert_eq!(state("PENDING_AUTH"), OrderState::AwaitsPerson);
        assert_eq!(state("REJECTED"), OrderState::Rejected);
        let new = state("QUANTUM_CHECK");
        assert!(new.is_open(), "a word that is new is no failure: {new}");
    }

    #[test]
    fn a_task_that_is_done_says_nothing() {
        let task = |value| super::task(&value);
        assert_eq!(task(json!({"type": "A", "status": "SUCCESS"})), None);
        assert_eq!(
            task(json!({"type": "CAA", "status": "FAILED", "error": "no issue"})).unwrap(),
            "CAA FAILED: no issue"
        );
        assert_eq!(
            task(json!({"type": "AUTH", "status": "WAITING", "error": null})).unwrap(),
            "AUTH WAITING"
        );
    }

    #[test]
    fn an_order_needs_its_key_and_its_status_only() {
        let read = order(&json!({"uuid": "ord-1", "status": "NEW"})).unwrap();
        assert_eq!(
            (read.key.reference.as_str(), read.state),
            ("ord-1", OrderState::Working)
        );
        for bad in [
            json!({}),
            json!({"uuid": "cli-1", "status": "NEW"}),
            json!({"uuid": "ord-1"}),
        ] {
            assert!(order(&bad).is_err(), "{bad}");
        }
    }
}
