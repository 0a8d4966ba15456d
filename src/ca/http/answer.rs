//! A whole answer of the CA, and what its headers say: how long to wait, what the time is there,
//! where it points to.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::redact::clean;

/// A wait that was asked for in words that cannot be read.
const UNREADABLE_WAIT: Duration = Duration::from_secs(60);

/// A whole answer, its text free of our own secrets.
#[derive(Debug)]
pub(in crate::ca) struct Answer {
    pub(in crate::ca) status: StatusCode,
    pub(in crate::ca) body: String,
    pub(in crate::ca) media_type: Option<String>,
    pub(in crate::ca) retry_after: Option<Duration>,
    pub(in crate::ca) redirected_to: Option<String>,
    /// The rows of a list on all its pages, and where a thing that was made is.
    pub(in crate::ca) total: Option<u64>,
    pub(in crate::ca) location: Option<String>,
    /// Our clock minus the CA's.
    pub(in crate::ca) skew: Option<SignedDuration>,
    pub(in crate::ca) at: Timestamp,
}

impl Answer {
    pub(in crate::ca) fn new(
        status: StatusCode,
        headers: &HeaderMap,
        body: String,
        at: Timestamp,
    ) -> Self {
        let text = |name: HeaderName| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let date = text(header::DATE).and_then(http_date);
        let waits = matches!(status.as_u16(), 429 | 503);
        Self {
            status,
            body,
            media_type: text(header::CONTENT_TYPE).map(|value| {
                value
                    .split(';')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_ascii_lowercase()
            }),
            retry_after: headers
                .get(header::RETRY_AFTER)
                .filter(|_| waits)
                .map(|value| retry_after(value.to_str().unwrap_or_default(), date.unwrap_or(at))),
            redirected_to: text(header::LOCATION)
                .filter(|_| status.is_redirection())
                .map(redirect_host),
            total: text(HeaderName::from_static("x-total-count"))
                .and_then(|total| total.trim().parse().ok()),
            location: text(header::LOCATION).map(str::to_owned),
            skew: date.map(|date| at.duration_since(date)),
            at,
        }
    }

    /// Whether it is a page for people: it comes from a server that is not the API.
    pub(in crate::ca) fn is_page(&self) -> bool {
        self.media_type
            .as_deref()
            .is_some_and(|media| media.contains("html"))
    }

    /// Whether it may be JSON, by what it says of itself.
    pub(in crate::ca) fn is_json(&self) -> bool {
        self.media_type
            .as_deref()
            .is_none_or(|media| media.ends_with("json"))
    }

    pub(in crate::ca) fn described(&self) -> String {
        match (&self.media_type, self.body.trim()) {
            (_, "") => "an empty answer".to_owned(),
            (Some(media), _) if !media.ends_with("json") => {
                format!("`{}` instead of JSON", clean(media))
            }
            _ => "an answer that is not the JSON it should be".to_owned(),
        }
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), clamped to 1 s..6 h whatever
/// it says.
fn retry_after(text: &str, now: Timestamp) -> Duration {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let wait = if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        let seconds = if text.starts_with('-') {
            0
        } else {
            digits.parse().unwrap_or(u64::MAX)
        };
        Duration::from_secs(seconds)
    } else if let Some(date) = http_date(text) {
        date.duration_since(now).try_into().unwrap_or_default()
    } else {
        UNREADABLE_WAIT
    };
    wait.clamp(Duration::from_secs(1), Duration::from_secs(6 * 3600))
}

fn http_date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text)
        .ok()
        .and_then(|date| Timestamp::try_from(date).ok())
}

/// Only the host of a redirect's target is shown, because the rest may contain sent data.
fn redirect_host(location: &str) -> String {
    match url::Url::parse(location) {
        Ok(url) => clean(url.host_str().unwrap_or("another place")),
        Err(_) => "another path of the same host".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_retry_after_becomes_a_wait_between_a_second_and_six_hours() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("120", 120),
            (" 7 ", 7),
            ("+7", 7),
            ("0", 1),
            ("-5", 1),
            ("1000000000000", 21600),
            ("99999999999999999999999999", 21600),
            ("86400", 21600),
            ("Sat, 21 Nov 2026 12:02:00 GMT", 120),
            ("Sat, 21 Nov 2026 11:00:00 GMT", 1),
            ("Sun, 21 Nov 2032 12:00:00 GMT", 21600),
            ("soon", 60),
            ("", 60),
            ("1.5", 60),
        ] {
            assert_eq!(
                retry_after(text, now),
                Duration::from_secs(seconds),
                "{text:?}"
            );
        }
    }
}
