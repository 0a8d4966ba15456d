//! The settings of `[ca.NAME]`, declared by each kind of CA as a table: the configuration is read,
//! checked and shown from the same row.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prevalidate_kit::secret::{SecretError, SecretSource};
use secrecy::SecretString;

use super::http::{Reach, SecretReader};
use super::validation::ClientSelector;

/// One setting of a kind.
#[derive(Debug)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// What may be there.
    pub form: Form,
    /// What to write, where the setting must be there.
    pub required: Option<&'static str>,
}

/// The forms of a setting's value.
#[derive(Debug)]
pub enum Form {
    /// A setting that every kind may have: `kind`, `url`, `rate`, `follow_aliases`, `caa_names`,
    /// `ca_file`, `proxy`.
    Common,
    /// A text, with its default; none: it may be left out.
    Text(Option<&'static str>),
    /// A text with its default that a check must pass.
    Checked(&'static str, fn(&str) -> Result<(), &'static str>),
    /// One of these words; the first is the default.
    Choice(&'static [&'static str]),
    /// Where a secret is.
    Secret,
    /// The path of a file that is there.
    File,
    /// `true` or `false`, with its default.
    Flag(bool),
    /// A whole number, with its default.
    Whole(u32),
    /// A list of some of these words, with its default.
    Words {
        /// What may be in it.
        known: &'static [&'static str],
        /// What counts where it is not there.
        default: &'static [&'static str],
    },
}

impl Setting {
    /// A setting that every kind has.
    pub const fn common(key: &'static str) -> Self {
        Self {
            key,
            form: Form::Common,
            required: None,
        }
    }

    /// A setting that may be left out.
    pub const fn optional(key: &'static str, form: Form) -> Self {
        Self {
            key,
            form,
            required: None,
        }
    }

    /// A setting that must be there; `hint` says what to write.
    pub const fn required(key: &'static str, form: Form, hint: &'static str) -> Self {
        Self {
            key,
            form,
            required: Some(hint),
        }
    }
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of [`Form::Text`], [`Form::Checked`] and [`Form::Choice`].
    Text(String),
    /// Of [`Form::Secret`].
    Secret(SecretSource),
    /// Of [`Form::File`].
    File(PathBuf),
    /// Of [`Form::Flag`].
    Flag(bool),
    /// Of [`Form::Whole`].
    Whole(u32),
    /// Of [`Form::Words`].
    Words(Vec<String>),
}

/// The values of a kind's own settings, with the defaults in place.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Values(BTreeMap<&'static str, Value>);

impl Values {
    /// Takes a value in.
    pub fn set(&mut self, key: &'static str, value: Value) {
        self.0.insert(key, value);
    }

    /// The value of a setting.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// A text, or an empty one.
    pub fn text(&self, key: &str) -> &str {
        match self.get(key) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// Whether a flag is set.
    pub fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), Some(Value::Flag(true)))
    }

    /// A list of words, or an empty one.
    pub fn words(&self, key: &str) -> &[String] {
        match self.get(key) {
            Some(Value::Words(words)) => words,
            _ => &[],
        }
    }

    /// A whole number.
    pub fn whole(&self, key: &str) -> Option<u32> {
        match self.get(key) {
            Some(Value::Whole(number)) => Some(*number),
            _ => None,
        }
    }

    /// Where a secret is.
    pub fn secret(&self, key: &str) -> Option<&SecretSource> {
        match self.get(key) {
            Some(Value::Secret(source)) => Some(source),
            _ => None,
        }
    }

    /// The path of a file.
    pub fn file(&self, key: &str) -> Option<&Path> {
        match self.get(key) {
            Some(Value::File(path)) => Some(path),
            _ => None,
        }
    }

    /// Every value with its key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    /// Every secret with its key.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &SecretSource)> {
        self.0.iter().filter_map(|(key, value)| match value {
            Value::Secret(source) => Some((*key, source)),
            _ => None,
        })
    }

    /// Reads a secret where it lives, each time it is asked for.
    pub(super) fn reader(&self, key: &str) -> Option<SecretReader> {
        let (key, source) = (key.to_owned(), self.secret(key)?.clone());
        Some(Arc::new(move || {
            read_secret(&key, &source).map_err(|error| error.to_string())
        }))
    }
}

/// Reads the secret of a key. An API key has no blanks; a password may have some.
///
/// # Errors
/// The source and what is wrong, never the content.
pub fn read_secret(key: &str, source: &SecretSource) -> Result<SecretString, SecretError> {
    if key.ends_with("api_key") {
        source.read_token()
    } else {
        source.read()
    }
}

/// An account as it was configured, for [`Adapter::connect`](super::adapter::Adapter::connect).
pub struct Account<'a> {
    /// How the CA is reached; the base is the `url` as it was written.
    pub reach: Reach,
    /// The kind's own settings.
    pub values: &'a Values,
    /// The account's clients, each with the kind's own settings for it.
    pub clients: Vec<(&'a ClientSelector, &'a Values)>,
}

/// What the values of an account ask for beyond their rows.
#[derive(Debug, Default)]
pub struct Conditions {
    /// Keys that must be there beside these values, each with what to write.
    pub needed: Vec<(&'static str, &'static str)>,
    /// Keys that mean nothing beside these values, each with the reason.
    pub useless: Vec<(&'static str, &'static str)>,
}
