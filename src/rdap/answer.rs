//! The end of a registration in an answer (RFC 9083, section 5.3 and 4.5). Pure.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

/// When the registration of `name` ends by the answer; `None`: the registry does not say.
///
/// # Errors
/// Why it is not an answer about this domain.
pub(super) fn end(name: &str, answer: &Value) -> Result<Option<Timestamp>, String> {
    let text = |key: &str| answer.get(key).and_then(Value::as_str);
    if text("objectClassName") != Some("domain") {
        return Err("the answer is no RDAP object of a domain".to_owned());
    }
    if let Some(other) = text("ldhName")
        && !other.trim_end_matches('.').eq_ignore_ascii_case(name)
    {
        let other: String = other
            .chars()
            .filter(|c| c.is_ascii_graphic())
            .take(80)
            .collect();
        return Err(format!("the answer is about {other}"));
    }
    let events = answer.get("events").and_then(Value::as_array);
    let of = |action: &str| {
        let events = events.into_iter().flatten();
        events
            .filter(|event| event.get("eventAction").and_then(Value::as_str) == Some(action))
            .filter_map(|event| moment(event.get("eventDate")?.as_str()?))
            .min()
    };
    // Registries that renew by themselves say the registrar's own date beside theirs.
    Ok(of("expiration").or_else(|| of("registrar expiration")))
}

/// RFC 3339 (RFC 9083, section 3); some registries send the day alone.
fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let day: Date = text.parse().ok()?;
        Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn with(events: Value) -> Value {
        json!({"objectClassName": "domain", "ldhName": "EXAMPLE.ch.", "events": events})
    }

    #[test]
    fn the_end_is_the_registrys_expiration() {
        let end_of = |events| {
            end("example.ch", &with(events))
                .unwrap()
                .map(|at| at.to_string())
        };
        let event = |action, date| json!({"eventAction": action, "eventDate": date});
        for (events, expected) in [
            (json!([]), None),
            (json!("none"), None),
            (json!([{"eventAction": "expiration"}, 7, null]), None),
            (json!([event("expiration", "soon")]), None),
            (json!([event("registration", "2001-01-01T00:00:00Z")]), None),
            (
                json!([event("expiration", "2027-01-02T03:04:05Z")]),
                Some("2027-01-02T03:04:05Z"),
            ),
            (
                json!([event("expiration", "2027-01-02T03:04:05+02:00")]),
                Some("2027-01-02T01:04:05Z"),
            ),
            (
                json!([event("expiration", "2027-01-02")]),
                Some("2027-01-02T00:00:00Z"),
            ),
            (
                json!([event("registrar expiration", "2027-01-02")]),
                Some("2027-01-02T00:00:00Z"),
            ),
            (
                json!([
                    event("registrar expiration", "2026-12-01"),
                    event("expiration", "2027-12-01")
                ]),
                Some("2027-12-01T00:00:00Z"),
            ),
            (
                json!([
                    event("expiration", "2028-12-01"),
                    event("expiration", "2027-12-01")
                ]),
                Some("2027-12-01T00:00:00Z"),
            ),
        ] {
            assert_eq!(end_of(events.clone()).as_deref(), expected, "{events}");
        }
    }

    #[test]
    fn an_answer_about_something_else_says_nothing() {
        for answer in [
            json!({}),
            json!([]),
            json!({"objectClassName": "nameserver", "ldhName": "example.ch"}),
            json!({"errorCode": 404, "title": "not found"}),
            json!({"objectClassName": "domain", "ldhName": "example.com"}),
        ] {
            assert!(end("example.ch", &answer).is_err(), "{answer}");
        }
        let unnamed = json!({"objectClassName": "domain"});
        assert_eq!(end("example.ch", &unnamed), Ok(None));
    }
}
