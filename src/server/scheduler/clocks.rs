//! A machine whose clock is wrong decides nothing: by one that is a year ahead every proof has
//! ended, by one that is a year behind none ever does (faults T01, T02).

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::Scheduler;
use crate::clock::Clock;
use crate::server::shared::Obstacle;
use crate::store::StoreError;

/// So far may this machine's clock be from the database's.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);
/// The allowed difference between the system's clock and the monotonic clock between two
/// comparisons. With a larger difference both are compared with the database's clock.
const JUMP: SignedDuration = SignedDuration::from_secs(5);

/// Notices that the clock was set, or that the machine slept.
pub(super) struct Jumps {
    seen: (Instant, Timestamp),
}

impl Jumps {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        Self {
            seen: (Instant::now(), clock.now()),
        }
    }

    /// Whether the clock jumped since it was asked last.
    pub(super) fn is_one(&mut self, clock: &dyn Clock) -> bool {
        let (instant, moment) = std::mem::replace(&mut self.seen, (Instant::now(), clock.now()));
        let passed = SignedDuration::try_from(self.seen.0.duration_since(instant))
            .unwrap_or(SignedDuration::MAX);
        (self.seen.1.duration_since(moment) - passed).abs() > JUMP
    }
}

impl Scheduler {
    /// Compares the clocks; while they disagree, or that is not known, nothing is decided.
    pub async fn compare_clocks(&self) -> Result<(), StoreError> {
        let before = self.shared.clock.now();
        let theirs = self.shared.store.clock().await?;
        let after = self.shared.clock.now();
        let found = theirs
            .and_then(|theirs| apart(before, theirs, after))
            .map(|ahead| Obstacle::Apart { ahead });
        match (self.shared.hinder(found), found) {
            (Some(Obstacle::Apart { .. }), None) => {
                tracing::warn!("the clocks agree again: continues")
            }
            (known, Some(obstacle)) if !matches!(known, Some(Obstacle::Apart { .. })) => {
                tracing::error!("{obstacle}")
            }
            _ => {}
        }
        Ok(())
    }
}

/// How far our clock is ahead, when that is too far. The answer was made at some moment between the
/// two.
fn apart(before: Timestamp, theirs: Timestamp, after: Timestamp) -> Option<SignedDuration> {
    let ahead = if theirs < before {
        before.duration_since(theirs)
    } else {
        after.duration_since(theirs)
    };
    let is_between = before <= theirs && theirs <= after;
    (!is_between && ahead.abs() > TOLERANCE).then_some(ahead)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::SimulatedClock;

    #[test]
    fn a_clock_that_is_more_than_a_minute_off_is_and_a_slow_answer_is_not() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        assert_eq!(apart(at(0), at(0), at(0)), None);
        assert_eq!(
            apart(at(0), at(300), at(600)),
            None,
            "the answer took ten minutes"
        );
        assert_eq!(apart(at(0), at(-60), at(1)), None);
        assert_eq!(
            apart(at(0), at(-61), at(1)),
            Some(SignedDuration::from_secs(61))
        );
        assert_eq!(
            apart(at(0), at(62), at(1)),
            Some(SignedDuration::from_secs(-61))
        );
        assert_eq!(
            apart(at(0), at(-31_536_000), at(0)),
            Some(SignedDuration::from_hours(8760))
        );
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_once() {
        let clock = SimulatedClock::at("2026-12-01T00:00:00Z".parse().unwrap());
        let mut jumps = Jumps::new(&clock);
        assert!(!jumps.is_one(&clock));
        clock.advance(SignedDuration::from_secs(-3600));
        assert!(jumps.is_one(&clock));
        assert!(!jumps.is_one(&clock));
    }
}
