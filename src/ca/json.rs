//! JSON as other programs send it: a list is taken apart entry by entry as it arrives, and a text
//! that breaks the rules costs only the place where it is.
//!
//! A library that reads the whole at once gives up the whole for one cut emoji (`\ud83d`, which
//! RFC 8259, section 8.2, allows), one raw control character or one octet that is not UTF-8.

use serde_json::Value;

/// The largest entry of a list, in bytes. An entry of SwissSign's has 0.8 kB.
const MOST_OCTETS: usize = 64 * 1024;

/// How much is kept of a larger entry, to name it.
const KEPT_OCTETS: usize = 256;

/// Takes a list apart that arrives in pieces. Nothing but the entry that is under way is held.
#[derive(Debug, Default)]
pub(super) struct Elements {
    place: Place,
    depth: usize,
    in_string: bool,
    escaped: bool,
    entry: Vec<u8>,
    too_large: bool,
}

/// Where in the list the next octet is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Between,
    Within,
    After,
}

/// An entry as it is in the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Element<'a> {
    Whole(&'a [u8]),
    /// More than 64 KiB; its beginning.
    TooLarge(&'a [u8]),
}

impl Elements {
    /// Takes the next piece of the text, and hands on each entry that ends in it.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        take: &mut dyn FnMut(Element<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        for &octet in piece {
            match self.place {
                Place::Within => self.within(octet, take)?,
                _ if octet.is_ascii_whitespace() => {}
                // A byte order mark.
                Place::Before if matches!(octet, 0xef | 0xbb | 0xbf) => {}
                Place::Before if octet == b'[' => self.place = Place::Between,
                Place::Between if octet == b',' => {}
                Place::Between if octet == b']' => self.place = Place::After,
                Place::Between => {
                    self.place = Place::Within;
                    self.within(octet, take)?;
                }
                Place::Before => return Err("an answer that is not a list".to_owned()),
                Place::After => return Err("an answer that continues behind its list".to_owned()),
            }
        }
        Ok(())
    }

    fn within(
        &mut self,
        octet: u8,
        take: &mut dyn FnMut(Element<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.depth == 0 && !self.in_string && matches!(octet, b',' | b']') {
            self.hand_on(take)?;
            self.place = if octet == b',' {
                Place::Between
            } else {
                Place::After
            };
            return Ok(());
        }
        if self.entry.len() < MOST_OCTETS {
            self.entry.push(octet);
        } else {
            self.too_large = true;
        }
        match octet {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }

    fn hand_on(
        &mut self,
        take: &mut dyn FnMut(Element<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let outcome = if self.too_large {
            take(Element::TooLarge(&self.entry[..KEPT_OCTETS]))
        } else {
            take(Element::Whole(&self.entry))
        };
        self.entry.clear();
        self.too_large = false;
        outcome
    }

    /// Whether the list has ended where the text ended.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.place {
            Place::After => Ok(()),
            Place::Before => Err("an answer that is not a list".to_owned()),
            Place::Between | Place::Within => Err("a list that breaks off".to_owned()),
        }
    }
}

/// The entries of a list that is already here as a whole.
pub(super) fn elements(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    let mut elements = Elements::default();
    elements.feed(text, &mut |element| {
        match element {
            Element::Whole(entry) | Element::TooLarge(entry) => found.push(entry.to_vec()),
        }
        Ok(())
    })?;
    elements.end()?;
    Ok(found)
}

/// The entries of the list that an object holds under `key`, which is plain ASCII.
pub(super) fn elements_of(text: &[u8], key: &str) -> Result<Vec<Vec<u8>>, String> {
    let missing = || format!("an answer without a list `{key}`");
    let start = value_of(text, key).ok_or_else(missing)?;
    let list = &text[start..];
    if list.first() != Some(&b'[') {
        return Err(missing());
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, &octet) in list.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return elements(&list[..=at]);
        }
    }
    Err("a list that breaks off".to_owned())
}

