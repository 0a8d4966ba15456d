//! Which of the account's zones holds a name, and whether Cloudflare answers for it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::Api;
use crate::provider::{ErrorKind, ProviderError};
use crate::record::Zone;
use crate::records::{plain_name, upwards};

/// One list of zones serves all domains of a run; a new zone is seen after this time at the latest.
const FRESH_FOR: Duration = Duration::from_secs(300);
/// The most zones that Cloudflare returns in a list.
const ZONES_PER_PAGE: u64 = 50;

/// The zones that the settings leave to choose from.
#[derive(Debug)]
pub(super) struct Zones {
    pub(super) account_id: Option<String>,
    /// Only this one.
    zone_id: Option<String>,
    /// Its name, for a token that may read no zones.
    zone: Option<String>,
    known: tokio::sync::Mutex<Option<(Instant, Arc<Vec<CloudflareZone>>)>>,
}

/// A zone as Cloudflare shows it. All but the first two may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CloudflareZone {
    pub(super) id: String,
    pub(super) name: String,
    status: Option<String>,
    paused: bool,
    /// `full`; `partial` and `secondary` zones are written elsewhere.
    kind: Option<String>,
    name_servers: Vec<String>,
    account: String,
    pub(super) permissions: Option<Vec<String>>,
}

impl CloudflareZone {
    pub(super) fn read(json: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let texts =
            |value: &Value| -> Option<Vec<String>> { value.as_array()?.iter().map(text).collect() };
        Some(Self {
            id: text(&json["id"])?,
            name: plain_name(json["name"].as_str()?),
            status: text(&json["status"]),
            paused: json["paused"].as_bool().unwrap_or(false),
            kind: text(&json["type"]),
            name_servers: texts(&json["name_servers"])
                .unwrap_or_default()
                .iter()
                .map(|name| plain_name(name))
                .collect(),
            account: text(&json["account"]["name"])
                .or_else(|| text(&json["account"]["id"]))
                .unwrap_or_default(),
            permissions: texts(&json["permissions"]).filter(|permissions| !permissions.is_empty()),
        })
    }

    /// A zone of which nothing but the name can be read.
    fn unreadable(name: &str) -> Self {
        Self {
            id: String::new(),
            name: plain_name(name),
            status: None,
            paused: false,
            kind: None,
            name_servers: Vec::new(),
            account: String::new(),
            permissions: None,
        }
    }

    /// Why a value written here would not be visible.
    fn idle(&self) -> Option<String> {
        match (self.status.as_deref(), self.kind.as_deref()) {
            (Some(status), _) if status != "active" => Some(format!("is {status}, not active")),
            (_, Some(kind)) if kind != "full" => {
                Some(format!("is a {kind} zone: its records are kept elsewhere"))
            }
            _ if self.paused => Some("is paused".into()),
            _ => None,
        }
    }

    fn described(&self) -> String {
        let state = self.idle().unwrap_or_else(|| "is active".into());
        format!(
            "{} of account {:?} {state}, on {}",
            self.id,
            self.account,
            self.name_servers.join(" ")
        )
    }

    fn zone(&self) -> Zone {
        Zone {
            apex: self.name.clone(),
            id: Some(self.id.clone()),
            name_servers: self.name_servers.clone(),
        }
    }
}

impl Zones {
    pub(super) fn new(
        account_id: Option<String>,
        zone_id: Option<String>,
        zone: Option<String>,
    ) -> Self {
        Self {
            account_id,
            zone_id,
            zone,
            known: tokio::sync::Mutex::default(),
        }
    }

    /// All zones, at most [`FRESH_FOR`] old. A call in the meantime waits and has the same list.
    pub(super) async fn all(&self, api: &Api) -> Result<Arc<Vec<CloudflareZone>>, ProviderError> {
        let mut known = self.known.lock().await;
        if let Some((at, zones)) = &*known
            && at.elapsed() < FRESH_FOR
        {
            return Ok(Arc::clone(zones));
        }
        let zones = Arc::new(match &self.zone_id {
            Some(id) => vec![self.only(api, id).await?],
            None => self.list(api).await?,
        });
        *known = Some((Instant::now(), Arc::clone(&zones)));
        Ok(zones)
    }

    /// The next read lists them again.
    pub(super) async fn forget(&self) {
        *self.known.lock().await = None;
    }

