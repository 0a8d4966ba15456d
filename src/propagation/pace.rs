//! How often one server is asked: never more often than agreed, and each question in its turn.
//!
//! A question that comes too early is given a moment of its own (the generic cell rate algorithm,
//! ITU-T I.371), so that a thousand questions to one server wait in a row and are not woken
//! together again and again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Servers that are remembered before those without a waiting question are forgotten.
const MOST: usize = 4096;

/// The moments at which each server may be asked. A second's worth may come at once.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    next: Mutex<HashMap<String, Instant>>,
}

impl Pace {
    /// At most `rate` questions a second, more than 0.
    pub(super) fn new(rate: f64) -> Self {
        let interval = Duration::try_from_secs_f64(1.0 / rate).unwrap_or_default();
        Self {
            interval,
            next: Mutex::default(),
        }
    }

    /// Returns when `whom` may be asked: the caller's own turn, used up even when the caller is
    /// gone by then.
    pub(super) async fn turn(&self, whom: String) {
        sleep_until(self.slot(whom, Instant::now())).await;
    }

    /// The next moment at which `whom` may be asked, taken.
    fn slot(&self, whom: String, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.len() >= MOST {
            next.retain(|_, free| *free > now);
        }
        let free = next.entry(whom).or_insert(now);
        let at = (*free).max(now);
        *free = at + self.interval;
        // After a rest a second's worth is saved up.
        at.checked_sub(Duration::from_secs(1).saturating_sub(self.interval))
            .unwrap_or(at)
            .max(now)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_server_is_asked_a_seconds_worth_at_once_and_then_at_the_rate() {
        let (pace, begun) = (Pace::new(10.0), Instant::now() + Duration::from_secs(60));
        let wait = |whom: &str, now: Instant| {
            pace.slot(whom.to_owned(), now)
                .duration_since(now)
                .as_millis()
        };
        let waits: Vec<_> = (0..14).map(|_| wait("192.0.2.1", begun)).collect();
        assert_eq!(
            waits,
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200, 300, 400],
            "in their turn"
        );
        assert_eq!(
            wait("192.0.2.2", begun),
            0,
            "another server has a rate of its own"
        );
        let later = begun + Duration::from_secs(3600);
        let waits: Vec<_> = (0..12).map(|_| wait("192.0.2.1", later)).collect();
        assert_eq!(
            waits[8..],
            [0, 0, 100, 200],
            "a rest saves up one second's worth and no more"
        );
    }

    #[test]
    fn servers_without_a_waiting_caller_are_forgotten() {
        let (pace, mut now) = (Pace::new(1000.0), Instant::now());
        for nth in 0..3 * MOST {
            pace.slot(nth.to_string(), now);
            now += Duration::from_millis(2);
        }
        assert!(pace.next.lock().unwrap().len() <= MOST);
    }
}
