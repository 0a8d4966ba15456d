//! Searches for an order whose answer was lost: among running jobs, in the history, among the
//! certificates. It is known by our transaction id or by the public key of its request, never by its
//! name alone.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::issuing::SURE_AFTER;
use super::{InterNetX, wire};
use crate::ca::csr::{Csr, Sight};
use crate::ca::http::redact::clean;
use crate::ca::http::{Body, Call, Kind};
use crate::ca::issuing::{Found, Intent, Order};
use crate::ca::{CaError, Failure};

/// Differences between our clock and InterNetX' that are allowed for.
const SKEW: SignedDuration = SignedDuration::from_mins(15);
/// The longest list of jobs that is asked for.
const ROWS: usize = 100;
/// Jobs of one name that are read.
const MOST: usize = 30;
/// When to search again for an order that shows neither tag nor key.
const UNCLEAR: SignedDuration = SignedDuration::from_secs(60);

impl InterNetX {
    /// See [`crate::ca::issuing::Issuing::find`].
    pub(super) async fn found(&self, intent: &Intent) -> Result<Found, CaError> {
        let mut unclear = false;
        let running = ["job", "_search"];
        let finished = ["job", "history", "_search"];
        let paths: [&[&str]; 2] = [&running, &finished];
        let names = intent.listed_names();
        let lists = names
            .iter()
            .flat_map(|name| paths.map(|path| (name.as_str(), path)));
        let mut seen = BTreeSet::new();
        for (name, path) in lists {
            let (mut jobs, is_whole) = self.jobs(intent, name, path).await?;
            jobs.retain(|job| seen.insert(job.clone()));
            unclear |= !is_whole;
            for reference in jobs {
                let entry = match self.job(&reference).await {
                    Ok(entry) => entry,
                    // On its way to the history a job is in neither place.
                    Err(error) if error.failure == Failure::NotFound => {
                        unclear = true;
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                match self.is_ours(intent, &entry).await? {
                    Some(true) => {
                        let order = wire::order(&reference, None, &entry);
                        return Ok(Found::Order(Box::new(order)));
                    }
                    Some(false) => {}
                    None => unclear = true,
                }
            }
        }
        for name in &names {
            let (found, is_whole) = self.certificate_with_key(intent, name).await?;
            if let Some(order) = found {
                return Ok(Found::Order(Box::new(order)));
            }
            unclear |= !is_whole;
        }
        let now = self.http.clock.now();
        let after = |at: Timestamp, span| at.saturating_add(span).unwrap_or(Timestamp::MAX);
        if unclear {
            return Ok(Found::NotYet {
                next_read_at: after(now, UNCLEAR),
            });
        }
        Ok(intent.not_found(SURE_AFTER, self.http.longest_effect(), now))
    }

    /// Jobs about the name, not older than the order, the newest first; false where some may be
    /// missing.
    async fn jobs(
        &self,
        intent: &Intent,
        name: &str,
        path: &[&str],
    ) -> Result<(Vec<String>, bool), CaError> {
        let mut call = Call::new(Kind::Read, "search for the order", clean(&intent.tag), path);
        call.body = Body::Json(json!({
            "filters": [{"key": "object", "value": name, "operator": "EQUAL"}],
            "view": {"limit": ROWS, "offset": 0},
        }));
        let rows = self.call(&call).await?.data;
        let is_whole = rows.len() < ROWS;
        let (ids, is_all) = newest(rows.iter().map(wire::job), since(intent));
        Ok((ids, is_all && is_whole))
    }

    /// Whether a job is ours: by our transaction id, else by the key of its request; `None` where it
    /// shows neither.
    async fn is_ours(&self, intent: &Intent, entry: &Value) -> Result<Option<bool>, CaError> {
        let events = wire::job(entry)["events"].as_array().into_iter().flatten();
        let mut tags = events
            .chain([entry, wire::job(entry)])
            .filter_map(|event| event["ctid"].as_str())
            .filter(|tag| !tag.is_empty());
        if tags.clone().any(|tag| tag == intent.tag) {
            return Ok(Some(true));
        }
        if tags.next().is_some() && !intent.tag_is_lost {
            return Ok(Some(false));
        }
        if let Some(same) = has_key(
            entry.pointer("/object/data").unwrap_or(&Value::Null),
            intent,
        ) {
            return Ok(Some(same));
        }
        let Some(id) = entry.pointer("/object/data/id").and_then(wire::id) else {
            return Ok(None);
        };
        match self.certificate(&id).await {
            Ok(value) => Ok(has_key(&value, intent)),
            Err(error) if error.failure == Failure::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A certificate of this name whose request has our key; false where some may be missing.
    async fn certificate_with_key(
        &self,
        intent: &Intent,
        name: &str,
    ) -> Result<(Option<Order>, bool), CaError> {
        let filters = json!([{"key": "name", "value": name, "operator": "EQUAL"}]);
        let (rows, is_whole) = self
            .certificates("search for the certificate", name, filters)
            .await?;
        let (ids, is_all) = newest(rows.iter(), since(intent));
        let mut is_clear = is_whole && is_all;
        for id in &ids {
            let value = match self.certificate(id).await {
                Err(error) if error.failure == Failure::NotFound => {
                    is_clear = false;
                    continue;
                }
                other => other?,
            };
            match (has_key(&value, intent), wire::certificate(&value)) {
                (Some(true), Some(order)) => return Ok((Some(order), true)),
                (Some(true), None) => is_clear = false,
                _ => {}
            }
        }
        Ok((None, is_clear))
    }
}

/// Nothing of an order is older than that.
fn since(intent: &Intent) -> Option<Timestamp> {
    let at = intent.submitted_at?;
    at.checked_sub(SKEW).ok()
}

/// The numbers of the entries that were made since then, the newest first. False if there are more
/// entries than are read, or one has no number.
fn newest<'a>(
    rows: impl Iterator<Item = &'a Value>,
    since: Option<Timestamp>,
) -> (Vec<String>, bool) {
    let is_recent = |row: &&Value| {
        let at = row.get("created").and_then(Value::as_str);
        let at = at.and_then(wire::moment);
        since.is_none_or(|since| at.is_none_or(|at| at >= since))
    };
    let (mut ids, mut is_all) = (Vec::new(), true);
    for row in rows.filter(is_recent) {
        let id = row.get("id").and_then(wire::id);
        match id.and_then(|id| id.parse::<u64>().ok()) {
            Some(id) => ids.push(id),
            None => is_all = false,
        }
    }
    ids.sort_unstable_by(|one, other| other.cmp(one));
    is_all &= ids.len() <= MOST;
    let ids = ids.into_iter().take(MOST).map(|id| id.to_string());
    (ids.collect(), is_all)
}

/// Whether a certificate or its request has our key; `None` where neither is there.
fn has_key(value: &Value, intent: &Intent) -> Option<bool> {
    let ours = intent.csr.public_key();
    let text = |key: &str| value[key].as_str().filter(|text| !text.trim().is_empty());
    if let Some(csr) = text("csr").and_then(|pem| Csr::read(pem.as_bytes()).ok()) {
        return Some(csr.public_key() == ours);
    }
    let found = text("server").and_then(|pem| wire::certificates(pem).ok())?;
    let mut sights = found.iter().filter_map(|der| Sight::of(der).ok());
    Some(sights.any(|sight| sight.public_key == ours))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_job_without_a_number_or_too_many_of_them_may_hide_the_order() {
        let since = Some("2026-12-01T00:00:00Z".parse().unwrap());
        let row = |id: Value, day: u8| {
            let created = format!("2026-12-{day:02}T00:00:00.000+0000");
            json!({"id": id, "created": created})
        };
        let rows = [row(json!(3), 1), row(json!("12"), 2), row(json!(null), 2)];
        let of = |rows: &[Value]| newest(rows.iter(), since);
        assert_eq!(
            of(&rows[..2]),
            (vec!["12".to_owned(), "3".to_owned()], true)
        );
        assert!(!of(&rows).1);
        let old = json!({"id": null, "created": "2026-11-01T00:00:00.000+0000"});
        assert_eq!(of(&[old]), (Vec::new(), true), "older than the order");
        let many: Vec<Value> = (0..=MOST).map(|id| row(json!(id), 1)).collect();
        let (ids, is_all) = of(&many);
        assert_eq!((ids.len(), is_all), (MOST, false));
    }
}
