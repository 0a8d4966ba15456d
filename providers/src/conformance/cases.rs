//! The cases in which nothing fails, and those that must be refused.

use super::{APEX_TTL, SPF, Subject, foreign_records, put, take, value};
use crate::provider::ErrorKind;
use crate::record::{Record, RecordKind, TxtRecord};

pub(super) async fn a_value_comes_and_goes_beside_spf_and_its_ttl(subject: &dyn Subject) {
    let (provider, apex, zone) = (subject.provider(), subject.apex(), subject.zone().await);
    let receipt = put(&*provider, &apex, "swiss-pki=one").await;
    assert!(
        receipt.changed
            && receipt.after.holds("swiss-pki=one")
            && !receipt.before.holds("swiss-pki=one")
    );
    for record in foreign_records() {
        assert!(
            receipt.before.records.contains(&record),
            "{}: {record:?} before",
            subject.name()
        );
        assert!(
            receipt.after.records.contains(&record),
            "{}: {record:?} after",
            subject.name()
        );
    }
    assert_eq!(
        (receipt.before.ttl, receipt.after.ttl),
        (Some(APEX_TTL), Some(APEX_TTL))
    );
    let now = subject.zone().await;
    assert_eq!(
        now.len(),
        zone.len() + 1,
        "{}: exactly one record more",
        subject.name()
    );
    assert!(
        zone.iter().all(|record| now.contains(record)),
        "{}: nothing else moved: {now:#?}",
        subject.name()
    );
    assert_eq!(
        provider.inspect(&apex).await.map(|rrset| rrset.ttl).ok(),
        Some(Some(APEX_TTL))
    );
    assert!(take(&*provider, &apex, "swiss-pki=one").await.changed);
}

pub(super) async fn a_new_name_comes_and_goes_without_a_trace(subject: &dyn Subject) {
    let (provider, owner) = (subject.provider(), format!("a.new.{}", subject.apex()));
    let receipt = put(&*provider, &owner, "swiss-pki=new").await;
    assert_eq!(receipt.before.ttl, None);
    assert!(
        receipt.after.ttl.is_some() && receipt.after.records == [TxtRecord::of("swiss-pki=new")]
    );
    let receipt = take(&*provider, &owner, "swiss-pki=new").await;
    assert!(receipt.changed && receipt.after.records.is_empty() && receipt.after.ttl.is_none());
}

pub(super) async fn adding_twice_and_removing_twice_change_once(subject: &dyn Subject) {
    let (provider, apex) = (subject.provider(), subject.apex());
    assert!(put(&*provider, &apex, "swiss-pki=twice").await.changed);
    let serial = subject.serial().await;
    assert!(!put(&*provider, &apex, "swiss-pki=twice").await.changed);
    assert_eq!(
        subject.serial().await,
        serial,
        "{}: the second time nothing is written",
        subject.name()
    );
    assert!(take(&*provider, &apex, "swiss-pki=twice").await.changed);
    assert!(!take(&*provider, &apex, "swiss-pki=twice").await.changed);
}

pub(super) async fn a_value_of_300_octets_comes_and_goes(subject: &dyn Subject) {
    let (provider, apex, long) = (subject.provider(), subject.apex(), "x".repeat(300));
    assert!(put(&*provider, &apex, &long).await.after.holds(&long));
    assert!(take(&*provider, &apex, &long).await.changed);
}

pub(super) async fn a_value_is_removed_in_whatever_split_it_is_stored(subject: &dyn Subject) {
    let (provider, apex) = (subject.provider(), subject.apex());
    let split = TxtRecord {
        strings: vec![b"swiss-".to_vec(), b"pki=split".to_vec()],
    };
    subject.another_puts(&apex, APEX_TTL, &split).await;
    assert!(
        !put(&*provider, &apex, "swiss-pki=split").await.changed,
        "{}: it is the same value",
        subject.name()
    );
    assert!(take(&*provider, &apex, "swiss-pki=split").await.changed);
}

pub(super) async fn a_foreign_equal_value_is_left_alone(subject: &dyn Subject) {
    let (provider, owner) = (subject.provider(), format!("mine.{}", subject.apex()));
    let receipt = put(&*provider, &owner, "foreign").await;
    assert!(!receipt.changed && receipt.before == receipt.after);
}

pub(super) async fn two_writers_at_once_both_succeed(subject: &dyn Subject) {
    let (one, two, apex) = (subject.provider(), subject.provider(), subject.apex());
    for round in 0..5 {
        let (a, b) = (format!("swiss-pki=a{round}"), format!("swiss-pki=b{round}"));
        let (first, second) = futures::join!(put(&*one, &apex, &a), put(&*two, &apex, &b));
        assert!(
            first.changed && second.changed,
            "{}: both wrote",
            subject.name()
        );
        let after = one.inspect(&apex).await.expect("the apex can be read");
        assert!(
            after.holds(&a) && after.holds(&b) && after.holds(SPF),
            "{}: nothing lost",
            subject.name()
        );
        futures::join!(take(&*one, &apex, &a), take(&*two, &apex, &b));
    }
}

