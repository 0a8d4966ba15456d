//! Tables without borders: columns and two spaces.

use comfy_table::{Attribute, ContentArrangement, Table};

use super::Terminal;
use super::escape::escape;

/// A cell's meaning, shown as a colour where there are colours; never by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// Somebody should look.
    Warn,
    /// Somebody must look.
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
        Self { text: text.into(), tone }
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

pub(super) fn render(headers: &[&str], rows: Vec<Vec<Cell>>, terminal: Terminal) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    if terminal.is_terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = terminal.width {
            table.set_width(width.max(LEAST_WIDTH));
        }
    } else {
        // A pipe gets one line a row, however long.
        table.force_no_tty().set_content_arrangement(ContentArrangement::Disabled);
    }
    if terminal.color {
        table.enforce_styling();
    }
    let bold = |text: &&str| {
        let cell = comfy_table::Cell::new(escape(text));
        if terminal.color { cell.add_attribute(Attribute::Bold) } else { cell }
    };
    table.set_header(headers.iter().map(bold).collect::<Vec<_>>());
    for row in rows {
        table.add_row(row.into_iter().map(|cell| paint(&cell, terminal.color)).collect::<Vec<_>>());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if text.is_empty() {
        text.push('\n');
    }
    text
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
        let long = "waits for somebody: the zone example.com is not served by the configured server";
        vec![
            vec!["example.ch".into(), Cell::new("valid", Tone::Good), "in 98 d".into()],
            vec!["déjà.vu.com".into(), Cell::new("held", Tone::Bad), long.into()],
        ]
    }

    #[test]
    fn a_pipe_gets_one_plain_line_a_row() {
        let text = render(&["DOMAIN", "STATE", "UNTIL"], rows(), Terminal::default());
        assert_eq!(
            text,
            "DOMAIN       STATE  UNTIL\n\
             example.ch   valid  in 98 d\n\
             déjà.vu.com  held   waits for somebody: the zone example.com is not served by the configured server\n"
        );
    }

    #[test]
    fn a_terminal_gets_no_line_longer_than_it_is_wide() {
        for width in [20, 40, 60, 80, 200] {
            let terminal = Terminal { is_terminal: true, color: false, width: Some(width) };
            let text = render(&["DOMAIN", "STATE", "UNTIL"], rows(), terminal);
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}:\n{text}");
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
            assert_eq!(letters(&text), letters(&render(&["DOMAIN", "STATE", "UNTIL"], rows(), Terminal::default())));
        }
        let narrow = Terminal { is_terminal: true, color: false, width: Some(1) };
        assert!(render(&["A", "B", "C", "D"], rows(), narrow).lines().count() > 3);
    }

    #[test]
    fn without_colour_there_is_no_escape_sequence() {
        let terminal = Terminal { is_terminal: true, color: false, width: Some(80) };
        assert!(!render(&["DOMAIN", "STATE", "UNTIL"], rows(), terminal).contains('\u{1b}'));
    }

    #[test]
    fn a_row_for_each_of_many_domains_is_quick_to_make() {
        let rows: Vec<_> = (0..10_000).map(|n| vec![format!("host-{n}.example.ch").into(), "valid".into()]).collect();
        assert_eq!(render(&["DOMAIN", "STATE"], rows, Terminal::default()).lines().count(), 10_001);
    }
}
