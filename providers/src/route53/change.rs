//! Writing: one batch per zone, repeated on a stale read, taken apart when one name spoils it, read
//! before it is repeated when the answer got lost.
//!
//! An accepted batch is its own proof: Route 53 makes all of it or none, and its DELETE and CREATE
//! hold only if the RRset was exactly what was read (API reference, ChangeResourceRecordSets:
//! "transactional"). So nothing is read back.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use super::Route53;
use super::alias;
use super::plan::{Plan, Verb, batches, rehearsal};
use super::refusal::{CHANGE, Call, Failure, ZONE_GONE};
use super::zones::Known;
use crate::edit::{Done, Edit, check, gather, receipts};
use crate::provider::{ErrorKind, ProviderError, only_a_wildcard};
use crate::record::{Receipt, RecordKind, TxtRrset, TxtValue};

/// How often a change is tried when another writer changes the same names at the same time.
const ATTEMPTS: u32 = 5;
/// How often a change is sent again after an answer got lost and a read showed that it was not
/// made.
const REPEATS_AFTER_LOSS: u32 = 1;
/// Before each further try of a batch whose refusal the list does not explain.
const UNEXPLAINED_WAITS_MS: [u64; 2] = [50, 1000];
/// Zones changed at the same time.
const AT_ONCE: usize = 8;

pub(super) type Outcome = (String, Result<Done, ProviderError>);

/// Plans that go together, and their outcome so far.
struct Batch {
    plans: Vec<Plan>,
    /// How often it was refused because of another writer's change.
    stale: u32,
    /// How often no answer came.
    lost: u32,
    /// How often it was refused, and the list showed nothing that explains it.
    suspect: usize,
}

impl Batch {
    fn of(plans: Vec<Plan>) -> Self {
        Self {
            plans,
            stale: 0,
            lost: 0,
            suspect: 0,
        }
    }

    fn all(&self, error: &ProviderError) -> impl Iterator<Item = Outcome> {
        self.plans
            .iter()
            .map(|plan| (plan.edit.owner.clone(), Err(error.clone())))
    }
}

impl Route53 {
    /// Makes all values present or absent; results in the order of `values`.
    pub(super) async fn change(
        &self,
        values: &[TxtValue],
        verb: Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let mut outcomes = BTreeMap::new();
        let edits = gather(values, verb.kind(), check);
        let gone = self.change_edits(edits, verb, &mut outcomes).await;
        // A zone that is gone may have been made again, under another id.
        self.change_edits(gone, verb, &mut outcomes).await;
        receipts(values, &outcomes, check)
    }

