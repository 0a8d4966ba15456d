//! The embedded store: one file on a local disk, one writer connection per process, a few readers.
//!
//! WAL with `synchronous=FULL`, so that what was committed survives a power loss (faults B01).
//! Every writing transaction is `BEGIN IMMEDIATE`: it waits for the lock at its start instead of
//! failing in its middle (faults B02, L8).

mod connection;
mod fault;
mod holder;
mod hook;
mod inventory;
mod lease;
mod ledger;
mod listing;
mod orders;
mod persistent;
mod place;
mod records;
mod schema;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};

use self::connection::{LeftOpen, UnderWay, options, pool, retried};
use self::fault::Fault;
use self::place::Place;
use self::schema::Content;
use super::{
    Bucket, Claim, DomainRow, EffectCount, Event, Fence, Held, Kind, Lease, NoticeRecord, Origin,
    Page, Received, Seen, Store, StoreError, Wanted, Write,
};
use crate::prevalidation::{DomainName, LedgerEntry, RowKey};

/// Readers do not wait for the writer.
const READERS: u32 = 4;

/// The store on SQLite.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    place: Place,
    writer: SqlitePool,
    reader: SqlitePool,
    /// Device and inode of the file, once it is known to be there.
    identity: Option<(u64, u64)>,
    in_memory: Option<LeftOpen>,
    under_way: UnderWay,
}

impl SqliteStore {
    /// Whether there is something to open at `url`; what is in memory always is.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] when `url` names no database, or a folder; [`StoreError::Unavailable`]
    /// when that is not known.
    pub fn is_there(url: &str) -> Result<bool, StoreError> {
        let Place::File(path) = Place::parse(url)? else {
            return Ok(true);
        };
        place::is_there(&path)
    }

    /// Opens `sqlite:PATH`, creating the file (0600) where missing and bringing the schema up to
    /// date, or `sqlite::memory:`. `endpoint_fingerprint` binds the store to one CA environment on
    /// first use.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] when the folder is missing, and when the database is newer, another
    /// program's, another endpoint's, or not on a private local disk.
    pub async fn open(url: &str, endpoint_fingerprint: Option<&str>) -> Result<Self, StoreError> {
        let place = Place::parse(url)?;
        let store = match &place {
            Place::Memory => {
                let left_open = LeftOpen::default();
                let pool = left_open.pool();
                let writer = pool.connect_lazy_with(options().in_memory(true));
                Self {
                    reader: writer.clone(),
                    writer,
                    place,
                    identity: None,
                    in_memory: Some(left_open),
                    under_way: UnderWay::default(),
                }
            }
            Place::File(path) => {
                // What is not ours is refused before its mode or its journal changes.
                place::refuse_no_file(path)?;
                place::refuse_foreign(path)?;
                if std::fs::metadata(path).is_ok_and(|file| file.len() > 0) {
                    let probe = Self::reading(&place, path, false);
                    probe.told(probe.content(endpoint_fingerprint).await)?;
                    probe.close().await;
                }
                place::prepare(path)?;
                let options = options().filename(path).create_if_missing(false);
                Self {
                    writer: pool(1).connect_lazy_with(
                        options
                            .clone()
                            .journal_mode(SqliteJournalMode::Wal)
                            .synchronous(SqliteSynchronous::Full),
                    ),
                    // A reader that cannot write cannot hold the writer's lock either.
                    reader: pool(READERS).connect_lazy_with(options.read_only(true)),
                    identity: connection::identity_of(path),
                    in_memory: None,
                    under_way: UnderWay::default(),
                    place,
                }
            }
        };
        store.told(store.set_up(endpoint_fingerprint).await)?;
        Ok(store)
    }

