//! Removes our own secrets and control characters from another party's text.

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

use crate::text::escape;

/// This much of the CA's free text is kept.
const TEXT_CHARS: usize = 512;

/// Another party's text made fit for a terminal and a log: one line, at most 512 characters,
/// nothing that moves a cursor or turns the reading direction (faults N07).
pub(in crate::ca) fn clean(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(TEXT_CHARS) {
        Some((end, _)) => escape(&text[..end]).into_owned() + "…",
        None => escape(text).into_owned(),
    }
}

/// Knows the secrets in use and strikes them out of whatever the CA sends back, before it is used
/// (faults C22, J07).
#[derive(Default)]
pub(in crate::ca) struct Redactor {
    secrets: RwLock<Vec<SecretString>>,
    /// The digits by which a telephone number is known.
    numbers: RwLock<Vec<SecretString>>,
}

/// In the place of a secret.
pub(in crate::ca) const REDACTED: &str = "[REDACTED]";

/// A number of fewer digits would be found in much that is none.
const LEAST_DIGITS: usize = 6;

impl Redactor {
    /// A redactor that knows these telephone numbers.
    pub(super) fn of(numbers: &[SecretString]) -> Self {
        let redactor = Self::default();
        for number in numbers {
            redactor.learn_number(number.expose_secret());
        }
        redactor
    }

    /// Remembers a secret, as it is and in Base64.
    pub(in crate::ca) fn learn(&self, secret: &SecretString) {
        let plain = secret.expose_secret();
        if plain.is_empty() {
            return;
        }
        let encoded = [STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|base| base.encode(plain));
        learn(&self.secrets, plain);
        for text in encoded.iter().filter(|_| plain.len() >= LEAST_DIGITS) {
            learn(&self.secrets, text);
        }
    }

    /// Remembers a telephone number. It is known by its last digits, without those of a country: a
    /// reply may have them with `+` or `00`, or not at all, and anything between the digits.
    pub(in crate::ca) fn learn_number(&self, number: &str) {
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let country = match digits.len() {
            0..=8 => 0,
            9 => 2,
            _ => 3,
        };
        let kept = &digits[country..];
        if kept.len() >= LEAST_DIGITS {
            learn(&self.numbers, kept);
        }
    }

    /// The text without the known secrets.
    pub(in crate::ca) fn strike_keys(&self, mut text: String) -> String {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets.iter() {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), REDACTED);
            }
        }
        let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        match numbers.is_empty() {
            true => text,
            false => strike_numbers(&text, &numbers),
        }
    }

    /// The text without the known secrets and without anything that has the shape of a JWT.
    pub(in crate::ca) fn strike(&self, text: String) -> String {
        match strike_tokens(&self.strike_keys(text)) {
            Cow::Borrowed(same) => same.to_owned(),
            Cow::Owned(struck) => struck,
        }
    }
}

fn learn(known: &RwLock<Vec<SecretString>>, text: &str) {
    let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
    if !known.iter().any(|one| one.expose_secret() == text) {
        known.push(SecretString::from(text));
    }
}

/// Replaces every run of digits, with what is written between digits, that holds one of these numbers.
fn strike_numbers(text: &str, numbers: &[SecretString]) -> String {
    let is_between = |c: char| " \u{a0}+-./()".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(from) = rest.find(|c: char| c.is_ascii_digit() || c == '+') {
        let (before, run) = rest.split_at(from);
        let end = run.find(|c: char| !c.is_ascii_digit() && !is_between(c));
        let run = &run[..end.unwrap_or(run.len())];
        let kept = run.trim_end_matches(is_between);
        let kept = if kept.is_empty() { run } else { kept };
        let digits: String = kept.chars().filter(char::is_ascii_digit).collect();
        let is_one = numbers
            .iter()
            .any(|one| digits.contains(one.expose_secret()));
        // A bare number of JSON stays a value of JSON.
        let is_bare = kept.bytes().all(|b| b.is_ascii_digit())
            && before.trim_end().ends_with([':', '[', ',']);
        out.push_str(before);
        out.push_str(match (is_one, is_bare) {
            (true, true) => "null",
            (true, false) => REDACTED,
            (false, _) => kept,
        });
        rest = &rest[from + kept.len()..];
    }
    out.push_str(rest);
    out
}

/// Replaces `eyJ….….…`: the first part of every JWT begins so, being the Base64 of `{"`. Each
/// character is read once or twice, whatever the text is: it comes from another party.
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
    use super::*;

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
    fn a_secret_in_base64_is_struck_out_too() {
        let redactor = Redactor::default();
        redactor.learn(&SecretString::from("correct horse battery"));
        let struck = redactor.strike("p=Y29ycmVjdCBob3JzZSBiYXR0ZXJ5, and so on".to_owned());
        assert_eq!(struck, "p=[REDACTED], and so on");
    }

    #[test]
    fn a_telephone_number_is_struck_out_however_it_is_written() {
        let redactor = Redactor::default();
        redactor.learn_number("+41-44-1234567");
        for written in [
            "+41-44-1234567",
            "+41441234567",
            "0041 44 123 45 67",
            "044 123 45 67",
            "(044) 123.45.67",
            "+41 (0)44/1234567",
            "41441234567",
        ] {
            let struck = redactor.strike(format!("phone \"{written}\" is wrong, job 123456"));
            let digits: String = struck.chars().filter(char::is_ascii_digit).collect();
            assert_eq!(digits, "123456", "{written}: {struck}");
            assert!(struck.contains("is wrong, job 123456"), "{struck}");
        }
        let json = redactor.strike(r#"{"id":123456,"phone":41441234567,"fax":[1, 2]}"#.to_owned());
        assert_eq!(json, r#"{"id":123456,"phone":null,"fax":[1, 2]}"#);
        let dates = "2026-12-01T10:00:00.000+0100, 1.2.3-4";
        assert_eq!(redactor.strike(dates.to_owned()), dates);
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
}
