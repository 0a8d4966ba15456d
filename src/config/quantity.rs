//! Durations with their unit, rates, and addresses of name servers, as people write them.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::SignedDuration;
use prevalidate_kit::table::read_rate;
use serde::Serialize;

use crate::propagation::resolver::server_address;

pub(super) const SECOND: SignedDuration = SignedDuration::from_secs(1);
pub(super) const MINUTE: SignedDuration = SignedDuration::from_mins(1);
pub(super) const HOUR: SignedDuration = SignedDuration::from_hours(1);
pub(super) const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Units from large to small, with their milliseconds; a part of a duration may occur once and in
/// this order.
const UNITS: [(&str, i64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads `30d`, `12h`, `1h30m`, `250ms`. A day is 86,400 s. A number without a unit is refused
/// (faults G05).
///
/// ```
/// # use prevalidate::config::{duration, show_duration};
/// # use jiff::SignedDuration;
/// assert_eq!(duration("1h30m"), Ok(SignedDuration::from_mins(90)));
/// assert_eq!(show_duration(SignedDuration::from_mins(90)), "1h30m");
/// assert!(duration("5").is_err());
/// ```
pub fn duration(text: &str) -> Result<SignedDuration, &'static str> {
    const FORM: &str =
        "must be a duration with its unit, such as \"30d\", \"12h\", \"10m\", \"45s\" or \"1h30m\"";
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(FORM);
    }
    let mut total: i64 = 0;
    let mut last_unit = None;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(FORM)?;
        let count: i64 = rest[..digits].parse().map_err(|_| FORM)?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = UNITS
            .iter()
            .position(|(name, _)| *name == rest[..end].trim_end())
            .ok_or(FORM)?;
        if last_unit.is_some_and(|last| unit <= last) {
            return Err(FORM);
        }
        last_unit = Some(unit);
        total = count
            .checked_mul(UNITS[unit].1)
            .and_then(|part| total.checked_add(part))
            .ok_or("is far too long")?;
        rest = &rest[end..];
    }
    Ok(SignedDuration::from_millis(total))
}

/// Writes a duration the way [`duration`] reads it, in days at most.
pub fn show_duration(value: SignedDuration) -> String {
    let mut left = i64::try_from(value.as_millis()).unwrap_or(i64::MAX);
    let mut text = String::new();
    for (unit, size) in &UNITS[1..] {
        if left >= *size {
            text.push_str(&format!("{}{unit}", left / size));
            left %= size;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// A number of calls in a time: `2/s`, `60/m`, `100/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Calls; at most 1,000 in a second.
    pub count: u32,
    /// In this time.
    pub per: Duration,
}

impl Rate {
    /// So many calls in a second.
    pub(super) const fn a_second(count: u32) -> Self {
        let per = Duration::from_secs(1);
        Self { count, per }
    }

    /// Calls per second.
    pub fn per_second(self) -> f64 {
        f64::from(self.count) / self.per.as_secs_f64()
    }

    /// Reads `2/s`, `60/m` or `500/h`.
    ///
    /// # Errors
    /// The form that a rate must have.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        const FORM: &str =
            "must be a rate such as \"2/s\", \"60/m\" or \"500/h\", at most 1000 in a second";
        let (count, per) = read_rate(text, 1_000).map_err(|_| FORM)?;
        Ok(Self {
            count: count.get(),
            per,
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// Reads `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`; the port is 53 when
/// none is given.
pub(super) fn dns_address(text: &str) -> Result<SocketAddr, &'static str> {
    const FORM: &str = "must be an IP address, with a port if it is not 53: \"192.0.2.1\", \"[2001:db8::1]:5353\" (no host names)";
    server_address(text, 53).ok_or(FORM)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_needs_its_unit() {
        for (text, millis) in [
            ("30d", 2_592_000_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("2w", 1_209_600_000),
            ("250ms", 250),
            ("1m1ms", 60_001),
            ("0s", 0),
        ] {
            assert_eq!(duration(text).map(|d| d.as_millis()), Ok(millis), "{text}");
        }
        for text in [
            "",
            "5",
            "-5d",
            "1.5h",
            "5 days",
            "d",
            "30m1h",
            "1h1h",
            "1d5",
            "9999999999999999999d",
            "１d",
            "5M",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_and_an_address_are_read_in_their_forms_only() {
        assert_eq!(Rate::read("60/m").unwrap().per_second(), 1.0);
        assert_eq!(Rate::read("2/s").unwrap().to_string(), "2/s");
        for text in ["2", "0/s", "-1/s", "2/d", "10001/s", "/s", "2/s/s"] {
            assert!(Rate::read(text).is_err(), "{text}");
        }
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1:53"),
            ("192.0.2.1:5353", "192.0.2.1:5353"),
            ("2001:db8::1", "[2001:db8::1]:53"),
            ("[2001:db8::1]", "[2001:db8::1]:53"),
            ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
        ] {
            assert_eq!(dns_address(text).unwrap().to_string(), address);
        }
        for text in [
            "ns1.example.ch",
            "192.0.2.1:",
            "192.0.2.1:0",
            "0.0.0.0",
            "[192.0.2.1:53",
        ] {
            assert!(dns_address(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_duration_is_read_back_as_it_is_shown(millis in 0..10_000_000_000_i64) {
            let value = SignedDuration::from_millis(millis);
            prop_assert_eq!(duration(&show_duration(value)), Ok(value));
        }

        #[test]
        fn no_text_upsets_the_readers(text in "\\PC{0,20}") {
            let _ = (duration(&text).is_ok(), Rate::read(&text).is_ok(), dns_address(&text).is_ok());
        }
    }
}
