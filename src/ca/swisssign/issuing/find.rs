//! The search for an order whose answer was lost, and the pages of the list of orders.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::wire::date;
use super::super::{SwissSign, error};
use super::wire;
use crate::ca::csr::Sight;
use crate::ca::http::redact::clean;
use crate::ca::http::{Body, Call, Kind};
use crate::ca::issuing::{Found, Intent, Order};
use crate::ca::{CaError, json as text};

/// From then on, after the end of the call, an empty search by tag shows that the order does not
/// exist.
const SURE_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// When to search again for an order that may be among what was found, or was not shown.
const UNCLEAR: SignedDuration = SignedDuration::from_secs(60);
/// Differences between our clock and the CA's that are allowed for.
const SKEW: SignedDuration = SignedDuration::from_mins(10);
/// The CA cuts a page at 300 however many are asked for.
const PAGE: usize = 300;
/// Every tag of this program begins so.
const OURS: &str = "prevalidate:";
/// A search that goes on after this many pages is answered wrongly.
const PAGES: usize = 400;

/// The result of a search.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// The orders, as they came.
    pub(super) entries: Vec<Value>,
    /// Entries that are not even JSON.
    broken: usize,
    /// Whether the search ended before its last page.
    broke_off: bool,
}

impl Listed {
    /// The missing parts, in words.
    pub(super) fn troubles(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.broken > 0 {
            words.push(format!("{} entries cannot be read", self.broken));
        }
        if self.broke_off {
            words.push("the list broke off before its end".to_owned());
        }
        words
    }
}

/// Whether an order is the one that is searched for.
#[derive(Debug, PartialEq)]
enum Kinship {
    Ours(Box<Order>),
    NotOurs,
    /// It may be, and does not show it.
    Unclear,
}

/// What an order of a list is to the intent.
fn kinship(value: &Value, intent: &Intent, by_csr: bool) -> Kinship {
    let order = wire::order(value);
    // The search may be inexact, or may take several words for "any of them".
    let tagged = wire::tags(value).any(|tag| tag == intent.tag);
    let since = intent.submitted_at.and_then(|at| at.checked_sub(SKEW).ok());
    let made = value.get("createdOn").and_then(Value::as_str);
    let made = made.and_then(date);
    // Our clock may have been wrong: the tag still tells. An older order may have the key.
    if !tagged && since.zip(made).is_some_and(|(since, made)| made < since) {
        return Kinship::NotOurs;
    }
    let key = wire::leaf(value).and_then(|der| Sight::of(&der).ok());
    let same_key = key.map(|sight| sight.public_key == intent.csr.public_key());
    // A lost tag was one of ours too, and any of ours may be it.
    let may_be = |tag: &str| intent.tag_is_lost && tag.starts_with(OURS);
    let has_tags = wire::tags(value).any(|tag| !may_be(tag));
    match order {
        Ok(order) if tagged || same_key == Some(true) => Kinship::Ours(Box::new(order)),
        // Ours, and no version that this program understands.
        Err(_) if tagged || same_key == Some(true) => Kinship::Unclear,
        _ if has_tags || same_key == Some(false) => Kinship::NotOurs,
        Ok(order) => {
            let shows_tags = value.get("tags").is_some_and(Value::is_array);
            let hides = by_csr || !shows_tags || wire::tags(value).any(may_be);
            match order.state.is_open() && hides {
                true => Kinship::Unclear,
                false => Kinship::NotOurs,
            }
        }
        Err(_) => Kinship::Unclear,
    }
}

impl SwissSign {
    /// See [`crate::ca::issuing::Issuing::find`].
    pub(super) async fn found(&self, intent: &Intent) -> Result<Found, CaError> {
        let mut wanted = json!({"clientReferences": [intent.client]});
        if !self.issues_by_csr && !intent.tag_is_lost {
            wanted["tags"] = json!([intent.tag]);
        }
        let listed = self
            .search_orders(wanted, "find the order", &intent.tag)
            .await?;
        let now = self.http.clock.now();
        let limit = self.http.longest_effect();
        let empty = intent.not_found(SURE_AFTER, limit, now);
        Ok(judged(&listed, intent, self.issues_by_csr, empty, now))
    }

