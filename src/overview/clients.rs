//! What is wrong with a client: the guard refuses to act for it, or the CA has not been asked about
//! it for long. One rule for `check`, `status`, the page and notifications.

use jiff::{SignedDuration, Timestamp};

use super::danger::Gravity;
use crate::prevalidation::guard::CLOCK_TOLERANCE;
use crate::text::{moment, relative};

/// A listing that is older than this is reported: a nightly run is missing (invariant I18).
pub const STALE: SignedDuration = SignedDuration::from_hours(26);

/// Two nightly runs are missing.
pub const DEAD: SignedDuration = SignedDuration::from_hours(50);

/// How old the last listing of a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// The CA was never asked about it.
    Never,
    /// As it should be.
    Fresh,
    /// Older than [`STALE`].
    Stale,
    /// Older than [`DEAD`].
    Dead,
    /// In the future, by more than clocks may differ: its age is not known.
    Ahead,
}

impl Age {
    /// The age at `now` of a listing `at` some moment.
    pub fn of(at: Option<Timestamp>, now: Timestamp) -> Self {
        match at.map(|at| now.duration_since(at)) {
            None => Self::Never,
            Some(age) if age < -CLOCK_TOLERANCE => Self::Ahead,
            Some(age) if age > DEAD => Self::Dead,
            Some(age) if age > STALE => Self::Stale,
            Some(_) => Self::Fresh,
        }
    }

    /// How severe it is.
    pub fn gravity(self) -> Gravity {
        match self {
            Self::Fresh => Gravity::Ok,
            Self::Stale | Self::Ahead => Gravity::Warning,
            Self::Never | Self::Dead => Gravity::Critical,
        }
    }
}

/// What is wrong with the age of the last listing of a client, in words; `None` when it is fresh.
pub fn age_in_words(client: &str, at: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let Some(listed_at) = at else {
        return Some(format!("the CA was never asked about {client}"));
    };
    match Age::of(at, now) {
        Age::Never | Age::Fresh => None,
        Age::Stale | Age::Dead => Some(format!(
            "{} was last asked about {client}",
            relative(listed_at, now)
        )),
        Age::Ahead => Some(format!(
            "{} was last asked about {client}, which is still to come: the clock was wrong then, \
             or is now",
            moment(listed_at)
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_listing_from_the_future_is_not_fresh() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let ago = |minutes| Some(now - SignedDuration::from_mins(minutes));
        for (at, age, gravity) in [
            (None, Age::Never, Gravity::Critical),
            (ago(0), Age::Fresh, Gravity::Ok),
            (ago(26 * 60), Age::Fresh, Gravity::Ok),
            (ago(26 * 60 + 1), Age::Stale, Gravity::Warning),
            (ago(50 * 60 + 1), Age::Dead, Gravity::Critical),
            (ago(-5), Age::Fresh, Gravity::Ok),
            (ago(-6), Age::Ahead, Gravity::Warning),
            (ago(-3 * 24 * 60), Age::Ahead, Gravity::Warning),
            (Some(Timestamp::MAX), Age::Ahead, Gravity::Warning),
        ] {
            assert_eq!(Age::of(at, now), age, "{at:?}");
            assert_eq!(age.gravity(), gravity, "{at:?}");
            let said = age_in_words("sandbox/a", at, now);
            assert_eq!(said.is_some(), age != Age::Fresh, "{at:?}: {said:?}");
        }
        let said = age_in_words("sandbox/a", ago(-3 * 24 * 60), now).unwrap();
        assert!(
            said.contains("sandbox/a") && said.contains("still to come"),
            "{said}"
        );
    }
}
