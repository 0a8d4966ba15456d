//! The calls of a domain that change something at the CA.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The calls of the last day, and the one whose answer is open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calls {
    /// When they were made, in the last 24 hours, for the domain's budget.
    pub made: Vec<Timestamp>,
    /// A CA effect that was started and has no stored result: read before anything else.
    pub unanswered: Option<Effect>,
    /// How many calls in a row had no answer and left nothing at the CA, as a read has shown.
    pub lost: u32,
}

impl Calls {
    /// Counts a CA effect that begins now, and forgets those older than a day.
    pub fn begin(&mut self, effect: Effect, now: Timestamp) {
        let day_ago = now
            .saturating_sub(SignedDuration::from_hours(24))
            .unwrap_or(Timestamp::MIN);
        self.made.retain(|&at| at > day_ago);
        self.made.push(now);
        self.unanswered = Some(effect);
    }

    /// What has come of the last call is known.
    pub fn answer(&mut self) {
        self.unanswered = None;
    }
}

/// A call that changes something at the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Registers the domain.
    Register,
    /// Asks the CA to check.
    Validate,
    /// Replaces the token.
    ResetToken,
    /// Begins a validation that the proof outlives.
    Start,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Register => "register",
            Self::Validate => "validate",
            Self::ResetToken => "reset",
            Self::Start => "start",
        })
    }
}