pub(super) async fn one_bad_name_costs_only_itself(subject: &dyn Subject) {
    let (provider, apex) = (subject.provider(), subject.apex());
    let good: Vec<String> = (0..12)
        .map(|number| format!("n{number}.many.{apex}"))
        .collect();
    let mut values: Vec<Record> = good
        .iter()
        .map(|owner| value(owner, "swiss-pki=many"))
        .collect();
    values.insert(5, value(&format!("alias.{apex}"), "swiss-pki=many"));
    values.insert(9, value("elsewhere.invalid", "swiss-pki=many"));
    values.push(value(&apex, "swiss-pki=many"));
    let results = provider.ensure_present(&values).await;
    assert_eq!(results.len(), values.len());
    for (value, result) in values.iter().zip(&results) {
        match (result, value.owner.as_str()) {
            (Err(error), "elsewhere.invalid") => {
                assert_eq!(error.kind, ErrorKind::NoZone, "{error}")
            }
            (Err(error), owner) if owner.starts_with("alias.") => {
                assert_eq!(error.kind, ErrorKind::Unsafe, "{error}")
            }
            (Ok(receipt), owner) => {
                assert!(
                    receipt.changed && receipt.after.owner == owner,
                    "in the order of the input"
                )
            }
            (Err(error), owner) => panic!("{}: {owner}: {error}", subject.name()),
        }
    }
    let results = provider.ensure_absent(&values).await;
    assert_eq!(
        results
            .iter()
            .filter(|result| result.as_ref().is_ok_and(|receipt| receipt.changed))
            .count(),
        13
    );
}

pub(super) async fn several_values_of_one_name_come_in_one_call(subject: &dyn Subject) {
    let (provider, apex) = (subject.provider(), subject.apex());
    let values = ["swiss-pki=x", "swiss-pki=y", "swiss-pki=x"].map(|text| value(&apex, text));
    for result in provider.ensure_present(&values).await {
        let after = result.expect("all are added").after;
        assert!(after.holds("swiss-pki=x") && after.holds("swiss-pki=y"));
    }
    assert!(
        take(&*provider, &apex, "swiss-pki=x")
            .await
            .after
            .holds("swiss-pki=y"),
        "{}: the other stays",
        subject.name()
    );
    take(&*provider, &apex, "swiss-pki=y").await;
}

pub(super) async fn an_alias_a_cut_and_a_wildcard_are_refused(subject: &dyn Subject) {
    let (provider, apex, serial) = (subject.provider(), subject.apex(), subject.serial().await);
    for owner in [
        "alias",
        "cut",
        "www.cut",
        "shop.wild",
        "deep.shop.wild",
        // With the record the names above it exist, and the wildcard no longer answers for them.
        "_x.shop.wild",
        "_x._y.deep.shop.wild",
    ]
    .map(|label| format!("{label}.{apex}"))
    {
        let result = provider
            .ensure_present(&[value(&owner, "swiss-pki=unsafe")])
            .await
            .remove(0);
        let kind = result
            .as_ref()
            .map(|receipt| receipt.changed)
            .map_err(|error| error.kind);
        assert_eq!(
            kind,
            Err(ErrorKind::Unsafe),
            "{}: {owner}: {result:?}",
            subject.name()
        );
        let preflight = provider
            .preflight(&owner, RecordKind::Txt)
            .await
            .map(drop)
            .map_err(|error| error.kind);
        assert_eq!(
            preflight,
            Err(ErrorKind::Unsafe),
            "{}: {owner}",
            subject.name()
        );
    }
    assert_eq!(
        subject.serial().await,
        serial,
        "{}: nothing was written",
        subject.name()
    );
}

pub(super) async fn an_existing_name_beside_a_wildcard_takes_a_value(subject: &dyn Subject) {
    let (provider, apex) = (subject.provider(), subject.apex());
    // The second exists only because something is below it; the wildcard does not answer for it
    // (RFC 4592, section 2.2.2).
    for owner in ["there.wild", "empty.wild"].map(|label| format!("{label}.{apex}")) {
        assert!(
            put(&*provider, &owner, "swiss-pki=beside").await.changed,
            "{}: {owner}",
            subject.name()
        );
        assert!(
            take(&*provider, &owner, "swiss-pki=beside").await.changed,
            "{}: {owner}",
            subject.name()
        );
    }
}

