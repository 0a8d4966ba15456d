//! What a new word of the CA means for an attempt: it may have been won, or be about another token
//! now.

use jiff::Timestamp;

use super::attempt::Attempt;
use super::registration::{Proof, Registration};
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
/// "VALID" alone proves nothing about a renewal, it is true before it begins: success is a later
/// `timeValidated`.
pub fn absorb(
    attempt: &mut Attempt,
    registration: &Registration,
    reuse: &ReuseTable,
    now: Timestamp,
) -> Progress {
    if attempt.since.is_none() {
        return Progress::None;
    }
    if is_newer(registration.proof.as_ref(), attempt.renews.as_ref())
        && registration.usable_until(reuse, now).is_some()
    {
        *attempt = Attempt {
            proved_at: Some(now),
            effects: std::mem::take(&mut attempt.effects),
            // A proof changes nothing about what a person wants.
            hold: attempt
                .hold
                .take()
                .filter(|_| attempt.withdrawn_at.is_some()),
            withdrawn_at: attempt.withdrawn_at,
            // The value still stands beside them.
            others: attempt.others.take(),
            others_changed: attempt.others_changed.take(),
            ..Attempt::default()
        };
        return Progress::Won;
    }
    let token = registration.token.as_ref().map(|token| &token.value);
    if attempt.value.is_some() && token.is_some() && attempt.value.as_ref() != token {
        let (since, renews, ordered) = (attempt.since, attempt.renews.take(), attempt.ordered);
        attempt.restart(token.cloned(), now, renews);
        attempt.since = since;
        attempt.ordered = ordered;
        return Progress::TokenReplaced;
    }
    Progress::None
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
