//! Domain names, parsed once: an A-label form that is compared, sent and published, and a U-label
//! form that people see.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use unicode_script::{Script, UnicodeScript};

/// A domain name in lower-case A-labels without a trailing dot.
///
/// ```
/// use prevalidate::prevalidation::DomainName;
/// let parsed = DomainName::parse("Déjà.VU.com.").expect("a good name");
/// assert_eq!(parsed.name.as_str(), "xn--dj-kia8a.vu.com");
/// assert_eq!(parsed.name.unicode(), "déjà.vu.com");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct DomainName(String);

/// A name that people wrote, understood, with what they should know about how it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The name.
    pub name: DomainName,
    /// In the order found; may be empty.
    pub notices: Vec<Notice>,
}

/// Something worth saying about a name that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// `*.` was taken away: validating a domain covers wildcards below it.
    #[error(
        "`*.` is not part of a prevalidated name and was left out; validating {0} covers its wildcards"
    )]
    WildcardStripped(String),
    /// Below `test` or `example`: no public CA will ever validate it.
    #[error("{0} is below a top-level domain reserved for tests; only a sandbox will validate it")]
    Lab(String),
    /// ß, ς, ZWJ or ZWNJ: IDNA 2003 and 2008 disagree, so another program may mean another domain.
    #[error("{0} holds a character that older software maps to another domain; it becomes {1}")]
    Deviation(String, String),
    /// One label mixes scripts, as look-alikes do.
    #[error("{0} mixes scripts in one label ({1}), as look-alike names do; it becomes {2}")]
    MixedScript(String, String, String),
}

impl Notice {
    /// Whether a person must agree (`accept_idn`) before the name is used.
    pub fn needs_consent(&self) -> bool {
        matches!(self, Self::Deviation(..) | Self::MixedScript(..))
    }
}

/// Why a name cannot be prevalidated. The text names the input with control characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but white space.
    #[error("an empty name")]
    Empty,
    /// Not a domain name at all: spaces, slashes, ports, control characters, empty or too long
    /// labels.
    #[error("`{0}` is not a domain name: {1}")]
    Malformed(String, String),
    /// `192.0.2.1` and the like.
    #[error("`{0}` is an IP address; only domain names are prevalidated")]
    Address(String),
    /// A single label.
    #[error("`{0}` has one label only; give a whole domain name such as example.ch")]
    SingleLabel(String),
    /// An underscore label: no host name, and not registered at a CA.
    #[error("`{0}` has an underscore label; register the domain itself")]
    Underscore(String),
    /// At or above a public suffix.
    #[error("`{0}` is a public suffix; nobody can prove control of it (CA/B Forum BR 3.2.2.6)")]
    PublicSuffix(String),
    /// No top-level domain of the Internet.
    #[error(
        "`{0}` ends in `.{1}`, which is no public top-level domain; a public CA cannot validate internal names"
    )]
    Internal(String, String),
    /// Set aside by RFC 6761 and its kin, or the reverse tree.
    #[error("`{0}` lies below `{1}`, which is reserved and cannot be validated by a public CA")]
    Reserved(String, &'static str),
}

/// Reserved trees (IANA special-use registry) whose names no public CA validates; the reverse trees
/// since 2026-03-15 (BR).
const RESERVED: [&str; 10] = [
    "localhost",
    "local",
    "invalid",
    "onion",
    "alt",
    "internal",
    "home.arpa",
    "in-addr.arpa",
    "ip6.arpa",
    "arpa",
];

/// Top-level domains for tests and documents (RFC 6761): accepted, so that labs work.
const LAB: [&str; 2] = ["test", "example"];

/// Characters that IDNA 2003 mapped away and IDNA 2008 keeps (UTS #46, section 4 "deviation
/// characters").
const DEVIATIONS: [char; 4] = ['ß', 'ς', '\u{200c}', '\u{200d}'];

