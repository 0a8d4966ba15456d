//! What the store says of the domain's persistent records.

use crate::overview::persistent::{PersistentState, PersistentView};
use crate::propagation::finding::{Code, Finding, Severity};
use crate::text::Reason;

/// The records that need attention. One that does not count blocks a domain that has no other way to
/// a proof.
pub(super) fn findings(views: &[PersistentView], has_other_way: bool) -> Vec<Finding> {
    let open = views.iter().filter(|view| view.needs_attention());
    let found = open.map(|view| {
        let counts = matches!(
            view.state,
            PersistentState::Visible | PersistentState::Replacing | PersistentState::Removing
        );
        let severity = match counts || has_other_way {
            true => Severity::Warns,
            false => Severity::Blocks,
        };
        let (issuer, state) = (&view.issuer, view.state.as_str());
        let reason = Reason::read(&view.reason);
        let text = format!(
            "its persistent record at {issuer} is {state}: {}",
            reason.words
        );
        let next = reason.hint.map_or_else(
            || "`prevalidate persistent list` shows its state.".to_owned(),
            str::to_owned,
        );
        Finding::new(Code::PersistentRecord, severity, text).with_next(next)
    });
    found.collect()
}
