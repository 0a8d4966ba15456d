//! One request, taken apart, and what a call says no with.

use serde_json::Value;

/// One request, taken apart.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a [&'a str],
    pub(super) body: &'a Value,
    /// The client's transaction id.
    pub(super) tag: Option<&'a str>,
}

/// The refusal of a call.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) text: String,
}

impl Refused {
    pub(super) fn new(status: u16, code: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            code,
            text: text.into(),
        }
    }
}

/// The success of a call.
pub(super) type Answer = Result<Vec<Value>, Refused>;
