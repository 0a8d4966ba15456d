//! The envelope of every answer, and what a refusal means: by codes, because its texts are German
//! or English, as the user has it.

use serde_json::Value;

use crate::ca::http::answer::Answer;
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Http};
use crate::ca::{CaError, Failure, json};

/// The answer of a success.
#[derive(Debug)]
pub(super) struct Envelope {
    /// Null and missing are nothing.
    pub(super) data: Vec<Value>,
    /// The whole answer.
    pub(super) whole: Value,
}

/// "The job does not exist": also one that has finished, which is in the history.
const NO_JOB: &str = "EF300101";
/// "Cannot be renewed yet": from 90 days before the end.
pub(super) const TOO_EARLY: &str = "EF4001012";
/// The administrative and the technical contact are not valid.
const CONTACTS: [&str; 2] = ["EF4001006", "EF4001010"];

const LOGIN: &str = "Check `user`, `password` and `context` (9 is the SSL Manager's), and whether the user may call from \
    this address. It is a user of the SSL Manager, not the one for DNS.";

/// Reads an answer by its HTTP status and by the status in its envelope.
pub(super) fn read(http: &Http, call: &Call<'_>, answer: &Answer) -> Result<Envelope, CaError> {
    let whole = json::read(answer.body.as_bytes()).map(|read| read.value);
    let whole = whole
        .ok()
        .filter(|whole| whole["status"].is_object() || whole["data"].is_array());
    let Some(whole) = whole else {
        return Err(strange(http, call, answer));
    };
    let kind = whole["status"]["type"].as_str().unwrap_or_default();
    let codes = codes(&whole);
    let says_no = kind == "ERROR" || codes.iter().any(|code| code.starts_with('E'));
    // What says neither yes nor no is a success about nothing.
    if answer.status.is_success() && !says_no && is_own(&whole, &codes) {
        let data = match &whole["data"] {
            Value::Array(data) => data.clone(),
            _ => Vec::new(),
        };
        return Ok(Envelope { data, whole });
    }
    match is_own(&whole, &codes) {
        true => Err(refusal(http, call, answer, &whole, &codes)),
        false => Err(strange(http, call, answer)),
    }
}

/// Every code of an answer: in the status under two names, and in the messages.
fn codes(whole: &Value) -> Vec<String> {
    let status = ["code", "resultCode"]
        .iter()
        .map(|key| &whole["status"][key]);
    let messages = whole["messages"].as_array().into_iter().flatten();
    let all = status.chain(messages.map(|message| &message["code"]));
    all.filter_map(Value::as_str).map(clean).collect()
}

/// Whether an answer is InterNetX' own: its status has one of its types, or a code of its form
/// (`EF300101`). A gateway answers with a number, or a word of its own.
fn is_own(whole: &Value, codes: &[String]) -> bool {
    let kind = whole["status"]["type"].as_str().unwrap_or_default();
    let types = ["SUCCESS", "ERROR", "NOTIFY", "NOTICE", "NICCOM_NOTIFY"];
    let is_type = types.contains(&kind);
    let is_code = |code: &String| {
        let digits = code.trim_start_matches(|c: char| c.is_ascii_uppercase());
        digits.len() < code.len()
            && !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
    };
    is_type || codes.iter().any(is_code)
}

