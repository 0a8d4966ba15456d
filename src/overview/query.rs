//! Finding domains in a snapshot: search, filters, order, paging. The same for the interface and
//! for the pages, and pure.
//!
//! A query is written as the parameters of a URL: [`Query::read`] and [`Query::pairs`] are each
//! other's inverse.

pub mod within;

use std::cmp::Reverse;
use std::fmt;

use jiff::Timestamp;
use url::form_urlencoded;

use self::within::{Within, moment};
use super::danger::{Danger, Gravity};
use super::snapshot::{Entry, Snapshot};
use crate::prevalidation::{DomainName, State};

/// The longest search, in bytes: no name is longer (RFC 1035, section 3.1), and no client's key is.
pub const LONGEST_TEXT: usize = 256;
/// The most entries of one page.
pub const MOST: usize = 1000;

/// The filter and the order of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// `q`: words that all occur in the name, in either form; empty: any name.
    pub text: String,
    /// `state`
    pub state: Option<State>,
    /// `client`: its key.
    pub client: Option<String>,
    /// `provider`: the one that a domain names.
    pub provider: Option<String>,
    /// `needs_a_person`: only those that do, or do not.
    pub needs_a_person: Option<bool>,
    /// `covered`: only those that another domain covers, or those that need their own proof.
    pub covered: Option<bool>,
    /// `renewal_from`, `renewal_before`: by the planned renewal.
    pub renewal: Within,
    /// `ends_from`, `ends_before`: by the end of the proof.
    pub ends: Within,
    /// `sort`
    pub sort: Sort,
    /// `sort=-…`
    pub descending: bool,
    /// `page` or `after`
    pub start: Start,
    /// `limit`: 1 to [`MOST`].
    pub limit: usize,
}

/// By what entries are ordered; among equals by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// By name.
    #[default]
    Name,
    /// In the order of a life.
    State,
    /// By the end of the proof; first those of which none counts.
    UsableUntil,
    /// By the planned renewal; last those without.
    RenewAt,
    /// By when something is to be done; last those where nothing is.
    DueAt,
    /// The most severe first: lapsed, below the margins, what needs a person; each by the end of
    /// the proof.
    Danger,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The page of this number, from 1. What changes between two pages may be seen twice or not at
    /// all.
    Page(usize),
    /// After the last entry of the page before. So an entry that exists all the time is shown once.
    After(Cursor),
}

/// The place of an entry in the order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    key: i64,
    domain: DomainName,
    /// Of a further row of the domain.
    client: Option<String>,
}

/// The result.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// How many there are on all pages.
    pub total: usize,
    /// Those of this page.
    pub entries: Vec<&'a Entry>,
    /// Where the next page begins; `None`: this is the last one.
    pub next: Option<Cursor>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            text: String::new(),
            state: None,
            client: None,
            provider: None,
            needs_a_person: None,
            covered: None,
            renewal: Within::default(),
            ends: Within::default(),
            sort: Sort::Name,
            descending: false,
            start: Start::Page(1),
            limit: 100,
        }
    }
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Name,
        Self::State,
        Self::UsableUntil,
        Self::RenewAt,
        Self::DueAt,
        Self::Danger,
    ];

    /// The word of the parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::UsableUntil => "usable_until",
            Self::RenewAt => "renew_at",
            Self::DueAt => "due_at",
            Self::Danger => "danger",
        }
    }

    /// The key that entries are sorted by.
    pub fn key(self, entry: &Entry) -> i64 {
        let moment = |at: Option<Timestamp>, none| at.map_or(none, Timestamp::as_microsecond);
        match self {
            Self::Name => 0,
            Self::State => entry.state as i64,
            Self::UsableUntil => moment(entry.usable_until, i64::MIN),
            Self::RenewAt => moment(entry.renew_at, i64::MAX),
            Self::DueAt => moment(entry.due_at, i64::MAX),
            Self::Danger => {
                let end = entry.usable_until.or(entry.proven_until);
                rank(entry) << ENDS_BITS | moment(end, 0).clamp(0, (1 << ENDS_BITS) - 1)
            }
        }
    }
}

/// Microseconds to the end of the calendar have fewer bits.
const ENDS_BITS: u32 = 58;

