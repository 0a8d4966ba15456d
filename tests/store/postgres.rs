//! The store on PostgreSQL: the suite every back end passes, directly and behind PgBouncer in
//! transaction mode, and what only a server can get wrong.

mod clocks;
mod faults;
mod reads;
mod schema;

use std::sync::Arc;

use jiff::SignedDuration;
use prevalidate::store::Store;
use prevalidate::store::conformance::Subject;
use prevalidate::store::postgres::PostgresStore;
use sqlx::AssertSqlSafe;

use crate::support::postgres::{Bouncer, Cluster, Database};

mod direct {
    use super::*;

    pub(super) async fn fresh() -> (Database, Subject) {
        let database = Cluster::shared().database().await;
        let url = database.url.clone();
        subject(database, &url).await
    }

    prevalidate::store_conformance!(fresh());
}

mod pooled {
    use super::*;

    pub(super) async fn fresh() -> (Database, Subject) {
        let database = Cluster::shared().database().await;
        let url = database.by(Bouncer::shared().address());
        subject(database, &url).await
    }

    prevalidate::store_conformance!(fresh());
}

async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(url, None, None).await.unwrap()
}

/// Time passes for leases and buckets when their ends come nearer.
async fn subject(database: Database, url: &str) -> (Database, Subject) {
    let store: Arc<dyn Store> = Arc::new(open(url).await);
    let clock = database.clone();
    let pass = move |by: SignedDuration| -> futures::future::BoxFuture<'static, ()> {
        let clock = clock.clone();
        Box::pin(async move {
            let by = format!("{} * interval '1 second'", by.as_secs());
            let moved = format!(
                "UPDATE domain SET lease_until = lease_until - {by}; UPDATE bucket SET full_at = full_at - {by};
                 UPDATE turn SET until = until - {by}"
            );
            sqlx::raw_sql(AssertSqlSafe(moved))
                .execute(&mut clock.connect().await)
                .await
                .unwrap();
        })
    };
    (database, Subject::by_own_clock(store, Arc::new(pass)))
}
