//! Orders as CertCentral writes them: rows of the list, details, and what a pending order waits for.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::super::entry::{moment, name_of, number};
use crate::ca::csr::{self, Csr};
use crate::ca::http::redact::clean;
use crate::ca::issuing::{Intent, Order, OrderKey};
use crate::issuance::OrderState;

/// The text before the id of a certificate that is to give way to another one.
pub(super) const NOT: &str = "not:";
/// The text before the id of a request of a revocation, or of the request that a key waits for.
pub(super) const REQUEST: &str = "request:";

/// What a key says in the place of a certificate's id, without the request behind it:
/// `not:104;request:9`.
pub(super) fn meant(certificate: &str) -> &str {
    certificate
        .split_once(';')
        .map_or(certificate, |(meant, _)| meant)
}

/// The request that another certificate of an order waits for, where its id is known.
pub(super) fn request_behind(key: &OrderKey) -> Option<u64> {
    let (_, request) = key.certificate.as_deref()?.split_once(';')?;
    request.strip_prefix(REQUEST)?.parse().ok()
}

/// The same certificate with the request behind it.
pub(super) fn with_request(meant: String, request: Option<u64>) -> String {
    match request {
        Some(id) => format!("{meant};{REQUEST}{id}"),
        None => meant,
    }
}

/// The request that the answer to a reissue or a duplicate names: the newest.
pub(super) fn newest_request(made: &Value) -> Option<u64> {
    let all = made["requests"].as_array().into_iter().flatten();
    all.filter_map(|one| number(&one["id"])?.parse().ok()).max()
}

/// An order: a row of the list, or its details.
pub(super) fn order(value: &Value) -> Result<Order, String> {
    let id = value.get("id").and_then(number).ok_or_else(|| {
        let shown: String = clean(&value.to_string()).chars().take(80).collect();
        format!("an order without an `id`: {shown}")
    })?;
    let word = value.get("status").and_then(Value::as_str);
    let word = word.unwrap_or_default();
    let certificate = &value["certificate"];
    let of_certificate = certificate["status"].as_str();
    let state = match state(word) {
        // DigiCert leaves an order as it is when a single certificate of it is revoked.
        OrderState::Issued if of_certificate == Some("revoked") => OrderState::Revoked,
        state => state,
    };
    let mut order = Order::new(OrderKey::new(id), state);
    order.words = words(&order.state, word);
    order.ordered_at = created(value);
    order.product = ["/product/name_id", "/product_name_id", "/product/name"]
        .iter()
        .find_map(|path| value.pointer(path)?.as_str())
        .map(clean);
    order.names = names(certificate);
    order.serial = serial(certificate);
    order.ends_at = certificate["valid_till"].as_str().and_then(moment);
    order.paid_until = paid_until(value);
    if order.state == OrderState::Issued {
        order.key.certificate = certificate_id(value);
    }
    Ok(order)
}

/// Until when an order is paid for, less a day: the day is written in a time zone that is not named,
/// and a reissue for its last hours would be no certificate for the next period.
pub(super) fn paid_until(value: &Value) -> Option<Timestamp> {
    let till = value["order_valid_till"].as_str().and_then(moment)?;
    till.checked_sub(SignedDuration::from_hours(24)).ok()
}

/// The order of a key, as its details show it. While it is reissued, it is not issued before it has
/// another certificate; and a certificate that is known stays the one that is meant, whatever is
/// issued under the same order later.
pub(super) fn seen(key: &OrderKey, details: &Value) -> Result<Order, String> {
    let mut order = order(details)?;
    let shown = certificate_id(details);
    let known = key.certificate.as_deref();
    match known.and_then(|known| meant(known).strip_prefix(NOT)) {
        Some(old) if shown.as_deref().is_none_or(|shown| shown == old) => {
            if order.state == OrderState::Issued {
                order.state = OrderState::Working;
            }
            order.key.certificate.clone_from(&key.certificate);
        }
        Some(_) => {}
        None if known.is_some() => order.key.certificate.clone_from(&key.certificate),
        None => {}
    }
    Ok(order)
}

/// The id of the certificate that the order has at last.
pub(super) fn certificate_id(value: &Value) -> Option<String> {
    value.pointer("/certificate/id").and_then(number)
}

/// The serial number, where there is one.
pub(super) fn serial(certificate: &Value) -> Option<String> {
    let text = certificate["serial_number"].as_str();
    text.filter(|text| !text.trim().is_empty()).map(csr::serial)
}

/// When an order was made.
pub(super) fn created(value: &Value) -> Option<Timestamp> {
    let text = value.get("date_created");
    let text = text.or_else(|| value.pointer("/certificate/date_created"));
    text.and_then(Value::as_str).and_then(moment)
}

