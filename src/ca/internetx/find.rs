//! Looking for an order whose answer was lost: among running jobs, in the history, among the
//! certificates. It is known by our transaction id or by the public key of its request, never by its
//! name alone.

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
/// Jobs of one name that are looked at.
const MOST: usize = 30;
/// When to look again for an order that shows neither tag nor key.
const UNCLEAR: SignedDuration = SignedDuration::from_secs(60);

impl InterNetX {
    /// See [`crate::ca::issuing::Issuing::find`].
    pub(super) async fn found(&self, intent: &Intent) -> Result<Found, CaError> {
        let mut unclear = false;
        let running = ["job", "_search"];
        let finished = ["job", "history", "_search"];
        let paths: [&[&str]; 2] = [&running, &finished];
        for path in paths {
            for reference in self.jobs(intent, path).await? {
                let entry = match self.job(&reference).await {
                    Ok(entry) => entry,
                    Err(error) if error.failure == Failure::NotFound => continue,
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
        if let Some(order) = self.certificate_with_key(intent).await? {
            return Ok(Found::Order(Box::new(order)));
        }
        let now = self.http.clock.now();
        let after = |at: Timestamp, span| at.saturating_add(span).unwrap_or(Timestamp::MAX);
        if unclear {
            return Ok(Found::NotYet {
                look_at: after(now, UNCLEAR),
            });
        }
        let sure_at = intent.submitted_at.map(|at| after(at, SURE_AFTER));
        Ok(match sure_at.filter(|&at| at > now) {
            Some(look_at) => Found::NotYet { look_at },
            None => Found::No,
        })
    }

    /// Jobs about the name, not older than the order.
    async fn jobs(&self, intent: &Intent, path: &[&str]) -> Result<Vec<String>, CaError> {
        let name = intent.subject.common_name();
        let mut call = Call::new(Kind::Read, "look for the order", clean(&intent.tag), path);
        call.body = Body::Json(json!({
            "filters": [{"key": "object", "value": name, "operator": "EQUAL"}],
            "view": {"limit": 100, "offset": 0},
        }));
        let rows = self.call(&call).await?.data;
        let since = intent.submitted_at.and_then(|at| at.checked_sub(SKEW).ok());
        let is_recent = |job: &Value| {
            let at = job
                .get("created")
                .and_then(Value::as_str)
                .and_then(wire::moment);
            since.is_none_or(|since| at.is_none_or(|at| at >= since))
        };
        let mut ids: Vec<u64> = rows
            .iter()
            .map(wire::job)
            .filter(|job| is_recent(job))
            .filter_map(|job| job.get("id").and_then(wire::id)?.parse().ok())
            .collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        Ok(ids
            .into_iter()
            .take(MOST)
            .map(|id| id.to_string())
            .collect())
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
        if tags.next().is_some() {
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

    /// A certificate of this name whose request has our key.
    async fn certificate_with_key(&self, intent: &Intent) -> Result<Option<Order>, CaError> {
        let name = intent.subject.common_name();
        let filters = json!([{"key": "name", "value": name, "operator": "EQUAL"}]);
        let rows = self
            .certificates("look for the certificate", name, filters)
            .await?;
        let mut ids: Vec<String> = rows
            .iter()
            .filter_map(|row| row.get("id").and_then(wire::id))
            .collect();
        ids.reverse();
        for id in ids.iter().take(MOST) {
            let value = self.certificate(id).await?;
            if has_key(&value, intent) == Some(true) {
                return Ok(wire::certificate(&value));
            }
        }
        Ok(None)
    }
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
