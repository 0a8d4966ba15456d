//! A text wrapped to a width, its later lines below its first.

use anstyle::{AnsiColor, Style};

use super::Terminal;
use super::table::{Cell, Tone};
use crate::text::escape;

/// Of a pipe, a file, and any terminal that is wider: longer lines are hard to read.
const WIDTH: usize = 80;

/// The least width of text on a line, however narrow the terminal.
const LEAST: usize = 20;

/// `lead` and `text`, ended by a line break. Words longer than a line are cut.
pub(super) fn render(lead: &Cell, text: &str, terminal: Terminal) -> String {
    let before = escape(lead.text());
    let indent = before.chars().count();
    let wanted = terminal
        .width
        .map_or(WIDTH, |width| usize::from(width).min(WIDTH));
    let room = wanted.saturating_sub(indent).max(LEAST);
    let style = if terminal.color {
        style(lead.tone())
    } else {
        Style::new()
    };
    let mut out = format!("{style}{before}{style:#}");
    let mut used = 0;
    for word in escape(text).split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            if used > 0 && used + 1 + rest.len() > room {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                used = 0;
            }
            if used > 0 {
                out.push(' ');
                used += 1;
            }
            let now: String = rest.drain(..rest.len().min(room - used)).collect();
            used += now.chars().count();
            out.push_str(&now);
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => AnsiColor::Green.on_default().bold(),
        Tone::Warn => AnsiColor::Yellow.on_default().bold(),
        Tone::Bad => AnsiColor::Red.on_default().bold(),
        Tone::Dim => Style::new().dimmed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_within_the_width_and_below_one_another() {
        let text = format!(
            "a server {} and\u{1b}[2J {}",
            "x".repeat(200),
            "word ".repeat(60)
        );
        for width in [None, Some(30), Some(60), Some(200)] {
            let terminal = Terminal {
                width,
                ..Terminal::default()
            };
            let shown = render(&Cell::new("  next: ", Tone::Bad), &text, terminal);
            let most = width.map_or(80, |width| usize::from(width).min(80));
            assert!(
                shown.lines().all(|line| line.chars().count() <= most),
                "{width:?}:\n{shown}"
            );
            assert!(
                shown
                    .lines()
                    .skip(1)
                    .all(|line| line.starts_with("        ")),
                "{shown}"
            );
            assert!(
                shown.starts_with("  next: a server")
                    && shown.ends_with('\n')
                    && !shown.contains('\u{1b}')
            );
            assert_eq!(shown.matches("word").count(), 60);
        }
        let colored = Terminal {
            color: true,
            ..Terminal::default()
        };
        assert!(render(&Cell::new("bad ", Tone::Bad), "x", colored).contains("\u{1b}[31m"));
        assert_eq!(render(&"lead".into(), "", Terminal::default()), "lead\n");
    }
}
