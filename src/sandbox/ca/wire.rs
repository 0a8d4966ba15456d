//! The shapes on the wire: a domain, an error, the replies.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A domain as the API shows it (schema `ClientDNS`). The names are the API's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the API's own names; see the module `ca::swisssign` for their meaning"
)]
pub struct ClientDns {
    pub uuid: String,
    pub created_on: Timestamp,
    pub domain: String,
    pub domain_unicode: String,
    pub validated: bool,
    pub trusted_domain: bool,
    pub time_validated: Option<Timestamp>,
    pub validation_method: String,
    pub random_value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_value_time_created: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_value_time_expire: Option<Timestamp>,
    pub validation_result: Option<String>,
    pub time_expired: Option<Timestamp>,
    pub expired: bool,
    pub random_value_time_expired: bool,
    pub status: String,
}

/// Why a call is refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// `module.section.code`
    pub(super) code: String,
    pub(super) message: String,
}

impl Refused {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// 401: the JWT is not good (module authentication, section JWT).
    pub(super) fn jwt(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "009.250.0228", message)
    }

    /// 401: user and API key do not belong together.
    pub(super) fn credentials() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "009.353.0223",
            "Authentication failed",
        )
    }

    /// 403: not for this account.
    pub(super) fn access(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "011.352.0224", message)
    }

    /// 404: no such client, domain or path.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "011.110.0231", message)
    }

    /// 400: what was sent is wrong.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "011.351.0226", message)
    }

    /// 400: the value was not seen, or there is none to search for.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "011.120.0240", message)
    }

    /// 400: an order, a product or a revocation is wrong, with the last part of the code.
    pub(super) fn order(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, &format!("011.120.{code}"), message)
    }

    /// 405: everything is a POST.
    pub(super) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "011.350.0227",
            "Only POST is allowed",
        )
    }

    /// Any status that a fault asks for.
    pub(super) fn fault(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(
            status,
            "011.354.0225",
            "A fault that the sandbox was told to have",
        )
    }
}

/// A whole answer, still in one piece.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) retry_after: Option<String>,
}

impl Reply {
    /// 200 with JSON.
    pub(super) fn json(value: &impl Serialize) -> Self {
        // Only a map with keys that are no strings could fail, and none of our shapes has one.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self {
            status: StatusCode::OK,
            kind: "application/json",
            body,
            retry_after: None,
        }
    }

    /// 200 with plain text.
    pub(super) fn text(text: String) -> Self {
        Self {
            status: StatusCode::OK,
            kind: "text/plain",
            body: text.into_bytes(),
            retry_after: None,
        }
    }

    /// A page as a proxy in front of the CA sends it.
    pub(super) fn html() -> Self {
        let body = b"<!DOCTYPE html><html><body><h1>Maintenance</h1></body></html>".to_vec();
        Self {
            status: StatusCode::OK,
            kind: "text/html",
            body,
            retry_after: None,
        }
    }

    /// 204.
    pub(super) fn empty() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            kind: "",
            body: Vec::new(),
            retry_after: None,
        }
    }

    /// 429.
    pub(super) fn too_many(retry_after: &str) -> Self {
        Self {
            retry_after: Some(retry_after.to_owned()),
            ..Self::from(Refused::fault(429))
        }
    }

    /// The answer for the wire, dated by the sandbox's clock; `cut`: its second half never comes.
    pub(super) fn into_response(self, now: Timestamp, cut: bool) -> Response {
        let length = self.body.len();
        let body = if cut {
            let half = Bytes::copy_from_slice(&self.body[..length / 2]);
            // What was written is only sent when the body makes a pause; then the connection
            // breaks.
            let lost = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(io::Error::from(io::ErrorKind::ConnectionReset))
            };
            Body::from_stream(stream::once(async { Ok(half) }).chain(stream::once(lost)))
        } else {
            Body::from(self.body)
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if !self.kind.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now.into())) {
            headers.insert(header::DATE, date);
        }
        // What may be done is part of this refusal (RFC 9110, section 15.5.6).
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        if let Some(wait) = self
            .retry_after
            .and_then(|wait| HeaderValue::try_from(wait).ok())
        {
            headers.insert(header::RETRY_AFTER, wait);
        }
        response
    }
}

impl From<Refused> for Reply {
    fn from(refused: Refused) -> Self {
        let error = serde_json::json!({
            "uuid": uuid::Uuid::new_v4().to_string(),
            "errorCode": refused.code,
            "errorMessages": [refused.message],
        });
        Self {
            status: refused.status,
            ..Self::json(&error)
        }
    }
}
