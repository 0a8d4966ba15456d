//! The effect of each call of an authenticated client.

use serde_json::{Value, json};

use super::Shared;
use super::asked::{Asked, page};
use super::behaviour::Delegation;
use super::book::Domain;
use super::wire::{Reply, row};
use super::{State, dcv, ssl_calls};

/// Performs a call.
pub(super) async fn perform(shared: &Shared, asked: &Asked<'_>) -> Reply {
    let outcome = match (asked.method, asked.path) {
        ("GET", ["organization", "v1"]) => Ok(organisations(shared)),
        ("GET", ["organization", "v1", id]) => Ok(organisation(shared, id)),
        ("GET", ["domain", "v1"]) => domains(shared, asked),
        ("GET", ["domain", "v1", id]) => Ok(domain(shared, id)),
        ("POST", ["domain", "v1"]) => create(shared, asked),
        ("POST", ["domain", "v1", id, "delegation"]) => delegate(shared, id, asked),
        ("DELETE", ["domain", "v1", id]) => Ok(delete(shared, id)),
        ("GET", ["admin", "v1", "password"]) => Ok(password(shared)),
        ("GET", ["dcv", "v1" | "v2", "validation"]) => list(shared, asked).await,
        ("POST", ["dcv", version, "validation", verb @ ..]) => {
            validation(shared, asked, version, verb).await
        }
        (_, ["ssl", "v1", path @ ..]) => ssl_calls::perform(shared, asked, path),
        (_, ["organization" | "domain" | "admin" | "dcv", ..]) => {
            Ok(Reply::refused(405, -1, "Method not allowed"))
        }
        _ => Ok(Reply::refused(404, -1, "Not found")),
    };
    outcome.unwrap_or_else(|refused| refused)
}

async fn validation(
    shared: &Shared,
    asked: &Asked<'_>,
    version: &str,
    verb: &[&str],
) -> Result<Reply, Reply> {
    // The header login has version 2 of `status` only, OAuth has no version 1.
    let there = match version {
        "v1" => !asked.oauth,
        "v2" => asked.oauth || verb == ["status"],
        _ => false,
    };
    if !there {
        return Err(Reply::refused(404, -1, "Not found"));
    }
    let body = asked.json()?;
    let name = body.get("domain").and_then(Value::as_str);
    let name = name
        .filter(|name| (3..=255).contains(&name.len()))
        .ok_or_else(|| Reply::refused(400, -1601, "The domain is missing"))?;
    let force = asked.parameter("force").as_deref() == Some("true");
    Ok(dcv::call(shared, verb, force, name).await)
}

async fn list(shared: &Shared, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let organisation = asked.parameter("org");
    let names: Vec<String> = {
        let state = shared.state();
        if state.behaviour.no_right {
            return Err(Reply::refused(
                400,
                -3,
                "You are not authorized to perform this operation",
            ));
        }
        if state.behaviour.dcv_off {
            return Err(Reply::refused(
                400,
                -1608,
                "DCV is disabled for the customer",
            ));
        }
        let own = state.book.domains().filter(|(_, domain)| {
            let of = domain.organisation.to_string();
            organisation.as_ref().is_none_or(|wanted| *wanted == of)
        });
        own.map(|(name, _)| name.clone()).collect()
    };
    for name in &names {
        dcv::settle(shared, name).await;
    }
    let (now, state) = (shared.now(), shared.state());
    let behaviour = &state.behaviour;
    let mut rows = Vec::new();
    for name in &names {
        if let Some(domain) = state.book.domain(name) {
            if behaviour.wildcard_rows {
                rows.push(row(&format!("*.{name}"), domain, behaviour, now));
            }
            rows.push(row(name, domain, behaviour, now));
        }
    }
    page(rows, asked, behaviour)
}

fn organisations(shared: &Shared) -> Reply {
    let state = shared.state();
    let all = state.book.organisations().iter();
    Reply::json(
        all.map(|(id, name)| json!({"id": id, "name": name}))
            .collect(),
    )
}

