//! What the tables leave out: the hints below them, and with `-v` the whole reasons.

use jiff::Timestamp;

use crate::output::{Output, Reason, is_cut};
use crate::overview::DomainView;
use crate::prevalidation::DomainName;

/// This many different hints are shown below a table.
const MOST_HINTS: usize = 5;

/// The reasons of a table that do not fit into it.
#[derive(Debug, Default)]
pub(super) struct Cut {
    hints: Vec<(String, DomainName, usize)>,
    whole: Vec<(DomainName, String)>,
}

impl Cut {
    pub(super) fn take(&mut self, view: &DomainView, now: Timestamp) {
        if view.waiting.is_some() {
            self.whole.push((view.domain.clone(), view.reason.clone()));
        } else {
            self.take_reason(&view.domain, &view.reason, now);
        }
    }

    pub(super) fn take_reason(&mut self, domain: &DomainName, reason: &str, now: Timestamp) {
        if let Some(hint) = Reason::read(reason).hint {
            match self.hints.iter_mut().find(|(known, ..)| known == hint) {
                Some((.., count)) => *count += 1,
                None => self.hints.push((hint.to_owned(), domain.clone(), 1)),
            }
        }
        if is_cut(reason, now) {
            self.whole.push((domain.clone(), reason.to_owned()));
        }
    }

    pub(super) fn tell(self, output: &Output) {
        for (hint, domain, count) in self.hints.iter().take(MOST_HINTS) {
            let more = match count {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            output.line(&format!("Hint for {}{more}: {hint}", domain.both_forms()));
        }
        for (domain, reason) in &self.whole {
            output.detail(&format!("{}: {reason}", domain.both_forms()));
        }
        let is_cut = !self.whole.is_empty() || self.hints.len() > MOST_HINTS;
        if is_cut && !output.is_verbose() {
            output.notice("-v shows the whole reasons; `prevalidate history DOMAIN` what was done");
        }
    }
}
