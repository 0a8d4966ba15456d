//! What an attempt has submitted to the CA, and the order that the CA carries out by itself.

use jiff::{SignedDuration, Timestamp};

use super::super::reuse::after;

/// The longest interval between two reads of an order of which the CA names no moment.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(6);

/// Submissions of one value, and the CA's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Submission {
    /// Checks of the CA, ordered by `validate`, that brought no proof for the value.
    pub tries: u32,
    /// When the last of them was ordered.
    pub submitted_at: Option<Timestamp>,
    /// The CA's key for the order that this attempt has submitted, where the CA has one.
    pub order: Option<String>,
    /// The CA has taken the order and checks by itself: not before this moment is it read again,
    /// and nothing is submitted meanwhile.
    pub next_read_at: Option<Timestamp>,
    /// How often the CA was read since it took the order, for the growing interval.
    pub reads: u32,
}

impl Submission {
    /// The CA is asked now. When it was asked before.
    pub fn submit(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.tries += 1;
        self.submitted_at.replace(now)
    }

    /// The CA was not asked after all; it was last asked at `before`.
    pub fn take_back(&mut self, before: Option<Timestamp>) {
        self.tries = self.tries.saturating_sub(1);
        self.submitted_at = before;
    }

    /// The order was submitted, where nothing is known of it: at `at`.
    pub fn is_submitted_since(&mut self, at: Option<Timestamp>) {
        if self.tries == 0 {
            (self.tries, self.submitted_at) = (1, at);
        }
    }

    /// The CA's key for the order, where it shows one.
    pub fn name(&mut self, order: Option<String>) {
        self.order = order.or(self.order.take());
    }

    /// The order is read at `at` at the latest.
    pub fn read_by(&mut self, at: Timestamp) {
        self.next_read_at = self.next_read_at.map(|planned| planned.min(at));
    }

    /// The CA has taken the order and may have news at `named`, or soon. Nothing is submitted
    /// before the order has ended. The interval of the reads grows from `first`; a moment that the
    /// CA names is better than any of them.
    pub fn wait_for_ca(&mut self, named: Option<Timestamp>, first: SignedDuration, now: Timestamp) {
        const FACTORS: [i32; 12] = [1, 1, 2, 3, 6, 12, 30, 60, 180, 360, 720, 1440];
        let reads = usize::try_from(self.reads).unwrap_or(usize::MAX);
        let grown = first * FACTORS[reads.min(FACTORS.len() - 1)];
        let own = after(now, grown.min(LONGEST_WAIT));
        self.next_read_at = Some(match named.filter(|&at| at > now) {
            Some(named) => named.min(after(now, SignedDuration::from_hours(24))),
            None => own,
        });
        self.reads += 1;
    }
}
