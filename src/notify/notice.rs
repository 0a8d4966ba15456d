//! What is said: once for programs, as fields, and once for people, as a title and a plain text.
//! Both hold foreign words (of a CA, of name servers, of TXT values), always escaped and of bounded
//! length.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::concern::{Concern, Concerns};
use super::{Severity, Topic};
use crate::overview::snapshot::Snapshot;
use crate::prevalidation::words::counted;
use crate::prevalidation::{RowKey, State};
use crate::text::{escape, moment, relative};

/// This many are named; the others are counted.
pub const NAMED: usize = 50;

/// Characters of the reason of each.
const WHY: usize = 300;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The same for each try to deliver it.
    pub id: String,
    /// When it was made.
    pub at: Timestamp,
    /// The subject.
    pub topic: Topic,
    /// How severe that is.
    pub severity: Severity,
    /// Whether there is still something wrong.
    #[serde(rename = "standing")]
    pub status: Status,
    /// One line for people.
    pub title: String,
    /// All of it for people, in lines.
    pub text: String,
    /// What is new; at most [`NAMED`] of it.
    pub new: Vec<Item>,
    /// What is over; at most [`NAMED`] of it.
    pub resolved: Vec<Item>,
    /// What was reported before and is still so; as many as there is room for.
    pub still: Vec<Item>,
    /// How many there are of each in truth.
    pub counts: Counts,
}

/// Whether something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Something is.
    Open,
    /// Nothing about this topic is any more.
    Resolved,
    /// It is no such topic.
    Told,
}

/// A domain or a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The domain in A-labels, or the key of the client.
    pub name: String,
    /// For people, with its U-labels.
    pub shown: String,
    /// The client, where the domain is at several and this is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Since when, as far as it was noticed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Told for the first time.
    pub new: usize,
    /// Over.
    pub resolved: usize,
    /// Wrong now, the new ones among them.
    pub open: usize,
}

/// What a message is made of.
pub(super) struct Change<'a> {
    pub topic: Topic,
    pub new: Vec<&'a str>,
    pub over: Vec<&'a str>,
    pub wrong: &'a BTreeMap<Cow<'a, str>, Concern<'a>>,
    pub since: &'a BTreeMap<String, Timestamp>,
}

