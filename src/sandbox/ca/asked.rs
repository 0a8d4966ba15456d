//! One request, taken apart.

use axum::http::HeaderMap;
use serde::de::DeserializeOwned;

use super::behaviour::Call;
use super::wire::Refused;

/// One request, taken apart: its call and what the path names.
pub(super) struct Asked<'a> {
    pub(super) call: Call,
    /// The user or the reference in the path.
    pub(super) subject: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl Asked<'_> {
    /// The names in the body of a `register`.
    pub(super) fn names(&self) -> Result<Vec<String>, Refused> {
        self.has_type("application/json")?;
        let names: Vec<String> = serde_json::from_slice(self.body).map_err(|error| {
            Refused::invalid(format!("The body is not an array of names: {error}"))
        })?;
        if names.is_empty() {
            Err(Refused::invalid("No domain is given"))
        } else {
            Ok(names)
        }
    }

    /// Whether the body says that it is of this type.
    pub(super) fn has_type(&self, wanted: &str) -> Result<(), Refused> {
        let kind = self
            .headers
            .get("content-type")
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        if kind.split(';').next().map(str::trim) == Some(wanted) {
            return Ok(());
        }
        Err(Refused::invalid(format!(
            "Content-Type `{kind}` is not {wanted}"
        )))
    }

    /// The body, which must be JSON of this shape.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        self.has_type("application/json")?;
        serde_json::from_slice(self.body)
            .map_err(|error| Refused::invalid(format!("The body cannot be read: {error}")))
    }

    pub(super) fn parameter(&self, wanted: &str) -> Option<String> {
        let pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs
            .into_iter()
            .find(|(key, _)| key == wanted)
            .map(|(_, value)| value.into_owned())
    }

    pub(super) fn number(&self, wanted: &str) -> Result<Option<i64>, Refused> {
        let number = self.parameter(wanted).map(|text| text.parse());
        number
            .transpose()
            .map_err(|_| Refused::invalid(format!("Parameter {wanted} is not a number")))
    }
}
