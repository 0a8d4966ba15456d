//! The daemon: a scheduler that keeps the loop going, and an interface over HTTP beside it.
//!
//! What all parts of it share stands in [`shared`].

pub mod access;
pub mod api;
pub mod health;
pub mod http;
pub mod listener;
pub mod metered;
pub mod shared;
pub mod tls;