impl DomainName {
    /// Reads a name as people write it: U-labels or A-labels, any case, one trailing dot, `*.` in
    /// front.
    pub fn parse(input: &str) -> Result<Parsed, NameError> {
        let trimmed = input.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if trimmed.is_empty() {
            return Err(NameError::Empty);
        }
        let mut notices = Vec::new();
        let written = trimmed.strip_suffix('.').unwrap_or(trimmed);
        let wildcard = written.strip_prefix("*.");
        let written = wildcard.unwrap_or(written);
        let shown = escape(trimmed);

        let lower = written.to_lowercase();
        if lower.split('.').any(|label| label.starts_with('_')) {
            return Err(NameError::Underscore(shown));
        }
        let ascii =
            idna::domain_to_ascii_strict(written).map_err(|_| malformed(written, &shown))?;
        check(&ascii, &shown)?;

        let name = Self(ascii);
        if wildcard.is_some() {
            notices.push(Notice::WildcardStripped(name.unicode()));
        }
        if LAB.iter().any(|tld| name.is_below_text(tld)) {
            notices.push(Notice::Lab(name.unicode()));
        }
        if lower.contains(DEVIATIONS) || name.unicode().contains(DEVIATIONS) {
            notices.push(Notice::Deviation(name.unicode(), name.0.clone()));
        }
        if let Some(scripts) = name.unicode().split('.').find_map(mixed_scripts) {
            notices.push(Notice::MixedScript(name.unicode(), scripts, name.0.clone()));
        }
        Ok(Parsed { name, notices })
    }

    /// Takes a name that a CA or our own store holds: A-labels in any case. It may be one that
    /// [`DomainName::parse`] would refuse.
    pub fn from_a_labels(text: &str) -> Result<Self, NameError> {
        let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let fits = !lower.is_empty()
            && lower.len() <= 253
            && lower.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            });
        if fits {
            Ok(Self(lower))
        } else {
            Err(NameError::Malformed(
                escape(text),
                "not in A-labels".to_owned(),
            ))
        }
    }

    /// Reads a name to look something up by: one that needs consent was consented to, and one that
    /// could not be prevalidated, such as `_dmarc.example.ch`, is known to nobody.
    ///
    /// # Errors
    /// What is wrong with it, when it is no name at all.
    pub fn look_up(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
            .map(|parsed| parsed.name)
            .or_else(|error| Self::from_a_labels(text.trim()).map_err(|_| error))
    }

    /// Lower-case A-labels, no trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The U-label form, for people only.
    pub fn unicode(&self) -> String {
        let (text, outcome) = idna::domain_to_unicode(&self.0);
        if outcome.is_ok() {
            text
        } else {
            self.0.clone()
        }
    }

    /// `déjà.vu.com (xn--dj-kia8a.vu.com)`, or the name alone when both forms are the same.
    pub fn both_forms(&self) -> String {
        let unicode = self.unicode();
        if unicode == self.0 {
            unicode
        } else {
            format!("{unicode} ({})", self.0)
        }
    }

    /// Whether this name lies strictly below `parent`, on a label boundary.
    pub fn is_below(&self, parent: &Self) -> bool {
        self.is_below_text(&parent.0)
    }

    /// The name without its first label, while that leaves a name.
    pub fn parent(&self) -> Option<Self> {
        self.0
            .split_once('.')
            .map(|(_, rest)| Self(rest.to_owned()))
    }

    /// The name and every one above it, up to the top-level domain.
    pub fn at_and_above(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |name| {
            name.split_once('.').map(|(_, rest)| rest)
        })
    }

    fn is_below_text(&self, parent: &str) -> bool {
        self.0
            .strip_suffix(parent)
            .is_some_and(|rest| rest.ends_with('.'))
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DomainName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::from_a_labels(&text).map_err(serde::de::Error::custom)
    }
}

