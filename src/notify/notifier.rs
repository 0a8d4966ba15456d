//! Goes through all sinks and topics for one snapshot: claims in the store what is to be reported,
//! has it carried, and writes down the outcome.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::concern::{Concern, Concerns, concerns};
use super::decide::{Decision, Rules, Sending, Told, decide, decide_summary};
use super::notice::{Item, Notice, new_id};
use super::{Failure, Pace, Sink, Topic};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::overview::snapshot::Snapshot;
use crate::prevalidation::Policy;
use crate::prevalidation::guard::CLOCK_TOLERANCE;
use crate::prevalidation::policy::backoff;
use crate::store::{Store, StoreError};

/// No receiver is waited for any longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message that was not delivered is tried again after this time at the latest, whatever the
/// receiver asks for (faults C15), and whatever a clock that was wrong has written down (faults
/// T02).
const LONGEST: SignedDuration = SignedDuration::from_hours(6);

/// After this time a process that was about to send something is taken for dead; longer than
/// [`PATIENCE`].
const LEASE: SignedDuration = SignedDuration::from_mins(2);

/// Tells the sinks of one configuration.
pub struct Notifier {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    policy: Policy,
    pace: Pace,
    sinks: Vec<Sink>,
}

/// A message that was not delivered, or not to all recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// The sink.
    pub sink: String,
    /// What it should have heard of.
    pub topic: Topic,
    /// The failure.
    pub error: String,
    /// The next process tries it again.
    pub again: bool,
}

/// What a sink knows about a topic, for people.
#[derive(Debug, Clone, Serialize)]
pub struct Open {
    /// The sink.
    pub sink: String,
    /// The topic.
    pub topic: Topic,
    /// What it was told of and not told to be over.
    pub open: Vec<Item>,
    /// When it was last told anything.
    pub told_at: Option<Timestamp>,
    /// Why a message has not been delivered.
    pub error: Option<String>,
    /// When that is tried again.
    pub next_at: Option<Timestamp>,
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sinks: Vec<_> = self.sinks.iter().map(|sink| &sink.name).collect();
        f.debug_struct("Notifier")
            .field("sinks", &sinks)
            .finish_non_exhaustive()
    }
}

