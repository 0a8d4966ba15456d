//! What the calls about products, orders, certificates and requests do.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::asked::{Asked, page};
use super::behaviour::{Approval, Behaviour};
use super::orders::{self, New};
use super::wire::{Reply, instant};
use super::{Shared, order_dcv, order_wire};
use crate::ca::csr::{Csr, KeyKind};

/// Reasons that a revocation may give.
const REASONS: [&str; 5] = [
    "unspecified",
    "keyCompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
];

/// The id of the one field that orders may carry.
const FIELD: u64 = 12;

fn refused(code: &str, message: &str) -> Reply {
    Reply::refused(400, code, message)
}

fn gone(of: &str) -> Reply {
    Reply::refused(404, &format!("not_found|{of}"), "It was not found.")
}

/// Performs a call.
pub(super) async fn perform(shared: &Shared, asked: &Asked<'_>) -> Result<Reply, Reply> {
    match (asked.method, asked.path) {
        ("GET", ["product"]) => Ok(Reply::json(json!({"products": orders::products()}))),
        ("GET", ["product", id]) => {
            let found = orders::product(id);
            found.map(Reply::json).ok_or_else(|| gone("product"))
        }
        ("GET", ["account", "metadata"]) => {
            let field = shared.state().behaviour.required_field.clone();
            let fields = field.map(|label| {
                json!({"id": FIELD, "label": label, "is_required": true, "is_active": true,
                    "data_type": "text"})
            });
            let fields: Vec<_> = fields.into_iter().collect();
            Ok(Reply::json(json!({"metadata": fields})))
        }
        ("GET", ["organization", id, "validation"]) => organisation(shared, id),
        ("GET", ["order", "certificate"]) => list(shared, asked).await,
        ("POST", ["order", "certificate", product]) => order(shared, product, asked).await,
        ("GET", ["order", "certificate", id]) => {
            let id = known(shared, id)?;
            order_dcv::settle(shared, id).await;
            let state = shared.state();
            let order = state.orders.order(id).ok_or_else(|| gone("order"))?;
            Ok(Reply::json(order_wire::details(order, &state)))
        }
        ("GET", ["order", "certificate", id, "validation"]) => waits(shared, id).await,
        ("POST", ["order", "certificate", id, "reissue"]) => reissue(shared, id, asked).await,
        ("POST", ["order", "certificate", id, "duplicate"]) => duplicate(shared, id, asked).await,
        ("GET", ["order", "certificate", id, "duplicate"]) => duplicates(shared, id).await,
        ("PUT", ["order", "certificate", id, "status"]) => cancel(shared, id, asked),
        ("PUT", ["order", "certificate", id, "dcv-random-value"]) => value(shared, id),
        ("PUT", ["order", "certificate", id, "check-dcv"]) => check(shared, id).await,
        ("GET", ["certificate", id, "download", "format", format]) => download(shared, id, format),
        ("PUT", ["certificate", id, "revoke"]) => revoke(shared, id, asked),
        ("GET", ["request", id]) => {
            let state = shared.state();
            let request = state.orders.request(id).ok_or_else(|| gone("request"))?;
            let mut shown = json!({
                "id": request.id, "type": request.kind, "status": request.status,
                "order": {"id": request.order},
            });
            if state.behaviour.shows_comments {
                shown["comments"] = json!(request.comments);
            }
            Ok(Reply::json(shown))
        }
        _ => Ok(gone("route")),
    }
}

fn known(shared: &Shared, id: &str) -> Result<u64, Reply> {
    let id = id.parse().map_err(|_| gone("order"))?;
    let state = shared.state();
    let order = state.orders.order(id);
    order.map(|order| order.id).ok_or_else(|| gone("order"))
}

fn organisation(shared: &Shared, id: &str) -> Result<Reply, Reply> {
    let state = shared.state();
    let id = id.parse().unwrap_or(0);
    if state.book.organisation(id).is_none() {
        return Err(gone("organization"));
    }
    let kinds = state.behaviour.organisation_types.iter();
    let kinds = kinds.map(|kind| {
        json!({"type": kind, "name": kind.to_uppercase(), "status": "active",
            "validated_until": "2099-01-01T00:00:00+00:00"})
    });
    let kinds: Vec<_> = kinds.collect();
    Ok(Reply::json(json!({"validations": kinds})))
}

async fn list(shared: &Shared, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let ids = shared.state().orders.ids();
    for &id in &ids {
        order_dcv::settle(shared, id).await;
    }
    let name = asked.parameter("filters[common_name]");
    let rows: Vec<Value> = {
        let state = shared.state();
        let orders = ids.iter().filter_map(|&id| state.orders.order(id));
        let fit = orders.filter(|order| {
            let own = order.newest().names.first();
            name.as_ref().is_none_or(|name| own == Some(name))
        });
        fit.map(|order| order_wire::row(order, &state)).collect()
    };
    page(shared, asked, "orders", &rows)
}

