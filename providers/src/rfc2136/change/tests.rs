//! What a read after a change may show.

#![allow(clippy::unwrap_used)]
use super::*;

fn rrset(ttl: Option<u32>, values: &[&str]) -> TxtRrset {
    let zone = Zone { apex: "example.ch".into(), id: None };
    let records = values.iter().map(|value| TxtRecord::of(value)).collect();
    TxtRrset { zone, owner: "example.ch".into(), ttl, records, negative_ttl: None }
}

#[test]
fn a_lost_value_a_moved_ttl_and_a_change_that_is_not_there_are_told_by_name() {
    let before = rrset(Some(3600), &["v=spf1 -all"]);
    let ours = [TxtRecord::of("swiss-pki=1")];
    let verdict = |ttl, values: &[&str]| compare(&before, &rrset(ttl, values), &ours, Verb::Present);
    assert_eq!(verdict(Some(3600), &["swiss-pki=1", "v=spf1 -all", "somebody's"]), Ok(()));
    assert!(verdict(Some(3600), &["swiss-pki=1"]).unwrap_err().what.contains("v=spf1 -all"));
    assert!(verdict(Some(60), &["swiss-pki=1", "v=spf1 -all"]).unwrap_err().what.contains("3600 to 60"));
    assert!(verdict(Some(3600), &["v=spf1 -all"]).unwrap_err().what.contains("swiss-pki=1"));
    let two = rrset(Some(3600), &["v=spf1 -all", "swiss-pki=1"]);
    assert!(compare(&two, &two, &ours, Verb::Absent).unwrap_err().what.contains("still there"));
    assert_eq!(compare(&two, &before, &ours, Verb::Absent), Ok(()));
}
