//! What the CA wants to find for an attempt, as far as it can still lead to a proof.

use jiff::{SignedDuration, Timestamp};

use super::super::challenge::Challenge;
use super::super::policy::Policy;
use super::super::registration::{Registration, Status, Token};
use super::super::upkeep::Attempt;

/// What the CA wants to find now: the token that it shows, the record that a start gave to this
/// attempt, or that of a validation that is under way and was started by another program.
pub(super) fn challenge(
    registration: &Registration,
    attempt: &Attempt,
    policy: &Policy,
    now: Timestamp,
) -> Option<Challenge> {
    if let Some(token) = token(registration, attempt, policy, now) {
        return Some(registration.challenge_of(token));
    }
    let margin = policy.reset_token_before;
    let may_be_used = |challenge: &&Challenge| challenge.is_for(&registration.domain);
    if let Some(ours) = attempt.challenge.as_ref().filter(may_be_used) {
        // The CA may check at any moment once it has taken the order: its record stays to its end.
        // A start that gave no younger one gives none the next time either.
        let is_old = |since: Timestamp| !ours.is_live(margin, since);
        let margin = match attempt.submission.next_read_at {
            Some(_) => SignedDuration::ZERO,
            None if attempt.since.is_some_and(is_old) => SignedDuration::ZERO,
            None => margin,
        };
        return ours.is_live(margin, now).then(|| ours.clone());
    }
    // Without an order at the CA it may be the one that a person wants replaced.
    let waits_for_another = attempt.ordered && registration.open_order().is_none();
    registration
        .open_challenge()
        .filter(|shown| !waits_for_another && shown.is_live(margin, now))
        .filter(may_be_used)
        .cloned()
}

/// The value to publish: a live token that has not been used, or that this very attempt asked for.
fn token<'a>(
    registration: &'a Registration,
    attempt: &Attempt,
    policy: &Policy,
    now: Timestamp,
) -> Option<&'a Token> {
    let token = registration.live_token(policy.reset_token_before, now)?;
    let ours = attempt.value.as_deref() == Some(&token.value);
    let answer = attempt
        .replaces
        .as_ref()
        .is_some_and(|old| *old != token.value);
    let waits_for_another = attempt.ordered && attempt.value.is_none();
    (ours || answer || !waits_for_another && !registration.is_used(token)).then_some(token)
}

/// Whether dates speak for a proof that the status denies, or the status for one without dates
/// (faults C10): then nothing that could end it is done.
pub(super) fn proof_may_still_count(
    registration: &Registration,
    policy: &Policy,
    now: Timestamp,
) -> bool {
    let end = registration
        .proof
        .as_ref()
        .and_then(|proof| policy.reuse.usable_until(proof));
    match end {
        Some(end) => {
            now < end
                && (registration.doubt.is_some()
                    || matches!(registration.status, Status::Unknown(_)))
        }
        None => registration.status == Status::Valid,
    }
}
