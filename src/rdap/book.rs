//! What is known about the ends of registrations, and what is to be asked again. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Asked;
use crate::text::{moment, relative};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// A known end is asked for again after this time.
const WEEKLY: SignedDuration = SignedDuration::from_hours(7 * 24);
/// An end that is nearer than this is asked for again each day: it moves when the domain is
/// renewed.
const NEAR: SignedDuration = SignedDuration::from_hours(60 * 24);
/// An end that was not asked for in this time is not shown: the question is not configured any
/// more.
const BELIEVED: SignedDuration = SignedDuration::from_hours(14 * 24);
/// An end that is nearer than this is reported.
const WARN_BEFORE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How far clocks may differ: an answer from further ahead was noted by a wrong one.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What is known, by registrable domain in A-labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Book(BTreeMap<String, Known>);

/// The known facts about one registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// When its registry was last asked.
    pub asked_at: Timestamp,
    /// When it ends, as the registry said last; `None`: it never said.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
    /// When the registry said so.
    #[serde(default)]
    pub told_at: Option<Timestamp>,
    /// Why the last question brought nothing.
    #[serde(default)]
    pub fault: Option<String>,
}

/// A registration that ends soon, or has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// The registrable domain.
    pub domain: String,
    /// When it ends.
    pub ends_at: Timestamp,
    /// When the registry said so.
    pub told_at: Option<Timestamp>,
}

impl Book {
    /// As the store holds it; what cannot be read is asked for again.
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// For the store.
    pub fn text(&self) -> String {
        // Texts as keys, moments and texts: all of it is JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The known facts about a registrable domain.
    pub fn of(&self, domain: &str) -> Option<&Known> {
        self.0.get(domain)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the registration of a domain ends, where its registry said so and is still asked.
    pub fn end_of(&self, domain: &str, now: Timestamp) -> Option<Timestamp> {
        let known = self.0.get(domain)?;
        known
            .ends_at
            .filter(|_| now.duration_since(known.asked_at) <= BELIEVED)
    }

    /// Those of `names` to ask about: first what ends soon, then what was never asked, then what was
    /// asked longest ago.
    pub fn due(&self, names: &BTreeSet<String>, now: Timestamp) -> Vec<String> {
        let rank = |name: &String| {
            let known = self.0.get(name);
            let is_far = known.is_none_or(|known| !known.is_near(now));
            (is_far, known.map(|known| known.asked_at))
        };
        let mut due: Vec<String> = names
            .iter()
            .filter(|name| self.0.get(*name).is_none_or(|known| known.is_due(now)))
            .cloned()
            .collect();
        due.sort_by_key(rank);
        due
    }

    /// Takes an answer of the moment `at`. An answer without an end takes no end away that the
    /// registry gave before.
    pub fn note(&mut self, name: &str, asked: Asked, at: Timestamp) {
        let fault = asked.fault().map(str::to_owned);
        let before = self.0.remove(name);
        let (ends_at, told_at) = match asked {
            Asked::Ends(end) => (Some(end), Some(at)),
            _ => before.map_or((None, None), |known| (known.ends_at, known.told_at)),
        };
        self.0.insert(
            name.to_owned(),
            Known {
                asked_at: at,
                ends_at,
                told_at,
                fault,
            },
        );
    }

    /// Forgets all but `names`.
    pub fn keep(&mut self, names: &BTreeSet<String>) {
        self.0.retain(|name, _| names.contains(name));
    }

    /// Those of `names` that end within 30 days, or have ended; the first end first.
    pub fn ending(&self, names: &BTreeSet<String>, now: Timestamp) -> Vec<Ending> {
        let mut found: Vec<Ending> = names
            .iter()
            .filter_map(|name| {
                let ends_at = self.end_of(name, now)?;
                (ends_at.duration_since(now) <= WARN_BEFORE).then(|| Ending {
                    domain: name.clone(),
                    ends_at,
                    told_at: self.0.get(name).and_then(|known| known.told_at),
                })
            })
            .collect();
        found.sort_by(|a, b| (a.ends_at, &a.domain).cmp(&(b.ends_at, &b.domain)));
        found
    }
}

impl Known {
    fn is_due(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.asked_at);
        let pause = match self.fault.is_some() || self.is_near(now) {
            true => DAY,
            false => WEEKLY,
        };
        age < -SKEW || age >= pause
    }

    fn is_near(&self, now: Timestamp) -> bool {
        self.ends_at
            .is_some_and(|end| end.duration_since(now) <= NEAR)
    }
}

impl Ending {
    /// Whether it has ended already.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.ends_at <= now
    }

