//! What the history says about the end of a proof.

use jiff::Timestamp;

use super::Task;
use crate::worker::Worker;

impl Task {
    /// Says in the history that an entry of it is wrong: a clock that was ahead had noted a lapse.
    pub(super) fn withdraw_lapse(&mut self, worker: &Worker) {
        if let Some(at) = self.observed.upkeep.past.false_lapse.take() {
            let said = format!(
                "the entry `lapsed` of {at:.0} is wrong: the local clock was ahead when it was made"
            );
            self.say(worker, "lapse-withdrawn", said);
        }
    }

    /// Says once in the history that no proof counts any more.
    pub(super) fn note_lapse(&mut self, worker: &Worker, now: Timestamp) {
        let reuse = &self.policy(worker).reuse;
        if self.observed.usable_until(reuse, now).is_some() {
            self.observed.upkeep.past.end_lapse();
        } else if self.observed.has_unnoted_lapse(reuse, now) {
            let said = self.observed.lapse_in_words(reuse, now);
            self.observed.upkeep.past.lapsed_at = Some(now);
            self.say(worker, "lapsed", said);
        }
    }
}