/// How severe an entry is, the most severe first.
fn rank(entry: &Entry) -> i64 {
    match (entry.state, entry.danger, entry.gravity) {
        (State::Unmanaged, ..) => 6,
        (_, Danger::Lapsed, _) => 0,
        (_, Danger::Critical, _) => 1,
        (_, _, Gravity::Critical) => 2,
        (_, Danger::Warning, _) => 3,
        (_, _, Gravity::Warning) => 4,
        _ => 5,
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.key, self.domain)?;
        match &self.client {
            Some(client) => {
                let client = form_urlencoded::byte_serialize(client.as_bytes());
                write!(f, "/{}", client.collect::<String>())
            }
            None => Ok(()),
        }
    }
}

impl std::str::FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "must be the `next` of an earlier answer";
        let (key, domain) = text.split_once('.').ok_or(FORM)?;
        let (domain, client) = match domain.split_once('/') {
            Some((domain, client)) => (domain, Some(client)),
            None => (domain, None),
        };
        let read = |client: &str| {
            let text = format!("c={client}");
            let mut pairs = form_urlencoded::parse(text.as_bytes());
            pairs.next().map(|(_, client)| client.into_owned())
        };
        Ok(Self {
            key: read_key(key).ok_or(FORM)?,
            domain: DomainName::from_a_labels(domain).map_err(|_| FORM)?,
            client: client.and_then(read),
        })
    }
}

