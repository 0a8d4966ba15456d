//! A list as comma-separated values (RFC 4180), made for spreadsheets: no cell begins a formula.

use std::sync::Arc;

use crate::overview::snapshot::{Entry, Snapshot};
use crate::text::escape;

use jiff::Timestamp;

pub(super) const HEAD: &str = "domain,unicode,client,provider,state,covered,proof_ends,renewal_planned,next_due,needs_a_person,\
                               lateness,ca_read,reason\r\n";

/// The rows of some entries.
pub(super) fn rows(snapshot: &Arc<Snapshot>, places: &[u32]) -> String {
    let mut text = String::with_capacity(places.len() * 160);
    places
        .iter()
        .filter_map(|place| snapshot.entries.get(*place as usize))
        .for_each(|entry| row(&mut text, entry));
    text
}

fn row(text: &mut String, entry: &Entry) {
    let moment = |at: Option<Timestamp>| {
        at.map_or_else(String::new, |at| {
            at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        })
    };
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let cells = [
        entry.domain.to_string(),
        entry.domain.unicode(),
        entry.client.to_string(),
        entry.provider.as_deref().unwrap_or_default().to_owned(),
        entry.state.to_string(),
        yes(entry.covered),
        moment(entry.usable_until),
        moment(entry.renew_at),
        moment(entry.due_at),
        yes(entry.needs_a_person),
        entry.lateness.to_string(),
        moment(entry.ca_read_at),
        entry.reason.to_string(),
    ];
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        push(text, cell);
    }
    text.push_str("\r\n");
}

/// What begins like a formula gets an apostrophe in front: spreadsheets then show it as text. So
/// does every part of a cell that would be a cell of its own where columns are parted at a
/// semicolon, as they are in Switzerland and Germany.
fn push(text: &mut String, cell: &str) {
    const SIGNS: [char; 10] = [
        '=', '+', '-', '@', '|', '%', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ];
    let is_formula = |part: &str| {
        part.trim_start_matches(|c: char| c.is_whitespace() || c == '"')
            .starts_with(SIGNS)
    };
    let cell = escape(cell);
    if !cell.split([',', ';']).any(is_formula) && !cell.contains([',', '"']) {
        return text.push_str(&cell);
    }
    text.push('"');
    for part in cell.split_inclusive([',', ';']) {
        if is_formula(part) {
            text.push('\'');
        }
        text.push_str(&part.replace('"', "\"\""));
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_a_formula_and_none_breaks_out_of_its_place() {
        for (cell, written) in [
            ("example.ch", "example.ch"),
            ("a, b", "\"a, b\""),
            ("say \"yes\"", "\"say \"\"yes\"\"\""),
            (
                "=HYPERLINK(\"http://x\")",
                "\"'=HYPERLINK(\"\"http://x\"\")\"",
            ),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            (" =1", "\"' =1\""),
            ("\t=1", "\\t=1"),
            ("a\r\n=1", "a\\r\\n=1"),
            // Spreadsheets of some languages take other signs, and part the columns at other ones.
            ("\u{ff1d}1", "\"'\u{ff1d}1\""),
            ("\u{ff0b}1", "\"'\u{ff0b}1\""),
            ("no;=1", "\"no;'=1\""),
            ("no; \"=1\"", "\"no;' \"\"=1\"\"\""),
            ("no,@x,y", "\"no,'@x,y\""),
            ("\"=1", "\"'\"\"=1\""),
            ("a = b; c", "a = b; c"),
        ] {
            let mut text = String::new();
            push(&mut text, cell);
            assert_eq!(text, written, "{cell:?}");
        }
    }
}
