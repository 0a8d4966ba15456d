//! The embedded store: one file on a local disk, one writer connection per process, a few readers.
//!
//! WAL with `synchronous=FULL`, so that what was committed survives a power loss (faults B01).
//! Every writing transaction is `BEGIN IMMEDIATE`: it waits for the lock at its start instead of
//! failing in its middle (faults B02, L8).

mod fault;
mod hook;
mod inventory;
mod lease;
mod ledger;
mod look;
mod place;
mod records;
mod schema;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

use self::fault::Fault;
use self::place::Place;
use self::schema::Content;
use super::{
    Bucket, Claim, DomainRow, EffectCount, Event, Fence, Kind, Lease, NoticeRecord, Origin, Page,
    Received, Seen, Store, StoreError, Wanted, Write,
};
use crate::prevalidation::{DomainName, LedgerEntry};

/// How long SQLite waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a transaction that found the database busy is begun; each try waits for
/// [`BUSY_TIMEOUT`].
const TRIES: u32 = 3;
/// Before the second try; longer before the next.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// Readers do not wait for the writer.
const READERS: u32 = 4;

/// The store on SQLite.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    place: Place,
    writer: SqlitePool,
    reader: SqlitePool,
}

impl SqliteStore {
    /// Whether there is something to open at `url`; what is in memory always is.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] when `url` names no database, [`StoreError::Unavailable`] when nobody
    /// can tell.
    pub fn is_there(url: &str) -> Result<bool, StoreError> {
        let Place::File(path) = Place::parse(url)? else {
            return Ok(true);
        };
        path.try_exists().map_err(|e| StoreError::Unavailable {
            message: format!("reading {}: {e}", path.display()),
        })
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
                let writer = pool(1).connect_lazy_with(options().in_memory(true));
                Self {
                    reader: writer.clone(),
                    writer,
                    place,
                }
            }
            Place::File(path) => {
                // What is not ours is refused before its mode or its journal changes.
                if std::fs::metadata(path).is_ok_and(|file| file.len() > 0) {
                    let probe = Self::reading(&place, path, false);
                    probe.told(probe.look_in(endpoint_fingerprint).await)?;
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
        match std::fs::metadata(path) {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                return Err(StoreError::Unavailable {
                    message: format!("reading {}: {e}", path.display()),
                });
            }
        }
        // Without a log nobody has the database open; reading it "immutable" leaves no -wal and
        // -shm behind and needs no right to write in the directory. With a log, the readers of
        // SQLite share it with the writer.
        let in_use = std::fs::metadata(place::beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
        let store = Self::reading(&place, path, !in_use);
        match store.told(store.look_in(endpoint_fingerprint).await)? {
            Content::Current => Ok(Some(store)),
            Content::Empty => Ok(None),
            Content::Older => Err(StoreError::Unfit {
                message: format!(
                    "{} has the schema of an older prevalidate",
                    store.place.shown()
                ),
                hint: "`prevalidate run` brings it up to date".to_owned(),
            }),
        }
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
        let copied = sqlx::query("VACUUM INTO ?")
            .bind(file.to_string_lossy())
            .execute(&self.reader)
            .await;
        self.told(copied.map(drop).map_err(Fault::from))
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
        }
    }

    /// Ends all connections; the log is folded into the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    async fn set_up(&self, endpoint: Option<&str>) -> Result<(), Fault> {
        let mut db = retried(|| self.writer.acquire()).await?;
        schema::migrate(&mut db, &self.place).await?;
        if let Some(endpoint) = endpoint {
            schema::check_endpoint(&mut db, endpoint, &self.place, true).await?;
        }
        if matches!(self.place, Place::Memory) {
            return Ok(());
        }
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&mut *db)
            .await?;
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut *db)
            .await?;
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

    /// Refuses what is not ours, without changing anything.
    async fn look_in(&self, endpoint: Option<&str>) -> Result<Content, Fault> {
        let mut db = retried(|| self.reader.acquire()).await?;
        let content = schema::inspect(&mut db, &self.place).await?;
        if let (Content::Current, Some(endpoint)) = (&content, endpoint) {
            schema::check_endpoint(&mut db, endpoint, &self.place, false).await?;
        }
        Ok(content)
    }

    /// The only way to a writing transaction. Dropped without a commit, it leaves nothing.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Fault> {
        retried(|| self.writer.begin_with("BEGIN IMMEDIATE")).await
    }

    fn told<T>(&self, outcome: Result<T, Fault>) -> Result<T, StoreError> {
        outcome.map_err(|fault| fault.at(&self.place))
    }
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .row_buffer_size(1024)
}

/// Connections that stay: a new one would cost a look at the file, and the last one that goes takes
/// a database in memory along.
fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(size)
        .idle_timeout(None)
        .max_lifetime(None)
}

async fn retried<T, F: Future<Output = Result<T, sqlx::Error>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, Fault> {
    let mut tries = 1;
    loop {
        match attempt().await.map_err(Fault::from) {
            Err(fault) if fault.is_busy() && tries < TRIES => {
                // Where SQLite sees that waiting could be for ever, as when two make one new file,
                // it says so at once.
                tokio::time::sleep(BUSY_PAUSE * tries).await;
                tries += 1;
            }
            outcome => return outcome,
        }
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
        domains: &[DomainName],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.told(inventory::unwant(self, origin, domains, now).await)
    }

    async fn wake(&self, domains: &[DomainName], now: Timestamp) -> Result<(), StoreError> {
        self.told(inventory::wake(self, domains, now).await)
    }

    async fn domains_after(
        &self,
        after: Option<&DomainName>,
        limit: usize,
    ) -> Result<Vec<DomainRow>, StoreError> {
        self.told(inventory::after(self, after, limit).await)
    }

    async fn domain(&self, domain: &DomainName) -> Result<Option<DomainRow>, StoreError> {
        self.told(inventory::one(self, domain).await)
    }

    async fn record_look(
        &self,
        client: &str,
        seen: &[Seen],
        read_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.told(look::record(self, client, seen, read_at).await)
    }

    async fn looks(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        self.told(look::all(self).await)
    }

    async fn claim_look(
        &self,
        client: &str,
        holder: &str,
        every: SignedDuration,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.told(look::claim(self, client, holder, every, lease, now).await)
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<Lease>, StoreError> {
        self.told(lease::claim(self, claim).await)
    }

    async fn next_due(
        &self,
        only: Option<&[DomainName]>,
        except_clients: &[String],
    ) -> Result<Option<Timestamp>, StoreError> {
        self.told(lease::next_due(self, only, except_clients).await)
    }

    async fn extend(
        &self,
        leases: &[Fence],
        now: Timestamp,
        lease: SignedDuration,
    ) -> Result<Vec<DomainName>, StoreError> {
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

    async fn take_risk_slot(
        &self,
        fence: &Fence,
        client: &str,
        limit: u32,
    ) -> Result<bool, StoreError> {
        self.told(lease::take_risk_slot(self, fence, client, limit).await)
    }

    async fn open_entries(
        &self,
        owner: Option<&DomainName>,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        self.told(ledger::open_entries(self, owner).await)
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
        concerned: &[DomainName],
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
