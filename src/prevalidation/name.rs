//! Domain names, parsed once: an A-label form that is compared, sent and published, and a U-label
//! form that people see.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_script::{Script, UnicodeScript};

/// A domain name in lower-case A-labels without a trailing dot. Clones share one text: a run knows
/// each of 100,000 names in several places.
///
/// ```
/// use prevalidate::prevalidation::DomainName;
/// let parsed = DomainName::parse("Déjà.VU.com.").expect("a good name");
/// assert_eq!(parsed.name.as_str(), "xn--dj-kia8a.vu.com");
/// assert_eq!(parsed.name.unicode(), "déjà.vu.com");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(Arc<str>);

/// A name from a person, parsed, with the notices about how it was read.
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
    /// `*.` was removed: validating a domain covers wildcards below it.
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
    #[error(
        "`{0}` is a public suffix; no customer can prove control of it (CA/B Forum BR 3.2.2.6)"
    )]
    PublicSuffix(String),
    /// No top-level domain of the Internet.
    #[error(
        "`{0}` ends in `.{1}`, which is no public top-level domain; a public CA cannot validate internal names"
    )]
    Internal(String, String),
    /// Set aside by RFC 6761 and its kin, or the reverse tree.
    #[error("`{0}` is below `{1}`, which is reserved and cannot be validated by a public CA")]
    Reserved(String, &'static str),
}

impl NameError {
    /// The reason alone, without the text that was refused: that may be a secret.
    pub fn reason(&self) -> &str {
        match self {
            Self::Empty => "it is empty",
            Self::Malformed(_, reason) => reason,
            Self::Address(_) => "it is an IP address",
            Self::SingleLabel(_) => "it has one label only",
            Self::Underscore(_) => "it has an underscore label",
            Self::PublicSuffix(_) => "it is a public suffix",
            Self::Internal(..) => "it ends in no public top-level domain",
            Self::Reserved(..) => "it is below a reserved name",
        }
    }
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

/// Quotation marks of any kind.
const QUOTES: [char; 14] = [
    '"', '\'', '`', '´', '“', '”', '„', '‟', '‘', '’', '‚', '«', '»', '＂',
];

impl DomainName {
    /// Reads a name as people write it: U-labels or A-labels, any case, one trailing dot, `*.` in
    /// front.
    pub fn parse(input: &str) -> Result<Parsed, NameError> {
        let input = in_dots(input);
        let trimmed = input.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if trimmed.is_empty() {
            return Err(NameError::Empty);
        }
        let mut notices = Vec::new();
        let written = trimmed.strip_suffix('.').unwrap_or(trimmed);
        let wildcard = written.strip_prefix("*.");
        let written = wildcard.unwrap_or(written);
        if written.is_empty() {
            return Err(NameError::Empty);
        }
        let shown = escape(trimmed);

        let lower = written.to_lowercase();
        if lower.split('.').any(|label| label.starts_with('_')) {
            return Err(NameError::Underscore(shown));
        }
        // UTS #46 lets typographic quotation marks pass, and no registry does.
        if written.contains(QUOTES) {
            return Err(malformed(written, &shown));
        }
        let ascii =
            idna::domain_to_ascii_strict(written).map_err(|_| malformed(written, &shown))?;
        check(&ascii, &shown)?;

        let name = Self(ascii.into());
        if wildcard.is_some() {
            notices.push(Notice::WildcardStripped(name.unicode()));
        }
        if LAB.iter().any(|tld| name.is_below_text(tld)) {
            notices.push(Notice::Lab(name.unicode()));
        }
        if lower.contains(DEVIATIONS) || name.unicode().contains(DEVIATIONS) {
            notices.push(Notice::Deviation(name.unicode(), name.to_string()));
        }
        if let Some(scripts) = name.unicode().split('.').find_map(mixed_scripts) {
            notices.push(Notice::MixedScript(
                name.unicode(),
                scripts,
                name.to_string(),
            ));
        }
        // A list of 100,000 names below `test` keeps all of these until it is whole.
        notices.shrink_to_fit();
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
            Ok(Self(lower.into()))
        } else {
            Err(NameError::Malformed(
                escape(text),
                "not in A-labels".to_owned(),
            ))
        }
    }

    /// Reads a name to search by: one that needs consent was consented to, and one that
    /// could not be prevalidated, such as `_dmarc.example.ch`, is found nowhere.
    ///
    /// # Errors
    /// The fault of a text that is no name at all.
    pub fn look_up(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
            .map(|parsed| parsed.name)
            .or_else(|error| Self::from_a_labels(in_dots(text).trim()).map_err(|_| error))
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
            self.to_string()
        }
    }

    /// `déjà.vu.com (xn--dj-kia8a.vu.com)`, or the name alone when both forms are the same.
    pub fn both_forms(&self) -> String {
        let unicode = self.unicode();
        if unicode == *self.0 {
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
        self.0.split_once('.').map(|(_, rest)| Self(rest.into()))
    }

    /// The name and every one above it, up to the top-level domain.
    pub fn at_and_above(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |name| {
            name.split_once('.').map(|(_, rest)| rest)
        })
    }

    fn is_below_text(&self, parent: &str) -> bool {
        self.0.len() > parent.len() && is_within(&self.0, parent)
    }
}

