//! The broom that keeps our own secrets and control characters out of another party's text.

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};

/// So much of the CA's free text is kept.
const TEXT_CHARS: usize = 512;

/// Another party's text made fit for a terminal and a log: one line, at most 512 characters,
/// nothing that moves a cursor or turns the reading direction (faults N07).
pub(in crate::ca) fn clean(text: &str) -> String {
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
pub(in crate::ca) struct Redactor(RwLock<Vec<SecretString>>);

const REDACTED: &str = "[REDACTED]";

impl Redactor {
    /// Remembers a secret.
    pub(in crate::ca) fn learn(&self, secret: &SecretString) {
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
    pub(in crate::ca) fn strike_keys(&self, mut text: String) -> String {
        for secret in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), REDACTED);
            }
        }
        text
    }

    /// The text without the known secrets and without anything that has the shape of a JWT.
    pub(in crate::ca) fn strike(&self, text: String) -> String {
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
