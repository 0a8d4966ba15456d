//! The effect of each call of an authenticated client.

use serde_json::{Value, json};

use super::asked::{Asked, page};
use super::behaviour::{Existing, Rights, Submitted};
use super::wire::{Flags, Reply, row, shown, token};
use super::{Shared, dcv, order_calls};

/// Performs a call.
pub(super) async fn perform(shared: &Shared, asked: &Asked<'_>) -> Reply {
    let rights = shared.state().behaviour.rights;
    let may = match rights {
        Rights::All => true,
        Rights::ViewOnly => asked.method == "GET",
        Rights::Orders => asked.path.first() != Some(&"domain"),
    };
    if !may {
        let words = "You do not have access to this operation.";
        return Reply::refused(403, "access_denied", words);
    }
    let outcome = match (asked.method, asked.path) {
        ("GET", ["organization"]) => organisations(shared, asked),
        ("GET", ["domain"]) => domains(shared, asked).await,
        ("POST", ["domain"]) => create(shared, asked),
        ("GET", ["domain", id]) => one(shared, id, asked).await,
        ("DELETE", ["domain", id]) => Ok(delete(shared, id)),
        ("POST", ["domain", id, "validation"]) => submit(shared, id, asked),
        ("PUT", ["domain", id, "dcv", "method"]) => set_method(shared, id, asked),
        ("POST", ["domain", id, "dcv", "token"]) => reset(shared, id),
        ("PUT", ["domain", id, "dcv", "validate-token"]) => match id.parse() {
            Ok(id) => Ok(dcv::check(shared, id).await),
            Err(_) => Ok(Reply::unknown()),
        },
        _ => order_calls::perform(shared, asked).await,
    };
    outcome.unwrap_or_else(|refused| refused)
}

fn organisations(shared: &Shared, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let rows: Vec<Value> = {
        let state = shared.state();
        let all = state.book.organisations().iter();
        let one = |(id, name, _): &(u64, String, String)| json!({"id": id, "name": name, "display_name": name, "is_active": "1"});
        all.map(one).collect()
    };
    page(shared, asked, "organizations", &rows)
}

async fn domains(shared: &Shared, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let search = asked.parameter("filters[search]").unwrap_or_default();
    let part = search.strip_prefix('%');
    let names: Vec<String> = {
        let state = shared.state();
        let all = state
            .book
            .domains()
            .iter()
            .map(|domain| domain.name.clone());
        all.filter(|name| match part {
            Some(part) => name.contains(part),
            None => search.is_empty() || *name == search,
        })
        .collect()
    };
    for name in &names {
        dcv::settle(shared, name).await;
    }
    let now = shared.now();
    let rows: Vec<Value> = {
        let state = shared.state();
        let found = names.iter().filter_map(|name| state.book.named(name));
        found.map(|domain| row(domain, &state, now)).collect()
    };
    page(shared, asked, "domains", &rows)
}

async fn one(shared: &Shared, id: &str, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let id = id.parse().map_err(|_| Reply::unknown())?;
    let name = {
        let state = shared.state();
        state.book.domain(id).map(|domain| domain.name.clone())
    };
    dcv::settle(shared, &name.ok_or_else(Reply::unknown)?).await;
    let flags = Flags {
        dcv: asked.is("include_dcv"),
        validation: asked.is("include_validation"),
        reuse: asked.is("include_validation_reuse_status"),
    };
    let (now, state) = (shared.now(), shared.state());
    let domain = state.book.domain(id).ok_or_else(Reply::unknown)?;
    Ok(Reply::json(shown(domain, &state, flags, now)))
}

/// The types of a body: at least one, in lower case.
fn types(body: &Value) -> Result<Vec<String>, Reply> {
    let list = body.get("validations").and_then(Value::as_array);
    let types: Vec<String> = list
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("type")?.as_str().map(str::to_owned))
        .collect();
    let known = |one: &String| matches!(one.as_str(), "ov" | "ev" | "cs" | "ev_cs");
    if types.is_empty() || !types.iter().all(known) {
        let words = "A validation type is missing or not known.";
        return Err(Reply::refused(400, "invalid_validation_type", words));
    }
    Ok(types)
}