/// Digits as openapi.json allows them; what no moment can have is as good as the last one.
fn read_key(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = (1..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let far = if digits.len() < text.len() {
        i64::MIN
    } else {
        i64::MAX
    };
    is_number.then(|| text.parse().unwrap_or(far))
}

impl Query {
    /// Every name that [`Query::read`] knows.
    pub const PARAMETERS: [&str; 13] = [
        "q",
        "state",
        "client",
        "provider",
        "needs_a_person",
        "covered",
        "renewal_from",
        "renewal_before",
        "ends_from",
        "ends_before",
        "sort",
        "after",
        "limit",
    ];

    /// Reads the parameters of a URL. An empty one is as good as absent: forms send them. The error
    /// lists every fault, each with its parameter, and repeats no value.
    pub fn read<'p>(
        pairs: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<Self, Vec<String>> {
        let (mut query, mut faults) = (Self::default(), Vec::new());
        for (name, value) in pairs {
            if let Err(fault) = query.set(name, value.trim()) {
                faults.push(format!("{}: {fault}", shown(name)));
            }
        }
        if faults.is_empty() {
            Ok(query)
        } else {
            Err(faults)
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if value.len() > LONGEST_TEXT {
            return Err(format!("must not be longer than {LONGEST_TEXT} bytes"));
        }
        let text = (!value.is_empty()).then(|| value.to_owned());
        match (name, value) {
            ("q", _) => self.text = value.to_owned(),
            ("client", _) => self.client = text,
            ("provider", _) => self.provider = text,
            (_, "") if Self::PARAMETERS.contains(&name) || name == "page" => {}
            ("state", _) => {
                let state = State::ALL.into_iter().find(|state| state.as_str() == value);
                self.state = Some(state.ok_or_else(|| one_of(State::ALL.map(State::as_str)))?);
            }
            ("needs_a_person", _) => {
                self.needs_a_person = Some(value.parse().map_err(|_| one_of(["true", "false"]))?);
            }
            ("covered", _) => {
                self.covered = Some(value.parse().map_err(|_| one_of(["true", "false"]))?);
            }
            ("renewal_from", _) => self.renewal.from = Some(moment(value)?),
            ("renewal_before", _) => self.renewal.before = Some(moment(value)?),
            ("ends_from", _) => self.ends.from = Some(moment(value)?),
            ("ends_before", _) => self.ends.before = Some(moment(value)?),
            ("sort", _) => {
                let word = value.strip_prefix('-').unwrap_or(value);
                let sort = Sort::ALL.into_iter().find(|sort| sort.as_str() == word);
                let words = || {
                    format!(
                        "{}, or one of them with `-` in front",
                        one_of(Sort::ALL.map(Sort::as_str))
                    )
                };
                (self.sort, self.descending) = (sort.ok_or_else(words)?, word.len() < value.len());
            }
            ("after", _) => self.start = Start::After(value.parse().map_err(str::to_owned)?),
            ("page", _) => {
                let page = value.parse().ok().filter(|page| *page >= 1);
                self.start = Start::Page(page.ok_or("must be a whole number from 1")?);
            }
            ("limit", _) => {
                let limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MOST).contains(limit));
                self.limit =
                    limit.ok_or_else(|| format!("must be a whole number from 1 to {MOST}"))?;
            }
            _ => {
                return Err(format!(
                    "unknown; allowed are {}",
                    Self::PARAMETERS.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// The query as parameters of a URL, without those that are as they would be anyway.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let default = Self::default();
        let (minus, sort) = (if self.descending { "-" } else { "" }, self.sort.as_str());
        let all = [
            ("q", Some(self.text.clone()).filter(|text| !text.is_empty())),
            ("state", self.state.map(|state| state.to_string())),
            ("client", self.client.clone()),
            ("provider", self.provider.clone()),
            (
                "needs_a_person",
                self.needs_a_person.map(|needs| needs.to_string()),
            ),
            ("covered", self.covered.map(|covered| covered.to_string())),
            (
                "sort",
                (self.sort != default.sort || self.descending).then(|| format!("{minus}{sort}")),
            ),
            (
                "limit",
                (self.limit != default.limit).then(|| self.limit.to_string()),
            ),
            match &self.start {
                Start::Page(page) => ("page", (*page > 1).then(|| page.to_string())),
                Start::After(cursor) => ("after", Some(cursor.to_string())),
            },
        ];
        let all = all.into_iter();
        let all = all.filter_map(|(name, value)| Some((name, value?)));
        all.chain(self.spans()).collect()
    }

    /// The parameters of the spans.
    pub fn spans(&self) -> Vec<(&'static str, String)> {
        let bounds = [
            ("renewal_from", self.renewal.from),
            ("renewal_before", self.renewal.before),
            ("ends_from", self.ends.from),
            ("ends_before", self.ends.before),
        ];
        let bounds = bounds.into_iter();
        bounds
            .filter_map(|(name, at)| Some((name, at?.to_string())))
            .collect()
    }

    /// One page of the domains of `snapshot` that match. Takes time in proportion to all of them,
    /// not to their logarithm times more.
    pub fn find<'a>(&self, snapshot: &'a Snapshot) -> Found<'a> {
        let words: Vec<String> = self.text.split_whitespace().map(folded).collect();
        let mut rows: Vec<(i64, &Entry)> = snapshot
            .entries
            .iter()
            .filter(|entry| self.takes(entry, &words))
            .map(|e| (self.sort.key(e), e))
            .collect();
        let total = rows.len();
        let skip = match &self.start {
            Start::Page(page) => (page - 1).saturating_mul(self.limit),
            Start::After(cursor) => {
                let after = |row: &(i64, &Entry)| {
                    let order = place(row).cmp(&cursor.place());
                    if self.descending {
                        order.is_lt()
                    } else {
                        order.is_gt()
                    }
                };
                rows.retain(after);
                0
            }
        };
        let end = skip.saturating_add(self.limit);
        let more = end < rows.len();
        if self.sort == Sort::Name {
            // A snapshot is by name already.
            if self.descending {
                rows.reverse();
            }
            rows.truncate(end);
            rows.drain(..skip.min(rows.len()));
        } else {
            // The pages before and after need no order among themselves.
            self.part(&mut rows, end);
            rows.truncate(end);
            self.part(&mut rows, skip);
            rows.drain(..skip.min(rows.len()));
            if self.descending {
                rows.sort_unstable_by_key(|row| Reverse(place(row)));
            } else {
                rows.sort_unstable_by_key(place);
            }
        }
        let entries: Vec<&Entry> = rows.into_iter().map(|(_, entry)| entry).collect();
        let cursor = |entry: &&Entry| Cursor {
            key: self.sort.key(entry),
            domain: entry.domain.clone(),
            client: entry.further.then(|| entry.client.to_string()),
        };
        Found {
            total,
            next: entries.last().filter(|_| more).map(cursor),
            entries,
        }
    }

    /// Every match, in order: for a download. The page does not count.
    pub fn all<'a>(&self, snapshot: &'a Snapshot) -> Vec<&'a Entry> {
        Self {
            start: Start::Page(1),
            limit: usize::MAX,
            ..self.clone()
        }
        .find(snapshot)
        .entries
    }

    /// Puts those that come before `border` in the order before it.
    fn part(&self, rows: &mut [(i64, &Entry)], border: usize) {
        if border >= rows.len() {
            return;
        }
        if self.descending {
            rows.select_nth_unstable_by_key(border, |row| Reverse(place(row)));
        } else {
            rows.select_nth_unstable_by_key(border, place);
        }
    }

    fn takes(&self, entry: &Entry, words: &[String]) -> bool {
        self.state.is_none_or(|state| entry.state == state)
            && self
                .client
                .as_ref()
                .is_none_or(|client| *entry.client == **client)
            && self
                .provider
                .as_ref()
                .is_none_or(|name| entry.provider.as_deref() == Some(name))
            && self
                .needs_a_person
                .is_none_or(|needs| entry.needs_a_person == needs)
            && self.covered.is_none_or(|covered| entry.covered == covered)
            && self.renewal.takes(entry.renew_at)
            && self.ends.takes(entry.usable_until)
            && (words.is_empty() || has_all(&entry.domain, words))
    }
}

