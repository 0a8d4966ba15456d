//! What the CA says when it refuses, in words; and what a refusal means for the call.

use reqwest::StatusCode;
use serde_json::Value;

use crate::ca::http::answer::Answer;
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Http};
use crate::ca::{CaError, Failure, json};

/// An `APIError`, read tolerantly: every field may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ApiError {
    /// What the CA's support asks for.
    pub(super) uuid: Option<String>,
    /// `module.section.error`
    pub(super) code: Option<String>,
    pub(super) messages: Vec<String>,
}

impl ApiError {
    /// `None` for a body that is no `APIError` at all, such as a proxy's page.
    pub(super) fn read(body: &str) -> Option<Self> {
        let value = json::read(body.as_bytes()).ok()?.value;
        let text = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .filter(|t| !t.trim().is_empty())
                .map(clean)
        };
        let messages = match value.get("errorMessages") {
            Some(Value::Array(items)) => {
                items.iter().filter_map(Value::as_str).map(clean).collect()
            }
            Some(Value::String(one)) => vec![clean(one)],
            _ => Vec::new(),
        };
        let error = Self {
            uuid: text("uuid"),
            code: text("errorCode"),
            messages,
        };
        (error.code.is_some() || error.uuid.is_some() || !error.messages.is_empty())
            .then_some(error)
    }

    /// Whether these are the CA's own words: they have its code, `module.section.error`, or the number
    /// that its support asks for. A gateway has neither.
    fn is_the_cas(&self) -> bool {
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty();
        let parts = self.code.as_deref().and_then(parts);
        parts.is_some_and(|parts| parts.into_iter().all(digits)) || self.uuid.is_some()
    }

    /// `011.351.0226 (RA API, form validation: validation): Invalid domain; for the CA's support: 123e…`
    pub(super) fn words(&self) -> String {
        let mut words = String::new();
        if let Some(code) = &self.code {
            words += code;
            if let Some(meaning) = meaning(code) {
                words += &format!(" ({meaning})");
            }
        }
        if !self.messages.is_empty() {
            let separator = if words.is_empty() { "" } else { ": " };
            words += &format!("{separator}{}", clean(&self.messages.join("; ")));
        }
        if let Some(uuid) = &self.uuid {
            let separator = if words.is_empty() { "" } else { "; " };
            words += &format!("{separator}for the CA's support: {uuid}");
        }
        words
    }

    /// Whether the error is the one with these four digits, in whichever module and section.
    pub(super) fn is(&self, digits: &str) -> bool {
        let parts = self.code.as_deref().and_then(parts);
        parts.is_some_and(|[_, _, error]| error == digits)
    }

    /// Whether the code speaks of a right that is missing, not of the credentials. The API
    /// documents no 403.
    pub(super) fn is_access_denied(&self) -> bool {
        self.code
            .as_deref()
            .and_then(parts)
            .is_some_and(|[_, section, error]| section == "352" || error == "0224")
    }

    /// Whether the words mean that the name may be registered already. It decides only between
    /// "refused" and "read first".
    pub(super) fn sounds_like_exists(&self) -> bool {
        let text = self.messages.join(" ").to_lowercase();
        let absent = ["not exist", "n't exist", "not found", "unknown"]
            .iter()
            .any(|word| text.contains(word));
        !absent
            && ["already", "exist", "duplicate"]
                .iter()
                .any(|word| text.contains(word))
    }
}

/// What an answer without success means for the call.
pub(super) fn refusal(http: &Http, call: &Call<'_>, answer: &Answer) -> CaError {
    let spoken = ApiError::read(&answer.body);
    let status = answer.status;
    let own = spoken.as_ref().filter(|spoken| spoken.is_the_cas());
    let denied = spoken.as_ref().is_some_and(ApiError::is_access_denied);
    let failure = match status.as_u16() {
        _ if call.may_have_ordered(answer, own.is_some()) => Failure::Unknown,
        _ if call.may_have_taken_effect(answer, own.is_some()) => Failure::Unknown,
        429 => Failure::Throttled,
        503 if answer.retry_after.is_some() => Failure::Throttled,
        // A 401 comes this far only when the same token serves other calls.
        // A page of the network before the CA refuses today what the CA takes tomorrow.
        403 if answer.is_page() => call.lost(),
        401 | 403 => Failure::Forbidden,
        400..=499 if denied => Failure::Forbidden,
        // Only the CA's own words prove that something is gone; a proxy's 404 does not.
        404 if own.is_some() => Failure::NotFound,
        404 => Failure::Malformed,
        // A gateway may have handed the call on before it gave up, and 303 answers what has
        // been done.
        408 | 300..=399 | 500..=599 if call.is_read() => Failure::Unavailable,
        408 | 300..=399 | 500..=599 => Failure::Unknown,
        400..=499 => Failure::Refused,
        _ => Failure::Malformed,
    };
    let words = match (&spoken, &answer.redirected_to) {
        (Some(spoken), _) => spoken.words(),
        (None, Some(host)) => format!("a redirect to {host}, which is not followed"),
        (None, None) => format!("{} sent {}", http.host(), answer.described()),
    };
    let mut error = http.error(failure, call, &format!("HTTP {status}: {words}"));
    error.retry_after = answer.retry_after;
    let hint = match failure {
        Failure::Forbidden => "Ask the CA whether this service account may manage this client.",
        Failure::Malformed | Failure::Unavailable | Failure::Unknown
            if status.is_redirection() || status == StatusCode::NOT_FOUND =>
        {
            "Check `url`: the address may not be the CA's API, or a proxy answers in its place."
        }
        _ => return error,
    };
    error.with_hint(hint)
}

