//! Text from files and pipes of any program: byte order marks, UTF-16, and files that are no text.

use std::borrow::Cow;

/// Why a file cannot be read as text, and what to do about it. Never its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotText {
    /// The encoding of the file.
    pub message: String,
    /// The hint.
    pub hint: String,
}

/// Makes a unit of UTF-16 of two octets.
type Unit = fn([u8; 2]) -> u16;

const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// First bytes of files that people hand over instead of a text, and what they are.
const FORMATS: [(&[u8], &str, &str); 7] = [
    (
        b"PK\x03\x04",
        "a ZIP archive or an Excel workbook",
        "save the sheet as text: one column, in UTF-8",
    ),
    (
        b"\xd0\xcf\x11\xe0",
        "an Office document",
        "save the sheet as text: one column, in UTF-8",
    ),
    (b"\x1f\x8b", "a gzip file", "unpack it first: gunzip"),
    (b"BZh", "a bzip2 file", "unpack it first: bunzip2"),
    (b"\xfd7zXZ\0", "an xz file", "unpack it first: unxz"),
    (b"%PDF", "a PDF document", "copy the text out of it"),
    (
        b"SQLite format 3\0",
        "an SQLite database",
        "was the store named in the place of a text file?",
    ),
];

/// The bytes of a text in UTF-8, without byte order marks. UTF-16 with its mark, as Windows writes
/// it, is converted. Bytes that are not UTF-8 stay where they are: the reader knows their line.
///
/// # Errors
/// The file is no text, or it is in an encoding that is not certain.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, [u8]>, NotText> {
    let not_text = |message: &str, hint: &str| {
        Err(NotText {
            message: message.to_owned(),
            hint: hint.to_owned(),
        })
    };
    if let Some((_, what, hint)) = FORMATS.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return not_text(&format!("is {what}, not a text"), hint);
    }
    if bytes.starts_with(b"\xff\xfe\0\0") || bytes.starts_with(b"\0\0\xfe\xff") {
        return not_text(
            "is UTF-32, not UTF-8",
            "iconv -f utf-32 -t utf-8 converts it",
        );
    }
    let wide: Option<(&[u8], Unit)> = match bytes {
        [0xff, 0xfe, rest @ ..] => Some((rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Some((rest, u16::from_be_bytes)),
        _ => None,
    };
    if let Some((rest, unit)) = wide {
        return match utf_16(rest, unit) {
            Some(text) => text_or_page(Cow::Owned(text.into_bytes())),
            None => not_text(
                "is UTF-16 and ends in the middle of a character",
                "was it cut off? write it again, in UTF-8",
            ),
        };
    }
    let mut rest = bytes;
    // Where a program joined two files there are two marks.
    while let Some(unmarked) = rest.strip_prefix(UTF_8_MARK) {
        rest = unmarked;
    }
    if rest.contains(&0) {
        return match unmarked_utf_16(rest) {
            Some(name) => not_text(
                "is UTF-16 without a byte order mark, not UTF-8",
                &format!("iconv -f {name} -t utf-8 converts it"),
            ),
            None => not_text("is a binary file, not a text", "was the wrong file named?"),
        };
    }
    text_or_page(Cow::Borrowed(rest))
}

/// A page that a server answered in the place of the file begins with a tag.
fn text_or_page(text: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, NotText> {
    if text.trim_ascii_start().starts_with(b"<") {
        return Err(NotText {
            message: "is an HTML or XML page".to_owned(),
            hint: "did a download write an error page or a login page into the file?".to_owned(),
        });
    }
    Ok(text)
}

/// `None`: an octet is left over. A half of a surrogate pair becomes U+FFFD and costs its line.
fn utf_16(bytes: &[u8], unit: Unit) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|&pair| unit(pair));
    let text: String = char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .filter(|&c| c != '\u{feff}')
        .collect();
    rest.is_empty().then_some(text)
}

/// Latin text in UTF-16 has a NUL in each second place. A few octets are not enough to know the
/// encoding.
fn unmarked_utf_16(bytes: &[u8]) -> Option<&'static str> {
    if bytes.len() < 8 {
        return None;
    }
    let nul_at = |first: usize| {
        bytes
            .iter()
            .skip(first)
            .step_by(2)
            .filter(|&&b| b == 0)
            .count()
    };
    let half = bytes.len() / 2;
    match (nul_at(0), nul_at(1)) {
        (0, odd) if odd * 10 >= half * 9 => Some("utf-16le"),
        (even, 0) if even * 10 >= half * 9 => Some("utf-16be"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::{any, *};

    use super::*;

    fn wide(text: &str, mark: &[u8], bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let units = text.encode_utf16().flat_map(bytes);
        mark.iter().copied().chain(units).collect()
    }

    #[test]
    fn every_mark_is_taken_away_and_utf_16_becomes_utf_8() {
        let text = "déjà.vu.com\r\n例え.ch\n";
        for bytes in [
            text.as_bytes().to_vec(),
            [UTF_8_MARK, text.as_bytes()].concat(),
            [UTF_8_MARK, UTF_8_MARK, text.as_bytes()].concat(),
            wide(text, b"\xff\xfe", u16::to_le_bytes),
            wide(text, b"\xfe\xff", u16::to_be_bytes),
        ] {
            assert_eq!(decode(&bytes).unwrap().as_ref(), text.as_bytes());
        }
        assert_eq!(decode(b"d\xe9j\xe0.ch").unwrap().as_ref(), b"d\xe9j\xe0.ch");
        assert_eq!(decode(b"").unwrap().as_ref(), b"");
    }

    #[test]
    fn a_file_that_is_no_text_is_told_by_what_it_is() {
        let unmarked = wide("example.ch\n", b"", u16::to_le_bytes);
        let big_endian = wide("example.ch\n", b"", u16::to_be_bytes);
        let page = wide("<html>", b"\xff\xfe", u16::to_le_bytes);
        for (bytes, message, hint) in [
            (
                &unmarked[..],
                "UTF-16 without",
                "iconv -f utf-16le -t utf-8",
            ),
            (&big_endian, "UTF-16 without", "iconv -f utf-16be -t utf-8"),
            (b"\xff\xfe\0\0a\0\0\0", "UTF-32", "iconv -f utf-32"),
            (b"\xff\xfea\0b", "cut off", "cut off"),
            (b"PK\x03\x04\x14", "Excel", "one column"),
            (b"\x1f\x8b\x08", "gzip", "gunzip"),
            (b"\x7fELF\x02\x01\x01\0\0\0", "binary", "wrong file"),
            (b"\n <!DOCTYPE html><html>", "HTML", "login page"),
            (b"<?xml version=\"1.0\"?>", "XML", "login page"),
            (&page, "HTML", "login page"),
        ] {
            let fault = decode(bytes).unwrap_err();
            let told = format!("{}; {}", fault.message, fault.hint);
            assert!(
                told.contains(message) && told.contains(hint),
                "{bytes:?}: {told}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&bytes);
        }
    }
}
