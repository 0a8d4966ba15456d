//! Names of domains in a sentence.

use crate::prevalidation::DomainName;

/// All of a few names, or some of many and their number.
pub(super) fn several(names: &[DomainName]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<_> = names
        .iter()
        .take(SHOWN)
        .map(DomainName::both_forms)
        .collect();
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!(
            "{} and {more} more ({} in all)",
            shown.join(", "),
            names.len()
        ),
    }
}
