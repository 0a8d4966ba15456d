//! Records that are malformed, and decisions, case by case.
#![allow(clippy::unwrap_used)]

mod decisions;
mod records;
