//! Finding, reading and writing zones.

use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use prevalidate_kit::http::{Ask, NoAnswer};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Api, Found, RecordNames};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{RecordKind, Zone, is_within};
use crate::records::{Change, Listed, RecordApi, Unreadable, View, Written, plain_name, upwards};

/// What was found of zones serves all domains of a run; a new zone is seen after this time at the
/// latest.
const FRESH_FOR: Duration = Duration::from_secs(300);
/// Records of one `_stream`; a zone holds 10,000 at most.
const MOST: usize = 200;

/// A zone as a read shows it.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) name_servers: Vec<String>,
    pub(super) domain_safe: bool,
    pub(super) has_free_text: bool,
    view: View,
}

impl Api {
    /// Searches for a zone of exactly this name.
    async fn search(&self, name: &str) -> Result<Option<Found>, ProviderError> {
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned();
        if let Some((at, found)) = known
            && at.elapsed() < FRESH_FOR
        {
            return Ok(found);
        }
        let trying = format!("searching for the zone {name}");
        let filters = json!([{ "key": "name", "operator": "EQUAL", "value": name }]);
        let query = json!({ "view": { "children": 1 }, "filters": filters });
        let reply = self
            .ask(Method::POST, &["zone", "_search"], Some(query), &trying)
            .await?;
        let named = |zone: &&Value| {
            zone["origin"]
                .as_str()
                .is_some_and(|origin| plain_name(origin) == name)
        };
        let found: Option<Vec<_>> = reply
            .data
            .iter()
            .filter(named)
            .map(|zone| {
                Some(Found {
                    virtual_name_server: zone["virtualNameServer"].as_str()?.to_owned(),
                })
            })
            .collect();
        // A zone that is there and cannot be read must not lead to its parent.
        let found = found.ok_or_else(|| {
            let text = format!("{trying}: the answer does not say on which name server it is");
            ProviderError::new(ErrorKind::Unavailable, text)
        })?;
        if let [_, _, ..] = found.as_slice() {
            let servers: Vec<_> = found
                .iter()
                .map(|found| found.virtual_name_server.as_str())
                .collect();
            let text = format!(
                "AutoDNS has the zone {name} several times, on {}; a change would go to all of them",
                servers.join(", ")
            );
            return Err(ProviderError::new(ErrorKind::NoZone, text).with_hint(
                "delete the copy that is not used, or use a user who sees one of them only",
            ));
        }
        let found = found.into_iter().next();
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_owned(), (Instant::now(), found.clone()));
        Ok(found)
    }

    /// The whole zone: there is no smaller read.
    pub(super) async fn zone(&self, zone: &Zone) -> Result<Whole, ProviderError> {
        let (apex, trying) = (&zone.apex, format!("reading the zone {}", zone.apex));
        let server = zone.id.as_deref().unwrap_or_default();
        let reply = self
            .ask(Method::GET, &["zone", apex, server], None, &trying)
            .await
            .inspect_err(|error| {
                if error.kind == ErrorKind::NoZone {
                    self.known
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(apex);
                }
            })?;
        let Some(json) = reply.data.first() else {
            return Err(ProviderError::new(
                ErrorKind::Unavailable,
                format!("{trying}: the answer holds no zone"),
            ));
        };
        // A record without a TTL has the zone's.
        let default = json["soa"]["ttl"]
            .as_u64()
            .and_then(|ttl| u32::try_from(ttl).ok())
            .unwrap_or(self.ttl);
        let (mut records, mut unreadable) = (Vec::new(), Vec::new());
        for raw in array(&json["resourceRecords"]) {
            match listed(raw, apex, default) {
                Ok(listed) if is_within(&listed.name, apex) => records.push(listed),
                Ok(_) => {}
                Err(bad) => {
                    tracing::warn!(zone = apex, "{}", self.http.clean(&bad.what));
                    unreadable.push(bad);
                }
            }
        }
        if json["wwwInclude"].as_bool() == Some(true) {
            // AutoDNS makes this record up; it is in no list, and a name that exists is not a
            // wildcard's.
            let (kind, content) = (
                "A".to_owned(),
                json["main"]["address"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            );
            records.push(Listed {
                name: format!("www.{apex}"),
                kind,
                ttl: default,
                content,
                raw: Value::Null,
            });
        }
        let name_servers = array(&json["nameServers"])
            .filter_map(|server| server["name"].as_str())
            .map(plain_name);
        Ok(Whole {
            name_servers: name_servers.collect(),
            domain_safe: json["domainsafe"].as_bool() == Some(true),
            has_free_text: array(&json["freeText"]).next().is_some(),
            view: View {
                records,
                unreadable,
                version: json["updated"].as_str().map(str::to_owned),
                negative_ttl: None,
            },
        })
    }

    /// A name as it is sent.
    fn record_name(&self, owner: &str, apex: &str) -> String {
        match self.names {
            RecordNames::Absolute => format!("{owner}."),
            RecordNames::Relative => owner
                .strip_suffix(apex)
                .unwrap_or(owner)
                .trim_end_matches('.')
                .to_owned(),
        }
    }

    fn stream(&self, zone: &Zone, changes: &[Change]) -> Value {
        let (mut adds, mut removals) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Add {
                    kind,
                    owner,
                    value,
                    ttl,
                    beside,
                } => {
                    let name = self.record_name(owner, &zone.apex);
                    let value = match kind {
                        RecordKind::Txt => value.clone(),
                        // Without its dot it would be taken for a name in the zone.
                        RecordKind::Cname => format!("{value}."),
                    };
                    let mut record = json!({ "name": name, "type": kind.as_str(), "value": value });
                    // Beside a record that has the zone's TTL ours has it too.
                    match beside {
                        Some(beside) if beside.raw["ttl"].is_null() => {}
                        Some(beside) => record["ttl"] = beside.raw["ttl"].clone(),
                        None => record["ttl"] = json!(ttl),
                    }
                    adds.push(record);
                }
                // A record goes as it is listed: name, TTL and quotes.
                Change::Remove(listed) => removals.push(listed.raw.clone()),
            }
        }
        let mut stream = serde_json::Map::new();
        for (key, records) in [("adds", adds), ("rems", removals)] {
            if !records.is_empty() {
                stream.insert(key.into(), Value::Array(records));
            }
        }
        Value::Object(stream)
    }
}