/// The common name, then the others, in A-labels.
fn names(certificate: &Value) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let others = certificate["dns_names"].as_array().into_iter().flatten();
    let all = std::iter::once(&certificate["common_name"]).chain(others);
    for text in all.filter_map(Value::as_str) {
        let name = host(text);
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A name in any case, as A-labels or U-labels, with `*.` in front or without.
fn host(text: &str) -> String {
    let text = text.trim();
    let (wild, base) = match text.strip_prefix("*.") {
        Some(base) => ("*.", base),
        None => ("", text),
    };
    match name_of(base) {
        Some(name) => format!("{wild}{name}"),
        None => text.to_ascii_lowercase(),
    }
}

/// The state that a word means.
pub(super) fn state(word: &str) -> OrderState {
    match word.trim().to_ascii_lowercase().as_str() {
        "pending" | "processing" | "approved" | "reissue_pending" => OrderState::Working,
        "needs_approval" | "waiting_pickup" => OrderState::AwaitsPerson,
        "issued" => OrderState::Issued,
        "revoked" => OrderState::Revoked,
        "rejected" => OrderState::Rejected,
        "canceled" | "cancelled" => OrderState::Withdrawn,
        "expired" => OrderState::Failed,
        _ => OrderState::Unknown(clean(word)),
    }
}

fn words(state: &OrderState, word: &str) -> Option<String> {
    let word = clean(word);
    match state {
        OrderState::AwaitsPerson if word == "needs_approval" => Some(format!(
            "{word}: an administrator must approve it in CertCentral, under Certificates > Requests"
        )),
        OrderState::AwaitsPerson
        | OrderState::Rejected
        | OrderState::Withdrawn
        | OrderState::Failed
        | OrderState::Unknown(_) => Some(format!("DigiCert calls it {word}")),
        _ => None,
    }
}

/// Whether the order is validated by a record of its own.
pub(super) fn is_dv(value: &Value) -> bool {
    let text = |path: &str| {
        let text = value.pointer(path).and_then(Value::as_str);
        text.map(str::to_ascii_lowercase).unwrap_or_default()
    };
    is_dv_product(
        &text("/product/validation_type"),
        &[&text("/product/type"), &text("/product/group_name")],
        &[&text("/product/name_id"), &text("/product_name_id")],
    )
}

/// The same of what a product says of itself; all in lower case.
pub(super) fn is_dv_product(validation: &str, groups: &[&str], name_ids: &[&str]) -> bool {
    if !validation.is_empty() {
        return validation == "dv";
    }
    groups.iter().any(|group| group.starts_with("dv_"))
        || name_ids.iter().any(|name| name.contains("_dv_"))
}

/// What a pending order waits for (`GET /order/certificate/{id}/validation`).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Waits {
    /// Types of validation that the organisation lacks.
    organisation: Vec<String>,
    /// The names at which a domain is validated, and lacks it.
    pub(super) domains: Vec<String>,
}

impl Waits {
    pub(super) fn of(value: &Value) -> Self {
        let list = |key: &str| value[key].as_array().cloned().unwrap_or_default();
        let lacks = |one: &Value| {
            let word = one["status"].as_str().unwrap_or_default();
            !matches!(word, "approved" | "active" | "complete" | "")
        };
        let mut waits = Self::default();
        for one in list("organization_validations")
            .iter()
            .filter(|one| lacks(one))
        {
            let kind = one["type"].as_str().unwrap_or("organisation");
            waits.organisation.push(clean(kind));
        }
        for one in list("dns_name_validations").iter().filter(|one| lacks(one)) {
            let scope = one["name_scope"]
                .as_str()
                .or_else(|| one["dns_name"].as_str());
            let scope = scope.map(host).unwrap_or_default();
            let scope = scope.strip_prefix("*.").unwrap_or(&scope).to_owned();
            if !scope.is_empty() && !waits.domains.contains(&scope) {
                waits.domains.push(scope);
            }
        }
        waits
    }