/// Where the value of a key of the outermost object begins.
fn value_of(text: &[u8], key: &str) -> Option<usize> {
    let (mut depth, mut escaped, mut opened) = (0_usize, false, None);
    for (at, &octet) in text.iter().enumerate() {
        match (octet, opened) {
            _ if escaped => escaped = false,
            (b'\\', Some(_)) => escaped = true,
            (b'"', None) => opened = Some(at + 1),
            (b'"', Some(from)) => {
                opened = None;
                let mut rest = (at + 1..text.len()).filter(|&at| !text[at].is_ascii_whitespace());
                if depth == 1
                    && &text[from..at] == key.as_bytes()
                    && rest.next().is_some_and(|colon| text[colon] == b':')
                {
                    return rest.next();
                }
            }
            (b'{' | b'[', None) => depth += 1,
            (b'}' | b']', None) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// A value, and what had to be repaired in its text to read it.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    pub(super) value: Value,
    /// What was wrong with the text, in words.
    pub(super) fault: Option<String>,
}

/// Reads one value. Text that breaks the rules is replaced by `\u{fffd}`, a number that no machine
/// holds by null.
pub(super) fn read(text: &[u8]) -> Result<Read, String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let fault = match serde_json::from_slice(text) {
        Ok(value) => return Ok(Read { value, fault: None }),
        Err(error) => error.to_string(),
    };
    match serde_json::from_str(&mended(text)) {
        Ok(value) => Ok(Read {
            value,
            fault: Some(fault),
        }),
        Err(_) => Err(fault),
    }
}

/// The text with everything replaced that is not JSON inside of a string or a number.
fn mended(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('"') {
        let (outside, from) = rest.split_at(at);
        mend_numbers(outside, &mut out);
        out.push('"');
        rest = mend_string(&from[1..], &mut out);
    }
    mend_numbers(rest, &mut out);
    out
}

/// Copies a string behind its first quotation mark, and gives what follows it.
fn mend_string<'a>(mut rest: &'a str, out: &mut String) -> &'a str {
    const BROKEN: &str = "\\ufffd";
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '"' => {
                out.push('"');
                return after;
            }
            '\\' => {
                let length = escape_length(after);
                out.push_str(if length == 0 {
                    BROKEN
                } else {
                    &rest[..=length]
                });
                // Of an escape that means nothing only the backslash is dropped.
                let is_lone = after.starts_with('u') && after.get(1..5).is_some_and(is_hex);
                let skipped = if length == 0 && is_lone { 5 } else { length };
                rest = &after[skipped..];
                continue;
            }
            _ if c < ' ' => out.push_str(BROKEN),
            _ => out.push(c),
        }
        rest = after;
    }
    rest
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// How long the escape behind a backslash is; 0 where it means nothing by itself.
fn escape_length(text: &str) -> usize {
    let unit = |text: &str| {
        let digits = text.strip_prefix('u')?.get(..4).filter(|hex| is_hex(hex))?;
        u16::from_str_radix(digits, 16).ok()
    };
    match text.as_bytes().first() {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
        Some(b'u') => match unit(text) {
            Some(0xd800..=0xdbff) => {
                let low = text[5..].strip_prefix('\\').and_then(unit);
                if matches!(low, Some(0xdc00..=0xdfff)) {
                    11
                } else {
                    0
                }
            }
            Some(0xdc00..=0xdfff) | None => 0,
            Some(_) => 5,
        },
        _ => 0,
    }
}

