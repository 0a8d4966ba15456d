//! Reading a table of the configuration key by key, with everything wrong collected; [`secrets`] reads
//! the secrets that it names.

pub mod secrets;

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::nearest;
use crate::secret::SecretSource;

/// TTL of a TXT RRset that does not exist yet, seconds.
pub const DEFAULT_TTL: u32 = 300;
/// What a person may choose for it, seconds.
pub const TTL_RANGE: std::ops::RangeInclusive<u32> = 60..=86_400;
/// For one exchange with a name server or an API, of which a connection may take half.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a person may choose for it, seconds.
pub const TIMEOUT_SECONDS_RANGE: std::ops::RangeInclusive<u64> = 1..=120;

/// A number of calls in a time.
pub type Rate = (NonZeroU32, Duration);

/// One thing that is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingFault {
    /// The key in the table; for a missing key the key that is missing.
    pub key: String,
    /// What is wrong and what is expected, never a secret.
    pub message: String,
}

/// A whole number, or a text like `10s` or `2m`.
fn read_seconds(value: &Value) -> Option<u64> {
    let Some(text) = value.as_str() else {
        return value.as_u64();
    };
    let (digits, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A table that is read key by key, with everything wrong collected.
pub struct Reader<'a> {
    /// The table as it is in the configuration.
    pub table: &'a Map<String, Value>,
    faults: Vec<SettingFault>,
}

impl<'a> Reader<'a> {
    /// A table of which nothing was read yet.
    pub fn new(table: &'a Map<String, Value>) -> Self {
        Self {
            table,
            faults: Vec::new(),
        }
    }

    /// The faults that were found.
    pub fn faults(self) -> Vec<SettingFault> {
        self.faults
    }

    /// Notes what is wrong with a key.
    pub fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.faults.push(SettingFault {
            key: key.into(),
            message: message.into(),
        });
    }

    /// The value, or its fault noted.
    pub fn good<T>(&mut self, key: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.fault(key, message)).ok()
    }

    /// Every key but these and `kind` is a fault: a setting with a typing error must not be a
    /// setting that does nothing.
    pub fn only(&mut self, known: &[&str]) {
        for key in self
            .table
            .keys()
            .filter(|key| *key != "kind" && !known.contains(&key.as_str()))
        {
            let hint = nearest(key, known.iter().copied())
                .map(|known| format!("; did you mean {known:?}?"))
                .unwrap_or_default();
            self.fault(key, format!("no such setting{hint}"));
        }
    }

    fn read<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.table.get(key)?;
        let found = read(value);
        if found.is_none() {
            self.fault(key, format!("expected {expected}"));
        }
        found
    }

    /// A text that is not empty.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.read(key, "a text", |value| {
            value
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        })
    }

    /// Where a secret is.
    pub fn secret(&mut self, key: &str) -> Option<SecretSource> {
        let source = self.table.get(key).map(SecretSource::read_json)?;
        self.good(key, source)
    }

    /// The TTL of an RRset that does not exist yet.
    pub fn ttl(&mut self) -> Option<u32> {
        if self.table.get("ttl").is_some_and(|ttl| !ttl.is_number()) {
            let range = format!("from {} to {}", TTL_RANGE.start(), TTL_RANGE.end());
            self.fault(
                "ttl",
                format!("expected a number of seconds, without a unit and quotes, {range}"),
            );
            return None;
        }
        let ttl = self.number("ttl").unwrap_or(DEFAULT_TTL.into());
        let ttl = u32::try_from(ttl)
            .ok()
            .filter(|ttl| TTL_RANGE.contains(ttl));
        if ttl.is_none() {
            self.fault(
                "ttl",
                format!("seconds from {} to {}", TTL_RANGE.start(), TTL_RANGE.end()),
            );
        }
        ttl
    }

    /// How long one exchange may take.
    pub fn timeout(&mut self, default: Duration) -> Option<Duration> {
        let Some(value) = self.table.get("timeout") else {
            return Some(default);
        };
        let seconds = read_seconds(value).filter(|seconds| TIMEOUT_SECONDS_RANGE.contains(seconds));
        if seconds.is_none() {
            let (from, to) = (TIMEOUT_SECONDS_RANGE.start(), TIMEOUT_SECONDS_RANGE.end());
            self.fault(
                "timeout",
                format!("seconds from {from} to {to}, as a number or like \"10s\""),
            );
        }
        seconds.map(Duration::from_secs)
    }

    /// How often the server may be called: `5/s`, `60/m`, `500/h`.
    pub fn rate(&mut self, default_per_second: u32, most_per_second: u32) -> Option<Rate> {
        match self.text("rate") {
            Some(text) => self.good("rate", read_rate(&text, most_per_second)),
            None if self.table.contains_key("rate") => None,
            None => Some((NonZeroU32::new(default_per_second)?, Duration::from_secs(1))),
        }
    }

    /// A text of a certain form.
    pub fn like(
        &mut self,
        key: &str,
        expected: &str,
        is_so: impl Fn(&str) -> bool,
    ) -> Option<String> {
        self.read(key, expected, |value| {
            value.as_str().filter(|text| is_so(text)).map(str::to_owned)
        })
    }

    /// A number.
    pub fn number(&mut self, key: &str) -> Option<u64> {
        // A number outside the range is the caller's to refuse, a negative one too.
        self.table
            .get(key)
            .map(|value| value.as_u64().unwrap_or(u64::MAX))
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, "true or false", Value::as_bool)
    }

    /// Zones.
    pub fn names(&mut self, key: &str) -> Vec<String> {
        let expected =
            "a list of zones in A-labels, like [\"example.ch\", \"xn--bcher-kva.example\"]";
        self.read(key, expected, |value| {
            value
                .as_array()?
                .iter()
                .map(read_name)
                .collect::<Option<Vec<_>>>()
        })
        .unwrap_or_default()
    }

    /// A zone.
    pub fn name(&mut self, key: &str) -> Option<String> {
        self.read(key, "a zone in A-labels, like \"example.ch\"", read_name)
    }

    /// What a provider calls something of its own: it becomes part of a path.
    pub fn id(&mut self, key: &str) -> Option<String> {
        self.like(key, "letters and digits, as the provider shows it", |id| {
            (1..=64).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric())
        })
    }
}

