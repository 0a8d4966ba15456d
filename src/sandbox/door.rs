//! The back door of every kind of CA, for people and for tests in another process: what is below
//! `/_sandbox/`, in JSON, without a login. [`REQUESTS`] lists what all kinds have; SwissSign's has
//! more.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::clock::ShiftedClock;
use super::dns::Dns;
use crate::clock::Clock as _;

/// What may be asked of every kind: method, path, an example of a body, what it does.
pub const REQUESTS: [(&str, &str, &str, &str); 18] = [
    ("GET", "state", "", "time, switches, faults to come, orders"),
    ("GET", "clock", "", "the CA's time"),
    ("POST", "clock", r#"{"advance": "30d"}"#, "moves it on"),
    (
        "POST",
        "clock",
        r#"{"to": "2027-03-15T00:00:00Z"}"#,
        "sets it",
    ),
    ("GET", "behaviour", "", "the switches of --fault"),
    ("POST", "behaviour", "{}", "changes those that it names"),
    ("GET", "faults", "", "the faults to come"),
    (
        "POST",
        "faults",
        r#"{"on": "", "times": 1, "what": "lost"}"#,
        "adds one, for calls whose method and path end so",
    ),
    ("DELETE", "faults", "", "takes all of them away"),
    ("GET", "log?since=N", "", "the requests from number N on"),
    ("DELETE", "log", "", "forgets them"),
    (
        "POST",
        "validated",
        r#"{"domain": "a.test", "at": "2026-12-01T00:00:00Z"}"#,
        "gives a domain a proof of that moment",
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
        "adds a TXT value; \"remove\" takes one away",
    ),
    ("GET", "orders", "", "the orders of certificates"),
    (
        "POST",
        "order",
        r#"{"order": "1", "status": "REJECTED"}"#,
        "what a person decides about an order, in the CA's words",
    ),
    ("GET", "root", "", "the root of the certificates, PEM"),
];

/// Why a request to the back door is refused.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) status: u16,
    pub(super) words: String,
}

impl Wrong {
    pub(super) fn missing(words: impl Into<String>) -> Self {
        let words = words.into();
        Self { status: 404, words }
    }

    pub(super) fn invalid(words: impl ToString) -> Self {
        let words = words.to_string();
        Self { status: 400, words }
    }
}

/// A CA behind its back door.
pub(super) trait House {
    fn clock(&self) -> &ShiftedClock;

    fn dns(&self) -> Option<&Dns>;

    fn behaviour(&self) -> Value;

    fn behave(&self, switches: Value) -> Result<(), Wrong>;

    fn faults(&self) -> Value;

    fn add_fault(&self, fault: Value) -> Result<(), Wrong>;

    fn clear_faults(&self);

    /// Every request, oldest first.
    fn log(&self) -> Vec<Value>;

    fn clear_log(&self);

    /// Gives a domain a proof of that moment; false: there is no such domain.
    fn validate(&self, domain: &str, at: Timestamp) -> bool;

    fn orders(&self) -> Value;

    /// What a person decides about an order; false: there is no such order.
    fn decide(&self, order: &str, status: &str) -> bool;

