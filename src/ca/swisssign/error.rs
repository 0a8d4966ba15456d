//! What the CA says when it refuses, in words; and the broom that keeps our own secrets and control
//! characters out of it.

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::ca::json;

/// So much of the CA's free text is kept (faults C22).
const TEXT_CHARS: usize = 512;

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

    /// Whether the code speaks of a right that is missing, not of the credentials. The API
    /// documents no 403.
    pub(super) fn is_access_denied(&self) -> bool {
        self.code
            .as_deref()
            .and_then(parts)
            .is_some_and(|[_, section, error]| section == "352" || error == "0224")
    }

    /// Whether it sounds as if the name were registered already; decides only between "refused" and
    /// "read first".
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

/// Another party's text made fit for a terminal and a log: one line, at most 512 characters,
/// nothing that moves a cursor or turns the reading direction (faults N07).
pub(super) fn clean(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.trim().chars().enumerate() {
        if count == TEXT_CHARS {
            out.push('…');
            break;
        }
        if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Knows the secrets in use and strikes them out of whatever the CA sends back, before anybody
/// looks at it (faults C22, J07).
#[derive(Default)]
pub(super) struct Redactor(RwLock<Vec<SecretString>>);

const REDACTED: &str = "[REDACTED]";

impl Redactor {
    /// Remembers a secret.
    pub(super) fn learn(&self, secret: &SecretString) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !secret.expose_secret().is_empty()
            && !known
                .iter()
                .any(|k| k.expose_secret() == secret.expose_secret())
        {
            known.push(secret.clone());
        }
    }

    /// The text without the known secrets.
    pub(super) fn strike_keys(&self, mut text: String) -> String {
        for secret in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), REDACTED);
            }
        }
        text
    }

    /// The text without the known secrets and without anything that has the shape of a JWT.
    pub(super) fn strike(&self, text: String) -> String {
        match strike_tokens(&self.strike_keys(text)) {
            Cow::Borrowed(same) => same.to_owned(),
            Cow::Owned(struck) => struck,
        }
    }
}

/// Replaces `eyJ….….…`: the first part of every JWT begins so, being the Base64 of `{"`. Each
/// character is looked at once or twice, whatever the text is: it comes from another party.
fn strike_tokens(text: &str) -> Cow<'_, str> {
    let in_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut out = String::new();
    let (mut kept, mut from) = (0, 0);
    while let Some(at) = text[from..].find("eyJ").map(|at| from + at) {
        let end = text[at..]
            .find(|c| !in_token(c))
            .map_or(text.len(), |length| at + length);
        if text[at..end].bytes().filter(|&b| b == b'.').count() >= 2 {
            out.push_str(&text[kept..at]);
            out.push_str(REDACTED);
            kept = end;
        }
        from = end;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
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
    fn foreign_text_cannot_reach_the_terminal_raw_nor_grow_without_end() {
        let hostile = "a\u{1b}[2Jb\r\nc\u{202e}d\0";
        assert_eq!(clean(hostile), "a\\u{1b}[2Jb\\r\\nc\\u{202e}d\\u{0}");
        assert_eq!(clean(&"ä".repeat(9999)).chars().count(), 513);
    }

    #[test]
    fn keys_and_tokens_are_struck_out_of_foreign_text() {
        let redactor = Redactor::default();
        redactor.learn(&SecretString::from("hunter2"));
        let struck =
            redactor.strike("k=hunter2&t=eyJh.eyJi.c-_d, eyJust text, eyJx.y.z".to_owned());
        assert_eq!(struck, "k=[REDACTED]&t=[REDACTED], eyJust text, [REDACTED]");
    }

    #[test]
    fn the_search_for_tokens_takes_a_time_that_grows_with_the_text_only() {
        // The run without end, and the one that is cut into very many tokens.
        for part in ["eyJ", "eyJ.", "eyJ.. "] {
            let text = part.repeat(8 * 1024 * 1024 / part.len());
            let began = std::time::Instant::now();
            let struck = strike_tokens(&text);
            assert!(began.elapsed() < std::time::Duration::from_secs(10));
            assert_eq!(part.contains('.'), struck.contains(REDACTED), "{part}");
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
}
