//! Other writers at the same time, throttling, and answers that get lost.

use super::*;

/// The values at a name, as Route 53 has them.
fn values_at(fake: &Fake, owner: &str) -> Vec<String> {
    fake.with(ZONE, |zone| {
        zone.set(owner, "TXT")
            .map(|set| set.values.clone())
            .unwrap_or_default()
    })
}

fn another_adds(zones: &mut std::collections::BTreeMap<String, fake::Zone>, text: &str) {
    let zone = zones.get_mut(ZONE).unwrap();
    let mut set = zone.set(APEX, "TXT").cloned().unwrap();
    set.values.push(format!("\"{text}\""));
    set.ttl = Some(60);
    zone.put(set);
}

#[tokio::test]
async fn a_stale_read_costs_a_repetition_and_no_value_or_ttl() {
    for messages_form in [false, true] {
        let fake = prepared().await;
        if messages_form {
            fake.use_messages_form();
        }
        let provider = provider(&fake, WRITER);
        fake.before_change(|zones| another_adds(zones, "at the same time"));
        let receipt = add(&*provider, APEX, "swiss-pki=stale").await.unwrap();
        assert!(
            receipt.before.holds("at the same time") && receipt.after.holds("at the same time")
        );
        assert_eq!(
            (receipt.before.ttl, receipt.after.ttl),
            (Some(60), Some(60))
        );
        assert_eq!(fake.calls(Operation::ChangeResourceRecordSets), 2);
        // Foreign values are there exactly as they were written.
        let mut expected: Vec<String> =
            foreign_records().iter().skip(1).map(presentation).collect();
        expected
            .extend([SPF, "at the same time", "swiss-pki=stale"].map(|text| format!("\"{text}\"")));
        assert_eq!(values_at(&fake, APEX), expected);
    }
}

#[tokio::test]
async fn a_new_name_that_another_writer_makes_first_is_joined() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    fake.before_change(|zones| {
        let zone = zones.get_mut(ZONE).unwrap();
        zone.put(Rrset::new("new.example.test", "TXT", 7200, &["\"first\""]));
    });
    let receipt = add(&*provider, "new.example.test", "swiss-pki=second")
        .await
        .unwrap();
    assert!(receipt.after.holds("first") && receipt.after.ttl == Some(7200));
    assert_eq!(
        values_at(&fake, "new.example.test"),
        ["\"first\"", "\"swiss-pki=second\""]
    );
}

#[tokio::test]
async fn the_last_value_goes_with_the_ttl_that_it_was_given() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    add(&*provider, "new.example.test", "swiss-pki=last")
        .await
        .unwrap();
    fake.before_change(|zones| {
        zones.get_mut(ZONE).unwrap().put(Rrset::new(
            "new.example.test",
            "TXT",
            77,
            &["\"swiss-pki=last\""],
        ));
    });
    let receipt = remove(&*provider, "new.example.test", "swiss-pki=last")
        .await
        .unwrap();
    assert!(receipt.changed && receipt.before.ttl == Some(77) && receipt.after.ttl.is_none());
    assert!(values_at(&fake, "new.example.test").is_empty());
}

#[tokio::test]
async fn a_name_that_changes_all_the_time_is_given_up_unwritten() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    for number in 0..10 {
        fake.before_change(move |zones| another_adds(zones, &format!("busy {number}")));
    }
    let error = add(&*provider, APEX, "swiss-pki=never").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Unavailable && error.message.contains("nothing was written"),
        "{}",
        shown(&error)
    );
    assert_eq!(fake.calls(Operation::ChangeResourceRecordSets), 5);
    assert!(!values_at(&fake, APEX).concat().contains("never"));
}

#[tokio::test]
async fn a_batch_that_one_name_spoils_is_taken_apart() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    let values: Vec<_> = (0..8)
        .map(|number| value(&format!("n{number}.example.test"), "swiss-pki=x"))
        .collect();
    // No read shows it: Route 53 refuses for a reason of its own.
    fake.with(ZONE, |zone| zone.locked = Some("n3.example.test".into()));
    for (value, result) in values.iter().zip(provider.ensure_present(&values).await) {
        match result {
            Ok(receipt) => assert!(
                receipt.changed && !values_at(&fake, &value.owner).is_empty(),
                "{}",
                value.owner
            ),
            Err(error) => {
                assert_eq!(
                    (value.owner.as_str(), error.kind),
                    ("n3.example.test", ErrorKind::Unsafe),
                    "{}",
                    shown(&error)
                );
                assert!(
                    error.message.contains("managed by another service"),
                    "{}",
                    shown(&error)
                );
            }
        }
    }
    assert!(values_at(&fake, "n3.example.test").is_empty());
}

