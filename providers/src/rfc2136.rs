//! Dynamic updates (RFC 2136) signed with TSIG (RFC 8945), over TCP: BIND, Knot, PowerDNS and
//! whatever speaks the same.
//!
//! Every update carries guards that the server checks in the same step: the zone's SOA is the one
//! that was read, the name is no alias and no zone cut, and the TXT RRset is exactly what was read.
//! A stale read, or a read of another zone than the one that takes the write, costs a repetition or
//! a refusal, never a foreign value or its TTL; and what servers do silently (NOERROR at an alias
//! or below a cut, a TTL lowered for all values) cannot happen.
//!
//! [`ask`] asks, [`reading`] reads, [`plan`] decides, [`send`] sends, [`proof`] shows what was done,
//! [`change`] goes through these steps, [`rehearse`] without the change, [`findings`] and [`place`]
//! learn from refused guards, [`caches`] knows those of PowerDNS, [`cname`] has what is special to CNAMEs, [`tsig`] signs and judges
//! replies, [`refusal`] and [`outcome`] have the words, [`table`] reads the settings.

mod ask;
mod caches;
mod change;
mod cname;
mod edit;
mod exchange;
mod findings;
mod key_file;
mod message;
mod outcome;
mod place;
mod plan;
mod proof;
mod reading;
mod refusal;
mod rehearse;
mod send;
mod table;
mod tsig;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

pub use crate::kind::Now;
pub use exchange::{Patience, ServerAddress};
pub use key_file::{TsigKey, read_algorithm, read_key_file};
pub(crate) use table::KIND;
pub use tsig::FUDGE_SECONDS;

use crate::provider::{Preflight, Provider, ProviderError};
use crate::queues::Queues;
use crate::record::{Receipt, Record, RecordKind, TxtRrset, Zone};
use ask::Visit;
use edit::Verb;

/// Whether questions are signed with the key, as updates are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignQuery {
    /// Signed, and without the key where the server does not answer signed questions.
    #[default]
    Auto,
    /// Signed; a server that does not answer them is refused.
    Always,
    /// Without the key.
    Never,
}

/// The settings of the adapter.
#[derive(Debug, Clone)]
pub struct Rfc2136Settings {
    /// The zone's primary.
    pub server: ServerAddress,
    /// The key that may change the zones.
    pub key: TsigKey,
    /// Whether questions are signed.
    pub sign_query: SignQuery,
    /// The zones to write, lower case, no trailing dot; empty: ask the server.
    pub zones: Vec<String>,
    /// Seconds, for an RRset that does not exist yet; an existing one keeps its own.
    pub ttl: u32,
    /// For each exchange.
    pub patience: Patience,
    /// Whether a value may be written at a name that only a wildcard answered for: it stops
    /// answering there.
    pub allow_wildcard_shadow: bool,
}

/// The provider.
pub struct Rfc2136 {
    settings: Rfc2136Settings,
    now: Now,
    /// Changes of one zone follow each other: they would only run into each other's guards.
    queues: Queues<String>,
    /// Until when questions go without the key, because the server refused it.
    without_key_until: Mutex<Option<Timestamp>>,
    /// By zone: what PowerDNS shows and says it has not.
    disowned: Mutex<HashMap<String, caches::Disowned>>,
}

