//! Hooks in: `POST /hooks/dns`, by which DNS pipelines say what they changed. A hint, never an
//! order: domains of the inventory at or below what is named become due, and what the CA and DNS
//! say then is the truth (faults H13).
//!
//! [`signature`] or a bearer token of the role `hook` identifies the sender; [`body`] reads the
//! names. The server answers 202 only after the hint is in the store (faults K18). A repeated
//! message is the same hint; another message with the same id is refused (faults H02, H03). However
//! many hooks arrive, the worker decides how often it tries a domain (faults H08, W04).

pub mod body;
pub mod key;
pub mod signature;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Serialize;

use self::body::Changed;
use self::signature::{Claim, Flaw, digest, hex};
use super::access::{Denied, Role};
use super::answer;
use super::shared::{Live, Shared};
use crate::overview::snapshot::Snapshot;
use crate::prevalidation::{DomainName, RowKey, State as DomainState};
use crate::store::{Received, StoreError};
use crate::text::escape;

/// Where hooks go to.
pub const PATH: &str = "/hooks/dns";
/// How many hooks one sender may send to this process in a second, in the long run and at once.
const RATE: NonZeroU32 = NonZeroU32::new(200).expect("not zero");
const BURST: NonZeroU32 = NonZeroU32::new(1000).expect("not zero");

/// After this time the store counts as gone, and the sender sends the message again. It is shorter
/// than the time-out of the request.
const STORE_TIME: Duration = Duration::from_secs(8);
/// Refusals of what strangers may send are logged up to this many at once, then one in
/// [`TOLD_EVERY`]: it must not fill a disk.
const TOLD: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// The routes of this part.
pub fn routes(shared: Arc<Shared>) -> Router {
    routes_within(STORE_TIME, shared)
}

fn routes_within(store_time: Duration, shared: Arc<Shared>) -> Router {
    let quota = Quota::with_period(TOLD_EVERY)
        .unwrap_or(Quota::per_minute(TOLD))
        .allow_burst(TOLD);
    let hooks = Arc::new(Hooks {
        shared,
        store_time,
        paces: Mutex::default(),
        told: RateLimiter::direct(quota),
    });
    Router::new()
        .route(PATH, post(answer))
        .layer(DefaultBodyLimit::max(body::MOST_BYTES))
        .with_state(hooks)
}

struct Hooks {
    shared: Arc<Shared>,
    store_time: Duration,
    /// By sender, those that came at all.
    paces: Mutex<HashMap<String, Arc<DefaultDirectRateLimiter>>>,
    told: DefaultDirectRateLimiter,
}

/// The sender of a hook, once that is certain.
struct Sender {
    name: String,
    zones: Arc<[DomainName]>,
    /// The sender's name of the message.
    id: String,
}

/// The reply to a sender.
#[derive(Debug, Serialize)]
struct Reply {
    /// What was named and concerns domains of the inventory.
    accepted: Vec<DomainName>,
    /// What was named and concerns none. It is not added to anything.
    ignored: Vec<DomainName>,
    /// How many domains are checked now.
    domains: usize,
}

