//! Revocations at InterNetX: what the certificate itself tells, and what a lost answer does.

use super::*;

#[tokio::test]
async fn a_certificate_that_cannot_be_revoked_by_number_is_deleted_with_its_validation() {
    let lab = Lab::start("BASIC_SSL", |behaviour| {
        behaviour.present_is_not_revoked = true
    })
    .await;
    let (intent, order) = lab.ordered("gone", "gone.test").await;
    let (leaf, _) = suite::fetch(&lab, &order, &intent).await;
    let request = RevocationRequest {
        serial: leaf.serial,
        reason: RevocationReason::Superseded,
        requestor: String::new(),
        comment: None,
    };
    let answer = lab.ca.revoke(&order.key, &request).await.unwrap();
    let Revocation::Taken(key) = answer else {
        panic!("{answer:?}");
    };
    let checked = lab.ca.read(&key).await.unwrap();
    assert_eq!(checked.state, OrderState::AwaitsValidation);
    checked.challenges.iter().for_each(|one| lab.publish(one));
    lab.clock.advance(SignedDuration::from_mins(2));
    assert_eq!(lab.ca.read(&key).await.unwrap().state, OrderState::Revoked);
    assert_eq!(
        lab.ca.revoke(&order.key, &request).await.unwrap(),
        Revocation::Done
    );
}

#[tokio::test]
async fn only_the_certificate_itself_tells_that_it_is_revoked() {
    for what in [
        What::Hollow,
        What::Nothing,
        What::Lost,
        What::DoneButLost,
        What::Page,
    ] {
        let lab = Lab::start("BASIC_SSL", |_| {}).await;
        let (intent, order) = lab.ordered("told", "told.test").await;
        let (leaf, _) = suite::fetch(&lab, &order, &intent).await;
        let request = RevocationRequest {
            serial: leaf.serial,
            reason: RevocationReason::Superseded,
            requestor: String::new(),
            comment: None,
        };
        lab.robot.fault(Fault {
            times: 1,
            on: format!(
                "POST /certificate/{}/_revoke",
                order.key.certificate.as_ref().unwrap()
            ),
            what,
        });
        let answer = lab.ca.revoke(&order.key, &request).await.unwrap();
        if what == What::DoneButLost {
            assert_eq!(answer, Revocation::Done);
            continue;
        }
        let Revocation::Taken(key) = answer else {
            panic!("{what:?}: {answer:?}");
        };
        let shown = lab.ca.read(&key).await.unwrap();
        assert_eq!(shown.state, OrderState::Issued, "{what:?}");
        lab.ca.revoke(&key, &request).await.unwrap();
        let shown = lab.ca.read(&key).await.unwrap();
        assert_eq!(shown.state, OrderState::Revoked, "{what:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_there_for_a_moment_is_revoked_all_the_same() {
    let lab = Lab::start("BASIC_SSL", |_| {}).await;
    let (intent, order) = lab.ordered("moment", "moment.test").await;
    let (leaf, _) = suite::fetch(&lab, &order, &intent).await;
    let request = RevocationRequest {
        serial: leaf.serial,
        reason: RevocationReason::Superseded,
        requestor: String::new(),
        comment: None,
    };
    let id = order.key.certificate.as_ref().unwrap();
    lab.robot
        .fault(fault(&format!("GET /certificate/{id}"), What::Nothing));
    let answer = lab.ca.revoke(&order.key, &request).await.unwrap();
    assert_eq!(answer, Revocation::Done);
}
