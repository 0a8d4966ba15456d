//! Rows of tables and values of the store's words, both ways.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::prevalidation::{Attempt, DomainName, LedgerEntry, LedgerState, Sighting};
use crate::store::{DomainRow, Event, Origin, StoreError};

/// A row of `domain_view`.
#[derive(sqlx::FromRow)]
pub(super) struct RawDomain {
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
        Ok(Self {
            sighting: if raw.sighting == UNREAD {
                Sighting::Unread
            } else {
                decode(&raw.sighting, "sighting", &raw.name)?
            },
            attempt: if raw.attempt == NO_ATTEMPT {
                Attempt::default()
            } else {
                decode(&raw.attempt, "attempt", &raw.name)?
            },
            due_at: raw.due_at.map(time).transpose()?,
            read_at: raw.read_at.map(time).transpose()?,
            origins: [Origin::Config, Origin::Added].into_iter().filter(|&o| raw.origins & bit(o) != 0).collect(),
            domain: name(&raw.name)?,
            client: raw.client,
            ca: raw.ca,
            provider: raw.provider,
            at_risk: raw.at_risk,
        })
    }
}

/// A row of `ledger`.
#[derive(sqlx::FromRow)]
pub(super) struct RawEntry {
    id: i64,
    owner: String,
    value: String,
    provider: String,
    zone: Option<String>,
    state: String,
    ttl_before: Option<u32>,
    negative_ttl: Option<u32>,
    created_at: i64,
    published_at: Option<i64>,
    removal_tries: u32,
    retry_at: Option<i64>,
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
            other => return Err(StoreError::Corrupt(format!("ledger entry {} is in state `{other}`", raw.id))),
        };
        Ok(Self {
            id: raw.id,
            owner: raw.owner,
            value: raw.value,
            provider: raw.provider,
            zone: raw.zone,
            state,
            ttl_before: raw.ttl_before,
            negative_ttl: raw.negative_ttl,
            created_at: time(raw.created_at)?,
            published_at: raw.published_at.map(time).transpose()?,
            removal_tries: raw.removal_tries,
            retry_at: raw.retry_at.map(time).transpose()?,
        })
    }
}

/// A row of `history`.
#[derive(sqlx::FromRow)]
pub(super) struct RawEvent {
    at: i64,
    run: String,
    domain: Option<String>,
    kind: String,
    detail: String,
}

impl TryFrom<RawEvent> for Event {
    type Error = StoreError;

    fn try_from(raw: RawEvent) -> Result<Self, StoreError> {
        let domain = raw.domain.as_deref().map(name).transpose()?;
        Ok(Self { at: time(raw.at)?, run: raw.run, domain, kind: raw.kind, detail: raw.detail })
    }
}

/// As the schema's default has it.
const UNREAD: &str = "\"unread\"";
/// As the schema's default has it: most domains have no attempt, and a night reads them all.
const NO_ATTEMPT: &str = "{}";

pub(super) fn attempt(attempt: &Attempt) -> Result<String, StoreError> {
    if *attempt == Attempt::default() { Ok(NO_ATTEMPT.to_owned()) } else { encode(attempt) }
}

pub(super) fn state(state: LedgerState) -> &'static str {
    match state {
        LedgerState::Intended => "intended",
        LedgerState::Published => "published",
        LedgerState::Foreign => "foreign",
        LedgerState::Removing => "removing",
        LedgerState::Removed => "removed",
    }
}

/// The bit of an origin in `domain.origins`.
pub(super) fn bit(origin: Origin) -> i64 {
    match origin {
        Origin::Config => 1,
        Origin::Added => 2,
    }
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Corrupt(format!("a value that cannot be stored: {e}")))
}

pub(super) fn name(text: &str) -> Result<DomainName, StoreError> {
    DomainName::from_a_labels(text).map_err(|e| StoreError::Corrupt(format!("a row's name: {e}")))
}

pub(super) fn time(us: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(us).map_err(|e| StoreError::Corrupt(format!("the time {us} µs: {e}")))
}

fn decode<T: DeserializeOwned>(json: &str, what: &str, of: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|e| StoreError::Corrupt(format!("the {what} of {of}: {e}")))
}
