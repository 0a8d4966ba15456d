//! Rows of tables and values of the store's words, both ways; every back end has the same columns.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use crate::issuance::Progress;
use crate::persistent::Kept;
use crate::prevalidation::{
    DomainName, LedgerEntry, LedgerState, RecordType, RowKey, Sighting, Upkeep,
};
use crate::store::orders::{CertificateEvent, CertificateRow};
use crate::store::persistent::PersistentRow;
use crate::store::{DomainRow, Event, Origin, StoreError};

/// A row of `domain_view`.
#[derive(sqlx_macros::FromRow)]
pub(in crate::store) struct RawDomain {
    name: String,
    client: String,
    ca: String,
    provider: Option<String>,
    origins: i64,
    sighting: String,
    attempt: String,
    due_at: Option<i64>,
    at_risk: bool,
    read_at: Option<i64>,
}

impl TryFrom<RawDomain> for DomainRow {
    type Error = StoreError;

    fn try_from(raw: RawDomain) -> Result<Self, StoreError> {
        let key = key(&raw.name)?;
        Ok(Self {
            sighting: if raw.sighting == UNREAD {
                Sighting::Unread
            } else {
                decode(&raw.sighting, "sighting", &raw.name)?
            },
            upkeep: if raw.attempt == NO_ATTEMPT {
                Upkeep::default()
            } else {
                decode(&raw.attempt, "attempt", &raw.name)?
            },
            due_at: raw.due_at.map(time).transpose()?,
            read_at: raw.read_at.map(time).transpose()?,
            origins: [Origin::Config, Origin::Added]
                .into_iter()
                .filter(|&o| raw.origins & bit(o) != 0)
                .collect(),
            domain: key.domain().clone(),
            key,
            client: raw.client,
            ca: raw.ca,
            provider: raw.provider,
            at_risk: raw.at_risk,
        })
    }
}

/// A row of `ledger`.
#[derive(Serialize, sqlx_macros::FromRow)]
pub(in crate::store) struct RawEntry {
    id: i64,
    owner: String,
    value: String,
    provider: String,
    zone: Option<String>,
    state: String,
    ttl_before: Option<i64>,
    negative_ttl: Option<i64>,
    created_at: i64,
    published_at: Option<i64>,
    removal_tries: i64,
    retry_at: Option<i64>,
    domain: Option<String>,
    record: Option<String>,
    kind: Option<String>,
}

/// The columns that say which record an entry is for. Those of a TXT value at the domain of a first
/// row are as older programs write them; for any other they find no row.
pub(in crate::store) struct Place<'a> {
    pub owner: Cow<'a, str>,
    pub domain: Option<&'a str>,
    pub record: Option<&'a str>,
    pub kind: Option<&'static str>,
}

impl<'a> Place<'a> {
    pub(in crate::store) fn of(entry: &'a LedgerEntry) -> Self {
        if entry.is_plain() {
            return Self {
                owner: entry.owner.as_str().into(),
                domain: None,
                record: None,
                kind: None,
            };
        }
        let row = entry.key.text();
        Self {
            owner: format!("{row} {} {}", entry.owner, entry.kind).into(),
            domain: Some(row),
            record: Some(&entry.owner),
            kind: Some(entry.kind.as_str()),
        }
    }
}

impl TryFrom<RawEntry> for LedgerEntry {
    type Error = StoreError;

    fn try_from(raw: RawEntry) -> Result<Self, StoreError> {
        let state = match raw.state.as_str() {
            "intended" => LedgerState::Intended,
            "published" => LedgerState::Published,
            "foreign" => LedgerState::Foreign,
            "removing" => LedgerState::Removing,
            "removed" => LedgerState::Removed,
            other => {
                return Err(StoreError::Corrupt(format!(
                    "ledger entry {} is in state `{other}`",
                    raw.id
                )));
            }
        };
        let kind = match raw.kind.as_deref() {
            None | Some("TXT") => RecordType::Txt,
            Some("CNAME") => RecordType::Cname,
            Some(other) => {
                return Err(StoreError::Corrupt(format!(
                    "ledger entry {} is a record of type `{other}`",
                    raw.id
                )));
            }
        };
        Ok(Self {
            id: raw.id,
            key: key(raw.domain.as_deref().unwrap_or(&raw.owner))?,
            owner: raw.record.unwrap_or(raw.owner),
            kind,
            value: raw.value,
            provider: raw.provider,
            zone: raw.zone,
            state,
            ttl_before: raw.ttl_before.map(count).transpose()?,
            negative_ttl: raw.negative_ttl.map(count).transpose()?,
            created_at: time(raw.created_at)?,
            published_at: raw.published_at.map(time).transpose()?,
            removal_tries: count(raw.removal_tries)?,
            retry_at: raw.retry_at.map(time).transpose()?,
        })
    }
}

