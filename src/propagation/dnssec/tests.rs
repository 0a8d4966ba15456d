//! Zones signed in the test: what a validating resolver accepts, and each way in which it does not.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot continue says so by panicking"
)]

mod chain;
mod denial;
mod judged;
mod signatures;
mod signer;