/// A word as names are stored: in small letters, and each letter with its accent as one (UTS 46),
/// however it was typed.
fn folded(word: &str) -> String {
    // The beginning of an A-label is another name in U-labels, or none.
    if word.to_ascii_lowercase().contains("xn--") {
        return word.to_ascii_lowercase();
    }
    match idna::domain_to_unicode(word) {
        (text, Ok(())) => text,
        // A part of an A-label is none.
        _ => word.to_lowercase(),
    }
}

fn has_all(domain: &DomainName, words: &[String]) -> bool {
    let name = domain.as_str();
    // Only a name with A-labels has another form; making it costs time.
    let unicode = name.contains("xn--").then(|| domain.unicode());
    words
        .iter()
        .all(|word| has(name, word) || unicode.as_ref().is_some_and(|name| has(name, word)))
}

/// `str::contains` prepares for long texts, which takes longer than the search in a name.
fn has(name: &str, word: &str) -> bool {
    let (name, word) = (name.as_bytes(), word.as_bytes());
    let Some(first) = word.first() else {
        return true;
    };
    let last = name.len().checked_sub(word.len());
    last.is_some_and(|last| (0..=last).any(|at| name[at] == *first && name[at..].starts_with(word)))
}

/// The place of a row in the ascending order.
fn place<'a>(row: &(i64, &'a Entry)) -> (i64, &'a DomainName, &'a str) {
    let entry = row.1;
    let client = entry.further.then_some(&*entry.client);
    (row.0, &entry.domain, client.unwrap_or_default())
}

impl Cursor {
    fn place(&self) -> (i64, &DomainName, &str) {
        let client = self.client.as_deref().unwrap_or_default();
        (self.key, &self.domain, client)
    }
}

fn one_of<const N: usize>(words: [&str; N]) -> String {
    format!("must be one of {}", words.join(", "))
}

