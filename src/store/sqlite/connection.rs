//! The connections to a file. A connection goes back into its pool only when its use came to a good
//! end. One on which a statement failed, or that was left in the middle, is closed: SQLite may have
//! rolled a transaction back by itself (no space, an I/O error), and the connection would refuse
//! every later transaction.

use std::ops::{Deref, DerefMut};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::fault::Fault;
use super::place::Place;
use crate::store::StoreError;

/// How long SQLite waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a transaction that found the database busy is started; each try waits for
/// [`BUSY_TIMEOUT`].
const TRIES: u32 = 3;
/// Before the second try; longer before the next.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// A transaction of this process that is under way for less time proves that the store can be
/// written: the listing of a large client takes some seconds.
const LONGEST_WRITE: Duration = Duration::from_secs(60);

/// A connection out of a pool.
pub(super) struct Lent {
    db: Option<PoolConnection<Sqlite>>,
    in_memory: Option<LeftOpen>,
}

/// A database in memory lives in its only connection, which is never closed. Its pool rolls back
/// what was left open, and asks here whether something may have been.
#[derive(Debug, Clone, Default)]
pub(super) struct LeftOpen(Arc<AtomicBool>);

impl LeftOpen {
    /// The only connection; SQLite refuses the rollback where nothing was open, and that is well.
    pub(super) fn pool(&self) -> SqlitePoolOptions {
        let left_open = self.clone();
        pool(1).after_release(move |db, _| {
            let is_left_open = left_open.0.swap(false, Ordering::AcqRel);
            Box::pin(async move {
                if is_left_open {
                    let _ = sqlx::query("ROLLBACK").execute(db).await;
                }
                Ok(true)
            })
        })
    }
}

impl Lent {
    /// Its use came to a good end.
    pub(super) fn end(mut self) {
        self.db = None;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        match (self.db.as_mut(), &self.in_memory) {
            (Some(_), Some(left_open)) => left_open.0.store(true, Ordering::Release),
            (Some(db), None) => db.close_on_drop(),
            (None, _) => {}
        }
    }
}

impl Deref for Lent {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.db.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.db.as_mut().expect("it is there until it is dropped")
    }
}

/// Since when a transaction of this process writes.
#[derive(Debug, Clone, Default)]
pub(super) struct UnderWay(Arc<Mutex<Option<Instant>>>);

impl UnderWay {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A writing transaction. Dropped without a commit, it leaves nothing.
pub(super) struct Writing {
    db: Option<Lent>,
    under_way: UnderWay,
}

impl Writing {
    /// Stores what was done.
    pub(super) async fn commit(self) -> Result<(), Fault> {
        self.close("COMMIT").await
    }

    /// Stores nothing.
    pub(super) async fn leave(self) -> Result<(), Fault> {
        self.close("ROLLBACK").await
    }

    async fn close(mut self, statement: &'static str) -> Result<(), Fault> {
        sqlx::query(statement).execute(&mut *self).await?;
        if let Some(db) = self.db.take() {
            db.end();
        }
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.under_way.set(None);
    }
}

impl Deref for Writing {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.db.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.db.as_mut().expect("it is there until it is dropped")
    }
}

impl SqliteStore {
    /// The only way to a connection that reads; given back by [`Lent::end`].
    pub(super) async fn read(&self) -> Result<Lent, Fault> {
        self.lent(&self.reader).await
    }

    /// The only way to a writing transaction.
    pub(super) async fn begin(&self) -> Result<Writing, Fault> {
        retried(|| self.begin_once()).await
    }

