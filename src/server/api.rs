//! The interface for programs: `/api/v1/`, JSON, reading only. `api/openapi.json` describes it,
//! held against it by a test.
//!
//! Lists are read off the last snapshot, and say of when it is; one domain is read from the store,
//! as of now. Times are RFC 3339 in UTC.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::access::Role;
use super::answer::{denied, document, problem, store_is_down};
use super::shared::Shared;
use crate::overview::counts::{CALENDAR_DAYS, Counts, calendar};
use crate::overview::query::{MOST, Query};
use crate::overview::snapshot::{ClientState, Entry, Snapshot};
use crate::overview::{DomainView, views_of};
use crate::prevalidation::DomainName;
use crate::store::StoreError;

/// The description of all of it, OpenAPI 3.1.
const DESCRIPTION: &str = include_str!("api/openapi.json");
/// Where every route of it begins.
pub const BASE: &str = "/api/v1";

/// `/api/v1/…`
pub fn routes(shared: Arc<Shared>) -> Router {
    let reading = Router::new()
        .route("/overview", get(overview))
        .route("/domains", get(domains))
        .route("/domains/{name}", get(domain))
        .route("/domains/{name}/history", get(history))
        .route("/clients", get(clients))
        .route("/certificates", get(certificates))
        .route("/persistent", get(persistent))
        .route("/calendar", get(days))
        .route_layer(from_fn_with_state(Arc::clone(&shared), for_readers));
    // The description tells nothing about the domains.
    let described = reading.route(
        "/openapi.json",
        get(async || ([(CONTENT_TYPE, "application/json")], DESCRIPTION)),
    );
    Router::new().nest(BASE, described.with_state(shared))
}

async fn for_readers(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    match shared
        .live()
        .access
        .identify(request.headers())
        .and_then(|who| who.require(Role::Read))
    {
        Ok(_) => next.run(request).await,
        Err(why) => denied(why),
    }
}

/// Why a question has no answer.
enum Refusal {
    NotYet,
    Asked(String),
    Unknown,
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::NotYet => {
                let mut answer = problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the store has not been read yet",
                );
                answer
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from_static("5"));
                answer
            }
            Self::Asked(what) => problem(StatusCode::BAD_REQUEST, &what),
            Self::Unknown => problem(
                StatusCode::NOT_FOUND,
                "no such domain is wanted, or known at the CA",
            ),
            Self::Store(error) => store_is_down(&error),
        }
    }
}

type Answer = Result<Response, Refusal>;

fn snapshot(shared: &Shared) -> Result<Arc<Snapshot>, Refusal> {
    shared.snapshot().ok_or(Refusal::NotYet)
}

fn answer(body: &impl Serialize) -> Answer {
    // Everything that is answered has text for keys, and no number that JSON does not have.
    Ok(serde_json::to_value(body)
        .map(|value| document(&value))
        .unwrap_or_else(|error| {
            tracing::error!(%error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }))
}

/// All parameters must be known, each at most once: a filter that is not understood must not be
/// passed over.
fn parameters(uri: &Uri) -> Result<Vec<(String, String)>, Refusal> {
    let pairs: Vec<_> = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .into_owned()
        .collect();
    let twice = pairs
        .iter()
        .enumerate()
        .any(|(at, (name, _))| pairs[..at].iter().any(|(other, _)| other == name));
    if twice {
        Err(Refusal::Asked("a parameter is given twice".to_owned()))
    } else {
        Ok(pairs)
    }
}

async fn overview(State(shared): State<Arc<Shared>>) -> Answer {
    let (snapshot, live) = (snapshot(&shared)?, shared.live());
    let counts = Counts::of(&snapshot.entries, &live.policy, snapshot.at);
    answer(&json!({ "at": snapshot.at, "domains": counts, "clients": snapshot.clients }))
}

async fn domains(State(shared): State<Arc<Shared>>, uri: Uri) -> Answer {
    #[derive(Serialize)]
    struct Listed<'a> {
        #[serde(flatten)]
        entry: &'a Entry,
        unicode: String,
    }
    #[derive(Serialize)]
    struct Page<'a> {
        at: jiff::Timestamp,
        total: usize,
        domains: Vec<Listed<'a>>,
        next: Option<String>,
    }
    let pairs = parameters(&uri)?;
    let query = Query::read(pairs.iter().map(|(name, value)| (&**name, &**value)))
        .map_err(|faults| Refusal::Asked(faults.join("; ")))?;
    let snapshot = snapshot(&shared)?;
    let found = query.find(&snapshot);
    let next = found.next.map(|cursor| cursor.to_string());
    let domains = found.entries.into_iter().map(|entry| Listed {
        unicode: entry.domain.unicode(),
        entry,
    });
    answer(&Page {
        at: snapshot.at,
        total: found.total,
        domains: domains.collect(),
        next,
    })
}

