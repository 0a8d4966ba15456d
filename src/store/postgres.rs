//! The store that several machines share: PostgreSQL 14 or newer, directly or behind a pooler in
//! transaction mode.
//!
//! No state of a session is counted on: no session locks, no prepared statements, no LISTEN but for
//! [hints](Store::hints), which may be lost. Rows are locked in the order of their names, conflicts
//! are tried again, and leases go by the server's clock.

mod fault;
mod hints;
mod hook;
mod inventory;
mod lease;
mod ledger;
mod listing;
mod orders;
mod persistent;
mod place;
mod records;
mod relay;
mod schema;
mod transaction;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use sqlx::postgres::{PgArguments, PgPool, PgPoolOptions, PgRow};
use sqlx::{Connection as _, FromRow, PgConnection, Postgres, Row as _, SqlSafeStr};
use tokio_util::sync::CancellationToken;

use self::fault::Fault;
use self::place::Place;
use self::relay::Relay;
use self::schema::Content;
use self::transaction::{Trials, bounded};
use super::url::Named;
use super::{
    Bucket, Claim, DomainRow, EffectCount, Event, Fence, Held, Kind, Lease, NoticeRecord, Origin,
    Page, Received, Seen, Store, StoreError, Wanted, Write,
};
use crate::prevalidation::{DomainName, LedgerEntry, RowKey};

/// Connections of one process: as many as its lanes use at once, and some for people's questions.
const CONNECTIONS: u32 = 8;
/// How long a connection may take to come.
const CONNECT: Duration = Duration::from_secs(5);
/// Of it, for reaching one of the addresses of the host.
const DIAL: Duration = Duration::from_secs(4);
/// How long the first read of a database may take: a person waits for a reply. Bringing it up to
/// date may take long: another machine may be at it.
const FIRST_CONTACT: Duration = Duration::from_secs(8);
const SET_UP: Duration = Duration::from_secs(600);

/// How transactions begin, whatever the role's defaults are.
const READ_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
const READ_ONLY: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";

/// The store on PostgreSQL.
#[derive(Clone)]
pub struct PostgresStore {
    place: Place,
    pool: PgPool,
    /// How its transactions begin.
    begin: &'static str,
    /// Its tables are of an older program, and only copied.
    is_older: bool,
    /// Where the host's name has several addresses.
    relay: Option<Arc<Relay>>,
    closed: CancellationToken,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Whether `url` names a database of PostgreSQL, good or bad.
    pub fn is_named_by(url: &str) -> bool {
        matches!(Named::read(url), Ok(Named::Postgres))
    }

    /// How `url` may be shown.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] when it cannot be read.
    pub fn shown(url: &str) -> Result<String, StoreError> {
        Ok(Place::parse(url, None)?.shown().to_owned())
    }

    /// Reads `url` and connects to nothing; what may be better about it.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] when it cannot be used.
    pub fn check(url: &str) -> Result<Option<String>, StoreError> {
        Ok(Place::parse(url, None)?.doubt(url))
    }