/// The request and the names of a body: no name is taken from the request.
fn certificate(body: &Value, product: &str) -> Result<(Csr, Vec<String>), Reply> {
    let certificate = &body["certificate"];
    let text = certificate["csr"].as_str().unwrap_or_default();
    let csr = Csr::read(text.as_bytes())
        .map_err(|why| refused("invalid_csr", &format!("The CSR {why}.")))?;
    match csr.key() {
        KeyKind::Rsa(bits) if bits < 2048 => {
            return Err(refused("csr_key_too_small", "The key size is too small."));
        }
        KeyKind::Other => return Err(refused("invalid_csr", "The key is not supported.")),
        _ => {}
    }
    let product = orders::product(product).ok_or_else(|| gone("product"))?;
    let hash = product.pointer("/signature_hash_types/default_hash_type_id");
    if certificate.get("signature_hash") != hash {
        let words = "The signature hash is missing or not allowed.";
        return Err(refused("invalid_signature_hash", words));
    }
    let first = certificate["common_name"].as_str();
    let first = first.ok_or_else(|| refused("missing_common_name", "The name is missing."))?;
    let mut names = vec![first.to_owned()];
    let others = certificate["dns_names"].as_array().into_iter().flatten();
    for name in others.filter_map(Value::as_str) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok((csr, names))
}

/// Whether an order or a revocation waits for an administrator.
fn waits_for_approval(body: &Value, behaviour: &Behaviour) -> Result<bool, Reply> {
    let skips = body["skip_approval"] == true;
    match behaviour.approval {
        Approval::Refused if skips => {
            let words = "You do not have the right to skip the approval.";
            Err(Reply::refused(403, "access_denied", words))
        }
        Approval::Skipped => Ok(!skips),
        Approval::Needed | Approval::Refused => Ok(true),
    }
}

/// The states of an order after which none comes.
const ENDED: [&str; 3] = ["revoked", "canceled", "rejected"];

async fn order(shared: &Shared, product: &str, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = asked.json()?;
    let now = shared.now();
    let id = {
        let mut state = shared.state();
        let behaviour = state.behaviour.clone();
        let (csr, names) = certificate(&body, product)?;
        let organisation = body.pointer("/organization/id").and_then(Value::as_u64);
        let is_known = organisation.is_some_and(|id| state.book.organisation(id).is_some());
        if !is_known && !orders::is_dv(product) {
            return Err(refused(
                "invalid_organization",
                "The organization is not valid.",
            ));
        }
        let days = body.pointer("/order_validity/days").and_then(Value::as_i64);
        let days = days.filter(|days| (1..=366).contains(days));
        let days = days.ok_or_else(|| refused("invalid_validity", "The validity is not valid."))?;
        let renews = body["renewal_of_order_id"].as_u64();
        let is_over = |id| {
            let order = state.orders.order(id);
            order.is_none_or(|one| ENDED.contains(&&*one.status(&behaviour)))
        };
        if renews.is_some_and(is_over) {
            return Err(refused(
                "invalid_renewal",
                "The renewed order does not exist, or was revoked or canceled.",
            ));
        }
        fields(&body, &behaviour)?;
        let waits_for_approval = waits_for_approval(&body, &behaviour)?;
        let method = body["dcv_method"].as_str().unwrap_or("email");
        if method == "email" {
            state.mails += 1;
        }
        let new = New {
            product: product.to_owned(),
            organisation,
            comments: body["comments"].as_str().unwrap_or_default().to_owned(),
            method: method.to_owned(),
            days,
            renews,
            csr,
            names,
            waits_for_approval,
        };
        state.orders.add(new, now)
    };
    answer(shared, id, now).await
}

fn fields(body: &Value, behaviour: &Behaviour) -> Result<(), Reply> {
    let given = body["custom_fields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if given.iter().any(|one| one["metadata_id"] != FIELD) {
        return Err(refused("invalid_custom_field", "There is no such field."));
    }
    match behaviour.required_field.is_some() && given.is_empty() {
        true => Err(refused(
            "missing_custom_field",
            "A required field is missing.",
        )),
        false => Ok(()),
    }
}

