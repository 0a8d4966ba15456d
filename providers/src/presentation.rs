//! Text of master files (RFC 1035, section 5.1): entries with their tokens, and TXT data as `dig`
//! prints it.
//!
//! Tokens are octets: `\195\188` is two of them, and `"a b"` is one token. hickory-proto's parser
//! of zone files is not used: version 0.26 computes `\DDD` wrongly, takes quotes inside parentheses
//! for letters, and refuses a file for one unknown type.

use crate::record::TxtRecord;

/// One entry: the tokens of a line, or of several where parentheses hold them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// Whether it begins with white space, and so belongs to the owner of the entry before.
    pub is_indented: bool,
    /// Its tokens, quotes and escapes resolved.
    pub tokens: Vec<Vec<u8>>,
}

/// The entries of a text, in order; empty lines and comments are none. A byte order mark in front
/// is no part of it, nor is the age that Windows' name server writes behind the owner (`[AGE:n]`)
/// and removes itself when it reads.
///
/// # Errors
/// The fault, and its line.
pub fn entries(text: &str) -> Result<Vec<Entry>, String> {
    let (mut found, mut depth, mut line) = (Vec::new(), 0_u32, 1);
    let mut entry: Option<Entry> = None;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut octets = text.bytes().peekable();
    let mut at_start = true;
    while let Some(octet) = octets.next() {
        let here = line;
        let mut open = |is_indented| {
            entry.get_or_insert_with(|| Entry {
                line: here,
                is_indented,
                tokens: Vec::new(),
            });
        };
        match octet {
            b'\n' => {
                line += 1;
                at_start = depth == 0;
                if at_start {
                    found.extend(entry.take().filter(|entry| !entry.tokens.is_empty()));
                }
                continue;
            }
            b' ' | b'\t' | b'\r' => {
                if at_start {
                    open(true);
                }
            }
            b';' => while octets.next_if(|&octet| octet != b'\n').is_some() {},
            b'(' => {
                open(false);
                depth += 1;
            }
            b')' => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| format!("line {line}: `)` without `(`"))?;
            }
            first => {
                open(false);
                let token = token(first, &mut octets, &mut line)
                    .map_err(|fault| format!("line {here}: {fault}"))?;
                if line != here {
                    return Err(format!("line {here}: a quote is not closed on its line"));
                }
                if let Some(entry) = &mut entry
                    && !(first == b'[' && is_age(entry, &token))
                {
                    entry.tokens.push(token);
                }
            }
        }
        at_start = false;
    }
    if depth > 0 {
        return Err("a `(` is not closed".into());
    }
    found.extend(entry.filter(|entry| !entry.tokens.is_empty()));
    Ok(found)
}

/// `[AGE:3692880]` where a TTL, a class or a type is expected first.
fn is_age(entry: &Entry, token: &[u8]) -> bool {
    entry.tokens.len() == usize::from(!entry.is_indented)
        && token.len() > 6
        && token[..5].eq_ignore_ascii_case(b"[AGE:")
        && token.ends_with(b"]")
        && token[5..token.len() - 1].iter().all(u8::is_ascii_digit)
}

fn token(
    first: u8,
    octets: &mut std::iter::Peekable<std::str::Bytes<'_>>,
    line: &mut usize,
) -> Result<Vec<u8>, &'static str> {
    let (quoted, mut token) = (first == b'"', Vec::new());
    let mut next = if quoted { octets.next() } else { Some(first) };
    loop {
        match next {
            Some(b'"') if quoted => return Ok(token),
            None if quoted => return Err("a quote is not closed"),
            None => return Ok(token),
            Some(b'\\') => token.push(escaped(octets)?),
            Some(octet) => {
                *line += usize::from(octet == b'\n');
                token.push(octet);
            }
        }
        next = match quoted {
            true => octets.next(),
            false => octets.next_if(|octet| !b" \t\r\n;()\"".contains(octet)),
        };
    }
}

/// Nothing but strings in quotes.
fn quoted(text: &str) -> Option<TxtRecord> {
    let (mut octets, mut strings) = (text.trim().bytes().peekable(), Vec::new());
    while let Some(first) = octets.next() {
        strings.push((first == b'"').then(|| token(first, &mut octets, &mut 0).ok())??);
        while octets.next_if(u8::is_ascii_whitespace).is_some() {}
    }
    (!strings.is_empty() && strings.iter().all(|string| string.len() <= 255))
        .then_some(TxtRecord { strings })
}

/// What is behind a `\`: three decimal digits, or any octet that means itself.
fn escaped(octets: &mut std::iter::Peekable<std::str::Bytes<'_>>) -> Result<u8, &'static str> {
    let first = octets.next().ok_or("nothing is behind a `\\`")?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut number = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = octets
            .next_if(u8::is_ascii_digit)
            .ok_or("a `\\` before a digit needs three of them")?;
        number = number * 10 + u16::from(digit - b'0');
    }
    u8::try_from(number).map_err(|_| "a number behind `\\` is larger than 255")
}

