//! The sandbox's own time: another clock, moved by a shift that people and tests set.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// Another clock, ahead of it by a shift (zero at first). It shows what a client sees whose clock
/// is wrong.
#[derive(Debug)]
pub struct ShiftedClock {
    base: Arc<dyn Clock>,
    shift: Mutex<SignedDuration>,
}

impl ShiftedClock {
    /// `base` without a shift.
    pub fn over(base: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            base,
            shift: Mutex::new(SignedDuration::ZERO),
        })
    }

    /// Moves on by `step`, or back when it is negative.
    pub fn advance(&self, step: SignedDuration) {
        let mut shift = self.shift.lock().unwrap_or_else(PoisonError::into_inner);
        *shift = shift.saturating_add(step);
    }

    fn shift(&self) -> SignedDuration {
        *self.shift.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        self.base
            .now()
            .saturating_add(self.shift())
            .unwrap_or(Timestamp::MAX)
    }

    fn steady(&self) -> std::time::Duration {
        self.base.steady()
    }

    async fn sleep_until(&self, until: Timestamp) {
        self.base
            .sleep_until(until.saturating_sub(self.shift()).unwrap_or(Timestamp::MAX))
            .await;
    }
}
