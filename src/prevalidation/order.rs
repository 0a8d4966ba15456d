//! A validation that is under way at the CA.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A validation that the CA carries out over some time, as far as it shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The CA's key for it. Two orders of one domain differ in it.
    pub id: Option<String>,
    /// How far it is.
    pub state: OrderState,
    /// When it was submitted.
    pub submitted_at: Option<Timestamp>,
    /// When the CA checked last.
    pub last_check: Option<Timestamp>,
    /// When it means to check next.
    pub next_check: Option<Timestamp>,
}

impl Order {
    /// Whether nothing was submitted so far. A state that is not known, and no sign of a
    /// submission, is read so too.
    pub fn awaits_submission(&self) -> bool {
        let signs = [self.submitted_at, self.last_check, self.next_check];
        match self.state {
            OrderState::Begun => true,
            OrderState::Unknown(_) => signs.iter().all(Option::is_none),
            OrderState::Submitted | OrderState::Rejected => false,
        }
    }

    /// Whether it was submitted, and the CA has not given it up.
    pub fn is_submitted(&self) -> bool {
        self.state != OrderState::Rejected && !self.awaits_submission()
    }

    /// The CA's word for its state, where this version does not know it.
    pub fn unknown_word(&self) -> Option<&str> {
        match &self.state {
            OrderState::Unknown(word) => Some(word),
            _ => None,
        }
    }
}

/// How far an order is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// A challenge was given, and nothing was submitted.
    Begun,
    /// Submitted; also what a fulfilled order may continue being called.
    Submitted,
    /// The CA gave it up.
    Rejected,
    /// Something this version does not know.
    Unknown(String),
}
