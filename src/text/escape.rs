//! Characters that could drive a terminal, forge a line or turn a name around.

use std::borrow::Cow;

/// Escapes control characters (C0, DEL, C1), line and paragraph separators, and invisible format
/// characters: those that set the direction of writing, join or vanish. Letters of all scripts stay
/// as they are.
///
/// ```
/// # use prevalidate::text::escape;
/// assert_eq!(escape("déjà.vu.com"), "déjà.vu.com");
/// assert_eq!(escape("\u{1b}[31mred\n"), "\\u{1b}[31mred\\n");
/// ```
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => escaped.extend(c.escape_default()),
            c if is_harmful(c) => escaped.extend(c.escape_unicode()),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// The same for a JSON document, by JSON's own escapes. serde_json has escaped C0; what is left is
/// within strings.
pub fn in_json(document: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| c != '\n' && is_harmful(c);
    if !document.contains(is_harmful) {
        return Cow::Borrowed(document);
    }
    let mut escaped = String::with_capacity(document.len() + 16);
    for c in document.chars() {
        if is_harmful(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units)
                .iter()
                .for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_escaped_is_harmless_and_stays_as_it_is(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(is_harmful));
            prop_assert_eq!(escape(&escaped), escaped.clone());
        }

        #[test]
        fn a_json_document_keeps_its_meaning(text in any::<String>()) {
            let document = serde_json::Value::from(text.clone()).to_string();
            let escaped = in_json(&document).into_owned();
            prop_assert!(!escaped.contains(is_harmful));
            prop_assert_eq!(serde_json::from_str::<String>(&escaped).ok(), Some(text));
        }
    }
}
