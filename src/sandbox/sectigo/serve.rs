//! From an HTTP request to an answer: faults, the two logins, the call, the log.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::Request as HttpRequest;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use rand::distr::{Alphanumeric, SampleString};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;
use url::form_urlencoded;

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

/// One request, as it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Below `/api` or `/private/api`.
    pub path: String,
    /// Behind the `?`.
    pub query: String,
    /// The status of its answer, whether or not it arrived.
    pub status: u16,
}

/// The login that may call.
pub(super) struct Account {
    pub(super) user: String,
    pub(super) password: SecretString,
    pub(super) customer_uri: String,
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
    let path = whole
        .strip_prefix("/private")
        .unwrap_or(whole)
        .strip_prefix("/api")
        .unwrap_or(whole);
    let fault = service::strike(
        &mut shared.state().faults,
        &format!("{} {path}", parts.method),
    );
    let query = parts.uri.query().unwrap_or_default();
    let reply = match fault {
        Some(What::Gateway(status)) => Reply::gateway(status),
        Some(What::Says(code)) => Reply::refused(400, code, "as it was told"),
        Some(What::Lost) => {
            line.cut();
            Reply::empty(200)
        }
        _ if path == "/token" => shared.token(&body),
        _ => {
            let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
            match shared.who(&parts.headers, whole.starts_with("/private/")) {
                Err(refused) => refused,
                Ok(oauth) => {
                    let asked = Asked {
                        method: parts.method.as_str(),
                        path: &segments,
                        query,
                        body: &body,
                        oauth,
                    };
                    perform(&shared, &asked).await
                }
            }
        }
    };
    let reply = match fault {
        Some(What::DoneButSays(code)) => Reply::refused(400, code, "as it was told"),
        _ => reply,
    };
    if fault == Some(What::DoneButLost) {
        line.cut();
    }
    shared.state().log.push(Request {
        method: parts.method.to_string(),
        path: path.to_owned(),
        query: query.to_owned(),
        status: reply.status,
    });
    reply.into_response(shared.now())
}

impl Shared {
    /// Whether the caller shows a token, or the refusal of a wrong login. Below `/private` what ends
    /// TLS has asked for a client certificate, and no password is taken.
    fn who(&self, headers: &HeaderMap, is_private: bool) -> Result<bool, Reply> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let refused = || Reply::refused(401, -16, "Unknown user");
        if let Some(bearer) = text(header::AUTHORIZATION.as_str()) {
            let now = self.now();
            let token = bearer.strip_prefix("Bearer ").unwrap_or_default();
            let state = self.state();
            let is_good = state
                .tokens
                .iter()
                .any(|(known, end)| known == token && now < *end);
            return if is_good { Ok(true) } else { Err(refused()) };
        }
        let login = &self.login;
        let password = (!is_private).then(|| login.password.expose_secret());
        let right = text("login") == Some(&login.user)
            && text("password") == password
            && text("customeruri") == Some(&login.customer_uri);
        if right { Ok(false) } else { Err(refused()) }
    }

    /// The token server: OAuth 2, client credentials.
    fn token(&self, body: &[u8]) -> Reply {
        let field = |wanted: &str| {
            form_urlencoded::parse(body)
                .find(|(key, _)| key == wanted)
                .map(|(_, value)| value.into_owned())
        };
        let right = field("grant_type").as_deref() == Some("client_credentials")
            && field("client_id").as_deref() == Some(&self.login.user)
            && field("client_secret").as_deref() == Some(self.login.password.expose_secret());
        if !right {
            let refused = Reply::json(json!({"error": "invalid_client"}));
            return Reply {
                status: 401,
                ..refused
            };
        }
        let token = Alphanumeric.sample_string(&mut rand::rng(), 40);
        let mut state = self.state();
        let life = state.behaviour.token_life;
        let lives = SignedDuration::from_secs(if life == 0 { 300 } else { life });
        let end = self.now().saturating_add(lives).unwrap_or(Timestamp::MAX);
        state.tokens.push((token.clone(), end));
        let mut answer = json!({"access_token": token, "token_type": "Bearer"});
        if life > 0 {
            answer["expires_in"] = json!(life);
        }
        Reply::json(answer)
    }
}
