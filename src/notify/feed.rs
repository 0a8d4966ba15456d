//! Telling beside a loop that must not wait: it shows each picture and goes on; a task of its own takes up the last one.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Notifier;
use crate::overview::snapshot::Snapshot;

type Shown = Option<(Arc<Notifier>, Arc<Snapshot>)>;

/// Tells in the background.
#[derive(Debug)]
pub struct Feed {
    shown: watch::Sender<Shown>,
    task: JoinHandle<()>,
}

impl Feed {
    /// Starts the task, within a Tokio runtime.
    pub fn start() -> Self {
        let (shown, mut seen) = watch::channel::<Shown>(None);
        let task = tokio::spawn(async move {
            let mut store_failed = false;
            while seen.changed().await.is_ok() {
                let Some((notifier, picture)) = seen.borrow_and_update().clone() else { continue };
                match notifier.tell(&picture).await {
                    Ok(_) => store_failed = false,
                    // The scheduler says that the store is gone; once is enough.
                    Err(error) if !store_failed => {
                        store_failed = true;
                        tracing::warn!(%error, "nobody can be told anything: the store does not answer");
                    }
                    Err(_) => {}
                }
            }
        });
        Self { shown, task }
    }

    /// Shows a new picture. Returns at once; of several that come while a message is on its way the last one counts.
    pub fn show(&self, notifier: &Arc<Notifier>, picture: &Arc<Snapshot>) {
        self.shown.send_replace(Some((Arc::clone(notifier), Arc::clone(picture))));
    }

    /// Lets what is under way come to its end, at most a minute or so: whoever ends before leaves a message that another
    /// process sends again.
    pub async fn close(self) {
        drop(self.shown);
        // A panic has been reported by itself.
        let _ = self.task.await;
    }
}
