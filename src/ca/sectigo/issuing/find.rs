//! The search for an order whose answer was lost, and the pages of the list of orders.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::super::Sectigo;
use super::super::error::Endpoint;
use super::{NOT, SURE_AFTER, number, wire};
use crate::ca::csr::Sight;
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Kind};
use crate::ca::issuing::{
    Fetched, Found, Intent, Issuing, Order, OrderKey, Predecessor, Succession,
};
use crate::ca::json as lenient;
use crate::ca::{CaError, Failure};
use crate::issuance::OrderState;

/// SCM cuts a page at 200 however many are asked for.
const PAGE: usize = 200;
/// A list that goes on after this many rows is answered wrongly.
const MOST_ROWS: usize = 500_000;
/// SCM may write days only, in a time zone that it does not name.
const A_DAY: SignedDuration = SignedDuration::from_hours(36);
/// When to search again for an order that shows neither tag nor key yet.
const UNTAGGED: SignedDuration = SignedDuration::from_secs(60);

/// Whether an order is the one that is searched for.
enum Kinship {
    Ours,
    NotOurs,
    /// It may be: it shows neither tag nor key.
    Unclear,
    /// It may be, and has ended without a certificate.
    Ended,
}

impl Sectigo {
    /// See [`Issuing::find`].
    pub(super) async fn found(&self, intent: &Intent) -> Result<Found, CaError> {
        if let Some(Predecessor {
            key,
            way: Succession::Reissue,
        }) = &intent.after
        {
            return self.replaced(intent, key).await;
        }
        // SCM lists an order under the common name of its request, and others under the first name.
        let (mut rows, mut broken) = (Vec::new(), 0);
        for name in intent.listed_names() {
            let wanted = vec![("commonName", name)];
            let verb = "search for the order";
            let (more, bad) = self.rows(verb, &intent.client, wanted).await?;
            rows.extend(more);
            broken += bad;
        }
        let before = intent.after.as_ref().map(|one| number(&one.key));
        let (keys, unreadable) = candidates(&rows, before, since(intent));
        // What cannot be read may be the order.
        let mut unclear = broken > 0 || unreadable > 0;
        let mut ended = None;
        for key in keys {
            let details = match self.details("search for the order", &key).await {
                // It is listed, and its details are not there yet.
                Err(error) if error.failure == Failure::NotFound => {
                    unclear = true;
                    continue;
                }
                other => other?,
            };
            let order = wire::details(key.clone(), &details);
            let both = since(intent).zip(order.ordered_at);
            let is_older = both.is_some_and(|(since, made)| made < since);
            // Our clock may have been wrong: the tag still tells. An older order may have the key.
            if is_older && !is_tagged(intent, &details) {
                continue;
            }
            let kinship = self.kinship(intent, &order, &details).await;
            match kinship.or_else(|error| match error.failure {
                Failure::NotFound => Ok(Kinship::Unclear),
                _ => Err(error),
            })? {
                Kinship::Ours => return Ok(Found::Order(Box::new(order))),
                Kinship::NotOurs => {}
                Kinship::Unclear => unclear = true,
                Kinship::Ended => ended = ended.or(Some(order)),
            }
        }
        match ended.filter(|_| !unclear) {
            // It is taken for ours: a person decides whether another one is made.
            Some(order) => Ok(Found::Order(Box::new(order))),
            None => Ok(self.not_found(intent, unclear)),
        }
    }

    async fn kinship(
        &self,
        intent: &Intent,
        order: &Order,
        details: &Value,
    ) -> Result<Kinship, CaError> {
        if is_tagged(intent, details) {
            return Ok(Kinship::Ours);
        }
        let comments = comments_of(details);
        // A renewal may keep the comments of the order before it: there only the key tells.
        let tells = intent.after.is_none() && !intent.tag_is_lost;
        if comments.contains("[prevalidate:") && tells {
            return Ok(Kinship::NotOurs);
        }
        match order.state {
            OrderState::Issued => {}
            _ if order.state.is_open() => return Ok(Kinship::Unclear),
            _ if may_be_ended(intent, order, comments) => return Ok(Kinship::Ended),
            _ => return Ok(Kinship::NotOurs),
        }
        Ok(match self.fetch(&order.key).await? {
            Fetched::NotYet => Kinship::Unclear,
            Fetched::Certificates(found) if has_key(&found, intent) => Kinship::Ours,
            Fetched::Certificates(_) => Kinship::NotOurs,
        })
    }

    /// Whether a replacement was taken: the order is at work, or has a certificate for our key.
    async fn replaced(&self, intent: &Intent, key: &OrderKey) -> Result<Found, CaError> {
        let details = self.details("search for the replacement of", key).await?;
        let mut order = wire::details(key.clone(), &details);
        if order.state == OrderState::Issued {
            let plain = OrderKey::new(key.reference.clone());
            match self.fetch(&plain).await? {
                Fetched::Certificates(found) if !has_key(&found, intent) => {
                    return Ok(self.not_found(intent, false));
                }
                _ => {}
            }
        }
        if order.state.is_open() {
            order.key.certificate = order.serial.as_ref().map(|serial| format!("{NOT}{serial}"));
        }
        Ok(Found::Order(Box::new(order)))
    }