    /// The wanted changes whose remembered zone is no longer there.
    async fn change_edits(
        &self,
        edits: Vec<Edit>,
        verb: Verb,
        outcomes: &mut BTreeMap<String, Result<Done, ProviderError>>,
    ) -> Vec<Edit> {
        let mut zones: BTreeMap<String, (Known, Vec<Edit>)> = BTreeMap::new();
        for edit in edits {
            match self.zone_of(&edit.owner).await {
                Ok(zone) => zones
                    .entry(zone.id.clone())
                    .or_insert_with(|| (zone, Vec::new()))
                    .1
                    .push(edit),
                Err(error) => drop(outcomes.insert(edit.owner, Err(error))),
            }
        }
        let changed = futures::stream::iter(zones.into_values())
            .map(async |(zone, edits)| {
                let _turn = self.queues.turn(zone.id.clone()).await;
                let changed = self.change_zone(&zone, edits.clone(), verb).await;
                let is_gone = |(_, outcome): &Outcome| matches!(outcome, Err(error) if error.kind == ErrorKind::NoZone);
                let gone = changed.iter().any(is_gone);
                (changed, if gone { edits } else { Vec::new() })
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let (changed, gone): (Vec<_>, Vec<_>) = changed.into_iter().unzip();
        outcomes.extend(changed.into_iter().flatten());
        gone.concat()
    }

    async fn change_zone(&self, zone: &Known, edits: Vec<Edit>, verb: Verb) -> Vec<Outcome> {
        let planned = match self.plan(zone, &edits, verb).await {
            Ok(planned) => self.settled(zone, &edits, verb, planned).await,
            Err(error) => Err(error),
        };
        let (plans, mut outcomes) = match planned {
            Ok(planned) => planned,
            Err(error) => {
                return edits
                    .into_iter()
                    .map(|edit| (edit.owner, Err(error.clone())))
                    .collect();
            }
        };
        let mut waiting: VecDeque<Batch> = batches(plans).into_iter().map(Batch::of).collect();
        while let Some(batch) = waiting.pop_front() {
            let (done, again) = self.change_batch(zone, batch, verb).await;
            outcomes.extend(done);
            again
                .into_iter()
                .rev()
                .for_each(|batch| waiting.push_front(batch));
        }
        outcomes
    }

    /// One read; what is to be done for each name, and the names that are finished.
    pub(super) async fn plan(
        &self,
        zone: &Known,
        edits: &[Edit],
        verb: Verb,
    ) -> Result<(Vec<Plan>, Vec<Outcome>), ProviderError> {
        let owners: Vec<&str> = edits.iter().map(|edit| edit.owner.as_str()).collect();
        let listing = self.list(zone, &owners).await?;
        let (mut plans, mut outcomes) = (Vec::new(), Vec::new());
        for edit in edits {
            let reading = match verb.kind() {
                RecordKind::Txt
                    if matches!(verb, Verb::Absent(_)) && listing.is_alias(&edit.owner) =>
                {
                    listing.read_behind_alias(zone, &edit.owner)
                }
                RecordKind::Txt => listing.read_name(zone, &edit.owner),
                RecordKind::Cname => listing.read_alias(zone, &edit.owner, verb),
            };
            let planned = reading.and_then(|reading| {
                // Whatever is to be done: what this list shows is seen.
                self.is_older(zone, edits, &reading.rrset);
                let plan = match verb.kind() {
                    RecordKind::Txt => Plan::of(&reading, edit, verb, self.settings.ttl)?,
                    RecordKind::Cname => Plan::of_alias(&reading, edit, verb, self.settings.ttl)?,
                };
                if plan.is_some() {
                    self.check_shadow(&edit.owner, reading.shadowed.as_ref())?;
                }
                Ok(plan.ok_or(reading.rrset))
            });
            match planned {
                Ok(Ok(plan)) => plans.push(plan),
                Ok(Err(rrset)) => outcomes.push((edit.owner.clone(), Ok(Done::nothing(rrset)))),
                Err(error) => outcomes.push((edit.owner.clone(), Err(error))),
            }
        }
        Ok((plans, outcomes))
    }

    /// Sends one batch. What comes back is settled, or to be sent again.
    async fn change_batch(
        &self,
        zone: &Known,
        batch: Batch,
        verb: Verb,
    ) -> (Vec<Outcome>, Vec<Batch>) {
        let mut may_come = batch.lost > 0;
        let (mut outcomes, again) = self.try_batch(zone, batch, verb, &mut may_come).await;
        for (owner, outcome) in outcomes.iter_mut().filter(|_| may_come) {
            if let Err(error) = outcome {
                *error = error.clone().after_loss(owner);
            }
        }
        (outcomes, again)
    }

    /// `may_come`: what was sent and lost may still be on its way.
    async fn try_batch(
        &self,
        zone: &Known,
        batch: Batch,
        verb: Verb,
        may_come: &mut bool,
    ) -> (Vec<Outcome>, Vec<Batch>) {
        let changes: Vec<_> = batch
            .plans
            .iter()
            .flat_map(|plan| plan.changes.clone())
            .collect();
        let failure = match self.api.change(&zone.id, changes).await {
            Ok(id) => {
                for plan in &batch.plans {
                    let removed = matches!(verb, Verb::Absent(_)).then_some(Value::Null);
                    for value in &plan.changed {
                        self.recent.note(
                            &zone.id,
                            &plan.edit.owner,
                            value.as_bytes(),
                            removed.clone(),
                        );
                    }
                }
                let done = batch
                    .plans
                    .into_iter()
                    .map(|plan| (plan.edit.owner.clone(), Ok(plan.done(Some(id.clone())))));
                return (done.collect(), Vec::new());
            }
            Err(failure) => failure,
        };
        let is_lost = matches!(failure, Failure::Lost(_));
        *may_come |= is_lost;
        if failure.is(ZONE_GONE) {
            self.remembered.forget().await;
        }
        if !is_lost && !failure.is_conflict() {
            let error = self.api.failed(&self.changing(zone, &batch), &failure);
            return (batch.all(&error).collect(), Vec::new());
        }
        // Either way the zone may be another than it was: read again before anything else.
        let edits: Vec<Edit> = batch.plans.iter().map(|plan| plan.edit.clone()).collect();
        let planned = match self.plan(zone, &edits, verb).await {
            Ok(planned) => planned,
            Err(error) => return (batch.all(&error).collect(), Vec::new()),
        };
        let (plans, mut outcomes) = planned;
        if *may_come {
            // What is as wanted now, and was not before, is what the lost answer would have said.
            for (owner, outcome) in &mut outcomes {
                if let (Ok(now), Some(plan)) = (
                    &mut *outcome,
                    batch.plans.iter().find(|plan| plan.edit.owner == *owner),
                ) {
                    *outcome = Ok(Done {
                        after: now.after.clone(),
                        ..plan.clone().done(None)
                    });
                }
            }
        }
        let again = if is_lost {
            self.after_loss(zone, &batch, plans, &failure, &mut outcomes)
        } else {
            self.after_refusal(zone, (batch, plans), verb, &failure, &mut outcomes)
                .await
        };
        (outcomes, again)
    }

    fn after_loss(
        &self,
        zone: &Known,
        batch: &Batch,
        plans: Vec<Plan>,
        failure: &Failure,
        outcomes: &mut Vec<Outcome>,
    ) -> Vec<Batch> {
        if plans.is_empty() {
            return Vec::new();
        }
        let lost = batch.lost + 1;
        if lost > REPEATS_AFTER_LOSS {
            let error = ProviderError::undecided(
                &zone.shown(),
                &format!(
                    "sent {lost} times, not done yet, and no answer: {}",
                    failure.said()
                ),
            );
            outcomes.extend(
                plans
                    .into_iter()
                    .map(|plan| (plan.edit.owner, Err(error.clone()))),
            );
            return Vec::new();
        }
        vec![Batch {
            plans,
            lost,
            ..*batch
        }]
    }

    async fn after_refusal(
        &self,
        zone: &Known,
        (batch, mut plans): (Batch, Vec<Plan>),
        verb: Verb,
        failure: &Failure,
        outcomes: &mut Vec<Outcome>,
    ) -> Vec<Batch> {
        if plans.is_empty() {
            return Vec::new();
        }
        if plans == batch.plans {
            // Nothing changed: one of the names spoils the batch, or a writer changed something and
            // changed it back.
            if plans.len() > 1 {
                let second = plans.split_off(plans.len() / 2);
                return [plans, second].map(|plans| Batch { plans, ..batch }).into();
            }
            // The list may lag behind the change of another writer.
            let Some(wait) = UNEXPLAINED_WAITS_MS.get(batch.suspect) else {
                let error = self.api.failed(&self.changing(zone, &batch), failure);
                outcomes.extend(batch.all(&error));
                return Vec::new();
            };
            tokio::time::sleep(Duration::from_millis(*wait)).await;
            // What is sent next is planned on what is listed now.
            let edits: Vec<Edit> = batch.plans.iter().map(|plan| plan.edit.clone()).collect();
            let planned = self.plan(zone, &edits, verb).await;
            let (plans, done) = match planned {
                Ok(planned) => planned,
                Err(error) => {
                    outcomes.extend(batch.all(&error));
                    return Vec::new();
                }
            };
            outcomes.extend(done);
            if plans.is_empty() {
                return Vec::new();
            }
            return vec![Batch {
                plans,
                suspect: batch.suspect + 1,
                ..batch
            }];
        }
        let stale = batch.stale + 1;
        if stale >= ATTEMPTS {
            let text = format!(
                "the records of {} in the zone {} changed under each of {ATTEMPTS} attempts; nothing was written ({})",
                owners(&plans),
                zone.apex,
                failure.said()
            );
            let error = ProviderError::new(ErrorKind::Unavailable, text).with_hint(
                "another program writes the same names all the time; try again when it is quiet",
            );
            outcomes.extend(
                plans
                    .into_iter()
                    .map(|plan| (plan.edit.owner, Err(error.clone()))),
            );
            return Vec::new();
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(5..=40 << stale))).await;
        vec![Batch {
            plans,
            stale,
            ..batch
        }]
    }

    /// Proves the permission to write `owner` with a batch that Route 53 must refuse.
    pub(super) async fn rehearse(
        &self,
        zone: &Known,
        owner: &str,
        kind: RecordKind,
    ) -> Result<(TxtRrset, String), ProviderError> {
        let listing = self.list(zone, &[owner]).await?;
        let reading = match kind {
            RecordKind::Txt => listing.read_name(zone, owner)?,
            RecordKind::Cname => listing.read_alias(zone, owner, Verb::Present(kind))?,
        };
        if let Some(there) = &reading.rrset.cname {
            let text = format!("{owner} is a CNAME already, to {there}, and it is never replaced");
            return Err(ProviderError::new(ErrorKind::Unsafe, text));
        }
        self.check_shadow(owner, reading.shadowed.as_ref())?;
        let ttl = reading.rrset.ttl.unwrap_or(self.settings.ttl);
        let changes = match kind {
            RecordKind::Txt => rehearsal(owner, ttl)?,
            RecordKind::Cname => alias::rehearsal(owner, ttl)?,
        };
        let call = Call::new(
            CHANGE,
            format!(
                "checking the permission to write {owner} in {}",
                zone.shown()
            ),
        );
        match self.api.change(&zone.id, changes).await {
            Err(failure) if failure.is_conflict() => Ok((reading.rrset, failure.said())),
            Err(failure) => Err(self.api.failed(&call, &failure)),
            Ok(id) => {
                let text = format!(
                    "{} at {}: it accepted the deletion of a value that does not exist (change {id}); this is no Route 53",
                    call.doing,
                    self.api.place()
                );
                Err(ProviderError::new(ErrorKind::Damaged, text)
                    .with_hint("check `endpoint` and the TXT values"))
            }
        }
    }

    fn check_shadow(
        &self,
        owner: &str,
        shadowed: Option<&(String, String)>,
    ) -> Result<(), ProviderError> {
        match shadowed.filter(|_| !self.settings.allow_wildcard_shadow) {
            Some((host, wildcard)) => Err(only_a_wildcard(owner, host, wildcard)),
            None => Ok(()),
        }
    }

    fn changing(&self, zone: &Known, batch: &Batch) -> Call {
        let owners = owners(&batch.plans);
        Call::new(CHANGE, format!("changing {owners} in {}", zone.shown()))
    }
}

fn owners(plans: &[Plan]) -> String {
    let owners: Vec<&str> = plans.iter().map(|plan| plan.edit.owner.as_str()).collect();
    match owners.as_slice() {
        few if few.len() <= 5 => few.join(", "),
        [first, second, rest @ ..] => format!("{first}, {second} and {} more", rest.len()),
        _ => String::new(),
    }
}
