//! A renewal whose predecessor the CA no longer knows, or has revoked. It becomes a plain new
//! order, and never more than one.

use super::*;
use crate::ca::issuing::{OrderKey, RevocationRequest};
use crate::issuance::progress::HoldKind;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A certificate that is due for its renewal.
async fn due(wanted: &[Certificate]) -> World {
    let world = World::new().await;
    world.run(wanted, 60).await;
    world.clock.advance(DAY * 61);
    world
}

async fn one() -> [Certificate; 1] {
    [World::new().await.certificate("joe")]
}

impl World {
    /// An administrator revokes the first order at the CA.
    async fn revoke_at_the_ca(&self) {
        let request = RevocationRequest {
            serial: "1000001".to_owned(),
            reason: RevocationReason::Superseded,
            requestor: "admin".to_owned(),
            comment: None,
        };
        let key = OrderKey::new("ord-000001");
        self.ca.revoke(&key, &request).await.unwrap();
    }

    /// Whether each order at the CA names the one that it comes after.
    fn successors(&self) -> Vec<bool> {
        let held = self.ca.held().into_iter();
        held.map(|one| one.intent.after.is_some()).collect()
    }
}

#[tokio::test]
async fn a_renewal_goes_on_as_a_new_order_where_the_ca_refuses_its_predecessor() {
    let wanted = one().await;
    let world = due(&wanted).await;
    let words = "there is no such certificate".to_owned();
    world
        .ca
        .next(Verb::Submit, Way::NoPredecessor(words.clone()));
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    assert_eq!(world.successors(), [false, false]);
    assert_eq!(world.ca.count(Verb::Submit), 3);
    assert_eq!(world.row("joe").await.progress.hold, None);
    let history = world.history("joe").await;
    assert!(
        history.iter().any(|one| one.contains(&words)),
        "{history:?}"
    );
}

#[tokio::test]
async fn a_new_order_in_the_place_of_a_renewal_is_made_once() {
    for way in [Way::AnswerLost, Way::RequestLost] {
        let wanted = one().await;
        let world = due(&wanted).await;
        let words = "there is no such certificate".to_owned();
        world.ca.next(Verb::Submit, Way::NoPredecessor(words));
        world.ca.next(Verb::Submit, way.clone());
        world.run(&wanted, 1_000).await;
        assert_eq!(world.live("joe").unwrap().version, 2, "{way:?}");
        assert_eq!(world.ca.held().len(), 2, "{way:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_compared_with_how_the_predecessor_is_at_the_ca() {
    for failure in [Failure::Refused, Failure::NotFound] {
        let wanted = one().await;
        let world = due(&wanted).await;
        world.revoke_at_the_ca().await;
        let words = "the state does not allow it".to_owned();
        world.ca.next(Verb::Submit, Way::Refused(failure, words));
        world.run(&wanted, 60).await;
        assert_eq!(world.live("joe").unwrap().version, 2, "{failure:?}");
        assert_eq!(world.successors(), [false, false], "{failure:?}");
    }
}

#[tokio::test]
async fn a_refusal_for_something_else_is_held_and_a_new_order_is_plain() {
    let wanted = one().await;
    let world = due(&wanted).await;
    let refusal = || Way::Refused(Failure::Refused, "no credit".to_owned());
    world.ca.next(Verb::Submit, refusal());
    world.run(&wanted, 60).await;
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert_eq!(hold.kind, HoldKind::Refused);
    assert_eq!(world.ca.held().len(), 1);

    // The same once more names it again, and so does nothing by itself.
    world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    world.ca.next(Verb::Submit, refusal());
    world.run(&wanted, 60).await;
    assert!(world.row("joe").await.progress.hold.is_some());
    assert_eq!(world.ca.held().len(), 1);

    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.successors(), [false, false]);
    assert_eq!(world.row("joe").await.progress.hold, None);

    // The next one comes after it again.
    world.clock.advance(DAY * 61);
    world.run(&wanted, 60).await;
    assert_eq!(world.successors(), [false, false, true]);
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_no_predecessor() {
    let wanted = one().await;
    let world = due(&wanted).await;
    world.clock.advance(DAY * 60);
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    assert_eq!(world.successors(), [false, false]);
}

#[tokio::test]
async fn a_read_that_fails_before_an_order_is_no_order() {
    let world = World::new().await;
    let wanted = one().await;
    for _ in 0..2 {
        world.ca.next(Verb::Submit, Way::Garbled);
    }
    let begun = world.clock.now();
    world.run(&wanted, 120).await;
    assert!(world.live("joe").is_some());
    assert_eq!(world.ca.count(Verb::Find), 0);
    let took = world.clock.now().duration_since(begun);
    assert!(took < SignedDuration::from_secs(30), "{took}");
}