#[tokio::test]
async fn a_lost_answer_is_found_out_by_reading() {
    for fault in [
        Fault::LoseAnswer,
        Fault::BreakAfter(500),
        Fault::BreakAfter(503),
        Fault::Garbage,
    ] {
        let is_garbage = matches!(fault, Fault::Garbage);
        let fake = prepared().await;
        let provider = provider(&fake, WRITER);
        fake.fail_next(Operation::ChangeResourceRecordSets, fault.clone());
        let receipt = add(&*provider, APEX, "swiss-pki=lost")
            .await
            .unwrap_or_else(|e| panic!("{fault:?}: {}", shown(&e)));
        assert!(
            receipt.changed
                && !receipt.before.holds("swiss-pki=lost")
                && receipt.after.holds("swiss-pki=lost")
        );
        let writes = if is_garbage { 2 } else { 1 };
        assert_eq!(
            fake.calls(Operation::ChangeResourceRecordSets),
            writes,
            "{fault:?}"
        );
        assert_eq!(values_at(&fake, APEX).len(), 4);
        let before = fake.dump(ZONE);
        fake.fail_next(Operation::ChangeResourceRecordSets, Fault::LoseAnswer);
        let receipt = remove(&*provider, APEX, "swiss-pki=lost").await.unwrap();
        assert!(receipt.changed && fake.dump(ZONE).len() == before.len() - 1);
    }
}

#[tokio::test]
async fn a_lost_request_is_sent_again_once_a_read_shows_that_it_was_lost() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    fake.fail_next(Operation::ChangeResourceRecordSets, Fault::LoseRequest);
    let receipt = add(&*provider, APEX, "swiss-pki=again").await.unwrap();
    assert!(receipt.changed && receipt.change_id.is_some());
    assert_eq!(fake.calls(Operation::ChangeResourceRecordSets), 2);
    for _ in 0..2 {
        fake.fail_next(Operation::ChangeResourceRecordSets, Fault::LoseRequest);
    }
    let error = remove(&*provider, APEX, "swiss-pki=again")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
    assert_eq!(
        fake.calls(Operation::ChangeResourceRecordSets),
        4,
        "sent once, repeated once after a read"
    );
}

#[tokio::test]
async fn a_lost_answer_without_a_read_is_unknown() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    fake.fail_next(Operation::ChangeResourceRecordSets, Fault::LoseAnswer);
    // The first read is the one before the change.
    fake.fail_after(
        Operation::ListResourceRecordSets,
        1,
        Fault::Refuse(403, "AccessDenied", "taken away"),
    );
    let error = add(&*provider, APEX, "swiss-pki=lost").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
}

#[tokio::test]
async fn a_refusal_after_a_lost_request_leaves_the_outcome_open() {
    for (code, words) in [
        ("AccessDenied", "taken away"),
        ("InvalidInput", "no"),
        ("InvalidChangeBatch", "no"),
    ] {
        let fake = prepared().await;
        fake.fail_next(Operation::ChangeResourceRecordSets, Fault::LoseRequest);
        (0..3).for_each(|_| {
            fake.fail_next(
                Operation::ChangeResourceRecordSets,
                Fault::Refuse(400, code, words),
            )
        });
        let error = add(&*provider(&fake, WRITER), APEX, "swiss-pki=late")
            .await
            .unwrap_err();
        // What was lost may still be on its way.
        assert!(
            error.kind == ErrorKind::Unknown && error.message.contains(words),
            "{code}: {}",
            shown(&error)
        );
    }
}

