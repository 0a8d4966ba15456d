//! Calls whose answer was lost and that left nothing at the CA: a read has shown it.

use jiff::{SignedDuration, Timestamp};

use super::Task;
use crate::prevalidation::Effect;
use crate::prevalidation::policy::backoff;
use crate::worker::Worker;

/// Calls of this time are counted as one series.
const SERIES: SignedDuration = SignedDuration::from_hours(1);

/// A call whose answer was lost.
pub(in crate::worker) struct LostCall {
    effect: Effect,
    /// What came in the place of an answer.
    words: Option<String>,
}

impl Task {
    /// The call whose answer is open, before a read answers it.
    pub(in crate::worker) fn lost_call(&self) -> Option<LostCall> {
        let attempt = &self.observed.attempt;
        Some(LostCall {
            effect: attempt.unanswered?,
            words: attempt.last_error.clone(),
        })
    }

    /// Waits before a call is made again that was lost more than once and left nothing at the CA: a
    /// network that shows a page of its own in the place of each answer would be asked five times in
    /// a second, until the budget is spent. What came in the place of the answer stays the reason.
    pub(in crate::worker) fn wait_after_loss(
        &mut self,
        worker: &Worker,
        lost: Option<LostCall>,
        now: Timestamp,
    ) {
        let Some(LostCall { effect, words }) = lost else {
            return;
        };
        let next = self.next_step(worker, now);
        let attempt = &mut self.observed.attempt;
        if next.step.effect() != Some(effect) || attempt.unanswered.is_some() {
            return;
        }
        attempt.last_error = attempt.last_error.take().or(words);
        let recent = attempt.effects.iter();
        let recent = recent
            .filter(|at| now.duration_since(**at) < SERIES)
            .count();
        let again = u32::try_from(recent).unwrap_or(u32::MAX).saturating_sub(1);
        if again > 0 && attempt.not_before.is_none_or(|at| at <= now) {
            attempt.not_before = now.saturating_add(backoff(again)).ok();
        }
    }
}
