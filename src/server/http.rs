//! The rules of every request: the accepted host names, how long an answer takes, what it says
//! about itself, and in which form errors come.
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
    REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;

use super::answer::problem;
use super::listener::{HEADER_BYTES, Listener, Peer, Serving};
use super::shared::Shared;
use super::{api, health, hooks, page};

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
    let asked = Asked::of(request.uri().path());
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let answer = if let Some(status) = malformed(&request) {
        (status, [(CONNECTION, "close")]).into_response()
    } else if announced.is_some_and(|length: u64| length > BODY_BYTES as u64) {
        // Before any of it is waited for.
        (StatusCode::PAYLOAD_TOO_LARGE, [(CONNECTION, "close")]).into_response()
    } else if may_ask(&shared, &request) {
        // A fault of the program has been reported where it happened; the client hears of it, and
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
    let mut answer = dressed(plainly(&shared, answer, asked));
    if shared.live().tls.is_some() {
        let year = HeaderValue::from_static("max-age=31536000");
        answer.headers_mut().insert(STRICT_TRANSPORT_SECURITY, year);
    }
    shared
        .metrics
        .http_request(&route, answer.status().as_u16());
    answer
}

/// Why a request is not read: its header is too long, or does not name exactly one host (RFC 9112,
/// section 3.2).
fn malformed(request: &Request) -> Option<StatusCode> {
    let headers = request.headers();
    let lines = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    if lines.sum::<usize>() + request.uri().to_string().len() > HEADER_BYTES {
        return Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let hosts = headers.get_all(HOST).iter().count();
    let is_of_a_connection = request.extensions().get::<Peer>().is_some();
    let needs_one = request.version() == Version::HTTP_11 && is_of_a_connection;
    (hosts > 1 || needs_one && hosts == 0).then_some(StatusCode::BAD_REQUEST)
}

/// A client that may read without a token is on this machine. A page from elsewhere whose name was
/// made to lead here (DNS rebinding) is not, and a proxy may speak for another machine. Where a
/// token or a signature is needed, or nothing is reported, every name is good.
fn may_ask(shared: &Shared, request: &Request) -> bool {
    let (headers, uri) = (request.headers(), request.uri());
    if !shared.live().access.is_open() || [hooks::PATH, "/healthz", "/readyz"].contains(&uri.path())
    {
        return true;
    }
    if is_by_proxy(request.version(), headers) {
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

/// Whether a proxy sent it: by what proxies say about the client (RFC 7239, RFC 9110 section 7.6.3,
/// and what came before them), or in the form that nginx uses where nothing is configured.
fn is_by_proxy(version: Version, headers: &HeaderMap) -> bool {
    let says_so = headers.keys().any(|name| {
        let name = name.as_str();
        name.starts_with("x-forwarded") || name.starts_with("x-envoy-") || BY_PROXY.contains(&name)
    });
    let closes = headers
        .get(CONNECTION)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    says_so || version == Version::HTTP_10 && closes && headers.contains_key(HOST)
}

const BY_PROXY: [&str; 17] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-proxyuser-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "cf-connecting-ip",
    "cf-ray",
    "true-client-ip",
    "fastly-client-ip",
    "cdn-loop",
];

/// The form in which a client reads an error at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Api,
    OtherProgram,
    Person,
}

impl Asked {
    fn of(path: &str) -> Self {
        let programs = ["/hooks/", "/healthz", "/readyz", "/metrics"];
        if path == "/api" || path.starts_with("/api/") {
            Self::Api
        } else if programs.iter().any(|start| path.starts_with(start)) {
            Self::OtherProgram
        } else {
            Self::Person
        }
    }
}

/// An error from a library gets our words: the library's words describe its own parts, or are
/// empty.
fn plainly(shared: &Shared, answer: Response, asked: Asked) -> Response {
    let status = answer.status();
    let own = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain"));
    if own || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let what = match status {
        StatusCode::NOT_FOUND if asked == Asked::Api => {
            "there is nothing here; /api/v1/openapi.json describes what there is"
        }
        StatusCode::NOT_FOUND => "there is nothing here",
        StatusCode::BAD_REQUEST => "the request must name exactly one host in `Host`",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the header is longer than 32 KiB",
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
    let mut plain = if asked != Asked::Person {
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
