//! Persistent records of a daemon: a task beside the scheduler of the proofs.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::watch;

use super::voice;
use crate::commands::app::{App, NOTED_BY_DAEMON, Pass};
use crate::server::shared::Shared;
use crate::store::Event;
use crate::worker::Ports;
use crate::worker::persist::Keeper;

/// The shortest and the longest time between two passes. Each asks the name servers of every
/// record.
const SOON: Duration = Duration::from_secs(5);
const LATE: Duration = Duration::from_secs(900);
/// While the clocks are not compared, and after a fault of the store.
const AGAIN: Duration = Duration::from_secs(10);

/// The job for these settings, which ends when the process does.
pub(super) fn keeper(app: &App, ports: &Ports, run: &str, shared: &Shared) -> Keeper {
    let metrics = Arc::clone(&shared.metrics);
    let pass = Pass {
        run,
        only: None,
        force: false,
        noted_every: NOTED_BY_DAEMON,
        stop: shared.draining.clone(),
        tell: Arc::new(move |event: &Event| voice::event(event, &metrics)),
    };
    app.keeper(ports, pass)
}

/// Keeps persistent records until the process ends, by the job of the moment.
pub(super) async fn keep(shared: Arc<Shared>, mut jobs: watch::Receiver<Arc<Keeper>>) {
    let mut told = None;
    while !shared.draining.is_cancelled() {
        let job = Arc::clone(&jobs.borrow_and_update());
        let rest = match shared.obstacle() {
            Some(_) => AGAIN,
            None => match job.pass().await {
                Ok(passed) => {
                    if passed.alarm != told {
                        if let Some(alarm) = &passed.alarm {
                            tracing::error!("the guard refuses: {alarm}");
                        }
                        told.clone_from(&passed.alarm);
                    }
                    let left = passed
                        .next()
                        .map(|at| at.duration_since(shared.clock.now()));
                    let left = left.unwrap_or(SignedDuration::MAX);
                    Duration::try_from(left)
                        .unwrap_or_default()
                        .clamp(SOON, LATE)
                }
                Err(error) => {
                    tracing::warn!(%error, "the store does not answer");
                    AGAIN
                }
            },
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = shared.draining.cancelled() => {}
            changed = jobs.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}
