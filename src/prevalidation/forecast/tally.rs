//! Counting by week and by day, without a calendar's arithmetic for each event: there are hundreds
//! of thousands.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

const DAY: i64 = 86_400;
/// The first Monday after the epoch, in days.
const FIRST_MONDAY: i64 = 4;

/// One week, from Monday 00:00 UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Week {
    /// Proofs that end in it, renewed by then or not.
    pub ends: u64,
    /// Renewals and first proofs that succeed in it.
    pub renewals: u64,
    /// Those of them that began with less than the critical margin left.
    pub late: u64,
    /// Domains whose proof ends in it before the next one is there.
    pub lapses: u64,
}

/// One day in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Day {
    /// Renewals and first proofs that succeed in it.
    pub renewals: u64,
}

/// The counts of one CA.
#[derive(Debug)]
pub(super) struct Tally {
    first_day: i64,
    days: Vec<[u64; 4]>,
}

/// An event that is counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    End,
    Renewal,
    Late,
    Lapse,
}

impl Tally {
    /// For the days from `from` to `until`.
    pub(super) fn new(from: Timestamp, until: Timestamp) -> Self {
        let first_day = day(from);
        let last = day(until - SignedDuration::from_nanos(1)).max(first_day);
        let count = usize::try_from(last - first_day + 1).unwrap_or(1);
        Self {
            first_day,
            days: vec![[0; 4]; count],
        }
    }

    /// Counts one event. Events outside the months are not counted.
    pub(super) fn count(&mut self, event: Event, at: Timestamp) {
        let place = usize::try_from(day(at) - self.first_day).ok();
        if let Some(day) = place.and_then(|place| self.days.get_mut(place)) {
            day[event as usize] += 1;
        }
    }

    /// All weeks, and the days that have renewals.
    pub(super) fn finish(self) -> (BTreeMap<Date, Week>, BTreeMap<Date, Day>) {
        let (mut weeks, mut days) = (BTreeMap::new(), BTreeMap::new());
        for (place, [ends, renewals, late, lapses]) in self.days.into_iter().enumerate() {
            let number = self.first_day + i64::try_from(place).unwrap_or(0);
            let monday = number - (number - FIRST_MONDAY).rem_euclid(7);
            let week: &mut Week = weeks.entry(date(monday)).or_default();
            week.ends += ends;
            week.renewals += renewals;
            week.late += late;
            week.lapses += lapses;
            if renewals > 0 {
                days.insert(date(number), Day { renewals });
            }
        }
        (weeks, days)
    }
}

fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(DAY)
}

fn date(day: i64) -> Date {
    let epoch = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC).date();
    epoch.saturating_add(day.days())
}
