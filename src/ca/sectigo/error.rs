//! What Sectigo says when it refuses: a code and a description. A code means different things at
//! different calls, so it is read together with the call; the description is kept for people.

use serde_json::Value;

use crate::ca::http::answer::Answer;
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Http, Kind};
use crate::ca::{CaError, Failure, json};

/// Which part of the API a call belongs to, for the meaning of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `/dcv/…`
    Dcv,
    /// `/domain/…`
    Domain,
    /// `/organization/…`
    Organisation,
    /// `/admin/…`
    Admin,
    /// `/ssl/…`
    Ssl,
    /// `/ssl/v1/collect/…`
    Collect,
}

/// An error's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) code: Option<i64>,
    description: String,
}

/// What a code means at a call, and what a person can do.
struct Meaning {
    failure: Failure,
    words: &'static str,
    hint: Option<&'static str>,
}

impl ApiError {
    /// Whether these are Sectigo's own words: its codes are negative whole numbers, or 0 where a
    /// certificate is not ready (SCM REST API 25.5, error codes). A gateway answers with the status of
    /// HTTP, or without a code.
    fn is_sectigos(&self) -> bool {
        self.code.is_some_and(|code| code <= 0)
    }

    /// `None` for a body that has neither a code nor a description, such as a proxy's plain text.
    pub(super) fn read(body: &str) -> Option<Self> {
        let value = json::read(body.as_bytes()).ok()?.value;
        let description = value
            .get("description")
            .and_then(Value::as_str)
            .map(clean)
            .unwrap_or_default();
        let code = value.get("code").and_then(|code| match code {
            Value::String(text) => text.trim().parse().ok(),
            number => number.as_i64(),
        });
        (code.is_some() || !description.is_empty()).then_some(Self { code, description })
    }

    /// `-727: Domain does not exist`
    pub(super) fn words(&self) -> String {
        match (self.code, self.description.as_str()) {
            (Some(code), "") => code.to_string(),
            (Some(code), text) => format!("{code}: {text}"),
            (None, text) => text.to_owned(),
        }
    }
}

const RIGHTS: &str = "In SCM, give the administrator the privilege it needs: `allowDCV` for \
    validations, `allowManageDomains` for creating and delegating domains.";
const SWITCH: &str = "In SCM, switch on \"Web API\" for the organisation, and check its id.";
const LOGIN: &str = "Check `user`, the password and `customer_uri`. Every wrong login counts against \
    the administrator, so nothing is tried again by itself.";