impl Notice {
    pub(super) fn of(change: &Change<'_>, now: Timestamp) -> Self {
        let Change {
            topic,
            new,
            over,
            wrong,
            since,
        } = change;
        let counts = Counts {
            new: new.len(),
            resolved: over.len(),
            open: wrong.len(),
        };
        let why = |whom: &str| wrong.get(whom).map(|concern| concern.said(now));
        let item = |whom: &str| Item::of(whom, since.get(whom).copied(), why(whom));
        let old = wrong
            .keys()
            .map(|whom| &**whom)
            .filter(|whom| new.binary_search(whom).is_err());
        let still: Vec<Item> = old
            .take(NAMED.saturating_sub(new.len()))
            .map(item)
            .collect();
        let new: Vec<Item> = new.iter().take(NAMED).map(|whom| item(whom)).collect();
        let resolved: Vec<Item> = over
            .iter()
            .take(NAMED)
            .map(|whom| Item::of(whom, None, None))
            .collect();
        let (one, many) = topic.nouns();
        let title = match (counts.open, counts.new, counts.resolved) {
            (0, _, resolved) => format!("over: {}", counted(resolved, one, many)),
            (open, 0, 0) => format!("still {}", counted(open, one, many)),
            (open, new, resolved) => {
                let more = [(new, "new"), (resolved, "over")];
                // When all of it is new, the number says so.
                let more = more
                    .iter()
                    .filter(|(count, _)| *count > 0 && (resolved > 0 || *count != open));
                let more: Vec<_> = more
                    .map(|(count, word)| format!("{count} {word}"))
                    .collect();
                let more = if more.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", more.join(", "))
                };
                format!("{}{more}", counted(open, one, many))
            }
        };
        let mut text = Text::default();
        text.section("New:", &new, counts.new);
        text.section("Over:", &resolved, counts.resolved);
        let word = if counts.new + counts.resolved == 0 {
            "Still so:"
        } else {
            "As before:"
        };
        text.section(word, &still, counts.open - counts.new);
        if counts.open > 0 {
            text.line(topic.advice());
        }
        let status = match counts.open {
            _ if topic.is_event() => Status::Told,
            0 => Status::Resolved,
            _ => Status::Open,
        };
        let (topic, severity) = (*topic, topic.severity());
        let (id, text) = (String::new(), text.0);
        Self {
            id,
            at: now,
            topic,
            severity,
            status,
            title,
            text,
            new,
            resolved,
            still,
            counts,
        }
    }

    /// The state of everything.
    pub(super) fn summary(snapshot: &Snapshot, concerns: &Concerns<'_>, now: Timestamp) -> Self {
        let mut states: BTreeMap<State, usize> = BTreeMap::new();
        snapshot
            .entries
            .iter()
            .for_each(|entry| *states.entry(entry.state).or_default() += 1);
        let managed = snapshot.entries.len() - states.remove(&State::Unmanaged).unwrap_or_default();
        let said: Vec<_> = states
            .iter()
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        let title = match managed {
            0 => "no domains".to_owned(),
            _ => format!(
                "{}: {}",
                counted(managed, "domain", "domains"),
                said.join(", ")
            ),
        };
        let mut text = Text::default();
        let ends = snapshot
            .entries
            .iter()
            .filter(|entry| entry.state != State::Unmanaged);
        let first = ends
            .filter_map(|entry| Some((entry.usable_until?, &entry.domain)))
            .min();
        if let Some((end, domain)) = first {
            let when = moment(end);
            text.line(&format!(
                "The first proof ends {}, on {when}: {}",
                relative(end, now),
                domain.both_forms()
            ));
        }
        for (topic, wrong) in concerns {
            let (one, many) = topic.nouns();
            let items: Vec<Item> = wrong
                .iter()
                .take(NAMED / 5)
                .map(|(whom, concern)| Item::of(whom, None, Some(concern.said(now))))
                .collect();
            text.section(
                &format!("{}:", counted(wrong.len(), one, many)),
                &items,
                wrong.len(),
            );
        }
        if concerns.is_empty() {
            text.line("Nothing is wrong.");
        }
        let counts = Counts {
            open: managed,
            ..Counts::default()
        };
        Self {
            counts,
            ..Self::bare(Topic::DailySummary, title, text.0, now)
        }
    }

    /// A message to try a sink with.
    pub fn test(now: Timestamp) -> Self {
        let text = "If you read this, messages of prevalidate reach you here.\n".to_owned();
        Self {
            id: new_id(),
            ..Self::bare(Topic::Test, "a test message".to_owned(), text, now)
        }
    }

    fn bare(topic: Topic, title: String, text: String, at: Timestamp) -> Self {
        Self {
            id: String::new(),
            at,
            topic,
            severity: topic.severity(),
            status: Status::Told,
            title,
            text,
            new: Vec::new(),
            resolved: Vec::new(),
            still: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// One line that is complete by itself.
    pub fn headline(&self) -> String {
        format!("prevalidate: {}", self.title)
    }

    /// For programs, in the form that Standard Webhooks recommends ("Payload structure"): type,
    /// timestamp, data.
    pub fn json(&self) -> Value {
        json!({ "type": format!("prevalidate.{}", self.topic), "timestamp": self.at, "data": self })
    }
}

/// A name for a message that no other one has.
pub(super) fn new_id() -> String {
    format!("msg_{}", uuid::Uuid::new_v4().simple())
}

impl Item {
    pub(super) fn of(whom: &str, since: Option<Timestamp>, why: Option<String>) -> Self {
        // What happened has its moment behind its name.
        let (name, moment) = match whom.rsplit_once(' ') {
            Some((name, last)) => match last.parse().ok() {
                Some(moment) => (name, Some(moment)),
                None => (whom, None),
            },
            None => (whom, None),
        };
        let (name, shown, client) = match RowKey::read(name) {
            Ok(key) => {
                let client = key
                    .further_client()
                    .map(|client| escape(client).into_owned());
                let at = client.as_ref().map(|client| format!(" at {client}"));
                let shown = key.domain().both_forms() + &at.unwrap_or_default();
                (key.domain().to_string(), shown, client)
            }
            Err(_) => (escape(name).into_owned(), escape(name).into_owned(), None),
        };
        Self {
            name,
            shown,
            client,
            since: moment.or(since),
            why: why.map(|why| bounded(&why)),
        }
    }
}

/// On one line, harmless, and not too long.
fn bounded(words: &str) -> String {
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = escape(&words);
    match words.char_indices().nth(WHY) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.into_owned(),
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn section(&mut self, title: &str, items: &[Item], count: usize) {
        if count == 0 {
            return;
        }
        self.line(title);
        for item in items {
            let since = item
                .since
                .map(|at| format!(" (since {})", moment(at)))
                .unwrap_or_default();
            let why = item
                .why
                .as_ref()
                .map(|why| format!(": {why}"))
                .unwrap_or_default();
            self.0.push_str(&format!("  {}{since}{why}\n", item.shown));
        }
        if count > items.len() {
            self.0
                .push_str(&format!("  and {} more\n", count - items.len()));
        }
    }
}