pub(super) async fn a_preflight_changes_nothing(subject: &dyn Subject) {
    let (provider, apex, serial) = (subject.provider(), subject.apex(), subject.serial().await);
    let proof = provider
        .preflight(&apex, RecordKind::Txt)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", subject.name()));
    assert_eq!(proof.zone.apex, apex);
    provider
        .preflight(&format!("new.{apex}"), RecordKind::Txt)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", subject.name()));
    assert_eq!(subject.serial().await, serial);
}

pub(super) async fn a_stranger_is_denied(subject: &dyn Subject) {
    let (apex, serial) = (subject.apex(), subject.serial().await);
    let Some(stranger) = subject.stranger() else {
        return;
    };
    let denied = stranger
        .preflight(&apex, RecordKind::Txt)
        .await
        .expect_err("a stranger may not write");
    assert_eq!(
        denied.kind,
        ErrorKind::Denied,
        "{}: {denied}",
        subject.name()
    );
    let result = stranger
        .ensure_present(&[value(&apex, "swiss-pki=stranger")])
        .await
        .remove(0);
    assert_eq!(
        result.map(drop).map_err(|error| error.kind),
        Err(ErrorKind::Denied),
        "{}",
        subject.name()
    );
    assert_eq!(subject.serial().await, serial);
}

pub(super) async fn a_zone_ends_at_a_label(subject: &dyn Subject) {
    let (provider, apex) = (subject.provider(), subject.apex());
    for owner in [apex.clone(), format!("www.{apex}"), format!("a.b.c.{apex}")] {
        assert_eq!(
            provider.find_zone(&owner).await.map(|zone| zone.apex).ok(),
            Some(apex.clone()),
            "{owner}"
        );
    }
    for owner in [format!("not{apex}"), "elsewhere.invalid".into()] {
        let outside = provider.find_zone(&owner).await.map_err(|error| error.kind);
        assert_eq!(
            outside,
            Err(ErrorKind::NoZone),
            "{}: {owner}",
            subject.name()
        );
        let result = provider
            .ensure_present(&[value(&owner, "swiss-pki=outside")])
            .await
            .remove(0);
        assert_eq!(
            result.map(drop).map_err(|error| error.kind),
            Err(ErrorKind::NoZone),
            "{}: {owner}",
            subject.name()
        );
    }
}

pub(super) async fn an_empty_value_is_refused(subject: &dyn Subject) {
    let (provider, apex) = (subject.provider(), subject.apex());
    for result in [
        provider.ensure_present(&[value(&apex, "")]).await,
        provider.ensure_absent(&[value(&apex, "")]).await,
    ] {
        assert!(result[0].is_err(), "{}: an empty value", subject.name());
    }
}

pub(super) async fn a_restart_between_coming_and_going_loses_nothing(subject: &dyn Subject) {
    let apex = subject.apex();
    put(&*subject.provider(), &apex, "swiss-pki=restart").await;
    subject.restart().await;
    assert!(
        take(&*subject.provider(), &apex, "swiss-pki=restart")
            .await
            .changed,
        "{}",
        subject.name()
    );
}

pub(super) async fn a_value_that_changes_meanwhile_survives(subject: &dyn Subject) {
    let (provider, apex) = (subject.provider(), subject.apex());
    let theirs = TxtRecord::of("theirs");
    put(&*provider, &apex, "swiss-pki=ours").await;
    subject.another_puts(&apex, APEX_TTL, &theirs).await;
    take(&*provider, &apex, "swiss-pki=ours").await;
    let after = provider.inspect(&apex).await.expect("the apex can be read");
    assert!(
        after.holds("theirs") && after.ttl == Some(APEX_TTL),
        "{}",
        subject.name()
    );
    subject.another_takes(&apex, &theirs).await;
}

pub(super) async fn two_hundred_and_fifty_values_come_and_go_in_one_call(subject: &dyn Subject) {
    let (provider, apex, zone) = (subject.provider(), subject.apex(), subject.zone().await);
    let values: Vec<_> = (0..250)
        .map(|number| value(&format!("n{number}.many.{apex}"), "swiss-pki=many"))
        .collect();
    for step in ["add", "add again", "remove"] {
        let result = match step {
            "remove" => provider.ensure_absent(&values).await,
            _ => provider.ensure_present(&values).await,
        };
        assert_eq!(result.len(), values.len());
        for (value, result) in values.iter().zip(result) {
            let receipt = result.unwrap_or_else(|error| {
                panic!("{}: {step} {}: {error}", subject.name(), value.owner)
            });
            assert_eq!(
                (receipt.changed, &receipt.after.owner),
                (step != "add again", &value.owner),
                "{step}"
            );
        }
        let expected = zone.len() + if step == "remove" { 0 } else { values.len() };
        assert_eq!(
            subject.zone().await.len(),
            expected,
            "{}: after {step}",
            subject.name()
        );
    }
}
