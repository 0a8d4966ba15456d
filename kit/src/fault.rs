//! Why something does not work, for those who decide what comes next and for people.

use std::time::Duration;

/// The kind of the failure; it decides the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The settings do not work; found before anything was sent.
    Settings,
    /// Nothing was learned or done for a passing reason: try again later.
    Unavailable,
}

/// One failure: what was tried, what the server said, what to do next.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// The kind of the failure; it decides the next step.
    pub kind: FaultKind,
    /// The action and its outcome. Never a secret.
    pub message: String,
    /// The hint: how a person can solve it.
    pub hint: Option<String>,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A failure without hint or waiting time.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            retry_after: None,
        }
    }

    /// The same failure with a word on what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
