//! The back door, for people and for tests in another process: everything below `/_sandbox/`, in
//! JSON, without a JWT. [`REQUESTS`] lists it.

use axum::http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::behaviour::Fault;
use super::wire::{Refused, Reply};
use crate::sandbox::door::{self, Wrong};

/// What may be asked below `/_sandbox/`: method, path, an example of a body, what it does.
pub const REQUESTS: [(&str, &str, &str, &str); 25] = [
    (
        "GET",
        "state",
        "",
        "time, clients, domains, switches, faults to come",
    ),
    (
        "GET",
        "log?since=N",
        "",
        "counts of calls, and the requests from number N on",
    ),
    ("DELETE", "log", "", "forgets them"),
    ("GET", "clock", "", "the CA's time"),
    ("POST", "clock", r#"{"advance": "30d"}"#, "moves it on"),
    (
        "POST",
        "clock",
        r#"{"to": "2027-03-15T00:00:00Z"}"#,
        "sets it",
    ),
    ("GET", "behaviour", "", "the switches of --fault"),
    (
        "POST",
        "behaviour",
        r#"{"reset_keeps_proof": false}"#,
        "changes some of them",
    ),
    ("GET", "faults", "", "the faults to come"),
    (
        "POST",
        "faults",
        r#"{"on": "validate", "what": "html"}"#,
        "adds one",
    ),
    ("DELETE", "faults", "", "takes all of them away"),
    (
        "POST",
        "register",
        r#"{"domain": "a.test"}"#,
        "registers it; \"client\": \"cli-…\" says where",
    ),
    (
        "POST",
        "expire",
        r#"{"domain": "a.test"}"#,
        "ends its proof now",
    ),
    (
        "POST",
        "delete",
        r#"{"domain": "a.test"}"#,
        "deletes its registration",
    ),
    (
        "POST",
        "token-age",
        r#"{"domain": "a.test", "age": "29d"}"#,
        "makes its random value so old",
    ),
    (
        "POST",
        "validated",
        r#"{"domain": "a.test", "at": "2026-12-01T00:00:00Z"}"#,
        "gives it a proof of that moment",
    ),
    (
        "GET",
        "dns",
        "",
        "name servers with their queries, and the updates",
    ),
    (
        "POST",
        "dns",
        r#"{"server": 1, "follow": "10m"}"#,
        "how a secondary follows: now, never, dead, lame, or how late",
    ),
    (
        "POST",
        "dns",
        r#"{"name": "a.test", "add": "text"}"#,
        "adds a TXT value",
    ),
    (
        "POST",
        "dns",
        r#"{"name": "a.test", "remove": "text"}"#,
        "removes one",
    ),
    (
        "POST",
        "persistent",
        r#"{"domain": "a.test"}"#,
        "validates it by its persistent record from now on",
    ),
    (
        "GET",
        "persistent",
        "",
        "what each check of persistent records has shown",
    ),
    ("GET", "orders", "", "the orders of certificates"),
    (
        "POST",
        "order",
        r#"{"order": "ord-1", "status": "REJECTED"}"#,
        "what a person decides about an order",
    ),
    ("GET", "root", "", "the root of the certificates, PEM"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Handled {
    domain: String,
    client: Option<String>,
    age: Option<String>,
    at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    order: String,
    status: String,
}

/// Answers a request to the back door.
pub(super) async fn answer(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: &str,
    body: &[u8],
) -> Reply {
    let answer = match (path, method.as_str()) {
        ("persistent", "POST") => watch(shared, body).await,
        ("persistent", _) => Ok(shared.watched()),
        _ => act(shared, method, path, query, body),
    };
    // With a clock that was moved, some check may be due.
    shared.recheck().await;
    answer.map_or_else(Reply::from, |value| Reply::json(&value))
}

/// Puts a domain under the persistent method. A record that is not found is an answer as well.
async fn watch(shared: &Shared, body: &[u8]) -> Result<Value, Refused> {
    let wanted: Handled = door::read(body)?;
    let is_known = shared.state().book.find(&wanted.domain).is_some();
    match shared.watch(&wanted.domain).await {
        Err(why) if !is_known => Err(Refused::not_found(why)),
        seen => Ok(json!({"found": seen.is_ok(), "words": seen.err()})),
    }
}

fn act(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: &str,
    body: &[u8],
) -> Result<Value, Refused> {
    match (path, method.as_str()) {
        ("log", "DELETE") => shared.state().log.clear(),
        ("log", _) => {
            let since = query
                .strip_prefix("since=")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
            let state = shared.state();
            let requests: Vec<_> = state.log.requests().skip(since).collect();
            return Ok(json!({"counts": state.log.counts(), "requests": requests}));
        }
        ("state", _) => return Ok(state(shared)),
        ("clock", "POST") => door::move_clock(&shared.clock, body)?,
        ("clock", _) => {}
        ("behaviour", "POST") => {
            shared
                .state()
                .behaviour
                .merge(door::read(body)?)
                .map_err(Refused::invalid)?;
        }
        ("behaviour", _) => return Ok(json!(shared.state().behaviour)),
        ("faults", "DELETE") => shared.state().faults.clear(),
        ("faults", "POST") => shared.state().faults.add(door::read::<Fault>(body)?),
        ("dns", method) => {
            return Ok(door::name_servers(shared.dns.as_deref(), method, body)?);
        }
        ("orders", _) => return Ok(json!(shared.seen_orders())),
        ("root", _) => return Ok(json!({"pem": shared.state().orders.root_pem()})),
        ("order", "POST") => {
            let decision: Decision = door::read(body)?;
            let mut state = shared.state();
            if !state.orders.decide(&decision.order, &decision.status) {
                let why = format!("There is no order {}", decision.order);
                return Err(Refused::not_found(why));
            }
        }
        ("faults", _) => return Ok(json!(shared.state().faults.pending())),
        (verb, "POST") => return handle(shared, verb, &door::read(body)?),
        _ => {
            return Err(Refused::not_found(format!(
                "The sandbox has no `{method} /_sandbox/{path}`"
            )));
        }
    }
    Ok(json!({"now": shared.now()}))
}

/// The back door's refusals in the form of this CA.
impl From<Wrong> for Refused {
    fn from(wrong: Wrong) -> Self {
        match wrong.status {
            404 => Self::not_found(wrong.words),
            _ => Self::invalid(wrong.words),
        }
    }
}

fn handle(shared: &Shared, verb: &str, wanted: &Handled) -> Result<Value, Refused> {
    let now = shared.now();
    let mut state = shared.state();
    let behaviour = state.behaviour.clone();
    if verb == "register" {
        let first = state
            .book
            .clients()
            .next()
            .map(|(reference, _)| reference.clone());
        let client = wanted.client.clone().or(first).unwrap_or_default();
        let names = [wanted.domain.clone()];
        return Ok(json!(
            state.book.register(&client, &names, &behaviour, now)?
        ));
    }
    let domain = state
        .book
        .find(&wanted.domain)
        .map(|domain| domain.reference.clone());
    let domain = domain.ok_or_else(|| {
        Refused::not_found(format!(
            "{} is not registered (give A-labels)",
            wanted.domain
        ))
    })?;
    match verb {
        "expire" => state.book.expire(&domain, now),
        "delete" => {
            state.book.delete(&domain)?;
            return Ok(json!({"now": now}));
        }
        "token-age" => {
            let age = wanted
                .age
                .as_deref()
                .ok_or_else(|| Refused::invalid("`age` is missing, such as \"29d\""))?;
            state.book.set_token_age(&domain, door::duration(age)?, now);
        }
        "validated" => state.book.set_validated(&domain, wanted.at.unwrap_or(now)),
        _ => {
            return Err(Refused::not_found(format!(
                "The sandbox has no `POST /_sandbox/{verb}`"
            )));
        }
    }
    Ok(json!(state.book.view(
        state.book.domain(&domain)?,
        &behaviour,
        now
    )))
}

fn state(shared: &Shared) -> Value {
    let now = shared.now();
    let mut state = shared.state();
    let behaviour = super::Behaviour {
        shuffled: false,
        ..state.behaviour.clone()
    };
    let clients: Vec<(String, String)> = state
        .book
        .clients()
        .map(|(reference, client)| (reference.clone(), client.name.clone()))
        .collect();
    let clients: Vec<Value> = clients
        .into_iter()
        .map(|(reference, name)| {
            let domains = state
                .book
                .list(&reference, &behaviour, now)
                .unwrap_or_default();
            json!({"uuid": reference, "name": name, "domains": domains})
        })
        .collect();
    json!({
        "now": now,
        "user": state.account.user(),
        "clients": clients,
        "behaviour": state.behaviour,
        "faults": state.faults.pending(),
    })
}