/// The codes of the manual's table that are known to come at these calls.
fn meaning(endpoint: Endpoint, code: i64) -> Option<Meaning> {
    use Failure::{Forbidden, NotFound, Refused, Settings, Unauthenticated, Unavailable, Unknown};
    let (failure, words, hint) = match (endpoint, code) {
        (_, -16 | -970) => (Unauthenticated, "wrong login", Some(LOGIN)),
        (_, -3 | -25 | -37 | -226) => (Forbidden, "a right is missing", Some(RIGHTS)),
        (_, -410 | -429) => (
            Settings,
            "the customer is not known",
            Some("Check `customer_uri`: it is the last part of the portal's address."),
        ),
        (_, -1021 | -1023 | -639) => (
            Forbidden,
            "this cannot be done for the organisation, or it is not known",
            Some(SWITCH),
        ),
        (Endpoint::Dcv, -1608) => (
            Forbidden,
            "validation in advance is switched off for this customer",
            Some("Ask Sectigo to switch on domain control validation (DCV) for the account."),
        ),
        (Endpoint::Dcv, -723) => (
            Refused,
            "only a registered domain itself can be validated",
            Some(
                "Wildcard entries and subdomains follow their domain; list the domain above it instead.",
            ),
        ),
        (Endpoint::Dcv, -724) => (
            Unavailable,
            "the state of the domain's validation does not allow it now",
            None,
        ),
        (Endpoint::Dcv | Endpoint::Domain, -727) => (NotFound, "there is no such domain", None),
        (Endpoint::Dcv | Endpoint::Domain, -738) => (
            Forbidden,
            "the administrator may not do this with the domain",
            Some(RIGHTS),
        ),
        (Endpoint::Dcv | Endpoint::Domain, -715) => (
            Forbidden,
            "the domain is suspended",
            Some("In SCM, activate the domain."),
        ),
        (Endpoint::Dcv | Endpoint::Domain, -705 | -707 | -709 | -741) => (
            Forbidden,
            "the domain's delegation does not allow it",
            Some("In SCM, delegate the domain to the organisation, and have the request approved."),
        ),
        (Endpoint::Domain, -700) => (Unknown, "the domain is there already", None),
        (Endpoint::Dcv | Endpoint::Domain, -712 | -713 | -714 | -732) => {
            (Refused, "Sectigo does not take the name", None)
        }
        // It may have been ours, the call before the answer to which was lost.
        (Endpoint::Ssl, -728 | -3114 | -3115) => (
            Unknown,
            "it was changed by another call at the same moment",
            None,
        ),
        (_, -728 | -3114 | -3115) => (
            Unavailable,
            "another administrator changed it at the same moment",
            None,
        ),
        (_, -1010) => (Forbidden, "the domain is not allowed", Some(RIGHTS)),
        (Endpoint::Dcv, 0 | -1400) => (Unavailable, "it is not ready yet", None),
        (Endpoint::Ssl | Endpoint::Collect, -124 | -5101) => {
            (NotFound, "there is no such certificate", None)
        }
        (Endpoint::Collect, 0 | -103 | -109 | -183 | -1400) => {
            (Unavailable, "the certificate is not ready yet", None)
        }
        (Endpoint::Collect, -110 | -192) => (Refused, "the certificate is revoked", None),
        // What the order is made for is "not ready yet".
        (Endpoint::Ssl, 0 | -103 | -109 | -183 | -1400) => {
            (Unknown, "the certificate is not ready yet", None)
        }
        // It passes once the domain is validated: then the same order is taken.
        (Endpoint::Ssl, -107 | -737 | -1137) => (
            Unavailable,
            "a domain of the order is not validated",
            Some(
                "The order is tried again. Each `prevalidate run` reads the domain's state at Sectigo, and validates \
                 the domain if it is not; `prevalidate diagnose DOMAIN` says what it waits for.",
            ),
        ),
        (Endpoint::Ssl, -843) => (
            Refused,
            "the organisation's validation does not allow the product",
            Some("Ask Sectigo about the validation of the organisation."),
        ),
        (Endpoint::Ssl, -9 | -10 | -11 | -13 | -138 | -141 | -170 | -194) => {
            (Refused, "Sectigo does not take the request (CSR)", None)
        }
        (Endpoint::Ssl, -36 | -39 | -111) => (
            Refused,
            "the product or its term is wrong",
            Some("`prevalidate products` lists what may be ordered, with the terms."),
        ),
        (Endpoint::Ssl, -7 | -64 | -1002 | -1601) => {
            (Refused, "a field of the order is missing or wrong", None)
        }
        (Endpoint::Ssl, -62) => (Refused, "a field of the customer's own is missing", None),
        (Endpoint::Ssl, -102 | -130 | -159 | -1112 | -1113 | -1140) => {
            (Refused, "the state of the order does not allow it", None)
        }
        // It may have been taken before the trouble began.
        (Endpoint::Ssl, -2 | -65 | -129 | -140 | -195 | -196) => {
            (Unknown, "Sectigo has trouble of its own", None)
        }
        (_, -2 | -65 | -129 | -140 | -195 | -196) => {
            (Unavailable, "Sectigo has trouble of its own", None)
        }
        _ => return None,
    };
    Some(Meaning {
        failure,
        words,
        hint,
    })
}

/// Whether Sectigo's own answer to an order leaves open whether there is one: only a code that is
/// known to refuse proves that there is none. A refused login (401) and a
/// limit on calls (429) are judged before.
fn proves_nothing(call: &Call<'_>, answer: &Answer, meaning: Option<&Meaning>) -> bool {
    let comes_before = matches!(answer.status.as_u16(), 401 | 429);
    let refuses = meaning.is_some_and(|meaning| meaning.failure != Failure::Unknown);
    call.kind == Kind::Order && !comes_before && !refuses
}

