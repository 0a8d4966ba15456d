//! What DigiCert says when it refuses: codes, joined by `|`, and messages. `errors` is an array, in
//! old answers an object.

use serde_json::Value;

use crate::ca::http::answer::Answer;
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Http};
use crate::ca::{CaError, Failure, json};

/// The errors of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    /// Code and message of each.
    errors: Vec<(String, String)>,
}

impl ApiError {
    /// `None` for a body that is not an error of DigiCert's, such as a page of the CDN.
    pub(super) fn read(body: &str) -> Option<Self> {
        let value = json::read(body.as_bytes()).ok()?.value;
        let text = |value: &Value, key: &str| {
            let text = value.get(key).and_then(Value::as_str);
            text.map(clean).unwrap_or_default()
        };
        let pair = |value: &Value| (text(value, "code"), text(value, "message"));
        let mut errors = match value.get("errors")? {
            Value::Array(list) => list.iter().map(pair).collect(),
            one @ Value::Object(fields) if !fields.contains_key("code") => fields
                .iter()
                .map(|(code, said)| {
                    let words = said.as_str().map(clean);
                    (clean(code), words.unwrap_or_else(|| text(said, "message")))
                })
                .chain(one.get("code").map(pair))
                .collect(),
            one @ Value::Object(_) => vec![pair(one)],
            _ => Vec::new(),
        };
        errors.retain(|(code, message)| !code.is_empty() || !message.is_empty());
        (!errors.is_empty()).then_some(Self { errors })
    }

    /// Whether these are DigiCert's own words: its codes are words, joined by `|`. A gateway answers
    /// with a number, or without a code.
    fn is_digicerts(&self) -> bool {
        let is_word = |part: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            part.contains(|c: char| c.is_ascii_alphabetic()) && part.trim().chars().all(plain)
        };
        let mut codes = self.errors.iter().map(|(code, _)| code);
        codes.any(|code| !code.is_empty() && code.split('|').all(is_word))
    }

    /// Whether the codes speak of trouble of DigiCert's own, and not of what was asked for.
    fn is_trouble(&self) -> bool {
        let words = [
            "service_unavailable",
            "internal_error",
            "internal_server_error",
            "timeout",
        ];
        words.iter().any(|word| self.has(word))
    }

    /// Whether one of the codes has this part.
    pub(super) fn has(&self, part: &str) -> bool {
        let mut codes = self.errors.iter().flat_map(|(code, _)| code.split('|'));
        codes.any(|one| one.trim() == part)
    }

    /// `access_denied|access_denied_invalid_key: The API key is invalid`
    pub(super) fn words(&self) -> String {
        let one = |(code, message): &(String, String)| match (code.as_str(), message.as_str()) {
            (code, "") => code.to_owned(),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        let all: Vec<_> = self.errors.iter().map(one).collect();
        all.join("; ")
    }
}

const LOGIN: &str = "Check `api_key` and `url`. A key of https://www.digicert.com does not work at \
    https://certcentral.digicert.eu, nor the other way round.";
pub(super) const RIGHTS: &str = "In CertCentral, under Automation > API Keys, the key needs no restriction or \
    `Orders, Domains, Organizations`, and its user a role that manages domains. A `View Only` key is \
    enough for status, plan, check and forecast (`mode = \"observe\"`).";
const ADDRESS: &str =
    "Check `url`: the address may not be DigiCert's API, or a proxy answers in its place.";
const LATER: &str = "DigiCert's content delivery network answered before the API: it may be down for maintenance, \
    or refuse this machine's address.";

