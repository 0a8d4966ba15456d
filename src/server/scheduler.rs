//! The loop of the daemon: lanes that work, errands beside them, and a pulse that says both
//! continue.
//!
//! One process has a few lanes. One of the idle ones is on watch: it searches for work when
//! something may have become due (a word from this process or another one, the next moment in the
//! store, and all the same every few seconds), and when it finds some, another one is on watch. So
//! no listing is made twice, an idle daemon costs one small query each time, and a slow round holds
//! up no other.

mod clocks;
mod errands;
mod lane;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use self::clocks::Jumps;
use self::errands::{Errand, Errands};
use super::manager;
use super::shared::{Obstacle, Shared};
use crate::store::StoreError;
use crate::worker::Worker;

/// The pulse, at least.
const TICK: Duration = Duration::from_secs(1);
/// A round that takes longer hangs, and a search for work too: the service manager is left to think
/// so (faults W07). A round of a hundred domains and a CA that takes its time has minutes, and at a
/// slow rate hours; so it counts from the last answer.
const NO_PROGRESS: Duration = Duration::from_secs(15 * 60);
/// An embedded store that could not be written for this time may need a process that opens it
/// again: the service manager is left to think so. A database server is waited for.
const UNWRITTEN: Duration = Duration::from_secs(15 * 60);
/// The longest pause after a fault of the store, or of the program.
const PAUSE: Duration = Duration::from_secs(30);

/// How it goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How many rounds run at once.
    pub lanes: usize,
    /// The longest time between two searches for work.
    pub poll: Duration,
    /// How long what is under way may take when the process ends.
    pub drain: Duration,
}

impl Pace {
    /// Four lanes that search for work every five seconds; fewer where fewer domains may be worked
    /// on at once.
    pub fn new(drain: Duration, concurrency: usize) -> Self {
        Self {
            lanes: concurrency.clamp(1, 4),
            poll: Duration::from_secs(5),
            drain,
        }
    }
}

/// Keeps the domains, for ever.
#[derive(Debug)]
pub struct Scheduler {
    shared: Arc<Shared>,
    pace: Pace,
    worker: watch::Sender<Arc<Worker>>,
    /// Held by the lane that searches for work.
    on_watch: tokio::sync::Mutex<()>,
    /// Since when each lane is in a round, or searches for one.
    rounds: Mutex<Vec<Option<Instant>>>,
    /// How many calls to CAs and providers had come back when this was last checked, and since when
    /// it was so many.
    answers: Mutex<(u64, Instant)>,
    /// Something was done since the last snapshot.
    changed: AtomicBool,
    /// A snapshot is wanted at once.
    asked: AtomicBool,
    snapshot_took: Mutex<Duration>,
    /// What the store said last, while it says nothing good.
    fault: Mutex<Option<(Instant, String)>>,
    /// When it was written last.
    answered: Mutex<Instant>,
    /// Why this process must end: its store is not where it was.
    lost: Mutex<Option<String>>,
}

/// The kind of a task of the scheduler.
#[derive(Debug, Clone, Copy)]
enum Part {
    Lane(usize),
    Errand(Errand),
}

/// All tasks by their id: a panic tells no more than that.
#[derive(Default)]
struct Tasks {
    set: JoinSet<()>,
    parts: HashMap<Id, Part>,
}

impl Scheduler {
    /// One that works by `worker` until it [employs](Self::employ) another.
    pub fn new(shared: Arc<Shared>, worker: Worker, pace: Pace) -> Self {
        Self {
            pace,
            worker: watch::Sender::new(Arc::new(worker)),
            on_watch: tokio::sync::Mutex::new(()),
            rounds: Mutex::new(vec![None; pace.lanes.max(1)]),
            answers: Mutex::new((0, Instant::now())),
            changed: AtomicBool::new(true),
            asked: AtomicBool::new(false),
            snapshot_took: Mutex::default(),
            fault: Mutex::default(),
            answered: Mutex::new(Instant::now()),
            lost: Mutex::default(),
            shared,
        }
    }

