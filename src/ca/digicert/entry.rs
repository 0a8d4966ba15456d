//! Reading one object of CertCentral's: a field of the wrong kind costs only itself, booleans are also
//! `"1"`, dates come in three precisions.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::ca::http::redact::clean;
use crate::prevalidation::DomainName;

/// Id and name of an organisation or a container.
pub(super) fn titled(value: Option<&Value>) -> Option<(String, String)> {
    let value = value?;
    let id = value.get("id").and_then(number)?;
    let name = value.get("name").and_then(Value::as_str);
    Some((id, name.map(clean).unwrap_or_default()))
}

/// A name in any case, as A-labels or U-labels, with or without the last full stop.
pub(super) fn name_of(text: &str) -> Option<DomainName> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_ascii() {
        return DomainName::from_a_labels(&text.to_ascii_lowercase()).ok();
    }
    DomainName::parse(text).ok().map(|parsed| parsed.name)
}

/// What may be in a path as the id of a domain or an organisation.
pub(super) fn is_id(text: &str) -> bool {
    (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// An id, which is a number and sometimes a text.
pub(super) fn number(value: &Value) -> Option<String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    is_id(&text).then_some(text)
}

/// An instant, a date with a time but no zone, or a date. Without a zone it is read as UTC, and a
/// date as its beginning: DigiCert's local time is behind UTC, so this is the earliest reading.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let civil = match text.parse::<Date>() {
        Ok(date) if text.len() == 10 => date.at(0, 0, 0, 0),
        _ => text.parse::<DateTime>().ok()?,
    };
    let zoned = civil.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp())
}

/// An object, and what is wrong with the fields that were read.
pub(super) struct Entry<'a> {
    pub(super) value: &'a Value,
    pub(super) doubts: Vec<String>,
}

impl<'a> Entry<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        Self {
            value,
            doubts: Vec::new(),
        }
    }

    pub(super) fn text(&mut self, key: &str) -> Option<&'a str> {
        match self.value.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
            Some(_) => {
                self.doubts.push(format!("`{key}` is not text"));
                None
            }
        }
    }

    /// `true`, `1`, `"1"`, `"true"`, and the same for no.
    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let read = match self.value.get(key)? {
            Value::Null => return None,
            Value::Bool(is) => Some(*is),
            Value::Number(number) => match number.as_i64() {
                Some(0) => Some(false),
                Some(1) => Some(true),
                _ => None,
            },
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" => Some(true),
                "0" | "false" | "no" | "" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if read.is_none() {
            self.doubts
                .push(format!("`{key}` is neither true nor false"));
        }
        read
    }

    pub(super) fn moment(&mut self, key: &str) -> Option<Timestamp> {
        let text = match self.value.get(key)? {
            Value::Null => return None,
            Value::String(text) if text.trim().is_empty() => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let read = moment(&text).filter(|_| self.value[key].is_string());
        if read.is_none() {
            self.doubts
                .push(format!("`{key}` is no date: {}", clean(&text)));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_date_has_three_precisions_and_is_read_as_its_earliest_instant() {
        for (text, instant) in [
            ("2026-12-09", "2026-12-09T00:00:00Z"),
            ("2026-12-09 10:00:00", "2026-12-09T10:00:00Z"),
            ("2026-12-09T10:00:00", "2026-12-09T10:00:00Z"),
            ("2026-12-09T10:00:00Z", "2026-12-09T10:00:00Z"),
            ("2026-12-09T03:00:00-07:00", "2026-12-09T10:00:00Z"),
            (" 2026-12-09T10:00:00+00:00 ", "2026-12-09T10:00:00Z"),
        ] {
            assert_eq!(moment(text), Some(instant.parse().unwrap()), "{text}");
        }
        for none in ["", "12/09/2026", "2026-13-01", "soon", "1796774400"] {
            assert_eq!(moment(none), None, "{none}");
        }
    }
}
