//! Values that a foreign writer writes and removes (a pipeline, a person): announced, and checked
//! until they are there, or gone.

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};

use super::super::Worker;
use super::super::task::Task;
use super::dns::in_words;
use super::gate::{CHECKS_AT_ONCE, age_of};
use crate::prevalidation::{Challenge, LedgerEntry, LedgerState, RecordName, RecordType};
use crate::propagation::{Answer, GateMode, Question, RecordKind, Wanted};

/// How often it is checked whether the foreign writer has removed a value; nothing waits for it.
const GONE_AGAIN: SignedDuration = SignedDuration::from_hours(1);

impl Worker {
    /// The values, one of each task, are in the ledger, and the writer of the zone may know of
    /// them: `prevalidate records`. What caches may hold is read now, before they come.
    pub(super) async fn announce(&self, tasks: Vec<(Task, i64)>) -> Vec<Task> {
        let asked = futures::stream::iter(tasks).map(async |(task, id)| {
            let entry = task.observed.ledger.iter().find(|entry| entry.id == id);
            let owner = entry.and_then(|entry| RecordName::parse(&entry.owner).ok());
            let owner = owner.unwrap_or_else(|| RecordName::from(&task.fence.domain));
            let kind = entry.map_or(RecordKind::Txt, |entry| entry.kind.into());
            let (live, lifetimes) = futures::join!(
                self.ports.checker.live_zone(&owner),
                self.ports.checker.lifetimes(&owner, kind)
            );
            (task, id, live.ok().flatten(), lifetimes)
        });
        let asked: Vec<_> = asked.buffer_unordered(CHECKS_AT_ONCE).collect().await;
        let mut announced = Vec::with_capacity(asked.len());
        for (mut task, id, live, lifetimes) in asked {
            if let Some(entry) = task.entry_by_id(id) {
                entry.state = LedgerState::Published;
                entry.zone = live.map(|live| live.apex).or(entry.zone.take());
                if let Some(lifetimes) = lifetimes {
                    (entry.ttl_before, entry.negative_ttl) =
                        (lifetimes.txt_ttl, Some(lifetimes.negative_ttl));
                }
                let stood = entry.published_at.take().is_some();
                let value = in_words(entry);
                task.went_well();
                let visibility = &mut task.observed.upkeep.attempt.visibility;
                visibility.unsee();
                if stood {
                    task.say(
                        self,
                        "vanished",
                        format!("{value} was removed; the zone's own writer must write it again"),
                    );
                } else if visibility.checks == 0 {
                    let text = format!(
                        "{value} is for the zone's own writer to write: `prevalidate records` prints it"
                    );
                    task.say(self, "announced", text);
                }
            }
            announced.push(task);
        }
        announced
    }

    /// Checks whether the foreign writer has removed what may go; each task with its entries.
    pub(super) async fn see_gone(&self, tasks: Vec<(Task, Vec<i64>)>) -> Vec<Task> {
        let now = self.ports.clock.now();
        let checked = futures::stream::iter(tasks).map(async |(task, ids)| {
            let mut gone = Vec::new();
            for entry in task
                .observed
                .ledger
                .iter()
                .filter(|entry| ids.contains(&entry.id))
            {
                let domain = &task.fence.domain;
                // Resolvers keep what they know for a day: what they say counts by the age of the
                // value.
                let published_for = age_of(entry, now);
                let owner = RecordName::parse(&entry.owner).ok();
                let question = Question {
                    by_others: true,
                    published_for,
                    owner: owner.as_ref(),
                    wanted: match entry.kind {
                        RecordType::Txt => Wanted::Txt(&entry.value),
                        RecordType::Cname => Wanted::Cname(&entry.value),
                    },
                    ..Question::new(domain, &entry.value)
                };
                let verdict = self.ports.checker.check(&question).await;
                // Without a check it is never known; the value is not kept for ever.
                let heard = verdict
                    .servers
                    .iter()
                    .any(|said| matches!(said.answer, Answer::Match | Answer::NoMatch));
                let blind = self.ports.checker.mode(domain) == GateMode::Delay && !heard;
                gone.push((entry.id, verdict.gone || blind));
            }
            (task, gone)
        });
        let checked: Vec<_> = checked.buffer_unordered(CHECKS_AT_ONCE).collect().await;
        let mut done = Vec::with_capacity(checked.len());
        for (mut task, gone) in checked {
            for (id, gone) in gone {
                self.seen_gone(&mut task, id, gone, now);
            }
            done.push(task);
        }
        done
    }

    /// Whether a foreign writer writes this value: one that was not seen yet, also when its
    /// provider has left the configuration.
    pub(super) fn is_by_others(&self, entry: &LedgerEntry) -> bool {
        entry.is_awaited()
            || self
                .provider(&entry.provider)
                .is_ok_and(|provider| !provider.writes())
    }

    fn seen_gone(&self, task: &mut Task, id: i64, gone: bool, now: Timestamp) {
        let Some(entry) = task.entry_by_id(id) else {
            return;
        };
        let (value, first) = (in_words(entry), entry.retry_at.is_none());
        if gone {
            (entry.state, entry.retry_at) = (LedgerState::Removed, None);
            task.say(
                self,
                "removed",
                format!("{value} is not in DNS; its own writer wrote the zone"),
            );
            return;
        }
        entry.retry_at = now.saturating_add(GONE_AGAIN).ok();
        if first {
            task.say(
                self,
                "may-go",
                format!("{value} is no longer needed; the zone's own writer may remove it"),
            );
        }
    }
}

impl Task {
    /// The value was seen: the foreign writer has written it.
    pub(super) fn foreign_value_seen(&mut self, challenge: &Challenge, now: Timestamp) {
        let waited = |entry: &&mut LedgerEntry| entry.carries(challenge) && entry.is_awaited();
        let ids: Vec<i64> = self
            .observed
            .ledger
            .iter_mut()
            .filter(waited)
            .map(|entry| entry.id)
            .collect();
        for id in ids {
            if let Some(entry) = self.entry_by_id(id) {
                entry.published_at = Some(now);
            }
        }
    }
}
