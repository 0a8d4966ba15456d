//! A snapshot in a few numbers: what monitoring watches and an overview begins with.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::danger::Danger;
use super::snapshot::{Entry, Snapshot};
use crate::prevalidation::{Lateness, Policy, State};

/// How far ahead a calendar goes: thirteen months, so that a proof of 398 days made today ends in
/// it.
pub const CALENDAR_DAYS: i64 = 400;

/// Domains, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// All of them.
    pub total: usize,
    /// By state, every state.
    pub states: BTreeMap<&'static str, usize>,
    /// Wanted, proven once, and less left than a margin.
    pub below_margin: Margins,
    /// Wanted, proven once, and no proof counts any more.
    pub lapsed: usize,
    /// Those that do not come right by themselves.
    pub needs_a_person: usize,
    /// Those whose value waits too long to be proven.
    pub waiting: Waits,
    /// The first end of a proof that counts; `null` when none counts.
    pub soonest_proof_end: Option<Timestamp>,
}

/// How many are below each margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Margins {
    /// The warning margin; those below the critical one are among them.
    pub warning: usize,
    /// The critical margin; those whose proof has ended are among them.
    pub critical: usize,
}

/// How many wait too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Waits {
    /// A warning.
    pub late: usize,
    /// A person is needed.
    pub overdue: usize,
}

impl Counts {
    /// Counts some domains, or all, as of `at`.
    pub fn of<'a>(
        entries: impl IntoIterator<Item = &'a Entry>,
        policy: &Policy,
        at: Timestamp,
    ) -> Self {
        let mut counts = Self {
            states: State::ALL.map(|state| (state.as_str(), 0)).into(),
            ..Self::default()
        };
        for entry in entries {
            counts.total += 1;
            *counts.states.entry(entry.state.as_str()).or_default() += 1;
            counts.needs_a_person += usize::from(entry.needs_a_person);
            match entry.lateness {
                Lateness::InTime => {}
                Lateness::Late => counts.waiting.late += 1,
                Lateness::Overdue => counts.waiting.overdue += 1,
            }
            if entry.state != State::Unmanaged {
                let danger = entry.danger_at(policy, at);
                counts.below_margin.warning += usize::from(danger >= Danger::Warning);
                counts.below_margin.critical += usize::from(danger >= Danger::Critical);
                counts.lapsed += usize::from(danger == Danger::Lapsed);
                let soonest = [counts.soonest_proof_end, entry.usable_until]
                    .into_iter()
                    .flatten()
                    .min();
                counts.soonest_proof_end = soonest;
            }
        }
        counts
    }
}

/// What ends and what is renewed on one day, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Day {
    /// The day.
    pub date: Date,
    /// Proofs that end.
    pub ends: usize,
    /// Renewals that are planned.
    pub renewals: usize,
}

