//! What an answer of AutoDNS means: by codes, because its messages are German or English, as the
//! user has it.

use prevalidate_kit::http::{Answer, Ask};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Api;
use crate::provider::{ErrorKind, ProviderError};

/// An answer that says yes.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) data: Vec<Value>,
    /// The transaction's number, by which InterNetX finds it.
    pub(super) stid: Option<String>,
}

/// An answer that says no.
#[derive(Debug)]
pub(super) struct Refused {
    /// A record to add is there already, or one to remove is not.
    pub(super) is_conflict: bool,
    pub(super) error: ProviderError,
}

/// "The record was entered twice" and "the record does not exist": nothing was changed.
const CONFLICTS: [&str; 2] = ["EF02022", "EF02021"];
/// "This zone is not entered".
const NO_ZONE: [&str; 1] = ["EF02020"];

impl Api {
    /// Asks for something that changes nothing.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
        trying: &str,
    ) -> Result<Reply, ProviderError> {
        let ask = Ask {
            method,
            path,
            query: Vec::new(),
            body,
            auth: &self.auth,
        };
        let answer = self
            .http
            .read(&ask)
            .await
            .map_err(|no_answer| ProviderError::from(self.http.failed(trying, &no_answer)))?;
        match self.judge(&answer, trying) {
            Some(judged) => judged.map_err(|refused| refused.error),
            None => Err(self.http.unusable(trying, &answer).into()),
        }
    }

    /// `None`: not an answer of this API.
    pub(super) fn judge(&self, answer: &Answer, trying: &str) -> Option<Result<Reply, Refused>> {
        let json = answer.json.as_ref()?;
        let verdict = json["status"]["type"].as_str()?;
        let stid = json["stid"].as_str().map(|stid| self.http.clean(stid));
        if answer.status.is_success() && verdict != "ERROR" {
            return Some(Ok(Reply {
                data: json["data"].as_array().cloned().unwrap_or_default(),
                stid,
            }));
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let status = &json["status"];
        let mut faults = vec![(
            text(if status["code"].is_string() {
                &status["code"]
            } else {
                &status["resultCode"]
            }),
            text(&status["text"]),
        )];
        for message in json["messages"].as_array().into_iter().flatten() {
            faults.push((text(&message["code"]), text(&message["text"])));
        }
        let any = |known: &[&str]| {
            faults
                .iter()
                .any(|(code, _)| known.contains(&code.as_str()))
        };
        let (kind, hint) = match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
                ErrorKind::Denied,
                "check `user`, `password` and `context` (4 is the live system, 1 the demo), and that the user may change zones",
            ),
            _ if any(&NO_ZONE) => (
                ErrorKind::NoZone,
                "check that the zone is AutoDNS' and this user may see it",
            ),
            status if status.is_server_error() => (
                ErrorKind::Unavailable,
                "ask InterNetX with the transaction's number",
            ),
            _ => (
                ErrorKind::Unsafe,
                "check the zone in AutoDNS, or ask InterNetX with the transaction's number",
            ),
        };
        let words: Vec<_> = faults
            .iter()
            .map(|(code, text)| format!("{code} {text}").trim().to_owned())
            .collect();
        let transaction = stid
            .map(|stid| format!(" (transaction {stid})"))
            .unwrap_or_default();
        let words = self.http.clean(&words.join("; "));
        let message = format!(
            "{trying} at {}: HTTP {}: {words}{transaction}",
            self.http.host(),
            answer.status
        );
        Some(Err(Refused {
            is_conflict: any(&CONFLICTS),
            error: ProviderError::new(kind, message).with_hint(hint),
        }))
    }
}