    /// Works by `worker` from the next round on; those under way end as they began.
    pub fn employ(&self, worker: Worker) {
        self.worker.send_replace(Arc::new(worker));
        self.read_again();
    }

    /// Something changed in the store: a snapshot and a search for work are due now.
    pub fn read_again(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.shared.wake.notify_one();
    }

    /// Works until [`Shared::draining`], and then until what is under way has ended, or its time is
    /// over; returns how many rounds were cut off. Their domains come free when their leases end.
    pub async fn run(self: &Arc<Self>) -> usize {
        let mut tasks = Tasks::default();
        for lane in 0..self.pace.lanes.max(1) {
            self.start_lane(&mut tasks, lane, Duration::ZERO);
        }
        let patience = manager::patience();
        let mut tick =
            tokio::time::interval(patience.map_or(TICK, |patience| (patience / 4).min(TICK)));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut hints = self.shared.store.hints().fuse();
        let mut errands = Errands::new();
        let mut jumps = Jumps::new(&*self.shared.clock);
        let mut faults = 0;
        loop {
            tokio::select! {
                () = self.shared.draining.cancelled() => break,
                Some(()) = hints.next() => {
                    self.changed.store(true, Ordering::Relaxed);
                    self.shared.wake.notify_one();
                }
                Some(ended) = tasks.next() => self.take_up_again(ended, &mut faults, &mut tasks, &mut errands),
                _ = tick.tick() => {}
            }
            if jumps.is_one(&*self.shared.clock) {
                self.shared.hinder(Some(Obstacle::Uncompared));
                errands.hasten(Errand::Clock);
            }
            if self.asked.load(Ordering::Relaxed) && errands.hasten(Errand::Snapshot) {
                self.asked.store(false, Ordering::Relaxed);
            }
            for errand in errands.due(self.changed.load(Ordering::Relaxed)) {
                if errand == Errand::Snapshot {
                    self.changed.store(false, Ordering::Relaxed);
                }
                let scheduler = Arc::clone(self);
                tasks.start(Part::Errand(errand), async move {
                    scheduler.run_errand(errand).await
                });
            }
            self.pulse();
        }
        self.drain(tasks).await
    }

    fn start_lane(self: &Arc<Self>, tasks: &mut Tasks, lane: usize, after: Duration) {
        let scheduler = Arc::clone(self);
        tasks.start(Part::Lane(lane), async move {
            tokio::time::sleep(after).await;
            scheduler.lane(lane).await;
        });
    }

    /// A part ended: errands do, lanes only by a fault of the program, which is counted, told, and
    /// survived (faults W14).
    fn take_up_again(
        self: &Arc<Self>,
        ended: (Option<Part>, Option<JoinError>),
        faults: &mut u32,
        tasks: &mut Tasks,
        errands: &mut Errands,
    ) {
        let (Some(part), error) = ended else { return };
        if error.is_some_and(|error| error.is_panic()) {
            *faults += 1;
            self.shared.metrics.event("panic");
            tracing::error!(?part, "ended by a fault of the program; continues");
        }
        match part {
            Part::Lane(lane) => {
                self.note_round(lane, None);
                self.start_lane(tasks, lane, pause(*faults));
            }
            Part::Errand(errand) => errands.done(errand, *lock(&self.snapshot_took)),
        }
    }

    /// Says that it goes round; a round that hangs silences it.
    fn pulse(&self) {
        let (now, answers) = (Instant::now(), self.shared.metrics.answers());
        let mut heard = lock(&self.answers);
        if heard.0 != answers {
            *heard = (answers, now);
        }
        let unwritten =
            !self.shared.store.is_shared() && lock(&self.answered).elapsed() > UNWRITTEN;
        if !hangs(&lock(&self.rounds), heard.1, now) && !unwritten {
            self.shared.metrics.pulse(self.shared.clock.now());
            if manager::patience().is_some() {
                manager::alive();
            }
        }
    }

