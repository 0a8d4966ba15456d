//! Walking a parsed file key by key, so that every fault is found at once and each knows its line.
//!
//! `toml`'s own errors print the source line and the value that was there (measured), and so could
//! print a secret. Here a fault holds a key, a line and our own words. A value is never repeated.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use prevalidate_kit::secret::{SecretSource, looks_like_a_secret};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, nearest};
use super::quantity::{duration, show_duration};

/// A section's name and all its keys: what [`Section::open`] accepts, and what the reference file
/// must show.
pub(super) struct Schema {
    pub path: &'static str,
    pub keys: &'static [&'static str],
}

/// One file being read, and what was found wrong so far.
pub(super) struct Reader {
    pub path: PathBuf,
    /// The folder that relative paths in the file start from.
    pub folder: PathBuf,
    line_starts: Vec<usize>,
    /// Lines that are no TOML. What follows from them is not reported: it would bury the cause.
    broken: BTreeSet<usize>,
    pub faults: RefCell<Vec<Fault>>,
    pub notices: RefCell<Vec<Fault>>,
    /// Lines of lists that name no domain, and cost no other line.
    pub left_out: RefCell<Vec<Fault>>,
    /// Files that are there and cannot be used.
    pub unusable: RefCell<Vec<Fault>>,
    /// What costs one certificate, and nothing else.
    pub put_off: RefCell<Vec<Fault>>,
    /// Where the keys are whose files and secrets are read later; those of tables with a name of
    /// their own as `KEY of NAME`.
    pub lines: RefCell<BTreeMap<String, usize>>,
}

impl Reader {
    pub fn new(path: &Path, folder: &Path, text: &str) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            path: path.to_owned(),
            folder: folder.to_owned(),
            line_starts,
            broken: BTreeSet::new(),
            faults: RefCell::default(),
            notices: RefCell::default(),
            left_out: RefCell::default(),
            unusable: RefCell::default(),
            put_off: RefCell::default(),
            lines: RefCell::default(),
        }
    }

    pub fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    /// Takes over what `toml` could not read. Its message names what it expected, from a fixed list
    /// of words.
    pub fn syntax(&mut self, error: &toml::de::Error) {
        let line = error.span().map(|span| self.line_at(span.start));
        self.broken.extend(line);
        let message = format!("is not TOML: {}", error.message());
        let hint = "a text is in double quotes, a key only once in its section, and a [section] only once in the file";
        self.faults
            .borrow_mut()
            .push(self.at(line, "", message, Some(hint.to_owned())));
    }

    fn at(&self, line: Option<usize>, key: &str, message: String, hint: Option<String>) -> Fault {
        Fault {
            file: self.path.clone(),
            line,
            key: key.to_owned(),
            message,
            hint,
        }
    }

    pub fn fault(
        &self,
        line: Option<usize>,
        key: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        if !line.is_some_and(|line| self.broken.contains(&line)) {
            self.faults
                .borrow_mut()
                .push(self.at(line, key, message.into(), hint));
        }
    }

    /// A fault that may only be the consequence of a line that is not TOML.
    pub fn absent(
        &self,
        line: Option<usize>,
        key: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        if self.broken.is_empty() {
            self.fault(line, key, message, hint);
        }
    }

    pub fn notice(&self, line: Option<usize>, key: &str, message: impl Into<String>) {
        self.notices
            .borrow_mut()
            .push(self.at(line, key, message.into(), None));
    }
}

/// One table of the file with the keys it may have.
#[derive(Clone)]
pub(super) struct Section<'a> {
    pub reader: &'a Reader,
    table: Option<&'a DeTable<'a>>,
    /// `ca.swisssign`; empty at the top.
    pub path: String,
    pub line: Option<usize>,
}

/// Whether a name may be in a message.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.chars().all(plain) && !looks_like_a_secret(name)
}

/// A string with its line.
pub(super) struct Text<'a> {
    pub text: &'a str,
    pub line: usize,
}

