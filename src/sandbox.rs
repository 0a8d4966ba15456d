//! A sandbox.
pub mod dns;
