//! The cases of CNAMEs, and of values with every character that a CA may choose.

use super::{Subject, put, take};
use crate::provider::{ErrorKind, Provider, ProviderError};
use crate::record::{Receipt, Record, RecordKind, TxtRecord};

/// A random value of a CA, of the kind that is hardest to write.
const ODD: &str = r#"F(U_t|L%>8]iU6Yx\CFm;0O8"DViEQ/"#;
const TARGET: &str = "target.example.net";

/// Names at which a record of a CA may have to be: below the apex, below a name that does not
/// exist, below an empty non-terminal, beside a wildcard.
fn owners(apex: &str) -> Vec<String> {
    [
        "_x",
        "_x.new",
        "_x.empty.wild",
        "_x.there.wild",
        "_x.wild",
        "_x._y.wild",
    ]
    .iter()
    .map(|name| format!("{name}.{apex}"))
    .collect()
}

async fn make(provider: &dyn Provider, record: &Record) -> Result<Receipt, ProviderError> {
    let mut results = provider.ensure_present(std::slice::from_ref(record)).await;
    results.remove(0)
}

async fn unmake(provider: &dyn Provider, record: &Record) -> Result<Receipt, ProviderError> {
    let mut results = provider.ensure_absent(std::slice::from_ref(record)).await;
    results.remove(0)
}

fn kind(result: &Result<Receipt, ProviderError>) -> Option<ErrorKind> {
    result.as_ref().err().map(|error| error.kind)
}

pub(super) async fn an_odd_value_comes_and_goes_wherever_a_ca_wants_it(subject: &dyn Subject) {
    let (provider, apex, zone) = (subject.provider(), subject.apex(), subject.zone().await);
    for owner in owners(&apex).into_iter().chain([apex.clone()]) {
        provider
            .preflight(&owner, RecordKind::Txt)
            .await
            .unwrap_or_else(|error| panic!("{}: {owner}: {error}", subject.name()));
        let receipt = put(&*provider, &owner, ODD).await;
        assert!(
            receipt.changed && receipt.after.records.contains(&TxtRecord::of(ODD)),
            "{}: {owner}: {receipt:?}",
            subject.name()
        );
        assert!(!put(&*provider, &owner, ODD).await.changed);
        assert_eq!(subject.zone().await.len(), zone.len() + 1, "{owner}");
        assert!(take(&*provider, &owner, ODD).await.changed);
        assert!(!take(&*provider, &owner, ODD).await.changed);
    }
}

pub(super) async fn a_cname_comes_and_goes_without_a_trace(subject: &dyn Subject) {
    let (provider, apex, zone) = (subject.provider(), subject.apex(), subject.zone().await);
    for owner in owners(&apex) {
        let name = format!("{}: {owner}", subject.name());
        let ours = Record::cname(&owner, TARGET);
        let proof = provider.preflight(&owner, RecordKind::Cname).await;
        proof.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(subject.zone().await, zone, "{name}: nothing was written");

        let made = make(&*provider, &ours).await;
        let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            made.changed && made.before.cname.is_none(),
            "{name}: {made:?}"
        );
        assert!(
            made.after.has(&ours.data) && made.after.ttl.is_some(),
            "{name}"
        );
        let (now, serial) = (subject.zone().await, subject.serial().await);
        assert_eq!(now.len(), zone.len() + 1, "{name}: one record more");
        assert!(zone.iter().all(|line| now.contains(line)), "{name}");

        // The same name in other letters and with a dot is the same target.
        for same in [TARGET, "TARGET.Example.NET", "target.example.net."] {
            let again = make(&*provider, &Record::cname(&owner, same)).await;
            assert!(!again.expect("it is there").changed, "{name}: {same}");
        }
        // Another target is not written over it, and its removal takes nothing away.
        let other = Record::cname(&owner, "other.example.net");
        let refused = make(&*provider, &other).await;
        assert_eq!(
            kind(&refused),
            Some(ErrorKind::Unsafe),
            "{name}: {refused:?}"
        );
        let gone = unmake(&*provider, &other).await;
        assert!(!gone.expect("it is not there").changed, "{name}");
        // Nor does TXT come beside it.
        let refused = make(&*provider, &Record::txt(&owner, "swiss-pki=beside")).await;
        assert_eq!(
            kind(&refused),
            Some(ErrorKind::Unsafe),
            "{name}: {refused:?}"
        );
        assert_eq!(
            (subject.zone().await, subject.serial().await),
            (now, serial),
            "{name}"
        );

        let gone = unmake(&*provider, &Record::cname(&owner, "Target.Example.Net.")).await;
        let gone = gone.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            gone.changed && gone.after.cname.is_none(),
            "{name}: {gone:?}"
        );
        let gone = unmake(&*provider, &ours).await.expect("it is gone");
        assert!(!gone.changed, "{name}");
        assert_eq!(subject.zone().await, zone, "{name}");
    }
}

