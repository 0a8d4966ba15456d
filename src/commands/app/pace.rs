//! The pace that all machines on one store keep together: an account or a credential has one rate,
//! however many machines use it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use prevalidate_kit::pace::{Allowance, Pace};

use crate::ca::http::Permit;
use crate::clock::Clock;
use crate::store::{Bucket, Store};

/// A call waits for the store once; at high rates a process fetches as many permits at once as it
/// is allowed in a twentieth of a second.
const FETCHES_PER_SECOND: f64 = 20.0;
/// Permits that were not asked for are kept this long, and an answer that there are none.
const KEPT: SignedDuration = SignedDuration::from_secs(1);

/// The time between two calls of a process that cannot take turns with the other processes at one
/// address. Three calls in a second are allowed; such a process makes one in two seconds.
const ALONE: SignedDuration = SignedDuration::from_secs(2);

/// Permits from the store's buckets.
pub(super) struct FleetPace {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    purses: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Purse>>>>,
}

/// What was fetched for one bucket.
#[derive(Default)]
struct Purse {
    permits: u32,
    failure: Option<String>,
    until: Option<Timestamp>,
}

impl fmt::Debug for FleetPace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetPace")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl FleetPace {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            purses: Mutex::default(),
        }
    }

    /// For the provider crate.
    pub(super) fn pace(self: &Arc<Self>) -> Pace {
        let fleet = Arc::clone(self);
        Arc::new(move |allowance| {
            let fleet = Arc::clone(&fleet);
            Box::pin(async move { fleet.turn(&allowance).await })
        })
    }

    /// For the client of a CA.
    pub(super) fn permit(self: &Arc<Self>, whose: String, per_second: f64) -> Permit {
        // As its own limiter: a second's worth at once, no more.
        let fleet = Arc::clone(self);
        let allowance = Arc::new(Allowance {
            whose,
            per_second,
            burst: per_second.ceil() as u32,
        });
        Arc::new(move || {
            let (fleet, allowance) = (Arc::clone(&fleet), Arc::clone(&allowance));
            Box::pin(async move { fleet.turn(&allowance).await })
        })
    }

    /// For all processes that call one address, whose calls keep a distance. A command that may not write
    /// the store cannot take turns with them: it makes few calls, each [`ALONE`] after the one before.
    pub(super) fn turns(self: &Arc<Self>, address: &str, per_second: f64) -> Permit {
        let fleet = Arc::clone(self);
        let allowance = Arc::new(Allowance {
            whose: format!("{address} (address)"),
            per_second,
            burst: 1,
        });
        Arc::new(move || {
            let (fleet, allowance) = (Arc::clone(&fleet), Arc::clone(&allowance));
            Box::pin(async move {
                if let Err(why) = fleet.turn(&allowance).await {
                    tracing::debug!(why, "other processes are not waited for");
                    let next = fleet.clock.now().saturating_add(ALONE);
                    fleet
                        .clock
                        .sleep_until(next.unwrap_or(Timestamp::MAX))
                        .await;
                }
                Ok(())
            })
        })
    }

    /// Waits for one permit; callers of one bucket come one after the other.
    async fn turn(&self, allowance: &Allowance) -> Result<(), String> {
        let purse = {
            let mut purses = self.purses.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(purses.entry(allowance.whose.clone()).or_default())
        };
        let mut purse = purse.lock().await;
        if purse.until.is_none_or(|until| self.clock.now() > until) {
            *purse = Purse::default();
        }
        // A call that waited for a silent store does not ask the store again.
        if let Some(failure) = &purse.failure {
            return Err(failure.clone());
        }
        if purse.permits == 0 {
            *purse = self.fetch(allowance).await;
        }
        match &purse.failure {
            Some(failure) => Err(failure.clone()),
            None => {
                purse.permits -= 1;
                Ok(())
            }
        }
    }

    async fn fetch(&self, allowance: &Allowance) -> Purse {
        let burst = allowance.burst.max(1);
        let permits = ((allowance.per_second / FETCHES_PER_SECOND) as u32).clamp(1, burst);
        let bucket = Bucket {
            name: &allowance.whose,
            per_second: allowance.per_second,
            burst,
        };
        let taken = self.store.take(&bucket, permits, self.clock.now()).await;
        if let Ok(wait) = &taken {
            self.clock
                .sleep_until(
                    self.clock
                        .now()
                        .saturating_add(*wait)
                        .unwrap_or(Timestamp::MAX),
                )
                .await;
        }
        let until = self.clock.now().saturating_add(KEPT).ok();
        match taken {
            Ok(_) => Purse {
                permits,
                failure: None,
                until,
            },
            Err(error) => {
                let why =
                    format!("all machines count their calls together in the store, and {error}");
                Purse {
                    permits: 0,
                    failure: Some(why),
                    until,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::SimulatedClock;
    use crate::store::sqlite::SqliteStore;

    fn start() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    async fn machines(count: usize) -> (SimulatedClock, SqliteStore, Vec<Arc<FleetPace>>) {
        let clock = SimulatedClock::at(start());
        let store = SqliteStore::open("sqlite::memory:", None).await.unwrap();
        let machine = || {
            Arc::new(FleetPace::new(
                Arc::new(store.clone()),
                Arc::new(clock.clone()),
            ))
        };
        let machines = (0..count).map(|_| machine()).collect();
        (clock, store, machines)
    }

    fn allowance(per_second: f64, burst: u32) -> Allowance {
        Allowance {
            whose: "host robot".to_owned(),
            per_second,
            burst,
        }
    }

    #[tokio::test]
    async fn processes_at_one_address_take_turns_without_a_burst() {
        let (clock, _store, machines) = machines(3).await;
        let turns: Vec<_> = machines
            .iter()
            .map(|one| one.turns("ca.test", 2.5))
            .collect();
        let mut at = Vec::new();
        for call in 0..30 {
            turns[call % 3]().await.unwrap();
            at.push(clock.now());
        }
        for (first, fourth) in at.iter().zip(&at[3..]) {
            let span = fourth.duration_since(*first);
            assert!(span > SignedDuration::from_secs(1), "{span}: {at:?}");
        }
    }

    #[tokio::test]
    async fn a_process_that_cannot_take_turns_at_an_address_calls_seldom() {
        let (clock, store, machines) = machines(1).await;
        store.close().await;
        let turn = machines[0].turns("ca.test", 2.5);
        let begun = clock.now();
        for calls in 1..=5 {
            turn().await.unwrap();
            assert!(clock.now() >= begun + ALONE * calls, "{calls}");
        }
    }

    #[tokio::test]
    async fn four_machines_together_make_no_more_calls_than_one() {
        for (per_second, burst, calls) in [(2.0, 2, 62), (500.0, 500, 10_500)] {
            let (clock, _store, machines) = machines(4).await;
            for call in 0..calls {
                machines[call % 4]
                    .turn(&allowance(per_second, burst))
                    .await
                    .unwrap();
            }
            let (spent, fair) = (
                clock.now().duration_since(start()).as_secs_f64(),
                (calls as f64) / per_second - 1.0,
            );
            assert!(
                (fair - 0.2..fair + 0.2).contains(&spent),
                "{calls} calls at {per_second}/s took {spent} s"
            );
        }
    }

    #[tokio::test]
    async fn permits_that_were_not_used_are_not_saved_up() {
        let (clock, _store, machines) = machines(1).await;
        machines[0].turn(&allowance(500.0, 500)).await.unwrap();
        clock.advance(SignedDuration::from_mins(1));
        machines[0].turn(&allowance(500.0, 500)).await.unwrap();
        let purse = Arc::clone(&machines[0].purses.lock().unwrap()["host robot"]);
        assert_eq!(purse.lock().await.permits, 24);
    }

    #[tokio::test]
    async fn without_the_store_no_call_is_made_and_all_who_wait_hear_why_at_once() {
        let (clock, store, machines) = machines(1).await;
        store.close().await;
        let refused = machines[0].turn(&allowance(2.0, 2)).await.unwrap_err();
        assert!(refused.contains("the store cannot be used"), "{refused}");
        let pace = machines[0].pace();
        assert_eq!(pace(allowance(2.0, 2)).await.unwrap_err(), refused);
        clock.advance(SignedDuration::from_mins(1));
        assert!(
            machines[0].permit("host robot".to_owned(), 2.0)()
                .await
                .is_err()
        );
        assert!(
            machines[0].permit("another".to_owned(), 2.0)()
                .await
                .is_err()
        );
    }
}