    /// All orders that a search finds, page by page.
    pub(super) async fn search_orders(
        &self,
        wanted: Value,
        verb: &'static str,
        subject: &str,
    ) -> Result<Listed, CaError> {
        let path = ["orders", "paged"];
        let mut listed = Listed {
            broke_off: true,
            ..Listed::default()
        };
        let mut seen = BTreeSet::new();
        let mut start = 0;
        for _ in 0..PAGES {
            let mut call = Call::new(Kind::Read, verb, clean(subject), &path);
            call.query = vec![("length", PAGE.to_string()), ("start", start.to_string())];
            call.body = Body::Json(wanted.clone());
            let answer = self.call(&call).await?;
            let entries = error::entries(&self.http, &call, &answer, Some("data"))?;
            let before = (listed.entries.len(), listed.broken);
            for entry in &entries {
                let Ok(read) = text::read(entry) else {
                    listed.broken += 1;
                    continue;
                };
                if seen.insert(wire::reference(&read.value)) {
                    listed.entries.push(read.value);
                }
            }
            start += entries.len();
            let page = text::read(answer.body.as_bytes()).map(|page| page.value);
            let total = page
                .ok()
                .and_then(|page| page.get("recordsFiltered").and_then(Value::as_u64));
            let is_all = total.map_or(entries.len() < PAGE, |total| start as u64 >= total);
            if is_all {
                listed.broke_off = false;
                break;
            }
            if (listed.entries.len(), listed.broken) == before {
                // No page, or the same one again, although there is more.
                break;
            }
        }
        Ok(listed)
    }
}

