//! Rows and details of certificates as SCM writes them.

use jiff::Timestamp;
use serde_json::Value;

use super::super::wire::moment;
use crate::ca::csr;
use crate::ca::http::redact::clean;
use crate::ca::issuing::{Order, OrderKey};
use crate::issuance::OrderState;

/// A number, or digits in a text.
pub(super) fn id(value: &Value) -> Option<String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    super::is_id(&text).then_some(text)
}

/// A row of the list. It has no state: one with a serial number was issued.
pub(super) fn row(value: &Value) -> Result<Order, String> {
    let id = value.get("sslId").or_else(|| value.get("id")).and_then(id);
    let id = id.ok_or_else(|| {
        let shown: String = clean(&value.to_string()).chars().take(80).collect();
        format!("a row without `sslId`: {shown}")
    })?;
    let order = details(OrderKey::new(id), value);
    let state = match value.get("status") {
        Some(_) => order.state.clone(),
        None if order.serial.is_some() => OrderState::Issued,
        None => OrderState::Working,
    };
    Ok(Order { state, ..order })
}

/// What details show of an order.
pub(super) fn details(key: OrderKey, value: &Value) -> Order {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let word = text("status").unwrap_or_default();
    let mut order = Order::new(key, state(word));
    order.words = words(&order.state, word);
    order.ordered_at = requested(value);
    order.ends_at = text("expires").and_then(moment);
    order.serial = serial(value);
    order.product = value
        .pointer("/certType/name")
        .and_then(Value::as_str)
        .map(clean);
    order.names = names(value);
    order
}

/// When an order was made: a day, or a moment.
pub(super) fn requested(value: &Value) -> Option<Timestamp> {
    let text = value.get("requested").and_then(Value::as_str);
    text.and_then(moment)
}

/// The serial number, where there is one.
pub(super) fn serial(value: &Value) -> Option<String> {
    let text = value.get("serialNumber").and_then(Value::as_str);
    text.filter(|text| !text.trim().is_empty()).map(csr::serial)
}

/// The common name and the others, as a list or as a text with commas.
fn names(value: &Value) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        let name = name.trim().to_ascii_lowercase();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    };
    if let Some(name) = value.get("commonName").and_then(Value::as_str) {
        add(name);
    }
    match value.get("subjectAlternativeNames") {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).for_each(add),
        Some(Value::String(text)) => text.split(',').for_each(add),
        _ => {}
    }
    names
}

/// The state that a word means, in any case and with any separators.
pub(super) fn state(word: &str) -> OrderState {
    let letters: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
    match letters.to_ascii_lowercase().as_str() {
        "init" | "approved" | "saapproved" | "applied" | "notenrolled" => OrderState::Working,
        "requested" | "awaitingapproval" => OrderState::AwaitsPerson,
        "issued" | "enrolledpendingdownload" | "downloaded" => OrderState::Issued,
        "revoked" => OrderState::Revoked,
        "declined" | "rejected" => OrderState::Rejected,
        "invalid" | "replaced" | "expired" => OrderState::Failed,
        _ => OrderState::Unknown(clean(word)),
    }
}

fn words(state: &OrderState, word: &str) -> Option<String> {
    let word = clean(word);
    match state {
        OrderState::AwaitsPerson => {
            Some(format!("{word}: an administrator must approve it in SCM"))
        }
        OrderState::Rejected | OrderState::Failed | OrderState::Unknown(_) => {
            Some(format!("Sectigo calls it {word}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn every_word_of_the_manual_has_its_state() {
        for (word, expected) in [
            ("Requested", OrderState::AwaitsPerson),
            ("SA Approved", OrderState::Working),
            ("SAApproved", OrderState::Working),
            ("Applied", OrderState::Working),
            ("ISSUED", OrderState::Issued),
            ("Enrolled - Pending Download", OrderState::Issued),
            ("Declined", OrderState::Rejected),
            ("Revoked", OrderState::Revoked),
        ] {
            assert_eq!(state(word), expected, "{word}");
        }
        assert!(state("Quantum").is_open());
    }

    #[test]
    fn a_row_without_a_state_tells_it_by_its_serial_number() {
        let issued = row(
            &json!({"sslId": 7, "commonName": "A.test", "serialNumber": "0A:1B",
            "subjectAlternativeNames": ["b.test", "a.test"]}),
        );
        let issued = issued.unwrap();
        assert_eq!(issued.state, OrderState::Issued);
        assert_eq!(issued.serial.as_deref(), Some("a1b"));
        assert_eq!(issued.names, ["a.test", "b.test"]);
        assert_eq!(
            row(&json!({"sslId": "8"})).unwrap().state,
            OrderState::Working
        );
        assert!(row(&json!({"commonName": "x"})).is_err());
    }
}
