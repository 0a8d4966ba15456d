//! What holds for every request: who may call us by which name, how long an answer takes, what it
//! says about itself, and in which form errors come.
//!
//! Programs get problem details (RFC 9457), people a page. No answer names the program's version or
//! repeats what was asked.

#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST,
    REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use serde_json::{Value, json};

use super::access::Denied;
use super::listener::{Listener, Serving};
use super::shared::Shared;
use super::{api, health, hooks, page};
use crate::text::in_json;

/// The longest body that is read.
pub const BODY_BYTES: usize = 64 * 1024;
/// A request with its body is answered within this time, or with 408.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Takes the address and answers there, until [`Serving::end`]: to be ended last, so that it can be
/// asked how the rest ends.
pub async fn listen(address: SocketAddr, shared: &Arc<Shared>) -> io::Result<Serving> {
    Ok(Listener::bind(address)
        .await?
        .begin(app(shared), Arc::clone(shared)))
}

/// Everything that answers.
pub fn app(shared: &Arc<Shared>) -> Router {
    let parts = health::routes(Arc::clone(shared))
        .merge(api::routes(Arc::clone(shared)))
        .merge(hooks::routes(Arc::clone(shared)))
        .merge(page::routes(Arc::clone(shared)));
    around(parts, shared)
}

/// What holds for every request, around the routes of some parts.
pub fn around(parts: Router, shared: &Arc<Shared>) -> Router {
    around_within(ANSWER_TIME, parts, shared)
}

fn around_within(time: Duration, parts: Router, shared: &Arc<Shared>) -> Router {
    parts
        .fallback(async || StatusCode::NOT_FOUND)
        .method_not_allowed_fallback(async || StatusCode::METHOD_NOT_ALLOWED)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn_with_state((Arc::clone(shared), time), handle))
}

async fn handle(
    State((shared, time)): State<(Arc<Shared>, Duration)>,
    request: Request,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none".to_owned(), |path| path.as_str().to_owned());
    let is_program = is_for_programs(request.uri().path());
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let answer = if announced.is_some_and(|length: u64| length > BODY_BYTES as u64) {
        // Before any of it is waited for.
        (StatusCode::PAYLOAD_TOO_LARGE, [(CONNECTION, "close")]).into_response()
    } else if may_ask(&shared, request.headers(), request.uri()) {
        // A fault of the program has been told where it happened; whoever asked hears of it, and
        // the connection lives on.
        let answer = AssertUnwindSafe(tokio::time::timeout(time, next.run(request)))
            .catch_unwind()
            .await;
        answer.map_or_else(
            |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            |answer| {
                answer.unwrap_or_else(|_| {
                    (StatusCode::REQUEST_TIMEOUT, [(CONNECTION, "close")]).into_response()
                })
            },
        )
    } else {
        StatusCode::MISDIRECTED_REQUEST.into_response()
    };
    let answer = dressed(plainly(&shared, answer, is_program));
    shared
        .metrics
        .http_request(&route, answer.status().as_u16());
    answer
}

/// Whoever may read without a token is on this machine. A page from elsewhere whose name was made
/// to lead here (DNS rebinding) is not, nor is whoever a proxy speaks for. Where a token or a
/// signature is needed, or nothing is told, every name is good.
fn may_ask(shared: &Shared, headers: &HeaderMap, uri: &Uri) -> bool {
    if !shared.live().access.is_open() || [hooks::PATH, "/healthz", "/readyz"].contains(&uri.path())
    {
        return true;
    }
    if BY_PROXY.iter().any(|name| headers.contains_key(*name)) {
        return false;
    }
    let host = uri
        .authority()
        .map(|authority| authority.as_str())
        .or_else(|| headers.get(HOST)?.to_str().ok());
    let Some(host) = host.and_then(|host| host.parse::<axum::http::uri::Authority>().ok()) else {
        return false;
    };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// What a proxy says about whom it speaks for (RFC 7239, RFC 9110 section 7.6.3, and what came
/// before them).
const BY_PROXY: [&str; 6] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "via",
];

/// Whether errors at a path are read by a program.
fn is_for_programs(path: &str) -> bool {
    ["/api/", "/hooks/", "/healthz", "/readyz", "/metrics"]
        .iter()
        .any(|start| path.starts_with(start))
}

/// An error that no part of ours has written gets words: those of a library say how it is made, or
/// nothing.
fn plainly(shared: &Shared, answer: Response, is_program: bool) -> Response {
    let status = answer.status();
    let own = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain"));
    if own || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let what = match status {
        StatusCode::NOT_FOUND => "there is nothing here",
        StatusCode::METHOD_NOT_ALLOWED => "this cannot be done here; `Allow` says what can",
        StatusCode::MISDIRECTED_REQUEST => {
            "without a [[server.token]] only this machine may ask, by a name of its own such as localhost, and not through a proxy"
        }
        StatusCode::REQUEST_TIMEOUT => "the request took too long to arrive or to answer",
        StatusCode::PAYLOAD_TOO_LARGE => "the body is too long",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "the body is of another kind than is read here",
        status if status.is_server_error() => "something went wrong here; the log says what",
        _ => "the request could not be understood",
    };
    let mut plain = if is_program {
        problem(status, what)
    } else {
        page::error(status, what, shared.clock.now())
    };
    for name in [ALLOW, RETRY_AFTER, CONNECTION] {
        if let Some(value) = answer.headers().get(&name) {
            plain.headers_mut().insert(name, value.clone());
        }
    }
    plain
}

/// Headers for every answer; a part's own have precedence.
fn dressed(mut answer: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 6] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        (CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in HEADERS {
        answer
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    answer
}

/// An error for programs: problem details (RFC 9457). `detail` never repeats what was asked.
pub fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
    });
    (
        status,
        [(CONTENT_TYPE, "application/problem+json")],
        in_json(&body.to_string()).into_owned(),
    )
        .into_response()
}

/// The same for who may not.
pub fn denied(denied: Denied) -> Response {
    let mut answer = problem(denied.status(), &denied.to_string());
    if denied.status() == StatusCode::UNAUTHORIZED {
        // RFC 6750, section 3: no error code where no token came.
        let challenge = match denied {
            Denied::Missing => "Bearer realm=\"prevalidate\"",
            _ => "Bearer realm=\"prevalidate\", error=\"invalid_token\"",
        };
        answer
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    answer
}

/// The store cannot be used: what is wrong goes to the log, because it names paths and hosts.
pub fn store_is_down(error: &crate::store::StoreError) -> Response {
    tracing::warn!(%error, "a request could not be answered");
    let mut answer = problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "the store cannot be used just now; the log says why",
    );
    answer
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("10"));
    answer
}

/// A document for programs, without characters that could drive whatever shows it.
pub fn document(value: &Value) -> Response {
    (
        [(CONTENT_TYPE, "application/json")],
        in_json(&value.to_string()).into_owned(),
    )
        .into_response()
}
