//! The only place that prints. Results go to standard output, as text or as one JSON document;
//! everything else to standard error.
//!
//! What is printed may come from a CA, a zone or a person: control characters are escaped on the
//! way out, always (faults N07). A reader that went away (`| head`) is not an error: printing just
//! stops (faults N05).

mod list;
pub mod log;
mod paragraph;
mod progress;
mod table;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anstyle::{AnsiColor, Style};
use indicatif::ProgressBar;
use serde::Serialize;

pub use progress::Progress;
pub use table::{Cell, Tone};

use self::list::Document;
pub use self::list::JsonList;
pub use crate::prevalidation::words::{counted, share};
use crate::text::in_json;
pub use crate::text::{Reason, cause, escape, is_cut, moment, relative};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Tables and lines for people.
    #[default]
    Text,
    /// One JSON document for programs.
    Json,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Color {
    /// On a terminal that can, unless `NO_COLOR` or `TERM=dumb` say otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The options of the user.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// How results are printed.
    pub format: Format,
    /// Results and errors only: no notices, hints or progress.
    pub quiet: bool,
    /// More than the usual.
    pub verbose: bool,
    /// When colours are used.
    pub color: Color,
}

/// What is at the other end of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    /// A terminal, not a pipe or a file.
    pub is_terminal: bool,
    /// Whether it gets colours.
    pub color: bool,
    /// Its width in columns, when it is known better than by asking it.
    pub width: Option<u16>,
    /// It cannot move its cursor (`TERM=dumb`): no bar.
    pub is_dumb: bool,
}

/// The program's voice. Printing never fails for the caller; [`Output::finish`] says whether it
/// worked.
pub struct Output {
    options: Options,
    stdout: Stream,
    stderr: Stream,
    bar: Mutex<Option<ProgressBar>>,
    /// Whether a JSON document was printed.
    documented: AtomicBool,
}

struct Stream {
    terminal: Terminal,
    sink: Mutex<Sink>,
}

struct Sink {
    to: Box<dyn Write + Send>,
    broken: Option<io::Error>,
}

