//! The shapes on the wire: days and words in their spellings, errors, what goes back.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::behaviour::{Behaviour, Dates, Spelling};
use super::book::{Domain, Stage};

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Option<Value>,
    pub(super) text: Option<&'static str>,
    pub(super) octets: Option<String>,
    pub(super) total: Option<usize>,
    pub(super) location: Option<String>,
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
            octets: None,
            total: None,
            location: None,
        }
    }

    /// A refusal with Sectigo's code.
    pub(super) fn refused(status: u16, code: i64, description: &str) -> Self {
        Self {
            status,
            ..Self::json(json!({"code": code, "description": description}))
        }
    }

    /// A file.
    pub(super) fn octets(octets: String) -> Self {
        Self {
            octets: Some(octets),
            ..Self::empty(200)
        }
    }

    /// A gateway's own words.
    pub(super) fn gateway(status: u16) -> Self {
        Self {
            text: Some("upstream connect error or disconnect/reset before headers"),
            ..Self::empty(status)
        }
    }

    pub(super) fn into_response(self, now: Timestamp) -> Response {
        let (kind, body) = match (self.text, self.body) {
            _ if self.octets.is_some() => (
                Some("application/octet-stream"),
                self.octets.unwrap_or_default(),
            ),
            (Some(text), _) => (Some("text/plain"), text.to_owned()),
            (None, Some(body)) => (Some("application/json"), body.to_string()),
            (None, None) => (None, String::new()),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Some(total) = self.total {
            headers.insert("x-total-count", HeaderValue::from(total));
        }
        if self.status == 405 {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
        }
        let location = self.location.map(HeaderValue::try_from);
        if let Some(Ok(location)) = location {
            headers.insert(header::LOCATION, location);
        }
        if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(now.into())) {
            headers.insert(header::DATE, date);
        }
        response
    }
}

/// A day in the form that is switched on.
pub(super) fn day(at: Timestamp, behaviour: &Behaviour) -> String {
    let zoned = at.to_zoned(TimeZone::UTC);
    match behaviour.dates {
        Dates::Days => zoned.strftime("%Y-%m-%d").to_string(),
        Dates::Us => zoned.strftime("%m/%d/%Y").to_string(),
        Dates::Instants => at.to_string(),
    }
}

/// A word of a status in the spelling that is switched on.
pub(super) fn word(wire: &str, behaviour: &Behaviour) -> String {
    if behaviour.spelling == Spelling::Wire {
        return wire.to_owned();
    }
    let words = wire.to_lowercase().replace('_', " ");
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// Whether the validation counts, as the CA calls it.
pub(super) fn status_of(domain: &Domain, now: Timestamp) -> &'static str {
    match domain.expires() {
        None => "NOT_VALIDATED",
        Some(end) if end <= now => "EXPIRED",
        Some(_) => "VALIDATED",
    }
}

/// The name of the order.
pub(super) fn order_of<'a>(domain: &Domain, behaviour: &'a Behaviour) -> &'a str {
    match domain.order.as_ref().map(|order| order.stage) {
        Some(Stage::Submitted) if behaviour.submitted_is_called.is_some() => {
            behaviour.submitted_is_called.as_deref().unwrap_or_default()
        }
        None => "NOT_INITIATED",
        Some(Stage::Begun) => "AWAITING_SUBMISSION",
        Some(Stage::Submitted | Stage::LeftOver) => "SUBMITTED",
        Some(Stage::Rejected) => "REJECTED",
    }
}

/// A row of the list.
pub(super) fn row(name: &str, domain: &Domain, behaviour: &Behaviour, now: Timestamp) -> Value {
    let mut row = json!({
        "domain": name,
        "dcvStatus": word(status_of(domain, now), behaviour),
        "dcvOrderStatus": word(order_of(domain, behaviour), behaviour),
    });
    if let Some(order) = &domain.order {
        row["dcvOrderMethod"] = json!(order.method);
    }
    if !behaviour.bare_rows {
        row["dcvMethod"] = json!(domain.method);
        row["expirationDate"] = json!(domain.expires().map(|end| day(end, behaviour)));
    }
    row
}

/// The answer to `status`: what comes after the order's state only where it applies.
pub(super) fn status(domain: &Domain, behaviour: &Behaviour, now: Timestamp) -> Value {
    let mut status = json!({
        "status": word(status_of(domain, now), behaviour),
        "orderStatus": word(order_of(domain, behaviour), behaviour),
    });
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            status[key] = value;
        }
    };
    let on = |at: Option<Timestamp>| at.map(|at| json!(day(at, behaviour)));
    set("validationDate", on(domain.validated_at));
    set("expirationDate", on(domain.expires()));
    if let Some(order) = &domain.order {
        let instant = |at: Option<Timestamp>| at.map(|at| json!(at.to_string()));
        set("orderMode", Some(json!(order.method)));
        set("orderBackendId", Some(json!(order.id)));
        set("submittedDate", on(order.submitted_at));
        set("lastCheck", instant(order.last_check));
        set("nextCheck", instant(order.next_check));
        if order.stage != Stage::LeftOver {
            set("host", Some(json!(order.host)));
            set("point", Some(json!(order.point)));
        }
    }
    status
}
