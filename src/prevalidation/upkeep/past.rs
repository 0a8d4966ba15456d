//! The last proof, and the lapse after it.

use jiff::Timestamp;

use super::super::proof::Proof;

/// What was once proven. A new proof replaces all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    /// When a proof was last won by us: no new cycle within 24 h of it.
    pub proved_at: Option<Timestamp>,
    /// The last proof, when none counts any more: also where the CA's record does not show it, or
    /// is gone.
    pub last_proof: Option<Proof>,
    /// When it was noticed that no proof counts any more; the history says so once.
    pub lapsed_at: Option<Timestamp>,
    /// A lapse that a clock noted which was ahead: the history does not say yet that it was none.
    /// Found anew at each reading of the row, from `lapsed_at`, and never stored.
    pub false_lapse: Option<Timestamp>,
}

impl Past {
    /// A proof counts: no lapse is remembered.
    pub fn end_lapse(&mut self) {
        (self.last_proof, self.lapsed_at) = (None, None);
    }
}