    fn root(&self) -> String;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clocked {
    advance: Option<String>,
    to: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proven {
    domain: String,
    at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    order: String,
    status: String,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Edit {
    Follow { server: usize, follow: String },
    Add { name: String, add: String },
    Remove { name: String, remove: String },
}

/// What is asked of the back door, where a path leads there: below the CA's address, and below that
/// of its API.
pub(super) fn below(path: &str) -> Option<&str> {
    path.split_once("/_sandbox/").map(|(_, rest)| rest)
}

/// Answers a request to the back door of a kind that has nothing of its own there.
pub(super) fn answer(
    house: &dyn House,
    method: &str,
    path: &str,
    query: &str,
    body: &[u8],
) -> Response {
    let (status, value) = match act(house, method, path, query, body) {
        Ok(value) => (200, value),
        Err(wrong) => (wrong.status, json!({"error": wrong.words})),
    };
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn act(
    house: &dyn House,
    method: &str,
    path: &str,
    query: &str,
    body: &[u8],
) -> Result<Value, Wrong> {
    match (method, path) {
        ("GET", "state") => {
            return Ok(json!({
                "now": house.clock().now(),
                "behaviour": house.behaviour(),
                "faults": house.faults(),
                "orders": house.orders(),
            }));
        }
        ("GET", "clock") => {}
        ("POST", "clock") => move_clock(house.clock(), body)?,
        ("GET", "behaviour") => return Ok(house.behaviour()),
        ("POST", "behaviour") => house.behave(read(body)?)?,
        ("GET", "faults") => return Ok(house.faults()),
        ("POST", "faults") => house.add_fault(read(body)?)?,
        ("DELETE", "faults") => house.clear_faults(),
        ("DELETE", "log") => house.clear_log(),
        ("GET", "log") => {
            let since = query.strip_prefix("since=");
            let since = since.and_then(|text| text.parse().ok()).unwrap_or(0);
            let requests: Vec<Value> = house.log().into_iter().skip(since).collect();
            return Ok(json!({ "requests": requests }));
        }
        ("POST", "validated") => {
            let Proven { domain, at } = read(body)?;
            if !house.validate(&domain, at.unwrap_or_else(|| house.clock().now())) {
                let words = format!("{domain} is not registered (give A-labels)");
                return Err(Wrong::missing(words));
            }
        }
        ("GET" | "POST", "dns") => return name_servers(house.dns(), method, body),
        ("GET", "orders") => return Ok(house.orders()),
        ("POST", "order") => {
            let Decision { order, status } = read(body)?;
            if !house.decide(&order, &status) {
                return Err(Wrong::missing(format!("There is no order {order}")));
            }
        }
        ("GET", "root") => return Ok(json!({"pem": house.root()})),
        _ => {
            let words = format!("The sandbox has no `{method} /_sandbox/{path}`");
            return Err(Wrong::missing(words));
        }
    }
    Ok(json!({"now": house.clock().now()}))
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Wrong> {
    serde_json::from_slice(body).map_err(Wrong::invalid)
}

/// `30d 12h` and the like; a day is 24 hours.
pub(super) fn duration(text: &str) -> Result<SignedDuration, Wrong> {
    let span: Span = text
        .parse()
        .map_err(|error| Wrong::invalid(format!("`{text}` is not a time span: {error}")))?;
    span.to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(Wrong::invalid)
}

/// Moves the time of the sandbox.
pub(super) fn move_clock(clock: &ShiftedClock, body: &[u8]) -> Result<(), Wrong> {
    let wanted: Clocked = read(body)?;
    if let Some(advance) = wanted.advance {
        clock.advance(duration(&advance)?);
    }
    if let Some(to) = wanted.to {
        clock.advance(to.duration_since(clock.now()));
    }
    Ok(())
}

/// Shows the name servers of the sandbox, after a change.
pub(super) fn name_servers(dns: Option<&Dns>, method: &str, body: &[u8]) -> Result<Value, Wrong> {
    let dns = dns.ok_or_else(|| Wrong::missing("This CA came without name servers"))?;
    if method == "POST" {
        edit(dns, read(body)?)?;
    }
    let server = |(index, address)| json!({"address": address, "queries": dns.queries(index)});
    let servers: Vec<_> = dns.addresses().iter().enumerate().map(server).collect();
    Ok(json!({"servers": servers, "updates": dns.updates()}))
}

fn edit(dns: &Dns, edit: Edit) -> Result<(), Wrong> {
    let zone = |name: &str| {
        let zone = dns.zone(0, name);
        let zone = zone.ok_or_else(|| Wrong::missing(format!("There is no zone for {name}")))?;
        Ok(zone.name())
    };
    match edit {
        Edit::Follow { server, follow } if server < dns.addresses().len() => {
            dns.follow(
                server,
                follow.parse().map_err(|why: String| Wrong::invalid(why))?,
            );
        }
        Edit::Follow { server, .. } => {
            return Err(Wrong::missing(format!("There is no server {server}")));
        }
        Edit::Add { name, add } => dns.edit(&zone(&name)?, |zone| zone.txt(&name, &add)),
        Edit::Remove { name, remove } => {
            dns.edit(&zone(&name)?, |zone| zone.without_txt(&name, &remove))
        }
    }
    Ok(())
}

/// Changes some switches of a behaviour.
pub(super) fn merge<B: Serialize + DeserializeOwned>(
    behaviour: &mut B,
    switches: Value,
) -> Result<(), Wrong> {
    let Value::Object(switches) = switches else {
        return Err(Wrong::invalid("an object with switches is expected"));
    };
    let mut all = serde_json::to_value(&*behaviour).map_err(Wrong::invalid)?;
    for (key, value) in switches {
        all[key] = value;
    }
    *behaviour = serde_json::from_value(all).map_err(Wrong::invalid)?;
    Ok(())
}
