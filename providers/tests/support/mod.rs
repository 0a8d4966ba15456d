//! Web APIs of DNS providers on loopback: each as strict as the real one, with its state to read
//! and faults to order.
//!
//! The main crate's tests use these files too, by their path.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a harness is used in parts, and says by panicking that it is used wrongly"
)]

pub mod autodns;
pub mod cloudflare;
pub mod route53;
pub mod web;

/// This test binary once more, running nothing but the test that is a process of its own.
pub fn another_process() -> tokio::process::Command {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "another_process_adds_and_removes_values"]);
    command
}