/// A name in lower-case A-labels without a trailing dot.
fn read_name(value: &Value) -> Option<String> {
    let name = value.as_str()?.trim_end_matches('.').to_ascii_lowercase();
    let letters = |label: &str| {
        let good = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(good)
    };
    (name.len() <= 253 && name.split('.').all(letters)).then_some(name)
}

/// Reads `2/s`, `60/m` or `500/h`.
///
/// # Errors
/// The form that a rate must have.
pub fn read_rate(text: &str, most_per_second: u32) -> Result<Rate, String> {
    let read = || {
        let (count, unit) = text.split_once('/')?;
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        let count = count.trim().parse::<NonZeroU32>().ok()?;
        (u64::from(count.get()) <= u64::from(most_per_second) * seconds)
            .then_some((count, Duration::from_secs(seconds)))
    };
    read().ok_or_else(|| {
        format!("expected a rate like \"2/s\", \"60/m\" or \"500/h\", at most {most_per_second}/s")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_rate_is_a_number_of_calls_in_a_time() {
        assert_eq!(
            read_rate("60/m", 1000).unwrap(),
            (NonZeroU32::new(60).unwrap(), Duration::from_secs(60))
        );
        for bad in ["0/s", "1001/s", "2", "2/d", "-1/s", "2.5/s"] {
            assert!(
                read_rate(bad, 1000).unwrap_err().contains("\"2/s\""),
                "{bad}"
            );
        }
    }
}
