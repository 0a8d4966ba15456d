//! Cloudflare, by its API v4 (developers.cloudflare.com/api): zones, single TXT records, nothing
//! else of an account.
//!
//! Each record is an entry of its own there, with an id: a value comes by POST and goes by DELETE
//! of an id whose content was just read, so no foreign value can get lost. [`zones`] finds the
//! zone, [`calls`] reads and writes records, [`answer`] says what an answer means, [`table`] reads
//! the settings.

mod answer;
mod calls;
mod table;
mod zones;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use prevalidate_kit::http::Http;
use reqwest::Method;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

pub(crate) use table::KIND;

use crate::provider::{ErrorKind, Preflight, Provider, ProviderError};
use crate::record::{Receipt, Record, RecordKind, TxtRrset, Zone};
use crate::records::{Records, Verb};
use zones::Zones;

/// A token that was good a moment ago is not asked about again.
const VERIFIED_FOR: Duration = Duration::from_secs(300);
/// The permission to write records, as zone objects name it.
const EDIT: &str = "#dns_records:edit";

/// The provider.
pub struct Cloudflare(Records<Api>);

/// One account, or one zone of it.
struct Api {
    http: Http,
    /// Credentials for records.
    dns: HeaderMap,
    /// Credentials for the list of zones; the same unless a token for zones is configured.
    zone: HeaderMap,
    is_global_key: bool,
    zones: Zones,
    ttl: u32,
    may_shadow: bool,
    verified: Mutex<Option<(Instant, Verified)>>,
}

/// The known facts about a token.
#[derive(Debug, Clone)]
enum Verified {
    Active(String),
    /// Cloudflare does not say: not a reason to refuse, the records can be read with it.
    Unclear(String),
}

impl fmt::Debug for Cloudflare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Api {
            http, zones, ttl, ..
        } = &self.0.api;
        f.debug_struct("Cloudflare")
            .field("http", http)
            .field("zones", zones)
            .field("ttl", ttl)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for Cloudflare {
    fn kind(&self) -> &'static str {
        "cloudflare"
    }

    async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError> {
        self.0.find_zone(owner).await
    }

    async fn inspect(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        self.0.inspect(owner).await
    }

    async fn ensure_present(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.0.change(records, Verb::Present).await
    }

    async fn ensure_absent(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.0.change(records, Verb::Absent).await
    }

    /// Reads what a publish would read, asks Cloudflare whether the token is active, and reads
    /// the zone's permissions. Nothing short of a write proves a write here, so where Cloudflare
    /// does not tell, a warning says so.
    async fn preflight(&self, owner: &str, kind: RecordKind) -> Result<Preflight, ProviderError> {
        let (rrset, api) = (self.0.rehearse(owner, kind).await?, &self.0.api);
        let mut evidence = vec![format!("the {kind} records of {owner} were read")];
        let mut warnings = Vec::new();
        match api.verify().await? {
            Verified::Active(what) => evidence.push(what),
            Verified::Unclear(what) => warnings.push(what),
        }
        let apex = &rrset.zone.apex;
        match api.permissions(&rrset.zone).await? {
            Some(permissions) if permissions.iter().any(|permission| permission == EDIT) => {
                evidence.push(format!("the zone {apex} grants {EDIT}"));
            }
            Some(permissions) => {
                let text = format!("the zone {apex} grants {}, and not {EDIT}", permissions.join(", "));
                return Err(ProviderError::new(ErrorKind::Denied, text)
                    .with_hint("give `token` the permission Zone / DNS / Edit for this zone"));
            }
            None => warnings.push(format!(
                "whether records of {apex} may be written shows only when one is: the token may not read the zone's permissions"
            )),
        }
        if api.is_global_key {
            warnings
                .push("`global_key` may do everything in the whole account: use a token for Zone / DNS / Edit".into());
        }
        warnings.extend(rrset.udp_warning());
        let evidence = format!(
            "{}: {}; nothing was changed",
            api.http.host(),
            evidence.join(", ")
        );
        Ok(Preflight {
            zone: rrset.zone,
            evidence,
            warnings,
        })
    }
}

impl Api {
    /// Whether the token is active, from Cloudflare's own mouth. Tokens of an account and tokens of
    /// a user have a place each.
    async fn verify(&self) -> Result<Verified, ProviderError> {
        let known = self
            .verified
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((at, verified)) = known
            && at.elapsed() < VERIFIED_FOR
        {
            return Ok(verified);
        }
        if self.is_global_key {
            return Ok(Verified::Active("a global key was used".into()));
        }
        let mut places = vec![vec!["user", "tokens", "verify"]];
        let account = self.zones.account_id.as_deref();
        places.extend(account.map(|account| vec!["accounts", account, "tokens", "verify"]));
        let mut verified = None;
        for path in places {
            match self
                .ask(
                    Method::GET,
                    &path,
                    Vec::new(),
                    &self.dns,
                    "verifying the token",
                )
                .await
            {
                Ok(reply) => {
                    let status = self
                        .http
                        .clean(reply.result["status"].as_str().unwrap_or("unknown"));
                    let ends = reply.result["expires_on"]
                        .as_str()
                        .map(|end| format!(" until {end}"))
                        .unwrap_or_default();
                    if status != "active" {
                        let text = format!(
                            "verifying the token at {}: it is {status}",
                            self.http.host()
                        );
                        return Err(ProviderError::new(ErrorKind::Denied, text)
                            .with_hint("roll the token, or make a new one for `token`"));
                    }
                    verified = Some(Verified::Active(format!("the token is {status}{ends}")));
                    break;
                }
                Err(error) if error.kind == ErrorKind::Denied => {}
                Err(error) => return Err(error),
            }
        }
        let verified = verified.unwrap_or_else(|| {
            let also = if account.is_none() {
                "; a token of an account needs `account_id` for that"
            } else {
                ""
            };
            Verified::Unclear(format!(
                "{} does not verify the token{also}",
                self.http.host()
            ))
        });
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), verified.clone()));
        Ok(verified)
    }

    /// What the token for records may do in the zone, as far as it may know.
    async fn permissions(&self, zone: &Zone) -> Result<Option<Vec<String>>, ProviderError> {
        if self.dns == self.zone {
            let all = self.zones.all(self).await?;
            let found = all.iter().find(|known| Some(&known.id) == zone.id.as_ref());
            return Ok(found.and_then(|known| known.permissions.clone()));
        }
        let id = zone.id.as_deref().unwrap_or_default();
        match self
            .ask(
                Method::GET,
                &["zones", id],
                Vec::new(),
                &self.dns,
                "asking for the zone",
            )
            .await
        {
            Ok(reply) => {
                Ok(zones::CloudflareZone::read(&reply.result).and_then(|known| known.permissions))
            }
            Err(error) if error.kind == ErrorKind::Denied => Ok(None),
            Err(error) => Err(error),
        }
    }
}
