//! The daemon: a scheduler that keeps the loop going, and an interface over HTTP beside it.
//!
//! What all parts of it share is in [`shared`].

pub mod access;
pub mod answer;
pub mod api;
pub mod health;
pub mod hooks;
pub mod http;
#[cfg(test)]
pub(crate) mod lab;
pub mod listener;
pub mod manager;
pub mod metered;
pub mod page;
pub mod scheduler;
mod seldom;
pub mod shared;
pub mod tls;