#[tokio::test]
async fn throttling_and_a_zone_that_is_busy_are_waited_out() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    for operation in [
        Operation::ListHostedZones,
        Operation::ListResourceRecordSets,
        Operation::ChangeResourceRecordSets,
    ] {
        fake.fail_next(operation, Fault::Throttle);
    }
    fake.fail_next(Operation::ChangeResourceRecordSets, Fault::Busy);
    assert!(
        add(&*provider, APEX, "swiss-pki=patient")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(
        fake.calls(Operation::ListResourceRecordSets),
        2,
        "what was throttled was not done and needs no read"
    );
    assert_eq!(fake.calls(Operation::ChangeResourceRecordSets), 3);
}

#[tokio::test]
async fn a_zone_that_was_made_anew_is_found_under_its_new_id() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    provider.inspect(APEX).await.unwrap();
    fake.remove_zone(ZONE);
    fake.zone("Z0ANEW", APEX, ACCOUNT);
    let receipt = add(&*provider, APEX, "swiss-pki=again").await.unwrap();
    assert_eq!(receipt.after.zone.id.as_deref(), Some("Z0ANEW"));
    // A zone made a moment ago is not missed for minutes either, once the list is no longer fresh;
    // one that is gone is not a zone.
    fake.remove_zone("Z0ANEW");
    let error = add(&*provider, APEX, "swiss-pki=gone").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoZone, "{}", shown(&error));
}

#[tokio::test]
async fn each_call_has_its_turn_and_without_one_nothing_is_sent() {
    let fake = prepared().await;
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let pace: Pace = {
        let asked = Arc::clone(&asked);
        Arc::new(move |allowance: Allowance| {
            let mut asked = asked.lock().unwrap();
            asked.push(allowance);
            let outcome = if asked.len() <= 3 {
                Ok(())
            } else {
                Err("the count failed".to_owned())
            };
            Box::pin(async move { outcome })
        })
    };
    let provider = provider_paced(&fake, WRITER, &json!({}), None, Some(pace));
    assert!(
        add(&*provider, APEX, "swiss-pki=paced")
            .await
            .unwrap()
            .changed
    );
    let error = provider.inspect(APEX).await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Unavailable && shown(&error).contains("the count failed"),
        "{}",
        shown(&error)
    );
    for operation in [
        Operation::ListHostedZones,
        Operation::ListResourceRecordSets,
        Operation::ChangeResourceRecordSets,
    ] {
        assert_eq!(fake.calls(operation), 1, "{operation:?}");
    }
    let asked = asked.lock().unwrap();
    assert_eq!(
        (asked.len(), asked[0].per_second, asked[0].burst),
        (4, 50.0, 50)
    );
    assert!(
        asked[0].whose.starts_with("route53 ") && !asked[0].whose.contains(WRITER),
        "{}",
        asked[0].whose
    );
}

#[tokio::test]
async fn a_list_that_lags_is_not_taken_for_a_value_that_is_gone_or_there() {
    let fake = prepared().await;
    let before = values_at(&fake, APEX);
    let provider = provider(&fake, WRITER);
    fake.lag(2);
    add(&*provider, APEX, "swiss-pki=late").await.unwrap();
    // The first list lacks the value still.
    assert!(
        remove(&*provider, APEX, "swiss-pki=late")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(values_at(&fake, APEX), before);
    // The list shows the removed value still.
    add(&*provider, APEX, "swiss-pki=late").await.unwrap();
    fake.lag(2);
    remove(&*provider, APEX, "swiss-pki=late").await.unwrap();
    assert!(
        add(&*provider, APEX, "swiss-pki=late")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(values_at(&fake, APEX).len(), before.len() + 1);
    remove(&*provider, APEX, "swiss-pki=late").await.unwrap();
    // It lags on and on.
    fake.lag(100);
    add(&*provider, APEX, "swiss-pki=late").await.unwrap();
    let error = remove(&*provider, APEX, "swiss-pki=late")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{error}");
    assert_eq!(values_at(&fake, APEX).len(), before.len() + 1);
}

#[tokio::test]
async fn a_refusal_that_a_late_list_does_not_explain_is_tried_again_on_a_newer_one() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    fake.before_change(|zones| another_adds(zones, "meanwhile"));
    fake.lag(2);
    let receipt = add(&*provider, APEX, "swiss-pki=stale").await.unwrap();
    assert!(receipt.after.holds("meanwhile") && receipt.after.holds("swiss-pki=stale"));
}
