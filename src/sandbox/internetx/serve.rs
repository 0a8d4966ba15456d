//! From an HTTP request to an answer: faults, the login, the limit, the call, the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::Request as HttpRequest;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};

use super::Shared;
use super::asked::{Asked, Refused};
use super::behaviour::{Nothing, What};
use super::calls::perform;
use crate::sandbox::door;
use crate::sandbox::line::Line;
use crate::sandbox::service;

/// The largest body that is read, octets.
const BODY_LIMIT: usize = 1 << 20;

/// One request, as it was answered.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// When it came, in real time.
    #[serde(skip)]
    pub at: Instant,
    /// `GET`, `POST`, …
    pub method: String,
    /// Below `/v1`.
    pub path: String,
    /// The request.
    pub body: Value,
    /// The status of its answer, whether or not it arrived.
    pub status: u16,
}

/// The user that may call.
pub(super) struct Account {
    pub(super) user: String,
    pub(super) password: SecretString,
    pub(super) context: u32,
}

/// Answers one request.
pub(super) async fn work(shared: Arc<Shared>, line: Line, request: HttpRequest) -> Response {
    let at = Instant::now();
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    if let Some(path) = door::below(parts.uri.path()) {
        let query = parts.uri.query().unwrap_or_default();
        return door::answer(&*shared, parts.method.as_str(), path, query, &body);
    }
    if parts.uri.path() == "/issuer.der" {
        return Response::new(Body::from(shared.state().book.authority.intermediate()));
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let path = parts.uri.path().strip_prefix("/v1").unwrap_or_default();
    let name = format!("{} {path}", parts.method);
    let fault = service::strike(&mut shared.state().faults, &name);
    let outcome = match shared.admit(&parts.headers, at) {
        Err(refused) => Err(refused),
        Ok(()) if !matches!(fault, None | Some(What::DoneButLost)) => Ok(Vec::new()),
        Ok(()) => {
            let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
            let tag = parts.headers.get("x-domainrobot-ctid");
            let asked = Asked {
                method: parts.method.as_str(),
                path: &segments,
                body: &body,
                tag: tag.and_then(|tag| tag.to_str().ok()),
            };
            perform(&shared, &asked).await
        }
    };
    if matches!(fault, Some(What::Lost | What::DoneButLost)) {
        line.cut();
    }
    let nothing = shared.state().behaviour.nothing;
    let (status, mut envelope) = envelope(outcome, nothing);
    if fault == Some(What::Hollow) {
        envelope = json!({"data": []});
    }
    shared.state().log.push(Request {
        at,
        method: parts.method.to_string(),
        path: path.to_owned(),
        body,
        status,
    });
    let (kind, text) = match fault == Some(What::Page) {
        true => ("text/html", "<html><body>Wartung</body></html>".to_owned()),
        false => ("application/json", envelope.to_string()),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The envelope that every answer has.
fn envelope(outcome: Result<Vec<Value>, Refused>, nothing: Nothing) -> (u16, Value) {
    match outcome {
        Ok(data) => {
            let is_job = data.first().is_some_and(|one| one["status"] == "RUNNING");
            let (code, kind) = if is_job {
                ("N400101", "NOTIFY")
            } else {
                ("S0000", "SUCCESS")
            };
            let mut envelope = json!({
                "stid": "20261129-app4-106167",
                "status": {"code": code, "text": "Erfolgreich.", "type": kind},
                "object": {"summary": data.len()},
            });
            match nothing {
                Nothing::Absent if data.is_empty() => {}
                Nothing::Null if data.is_empty() => envelope["data"] = Value::Null,
                _ => envelope["data"] = json!(data),
            }
            (200, envelope)
        }
        Err(refused) => {
            let envelope = json!({
                "stid": "20261129-app4-106168",
                "status": {"type": "ERROR"},
                "messages": [{"text": refused.text, "code": refused.code, "status": "ERROR"}],
            });
            (refused.status, envelope)
        }
    }
}

impl Shared {
    /// The login and the limit.
    fn admit(&self, headers: &HeaderMap, at: Instant) -> Result<(), Refused> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let login = &self.login;
        let pair = format!("{}:{}", login.user, login.password.expose_secret());
        let basic = format!("Basic {}", STANDARD.encode(pair));
        let behaviour = self.state().behaviour.clone();
        if text("authorization") != Some(&basic) {
            return Err(Refused::new(401, "EF00100", "Anmeldung fehlgeschlagen"));
        }
        if text("x-domainrobot-context") != Some(&login.context.to_string()) {
            let status = if behaviour.context_is_403 { 403 } else { 401 };
            return Err(Refused::new(status, "EF00101", "Falscher Kontext"));
        }
        if text("user-agent").is_none_or(str::is_empty) {
            return Err(Refused::new(400, "EF00102", "User-Agent fehlt"));
        }
        let recent = self
            .state()
            .log
            .iter()
            .filter(|one| at.saturating_duration_since(one.at) < Duration::from_secs(1))
            .count();
        if behaviour.calls_per_second > 0 && recent >= behaviour.calls_per_second {
            let status = if behaviour.limit_in_200 { 200 } else { 429 };
            return Err(Refused::new(status, "EF00103", "Zu viele Anfragen"));
        }
        Ok(())
    }
}
