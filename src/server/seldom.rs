//! A line of the log at most once a minute, however often its cause occurs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const BETWEEN: Duration = Duration::from_secs(60);

/// When it was last said, and what was left out since.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// How often the cause occurred since the last line, this time among them; `None`: say nothing
    /// now.
    pub(super) fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 += 1;
        let is_due = state
            .0
            .is_none_or(|last| now.saturating_duration_since(last) >= BETWEEN);
        is_due.then(|| {
            state.0 = Some(now);
            std::mem::take(&mut state.1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_at_once_and_then_once_a_minute_with_its_number() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let at = |seconds| seldom.due(start + Duration::from_secs(seconds));
        assert_eq!(
            [at(0), at(1), at(59), at(60), at(61)],
            [Some(1), None, None, Some(3), None]
        );
    }
}