/// What an answer without success means for a call.
pub(super) fn refusal(
    http: &Http,
    endpoint: Endpoint,
    call: &Call<'_>,
    answer: &Answer,
) -> CaError {
    let spoken = ApiError::read(&answer.body);
    let status = answer.status;
    let own = spoken.as_ref().filter(|spoken| spoken.is_sectigos());
    let meaning = own.and_then(|spoken| meaning(endpoint, spoken.code?));
    let failure = match (status.as_u16(), &meaning) {
        _ if call.may_have_ordered(answer, own.is_some()) => Failure::Unknown,
        _ if call.may_have_taken_effect(answer, own.is_some()) => Failure::Unknown,
        (400..=599, meaning) if proves_nothing(call, answer, meaning.as_ref()) => Failure::Unknown,
        (401, _) => Failure::Unauthenticated,
        (429, _) => Failure::Throttled,
        (503, _) if answer.retry_after.is_some() => Failure::Throttled,
        (_, Some(meaning)) if meaning.failure == Failure::Unknown && call.is_read() => {
            Failure::Unavailable
        }
        (_, Some(meaning)) => meaning.failure,
        // A page of the network before Sectigo refuses today what Sectigo takes tomorrow.
        (403, None) if spoken.is_none() => call.lost(),
        (403, None) => Failure::Forbidden,
        // Only Sectigo's own words prove that something is gone; a proxy's 404 does not.
        (404, None) if own.is_some() => Failure::NotFound,
        (404, None) => Failure::Malformed,
        (408 | 300..=399 | 500..=599, None) if call.is_read() => Failure::Unavailable,
        (408 | 300..=399 | 500..=599, None) => Failure::Unknown,
        (400..=499, None) if spoken.is_none() => call.lost(),
        (400..=499, None) => Failure::Refused,
        (_, None) => Failure::Malformed,
    };
    let mut words = match (&spoken, &answer.redirected_to) {
        (Some(spoken), _) => spoken.words(),
        (None, Some(host)) => format!("a redirect to {host}, which is not followed"),
        (None, None) => format!("{} sent {}", http.host(), answer.described()),
    };
    if let Some(meaning) = &meaning {
        words = format!("{}; {words}", meaning.words);
    }
    let mut error = http.error(failure, call, &format!("HTTP {status}: {words}"));
    error.retry_after = answer.retry_after;
    let hint = match (failure, meaning.and_then(|meaning| meaning.hint)) {
        (_, Some(hint)) => hint,
        (Failure::Unauthenticated, None) => LOGIN,
        (Failure::Forbidden, None) => RIGHTS,
        (Failure::Malformed, None) if answer.status.as_u16() == 404 => {
            "Check `url`: the address may not be Sectigo's API, or a proxy answers in its place."
        }
        _ => return error,
    };
    error.with_hint(hint)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ca::http::lab;

    #[test]
    fn a_body_is_an_error_when_it_has_a_code_or_a_description() {
        let read = |body| ApiError::read(body).map(|error| (error.code, error.words()));
        assert_eq!(
            read(r#"{"code":-727,"description":"Domain does not exist"}"#),
            Some((Some(-727), "-727: Domain does not exist".to_owned()))
        );
        assert_eq!(read(r#"{"code":"-3"}"#), Some((Some(-3), "-3".to_owned())));
        assert_eq!(
            read(r#"{"description":"no\u001b[2J"}"#),
            Some((None, "no\\u{1b}[2J".to_owned()))
        );
        for none in ["", "upstream connect error", "{}", "[]", "<html>"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn the_same_code_means_different_things_at_different_calls() {
        let failure = |endpoint, code| meaning(endpoint, code).map(|meaning| meaning.failure);
        assert_eq!(failure(Endpoint::Dcv, -727), Some(Failure::NotFound));
        assert_eq!(failure(Endpoint::Organisation, -727), None);
        assert_eq!(failure(Endpoint::Dcv, 0), Some(Failure::Unavailable));
        assert_eq!(failure(Endpoint::Domain, 0), None);
    }

    #[test]
    fn only_sectigos_own_words_refuse_an_order_or_an_effect() {
        let own = r#"{"code":-9,"description":"no"}"#;
        let judge = |http: &Http, call: &Call<'_>, answer: &Answer| {
            refusal(http, Endpoint::Ssl, call, answer)
        };
        lab::only_own_words_refuse_an_order(own, judge);
        lab::only_own_words_refuse_an_effect(own, judge);
    }

    #[test]
    fn a_code_that_is_not_known_to_refuse_leaves_open_whether_there_is_an_order() {
        for code in [0, -1, -103, -183, -728, -1400, -3114, -3115, -9999] {
            let body = format!(r#"{{"code":{code},"description":"x"}}"#);
            let judge = |http: &Http, call: &Call<'_>, answer: &Answer| {
                refusal(http, Endpoint::Ssl, call, answer)
            };
            for status in [400, 404, 500] {
                let error = lab::order_answered(status, &body, judge);
                assert!(error.outcome_unknown(), "{status}, {code}: {error}");
            }
        }
    }
}
