//! CNAME records: beside nothing, in no other record's place, and only ours is removed.

use super::*;

const TARGET: &str = "hash.ca.test";

fn alias(name: &str, target: &str) -> Record {
    Record::cname(format!("{name}.{APEX}"), target)
}

async fn publish(provider: &dyn Provider, record: Record) -> Result<Receipt, ProviderError> {
    provider.ensure_present(&[record]).await.remove(0)
}

async fn withdraw(provider: &dyn Provider, record: Record) -> Result<Receipt, ProviderError> {
    provider.ensure_absent(&[record]).await.remove(0)
}

#[tokio::test]
async fn an_alias_comes_and_goes_and_leaves_the_zone_as_it_was() {
    let (fake, zone) = prepared().await;
    let (before, provider) = (fake.dump(&zone), provider(&fake));
    provider
        .preflight(&format!("_x.{APEX}"), RecordKind::Cname)
        .await
        .unwrap();
    let receipt = publish(&*provider, alias("_x", "Hash.CA.test."))
        .await
        .unwrap();
    assert!(receipt.changed);
    assert_eq!(receipt.after.cname.as_deref(), Some(TARGET));
    assert!(
        fake.dump(&zone)
            .contains(&format!("_x.{APEX} 300 CNAME {TARGET}"))
    );
    assert!(
        !publish(&*provider, alias("_x", TARGET))
            .await
            .unwrap()
            .changed
    );
    // Another target is not ours.
    let other = withdraw(&*provider, alias("_x", "other.test"))
        .await
        .unwrap();
    assert!(!other.changed && other.after.cname.is_some());
    assert!(
        withdraw(&*provider, alias("_x", TARGET))
            .await
            .unwrap()
            .changed
    );
    assert!(
        !withdraw(&*provider, alias("_x", TARGET))
            .await
            .unwrap()
            .changed
    );
    assert_eq!(fake.dump(&zone), before);
}

#[tokio::test]
async fn an_alias_is_added_beside_no_record_and_replaces_none() {
    let (fake, zone) = prepared().await;
    let (before, provider) = (fake.dump(&zone), provider(&fake));
    for (record, words) in [
        (Record::cname(APEX, TARGET), "apex"),
        (alias("mine", TARGET), "TXT"),
        (alias("www", TARGET), "A record"),
        (alias("alias", TARGET), "www.example.test"),
        (alias("x.cut", TARGET), "delegated"),
        (alias("shop.wild", TARGET), "wildcard"),
    ] {
        let owner = record.owner.clone();
        for error in [
            publish(&*provider, record).await.map(drop),
            provider
                .preflight(&owner, RecordKind::Cname)
                .await
                .map(drop),
        ] {
            let error = error.unwrap_err();
            assert!(
                error.kind == ErrorKind::Unsafe && error.message.contains(words),
                "{owner}: {}",
                shown(&error)
            );
        }
    }
    assert_eq!(fake.dump(&zone), before);
}

#[tokio::test]
async fn one_call_takes_both_types_and_answers_in_its_order() {
    let (fake, zone) = prepared().await;
    let provider = provider(&fake);
    let records = [
        alias("_one", TARGET),
        value(APEX, "swiss-pki=1"),
        Record::cname(APEX, TARGET),
        alias("_two", TARGET),
    ];
    let answers = provider.ensure_present(&records).await;
    let changed: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().is_ok_and(|receipt| receipt.changed))
        .collect();
    assert_eq!(changed, [true, true, false, true], "{answers:?}");
    assert!(fake.dump(&zone).iter().any(|line| line.contains("_two")));
}
