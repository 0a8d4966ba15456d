//! What an order says, and what its answer says.

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::entry::number;
use super::products::{Metadata, Offer};
use super::wire::{self, NOT, paid_until};
use crate::ca::issuing::{Intent, Order, OrderKey};
use crate::issuance::OrderState;

/// What orders of a product have in common.
pub(super) struct Content<'a> {
    pub(super) offer: &'a Offer,
    /// The method of validation: without one DigiCert sends mail.
    pub(super) method: &'static str,
    pub(super) skips_approval: bool,
    pub(super) fields: &'a [Metadata],
    pub(super) now: Timestamp,
}

impl Content<'_> {
    /// A new order, which may be the renewal of another one.
    pub(super) fn order(&self, intent: &Intent) -> Value {
        let mut body = self.common(intent);
        let days = intent.term.unwrap_or_else(|| longest_life(self.now));
        body["order_validity"] = json!({"days": days});
        // A DV product has no organisation in it.
        if !self.offer.is_dv() {
            body["organization"] = json!({"id": id(&intent.client)});
        }
        if let Some(before) = &intent.after {
            body["renewal_of_order_id"] = id(&before.key.reference);
        }
        if let Some(requester) = &intent.requester {
            let all = requester.split(',').map(str::trim);
            let all: Vec<_> = all.filter(|one| !one.is_empty()).collect();
            body["additional_emails"] = json!(all);
        }
        let field = |(name, value): (&String, &String)| {
            let known = self.fields.iter().find(|one| one.field.name == *name)?;
            Some(json!({"metadata_id": id(&known.id), "value": value}))
        };
        if !intent.fields.is_empty() {
            body["custom_fields"] = intent.fields.iter().filter_map(field).collect();
        }
        body
    }

    /// Another certificate with another key under the same order: a reissue, or a duplicate.
    pub(super) fn reissue(&self, intent: &Intent) -> Value {
        self.common(intent)
    }

    fn common(&self, intent: &Intent) -> Value {
        let (first, others) = intent.subject.names().split_first().unzip();
        let mut body = json!({
            "certificate": {
                "common_name": first,
                "dns_names": others.unwrap_or_default(),
                "csr": intent.csr.pem(),
                "signature_hash": self.offer.hash(),
            },
            "dcv_method": self.method,
            "comments": comments(intent),
        });
        if self.skips_approval {
            body["skip_approval"] = json!(true);
        }
        body
    }
}

/// A note for people, and the tag by which the order is found.
fn comments(intent: &Intent) -> String {
    match &intent.comments {
        Some(words) => format!("{words} [{}]", intent.tag),
        None => format!("[{}]", intent.tag),
    }
}

/// Ids are numbers on the wire.
fn id(text: &str) -> Value {
    text.parse::<u64>()
        .map_or(json!(text), |number| json!(number))
}

/// The longest life of a certificate, days: DigiCert's change log, February 2026; the later drops are
/// assumed to be a day under the rules as well.
fn longest_life(now: Timestamp) -> u32 {
    let since = |year, month, day| {
        let start = date(year, month, day).to_zoned(TimeZone::UTC);
        start.is_ok_and(|start| now >= start.timestamp())
    };
    match (since(2029, 3, 15), since(2027, 3, 15)) {
        (true, _) => 46,
        (_, true) => 99,
        _ => 199,
    }
}

/// The order that an answer names; `old` is the certificate that gives way to another one.
///
/// Where all domains are validated DigiCert issues at once, and the certificate is in the answer
/// (DigiCert, "Immediate certificate issuance"). It is fetched all the same.
pub(super) fn submitted(made: &Value, old: Option<String>) -> Option<Order> {
    let reference = made.get("id").and_then(number)?;
    let chain = made["certificate_chain"].as_array();
    let has_chain = chain.is_some_and(|chain| !chain.is_empty());
    let fresh = made.get("certificate_id").and_then(number);
    let fresh = fresh.filter(|fresh| has_chain && old.as_ref() != Some(fresh));
    let state = match fresh {
        Some(_) => OrderState::Issued,
        None => OrderState::Working,
    };
    let waits = |old| wire::with_request(format!("{NOT}{old}"), wire::newest_request(made));
    let certificate = fresh.or_else(|| old.map(waits));
    let key = OrderKey {
        reference,
        certificate,
    };
    let mut order = Order::new(key, state);
    // What is issued at once is not checked any more.
    order.paid_until = paid_until(made);
    Some(order)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_names_the_certificate_only_where_it_brings_it() {
        let seen = |made: Value, old: Option<&str>| {
            let order = submitted(&made, old.map(str::to_owned)).unwrap();
            (order.state, order.key.certificate)
        };
        let chain = json!([{"pem": "…"}]);
        let whole = json!({"id": 7, "certificate_id": 104, "certificate_chain": chain});
        let issued = (OrderState::Issued, Some("104".to_owned()));
        assert_eq!(seen(whole.clone(), None), issued);
        let waits =
            |certificate: Option<&str>| (OrderState::Working, certificate.map(str::to_owned));
        assert_eq!(seen(whole, Some("104")), waits(Some("not:104")));
        assert_eq!(
            seen(json!({"id": 7, "certificate_id": 104}), None),
            waits(None)
        );
        assert_eq!(
            seen(json!({"id": "7"}), Some("103")),
            waits(Some("not:103"))
        );
        assert!(submitted(&json!({"requests": []}), None).is_none());
    }

    #[test]
    fn an_order_without_a_term_takes_the_longest_life_of_its_day() {
        for (day, days) in [
            ("2026-11-30T00:00:00Z", 199),
            ("2027-03-15T00:00:00Z", 99),
            ("2029-03-15T00:00:00Z", 46),
        ] {
            assert_eq!(longest_life(day.parse().unwrap()), days, "{day}");
        }
    }
}