impl fmt::Debug for Rfc2136 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rfc2136")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Rfc2136 {
    /// A provider that takes the time for its signatures from `now`.
    pub fn new(settings: Rfc2136Settings, now: Now) -> Self {
        Self {
            settings,
            now,
            queues: Queues::default(),
            without_key_until: Mutex::default(),
            disowned: Mutex::default(),
        }
    }

    fn disowned(&self) -> MutexGuard<'_, HashMap<String, caches::Disowned>> {
        self.disowned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a person should know about writing here although it works.
    async fn warnings(&self, rrset: &TxtRrset, mname: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        let server = self.settings.server.host().to_ascii_lowercase();
        if server != mname {
            let addresses = async |host: &str| -> Vec<IpAddr> {
                let found = tokio::time::timeout(
                    Duration::from_secs(3),
                    tokio::net::lookup_host((host, 53)),
                )
                .await;
                found
                    .ok()
                    .and_then(Result::ok)
                    .map(|found| found.map(|a| a.ip()).collect())
                    .unwrap_or_default()
            };
            let (ours, theirs) = (addresses(&server).await, addresses(mname).await);
            if !ours.iter().any(|address| theirs.contains(address)) {
                warnings.push(format!(
                    "the SOA of {} names {mname} as primary, updates go to {server}; right for a hidden primary, wrong for a secondary",
                    rrset.zone.apex
                ));
            }
        }
        warnings.extend(rrset.udp_warning());
        warnings
    }
}

/// How long PowerDNS keeps what it has read, as packaged.
const CACHES_LAST: &str = "up to 40 s (query-cache-ttl, packet-cache-ttl)";

/// The behaviour of PowerDNS that no answer shows.
fn powerdns_warning(owner: &str) -> String {
    format!(
        "the server is PowerDNS: a change of the TXT values of {owner} deletes rows of its database that it does \
         not serve (TXT rows with `disabled` set); where there are such rows, use a provider of the kind `manual`. \
         A TTL that is changed in the database without a new serial shows only after {CACHES_LAST}, and a value \
         that is added before that sets it back; query-cache-ttl=0 and packet-cache-ttl=0 in pdns.conf avoid that"
    )
}

#[async_trait]
impl Provider for Rfc2136 {
    fn kind(&self) -> &'static str {
        "rfc2136"
    }

    /// The update carries its prerequisites, and what could not be removed again is refused by them.
    fn rehearses(&self) -> bool {
        true
    }

    /// Since when PowerDNS shows SOAs that it has not: a process of the night may end sooner than
    /// its caches.
    fn memory(&self) -> Option<String> {
        Some(self.remembered())
    }

    fn recall(&self, memory: &str) {
        self.remember(memory);
    }

    async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError> {
        let visit = Visit::new(self);
        let zone = visit.zone_of(owner).await?;
        let name_servers = visit.name_servers(&zone).await?;
        Ok(Zone {
            name_servers,
            ..zone
        })
    }

    async fn inspect(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        let visit = Visit::new(self);
        let zone = visit.zone_of(owner).await?;
        Ok(visit.read_name(owner, &zone).await?.rrset)
    }

    async fn ensure_present(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.change(records, Verb::Present).await
    }

    async fn ensure_absent(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.change(records, Verb::Absent).await
    }

    /// Sends what a publish would send, with the same guards, but with the deletion of a random
    /// value that is not there (RFC 2136, section 3.4.2.4: no error, no new serial). Measured on
    /// BIND, Knot and PowerDNS: it shows zone, key, permission for TXT at this name and clock. An
    /// *empty* update would not: BIND says NOERROR to it even for a key that may do nothing.
    async fn preflight(&self, owner: &str, kind: RecordKind) -> Result<Preflight, ProviderError> {
        let visit = Visit::new(self);
        let zone = visit.zone_of(owner).await?;
        let edit::Done {
            before: rrset,
            mname,
            ..
        } = visit.rehearse(&zone, owner, kind).await?;
        let mut warnings = self.warnings(&rrset, &mname).await;
        if let Some(there) = &rrset.cname {
            warnings.push(format!("{owner} is a CNAME to {there} now"));
        }
        if kind == RecordKind::Txt && visit.is_powerdns().await {
            warnings.push(powerdns_warning(owner));
        }
        let evidence = format!(
            "{} accepted the deletion of a random, absent {kind} record at {} in zone {} (key {}, {}), reply verified, nothing changed",
            self.settings.server,
            rrset.owner,
            zone.apex,
            self.settings.key.name,
            self.settings.key.algorithm(),
        );
        Ok(Preflight {
            zone,
            evidence,
            warnings,
        })
    }
}