pub(super) async fn a_cname_is_refused_where_there_is_anything(subject: &dyn Subject) {
    let (provider, apex, serial) = (subject.provider(), subject.apex(), subject.serial().await);
    let below = [
        "mine",
        "there.wild",
        "cut",
        "www.cut",
        "shop.wild",
        "_x.shop.wild",
    ];
    let names = below.iter().map(|label| format!("{label}.{apex}"));
    for owner in names.chain([apex.clone()]) {
        let name = format!("{}: {owner}", subject.name());
        let refused = make(&*provider, &Record::cname(&owner, TARGET)).await;
        assert_eq!(
            kind(&refused),
            Some(ErrorKind::Unsafe),
            "{name}: {refused:?}"
        );
        let proof = provider.preflight(&owner, RecordKind::Cname).await;
        let proof = proof.map(drop).map_err(|error| error.kind);
        assert_eq!(proof, Err(ErrorKind::Unsafe), "{name}");
    }
    let alias = Record::cname(format!("alias.{apex}"), TARGET);
    let refused = make(&*provider, &alias).await;
    assert_eq!(
        kind(&refused),
        Some(ErrorKind::Unsafe),
        "{}: {refused:?}",
        subject.name()
    );
    for outside in [
        Record::cname("elsewhere.invalid", TARGET),
        Record::cname("_x.invalid", ""),
    ] {
        assert!(make(&*provider, &outside).await.is_err());
    }
    assert_eq!(
        subject.serial().await,
        serial,
        "{}: nothing was written",
        subject.name()
    );
}

pub(super) async fn a_foreign_equal_cname_is_left_alone(subject: &dyn Subject) {
    let (provider, owner) = (subject.provider(), format!("_theirs.{}", subject.apex()));
    subject.another_aliases(&owner, Some(TARGET)).await;
    let receipt = make(&*provider, &Record::cname(&owner, TARGET)).await;
    assert!(!receipt.expect("it is there").changed, "{}", subject.name());
    subject.another_aliases(&owner, None).await;
}

pub(super) async fn of_two_cnames_at_once_one_remains(subject: &dyn Subject) {
    let (one, two, apex) = (subject.provider(), subject.provider(), subject.apex());
    for round in 0..3 {
        let owner = format!("_race{round}.{apex}");
        let records = ["a", "b"].map(|side| Record::cname(&owner, format!("{side}.example.net")));
        let (first, second) = futures::join!(make(&*one, &records[0]), make(&*two, &records[1]));
        let won: Vec<bool> = [&first, &second].map(|result| result.is_ok()).to_vec();
        assert_eq!(
            won.iter().filter(|won| **won).count(),
            1,
            "{}: {first:?} {second:?}",
            subject.name()
        );
        for (record, won) in records.iter().zip(won) {
            let gone = unmake(&*one, record).await;
            assert_eq!(gone.expect("ours goes").changed, won, "{}", subject.name());
        }
    }
}

pub(super) async fn both_types_come_and_go_in_one_call(subject: &dyn Subject) {
    let (provider, apex, zone) = (subject.provider(), subject.apex(), subject.zone().await);
    let mut records: Vec<Record> = (0..12)
        .flat_map(|number| {
            [
                Record::cname(format!("_c{number}.many.{apex}"), TARGET),
                Record::txt(format!("_t{number}.many.{apex}"), ODD),
            ]
        })
        .collect();
    records.insert(7, Record::cname(format!("mine.{apex}"), TARGET));
    records.push(Record::txt(&apex, ODD));
    let results = provider.ensure_present(&records).await;
    assert_eq!(results.len(), records.len());
    for (record, result) in records.iter().zip(&results) {
        if record.owner == format!("mine.{apex}") {
            assert_eq!(kind(result), Some(ErrorKind::Unsafe), "{}", subject.name());
            continue;
        }
        let receipt = result
            .as_ref()
            .unwrap_or_else(|error| panic!("{}: {record}: {error}", subject.name()));
        assert!(
            receipt.changed && receipt.after.owner == record.owner,
            "{record}"
        );
        assert!(receipt.after.has(&record.data), "{record}");
    }
    assert_eq!(subject.zone().await.len(), zone.len() + 25);
    subject.restart().await;
    let gone = subject.provider().ensure_absent(&records).await;
    let gone = gone
        .iter()
        .filter(|gone| gone.as_ref().is_ok_and(|gone| gone.changed));
    assert_eq!(gone.count(), 25, "{}", subject.name());
}

pub(super) async fn a_lost_answer_about_a_cname_is_found_out(subject: &dyn Subject) {
    let (provider, owner) = (subject.provider(), format!("_lost.{}", subject.apex()));
    let ours = Record::cname(&owner, TARGET);
    subject.lose_next_answer().await;
    match make(&*provider, &ours).await {
        Ok(receipt) => assert!(receipt.changed && receipt.after.has(&ours.data)),
        Err(error) => assert_eq!(error.kind, ErrorKind::Unknown, "{error}"),
    }
    let again = make(&*provider, &ours).await.expect("it is there");
    assert!(!again.changed, "{}", subject.name());
    assert!(unmake(&*provider, &ours).await.expect("ours goes").changed);
}

pub(super) async fn a_value_whose_name_became_an_alias_is_gone(subject: &dyn Subject) {
    let (provider, owner) = (subject.provider(), format!("_moved.{}", subject.apex()));
    let value = "swiss-pki=moved";
    assert!(put(&*provider, &owner, value).await.changed);
    assert!(take(&*provider, &owner, value).await.changed);
    subject.another_aliases(&owner, Some(TARGET)).await;
    let (zone, serial) = (subject.zone().await, subject.serial().await);
    let ours = Record::txt(&owner, value);
    for _ in 0..2 {
        let gone = unmake(&*provider, &ours).await;
        let gone = gone.unwrap_or_else(|error| panic!("{}: {error}", subject.name()));
        assert!(!gone.changed, "{}: {gone:?}", subject.name());
    }
    // With a name of another answer in one call.
    let other = Record::txt(format!("_other.{}", subject.apex()), value);
    let both = provider.ensure_absent(&[ours, other]).await;
    assert!(
        both.iter().all(Result::is_ok),
        "{}: {both:?}",
        subject.name()
    );
    let now = (subject.zone().await, subject.serial().await);
    assert_eq!(now, (zone, serial), "{}", subject.name());
    subject.another_aliases(&owner, None).await;
}
