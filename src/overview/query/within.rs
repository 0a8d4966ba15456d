//! Spans of time in a query: from a day or a moment, and before another.

use jiff::Timestamp;

/// A span of time; a bound that is not given does not narrow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Within {
    /// From then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub before: Option<Timestamp>,
}

impl Within {
    /// Whether a moment is inside; none is only where there is no bound.
    pub fn takes(self, at: Option<Timestamp>) -> bool {
        if self == Self::default() {
            return true;
        }
        at.is_some_and(|at| {
            self.from.is_none_or(|from| at >= from) && self.before.is_none_or(|end| at < end)
        })
    }
}

/// Reads `2027-03-15` (UTC) or a moment of RFC 3339.
///
/// # Errors
/// The allowed values.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let whole = || format!("{text}T00:00:00Z").parse();
    text.parse()
        .or_else(|_| whole())
        .map_err(|_: jiff::Error| "must be a day or a moment, such as 2027-03-15".to_owned())
}
