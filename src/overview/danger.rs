//! How near a domain is to having no proof that counts, and how severe all that is known of it is.
//! Metrics, `check`, notifications, the page and the interface read the same two values.

use jiff::Timestamp;
use serde::Serialize;

use crate::prevalidation::{Lateness, Policy, State};

/// How near a domain is to having no proof that counts. A domain that was never proven has no
/// margin to lose: its state and its lateness tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Danger {
    /// More is left than the warning margin, or there was never a proof.
    #[default]
    None,
    /// Less is left than the warning margin.
    Warning,
    /// Less is left than the critical margin.
    Critical,
    /// It was proven once, and no proof counts any more.
    Lapsed,
}

/// How severe a finding is, in the words of monitoring plug-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// A person should act within days.
    Warning,
    /// A person should act now.
    Critical,
}

impl Danger {
    /// The danger of a proof that counts until `end`, and was made at `made`, where that is known.
    pub fn of_proof(
        end: Timestamp,
        made: Option<Timestamp>,
        policy: &Policy,
        now: Timestamp,
    ) -> Self {
        let left = end.duration_since(now);
        if left <= policy.critical_margin(end, made) {
            Self::Critical
        } else if left <= policy.warning_margin(end, made) {
            Self::Warning
        } else {
            Self::None
        }
    }

    /// The word in JSON and in `danger=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Lapsed => "lapsed",
        }
    }
}

/// The facts that decide how severe the state of a domain is.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    /// Its state.
    pub state: State,
    /// Its danger.
    pub danger: Danger,
    /// Whether a proof counts, its own or that of a domain above it.
    pub is_proven: bool,
    /// Whether validating resolvers refuse its zone.
    pub is_bogus: bool,
    /// How long its value waits to be proven.
    pub lateness: Lateness,
}

impl Judged {
    /// How severe it is.
    pub fn gravity(self) -> Gravity {
        match self {
            Self {
                state: State::Unmanaged,
                ..
            } => Gravity::Ok,
            Self { is_bogus: true, .. }
            | Self {
                danger: Danger::Lapsed | Danger::Critical,
                ..
            } => Gravity::Critical,
            Self {
                danger: Danger::Warning,
                ..
            }
            | Self {
                is_proven: false, ..
            }
            | Self {
                state: State::Held, ..
            } => Gravity::Warning,
            Self { lateness, .. } if lateness > Lateness::InTime => Gravity::Warning,
            _ => Gravity::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::SignedDuration;

    use super::*;
    use crate::prevalidation::Mode;

    #[test]
    fn the_margins_are_part_of_the_danger_and_one_second_more_is_none() {
        let policy = Policy::new(Mode::Manage);
        let now: Timestamp = "2026-11-22T02:00:00Z".parse().unwrap();
        for (left, danger) in [
            (policy.critical, Danger::Critical),
            (
                policy.critical + SignedDuration::from_secs(1),
                Danger::Warning,
            ),
            (policy.warning, Danger::Warning),
            (policy.warning + SignedDuration::from_secs(1), Danger::None),
        ] {
            let found = Danger::of_proof(now + left, None, &policy, now);
            assert_eq!(found, danger, "{left}");
        }
    }

    #[test]
    fn a_proof_that_lives_ten_days_has_margins_of_its_own() {
        let policy = Policy::new(Mode::Manage);
        let made: Timestamp = "2026-11-22T02:00:00Z".parse().unwrap();
        let hours = |count| SignedDuration::from_hours(count);
        let end = made + hours(240);
        for (age, danger) in [
            (0, Danger::None),
            (191, Danger::None),
            (192, Danger::Warning),
            (213, Danger::Warning),
            (214, Danger::Critical),
        ] {
            let now = made + hours(age);
            assert_eq!(
                Danger::of_proof(end, Some(made), &policy, now),
                danger,
                "{age}"
            );
        }
        // A proof as long as the rules allow has those of the policy, to the second.
        let made = end - policy.reuse.limit_at(end);
        for (left, danger) in [
            (policy.critical, Danger::Critical),
            (policy.warning, Danger::Warning),
            (policy.warning + hours(1), Danger::None),
        ] {
            let now = end - left;
            assert_eq!(Danger::of_proof(end, Some(made), &policy, now), danger);
        }
        // Dates that contradict each other say nothing of a life.
        let now = end - hours(1);
        let found = Danger::of_proof(end, Some(end + hours(1)), &policy, now);
        assert_eq!(found, Danger::Critical);
    }

    #[test]
    fn a_domain_that_was_never_proven_is_a_warning_and_one_that_lapsed_is_critical() {
        let judged = |state, danger, is_proven| Judged {
            state,
            danger,
            is_proven,
            is_bogus: false,
            lateness: Lateness::InTime,
        };
        for (state, danger, is_proven, gravity) in [
            (State::Valid, Danger::None, true, Gravity::Ok),
            (State::Renewing, Danger::Warning, true, Gravity::Warning),
            (State::Renewing, Danger::Critical, true, Gravity::Critical),
            (State::New, Danger::None, false, Gravity::Warning),
            (State::Held, Danger::None, false, Gravity::Warning),
            (State::Held, Danger::None, true, Gravity::Warning),
            (State::Held, Danger::Lapsed, false, Gravity::Critical),
            (State::Expired, Danger::Lapsed, false, Gravity::Critical),
            (State::Unmanaged, Danger::None, false, Gravity::Ok),
        ] {
            assert_eq!(
                judged(state, danger, is_proven).gravity(),
                gravity,
                "{state} {danger:?}"
            );
        }
        let bogus = Judged {
            is_bogus: true,
            ..judged(State::Valid, Danger::None, true)
        };
        assert_eq!(bogus.gravity(), Gravity::Critical);
    }
}
