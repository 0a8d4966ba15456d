//! Which clients a worker keeps.

use crate::ca::ClientSelector;

/// A client whose domains are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `CA/SELECTOR`, the same text in every row of its domains.
    pub key: String,
    /// The `[ca.NAME]`.
    pub ca: String,
    /// How the configuration names it.
    pub selector: ClientSelector,
}

impl Target {
    /// A target with its key.
    pub fn new(ca: impl Into<String>, selector: ClientSelector) -> Self {
        let ca = ca.into();
        Self {
            key: format!("{ca}/{selector}"),
            ca,
            selector,
        }
    }
}
