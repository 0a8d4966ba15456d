//! The steps that a domain waits for between its publication and its proof.

use serde::{Serialize, Serializer};

use super::Step;

/// The step that ends a wait, or continues it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Check whether every name server has the record.
    Check,
    /// Ask the CA to check.
    Submit,
    /// Read the order that the CA has taken.
    Read,
}

impl Next {
    /// The word of the step in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "look",
            Self::Submit => "validate",
            Self::Read => "read",
        }
    }

    /// Of a step; `None` for one that is no wait.
    pub fn of(step: &Step) -> Option<Self> {
        match step {
            Step::Check { .. } => Some(Self::Check),
            Step::Validate => Some(Self::Submit),
            Step::Read => Some(Self::Read),
            _ => None,
        }
    }
}

impl Serialize for Next {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}
