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
        let upkeep = &self.observed.upkeep;
        Some(LostCall {
            effect: upkeep.calls.unanswered?,
            words: upkeep.setback.last_error.clone(),
            before: upkeep.calls.lost,
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
        let upkeep = &mut self.observed.upkeep;
        if next.step.effect() != Some(lost.effect) || upkeep.calls.unanswered.is_some() {
            return;
        }
        upkeep.setback.last_error = upkeep.setback.last_error.take().or(lost.words);
        upkeep.calls.lost = lost.before + 1;
        if lost.before > 0 && upkeep.setback.not_before.is_none_or(|at| at <= now) {
            upkeep.setback.pause(backoff(lost.before), now);
        }
    }
}
