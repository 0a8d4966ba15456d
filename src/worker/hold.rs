//! How long a worker may still believe in the leases of a round: extended while it works, and not
//! believed in when that failed, or when the process was stopped (faults W01, W06).

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::Worker;
use crate::clock::Clock;
use crate::prevalidation::RowKey;
use crate::store::Fence;

/// The leases of one round.
#[derive(Debug)]
pub(super) struct Hold {
    lease: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Before the store was last asked for them. Two clocks: one stops while a machine
    /// sleeps, the other may be set.
    since: (Instant, Timestamp),
    lost: BTreeSet<RowKey>,
}

impl Hold {
    /// Leases of this length that were asked for at `since`.
    pub(super) fn new(lease: SignedDuration, since: Moment) -> Self {
        Self {
            lease: lease.unsigned_abs(),
            state: Mutex::new(State {
                since: since.0,
                lost: BTreeSet::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All but the lost ones were extended by a call that began at `since`.
    pub(super) fn extended(&self, since: Moment, lost: &[RowKey]) {
        let mut state = self.lock();
        state.since = since.0;
        state.lost.extend(lost.iter().cloned());
    }

    /// Whether an effect may begin: not in the last third of a lease, which is the time that it
    /// takes.
    pub(super) fn is_good(&self, key: &RowKey, now: Timestamp) -> bool {
        let state = self.lock();
        let (instant, moment) = state.since;
        let gone = instant
            .elapsed()
            .max(Duration::try_from(now.duration_since(moment)).unwrap_or_default());
        gone < self.lease * 2 / 3 && !state.lost.contains(key)
    }
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment((Instant, Timestamp));

impl Moment {
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self((Instant::now(), clock.now()))
    }
}

impl Worker {
    /// Extends the leases of a round three times in their duration, while a caller waits.
    pub(super) async fn extend_for_ever(&self, fences: &[Fence], hold: &Hold) -> Infallible {
        loop {
            tokio::time::sleep(hold.lease / 3).await;
            let since = Moment::now(&*self.ports.clock);
            match self
                .ports
                .store
                .extend(fences, self.ports.clock.now(), self.options.lease)
                .await
            {
                // Those whose work is done were given back, and count as lost: nothing more is done
                // to them.
                Ok(lost) => hold.extended(since, &lost),
                Err(error) => tracing::warn!(%error, "leases could not be extended"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::SimulatedClock;

    #[test]
    fn nothing_begins_in_the_last_third_of_a_lease_nor_under_one_that_is_lost() {
        let clock = SimulatedClock::at("2026-12-01T00:00:00Z".parse().unwrap());
        let [a, b] = ["a.ch", "b.ch"].map(|name| RowKey::read(name).unwrap());
        let hold = Hold::new(SignedDuration::from_secs(300), Moment::now(&clock));
        clock.advance(SignedDuration::from_secs(199));
        assert!(hold.is_good(&a, clock.now()));
        clock.advance(SignedDuration::from_secs(1));
        assert!(
            !hold.is_good(&a, clock.now()),
            "the machine slept, and the monotonic clock with it"
        );

        hold.extended(Moment::now(&clock), std::slice::from_ref(&b));
        assert!(hold.is_good(&a, clock.now()) && !hold.is_good(&b, clock.now()));
        // A clock that is set back makes no lease longer.
        clock.advance(SignedDuration::from_hours(-1));
        assert!(hold.is_good(&a, clock.now()));
        let spent = Hold::new(SignedDuration::ZERO, Moment::now(&clock));
        assert!(!spent.is_good(&a, clock.now()));
    }
}
