//! How late a domain is that waits for its proof.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How late the proof of a value is, in steps that decide whether a notice is sent.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Lateness {
    /// As long as it takes.
    #[default]
    InTime,
    /// Longer than an hour: a warning.
    Late,
    /// Longer than a day: a person is needed.
    Overdue,
}

impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InTime => "in time",
            Self::Late => "late",
            Self::Overdue => "overdue",
        })
    }
}
