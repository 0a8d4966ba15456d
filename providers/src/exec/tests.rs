//! Programs of all kinds.
