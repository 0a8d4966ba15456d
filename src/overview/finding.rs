//! What is wrong with one domain, in a line for a pager or a table: what `check` says of it.

use jiff::Timestamp;

use super::DomainView;
use super::danger::{Danger, Gravity};
use crate::prevalidation::{Lateness, Observed, State, Step};
use crate::text::{cause, relative};

/// Whether a step is one in DNS.
pub(super) fn is_dns(step: &Step) -> bool {
    use Step::{Check, Preflight, Publish, Remove};
    matches!(
        step,
        Preflight | Publish { .. } | Check { .. } | Remove { .. }
    )
}

/// What the CA's answer says yes and no to, where `reason` does not tell it.
pub(super) fn unsaid_doubt<'a>(observed: &'a Observed, reason: &str) -> Option<&'a str> {
    let doubt = observed.sighting.registration()?.doubt.as_deref()?;
    (!reason.contains(doubt)).then_some(doubt)
}

impl DomainView {
    /// The cause in one line, with distances in the place of moments; `reason` has the whole.
    pub fn cause(&self, now: Timestamp) -> String {
        match &self.waiting {
            Some(waiting) if waiting.lateness > Lateness::InTime => cause(
                &format!("{}: waits for {}", waiting.lateness, waiting.subject),
                now,
            ),
            Some(waiting) => cause(&format!("waits for {}", waiting.subject), now),
            None => cause(&self.reason, now),
        }
    }

    /// How severe its state is and why, where `danger` may be by margins of the caller's own;
    /// `None` when nothing is wrong, or only its zone, which [`DomainView::bogus`] tells.
    pub fn finding(&self, danger: Danger, now: Timestamp) -> Option<(Gravity, String)> {
        let gravity = self.gravity_with(danger);
        if gravity == Gravity::Ok {
            return None;
        }
        let (name, reason) = (self.domain.both_forms(), self.cause(now));
        let text = match (self.usable_until(), danger) {
            (None, Danger::Lapsed) if self.state == State::Held => {
                format!("{name} is no longer validated, and is held: {reason}")
            }
            (None, _) if !self.with_margin => format!("{name} is {}: {reason}", self.state),
            (Some(end), Danger::Critical | Danger::Warning) => {
                format!("{name} ends {}: {reason}", relative(end, now))
            }
            _ if self.state == State::Held => format!("{name} is held: {reason}"),
            _ if self.lateness() > Lateness::InTime => {
                format!("{name} is {}: {reason}", self.lateness())
            }
            _ => return None,
        };
        Some((gravity, text))
    }
}