    /// What ends when, and what to do, for people.
    pub fn said(&self, now: Timestamp) -> String {
        let verb = match self.has_ended(now) {
            true => "ended",
            false => "ends",
        };
        let told = match self.told_at {
            Some(at) => format!(", as its registry said {}", relative(at, now)),
            None => String::new(),
        };
        format!(
            "the registration of {} {verb} {}, on {}{told}: renew it at its registrar",
            self.domain,
            relative(self.ends_at, now),
            moment(self.ends_at)
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn now() -> Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }

    fn ago(hours: i64) -> Timestamp {
        now() - SignedDuration::from_hours(hours)
    }

    fn names(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn what_is_near_or_failed_is_asked_daily_and_the_rest_weekly() {
        let far = Asked::Ends(ago(-24 * 200));
        let near = Asked::Ends(ago(-24 * 20));
        let failed = Asked::Failed("no answer".into());
        for (asked, hours, due) in [
            (far.clone(), 24 * 7 - 1, false),
            (far.clone(), 24 * 7, true),
            (near.clone(), 23, false),
            (near, 24, true),
            (failed.clone(), 23, false),
            (failed, 24, true),
            (Asked::Unknown, 24 * 6, false),
            (Asked::Unknown, 24 * 7, true),
            // Noted by a clock that was ahead.
            (far, -1, true),
        ] {
            let mut book = Book::default();
            book.note("example.ch", asked.clone(), ago(hours));
            let wanted = names(&["example.ch"]);
            assert_eq!(
                !book.due(&wanted, now()).is_empty(),
                due,
                "{asked:?} {hours}"
            );
        }
    }

    #[test]
    fn what_ends_soon_is_asked_first_and_then_what_was_never_asked() {
        let mut book = Book::default();
        let far = Asked::Ends(ago(-24 * 300));
        book.note("a.ch", far.clone(), ago(24 * 8));
        book.note("b.ch", far, ago(24 * 9));
        book.note("d.ch", Asked::Ends(ago(-24)), ago(30));
        let due = book.due(&names(&["a.ch", "b.ch", "c.ch", "d.ch"]), now());
        assert_eq!(due, ["d.ch", "c.ch", "b.ch", "a.ch"]);
    }

    #[test]
    fn an_end_that_is_no_longer_asked_for_is_not_told() {
        let mut book = Book::default();
        book.note("example.ch", Asked::Ends(ago(-24)), ago(24 * 14 + 1));
        assert!(book.ending(&names(&["example.ch"]), now()).is_empty());
    }

    #[test]
    fn a_failed_question_takes_no_end_away() {
        let mut book = Book::default();
        book.note("example.ch", Asked::Ends(ago(-24)), ago(48));
        for asked in [
            Asked::Failed("no answer".into()),
            Asked::Unknown,
            Asked::NoEnd,
        ] {
            book.note("example.ch", asked, ago(0));
            let known = book.of("example.ch").unwrap();
            assert_eq!(
                (known.ends_at, known.told_at),
                (Some(ago(-24)), Some(ago(48)))
            );
        }
        let wanted = names(&["example.ch"]);
        let found = book.ending(&wanted, now());
        let said = found[0].said(now());
        assert_eq!(
            said,
            "the registration of example.ch ends in 24 h, on 2026-12-01 12:00 UTC, as its \
             registry said 2 d ago: renew it at its registrar"
        );
    }

    #[test]
    fn an_end_is_told_from_the_margin_on_and_after_it() {
        let mut book = Book::default();
        book.note("far.ch", Asked::Ends(ago(-24 * 31)), ago(0));
        book.note("soon.ch", Asked::Ends(ago(-24 * 30)), ago(0));
        book.note("gone.ch", Asked::Ends(ago(24)), ago(0));
        book.note("other.ch", Asked::Ends(ago(24)), ago(0));
        let wanted = names(&["far.ch", "soon.ch", "gone.ch"]);
        let found = book.ending(&wanted, now());
        let found: Vec<_> = found
            .iter()
            .map(|end| (&*end.domain, end.has_ended(now())))
            .collect();
        assert_eq!(found, [("gone.ch", true), ("soon.ch", false)]);
    }

    #[test]
    fn what_the_store_holds_is_read_as_it_was_written() {
        let mut book = Book::default();
        book.note("example.ch", Asked::Ends(ago(-24)), ago(0));
        book.note(
            "example.com",
            Asked::Busy("too many requests".into()),
            ago(0),
        );
        assert_eq!(Book::read(&book.text()), book);
        for damaged in ["", "[]", "{\"example.ch\": 7}"] {
            assert_eq!(Book::read(damaged), Book::default(), "{damaged}");
        }
    }
}
