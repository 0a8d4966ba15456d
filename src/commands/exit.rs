//! How a command ends: its exit status, and what is said when it could not do its work.

use std::process::ExitCode;

use crate::ca::CaError;
use crate::output::Output;
use crate::store::StoreError;

/// How a command ended, in terms that scripts act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Every domain asked for is valid with margin.
    Done = 0,
    /// Some are not.
    Incomplete = 1,
    /// The command line or the configuration.
    Usage = 2,
    /// The CA, or the credentials for it.
    Ca = 3,
    /// DNS: a provider or name servers.
    Dns = 4,
    /// The guard refused.
    Guard = 5,
    /// Something passing: try again.
    Temporary = 75,
}

impl Exit {
    /// The more severe of two: what a person must repair counts before what passes by itself.
    pub(super) fn graver(self, other: Self) -> Self {
        let rank = |exit: Self| match exit {
            Self::Done => 0,
            Self::Incomplete => 1,
            Self::Temporary => 2,
            Self::Dns => 3,
            Self::Ca | Self::Guard => 4,
            Self::Usage => 5,
        };
        match rank(other) > rank(self) {
            true => other,
            false => self,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that could not do its work: what to say, and how to end.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) exit: Exit,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Failed {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    /// The JSON in the place of a result.
    pub(super) fn document(&self) -> serde_json::Value {
        let lines: Vec<&str> = self.message.lines().map(str::trim).collect();
        serde_json::json!({ "error": {
            "exit": self.exit as u8,
            "message": self.message,
            "lines": lines,
            "hint": self.hint,
        }})
    }

    /// Reports a part that failed although other parts succeeded: its key and name, and the exit
    /// status that it alone would have. Programs get a line of JSON of the same form on standard
    /// error, since standard output has one document, which is about the others.
    pub(super) fn tell_of(&self, (key, name): (&str, &str), output: &Output) -> Exit {
        if output.is_json() {
            let mut document = self.document();
            document["error"][key] = name.into();
            output.json_aside(&document);
        } else {
            let message = format!("{name}: {}", self.message);
            output.error(&message, self.hint.as_deref());
        }
        self.exit
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unfit { message, hint } => Self::new(Exit::Usage, message).with_hint(hint),
            // The same again ends the same: a person must repair it.
            StoreError::Corrupt(_) => Self::new(Exit::Usage, error.to_string()),
            other => Self::new(Exit::Temporary, other.to_string()),
        }
    }
}

impl From<CaError> for Failed {
    fn from(error: CaError) -> Self {
        let exit = if error.is_retryable() {
            Exit::Temporary
        } else {
            Exit::Ca
        };
        Self {
            exit,
            message: error.to_string(),
            hint: error.hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn what_a_person_must_mend_counts_before_what_passes() {
        for (one, other, both) in [
            (Exit::Done, Exit::Done, Exit::Done),
            (Exit::Done, Exit::Temporary, Exit::Temporary),
            (Exit::Temporary, Exit::Ca, Exit::Ca),
            (Exit::Temporary, Exit::Usage, Exit::Usage),
            (Exit::Usage, Exit::Ca, Exit::Usage),
        ] {
            assert_eq!(one.graver(other), both, "{one:?}, {other:?}");
            assert_eq!(other.graver(one), both, "{other:?}, {one:?}");
        }
    }
}