impl TxtRecord {
    /// Reads TXT data as `dig` prints it: `"v=spf1 -all"`, `"one" "two"`.
    ///
    /// # Errors
    /// The fault in the text.
    pub fn from_presentation(text: &str) -> Result<Self, String> {
        let mut entries = entries(text)?;
        match (entries.pop(), entries.len()) {
            (Some(entry), 0) if entry.tokens.iter().all(|string| string.len() <= 255) => Ok(Self {
                strings: entry.tokens,
            }),
            (Some(_), 0) => Err("a character-string is longer than 255 octets".into()),
            (None, _) => Err("there is no character-string".into()),
            _ => Err("there is more than one line".into()),
        }
    }

    /// Reads TXT data as web APIs have it: strings in quotes, or, in old records and in some APIs,
    /// the bare text. What begins with a quote and is not a sequence of quoted strings is taken as
    /// it is.
    pub fn from_content(text: &str) -> Self {
        quoted(text).unwrap_or_else(|| Self::of(text))
    }

    /// The data in its stored split, each string in quotes, everything but printable ASCII as
    /// `\DDD`.
    pub fn presentation(&self) -> String {
        let string = |octets: &Vec<u8>| {
            format!(
                "\"{}\"",
                Self {
                    strings: vec![octets.clone()]
                }
                .display()
            )
        };
        self.strings
            .iter()
            .map(string)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_escapes_parentheses_and_comments_are_read_as_rfc_1035_has_them() {
        let text = "@ TXT ( \"v=DKIM1; k=rsa; \" ; a comment\n  \"p=\\195\\188\\\"\" )\n\n  TXT bare\\;word; rest\n; all\nb A 1";
        let found = entries(text).unwrap();
        let tokens = |entry: &Entry| {
            entry
                .tokens
                .iter()
                .map(|token| String::from_utf8_lossy(token).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(tokens(&found[0]), ["@", "TXT", "v=DKIM1; k=rsa; ", "p=ü\""]);
        assert_eq!(
            (tokens(&found[1]), found[1].is_indented, found[1].line),
            (vec!["TXT".into(), "bare;word".into()], true, 4)
        );
        assert_eq!(
            (tokens(&found[2]), found[2].is_indented, found[2].line),
            (vec!["b".into(), "A".into(), "1".into()], false, 6)
        );
        for bad in ["a ( b", "a )", "\"open", "\\25", "\\256", "x \\"] {
            assert!(entries(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_the_ages_of_windows_are_no_part_of_an_entry() {
        let text = "\u{feff}$ORIGIN a.example.\n@ [AGE:3692880] 1200 TXT ( \"x\" )\n\t[Age:1] 60 TXT [AGE:2]\nsub [AGE:x] TXT \"[AGE:3]\"\n";
        let found = entries(text).unwrap();
        let words = |entry: &Entry| -> Vec<String> {
            let text = |token: &Vec<u8>| String::from_utf8_lossy(token).into_owned();
            entry.tokens.iter().map(text).collect()
        };
        assert_eq!(
            found.iter().map(words).collect::<Vec<_>>(),
            [
                vec!["$ORIGIN", "a.example."],
                vec!["@", "1200", "TXT", "x"],
                vec!["60", "TXT", "[AGE:2]"],
                vec!["sub", "[AGE:x]", "TXT", "[AGE:3]"],
            ]
        );
    }

    #[test]
    fn quoted_and_bare_contents_are_the_same_value() {
        let read = |text: &str| TxtRecord::from_content(text).joined();
        for content in [
            "v=spf1 -all",
            "\"v=spf1 -all\"",
            "\"v=spf1\" \" -all\"",
            "\"v=spf1\"\" -all\"",
            "\"v=spf1\\032-all\"",
        ] {
            assert_eq!(read(content), b"v=spf1 -all", "{content}");
        }
        for odd in [
            "\"open",
            "\"a\" b",
            "\"a\" ; b",
            "say \"hi\"",
            "\"\\999\"",
            "",
        ] {
            assert_eq!(read(odd), odd.as_bytes());
        }
        assert_eq!(read("\"Z\u{fc}rich\""), "Z\u{fc}rich".as_bytes());
    }

    proptest! {
        #[test]
        fn any_record_survives_its_presentation(strings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=255), 1..4)) {
            let record = TxtRecord { strings };
            prop_assert_eq!(&TxtRecord::from_presentation(&record.presentation()).unwrap(), &record);
            prop_assert_eq!(TxtRecord::from_content(&record.presentation()), record);
        }

        #[test]
        fn no_text_is_a_panic(text in ".*") {
            let _ = entries(&text);
            TxtRecord::from_content(&text);
        }
    }
}