impl<'a> Section<'a> {
    /// Opens a table and reports its unknown keys.
    pub fn open(
        reader: &'a Reader,
        table: &'a DeTable<'a>,
        path: String,
        line: Option<usize>,
        schema: &Schema,
    ) -> Self {
        let section = Self {
            reader,
            table: Some(table),
            path,
            line,
        };
        for key in table
            .keys()
            .filter(|key| !schema.keys.contains(&key.get_ref().as_ref()))
        {
            let hint = match nearest(key.get_ref(), schema.keys.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if schema.path.is_empty() => {
                    format!("the sections are {}", schema.keys.join(", "))
                }
                None => format!("[{}] has {}", schema.path, schema.keys.join(", ")),
            };
            let line = reader.line_at(key.span().start);
            reader.fault(
                Some(line),
                &section.key(&shown_key(key.get_ref())),
                "is not a key of this section",
                Some(hint),
            );
        }
        section
    }

    /// The key with its sections, as it may be shown.
    pub fn key(&self, key: &str) -> String {
        let key = if looks_like_a_secret(key) {
            HIDDEN_KEY
        } else {
            key
        };
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn find(&self, key: &str) -> Option<(usize, &'a DeValue<'a>)> {
        let (key, value) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        Some((self.reader.line_at(key.span().start), value.get_ref()))
    }

    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The line of a key, or of the section when the key is not there.
    pub fn line_of(&self, key: &str) -> Option<usize> {
        self.find(key).map(|(line, _)| line).or(self.line)
    }

    pub fn fault(&self, key: &str, message: impl Into<String>) {
        self.reader
            .fault(self.line_of(key), &self.key(key), message, None);
    }

    pub fn fault_hint(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.reader.fault(
            self.line_of(key),
            &self.key(key),
            message,
            Some(hint.into()),
        );
    }

    /// A fault that costs only this table of several.
    pub fn put_off(&self, key: &str, message: impl Into<String>) -> Fault {
        let (line, key) = (self.line_of(key), self.key(key));
        let fault = self.reader.at(line, &key, message.into(), None);
        self.reader.put_off.borrow_mut().push(fault.clone());
        fault
    }

    /// Lets every fault and notice that `read` finds say in which table of several it is.
    pub fn telling<T>(&self, read: impl FnOnce() -> T) -> T {
        let reader = self.reader;
        let all = [&reader.faults, &reader.notices, &reader.put_off];
        let before = all.map(|faults| faults.borrow().len());
        let found = read();
        let Some(name) = self.peek("name").filter(|name| is_plain(name)) else {
            return found;
        };
        for (faults, before) in all.into_iter().zip(before) {
            for fault in faults.borrow_mut().iter_mut().skip(before) {
                let message = &fault.message;
                fault.message = format!("{message} (the {} {name})", self.path);
            }
        }
        found
    }

    /// Reports a file that is there and cannot be used. Like a secret, it may be another one on the
    /// machine of the service.
    pub fn unusable(&self, key: &str, message: impl Into<String>) {
        let (line, key) = (self.line_of(key), self.key(key));
        let fault = self.reader.at(line, &key, message.into(), None);
        self.reader.unusable.borrow_mut().push(fault);
    }

    /// Reports a key that must be there, unless it is there (and then wrong, and reported as such).
    pub fn must_have(&self, key: &str, hint: &str) {
        if !self.has(key) {
            self.reader.absent(
                self.line,
                &self.key(key),
                "is missing",
                Some(hint.to_owned()),
            );
        }
    }

    fn wrong(&self, key: &str, value: &DeValue<'_>, wanted: &str) {
        self.fault(
            key,
            format!("must be {wanted}, not {}", with_article(value)),
        );
    }

    /// A text as it is written; other values are left to the caller.
    pub fn peek(&self, key: &str) -> Option<&'a str> {
        match self.find(key)?.1 {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// A text that says something.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        match self.find(key)?.1 {
            DeValue::String(text) if text.trim().is_empty() => self.fault(key, "must not be empty"),
            DeValue::String(text) if text.chars().any(char::is_control) => {
                self.fault(key, "must not hold control characters");
            }
            DeValue::String(text) => return Some(text),
            other => self.wrong(key, other, "a string"),
        }
        None
    }

    pub fn flag(&self, key: &str, default: bool) -> bool {
        match self.find(key) {
            None => default,
            Some((_, DeValue::Boolean(value))) => *value,
            Some((_, other)) => {
                self.wrong(key, other, "true or false");
                default
            }
        }
    }

