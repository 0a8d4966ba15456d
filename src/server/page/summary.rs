//! What is counted of a picture, once: numbers by state and client, who needs a person, the weeks of the calendar.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use crate::overview::snapshot::{Entry, Snapshot};
use crate::prevalidation::{Lateness, Policy, State};

/// How far the calendar reaches.
pub(super) const MONTHS: i64 = 13;
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

#[derive(Debug)]
pub(super) struct Summary {
    /// How many there are in each state, in the order of [`State::ALL`].
    pub(super) counts: [usize; State::ALL.len()],
    /// Those that the inventory wants.
    pub(super) managed: usize,
    /// Those among them whose proof counts.
    pub(super) proven: usize,
    /// Places in the picture of those that need a person, the soonest to lapse first.
    pub(super) needing: Vec<usize>,
    /// Those that wait for longer than is usual.
    pub(super) late: usize,
    /// Those whose proof counts for less than the warning margin.
    pub(super) short: usize,
    /// The place of the proof that ends first.
    pub(super) soonest: Option<usize>,
    /// By client: domains of the inventory, and those of them that need a person.
    pub(super) clients: HashMap<Arc<str>, (usize, usize)>,
    pub(super) calendar: Calendar,
}

/// When proofs end and renewals are planned.
#[derive(Debug)]
pub(super) struct Calendar {
    pub(super) from: Date,
    pub(super) weeks: Vec<Span>,
    pub(super) months: Vec<Span>,
    /// What lies behind the last month: renewals, ends.
    pub(super) later: (usize, usize),
    /// The changes of the rules still to come.
    pub(super) changes: Vec<Change>,
}

/// A week from Monday, or a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Date,
    pub(super) renewals: usize,
    pub(super) ends: usize,
}

/// From a day on, proofs live no longer than so many days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) on: Date,
    pub(super) days: i64,
}

impl Summary {
    pub(super) fn of(picture: &Snapshot, policy: &Policy) -> Self {
        let now = picture.at;
        let mut summary = Self {
            counts: [0; State::ALL.len()],
            managed: 0,
            proven: 0,
            needing: Vec::new(),
            late: 0,
            short: 0,
            soonest: None,
            clients: picture.clients.iter().map(|client| (Arc::clone(&client.key), (0, 0))).collect(),
            calendar: Calendar::starting(now, policy),
        };
        for (place, entry) in picture.entries.iter().enumerate() {
            // The order of the variants is that of `ALL`.
            summary.counts[entry.state as usize] += 1;
            if entry.state != State::Unmanaged {
                summary.take(place, entry, policy, now);
            }
        }
        let end = |place: &usize| picture.entries[*place].usable_until;
        summary.needing.sort_by_key(end);
        summary.soonest = (0..picture.entries.len())
            .filter(|&place| picture.entries[place].state != State::Unmanaged && end(&place).is_some())
            .min_by_key(end);
        summary
    }

    fn take(&mut self, place: usize, entry: &Entry, policy: &Policy, now: Timestamp) {
        let (domains, needing) = self.clients.entry(Arc::clone(&entry.client)).or_default();
        *domains += 1;
        *needing += usize::from(entry.needs_a_person);
        self.managed += 1;
        self.late += usize::from(entry.lateness != Lateness::InTime);
        if entry.needs_a_person {
            self.needing.push(place);
        }
        if let Some(end) = entry.usable_until {
            self.proven += 1;
            self.short += usize::from(end.duration_since(now) <= policy.warning_margin(end));
        }
        // The proof of a covered domain is that of another one, which is counted.
        if !entry.covered {
            if let Some(at) = entry.renew_at {
                self.calendar.add(at.max(now), |span| &mut span.renewals, |later| &mut later.0);
            }
            if let Some(at) = entry.usable_until {
                self.calendar.add(at.max(now), |span| &mut span.ends, |later| &mut later.1);
            }
        }
    }

    /// How many are in a state.
    pub(super) fn count(&self, state: State) -> usize {
        self.counts[state as usize]
    }
}

impl Calendar {
    fn starting(now: Timestamp, policy: &Policy) -> Self {
        let today = day(now);
        let monday = i64::from(today.weekday().to_monday_zero_offset());
        let from = today.saturating_sub(monday.days());
        let until = today.saturating_add(MONTHS.months());
        let span = |from| Span { from, renewals: 0, ends: 0 };
        let weeks = (0..).map(|week: i64| from.saturating_add((7 * week).days()));
        let months = (0..).map(|month: i64| today.first_of_month().saturating_add(month.months()));
        Self {
            from,
            weeks: weeks.take_while(|week| *week < until).map(span).collect(),
            months: months.take_while(|month| *month < until).map(span).collect(),
            later: (0, 0),
            changes: changes(policy, now),
        }
    }

    fn add(
        &mut self,
        at: Timestamp,
        count: impl Fn(&mut Span) -> &mut usize,
        later: impl Fn(&mut (usize, usize)) -> &mut usize,
    ) {
        let first = self.from.to_zoned(TimeZone::UTC).map_or(Timestamp::MIN, |zoned| zoned.timestamp());
        let week = at.duration_since(first).as_secs() / WEEK.as_secs();
        if let Some(week) = usize::try_from(week).ok().and_then(|week| self.weeks.get_mut(week)) {
            *count(week) += 1;
        }
        let number = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month());
        let month = number(day(at)) - self.months.first().map_or(0, |first| number(first.from));
        match usize::try_from(month).ok().and_then(|month| self.months.get_mut(month)) {
            Some(month) => *count(month) += 1,
            None => *later(&mut self.later) += 1,
        }
    }

    /// The most in one week: renewals, ends.
    pub(super) fn peaks(&self) -> (usize, usize) {
        let most = |count: fn(&Span) -> usize| self.weeks.iter().map(count).max().unwrap_or(0);
        (most(|week| week.renewals), most(|week| week.ends))
    }

    /// The first day behind the last week.
    pub(super) fn until(&self) -> Date {
        self.weeks.last().map_or(self.from, |week| week.from.saturating_add(7.days()))
    }
}

/// From when on proofs live shorter than they do now, each time.
fn changes(policy: &Policy, now: Timestamp) -> Vec<Change> {
    let mut starts: Vec<Timestamp> = policy.reuse.rows().iter().map(|row| row.start).filter(|at| *at > now).collect();
    starts.sort_unstable();
    let mut limit = policy.reuse.limit_at(now);
    let mut changes = Vec::new();
    for start in starts {
        let next = policy.reuse.limit_at(start);
        if next < limit {
            changes.push(Change { on: day(start), days: next.as_hours() / 24 });
            limit = next;
        }
    }
    changes
}

pub(super) fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}