impl Notifier {
    /// Sends no notice yet.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        policy: Policy,
        pace: Pace,
        sinks: Vec<Sink>,
    ) -> Self {
        Self {
            store,
            clock,
            metrics,
            policy,
            pace,
            sinks,
        }
    }

    /// Whether there is any sink.
    pub fn is_idle(&self) -> bool {
        self.sinks.is_empty()
    }

    /// Tells every sink what is new in `snapshot`, and says what could not be delivered.
    ///
    /// # Errors
    /// When the store fails. What was sent and not written down is sent again, with the same id.
    pub async fn tell(&self, snapshot: &Snapshot) -> Result<Vec<Undelivered>, StoreError> {
        if self.is_idle() {
            return Ok(Vec::new());
        }
        // No snapshot shows whether the domains are ready for a day.
        let topics = Topic::ALL
            .into_iter()
            .filter(|topic| *topic != Topic::Readiness);
        let topics: Vec<Topic> = topics.collect();
        let concerns = concerns(snapshot, &self.policy, self.pace);
        self.tell_all(&topics, &concerns, Some(snapshot)).await
    }

    /// Tells every sink what is new in what `readiness` found, by domain: all that is not there any
    /// more is over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tell_readiness(
        &self,
        found: BTreeMap<Cow<'_, str>, Concern<'_>>,
    ) -> Result<Vec<Undelivered>, StoreError> {
        let concerns = Concerns::from([(Topic::Readiness, found)]);
        self.tell_all(&[Topic::Readiness], &concerns, None).await
    }

    async fn tell_all(
        &self,
        topics: &[Topic],
        concerns: &Concerns<'_>,
        snapshot: Option<&Snapshot>,
    ) -> Result<Vec<Undelivered>, StoreError> {
        let known = self.known().await?;
        let sinks = self.sinks.iter();
        let told = sinks.map(|sink| self.tell_sink(sink, &known, topics, concerns, snapshot));
        let told = join_all(told).await;
        let told = told.into_iter().collect::<Result<Vec<_>, StoreError>>()?;
        Ok(told.into_iter().flatten().collect())
    }

    /// Has a test message carried to the sinks, to those of this name or to all; the outcome.
    pub async fn test(&self, only: Option<&str>) -> Vec<(&str, Result<(), Failure>)> {
        let notice = Notice::test(self.clock.now());
        let meant = self
            .sinks
            .iter()
            .filter(|sink| only.is_none_or(|only| sink.name == only));
        join_all(meant.map(async |sink| (sink.name.as_str(), self.carry(sink, &notice).await)))
            .await
    }

    /// What each sink knows, and what it could not be told.
    pub async fn open(&self) -> Result<Vec<Open>, StoreError> {
        if self.is_idle() {
            return Ok(Vec::new());
        }
        let known = self.known().await?;
        let all = self
            .sinks
            .iter()
            .flat_map(|sink| Topic::ALL.map(|topic| (sink, topic)));
        let all = all.filter(|(sink, topic)| sink.wants.takes(*topic));
        let told = all.filter_map(|(sink, topic)| {
            let told = read(known.get(&key(sink, topic))?);
            let open: Vec<Item> = told
                .open
                .iter()
                .map(|(whom, &since)| Item::of(whom, Some(since), None))
                .collect();
            let sending = told.sending.as_ref();
            Some(Open {
                sink: sink.name.clone(),
                topic,
                told_at: told.told_at,
                error: sending.and_then(|sending| sending.error.clone()),
                next_at: sending.map(|sending| sending.next_at),
                open: if topic.is_event() { Vec::new() } else { open },
            })
        });
        Ok(told.collect())
    }

    async fn known(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let records = self.store.notice_records().await?;
        Ok(records
            .into_iter()
            .map(|record| (record.key, record.state))
            .collect())
    }

    /// The most severe topic first. A sink that fails is left alone for the rest of this snapshot,
    /// unless some heard it.
    async fn tell_sink(
        &self,
        sink: &Sink,
        known: &BTreeMap<String, String>,
        topics: &[Topic],
        concerns: &Concerns<'_>,
        snapshot: Option<&Snapshot>,
    ) -> Result<Option<Undelivered>, StoreError> {
        let mut in_part = None;
        let topics = topics.iter().copied();
        for topic in topics.filter(|&topic| sink.wants.takes(topic)) {
            let key = key(sink, topic);
            let before = known.get(&key).map(String::as_str);
            let told = before.map(read).unwrap_or_default();
            let now = self.clock.now();
            if told
                .sending
                .as_ref()
                .is_some_and(|sending| self.must_wait(sending, now))
            {
                continue;
            }
            let summary = snapshot.filter(|_| topic == Topic::DailySummary);
            let decision = if let Some(snapshot) = summary {
                decide_summary(&told, || Notice::summary(snapshot, concerns, now), now)
            } else {
                let rules = Rules {
                    topic,
                    wants: &sink.wants,
                    gather: self.pace.gather,
                };
                let got_worse = |whom: &str| {
                    let graver = topic
                        .graver()
                        .iter()
                        .filter(|&&graver| sink.wants.takes(graver));
                    graver
                        .filter_map(|graver| concerns.get(graver))
                        .any(|wrong| wrong.contains_key(whom))
                };
                let nothing = BTreeMap::new();
                decide(
                    rules,
                    &told,
                    concerns.get(&topic).unwrap_or(&nothing),
                    &got_worse,
                    now,
                )
            };
            match decision {
                None => {}
                Some(Decision::Keep(told)) => drop(
                    self.store
                        .claim_notice(&key, before, &write(&told), now)
                        .await?,
                ),
                Some(Decision::Tell(sending)) => {
                    if let Some(failure) = self.send(sink, &key, before, told, sending).await? {
                        let again = !failure.in_part;
                        let undelivered = Undelivered {
                            sink: sink.name.clone(),
                            topic,
                            error: failure.message,
                            again,
                        };
                        if again {
                            return Ok(Some(undelivered));
                        }
                        in_part = Some(undelivered);
                    }
                }
            }
        }
        Ok(in_part)
    }

    /// Another process sends it, or it was tried a moment ago.
    fn must_wait(&self, sending: &Sending, now: Timestamp) -> bool {
        let is_anothers = sending.error.is_none();
        let longest = if is_anothers { LEASE } else { LONGEST };
        now < sending.next_at
            && sending.next_at <= later(later(now, longest), CLOCK_TOLERANCE)
            && (is_anothers || !self.pace.impatient)
    }

    /// Sends a message that no other process has claimed; what went wrong when a recipient does not
    /// have it.
    async fn send(
        &self,
        sink: &Sink,
        key: &str,
        before: Option<&str>,
        told: Told,
        mut sending: Sending,
    ) -> Result<Option<Failure>, StoreError> {
        let now = self.clock.now();
        if sending.notice.id.is_empty() {
            sending.notice.id = new_id();
        }
        sending.tries = sending.tries.saturating_add(1);
        // A process that finds this after the lease knows that it may have arrived.
        (sending.next_at, sending.error, sending.is_open) = (later(now, LEASE), None, true);
        let claimed = write(&Told {
            sending: Some(sending.clone()),
            ..told.clone()
        });
        if !self.store.claim_notice(key, before, &claimed, now).await? {
            return Ok(None);
        }
        let failure = self.carry(sink, &sending.notice).await.err();
        let now = self.clock.now();
        let result = match &failure {
            Some(failure) if !failure.in_part => {
                let asked = failure
                    .retry_after
                    .and_then(|wait| wait.try_into().ok())
                    .unwrap_or_default();
                sending.next_at = later(now, backoff(sending.tries).max(asked).min(LONGEST));
                (sending.error, sending.is_open) = (Some(failure.message.clone()), failure.is_open);
                Told {
                    sending: Some(sending),
                    ..told
                }
            }
            _ => Told {
                open: sending.after,
                told_at: Some(now),
                sending: None,
            },
        };
        if !self
            .store
            .claim_notice(key, Some(&claimed), &write(&result), now)
            .await?
        {
            tracing::warn!(
                key,
                "another process took the message over while it was sent"
            );
        }
        Ok(failure)
    }

    async fn carry(&self, sink: &Sink, notice: &Notice) -> Result<(), Failure> {
        let carried = tokio::time::timeout(PATIENCE, sink.carrier.carry(notice)).await;
        let outcome = carried.unwrap_or_else(|_| {
            Err(Failure::open(format!(
                "it took longer than {} s and was given up",
                PATIENCE.as_secs()
            )))
        });
        self.metrics
            .notification(&sink.name, if outcome.is_ok() { "sent" } else { "failed" });
        outcome
    }
}

fn key(sink: &Sink, topic: Topic) -> String {
    format!("{}/{topic}", sink.name)
}

/// One that cannot be read is of another version, or damaged: what it knew is reported again.
fn read(state: impl AsRef<str>) -> Told {
    serde_json::from_str(state.as_ref()).unwrap_or_default()
}

fn write(told: &Told) -> String {
    // Maps with texts as keys, numbers and texts: all of it is JSON.
    serde_json::to_string(told).unwrap_or_default()
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}
