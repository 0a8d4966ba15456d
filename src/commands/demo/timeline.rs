//! Months in columns, a domain in each row: when it had a proof and when it won the next one.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::stage::Shown;

/// Columns of a month: about a week each.
const WIDTH: usize = 4;

/// Some months, from the first day of one.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    months: Vec<Date>,
    /// The rule that changes, which every row shows.
    rule: Timestamp,
}

impl Timeline {
    /// The months from that of `begin` to that of `end`.
    pub(super) fn new(begin: Timestamp, end: Timestamp, rule: Timestamp) -> Self {
        let last = date(end).first_of_month();
        let months = date(begin)
            .first_of_month()
            .series(1.month())
            .take_while(|&month| month <= last)
            .collect();
        Self { months, rule }
    }

    /// The years, each above its first month.
    pub(super) fn years(&self) -> String {
        let mut year = None;
        self.head(|month| {
            (year.replace(month.year()) != Some(month.year()))
                .then(|| month.strftime("’%y").to_string())
        })
    }

    /// The names of the months.
    pub(super) fn names(&self) -> String {
        self.head(|month| Some(month.strftime("%b").to_string()))
    }

    fn head(&self, mut name: impl FnMut(Date) -> Option<String>) -> String {
        let cells = self
            .months
            .iter()
            .map(|&month| format!("{:<WIDTH$}", name(month).unwrap_or_default()));
        cells.collect::<String>().trim_end().to_owned()
    }

    /// `●` where a proof was won, `─` while one counts, `×` where none does any more, `┊` at the
    /// change of the rule.
    pub(super) fn row(&self, proofs: &[Shown]) -> String {
        let first = proofs.first().map(|proof| proof.validated);
        let cells = (0..self.months.len() * WIDTH).map(|cell| {
            let (from, to) = (self.start_of(cell), self.start_of(cell + 1));
            let holds = |at: Timestamp| from <= at && at < to;
            let covered = |at: Timestamp| {
                proofs
                    .iter()
                    .any(|proof| proof.validated <= at && at < proof.until)
            };
            if proofs.iter().any(|proof| holds(proof.validated)) {
                '●'
            } else if first.is_none_or(|first| to <= first) {
                ' '
            } else if !covered(from) {
                '×'
            } else if holds(self.rule) {
                '┊'
            } else {
                '─'
            }
        });
        cells.collect()
    }

    /// A line below the rows that says something about the rule.
    pub(super) fn rule(&self, words: &str) -> String {
        let cell = (0..self.months.len() * WIDTH)
            .find(|&cell| self.rule < self.start_of(cell + 1))
            .unwrap_or_default();
        format!("{}┊ {words}", " ".repeat(cell))
    }

    /// Each month is cut into equal parts.
    fn start_of(&self, cell: usize) -> Timestamp {
        let Some(&month) = self.months.get(cell / WIDTH) else {
            return self
                .months
                .last()
                .map_or(Timestamp::MAX, |last| midnight(last.last_of_month()) + DAY);
        };
        let seconds = i64::from(month.days_in_month()) * 86_400;
        let part = i64::try_from(cell % WIDTH).unwrap_or(0);
        midnight(month) + SignedDuration::from_secs(seconds * part / WIDTH as i64)
    }
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn date(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn midnight(date: Date) -> Timestamp {
    date.to_zoned(TimeZone::UTC)
        .map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("{text}T02:00:00Z").parse().unwrap()
    }

    fn proof(validated: &str, until: &str) -> Shown {
        Shown {
            validated: at(validated),
            until: at(until),
        }
    }

    #[test]
    fn a_row_shows_each_proof_the_rule_and_a_gap() {
        let line = Timeline::new(at("2026-12-01"), at("2027-05-31"), at("2027-03-15"));
        assert_eq!(line.years(), "’26 ’27");
        assert_eq!(line.names(), "Dec Jan Feb Mar Apr May");
        let kept = [
            proof("2026-12-09", "2027-03-15"),
            proof("2027-02-20", "2027-06-01"),
        ];
        assert_eq!(line.row(&kept), " ●────────●──┊──────────");
        let gap = [
            proof("2026-12-01", "2027-01-01"),
            proof("2027-02-01", "2027-06-01"),
        ];
        assert_eq!(line.row(&gap), "●────×××●────┊──────────");
        assert_eq!(line.row(&[]), " ".repeat(24));
        assert_eq!(line.rule("new"), "             ┊ new");
    }
}