    pub fn whole(&self, key: &str, range: RangeInclusive<u32>, default: u32) -> u32 {
        let value = match self.find(key) {
            None => return default,
            Some((_, DeValue::Integer(number))) => {
                u32::from_str_radix(number.as_str(), number.radix()).ok()
            }
            Some(_) => None,
        };
        value
            .filter(|value| range.contains(value))
            .unwrap_or_else(|| {
                self.fault(
                    key,
                    format!(
                        "must be a whole number from {} to {}",
                        range.start(),
                        range.end()
                    ),
                );
                default
            })
    }

    pub fn duration(
        &self,
        key: &str,
        range: RangeInclusive<SignedDuration>,
        default: SignedDuration,
    ) -> SignedDuration {
        match self.find(key) {
            None => return default,
            Some((_, DeValue::String(text))) => match duration(text) {
                Ok(value) if range.contains(&value) => return value,
                Ok(_) => {
                    let (least, most) =
                        (show_duration(*range.start()), show_duration(*range.end()));
                    self.fault(key, format!("must be from {least} to {most}"));
                }
                Err(message) => self.fault(key, message),
            },
            Some((_, other)) => self.wrong(
                key,
                other,
                "a duration with its unit in quotes, such as \"30d\" or \"10m\"",
            ),
        }
        default
    }