fn organisation(shared: &Shared, id: &str) -> Reply {
    let state = shared.state();
    let found = state
        .book
        .organisations()
        .iter()
        .find(|(known, _)| known.to_string() == id);
    found.map_or_else(
        || Reply::refused(400, -1023, "Unknown organization"),
        |(id, name)| {
            let switches = json!({"id": id, "name": name, "sslCertsApiEnabled": true});
            Reply::json(switches)
        },
    )
}

fn domains(shared: &Shared, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let state = shared.state();
    let wanted = asked.parameter("name").unwrap_or_default();
    if wanted.chars().count() == 1 {
        return Err(Reply::refused(400, -7, "The name is too short"));
    }
    let found = state
        .book
        .domains()
        .filter(|(name, _)| name.contains(&wanted));
    let rows = found.map(|(name, domain)| json!({"id": domain.id, "name": name}));
    page(rows.collect(), asked, &state.behaviour)
}

fn find<'a>(state: &'a State, id: &str) -> Option<(&'a String, &'a Domain)> {
    state
        .book
        .domains()
        .find(|(_, domain)| domain.id.to_string() == id)
}

fn unknown() -> Reply {
    Reply::refused(400, -727, "Domain does not exist")
}

fn domain(shared: &Shared, id: &str) -> Reply {
    let state = shared.state();
    let Some((name, domain)) = find(&state, id) else {
        return unknown();
    };
    let waits = if domain.requested {
        "REQUESTED"
    } else {
        "ACTIVE"
    };
    Reply::json(json!({
        "id": domain.id,
        "name": name,
        "delegationStatus": waits,
        "state": "ACTIVE",
        "delegations": [{
            "orgId": domain.organisation,
            "certTypes": ["SSL"],
            "status": waits,
        }],
    }))
}

fn create(shared: &Shared, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = asked.json()?;
    let mut state = shared.state();
    let delegation = state.behaviour.delegation;
    match delegation {
        Delegation::NoRight => {
            return Err(Reply::refused(
                400,
                -3,
                "You are not authorized to perform this operation",
            ));
        }
        Delegation::WebApiOff => {
            return Err(Reply::refused(
                400,
                -1021,
                "The operation is not possible for this organization",
            ));
        }
        Delegation::Active | Delegation::Requested => {}
    }
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    if !(4..=255).contains(&name.len()) {
        return Err(Reply::refused(400, -732, "Invalid domain name"));
    }
    if state.book.domain(name).is_some() {
        return Err(Reply::refused(400, -700, "The domain already exists"));
    }
    let first = body.pointer("/delegations/0");
    let organisation = first.and_then(|first| first.get("orgId")?.as_u64());
    let types = first.and_then(|first| first.get("certTypes")?.as_array());
    let known = organisation.filter(|id| {
        state
            .book
            .organisations()
            .iter()
            .any(|(known, _)| known == id)
    });
    let (Some(organisation), Some(false)) = (known, types.map(Vec::is_empty)) else {
        return Err(Reply::refused(400, -709, "The domain needs a delegation"));
    };
    let requested = delegation == Delegation::Requested;
    let id = state.book.add(name, organisation, requested);
    Ok(Reply {
        location: Some(format!("/api/domain/v1/{id}")),
        ..Reply::empty(201)
    })
}

fn delegate(shared: &Shared, id: &str, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = asked.json()?;
    let mut state = shared.state();
    let Some(name) = find(&state, id).map(|(name, _)| name.clone()) else {
        return Err(unknown());
    };
    let requested = state.behaviour.delegation == Delegation::Requested;
    if let (Some(domain), Some(organisation)) = (
        state.book.domain_mut(&name),
        body.get("orgId").and_then(Value::as_u64),
    ) {
        (domain.organisation, domain.requested) = (organisation, requested);
    }
    Ok(Reply::empty(200))
}

fn delete(shared: &Shared, id: &str) -> Reply {
    let removed = id.parse().is_ok_and(|id| shared.state().book.remove(id));
    if removed {
        Reply::empty(204)
    } else {
        unknown()
    }
}

fn password(shared: &Shared) -> Reply {
    let state = shared.state();
    Reply::json(json!({
        "state": state.behaviour.password_state,
        "expirationDate": state.behaviour.password_ends,
    }))
}
