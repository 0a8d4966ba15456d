//! LISTEN and NOTIFY, as a hint and no more: a notification that no process heard is gone (faults
//! B10, L5), and behind a pooler in transaction mode none comes at all (faults B09).

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::fault::Fault;
use super::{CONNECT, PostgresStore, sql};

/// One for all stores of a database: a hint too many costs a query.
const CHANNEL: &str = "prevalidate";
/// The longest pause between two tries to connect.
const PAUSE: Duration = Duration::from_secs(30);

/// Tells all listeners, once the transaction is stored; many in one transaction are reported as
/// one.
pub(super) async fn speak(db: &mut PgConnection) -> Result<(), Fault> {
    sql("SELECT pg_notify($1, '')")
        .bind(CHANNEL)
        .execute(db)
        .await?;
    Ok(())
}

pub(super) fn listen(store: &PostgresStore) -> BoxStream<'static, ()> {
    let ear = Ear {
        options: store.place.options.clone(),
        closed: store.closed.clone(),
        listener: None,
        pause: Duration::from_millis(500),
    };
    stream::unfold(ear, |mut ear| async move {
        let closed = ear.closed.clone();
        tokio::select! {
            () = ear.heard() => Some(((), ear)),
            () = closed.cancelled() => None,
        }
    })
    .boxed()
}

/// A connection of its own that listens.
struct Ear {
    options: PgConnectOptions,
    closed: CancellationToken,
    listener: Option<PgListener>,
    pause: Duration,
}

impl Ear {
    /// Returns when something was said, and when something may have been said while no process
    /// listened.
    async fn heard(&mut self) {
        loop {
            if let Some(listener) = &mut self.listener {
                match listener.try_recv().await {
                    Ok(_) => return,
                    Err(error) => self.lost(&error).await,
                }
            } else {
                match self.connect().await {
                    Ok(listener) => {
                        self.listener = Some(listener);
                        self.pause = Duration::from_millis(500);
                        return;
                    }
                    Err(error) => self.lost(&error).await,
                }
            }
        }
    }

    async fn connect(&self) -> Result<PgListener, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT)
            .max_lifetime(None)
            .idle_timeout(None);
        let mut listener =
            PgListener::connect_with(&pool.connect_lazy_with(self.options.clone())).await?;
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }

    async fn lost(&mut self, error: &sqlx::Error) {
        tracing::debug!(%error, "no hints from the database for a while");
        self.listener = None;
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE);
    }
}
