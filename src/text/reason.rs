//! Why something is as it is: the words, and the hint that says what a person can do. Stores,
//! programs and the history keep both as one text, and only this file knows its form.

use std::fmt;

/// What is between the words and the hint. The hint is the end of the text.
const BETWEEN: &str = " (hint: ";

/// A reason in its two parts.
///
/// ```
/// # use prevalidate::text::Reason;
/// let reason = Reason::new("no connection", Some("check the firewall"));
/// assert_eq!(Reason::read(&reason.to_string()), reason);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason<'a> {
    /// What is the case.
    pub words: &'a str,
    /// What to do about it.
    pub hint: Option<&'a str>,
}

impl<'a> Reason<'a> {
    /// Of its parts.
    pub fn new(words: &'a str, hint: Option<&'a str>) -> Self {
        Self { words, hint }
    }

    /// Of the text that is shown and stored.
    pub fn read(text: &'a str) -> Self {
        match text.split_once(BETWEEN) {
            Some((words, rest)) => Self::new(words, Some(rest.strip_suffix(')').unwrap_or(rest))),
            None => Self::new(text, None),
        }
    }
}

/// The text that is shown and stored.
impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words)?;
        match self.hint {
            Some(hint) => write!(f, "{BETWEEN}{hint})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_in_the_form_that_stores_have() {
        for (words, hint, text) in [
            ("refused", None, "refused"),
            ("refused", Some("ask"), "refused (hint: ask)"),
            ("a (b)", Some("c (d)"), "a (b) (hint: c (d))"),
            ("", Some(""), " (hint: )"),
        ] {
            let reason = Reason::new(words, hint);
            assert_eq!(reason.to_string(), text);
            assert_eq!(Reason::read(text), reason);
        }
        // A text that was cut.
        assert_eq!(Reason::read("a (hint: b"), Reason::new("a", Some("b")));
    }
}
