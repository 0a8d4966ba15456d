//! What the calls below `/ssl/v1` do.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Shared;
use super::asked::{Asked, page};
use super::behaviour::{Behaviour, Pending};
use super::ssl::{self, New, Ssl, SslView};
use super::wire::{Reply, status_of};

/// Performs a call.
pub(super) fn perform(shared: &Shared, asked: &Asked<'_>, path: &[&str]) -> Result<Reply, Reply> {
    let now = shared.now();
    let behaviour = shared.state().behaviour.clone();
    match (asked.method, path) {
        ("GET", ["types"]) => Ok(Reply::json(ssl::profiles())),
        ("GET", ["customFields"]) => {
            let field = behaviour.mandatory_field.as_ref();
            let fields = field.map(|name| json!({"id": 1, "name": name, "mandatory": true}));
            Ok(Reply::json(fields.into_iter().collect()))
        }
        ("POST", ["enroll"]) => enroll(shared, &asked.json()?, &behaviour, now),
        ("GET", []) => list(shared, asked, &behaviour, now),
        ("GET", ["collect", id, rest @ ..]) if rest.len() < 2 => {
            collect(shared, id, &behaviour, now)
        }
        ("GET", [id]) => {
            let id = known(shared, id)?;
            let mut state = shared.state();
            let status = state.ssl.status(id, &behaviour, now);
            let order = state.ssl.order(&id.to_string()).ok_or_else(gone)?;
            Ok(Reply::json(Ssl::details(order, &status, &behaviour)))
        }
        ("POST", ["renewById", id]) => renew(shared, known(shared, id)?, &asked.json()?, now),
        ("POST", ["replace", id]) => replace(shared, known(shared, id)?, &asked.json()?, now),
        ("POST", ["revoke", "serial", serial]) => {
            let id = shared.state().ssl.by_serial(serial).ok_or_else(gone)?;
            revoke(shared, id, &asked.json()?, now)
        }
        ("POST", ["revoke", id]) => revoke(shared, known(shared, id)?, &asked.json()?, now),
        ("POST", [verb @ ("approve" | "decline"), id]) => {
            let id = known(shared, id)?;
            let mut state = shared.state();
            if state.ssl.status(id, &behaviour, now) != "Requested" {
                return Err(Reply::refused(400, -1112, "The state does not allow it"));
            }
            let word = if *verb == "approve" {
                "Issued"
            } else {
                "Declined"
            };
            state.ssl.decide(id, Some(word));
            Ok(Reply::empty(204))
        }
        _ => Err(Reply::refused(404, -1, "Not found")),
    }
}

fn gone() -> Reply {
    Reply::refused(400, -5101, "Certificate not found")
}

fn known(shared: &Shared, id: &str) -> Result<u64, Reply> {
    let state = shared.state();
    state.ssl.order(id).map(|order| order.id).ok_or_else(gone)
}

fn enroll(
    shared: &Shared,
    body: &Value,
    behaviour: &Behaviour,
    now: Timestamp,
) -> Result<Reply, Reply> {
    let refused = |code, words: &str| Reply::refused(400, code, words);
    let names = match &body["subjAltNames"] {
        Value::Null => Vec::new(),
        Value::String(names) => names.split(',').map(|one| one.trim().to_owned()).collect(),
        // As the real one does.
        _ => return Err(refused(-1002, "The request body cannot be parsed")),
    };
    let organisation = body["orgId"].as_u64().unwrap_or(0);
    let mut state = shared.state();
    if !state
        .book
        .organisations()
        .iter()
        .any(|(id, _)| *id == organisation)
    {
        return Err(refused(-1023, "Unknown organization"));
    }
    let csr = ssl::read_csr(&body["csr"]).map_err(|(code, why)| refused(code, &why))?;
    let profiles = ssl::profiles();
    let profile = profiles.as_array().into_iter().flatten();
    let profile = profile
        .filter(|one| one["id"] == body["certType"])
        .find(|one| one["id"].is_number())
        .ok_or_else(|| refused(-111, "Unknown certificate profile"))?
        .clone();
    let has_term = profile["terms"]
        .as_array()
        .is_some_and(|all| all.contains(&body["term"]));
    if !has_term {
        return Err(refused(-36, "The term is not allowed for the profile"));
    }
    let fields = &body["customFields"];
    if let Some(wanted) = &behaviour.mandatory_field
        && !fields
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["name"] == **wanted))
    {
        return Err(refused(-62, "A mandatory custom field is missing"));
    }
    let mut all: Vec<String> = csr.common_name().map(str::to_owned).into_iter().collect();
    // The names of the request itself are ignored.
    all.extend(names);
    all.dedup();
    let mut seen = Vec::new();
    all.retain(|name| {
        !seen.contains(name) && {
            seen.push(name.clone());
            true
        }
    });
    for name in &all {
        let is_proven = state.book.domains().any(|(domain, found)| {
            let base = name.trim_start_matches("*.");
            (base == domain || base.ends_with(&format!(".{domain}")))
                && found.organisation == organisation
                && status_of(found, now) == "VALIDATED"
        });
        if !is_proven {
            return Err(refused(-1137, &format!("DCV is missing for {name}")));
        }
    }
    let new = New {
        organisation,
        profile: profile["id"].as_u64().unwrap_or(0),
        names: all,
        comments: body["comments"].as_str().unwrap_or_default().to_owned(),
        fields: fields.clone(),
        term: body["term"].as_u64().unwrap_or(0),
        csr,
        renews: None,
    };
    let id = state.ssl.add(new, now);
    Ok(Reply::json(
        json!({"sslId": id, "renewId": format!("renew-{id}")}),
    ))
}

