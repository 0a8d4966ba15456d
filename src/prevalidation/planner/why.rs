//! Why a step is the next one: a value, which is put into words here and nowhere else.

use std::fmt;

use serde::{Serialize, Serializer};

/// The reason of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    cause: Cause,
    /// The step is an effect, and its time has come; the budget of CA calls is used up until later.
    over_budget: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    /// The CA has not seen the record yet, and is asked again.
    AskedAgain(Again),
    /// What is waited for.
    WaitsFor(String),
    /// Anything else, in words. No decision depends on it.
    Words(String),
}

/// The moment at which the CA is asked again. The first three count from the first submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Again {
    In5Minutes,
    In15Minutes,
    InAnHour,
    /// When no cache remembers the time before the record.
    AtHorizon,
    Every6Hours,
    /// When a resolver that remembers the time before has forgotten it.
    WhenForgotten,
}

impl Again {
    fn words(self) -> &'static str {
        match self {
            Self::In5Minutes => "5 minutes after the first time",
            Self::In15Minutes => "15 minutes after the first time",
            Self::InAnHour => "an hour after the first time",
            Self::AtHorizon => "when no cache remembers the time before",
            Self::Every6Hours => "every 6 hours",
            Self::WhenForgotten => "when a resolver has forgotten the time before",
        }
    }
}

impl Why {
    /// The name servers, or the CA, that it waits for.
    pub(super) fn waits_for(subject: &str) -> Self {
        Cause::WaitsFor(subject.to_owned()).into()
    }

    /// The same, and the budget of CA calls is used up.
    pub(super) fn over_budget(self) -> Self {
        Self {
            over_budget: true,
            ..self
        }
    }

    /// At which moment the CA is asked again, where that is why, in words.
    pub fn asked_again(&self) -> Option<String> {
        match &self.cause {
            Cause::AskedAgain(again) => Some(format!("{}{}", again.words(), self.budget())),
            _ => None,
        }
    }

    /// Whether it says no more than what is waited for.
    pub fn is_wait(&self) -> bool {
        matches!(self.cause, Cause::WaitsFor(_))
    }

    fn budget(&self) -> &'static str {
        match self.over_budget {
            true => " (waits for its budget of CA calls)",
            false => "",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::AskedAgain(again) => {
                let again = again.words();
                write!(f, "the CA has not seen it yet; asked again {again}")
            }
            Cause::WaitsFor(subject) => write!(f, "waits for {subject}"),
            Cause::Words(words) => f.write_str(words),
        }?;
        f.write_str(self.budget())
    }
}

impl From<Cause> for Why {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            over_budget: false,
        }
    }
}

impl From<Again> for Why {
    fn from(again: Again) -> Self {
        Cause::AskedAgain(again).into()
    }
}

impl From<String> for Why {
    fn from(words: String) -> Self {
        Cause::Words(words).into()
    }
}

impl From<&str> for Why {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

/// Programs read the words.
impl Serialize for Why {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_words_and_the_budget_comes_last() {
        let again = Why::from(Again::AtHorizon).over_budget();
        let budget = "(waits for its budget of CA calls)";
        let when = format!("when no cache remembers the time before {budget}");
        assert_eq!(
            again.to_string(),
            format!("the CA has not seen it yet; asked again {when}")
        );
        assert_eq!(again.asked_again(), Some(when));
        let wait = Why::waits_for("the CA");
        assert_eq!(wait.to_string(), "waits for the CA");
        assert!(wait.is_wait() && wait.asked_again().is_none());
        // Words are never read, whatever they are.
        let alike = Why::from(again.to_string());
        assert!(!alike.is_wait() && alike.asked_again().is_none());
    }
}
