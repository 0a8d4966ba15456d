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
enum RequestState {
    Open,
    Rejected,
    Over,
}

/// A request for another certificate of an order.
struct Request<'a> {
    id: u64,
    state: RequestState,
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
        let state = match one["status"].as_str().unwrap_or_default() {
            "pending" | "needs_approval" | "submitted" => RequestState::Open,
            "rejected" => RequestState::Rejected,
            _ => RequestState::Over,
        };
        let id = number(&one["id"])?.parse().ok()?;
        Some((id, state))
    };
    let mut found: Vec<_> = reissues
        .filter_map(|one| {
            let (id, state) = read(one)?;
            let comments = one["comments"].as_str().filter(|words| !words.is_empty());
            Some(Request {
                id,
                state,
                comments,
            })
        })
        .collect();
    found.sort_by_key(|one| one.id);
    found
}

/// What the requests of a kind say of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// This one is its own.
    Ours(u64),
    /// One is open, and shows no tag: a second reissue must not be added.
    Unclear,
}

/// What the open requests of a kind say of an intent.
pub(super) fn by_requests(kind: &str, intent: &Intent, details: &Value) -> Option<Asked> {
    let mut asked = None;
    for request in requests(kind, details) {
        match request.comments {
            Some(words) if words.contains(&intent.tag) => return Some(Asked::Ours(request.id)),
            _ if request.state != RequestState::Open => {}
            // Of another person, or ours.
            _ => asked = Some(Asked::Unclear),
        }
    }
    asked
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

/// The same by a request of a kind: by that of the key, or by the only one. Where there are several
/// and none is known to be its own, an order says so: what becomes of another one is not its end.
pub(super) fn with_request_of(kind: &str, mut order: Order, details: &Value) -> Order {
    let all = requests(kind, details);
    let own = match (wire::request_behind(&order.key), all.as_slice()) {
        (Some(id), all) => all.iter().find(|one| one.id == id),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    match own {
        Some(request) if request.state == RequestState::Open => {
            order.state = OrderState::AwaitsPerson;
            order.words = Some(format!(
                "request {}: an administrator must approve the {kind} in CertCentral, under Certificates > Requests",
                request.id
            ));
        }
        Some(request) if request.state == RequestState::Rejected => {
            order.state = OrderState::Rejected;
            let words = format!("an administrator rejected request {}", request.id);
            order.words = Some(words);
        }
        None if all.iter().any(|one| one.state != RequestState::Over) => {
            order.words = Some(format!(
                "DigiCert does not show which {kind} request is its own: check in CertCentral, under Certificates > Requests"
            ));
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
        let old = before.certificate.as_deref().map(wire::meant);
        let old = old.map(|old| old.strip_prefix(NOT).unwrap_or(old));
        let details = self
            .order_details("search for the reissue of", before)
            .await?;
        let asked = by_requests("reissue", intent, &details);
        let request = match asked {
            Some(Asked::Ours(id)) => Some(id),
            _ => None,
        };
        let key = OrderKey {
            reference: before.reference.clone(),
            certificate: old.map(|old| wire::with_request(format!("{NOT}{old}"), request)),
        };
        let order = with_request(self.seen(&key, &details)?, &details);
        let is_the_old = old.is_some() && wire::certificate_id(&details).as_deref() == old;
        let is_issued = details["status"] == "issued";
        let kinship = if wire::has_tag(intent, &details) || details["status"] == "reissue_pending" {
            // The tag that it shows while it is at work may be that of the order before.
            Kinship::Ours
        } else if let Some(asked) = asked {
            match asked {
                Asked::Ours(_) => Kinship::Ours,
                Asked::Unclear => Kinship::Unclear,
            }
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
        let seen = |requests: Value, key: &str| {
            let details = json!({"id": 7, "status": "issued", "certificate": {"id": 104},
                "requests": requests});
            let key = OrderKey {
                reference: "7".to_owned(),
                certificate: Some(key.to_owned()),
            };
            with_request(wire::seen(&key, &details).unwrap(), &details)
        };
        let state = |requests: Value| seen(requests, "not:104;request:9").state;
        let first = json!({"id": 1, "type": "new_request", "status": "rejected"});
        let reissue =
            |id: u64, status: &str| json!({"id": id, "type": "reissue", "status": status});
        assert_eq!(state(json!([])), OrderState::Working);
        assert_eq!(state(json!([first])), OrderState::Working);
        let open = json!([reissue(9, "pending"), reissue(3, "rejected")]);
        assert_eq!(state(open), OrderState::AwaitsPerson);
        let over = json!([reissue(3, "pending"), reissue(9, "rejected")]);
        assert_eq!(state(over.clone()), OrderState::Rejected);
        assert_eq!(state(json!([reissue(9, "approved")])), OrderState::Working);
        let others = json!([reissue(9, "pending"), reissue(12, "rejected")]);
        assert_eq!(state(others), OrderState::AwaitsPerson, "12 is another one");

        // An older program kept no request: the only one is its own, and of two none is.
        let only = seen(json!([reissue(9, "rejected")]), "not:104");
        assert_eq!(only.state, OrderState::Rejected);
        let unclear = seen(over, "not:104");
        assert_eq!(unclear.state, OrderState::Working);
        assert!(unclear.words.unwrap().contains("which reissue request"));
    }
}
