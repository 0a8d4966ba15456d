//! Amazon Route 53: one read and one write per zone and call, however many values, and no foreign
//! value can get lost.
//!
//! Writing is compare-and-swap: a batch that deletes the TXT RRset exactly as it was read and
//! creates it again with our value more or less. Route 53 makes all of a batch or nothing, so a
//! stale read costs a repetition, never a foreign value or the TTL. UPSERT, which overwrites
//! whatever is there, is never sent and needs no permission.
//!
//! [`access`] gets at credentials, [`api`] makes the calls in their pace, [`zones`] finds the zone,
//! [`reading`] reads it, [`plan`] says what to change, [`change`] changes it, [`text`] reads and
//! writes Route 53's quoting, [`refusal`] says what AWS means, [`table`] reads the settings.

mod access;
mod alias;
mod api;
mod change;
mod lag;
mod plan;
mod reading;
mod refusal;
mod table;
mod text;
mod zones;

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use prevalidate_kit::pace::Pace;

pub use access::{Access, AccessKeys};
pub(crate) use table::KIND;

use crate::edit::{check_owner, in_order};
use crate::provider::{LiveNameServers, Preflight, Provider, ProviderError};
use crate::queues::Queues;
use crate::recent::Recent;
use crate::record::{Receipt, Record, RecordKind, TxtRrset, Zone, cname_values, txt_values};
use api::Api;
use plan::Verb;
use zones::Remembered;

/// The settings of the adapter.
#[derive(Debug, Clone)]
pub struct Route53Settings {
    /// Credentials, region, endpoint.
    pub access: Access,
    /// The only zone to write, `Z0123456789ABC`; otherwise all public zones that the credentials
    /// see.
    pub zone_id: Option<String>,
    /// Seconds, for an RRset that does not exist yet; an existing one keeps its own.
    pub ttl: u32,
    /// For one call, of which a connection may take half.
    pub timeout: Duration,
    /// Calls in a time, together for all providers of this process with the same credentials.
    pub rate: (NonZeroU32, Duration),
    /// Whether a value may be written at a name that only a wildcard answered for: it stops
    /// answering there.
    pub allow_wildcard_shadow: bool,
}

/// The provider.
pub struct Route53 {
    settings: Route53Settings,
    api: Api,
    remembered: Remembered,
    recent: Recent,
    live: Option<LiveNameServers>,
    /// Changes of one zone follow each other: Route 53 refuses one that comes while it takes in
    /// another.
    queues: Queues<String>,
}

impl fmt::Debug for Route53 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route53")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Route53 {
    /// A provider that tells zones of one name apart by what `live` says about their delegation.
    pub fn new(
        settings: Route53Settings,
        live: Option<LiveNameServers>,
        pace: Option<Pace>,
    ) -> Self {
        let api = Api::new(
            settings.access.clone(),
            settings.timeout,
            settings.rate,
            pace,
        );
        Self {
            settings,
            api,
            remembered: Remembered::default(),
            recent: Recent::default(),
            live,
            queues: Queues::default(),
        }
    }

    /// Both types in turn; results in the order of `records`.
    async fn change_records(
        &self,
        records: &[Record],
        verb: fn(RecordKind) -> Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let txt = self
            .change(&txt_values(records), verb(RecordKind::Txt))
            .await;
        let aliases = self
            .change(&cname_values(records), verb(RecordKind::Cname))
            .await;
        in_order(records, txt, aliases)
    }
}

#[async_trait]
impl Provider for Route53 {
    fn kind(&self) -> &'static str {
        "route53"
    }

    /// With the name servers of the zone's delegation set.
    async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError> {
        check_owner(owner)?;
        Ok(self.zone_with_servers(owner).await?.zone())
    }

    async fn inspect(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        check_owner(owner)?;
        let zone = self.zone_of(owner).await?;
        Ok(self
            .list(&zone, &[owner])
            .await?
            .read_name(&zone, owner)?
            .rrset)
    }

    async fn ensure_present(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.change_records(records, Verb::Present).await
    }

    async fn ensure_absent(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.change_records(records, Verb::Absent).await
    }

    /// Sends what a publish would send, one DELETE and one CREATE at the very name, with the DELETE
    /// of a random value that is nowhere. AWS checks permissions (name, type and actions, where the
    /// policy has conditions) before it reads the zone; then Route 53 must refuse the batch as a
    /// whole.
    async fn preflight(&self, owner: &str, kind: RecordKind) -> Result<Preflight, ProviderError> {
        check_owner(owner)?;
        let zone = self.zone_with_servers(owner).await?;
        let (rrset, said) = self.rehearse(&zone, owner, kind).await?;
        let evidence = format!(
            "Route 53 let {} delete and create {kind} at {owner} in zone {} ({}) and refused, as it must, a batch that deletes a \
             random, absent value; nothing changed ({said})",
            self.api.who(),
            zone.apex,
            zone.id,
        );
        Ok(Preflight {
            zone: zone.zone(),
            evidence,
            warnings: rrset.udp_warning().into_iter().collect(),
        })
    }

    /// `INSYNC` of GetChange: all Route 53 name servers have the change, usually within 60 s.
    /// `None` for a change that Route 53 does not know (any more).
    async fn in_sync(&self, change_id: &str) -> Result<Option<bool>, ProviderError> {
        self.api.in_sync(change_id).await
    }
}