#[async_trait]
impl RecordApi for Api {
    fn most(&self) -> usize {
        MOST
    }

    fn ttl(&self) -> u32 {
        self.ttl
    }

    fn may_shadow(&self) -> bool {
        self.may_shadow
    }

    async fn zone_of(&self, owner: &str) -> Result<Zone, ProviderError> {
        let allowed =
            |name: &&str| self.only.is_empty() || self.only.iter().any(|zone| zone == name);
        for name in upwards(owner)
            .filter(|name| name.contains('.'))
            .filter(allowed)
        {
            if let Some(found) = self.search(name).await? {
                return Ok(Zone {
                    id: Some(found.virtual_name_server),
                    ..Zone::of(name)
                });
            }
        }
        let text = format!("AutoDNS shows this user no zone that holds {owner}");
        let hint = "check `context` and `zones`, and that the user may see the zone; or route the domain to another provider";
        Err(ProviderError::new(ErrorKind::NoZone, text).with_hint(hint))
    }

    async fn check_zone(&self, _: &Zone) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn read_zone(&self, zone: &Zone, _: &[String]) -> Result<View, ProviderError> {
        Ok(self.zone(zone).await?.view)
    }

    fn check_room(&self, _: &str, _: &[&Listed], _: &[usize]) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn write(&self, zone: &Zone, changes: &[Change]) -> Written {
        let trying = match changes {
            [Change::Add { kind, owner, .. }] => format!("adding a {kind} record at {owner}"),
            [Change::Remove(listed)] => {
                format!("removing a {} record at {}", listed.kind, listed.name)
            }
            _ => format!("changing {} records of {}", changes.len(), zone.apex),
        };
        let (path, body) = (
            ["zone", &zone.apex, "_stream"],
            Some(self.stream(zone, changes)),
        );
        let ask = Ask {
            method: Method::POST,
            path: &path,
            query: Vec::new(),
            body,
            auth: &self.auth,
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
        match self.judge(&answer, &trying) {
            Some(Ok(reply)) => {
                Written::Accepted(reply.stid.map(|stid| format!("transaction {stid}")))
            }
            Some(Err(refused)) if refused.is_conflict => Written::Conflict,
            Some(Err(refused)) => {
                let stops_all = matches!(refused.error.kind, ErrorKind::Denied | ErrorKind::NoZone);
                Written::Failed {
                    error: refused.error,
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

    /// An absolute name that was taken for a relative one has the zone's name twice.
    fn stray<'a>(
        &self,
        view: &'a View,
        zone: &Zone,
        owner: &str,
        value: &str,
    ) -> Option<(&'a Listed, ProviderError)> {
        let name = format!("{owner}.{}", zone.apex);
        let ours = |listed: &&Listed| listed.record().joined() == value.as_bytes();
        let listed = view
            .records
            .iter()
            .filter(|listed| listed.kind == "TXT" && listed.name == name)
            .find(ours)?;
        let text = format!(
            "AutoDNS took the name of a record for {owner} as {name}; it was removed again"
        );
        let error = ProviderError::new(ErrorKind::Settings, text)
            .with_hint("set record_names = \"relative\"");
        Some((listed, error))
    }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A record of the zone. Names are relative to the zone unless they end in a dot, as in master
/// files (RFC 1035, section 5.1).
fn listed(raw: &Value, apex: &str, default_ttl: u32) -> Result<Listed, Unreadable> {
    let name = match &raw["name"] {
        Value::Null => Some(""),
        name => name.as_str(),
    };
    let name = name.map(|name| match name {
        "" | "@" => apex.to_owned(),
        absolute if absolute.ends_with('.') => plain_name(absolute),
        relative => format!("{}.{apex}", plain_name(relative)),
    });
    let ttl = raw["ttl"]
        .as_u64()
        .and_then(|ttl| u32::try_from(ttl).ok())
        .unwrap_or(default_ttl);
    let kind = raw["type"].as_str().map(str::to_ascii_uppercase);
    // The content of a record of another kind is not read.
    let content = match kind.as_deref() {
        Some("TXT") | None => raw["value"].as_str(),
        Some(_) => Some(raw["value"].as_str().unwrap_or_default()),
    };
    match (name, kind, content) {
        (Some(name), Some(kind), Some(content)) => Ok(Listed {
            name,
            kind,
            ttl,
            content: content.to_owned(),
            raw: raw.clone(),
        }),
        (name, kind, _) => {
            let what = format!(
                "AutoDNS lists a record of {apex} that cannot be read (name {}, type {})",
                name.as_deref().unwrap_or("?"),
                kind.as_deref().unwrap_or("?"),
            );
            Err(Unreadable { name, kind, what })
        }
    }
}
