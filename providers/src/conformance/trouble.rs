//! The cases in which the way to the server fails, or the server has no time.

use super::{Subject, put, take, value};
use crate::provider::ErrorKind;

pub(super) async fn a_lost_answer_is_found_out_and_nothing_is_done_twice(subject: &dyn Subject) {
    let (provider, apex, zone) = (subject.provider(), subject.apex(), subject.zone().await);
    subject.lose_next_answer().await;
    match provider
        .ensure_present(&[value(&apex, "swiss-pki=lost")])
        .await
        .remove(0)
    {
        Ok(receipt) => assert!(
            receipt.changed && receipt.after.holds("swiss-pki=lost"),
            "{}",
            subject.name()
        ),
        Err(error) => assert_eq!(
            error.kind,
            ErrorKind::Unknown,
            "{}: {error}",
            subject.name()
        ),
    }
    assert_eq!(
        subject.zone().await.len(),
        zone.len() + 1,
        "{}: it was done",
        subject.name()
    );
    let serial = subject.serial().await;
    assert!(
        !put(&*provider, &apex, "swiss-pki=lost").await.changed,
        "{}: and is there",
        subject.name()
    );
    assert_eq!(
        subject.serial().await,
        serial,
        "{}: nothing is written again",
        subject.name()
    );
    assert!(take(&*provider, &apex, "swiss-pki=lost").await.changed);
}

pub(super) async fn who_is_turned_away_has_written_nothing_and_comes_again(subject: &dyn Subject) {
    let (provider, apex, before) = (subject.provider(), subject.apex(), subject.zone().await);
    subject.turn_next_away().await;
    match provider
        .ensure_present(&[value(&apex, "swiss-pki=away")])
        .await
        .remove(0)
    {
        Ok(receipt) => assert!(receipt.changed, "{}: it waited", subject.name()),
        Err(error) => {
            assert!(error.is_retryable(), "{}: {error}", subject.name());
            assert_eq!(
                subject.zone().await,
                before,
                "{}: nothing was written",
                subject.name()
            );
            assert!(put(&*provider, &apex, "swiss-pki=away").await.changed);
        }
    }
    assert_eq!(subject.zone().await.len(), before.len() + 1);
    take(&*provider, &apex, "swiss-pki=away").await;
}
