//! Values that are made of a text or a duration of the file.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::SignedDuration;

use super::quantity::Rate;
use super::tree::{Section, Text};

impl Section<'_> {
    /// A word that must be there. Without it there is a fault, and `instead` is never used.
    pub fn needed_choice<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
        hint: &str,
        instead: T,
    ) -> T {
        self.must_have(key, hint);
        self.choice(key, choices).unwrap_or(instead)
    }

    /// A duration for the clock of the process; durations of the file are never negative.
    pub fn std_duration(
        &self,
        key: &str,
        range: RangeInclusive<SignedDuration>,
        default: SignedDuration,
    ) -> Duration {
        self.duration(key, range, default).unsigned_abs()
    }

    /// A rate of at least so many calls in a second.
    pub fn rate(&self, key: &str, least: u32, default: Rate) -> Rate {
        let Some(text) = self.text(key) else {
            return default;
        };
        match Rate::read(text) {
            Ok(rate) if rate.per_second() >= f64::from(least) => return rate,
            Ok(_) => self.fault(key, format!("must be at least \"{least}/s\"")),
            Err(message) => self.fault(key, message),
        }
        default
    }

    /// The texts of a list, each read by `read`; each wrong one is a fault of its own line.
    pub fn each<T, E: Into<String>>(
        &self,
        key: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let fault = |line, why: E| self.reader.fault(Some(line), &self.key(key), why, None);
        let one = |item: Text<'_>| read(item.text).map_err(|why| fault(item.line, why)).ok();
        self.texts(key).into_iter().filter_map(one).collect()
    }
}