    /// In words; `None`: for nothing that is named.
    pub(super) fn words(&self) -> Option<String> {
        let mut said = Vec::new();
        if !self.organisation.is_empty() {
            let kinds = self.organisation.join(", ");
            said.push(format!("the organisation is not validated for {kinds}"));
        }
        if !self.domains.is_empty() {
            said.push(format!("not validated: {}", self.domains.join(", ")));
        }
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// Whether an order is the one of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinship {
    Ours,
    NotOurs,
    /// It may be: it shows neither tag nor key.
    Unclear,
}

/// Whether the details of an order show the tag of the intent.
pub(super) fn has_tag(intent: &Intent, details: &Value) -> bool {
    texts(details).iter().any(|text| text.contains(&intent.tag))
}

/// Where a tag may be.
fn texts(details: &Value) -> [String; 3] {
    ["comments", "alternative_order_id", "order_notes"].map(|key| details[key].to_string())
}

/// What the details of an order tell: its tag goes before its key, since another order may have the
/// same key.
pub(super) fn kinship(intent: &Intent, details: &Value) -> Kinship {
    if has_tag(intent, details) {
        return Kinship::Ours;
    }
    let mut texts = texts(details).into_iter();
    if !intent.tag_is_lost && texts.any(|text| text.contains("[prevalidate:")) {
        return Kinship::NotOurs;
    }
    let request = details.pointer("/certificate/csr").and_then(Value::as_str);
    match request.and_then(|pem| Csr::read(pem.as_bytes()).ok()) {
        Some(csr) if csr.public_key() == intent.csr.public_key() => Kinship::Ours,
        Some(_) => Kinship::NotOurs,
        None => Kinship::Unclear,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn every_word_of_the_documents_has_its_state_and_another_one_is_unknown() {
        for (word, expected) in [
            ("pending", OrderState::Working),
            ("processing", OrderState::Working),
            ("approved", OrderState::Working),
            ("reissue_pending", OrderState::Working),
            ("needs_approval", OrderState::AwaitsPerson),
            ("waiting_pickup", OrderState::AwaitsPerson),
            ("issued", OrderState::Issued),
            ("revoked", OrderState::Revoked),
            ("rejected", OrderState::Rejected),
            ("canceled", OrderState::Withdrawn),
            ("expired", OrderState::Failed),
        ] {
            assert_eq!(state(word), expected, "{word}");
        }
        let odd = order(&json!({"id": 7, "status": "quantum"})).unwrap();
        assert!(odd.state.is_open());
        assert_eq!(odd.words.unwrap(), "DigiCert calls it quantum");
        assert!(order(&json!({"status": "issued"})).is_err());
    }

    #[test]
    fn details_tell_names_in_one_form_dates_and_the_certificate_once_it_is_issued() {
        let mut details = json!({
            "id": 7, "status": "pending", "date_created": "2026-11-29T12:00:00+00:00",
            "order_valid_till": "2027-11-29", "product": {"name_id": "ssl_basic"},
            "certificate": {"id": 104, "common_name": "Bücher.test",
                "dns_names": ["*.b.test", "xn--bcher-kva.test"],
                "serial_number": "0A1B", "valid_till": "2027-06-01"},
        });
        let pending = order(&details).unwrap();
        assert_eq!(pending.names, ["xn--bcher-kva.test", "*.b.test"]);
        assert_eq!(pending.key.certificate, None, "there is none yet");
        assert_eq!(pending.product.as_deref(), Some("ssl_basic"));
        assert!(pending.paid_until > pending.ends_at);
        details["status"] = json!("issued");
        let issued = order(&details).unwrap();
        assert_eq!(issued.key.certificate.as_deref(), Some("104"));
        assert_eq!(issued.serial.as_deref(), Some("a1b"));
        details["certificate"]["status"] = json!("revoked");
        assert_eq!(order(&details).unwrap().state, OrderState::Revoked);
    }

    #[test]
    fn a_reissue_is_not_issued_before_it_has_another_certificate() {
        let details = |id| json!({"id": 7, "status": "issued", "certificate": {"id": id}});
        let key = |certificate: Option<&str>| OrderKey {
            reference: "7".to_owned(),
            certificate: certificate.map(str::to_owned),
        };
        let waits = seen(&key(Some("not:104")), &details(104)).unwrap();
        assert_eq!(waits.state, OrderState::Working);
        assert_eq!(waits.key.certificate.as_deref(), Some("not:104"));
        let done = seen(&key(Some("not:104")), &details(105)).unwrap();
        assert_eq!(done.state, OrderState::Issued);
        assert_eq!(done.key.certificate.as_deref(), Some("105"));
        let kept = seen(&key(Some("104")), &details(105)).unwrap();
        assert_eq!(kept.key.certificate.as_deref(), Some("104"));
    }

    #[test]
    fn a_pending_order_says_what_it_waits_for() {
        let waits = Waits::of(&json!({
            "organization_validations": [
                {"type": "ov", "status": "pending"}, {"type": "ev", "status": "active"}],
            "dns_name_validations": [
                {"name_scope": "A.test", "status": "unapproved"},
                {"name_scope": "b.test", "status": "approved"},
                {"dns_name": "*.c.test", "status": "pending"}],
        }));
        assert_eq!(waits.domains, ["a.test", "c.test"]);
        let words = "the organisation is not validated for ov; not validated: a.test, c.test";
        assert_eq!(waits.words().unwrap(), words);
        assert_eq!(Waits::of(&json!({})).words(), None);
    }

    #[test]
    fn a_product_is_dv_by_its_type_its_group_or_its_name() {
        assert!(is_dv(&json!({"product": {"validation_type": "DV"}})));
        assert!(is_dv(&json!({"product": {"type": "dv_ssl_certificate"}})));
        assert!(is_dv(&json!({"product_name_id": "ssl_dv_geotrust"})));
        let ov = json!({"product": {"validation_type": "ov", "name_id": "odd_dv_name"}});
        assert!(!is_dv(&ov) && !is_dv(&json!({})));
    }
}
