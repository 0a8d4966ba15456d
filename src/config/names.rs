//! Lists of domain names from people and pipelines: lines with comments, or JSON. Each fault knows
//! its line (faults N03).

use std::path::Path;

use prevalidate_kit::secret::looks_like_a_secret;
use serde_json::Value;

use super::fault::{Fault, UNREAD};
use crate::prevalidation::{DomainName, NameError, Notice};
use crate::text::{NotText, decode};

/// A file with more faults than this is not a list of names.
const MOST_FAULTS: usize = 100;

/// A name from a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: DomainName,
    /// The notice about how it was read.
    pub notices: Vec<Notice>,
    /// Its line, or its place in JSON, from 1.
    pub line: usize,
}

/// The content of a list.
#[derive(Debug, Default)]
pub struct NameList {
    /// In the order of the list; a name may be there twice.
    pub names: Vec<Listed>,
    /// Lines that name no domain that could be prevalidated.
    pub faults: Vec<Fault>,
    /// Whether reading was given up: the file is not a list of names, or too many lines are bad.
    pub is_cut: bool,
}

/// Reads names one a line; white space around them, empty lines, `# comments`, CRLF and a byte
/// order mark do not matter.
///
/// `origin` is what faults call the list. Without `accept_idn`, a name that people may read as
/// another one is a fault.
pub fn read_lines(origin: &Path, bytes: &[u8], accept_idn: bool) -> NameList {
    lines(origin, bytes, &|text| read_name(text, accept_idn))
}

fn lines(origin: &Path, bytes: &[u8], read: &dyn Fn(&str) -> Outcome) -> NameList {
    match decode(bytes) {
        Ok(text) => plain_lines(origin, &text, read),
        Err(not_text) => NameList::no_list(origin, not_text),
    }
}

fn plain_lines(origin: &Path, bytes: &[u8], read: &dyn Fn(&str) -> Outcome) -> NameList {
    let mut list = NameList::default();
    // Old programs of the Mac end a line by CR alone.
    let end = if bytes.contains(&b'\n') { b'\n' } else { b'\r' };
    for (index, line) in bytes.split(|&byte| byte == end).enumerate() {
        let line = line
            .split(|&byte| byte == b'#')
            .next()
            .unwrap_or(line)
            .trim_ascii();
        if line.is_empty() {
            continue;
        }
        let outcome = match std::str::from_utf8(line) {
            Ok(text) => read(text),
            Err(_) => Err((
                "is not UTF-8 text".to_owned(),
                Some(
                    "is it Latin-1? iconv -f latin1 -t utf-8 converts it; or write the name in A-labels (xn--…)".into(),
                ),
            )),
        };
        if !list.add(origin, index + 1, outcome) {
            break;
        }
    }
    list
}

/// Reads names from a pipe: lines as [`read_lines`], or JSON: strings or objects with `name`,
/// `zone` or `domain`, alone, in a list, or one after the other.
pub fn read_any(origin: &Path, bytes: &[u8], accept_idn: bool) -> NameList {
    names(origin, bytes, &|text| read_name(text, accept_idn))
}

/// Like [`read_any`], for names to search by: zones and records that cannot be
/// prevalidated are fine.
pub fn read_any_known(origin: &Path, bytes: &[u8]) -> NameList {
    names(origin, bytes, &|text| {
        read_known(text)
            .map(|name| (name, Vec::new()))
            .map_err(|message| (message, None))
    })
}

fn names(origin: &Path, bytes: &[u8], read: &dyn Fn(&str) -> Outcome) -> NameList {
    let bytes = match decode(bytes) {
        Ok(text) => text,
        Err(not_text) => return NameList::no_list(origin, not_text),
    };
    let body = bytes.trim_ascii_start();
    if !matches!(body.first(), Some(b'[' | b'{' | b'"')) {
        return plain_lines(origin, &bytes, read);
    }
    let mut list = NameList::default();
    let mut place = 0;
    for document in serde_json::Deserializer::from_slice(body).into_iter::<Value>() {
        let items = match document {
            Ok(Value::Array(items)) => items,
            Ok(other) => vec![other],
            Err(error) => {
                // serde_json names the place and the kind of fault, not the text (its own fixed
                // messages).
                let line = bytes[..bytes.len() - body.len()]
                    .iter()
                    .filter(|&&byte| byte == b'\n')
                    .count()
                    + error.line();
                let hint = body.starts_with(b"\"").then(|| {
                    "is it a CSV file? give one name a line, without quotes and without other columns"
                        .to_owned()
                });
                let message = "is not JSON from here on".to_owned();
                list.add(origin, line, Err((message, hint)));
                list.is_cut = true;
                break;
            }
        };
        for item in items {
            place += 1;
            let outcome = match name_in(&item) {
                Some(text) => read(text),
                None => Err((
                    "is neither a string nor an object with `name`, `zone` or `domain`".to_owned(),
                    Some("in JSON the number is the place in the list, not the line".to_owned()),
                )),
            };
            if !list.add(origin, place, outcome) {
                return list;
            }
        }
    }
    list
}