/// Why a hook is not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("a body of at most {} bytes is read", body::MOST_BYTES)]
    TooLong,
    #[error("the body did not arrive whole")]
    Torn,
    #[error("the body must be `Content-Type: application/json`, as it is, not compressed")]
    NotJson,
    /// Whichever part was wrong (faults H04).
    #[error(
        "the signature does not hold: check the secret, the clock, and that the body is signed as it is sent"
    )]
    Unsigned,
    #[error(transparent)]
    Denied(Denied),
    #[error("{0}")]
    Malformed(String),
    #[error("this key may not name {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Outside(Vec<DomainName>),
    #[error("another message came under this id; send a new message under a new id")]
    Reused,
    #[error("more than {BURST} hooks at once, or {RATE} in a second: name several zones in one")]
    TooMany(Duration),
    #[error("nothing was read yet; send it again")]
    Unavailable(Option<StoreError>),
    #[error("the store did not answer in time; send it again")]
    Slow,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Torn | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unsigned => StatusCode::UNAUTHORIZED,
            Self::Denied(denied) => denied.status(),
            Self::Outside(_) => StatusCode::FORBIDDEN,
            Self::Reused => StatusCode::CONFLICT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) | Self::Slow => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The word for monitoring.
    fn outcome(&self) -> &'static str {
        match self {
            Self::TooLong | Self::Torn | Self::NotJson | Self::Malformed(_) => "malformed",
            Self::Unsigned | Self::Denied(_) => "unsigned",
            Self::Outside(_) => "outside",
            Self::Reused => "reused",
            Self::TooMany(_) => "limited",
            Self::Unavailable(_) | Self::Slow => "unavailable",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = match &self {
            Self::Denied(denied) => answer::denied(*denied),
            Self::Unavailable(Some(error)) => answer::store_is_down(error),
            _ => answer::problem(self.status(), &self.to_string()),
        };
        match self {
            // RFC 9110, section 11.6.1: a 401 says how it could be otherwise.
            Self::Unsigned => drop(
                response
                    .headers_mut()
                    .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            ),
            Self::TooMany(wait) => drop(
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, (wait.as_secs() + 1).into()),
            ),
            Self::Unavailable(None) | Self::Slow => drop(
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from_static("10")),
            ),
            _ => {}
        }
        response
    }
}

async fn answer(
    State(hooks): State<Arc<Hooks>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let outcome = match body {
        Ok(body) => hooks.take(&headers, &body).await,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Refusal::TooLong),
        Err(_) => Err(Refusal::Torn),
    };
    let metrics = &hooks.shared.metrics;
    match outcome {
        Ok((outcome, reply)) => {
            metrics.hook_request(outcome);
            (StatusCode::ACCEPTED, axum::Json(reply)).into_response()
        }
        Err(refusal) => {
            metrics.hook_request(refusal.outcome());
            refusal.into_response()
        }
    }
}

