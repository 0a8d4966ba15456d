//! The event of a record that became visible: what the gate found, and when the CA is asked. The
//! history keeps both as one text, and only this file knows its form.

use jiff::{SignedDuration, Timestamp};

use crate::store::Event;

/// The kind of the event.
pub(super) const KIND: &str = "visible";

/// What is between its parts; when the CA is asked is the last one.
const BETWEEN: &str = "; ";

/// How the part about the CA begins.
const ASKED: &str = "the CA is asked at ";

/// What the history says of it: `found` by the gate, and the moment at which the CA is asked, which
/// is `settle` after `now`.
pub(super) fn detail(mut found: Vec<String>, settle: SignedDuration, now: Timestamp) -> String {
    if !settle.is_zero() {
        let asked_at = now.saturating_add(settle).unwrap_or(Timestamp::MAX);
        found.push(format!(
            "{ASKED}{} UTC, after `settle` of {} s",
            asked_at.strftime("%H:%M:%S"),
            settle.as_secs()
        ));
    }
    found.join(BETWEEN)
}

/// Until when nothing happens although every name server has the record, in the words of the event:
/// the longest wait of a run in which all goes well.
pub fn settles(event: &Event) -> Option<&str> {
    let last = event.detail.rsplit(BETWEEN).next()?;
    (event.kind == KIND && last.starts_with(ASKED)).then_some(last)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_moment_at_which_the_ca_is_asked_is_found_again() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let event = |kind: &str, secs| Event {
            at: now,
            run: String::new(),
            domain: None,
            client: None,
            kind: kind.to_owned(),
            detail: detail(
                vec!["2 of 2; all".to_owned(), "slow".to_owned()],
                SignedDuration::from_secs(secs),
                now,
            ),
        };
        let settling = event(KIND, 30);
        let words = "the CA is asked at 12:00:30 UTC, after `settle` of 30 s";
        assert_eq!(settling.detail, format!("2 of 2; all; slow; {words}"));
        assert_eq!(settles(&settling), Some(words));
        assert_eq!(settles(&event("waiting", 30)), None);
        assert_eq!(settles(&event(KIND, 0)), None);
    }
}