fn list(
    shared: &Shared,
    asked: &Asked<'_>,
    behaviour: &Behaviour,
    now: Timestamp,
) -> Result<Reply, Reply> {
    let mut state = shared.state();
    let ids = state.ssl.ids().into_iter();
    let states: Vec<(u64, String)> = ids
        .map(|id| (id, state.ssl.status(id, behaviour, now)))
        .collect();
    let wanted = asked.parameter("status");
    let name = asked.parameter("commonName");
    let organisation = asked.parameter("orgId");
    let serial = asked.parameter("serialNumber");
    let serial = serial.map(|serial| state.ssl.by_serial(&serial));
    let is_meant = |state: &str| wanted.as_deref().is_none_or(|wanted| wanted == state);
    let orders = states
        .iter()
        .filter(|(_, state)| behaviour.ignores_status || is_meant(state))
        .filter_map(|(id, _)| state.ssl.order(&id.to_string()));
    let rows = orders.filter(|order| {
        let own = order.organisation.to_string();
        organisation.as_ref().is_none_or(|wanted| *wanted == own)
            && serial.is_none_or(|wanted| wanted == Some(order.id))
            && name
                .as_ref()
                .is_none_or(|name| order.names.first() == Some(name))
    });
    page(rows.map(Ssl::row).collect(), asked, behaviour)
}

fn collect(
    shared: &Shared,
    id: &str,
    behaviour: &Behaviour,
    now: Timestamp,
) -> Result<Reply, Reply> {
    let id = known(shared, id)?;
    let mut state = shared.state();
    let status = state.ssl.status(id, behaviour, now);
    if status == "Revoked" {
        return Err(Reply::refused(400, -192, "The certificate is revoked"));
    }
    let order = state.ssl.order(&id.to_string()).ok_or_else(gone)?;
    match (state.ssl.collect(order, behaviour, now), behaviour.pending) {
        (Some(pem), _) => Ok(Reply::octets(pem)),
        (None, Pending::Code0) => Err(Reply::refused(400, 0, "Being processed by Sectigo")),
        (None, Pending::Code183) => Err(Reply::refused(400, -183, "Not collectable yet")),
        (None, Pending::Empty) => Ok(Reply::octets(String::new())),
    }
}

/// That something can come after an order: its certificate is not revoked.
fn is_alive(shared: &Shared, id: u64, now: Timestamp) -> Result<(), Reply> {
    let mut state = shared.state();
    let behaviour = state.behaviour.clone();
    match state.ssl.status(id, &behaviour, now) == "Revoked" {
        true => Err(Reply::refused(400, -1113, "The state does not allow it")),
        false => Ok(()),
    }
}

fn renew(shared: &Shared, id: u64, body: &Value, now: Timestamp) -> Result<Reply, Reply> {
    let csr = ssl::read_csr(&body["csr"]).map_err(|(code, why)| Reply::refused(400, code, &why))?;
    is_alive(shared, id, now)?;
    let mut state = shared.state();
    let old = state.ssl.order(&id.to_string()).ok_or_else(gone)?.clone();
    let new = New {
        organisation: old.organisation,
        profile: old.profile,
        names: old.names,
        comments: String::new(),
        fields: Value::Null,
        term: 199,
        csr,
        renews: Some(id),
    };
    let id = state.ssl.add(new, now);
    Ok(Reply::json(json!({"sslId": id})))
}

fn replace(shared: &Shared, id: u64, body: &Value, now: Timestamp) -> Result<Reply, Reply> {
    let csr = ssl::read_csr(&body["csr"]).map_err(|(code, why)| Reply::refused(400, code, &why))?;
    let names = match &body["subjectAlternativeNames"] {
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        Value::Null => Vec::new(),
        _ => {
            return Err(Reply::refused(
                400,
                -1002,
                "The request body cannot be parsed",
            ));
        }
    };
    if body["reason"].as_str().is_none_or(str::is_empty) {
        return Err(Reply::refused(400, -1601, "The reason is missing"));
    }
    is_alive(shared, id, now)?;
    shared.state().ssl.replace(id, csr, names, now);
    Ok(Reply::empty(204))
}

fn revoke(shared: &Shared, id: u64, body: &Value, now: Timestamp) -> Result<Reply, Reply> {
    let code = body["reasonCode"].as_i64().unwrap_or(-1);
    let reason = body["reason"].as_str().unwrap_or_default();
    if ![0, 1, 3, 4, 5].contains(&code) || !(1..=512).contains(&reason.len()) {
        return Err(Reply::refused(400, -7, "The reason is missing"));
    }
    let behaviour = shared.state().behaviour.clone();
    let mut state = shared.state();
    state.ssl.status(id, &behaviour, now);
    let revoked = state.ssl.revoke(id, code, now);
    revoked.map_err(|(code, words)| Reply::refused(400, code, words))?;
    Ok(Reply::empty(204))
}

impl Shared {
    /// Every order as a test sees it, oldest first.
    pub(super) fn seen_orders(&self) -> Vec<SslView> {
        let (now, mut state) = (self.now(), self.state());
        let behaviour = state.behaviour.clone();
        let ids = state.ssl.ids();
        let seen = ids.into_iter().filter_map(|id| {
            let status = state.ssl.status(id, &behaviour, now);
            state.ssl.seen(id, status)
        });
        seen.collect()
    }
}
