//! What is remembered at the end of a pass over one record: its hold, and what was seen of it.

use jiff::Timestamp;

use super::Task;
use crate::persistent::{Decision, KeptHold, KeptState, Seen, Step, Trouble, Why};

impl Task<'_> {
    /// What is remembered of the last decision.
    pub(super) fn settle(&mut self, decision: &Decision) {
        let now = self.now();
        let hold = match decision.step {
            Step::Hold(kind) => Some((kind, decision.why.to_string())),
            _ => None,
        };
        match hold {
            Some((kind, words)) => {
                let is_new = self.kept.hold.as_ref().is_none_or(|hold| hold.kind != kind);
                let since = match &self.kept.hold {
                    Some(hold) if !is_new => hold.since,
                    _ => now,
                };
                if is_new {
                    self.say("held", words.clone());
                }
                let kind = kind.to_owned();
                self.kept.hold = Some(KeptHold { since, kind, words });
            }
            None => self.kept.hold = None,
        }
        self.note_sight(now);
        if decision.why == Why::Visible && !self.has_unremoved() {
            // What could not be written is not wanted any more.
            self.well();
        }
    }

    /// What name servers said in this pass of the record that was visible.
    fn note_sight(&mut self, now: Timestamp) {
        let mut sights = self.kept.records.iter().zip(&self.seen);
        let written = sights
            .clone()
            .rfind(|(record, _)| record.state == KeptState::Published);
        self.kept.waits_for = match written.and_then(|(_, seen)| seen.as_ref()) {
            Some(Seen::Unclear(why)) => Some(why.clone()),
            _ => None,
        };
        // Of two, the new one counts.
        let visible = sights.rfind(|(record, _)| record.state == KeptState::Visible);
        // Why it cannot be written is the cause of what name servers lack.
        let is_refused = self.kept.is_refused();
        match visible.and_then(|(_, seen)| seen.as_ref()) {
            Some(Seen::Everywhere) => {
                self.kept.verified_at = Some(now);
                self.kept.missing_since = None;
                if self.kept.failures == 0 {
                    self.kept.trouble = None;
                }
            }
            Some(Seen::Gone) => {
                self.kept.missing_since.get_or_insert(now);
                if !is_refused {
                    self.kept.trouble =
                        Some(Trouble::Other("no name server has the record".to_owned()));
                }
            }
            Some(Seen::Unclear(why)) => {
                self.kept.missing_since.get_or_insert(now);
                if !is_refused {
                    self.kept.trouble = Some(Trouble::Other(why.clone()));
                }
            }
            None => {}
        }
    }
}