    async fn begin_once(&self) -> Result<Writing, Fault> {
        let mut db = self.lent(&self.writer).await?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *db).await?;
        self.under_way.set(Some(Instant::now()));
        let under_way = self.under_way.clone();
        Ok(Writing {
            db: Some(db),
            under_way,
        })
    }

    pub(super) async fn lent(&self, pool: &SqlitePool) -> Result<Lent, Fault> {
        self.is_still_there()?;
        Ok(Lent {
            db: Some(pool.acquire().await?),
            in_memory: self.in_memory.clone(),
        })
    }

    /// What is written into a file that was deleted or replaced is lost silently.
    fn is_still_there(&self) -> Result<(), StoreError> {
        let (Place::File(path), Some(identity)) = (&self.place, self.identity) else {
            return Ok(());
        };
        match identity_of(path) {
            Some(now) if now == identity => Ok(()),
            now => Err(StoreError::Replaced {
                path: path.clone(),
                gone: now.is_none(),
            }),
        }
    }

    /// Writes a row and removes it again: where that works, everything else can be written.
    pub(super) async fn try_to_write(&self, at_most: Duration) -> Result<(), Fault> {
        let written = async {
            let mut tx = self.begin_once().await?;
            for statement in [
                "INSERT INTO fact (key, value) VALUES ('can be written', '') ON CONFLICT DO NOTHING",
                "DELETE FROM fact WHERE key = 'can be written'",
            ] {
                sqlx::query(statement).execute(&mut *tx).await?;
            }
            tx.commit().await
        };
        match tokio::time::timeout(at_most, written).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let since = self.under_way.since();
                match since.is_some_and(|since| since.elapsed() < LONGEST_WRITE) {
                    true => Ok(()),
                    false => Err(Fault::Silent(at_most)),
                }
            }
        }
    }
}

/// What tells a file from another one of the same name.
pub(super) fn identity_of(path: &Path) -> Option<(u64, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

pub(super) fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .row_buffer_size(1024)
}

/// Connections that stay: a new one would cost a read of the file, and the last one that goes takes
/// a database in memory along. The test before each use would ask a thread of this process and no
/// file; a connection was already tested when it came back.
pub(super) fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(size)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

pub(super) async fn retried<T, F: Future<Output = Result<T, Fault>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, Fault> {
    let mut tries = 1;
    loop {
        match attempt().await {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::{Event, Store};

    fn much() -> Vec<Event> {
        let event = Event {
            at: jiff::Timestamp::UNIX_EPOCH,
            run: "run".to_owned(),
            domain: None,
            client: None,
            kind: "kind".to_owned(),
            detail: "much".repeat(1000),
        };
        vec![event; 100]
    }

    #[tokio::test]
    async fn a_file_that_can_grow_again_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("state.db").display());
        let store = SqliteStore::open(&url, None).await.unwrap();
        let mut db = store.lent(&store.writer).await.unwrap();
        let full = sqlx::query("PRAGMA max_page_count = 1");
        full.execute(&mut *db).await.unwrap();
        db.end();
        let refused = store.note(&much()).await;
        assert!(
            matches!(&refused, Err(StoreError::Unavailable { message }) if message.contains("full")),
            "{refused:?}"
        );
        // The limit went with the connection, as a disk gets space again.
        Store::try_to_write(&store, Duration::from_secs(9))
            .await
            .unwrap();
        store.note(&much()).await.unwrap();
    }

    #[tokio::test]
    async fn a_transaction_that_is_left_in_the_middle_is_undone_in_a_file_and_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let file = format!("sqlite:{}", dir.path().join("state.db").display());
        for url in [file.as_str(), "sqlite::memory:"] {
            let store = SqliteStore::open(url, None).await.unwrap();
            store.set_fact("kept", "yes").await.unwrap();
            let mut tx = store.begin().await.unwrap();
            let left = sqlx::query("INSERT INTO fact (key, value) VALUES ('left', '')");
            left.execute(&mut *tx).await.unwrap();
            drop(tx);
            assert_eq!(store.fact("left").await.unwrap(), None, "{url}");
            store.set_fact("next", "yes").await.unwrap();
            let kept = store.fact("kept").await.unwrap();
            assert_eq!(kept.as_deref(), Some("yes"), "{url}");
        }
    }

    #[tokio::test]
    async fn a_long_write_of_this_process_shows_that_the_store_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("state.db").display());
        let store = SqliteStore::open(&url, None).await.unwrap();
        let tx = store.begin().await.unwrap();
        let soon = Duration::from_millis(50);
        Store::try_to_write(&store, soon).await.unwrap();
        tx.leave().await.unwrap();
    }
}