    /// Whether prevalidate has tables there.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn is_there(url: &str, password: Option<&SecretString>) -> Result<bool, StoreError> {
        let store = Self::at(url, password, READ_ONLY).await?;
        Ok(store.told(bounded(FIRST_CONTACT, store.content(None)).await)? != Content::Empty)
    }

    /// Whether the tables there are of an older program.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn is_older(url: &str, password: Option<&SecretString>) -> Result<bool, StoreError> {
        let store = Self::at(url, password, READ_ONLY).await?;
        Ok(store.told(bounded(FIRST_CONTACT, store.content(None)).await)? == Content::Older)
    }

    /// Opens the database, makes its tables where there are none and brings them up to date.
    /// `endpoint_fingerprint` binds the store to one CA environment on first use.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] when the URL, the server, the schema or the CA environment is not one
    /// to work with, [`StoreError::Unavailable`] when the server cannot be reached.
    pub async fn open(
        url: &str,
        password: Option<&SecretString>,
        endpoint_fingerprint: Option<&str>,
    ) -> Result<Self, StoreError> {
        let store = Self::at(url, password, READ_WRITE).await?;
        store.told(bounded(SET_UP, store.set_up(endpoint_fingerprint)).await)?;
        Ok(store)
    }

    /// Opens it for reading: creates and changes nothing. `None` while prevalidate has no tables
    /// there.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and [`StoreError::Unfit`] when the schema is older than this
    /// program.
    pub async fn open_read_only(
        url: &str,
        password: Option<&SecretString>,
        endpoint_fingerprint: Option<&str>,
    ) -> Result<Option<Self>, StoreError> {
        let store = Self::at(url, password, READ_ONLY).await?;
        match store.told(bounded(FIRST_CONTACT, store.content(endpoint_fingerprint)).await)? {
            Content::Current => Ok(Some(store)),
            Content::Empty => Ok(None),
            Content::Older => Err(StoreError::Unfit {
                message: format!(
                    "{} has the schema of an older prevalidate",
                    store.place.shown()
                ),
                hint: "`prevalidate store upgrade` brings it up to date, and so does `prevalidate run`"
                    .to_owned(),
            }),
        }
    }

    /// Opens it for a copy: an older schema is read as it is, by
    /// [`records`](super::Store::records) alone.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn open_to_copy(
        url: &str,
        password: Option<&SecretString>,
    ) -> Result<Option<Self>, StoreError> {
        let store = Self::at(url, password, READ_ONLY).await?;
        let content = store.told(bounded(FIRST_CONTACT, store.content(None)).await)?;
        let is_older = content == Content::Older;
        Ok((content != Content::Empty).then_some(Self { is_older, ..store }))
    }

    async fn at(
        url: &str,
        password: Option<&SecretString>,
        begin: &'static str,
    ) -> Result<Self, StoreError> {
        let mut place = Place::to_connect(url, password)?;
        let relay = Relay::to(&place.options, DIAL).await;
        if let Some(relay) = &relay {
            place.options = place.options.socket(relay.folder());
        }
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECT);
        // A connection to a silent server must not go back into the pool, and must not block.
        let pool = pool.after_release(|db, _| {
            Box::pin(async {
                let said = tokio::time::timeout(CONNECT, db.ping()).await;
                said.unwrap_or(Err(sqlx::Error::WorkerCrashed))
                    .map(|()| true)
            })
        });
        // While a standby takes over, a name may lead to the one that still only reads: such a
        // connection is not kept.
        let pool = pool.after_connect(move |db, _| {
            Box::pin(async move {
                let standby: bool = sqlx::raw_sql("SELECT pg_is_in_recovery()")
                    .fetch_one(db)
                    .await?
                    .try_get(0)?;
                if standby && begin == READ_WRITE {
                    Err(sqlx::Error::WorkerCrashed)
                } else {
                    Ok(())
                }
            })
        });
        let pool = pool.connect_lazy_with(place.options.clone());
        Ok(Self {
            place,
            pool,
            begin,
            is_older: false,
            relay: relay.map(Arc::new),
            closed: CancellationToken::new(),
        })
    }

    async fn set_up(&self, endpoint: Option<&str>) -> Result<(), Fault> {
        // Not from the pool, which would not say why it cannot connect.
        let connected =
            tokio::time::timeout(CONNECT, PgConnection::connect_with(&self.place.options)).await;
        let mut db = connected.map_err(|_| Fault::Silent)??;
        schema::migrate(&mut db, &self.place).await?;
        if let Some(endpoint) = endpoint {
            schema::bind(&mut db, endpoint, &self.place).await?;
        }
        Ok(db.close().await?)
    }

    /// Refuses what is not ours, without changing anything.
    async fn content(&self, endpoint: Option<&str>) -> Result<Content, Fault> {
        let connected =
            tokio::time::timeout(CONNECT, PgConnection::connect_with(&self.place.options)).await;
        let mut db = connected.map_err(|_| Fault::Silent)??;
        let mut tx = db.begin_with(self.begin).await?;
        let content = schema::inspect(&mut tx, &self.place).await?;
        if let (Content::Current, Some(endpoint)) = (&content, endpoint) {
            schema::compare(&mut tx, endpoint, &self.place).await?;
        }
        tx.rollback().await?;
        db.close().await?;
        Ok(content)
    }

    fn told<T>(&self, outcome: Result<T, Fault>) -> Result<T, StoreError> {
        outcome.map_err(|fault| {
            let trouble = self.relay.as_ref().and_then(|relay| relay.trouble());
            match trouble.filter(|_| fault.is_lost()) {
                Some(why) => Fault::Unreached(why).at(&self.place),
                None => fault.at(&self.place),
            }
        })
    }
}

/// A statement that leaves nothing behind in its session; the only kind that is made here.
fn sql<'q>(text: &'static str) -> sqlx::query::Query<'q, Postgres, PgArguments> {
    sqlx::query(text).persistent(false)
}

/// The same, for rows.
fn rows<'q, T: for<'r> FromRow<'r, PgRow>>(
    text: impl SqlSafeStr,
) -> sqlx::query::QueryAs<'q, Postgres, T, PgArguments> {
    sqlx::query_as(text).persistent(false)
}

#[async_trait]
impl Store for PostgresStore {
    async fn close(&self) {
        self.closed.cancel();
        self.pool.close().await;
    }

    async fn sync_inventory(
        &self,
        origin: Origin,
        wanted: &[Wanted],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.told(inventory::sync(self, origin, wanted, now).await)
    }

    async fn want(
        &self,
        origin: Origin,
        wanted: &[Wanted],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.told(inventory::want(self, origin, wanted, now).await)
    }

    async fn unwant(
        &self,
        origin: Origin,
        keys: &[RowKey],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.told(inventory::unwant(self, origin, keys, now).await)
    }