/// What a search comes to; `empty` where nothing of it can be the order.
fn judged(listed: &Listed, intent: &Intent, by_csr: bool, empty: Found, now: Timestamp) -> Found {
    let mut is_unclear = listed.broken > 0 || listed.broke_off;
    let mut best: Option<Box<Order>> = None;
    for value in &listed.entries {
        match kinship(value, intent, by_csr) {
            Kinship::Ours(order) => {
                let is_better = best
                    .as_ref()
                    .is_none_or(|best| !best.state.is_open() && order.state.is_open());
                if is_better {
                    best = Some(order);
                }
            }
            Kinship::Unclear => is_unclear = true,
            Kinship::NotOurs => {}
        }
    }
    match best {
        Some(order) => Found::Order(order),
        None if is_unclear => Found::NotYet {
            next_read_at: now.saturating_add(UNCLEAR).unwrap_or(Timestamp::MAX),
        },
        None => empty,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ca::csr::Csr;
    use crate::ca::issuing::Subject;

    const TAG: &str = "prevalidate:1";

    fn now() -> Timestamp {
        "2026-12-01T12:00:00Z".parse().unwrap()
    }

    fn csr() -> Csr {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["www.example.ch".to_owned()]).unwrap();
        Csr::read(params.serialize_request(&key).unwrap().der()).unwrap()
    }

    fn intent() -> Intent {
        Intent {
            tag: TAG.to_owned(),
            client: "cli-1".to_owned(),
            product: "pma-1".to_owned(),
            csr: csr(),
            subject: Subject::Names(vec!["www.example.ch".to_owned()]),
            term: None,
            comments: None,
            requester: None,
            fields: Default::default(),
            contact: None,
            after: None,
            answer: None,
            submitted_at: now().checked_sub(SignedDuration::from_mins(5)).ok(),
            ended_at: now().checked_sub(SignedDuration::from_mins(4)).ok(),
            tag_is_lost: false,
        }
    }

    fn found(entries: &[Value], by_csr: bool) -> Found {
        let listed = Listed {
            entries: entries.to_vec(),
            ..Listed::default()
        };
        judged(&listed, &intent(), by_csr, Found::No, now())
    }

    fn order(state: &str, tags: &Value) -> Value {
        json!({"uuid": "ord-1", "status": state, "tags": tags, "createdOn": "2026-12-01T11:56:00Z"})
    }

    #[test]
    fn an_order_that_cannot_be_read_is_no_proof_that_there_is_none() {
        let not_yet = |entry: Value| {
            let found = found(std::slice::from_ref(&entry), false);
            assert!(matches!(found, Found::NotYet { .. }), "{entry}: {found:?}");
        };
        // With our tag, and a key that this version does not understand.
        not_yet(json!({"uuid": "order/7", "status": "NEW", "tags": [TAG]}));
        not_yet(json!({"uuid": "ord-1", "tags": [TAG]}));
        not_yet(json!({"status": "NEW"}));
        not_yet(json!("ord-1"));
        // The list does not show tags at all.
        not_yet(order("NEW", &Value::Null));
    }

    #[test]
    fn what_is_certainly_another_order_does_not_keep_ours_from_being_made() {
        for entry in [
            json!({"uuid": "order/7", "tags": ["prevalidate:2"]}),
            json!({"uuid": "order/7", "createdOn": "2026-11-01T00:00:00Z"}),
            order("NEW", &json!(["prevalidate:2"])),
            order("NEW", &json!([])),
        ] {
            assert_eq!(
                found(std::slice::from_ref(&entry), false),
                Found::No,
                "{entry}"
            );
        }
        assert!(matches!(
            found(&[order("NEW", &json!([]))], true),
            Found::NotYet { .. }
        ));
        assert!(matches!(
            found(&[json!({}), order("NEW", &json!([TAG]))], false),
            Found::Order(_)
        ));
    }

    #[test]
    fn an_open_order_with_a_tag_of_ours_may_be_the_one_whose_tag_is_lost() {
        let found = |tags: Value| {
            let listed = Listed {
                entries: vec![order("NEW", &tags)],
                ..Listed::default()
            };
            let lost = Intent {
                tag_is_lost: true,
                ..intent()
            };
            judged(&listed, &lost, false, Found::No, now())
        };
        assert!(matches!(
            found(json!(["prevalidate:2"])),
            Found::NotYet { .. }
        ));
        assert_eq!(found(json!(["of another program"])), Found::No);
        assert_eq!(found(json!([])), Found::No);
    }

    #[test]
    fn a_list_that_broke_off_is_no_proof_that_there_is_none() {
        for (broken, broke_off) in [(1, false), (0, true)] {
            let listed = Listed {
                broken,
                broke_off,
                ..Listed::default()
            };
            let found = judged(&listed, &intent(), false, Found::No, now());
            assert!(matches!(found, Found::NotYet { .. }), "{listed:?}");
            assert_eq!(listed.troubles().len(), 1);
        }
        let empty = judged(&Listed::default(), &intent(), false, Found::No, now());
        assert_eq!(empty, Found::No);
    }

    #[test]
    fn a_search_is_sure_only_after_the_end_of_the_call_that_it_is_about() {
        let limit = std::time::Duration::from_secs(120);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut intent = intent();
        intent.submitted_at = Some(at("2026-12-01T12:00:00Z"));
        intent.ended_at = Some(at("2026-12-01T12:01:50Z"));
        let sure = |intent: &Intent| intent.sure_at(SURE_AFTER, limit).unwrap();
        assert_eq!(sure(&intent), at("2026-12-01T12:02:20Z"));
        intent.ended_at = None;
        assert_eq!(sure(&intent), at("2026-12-01T12:02:00Z"));
        intent.submitted_at = None;
        assert_eq!(intent.sure_at(SURE_AFTER, limit), None);
    }
}