/// The answer to an order and to a reissue: what is there already is in it.
async fn answer(shared: &Shared, id: u64, now: Timestamp) -> Result<Reply, Reply> {
    {
        let mut state = shared.state();
        let product = state.orders.order(id).map(|order| order.product.clone());
        if product.is_some_and(|product| orders::is_dv(&product)) {
            order_dcv::value(&mut state, id, now);
        }
    }
    order_dcv::settle(shared, id).await;
    let state = shared.state();
    let order = state.orders.order(id).ok_or_else(|| gone("order"))?;
    let requests = state.orders.requests_of(id);
    let requests: Vec<_> = requests
        .map(|request| json!({"id": request.id, "status": request.status}))
        .collect();
    let mut made = json!({"id": id, "requests": requests, "certificate_id": order.newest().id});
    if state.behaviour.shows_order_end {
        made["order_valid_till"] = order_wire::order_end(order);
    }
    if let Some(value) = &order.value {
        made["dcv_random_value"] = json!(value.text);
    }
    if let Some((der, _)) = &order.newest().issued
        && state.behaviour.chain_in_answer
    {
        made["certificate_chain"] = state.orders.chain(der);
    }
    Ok(Reply {
        status: 201,
        ..Reply::json(made)
    })
}

async fn reissue(shared: &Shared, id: &str, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = asked.json()?;
    let id = known(shared, id)?;
    let now = shared.now();
    {
        let mut state = shared.state();
        let order = state.orders.order(id).ok_or_else(|| gone("order"))?;
        if order.is_open() || order.decided.is_some() {
            return Err(refused("order_not_issued", "The order cannot be reissued."));
        }
        let (csr, names) = certificate(&body, &order.product.clone())?;
        if body["dcv_method"].as_str().unwrap_or("email") == "email" {
            state.mails += 1;
        }
        let comments = body["comments"].as_str().unwrap_or_default().to_owned();
        let waits = waits_for_approval(&body, &state.behaviour.clone())?;
        let orders = &mut state.orders;
        orders.ask_another(id, "reissue", comments, (csr, names), waits, now);
    }
    answer(shared, id, now).await
}

async fn duplicate(shared: &Shared, id: &str, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = asked.json()?;
    let id = known(shared, id)?;
    let now = shared.now();
    {
        let mut state = shared.state();
        let order = state.orders.order(id).ok_or_else(|| gone("order"))?;
        if order.is_open() || order.decided.is_some() || orders::is_dv(&order.product) {
            let words = "Duplicates of this order cannot be made.";
            return Err(refused("order_not_issued", words));
        }
        let (csr, names) = certificate(&body, &order.product.clone())?;
        if !order_dcv::waits(&state, order, now).is_over() {
            let words = "A domain of the order is not validated any more.";
            return Err(refused("domain_not_validated", words));
        }
        let comments = body["comments"].as_str().unwrap_or_default().to_owned();
        let waits = waits_for_approval(&body, &state.behaviour.clone())?;
        let orders = &mut state.orders;
        orders.ask_another(id, "duplicate", comments, (csr, names), waits, now);
    }
    issue(shared, id, now);
    let state = shared.state();
    let order = state.orders.order(id).ok_or_else(|| gone("order"))?;
    let requests = state.orders.requests_of(id);
    let newest = requests.filter(|one| one.kind == "duplicate").last();
    let mut made = json!({"id": id, "requests": newest.map(|one| {
        vec![json!({"id": one.id, "status": one.status})]
    })});
    let is_made = newest.is_some_and(|one| one.status == "approved");
    if let Some(one) = order.duplicates.last().filter(|_| is_made) {
        made["certificate_id"] = json!(one.id);
        if let Some((der, _)) = &one.issued
            && state.behaviour.chain_in_answer
        {
            made["certificate_chain"] = state.orders.chain(der);
        }
    }
    Ok(Reply {
        status: 201,
        ..Reply::json(made)
    })
}

fn issue(shared: &Shared, id: u64, now: Timestamp) {
    let mut state = shared.state();
    let behaviour = state.behaviour.clone();
    if state.orders.order(id).is_some_and(|order| !order.is_open()) {
        state.orders.issue(id, &behaviour, now);
    }
}

async fn duplicates(shared: &Shared, id: &str) -> Result<Reply, Reply> {
    let id = known(shared, id)?;
    order_dcv::settle(shared, id).await;
    issue(shared, id, shared.now());
    let state = shared.state();
    let order = state.orders.order(id).ok_or_else(|| gone("order"))?;
    let all = order.duplicates.iter();
    let all = all.map(|one| order_wire::duplicate(one, &state.behaviour));
    Ok(Reply::json(
        json!({"certificates": all.collect::<Vec<_>>()}),
    ))
}

async fn waits(shared: &Shared, id: &str) -> Result<Reply, Reply> {
    let id = known(shared, id)?;
    order_dcv::settle(shared, id).await;
    let (now, state) = (shared.now(), shared.state());
    if state.behaviour.hides_waits {
        return Err(Reply::refused(403, "access_denied", "Not for this key."));
    }
    let order = state.orders.order(id).ok_or_else(|| gone("order"))?;
    Ok(Reply::json(order_wire::waits(order, &state, now)))
}

