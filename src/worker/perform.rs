//! The only place where a step has an effect: like steps together, intents before effects, results
//! after them.

mod by_others;
mod ca;
mod dns;
mod gate;
mod others;
mod rehearse;
mod shared;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::task::Task;
use super::{Hold, Moment, Worker, crashpoint};
use crate::ca::Validation;
use crate::prevalidation::Step;
use crate::store::{DomainRow, EffectMark, Event, Fence, Lease, Origin, StoreError};

impl Worker {
    /// Performs the next step of each claimed domain and gives its lease back.
    pub(super) async fn perform(&self, leases: Vec<Lease>, hold: &Hold) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        let mut groups: BTreeMap<Kind, Vec<Task>> = BTreeMap::new();
        {
            let covering = self.covering.lock().unwrap_or_else(PoisonError::into_inner);
            for lease in leases {
                let covering = covering.get(&lease.row.client);
                let mut task = Task::new(lease, self, covering, now);
                if task.decision.is_due(now)
                    && needs_ca(&task.decision.step)
                    && !self.knows(&task.row.client)
                {
                    // Wanted by another configuration: its own process keeps it, and a typing error
                    // there must not stop what this one keeps.
                    if task.row.origins.contains(&Origin::Config) {
                        task.leave_to_others(now);
                        groups.entry(Kind::Idle).or_default().push(task);
                        continue;
                    }
                    let reason = format!(
                        "its client {} is no longer in the configuration",
                        task.row.client
                    );
                    task.hold(self, reason, now);
                    task.decision.step = Step::Rest;
                }
                groups
                    .entry(if task.decision.is_due(now) {
                        kind(&task.decision.step)
                    } else {
                        Kind::Idle
                    })
                    .or_default()
                    .push(task);
            }
        }
        let mut of = |kind: Kind| groups.remove(&kind).unwrap_or_default();
        let (idle, held) = (of(Kind::Idle), of(Kind::Hold));
        let (read, register, reset) = (of(Kind::Read), of(Kind::Register), of(Kind::Reset));
        let (preflight, publish, check) = (of(Kind::Preflight), of(Kind::Publish), of(Kind::Check));
        let (validate, remove) = (of(Kind::Validate), of(Kind::Remove));
        self.finish(idle).await?;
        self.wait_for_a_person(held).await?;
        // Each group talks to another side; a slow one does not hold up the rest, nor does one that
        // fails: what has said that it begins is not given up between that and its effect.
        let ended = tokio::join!(
            self.read(read),
            self.register(register, hold),
            self.reset(reset, hold),
            self.validate(validate, hold),
            self.preflight(preflight),
            self.publish(publish, hold),
            self.watch(check),
            self.remove(remove, hold),
        );
        let (read, register, reset, validate, preflight, publish, check, remove) = ended;
        [
            read, register, reset, validate, preflight, publish, check, remove,
        ]
        .into_iter()
        .collect()
    }

    async fn wait_for_a_person(&self, mut tasks: Vec<Task>) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        for task in &mut tasks {
            let mut fresh = task.observed.clone();
            fresh.upkeep.setback.hold = None;
            // Why it is held now, not why it was held when it last was.
            let why = crate::prevalidation::next_step(&fresh, task.policy(self), now).why;
            task.hold(self, why.to_string(), now);
        }
        self.finish(tasks).await
    }

    /// Stores the results and gives the leases back.
    pub(super) async fn finish(&self, mut tasks: Vec<Task>) -> Result<(), StoreError> {
        if tasks.is_empty() {
            return Ok(());
        }
        let now = self.ports.clock.now();
        let writes: Vec<_> = tasks
            .iter_mut()
            .map(|task| task.result(self, now))
            .collect();
        self.commit(&writes).await?;
        for task in tasks.iter().filter(|task| task.won && task.row.at_risk) {
            self.learn(&task.row.client).await?;
        }
        crashpoint::reach("stored");
        Ok(())
    }

    /// Stores intents; only tasks whose lease still holds, and will for a while, continue to their
    /// effect. A process that was stopped since then must not act on what it knew (faults W01).
    async fn intend(
        &self,
        mut tasks: Vec<Task>,
        hold: &Hold,
        mark: impl Fn(&Task) -> Option<EffectMark>,
    ) -> Result<Vec<Task>, StoreError> {
        let writes: Vec<_> = tasks
            .iter_mut()
            .map(|task| {
                let mark = mark(task);
                task.intent(mark)
            })
            .collect();
        let held = self.commit(&writes).await?;
        let now = self.ports.clock.now();
        let held = tasks
            .into_iter()
            .zip(held)
            .filter_map(|(task, held)| held.then_some(task));
        Ok(held
            .filter(|task| hold.is_good(&task.fence.key, now))
            .collect())
    }

    /// True per write that was stored; a lost lease loses only its own (faults W02).
    async fn commit(&self, writes: &[crate::store::Write]) -> Result<Vec<bool>, StoreError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let results = self.ports.store.commit(writes).await?;
        let mut held = Vec::with_capacity(results.len());
        for (write, result) in writes.iter().zip(results) {
            match result {
                Ok(()) => {
                    write.events.iter().for_each(|event| (self.tell)(event));
                    held.push(true);
                }
                Err(StoreError::LeaseLost(row)) => {
                    tracing::info!(domain = %row, "another worker has taken the domain over");
                    self.options
                        .metrics
                        .as_ref()
                        .inspect(|metrics| metrics.lease_lost());
                    held.push(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(held)
    }

    /// Moves the ends of the leases that are waited on; the lost ones are dropped. When the worker
    /// must stop, all leases are given back. A step that has not begun is for the next worker.
    async fn keep(&self, tasks: Vec<Task>, hold: &Hold) -> Result<Vec<Task>, StoreError> {
        if self.stop.is_cancelled() {
            self.finish(tasks).await?;
            return Ok(Vec::new());
        }
        let fences: Vec<Fence> = tasks.iter().map(|task| task.fence.clone()).collect();
        let since = Moment::now(&*self.ports.clock);
        let lost = self
            .ports
            .store
            .extend(&fences, self.ports.clock.now(), self.options.lease)
            .await?;
        hold.extended(since, &lost);
        Ok(tasks
            .into_iter()
            .filter(|task| !lost.contains(&task.fence.key))
            .collect())
    }

    pub(super) fn ca(&self, name: &str) -> Arc<dyn Validation> {
        // The configuration check has refused clients of unknown CAs.
        Arc::clone(
            self.ports
                .cas
                .get(name)
                .expect("a client names a configured CA"),
        )
    }

    fn knows(&self, client: &str) -> bool {
        self.targets.iter().any(|target| target.key == client)
    }

    /// An event of a domain at a client, or of none.
    pub(super) fn event(&self, of: Option<&DomainRow>, kind: &str, detail: String) -> Event {
        Event {
            at: self.ports.clock.now(),
            run: self.options.run.clone(),
            domain: of.map(|row| row.domain.clone()),
            client: of.map(|row| row.client.clone()),
            kind: kind.to_owned(),
            detail,
        }
    }

    pub(super) async fn note(&self, events: Vec<Event>) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        self.ports.store.note(&events).await?;
        events.iter().for_each(|event| (self.tell)(event));
        Ok(())
    }
}

/// Like steps, which are performed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Idle,
    Read,
    Register,
    Preflight,
    Reset,
    Publish,
    Check,
    Validate,
    Remove,
    Hold,
}

fn needs_ca(step: &Step) -> bool {
    *step == Step::Read || *step == Step::Preflight || step.effect().is_some()
}

fn kind(step: &Step) -> Kind {
    match step {
        Step::Rest => Kind::Idle,
        Step::Read => Kind::Read,
        Step::Register => Kind::Register,
        Step::Preflight => Kind::Preflight,
        Step::ResetToken { .. } | Step::Start => Kind::Reset,
        Step::Publish { .. } => Kind::Publish,
        Step::Check { .. } => Kind::Check,
        Step::Validate => Kind::Validate,
        Step::Remove { .. } => Kind::Remove,
        Step::Hold => Kind::Hold,
    }
}
