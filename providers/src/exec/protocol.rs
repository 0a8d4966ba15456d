//! The messages, versions 1 and 2. Answers are read leniently: what we do not know is the program's own.

use serde::{Deserialize, Serialize};

use crate::provider::{ErrorKind, ProviderError};
use crate::record::{TxtRecord, TxtRrset, Zone, is_within};

/// Of requests and answers: 2 has CNAME records.
pub(super) const VERSIONS: std::ops::RangeInclusive<u32> = 1..=2;
/// Changes of one call where a program names no number.
const BATCH: usize = 50;

/// What the program can do.
#[derive(Debug, Deserialize)]
pub(super) struct Capabilities {
    pub(super) protocol: u32,
    #[serde(default)]
    pub(super) rehearsal: bool,
    #[serde(default = "batch")]
    pub(super) batch: usize,
}

fn batch() -> usize {
    BATCH
}

/// A request: what belongs to the verb beside what all have.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a, T> {
    pub(super) protocol: u32,
    pub(super) verb: &'a str,
    #[serde(flatten)]
    pub(super) rest: &'a T,
}

/// What `inspect` is asked.
#[derive(Debug, Serialize)]
pub(super) struct Names<'a> {
    pub(super) names: &'a [String],
}

/// What `add` and `remove` are asked.
#[derive(Debug, Serialize)]
pub(super) struct Changes<'a> {
    pub(super) rehearsal: bool,
    pub(super) changes: Vec<Change<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Change<'a> {
    name: &'a str,
    zone: &'a str,
    zone_id: Option<&'a str>,
    ttl: u32,
    records: Vec<String>,
    values: Vec<String>,
    before: Vec<String>,
}

impl<'a> Change<'a> {
    /// `records` more or less than what `look` has; a new RRset takes `new_ttl`.
    pub(super) fn new(look: &'a Look, records: &[TxtRecord], new_ttl: u32) -> Self {
        let TxtRrset {
            zone,
            owner,
            ttl,
            records: before,
            ..
        } = &look.rrset;
        let shown = |records: &[TxtRecord]| records.iter().map(TxtRecord::presentation).collect();
        Self {
            name: owner,
            zone: &zone.apex,
            zone_id: zone.id.as_deref(),
            ttl: ttl.unwrap_or(new_ttl),
            records: shown(records),
            values: records
                .iter()
                .map(|record| String::from_utf8_lossy(&record.joined()).into_owned())
                .collect(),
            before: shown(before),
        }
    }
}

/// What `inspect` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Inspected {
    pub(super) names: Vec<Name>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Name {
    pub(super) name: String,
    zone: Option<String>,
    zone_id: Option<String>,
    ttl: Option<u32>,
    #[serde(default)]
    records: Vec<String>,
    cname: Option<String>,
    serial: Option<u32>,
    negative_ttl: Option<u32>,
    #[serde(default)]
    name_servers: Vec<String>,
    error: Option<String>,
    message: Option<String>,
    hint: Option<String>,
}

/// One name as `inspect` showed it.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) rrset: TxtRrset,
    pub(super) serial: Option<u32>,
}

impl Name {
    /// The answer for this name, or why it cannot be used.
    pub(super) fn look(self) -> Result<Look, ProviderError> {
        let owner = self.name;
        if let Some(error) = self.error {
            let kind = match error.as_str() {
                "unsafe" => ErrorKind::Unsafe,
                "no_zone" => ErrorKind::NoZone,
                "denied" => ErrorKind::Denied,
                "settings" => ErrorKind::Settings,
                _ => ErrorKind::Unavailable,
            };
            let message = self
                .message
                .unwrap_or_else(|| format!("the program says {error}"));
            let message = if message.contains(&owner) {
                message
            } else {
                format!("{owner}: {message}")
            };
            return Err(ProviderError {
                kind,
                message,
                hint: self.hint,
                retry_after: None,
            });
        }
        let unreadable = |what: String| {
            ProviderError::new(
                ErrorKind::Settings,
                format!("the program's answer for {owner} cannot be used: {what}"),
            )
            .with_hint("records stand there as `dig +short` prints them, one text each")
        };
        let zone = self.zone.as_deref().map(plain).unwrap_or_default();
        if zone.is_empty() || !is_within(&owner, &zone) {
            return Err(unreadable(format!("it is not in the zone {zone:?}")));
        }
        let read = |text: &String| {
            TxtRecord::from_presentation(text).map_err(|fault| format!("{fault}, in {text}"))
        };
        let records = self
            .records
            .iter()
            .map(read)
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        let cname = self.cname.as_deref().map(plain);
        let ttl = self.ttl.filter(|_| !records.is_empty() || cname.is_some());
        if ttl.is_none() && !records.is_empty() {
            return Err(unreadable("there are records and no `ttl`".into()));
        }
        let name_servers = self.name_servers.iter().map(|name| plain(name)).collect();
        let zone = Zone {
            apex: zone,
            id: self.zone_id,
            name_servers,
        };
        let rrset = TxtRrset {
            zone,
            owner,
            ttl,
            records,
            cname,
            negative_ttl: self.negative_ttl,
        };
        Ok(Look {
            rrset,
            serial: self.serial,
        })
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
