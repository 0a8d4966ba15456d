//! Answers to an order, the CA's own and those of gateways, for the tests of every kind of CA.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap, HeaderValue};

use super::answer::Answer;
use super::{Call, Http, Kind, Reach};
use crate::ca::{CaError, Failure};
use crate::clock::SimulatedClock;

const JSON: &str = "application/json";

/// The reply of a gateway that refuses.
const FOREIGN: [(&str, &str); 13] = [
    ("text/html", "<html><h1>Forbidden</h1></html>"),
    ("text/plain", "upstream connect error"),
    (JSON, r#"{"message":"Forbidden"}"#),
    (JSON, r#"{"code":403,"description":"Forbidden"}"#),
    (JSON, r#"{"code":"403","description":"Forbidden"}"#),
    (JSON, r#"{"description":"Forbidden"}"#),
    (JSON, r#"{"errors":[{"message":"Forbidden"}]}"#),
    (JSON, r#"{"errors":[{"code":"403","message":"Forbidden"}]}"#),
    (JSON, r#"{"errorCode":"403","errorMessages":["Forbidden"]}"#),
    (JSON, r#"{"errorMessages":["Forbidden"]}"#),
    (JSON, r#"{"status":{"code":403,"text":"Forbidden"}}"#),
    (JSON, r#"{"status":{"code":"403","type":"error"}}"#),
    (JSON, ""),
];

fn http() -> (Http, Timestamp) {
    let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
    let reach = Reach::new("ca", "https://ca.test/v1".parse().unwrap());
    let http = Http::new(&reach, Arc::new(SimulatedClock::at(now))).unwrap();
    (http, now)
}

fn answer(status: u16, media: &'static str, body: &str, wait: Option<&'static str>) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    if let Some(wait) = wait {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(wait));
    }
    let status = StatusCode::from_u16(status).unwrap();
    Answer::new(status, &headers, body.to_owned(), http().1)
}

/// The result of `judge` for a JSON answer to an order.
pub(in crate::ca) fn order_answered(
    status: u16,
    body: &str,
    judge: impl Fn(&Http, &Call<'_>, &Answer) -> CaError,
) -> CaError {
    let order = Call::new(Kind::Order, "order", "one", &["order"]);
    judge(&http().0, &order, &answer(status, JSON, body, None))
}

/// That `judge` takes for a refusal of an effect, which may be repeated, only what is said in the CA's
/// `own` words.
pub(in crate::ca) fn only_own_words_refuse_an_effect(
    own: &str,
    judge: impl Fn(&Http, &Call<'_>, &Answer) -> CaError,
) {
    let (http, _) = http();
    let effect = Call::new(Kind::Effect, "revoke", "one", &["revoke"]);
    for status in [400, 403, 404] {
        let error = judge(&http, &effect, &answer(status, JSON, own, None));
        assert!(!error.outcome_unknown(), "{status}, its own: {error}");
        for (media, body) in FOREIGN {
            let error = judge(&http, &effect, &answer(status, media, body, None));
            assert!(error.outcome_unknown(), "{status}, {body}: {error}");
        }
    }
}

/// That `judge` takes for a refusal only what is said in the CA's `own` words, and that everything
/// else is searched for.
pub(in crate::ca) fn only_own_words_refuse_an_order(
    own: &str,
    judge: impl Fn(&Http, &Call<'_>, &Answer) -> CaError,
) {
    let (http, _) = http();
    let order = Call::new(Kind::Order, "order", "one", &["order"]);
    let waits = [(503, Some("7"))];
    let refusals = [400, 401, 403, 404].map(|status| (status, None));
    for (status, wait) in refusals.into_iter().chain(waits) {
        let error = judge(&http, &order, &answer(status, JSON, own, wait));
        assert!(!error.outcome_unknown(), "{status}, its own: {error}");
    }
    let others = [405, 413, 503].map(|status| (status, None));
    for (status, wait) in refusals.into_iter().chain(waits).chain(others) {
        for (media, body) in FOREIGN {
            let error = judge(&http, &order, &answer(status, media, body, wait));
            assert!(error.outcome_unknown(), "{status}, {body}: {error}");
        }
    }
    for wait in [None, Some("7")] {
        let error = judge(&http, &order, &answer(429, "text/html", "<html>", wait));
        assert_eq!(error.failure, Failure::Throttled, "nothing was handed on");
    }
}
