//! One lane: searches for work when it is on watch, does what it finds, and searches again.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::MutexGuard;

use super::{Scheduler, pause};
use crate::worker::Found;

/// What is due and leased by another process is taken up again after this time.
const AGAIN: Duration = Duration::from_secs(1);

impl Scheduler {
    /// Works until the process ends; between two steps it may.
    pub(super) async fn lane(&self, lane: usize) {
        let draining = &self.shared.draining;
        let mut faults = 0;
        while let Some(watch) = draining.run_until_cancelled(self.watch()).await {
            let worker = self.worker.borrow().clone();
            self.shared
                .take_ordered_listings()
                .iter()
                .for_each(|client| worker.order_listing(client));
            // Never dropped in the middle: a claim whose answer is not read is a lease that is not
            // given back.
            let began = Instant::now();
            self.note_round(lane, Some(began));
            let found = worker.find().await;
            self.note_round(lane, None);
            match found {
                Ok(Found::Nothing { next }) => {
                    faults = 0;
                    let wait = self.until(next);
                    tokio::select! {
                        () = self.shared.wake.notified() => {}
                        () = tokio::time::sleep(wait) => {}
                        () = draining.cancelled() => return,
                    }
                }
                Ok(Found::Job(job)) => {
                    drop(watch);
                    let began = Instant::now();
                    self.note_round(lane, Some(began));
                    let outcome = worker.work(job).await;
                    self.note_round(lane, None);
                    self.shared.metrics.round(began.elapsed());
                    self.changed.store(true, Ordering::Relaxed);
                    match outcome {
                        // Only now: a listing is found without the store.
                        Ok(_) => {
                            faults = 0;
                            self.store_answers();
                            // The lane on watch checked before this was known, or given back.
                            self.shared.wake.notify_one();
                        }
                        Err(error) => {
                            self.store_fails(began, &error);
                            faults += 1;
                            draining
                                .run_until_cancelled(tokio::time::sleep(pause(faults)))
                                .await;
                        }
                    }
                }
                Err(error) => {
                    // The watch is kept: one asks whether the store is back, not all.
                    self.store_fails(began, &error);
                    faults += 1;
                    draining
                        .run_until_cancelled(tokio::time::sleep(pause(faults)))
                        .await;
                }
            }
        }
    }

    /// The turn to search for work, once nothing blocks a decision.
    async fn watch(&self) -> MutexGuard<'_, ()> {
        let turn = self.on_watch.lock().await;
        self.shared.unhindered().await;
        turn
    }

    /// Until the next moment in the store, and never longer than the poll; spread, so that many
    /// processes do not ask at once.
    fn until(&self, next: Option<Timestamp>) -> Duration {
        let poll = self.pace.poll.mul_f64(rand::random_range(0.8..1.0));
        let Some(next) = next else { return poll };
        match Duration::try_from(next.duration_since(self.shared.clock.now())) {
            Ok(left) if !left.is_zero() => left.min(poll),
            _ => AGAIN.mul_f64(rand::random_range(0.8..1.0)).min(poll),
        }
    }
}
