//! Pages and limits.

use super::*;

/// This many names with a value each, in Route 53's order.
fn fill(fake: &Fake, names: usize) {
    fake.with(ZONE, |zone| {
        let sets = (0..names).map(|number| {
            Rrset::new(
                &format!("f{number:05}.example.test"),
                "A",
                60,
                &["192.0.2.9"],
            )
        });
        zone.sets.extend(sets);
        zone.sets.sort_by_key(Rrset::place);
    });
}

#[tokio::test]
async fn a_large_zone_takes_one_read_for_its_apex_and_few_for_a_name() {
    let fake = prepared().await;
    fill(&fake, 2_000);
    let provider = provider(&fake, WRITER);
    let reads = |fake: &Fake| fake.calls(Operation::ListResourceRecordSets);
    assert!(
        add(&*provider, APEX, "swiss-pki=large")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(reads(&fake), 1);
    fake.forget_calls();
    // The name, and the wildcard beside it; not seven pages.
    assert!(
        add(&*provider, "www.example.test", "swiss-pki=large")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(reads(&fake), 3);
    fake.forget_calls();
    // Many names: the pages.
    let values: Vec<_> = (0..200)
        .map(|number| value(&format!("n{number}.example.test"), "swiss-pki=large"))
        .collect();
    assert!(
        provider
            .ensure_present(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    assert_eq!(
        (
            reads(&fake),
            fake.calls(Operation::ChangeResourceRecordSets)
        ),
        (7, 1)
    );
}

#[tokio::test]
async fn what_is_unsafe_in_a_small_zone_is_unsafe_in_a_large_one() {
    let fake = prepared().await;
    fill(&fake, 2_000);
    let provider = provider(&fake, WRITER);
    let before = fake.dump(ZONE);
    for label in ["alias", "cut", "www.cut", "shop.wild", "deep.shop.wild"] {
        let owner = format!("{label}.{APEX}");
        let error = add(&*provider, &owner, "swiss-pki=unsafe")
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsafe, "{}", shown(&error));
        assert_eq!(
            provider
                .preflight(&owner, RecordKind::Txt)
                .await
                .unwrap_err()
                .kind,
            ErrorKind::Unsafe,
            "{owner}"
        );
    }
    assert_eq!(fake.dump(ZONE), before);
    for label in ["there.wild", "empty.wild", "not-there"] {
        assert!(
            add(&*provider, &format!("{label}.{APEX}"), "swiss-pki=safe")
                .await
                .unwrap()
                .changed,
            "{label}"
        );
    }
}

#[tokio::test]
async fn pages_that_end_anywhere_lose_nothing() {
    for page in [1, 2, 3, 7] {
        let fake = prepared().await;
        fake.page(page);
        fake.zone("Z9LAST", "last.test", ACCOUNT);
        fake.with(ZONE, |zone| {
            // A name whose record sets have one type and differ in the identifier only.
            for number in 0..5 {
                let set = Rrset::new("routed.example.test", "TXT", 60, &["\"x\""]);
                zone.put(set.routed(&format!("set {number}"), "Weight", "10"));
            }
        });
        let provider = provider(&fake, WRITER);
        assert_eq!(
            provider.find_zone("last.test").await.unwrap().apex,
            "last.test",
            "pages of {page}"
        );
        let before = fake.dump(ZONE);
        let receipt = add(&*provider, APEX, "swiss-pki=pages").await.unwrap();
        assert!(
            foreign_records()
                .iter()
                .all(|record| receipt.after.records.contains(record)),
            "pages of {page}"
        );
        assert!(
            remove(&*provider, APEX, "swiss-pki=pages")
                .await
                .unwrap()
                .changed
        );
        let error = add(&*provider, "routed.example.test", "swiss-pki=x")
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsafe, "{}", shown(&error));
        assert_eq!(fake.dump(ZONE), before, "pages of {page}");
    }
}

#[tokio::test]
async fn what_does_not_fit_into_one_batch_takes_several_and_each_is_within_the_limits() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    let before = fake.dump(ZONE);
    // 1,200 values, and 60 of a thousand characters: by count two batches, by characters two more.
    let many = (0..1_200).map(|number| value(&format!("n{number:04}.example.test"), "swiss-pki=x"));
    let long =
        (0..60).map(|number| value(&format!("long{number}.example.test"), &"y".repeat(1_000)));
    let values: Vec<_> = many.chain(long).collect();
    assert!(
        provider
            .ensure_present(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    let writes = fake.calls(Operation::ChangeResourceRecordSets);
    assert!((3..=4).contains(&writes), "{writes}");
    assert!(
        provider
            .ensure_absent(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    assert_eq!(fake.dump(ZONE), before);
}

#[tokio::test]
async fn what_fits_into_no_batch_is_refused_before_it_is_sent() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    let full: Vec<String> = (0..300)
        .map(|number| format!("\"{number:0100}\""))
        .collect();
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    fake.with(ZONE, |zone| {
        zone.put(Rrset::new("full.example.test", "TXT", 60, &full))
    });
    for (owner, text) in [
        ("full.example.test", "swiss-pki=x".to_owned()),
        (APEX, "x".repeat(4_001)),
    ] {
        let error = add(&*provider, owner, &text).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsafe, "{}", shown(&error));
    }
    assert_eq!(fake.calls(Operation::ChangeResourceRecordSets), 0);
}