impl Output {
    /// Prints to the process's own standard output and error.
    pub fn stdio(options: Options) -> Self {
        let color = |auto: anstream::ColorChoice| match options.color {
            Color::Auto => auto != anstream::ColorChoice::Never,
            Color::Always => true,
            Color::Never => false,
        };
        let width = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok())
            .filter(|&columns| columns > 0);
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let stdout = Terminal {
            is_terminal: io::stdout().is_terminal(),
            color: color(anstream::AutoStream::choice(&io::stdout())),
            width,
            is_dumb,
        };
        let stderr = Terminal {
            is_terminal: io::stderr().is_terminal(),
            color: color(anstream::AutoStream::choice(&io::stderr())),
            width,
            is_dumb,
        };
        Self::new(
            options,
            (Box::new(io::stdout()), stdout),
            (Box::new(io::stderr()), stderr),
        )
    }

    /// Prints to the given standard output and error.
    pub fn new(
        options: Options,
        stdout: (Box<dyn Write + Send>, Terminal),
        stderr: (Box<dyn Write + Send>, Terminal),
    ) -> Self {
        let stream = |(to, terminal)| Stream {
            terminal,
            sink: Mutex::new(Sink { to, broken: None }),
        };
        Self {
            options,
            stdout: stream(stdout),
            stderr: stream(stderr),
            bar: Mutex::new(None),
            documented: AtomicBool::new(false),
        }
    }

    /// Whether the user asked for JSON.
    pub fn is_json(&self) -> bool {
        self.options.format == Format::Json
    }

    /// Whether the user asked for results and errors only.
    pub fn is_quiet(&self) -> bool {
        self.options.quiet
    }

    /// Whether the user asked for more.
    pub fn is_verbose(&self) -> bool {
        self.options.verbose && !self.options.quiet
    }

    /// One line of the result; nothing when JSON was asked for.
    pub fn line(&self, line: &str) {
        if !self.is_json() {
            self.print(&self.stdout, &format!("{}\n", escape(line)));
        }
    }

    /// A result of several lines, such as a plan or a configuration; nothing when JSON was asked
    /// for.
    pub fn text(&self, text: &str) {
        text.lines().for_each(|line| self.line(line));
    }

    /// The title of a section of the result; nothing when JSON was asked for.
    pub fn heading(&self, title: &str) {
        let bold = Style::new().bold();
        let title = escape(title);
        let title = if self.stdout.terminal.color {
            format!("{bold}{title}{bold:#}")
        } else {
            title.into_owned()
        };
        if !self.is_json() {
            self.print(&self.stdout, &format!("{title}\n"));
        }
    }

    /// A text of the result, wrapped at 80 columns or the terminal's width, its first line after
    /// `lead`, which may mean something; nothing when JSON was asked for.
    pub fn paragraph(&self, lead: &Cell, text: &str) {
        if !self.is_json() {
            self.print(
                &self.stdout,
                &paragraph::render(lead, text, self.stdout.terminal),
            );
        }
    }

    /// A table without borders, fitted to a terminal and as wide as it needs to be otherwise;
    /// nothing when JSON was asked for.
    pub fn table(&self, headers: &[&str], rows: Vec<Vec<Cell>>) {
        if !self.is_json() {
            self.print(
                &self.stdout,
                &table::render(headers, rows, self.stdout.terminal),
            );
        }
    }

    /// The result as a JSON document, on one line unless it goes to a terminal; nothing unless JSON
    /// was asked for.
    pub fn json(&self, result: &impl Serialize) {
        if !self.is_json() {
            return;
        }
        self.documented.store(true, Ordering::Relaxed);
        let mut document = Document::new(self);
        let written = match self.stdout.terminal.is_terminal {
            true => serde_json::to_writer_pretty(&mut document, result),
            false => serde_json::to_writer(&mut document, result),
        };
        match written {
            Ok(()) => document.end(),
            Err(error) => self.error(
                &format!("the result cannot be written as JSON: {error}"),
                None,
            ),
        }
    }

    /// One line of JSON on standard error, beside the document; nothing unless JSON was asked for.
    pub fn json_aside(&self, about: &serde_json::Value) {
        if self.is_json() {
            self.print(&self.stderr, &format!("{}\n", in_json(&about.to_string())));
        }
    }

    /// Whether a JSON document was printed: there is one at most.
    pub fn has_document(&self) -> bool {
        self.documented.load(Ordering::Relaxed)
    }

    /// Something worth knowing.
    pub fn notice(&self, message: &str) {
        if !self.options.quiet {
            self.say("note", AnsiColor::Cyan, message, None);
        }
    }

    /// Something that will need a person.
    pub fn warn(&self, message: &str, hint: Option<&str>) {
        self.say("warning", AnsiColor::Yellow, message, hint);
    }

    /// Something that did not work.
    pub fn error(&self, message: &str, hint: Option<&str>) {
        self.say("error", AnsiColor::Red, message, hint);
    }

    /// What is shown only with `-v`.
    pub fn detail(&self, message: &str) {
        if self.options.verbose && !self.options.quiet {
            self.print(&self.stderr, &format!("{}\n", escape(message)));
        }
    }

    fn say(&self, word: &str, color: AnsiColor, message: &str, hint: Option<&str>) {
        let paint = |word: &str, color: AnsiColor| match self.stderr.terminal.color {
            true => {
                let style: Style = color.on_default().bold();
                Cow::Owned(format!("{style}{word}:{style:#}"))
            }
            false => Cow::Owned(format!("{word}:")),
        };
        let mut text = String::new();
        // The lines of one message stay together, and each line is ours.
        for (index, line) in message.lines().enumerate() {
            let lead = if index == 0 {
                paint(word, color)
            } else {
                Cow::Borrowed(" ")
            };
            text.push_str(&format!("{lead} {}\n", escape(line)));
        }
        if let Some(hint) = hint.filter(|_| !self.options.quiet) {
            text.push_str(&format!(
                "{} {}\n",
                paint("hint", AnsiColor::Green),
                escape(hint)
            ));
        }
        self.print(&self.stderr, &text);
    }

    /// Asks on the terminal whether to continue; only a whole `yes` does. `None` when standard
    /// input is not a terminal.
    pub fn confirm(&self, question: &str) -> Option<bool> {
        if !(self.stderr.terminal.is_terminal && io::stdin().is_terminal()) {
            return None;
        }
        self.print(
            &self.stderr,
            &format!("{} Type yes to continue: ", escape(question)),
        );
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        if !answer.ends_with('\n') {
            self.print(&self.stderr, "\n");
        }
        Some(read.is_ok() && answer.trim().eq_ignore_ascii_case("yes"))
    }

    /// Asks on the terminal; an empty answer is the default. `None` when standard input is not a
    /// terminal, or when the answer is empty and there is no default.
    pub fn ask(&self, question: &str, default: &str) -> Option<String> {
        if !(self.stderr.terminal.is_terminal && io::stdin().is_terminal()) {
            return None;
        }
        let shown = match default {
            "" => String::new(),
            default => format!(" [{default}]"),
        };
        self.print(&self.stderr, &format!("{}{shown} ", escape(question)));
        let mut answer = String::new();
        let _ = io::stdin().read_line(&mut answer);
        let answer = match answer.trim() {
            "" => default,
            answer => answer,
        };
        (!answer.is_empty()).then(|| answer.to_owned())
    }

    /// A bar on standard error for `len` things to do; shows only on a terminal, for text, and
    /// neither when quiet nor beside the lines of `-v`.
    pub fn progress(&self, len: u64, what: &str) -> Progress<'_> {
        let Options { quiet, verbose, .. } = self.options;
        let Terminal {
            is_terminal,
            is_dumb,
            ..
        } = self.stderr.terminal;
        let visible = is_terminal && !is_dumb && !quiet && !verbose && !self.is_json();
        let bar = visible.then(|| progress::bar(len, &escape(what)));
        lock(&self.bar).clone_from(&bar);
        Progress::new(bar, &self.bar)
    }

    /// Whether the results are not read any more: there is no point in producing more of them.
    pub fn is_closed(&self) -> bool {
        lock(&self.stdout.sink).broken.is_some()
    }

    /// Flushes, and says whether the results could be written. A reader that went away is no
    /// failure.
    pub fn finish(&self) -> io::Result<()> {
        let mut sink = lock(&self.stdout.sink);
        let flushed = sink.to.flush();
        match sink.broken.take().map_or(flushed, Err) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    fn print(&self, stream: &Stream, text: &str) {
        let bar = lock(&self.bar).clone();
        let write = || {
            let mut sink = lock(&stream.sink);
            if sink.broken.is_none() {
                // Standard output is buffered by lines; a table is written at once.
                sink.broken = sink.to.write_all(text.as_bytes()).err();
            }
        };
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(lock(&self.0).clone()).unwrap()
        }
    }

    /// A stream that takes one write and then fails.
    struct Broken(io::ErrorKind, usize);

    impl Write for Broken {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1 > 1 {
                Err(self.0.into())
            } else {
                Ok(bytes.len())
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn output(options: Options, terminal: Terminal) -> (Output, Paper, Paper) {
        let (out, err) = (Paper::default(), Paper::default());
        let output = Output::new(
            options,
            (Box::new(out.clone()), terminal),
            (Box::new(err.clone()), terminal),
        );
        (output, out, err)
    }

    #[test]
    fn nothing_from_outside_reaches_the_terminal_as_a_command() {
        let evil = "a\x1b[2Jb\rc\u{9b}d\u{202e}e";
        let (output, out, err) = output(
            Options {
                verbose: true,
                ..Options::default()
            },
            Terminal::default(),
        );
        output.line(evil);
        output.text(evil);
        output.table(&[evil], vec![vec![evil.into()]]);
        output.notice(evil);
        output.warn(evil, Some(evil));
        output.error(evil, None);
        output.detail(evil);
        for text in [out.text(), err.text()] {
            assert!(
                !text
                    .chars()
                    .any(|c| c != '\n' && c.is_control() || c == '\u{202e}'),
                "{text:?}"
            );
            assert!(text.contains("a\\u{1b}[2Jb"), "{text:?}");
        }
    }

    #[test]
    fn hints_have_a_line_of_their_own_and_colours_are_only_for_those_who_want_them() {
        let (plain, _, err) = output(Options::default(), Terminal::default());
        plain.error("it broke\nhere", Some("repair it"));
        assert_eq!(err.text(), "error: it broke\n  here\nhint: repair it\n");

        let (colored, _, err) = output(
            Options::default(),
            Terminal {
                color: true,
                ..Terminal::default()
            },
        );
        colored.error("it broke", None);
        assert_eq!(err.text(), "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m it broke\n");

        let (quiet, _, err) = output(
            Options {
                quiet: true,
                verbose: true,
                ..Options::default()
            },
            Terminal::default(),
        );
        quiet.notice("n");
        quiet.detail("d");
        quiet.error("it broke", Some("repair it"));
        assert_eq!(err.text(), "error: it broke\n");
    }

    #[test]
    fn json_is_alone_on_standard_output() {
        let (output, out, err) = output(
            Options {
                format: Format::Json,
                ..Options::default()
            },
            Terminal::default(),
        );
        output.line("text");
        output.table(&["a"], vec![vec!["b".into()]]);
        output.notice("still said");
        output.json(&json!({"text": "\u{1b}[2J\u{9b}\u{202e}\u{1f4a9}ß"}));
        assert_eq!(
            out.text(),
            "{\"text\":\"\\u001b[2J\\u009b\\u202e\u{1f4a9}ß\"}\n"
        );
        let back: serde_json::Value = serde_json::from_str(&out.text()).unwrap();
        assert_eq!(back["text"], "\u{1b}[2J\u{9b}\u{202e}\u{1f4a9}ß");
        assert_eq!(err.text(), "note: still said\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_and_a_full_disk_is_one() {
        for (kind, fails) in [
            (io::ErrorKind::BrokenPipe, false),
            (io::ErrorKind::StorageFull, true),
        ] {
            let err = Paper::default();
            let output = Output::new(
                Options::default(),
                (Box::new(Broken(kind, 0)), Terminal::default()),
                (Box::new(err.clone()), Terminal::default()),
            );
            output.line("one");
            assert!(!output.is_closed());
            output.line("two");
            output.line("three");
            assert!(output.is_closed());
            assert_eq!(output.finish().is_err(), fails);
            assert_eq!(err.text(), "");
        }
    }

    #[test]
    fn a_bar_is_shown_on_a_terminal_only() {
        let terminal = Terminal {
            is_terminal: true,
            ..Terminal::default()
        };
        let json = Options {
            format: Format::Json,
            ..Options::default()
        };
        let quiet = Options {
            quiet: true,
            ..Options::default()
        };
        for (options, terminal, shown) in [
            (Options::default(), terminal, true),
            (Options::default(), Terminal::default(), false),
            (json, terminal, false),
            (quiet, terminal, false),
            (
                Options::default(),
                Terminal {
                    is_dumb: true,
                    ..terminal
                },
                false,
            ),
        ] {
            let (output, out, err) = output(options, terminal);
            let progress = output.progress(10, "domains");
            assert_eq!(progress.is_visible(), shown);
            progress.done(1);
            output.error("said beside the bar", None);
            drop(progress);
            assert!(lock(&output.bar).is_none());
            assert_eq!(
                (out.text().as_str(), err.text().as_str()),
                ("", "error: said beside the bar\n")
            );
        }
    }
}
