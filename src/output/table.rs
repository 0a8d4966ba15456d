//! Tables without borders: columns and two spaces.

use comfy_table::{Attribute, ContentArrangement, Table};

use super::Terminal;
use crate::text::escape;

/// A cell's meaning, shown as a colour where there are colours; never by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// A person should check.
    Warn,
    /// A person must act.
    Bad,
    /// Of less interest.
    Dim,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a meaning.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn tone(&self) -> Tone {
        self.tone
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// The narrowest table that still says something; a narrower terminal wraps it.
const LEAST_WIDTH: u16 = 20;

/// Of a terminal that does not know.
const USUAL_WIDTH: u16 = 80;

/// A column that must be narrower than this breaks its words: then every row becomes a block of
/// lines.
const LEAST_COLUMN: usize = 10;

pub(super) fn render(headers: &[&str], rows: Vec<Vec<Cell>>, terminal: Terminal) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    if terminal.color {
        table.enforce_styling();
    }
    let bold = |text: &str| {
        let cell = comfy_table::Cell::new(escape(text));
        if terminal.color {
            cell.add_attribute(Attribute::Bold)
        } else {
            cell
        }
    };
    let mut stacked = false;
    if terminal.is_terminal {
        let asked = terminal
            .width
            .or_else(|| table.width())
            .filter(|&width| width > 0);
        let width = asked.unwrap_or(USUAL_WIDTH).max(LEAST_WIDTH);
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
        stacked = least_width(headers, &rows) > usize::from(width);
    } else {
        // A pipe gets one line a row, however long.
        table
            .force_no_tty()
            .set_content_arrangement(ContentArrangement::Disabled);
    }
    if stacked {
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                table.add_row([""]);
            }
            for (header, cell) in headers.iter().zip(row) {
                table.add_row([bold(header), paint(cell, terminal.color)]);
            }
        }
    } else {
        table.set_header(
            headers
                .iter()
                .map(|header| bold(header))
                .collect::<Vec<_>>(),
        );
        for row in rows {
            table.add_row(
                row.iter()
                    .map(|cell| paint(cell, terminal.color))
                    .collect::<Vec<_>>(),
            );
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text: String = table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    if text.is_empty() {
        text.push('\n');
    }
    text
}

/// What the columns need so that no short word is broken.
fn least_width(headers: &[&str], rows: &[Vec<Cell>]) -> usize {
    let widest = |index: usize| {
        rows.iter()
            .filter_map(|row| row.get(index))
            .map(|cell| cell.text.chars().count())
            .max()
    };
    let column = |(index, header): (usize, &&str)| {
        widest(index)
            .max(Some(header.len()))
            .unwrap_or(0)
            .min(LEAST_COLUMN)
            + 2
    };
    headers.iter().enumerate().map(column).sum()
}

fn paint(cell: &Cell, color: bool) -> comfy_table::Cell {
    let painted = comfy_table::Cell::new(escape(&cell.text));
    match cell.tone {
        _ if !color => painted,
        Tone::Plain => painted,
        Tone::Good => painted.fg(comfy_table::Color::DarkGreen),
        Tone::Warn => painted.fg(comfy_table::Color::DarkYellow),
        Tone::Bad => painted.fg(comfy_table::Color::DarkRed),
        Tone::Dim => painted.add_attribute(Attribute::Dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<Cell>> {
        let long =
            "waits for a person: the zone example.com is not served by the configured server";
        vec![
            vec![
                "example.ch".into(),
                Cell::new("valid", Tone::Good),
                "in 98 d".into(),
            ],
            vec![
                "déjà.vu.com".into(),
                Cell::new("held", Tone::Bad),
                long.into(),
            ],
        ]
    }

    #[test]
    fn a_pipe_gets_one_plain_line_a_row() {
        let text = render(&["DOMAIN", "STATE", "UNTIL"], rows(), Terminal::default());
        assert_eq!(
            text,
            "DOMAIN       STATE  UNTIL\n\
             example.ch   valid  in 98 d\n\
             déjà.vu.com  held   waits for a person: the zone example.com is not served by the configured server\n"
        );
    }

    #[test]
    fn a_terminal_gets_no_line_longer_than_it_is_wide() {
        for width in [20, 40, 60, 80, 200] {
            let terminal = Terminal {
                is_terminal: true,
                color: false,
                width: Some(width),
                ..Terminal::default()
            };
            let text = render(&["DOMAIN", "STATE", "UNTIL"], rows(), terminal);
            assert!(
                text.lines()
                    .all(|line| line.chars().count() <= usize::from(width)),
                "{width}:\n{text}"
            );
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
            // A row that became a block says the headers again.
            assert!(
                letters(&text)
                    >= letters(&render(
                        &["DOMAIN", "STATE", "UNTIL"],
                        rows(),
                        Terminal::default()
                    ))
            );
        }
        let narrow = Terminal {
            is_terminal: true,
            color: false,
            width: Some(1),
            ..Terminal::default()
        };
        assert!(
            render(&["A", "B", "C", "D"], rows(), narrow)
                .lines()
                .count()
                > 3
        );
    }

    #[test]
    fn a_narrow_terminal_gets_blocks_of_whole_words() {
        let terminal = Terminal {
            is_terminal: true,
            width: Some(30),
            ..Terminal::default()
        };
        let text = render(&["DOMAIN", "STATE", "USABLE UNTIL"], rows(), terminal);
        for line in [
            "DOMAIN        example.ch",
            "STATE         valid",
            "STATE         held",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "no `{line}` in\n{text}"
            );
        }
    }

    #[test]
    fn without_colour_there_is_no_escape_sequence() {
        let terminal = Terminal {
            is_terminal: true,
            color: false,
            width: Some(80),
            ..Terminal::default()
        };
        assert!(!render(&["DOMAIN", "STATE", "UNTIL"], rows(), terminal).contains('\u{1b}'));
    }

    #[test]
    fn a_row_for_each_of_many_domains_is_quick_to_make() {
        let rows: Vec<_> = (0..10_000)
            .map(|n| vec![format!("host-{n}.example.ch").into(), "valid".into()])
            .collect();
        assert_eq!(
            render(&["DOMAIN", "STATE"], rows, Terminal::default())
                .lines()
                .count(),
            10_001
        );
    }
}
