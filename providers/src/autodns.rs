//! AutoDNS of InterNetX, by its JSON API (help.internetx.com, "JSON API Basics";
//! github.com/InterNetX/domainrobot-api).
//!
//! Values come and go by `POST /zone/{origin}/_stream` with `adds` and `rems`: record by record,
//! never by the update of a whole zone. What the API says yes to is read back, because public
//! clients disagree about how names are written in it. [`calls`] reads and writes, [`answer`] says
//! what an answer means, [`table`] reads the settings.

mod answer;
mod calls;
mod table;

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;

use async_trait::async_trait;
use prevalidate_kit::http::Http;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

pub(crate) use table::KIND;

use crate::provider::{Preflight, Provider, ProviderError};
use crate::record::{Receipt, Record, RecordKind, TxtRrset, Zone};
use crate::records::{Records, Verb};

/// The provider.
pub struct Autodns(Records<Api>);

/// One user of AutoDNS in one context.
struct Api {
    http: Http,
    auth: HeaderMap,
    names: RecordNames,
    /// The zones to write, when the settings name them; empty: whatever the user sees.
    only: Vec<String>,
    ttl: u32,
    may_shadow: bool,
    /// What a search for a zone of this name has shown, and when.
    known: Mutex<HashMap<String, (Instant, Option<Found>)>>,
}

/// How a record's name is written in a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecordNames {
    /// `www.example.ch.`, as lego sends it.
    Absolute,
    /// `www`, and nothing for the zone itself, as acme.sh sends it and zones are listed.
    Relative,
}

/// The zone as a search shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    /// The first of its name servers, by which AutoDNS tells zones of one name apart.
    virtual_name_server: String,
}

impl fmt::Debug for Autodns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Api {
            http,
            names,
            only,
            ttl,
            ..
        } = &self.0.api;
        let mut shown = f.debug_struct("Autodns");
        shown
            .field("http", http)
            .field("names", names)
            .field("only", only)
            .field("ttl", ttl)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for Autodns {
    fn kind(&self) -> &'static str {
        "autodns"
    }

    /// With the zone's name servers, which costs a read of the zone.
    async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError> {
        let zone = self.0.find_zone(owner).await?;
        let name_servers = self.0.api.zone(&zone).await?.name_servers;
        Ok(Zone {
            name_servers,
            ..zone
        })
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

    /// Reads what a publish would read. AutoDNS does not tell what a user may change, so a warning
    /// says what stays open.
    async fn preflight(&self, owner: &str, kind: RecordKind) -> Result<Preflight, ProviderError> {
        let (rrset, api) = (self.0.rehearse(owner, kind).await?, &self.0.api);
        let whole = api.zone(&rrset.zone).await?;
        let zone = Zone {
            name_servers: whole.name_servers,
            ..rrset.zone.clone()
        };
        let mut warnings = vec![format!(
            "whether records of {} may be written shows only when one is: AutoDNS does not tell what a user may change",
            zone.apex
        )];
        if whole.domain_safe {
            warnings.push(format!(
                "{} is in AutoDNS' DomainSafe: changes may ask for a PIN and a TAN, which an unattended program cannot give",
                zone.apex
            ));
        }
        if whole.has_free_text {
            warnings.push(format!(
                "{} has free-text records, which are not checked for aliases and wildcards",
                zone.apex
            ));
        }
        warnings.extend(rrset.udp_warning());
        let host = api.http.host();
        let evidence = format!(
            "{host}: the zone {} was read with this user and context, nothing was changed",
            zone.apex
        );
        Ok(Preflight {
            zone,
            evidence,
            warnings,
        })
    }
}