/// What an answer without success means for a call.
pub(super) fn refusal(http: &Http, call: &Call<'_>, answer: &Answer) -> CaError {
    let spoken = ApiError::read(&answer.body);
    let has = |part: &str| spoken.as_ref().is_some_and(|spoken| spoken.has(part));
    let own = spoken.as_ref().filter(|spoken| spoken.is_digicerts());
    let status = answer.status;
    let lost = call.lost();
    let (failure, hint) = match status.as_u16() {
        _ if has("access_denied_invalid_key") => (Failure::Unauthenticated, Some(LOGIN)),
        _ if call.may_have_ordered(answer, own.is_some()) => {
            (Failure::Unknown, answer.is_page().then_some(LATER))
        }
        _ if call.may_have_taken_effect(answer, own.is_some()) => {
            (Failure::Unknown, answer.is_page().then_some(LATER))
        }
        // Trouble of its own, whatever the status: it may have been taken before that began.
        400..=499 if !call.is_read() && own.is_some_and(ApiError::is_trouble) => {
            (Failure::Unknown, None)
        }
        401 => (Failure::Unauthenticated, Some(LOGIN)),
        // The network before the API refuses today what the API takes tomorrow.
        400 | 403 if spoken.is_none() => (lost, Some(LATER)),
        429 => (Failure::Throttled, None),
        _ if has("request_limit_exceeded") => (Failure::Throttled, None),
        503 if answer.retry_after.is_some() => (Failure::Throttled, None),
        403 => (Failure::Forbidden, Some(RIGHTS)),
        // Only DigiCert's own words prove that something is gone.
        404 if own.is_none() || has("route") => (Failure::Malformed, Some(ADDRESS)),
        404 => (Failure::NotFound, None),
        // Some clients meet 406 from DigiCert where others meet 5xx.
        406 | 408 | 300..=399 | 500..=599 => (lost, answer.is_page().then_some(LATER)),
        400..=499 => (Failure::Refused, None),
        _ => (Failure::Malformed, None),
    };
    let words = match (&spoken, &answer.redirected_to) {
        (Some(spoken), _) => spoken.words(),
        (None, Some(host)) => format!("a redirect to {host}, which is not followed"),
        (None, None) => format!("{} sent {}", http.host(), answer.described()),
    };
    let mut error = http.error(failure, call, &format!("HTTP {status}: {words}"));
    error.retry_after = answer.retry_after;
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn errors_are_read_as_an_array_and_as_an_object() {
        for body in [
            r#"{"errors":[{"code":"access_denied|access_denied_invalid_key","message":"no"}]}"#,
            r#"{"errors":{"code":"access_denied|access_denied_invalid_key","message":"no"}}"#,
            r#"{"errors":{"access_denied|access_denied_invalid_key":"no"}}"#,
            r#"{"errors":{"access_denied|access_denied_invalid_key":{"message":"no"}}}"#,
        ] {
            let error = ApiError::read(body).unwrap();
            assert!(error.has("access_denied_invalid_key"), "{body}");
            assert!(!error.has("access"), "only whole parts");
            let words = "access_denied|access_denied_invalid_key: no";
            assert_eq!(error.words(), words, "{body}");
        }
    }

    #[test]
    fn what_is_no_error_of_digicert_is_none() {
        for body in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"errors":[]}"#,
            r#"{"errors":"x"}"#,
        ] {
            assert_eq!(ApiError::read(body), None, "{body}");
        }
        let odd = ApiError::read("{\"errors\":[{\"message\":\"no\\u001b[2J\"}, 7]}").unwrap();
        assert_eq!(odd.words(), "no\\u{1b}[2J");
    }

    #[test]
    fn only_digicerts_own_words_refuse_an_order() {
        let own = r#"{"errors":[{"code":"x","message":"no"}]}"#;
        crate::ca::http::lab::only_own_words_refuse_an_order(own, refusal);
        crate::ca::http::lab::only_own_words_refuse_an_effect(own, refusal);
        let trouble = r#"{"errors":[{"code":"service_unavailable","message":"no"}]}"#;
        let error = crate::ca::http::lab::order_answered(400, trouble, refusal);
        assert!(error.outcome_unknown(), "{error}");
    }
}
