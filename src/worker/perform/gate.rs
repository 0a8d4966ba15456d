//! A check before the CA's: whether every name server has the value, and what a domain waits for
//! until they have.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;

use super::super::task::Task;
use super::super::{Worker, crashpoint, visible};
use crate::prevalidation::{Challenge, LedgerEntry, Step};
use crate::propagation::rule::{horizon, polling_interval};
use crate::propagation::{Answer, GateMode, InSync, Question, Verdict};
use crate::store::StoreError;
use crate::text::Reason;

/// This many domains are checked together.
pub(super) const CHECKS_AT_ONCE: usize = 64;

/// After this many checks that found the value nowhere, the provider is asked whether it is still
/// there.
const CLOSER_CHECK: u32 = 6;

/// A change by its provider and that provider's name for it.
type Change = (String, String);

/// What a provider says about a change, or why it could not be asked.
type Word = Result<InSync, String>;

impl Worker {
    /// Checks whether every name server has the value.
    pub(super) async fn watch(&self, tasks: Vec<Task>) -> Result<(), StoreError> {
        if tasks.is_empty() {
            return Ok(());
        }
        let now = self.ports.clock.now();
        let in_sync = self.in_sync(&tasks).await;
        let checked = futures::stream::iter(tasks)
            .map(|task| {
                let change = self.change_of(&task);
                let by_provider = self.ports.checker.mode(&task.fence.domain) == GateMode::Provider;
                let synced = match change.and_then(|change| in_sync.get(&change)) {
                    Some(told) => told.clone(),
                    None if by_provider => Ok(InSync::Unnamed),
                    None => Ok(InSync::Untold),
                };
                async move {
                    let verdict = self.check_for(&task, synced, now).await;
                    // Each check has its own time: the slowest one of the batch must not make the
                    // times of the other checks later than they were (invariant I5).
                    (task, verdict, self.ports.clock.now())
                }
            })
            .buffer_unordered(CHECKS_AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        crashpoint::reach("look-done");
        let mut done = Vec::with_capacity(checked.len());
        for (mut task, verdict, at) in checked {
            self.take_verdict(&mut task, verdict, at);
            done.push(task);
        }
        self.finish(done).await
    }

    async fn check_for(&self, task: &Task, in_sync: Word, now: Timestamp) -> Verdict {
        let Some(challenge) = wanted(task) else {
            let nothing = "there is no record to search for".to_owned();
            return Verdict::new(GateMode::default(), false, nothing);
        };
        let entry = entry_of(task, challenge);
        let published_for = entry.map(|entry| age_of(entry, now)).unwrap_or_default();
        let (in_sync, unasked) = match in_sync {
            Ok(in_sync) => (in_sync, None),
            Err(error) => (InSync::Untold, Some(error)),
        };
        let by_others = entry.is_some_and(|entry| self.is_by_others(entry));
        let question = Question {
            published_for,
            in_sync,
            by_others,
            follow_aliases: task.policy(self).follow_aliases,
            ..Question::of(&task.fence.domain, challenge)
        };
        let mut verdict = self.ports.checker.check(&question).await;
        if let Some(error) = unasked {
            verdict
                .cause
                .push_str(&format!("; the provider could not be asked: {error}"));
        }
        verdict
    }

    /// Asks each provider once about each change that a verdict in mode `provider` needs to know
    /// about.
    async fn in_sync(&self, tasks: &[Task]) -> BTreeMap<Change, Word> {
        let changes: BTreeSet<Change> = tasks
            .iter()
            .filter_map(|task| self.change_of(task))
            .collect();
        futures::stream::iter(changes)
            .map(|change| async move {
                let answer = match self.provider(&change.0) {
                    Ok(provider) => provider.in_sync(&change.1).await,
                    Err(error) => Err(error),
                };
                (
                    change,
                    answer.map(InSync::from).map_err(|error| {
                        Reason::new(&error.message, error.hint.as_deref()).to_string()
                    }),
                )
            })
            .buffer_unordered(self.options.concurrency)
            .collect()
            .await
    }

    /// The change that wrote the task's value, where its visibility is judged by the provider's
    /// word.
    fn change_of(&self, task: &Task) -> Option<Change> {
        if self.ports.checker.mode(&task.fence.domain) != GateMode::Provider {
            return None;
        }
        let entry = entry_of(task, wanted(task)?)?;
        Some((
            entry.provider.clone(),
            task.observed.upkeep.attempt.visibility.change_id.clone()?,
        ))
    }

    fn take_verdict(&self, task: &mut Task, verdict: Verdict, now: Timestamp) {
        let Some(challenge) = wanted(task).cloned() else {
            return;
        };
        if task.observed.upkeep.attempt.since.is_none() {
            let renews = task.shown_proof();
            task.observed.upkeep.restart(now, renews);
            let found = task.observed.sighting.registration();
            let token = found.and_then(|found| found.token.as_deref());
            task.observed.upkeep.attempt.take(&challenge, token);
        }
        if verdict.go {
            task.foreign_value_seen(&challenge, now);
        }
        let entry = entry_of(task, &challenge);
        let published_at = entry.and_then(|entry| entry.published_at);
        // Nothing is late as long as the foreign writer has not written it: it may take any time.
        let is_awaited = entry.is_some_and(LedgerEntry::is_awaited);
        let upkeep = &mut task.observed.upkeep;
        upkeep
            .wait
            .begin(published_at.or((!is_awaited).then_some(now)));
        upkeep.attempt.visibility.cached_until = verdict.cached_until;
        // A check that reached no server says nothing about signatures.
        let is_answered = verdict
            .servers
            .iter()
            .any(|said| matches!(said.answer, Answer::Match | Answer::NoMatch));
        if verdict.bogus.is_some() || verdict.go || is_answered {
            task.saw_bogus(self, verdict.bogus.clone(), now);
        }
        // The CA validates signatures as well (since 2026-03-15): it does not see a bogus record.
        if verdict.go && verdict.bogus.is_none() {
            self.visible(task, &challenge, verdict, now);
        } else {
            self.not_visible(task, &challenge, verdict, now);
        }
    }

    fn visible(&self, task: &mut Task, challenge: &Challenge, verdict: Verdict, now: Timestamp) {
        task.went_well();
        let entry = entry_of(task, challenge);
        let (ttl, negative) = entry.map_or((None, 0), |entry| {
            (entry.ttl_before, entry.negative_ttl.unwrap_or(0))
        });
        let upkeep = &mut task.observed.upkeep;
        if upkeep.attempt.submission.tries == 0 {
            upkeep.wait.subject = None;
        }
        let horizon = horizon(now, ttl, negative);
        if upkeep.attempt.visibility.pass(now, horizon) {
            let found = [vec![verdict.cause], verdict.warnings].concat();
            let detail = visible::detail(found, self.policy.settle, now);
            task.say(self, visible::KIND, detail);
        }
    }

    fn not_visible(
        &self,
        task: &mut Task,
        challenge: &Challenge,
        verdict: Verdict,
        now: Timestamp,
    ) {
        let subject = verdict.waits_for();
        let upkeep = &mut task.observed.upkeep;
        let visibility = &mut upkeep.attempt.visibility;
        visibility.miss();
        if verdict.lasting {
            // Only a person can help: `run` does not wait for it, and says so.
            return task.hold(self, verdict.cause, now);
        }
        // Gone after it was visible, or not to be seen anywhere for long: a person may have removed
        // it. The provider knows, and putting it there again is harmless.
        let closer_check = verdict.gone
            && (visibility.visible_at.is_some() || visibility.checks.is_multiple_of(CLOSER_CHECK));
        let poll = Duration::try_from(self.policy.poll).unwrap_or(Duration::from_secs(10));
        let interval = polling_interval(poll, visibility.checks);
        upkeep.setback.pause(interval, now);
        upkeep.setback.note(verdict.cause.clone());
        task.waits_for(self, subject, &verdict.cause, now);
        if closer_check {
            task.publish_again(challenge);
        }
    }
}

fn entry_of<'a>(task: &'a Task, challenge: &Challenge) -> Option<&'a LedgerEntry> {
    let entries = task.observed.ledger.iter();
    entries
        .filter(|entry| entry.carries(challenge))
        .max_by_key(|entry| entry.published_at)
}

/// How long a value has been in its zone, as far as is known.
pub(super) fn age_of(entry: &LedgerEntry, now: Timestamp) -> Duration {
    let since = entry.published_at.unwrap_or(entry.created_at);
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

fn wanted(task: &Task) -> Option<&Challenge> {
    match &task.decision.step {
        Step::Check { challenge } => Some(challenge),
        _ => None,
    }
}
