//! What the planner must never decide, whatever is observed.

use proptest::prelude::*;

use super::*;
use crate::prevalidation::upkeep::{Submission, Upkeep, Visibility};

prop_compose! {
    fn moment()(minutes in -20_000i64..320_000) -> Timestamp { ago(minutes) }
}

prop_compose! {
    fn any_registration()(
        validated in proptest::option::of(moment()),
        made in moment(),
        status in prop_oneof![Just(Status::Pending), Just(Status::Expired), Just(Status::Valid), Just(Status::NotValidated), Just(Status::Unknown("NEW".into()))],
        expires in proptest::option::of(moment()),
        has_token: bool,
        doubt in proptest::option::of(Just("it says two things".to_owned())),
    ) -> Registration {
        let mut registration = registration(validated, made);
        registration.status = status;
        registration.doubt = doubt;
        if let Some(proof) = &mut registration.proof {
            proof.expires_at = expires;
        }
        if !has_token {
            registration.token = None;
        }
        registration
    }
}

prop_compose! {
    fn any_observed()(
        registration in any_registration(),
        present in 0..4,
        (desired, has_provider, ordered) in any::<(bool, bool, bool)>(),
        states in proptest::collection::vec((0..5usize, 0..3usize), 0..4),
        visible in proptest::option::of(moment()),
        seen in proptest::option::of(moment()),
        preflight in proptest::option::of(moment()),
        tries in 0u32..8,
    ) -> Observed {
        let states = states.into_iter().enumerate().map(|(id, (state, value))| LedgerEntry {
            id: i64::try_from(id).unwrap(),
            value: [VALUE, "swiss-pki=old1", "swiss-pki=old2"][value].to_owned(),
            ..entry(VALUE, [LedgerState::Intended, LedgerState::Published, LedgerState::Foreign, LedgerState::Removing, LedgerState::Removed][state])
        }).collect();
        let sighting = match present {
            0 => Sighting::Absent,
            1 => Sighting::Missing(registration),
            _ => Sighting::Present(registration),
        };
        let upkeep = Upkeep {
attempt: Attempt {
visibility: Visibility {
visible_at: visible,
seen_at: seen,
..Visibility::default()
},
submission: Submission {
tries,
..Submission::default()
},
ordered,
..Attempt::default()
},
preflight_at: preflight,
..Upkeep::default()
};
        Observed { desired, has_provider, ledger: states, upkeep, ..observed(sighting) }
    }
}

proptest! {
    /// The planner keeps invariants and ledger for any observation (invariants I5, I8, I9).
    #[test]
    fn no_step_does_harm(seen in any_observed()) {
        let policy = Policy::new(Mode::Manage);
        let decision = next_step(&seen, &policy, now());
        let due = decision.is_due(now());
        let end = seen.usable_until(&policy.reuse, now());
        let registration = seen.sighting.registration();
        match &decision.step {
            Step::ResetToken { risks_proof } if due => {
                prop_assert_eq!(*risks_proof, end.is_some(), "what is risked is known");
                if let Some(proof) = registration.and_then(|r| r.proof.as_ref()).filter(|_| end.is_some()) {
                    let renew_at = policy.renew_at(&seen.domain, proof).unwrap();
                    prop_assert!(now() >= renew_at || seen.upkeep.attempt.ordered);
                    let proven = seen.upkeep.preflight_at.unwrap();
                    prop_assert!(proven <= now() && now().duration_since(proven) <= SignedDuration::from_mins(10));
                }
            }
            Step::Validate if due => {
                let seen_at = seen.upkeep.attempt.visibility.seen_at.unwrap();
                prop_assert!(seen_at <= now() && now().duration_since(seen_at) <= SEEN_COUNTS);
            }
            Step::Remove { entries } => {
                for id in entries {
                    let entry = seen.ledger.iter().find(|entry| entry.id == *id).unwrap();
                    prop_assert!(entry.state.is_open(), "only what is ours");
                    let current = registration.and_then(|r| r.token.as_ref()).is_some_and(|t| t.value == entry.value);
                    prop_assert!(!seen.desired || end.is_some() || !current, "the value in use stays until the proof is there");
                }
            }
            Step::Register => prop_assert_eq!(&seen.sighting, &Sighting::Absent),
            _ => {}
        }
        let text = serde_json::to_string(&seen).unwrap();
        let kept: Observed = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(next_step(&kept, &policy, now()), decision, "an observation of last week gives last week's decision");
    }
}
