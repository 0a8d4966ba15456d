//! JSON as other programs write it, where the library would refuse the whole for one text.

use serde_json::Value;

/// Reads JSON. Octets that are not UTF-8 and halves of a surrogate pair (`\\ud83d` of an emoji that
/// was cut; RFC 8259, section 8.2, allows it) become U+FFFD: a comment that was cut costs only
/// itself.
///
/// # Errors
/// It is not JSON, whatever the texts in it.
pub fn read(octets: &[u8]) -> serde_json::Result<Value> {
    // A byte order mark, as programs of Windows write it (RFC 8259, section 8.1).
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    serde_json::from_slice(octets).or_else(|error| {
        let text = String::from_utf8_lossy(octets);
        serde_json::from_str(&with_whole_characters(&text)).map_err(|_| error)
    })
}

/// The text with `\\ufffd` for each `\\u` escape of half a character.
pub fn with_whole_characters(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        whole.push_str(&rest[..at]);
        rest = &rest[at..];
        let (length, is_whole) = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, true),
            (Some(0xd800..=0xdfff), _) => (6, false),
            (Some(_), _) => (6, true),
            // Another escape: the backslash and the character behind it.
            (None, _) => (1 + rest[1..].chars().next().map_or(0, char::len_utf8), true),
        };
        let (escape, behind) = rest.split_at(length);
        whole.push_str(if is_whole { escape } else { "\\ufffd" });
        rest = behind;
    }
    whole.push_str(rest);
    whole
}

/// The UTF-16 unit of a `\\uXXXX` at the beginning.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_a_character_costs_only_itself() {
        for (text, found) in [
            (r#"{"a":"x\ud83d","b":1}"#, "x\u{fffd}"),
            (r#"{"a":"\ude00x","b":1}"#, "\u{fffd}x"),
            (r#"{"a":"\ud83d\ud83d\ude00","b":1}"#, "\u{fffd}\u{1f600}"),
            (r#"{"a":"\\ud83d","b":1}"#, "\\ud83d"),
            (r#"{"a":"\ud83d\n","b":1}"#, "\u{fffd}\n"),
            (r#"{"a":"\u00e4","b":1}"#, "ä"),
        ] {
            let value = read(text.as_bytes()).unwrap();
            assert_eq!(
                (&value["a"], &value["b"]),
                (&found.into(), &1.into()),
                "{text}"
            );
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}").unwrap()["a"], "\u{fffd}");
        assert_eq!(read(b"\xef\xbb\xbf{\"a\":1}").unwrap()["a"], 1);
        read(b"{\"a\":").unwrap_err();
    }

    proptest! {
        #[test]
        fn a_text_that_the_library_reads_stays_as_it_is(text in ".*") {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(with_whole_characters(&json), json);
        }

        #[test]
        fn no_text_is_a_panic(text in "(\\\\|u|d8|3d|\"|[0-9a-fü]){0,40}") {
            let _ = with_whole_characters(&text);
        }
    }
}
