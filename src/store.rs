//! What survives a crash: inventory, ledger, leases, attempts, observations, history. The port;
//! [`sqlite`] is the embedded store, [`postgres`] the one that several machines share.
//!
//! No transaction is ever open across a network call. Every write by a worker names the epoch of
//! its lease and touches one row; [`StoreError::LeaseLost`] means another worker has taken over,
//! and this worker stops silently (faults W02).

#[doc(hidden)]
pub mod conformance;
mod endpoint;
pub mod orders;
mod pages;
pub mod persistent;
pub mod postgres;
pub mod record;
mod row;
pub mod sqlite;
mod tidy;
pub mod url;
mod wanted_rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::endpoint::endpoint_fact;
pub use self::pages::Pages;
pub use self::record::{Content, Kind, Page};
pub use self::tidy::tidy;
use crate::prevalidation::{DomainName, LedgerEntry, RowKey, Sighting, Upkeep};

/// Durable state. Times are integers, microseconds of UTC, in every back end.
#[async_trait]
pub trait Store: persistent::PersistentRecords + std::fmt::Debug {
    // --- inventory

    /// Makes the rows of `origin` equal to `wanted`: new ones are added, known ones updated,
    /// missing ones are marked undesired (never deleted: ledger and history stay). A domain has a
    /// row for each client that it is wanted at. One wanted by another origin stays wanted.
    /// Registrations and attempts are kept. Where both origins want a domain at one client,
    /// [`Origin::Config`] says its provider. A row is woken if what is wanted of it changed.
    /// Nothing is written when nothing changed.
    ///
    /// A domain that is not wanted at its first client any more, but at another one, takes its row
    /// along, and what was read at the old client is forgotten.
    async fn sync_inventory(
        &self,
        origin: Origin,
        wanted: &[Wanted],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Adds or updates single rows of `origin` without touching others.
    async fn want(
        &self,
        origin: Origin,
        wanted: &[Wanted],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// `origin` does not want these rows any more.
    async fn unwant(
        &self,
        origin: Origin,
        keys: &[RowKey],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Makes rows due at `now`, unless they never had a listing. One that is leased comes up again
    /// when the worker releases it, whatever that worker wrote: a hint that arrives during the work
    /// is not lost (faults W04).
    async fn wake(&self, keys: &[RowKey], now: Timestamp) -> Result<(), StoreError>;

    /// All rows, undesired ones too, by name; each as it is when its page is read.
    async fn domains(&self) -> Result<Vec<DomainRow>, StoreError> {
        let (mut all, mut pages) = (Vec::new(), Pages::of(self));
        while let Some(rows) = pages.next().await? {
            all.extend(rows);
        }
        Ok(all)
    }

    /// At most `limit` rows after that of `after` (which need not be there), or from the first, by
    /// name: a way through all of them that never holds them at once.
    async fn domains_after(
        &self,
        after: Option<&RowKey>,
        limit: usize,
    ) -> Result<Vec<DomainRow>, StoreError>;

    /// One row.
    async fn domain(&self, key: &RowKey) -> Result<Option<DomainRow>, StoreError>;

    /// All rows of these domains, undesired ones too, by key: one for each client.
    async fn rows_of(&self, domains: &[DomainName]) -> Result<Vec<DomainRow>, StoreError>;

    // --- listings

    /// Stores what a list call said, in one transaction: each pair's sighting, `read_at`, and
    /// `due_at` where given. Also notes the listing under the client: an unchanged row has been
    /// read then, without being written.
    ///
    /// Left alone are leased rows (the worker that has the lease knows better), rows of other
    /// clients, keys without a row, and rows read later than `read_at`: a list that was long under
    /// way never overwrites a younger read.
    async fn record_listing(
        &self,
        client: &str,
        seen: &[Seen],
        read_at: Timestamp,
    ) -> Result<(), StoreError>;

    /// When each client was last listed.
    async fn listings(&self) -> Result<BTreeMap<String, Timestamp>, StoreError>;

    /// Whether `holder` is to list a client now: `None` when it is, otherwise the moment to ask
    /// again. It is when the last listing is `every` ago and no other worker is listing. Its turn
    /// ends with [`record_listing`](Self::record_listing), or after `lease`, like a lease; until then it
    /// may have it again. A listing far in the future is the trace of a wrong clock, and puts
    /// nothing off.
    async fn claim_listing(
        &self,
        client: &str,
        holder: &str,
        every: SignedDuration,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;

    // --- leases
    //
    // A lease is a length of time. Whether it has ended is judged by the one clock that all
    // processes that share the store have in common: the database server's. An embedded store
    // serves one machine and goes by the `now` it is told.

    /// Leases up to `limit` domains with `due_at <= now` and no living lease, earliest first; the
    /// epoch of each grows by one. They are of one client, that of the earliest: calls to a CA are
    /// for one client, and whole batches need fewer of them. `only` narrows to some rows. Rows
    /// of clients in `except_clients` are left alone. A lease that ended is free.
    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<Lease>, StoreError>;

    /// The earliest `due_at` of those that a [`claim`](Self::claim) with the same two could be for,
    /// leased ones too.
    async fn next_due(
        &self,
        only: Option<&[RowKey]>,
        except_clients: &[String],
    ) -> Result<Option<Timestamp>, StoreError>;

    /// Lets leases that were not taken over end `lease` from now; returns the rows whose lease is
    /// lost.
    async fn extend(
        &self,
        leases: &[Fence],
        now: Timestamp,
        lease: SignedDuration,
    ) -> Result<Vec<RowKey>, StoreError>;

    /// Stores what a worker found and decided, guarded by the epoch, and appends to the ledger and
    /// history, all in one transaction. The result is per write, in order: a lost lease costs only
    /// its own domain, and nothing of that write is stored. `release` ends the lease: a later write
    /// under it is refused.
    async fn commit(&self, writes: &[Write]) -> Result<Vec<Result<(), StoreError>>, StoreError>;

    /// Counts the domain as at risk, unless `limit` other domains of `client` already are. True
    /// when granted, or when it already counts; guarded by the epoch.
    async fn take_risk_slot(
        &self,
        fence: &Fence,
        client: &str,
        limit: u32,
    ) -> Result<bool, StoreError>;

    // --- ledger

    /// All ledger entries that are not closed
    /// ([`Removed`](crate::prevalidation::LedgerState::Removed)), of one row or of all.
    async fn open_entries(&self, key: Option<&RowKey>) -> Result<Vec<LedgerEntry>, StoreError>;

    // --- facts and history

    /// A small named fact: what a CA was observed to do, a client's reference, the endpoint this
    /// store belongs to.
    async fn fact(&self, key: &str) -> Result<Option<String>, StoreError>;

    /// Sets a fact.
    async fn set_fact(&self, key: &str, value: &str) -> Result<(), StoreError>;

    /// Appends to the history outside a lease (run started, guard tripped, by-hand changes).
    async fn note(&self, events: &[Event]) -> Result<(), StoreError>;

    /// Everything that was done for a domain at all its clients, oldest first.
    async fn history(&self, domain: &DomainName) -> Result<Vec<Event>, StoreError>;

    /// How many CA effects (register, validate, reset) were started since `since`, over all
    /// domains, and those that were retries.
    async fn effects_since(&self, since: Timestamp) -> Result<EffectCount, StoreError>;

    /// Deletes history, effects, notices and closed ledger entries older than [`KEPT_DAYS`], and
    /// messages of hooks older than [`MESSAGE_DAYS`], in small transactions; returns how many rows.
    async fn retention(&self, now: Timestamp) -> Result<u64, StoreError>;

    // --- hooks

    /// Takes the message `id` of the hook key `key` and makes the domains it concerns due, as
    /// [`wake`](Self::wake) does, in one transaction: once this returns, the message is neither
    /// lost nor new any more (faults H02, H03, K18). Keys without a row are passed over.
    async fn receive(
        &self,
        key: &str,
        id: &str,
        digest: &[u8],
        concerned: &[RowKey],
        now: Timestamp,
    ) -> Result<Received, StoreError>;

    /// What processes hold at `now`, by name: no other process does anything for these domains
    /// until then.
    async fn held(&self, now: Timestamp) -> Result<Vec<Held>, StoreError>;

    /// The sent notices, by key.
    async fn notice_records(&self) -> Result<Vec<NoticeRecord>, StoreError>;

    /// Moves the notice `key` from the state `expected`, or from not being there, to `new`. False
    /// when it was in another one: then another process was quicker, and reports it.
    async fn claim_notice(
        &self,
        key: &str,
        expected: Option<&str>,
        new: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    // --- several machines

    /// Takes `cost` from a bucket that all processes of the store fill and empty together, and
    /// returns how long to wait before that much is done. What was taken stays taken; the waits of
    /// many callers queue up. By the clock that leases go by.
    async fn take(
        &self,
        bucket: &Bucket<'_>,
        cost: u32,
        now: Timestamp,
    ) -> Result<SignedDuration, StoreError>;

    /// Whether other machines may be working on it as well: not so for an embedded store.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether limits are to be kept with [`take`](Self::take), which writes: not so for a store of
    /// one machine, nor for one that was opened for reading.
    fn keeps_limits(&self) -> bool {
        false
    }

    /// The database's own clock, where it has one: a machine whose clock is far from it must not
    /// decide anything (faults T01).
    async fn clock(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Makes a write that leaves nothing behind, within `at_most`: while this works, everything else
    /// can be stored, too. A write of this process that is under way for a short while counts.
    async fn try_to_write(&self, at_most: std::time::Duration) -> Result<(), StoreError>;

    /// Speaks up when another process may have made something due. Only a hint: it may come for
    /// nothing, late, or never, so a listener also checks by itself. Ends with the store.
    fn hints(&self) -> BoxStream<'static, ()> {
        Box::pin(stream::pending())
    }

    /// The certificates of the same store.
    fn orders(&self) -> &dyn orders::Orders;

    // --- copies

    /// The rows of one kind after the key `after`, in the order of their keys.
    async fn records(&self, kind: Kind, after: Option<&str>) -> Result<Page, StoreError>;

    /// Takes everything of these kinds over from another store, in one transaction; `tell` hears of
    /// every page. Refused when this one holds anything of them.
    async fn restore(
        &self,
        from: &dyn Store,
        kinds: &[Kind],
        tell: &(dyn Fn(Kind, usize) + Sync),
    ) -> Result<(), StoreError>;

    /// Lets go of the database in good order: an embedded one leaves a single file behind. Nothing
    /// is lost without it.
    async fn close(&self);
}

/// How many days the past is kept: longer than the longest proof counts (398 days until
/// 2026-03-15).
pub const KEPT_DAYS: i64 = 400;

/// How many days the messages of hooks are known by their ids: senders repeat for this time (faults
/// H02).
pub const MESSAGE_DAYS: i64 = 3;

/// The origin that wants a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The configuration file.
    Config,
    /// `prevalidate add` and `import`.
    Added,
}

/// A domain as the inventory wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The domain.
    pub domain: DomainName,
    /// The key of its client: `CA/SELECTOR`.
    pub client: Arc<str>,
    /// The `[ca.NAME]`.
    pub ca: Arc<str>,
    /// The `[provider.NAME]`, or `None` while it is not known.
    pub provider: Option<Arc<str>>,
}

/// One domain's row at one client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DomainRow {
    /// Names it.
    pub key: RowKey,
    /// The domain.
    pub domain: DomainName,
    /// The key of its client.
    pub client: String,
    /// The `[ca.NAME]`.
    pub ca: String,
    /// The `[provider.NAME]`.
    pub provider: Option<String>,
    /// The origins that want it; empty when it is not wanted any more.
    pub origins: Vec<Origin>,
    /// The last words of the CA.
    pub sighting: Sighting,
    /// When that was.
    pub read_at: Option<Timestamp>,
    /// The stored state of its way to proofs.
    pub upkeep: Upkeep,
    /// When the planner must be asked again; `None` until the first listing.
    pub due_at: Option<Timestamp>,
    /// Whether a renewal of its valid proof is under way.
    pub at_risk: bool,
}

/// One domain as a list call showed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its row.
    pub key: RowKey,
    /// What was seen, where it differs from what is stored: anything else costs no write of the
    /// registration. Boxed, because a list has 100,000 of these and few differ.
    pub changed: Option<Box<Sighting>>,
    /// When the planner must be asked next.
    pub due_at: Option<Timestamp>,
}

/// The filter of the claim.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    /// The worker that claims: host, process, worker.
    pub holder: &'a str,
    /// The moment of the claim: what is due by then.
    pub now: Timestamp,
    /// How long the leases last.
    pub lease: SignedDuration,
    /// At most so many.
    pub limit: usize,
    /// Only these rows, when given.
    pub only: Option<&'a [RowKey]>,
    /// Not the domains of these clients.
    pub except_clients: &'a [String],
}

