//! Counts of a snapshot, computed once: domains by state and client, domains that need a person,
//! the weeks of the calendar.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::overview::counts::{Counts, Day, calendar};
use crate::overview::danger::Danger;
use crate::overview::query::Sort;
use crate::overview::snapshot::Snapshot;
use crate::prevalidation::{Policy, Proof, State};

/// How far the calendar reaches.
pub(super) const MONTHS: i64 = 13;

#[derive(Debug)]
pub(super) struct Summary {
    /// Everything at the CA, unmanaged domains too.
    pub(super) counts: Counts,
    /// Those that the inventory wants.
    pub(super) managed: usize,
    /// Those among them whose proof counts.
    pub(super) proven: usize,
    /// Places in the snapshot of those that need a person, the soonest to lapse first.
    pub(super) needing: Vec<usize>,
    /// Places of those that have lapsed or are below a margin, the most severe first.
    pub(super) endangered: Vec<usize>,
    /// The place of the proof that ends first.
    pub(super) soonest: Option<usize>,
    /// By client: domains of the inventory, and those of them that need a person.
    pub(super) clients: HashMap<Arc<str>, (usize, usize)>,
    pub(super) calendar: Calendar,
}

/// When proofs end and renewals are planned.
#[derive(Debug)]
pub(super) struct Calendar {
    /// From Monday of this week on.
    pub(super) weeks: Vec<Span>,
    pub(super) months: Vec<Span>,
    /// The changes of the rules still to come.
    pub(super) changes: Vec<Change>,
}

/// A week from Monday, or a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Date,
    /// The day after its last.
    pub(super) to: Date,
    /// Whether what is due since before it is counted in it.
    pub(super) is_first: bool,
    pub(super) renewals: usize,
    /// Renewals of the proofs that those renewals will have made, and so on.
    pub(super) expected: usize,
    pub(super) ends: usize,
}

/// From a day on, proofs live no longer than so many days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) on: Date,
    pub(super) days: i64,
}

impl Summary {
    pub(super) fn of(snapshot: &Snapshot, policy: &Policy) -> Self {
        let mut summary = Self {
            counts: Counts::of(&snapshot.entries, policy, snapshot.at),
            managed: 0,
            proven: 0,
            needing: Vec::new(),
            endangered: Vec::new(),
            soonest: None,
            clients: HashMap::new(),
            calendar: Calendar::of(
                &calendar(snapshot),
                &expected(snapshot, policy),
                policy,
                snapshot.at,
            ),
        };
        let end = |place: usize| snapshot.entries[place].usable_until;
        for (place, entry) in snapshot.entries.iter().enumerate() {
            if entry.state == State::Unmanaged {
                continue;
            }
            let (domains, needing) = summary
                .clients
                .entry(Arc::clone(&entry.client))
                .or_default();
            *domains += 1;
            summary.managed += 1;
            if entry.danger_at(policy, snapshot.at) > Danger::None {
                summary.endangered.push(place);
            }
            if entry.needs_a_person {
                *needing += 1;
                summary.needing.push(place);
            }
            if end(place).is_some() {
                summary.proven += 1;
                // A covered domain only repeats the end of the one above it.
                let is_sooner = summary
                    .soonest
                    .is_none_or(|soonest| end(place) < end(soonest));
                summary.soonest = if is_sooner && !entry.covered {
                    Some(place)
                } else {
                    summary.soonest
                };
            }
        }
        summary.needing.sort_by_key(|place| end(*place));
        let gravest = |place: &usize| Sort::Danger.key(&snapshot.entries[*place]);
        summary.endangered.sort_by_key(gravest);
        summary
    }

    /// How many are in a state.
    pub(super) fn count(&self, state: State) -> usize {
        self.counts
            .states
            .get(state.as_str())
            .copied()
            .unwrap_or_default()
    }
}

