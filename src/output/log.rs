//! To come.

/// To come.
pub fn start(_: u8) {}
