//! Sends notices beside a loop that must not wait: the loop makes its snapshots and continues, and
//! another task takes the last one.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Notifier, Undelivered};
use crate::overview::snapshot::Snapshot;

/// Tells what is new in each snapshot, by the present notifier (a reload makes another one), until
/// `ending`. Snapshots that come while not `may_tell` are passed over: by a clock that is wrong
/// everything is. If several snapshots come while a message is being sent, the last one counts. A
/// message under way comes to its end; a process that does not wait for that leaves one that
/// another process sends again, with the same id.
pub async fn follow(
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    notifiers: watch::Receiver<Arc<Notifier>>,
    ending: CancellationToken,
    may_tell: impl Fn() -> bool,
) {
    let mut store_failed = false;
    loop {
        tokio::select! {
            biased;
            () = ending.cancelled() => return,
            changed = snapshots.changed() => if changed.is_err() { return },
        }
        let Some(snapshot) = snapshots.borrow_and_update().clone() else {
            continue;
        };
        if !may_tell() {
            continue;
        }
        let notifier = Arc::clone(&notifiers.borrow());
        match notifier.tell(&snapshot).await {
            Ok(undelivered) => {
                store_failed = false;
                for Undelivered {
                    sink, topic, error, ..
                } in undelivered
                {
                    tracing::warn!(sink, %topic, %error, "could not tell");
                }
            }
            // The scheduler says that the store is gone; once is enough.
            Err(error) if !store_failed => {
                store_failed = true;
                tracing::warn!(%error, "no message can be sent: the store does not answer");
            }
            Err(_) => {}
        }
    }
}