fn create(shared: &Shared, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = asked.json()?;
    let now = shared.now();
    let types = types(&body)?;
    let method = body.get("dcv_method").and_then(Value::as_str);
    let mut state = shared.state();
    let behaviour = state.behaviour.clone();
    let mut name = body
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let keeps = body.get("keep_www").and_then(Value::as_bool) == Some(true);
    if !keeps || behaviour.cuts_www {
        name = name
            .strip_prefix("www.")
            .map_or(name.clone(), str::to_owned);
    }
    if !name.contains('.') {
        return Err(Reply::refused(
            400,
            "invalid_domain_name",
            "The name is not valid.",
        ));
    }
    let organisation = body.pointer("/organization/id").and_then(Value::as_u64);
    let organisation = organisation.filter(|&id| state.book.organisation(id).is_some());
    let Some(organisation) = organisation else {
        let words = "The organization is not valid.";
        return Err(Reply::refused(400, "invalid_organization", words));
    };
    if let Some(known) = state.book.named(&name) {
        return match behaviour.existing {
            Existing::Refused => {
                let words = "The domain already exists in the account.";
                Err(Reply::refused(400, "domain_already_exists", words))
            }
            Existing::Returned => Ok(Reply::json(json!({"id": known.id}))),
        };
    }
    if method.unwrap_or("email") == "email" {
        state.mails += 1;
    }
    let id = state.book.add(&name, organisation);
    if let Some(domain) = state.book.domain_mut(id) {
        domain.types = types;
        method.unwrap_or("email").clone_into(&mut domain.method);
    }
    dcv::submit(&mut state, &name, method.unwrap_or("email"), now);
    let domain = state.book.domain(id).ok_or_else(Reply::unknown)?;
    Ok(Reply {
        status: 201,
        ..Reply::json(json!({"id": id, "dcv_token": token(domain)}))
    })
}

fn submit(shared: &Shared, id: &str, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = asked.json()?;
    let id = id.parse().map_err(|_| Reply::unknown())?;
    let now = shared.now();
    let mut state = shared.state();
    let name = state.book.domain(id).map(|domain| domain.name.clone());
    let name = name.ok_or_else(Reply::unknown)?;
    let types = types(&body)?;
    let method = body.get("dcv_method").and_then(Value::as_str);
    if method.unwrap_or("email") == "email" {
        state.mails += 1;
    }
    let kind = state.behaviour.submitted;
    dcv::submit(&mut state, &name, method.unwrap_or("email"), now);
    let order_value = state.book.value(false);
    if kind == Submitted::OrderValue {
        state.offered.push(order_value.clone());
    }
    let domain = state.book.domain_mut(id).ok_or_else(Reply::unknown)?;
    for one in types {
        if !domain.types.contains(&one) {
            domain.types.push(one);
        }
    }
    Ok(match kind {
        Submitted::Value if domain.method == "email" => Reply::json(json!({"id": id})),
        Submitted::Value => Reply::json(json!({"id": id, "dcv_token": token(domain)})),
        Submitted::Nothing => Reply::empty(204),
        Submitted::OrderValue => Reply::json(json!({"id": id, "dcv_random_value": order_value})),
    })
}

fn set_method(shared: &Shared, id: &str, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = asked.json()?;
    let id = id.parse().map_err(|_| Reply::unknown())?;
    let method = body
        .get("dcv_method")
        .and_then(Value::as_str)
        .unwrap_or("email");
    let mails = body.get("send_dcv_email_flag").and_then(Value::as_bool) != Some(false);
    let mut state = shared.state();
    if method == "email" && mails {
        state.mails += 1;
    }
    let domain = state.book.domain_mut(id).ok_or_else(Reply::unknown)?;
    if domain.method == method {
        return Ok(Reply::json(json!({})));
    }
    method.clone_into(&mut domain.method);
    Ok(Reply::json(json!({"dcv_token": token(domain)})))
}

/// A new value for the domain, which ends the one before; values of orders stay good.
fn reset(shared: &Shared, id: &str) -> Result<Reply, Reply> {
    let id = id.parse().map_err(|_| Reply::unknown())?;
    let now = shared.now();
    let mut state = shared.state();
    let value = state.book.value(false);
    let domain = state.book.domain_mut(id).ok_or_else(Reply::unknown)?;
    if domain.method == "email" {
        let words = "The DCV method of the domain has no token.";
        return Err(Reply::refused(400, "invalid_dcv_method", words));
    }
    domain.values.retain(|known| known.of_order);
    domain
        .values
        .push(super::book::Value::new(&value, now, false));
    let shown = token(domain).unwrap_or_default();
    Ok(Reply::json(
        json!({"token": shown["token"], "expiration_date": shown["expiration_date"]}),
    ))
}

fn delete(shared: &Shared, id: &str) -> Reply {
    let removed = id.parse().is_ok_and(|id| shared.state().book.remove(id));
    if removed {
        Reply::empty(204)
    } else {
        Reply::unknown()
    }
}
