//! How long a proof may be used: a table of dated rules, which is data, and one formula.

use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::proof::Proof;

/// One row: a CA that issues a certificate on or after `start` may rely on proofs not older than
/// `limit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReuseRow {
    /// From this instant of issuance on.
    pub start: Timestamp,
    /// The longest age of a proof.
    pub limit: SignedDuration,
    /// Where this is written, or that it is assumed.
    pub source: String,
}

/// All rows that bind, of the CA/B Forum and of the CA together.
///
/// A limit belongs to the *issuance*, so each drop shortens proofs that exist already. A proof of
/// moment `T` is usable while `t < E(T)`, with `E(T) = min over rows of max(start, T + limit)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReuseTable {
    rows: Vec<ReuseRow>,
}

impl Default for ReuseTable {
    /// The rules as known in November 2026: the baseline requirements and SwissSign's own, earlier
    /// ends.
    fn default() -> Self {
        Self::baseline().with(&[
            ((2026, 3, 9), 198, "SwissSign status page, 2026"),
            (
                (2027, 3, 15),
                98,
                "assumed: two days under the BR, as in 2026",
            ),
            (
                (2029, 3, 15),
                8,
                "assumed: two days under the BR, as in 2026",
            ),
        ])
    }
}

impl ReuseTable {
    /// The rules as known in November 2026: the baseline requirements and Sectigo's own, earlier
    /// ends.
    pub fn sectigo() -> Self {
        Self::baseline().with(&[
            ((2026, 3, 12), 198, "Sectigo's notice, March 2026"),
            (
                (2027, 3, 15),
                98,
                "assumed: two days under the BR, as in 2026",
            ),
            (
                (2029, 3, 15),
                8,
                "assumed: two days under the BR, as in 2026",
            ),
        ])
    }

    /// A table of these rows.
    pub fn new(rows: Vec<ReuseRow>) -> Self {
        Self { rows }
    }

    /// The CA/B Forum rows alone: TLS Baseline Requirements 4.2.1.
    pub fn baseline() -> Self {
        let source = "CA/B Forum TLS BR 4.2.1";
        Self::new(Vec::new()).with(&[
            ((1970, 1, 1), 398, source),
            ((2026, 3, 15), 200, source),
            ((2027, 3, 15), 100, source),
            ((2029, 3, 15), 10, source),
        ])
    }

    fn with(mut self, rows: &[((i16, i8, i8), i64, &str)]) -> Self {
        self.rows
            .extend(rows.iter().map(|&((year, month, day), days, source)| {
                ReuseRow {
                    start: date(year, month, day)
                        .to_zoned(TimeZone::UTC)
                        .map_or(Timestamp::MIN, |zoned| zoned.timestamp()),
                    limit: days_long(days),
                    source: source.to_owned(),
                }
            }));
        self
    }

    /// The rows, in the order they were given.
    pub fn rows(&self) -> &[ReuseRow] {
        &self.rows
    }

    /// `E(T)`: the first instant at which a proof of `validated_at` counts no more.
    /// [`Timestamp::MAX`] for an empty table.
    pub fn end_of(&self, validated_at: Timestamp) -> Timestamp {
        self.rows
            .iter()
            .map(|row| row.start.max(after(validated_at, row.limit)))
            .min()
            .unwrap_or(Timestamp::MAX)
    }

    /// The limit in force for certificates issued at `at`.
    pub fn limit_at(&self, at: Timestamp) -> SignedDuration {
        self.rows
            .iter()
            .filter(|row| row.start <= at)
            .map(|row| row.limit)
            .min()
            .unwrap_or(days_long(398))
    }

    /// When `proof` stops counting: the CA's date may only shorten what the rules allow. `None`
    /// when neither is known.
    pub fn usable_until(&self, proof: &Proof) -> Option<Timestamp> {
        let by_rule = proof.made_at().map(|at| self.end_of(at));
        match (by_rule, proof.expires_at) {
            (Some(rule), Some(ca)) => Some(rule.min(ca)),
            (one, other) => one.or(other),
        }
    }
}

/// `at + span`, held at the ends of time.
pub(crate) fn after(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(if span.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// `at - span`, held at the ends of time.
pub(crate) fn before(at: Timestamp, span: SignedDuration) -> Timestamp {
    after(at, -span)
}

/// This many days of 86,400 s.
pub(crate) const fn days_long(days: i64) -> SignedDuration {
    SignedDuration::from_hours(days * 24)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        let text = if text.len() == 10 {
            format!("{text}T00:00:00Z")
        } else {
            format!("{}:00Z", text.replace(' ', "T"))
        };
        text.parse().unwrap()
    }

    /// The worked examples of the rules, under the rows of the baseline requirements.
    #[test]
    fn a_proof_ends_as_in_the_eight_worked_examples() {
        let table = ReuseTable::baseline();
        for (made, ends) in [
            ("2025-08-01", "2026-03-15"),
            ("2025-09-01", "2026-03-20"),
            ("2026-03-20 09:00", "2026-10-06 09:00"),
            ("2026-11-21", "2027-03-15"),
            ("2026-12-05", "2027-03-15"),
            ("2027-01-10 12:00", "2027-04-20 12:00"),
            ("2028-12-20", "2029-03-15"),
            ("2029-03-10 06:00", "2029-03-20 06:00"),
        ] {
            assert_eq!(table.end_of(at(made)), at(ends), "a proof of {made}");
        }
    }

    #[test]
    fn the_ca_may_shorten_a_proof_but_never_lengthen_it() {
        let table = ReuseTable::default();
        let proof = |ca: &str| Proof {
            validated_at: Some(at("2026-04-01")),
            expires_at: Some(at(ca)),
            method: None,
            first_seen: None,
            ends: Default::default(),
        };
        assert_eq!(
            table.usable_until(&proof("2026-05-01")),
            Some(at("2026-05-01"))
        );
        assert_eq!(
            table.usable_until(&proof("2027-05-01")),
            Some(at("2026-10-16")),
            "198 days, whatever the CA says"
        );
    }

    #[test]
    fn a_proof_is_never_younger_than_the_first_reading_that_showed_it() {
        let table = ReuseTable::default();
        let seen = at("2026-11-21");
        let by_the_rules = Some(table.end_of(seen));
        for validated_at in [None, Some(at("2030-01-01"))] {
            let proof = Proof {
                validated_at,
                expires_at: Some(at("2031-01-01")),
                method: None,
                ends: Default::default(),
                first_seen: Some(seen),
            };
            assert_eq!(table.usable_until(&proof), by_the_rules, "{validated_at:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_later_proof_never_ends_earlier(made in 0i64..4_000_000_000, later in 0i64..400_000_000) {
            let table = ReuseTable::default();
            let first = Timestamp::from_second(made).unwrap();
            let second = Timestamp::from_second(made + later).unwrap();
            proptest::prop_assert!(table.end_of(first) <= table.end_of(second));
            proptest::prop_assert!(table.end_of(first) > first);
        }
    }
}
