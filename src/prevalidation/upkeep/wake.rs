//! Wake-ups from outside: a hook, a command, a person says that something changed.

use jiff::{SignedDuration, Timestamp};

use super::super::reuse::after;

/// However often a person says that something changed, a domain is taken up for it once in this
/// time (faults H08).
pub const WORDS_APART: SignedDuration = SignedDuration::from_secs(10);

/// The last step, and a wake-up that came right after it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wake {
    /// When a step was last begun: what comes right after it changes nothing yet.
    pub taken_up_at: Option<Timestamp>,
    /// A wake-up has come since; it counts [`WORDS_APART`] after `taken_up_at`.
    pub waits: bool,
}

impl Wake {
    /// A step begins now.
    pub fn take_up(&mut self, now: Timestamp) {
        (self.taken_up_at, self.waits) = (Some(now), false);
    }

    /// Whether a wake-up counts now. Right after a step was begun it waits. Many wake-ups in a
    /// short time cause two steps, and the last one is not lost (faults W04).
    pub fn hear(&mut self, now: Timestamp) -> bool {
        let waits = |begun: Timestamp| begun <= now && now < after(begun, WORDS_APART);
        self.waits = self.taken_up_at.is_some_and(waits);
        !self.waits
    }

    /// When a wake-up that waits counts.
    pub fn hears_at(&self) -> Option<Timestamp> {
        self.taken_up_at
            .filter(|_| self.waits)
            .map(|begun| after(begun, WORDS_APART))
    }
}