fn refusal(
    http: &Http,
    call: &Call<'_>,
    answer: &Answer,
    whole: &Value,
    codes: &[String],
) -> CaError {
    let has = |code: &str| codes.iter().any(|known| known == code);
    let failure = match answer.status.as_u16() {
        401 | 403 => Failure::Unauthenticated,
        429 => Failure::Throttled,
        503 if answer.retry_after.is_some() => Failure::Throttled,
        _ if has(NO_JOB) => Failure::NotFound,
        404 => Failure::NotFound,
        408 | 300..=399 | 500..=599 if call.is_read() => Failure::Unavailable,
        408 | 300..=399 | 500..=599 => Failure::Unknown,
        _ => Failure::Refused,
    };
    let mut words: Vec<String> = codes.to_vec();
    let texts = whole["messages"].as_array().into_iter().flatten();
    let texts = texts
        .map(|message| &message["text"])
        .chain([&whole["status"]["text"]]);
    words.extend(texts.filter_map(Value::as_str).map(clean));
    let fields = whole["messages"].as_array().into_iter().flatten();
    let fields = fields
        .filter_map(|message| message["objects"].as_array())
        .flatten();
    words.extend(
        fields
            // Its value is what was sent, a person's data too.
            .filter_map(|field| field["type"].as_str())
            .map(|kind| format!("about a field of type `{}`", clean(kind))),
    );
    words.dedup();
    words.retain(|word| !word.is_empty());
    if let Some(stid) = whole["stid"].as_str() {
        words.push(format!("transaction {}", clean(stid)));
    }
    let why = format!("HTTP {}: {}", answer.status, words.join("; "));
    let mut error = http.error(failure, call, &why);
    error.retry_after = answer.retry_after;
    let hint = match failure {
        Failure::Unauthenticated => LOGIN,
        _ if has(TOO_EARLY) => "A certificate is renewed from 90 days before its end on.",
        _ if CONTACTS.iter().any(|code| has(code)) => {
            "Check the [[contact]] of the certificate: every field, the country as two letters."
        }
        _ => return error,
    };
    error.with_hint(hint)
}

/// An answer that is no envelope.
fn strange(http: &Http, call: &Call<'_>, answer: &Answer) -> CaError {
    let failure = match answer.status.as_u16() {
        _ if call.may_have_ordered(answer, false) => Failure::Unknown,
        401 => Failure::Unauthenticated,
        // A page of the network before InterNetX, which knows no login.
        403 => call.lost(),
        429 => Failure::Throttled,
        408 | 300..=399 | 500..=599 if call.is_read() => Failure::Unavailable,
        408 | 300..=399 | 500..=599 => Failure::Unknown,
        _ => Failure::Malformed,
    };
    let why = format!(
        "HTTP {}: {} sent {}",
        answer.status,
        http.host(),
        answer.described()
    );
    let mut error = http.error(failure, call, &why);
    error.retry_after = answer.retry_after;
    error.with_hint(match failure {
        Failure::Unauthenticated => LOGIN,
        _ => "Check `url`: it ends in /v1. A proxy may have answered in InterNetX' place.",
    })
}

/// Whether an error carries this code.
pub(super) fn says(error: &CaError, code: &str) -> bool {
    error.message.contains(code)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    use crate::ca::http::lab;

    #[test]
    fn only_internetx_own_words_refuse_an_order_or_an_effect() {
        let own = r#"{"status":{"type":"ERROR","code":"EF1"}}"#;
        let judge =
            |http: &Http, call: &Call<'_>, answer: &Answer| read(http, call, answer).unwrap_err();
        lab::only_own_words_refuse_an_order(own, judge);
        lab::only_own_words_refuse_an_effect(own, judge);
    }

    #[test]
    fn an_answer_that_says_neither_yes_nor_no_is_no_success() {
        for body in [
            r#"{"status":{}}"#,
            r#"{"status":{},"data":[]}"#,
            r#"{"data":[]}"#,
            r#"{"status":{"code":"200","type":"ok"},"data":[]}"#,
        ] {
            let error = lab::order_answered(200, body, |http, call, answer| {
                read(http, call, answer).unwrap_err()
            });
            assert!(error.outcome_unknown(), "{body}: {error}");
        }
    }

    #[test]
    fn an_error_says_the_type_of_a_field_and_not_its_value() {
        let body = r#"{"status":{"type":"ERROR"},"messages":[{"code":"EF1","text":"no",
            "objects":[{"type":"SslContact","value":"+41-44-1234567"}]}]}"#;
        let error = lab::order_answered(400, body, |http, call, answer| {
            read(http, call, answer).unwrap_err()
        });
        assert!(error.message.contains("SslContact"), "{error}");
        assert!(!error.message.contains("1234567"), "{error}");
    }
}
