//! The shapes on the wire: dates and booleans in their forms, errors, what goes back.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::State;
use super::behaviour::{Behaviour, Dates};
use super::book::{Domain, TARGET};

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Option<Value>,
    /// A body that is not JSON.
    pub(super) text: Option<String>,
    pub(super) is_page: bool,
}

impl Reply {
    pub(super) fn json(body: Value) -> Self {
        Self {
            body: Some(body),
            ..Self::empty(200)
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            body: None,
            text: None,
            is_page: false,
        }
    }

    /// Certificates.
    pub(super) fn text(text: String) -> Self {
        Self {
            text: Some(text),
            ..Self::empty(200)
        }
    }

    /// A refusal with DigiCert's code.
    pub(super) fn refused(status: u16, code: &str, message: &str) -> Self {
        Self {
            status,
            ..Self::json(json!({"errors": [{"code": code, "message": message}]}))
        }
    }

    pub(super) fn unknown() -> Self {
        Self::refused(404, "not_found|domain", "The domain does not exist.")
    }

    /// The content delivery network's own words.
    pub(super) fn page(status: u16) -> Self {
        Self {
            is_page: true,
            ..Self::empty(status)
        }
    }

    /// The same with `errors` as an object.
    pub(super) fn with_error_object(mut self) -> Self {
        let error = self
            .body
            .as_ref()
            .and_then(|body| body.pointer("/errors/0"));
        if let Some(error) = error.cloned() {
            self.body = Some(json!({"errors": error}));
        }
        self
    }

    pub(super) fn into_response(self, now: Timestamp) -> Response {
        let (kind, body) = match self.body {
            _ if self.is_page => (
                Some("text/html; charset=utf-8"),
                "<html><body>Request unsuccessful. Incapsula incident ID: 7</body></html>"
                    .to_owned(),
            ),
            Some(body) => (Some("application/json"), body.to_string()),
            None if self.text.is_some() => (
                Some("application/x-pem-file"),
                self.text.unwrap_or_default(),
            ),
            None => (None, String::new()),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(now.into())) {
            headers.insert(header::DATE, date);
        }
        response
    }
}

/// An end in the form that is switched on.
fn end(at: Timestamp, behaviour: &Behaviour) -> String {
    let zoned = at.to_zoned(TimeZone::UTC);
    let form = match behaviour.dates {
        Dates::Days => "%Y-%m-%d",
        Dates::Civil => "%Y-%m-%d %H:%M:%S",
        Dates::Instants => "%Y-%m-%dT%H:%M:%S+00:00",
    };
    zoned.strftime(form).to_string()
}

pub(super) fn instant(at: Timestamp) -> String {
    let zoned = at.to_zoned(TimeZone::UTC);
    zoned.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

fn boolean(is: bool, behaviour: &Behaviour) -> Value {
    match (behaviour.odd_booleans, is) {
        (false, is) => json!(is),
        (true, true) => json!("1"),
        (true, false) => json!("0"),
    }
}

/// What a detail is asked to show besides a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) dcv: bool,
    pub(super) validation: bool,
    pub(super) reuse: bool,
}

/// A row of the list.
pub(super) fn row(domain: &Domain, state: &State, now: Timestamp) -> Value {
    let flags = Flags {
        validation: true,
        ..Flags::default()
    };
    let mut row = shown(domain, state, flags, now);
    if let Some(fields) = row.as_object_mut() {
        fields.remove("dcv_expiration_datetime");
    }
    row
}

/// One domain.
pub(super) fn shown(domain: &Domain, state: &State, flags: Flags, now: Timestamp) -> Value {
    let behaviour = &state.behaviour;
    let expires = domain.expires(behaviour.reuse_days);
    let is_valid = expires.is_some_and(|end| end > now);
    let word = match (domain.is_pending, expires.is_some(), is_valid) {
        (true, ..) => "pending",
        (false, true, false) => "expired",
        (false, ..) => "active",
    };
    let organisation = state.book.organisation(domain.organisation);
    let (title, division) = organisation
        .map(|(_, title, division)| (title.as_str(), division.as_str()))
        .unwrap_or_default();
    let mut shown = json!({
        "id": domain.id,
        "name": domain.name,
        "is_active": boolean(domain.is_active, behaviour),
        "status": behaviour.status_word.as_deref().unwrap_or(word),
        "date_created": "2026-01-05T09:00:00+00:00",
        "organization": {"id": domain.organisation, "name": title, "is_active": "1"},
        "container": {"id": 7, "name": division, "is_active": true},
        "dcv_method": domain.method,
    });
    if !behaviour.no_pending_flag {
        shown["is_pending_validation"] = boolean(domain.is_pending, behaviour);
    }
    if let Some(at) = domain.submitted_at {
        shown["last_submitted_datetime"] = json!(instant(at));
    }
    if let (Some(at), Some(until)) = (domain.approved_at, expires) {
        shown["dcv_approval_datetime"] = json!(instant(at));
        shown["dcv_expiration_datetime"] = json!(instant(until));
        let earlier = SignedDuration::from_hours(24 * behaviour.ev_ends_earlier);
        let ev = until.saturating_sub(earlier).unwrap_or(until);
        shown["dcv_expiration"] = json!({"ov": end(until, behaviour), "ev": end(ev, behaviour)});
        if flags.reuse {
            let valid = if is_valid { "valid" } else { "expired" };
            shown["dcv_expiration"]["ov_status"] = json!(valid);
            shown["dcv_expiration"]["ev_status"] = json!(valid);
            shown["dcv_expiration"]["dcv_approval_date"] = json!(end(at, behaviour));
        }
    }
    if flags.validation {
        let one = |kind: &String| validation(kind, domain, behaviour, now);
        shown["validations"] = domain.types.iter().map(one).collect();
    }
    if flags.dcv && domain.method != "email" {
        shown["dcv_token"] = token(domain).unwrap_or_default();
    }
    shown
}

fn validation(kind: &str, domain: &Domain, behaviour: &Behaviour, now: Timestamp) -> Value {
    let own = domain.expires(behaviour.reuse_days);
    let organisations = behaviour.organisation_days.and_then(|days| {
        let span = jiff::SignedDuration::from_hours(24 * days);
        now.saturating_add(span).ok()
    });
    let until = own.map(|own| organisations.map_or(own, |other| own.min(other)));
    let word = match domain.is_pending {
        true => "pending",
        false => "active",
    };
    let mut one = json!({"type": kind, "name": kind.to_uppercase(), "status": word});
    if let Some(until) = until {
        one["validated_until"] = json!(end(until, behaviour));
    }
    one
}

/// `dcv_token`
pub(super) fn token(domain: &Domain) -> Option<Value> {
    let value = domain.value()?;
    Some(json!({
        "token": value.text,
        "status": if value.is_used { "active" } else { "pending" },
        "expiration_date": instant(value.until),
        "verification_value": TARGET,
    }))
}
