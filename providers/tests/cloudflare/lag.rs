//! Lists that show what was, and entries that are no records.

use super::*;

#[tokio::test]
async fn a_value_that_a_late_list_lacks_is_not_gone() {
    let (fake, zone) = prepared().await;
    let before = fake.dump(&zone);
    let provider = provider(&fake);
    for reads in [1, 2, 3] {
        fake.lag(0);
        fake.lag(reads + 1);
        add(&*provider, APEX, "swiss-pki=late").await.unwrap();
        let receipt = remove(&*provider, APEX, "swiss-pki=late").await.unwrap();
        assert!(receipt.changed, "{reads}");
        assert_eq!(fake.dump(&zone), before, "{reads}");
    }
}

#[tokio::test]
async fn a_list_that_stays_late_leaves_the_removal_open_and_nothing_is_called_withdrawn() {
    let (fake, zone) = prepared().await;
    let before = fake.dump(&zone);
    let provider = provider(&fake);
    fake.lag(100);
    add(&*provider, APEX, "swiss-pki=late").await.unwrap();
    let error = remove(&*provider, APEX, "swiss-pki=late")
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Unknown && error.message.contains("not listed yet"),
        "{}",
        shown(&error)
    );
    assert_eq!(fake.dump(&zone).len(), before.len() + 1);
    fake.lag(0);
    remove(&*provider, APEX, "swiss-pki=late").await.unwrap();
    assert_eq!(fake.dump(&zone), before);
}

#[tokio::test]
async fn a_record_that_a_late_list_still_shows_is_gone_when_the_api_says_so() {
    let (fake, zone) = prepared().await;
    let before = fake.dump(&zone);
    let provider = provider(&fake);
    add(&*provider, APEX, "swiss-pki=late").await.unwrap();
    fake.lag(4);
    remove(&*provider, APEX, "swiss-pki=late").await.unwrap();
    // Another process, which has not removed it.
    let other = settings(&fake, json!({ "token": secret(TOKEN) })).unwrap();
    let receipt = remove(&*other, APEX, "swiss-pki=late").await.unwrap();
    assert!(!receipt.changed && !receipt.after.holds("swiss-pki=late"));
    // Published again, while the list shows the old record: it is not taken for the new one.
    fake.lag(0);
    add(&*provider, APEX, "swiss-pki=again").await.unwrap();
    fake.lag(3);
    remove(&*provider, APEX, "swiss-pki=again").await.unwrap();
    assert!(
        add(&*provider, APEX, "swiss-pki=again")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(fake.dump(&zone).len(), before.len() + 1);
}

#[tokio::test]
async fn a_record_that_the_api_has_and_does_not_list_is_told_as_that() {
    let (fake, zone) = prepared().await;
    fake.put(&zone, APEX, "TXT", 300, "\"swiss-pki=hidden\"");
    fake.hide("\"swiss-pki=hidden\"");
    let error = add(&*provider(&fake), APEX, "swiss-pki=hidden")
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Unavailable
            && error
                .message
                .contains("exists already, and does not list it")
            && !error.message.contains("another writer changes"),
        "{}",
        shown(&error)
    );
    // Other values of the same call are published all the same.
    let values = [
        value(APEX, "swiss-pki=hidden"),
        value(&format!("new.{APEX}"), "swiss-pki=good"),
    ];
    let outcomes = provider(&fake).ensure_present(&values).await;
    assert!(outcomes[0].is_err() && outcomes[1].is_ok(), "{outcomes:?}");
}

#[tokio::test]
async fn an_unreadable_record_costs_only_the_names_it_may_belong_to() {
    let (fake, _) = prepared().await;
    fake.strange(
        json!({ "id": "1", "name": format!("mine.{APEX}"), "type": "TXT", "content": null }),
    );
    fake.strange(json!({ "id": "2", "name": null, "type": "MX", "content": "x" }));
    let provider = provider(&fake);
    add(&*provider, APEX, "swiss-pki=fine").await.unwrap();
    let error = add(&*provider, &format!("mine.{APEX}"), "swiss-pki=unsure")
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Unavailable && error.message.contains("`content`"),
        "{}",
        shown(&error)
    );
    fake.strange(json!({ "id": "3", "type": "TXT", "content": "\"x\"" }));
    let error = add(&*provider, APEX, "swiss-pki=unsure").await.unwrap_err();
    assert!(error.message.contains("`name`"), "{}", shown(&error));
}