fn check(ascii: &str, shown: &str) -> Result<(), NameError> {
    let labels: Vec<&str> = ascii.split('.').collect();
    let Some(&last) = labels.last() else {
        return Err(NameError::Empty);
    };
    // WHATWG calls a host whose last label is a number an IPv4 address, and so do the libraries on
    // the way.
    if last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") {
        return Err(NameError::Address(shown.to_owned()));
    }
    let is_or_below = |tree: &str| {
        ascii == tree
            || ascii
                .strip_suffix(tree)
                .is_some_and(|rest| rest.ends_with('.'))
    };
    if let Some(&tree) = RESERVED.iter().find(|tree| is_or_below(tree)) {
        return Err(NameError::Reserved(shown.to_owned(), tree));
    }
    if labels.len() < 2 {
        return Err(
            if psl::suffix(ascii.as_bytes()).is_some_and(|s| s.is_known()) {
                NameError::PublicSuffix(shown.to_owned())
            } else {
                NameError::SingleLabel(shown.to_owned())
            },
        );
    }
    if LAB.contains(&last) {
        return Ok(());
    }
    match psl::suffix(ascii.as_bytes()) {
        Some(suffix) if suffix.is_known() => {
            // A suffix of the private section (github.io) belongs to somebody who can prove it.
            if suffix.as_bytes() == ascii.as_bytes() && suffix.typ() != Some(psl::Type::Private) {
                return Err(NameError::PublicSuffix(shown.to_owned()));
            }
            Ok(())
        }
        _ => Err(NameError::Internal(shown.to_owned(), last.to_owned())),
    }
}

/// Says what is wrong with a name that UTS #46 refused; the crate itself does not tell.
fn malformed(written: &str, shown: &str) -> NameError {
    if written.parse::<std::net::IpAddr>().is_ok() || written.starts_with('[') {
        return NameError::Address(shown.to_owned());
    }
    let reason = if written.contains("://") {
        "give the name alone, without `https://`"
    } else if written.contains('/') {
        "it holds a slash"
    } else if written.contains(':') {
        "it holds a port or a colon"
    } else if written.contains('@') {
        "it holds an `@`"
    } else if written.contains('*') {
        "`*` may only stand in front, as `*.`"
    } else if written.chars().any(char::is_whitespace) {
        "it holds white space"
    } else if written.chars().any(char::is_control) {
        "it holds a control character"
    } else if written.split('.').any(str::is_empty) {
        "it has an empty label (two dots in a row, or one in front)"
    } else if written.split('.').any(|label| label.len() > 63) || written.len() > 253 {
        "a label is longer than 63 octets or the name longer than 253"
    } else if written
        .split('.')
        .any(|label| label.starts_with('-') || label.ends_with('-'))
    {
        "a label begins or ends with a hyphen"
    } else if written.split('.').any(|label| {
        label.get(2..4) == Some("--") && !label.to_ascii_lowercase().starts_with("xn--")
    }) {
        "a label has hyphens in third and fourth place and is no A-label"
    } else if written.to_ascii_lowercase().contains("xn--") {
        "an `xn--` label is not valid Punycode of a permitted name"
    } else {
        "it holds a character that UTS #46 does not permit"
    };
    NameError::Malformed(shown.to_owned(), reason.to_owned())
}

/// The scripts of a label, when they do not belong together (UTS #39 "highly restrictive", without
/// the Latin combinations).
fn mixed_scripts(label: &str) -> Option<String> {
    let mut scripts: Vec<Script> = label
        .chars()
        .map(|c| c.script())
        .filter(|s| !matches!(s, Script::Common | Script::Inherited | Script::Unknown))
        .collect();
    scripts.sort_by_key(|s| s.short_name());
    scripts.dedup();
    let japanese = |s: &Script| matches!(s, Script::Han | Script::Hiragana | Script::Katakana);
    let korean = |s: &Script| matches!(s, Script::Han | Script::Hangul);
    let chinese = |s: &Script| matches!(s, Script::Han | Script::Bopomofo);
    if scripts.len() < 2
        || scripts.iter().all(japanese)
        || scripts.iter().all(korean)
        || scripts.iter().all(chinese)
    {
        return None;
    }
    Some(
        scripts
            .iter()
            .map(|s| s.full_name())
            .collect::<Vec<_>>()
            .join(" and "),
    )
}

