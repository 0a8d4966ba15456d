//! How Route 53 writes names and TXT values: character-strings in quotes, with octal escapes.
//!
//! A foreign `Value` goes back exactly as it was read: DELETE compares it literally. What is
//! decoded here is only compared and shown.
//! <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/ResourceRecordTypes.html#TXTFormat>

use crate::record::TxtRecord;

/// The character-strings of a `Value`. Whatever is not in quotes is taken as zone files take it:
/// old records hold such.
pub(super) fn read_value(value: &str) -> TxtRecord {
    let mut strings = Vec::new();
    let mut rest = value.trim_start().as_bytes();
    while let Some(&first) = rest.first() {
        let quoted = first == b'"';
        if quoted {
            rest = &rest[1..];
        }
        let mut string = Vec::new();
        while let Some((&octet, after)) = rest.split_first() {
            match octet {
                b'"' if quoted => break,
                b' ' | b'\t' if !quoted => break,
                b'\\' => {
                    let (octet, after) = unescape(after);
                    string.push(octet);
                    rest = after;
                }
                _ => {
                    string.push(octet);
                    rest = after;
                }
            }
        }
        strings.push(string);
        if quoted {
            rest = rest.strip_prefix(b"\"").unwrap_or(rest);
        }
        rest = rest.trim_ascii_start();
    }
    TxtRecord { strings }
}

/// The octet that a backslash and what follows it mean, and the rest: `\ooo` is octal, `\c` is
/// `c`.
fn unescape(after: &[u8]) -> (u8, &[u8]) {
    if let Some((digits, rest)) = after.split_first_chunk::<3>()
        && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
        && digits[0] <= b'3'
    {
        let number = digits
            .iter()
            .fold(0, |number, digit| number * 8 + (digit - b'0'));
        return (number, rest);
    }
    after
        .split_first()
        .map_or((b'\\', after), |(&octet, rest)| (octet, rest))
}

/// The `Value` of a record.
pub(super) fn write_value(record: &TxtRecord) -> String {
    let string = |octets: &Vec<u8>| {
        let mut text = String::from("\"");
        for &octet in octets {
            match octet {
                b'"' | b'\\' => {
                    text.push('\\');
                    text.push(char::from(octet));
                }
                0x20..=0x7e => text.push(char::from(octet)),
                other => text.push_str(&format!("\\{other:03o}")),
            }
        }
        text + "\""
    };
    record
        .strings
        .iter()
        .map(string)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A name as answers give it (`\052.Example.ch.`), in lower case without escapes and trailing dot.
/// An octet that is not ASCII keeps its escape: no name of ours has one.
pub(super) fn read_name(name: &str) -> String {
    let mut plain = String::new();
    let mut rest = name.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        let octet = if octet == b'\\' {
            let (octet, after) = unescape(after);
            rest = after;
            octet
        } else {
            rest = after;
            octet
        };
        match octet {
            // A dot inside a label is none that separates labels.
            b'.' if name.as_bytes()[name.len() - rest.len() - 1] != b'.' => plain.push_str("\\056"),
            0x21..=0x7e => plain.push(char::from(octet.to_ascii_lowercase())),
            other => plain.push_str(&format!("\\{other:03o}")),
        }
    }
    plain.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_as_aws_documents_them() {
        let strings = |value: &str| read_value(value).strings;
        assert_eq!(strings(r#""v=spf1 -all""#), [b"v=spf1 -all"]);
        assert_eq!(strings(r#""one" "two""#), [b"one", b"two"]);
        assert_eq!(strings(r#""one""two""#), [b"one", b"two"]);
        assert_eq!(
            strings(r#""say \"hi\" \\ \041 \303\274""#),
            ["say \"hi\" \\ ! ü".as_bytes()]
        );
        assert_eq!(strings(r#""""#), [b""]);
        assert_eq!(strings("bare words"), [&b"bare"[..], b"words"]);
        assert_eq!(strings(r#""open \"#), [br"open \"]);
        assert_eq!(strings(r#""\08x \777""#), [b"08x 777"]);
        assert!(strings("").is_empty());
    }

    #[test]
    fn names_lose_their_escapes_and_keep_their_labels() {
        assert_eq!(read_name("\\052.Example.ch."), "*.example.ch");
        assert_eq!(read_name("_dmarc.example.ch"), "_dmarc.example.ch");
        assert_eq!(read_name("a\\056b.example.ch."), "a\\056b.example.ch");
        assert_eq!(read_name("z\\374rich.ch."), "z\\374rich.ch");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(strings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=255), 1..4)) {
            let record = TxtRecord { strings };
            let value = write_value(&record);
            prop_assert!(value.bytes().all(|octet| (0x20..=0x7e).contains(&octet)));
            prop_assert_eq!(read_value(&value), record);
        }

        #[test]
        fn no_foreign_value_breaks_the_reading(value in ".*") {
            read_value(&value);
            read_name(&value);
        }
    }
}
