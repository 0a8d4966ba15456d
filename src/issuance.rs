//! The pure heart of certificates: what is wanted, what the CA says, what is installed, and the next
//! step that follows.

pub mod answer;
mod belief;
pub mod duplicate;
mod live;
pub mod planner;
pub mod progress;
mod records;
mod step;
pub mod wanted;

pub use answer::{OrderState, RevocationReason};
pub use live::Live;
pub use planner::{Decision, Observed, Proofs, next_step};
pub use progress::Progress;
pub use step::Step;
pub use wanted::{BY_HAND, Lead, Wanted, again};
