//! Facts to findings, by tables.
