//! Foreign TXT values beside ours.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The foreign values at the name while a value of ours is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Foreign {
    /// As they were last read.
    pub values: Option<Vec<String>>,
    /// A person changed them meanwhile.
    pub changed: Option<OthersChanged>,
}

/// Foreign TXT values changed while one of ours was beside them: not by this program, as the
/// provider's receipts prove, and yet worth knowing for their owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OthersChanged {
    /// When it was noticed.
    pub at: Timestamp,
    /// Which came and which went, for people.
    pub what: String,
}