    pub fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = choices
                .iter()
                .map(|(name, _)| format!("\"{name}\""))
                .collect();
            self.fault(key, format!("must be {}", names.join(" or ")));
        }
        found
    }

    /// The strings of a list, each with its line.
    pub fn texts(&self, key: &str) -> Vec<Text<'a>> {
        match self.find(key) {
            None => Vec::new(),
            Some((_, DeValue::Array(items))) => items
                .iter()
                .filter_map(|item| {
                    let line = self.reader.line_at(item.span().start);
                    if let DeValue::String(text) = item.get_ref() {
                        return Some(Text { text, line });
                    }
                    let message = format!(
                        "must be a list of strings; there is {}",
                        with_article(item.get_ref())
                    );
                    self.reader.fault(Some(line), &self.key(key), message, None);
                    None
                })
                .collect(),
            Some((_, other)) => {
                self.wrong(key, other, "a list of strings in [ ]");
                Vec::new()
            }
        }
    }

    /// Whether a list is there with nothing in it.
    pub fn is_empty_list(&self, key: &str) -> bool {
        matches!(self.find(key), Some((_, DeValue::Array(items))) if items.is_empty())
    }

    /// Keeps the line of a key whose file or secret is read later.
    fn keep_line(&self, key: &str) {
        let name = match self.find("name").map(|(_, value)| value) {
            Some(DeValue::String(name)) => format!(" of {name}"),
            _ => String::new(),
        };
        if let Some(line) = self.line_of(key) {
            let key = format!("{}{name}", self.key(key));
            self.reader.lines.borrow_mut().insert(key, line);
        }
    }

    pub fn secret(&self, key: &str) -> Option<SecretSource> {
        let (_, value) = self.find(key)?;
        self.keep_line(key);
        match SecretSource::read_json(&self.json("", value)?) {
            Ok(source) => Some(source),
            Err(message) => {
                self.fault(key, message);
                None
            }
        }
    }

    /// A path, from the file's folder when it is relative.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        let text = self.text(key)?;
        self.keep_line(key);
        if looks_like_a_secret(text) {
            self.fault(key, "must be the path of a file; the value may be a secret");
            return None;
        }
        Some(self.reader.folder.join(text))
    }

    /// The one sub-table of this name, with its unknown keys reported; an empty one when the file
    /// has none.
    pub fn table(&self, key: &str, schema: &Schema) -> Section<'a> {
        self.map(key).check(schema)
    }

    /// The one sub-table of this name, whose keys are the user's own.
    pub fn map(&self, key: &str) -> Section<'a> {
        let (line, table) = match self.find(key) {
            None => (self.line, None),
            Some((line, DeValue::Table(table))) => (Some(line), Some(table)),
            Some((line, other)) => {
                self.wrong(key, other, &format!("a section [{}]", self.key(key)));
                (Some(line), None)
            }
        };
        Section {
            reader: self.reader,
            table,
            path: self.key(key),
            line,
        }
    }

    /// The sub-tables `[key.NAME]` with their names, which are references elsewhere.
    pub fn named(&self, key: &str) -> Vec<(&'a str, Section<'a>)> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let mut found = self.sections(key);
        found.retain(|(name, section)| {
            let good = !name.is_empty() && name.chars().all(plain);
            if !good {
                let message = "a name is made of letters, digits, `.`, `_` and `-`";
                self.reader
                    .fault(section.line, &section.path, message, None);
            }
            good
        });
        found
    }

    /// The sub-tables `[key.NAME]` with their names, whatever these are.
    pub fn sections(&self, key: &str) -> Vec<(&'a str, Section<'a>)> {
        let table = match self.find(key) {
            None => return Vec::new(),
            Some((_, DeValue::Table(table))) => table,
            Some((_, other)) => {
                self.wrong(key, other, &format!("sections [{}.NAME]", self.key(key)));
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for (name, value) in table {
            let line = Some(self.reader.line_at(name.span().start));
            let path = format!("{}.{}", self.key(key), shown_key(name.get_ref()));
            match value.get_ref() {
                DeValue::Table(table) => {
                    found.push((
                        name.get_ref().as_ref(),
                        Section {
                            reader: self.reader,
                            table: Some(table),
                            path,
                            line,
                        },
                    ));
                }
                other => {
                    let message = format!(
                        "must be a section [{}.NAME], not {}",
                        self.key(key),
                        with_article(other)
                    );
                    self.reader.fault(line, &path, message, None);
                }
            }
        }
        found.sort_by_key(|(_, section)| section.line);
        found
    }

    /// The sub-tables `[[key]]` in their order.
    pub fn tables(&self, key: &str, schema: &Schema) -> Vec<Section<'a>> {
        match self.find(key) {
            None => Vec::new(),
            Some((_, DeValue::Array(items))) => items
                .iter()
                .filter_map(|item| match item.get_ref() {
                    DeValue::Table(table) => Some(Section::open(
                        self.reader,
                        table,
                        self.key(key),
                        Some(self.reader.line_at(item.span().start)),
                        schema,
                    )),
                    other => {
                        self.wrong(key, other, &format!("sections [[{}]]", self.key(key)));
                        None
                    }
                })
                .collect(),
            Some((_, other)) => {
                self.wrong(
                    key,
                    other,
                    &format!("sections [[{}]] with double brackets", self.key(key)),
                );
                Vec::new()
            }
        }
    }

    /// Reports the unknown keys.
    pub fn check(self, schema: &Schema) -> Self {
        match self.table {
            Some(table) => Section::open(self.reader, table, self.path, self.line, schema),
            None => self,
        }
    }

    /// All keys with their lines.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, usize, &'a Spanned<DeValue<'a>>)> {
        let reader = self.reader;
        self.table.into_iter().flatten().map(|(key, value)| {
            (
                key.get_ref().as_ref(),
                reader.line_at(key.span().start),
                value,
            )
        })
    }

    /// The value in JSON, with the paths of `*_file` and `{ file = … }` made absolute.
    pub fn json(&self, key: &str, value: &DeValue<'_>) -> Option<Value> {
        Some(match value {
            DeValue::String(text)
                if (key == "file" || key.ends_with("_file")) && !looks_like_a_secret(text) =>
            {
                Value::from(self.reader.folder.join(text.as_ref()).to_string_lossy())
            }
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(value) => Value::from(*value),
            DeValue::Datetime(value) => Value::from(value.to_string()),
            DeValue::Integer(number) => {
                Value::from(i64::from_str_radix(number.as_str(), number.radix()).ok()?)
            }
            DeValue::Float(number) => {
                Value::from(number.as_str().replace('_', "").parse::<f64>().ok()?)
            }
            DeValue::Array(items) => Value::from(
                items
                    .iter()
                    .map(|item| self.json("", item.get_ref()))
                    .collect::<Option<Vec<_>>>()?,
            ),
            DeValue::Table(table) => Value::Object(
                table
                    .iter()
                    .map(|(key, value)| {
                        Some((
                            key.get_ref().clone().into_owned(),
                            self.json(key.get_ref(), value.get_ref())?,
                        ))
                    })
                    .collect::<Option<_>>()?,
            ),
        })
    }
}

const HIDDEN_KEY: &str = "(a key that is not shown)";

/// A key as it may be shown: one that may be a secret in the wrong place is not.
pub(super) fn shown_key(key: &str) -> String {
    if key.len() > 32 || looks_like_a_secret(key) {
        HIDDEN_KEY.to_owned()
    } else {
        key.chars().flat_map(char::escape_debug).collect()
    }
}

fn with_article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
