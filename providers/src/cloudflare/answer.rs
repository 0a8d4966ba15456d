//! What an answer of Cloudflare means. The body decides: `success: false` comes with 200 too.

use prevalidate_kit::http::{Answer, Ask};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Api;
use crate::provider::{ErrorKind, ProviderError};

/// An answer that says yes.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) result: Value,
    pub(super) pages: Pages,
}

/// `result_info` of a list; all of it may be missing.
#[derive(Debug, Default)]
pub(super) struct Pages {
    pub(super) per_page: Option<u64>,
    pub(super) total: Option<u64>,
}

/// The failure that a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// An identical record exists, or the record to delete does not.
    Conflict,
    /// The endpoint does not exist for this zone or plan.
    NoRoute,
    Other(ErrorKind),
}

/// An answer that says no.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    /// "10000 Authentication error"
    pub(super) words: String,
}

impl Api {
    /// Asks for something that changes nothing.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: Vec<(&'static str, String)>,
        auth: &HeaderMap,
        trying: &str,
    ) -> Result<Reply, ProviderError> {
        let ask = Ask {
            method,
            path,
            query,
            body: None,
            auth,
        };
        let answer = self
            .http
            .read(&ask)
            .await
            .map_err(|no_answer| ProviderError::from(self.http.failed(trying, &no_answer)))?;
        match self.judge(&answer) {
            Some(Ok(reply)) => Ok(reply),
            Some(Err(refused)) => Err(self.error(trying, &refused)),
            None => Err(self.http.unusable(trying, &answer).into()),
        }
    }

    /// `None`: not an answer of this API.
    pub(super) fn judge(&self, answer: &Answer) -> Option<Result<Reply, Refused>> {
        let json = answer.json.as_ref()?;
        let success = json["success"].as_bool()?;
        if success && answer.status.is_success() {
            let info = &json["result_info"];
            let pages = Pages {
                per_page: info["per_page"].as_u64(),
                total: info["total_pages"].as_u64(),
            };
            return Some(Ok(Reply {
                result: json["result"].clone(),
                pages,
            }));
        }
        let mut faults = Vec::new();
        collect(&json["errors"], &mut faults);
        let codes: Vec<i64> = faults.iter().map(|(code, _)| *code).collect();
        let words: Vec<_> = faults
            .iter()
            .map(|(code, message)| format!("{code} {message}"))
            .collect();
        let words = if words.is_empty() {
            answer.described.clone()
        } else {
            self.http.clean(&words.join("; "))
        };
        Some(Err(Refused {
            refusal: refusal(answer.status, &codes),
            words: format!("HTTP {}: {words}", answer.status),
        }))
    }

    pub(super) fn error(&self, trying: &str, refused: &Refused) -> ProviderError {
        let (kind, hint) = match refused.refusal {
            Refusal::Other(kind @ ErrorKind::Denied) => (
                kind,
                "check `token` (and `zone_token`): not expired, with Zone / Zone / Read and Zone / DNS / Edit for this zone, and \
                 with this host's address where it is limited to some",
            ),
            Refusal::Other(kind @ ErrorKind::NoZone) => (kind, "check `zone_id` and `account_id`"),
            Refusal::Other(ErrorKind::Unavailable) => (
                ErrorKind::Unavailable,
                "Cloudflare's status page may tell more",
            ),
            Refusal::NoRoute => (ErrorKind::NoZone, "check `url` and `zone_id`"),
            Refusal::Conflict | Refusal::Other(_) => (
                ErrorKind::Unsafe,
                "check the records of this name in the dashboard",
            ),
        };
        ProviderError::new(
            kind,
            format!("{trying} at {}: {}", self.http.host(), refused.words),
        )
        .with_hint(hint)
    }
}

/// Codes and messages, with those that explain others (`error_chain`).
fn collect(errors: &Value, into: &mut Vec<(i64, String)>) {
    for error in errors.as_array().into_iter().flatten() {
        let code = error["code"].as_i64().unwrap_or_default();
        into.push((
            code,
            error["message"].as_str().unwrap_or_default().to_owned(),
        ));
        collect(&error["error_chain"], into);
    }
}

/// Codes as clients of this API know them; Cloudflare has no complete list.
fn refusal(status: StatusCode, codes: &[i64]) -> Refusal {
    let any = |known: &[i64]| codes.iter().any(|code| known.contains(code));
    if any(&[81_057, 81_058, 81_044]) {
        Refusal::Conflict
    } else if any(&[971, 10_429]) {
        Refusal::Other(ErrorKind::Unavailable)
    } else if any(&[1000, 6003, 6111, 9103, 9106, 9107, 9109, 10_000, 10_001])
        || status == StatusCode::UNAUTHORIZED
        || status == StatusCode::FORBIDDEN
    {
        Refusal::Other(ErrorKind::Denied)
    } else if any(&[7000, 7001]) || status == StatusCode::METHOD_NOT_ALLOWED {
        Refusal::NoRoute
    } else if any(&[1001, 7003]) || status == StatusCode::NOT_FOUND {
        Refusal::Other(ErrorKind::NoZone)
    } else if status.is_server_error() {
        Refusal::Other(ErrorKind::Unavailable)
    } else {
        Refusal::Other(ErrorKind::Unsafe)
    }
}