/// The days of the next thirteen months on which something happens, in order. A covered domain has
/// no proof of its own; a renewal whose day has passed is still planned, for the first day.
pub fn calendar(snapshot: &Snapshot) -> Vec<Day> {
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let first = day(snapshot.at);
    let last = first.saturating_add(jiff::Span::new().days(CALENDAR_DAYS));
    let mut days: BTreeMap<Date, (usize, usize)> = BTreeMap::new();
    for entry in snapshot
        .entries
        .iter()
        .filter(|entry| entry.state != State::Unmanaged && !entry.covered)
    {
        if let Some(end) = entry.usable_until {
            days.entry(day(end)).or_default().0 += 1;
        }
        if let Some(begin) = entry.renew_at.filter(|_| entry.state == State::Valid) {
            days.entry(day(begin).max(first)).or_default().1 += 1;
        }
    }
    let ahead = days.range(first..=last);
    ahead
        .map(|(&date, &(ends, renewals))| Day {
            date,
            ends,
            renewals,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::overview::danger::Gravity;
    use crate::prevalidation::{DomainName, Mode};

    fn entry(
        name: &str,
        state: State,
        usable_until: Option<&str>,
        renew_at: Option<&str>,
    ) -> Entry {
        let moment = |text: &str| text.parse().unwrap();
        Entry {
            domain: DomainName::from_a_labels(name).unwrap(),
            client: "a".into(),
            further: false,
            provider: None,
            state,
            covered: name.starts_with("www."),
            usable_until: usable_until.map(moment),
            with_margin: usable_until.is_some(),
            danger: match state {
                State::Expired => Danger::Lapsed,
                _ => Danger::None,
            },
            made_at: None,
            proven_until: None,
            gravity: Gravity::Ok,
            renew_at: renew_at.map(moment),
            due_at: None,
            needs_a_person: false,
            lateness: Lateness::InTime,
            ca_read_at: None,
            reason: "".into(),
        }
    }

    #[test]
    fn a_domain_that_lapsed_stays_below_the_margin_and_one_that_never_was_proven_is_not() {
        let at = "2026-12-01T00:00:00Z".parse().unwrap();
        let entries = [
            entry("a.ch", State::Valid, Some("2027-05-01T00:00:00Z"), None),
            entry("b.ch", State::Renewing, Some("2026-12-15T00:00:00Z"), None),
            entry("c.ch", State::Valid, Some("2026-12-02T00:00:00Z"), None),
            entry("d.ch", State::Expired, None, None),
            entry("e.ch", State::Pending, None, None),
            entry("f.ch", State::New, None, None),
            Entry {
                danger: Danger::Lapsed,
                ..entry("g.ch", State::Held, None, None)
            },
            entry("h.ch", State::Unmanaged, None, None),
            entry("i.ch", State::Held, None, None),
        ];
        let counts = Counts::of(&entries, &Policy::new(Mode::Manage), at);
        assert_eq!(
            counts.below_margin,
            Margins {
                warning: 4,
                critical: 3
            }
        );
        assert_eq!(
            (
                counts.total,
                counts.states["valid"],
                counts.states["unmanaged"]
            ),
            (9, 2, 1)
        );
        assert_eq!(counts.lapsed, 2, "d.ch and g.ch");
        assert_eq!(counts.soonest_proof_end, entries[2].usable_until);
    }

    #[test]
    fn the_calendar_has_each_end_once_and_late_renewals_today() {
        let at = "2026-12-01T23:59:59Z".parse().unwrap();
        let entries = vec![
            entry(
                "a.ch",
                State::Valid,
                Some("2027-05-01T00:00:00Z"),
                Some("2027-04-10T10:00:00Z"),
            ),
            entry(
                "b.ch",
                State::Valid,
                Some("2027-05-01T23:00:00Z"),
                Some("2026-11-10T10:00:00Z"),
            ),
            entry(
                "c.ch",
                State::Renewing,
                Some("2026-12-02T00:00:00Z"),
                Some("2026-11-10T10:00:00Z"),
            ),
            entry("d.ch", State::Valid, Some("2031-01-01T00:00:00Z"), None),
            entry("h.ch", State::Unmanaged, Some("2027-01-01T00:00:00Z"), None),
            entry("www.a.ch", State::Valid, Some("2027-05-01T00:00:00Z"), None),
        ];
        let days = calendar(&Snapshot {
            at,
            entries,
            clients: Vec::new(),
            certificates: Vec::new(),
            registrations: Vec::new(),
            machines: Default::default(),
            persistent: Vec::new(),
            troubles: Default::default(),
        });
        let day = |date: &str, ends, renewals| Day {
            date: date.parse().unwrap(),
            ends,
            renewals,
        };
        assert_eq!(
            days,
            [
                day("2026-12-01", 0, 1),
                day("2026-12-02", 1, 0),
                day("2027-04-10", 0, 1),
                day("2027-05-01", 2, 0)
            ]
        );
    }
}
