//! Steps at the CA. No effect is repeated before a read; its budget is spent before it is started.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};

use super::super::task::Task;
use super::super::{Hold, Target, Worker, crashpoint};
use crate::ca::{CaError, Failure};
use crate::prevalidation::{Effect, Registration, RowKey, Sighting, Step};
use crate::store::{EffectMark, StoreError};

/// Up to this many domains of a client are read one by one; for more, one list is cheaper.
const READ_SINGLY: usize = 3;

impl Worker {
    /// Asks the CA about domains whose state there is not known.
    pub(super) async fn read(&self, tasks: Vec<Task>) -> Result<(), StoreError> {
        for (client, tasks) in by_client(tasks) {
            let target = self.target(&client);
            let (singly, listed): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|task| match task
                .observed
                .sighting
            {
                Sighting::Missing(_) => true,
                Sighting::Present(_) => true,
                Sighting::Unread | Sighting::Absent => false,
            });
            let (mut singly, listed) = if singly.len() > READ_SINGLY {
                let (needed, mut present): (Vec<_>, Vec<_>) = singly
                    .into_iter()
                    .partition(|task| self.must_be_read_singly(task));
                present.extend(listed);
                (needed, present)
            } else {
                (singly, listed)
            };
            singly.extend(self.read_by_list(&target, listed).await?);
            self.read_singly(&target, singly).await?;
        }
        Ok(())
    }

    /// Only a read of the reference can prove that an entry is gone (faults C11), and, where the CA
    /// carries orders out over some time, the outcome of a call whose answer was lost.
    fn must_be_read_singly(&self, task: &Task) -> bool {
        let is_missing = matches!(task.observed.sighting, Sighting::Missing(_));
        let is_order = task.policy(self).checks_by_itself;
        is_missing || is_order && task.observed.upkeep.calls.unanswered.is_some()
    }

    async fn read_singly(&self, target: &Target, tasks: Vec<Task>) -> Result<(), StoreError> {
        let ca = self.ca(&target.ca);
        let read = futures::stream::iter(tasks)
            .map(|task| {
                let ca = ca.clone();
                async move {
                    let answer = ca.get(task.reference().unwrap_or_default()).await;
                    (task, answer)
                }
            })
            .buffer_unordered(self.options.concurrency)
            .collect::<Vec<_>>()
            .await;
        let now = self.ports.clock.now();
        let mut done = Vec::with_capacity(read.len());
        for (mut task, answer) in read {
            match answer {
                Ok(registration) => {
                    self.pauses.answered(&target.ca);
                    let unanswered = task.observed.upkeep.calls.unanswered;
                    let lost = task.lost_call();
                    task.went_well();
                    task.saw(self, Sighting::Present(registration), now);
                    task.lost_submission(unanswered);
                    task.goes_on(self, now);
                    task.wait_after_loss(self, lost, now);
                }
                Err(error) if error.failure == Failure::NotFound => {
                    self.pauses.answered(&target.ca);
                    task.say(
                        self,
                        "gone",
                        format!("the CA no longer knows its registration: {error}"),
                    );
                    task.went_well();
                    task.saw(self, Sighting::Absent, now);
                }
                Err(error) if self.gave_up(&error) => {}
                Err(error) => {
                    self.ca_stumbled(&target.ca, &error, now);
                    task.ca_failed(self, None, &error, now);
                }
            }
            done.push(task);
        }
        self.finish(done).await
    }

    /// Whether a read was cut off because the program must end. That is no fault of the domain or
    /// of the CA.
    fn gave_up(&self, error: &CaError) -> bool {
        self.stop.is_cancelled() && error.is_retryable()
    }

    /// Reads domains by one list; those of which it shows too little come back.
    async fn read_by_list(
        &self,
        target: &Target,
        mut tasks: Vec<Task>,
    ) -> Result<Vec<Task>, StoreError> {
        let mut unclear = Vec::new();
        if tasks.is_empty() {
            return Ok(unclear);
        }
        let answer = match self.reference(target).await? {
            Ok(reference) => self.ca(&target.ca).list(&reference).await,
            Err(error) => Err(error),
        };
        let now = self.ports.clock.now();
        match answer {
            Ok(listing) => {
                self.pauses.answered(&target.ca);
                let unreadable = listing.unreadable;
                let listed = listing.registrations.by_name();
                for mut task in std::mem::take(&mut tasks) {
                    let sighting = match (listed.get(&task.fence.domain), &task.observed.sighting) {
                        (Some(found), _) => Sighting::Present(found),
                        (None, Sighting::Present(known) | Sighting::Missing(known)) => {
                            Sighting::Missing(known.clone())
                        }
                        (None, _) => Sighting::Absent,
                    };
                    let unanswered = task.observed.upkeep.calls.unanswered;
                    let lost = task.lost_call();
                    let unregistered =
                        sighting == Sighting::Absent && unanswered == Some(Effect::Register);
                    if !unregistered {
                        task.went_well();
                    }
                    task.saw(self, sighting, now);
                    if unregistered {
                        task.not_registered(self, &unreadable, now);
                    }
                    if task.is_unclear() {
                        unclear.push(task);
                        continue;
                    }
                    task.goes_on(self, now);
                    task.wait_after_loss(self, lost, now);
                    tasks.push(task);
                }
            }
            Err(error) if self.gave_up(&error) => {}
            Err(error) => {
                self.ca_stumbled(&target.ca, &error, now);
                for task in &mut tasks {
                    task.ca_failed(self, None, &error, now);
                }
            }
        }
        self.finish(tasks).await?;
        Ok(unclear)
    }

    /// Registers names, as many in a call as the CA takes.
    pub(super) async fn register(&self, tasks: Vec<Task>, hold: &Hold) -> Result<(), StoreError> {
        let tasks = self.rehearsed_domains(tasks).await?;
        for (client, tasks) in by_client(tasks) {
            let target = self.target(&client);
            let ca = self.ca(&target.ca);
            let reference = match self.reference(&target).await? {
                Ok(reference) => reference,
                Err(error) => {
                    self.fail_all(tasks, &error).await?;
                    continue;
                }
            };
            for chunk in chunks(tasks, ca.kind().register_batch) {
                let chunk = self.keep(chunk, hold).await?;
                let mut tasks = self.begin(Effect::Register, chunk, hold).await?;
                crashpoint::reach("register-intended");
                if tasks.is_empty() {
                    continue;
                }
                let names: Vec<_> = tasks.iter().map(|task| task.fence.domain.clone()).collect();
                let mut answers: BTreeMap<_, _> =
                    ca.register(&reference, &names).await.into_iter().collect();
                crashpoint::reach("register-done");
                let now = self.ports.clock.now();
                if let Some(error) = answers.values().find_map(|answer| answer.as_ref().err()) {
                    self.ca_failed_once(&target.ca, error, now);
                }
                for task in &mut tasks {
                    let answer = answers.remove(&task.fence.domain).unwrap_or_else(|| {
                        Err(CaError::new(
                            Failure::Unknown,
                            format!(
                                "register {}: the CA left it out of its answer",
                                task.fence.domain
                            ),
                        ))
                    });
                    self.took(None, task, Effect::Register, answer, now, |worker, task| {
                        let reference = task.reference().unwrap_or_default().to_owned();
                        task.say(worker, "registered", format!("as {reference}"));
                        task.hold_without_token(worker, now);
                    });
                }
                self.finish(tasks).await?;
            }
        }
        Ok(())
    }

    /// Asks for new tokens: one by one, since each may cost a proof.
    pub(super) async fn reset(&self, tasks: Vec<Task>, hold: &Hold) -> Result<(), StoreError> {
        for task in tasks {
            let Some(task) = self.keep(vec![task], hold).await?.pop() else {
                continue;
            };
            if task.decision.step == Step::Start {
                // It risks nothing, so nothing has to be read before it.
                self.begin_validation(task, Effect::Start, false, hold)
                    .await?;
                continue;
            }
            let Some(mut task) = self.read_again(task).await? else {
                continue;
            };
            let Step::ResetToken { risks_proof } = task.decision.step else {
                continue;
            };
            // The turn was taken before the preflight; what was read may have made a risk of what
            // was none.
            if risks_proof && !self.may_risk(&mut task, self.ports.clock.now()).await? {
                self.finish(vec![task]).await?;
                continue;
            }
            self.begin_validation(task, Effect::ResetToken, risks_proof, hold)
                .await?;
        }
        Ok(())
    }

    /// Reads the domain directly before its token is reset: the last listing may be outdated
    /// (invariant I8). `None` when the reset is no longer the next step; that is stored then.
    async fn read_again(&self, mut task: Task) -> Result<Option<Task>, StoreError> {
        let answer = self
            .ca(&task.row.ca)
            .get(task.reference().unwrap_or_default())
            .await;
        let now = self.ports.clock.now();
        match answer {
            Ok(registration) => {
                self.pauses.answered(&task.row.ca);
                task.saw(self, Sighting::Present(registration), now);
                task.decision = task.next_step(self, now);
                if task.decision.is_due(now)
                    && matches!(task.decision.step, Step::ResetToken { .. })
                {
                    return Ok(Some(task));
                }
            }
            Err(error) if self.gave_up(&error) => {}
            Err(error) => {
                self.ca_stumbled(&task.row.ca, &error, now);
                task.ca_failed(self, None, &error, now);
            }
        }
        self.finish(vec![task]).await?;
        Ok(None)
    }

    /// Whether this domain's proof may be risked now: few at a time, and one alone until it is
    /// known what a reset does.
    pub(super) async fn may_risk(
        &self,
        task: &mut Task,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if task.row.at_risk {
            return Ok(true);
        }
        let fact = self.ports.store.fact(&reset_fact(&task.row.client)).await?;
        let known = self.ca(&task.row.ca).kind().start_keeps_proof.is_some();
        let left = task
            .observed
            .usable_until(&task.policy(self).reuse, now)
            .map(|end| end.duration_since(now));
        let limit = match fact.as_deref() {
            // A canary that lost its proof and has no new one: the others keep theirs to the last
            // day.
            Some(DROPPING) if !known && left.is_none_or(|left| left > LAST_DAY) => 1,
            Some(DROPPING) if !known => u32::MAX,
            // No time is left: to wait would lose the proof as well.
            _ if self.is_without_margin(task, now) => u32::MAX,
            Some(_) => self.policy.max_at_risk,
            None if known => self.policy.max_at_risk,
            None => 1,
        };
        match self
            .ports
            .store
            .take_risk_slot(&task.fence, &task.row.client, limit)
            .await
        {
            Ok(granted) => {
                crashpoint::reach("risk-taken");
                task.row.at_risk |= granted;
                if !granted {
                    // A turn lasts longer than it takes to settle.
                    let wait = self.policy.poll.max(self.policy.settle / 2);
                    task.observed.upkeep.setback.pause(wait, now);
                }
                Ok(granted)
            }
            Err(StoreError::LeaseLost(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn is_without_margin(&self, task: &Task, now: Timestamp) -> bool {
        let policy = task.policy(self);
        let end = task.observed.usable_until(&policy.reuse, now);
        let made = task.observed.last_proof().and_then(|one| one.validated_at);
        end.is_some_and(|end| end.duration_since(now) <= policy.critical_margin(end, made))
    }

    /// Asks for a new challenge, by a reset of the token or by a start that keeps the proof.
    async fn begin_validation(
        &self,
        mut task: Task,
        effect: Effect,
        risks_proof: bool,
        hold: &Hold,
    ) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        let renews = task.shown_proof();
        let replaces = task
            .registration()
            .and_then(|found| found.token.as_ref())
            .map(|token| token.value.clone());
        task.observed.upkeep.start_over(now, renews, replaces);
        let Some(mut task) = self.begin(effect, vec![task], hold).await?.pop() else {
            return Ok(());
        };
        crashpoint::reach("reset-intended");
        let ca = task.row.ca.clone();
        let answer = self
            .ca(&ca)
            .start(task.reference().unwrap_or_default())
            .await;
        crashpoint::reach("reset-done");
        let now = self.ports.clock.now();
        let next_read_at = answer
            .as_ref()
            .ok()
            .and_then(|started| started.next_read_at);
        let answer = answer.map(|started| started.registration);
        let mut fact = None;
        self.took(Some(&ca), &mut task, effect, answer, now, |worker, task| {
            if effect == Effect::Start {
                return task.started(worker, next_read_at, now);
            }
            task.observed.upkeep.attempt.value = task
                .registration()
                .and_then(|found| found.token.as_ref())
                .map(|token| token.value.clone());
            let kept = task
                .observed
                .usable_until(&task.policy(worker).reuse, now)
                .is_some();
            if risks_proof {
                fact = Some(if kept { KEEPS } else { DROPPING });
            }
            let outcome = match (risks_proof, kept) {
                (true, true) => "a new token; the proof stays",
                (true, false) => "a new token; the CA ended the proof with it",
                (false, _) => "a new token",
            };
            task.say(worker, "reset", outcome);
            task.hold_without_token(worker, now);
        });
        if let Some(fact) = fact {
            let key = reset_fact(&task.row.client);
            // Known to be survivable: one more loss changes nothing about that.
            if fact != DROPPING || self.ports.store.fact(&key).await?.as_deref() != Some(DROPS) {
                self.ports.store.set_fact(&key, fact).await?;
            }
        }
        let failed = task.observed.upkeep.calls.unanswered.is_none()
            && task.observed.upkeep.setback.last_error.is_some();
        if failed && task.row.at_risk {
            task.take_risk(false);
        }
        self.finish(vec![task]).await
    }

    /// Asks the CA to check.
    pub(super) async fn validate(&self, tasks: Vec<Task>, hold: &Hold) -> Result<(), StoreError> {
        let tasks = self.within_retry_budget(tasks).await?;
        for (client, tasks) in by_client(tasks) {
            let ca = self.target(&client).ca;
            let mut waiting = tasks;
            while !waiting.is_empty() {
                let rest = waiting.split_off(waiting.len().min(self.options.concurrency));
                // Before the intent: after it nothing comes before the call, which is not made up
                // for soon.
                let rest = if rest.is_empty() {
                    rest
                } else {
                    self.keep(rest, hold).await?
                };
                let chunk = self.begin(Effect::Validate, waiting, hold).await?;
                crashpoint::reach("validate-intended");
                waiting = rest;
                let port = self.ca(&ca);
                let asked = futures::future::join_all(chunk.into_iter().map(|task| {
                    let port = port.clone();
                    async move {
                        let answer = port.submit(task.reference().unwrap_or_default()).await;
                        (task, answer)
                    }
                }))
                .await;
                crashpoint::reach("validate-done");
                let now = self.ports.clock.now();
                let mut done = Vec::with_capacity(asked.len());
                for (mut task, answer) in asked {
                    let verdict = answer.as_ref().ok().map(|submission| submission.verdict);
                    let answer = answer.map(|submission| submission.registration);
                    self.took(
                        Some(&ca),
                        &mut task,
                        Effect::Validate,
                        answer,
                        now,
                        |worker, task| task.submitted(worker, verdict, now),
                    );
                    done.push(task);
                }
                self.finish(done).await?;
            }
        }
        Ok(())
    }

    /// The canary lost its proof by the reset and has a new one. From now on it is known that a
    /// reset can be repaired.
    pub(super) async fn learn(&self, client: &str) -> Result<(), StoreError> {
        let key = reset_fact(client);
        if self.ports.store.fact(&key).await?.as_deref() == Some(DROPPING) {
            self.ports.store.set_fact(&key, DROPS).await?;
        }
        Ok(())
    }

    /// First tries are the work itself; repeated ones share a budget over all domains (faults C14).
    async fn within_retry_budget(&self, tasks: Vec<Task>) -> Result<Vec<Task>, StoreError> {
        let (mut again, first): (Vec<_>, Vec<_>) = tasks.into_iter().partition(was_submitted);
        if again.is_empty() {
            return Ok(first);
        }
        let now = self.ports.clock.now();
        let hour_ago = now
            .saturating_sub(SignedDuration::from_hours(1))
            .unwrap_or(Timestamp::MIN);
        // What a wrong clock has put into the future was not done in the last hour.
        let (since, ahead) = (
            self.ports.store.effects_since(hour_ago).await?.retries,
            self.ports
                .store
                .effects_since(after_skew(now))
                .await?
                .retries,
        );
        let spent = since.saturating_sub(ahead);
        let left = usize::try_from(self.policy.retries_per_hour.saturating_sub(spent))
            .unwrap_or(usize::MAX);
        let mut late = again.split_off(again.len().min(left));
        for task in &mut late {
            let setback = &mut task.observed.upkeep.setback;
            setback.pause(SignedDuration::from_mins(10), now);
        }
        self.finish(late).await?;
        again.extend(first);
        Ok(again)
    }

    /// Spends the budget and commits the intent of a CA effect.
    async fn begin(
        &self,
        effect: Effect,
        mut tasks: Vec<Task>,
        hold: &Hold,
    ) -> Result<Vec<Task>, StoreError> {
        let now = self.ports.clock.now();
        let again: BTreeSet<RowKey> = tasks
            .iter()
            .filter(|task| was_submitted(task))
            .map(|task| task.fence.key.clone())
            .collect();
        for task in &mut tasks {
            let upkeep = &mut task.observed.upkeep;
            upkeep.calls.begin(effect, now);
            if effect == Effect::Validate {
                task.submitted_before = upkeep.attempt.submission.submit(now);
            }
        }
        self.intend(tasks, hold, |task| {
            Some(EffectMark {
                at: now,
                retry: again.contains(&task.fence.key),
            })
        })
        .await
    }

    /// One call failed in a way that says something about the CA, not about the domain.
    fn ca_failed_once(&self, ca: &str, error: &CaError, now: Timestamp) {
        if error.is_retryable() || error.is_account_wide() {
            self.ca_stumbled(ca, error, now);
        }
    }

    /// Takes the answer to an effect into the task; `well` adds what a good one means. A call for
    /// many names is counted by the caller, once: then `ca` is `None`.
    #[expect(clippy::too_many_arguments, reason = "an answer and what it is about")]
    fn took(
        &self,
        ca: Option<&str>,
        task: &mut Task,
        effect: Effect,
        answer: Result<Registration, CaError>,
        now: Timestamp,
        well: impl FnOnce(&Self, &mut Task),
    ) {
        match answer {
            Ok(registration) => {
                ca.inspect(|ca| self.pauses.answered(ca));
                task.went_well();
                task.saw(self, Sighting::Present(registration), now);
                well(self, task);
            }
            Err(error) => {
                ca.inspect(|ca| self.ca_failed_once(ca, &error, now));
                task.ca_failed(self, Some(effect), &error, now);
            }
        }
    }

    async fn fail_all(&self, mut tasks: Vec<Task>, error: &CaError) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        tasks
            .iter_mut()
            .for_each(|task| task.ca_failed(self, None, error, now));
        self.finish(tasks).await
    }

    fn target(&self, client: &str) -> Target {
        let known = self.targets.iter().find(|target| target.key == client);
        known
            .cloned()
            .expect("only rows of the configured clients are claimed for the CA")
    }
}

/// Later than this is no moment of the past: clocks differ by less.
fn after_skew(now: Timestamp) -> Timestamp {
    now.saturating_add(SignedDuration::from_mins(5))
        .unwrap_or(Timestamp::MAX)
}

/// Whether the CA was asked before to check the value of this attempt, or something else was
/// tried again and again.
fn was_submitted(task: &Task) -> bool {
    task.observed
        .upkeep
        .attempt
        .submission
        .submitted_at
        .is_some()
        || task.observed.upkeep.setback.failures > 0
}

/// What a reset does to a proof, as observed at a client.
fn reset_fact(client: &str) -> String {
    format!("reset/{client}")
}
const KEEPS: &str = "keeps";
/// With this much left, a proof is risked even if the canary's could not be won again.
const LAST_DAY: SignedDuration = SignedDuration::from_hours(24);

const DROPPING: &str = "dropping";
const DROPS: &str = "drops";

fn by_client(tasks: Vec<Task>) -> BTreeMap<String, Vec<Task>> {
    let mut clients: BTreeMap<String, Vec<Task>> = BTreeMap::new();
    for task in tasks {
        clients
            .entry(task.row.client.clone())
            .or_default()
            .push(task);
    }
    clients
}

fn chunks(mut tasks: Vec<Task>, size: usize) -> Vec<Vec<Task>> {
    let mut chunks = Vec::new();
    while !tasks.is_empty() {
        let rest = tasks.split_off(tasks.len().min(size.max(1)));
        chunks.push(tasks);
        tasks = rest;
    }
    chunks
}
