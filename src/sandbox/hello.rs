//! A substitute for the toy CA, for tests only: it checks DNS before it counts a domain.

pub mod kind;
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::check::{self, Data, Perspectives};
use super::clock::ShiftedClock;
use super::line::Line;
use super::service::{self, NameServers, Service};
use crate::clock::Clock;

/// The open questions about the toy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// How long a proof counts, days.
    pub days: i64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { days: 150 }
    }
}

/// A running toy.
#[derive(Debug)]
pub struct World {
    service: Service,
}

struct Shared {
    clock: Arc<ShiftedClock>,
    name_servers: NameServers,
    greeting: SecretString,
    behaviour: Behaviour,
    domains: Mutex<BTreeMap<String, Domain>>,
}

#[derive(Debug, Clone, Default)]
struct Domain {
    greetings: u32,
    greeting: Option<String>,
    proven: Option<Timestamp>,
}

impl Shared {
    fn domains(&self) -> MutexGuard<'_, BTreeMap<String, Domain>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row(&self, name: &str, domain: &Domain) -> Value {
        let life = SignedDuration::from_hours(24 * self.behaviour.days);
        let mut row = json!({"name": name, "greeting": domain.greeting});
        if let Some(at) = domain.proven {
            row["proven"] = json!(at.to_string());
            row["until"] = json!(
                at.saturating_add(life)
                    .unwrap_or(Timestamp::MAX)
                    .to_string()
            );
        }
        row
    }
}

impl World {
    async fn start(
        listen: SocketAddr,
        clock: Arc<ShiftedClock>,
        greeting: SecretString,
        behaviour: Behaviour,
        name_servers: NameServers,
    ) -> io::Result<Self> {
        let bound = service::bind(listen).await?;
        let shared = Arc::new(Shared {
            clock,
            name_servers,
            greeting,
            behaviour,
            domains: Mutex::default(),
        });
        let service = bound.serve(&shared, work);
        Ok(Self { service })
    }
}

async fn work(shared: Arc<Shared>, _: Line, request: Request) -> Response {
    let key = request.headers().get("x-hello");
    let known = shared.greeting.expose_secret().as_bytes();
    let (status, body) = if key.is_some_and(|key| key.as_bytes() == known) {
        answer(&shared, request.method(), request.uri().path()).await
    } else {
        (401, json!("who is there?"))
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let json = axum::http::HeaderValue::from_static("application/json");
    let kind = axum::http::header::CONTENT_TYPE;
    response.headers_mut().insert(kind, json);
    response
}

async fn answer(shared: &Shared, method: &Method, path: &str) -> (u16, Value) {
    let path: Vec<&str> = path.trim_matches('/').split('/').collect();
    let name = path.get(1).copied().unwrap_or_default();
    let mut changed = match (method.as_str(), path.as_slice()) {
        ("GET", ["client"]) => return (200, json!({"key": "1", "name": kind::CLIENT})),
        ("GET", ["domain"]) => {
            let domains = shared.domains();
            let rows = domains
                .iter()
                .map(|(name, domain)| shared.row(name, domain));
            return (200, rows.collect());
        }
        ("PUT", ["domain", _]) => shared.domains().entry(name.to_owned()).or_default().clone(),
        (_, ["domain", ..]) => match shared.domains().get(name) {
            Some(domain) => domain.clone(),
            None => return (404, json!("it was never greeted")),
        },
        _ => return (400, json!("pardon?")),
    };
    match (method.as_str(), path.as_slice()) {
        ("DELETE", _) => {
            shared.domains().remove(name);
            return (200, shared.row(name, &changed));
        }
        ("POST", [_, _, "greeting"]) => {
            changed.greetings += 1;
            changed.greeting = Some(format!("hello, {name}, for time {}", changed.greetings));
        }
        ("POST", [_, _, "look"]) => {
            let owner = format!("_hello.{name}");
            let servers = (shared.name_servers)(&owner);
            let every = Perspectives {
                count: 0,
                may_fail: 0,
                seed: 0,
            };
            if let Some(greeting) = changed.greeting.clone() {
                let data = Data::Txt(&greeting);
                if check::check(&owner, data, &servers, every).await.is_ok() {
                    changed.proven = Some(shared.clock.now());
                    changed.greeting = None;
                }
            }
        }
        _ => {}
    }
    shared.domains().insert(name.to_owned(), changed.clone());
    (200, shared.row(name, &changed))
}
