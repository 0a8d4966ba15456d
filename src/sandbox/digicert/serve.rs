//! From an HTTP request to an answer: faults, the key, the limits, the call, the log.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::Request as HttpRequest;
use axum::response::Response;
use jiff::SignedDuration;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::Shared;
use super::asked::Asked;
use super::behaviour::What;
use super::calls::perform;
use super::wire::Reply;
use crate::sandbox::door;
use crate::sandbox::line::Line;
use crate::sandbox::service;

/// The largest body that is read, octets.
const BODY_LIMIT: usize = 1 << 20;

/// A number of calls in a number of seconds.
const LIMITS: [(usize, i64); 2] = [(100, 5), (1000, 180)];

/// One request, as it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Below `/services/v2`.
    pub path: String,
    /// Behind the `?`.
    pub query: String,
    /// The request.
    pub body: String,
    /// The status of its answer, whether or not it arrived.
    pub status: u16,
}

/// Answers one request.
pub(super) async fn work(shared: Arc<Shared>, line: Line, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let whole = parts.uri.path();
    if let Some(path) = door::below(whole) {
        let query = parts.uri.query().unwrap_or_default();
        return door::answer(&*shared, parts.method.as_str(), path, query, &body);
    }
    let path = whole.strip_prefix("/services/v2");
    let fault = service::strike(
        &mut shared.state().faults,
        &format!("{} {}", parts.method, path.unwrap_or(whole)),
    );
    let key = parts.headers.get("x-dc-devkey");
    let is_known =
        key.is_some_and(|key| key.as_bytes() == shared.api_key.expose_secret().as_bytes());
    let mut reply = match (fault, path) {
        (Some(What::Page(status)), _) => Reply::page(status),
        (Some(What::Empty(status)), _) => Reply::empty(status),
        (Some(What::Lost), _) => {
            line.cut();
            Reply::empty(200)
        }
        (Some(What::Throttled), _) => too_many(),
        _ if shared.is_too_many() => too_many(),
        _ if !is_known => {
            let code = "access_denied|access_denied_invalid_key";
            Reply::refused(403, code, "The API key is invalid.")
        }
        (_, None) => Reply::refused(404, "not_found|route", "The route was not found."),
        (_, Some(path)) => {
            let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
            let asked = Asked {
                method: parts.method.as_str(),
                path: &segments,
                query: parts.uri.query().unwrap_or_default(),
                body: &body,
            };
            perform(&shared, &asked).await
        }
    };
    if fault == Some(What::DoneButLost) {
        line.cut();
    }
    let mut state = shared.state();
    if state.behaviour.error_objects {
        reply = reply.with_error_object();
    }
    state.log.push(Request {
        method: parts.method.to_string(),
        path: path.unwrap_or(whole).to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
        status: reply.status,
    });
    drop(state);
    reply.into_response(shared.now())
}

fn too_many() -> Reply {
    let words = "Service unavailable, please limit request volume.";
    Reply::refused(429, "request_limit_exceeded", words)
}

impl Shared {
    /// Counts a call, and says whether it is over one of the two limits.
    fn is_too_many(&self) -> bool {
        let now = self.now();
        let mut state = self.state();
        if !state.behaviour.limits {
            return false;
        }
        state.calls.push(now);
        let within = |calls: &[jiff::Timestamp], seconds| {
            let span = SignedDuration::from_secs(seconds);
            let recent = calls.iter().filter(|&&at| now.duration_since(at) < span);
            recent.count()
        };
        let over = LIMITS
            .iter()
            .any(|&(most, seconds)| within(&state.calls, seconds) > most);
        let longest = SignedDuration::from_secs(180);
        state.calls.retain(|&at| now.duration_since(at) < longest);
        over
    }
}