    async fn wake(&self, keys: &[RowKey], now: Timestamp) -> Result<(), StoreError> {
        self.told(inventory::wake(self, keys, now).await)
    }

    async fn domains_after(
        &self,
        after: Option<&RowKey>,
        limit: usize,
    ) -> Result<Vec<DomainRow>, StoreError> {
        self.told(inventory::after(self, after, limit).await)
    }

    async fn domain(&self, key: &RowKey) -> Result<Option<DomainRow>, StoreError> {
        self.told(inventory::one(self, key).await)
    }

    async fn rows_of(&self, domains: &[DomainName]) -> Result<Vec<DomainRow>, StoreError> {
        self.told(inventory::of(self, domains).await)
    }

    async fn record_listing(
        &self,
        client: &str,
        seen: &[Seen],
        read_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.told(listing::record(self, client, seen, read_at).await)
    }

    async fn listings(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        self.told(listing::all(self).await)
    }

    async fn claim_listing(
        &self,
        client: &str,
        holder: &str,
        every: SignedDuration,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.told(listing::claim(self, client, holder, every, lease, now).await)
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<Lease>, StoreError> {
        self.told(lease::claim(self, claim).await)
    }

    async fn next_due(
        &self,
        only: Option<&[RowKey]>,
        except_clients: &[String],
    ) -> Result<Option<Timestamp>, StoreError> {
        self.told(lease::next_due(self, only, except_clients).await)
    }

    async fn extend(
        &self,
        leases: &[Fence],
        _now: Timestamp,
        lease: SignedDuration,
    ) -> Result<Vec<RowKey>, StoreError> {
        self.told(lease::extend(self, leases, lease).await)
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.told(lease::commit(self, writes).await)
    }

    async fn held(&self, _now: Timestamp) -> Result<Vec<Held>, StoreError> {
        self.told(lease::held(self).await)
    }

    async fn take_risk_slot(
        &self,
        fence: &Fence,
        client: &str,
        limit: u32,
    ) -> Result<bool, StoreError> {
        self.told(lease::take_risk_slot(self, fence, client, limit).await)
    }

    async fn open_entries(&self, key: Option<&RowKey>) -> Result<Vec<LedgerEntry>, StoreError> {
        self.told(ledger::open_entries(self, key).await)
    }

    async fn fact(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.told(ledger::fact(self, key).await)
    }

    async fn set_fact(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.told(ledger::set_fact(self, key, value).await)
    }

    async fn note(&self, events: &[Event]) -> Result<(), StoreError> {
        self.told(ledger::note(self, events).await)
    }

    async fn history(&self, domain: &DomainName) -> Result<Vec<Event>, StoreError> {
        self.told(ledger::history(self, domain).await)
    }

    async fn effects_since(&self, since: Timestamp) -> Result<EffectCount, StoreError> {
        self.told(ledger::effects_since(self, since).await)
    }

    async fn retention(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.told(ledger::retention(self, now).await)
    }

    async fn receive(
        &self,
        key: &str,
        id: &str,
        digest: &[u8],
        concerned: &[RowKey],
        now: Timestamp,
    ) -> Result<Received, StoreError> {
        self.told(hook::receive(self, key, id, digest, concerned, now).await)
    }

    async fn notice_records(&self) -> Result<Vec<NoticeRecord>, StoreError> {
        self.told(hook::notices(self).await)
    }

    async fn claim_notice(
        &self,
        key: &str,
        expected: Option<&str>,
        new: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.told(hook::claim_notice(self, key, expected, new, now).await)
    }

    async fn take(
        &self,
        bucket: &Bucket<'_>,
        cost: u32,
        _now: Timestamp,
    ) -> Result<SignedDuration, StoreError> {
        self.told(lease::take(self, bucket, cost).await)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn keeps_limits(&self) -> bool {
        self.begin == READ_WRITE
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        self.told(lease::clock(self).await).map(Some)
    }

    fn orders(&self) -> &dyn super::orders::Orders {
        self
    }

    async fn try_to_write(&self, at_most: Duration) -> Result<(), StoreError> {
        // The mark that every writing transaction sets is the write.
        let mut trials = Trials::writing(self);
        let written = async {
            let tx = trials.begin().await?;
            trials.end(tx, true).await
        };
        self.told(bounded(at_most, written).await)
    }

    fn hints(&self) -> BoxStream<'static, ()> {
        hints::listen(self)
    }

    async fn records(&self, kind: Kind, after: Option<&str>) -> Result<Page, StoreError> {
        self.told(records::page(self, kind, after).await)
    }

    async fn restore(
        &self,
        from: &dyn Store,
        kinds: &[Kind],
        tell: &(dyn Fn(Kind, usize) + Sync),
    ) -> Result<(), StoreError> {
        self.told(records::restore(self, from, kinds, tell).await)
    }
}
