//! Comparing: whether a name after a change is as it was before, but for the change.

use crate::record::{TxtRecord, TxtRrset};

/// The differences that a change has left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Whether it is about the value that we wrote or removed.
    pub(crate) ours: bool,
    pub(crate) what: String,
}

/// `after` is `before` with `records` more (`present`) or less, in whatever split they are stored.
/// Another writer may have added values meanwhile; no foreign value may be missing.
pub(crate) fn compare(
    before: &TxtRrset,
    after: &TxtRrset,
    records: &[TxtRecord],
    present: bool,
) -> Result<(), Difference> {
    let show = |record: &TxtRecord| format!("\"{}\"", record.display());
    let is_there = |record: &TxtRecord| {
        after
            .records
            .iter()
            .any(|other| other.joined() == record.joined())
    };
    if let Some(record) = records.iter().find(|record| is_there(record) != present) {
        let what = format!(
            "the value {} is {}",
            show(record),
            if present { "not there" } else { "still there" }
        );
        return Err(Difference { ours: true, what });
    }
    for record in &before.records {
        let goes = !present && records.contains(record);
        if !goes && !after.records.contains(record) {
            let what = format!(
                "the value {} is gone (it was there with TTL {})",
                show(record),
                before.ttl.unwrap_or(0)
            );
            return Err(Difference { ours: false, what });
        }
    }
    match (before.ttl, after.ttl) {
        (Some(old), Some(new)) if old != new => Err(Difference {
            ours: false,
            what: format!("the TTL of all values went from {old} to {new}"),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::Zone;

    fn rrset(ttl: Option<u32>, values: &[&str]) -> TxtRrset {
        let zone = Zone::of("example.ch");
        let records = values.iter().map(|value| TxtRecord::of(value)).collect();
        TxtRrset {
            zone,
            owner: "example.ch".into(),
            ttl,
            records,
            cname: None,
            negative_ttl: None,
        }
    }

    #[test]
    fn a_lost_value_a_moved_ttl_and_a_change_that_is_not_there_are_told_by_name() {
        let before = rrset(Some(3600), &["v=spf1 -all"]);
        let ours = [TxtRecord::of("swiss-pki=1")];
        let verdict = |ttl, values: &[&str]| compare(&before, &rrset(ttl, values), &ours, true);
        assert_eq!(
            verdict(Some(3600), &["swiss-pki=1", "v=spf1 -all", "foreign"]),
            Ok(())
        );
        assert!(
            verdict(Some(3600), &["swiss-pki=1"])
                .unwrap_err()
                .what
                .contains("v=spf1 -all")
        );
        assert!(
            verdict(Some(60), &["swiss-pki=1", "v=spf1 -all"])
                .unwrap_err()
                .what
                .contains("3600 to 60")
        );
        assert!(
            verdict(Some(3600), &["v=spf1 -all"])
                .unwrap_err()
                .what
                .contains("swiss-pki=1")
        );
        let two = rrset(Some(3600), &["v=spf1 -all", "swiss-pki=1"]);
        assert!(
            compare(&two, &two, &ours, false)
                .unwrap_err()
                .what
                .contains("still there")
        );
        assert_eq!(compare(&two, &before, &ours, false), Ok(()));
    }
}
