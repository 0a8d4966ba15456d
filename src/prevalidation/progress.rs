//! What a new word of the CA means for an attempt: it may have been won, or be about another token now.

use jiff::Timestamp;

use super::attempt::Attempt;
use super::registration::Registration;
use super::reuse::ReuseTable;

/// What the CA's word changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A new proof: `timeValidated` moved forward, or there was none before.
    Won,
    /// The attempt's value is no longer the CA's token: somebody or something replaced it.
    TokenReplaced,
    /// Nothing that matters.
    None,
}

/// Takes what the CA said about a domain into its attempt.
///
/// "VALID" alone proves nothing about a renewal, it is true before it begins: success is a later `timeValidated`.
pub fn absorb(attempt: &mut Attempt, registration: &Registration, reuse: &ReuseTable, now: Timestamp) -> Progress {
    if attempt.since.is_none() {
        return Progress::None;
    }
    let proved_at = registration.proof.as_ref().and_then(|proof| proof.validated_at);
    let newer = match (attempt.renews, proved_at) {
        (None, _) => true,
        (Some(old), Some(new)) => new > old,
        (Some(_), None) => false,
    };
    if newer && registration.usable_until(reuse, now).is_some() {
        *attempt =
            Attempt { proved_at: Some(now), effects: std::mem::take(&mut attempt.effects), ..Attempt::default() };
        return Progress::Won;
    }
    let token = registration.token.as_ref().map(|token| &token.value);
    if attempt.value.is_some() && token.is_some() && attempt.value.as_ref() != token {
        let (since, renews, ordered) = (attempt.since, attempt.renews, attempt.ordered);
        attempt.restart(token.cloned(), now, renews);
        attempt.since = since;
        attempt.ordered = ordered;
        return Progress::TokenReplaced;
    }
    Progress::None
}