    /// Opens for `plan` and `status`: creates and changes nothing. `None` while there is no store
    /// yet.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] as for [`open`](Self::open), and when the schema is older than this
    /// program.
    pub async fn open_read_only(
        url: &str,
        endpoint_fingerprint: Option<&str>,
    ) -> Result<Option<Self>, StoreError> {
        let place = Place::parse(url)?;
        let Place::File(path) = &place else {
            return Ok(None);
        };
        if !place::is_there(path)? {
            return Ok(None);
        }
        let store = Self::to_read(&place, path);
        match store.told(store.content(endpoint_fingerprint).await)? {
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

    /// Whether the store at `url` has the schema of an older program.
    ///
    /// # Errors
    /// As for [`open_read_only`](Self::open_read_only).
    pub async fn is_older(url: &str) -> Result<bool, StoreError> {
        let place = Place::parse(url)?;
        let Place::File(path) = &place else {
            return Ok(false);
        };
        if !place::is_there(path)? {
            return Ok(false);
        }
        let store = Self::to_read(&place, path);
        let content = store.told(store.content(None).await)?;
        store.close().await;
        Ok(content == Content::Older)
    }

    /// Copies a store of an older program into a new file and brings the copy up to date; the store
    /// stays as it is.
    ///
    /// # Errors
    /// As for [`open_read_only`](Self::open_read_only), and when the copy cannot be written.
    pub async fn upgraded_copy(url: &str, file: &Path) -> Result<Self, StoreError> {
        let place = Place::parse(url)?;
        let Place::File(path) = &place else {
            return Self::open(url, None).await;
        };
        let older = Self::to_read(&place, path);
        older.told(older.content(None).await)?;
        older.copy_to(file).await?;
        older.close().await;
        Self::open(&format!("sqlite:{}", file.display()), None).await
    }

    /// Copies everything into a new file: there `plan` may try out what must not happen here.
    ///
    /// # Errors
    /// When the file is there already or cannot be written.
    pub async fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        place::make_private(file).map_err(|error| {
            let message = format!("cannot make {}: {error}", file.display());
            StoreError::Unavailable { message }
        })?;
        let copied = async {
            let mut db = self.read().await?;
            sqlx::query("VACUUM INTO ?")
                .bind(file.to_string_lossy())
                .execute(&mut *db)
                .await?;
            db.end();
            Ok(())
        };
        self.told(copied.await)
    }

    /// Without a log no process has the database open; reading it "immutable" leaves no -wal and
    /// -shm behind and needs no right to write in the directory. With a log, the readers of SQLite
    /// share it with the writer.
    fn to_read(place: &Place, path: &Path) -> Self {
        let in_use = std::fs::metadata(place::beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
        Self::reading(place, path, !in_use)
    }

    fn reading(place: &Place, path: &Path, immutable: bool) -> Self {
        let options = options()
            .filename(path)
            .create_if_missing(false)
            .read_only(true)
            .immutable(immutable);
        let reader = pool(READERS).connect_lazy_with(options);
        Self {
            place: place.clone(),
            writer: reader.clone(),
            reader,
            identity: connection::identity_of(path),
            in_memory: None,
            under_way: UnderWay::default(),
        }
    }

    /// Ends all connections; the log is folded into the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    async fn set_up(&self, endpoint: Option<&str>) -> Result<(), Fault> {
        let mut db = retried(|| self.lent(&self.writer)).await?;
        schema::migrate(&mut db, &self.place).await?;
        if let Some(endpoint) = endpoint {
            schema::check_endpoint(&mut db, endpoint, &self.place, true).await?;
        }
        if matches!(self.place, Place::Memory) {
            db.end();
            return Ok(());
        }
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&mut *db)
            .await?;
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut *db)
            .await?;
        db.end();
        if (synchronous, journal.as_str()) == (2, "wal") {
            return Ok(());
        }
        Err(StoreError::Unfit {
            message: format!(
                "{} runs with synchronous={synchronous} and journal_mode={journal}, not FULL and wal",
                self.place.shown()
            ),
            hint: "put the store on a local disk that supports SQLite's write-ahead log".to_owned(),
        }
        .into())
    }

    /// Refuses a database that is not ours, and changes nothing.
    async fn content(&self, endpoint: Option<&str>) -> Result<Content, Fault> {
        let mut db = retried(|| self.read()).await?;
        let content = schema::inspect(&mut db, &self.place).await?;
        if let (Content::Current, Some(endpoint)) = (&content, endpoint) {
            schema::check_endpoint(&mut db, endpoint, &self.place, false).await?;
        }
        db.end();
        Ok(content)
    }

    fn told<T>(&self, outcome: Result<T, Fault>) -> Result<T, StoreError> {
        outcome.map_err(|fault| fault.at(&self.place))
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn close(&self) {
        SqliteStore::close(self).await;
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
        now: Timestamp,
        lease: SignedDuration,
    ) -> Result<Vec<RowKey>, StoreError> {
        self.told(
            lease::extend(
                self,
                leases,
                now.saturating_add(lease).unwrap_or(Timestamp::MAX),
            )
            .await,
        )
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.told(lease::commit(self, writes).await)
    }

    async fn held(&self, now: Timestamp) -> Result<Vec<Held>, StoreError> {
        self.told(lease::held(self, now).await)
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
        now: Timestamp,
    ) -> Result<SignedDuration, StoreError> {
        self.told(lease::take(self, bucket, cost, now).await)
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    fn orders(&self) -> &dyn super::orders::Orders {
        self
    }

    async fn try_to_write(&self, at_most: Duration) -> Result<(), StoreError> {
        self.told(SqliteStore::try_to_write(self, at_most).await)
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
