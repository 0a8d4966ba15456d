//! JSON documents that are written piece by piece: a list of 100,000 is never in memory.

use std::io;

use serde::Serialize;

use super::Output;
use crate::text::in_json;

/// The amount that is written at once.
const AT_ONCE: usize = 64 * 1024;

/// A document that is written piece by piece.
pub(super) struct Document<'a> {
    output: &'a Output,
    /// Not written yet.
    text: String,
}

impl<'a> Document<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        let text = String::new();
        Self { output, text }
    }

    pub(super) fn end(mut self) {
        self.text.push('\n');
        self.write_out();
    }

    fn write_out(&mut self) {
        self.output.print(&self.output.stdout, &in_json(&self.text));
        self.text.clear();
    }
}

impl io::Write for Document<'_> {
    /// serde_json hands over whole characters.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(piece).map_err(io::Error::other)?;
        self.text.push_str(text);
        if self.text.len() >= AT_ONCE {
            self.write_out();
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The document, as far as it is written; nothing is when JSON was not asked for.
pub struct JsonList<'a> {
    output: &'a Output,
    /// Not written yet.
    text: String,
    is_empty: bool,
    pretty: bool,
}

impl Output {
    /// Begins the list.
    pub fn json_list(&self) -> JsonList<'_> {
        JsonList {
            output: self,
            text: "[".to_owned(),
            is_empty: true,
            pretty: self.stdout.terminal.is_terminal,
        }
    }
}

impl JsonList<'_> {
    /// The next item.
    pub fn item(&mut self, item: &impl Serialize) {
        if !self.output.is_json() {
            return;
        }
        if !std::mem::take(&mut self.is_empty) {
            self.text.push(',');
        }
        let document = if self.pretty {
            serde_json::to_string_pretty(item)
        } else {
            serde_json::to_string(item)
        };
        match document {
            Ok(document) if self.pretty => {
                for line in document.lines() {
                    self.text.push_str("\n  ");
                    self.text.push_str(line);
                }
            }
            Ok(document) => self.text.push_str(&document),
            Err(error) => self.output.error(
                &format!("a result cannot be written as JSON: {error}"),
                None,
            ),
        }
        if self.text.len() >= AT_ONCE {
            self.write();
        }
    }

    /// Ends the list.
    pub fn end(mut self) {
        if self.output.is_json() {
            let end = if self.pretty && !self.is_empty {
                "\n]\n"
            } else {
                "]\n"
            };
            self.text.push_str(end);
            self.write();
        }
    }

    fn write(&mut self) {
        self.output.print(&self.output.stdout, &in_json(&self.text));
        self.text.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::super::{Format, Options, Terminal};
    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_list_that_is_written_item_by_item_is_the_document_of_the_whole_list() {
        for is_terminal in [false, true] {
            for count in [0, 1, 3, 20_000] {
                let items: Vec<_> = (0..count)
                    .map(|n| serde_json::json!({ "n": n, "of": ["a", "\u{202e}"] }))
                    .collect();
                let document = |write: &dyn Fn(&Output)| {
                    let page = Page::default();
                    let terminal = Terminal {
                        is_terminal,
                        ..Terminal::default()
                    };
                    let options = Options {
                        format: Format::Json,
                        ..Options::default()
                    };
                    let to = || (Box::new(page.clone()) as Box<dyn Write + Send>, terminal);
                    write(&Output::new(options, to(), to()));
                    let bytes = page.0.lock().unwrap().clone();
                    String::from_utf8(bytes).unwrap()
                };
                let whole = document(&|output| output.json(&items));
                let by_item = document(&|output| {
                    let mut list = output.json_list();
                    items.iter().for_each(|item| list.item(item));
                    list.end();
                });
                assert!(by_item == whole, "{is_terminal} {count}");
            }
        }
    }
}