/// The body of a success as JSON, or the error that the answer is.
pub(super) fn json(http: &Http, call: &Call<'_>, answer: &Answer) -> Result<json::Read, CaError> {
    success(http, call, answer)?;
    json::read(answer.body.as_bytes()).map_err(|_| http.no_json(call, answer))
}

/// The entries of a success that is a list, or that has one under `key`. An object that is not a
/// list counts as its only entry.
pub(super) fn entries(
    http: &Http,
    call: &Call<'_>,
    answer: &Answer,
    key: Option<&str>,
) -> Result<Vec<Vec<u8>>, CaError> {
    success(http, call, answer)?;
    let body = answer.body.as_bytes();
    let found = match key {
        Some(key) => json::elements_of(body, key),
        None if answer.body.trim_start().starts_with('{') => Ok(vec![body.to_vec()]),
        None => json::elements(body),
    };
    found.map_err(|_| http.no_json(call, answer))
}

/// An error for an answer that is not a success in JSON.
pub(super) fn success(http: &Http, call: &Call<'_>, answer: &Answer) -> Result<(), CaError> {
    if !answer.status.is_success() {
        return Err(refusal(http, call, answer));
    }
    if !answer.is_json() {
        return Err(http.no_json(call, answer));
    }
    Ok(())
}

/// The parts of `011.351.0226`, with or without `<>`.
fn parts(code: &str) -> Option<[&str; 3]> {
    let mut parts = code.trim_matches(['<', '>', ' ']).split('.');
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

/// The RA API README's tables of modules, sections and errors.
fn meaning(code: &str) -> Option<String> {
    let [module, section, error] = parts(code)?;
    let module = match module {
        "001" => "commons",
        "006" => "HSM",
        "007" => "CA",
        "009" => "authentication",
        "011" => "RA API",
        _ => "unknown module",
    };
    let section = match section {
        "010" => "utils",
        "110" => "API",
        "120" => "services",
        "140" => "DAO",
        "150" => "callback",
        "250" => "JWT",
        "350" => "RAO API app",
        "351" => "form validation",
        "352" => "access denied",
        "353" => "authentication",
        "354" => "runtime",
        _ => "unknown section",
    };
    let error = match error {
        "0223" => "authentication",
        "0224" => "access denied",
        "0225" => "runtime",
        "0226" => "validation",
        "0227" => "application",
        "0228" => "JWT",
        "0229" => "null value",
        "0230" => "invalid certificate serial number",
        "0231" => "invalid client",
        "0232" => "certificate expired",
        "0233" => "already revoked",
        "0234" => "invalid product mapping",
        "0235" => "certificate is a CA's",
        "0236" => "certificate is an entity's",
        "0237" => "failed parsing the DN",
        "0238" => "invalid issuer name",
        "0239" => "failed submitting the order",
        "0240" => "failed validating the request",
        "0241" => "failed parsing the CSR",
        "0242" => "missing CDP",
        "0243" => "invalid product id",
        "0244" => "invalid product type",
        "0245" => "product API disabled",
        "0246" => "product retired",
        "0247" => "product expired",
        "0248" => "invalid client product",
        _ => "unknown error",
    };
    Some(format!("{module}, {section}: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_error_code_is_put_in_words_and_keeps_its_support_id() {
        let body =
            r#"{"uuid":"123e","errorCode":"<011.351.0226>","errorMessages":["Invalid domain"]}"#;
        let words = ApiError::read(body).unwrap().words();
        assert_eq!(
            words,
            "<011.351.0226> (RA API, form validation: validation): Invalid domain; for the CA's support: 123e"
        );
    }

    #[test]
    fn half_an_error_is_still_read_and_a_page_is_none() {
        assert_eq!(
            ApiError::read(r#"{"errorMessages":"no"}"#).unwrap().words(),
            "no"
        );
        assert_eq!(
            ApiError::read(r#"{"uuid":"u","errorMessages":[1,null]}"#)
                .unwrap()
                .words(),
            "for the CA's support: u"
        );
        for not_one in ["", "<html>", "[]", "{}", "null", r#"{"error":"x"}"#] {
            assert_eq!(ApiError::read(not_one), None, "{not_one}");
        }
    }

    #[test]
    fn only_a_refusal_that_says_so_sounds_like_an_existing_name() {
        let error = |text: &str| ApiError {
            messages: vec![text.to_owned()],
            ..ApiError::default()
        };
        assert!(error("Domain example.ch already registered").sounds_like_exists());
        assert!(!error("Client does not exist").sounds_like_exists());
        assert!(!error("Invalid domain").sounds_like_exists());
    }

    #[test]
    fn only_the_cas_own_words_refuse_an_order() {
        let own = r#"{"uuid":"u","errorCode":"011.351.0226"}"#;
        crate::ca::http::lab::only_own_words_refuse_an_order(own, refusal);
        crate::ca::http::lab::only_own_words_refuse_an_effect(own, refusal);
    }
}