    async fn only(&self, api: &Api, id: &str) -> Result<CloudflareZone, ProviderError> {
        let trying = format!("asking for the zone {id}");
        let found = match api
            .ask(Method::GET, &["zones", id], Vec::new(), &api.zone, &trying)
            .await
        {
            Ok(reply) => CloudflareZone::read(&reply.result).ok_or_else(|| {
                ProviderError::new(
                    ErrorKind::Unavailable,
                    format!("{trying}: the answer names no zone"),
                )
            })?,
            Err(error) => match (&self.zone, error.kind) {
                (Some(name), ErrorKind::Denied) => {
                    return Ok(CloudflareZone {
                        id: id.to_owned(),
                        name: name.clone(),
                        status: None,
                        paused: false,
                        kind: None,
                        name_servers: Vec::new(),
                        account: String::new(),
                        permissions: None,
                    });
                }
                (None, ErrorKind::Denied) => {
                    let hint = "give the token Zone / Zone / Read, or name the zone of `zone_id` in `zone`";
                    return Err(error.with_hint(hint));
                }
                _ => return Err(error),
            },
        };
        match &self.zone {
            Some(name) if *name != found.name => {
                let text = format!(
                    "`zone_id` {id} is the zone {}, and `zone` says {name}",
                    found.name
                );
                Err(ProviderError::new(ErrorKind::Settings, text)
                    .with_hint("repair one of the two"))
            }
            _ => Ok(found),
        }
    }

    async fn list(&self, api: &Api) -> Result<Vec<CloudflareZone>, ProviderError> {
        let mut query = vec![("per_page", ZONES_PER_PAGE.to_string())];
        query.extend(self.account_id.clone().map(|id| ("account.id", id)));
        let found = api
            .pages(
                &["zones"],
                query,
                &api.zone,
                ZONES_PER_PAGE,
                "listing the zones",
            )
            .await?;
        let mut zones = Vec::new();
        for json in &found {
            match CloudflareZone::read(json) {
                Some(zone) => zones.push(zone),
                // Its names would be searched for in the zone above.
                None => match json["name"].as_str() {
                    Some(name) => zones.push(CloudflareZone::unreadable(name)),
                    None => {
                        let text = "listing the zones: an entry of the list has no `name`";
                        return Err(ProviderError::new(ErrorKind::Unavailable, text)
                            .with_hint("name the zone of this table in `zone_id`"));
                    }
                },
            }
        }
        Ok(zones)
    }

    /// The zone of a name: the longest match on labels, and of several with one name the one that
    /// is in use.
    pub(super) async fn find(&self, api: &Api, owner: &str) -> Result<Zone, ProviderError> {
        let all = self.all(api).await?;
        let longest = upwards(owner).find(|name| all.iter().any(|zone| zone.name == *name));
        let named: Vec<_> = all
            .iter()
            .filter(|zone| Some(zone.name.as_str()) == longest)
            .collect();
        let live: Vec<_> = named.iter().filter(|zone| zone.idle().is_none()).collect();
        if let Some(bad) = named.iter().find(|zone| zone.id.is_empty()) {
            let text = format!(
                "Cloudflare lists the zone {} without an `id`: it can be neither read nor written",
                bad.name
            );
            return Err(ProviderError::new(ErrorKind::Unavailable, text));
        }
        match (named.as_slice(), live.as_slice()) {
            ([zone], _) => Ok(zone.zone()),
            (_, [zone]) => Ok(zone.zone()),
            ([], _) => Err(self.none(owner, &all)),
            _ => {
                let candidates: Vec<_> = named.iter().map(|zone| zone.described()).collect();
                let text = format!("several zones hold {owner}: {}", candidates.join("; "));
                Err(ProviderError::new(ErrorKind::NoZone, text)
                    .with_hint("choose with `account_id` or `zone_id`"))
            }
        }
    }

    fn none(&self, owner: &str, all: &[CloudflareZone]) -> ProviderError {
        let seen = match all {
            [] => "it shows no zone at all".to_owned(),
            [zone] => format!("it shows {} only", zone.name),
            _ => format!("it shows {} others", all.len()),
        };
        let text = format!("Cloudflare shows this token no zone that holds {owner}; {seen}");
        let hint = "check that the token's zone resources include the zone, with Zone / Zone / Read, and check `account_id` and \
                    `zone_id`; or route the domain to another provider";
        ProviderError::new(ErrorKind::NoZone, text).with_hint(hint)
    }

    /// Refuses a zone for which Cloudflare does not answer.
    pub(super) async fn check(&self, api: &Api, zone: &Zone) -> Result<(), ProviderError> {
        let all = self.all(api).await?;
        let known = all.iter().find(|known| Some(&known.id) == zone.id.as_ref());
        let Some(what) = known.and_then(CloudflareZone::idle) else {
            return Ok(());
        };
        let text = format!(
            "the zone {} ({}) {what}: a value there would not be visible",
            zone.apex,
            zone.id.as_deref().unwrap_or_default()
        );
        let hint = "activate the zone at Cloudflare (Overview of the zone; its name servers at the registrar), or route the domain \
                    to the provider that serves it";
        Err(ProviderError::new(ErrorKind::NoZone, text).with_hint(hint))
    }
}
