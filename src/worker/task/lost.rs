//! Calls whose answer was lost and that left nothing at the CA: a read has shown it.

use jiff::Timestamp;

use super::Task;
use crate::prevalidation::Effect;
use crate::prevalidation::policy::backoff;
use crate::worker::Worker;

/// A call whose answer was lost.
pub(in crate::worker) struct LostCall {
    effect: Effect,
    /// What came in the place of an answer.
    words: Option<String>,
    /// How many were lost in a row before it.
    before: u32,
}

impl Task {
    /// The call whose answer is open, before a read answers it.
    pub(in crate::worker) fn lost_call(&self) -> Option<LostCall> {
        let attempt = &self.observed.attempt;
        Some(LostCall {
            effect: attempt.unanswered?,
            words: attempt.last_error.clone(),
            before: attempt.lost,
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
        let Some(lost) = lost else { return };
        let next = self.next_step(worker, now);
        let attempt = &mut self.observed.attempt;
        if next.step.effect() != Some(lost.effect) || attempt.unanswered.is_some() {
            return;
        }
        attempt.last_error = attempt.last_error.take().or(lost.words);
        attempt.lost = lost.before + 1;
        if lost.before > 0 && attempt.not_before.is_none_or(|at| at <= now) {
            attempt.not_before = now.saturating_add(backoff(lost.before)).ok();
        }
    }
}