/// A claimed domain with everything known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// Names the lease in every write.
    pub fence: Fence,
    /// The row as of the claim.
    pub row: DomainRow,
    /// Its open ledger entries.
    pub ledger: Vec<LedgerEntry>,
    /// Claims in a row that were not released, this one included: from the third on, workers die on
    /// this row (faults W09).
    pub claims: u32,
}

/// A domain that a process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its row.
    pub key: RowKey,
    /// The name of the worker that has the lease, with the number of its process behind a `/`.
    pub holder: String,
    /// Since when, where it is known.
    pub since: Option<Timestamp>,
    /// Until when, unless the worker continues or ends before.
    pub until: Timestamp,
}

/// The proof of a lease: the row's epoch at the claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The row.
    pub key: RowKey,
    /// Its domain.
    pub domain: DomainName,
    /// Grows with every claim of this row.
    pub epoch: i64,
}

/// One fenced write.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// Under which lease.
    pub fence: Fence,
    /// The new sighting with the moment it was read, when there is one.
    pub sighting: Option<(Sighting, Timestamp)>,
    /// What is remembered from now on.
    pub upkeep: Upkeep,
    /// When to ask the planner again.
    pub due_at: Option<Timestamp>,
    /// `Some(false)` gives the risk slot back.
    pub at_risk: Option<bool>,
    /// Ledger entries to insert or update, by `id`, which the worker makes up.
    pub ledger: Vec<LedgerEntry>,
    /// The new entries of the history.
    pub events: Vec<Event>,
    /// CA effects that this write is the intent of, for the global budget.
    pub effect: Option<EffectMark>,
    /// Ends the lease with this write.
    pub release: bool,
}

