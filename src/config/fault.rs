//! What is wrong with a configuration: every fault with its place, none with a value that may be a
//! secret.

pub use prevalidate_kit::nearest;

use std::fmt;
use std::path::PathBuf;

/// One fault, or one thing worth saying: where it is, what it is, what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file; empty when no file was found.
    pub file: PathBuf,
    /// The line, from 1; `None` when it concerns the file as a whole.
    pub line: Option<usize>,
    /// The key with its sections, `ca.swisssign.url`; empty for a line of a list.
    pub key: String,
    /// What is wrong. Never a value that may be a secret (faults L9).
    pub message: String,
    /// The hint.
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    /// `prevalidate.toml:12: ca.swisssign.url: must begin with https://`, without the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.as_os_str().is_empty() {
            write!(f, "{}:", self.file.display())?;
            match self.line {
                Some(line) => write!(f, "{line}: ")?,
                None => write!(f, " ")?,
            }
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// All that is wrong with a configuration, in the order of its lines. Nothing was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub faults: Vec<Fault>,
}

/// In the place of the faults of a file that was read no further.
pub(super) const UNREAD: &str = "and more faults; the rest was not read";

/// More faults than this do not help.
const MOST_FAULTS: usize = 100;

impl ConfigError {
    /// The first faults, and how many more there are.
    pub(super) fn all(mut faults: Vec<Fault>) -> Self {
        let more = faults.len().saturating_sub(MOST_FAULTS);
        let are_counted = faults.iter().all(|fault| fault.message != UNREAD);
        faults.truncate(MOST_FAULTS);
        if more > 0 {
            faults.push(Fault {
                file: PathBuf::new(),
                line: None,
                key: String::new(),
                message: match more {
                    _ if !are_counted => "and more faults".to_owned(),
                    1 => "and 1 more fault".to_owned(),
                    _ => format!("and {more} more faults"),
                },
                hint: None,
            });
        }
        Self { faults }
    }

    pub(super) fn one(
        file: impl Into<PathBuf>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let fault = Fault {
            file: file.into(),
            line: None,
            key: String::new(),
            message: message.into(),
            hint: Some(hint.into()),
        };
        Self {
            faults: vec![fault],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if index > 0 { "\n" } else { "" })?;
            if let Some(hint) = &fault.hint {
                write!(f, "\n  hint: {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_key_and_a_stranger_finds_none() {
        let keys = ["mode", "renew_before", "max_at_risk", "cover"];
        for (written, meant) in [
            ("mdoe", Some("mode")),
            ("renew-before", Some("renew_before")),
            ("renewbefore", Some("renew_before")),
            ("Max_at_risk", Some("max_at_risk")),
            ("zone", None),
            ("interval", None),
        ] {
            assert_eq!(nearest(written, keys), meant, "{written}");
        }
    }
}