fn cancel(shared: &Shared, id: &str, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = asked.json()?;
    let id = known(shared, id)?;
    let word = body["status"].as_str().unwrap_or_default();
    let mut state = shared.state();
    let order = state.orders.order_mut(id).ok_or_else(|| gone("order"))?;
    if !word.eq_ignore_ascii_case("canceled") || body["note"].as_str().is_none_or(str::is_empty) {
        return Err(refused(
            "invalid_status",
            "The status or the note is not valid.",
        ));
    }
    if !order.is_open() {
        return Err(refused(
            "invalid_status",
            "Only pending orders can be canceled.",
        ));
    }
    order.decided = Some("canceled".to_owned());
    Ok(Reply::empty(204))
}

fn value(shared: &Shared, id: &str) -> Result<Reply, Reply> {
    let id = known(shared, id)?;
    let now = shared.now();
    let mut state = shared.state();
    let order = state.orders.order(id).ok_or_else(|| gone("order"))?;
    if order.method == "email" || !order.is_open() {
        let words = "The order has no random value.";
        return Err(refused("invalid_dcv_method", words));
    }
    let value = order_dcv::value(&mut state, id, now).ok_or_else(|| gone("order"))?;
    Ok(Reply::json(json!({
        "dcv_random_value": value.text, "expiration_date": instant(value.until),
    })))
}

async fn check(shared: &Shared, id: &str) -> Result<Reply, Reply> {
    let id = known(shared, id)?;
    let now = shared.now();
    let blind = {
        let mut state = shared.state();
        let blind = state.behaviour.blind_checks;
        state.behaviour.blind_checks = blind.saturating_sub(1);
        blind > 0
    };
    if !blind {
        order_dcv::check(shared, id).await;
        order_dcv::settle(shared, id).await;
    }
    let state = shared.state();
    let order = state.orders.order(id).ok_or_else(|| gone("order"))?;
    let domains = order_dcv::waits(&state, order, now).domains;
    let is_whole = domains.iter().all(|(_, there)| *there);
    if !is_whole && state.behaviour.check_refuses {
        let words = "Could not find a valid TXT record for one or more domains.";
        return Err(refused("invalid_dns_txt", words));
    }
    let names = domains.iter().map(|(name, there)| {
        json!({"dns_name": name, "status": if *there { "approved" } else { "unapproved" }})
    });
    Ok(Reply::json(json!({
        "order_status": order.status(&state.behaviour),
        "certificate_id": order.newest().id,
        "dcv_status": if is_whole { "valid" } else { "pending" },
        "dns_name_validations": names.collect::<Vec<_>>(),
    })))
}

fn download(shared: &Shared, id: &str, format: &str) -> Result<Reply, Reply> {
    if !["pem_all", "pem_noroot"].contains(&format) {
        return Err(refused("invalid_format", "The format is not valid."));
    }
    let id = id.parse().map_err(|_| gone("certificate"))?;
    let (now, state) = (shared.now(), shared.state());
    let found = state.orders.download(id, format, &state.behaviour, now);
    found.map(Reply::text).ok_or_else(|| gone("certificate"))
}

fn revoke(shared: &Shared, id: &str, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = asked.json()?;
    let mut state = shared.state();
    let behaviour = state.behaviour.clone();
    let found = state.orders.of_certificate(id);
    let (order, certificate) = found.ok_or_else(|| gone("certificate"))?;
    let reason = body["revocation_reason"].as_str().unwrap_or("unspecified");
    if !REASONS.contains(&reason) {
        return Err(refused(
            "invalid_revocation_reason",
            "The reason is not valid.",
        ));
    }
    let waits = waits_for_approval(&body, &behaviour)?;
    let known = state.orders.order_mut(order).ok_or_else(|| gone("order"))?;
    if known.is_open() {
        let words = "A certificate with a pending reissue cannot be revoked.";
        return Err(refused("pending_reissue", words));
    }
    if known
        .all()
        .any(|one| one.id == certificate && one.revoked.is_some())
    {
        let words = "The certificate is already revoked.";
        return Err(refused("certificate_already_revoked", words));
    }
    if !waits {
        known.revoke(certificate, reason);
        return Ok(Reply::empty(204));
    }
    let comments = body["comments"].as_str().unwrap_or_default().to_owned();
    let asked = Some((certificate, reason.to_owned()));
    let orders = &mut state.orders;
    let id = orders.ask(order, "revoke", "pending", comments.clone(), asked);
    Ok(Reply {
        status: 201,
        ..Reply::json(json!({"id": id, "type": "revoke", "status": "pending",
            "comments": comments}))
    })
}