impl Hooks {
    async fn take(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(&'static str, Reply), Refusal> {
        let live = self.shared.live();
        let sender = self.sender(&live, headers, body)?;
        self.pace(&sender.name)?;
        if !is_plain_json(headers) {
            return Err(Refusal::NotJson);
        }
        let malformed = |why| {
            self.tell(&sender.name, &why);
            Refusal::Malformed(why)
        };
        let changed = match body::read(body).map_err(malformed)? {
            Changed::Named(names) => names,
            // A sender that may name a few zones only, and names none, means these; one that may
            // name all may not mean all.
            Changed::Unnamed if sender.zones.is_empty() => {
                return Err(Refusal::Malformed(
                    "the body has neither `names` nor `zones`, and its key has no zones of its own"
                        .to_owned(),
                ));
            }
            Changed::Unnamed => sender.zones.iter().cloned().collect(),
        };
        let outside: Vec<_> = changed
            .iter()
            .filter(|name| !sender.may_name(name))
            .cloned()
            .collect();
        if !outside.is_empty() {
            tracing::warn!(
                key = sender.name,
                names = outside.len(),
                "a hook names what its key may not"
            );
            return Err(Refusal::Outside(outside));
        }
        let snapshot = self.shared.snapshot().ok_or(Refusal::Unavailable(None))?;
        let (concerned, reply) = concern(&snapshot, changed);
        let now = self.shared.clock.now();
        let digest = digest(body);
        let received =
            self.shared
                .store
                .receive(&sender.name, &sender.id, &digest, &concerned, now);
        // If it is stored all the same, it is found there when the sender comes again.
        let received = tokio::time::timeout(self.store_time, received)
            .await
            .map_err(|_| Refusal::Slow)?;
        match received.map_err(|error| Refusal::Unavailable(Some(error)))? {
            Received::Other => {
                tracing::warn!(
                    key = sender.name,
                    id = sender.id,
                    "another message came under an id that is known"
                );
                Err(Refusal::Reused)
            }
            received => {
                self.shared.wake.notify_one();
                let outcome = if received == Received::New {
                    "accepted"
                } else {
                    "repeated"
                };
                tracing::info!(
                    key = sender.name,
                    id = sender.id,
                    domains = reply.domains,
                    "a hook was {outcome}"
                );
                Ok((outcome, reply))
            }
        }
    }

    /// The sender: the owner of its signature or of its token.
    fn sender(&self, live: &Live, headers: &HeaderMap, body: &[u8]) -> Result<Sender, Refusal> {
        // A message without an id is known by the digest of its content.
        let by_content = || format!("sha256:{}", hex(&digest(body)));
        let claim = match Claim::read(headers, self.shared.clock.now()) {
            Ok(claim) => claim,
            Err(Flaw::Unsigned) if headers.contains_key(AUTHORIZATION) => {
                let identity = live
                    .access
                    .identify(headers)
                    .and_then(|identity| identity.require(Role::Hook));
                let denied = |why: Denied| {
                    self.tell("", &why);
                    Refusal::Denied(why)
                };
                let name = identity.map_err(denied)?.name.unwrap_or_default();
                return Ok(Sender {
                    name: format!("token/{name}"),
                    zones: Arc::default(),
                    id: by_content(),
                });
            }
            Err(flaw) => {
                self.tell("", &flaw);
                return Err(Refusal::Unsigned);
            }
        };
        // Every key is tried, so that the time does not tell which one it was.
        let signed = live.hook_keys.iter().fold(None, |found, key| {
            if key.signed(&claim, body) {
                Some(key)
            } else {
                found
            }
        });
        let Some(key) = signed else {
            self.tell("", &"it is signed with no secret of [[server.hook_key]]");
            return Err(Refusal::Unsigned);
        };
        let id = claim.id.map_or_else(by_content, str::to_owned);
        Ok(Sender {
            name: key.name.to_string(),
            zones: Arc::clone(&key.zones),
            id,
        })
    }

    /// For the log: its reader may know why, the sender may not. `key` is empty while the sender is
    /// not known.
    fn tell(&self, key: &str, why: &dyn std::fmt::Display) {
        if self.told.check().is_ok() {
            tracing::warn!(key, "a hook was refused: {}", escape(&why.to_string()));
        }
    }

    fn pace(&self, sender: &str) -> Result<(), Refusal> {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = paces.entry(sender.to_owned()).or_insert_with(|| {
            Arc::new(RateLimiter::direct(
                Quota::per_second(RATE).allow_burst(BURST),
            ))
        });
        pace.check()
            .map_err(|until| Refusal::TooMany(until.wait_time_from(DefaultClock::default().now())))
    }
}

impl Sender {
    fn may_name(&self, name: &DomainName) -> bool {
        self.zones.is_empty()
            || self
                .zones
                .iter()
                .any(|zone| name == zone || name.is_below(zone))
    }
}

/// The rows of the inventory at or below what changed.
fn concern(snapshot: &Snapshot, changed: BTreeSet<DomainName>) -> (Vec<RowKey>, Reply) {
    // Most name one: then a comparison is less work than a hash, for each of 100,000 domains.
    let by_text: BTreeMap<&str, &DomainName> =
        changed.iter().map(|name| (name.as_str(), name)).collect();
    let (mut concerned, mut named) = (Vec::new(), BTreeSet::new());
    for entry in snapshot
        .entries
        .iter()
        .filter(|entry| entry.state != DomainState::Unmanaged)
    {
        // All that were named above it, not the nearest only: each is told whether it concerns
        // something.
        let above: Vec<&DomainName> = entry
            .domain
            .at_and_above()
            .filter_map(|name| by_text.get(name).copied())
            .collect();
        if !above.is_empty() {
            concerned.push(entry.key());
            named.extend(above);
        }
    }
    let accepted: Vec<DomainName> = named.into_iter().cloned().collect();
    let ignored = changed
        .iter()
        .filter(|name| accepted.binary_search(name).is_err())
        .cloned()
        .collect();
    let domains = concerned.len();
    (
        concerned,
        Reply {
            accepted,
            ignored,
            domains,
        },
    )
}

/// `application/json`, with any parameters (RFC 8259, section 11: none of them means anything).
fn is_plain_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let coded = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    essence.eq_ignore_ascii_case("application/json") && !coded
}
