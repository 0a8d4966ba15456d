//! The search for an order whose answer was lost, and the pages of the list of orders.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::super::DigiCert;
use super::super::entry::number;
use super::SURE_AFTER;
use super::wire::{self, Kinship};
use crate::ca::csr::Sight;
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Kind};
use crate::ca::issuing::{Fetched, Found, Intent, Issuing, OrderKey, Predecessor, Succession};
use crate::ca::json;
use crate::ca::{CaError, Failure};
use crate::issuance::OrderState;

/// A list that goes on after this many rows is answered wrongly.
const MOST_ROWS: usize = 500_000;
/// Dates may be days in a time zone that is not named.
const A_DAY: SignedDuration = SignedDuration::from_hours(36);
/// When to search again for an order that shows neither tag nor key yet.
const UNCLEAR: SignedDuration = SignedDuration::from_secs(60);

/// The rows of a list on all its pages.
pub(super) struct Listed {
    /// Each once; or why it cannot be read.
    pub(super) rows: Vec<Result<Value, String>>,
    /// Whether the list came to its end.
    pub(super) is_whole: bool,
}

impl DigiCert {
    /// See [`Issuing::find`].
    pub(super) async fn found(&self, intent: &Intent) -> Result<Found, CaError> {
        match &intent.after {
            Some(Predecessor { key, way }) if *way == Succession::Reissue => {
                return self.reissued(intent, key).await;
            }
            Some(Predecessor { key, way }) if *way == Succession::Duplicate => {
                return self.duplicated(intent, key).await;
            }
            _ => {}
        }
        let names = intent.listed_names();
        // How DigiCert writes an internationalised name is not known: then every order is read.
        let is_plain = |name: &String| name.is_ascii() && !name.contains("xn--");
        let by_name = |name: String| vec![("filters[common_name]", name)];
        let lists: Vec<Vec<_>> = match names.iter().all(is_plain) {
            true => names.into_iter().map(by_name).collect(),
            false => vec![Vec::new()],
        };
        let (mut rows, mut is_whole) = (Vec::new(), true);
        for filters in lists {
            let (verb, subject) = ("search for the order", clean(&intent.tag));
            let listed = self.order_rows(verb, subject, &filters).await?;
            rows.extend(listed.rows);
            is_whole &= listed.is_whole;
        }
        let (keys, unreadable) = candidates(&rows, intent);
        // What cannot be read may be the order.
        let mut unclear = unreadable > 0 || !is_whole;
        for (key, age) in keys {
            let details = match self.order_details("search for the order", &key).await {
                // It is listed, and its details are not there yet.
                Err(error) if error.failure == Failure::NotFound => {
                    unclear = true;
                    continue;
                }
                other => other?,
            };
            if age == Age::Older && !wire::has_tag(intent, &details) {
                continue;
            }
            let order = self.seen(&key, &details)?;
            let mut kinship = wire::kinship(intent, &details);
            if kinship == Kinship::Unclear && order.state == OrderState::Issued {
                kinship = self.by_certificate(intent, &key).await?;
            }
            match kinship {
                Kinship::Ours => {
                    let order = self.with_reasons(order, &details).await?;
                    return Ok(Found::Order(Box::new(order)));
                }
                Kinship::NotOurs => {}
                Kinship::Unclear => unclear |= !order.state.has_failed(),
            }
        }
        Ok(self.not_found(intent, unclear))
    }

    /// What the certificate of an order tells, whose details show neither tag nor request.
    pub(super) async fn by_certificate(
        &self,
        intent: &Intent,
        key: &OrderKey,
    ) -> Result<Kinship, CaError> {
        Ok(match self.fetch(key).await? {
            Fetched::NotYet => Kinship::Unclear,
            Fetched::Certificates(found) if has_key(&found, intent) => Kinship::Ours,
            Fetched::Certificates(_) => Kinship::NotOurs,
        })
    }