impl NameList {
    /// The whole file is refused.
    fn no_list(origin: &Path, NotText { message, hint }: NotText) -> Self {
        let mut list = Self {
            is_cut: true,
            ..Self::default()
        };
        list.faults.push(Fault {
            file: origin.to_owned(),
            line: None,
            key: String::new(),
            message,
            hint: Some(hint),
        });
        list
    }

    /// Whether too much of it is bad to believe the rest: a file of another kind, or one that was
    /// damaged. One bad line among good ones costs only itself.
    pub fn is_unbelievable(&self) -> bool {
        self.is_cut || self.faults.len() > self.names.len()
    }

    /// Takes an outcome; `false` when it is enough.
    fn add(&mut self, origin: &Path, line: usize, outcome: Outcome) -> bool {
        match outcome {
            Ok((name, notices)) => self.names.push(Listed {
                name,
                notices,
                line,
            }),
            Err((message, hint)) => {
                let full = self.faults.len() >= MOST_FAULTS;
                let message = if full { UNREAD.to_owned() } else { message };
                let hint = if full { None } else { hint };
                let file = origin.to_owned();
                self.faults.push(Fault {
                    file,
                    line: Some(line),
                    key: String::new(),
                    message,
                    hint,
                });
                self.is_cut |= full;
                return !full;
            }
        }
        true
    }
}

type Outcome = Result<(DomainName, Vec<Notice>), (String, Option<String>)>;

/// Reads one name; without `accept_idn` a name that needs consent is refused.
pub fn read_name(text: &str, accept_idn: bool) -> Outcome {
    let parsed = DomainName::parse(text).map_err(|error| (refusal(text, &error), None))?;
    match parsed.notices.iter().find(|notice| !accept_idn && notice.needs_consent()) {
        Some(notice) => Err((
            notice.to_string(),
            Some(
                "if that is the domain you mean, say so with `accept_idn = true` in [policy] or --accept-idn"
                    .to_owned(),
            ),
        )),
        None => Ok((parsed.name, parsed.notices)),
    }
}

/// Reads a name to search by ([`DomainName::look_up`]).
///
/// # Errors
/// The fault of a text that is no name at all.
pub fn read_known(text: &str) -> Result<DomainName, String> {
    DomainName::look_up(text).map_err(|error| refusal(text, &error))
}

fn refusal(text: &str, error: &NameError) -> String {
    if looks_like_a_secret(text) && !looks_like_a_name(text) {
        let reason = error.reason();
        format!("is not a domain name ({reason}); it is not shown here, because it may be a secret")
    } else {
        error.to_string()
    }
}

/// Whether a text is made as a name is, below a public top-level domain: no key and no token ends in
/// one.
fn looks_like_a_name(text: &str) -> bool {
    let text = text.trim().trim_end_matches('.');
    let is_of_letters = |c: char| c.is_alphanumeric() || ".-_".contains(c);
    let top = text
        .rsplit_once('.')
        .map(|(_, top)| top.to_ascii_lowercase());
    text.chars().all(is_of_letters)
        && top.is_some_and(|top| psl::suffix(top.as_bytes()).is_some_and(|s| s.is_known()))
}

