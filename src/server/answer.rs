//! The answers that all routes share: documents and errors for programs.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::access::Denied;
use crate::text::in_json;

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

/// Answers 401 or 403 as problem details (RFC 9457).
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
