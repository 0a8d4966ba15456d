//! The pure heart of certificates: what is wanted, what the CA says, what is installed, and the next
//! step that follows.

pub mod answer;

pub use answer::{OrderState, RevocationReason};
