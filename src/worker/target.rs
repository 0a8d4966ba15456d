//! Which clients a worker keeps.

use super::Worker;
use crate::ca::ClientSelector;
use crate::prevalidation::Purpose;

/// A client whose domains are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `CA/SELECTOR`, the same text in every row of its domains.
    pub key: String,
    /// The `[ca.NAME]`.
    pub ca: String,
    /// How the configuration names it.
    pub selector: ClientSelector,
    /// What its proofs are for.
    pub purpose: Purpose,
}

impl Target {
    /// A target with its key.
    pub fn new(ca: impl Into<String>, selector: ClientSelector) -> Self {
        let ca = ca.into();
        Self {
            key: format!("{ca}/{selector}"),
            ca,
            selector,
            purpose: Purpose::default(),
        }
    }

    /// The same with another purpose.
    pub fn for_purpose(self, purpose: Purpose) -> Self {
        Self { purpose, ..self }
    }
}

impl Worker {
    /// What the proofs of a client are for.
    pub(super) fn purpose_of(&self, client: &str) -> Purpose {
        let known = self.targets.iter().find(|target| target.key == client);
        known.map(|target| target.purpose).unwrap_or_default()
    }
}
