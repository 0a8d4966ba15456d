//! A validation that is under way at the CA.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::registration::Registration;

/// A validation that the CA carries out over some time, as far as it shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The CA's key for it. Two orders of one domain differ in it.
    pub id: Option<String>,
    /// How far it is.
    pub state: OrderState,
    /// When it was submitted.
    pub submitted_at: Option<Timestamp>,
    /// When the CA looked last.
    pub last_check: Option<Timestamp>,
    /// When it means to look next.
    pub next_check: Option<Timestamp>,
}

/// How far an order is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// A challenge was given, and nothing was submitted.
    Begun,
    /// Submitted; also what a fulfilled order may go on being called.
    Submitted,
    /// The CA gave it up.
    Rejected,
    /// Something this version does not know.
    Unknown(String),
}

impl Registration {
    /// The order that is under way. One that a validation has come after is not, whatever it is
    /// called: some CAs leave "submitted" behind when all is done.
    pub fn open_order(&self) -> Option<&Order> {
        let order = self.order.as_ref()?;
        let under_way = match order.state {
            OrderState::Begun => self.challenge.is_some(),
            OrderState::Submitted => order.next_check.is_some() || !self.is_fulfilled(order),
            OrderState::Rejected | OrderState::Unknown(_) => false,
        };
        under_way.then_some(order)
    }

    /// Whether a validation came after the order, by their days. Where the CA shows neither, a
    /// challenge that is still shown speaks for an order under way.
    fn is_fulfilled(&self, order: &Order) -> bool {
        let validated = self.proof.as_ref().and_then(|proof| proof.validated_at);
        let day = |at: Timestamp| at.as_second().div_euclid(86_400);
        match (validated, order.submitted_at) {
            (Some(validated), Some(submitted)) => day(validated) >= day(submitted),
            (Some(_), None) => self.challenge.is_none(),
            (None, _) => self.challenge.is_none(),
        }
    }
}
