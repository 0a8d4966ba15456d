//! The ends of registrations, for a daemon: a task beside the scheduler of the proofs.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::rdap::{Rdap, ask_due};
use crate::server::shared::Shared;

/// What the daemon asks by; `None`: the settings name no server.
pub(super) type Way = Option<Arc<Rdap>>;

/// The time between two checks of what is due. After the first check little is due.
const EVERY: Duration = Duration::from_secs(3600);
/// The longest time that one pass lasts; the next one continues.
const LONGEST: SignedDuration = SignedDuration::from_mins(50);

/// Asks the registries until the process ends, by the settings of the moment.
pub(super) async fn keep(shared: Arc<Shared>, mut ways: watch::Receiver<Way>) {
    while !shared.draining.is_cancelled() {
        let way = ways.borrow_and_update().clone();
        if let Some(rdap) = way.filter(|_| shared.obstacle().is_none()) {
            pass(&shared, &rdap).await;
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shared.draining.cancelled() => {}
            changed = ways.changed() => if changed.is_err() { return },
        }
    }
}

async fn pass(shared: &Shared, rdap: &Rdap) {
    let until = shared.clock.now().saturating_add(LONGEST);
    let until = until.unwrap_or(Timestamp::MAX);
    let goes_on = || !shared.draining.is_cancelled() && shared.clock.now() < until;
    match ask_due(rdap, &*shared.store, &*shared.clock, &goes_on).await {
        Ok(pass) => {
            if let Some(first) = pass.faults.first() {
                let (asked, failed) = (pass.asked, pass.faults.len());
                tracing::warn!(asked, failed, %first, "not every registry said when a registration ends");
            }
        }
        Err(error) => tracing::warn!(%error, "the store does not answer"),
    }
}