/// Whether `name` is `apex` or is below it, on a label boundary.
pub fn is_within(name: &str, apex: &str) -> bool {
    name.strip_suffix(apex)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for DomainName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DomainName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::from_a_labels(&text).map_err(serde::de::Error::custom)
    }
}

/// The full stops of Chinese and Japanese writing are dots in a name (UTS #46, section 2.3), also
/// at its end.
fn in_dots(text: &str) -> String {
    text.replace(['\u{3002}', '\u{ff0e}', '\u{ff61}'], ".")
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
    if let Some(&tree) = RESERVED.iter().find(|tree| is_within(ascii, tree)) {
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
            // A suffix of the private section (github.io) belongs to a customer who can prove it.
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
    let labels = || written.split('.');
    #[allow(
        clippy::disallowed_methods,
        reason = "only measures a name that the strict function has refused"
    )]
    let ascii = idna::domain_to_ascii(written).unwrap_or_else(|_| written.to_owned());
    let reason = if written.contains("://") {
        "give the name alone, without `https://`".to_owned()
    } else if let Some(reason) = forbidden(written) {
        reason
    } else if labels().any(str::is_empty) {
        "it has an empty label (two dots in a row, or one in front)".to_owned()
    } else if ascii.split('.').any(|label| label.len() > 63) {
        "a label is longer than 63 octets".to_owned()
    } else if ascii.len() > 253 {
        "the name is longer than 253 octets".to_owned()
    } else if labels().any(|label| label.starts_with('-') || label.ends_with('-')) {
        "a label begins or ends with a hyphen".to_owned()
    } else if labels().any(|label| {
        label.get(2..4) == Some("--") && !label.to_ascii_lowercase().starts_with("xn--")
    }) {
        "a label has hyphens in third and fourth place and is no A-label".to_owned()
    } else if written.to_ascii_lowercase().contains("xn--") {
        "an `xn--` label is not valid Punycode of a permitted name".to_owned()
    } else {
        "its characters may not be together in one label (UTS #46)".to_owned()
    };
    NameError::Malformed(shown.to_owned(), reason)
}

/// The first kind of character that no name can hold, by its name; what usually brought it there.
fn forbidden(written: &str) -> Option<String> {
    let one_a_line = "one name is on each line, alone; comments begin with `#`";
    let has = |set: &[char]| written.contains(set);
    if has(&['/']) {
        return Some("it holds a slash".to_owned());
    }
    if has(&['@']) {
        return Some("it holds an `@`".to_owned());
    }
    if has(&['*']) {
        return Some("`*` may only be at the beginning, as `*.`".to_owned());
    }
    if has(&[',']) {
        return Some(format!(
            "it holds a comma (is it a CSV file?); {one_a_line}"
        ));
    }
    if has(&[';']) {
        return Some(format!(
            "it holds a semicolon (is it a CSV file?); {one_a_line}"
        ));
    }
    if has(&QUOTES) {
        return Some("it holds a quotation mark; write the name without quotes".to_owned());
    }
    if has(&['\t']) {
        return Some(format!("it holds white space, a tab; {one_a_line}"));
    }
    if written.chars().any(char::is_whitespace) {
        return Some(format!("it holds white space; {one_a_line}"));
    }
    if has(&[':']) {
        return Some("it holds a port or a colon".to_owned());
    }
    if written.chars().any(char::is_control) {
        return Some("it holds a control character".to_owned());
    }
    if has(&['_']) {
        return Some("it holds an underscore, which no host name has".to_owned());
    }
    if has(&[char::REPLACEMENT_CHARACTER]) {
        return Some("it holds U+FFFD, the sign for a character that was lost".to_owned());
    }
    let refused = |text: String| idna::domain_to_ascii_strict(&text).is_err();
    // A mark needs a letter before it, and letters of another direction must not have one.
    let forbidden = |&c: &char| refused(c.to_string()) && refused(format!("a{c}a"));
    let c = written
        .chars()
        .filter(|&c| c != '.' && c != '-')
        .find(forbidden)?;
    let code = u32::from(c);
    Some(if c.is_ascii_punctuation() {
        format!("it holds `{c}`, which no host name has")
    } else {
        format!("it holds U+{code:04X}, a character that UTS #46 does not permit")
    })
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