    pub(super) fn not_found(&self, intent: &Intent, unclear: bool) -> Found {
        let now = self.http.clock.now();
        if unclear {
            return Found::NotYet {
                next_read_at: now.saturating_add(UNCLEAR).unwrap_or(Timestamp::MAX),
            };
        }
        intent.not_found(SURE_AFTER, self.http.longest_effect(), now)
    }

    /// Every row of the list of orders, page by page until `page.total`.
    pub(super) async fn order_rows(
        &self,
        verb: &'static str,
        subject: String,
        filters: &[(&'static str, String)],
    ) -> Result<Listed, CaError> {
        let path = ["order", "certificate"];
        let mut call = Call::new(Kind::List, verb, subject, &path).by_get();
        call.query = filters.to_vec();
        let mut seen = BTreeSet::new();
        let (mut listed, mut count, mut unreadable) = (Vec::new(), 0, 0);
        loop {
            let page = self.page(&call, "orders", count).await?;
            let known = seen.len() + unreadable;
            for row in &page.rows {
                count += 1;
                let row = json::read(row).map(|read| read.value);
                match row.as_ref().map(|row| row.get("id").and_then(number)) {
                    // A list that changes between two pages shows a row twice.
                    Ok(Some(id)) if !seen.insert(id.clone()) => continue,
                    Ok(Some(_)) => {}
                    _ => unreadable += 1,
                }
                listed.push(row);
            }
            let shown = seen.len() + unreadable;
            let is_over = page.total.is_some_and(|total| count >= total);
            if page.rows.is_empty() || is_over {
                let is_whole = page.total.is_none_or(|total| shown >= total);
                return Ok(Listed {
                    rows: listed,
                    is_whole,
                });
            }
            if shown == known || count > MOST_ROWS {
                return Ok(Listed {
                    rows: listed,
                    is_whole: false,
                });
            }
        }
    }
}

/// Whether an order was made before ours was submitted, by our clock. If that was wrong, the tag
/// still tells; an older order may well have the same key.
#[derive(Clone, Copy, PartialEq)]
enum Age {
    Older,
    Fits,
}

/// The orders that may be the one, the newest first, and how many rows of the time of the order
/// cannot be read.
fn candidates(rows: &[Result<Value, String>], intent: &Intent) -> (Vec<(OrderKey, Age)>, usize) {
    let since = intent
        .submitted_at
        .and_then(|at| at.checked_sub(A_DAY).ok());
    let before = intent.after.as_ref().map(|one| one.key.reference.as_str());
    let wanted = intent.listed_names();
    let is_wanted = |name: &String| wanted.iter().any(|one| one.eq_ignore_ascii_case(name));
    let (mut found, mut unreadable) = (Vec::new(), 0);
    for row in rows {
        let Ok(row) = row else {
            unreadable += 1;
            continue;
        };
        let made = wire::created(row);
        let age = match since.zip(made).is_some_and(|(since, at)| at < since) {
            true => Age::Older,
            false => Age::Fits,
        };
        match wire::order(row) {
            Ok(order) if before == Some(&*order.key.reference) => {}
            Ok(order) if order.names.is_empty() || order.names.iter().any(is_wanted) => {
                found.push((made, OrderKey::new(order.key.reference), age));
            }
            Err(_) if age == Age::Fits => unreadable += 1,
            _ => {}
        }
    }
    let newest_first = |(made, key, _): &(Option<Timestamp>, OrderKey, Age)| {
        std::cmp::Reverse((*made, key.reference.parse::<u64>().ok()))
    };
    found.sort_by_key(newest_first);
    // Two lists may show the same one.
    found.dedup_by(|one, other| one.1 == other.1);
    let keys = found.into_iter().map(|(_, key, age)| (key, age));
    (keys.collect(), unreadable)
}

fn has_key(found: &[Vec<u8>], intent: &Intent) -> bool {
    let mut sights = found.iter().filter_map(|der| Sight::of(der).ok());
    sights.any(|sight| sight.public_key == intent.csr.public_key())
}
