//! What is wrong with `until` of `[[persistent]]` on the day of the question. It is no fault of the
//! configuration: a run must continue with all other records, and holds these.

use jiff::Timestamp;

use crate::config::{PersistentSettings, Settings};
use crate::output::counted;
use crate::persistent::End;
use crate::persistent::lint::FAR;

/// The sections whose records a run holds for their end, each with its place and what to do.
pub(in crate::commands) fn doubtful_ends(
    settings: &Settings,
    now: Timestamp,
) -> Vec<(String, &'static str)> {
    let of = |one: &PersistentSettings| {
        let End::Fixed(until) = one.end else {
            return None;
        };
        let (why, hint) = if until <= now {
            (
                "is over",
                "write a later date, or a length of time such as \"365d\"",
            )
        } else if until.duration_since(now) > FAR {
            (
                "is more than five years from now",
                "write an earlier date: a permission must end",
            )
        } else {
            return None;
        };
        let file = settings.file.display();
        let line = one
            .end_line
            .map_or_else(String::new, |line| format!(":{line}"));
        let records = counted(one.domains.len(), "record", "records");
        let (issuer, day) = (&one.issuer, until.strftime("%Y-%m-%d"));
        let words = format!(
            "{file}{line}: persistent.until: {day} {why}, so a run holds {records} at {issuer}"
        );
        Some((words, hint))
    };
    settings.persistent.iter().filter_map(of).collect()
}