/// Escapes what could drive a terminal or forge a log line.
pub(super) fn escape(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(260)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(260).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<String, NameError> {
        DomainName::parse(text).map(|parsed| parsed.name.0)
    }

    #[test]
    fn people_write_a_name_in_many_ways() {
        for (written, name) in [
            ("example.ch", "example.ch"),
            (" Example.CH.\r\n", "example.ch"),
            ("\u{feff}example.ch", "example.ch"),
            ("déjà.vu.com", "xn--dj-kia8a.vu.com"),
            ("de\u{301}ja\u{300}.vu.com", "xn--dj-kia8a.vu.com"),
            ("XN--DJ-KIA8A.vu.com", "xn--dj-kia8a.vu.com"),
            ("example。ch", "example.ch"),
            ("straße.ch", "xn--strae-oqa.ch"),
            ("*.example.ch", "example.ch"),
            ("foo.github.io", "foo.github.io"),
            ("github.io", "github.io"),
            ("1.example.ch", "1.example.ch"),
        ] {
            assert_eq!(parse(written).as_deref(), Ok(name), "{written:?}");
        }
    }

    #[test]
    fn what_nobody_can_prevalidate_is_refused_with_its_reason() {
        for (written, reason) in [
            ("", "empty"),
            ("   ", "empty"),
            (
                "example.com\n.ch",
                "`example.com\\n.ch` is not a domain name",
            ),
            ("example.com/../x", "slash"),
            ("https://example.com", "https://"),
            ("example.com:443", "port"),
            ("me@example.com", "@"),
            ("a.com\0", "not a domain name"),
            ("example..com", "empty label"),
            (".example.com", "empty label"),
            ("exa mple.com", "white space"),
            ("a.*.example.com", "`*`"),
            ("**.example.com", "`*`"),
            ("-a.example.com", "hyphen"),
            ("ab--cd.example.com", "hyphens in third"),
            ("xn--a.example.com", "Punycode"),
            ("_dmarc.example.com", "underscore"),
            ("192.0.2.1", "IP address"),
            ("１２７.0.0.1", "IP address"),
            ("[2001:db8::1]", "IP address"),
            ("0x7f.0x1", "IP address"),
            ("localhost", "reserved"),
            ("host.localhost", "reserved"),
            ("printer.local", "reserved"),
            ("intra.corp", "no public top-level domain"),
            ("2.0.192.in-addr.arpa", "reserved"),
            ("ch", "public suffix"),
            ("co.uk", "public suffix"),
            ("example", "one label"),
        ] {
            let refused = parse(written).unwrap_err().to_string();
            assert!(refused.contains(reason), "{written:?}: {refused}");
        }
        let long = format!("{}.ch", "a".repeat(64));
        assert!(parse(&long).unwrap_err().to_string().contains("63"));
        let longer = format!("{}ch", "abcdefgh.".repeat(28));
        assert!(parse(&longer).is_err());
    }

    #[test]
    fn names_that_deceive_need_consent_and_labs_only_a_notice() {
        let notices = |text: &str| DomainName::parse(text).unwrap().notices;
        assert!(
            notices("straße.ch")[0].needs_consent(),
            "ß became ss in IDNA 2003"
        );
        assert!(
            notices("xn--strae-oqa.ch")[0].needs_consent(),
            "also when written as an A-label"
        );
        assert!(
            notices("pаypal.ch")[0].needs_consent(),
            "Cyrillic а among Latin letters"
        );
        assert!(notices("déjà.vu.com").is_empty());
        assert!(
            notices("例え.ch").is_empty(),
            "Han and Hiragana belong together"
        );
        assert!(matches!(notices("a.test")[..], [Notice::Lab(_)]));
        assert!(matches!(
            notices("*.example.ch")[..],
            [Notice::WildcardStripped(_)]
        ));
    }

    #[test]
    fn below_means_on_a_label_boundary() {
        let name = |text: &str| DomainName::from_a_labels(text).unwrap();
        assert!(name("a.example.com").is_below(&name("example.com")));
        assert!(!name("notexample.com").is_below(&name("example.com")));
        assert!(!name("example.com").is_below(&name("example.com")));
    }

    proptest::proptest! {
        #[test]
        fn reading_a_name_again_changes_nothing(text in "\\PC{0,40}") {
            if let Ok(first) = DomainName::parse(&text) {
                let again = DomainName::parse(first.name.as_str()).unwrap();
                proptest::prop_assert_eq!(&first.name, &again.name);
                let shown = DomainName::parse(&first.name.unicode()).unwrap();
                proptest::prop_assert_eq!(&first.name, &shown.name);
                proptest::prop_assert!(first.name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.'));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(text in ".{0,300}") {
            let _ = DomainName::parse(&text);
            let _ = DomainName::from_a_labels(&text);
        }
    }
}
