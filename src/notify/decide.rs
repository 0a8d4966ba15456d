//! What a sink has not been told yet. Pure: what they know, what is wrong now, and the time come
//! in.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::concern::Concern;
use super::notice::{Change, Notice};
use super::{Topic, Wants};
use crate::prevalidation::guard::CLOCK_TOLERANCE;

/// What a sink knows about one topic. Is in the store as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// The subjects that were told and not yet told to be over, each since when.
    pub open: BTreeMap<String, Timestamp>,
    /// When it was last told anything.
    pub told_at: Option<Timestamp>,
    /// A message on its way, or that could not be delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sending: Option<Sending>,
}

/// A message that has not arrived, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// The message.
    pub notice: Notice,
    /// What the sink knows once it has arrived.
    pub after: BTreeMap<String, Timestamp>,
    /// How often it was sent.
    pub tries: u32,
    /// Until then it is another process's, or waits.
    pub next_at: Timestamp,
    /// What went wrong last; `None` while a process sends it, or when that process died.
    pub error: Option<String>,
    /// It may have arrived.
    pub is_open: bool,
}

/// What is to be done about one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing is said, and what the sink knows changes all the same.
    Keep(Told),
    /// This is said; the id of a new message is still empty.
    Tell(Sending),
}

/// How a topic is told to a sink.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// What.
    pub topic: Topic,
    /// The recipient.
    pub wants: &'a Wants,
    /// For how long after a message the next one gathers what comes up.
    pub gather: SignedDuration,
}

/// What to tell a sink that knows `told` when this is wrong `now`. `got_worse` says of a domain
/// that is no longer here whether it is in a more severe topic that the sink hears of.
pub fn decide(
    rules: Rules<'_>,
    told: &Told,
    wrong: &BTreeMap<Cow<'_, str>, Concern<'_>>,
    got_worse: &dyn Fn(&str) -> bool,
    now: Timestamp,
) -> Option<Decision> {
    let since = |whom: &str| {
        told.open
            .get(whom)
            .copied()
            .filter(|since| !is_impossible(*since, now))
    };
    let after: BTreeMap<String, Timestamp> = wrong
        .keys()
        .map(|whom| (whom.to_string(), since(whom).unwrap_or(now)))
        .collect();
    let sending = told.sending.as_ref();
    if let Some(again) = sending.filter(|sending| sending.after.keys().eq(after.keys())) {
        // Nothing has changed since: the very same message.
        return Some(Decision::Tell(again.clone()));
    }
    // A notice that may have arrived counts as told when the trouble is over, and as not told while
    // it lasts.
    let maybe = sending
        .filter(|sending| sending.is_open)
        .map(|sending| &sending.after);
    let is_told = |whom: &str| {
        told.open.contains_key(whom) && maybe.is_none_or(|maybe| maybe.contains_key(whom))
    };
    let known = told
        .open
        .keys()
        .chain(maybe.into_iter().flat_map(BTreeMap::keys));
    let mut gone: Vec<&str> = known
        .map(String::as_str)
        .filter(|&whom| !wrong.contains_key(whom))
        .collect();
    gone.sort_unstable();
    gone.dedup();
    let (silent, over): (Vec<&str>, Vec<&str>) = gone
        .into_iter()
        .partition(|whom| rules.topic.is_event() || got_worse(whom));
    let new: Vec<&str> = wrong
        .keys()
        .map(|whom| &**whom)
        .filter(|whom| !is_told(whom))
        .collect();

    // By a clock that was wrong: long ago, then.
    let length = |at| {
        if is_impossible(at, now) {
            SignedDuration::MAX
        } else {
            now.duration_since(at)
        }
    };
    let since_told = told.told_at.map(length);
    let is_news = !new.is_empty() || !over.is_empty();
    let gathers = sending.is_none() && since_told.is_some_and(|since| since < rules.gather);
    let reminds = !rules.topic.is_event()
        && !wrong.is_empty()
        && since_told.is_some_and(|since| since >= rules.wants.repeat(rules.topic));
    if is_news && !gathers || reminds && !is_news {
        let change = Change {
            topic: rules.topic,
            new,
            over,
            wrong,
            since: &after,
        };
        let notice = Notice::of(&change, now);
        // A sink that fails is not asked more often because something else has come up.
        let tries = sending.map_or(0, |sending| sending.tries);
        return Some(Decision::Tell(Sending {
            notice,
            after,
            tries,
            next_at: now,
            error: None,
            is_open: false,
        }));
    }
    let nothing_to_send = sending.is_some() && !is_news;
    (nothing_to_send || !is_news && !silent.is_empty()).then_some(Decision::Keep(Told {
        open: after,
        told_at: told.told_at,
        sending: None,
    }))
}

/// The same for the daily summary: one for each day that begins at [`SUMMARY_AT`].
pub fn decide_summary(
    told: &Told,
    summary: impl FnOnce() -> Notice,
    now: Timestamp,
) -> Option<Decision> {
    let day = |at: Timestamp| (at.as_second() - SUMMARY_AT.as_secs()).div_euclid(86_400);
    if let Some(again) = told
        .sending
        .as_ref()
        .filter(|sending| day(sending.notice.at) == day(now))
    {
        return Some(Decision::Tell(again.clone()));
    }
    let tries = told.sending.as_ref().map_or(0, |sending| sending.tries);
    told.told_at
        .is_none_or(|at| day(at) < day(now) || is_impossible(at, now))
        .then(|| {
            let notice = summary();
            let after = BTreeMap::new();
            Decision::Tell(Sending {
                notice,
                after,
                tries,
                next_at: now,
                error: None,
                is_open: false,
            })
        })
}

/// Whether what happened `at` some moment cannot have: the trace of a clock that was wrong, which
/// must suppress no message (faults T02). Clocks may differ by a little.
fn is_impossible(at: Timestamp, now: Timestamp) -> bool {
    at.duration_since(now) > CLOCK_TOLERANCE
}

/// When the day of the daily summary begins, UTC.
const SUMMARY_AT: SignedDuration = SignedDuration::from_hours(6);
