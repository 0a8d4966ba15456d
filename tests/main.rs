#![allow(clippy::unwrap_used)]
mod store;