/// Copies what is outside of strings; a number beyond the range becomes null.
fn mend_numbers(text: &str, out: &mut String) {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit() || c == '-') {
        let (before, from) = rest.split_at(at);
        let length = from.find(|c| !is_number(c)).unwrap_or(from.len());
        let (number, after) = from.split_at(length);
        out.push_str(before);
        let infinite = number.parse::<f64>().is_ok_and(f64::is_infinite);
        out.push_str(if infinite { "null" } else { number });
        rest = after;
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(list: &str, piece: usize) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        let mut elements = Elements::default();
        for piece in list.as_bytes().chunks(piece) {
            elements.feed(piece, &mut |element| {
                let Element::Whole(entry) = element else {
                    panic!("too large")
                };
                found.push(String::from_utf8_lossy(entry).trim().to_owned());
                Ok(())
            })?;
        }
        elements.end()?;
        Ok(found)
    }

    #[test]
    fn a_list_is_taken_apart_wherever_its_pieces_end() {
        let list = "\u{feff} [ {\"a\":\"x,]}\\\"\\\\\"}, [1,[2]] , \"s,]\" ,7, {} ]\n";
        for piece in 1..list.len() {
            assert_eq!(
                texts(list, piece).unwrap(),
                ["{\"a\":\"x,]}\\\"\\\\\"}", "[1,[2]]", "\"s,]\"", "7", "{}"],
                "in pieces of {piece}"
            );
        }
        assert_eq!(texts("[]", 1).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_whole_list_is_said_to_be_none() {
        for bad in ["", "{}", "\"[]\"", "[{}", "[{},", "[\"a]", "[] []", "null"] {
            assert!(texts(bad, 3).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_entry_without_end_is_not_held_in_memory() {
        let mut elements = Elements::default();
        let mut told = 0;
        let mut take = |element: Element<'_>| {
            assert!(matches!(element, Element::TooLarge(_)));
            told += 1;
            Ok(())
        };
        elements.feed(b"[\"", &mut take).unwrap();
        for _ in 0..100 {
            elements.feed(&[b'a'; 10_000], &mut take).unwrap();
        }
        assert!(elements.entry.capacity() <= 2 * MOST_OCTETS);
        elements.feed(b"\"]", &mut take).unwrap();
        assert_eq!((elements.end(), told), (Ok(()), 1));
    }

    #[test]
    fn the_list_within_an_object_is_taken_apart_too() {
        let text =
            br#"{"draw":1,"x":{"data":[9]},"note":"\"data\":[8]","data" : [ {"a":"]"}, 2 ],"n":3}"#;
        let found = elements_of(text, "data").unwrap();
        assert_eq!(found, [br#"{"a":"]"}"#.to_vec(), b"2 ".to_vec()]);
        for bad in ["{}", "[]", r#"{"data":7}"#, r#"{"data":[1"#] {
            assert!(elements_of(bad.as_bytes(), "data").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_text_that_breaks_the_rules_costs_only_its_own_place() {
        for (bad, value) in [
            (&br#"{"a":"x\ud83dy","b":1}"#[..], "x\u{fffd}y"),
            (br#"{"a":"\udc00","b":1}"#, "\u{fffd}"),
            (br#"{"a":"\ud83d\u0041","b":1}"#, "\u{fffd}A"),
            (br#"{"a":"\ud83d\ud83d\ude00","b":1}"#, "\u{fffd}\u{1f600}"),
            (br#"{"a":"x\qy","b":1}"#, "x\u{fffd}qy"),
            (br#"{"a":"x\u12","b":1}"#, "x\u{fffd}u12"),
            (b"{\"a\":\"x\ny\",\"b\":1}", "x\u{fffd}y"),
            (b"{\"a\":\"x\xff\",\"b\":1}", "x\u{fffd}"),
        ] {
            let read = read(bad).unwrap();
            assert!(read.fault.is_some());
            assert_eq!(read.value["a"], value, "{}", String::from_utf8_lossy(bad));
            assert_eq!(read.value["b"], 1);
        }
        let read = super::read(br#"{"n":1e999,"b":-2.5}"#).unwrap();
        assert_eq!(
            (&read.value["n"], &read.value["b"]),
            (&Value::Null, &(-2.5).into())
        );
    }

    #[test]
    fn what_is_whole_is_not_mended_and_what_is_no_json_is_none() {
        let good = read(br#"{"a":"\ud83d\ude00\u00e9\"","n":1}"#).unwrap();
        assert_eq!((good.fault, &good.value["a"]), (None, &"😀é\"".into()));
        for bad in ["", "{", "{\"a\":}", "<html>", "{\"a\":\"b\"c\"}"] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_brings_the_reader_down(text in ".{0,80}", octets in proptest::collection::vec(0u8..=255, 0..80)) {
            let _ = read(text.as_bytes());
            let _ = read(&octets);
            let _ = elements(&octets);
            let broken = format!("{{\"a\":\"\\{text}\"}}");
            let _ = read(broken.as_bytes());
        }
    }
}
