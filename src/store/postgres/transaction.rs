//! The only ways to a transaction. What fails before COMMIT has left nothing and is done again;
//! when the answer to a COMMIT is lost, the database is asked the outcome before anything is
//! repeated or reported (faults B08).
//!
//! A connection goes back into the pool only after a COMMIT or ROLLBACK that the server confirmed:
//! every other one is closed, because its session may be in an aborted transaction, or still in one
//! whose BEGIN was not awaited. Such a session answers a ping, and behind a pooler it keeps a
//! server connection to itself.
//!
//! Every statement runs inside a transaction, even a single SELECT: sqlx parses and executes in two
//! messages, and a pooler in transaction mode may hand the second one to another session (faults
//! B09).

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use rand::Rng as _;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::fault::Fault;
use super::{PostgresStore, READ_ONLY, sql};

/// How long a server that restarts, or a conflict, is waited for before the caller hears of it.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for a store that is only read: a person waits for the answer.
const READERS_PATIENCE: Duration = Duration::from_secs(3);
/// The same, when a COMMIT is open: it is worth more to know.
const LONG_PATIENCE: Duration = Duration::from_secs(60);
/// For one transaction; well above the timeouts that the server itself keeps, see [`LIMITS`].
const SILENCE: Duration = Duration::from_secs(60);

/// The server's own limits: a transaction whose client has gone keeps no lock for longer. A
/// commit always waits for the disk, also if the database has `synchronous_commit = off`: an intent
/// that is lost in a crash leaves an unknown value in DNS.
const LIMITS: &str = "SET LOCAL statement_timeout = '45s'; SET LOCAL lock_timeout = '20s';
    SET LOCAL idle_in_transaction_session_timeout = '15s';
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'";

/// The transactions that may still be waited for.
struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    fn of(length: Duration) -> Self {
        Self {
            until: Instant::now() + length,
            pause: Duration::from_millis(20),
        }
    }

    /// Waits a little longer each time, and not all at the same moment; false when it is used up.
    async fn wait(&mut self) -> bool {
        let pause = self.pause.mul_f64(rand::rng().random_range(0.5..1.5));
        self.pause = (self.pause * 2).min(Duration::from_secs(2));
        let left = Instant::now() + pause < self.until;
        if left {
            sleep(pause).await;
        }
        left
    }
}

/// Does the block in one transaction that only reads, again when the connection breaks.
macro_rules! reading {
    ($store:expr, |$db:ident| $work:expr) => {
        $crate::store::postgres::transaction::tried!(
            $crate::store::postgres::transaction::Trials::reading($store),
            |_| true,
            |$db| $work
        )
    };
}

/// Does the block in one transaction, again when that is needed and safe; what is `unless` worth it
/// is not stored.
macro_rules! writing {
    ($store:expr, |$db:ident| $work:expr) => {
        $crate::store::postgres::transaction::writing!($store, |$db| $work, unless | _ | false)
    };
    ($store:expr, |$db:ident| $work:expr, unless |$done:tt| $idle:expr) => {
        $crate::store::postgres::transaction::tried!(
            $crate::store::postgres::transaction::Trials::writing($store),
            |$done| !$idle,
            |$db| $work
        )
    };
}

/// The loop of both. A closure in its place could not be proved to be `Send`: what it gives borrows
/// the connection.
macro_rules! tried {
    ($trials:expr, |$done:tt| $worth:expr, |$db:ident| $work:expr) => {{
        let mut trials = $trials;
        loop {
            let tried = match trials.begin().await {
                Ok(mut tx) => {
                    let done =
                        $crate::store::postgres::transaction::bounded(trials.at_most, async {
                            let $db: &mut sqlx::PgConnection = &mut tx;
                            $work
                        })
                        .await;
                    match done {
                        Ok(done) => {
                            let worth = {
                                let $done = &done;
                                $worth
                            };
                            trials.end(tx, worth).await.map(|()| done)
                        }
                        Err(fault) => Err(trials.undo(tx, fault).await),
                    }
                }
                Err(fault) => Err(fault),
            };
            match tried {
                Err(fault) if trials.again(&fault).await => {}
                outcome => break outcome,
            }
        }
    }};
}
pub(super) use {reading, tried, writing};

/// A transaction on a connection of the pool, which is closed unless the transaction came to its
/// end.
pub(super) struct Session(Option<PoolConnection<Postgres>>);