    fn not_found(&self, intent: &Intent, unclear: bool) -> Found {
        let now = self.http.clock.now();
        let after = |at: Timestamp, span| at.saturating_add(span).unwrap_or(Timestamp::MAX);
        if unclear {
            return Found::NotYet {
                next_read_at: after(now, UNTAGGED),
            };
        }
        intent.not_found(SURE_AFTER, self.http.longest_effect(), now)
    }

    /// Every row of the list of orders of an organisation, page by page, and how many entries are
    /// not even JSON.
    pub(super) async fn rows(
        &self,
        verb: &'static str,
        client: &str,
        wanted: Vec<(&'static str, String)>,
    ) -> Result<(Vec<Value>, usize), CaError> {
        let path = ["ssl", "v1"];
        let mut found: Vec<Value> = Vec::new();
        let mut broken = 0;
        loop {
            let mut call = Call::new(Kind::List, verb, clean(client), &path).by_get();
            self.check(client, &call)?;
            call.query = vec![
                ("size", PAGE.to_string()),
                ("position", (found.len() + broken).to_string()),
                ("orgId", client.to_owned()),
            ];
            call.query.extend(wanted.iter().cloned());
            let answer = self.call(Endpoint::Ssl, &call).await?;
            if !answer.is_json() {
                return Err(self.http.no_json(&call, &answer));
            }
            let entries = lenient::elements(answer.body.as_bytes())
                .map_err(|_| self.http.no_json(&call, &answer))?;
            let rows: Vec<Value> = entries
                .iter()
                .filter_map(|entry| lenient::read(entry).ok())
                .map(|read| read.value)
                .collect();
            let malformed = |why: &str| Err(self.http.error(Failure::Malformed, &call, why));
            if rows.first().is_some_and(|first| found.contains(first)) {
                return malformed("the list repeats itself");
            }
            let count = entries.len();
            broken += count - rows.len();
            found.extend(rows);
            let total = answer.total.and_then(|total| usize::try_from(total).ok());
            let so_far = found.len() + broken;
            if total.map_or(count < PAGE, |total| so_far >= total) {
                return Ok((found, broken));
            }
            if count == 0 {
                return malformed("the list breaks off before its end");
            }
            if so_far > MOST_ROWS {
                return malformed("the list does not end");
            }
        }
    }
}

/// Orders are not older than that.
fn comments_of(details: &Value) -> &str {
    let comments = details.get("comments").and_then(Value::as_str);
    comments.unwrap_or_default()
}

fn is_tagged(intent: &Intent, details: &Value) -> bool {
    comments_of(details).contains(&intent.tag)
}

fn since(intent: &Intent) -> Option<Timestamp> {
    let at = intent.submitted_at?;
    at.checked_sub(A_DAY).ok()
}

/// The orders that may be the one, the newest first, and how many rows of the time of the order
/// cannot be read.
fn candidates(
    rows: &[Value],
    before: Option<u64>,
    since: Option<Timestamp>,
) -> (Vec<OrderKey>, usize) {
    let (mut keys, mut unreadable) = (Vec::new(), 0);
    for row in rows {
        match wire::row(row) {
            Ok(order) => keys.push(order.key),
            Err(_) => {
                let made = wire::requested(row);
                let is_older = since.zip(made).is_some_and(|(since, at)| at < since);
                unreadable += usize::from(!is_older);
            }
        }
    }
    keys.retain(|key| before.is_none_or(|before| number(key) > before));
    keys.sort_by_key(|key| std::cmp::Reverse(number(key)));
    // Two lists may show the same one.
    keys.dedup();
    (keys, unreadable)
}

/// Whether an order that has ended without a certificate, and so without a key, may be ours: it is
/// for the same names, and hides its comments.
fn may_be_ended(intent: &Intent, order: &Order, comments: &str) -> bool {
    let names = |names: &[String]| names.iter().cloned().collect::<BTreeSet<String>>();
    let (shown, wanted) = (names(&order.names), names(intent.subject.names()));
    let hides = comments.is_empty() || intent.after.is_some();
    order.state.has_failed()
        && order.serial.is_none()
        && hides
        && (shown.is_empty() || shown == wanted)
}

fn has_key(found: &[Vec<u8>], intent: &Intent) -> bool {
    let sights = found.iter().filter_map(|der| Sight::of(der).ok());
    sights
        .into_iter()
        .any(|sight| sight.public_key == intent.csr.public_key())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_that_cannot_be_read_may_be_the_order_unless_it_is_older() {
        let since = Some("2026-11-30T00:00:00Z".parse().unwrap());
        let rows = [
            json!({"sslId": 7}),
            json!({"sslId": "12"}),
            json!({"sslId": "x-13", "requested": "2026-11-01T00:00:00Z"}),
        ];
        let (keys, unreadable) = candidates(&rows, Some(6), since);
        let numbers: Vec<u64> = keys.iter().map(number).collect();
        assert_eq!((numbers, unreadable), (vec![12, 7], 0));
        for row in [
            json!({"sslId": "x-13"}),
            json!({"sslId": null, "requested": "2026-12-01T00:00:00Z"}),
            json!([]),
        ] {
            assert_eq!(
                candidates(std::slice::from_ref(&row), None, since).1,
                1,
                "{row}"
            );
        }
    }
}