impl Calendar {
    fn of(days: &[Day], expected: &BTreeMap<Date, usize>, policy: &Policy, now: Timestamp) -> Self {
        let today = day(now);
        let (monday, until) = (
            today.saturating_sub(i64::from(today.weekday().to_monday_zero_offset()).days()),
            today.saturating_add(MONTHS.months()),
        );
        let weeks = (0..).map(|week: i64| monday.saturating_add((7 * week).days()));
        let months = (0..).map(|month: i64| today.first_of_month().saturating_add(month.months()));
        Self {
            weeks: spans(
                weeks.take_while(|week| *week < until),
                7.days(),
                days,
                expected,
            ),
            months: spans(
                months.take_while(|month| *month < until),
                1.months(),
                days,
                expected,
            ),
            changes: changes(policy, now),
        }
    }

    /// The most in one week: renewals, ends.
    pub(super) fn peaks(&self) -> (usize, usize) {
        let most = |count: fn(&Span) -> usize| self.weeks.iter().map(count).max().unwrap_or(0);
        (
            most(|week| week.renewals + week.expected),
            most(|week| week.ends),
        )
    }

    /// From the first day on, up to and without the second.
    pub(super) fn bounds(&self) -> (Date, Date) {
        let first = self.weeks.first().map_or(Date::ZERO, |week| week.from);
        (
            first,
            self.weeks
                .last()
                .map_or(first, |week| week.from.saturating_add(7.days())),
        )
    }
}

/// Days, put together from each beginning to the next.
fn spans(
    beginnings: impl Iterator<Item = Date>,
    length: jiff::Span,
    days: &[Day],
    expected: &BTreeMap<Date, usize>,
) -> Vec<Span> {
    let mut spans: Vec<Span> = beginnings
        .enumerate()
        .map(|(place, from)| Span {
            from,
            to: from.saturating_add(length),
            is_first: place == 0,
            renewals: 0,
            expected: 0,
            ends: 0,
        })
        .collect();
    for day in days {
        let next = spans.partition_point(|span| span.from <= day.date);
        if let Some(span) = next.checked_sub(1).and_then(|place| spans.get_mut(place)) {
            span.renewals += day.renewals;
            span.ends += day.ends;
        }
    }
    for (date, count) in expected {
        let next = spans.partition_point(|span| span.from <= *date);
        if let Some(span) = next.checked_sub(1).and_then(|place| spans.get_mut(place)) {
            span.expected += count;
        }
    }
    spans
}

/// The renewals that follow the planned ones, by day, if each succeeds on its day.
fn expected(snapshot: &Snapshot, policy: &Policy) -> BTreeMap<Date, usize> {
    let until = day(snapshot.at).saturating_add(MONTHS.months());
    let mut days = BTreeMap::new();
    for entry in &snapshot.entries {
        let own = entry.state != State::Unmanaged && !entry.covered;
        let mut next = entry.renew_at.filter(|_| own).map(|at| at.max(snapshot.at));
        while let Some(made) = next {
            let proof = Proof {
                validated_at: Some(made),
                ..Proof::default()
            };
            // Never within a day of the one before, so that this ends.
            next = policy
                .renew_at(&entry.domain, &proof)
                .filter(|at| *at > made && day(*at) < until);
            if let Some(at) = next {
                *days.entry(day(at)).or_default() += 1;
            }
        }
    }
    days
}

/// From when on proofs live shorter than they do now, each time.
fn changes(policy: &Policy, now: Timestamp) -> Vec<Change> {
    let mut starts: Vec<Timestamp> = policy
        .reuse
        .rows()
        .iter()
        .map(|row| row.start)
        .filter(|at| *at > now)
        .collect();
    starts.sort_unstable();
    let mut limit = policy.reuse.limit_at(now);
    let mut changes = Vec::new();
    for start in starts {
        let next = policy.reuse.limit_at(start);
        if next < limit {
            changes.push(Change {
                on: day(start),
                days: next.as_hours() / 24,
            });
            limit = next;
        }
    }
    changes
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}