/// A name of a parameter as it may be shown: the client made it up.
fn shown(name: &str) -> &str {
    Query::PARAMETERS
        .into_iter()
        .chain(["page"])
        .find(|known| *known == name)
        .unwrap_or("a parameter")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::prevalidation::Lateness;

    fn entry(name: &str, state: State, usable_until: Option<i64>) -> Entry {
        let moment = |seconds| Timestamp::from_second(seconds).unwrap();
        Entry {
            domain: DomainName::from_a_labels(name).unwrap(),
            client: "sandbox/Muster AG".into(),
            further: false,
            provider: (state == State::Valid).then(|| "internal".into()),
            state,
            covered: false,
            usable_until: usable_until.map(moment),
            with_margin: usable_until.is_some(),
            danger: Default::default(),
            made_at: None,
            proven_until: None,
            gravity: Default::default(),
            renew_at: usable_until.map(|end| moment(end - 100)),
            due_at: None,
            needs_a_person: state == State::Held,
            lateness: Lateness::InTime,
            ca_read_at: None,
            reason: "".into(),
        }
    }

    fn snapshot(mut entries: Vec<Entry>) -> Snapshot {
        entries.sort_by(|a, b| a.domain.cmp(&b.domain));
        Snapshot {
            at: Timestamp::UNIX_EPOCH,
            entries,
            clients: Vec::new(),
            certificates: Vec::new(),
            registrations: Vec::new(),
            machines: Default::default(),
            persistent: Vec::new(),
            troubles: Default::default(),
        }
    }

    fn names(query: &str, snapshot: &Snapshot) -> Vec<String> {
        let pairs: Vec<_> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let found = Query::read(pairs).unwrap();
        found
            .find(snapshot)
            .entries
            .iter()
            .map(|entry| entry.domain.to_string())
            .collect()
    }

    #[test]
    fn names_are_found_in_both_forms_and_filters_add_up() {
        let snapshot = snapshot(vec![
            entry("xn--dj-kia8a.vu.com", State::Valid, Some(2_000)),
            entry("example.ch", State::Held, None),
            entry("shop.example.com", State::Valid, Some(1_000)),
        ]);
        assert_eq!(names("q=DÉJÀ", &snapshot), ["xn--dj-kia8a.vu.com"]);
        assert_eq!(names("q=kia8a", &snapshot), ["xn--dj-kia8a.vu.com"]);
        for written in [
            "De\u{301}ja\u{300}",
            "xn--dj",
            "XN--DJ-KIA8A.vu",
            "vu。com",
            "à.v",
        ] {
            assert_eq!(
                names(&format!("q={written}"), &snapshot),
                ["xn--dj-kia8a.vu.com"],
                "{written}"
            );
        }
        assert_eq!(
            names("q=.com+shop".replace('+', " ").as_str(), &snapshot),
            ["shop.example.com"]
        );
        assert_eq!(names("q=example&state=held", &snapshot), ["example.ch"]);
        assert_eq!(
            names("needs_a_person=false&provider=internal", &snapshot).len(),
            2
        );
        assert_eq!(
            names("client=sandbox/Muster", &snapshot),
            Vec::<String>::new()
        );
        assert_eq!(
            names("sort=usable_until", &snapshot),
            ["example.ch", "shop.example.com", "xn--dj-kia8a.vu.com"],
            "what counts no more is the most urgent"
        );
        assert_eq!(names("sort=-renew_at", &snapshot)[0], "example.ch");
        assert_eq!(
            names("q=&state=&sort=&limit=2&page=2", &snapshot),
            ["xn--dj-kia8a.vu.com"]
        );
        assert_eq!(names("page=99999999999", &snapshot), Vec::<String>::new());
    }

    #[test]
    fn a_span_takes_its_first_moment_and_not_its_end_and_no_domain_without_a_moment() {
        let day = |day: i64| Some(day * 86_400);
        let snapshot = snapshot(vec![
            entry("a.ch", State::Valid, day(9)),
            entry("b.ch", State::Valid, day(10)),
            entry("c.ch", State::Held, None),
        ]);
        let of = |query: &str| names(query, &snapshot);
        assert_eq!(of("ends_from=1970-01-10&ends_before=1970-01-11"), ["a.ch"]);
        assert_eq!(of("ends_before=1970-01-11T00:00:01Z"), ["a.ch", "b.ch"]);
        assert_eq!(of("renewal_from=1970-01-10"), ["b.ch"]);
        assert_eq!(of("covered=true"), Vec::<String>::new());
        assert_eq!(of("renewal_from=&ends_before="), ["a.ch", "b.ch", "c.ch"]);
        let faults = Query::read([("ends_from", "soon"), ("renewal_before", "1970-13-01")]);
        assert_eq!(faults.unwrap_err().len(), 2);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_and_no_value_comes_back() {
        let long = "<script>".repeat(100_000);
        let faults = Query::read([
            ("q", &*long),
            ("state", "<b>"),
            ("sort", "--name"),
            ("limit", "1001"),
            ("page", "0"),
            ("after", "1.<i>"),
            ("needs_a_person", "maybe"),
            ("<u>", "x"),
        ])
        .unwrap_err();
        assert_eq!(faults.len(), 8, "{faults:?}");
        assert!(!faults.concat().contains('<'), "{faults:?}");
        for (_, value) in [("q", "a\0b"), ("q", "\u{202e}")] {
            assert!(Query::read([("q", value)]).is_ok(), "it finds nothing");
        }
    }

    fn any_query() -> impl Strategy<Value = Query> {
        let sort = prop::sample::select(Sort::ALL.to_vec());
        let state = prop::option::of(prop::sample::select(State::ALL.to_vec()));
        (
            "[a-z.&=+é]{0,8}",
            state,
            prop::option::of("[a-zA-Z&/ ]{0,3}[a-z]"),
            any::<bool>(),
            sort,
            1..6_usize,
            prop::option::of(0..4_i64),
        )
            .prop_map(
                |(text, state, client, descending, sort, limit, from)| Query {
                    ends: Within {
                        from: from.and_then(|from| Timestamp::from_second(from).ok()),
                        before: None,
                    },
                    text,
                    state,
                    client,
                    sort,
                    descending,
                    limit,
                    ..Query::default()
                },
            )
    }

    /// What the pattern of openapi.json allows.
    fn a_place() -> impl Strategy<Value = String> {
        let spec: serde_json::Value =
            serde_json::from_str(include_str!("../server/api/openapi.json")).unwrap();
        let parameters = spec["paths"]["/domains"]["get"]["parameters"].clone();
        let mut parameters = parameters.as_array().unwrap().iter();
        let after = parameters.find(|one| one["name"] == "after").unwrap();
        let pattern = after["schema"]["pattern"].as_str().unwrap();
        let most = usize::try_from(after["schema"]["maxLength"].as_u64().unwrap()).unwrap();
        let whole = pattern.trim_start_matches('^').trim_end_matches('$');
        let any = prop::string::string_regex(whole).unwrap();
        any.prop_filter("not longer than the schema allows", move |text| {
            text.len() <= most
        })
    }

    proptest! {
        #[test]
        fn a_query_is_read_as_it_is_written(query in any_query(), page in 1..5_usize, name in "[a-z]{1,9}", key: i64) {
            let domain = DomainName::from_a_labels(&format!("{name}.ch")).unwrap();
            let client = query.client.as_ref().map(|client| client.trim().to_owned());
            for start in [Start::Page(page), Start::After(Cursor { key, domain, client: None })] {
                let query = Query { start, client: client.clone(), ..query.clone() };
                let pairs = query.pairs();
                prop_assert_eq!(Query::read(pairs.iter().map(|(name, value)| (*name, &**value))), Ok(query));
            }
        }

        #[test]
        fn what_the_interface_says_of_a_place_in_the_order_is_read(after in a_place()) {
            prop_assert!(Query::read([("after", &*after)]).is_ok(), "{}", after);
        }

        #[test]
        fn page_by_page_everything_is_seen_once_and_in_order(
            query in any_query(),
            rows in prop::collection::btree_map("[a-z]{1,3}", (0..7_usize, prop::option::of(0..5_i64)), 0..30),
        ) {
            let rows = rows.iter().map(|(name, (state, end))| entry(&format!("{name}.ch"), State::ALL[*state], *end));
            let snapshot = snapshot(rows.collect());
            let mut query = Query { text: String::new(), client: None, ends: Within::default(), ..query };
            let mut wanted: Vec<&Entry> =
                snapshot.entries.iter().filter(|entry| query.state.is_none_or(|state| entry.state == state)).collect();
            wanted.sort_by_key(|entry| (query.sort.key(entry), &entry.domain));
            if query.descending {
                wanted.reverse();
            }
            let wanted: Vec<_> = wanted.iter().map(|entry| &entry.domain).collect();
            let all: Vec<_> = query.all(&snapshot).iter().map(|entry| &entry.domain).collect();
            prop_assert_eq!(&all, &wanted);
            for by_number in [true, false] {
                let (mut seen, mut page) = (Vec::new(), 1);
                query.start = Start::Page(1);
                loop {
                    let found = query.find(&snapshot);
                    prop_assert_eq!(found.total, wanted.len());
                    prop_assert!(found.entries.len() <= query.limit);
                    seen.extend(found.entries.iter().map(|entry| &entry.domain));
                    let Some(next) = found.next else { break };
                    page += 1;
                    query.start = if by_number { Start::Page(page) } else { Start::After(next) };
                }
                prop_assert_eq!(&seen, &wanted);
            }
        }
    }
}