/// Marks the intent of a CA effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectMark {
    /// When it begins.
    pub at: Timestamp,
    /// Whether it repeats one that did not lead to a proof.
    pub retry: bool,
}

/// CA effects in a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EffectCount {
    /// All of them.
    pub all: u64,
    /// Those that repeat.
    pub retries: u64,
}

/// The verdict on a message of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It came for the first time.
    New,
    /// The same message came before. Its domains become due once more, which does no harm.
    Again,
    /// Another one came under this id; nothing was done.
    Other,
}

/// The sent notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRecord {
    /// The subject.
    pub key: String,
    /// Its state, in the words of the sender.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
}

/// What may be done in a stretch of time, by all machines together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket<'a> {
    /// Whose: an account at a CA, a credential of a provider. The same text on every machine.
    pub name: &'a str,
    /// How much in a second, in the long run; more than 0.
    pub per_second: f64,
    /// How much at once after a rest; at least 1.
    pub burst: u32,
}

impl Bucket<'_> {
    /// A bucket is never so far ahead, in microseconds. A larger value comes from a clock that was
    /// wrong.
    const FARTHEST: i64 = 86_400_000_000;

    /// How long `amount` takes to come back, in microseconds.
    fn span(&self, amount: u32) -> i64 {
        // Rates of nothing would wait for ever; the conversion saturates.
        ((f64::from(amount) / self.per_second.max(1e-6)) * 1e6) as i64
    }
}

