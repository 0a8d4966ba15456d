//! One request, taken apart, and a page of a list.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::Shared;
use super::wire::Reply;

/// One request, taken apart.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
}

impl Asked<'_> {
    pub(super) fn parameter(&self, wanted: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == wanted)
            .map(|(_, value)| value.into_owned())
    }

    pub(super) fn number(&self, wanted: &str) -> Result<Option<usize>, Reply> {
        let number = self.parameter(wanted).map(|text| text.parse());
        number
            .transpose()
            .map_err(|_| Reply::refused(400, "invalid_parameter", wanted))
    }

    pub(super) fn is(&self, flag: &str) -> bool {
        self.parameter(flag).as_deref() == Some("true")
    }

    pub(super) fn json(&self) -> Result<Value, Reply> {
        serde_json::from_slice(self.body)
            .map_err(|_| Reply::refused(400, "malformed_request", "The body is not JSON."))
    }
}

/// A page of rows under a key, with `page`.
pub(super) fn page(
    shared: &Shared,
    asked: &Asked<'_>,
    key: &str,
    rows: &[Value],
) -> Result<Reply, Reply> {
    let behaviour = shared.state().behaviour.clone();
    let largest = behaviour.largest_page;
    let limit = asked.number("limit")?.unwrap_or(largest).min(largest);
    let offset = asked.number("offset")?.unwrap_or(0);
    let mut from = offset;
    if behaviour.repeats_pages {
        from = 0;
    } else if behaviour.overlapping_pages {
        from = offset.saturating_sub(1);
    }
    let shown: Vec<_> = rows.iter().skip(from).take(limit).collect();
    let total = rows.len() + behaviour.counts_too_many;
    let mut body = json!({"page": {"total": total, "limit": limit, "offset": offset}});
    body[key] = json!(shown);
    Ok(Reply::json(body))
}
