//! What a list means for a domain that the CA was asked to register.

use jiff::Timestamp;

use super::Task;
use crate::prevalidation::DomainName;
use crate::text::Reason;
use crate::worker::Worker;

impl Task {
    /// The answer to `register` was lost or said "exists", and the client's list does not show the
    /// name. `unreadable`: what the list has beside the registrations that could be read.
    pub(in crate::worker) fn not_registered(
        &mut self,
        worker: &Worker,
        unreadable: &[String],
        now: Timestamp,
    ) {
        // Without an error it was a process that died before it asked: nothing speaks against
        // asking.
        let Some(mut last) = self.observed.upkeep.setback.last_error.clone() else {
            return self.went_well();
        };
        if let Some(entry) = entry_of(&self.fence.domain, unreadable) {
            let reason = Reason::read(&last);
            let words = format!("{}; {entry}", reason.words);
            last = Reason::new(&words, reason.hint).to_string();
        }
        let text = format!("not in the CA's list after `register`: {last}");
        if self.observed.upkeep.setback.failures >= 2 {
            self.observed.upkeep.setback.failures = 0;
            self.hold(worker, text, now);
        } else {
            self.wait(worker, text, None, now);
            self.observed.upkeep.setback.note(last);
        }
    }
}

/// The entry of the list that is this domain's, or may be, and could not be read.
fn entry_of(domain: &DomainName, unreadable: &[String]) -> Option<String> {
    let is_in_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let unicode = domain.unicode();
    let is_it = |word: &str| {
        let word = word.trim_matches('.').to_lowercase();
        word == domain.as_str() || word == unicode
    };
    let names_it = |what: &&String| what.split(|c| !is_in_name(c)).any(is_it);
    if let Some(what) = unreadable.iter().find(names_it) {
        return Some(format!("its entry in the list cannot be used: {what}"));
    }
    let (first, more) = unreadable.split_first()?;
    let more = match more.len() {
        0 => String::new(),
        count => format!(", and {count} more"),
    };
    Some(format!(
        "its entry may be one that cannot be read: {first}{more}"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_entry_that_names_the_domain_is_told_and_else_that_there_are_unreadable_ones() {
        let domain = DomainName::parse("zürich.example").unwrap().name;
        let of = |entries: &[&str]| {
            let entries: Vec<_> = entries.iter().map(ToString::to_string).collect();
            entry_of(&domain, &entries)
        };
        let other = "an entry without a usable `uuid`: {\"domain\":\"a.xn--zrich-kva.example\"}";
        for its in [
            "an entry without a usable `uuid`: {\"domain\":\"XN--zrich-kva.example.\"}",
            "entry cld-1: `Zürich.example` is not a domain",
        ] {
            let said = of(&[other, its]).unwrap();
            assert_eq!(said, format!("its entry in the list cannot be used: {its}"));
        }
        let said = of(&[other, "an entry that is not JSON"]).unwrap();
        assert_eq!(
            said,
            format!("its entry may be one that cannot be read: {other}, and 1 more")
        );
        assert_eq!(of(&[]), None);
    }
}
