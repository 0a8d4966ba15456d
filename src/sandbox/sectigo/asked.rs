//! One request, taken apart; and a page of a list that it asks for.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::behaviour::Behaviour;
use super::wire::Reply;

/// Rows of a page at most, however many are asked for.
const PAGE: usize = 200;

/// One request, taken apart.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
    /// By a bearer token: then only version 2 of the calls about validations is there.
    pub(super) oauth: bool,
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
            .map_err(|_| Reply::refused(400, -7, &format!("Invalid parameter {wanted}")))
    }

    pub(super) fn json(&self) -> Result<Value, Reply> {
        serde_json::from_slice(self.body)
            .map_err(|_| Reply::refused(400, -1002, "The request body cannot be parsed"))
    }
}

/// The rows of a list that the request asks for.
pub(super) fn page(
    rows: Vec<Value>,
    asked: &Asked<'_>,
    behaviour: &Behaviour,
) -> Result<Reply, Reply> {
    let size = asked.number("size")?.unwrap_or(PAGE).min(PAGE);
    let mut position = asked.number("position")?.unwrap_or(0);
    if behaviour.repeats_pages {
        position = 0;
    }
    let total = rows.len() + behaviour.counts_too_many;
    let rows: Vec<Value> = rows.into_iter().skip(position).take(size).collect();
    Ok(Reply {
        total: (behaviour.shows_total && !behaviour.repeats_pages).then_some(total),
        ..Reply::json(json!(rows))
    })
}