/// A name as people or programs write it. Text that is no name is no wanted domain.
fn read_name(text: &str) -> Result<DomainName, Refusal> {
    DomainName::from_a_labels(text)
        .or_else(|_| DomainName::parse(text).map(|parsed| parsed.name))
        .map_err(|_| Refusal::Unknown)
}

/// A domain at one client: the one that `client` or `ca` names, else the first. `also_at` names the
/// others.
async fn domain(State(shared): State<Arc<Shared>>, Path(name): Path<String>, uri: Uri) -> Answer {
    let (name, live, now) = (read_name(&name)?, shared.live(), shared.clock.now());
    let mut views = views_of(&*shared.store, &name, &live.basis(), now).await?;
    let clients: Vec<String> = views.iter().map(|view| view.client.clone()).collect();
    for (parameter, value) in parameters(&uri)? {
        match &*parameter {
            "client" => views.retain(|view| view.client == *value),
            "ca" => views.retain(|view| view.ca == *value),
            _ => {
                return Err(Refusal::Asked(
                    "there are the parameters `client` and `ca`".to_owned(),
                ));
            }
        }
    }
    views.sort_by_key(DomainView::key);
    let view = views.into_iter().next().ok_or(Refusal::Unknown)?;
    let ledger = shared.store.open_entries(Some(&view.key())).await?;
    let mut body = serde_json::to_value(&view).unwrap_or(Value::Null);
    let others = clients.iter().filter(|client| **client != view.client);
    body["also_at"] = json!(others.collect::<Vec<_>>());
    body["needs_a_person"] = json!(view.needs_a_person());
    body["renew_at"] = json!(view.renew_at);
    body["ledger"] = json!(ledger);
    answer(&body)
}

async fn history(State(shared): State<Arc<Shared>>, Path(name): Path<String>, uri: Uri) -> Answer {
    let name = read_name(&name)?;
    let mut limit = 100;
    for (parameter, value) in parameters(&uri)? {
        let number = value
            .parse()
            .ok()
            .filter(|number| (1..=MOST).contains(number));
        match (&*parameter, number) {
            ("limit", Some(number)) => limit = number,
            ("limit", None) => {
                return Err(Refusal::Asked(format!(
                    "limit: must be a whole number from 1 to {MOST}"
                )));
            }
            _ => return Err(Refusal::Asked("there is one parameter, `limit`".to_owned())),
        }
    }
    let mut events = shared.store.history(&name).await?;
    if events.is_empty()
        && shared
            .store
            .rows_of(std::slice::from_ref(&name))
            .await?
            .is_empty()
    {
        return Err(Refusal::Unknown);
    }
    let total = events.len();
    // The newest first; that is what is searched for.
    events.reverse();
    events.truncate(limit);
    answer(&json!({ "domain": name, "total": total, "events": events }))
}

async fn clients(State(shared): State<Arc<Shared>>) -> Answer {
    #[derive(Serialize)]
    struct Client<'a> {
        #[serde(flatten)]
        client: &'a ClientState,
        domains: Counts,
    }
    let (snapshot, live) = (snapshot(&shared)?, shared.live());
    let mut entries: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    snapshot
        .entries
        .iter()
        .for_each(|entry| entries.entry(&entry.client).or_default().push(entry));
    let clients = snapshot.clients.iter().map(|client| {
        let own = entries.remove(&*client.key).unwrap_or_default();
        Client {
            client,
            domains: Counts::of(own, &live.policy, snapshot.at),
        }
    });
    let clients: Vec<_> = clients.collect();
    answer(&json!({ "at": snapshot.at, "clients": clients }))
}

async fn certificates(State(shared): State<Arc<Shared>>) -> Answer {
    let snapshot = snapshot(&shared)?;
    answer(&json!({ "at": snapshot.at, "certificates": snapshot.certificates }))
}

async fn persistent(State(shared): State<Arc<Shared>>) -> Answer {
    let snapshot = snapshot(&shared)?;
    answer(&json!({ "at": snapshot.at, "persistent": snapshot.persistent }))
}

async fn days(State(shared): State<Arc<Shared>>) -> Answer {
    let snapshot = snapshot(&shared)?;
    answer(&json!({ "at": snapshot.at, "length_days": CALENDAR_DAYS, "days": calendar(&snapshot) }))
}
