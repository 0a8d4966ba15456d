//! Time as a port: the only place that reads the machine's clock, and a clock that tests and the
//! demo set by hand.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

/// A clock. Decisions never hold one: they take `now` as an argument.
#[async_trait]
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The current time, UTC.
    fn now(&self) -> Timestamp;

    /// How long this process has lived, at least: it cannot be set, and it never goes back. Two of
    /// its values tell how much time has passed between them.
    fn steady(&self) -> Duration {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGIN.elapsed()
    }

    /// Returns once `now` is at or past `until`.
    async fn sleep_until(&self, until: Timestamp);
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine for the time"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep_until(&self, until: Timestamp) {
        let left = until.duration_since(self.now());
        if let Ok(left) = std::time::Duration::try_from(left) {
            tokio::time::sleep(left).await;
        }
    }
}

/// A clock that moves only when a test moves it, or when a task sleeps on it: a sleep jumps to its
/// end at once.
///
/// It makes fourteen months pass in a second. Clones show the same time.
#[derive(Debug, Clone)]
pub struct SimulatedClock(Arc<Mutex<Simulated>>);

#[derive(Debug)]
struct Simulated {
    now: Timestamp,
    /// The time that has passed.
    passed: SignedDuration,
}

impl Simulated {
    /// Time passes, until it is `now`. Back it goes only on the clock.
    fn go(&mut self, now: Timestamp) {
        let span = now.duration_since(self.now).max(SignedDuration::ZERO);
        self.passed = self.passed.saturating_add(span);
        self.now = now;
    }
}

impl SimulatedClock {
    /// A clock that is at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Simulated {
            now: start,
            passed: SignedDuration::ZERO,
        })))
    }

    fn inside(&self) -> std::sync::MutexGuard<'_, Simulated> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves to `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.inside().go(now);
    }

    /// Moves on by `step`.
    pub fn advance(&self, step: SignedDuration) {
        let mut inside = self.inside();
        let now = inside.now.saturating_add(step).unwrap_or(Timestamp::MAX);
        inside.go(now);
    }

    /// A person sets the clock of the machine: no time passes.
    pub fn step(&self, step: SignedDuration) {
        let mut inside = self.inside();
        inside.now = inside.now.saturating_add(step).unwrap_or(Timestamp::MAX);
    }
}

#[async_trait]
impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        self.inside().now
    }

    fn steady(&self) -> Duration {
        self.inside().passed.unsigned_abs()
    }

    async fn sleep_until(&self, until: Timestamp) {
        {
            let mut inside = self.inside();
            let until = inside.now.max(until);
            inside.go(until);
        }
        tokio::task::yield_now().await;
    }
}