/// A row of `history`.
#[derive(Serialize, sqlx_macros::FromRow)]
pub(in crate::store) struct RawEvent {
    at: i64,
    run: String,
    domain: Option<String>,
    kind: String,
    #[serde(serialize_with = "serialize_plain")]
    detail: String,
    client: Option<String>,
}

impl TryFrom<RawEvent> for Event {
    type Error = StoreError;

    fn try_from(raw: RawEvent) -> Result<Self, StoreError> {
        let domain = raw.domain.as_deref().map(name).transpose()?;
        Ok(Self {
            at: time(raw.at)?,
            run: raw.run,
            domain,
            client: raw.client,
            kind: raw.kind,
            detail: raw.detail,
        })
    }
}

/// A row of `certificate`.
#[derive(sqlx_macros::FromRow)]
pub(in crate::store) struct RawCertificate {
    name: String,
    ca: String,
    wanted: bool,
    home: Option<String>,
    due_at: Option<i64>,
    progress: String,
}

impl TryFrom<RawCertificate> for CertificateRow {
    type Error = StoreError;

    fn try_from(raw: RawCertificate) -> Result<Self, StoreError> {
        let progress: Progress = decode(&raw.progress, "progress", &raw.name)?;
        Ok(Self {
            progress: progress.brought_up(&raw.ca),
            due_at: raw.due_at.map(time).transpose()?,
            name: raw.name,
            ca: raw.ca,
            wanted: raw.wanted,
            home: raw.home,
        })
    }
}

/// A row of `certificate_history`.
#[derive(Serialize, sqlx_macros::FromRow)]
pub(in crate::store) struct RawCertificateEvent {
    at: i64,
    run: String,
    certificate: String,
    kind: String,
    #[serde(serialize_with = "serialize_plain")]
    detail: String,
}

impl TryFrom<RawCertificateEvent> for CertificateEvent {
    type Error = StoreError;

    fn try_from(raw: RawCertificateEvent) -> Result<Self, StoreError> {
        Ok(Self {
            at: time(raw.at)?,
            run: raw.run,
            certificate: raw.certificate,
            kind: raw.kind,
            detail: raw.detail,
        })
    }
}

/// A row of `persistent`.
#[derive(sqlx_macros::FromRow)]
pub(in crate::store) struct RawPersistent {
    domain: String,
    issuer: String,
    kept: String,
}

impl TryFrom<RawPersistent> for PersistentRow {
    type Error = StoreError;

    fn try_from(raw: RawPersistent) -> Result<Self, StoreError> {
        let kept: Kept = decode(&raw.kept, "persistent record", &raw.domain)?;
        Ok(Self {
            domain: name(&raw.domain)?,
            issuer: raw.issuer,
            kept,
        })
    }
}

/// As the schema's default has it.
const UNREAD: &str = "\"unread\"";
/// As the schema's default has it: most domains have no attempt, and a night reads them all.
const NO_ATTEMPT: &str = "{}";

pub(in crate::store) fn attempt(upkeep: &Upkeep) -> Result<String, StoreError> {
    if *upkeep == Upkeep::default() {
        Ok(NO_ATTEMPT.to_owned())
    } else {
        encode(upkeep)
    }
}

pub(in crate::store) fn state(state: LedgerState) -> &'static str {
    match state {
        LedgerState::Intended => "intended",
        LedgerState::Published => "published",
        LedgerState::Foreign => "foreign",
        LedgerState::Removing => "removing",
        LedgerState::Removed => "removed",
    }
}

/// The bit of an origin in `domain.origins`.
pub(in crate::store) fn bit(origin: Origin) -> i64 {
    match origin {
        Origin::Config => 1,
        Origin::Added => 2,
    }
}

pub(in crate::store) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|e| StoreError::Corrupt(format!("a value that cannot be stored: {e}")))
}

/// Without zero bytes, which no text of PostgreSQL holds; what a CA or a name server says may.
pub(in crate::store) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}

pub(in crate::store) fn serialize_plain<S: Serializer>(
    text: &str,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.serialize_str(&plain(text))
}

pub(in crate::store) fn name(text: &str) -> Result<DomainName, StoreError> {
    DomainName::from_a_labels(text).map_err(|e| StoreError::Corrupt(format!("a row's name: {e}")))
}

pub(in crate::store) fn key(text: &str) -> Result<RowKey, StoreError> {
    RowKey::read(text).map_err(|e| StoreError::Corrupt(format!("a row's name: {e}")))
}

pub(in crate::store) fn time(us: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(us)
        .map_err(|e| StoreError::Corrupt(format!("the time {us} µs: {e}")))
}

pub(in crate::store) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SQL has no unsigned numbers.
pub(in crate::store) fn count(number: i64) -> Result<u32, StoreError> {
    u32::try_from(number)
        .map_err(|_| StoreError::Corrupt(format!("the number {number}, which is no count")))
}

fn decode<T: DeserializeOwned>(json: &str, what: &str, of: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|e| StoreError::Corrupt(format!("the {what} of {of}: {e}")))
}
