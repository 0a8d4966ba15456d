//! Web APIs of DNS providers on loopback: each as strict as the real one, with its state to look into and faults to order.
//!
//! The main crate's tests use these files too, by their path.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a harness is used in parts, and says by panicking that it is used wrongly"
)]

pub mod autodns;
pub mod cloudflare;
pub mod web;
