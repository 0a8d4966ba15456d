//! What went wrong with a record. Stores keep it as its words: older versions wrote those, and
//! must be able to read them. So only this file knows their form.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the words about a removal begin.
const REMOVAL: &str = "cannot remove ";

/// What the last check or the last try came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Trouble {
    /// A record could not be removed: which one, and why.
    Removal(String),
    /// A record could not be written, or name servers lack it: why.
    Other(String),
}

impl Trouble {
    /// This value at this name could not be removed.
    pub fn removal(value: &str, owner: &str, why: impl fmt::Display) -> Self {
        Self::Removal(format!("{value} at {owner}: {why}"))
    }

    /// Whether it is about a removal.
    pub fn is_removal(&self) -> bool {
        matches!(self, Self::Removal(_))
    }
}

/// As the store has it.
impl From<String> for Trouble {
    fn from(text: String) -> Self {
        match text.strip_prefix(REMOVAL) {
            Some(what) => Self::Removal(what.to_owned()),
            None => Self::Other(text),
        }
    }
}

impl From<Trouble> for String {
    fn from(trouble: Trouble) -> Self {
        trouble.to_string()
    }
}

/// As people read it, and as the store has it.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removal(what) => write!(f, "{REMOVAL}{what}"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_store_has_the_words_and_gives_the_same_trouble_back() {
        for (trouble, text) in [
            (
                Trouble::removal("v", "o.example", "REFUSED (hint: ask)"),
                "cannot remove v at o.example: REFUSED (hint: ask)",
            ),
            (Trouble::Other("SERVFAIL".to_owned()), "SERVFAIL"),
        ] {
            let stored = serde_json::to_string(&trouble).unwrap();
            assert_eq!(stored, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Trouble>(&stored).unwrap(), trouble);
        }
    }
}
