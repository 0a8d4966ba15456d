//! What is over: the value of an order that continues, and the reason of a hold.

use jiff::Timestamp;

use super::super::observed::Observed;
use super::super::policy::{Mode, Policy};
use super::super::upkeep::Attempt;
use super::{Step, decide};

/// When the CA is read again that continues with an order whose value has ended. Until the order is
/// over the record stays, and nothing is started again.
pub(super) fn outlives_its_value(attempt: &Attempt, now: Timestamp) -> Option<Timestamp> {
    attempt
        .submission
        .next_read_at
        .filter(|_| attempt.outlives_its_value(now))
}

impl Observed {
    /// Whether it is held although nothing is to be done: a proof counts, which another program may
    /// have made, and no attempt continues.
    pub fn hold_is_over(&self, policy: &Policy, now: Timestamp) -> bool {
        let upkeep = &self.upkeep;
        let is_held = upkeep.setback.hold.is_some() && upkeep.withdrawn_at.is_none();
        let is_ours = policy.mode == Mode::Manage && self.desired && self.covered_by.is_none();
        let counts = self.usable_until(&policy.reuse, now).is_some();
        if !is_held || !is_ours || !counts || upkeep.attempt.since.is_some() {
            return false;
        }
        let next = decide(self, policy, now);
        let is_renewal = matches!(next.step, Step::Start | Step::ResetToken { .. });
        is_renewal && now < next.at
    }
}
