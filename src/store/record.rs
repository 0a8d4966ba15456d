//! What a store is made of, row by row, in one form for every back end: so one can be copied into
//! another and compared with it.
//!
//! Leases are no part of it, and neither is what only one database needs. A row is one JSON object
//! with its keys in the order of the table, the same text wherever it comes from.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::row::{encode, hex, serialize_plain, time};
use super::{NoticeRecord, Store, StoreError};

/// Rows that travel at once.
pub const PAGE: usize = 2_000;

/// The kinds of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The inventory, with what was read and how far each attempt is.
    Domain,
    /// When each client was listed.
    #[serde(rename = "look")]
    Listing,
    /// Every value that was meant for DNS.
    Ledger,
    /// The facts.
    Fact,
    /// The calls that count against the budget.
    Effect,
    /// The history.
    History,
    /// The messages of hooks, so that none counts as new in the copy.
    Hook,
    /// The sent notices.
    Notice,
    /// The certificates, with how far each order is.
    Certificate,
    /// The actions for certificates.
    CertificateHistory,
    /// The persistent records.
    Persistent,
}

/// Some rows of one kind.
#[derive(Debug, Clone)]
pub struct Page {
    /// Each as a JSON object.
    pub rows: Vec<String>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<String>,
}

impl Page {
    /// All rows as one JSON array.
    pub(super) fn as_array(&self) -> String {
        format!("[{}]", self.rows.join(","))
    }
}

/// How many rows of a kind there are, and what they come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Content {
    /// The kind.
    pub kind: Kind,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 over them, in hexadecimal.
    pub digest: String,
}

impl Kind {
    /// All of them, those that others depend on first.
    pub const ALL: [Self; 11] = [
        Self::Domain,
        Self::Listing,
        Self::Ledger,
        Self::Fact,
        Self::Effect,
        Self::History,
        Self::Hook,
        Self::Notice,
        Self::Certificate,
        Self::CertificateHistory,
        Self::Persistent,
    ];

