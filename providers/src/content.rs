//! TXT data as web APIs write it: quoted strings, or, in old records and in some APIs, the bare text.

use crate::record::TxtRecord;

/// What stands in `content`. What begins with a quote and is no sequence of quoted strings is taken as it stands.
pub(crate) fn read(content: &str) -> TxtRecord {
    quoted(content.trim().as_bytes()).unwrap_or_else(|| TxtRecord::of(content))
}

/// `"one" "two"`, everything but printable ASCII as `\DDD` (RFC 1035, section 5.1).
#[cfg(any(test, feature = "cloudflare"))]
pub(crate) fn write(record: &TxtRecord) -> String {
    let string = |octets: &Vec<u8>| format!("\"{}\"", TxtRecord { strings: vec![octets.clone()] }.display());
    record.strings.iter().map(string).collect::<Vec<_>>().join(" ")
}

fn quoted(mut rest: &[u8]) -> Option<TxtRecord> {
    let mut strings = Vec::new();
    while let Some(inside) = rest.strip_prefix(b"\"") {
        let mut string = Vec::new();
        rest = inside;
        loop {
            match rest {
                [b'"', after @ ..] => {
                    rest = after.trim_ascii_start();
                    break;
                }
                [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', after @ ..] => {
                    let number = [a, b, c].iter().fold(0_u16, |sum, digit| sum * 10 + u16::from(**digit - b'0'));
                    string.push(u8::try_from(number).ok()?);
                    rest = after;
                }
                [b'\\', octet, after @ ..] | [octet, after @ ..] => {
                    string.push(*octet);
                    rest = after;
                }
                [] => return None,
            }
        }
        strings.push(string);
    }
    (rest.is_empty() && !strings.is_empty() && strings.iter().all(|string| string.len() <= 255))
        .then_some(TxtRecord { strings })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quoted_and_bare_contents_are_the_same_value() {
        for content in
            ["v=spf1 -all", "\"v=spf1 -all\"", "\"v=spf1\" \" -all\"", "\"v=spf1\"\" -all\"", "\"v=spf1\\032-all\""]
        {
            assert_eq!(read(content).joined(), b"v=spf1 -all", "{content}");
        }
        for odd in ["\"open", "\"a\" b", "say \"hi\"", "\"\\999\""] {
            assert_eq!(read(odd).joined(), odd.as_bytes());
        }
        assert_eq!(read("\"Z\u{fc}rich\"").joined(), "Z\u{fc}rich".as_bytes());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_in_the_same_split(
            strings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=255), 1..4)
        ) {
            let record = TxtRecord { strings };
            prop_assert_eq!(read(&write(&record)), record);
        }
    }
}
