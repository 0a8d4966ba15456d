//! CNAME records: CREATE and DELETE of exactly ours.

use super::*;

const TARGET: &str = "hash.ca.test";

async fn present(provider: &dyn Provider, record: Record) -> Result<Receipt, ProviderError> {
    provider.ensure_present(&[record]).await.remove(0)
}

async fn absent(provider: &dyn Provider, record: Record) -> Result<Receipt, ProviderError> {
    provider.ensure_absent(&[record]).await.remove(0)
}

#[tokio::test]
async fn an_alias_comes_and_goes_and_another_one_stays() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    let owner = format!("_x.{APEX}");
    let cname_now = || fake.with(ZONE, |zone| zone.set(&owner, "CNAME").cloned());
    provider.preflight(&owner, RecordKind::Cname).await.unwrap();
    assert_eq!(cname_now(), None);
    let ours = Record::cname(&owner, "Hash.CA.test.");
    let receipt = present(&*provider, ours.clone()).await.unwrap();
    assert!(receipt.changed && receipt.after.cname.as_deref() == Some(TARGET));
    assert_eq!(cname_now().unwrap().values, [format!("{TARGET}.")]);
    assert!(!present(&*provider, ours.clone()).await.unwrap().changed);
    let other = Record::cname(&owner, "other.test");
    assert!(!absent(&*provider, other.clone()).await.unwrap().changed);
    let error = present(&*provider, other).await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Unsafe && error.message.contains(TARGET),
        "{error}"
    );
    assert!(absent(&*provider, ours.clone()).await.unwrap().changed);
    assert!(!absent(&*provider, ours).await.unwrap().changed);
    assert_eq!(cname_now(), None);
}

#[tokio::test]
async fn an_alias_is_refused_at_the_apex_and_beside_other_records() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    let named = format!("named.{APEX}");
    fake.with(ZONE, |zone| {
        zone.put(Rrset::new(&named, "A", 300, &["192.0.2.1"]))
    });
    for owner in [APEX.to_owned(), named] {
        let record = Record::cname(&owner, TARGET);
        for error in [
            present(&*provider, record).await.map(drop),
            provider
                .preflight(&owner, RecordKind::Cname)
                .await
                .map(drop),
        ] {
            let error = error.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsafe, "{owner}: {error}");
        }
    }
}

#[tokio::test]
async fn one_call_takes_both_types_and_answers_in_its_order() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    let records = [
        Record::cname(format!("_x.{APEX}"), TARGET),
        Record::txt(APEX, "swiss-pki=1"),
        Record::cname(APEX, TARGET),
    ];
    let answers = provider.ensure_present(&records).await;
    let changed: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().is_ok_and(|receipt| receipt.changed))
        .collect();
    assert_eq!(changed, [true, true, false], "{answers:?}");
}