impl Session {
    async fn say(&mut self, statements: String) -> Result<(), Fault> {
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    async fn end(mut self, word: &str) -> Result<(), Fault> {
        self.say(word.to_owned()).await?;
        self.0 = None;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(db) = &mut self.0 {
            db.close_on_drop();
        }
    }
}

impl Deref for Session {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

/// One transaction, tried as often as it takes.
pub(super) struct Trials<'a> {
    store: &'a PostgresStore,
    patience: Patience,
    /// The mark of the try that is under way, when it writes.
    token: Option<Uuid>,
    pub at_most: Duration,
}

impl<'a> Trials<'a> {
    pub fn reading(store: &'a PostgresStore) -> Self {
        let patience = if store.begin == READ_ONLY {
            READERS_PATIENCE
        } else {
            PATIENCE
        };
        Self {
            store,
            patience: Patience::of(patience),
            token: None,
            at_most: SILENCE,
        }
    }

    pub fn writing(store: &'a PostgresStore) -> Self {
        Self {
            token: Some(Uuid::nil()),
            ..Self::reading(store)
        }
    }

    /// Once, for work that may take long.
    pub fn long(store: &'a PostgresStore, at_most: Duration) -> Self {
        Self {
            at_most,
            patience: Patience::of(Duration::ZERO),
            ..Self::writing(store)
        }
    }

    pub async fn begin(&mut self) -> Result<Session, Fault> {
        let mut first = LIMITS.to_owned();
        if let Some(token) = &mut self.token {
            *token = Uuid::new_v4();
            first.push_str(&format!("; INSERT INTO settled (token) VALUES ('{token}')"));
        }
        self.store.begin(first).await
    }

    /// Commits the transaction if it is `worth` it, and rolls it back otherwise.
    pub async fn end(&self, tx: Session, worth: bool) -> Result<(), Fault> {
        let Some(token) = self.token.filter(|_| worth) else {
            return bounded(SILENCE, tx.end("ROLLBACK")).await;
        };
        match bounded(SILENCE, tx.end("COMMIT")).await {
            // The COMMIT was sent, and what was heard is no answer to it.
            Err(fault) if fault.is_lost() => match self.store.was_stored(token).await? {
                true => Ok(()),
                false => Err(Fault::RolledBack),
            },
            outcome => outcome,
        }
    }

    /// Leaves what `fault` stopped. After a conflict, or a no of our own, the session is as good as
    /// before once the server has confirmed a ROLLBACK; after everything else it is closed.
    pub async fn undo(&self, tx: Session, fault: Fault) -> Fault {
        if fault.is_conflict() || matches!(fault, Fault::Store(_)) {
            // What fails here has closed the connection.
            let _ = bounded(SILENCE, tx.end("ROLLBACK")).await;
        }
        fault
    }

    /// Whether to try again, after a pause.
    pub async fn again(&mut self, fault: &Fault) -> bool {
        fault.may_pass() && self.patience.wait().await
    }
}

impl PostgresStore {
    /// Asks the outcome of a transaction. Inserting its mark once more waits for it if it is still
    /// under way, meets the mark if it was stored, and otherwise proves that it is over: the mark
    /// was set before everything else in it.
    async fn was_stored(&self, token: Uuid) -> Result<bool, Fault> {
        let mut patience = Patience::of(LONG_PATIENCE);
        loop {
            let fault = match self.try_settle(token).await {
                Ok(stored) => {
                    tracing::info!(
                        stored,
                        "the connection broke during a COMMIT; the database was asked the outcome"
                    );
                    return Ok(stored);
                }
                Err(fault) => fault,
            };
            if !fault.may_pass() || !patience.wait().await {
                return Err(Fault::Unsettled(Box::new(fault)));
            }
        }
    }

    async fn try_settle(&self, token: Uuid) -> Result<bool, Fault> {
        let mut tx = self.begin(LIMITS.to_owned()).await?;
        bounded(SILENCE, async {
            let mark =
                sql("INSERT INTO settled (token) VALUES (CAST($1 AS uuid)) ON CONFLICT DO NOTHING");
            let mark = mark.bind(token.to_string()).execute(&mut *tx).await?;
            // Never stored: a second question must not meet the first one's mark.
            tx.end("ROLLBACK").await?;
            Ok(mark.rows_affected() == 0)
        })
        .await
    }

    /// A transaction with its `first` statements; when there is no connection in time, the server
    /// says itself why.
    async fn begin(&self, first: String) -> Result<Session, Fault> {
        let begun = bounded(SILENCE, async {
            let mut session = Session(Some(self.pool.acquire().await?));
            session.say(format!("{}; {first}", self.begin)).await?;
            Ok(session)
        });
        match begun.await {
            Err(Fault::Sql(sqlx::Error::PoolTimedOut)) => {
                let asked = timeout(
                    Duration::from_secs(3),
                    PgConnection::connect_with(&self.place.options),
                )
                .await;
                Err(asked
                    .ok()
                    .and_then(Result::err)
                    .unwrap_or(sqlx::Error::PoolTimedOut)
                    .into())
            }
            outcome => outcome,
        }
    }
}

pub(super) async fn bounded<T>(
    at_most: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    timeout(at_most, work).await.unwrap_or(Err(Fault::Silent))
}
