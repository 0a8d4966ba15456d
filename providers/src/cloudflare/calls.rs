//! Reading and writing records.

use async_trait::async_trait;
use prevalidate_kit::http::{Ask, NoAnswer};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::Api;
use super::answer::{Refusal, Refused};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{RecordKind, TxtRecord, Zone, is_within};
use crate::records::{Change, Listed, RecordApi, Unreadable, View, Written, plain_name, upwards};

/// Changes of one batch on the free plan; others take 3,500.
const BATCH: usize = 200;
/// Asked for; the answer says how many a page really has.
const RECORDS_PER_PAGE: u64 = 500;
/// Against a list that never ends.
const MOST_PAGES: u64 = 2000;
/// TTL "automatic", as records name it, and the seconds that it means.
const AUTOMATIC: (u64, u32) = (1, 300);
/// Characters of all TXT contents of a name together, SPF and all.
const NAME_CHARACTERS: usize = 8192;
/// Octets of one record, with a length before each string.
const RECORD_OCTETS: usize = 4096;
/// Tells people whose record it is: at most 100 characters on the free plan, which has no tags at
/// all.
const COMMENT: &str =
    "prevalidate: proves this domain to the CA; do not delete, it is removed by itself";

impl Api {
    /// All entries of a list, page by page; one that moves to the next page meanwhile comes twice
    /// and counts once.
    pub(super) async fn pages(
        &self,
        path: &[&str],
        query: Vec<(&'static str, String)>,
        auth: &HeaderMap,
        per_page: u64,
        trying: &str,
    ) -> Result<Vec<Value>, ProviderError> {
        let mut all: Vec<Value> = Vec::new();
        for page in 1..=MOST_PAGES {
            let mut query = query.clone();
            query.push(("page", page.to_string()));
            let reply = self.ask(Method::GET, path, query, auth, trying).await?;
            let Value::Array(entries) = reply.result else {
                let text = format!("{trying} at {}: the answer holds no list", self.http.host());
                return Err(ProviderError::new(ErrorKind::Unavailable, text));
            };
            let full = entries.len() as u64 >= reply.pages.per_page.unwrap_or(per_page).max(1);
            for entry in entries {
                if !all.iter().any(|known| known["id"] == entry["id"]) {
                    all.push(entry);
                }
            }
            if reply.pages.total.map_or(!full, |total| page >= total) {
                return Ok(all);
            }
        }
        Err(ProviderError::new(
            ErrorKind::Unavailable,
            format!("{trying}: more than {MOST_PAGES} pages"),
        ))
    }

    async fn records(
        &self,
        zone: &Zone,
        filter: &[(&'static str, String)],
    ) -> Result<View, ProviderError> {
        let (id, trying) = (
            zone.id.as_deref().unwrap_or_default(),
            format!("listing records of {}", zone.apex),
        );
        let mut query = filter.to_vec();
        query.push(("per_page", RECORDS_PER_PAGE.to_string()));
        let path = ["zones", id, "dns_records"];
        let found = self
            .pages(&path, query, &self.dns, RECORDS_PER_PAGE, &trying)
            .await;
        if found
            .as_ref()
            .is_err_and(|error| error.kind == ErrorKind::NoZone)
        {
            self.zones.forget().await;
        }
        let mut view = View::default();
        for entry in &found? {
            match listed(entry) {
                Ok(listed) => view.records.push(listed),
                Err(unreadable) => {
                    tracing::warn!(zone = zone.apex, "{}", self.http.clean(&unreadable.what));
                    view.unreadable.push(unreadable);
                }
            }
        }
        Ok(view)
    }

    /// The call for some changes: a single one has its own, several go together.
    fn request(changes: &[Change]) -> (Method, Option<String>, Option<Value>) {
        if let [Change::Remove(listed)] = changes {
            return (
                Method::DELETE,
                listed.raw["id"].as_str().map(str::to_owned),
                None,
            );
        }
        let mut bodies = changes.iter().map(|change| match change {
            Change::Remove(listed) => ("deletes", json!({ "id": listed.raw["id"] })),
            Change::Add { kind, owner, value, ttl, beside } => {
                let ttl = beside.as_ref().and_then(|beside| beside.raw["ttl"].as_u64()).unwrap_or((*ttl).into());
                let content = match kind {
                    RecordKind::Txt => TxtRecord::of(value).presentation(),
                    RecordKind::Cname => value.clone(),
                };
                let mut body = json!({ "type": kind.as_str(), "name": owner, "content": content, "ttl": ttl, "comment": COMMENT });
                if *kind == RecordKind::Cname {
                    // Behind Cloudflare's proxy the alias would not be visible.
                    body["proxied"] = json!(false);
                }
                ("posts", body)
            }
        });
        if changes.len() == 1 {
            return (Method::POST, None, bodies.next().map(|(_, body)| body));
        }
        let mut batch = serde_json::Map::new();
        for (list, body) in bodies {
            if let Some(list) = batch
                .entry(list)
                .or_insert_with(|| json!([]))
                .as_array_mut()
            {
                list.push(body);
            }
        }
        (
            Method::POST,
            Some("batch".into()),
            Some(Value::Object(batch)),
        )
    }
}

#[async_trait]
impl RecordApi for Api {
    fn most(&self) -> usize {
        BATCH
    }

    fn ttl(&self) -> u32 {
        self.ttl
    }

    fn may_shadow(&self) -> bool {
        self.may_shadow
    }

    async fn zone_of(&self, owner: &str) -> Result<Zone, ProviderError> {
        self.zones.find(self, owner).await
    }

    async fn check_zone(&self, zone: &Zone) -> Result<(), ProviderError> {
        self.zones.check(self, zone).await
    }

    /// One call for the apex, two for another name, the whole zone for several. What a filter lets
    /// through too much does no harm: only names count.
    async fn read_zone(&self, zone: &Zone, owners: &[String]) -> Result<View, ProviderError> {
        let apex = &zone.apex;
        let mut view = match owners {
            [owner] if owner == apex => {
                self.records(
                    zone,
                    &[("type", "TXT".into()), ("name.exact", owner.clone())],
                )
                .await?
            }
            [owner] => {
                // Everything at, above and below the name ends in the label under the apex; only
                // one wildcard does not.
                let branch = upwards(owner)
                    .take_while(|name| *name != apex)
                    .last()
                    .unwrap_or(owner);
                let branch = [("name.endswith", branch.to_owned())];
                let wildcard = [("name.exact", format!("*.{apex}"))];
                let (mut view, beside) =
                    futures::try_join!(self.records(zone, &branch), self.records(zone, &wildcard))?;
                view.records.extend(beside.records);
                view.unreadable.extend(beside.unreadable);
                view
            }
            _ => self.records(zone, &[]).await?,
        };
        view.records.retain(|record| is_within(&record.name, apex));
        Ok(view)
    }

    fn check_room(
        &self,
        owner: &str,
        there: &[&Listed],
        new: &[usize],
    ) -> Result<(), ProviderError> {
        let refused = |text: String, hint: &str| {
            Err(ProviderError::new(ErrorKind::Unsafe, text).with_hint(hint))
        };
        let strings = |octets: usize| octets.div_ceil(255);
        if let Some(long) = new
            .iter()
            .find(|octets| **octets + strings(**octets) > RECORD_OCTETS)
        {
            let text = format!(
                "{owner}: a value of {long} octets; Cloudflare takes {RECORD_OCTETS} in a record"
            );
            return refused(
                text,
                "a value of a CA is much shorter: find out where this one comes from",
            );
        }
        let existing: usize = there
            .iter()
            .map(|listed| listed.content.chars().count())
            .sum();
        // Quotes around each string, a blank between two.
        let comes: usize = new.iter().map(|octets| octets + 3 * strings(*octets)).sum();
        if existing + comes > NAME_CHARACTERS {
            let text = format!(
                "the TXT records of {owner} have {existing} characters, and {comes} more are over Cloudflare's limit of {NAME_CHARACTERS}"
            );
            return refused(
                text,
                "remove TXT records of this name that are no longer needed",
            );
        }
        Ok(())
    }

    async fn write(&self, zone: &Zone, changes: &[Change]) -> Written {
        let (method, last, body) = Self::request(changes);
        let mut path = vec![
            "zones",
            zone.id.as_deref().unwrap_or_default(),
            "dns_records",
        ];
        path.extend(last.as_deref());
        let trying = match changes {
            [Change::Add { kind, owner, .. }] => format!("adding a {kind} record at {owner}"),
            [Change::Remove(listed)] => format!(
                "deleting the {} record {} at {}",
                listed.kind,
                path[3..].concat(),
                listed.name
            ),
            _ => format!(
                "changing {} records of {} together",
                changes.len(),
                zone.apex
            ),
        };
        let ask = Ask {
            method,
            path: &path,
            query: Vec::new(),
            body,
            auth: &self.dns,
        };
        let answer = match self.http.write(&ask).await {
            Ok(answer) => answer,
            Err(NoAnswer::Lost(why)) => return Written::Lost(why),
            Err(no_answer) => {
                return Written::Failed {
                    error: self.http.failed(&trying, &no_answer).into(),
                    stops_all: true,
                };
            }
        };
        match self.judge(&answer) {
            Some(Ok(reply)) => prove(changes, &reply.result),
            Some(Err(Refused {
                refusal: Refusal::Conflict,
                ..
            })) => Written::Conflict,
            Some(Err(refused)) => {
                let stops_all = matches!(
                    refused.refusal,
                    Refusal::Other(ErrorKind::Denied | ErrorKind::Unavailable)
                ) || changes.len() == 1
                    && refused.refusal == Refusal::Other(ErrorKind::NoZone);
                Written::Failed {
                    error: self.error(&trying, &refused),
                    stops_all,
                }
            }
            None if answer.status.is_success() => Written::Lost(answer.described),
            None => Written::Failed {
                error: self.http.unusable(&trying, &answer).into(),
                stops_all: true,
            },
        }
    }
}

/// Whether the answer shows the records as they are stored now, or gone.
fn prove(changes: &[Change], result: &Value) -> Written {
    let one = [result.clone()];
    let list = |key: &str| {
        if changes.len() == 1 {
            &one[..]
        } else {
            result[key].as_array().map_or(&[][..], Vec::as_slice)
        }
    };
    let shown = |change: &Change| match change {
        Change::Remove(listed) => list("deletes")
            .iter()
            .any(|gone| gone["id"] == listed.raw["id"]),
        Change::Add {
            kind, owner, value, ..
        } => list("posts")
            .iter()
            .filter_map(|raw| listed(raw).ok())
            .any(|stored| {
                stored.kind == kind.as_str() && stored.name == *owner && stored.is(value)
            }),
    };
    let id = result["id"].as_str().map(|id| format!("record {id}"));
    if changes.iter().all(shown) {
        Written::Proved(id)
    } else {
        Written::Accepted(id)
    }
}

/// A record of a list or an answer. Whatever else it has or lacks does not matter.
fn listed(raw: &Value) -> Result<Listed, Unreadable> {
    let text = |key: &str| raw[key].as_str();
    let ttl = match raw["ttl"].as_u64() {
        None => Some(AUTOMATIC.1),
        Some(ttl) if ttl == AUTOMATIC.0 => Some(AUTOMATIC.1),
        Some(ttl) => u32::try_from(ttl).ok(),
    };
    let (name, kind) = (
        text("name").map(plain_name),
        text("type").map(str::to_ascii_uppercase),
    );
    // The content of a record of another kind is not read.
    let content = match kind.as_deref() {
        Some("TXT") | None => text("content"),
        Some(_) => Some(text("content").unwrap_or_default()),
    };
    match (text("id"), &name, &kind, ttl, content) {
        (Some(_), Some(name), Some(kind), Some(ttl), Some(content)) => Ok(Listed {
            name: name.clone(),
            kind: kind.clone(),
            ttl,
            content: content.to_owned(),
            raw: raw.clone(),
        }),
        (id, _, _, _, content) => {
            let fault = [
                ("id", id.is_none()),
                ("name", name.is_none()),
                ("type", kind.is_none()),
                ("content", content.is_none()),
            ];
            let faults: Vec<_> = fault
                .iter()
                .filter(|(_, bad)| *bad)
                .map(|(key, _)| *key)
                .collect();
            let faults = if faults.is_empty() {
                "ttl".to_owned()
            } else {
                faults.join("`, `")
            };
            let what = format!(
                "Cloudflare lists a record without a usable `{faults}` (id {}, name {}, type {})",
                id.unwrap_or("?"),
                name.as_deref().unwrap_or("?"),
                kind.as_deref().unwrap_or("?"),
            );
            Err(Unreadable { name, kind, what })
        }
    }
}