/// A listing that is further in the future than clocks may differ is the trace of one that was
/// wrong. One that is a moment ahead was just made.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A moment of the past that is this much further ahead than the moment of a read is the trace of a
/// clock that was wrong. A list call may be under way for some minutes, and a row be read
/// meanwhile.
const FAR: SignedDuration = SignedDuration::from_hours(1);

/// When a client whose last listing was at `listed` is to be listed again, unless that is now.
fn next_listing(listed: Option<i64>, every: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let next = Timestamp::from_microsecond(listed?)
        .ok()?
        .saturating_add(every)
        .ok()?;
    let farthest = now.saturating_add(every).ok()?.saturating_add(SKEW).ok()?;
    (now < next && next <= farthest).then_some(next)
}

/// One line of history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// The run that did it.
    pub run: String,
    /// The domain, or `None` for events of a whole client or run.
    pub domain: Option<DomainName>,
    /// The client that the domain was worked on at; `None` where that was not written down, when a
    /// domain had one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// A stable word: `registered`, `published`, `visible`, `submitted`, `validated`, `removed`,
    /// `reset`, `held`, `failed`, …
    pub kind: String,
    /// For people: what was done and what the CA or server said. Never a secret.
    pub detail: String,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another worker has taken the domain over.
    #[error("the lease on {0} is lost")]
    LeaseLost(RowKey),
    /// Another worker has taken the certificate over.
    #[error("the lease on the certificate {0} is lost")]
    CertificateLost(String),
    /// Another worker has taken the persistent record over.
    #[error("the lease on the persistent record of {0} is lost")]
    PersistentLost(String),
    /// The database is busy, full or gone.
    #[error("the store cannot be used: {message}")]
    Unavailable {
        /// The error of the database, with the path or host.
        message: String,
    },
    /// The database belongs to something else or a newer version, or lies where it is not safe.
    #[error("{message}")]
    Unfit {
        /// The fault.
        message: String,
        /// The hint.
        hint: String,
    },
    /// The file was deleted, or another one took its place, while this process had it open.
    #[error(
        "the store {} {}; what is written now would be lost",
        path.display(),
        if *gone { "was deleted under this process" } else { "was replaced under this process" }
    )]
    Replaced {
        /// Where it was.
        path: std::path::PathBuf,
        /// Nothing is there now.
        gone: bool,
    },
    /// A row cannot be read.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}