    /// The table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Listing => "look",
            Self::Ledger => "ledger",
            Self::Fact => "fact",
            Self::Effect => "effect",
            Self::History => "history",
            Self::Hook => "hook",
            Self::Notice => "notice",
            Self::Certificate => "certificate",
            Self::CertificateHistory => "certificate_history",
            Self::Persistent => "persistent",
        }
    }

    /// The columns that a copy takes along.
    pub(super) fn columns(self) -> &'static str {
        match self {
            Self::Domain => {
                "name, client, ca, provider, origins, due_at, woken_at, at_risk, lease_epoch, claims, read_at, missed_look, \
                 sighting, attempt"
            }
            Self::Listing => "client, at",
            Self::Ledger => {
                "id, owner, value, provider, zone, state, ttl_before, negative_ttl, created_at, published_at, removal_tries, \
                 retry_at, domain, record, kind"
            }
            Self::Fact => "key, value",
            Self::Effect => "at, domain, retry",
            Self::History => "at, run, domain, kind, detail, client",
            Self::Hook => "sender, message, digest, at",
            Self::Notice => "key, state, since",
            Self::Certificate => "name, ca, wanted, home, due_at, lease_epoch, claims, progress",
            Self::CertificateHistory => "at, run, certificate, kind, detail",
            Self::Persistent => "name, domain, issuer, lease_epoch, kept",
        }
    }

    /// The same in a schema of before rows had keys: columns that it lacks say nothing there.
    fn columns_of_older(self) -> String {
        let new: &[&str] = match self {
            Self::Ledger => &["domain", "record", "kind"],
            Self::History => &["client"],
            _ => &[],
        };
        let columns = self.columns().split(", ").map(|column| {
            let column = column.trim();
            if new.contains(&column) {
                format!("CAST(NULL AS text) AS {column}")
            } else {
                column.to_owned()
            }
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    /// A statement for one page: its parameters are the last key before it and the number of rows.
    /// `id` is what orders rows that have no key of their own.
    pub(super) fn select(self, id: &str, is_older: bool) -> String {
        let (key, from) = match self {
            Self::Domain | Self::Certificate | Self::Persistent => ("name", "?"),
            Self::Listing => ("client", "?"),
            Self::Fact | Self::Notice => ("key", "?"),
            Self::Ledger => ("id", "CAST(? AS bigint)"),
            Self::Effect | Self::History | Self::Hook | Self::CertificateHistory => {
                (id, "CAST(? AS bigint)")
            }
        };
        let columns = match is_older {
            true => self.columns_of_older(),
            false => self.columns().to_owned(),
        };
        let (table, from) = (self.as_str(), from.replace('?', "$1"));
        format!(
            "SELECT {columns}, CAST({key} AS text) AS cursor FROM {table} WHERE {key} > {from} ORDER BY {key} LIMIT $2"
        )
    }

    /// Before the first key.
    pub(super) fn start(self) -> String {
        match self {
            Self::Domain
            | Self::Listing
            | Self::Fact
            | Self::Notice
            | Self::Certificate
            | Self::Persistent => String::new(),
            Self::Ledger | Self::Effect | Self::History | Self::Hook | Self::CertificateHistory => {
                i64::MIN.to_string()
            }
        }
    }
}

/// Reads all rows of a kind and says what they come to.
///
/// # Errors
/// An error of the store.
pub async fn content(store: &dyn Store, kind: Kind) -> Result<Content, StoreError> {
    let (mut digest, mut rows, mut after) = (Sha256::new(), 0, None);
    loop {
        let page = store.records(kind, after.as_deref()).await?;
        for row in &page.rows {
            digest.update(row);
            digest.update(b"\n");
        }
        rows += page.rows.len() as u64;
        after = page.next;
        if after.is_none() {
            let digest = hex(&digest.finalize());
            return Ok(Content { kind, rows, digest });
        }
    }
}

/// A copy goes where nothing is.
pub(super) fn not_empty(place: &str, kind: Kind) -> StoreError {
    StoreError::Unfit {
        message: format!(
            "{place} is not empty: there are rows of `{}`",
            kind.as_str()
        ),
        hint: "copy into a new store; nothing was changed in this one".to_owned(),
    }
}

/// A row with the key it was found by.
#[derive(sqlx_macros::FromRow)]
pub(super) struct Found<T> {
    #[sqlx(flatten)]
    row: T,
    cursor: String,
}

/// A page of what a statement of [`Kind::select`] found.
pub(super) fn page<T: Serialize>(found: Vec<Found<T>>) -> Result<Page, StoreError> {
    let next = (found.len() == PAGE)
        .then(|| found.last().map(|found| found.cursor.clone()))
        .flatten();
    Ok(Page {
        rows: found
            .iter()
            .map(|found| encode(&found.row))
            .collect::<Result<_, _>>()?,
        next,
    })
}

#[derive(Serialize, sqlx_macros::FromRow)]
pub(super) struct DomainRecord {
    name: String,
    client: String,
    ca: String,
    provider: Option<String>,
    origins: i64,
    due_at: Option<i64>,
    woken_at: Option<i64>,
    at_risk: bool,
    lease_epoch: i64,
    claims: i64,
    read_at: Option<i64>,
    missed_look: Option<i64>,
    sighting: String,
    attempt: String,
}

#[derive(Serialize, sqlx_macros::FromRow)]
pub(super) struct CertificateRecord {
    name: String,
    ca: String,
    wanted: bool,
    home: Option<String>,
    due_at: Option<i64>,
    lease_epoch: i64,
    claims: i64,
    progress: String,
}

#[derive(Serialize, sqlx_macros::FromRow)]
pub(super) struct PersistentRecord {
    name: String,
    domain: String,
    issuer: String,
    lease_epoch: i64,
    kept: String,
}

#[derive(Serialize, sqlx_macros::FromRow)]
pub(super) struct ListingRecord {
    client: String,
    at: i64,
}

#[derive(Serialize, sqlx_macros::FromRow)]
pub(super) struct FactRecord {
    key: String,
    #[serde(serialize_with = "serialize_plain")]
    value: String,
}

#[derive(Serialize, sqlx_macros::FromRow)]
pub(super) struct EffectRecord {
    at: i64,
    domain: String,
    retry: bool,
}

#[derive(Serialize, sqlx_macros::FromRow)]
pub(super) struct HookRecord {
    sender: String,
    message: String,
    digest: String,
    at: i64,
}

#[derive(Serialize, sqlx_macros::FromRow)]
pub(super) struct RawNotice {
    key: String,
    state: String,
    since: i64,
}

impl TryFrom<RawNotice> for NoticeRecord {
    type Error = StoreError;

    fn try_from(raw: RawNotice) -> Result<Self, StoreError> {
        Ok(Self {
            since: time(raw.since)?,
            key: raw.key,
            state: raw.state,
        })
    }
}

/// All rows of one page, by the statement, from one kind of database.
macro_rules! found {
    ($kind:expr, $fetch:expr) => {
        match $kind {
            $crate::store::record::Kind::Domain => {
                $crate::store::record::page::<$crate::store::record::DomainRecord>($fetch)
            }
            $crate::store::record::Kind::Listing => {
                $crate::store::record::page::<$crate::store::record::ListingRecord>($fetch)
            }
            $crate::store::record::Kind::Ledger => {
                $crate::store::record::page::<$crate::store::row::RawEntry>($fetch)
            }
            $crate::store::record::Kind::Fact => {
                $crate::store::record::page::<$crate::store::record::FactRecord>($fetch)
            }
            $crate::store::record::Kind::Effect => {
                $crate::store::record::page::<$crate::store::record::EffectRecord>($fetch)
            }
            $crate::store::record::Kind::History => {
                $crate::store::record::page::<$crate::store::row::RawEvent>($fetch)
            }
            $crate::store::record::Kind::Hook => {
                $crate::store::record::page::<$crate::store::record::HookRecord>($fetch)
            }
            $crate::store::record::Kind::Notice => {
                $crate::store::record::page::<$crate::store::record::RawNotice>($fetch)
            }
            $crate::store::record::Kind::Certificate => {
                $crate::store::record::page::<$crate::store::record::CertificateRecord>($fetch)
            }
            $crate::store::record::Kind::CertificateHistory => {
                $crate::store::record::page::<$crate::store::row::RawCertificateEvent>($fetch)
            }
            $crate::store::record::Kind::Persistent => {
                $crate::store::record::page::<$crate::store::record::PersistentRecord>($fetch)
            }
        }
    };
}
pub(super) use found;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Kind;

    /// Scripts read it in the JSON of `store copy`.
    #[test]
    fn the_name_of_a_kind_in_json_is_the_one_in_messages() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