fn name_in(item: &Value) -> Option<&str> {
    match item {
        Value::String(text) => Some(text),
        Value::Object(object) => ["name", "zone", "domain"]
            .iter()
            .find_map(|key| object.get(*key))
            .and_then(Value::as_str),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    // `super` brings an `any` of its own.
    use proptest::prelude::{any, *};

    use super::*;

    fn found(list: &NameList) -> Vec<(usize, &str)> {
        list.names
            .iter()
            .map(|listed| (listed.line, listed.name.as_str()))
            .collect()
    }

    fn faults(list: &NameList) -> Vec<String> {
        list.faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_list_from_a_spreadsheet_is_read_and_its_faults_know_their_lines() {
        let bytes = b"\xef\xbb\xbfexample.ch\r\n# all of ours\r\n\r\n  d\xc3\xa9j\xc3\xa0.vu.com # shop\r\nd\xe9j\xe0.vu.com\r\nco.uk\r\nexample.org.";
        let list = read_lines(Path::new("domains.txt"), bytes, false);
        assert_eq!(
            found(&list),
            [
                (1, "example.ch"),
                (4, "xn--dj-kia8a.vu.com"),
                (7, "example.org")
            ]
        );
        let faults = faults(&list);
        assert!(
            faults[0].starts_with("domains.txt:5: is not UTF-8"),
            "{faults:?}"
        );
        assert!(
            faults[1].starts_with("domains.txt:6: `co.uk` is a public suffix"),
            "{faults:?}"
        );
        assert_eq!(faults.len(), 2);
    }

    #[test]
    fn json_comes_in_the_forms_that_pipelines_have() {
        for text in [
            r#"["example.ch", "example.org."]"#,
            r#"[{"name": "example.ch"}, {"zone": "example.org.", "serial": 7}]"#,
            "{\"domain\": \"example.ch\"}\n{\"domain\": \"example.org\"}\n",
            "\"example.ch\"\n\"example.org\"",
            "\u{feff}\n [\"example.ch\",\"example.org\"]",
            "example.ch\nexample.org",
        ] {
            let list = read_any(Path::new("<stdin>"), text.as_bytes(), false);
            let found: Vec<_> = list
                .names
                .iter()
                .map(|listed| listed.name.as_str())
                .collect();
            assert_eq!(found, ["example.ch", "example.org"], "{text}");
            assert!(list.faults.is_empty(), "{text}: {:?}", faults(&list));
        }
        let list = read_any(Path::new("<stdin>"), b"\n[\"example.ch\", 7,\n", false);
        assert_eq!(faults(&list), ["<stdin>:3: is not JSON from here on"]);
        let list = read_any(
            Path::new("<stdin>"),
            br#"["example.ch", {"fqdn": "example.org"}]"#,
            false,
        );
        assert!(faults(&list)[0].starts_with("<stdin>:2: is neither"));
    }

    #[test]
    fn lists_that_windows_and_spreadsheets_write_are_read_or_told_by_what_they_are() {
        let wide = |text: &str| -> Vec<u8> {
            let units = text.encode_utf16().flat_map(u16::to_le_bytes);
            b"\xff\xfe".iter().copied().chain(units).collect()
        };
        for bytes in [
            wide("example.ch\r\nd\u{e9}j\u{e0}.vu.com\r\n"),
            b"example.ch\rd\xc3\xa9j\xc3\xa0.vu.com\r".to_vec(),
            wide(r#"["example.ch", "déjà.vu.com"]"#),
        ] {
            let list = read_any(Path::new("x"), &bytes, false);
            assert!(list.faults.is_empty(), "{:?}", faults(&list));
            assert_eq!(list.names[1].name.as_str(), "xn--dj-kia8a.vu.com");
        }
        for (text, line, words) in [
            ("example.ch,Muster AG\n", 1, "a comma (is it a CSV file?)"),
            (
                "a.ch\nexample.ch;internal\n",
                2,
                "a semicolon (is it a CSV file?)",
            ),
            ("example.ch\tinternal\n", 1, "a tab"),
            ("a.ch\n\u{201c}example.ch\u{201d}\n", 2, "a quotation mark"),
        ] {
            let list = read_any(Path::new("x"), text.as_bytes(), false);
            let fault = &faults(&list)[0];
            assert!(fault.starts_with(&format!("x:{line}: ")), "{fault}");
            assert!(fault.contains(words), "{text}: {fault}");
        }
        let quoted = read_any(Path::new("x"), b"\"a.ch\",\"Muster AG\"\n", false);
        assert!(quoted.is_unbelievable());
        assert!(quoted.faults[0].hint.as_ref().unwrap().contains("CSV"));
        let page = read_lines(Path::new("x"), b"<html><body>example.ch</body>", false);
        assert!(page.names.is_empty() && page.is_unbelievable(), "{page:?}");
    }

    #[test]
    fn a_long_name_is_shown_with_its_reason_and_a_secret_only_with_its_reason() {
        let fault = |text: &str| read_known(text).unwrap_err();
        let label = "a".repeat(64);
        let said = fault(&format!("{label}.ch"));
        assert!(
            said.contains(&label) && said.contains("longer than 63"),
            "{said}"
        );
        for secret in [
            label.clone(),
            format!("key={label}.ch"),
            format!("https://u:{label}@example.ch"),
            format!("{label}.{label}.c1"),
            format!("{label} example.ch"),
        ] {
            let said = fault(&secret);
            assert!(
                !said.contains(&label) && said.contains("not a domain name ("),
                "{said}"
            );
        }
    }

    #[test]
    fn a_name_that_people_read_differently_needs_consent() {
        let refused = read_lines(Path::new("x"), "straße.ch".as_bytes(), false);
        assert!(
            refused.names.is_empty()
                && refused.faults[0]
                    .hint
                    .as_ref()
                    .unwrap()
                    .contains("accept_idn")
        );
        let accepted = read_lines(Path::new("x"), "straße.ch".as_bytes(), true);
        assert_eq!(found(&accepted), [(1, "xn--strae-oqa.ch")]);
    }

    #[test]
    fn a_file_that_is_no_list_does_not_fill_the_screen() {
        let list = read_lines(
            Path::new("x"),
            "no name\n".repeat(100_000).as_bytes(),
            false,
        );
        assert_eq!(list.faults.len(), MOST_FAULTS + 1);
    }

    #[test]
    fn a_hundred_thousand_names_are_read() {
        let text: String = (0..100_000)
            .map(|n| format!("host-{n}.example.ch\n"))
            .collect();
        let list = read_lines(Path::new("x"), text.as_bytes(), false);
        assert_eq!((list.names.len(), list.faults.len()), (100_000, 0));
    }

    proptest! {
        #[test]
        fn no_bytes_upset_the_readers(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let list = read_any(Path::new("x"), &bytes, false);
            prop_assert!(list.names.len() + list.faults.len() <= bytes.len());
        }
    }
}