    async fn drain(&self, mut tasks: Tasks) -> usize {
        let deadline = tokio::time::sleep(self.pace.drain);
        tokio::pin!(deadline);
        let is_lane = |part: &Part| matches!(part, Part::Lane(_));
        while tasks.parts.values().any(is_lane) {
            tokio::select! {
                () = &mut deadline => break,
                _ = tasks.next() => {}
                () = tokio::time::sleep(TICK) => self.pulse(),
            }
        }
        let cut = lock(&self.rounds).iter().flatten().count();
        tasks.set.shutdown().await;
        cut
    }

    fn note_round(&self, lane: usize, since: Option<Instant>) {
        if let Some(round) = lock(&self.rounds).get_mut(lane) {
            *round = since;
        }
    }

    /// Why the process ended by itself, if it did.
    pub fn lost(&self) -> Option<String> {
        lock(&self.lost).clone()
    }

    /// The store was written; what it did not do before is over.
    fn store_answers(&self) {
        self.shared.metrics.store_up(true);
        *lock(&self.answered) = Instant::now();
        if let Some((since, _)) = lock(&self.fault).take() {
            tracing::warn!(
                "the store answers again, after {} s",
                since.elapsed().as_secs()
            );
        }
    }

    /// The store could not do what `began` then: told once, however many find out. A round that
    /// began before the last answer has waited for something that is over.
    fn store_fails(&self, began: Instant, error: &StoreError) {
        if began < *lock(&self.answered) {
            return;
        }
        self.shared.metrics.store_up(false);
        let mut fault = lock(&self.fault);
        let text = error.to_string();
        if matches!(error, StoreError::Replaced { .. }) {
            tracing::error!(error = %text, "the store is not where it was: ends");
            *lock(&self.lost) = Some(text);
            self.shared.draining.cancel();
            return;
        }
        if fault.is_none() {
            tracing::error!(error = %text, "the store does not answer; tries again until it does");
            manager::status(&format!("tries again: {text}"));
        }
        let since = fault
            .as_ref()
            .map_or_else(Instant::now, |(since, _)| *since);
        *fault = Some((since, text));
    }
}

impl Tasks {
    fn start(&mut self, part: Part, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.set.spawn(task);
        self.parts.insert(handle.id(), part);
    }

    /// Which part ended next, and how; waits for ever while there is none.
    async fn next(&mut self) -> Option<(Option<Part>, Option<JoinError>)> {
        let (id, error) = match self.set.join_next_with_id().await? {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error)),
        };
        Some((self.parts.remove(&id), error))
    }
}

/// Whether one of `rounds`, by their beginnings, continues although no answer came for long.
fn hangs(rounds: &[Option<Instant>], answered: Instant, now: Instant) -> bool {
    rounds
        .iter()
        .flatten()
        .any(|&began| now.duration_since(began.max(answered)) > NO_PROGRESS)
}

/// 0 at first, then from one second to half a minute, not the same for all.
fn pause(faults: u32) -> Duration {
    if faults == 0 {
        return Duration::ZERO;
    }
    let longest = Duration::from_secs(1 << (faults - 1).min(5)).min(PAUSE);
    longest.mul_f64(rand::random_range(0.5..1.0))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_waits_its_turn_at_a_slow_ca_is_none_that_hangs() {
        let began = Instant::now();
        let after = |minutes: u64| began + Duration::from_secs(60 * minutes);
        for (rounds, answered, now, expected) in [
            (&[None, None], 0, 100, false),
            (&[None, Some(0)], 0, 14, false),
            (&[None, Some(0)], 0, 16, true),
            (&[None, Some(0)], 90, 100, false),
            (&[None, Some(0)], 90, 106, true),
            // What was answered before it began says nothing about it.
            (&[Some(90), None], 60, 100, false),
            (&[Some(90), None], 60, 106, true),
        ] {
            let rounds = rounds.map(|minutes| minutes.map(after));
            assert_eq!(
                hangs(&rounds, after(answered), after(now)),
                expected,
                "{rounds:?} {answered} {now}"
            );
        }
    }
}
