//! Whether a reissue was taken whose answer was lost, and what one waits for that was taken.
//!
//! A reissue keeps the number of its order, so the order tells by its certificate and its requests. A
//! key proves nothing where the certificate before has the same one (`reuse_key`, `csr`).

use serde_json::Value;

use super::super::DigiCert;
use super::super::entry::number;
use super::wire::{self, Kinship, NOT};
use crate::ca::CaError;
use crate::ca::issuing::{Found, Intent, Order, OrderKey};
use crate::issuance::OrderState;

/// What a request for a reissue comes to, by the words of DigiCert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Open,
    Rejected,
    Over,
}

/// A request for another certificate of an order.
struct Request<'a> {
    id: u64,
    standing: Standing,
    comments: Option<&'a str>,
}

/// The requests of a kind (`reissue`, `duplicate`) that the details of an order show, the newest last.
fn requests<'a>(kind: &str, details: &'a Value) -> Vec<Request<'a>> {
    let all = details["requests"].as_array().into_iter().flatten();
    let reissues = all.filter(|one| {
        let known = one["type"].as_str().unwrap_or_default();
        known.to_ascii_lowercase().contains(kind)
    });
    let read = |one: &'_ Value| {
        let standing = match one["status"].as_str().unwrap_or_default() {
            "pending" | "needs_approval" | "submitted" => Standing::Open,
            "rejected" => Standing::Rejected,
            _ => Standing::Over,
        };
        let id = number(&one["id"])?.parse().ok()?;
        Some((id, standing))
    };
    let mut found: Vec<_> = reissues
        .filter_map(|one| {
            let (id, standing) = read(one)?;
            let comments = one["comments"].as_str().filter(|words| !words.is_empty());
            Some(Request {
                id,
                standing,
                comments,
            })
        })
        .collect();
    found.sort_by_key(|one| one.id);
    found
}

/// What the open requests of a kind say of an intent.
pub(super) fn by_requests(kind: &str, intent: &Intent, details: &Value) -> Option<Kinship> {
    let mut kinship = None;
    for request in requests(kind, details) {
        match request.comments {
            Some(words) if words.contains(&intent.tag) => return Some(Kinship::Ours),
            _ if request.standing != Standing::Open => {}
            // Somebody's, or ours: another reissue beside it would be one too many.
            _ => kinship = Some(Kinship::Unclear),
        }
    }
    kinship
}

/// A reissue that was taken, as far as its request tells: it may wait for an administrator, or be
/// rejected, while the order is issued with the certificate before.
pub(super) fn with_request(order: Order, details: &Value) -> Order {
    let waits = order.key.certificate.as_deref();
    let waits = waits.is_some_and(|known| known.starts_with(NOT));
    if !waits || order.state != OrderState::Working || details["status"] != "issued" {
        return order;
    }
    with_request_of("reissue", order, details)
}

/// The same by the newest request of a kind.
pub(super) fn with_request_of(kind: &str, mut order: Order, details: &Value) -> Order {
    match requests(kind, details).last() {
        Some(request) if request.standing == Standing::Open => {
            order.state = OrderState::AwaitsPerson;
            order.words = Some(format!(
                "request {}: an administrator must approve the {kind} in CertCentral, under Certificates > Requests",
                request.id
            ));
        }
        Some(request) if request.standing == Standing::Rejected => {
            order.state = OrderState::Rejected;
            let words = format!("an administrator rejected request {}", request.id);
            order.words = Some(words);
        }
        _ => {}
    }
    order
}

impl DigiCert {
    /// Whether a reissue was taken: the order shows its tag or its request, is at work on one, or has
    /// another certificate than before, for our key.
    pub(super) async fn reissued(
        &self,
        intent: &Intent,
        before: &OrderKey,
    ) -> Result<Found, CaError> {
        let old = before.certificate.as_deref();
        let old = old.map(|old| old.strip_prefix(NOT).unwrap_or(old));
        let key = OrderKey {
            reference: before.reference.clone(),
            certificate: old.map(|old| format!("{NOT}{old}")),
        };
        let details = self.order_details("look for the reissue of", &key).await?;
        let order = with_request(self.seen(&key, &details)?, &details);
        let is_the_old = old.is_some() && wire::certificate_id(&details).as_deref() == old;
        let is_issued = details["status"] == "issued";
        let kinship = if wire::has_tag(intent, &details) || details["status"] == "reissue_pending" {
            // The tag that it shows while it is at work may be that of the order before.
            Kinship::Ours
        } else if let Some(kinship) = by_requests("reissue", intent, &details) {
            kinship
        } else if is_issued && is_the_old {
            Kinship::NotOurs
        } else if order.state == OrderState::Issued {
            let plain = OrderKey::new(before.reference.clone());
            self.by_certificate(intent, &plain).await?
        } else {
            wire::kinship(intent, &details)
        };
        Ok(match kinship {
            Kinship::Ours => Found::Order(Box::new(order)),
            Kinship::NotOurs => self.not_found(intent, false),
            Kinship::Unclear => self.not_found(intent, true),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reissue_waits_for_its_request_and_ends_with_its_rejection() {
        let seen = |requests: Value| {
            let details = json!({"id": 7, "status": "issued", "certificate": {"id": 104},
                "requests": requests});
            let key = OrderKey {
                reference: "7".to_owned(),
                certificate: Some("not:104".to_owned()),
            };
            with_request(wire::seen(&key, &details).unwrap(), &details).state
        };
        let first = json!({"id": 1, "type": "new_request", "status": "rejected"});
        let reissue =
            |id: u64, status: &str| json!({"id": id, "type": "reissue", "status": status});
        assert_eq!(seen(json!([])), OrderState::Working);
        assert_eq!(seen(json!([first])), OrderState::Working);
        let open = json!([reissue(9, "pending"), reissue(3, "rejected")]);
        assert_eq!(seen(open), OrderState::AwaitsPerson);
        let over = json!([reissue(3, "pending"), reissue(9, "rejected")]);
        assert_eq!(seen(over), OrderState::Rejected);
        assert_eq!(seen(json!([reissue(9, "approved")])), OrderState::Working);
    }
}
