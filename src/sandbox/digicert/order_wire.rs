//! The shapes of orders on the wire.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::Digest as _;

use super::State;
use super::behaviour::Behaviour;
use super::order_dcv::{self, Waits};
use super::orders::{self, Certificate, Order, hex};
use super::wire::instant;
use crate::ca::csr::Sight;

fn day(at: Timestamp) -> String {
    let zoned = at.to_zoned(TimeZone::UTC);
    zoned.strftime("%Y-%m-%d").to_string()
}

fn end(der: &[u8]) -> Timestamp {
    let end = Sight::of(der).map_or(0, |sight| sight.not_after);
    Timestamp::from_second(end).unwrap_or(Timestamp::MAX)
}

/// What rows and details have in common of a certificate.
fn certificate(one: &Certificate) -> Value {
    let mut shown = json!({
        "id": one.id,
        "common_name": one.names.first(),
        "dns_names": one.names.iter().skip(1).collect::<Vec<_>>(),
        "signature_hash": "sha256",
    });
    if let Some((der, _)) = &one.issued {
        shown["valid_till"] = json!(day(end(der)));
        shown["serial_number"] = json!(hex(&one.serial));
        shown["thumbprint"] = json!(hex(&sha2::Sha256::digest(der)[..20]));
    }
    shown
}

/// A row of the list of duplicates.
pub(super) fn duplicate(one: &Certificate, behaviour: &Behaviour) -> Value {
    let mut shown = certificate(one);
    let status = match (&one.issued, &one.revoked) {
        (_, Some(_)) => "revoked",
        (Some(_), None) => behaviour.duplicate_word.as_str(),
        (None, None) => "pending",
    };
    shown["status"] = json!(status);
    shown["date_created"] = json!(instant(one.ordered_at));
    if behaviour.shows_csr {
        shown["csr"] = json!(one.csr.pem());
    }
    shown
}

fn product(id: &str) -> Value {
    let mut shown = orders::product(id).unwrap_or_default();
    let mut keep = json!({});
    for key in ["name_id", "name", "type", "validation_type"] {
        keep[key] = shown[key].take();
    }
    keep
}

/// A row of the list.
pub(super) fn row(order: &Order, state: &State) -> Value {
    let mut row = json!({
        "id": order.id,
        "certificate": certificate(order.shown()),
        "status": order.status(&state.behaviour),
        "is_renewed": false,
        "date_created": instant(order.at),
        "validity_years": 1,
        "container": {"id": 7, "name": "Muster"},
        "product": product(&order.product),
        "has_duplicates": false,
        "product_name_id": order.product,
    });
    if let Some(id) = order.organisation {
        row["organization"] = json!({"id": id, "name": "an organisation"});
    }
    row
}

/// The day until which an order is paid for.
pub(super) fn order_end(order: &Order) -> Value {
    let life = SignedDuration::from_hours(24 * order.days);
    let end = order.at.saturating_add(life);
    json!(day(end.unwrap_or(Timestamp::MAX)))
}

/// Order info.
pub(super) fn details(order: &Order, state: &State) -> Value {
    let behaviour = &state.behaviour;
    let mut details = row(order, state);
    let shown = order.shown();
    details["certificate"]["date_created"] = json!(instant(shown.ordered_at));
    if behaviour.shows_csr {
        // The request of the last order, whether or not it was carried out.
        details["certificate"]["csr"] = json!(order.newest().csr.pem());
    }
    if let Some((_, at)) = &shown.issued {
        details["certificate"]["date_issued"] = json!(instant(*at));
        details["certificate"]["valid_from"] = json!(day(*at));
    }
    if behaviour.shows_comments {
        details["comments"] = json!(order.comments);
    }
    if behaviour.shows_order_end {
        details["order_valid_till"] = order_end(order);
    }
    details["dcv_method"] = json!(order.method);
    details["is_renewal"] = json!(order.renews.is_some());
    let requests = state.orders.requests_of(order.id);
    let requests = requests.map(|request| {
        let mut shown = json!({"id": request.id, "type": request.kind, "status": request.status});
        if behaviour.shows_comments {
            shown["comments"] = json!(request.comments);
        }
        shown
    });
    details["requests"] = requests.collect();
    details
}

/// Order validation status.
pub(super) fn waits(order: &Order, state: &State, now: Timestamp) -> Value {
    let Waits {
        organisation,
        domains,
    } = order_dcv::waits(state, order, now);
    let kinds = organisation.into_iter().map(|(kind, there)| {
        let status = if there { "active" } else { "pending" };
        json!({"type": kind, "name": kind.to_uppercase(), "status": status})
    });
    let names = domains.into_iter().map(|(scope, there)| {
        let status = if there { "approved" } else { "unapproved" };
        json!({"name_scope": scope, "approval_scope": "subdomains", "status": status,
            "method": order.method, "dns_names": order.newest().names})
    });
    json!({
        "order_id": order.id.to_string(),
        "order_status": order.status(&state.behaviour),
        "organization_validations": kinds.collect::<Vec<_>>(),
        "dns_name_validations": names.collect::<Vec<_>>(),
    })
}
