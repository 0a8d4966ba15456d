//! What a new word of the CA means for an attempt: it may have been won, or be about another token
//! now.

use jiff::Timestamp;

use super::order::{Order, OrderState};
use super::proof::Proof;
use super::registration::Registration;
use super::reuse::ReuseTable;
use super::upkeep::{Attempt, Upkeep};

/// What the CA's word changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A new proof: `timeValidated` moved forward, or there was none before.
    Won,
    /// The attempt's value is no longer the CA's random value: it was replaced.
    TokenReplaced,
    /// The CA gave up the order of this attempt; its words.
    Rejected(String),
    /// The CA had taken the order of this attempt and has none any more, and no new proof.
    OrderGone,
    /// Nothing that matters.
    None,
}

/// Takes what the CA said about a domain into its attempt.
///
/// "VALID" alone proves nothing about a renewal, it is true before it begins: success is a later
/// `timeValidated`. Where the CA names days only, a second proof of one day is told by its order.
pub fn absorb(
    upkeep: &mut Upkeep,
    registration: &Registration,
    reuse: &ReuseTable,
    now: Timestamp,
) -> Progress {
    if upkeep.attempt.since.is_none() {
        return Progress::None;
    }
    let is_new = is_newer(
        registration.proof.as_deref(),
        upkeep.attempt.renews.as_ref(),
    ) || is_fulfilled_on_its_day(&upkeep.attempt, registration);
    if is_new && registration.usable_until(reuse, now).is_some() {
        upkeep.prove(now);
        return Progress::Won;
    }
    let token = registration.token.as_ref().map(|token| &token.value);
    if upkeep.attempt.challenge.is_none()
        && upkeep.attempt.value.is_some()
        && token.is_some()
        && upkeep.attempt.value.as_ref() != token
    {
        let token = token.cloned();
        upkeep.replace();
        upkeep.attempt.value = token;
        return Progress::TokenReplaced;
    }
    absorb_order(upkeep, registration)
}

fn absorb_order(upkeep: &mut Upkeep, registration: &Registration) -> Progress {
    let Some(ours) = &upkeep.attempt.challenge else {
        return Progress::None;
    };
    let is_submitted =
        upkeep.attempt.submission.tries > 0 || upkeep.attempt.submission.next_read_at.is_some();
    if registration.is_summary || !is_submitted && registration.order.is_none() {
        return Progress::None;
    }
    let shown = registration.open_challenge();
    if let Some(other) = shown.filter(|other| !other.is_same_record(ours)).cloned() {
        upkeep.replace();
        upkeep.attempt.take(&other, None);
        return Progress::TokenReplaced;
    }
    let order = registration.order.as_ref();
    if is_submitted && shown.is_some() {
        upkeep.attempt.submission.order = order.and_then(|order| order.id.clone());
    }
    if let Some(order) = order.filter(|order| is_submitted && is_ours(&upkeep.attempt, order)) {
        let submission = &mut upkeep.attempt.submission;
        submission.order = submission.order.take().or(order.id.clone());
        if order.state == OrderState::Rejected {
            let words = registration.last_words.clone().unwrap_or_default();
            upkeep.attempt.end_order();
            return Progress::Rejected(words);
        }
    }
    if order.is_none() && upkeep.attempt.submission.order.is_some() {
        upkeep.attempt.end_order();
        return Progress::OrderGone;
    }
    Progress::None
}

fn is_ours(attempt: &Attempt, order: &Order) -> bool {
    match (&attempt.submission.order, &order.id) {
        (Some(ours), Some(shown)) => ours == shown,
        _ => true,
    }
}

/// Whether a proof of the same day as the proof that it renews is new: their days do not show it.
/// The CA has checked for this order since it was submitted, and the order is over and was not
/// rejected.
fn is_fulfilled_on_its_day(attempt: &Attempt, registration: &Registration) -> bool {
    let Some(submitted) = attempt
        .submission
        .submitted_at
        .filter(|_| attempt.challenge.is_some())
    else {
        return false;
    };
    let day = |at: Timestamp| at.as_second().div_euclid(86_400);
    let made = |proof: Option<&Proof>| proof.and_then(|proof| proof.validated_at).map(day);
    let shown = made(registration.proof.as_deref());
    let is_that_day = shown == Some(day(submitted)) && shown == made(attempt.renews.as_ref());
    if !is_that_day || registration.is_summary {
        return false;
    }
    match &registration.order {
        Some(order) => {
            order.state == OrderState::Submitted
                && is_ours(attempt, order)
                && order.next_check.is_none()
                && order
                    .last_check
                    .is_some_and(|read| attempt.submission.order.is_some() || read >= submitted)
        }
        None => attempt.submission.order.is_some(),
    }
}

/// Whether `proof` is another, later one than `old`.
fn is_newer(proof: Option<&Proof>, old: Option<&Proof>) -> bool {
    match (proof, old) {
        (Some(proof), Some(old)) => proof.is_newer_than(old),
        (proof, _) => proof.is_some(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_proof_is_newer_by_its_date_or_else_by_its_end() {
        let at = |day: i64| Some(Timestamp::from_second(day * 86_400).unwrap());
        let proof = |validated_at, expires_at, first_seen| Proof {
            validated_at,
            expires_at,
            method: None,
            first_seen,
            ends: Default::default(),
        };
        for (new, old, newer) in [
            (proof(at(2), at(9), None), proof(at(1), at(9), None), true),
            (proof(at(1), at(10), None), proof(at(1), at(9), None), false),
            (proof(None, at(10), None), proof(None, at(9), None), true),
            (proof(None, at(9), None), proof(None, at(9), None), false),
            (proof(None, None, None), proof(at(1), at(9), None), false),
            // A date that was left out before and is there now is not a new proof.
            (proof(None, at(9), at(3)), proof(None, None, at(3)), false),
            (proof(at(2), None, None), proof(None, None, at(3)), false),
            (proof(None, None, at(5)), proof(None, None, at(3)), true),
            (proof(None, None, at(3)), proof(None, None, at(3)), false),
        ] {
            assert_eq!(
                is_newer(Some(&new), Some(&old)),
                newer,
                "{new:?} after {old:?}"
            );
        }
        assert!(is_newer(Some(&proof(None, None, None)), None));
        assert!(!is_newer(None, None));
    }
}
