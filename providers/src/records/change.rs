//! Writing: read, change what is missing, and read again wherever an answer leaves anything open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;

use super::{Change, Listed, RecordApi, Records, View, Written};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{Receipt, TxtRecord, TxtRrset, TxtValue, Zone};
use crate::wish::{Done, Wish, gather, receipts};

/// How often a change is sent again after an answer got lost and a read showed that it was not
/// made.
const REPEATS_AFTER_LOSS: u32 = 1;
/// How often a change is tried when others change the same records at the same time.
const CONFLICTS: u32 = 5;
/// Before each further read of a change that was accepted and is not shown: an API may show it a
/// moment later.
const READ_BACK_WAITS_MS: [u64; 3] = [250, 1000, 3000];
/// Zones asked for, and changed, at the same time.
const AT_ONCE: usize = 8;

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Present,
    Absent,
}

/// A name on its way to what is wished for it.
#[derive(Debug)]
struct Open {
    wish: Wish,
    /// As the first read showed it.
    before: Option<TxtRrset>,
    /// Values whose change was sent and may have been done.
    sent: BTreeSet<String>,
    /// Values whose change was accepted, or shown to be done.
    accepted: BTreeSet<String>,
    reads_after: usize,
    conflicts: u32,
    losses: u32,
    why: String,
    change_id: Option<String>,
}

type Outcome = (String, Result<Done, ProviderError>);

impl<A: RecordApi> Records<A> {
    /// Makes all values present or absent; results in the order of `values`.
    pub(crate) async fn change(
        &self,
        values: &[TxtValue],
        verb: Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let mut outcomes = BTreeMap::new();
        let mut zones: BTreeMap<Zone, Vec<Wish>> = BTreeMap::new();
        let found = futures::stream::iter(gather(values))
            .map(async |wish| (self.api.zone_of(&wish.owner).await, wish))
            .buffered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        for (zone, wish) in found {
            match zone {
                Ok(zone) => zones.entry(zone).or_default().push(wish),
                Err(error) => drop(outcomes.insert(wish.owner, Err(error))),
            }
        }
        let changed = futures::stream::iter(zones)
            .map(async |(zone, wishes)| {
                let queue = self.queue(&zone);
                let _turn = queue.lock().await;
                self.change_zone(&zone, wishes, verb).await
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        outcomes.extend(changed.into_iter().flatten());
        receipts(values, &outcomes)
    }

    async fn change_zone(&self, zone: &Zone, wishes: Vec<Wish>, verb: Verb) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        // A value of ours is taken away wherever it is, also from a zone that no longer counts.
        if verb == Verb::Present
            && let Err(error) = self.api.check_zone(zone).await
        {
            return wishes
                .into_iter()
                .map(|wish| (wish.owner, Err(error.clone())))
                .collect();
        }
        let mut open: Vec<Open> = wishes.into_iter().map(Open::new).collect();
        while !open.is_empty() {
            let owners: Vec<String> = open.iter().map(|open| open.wish.owner.clone()).collect();
            let view = match self.api.look(zone, &owners).await {
                Ok(view) => view,
                Err(error) => {
                    outcomes.extend(open.into_iter().map(|open| open.failed(error.clone())));
                    break;
                }
            };
            let (mut waiting, mut plans, mut wait) = (Vec::new(), Vec::new(), None);
            for mut one in open {
                let rrset = view.rrset(zone, &one.wish.owner);
                one.before.get_or_insert_with(|| rrset.clone());
                if let Some(error) = self.take_back(&view, zone, &one).await {
                    outcomes.push((one.wish.owner, Err(error)));
                    continue;
                }
                match self.plan(&view, zone, &mut one, verb) {
                    Err(error) => outcomes.push(one.failed(error)),
                    Ok(Next::Done) => outcomes.push(one.done(rrset)),
                    Ok(Next::Wait(longer)) => {
                        wait = wait.max(Some(longer));
                        waiting.push(one);
                    }
                    Ok(Next::Send(changes)) => plans.push((one, rrset, changes)),
                }
            }
            let (settled, more) = self.send(zone, plans).await;
            outcomes.extend(settled);
            waiting.extend(more);
            open = waiting;
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
            }
        }
        outcomes
    }

    /// Removes what the API has filed under a wrong name, now or in a run that died. The error is
    /// for what was filed now, and says that nothing of ours is left.
    async fn take_back(&self, view: &View, zone: &Zone, open: &Open) -> Option<ProviderError> {
        let stray = |value: &String| {
            let (listed, error) = self.api.stray(view, zone, &open.wish.owner, value)?;
            Some((listed.clone(), open.sent.contains(value).then_some(error)))
        };
        let (strays, errors): (Vec<_>, Vec<_>) = open.wish.values.iter().filter_map(stray).unzip();
        let name = strays.first()?.name.clone();
        let error = errors.into_iter().flatten().next();
        let left = |why: &str| {
            let text = format!(
                "a value for {} stands at {name} and could not be removed there: {why}",
                open.wish.owner
            );
            ProviderError::new(ErrorKind::Damaged, text).with_hint(format!(
                "remove the TXT record at {name} by hand, if it is still there"
            ))
        };
        match self
            .api
            .write(
                zone,
                &strays.into_iter().map(Change::Remove).collect::<Vec<_>>(),
            )
            .await
        {
            Written::Proved(_) | Written::Accepted(_) | Written::Conflict => error,
            Written::Lost(why) => Some(left(&why)),
            Written::Failed { error: why, .. } => Some(left(&why.message)),
        }
    }

    /// The next step for one name, from what stands there now.
    fn plan(
        &self,
        view: &View,
        zone: &Zone,
        open: &mut Open,
        verb: Verb,
    ) -> Result<Next, ProviderError> {
        let owner = open.wish.owner.clone();
        let there: Vec<_> = view.txt(&owner).collect();
        let stands = |value: &String| {
            there
                .iter()
                .any(|listed| listed.record().joined() == value.as_bytes())
        };
        let missing: Vec<_> = open
            .wish
            .values
            .iter()
            .filter(|value| stands(value) != (verb == Verb::Present))
            .cloned()
            .collect();
        if missing.is_empty() {
            return Ok(Next::Done);
        }
        if missing.iter().any(|value| open.accepted.contains(value)) {
            let Some(wait) = READ_BACK_WAITS_MS.get(open.reads_after) else {
                let stands = if verb == Verb::Present {
                    "is not there"
                } else {
                    "is still there"
                };
                let text = format!(
                    "the change of {owner} was accepted, and a read shows: {:?} {stands}",
                    missing[0]
                );
                return Err(ProviderError::new(ErrorKind::Damaged, text).with_hint(
                    "compare the zone with this message; the API may have filed the record under another name",
                ));
            };
            open.reads_after += 1;
            return Ok(Next::Wait(Duration::from_millis(*wait)));
        }
        if open.losses > REPEATS_AFTER_LOSS {
            let text = format!(
                "sent {} times without an answer ({}), and it is not done",
                open.losses, open.why
            );
            return Err(undecided(&owner, &text));
        }
        if open.conflicts > CONFLICTS {
            let text = format!(
                "others change the TXT records of {owner} at the same time, {CONFLICTS} times over"
            );
            return Err(ProviderError::new(ErrorKind::Unavailable, text));
        }
        if verb == Verb::Absent {
            let ours = |listed: &&&Listed| {
                missing
                    .iter()
                    .any(|value| listed.record().joined() == value.as_bytes())
            };
            let changes = there
                .iter()
                .filter(ours)
                .map(|listed| Change::Remove((*listed).clone()));
            return Ok(Next::Send(changes.collect()));
        }
        view.refuse(&zone.apex, &owner, self.api.may_shadow())?;
        let lengths: Vec<_> = missing.iter().map(String::len).collect();
        self.api.check_room(&owner, &there, &lengths)?;
        // The TTL belongs to the RRset: the one that name servers answer, not ours.
        let beside = there
            .iter()
            .min_by_key(|listed| listed.ttl)
            .map(|listed| (*listed).clone());
        let add = |value| Change::Add {
            owner: owner.clone(),
            value,
            ttl: self.api.ttl(),
            beside: beside.clone(),
        };
        Ok(Next::Send(missing.into_iter().map(add).collect()))
    }

    /// Sends all changes, as many in a call as the API takes. What the answers settle, and what
    /// must be looked at again.
    async fn send(
        &self,
        zone: &Zone,
        plans: Vec<(Open, TxtRrset, Vec<Change>)>,
    ) -> (Vec<Outcome>, Vec<Open>) {
        let mut names: Vec<_> = plans
            .into_iter()
            .map(|(open, rrset, changes)| (open, rrset, changes, None))
            .collect();
        let all: Vec<(usize, Change)> = names
            .iter_mut()
            .enumerate()
            .flat_map(|(index, (_, _, changes, _))| {
                std::mem::take(changes)
                    .into_iter()
                    .map(move |change| (index, change))
            })
            .collect();
        let mut calls: Vec<_> = all
            .chunks(self.api.most())
            .rev()
            .map(|call| (call.to_vec(), false))
            .collect();
        let mut proved: Vec<(usize, Change)> = Vec::new();
        let mut stopped: Option<ProviderError> = None;
        while let Some((call, is_late)) = calls.pop() {
            if let Some(error) = &stopped {
                call.iter()
                    .for_each(|(index, _)| names[*index].3 = Some(error.clone()));
                continue;
            }
            if let ([(index, Change::Remove(listed))], true) = (call.as_slice(), is_late) {
                match self.is_still(zone, listed).await {
                    Ok(true) => {}
                    Ok(false) => {
                        names[*index].0.conflicts += 1;
                        continue;
                    }
                    Err(error) => {
                        names[*index].3 = Some(error);
                        continue;
                    }
                }
            }
            let changes: Vec<Change> = call.iter().map(|(_, change)| change.clone()).collect();
            let written = self.api.write(zone, &changes).await;
            tracing::debug!(zone = zone.apex, changes = changes.len(), ?written, "write");
            let touched: BTreeSet<usize> = call.iter().map(|(index, _)| *index).collect();
            match written {
                Written::Proved(id) => {
                    call.iter()
                        .for_each(|(index, change)| names[*index].0.wrote(change, id.as_ref()));
                    proved.extend(call);
                }
                Written::Accepted(id) => {
                    call.iter()
                        .for_each(|(index, change)| names[*index].0.wrote(change, id.as_ref()));
                }
                Written::Conflict => touched
                    .iter()
                    .for_each(|index| names[*index].0.conflicts += 1),
                Written::Lost(why) => {
                    for (index, change) in &call {
                        names[*index].0.sent.insert(value_of(change));
                    }
                    for index in touched {
                        names[index].0.losses += 1;
                        names[index].0.why.clone_from(&why);
                    }
                }
                Written::Failed {
                    error,
                    everyone: true,
                } => {
                    call.iter()
                        .for_each(|(index, _)| names[*index].3 = Some(error.clone()));
                    stopped = Some(error);
                }
                // One bad change costs only itself: each gets a call of its own.
                Written::Failed { .. } if call.len() > 1 => {
                    calls.extend(call.into_iter().rev().map(|change| (vec![change], true)));
                }
                Written::Failed { error, .. } => names[call[0].0].3 = Some(error),
            }
        }
        let (mut settled, mut again) = (Vec::new(), Vec::new());
        for (index, (open, rrset, _, error)) in names.into_iter().enumerate() {
            let mine = |all: &[(usize, Change)]| all.iter().filter(|(of, _)| *of == index).count();
            if let Some(error) = error {
                settled.push(open.failed(error));
            } else if mine(&proved) == mine(&all) {
                let changes = proved
                    .iter()
                    .filter(|(of, _)| *of == index)
                    .map(|(_, change)| change);
                let after = self.applied(rrset, changes);
                settled.push(open.done(after));
            } else {
                again.push(open);
            }
        }
        (settled, again)
    }

    /// Whether a record is as it was listed: some time has passed, and an id may have got another
    /// content.
    async fn is_still(&self, zone: &Zone, listed: &Listed) -> Result<bool, ProviderError> {
        Ok(self
            .api
            .look(zone, std::slice::from_ref(&listed.name))
            .await?
            .records
            .contains(listed))
    }

    /// The RRset with changes that an answer has shown to be made.
    fn applied<'a>(
        &self,
        mut rrset: TxtRrset,
        changes: impl Iterator<Item = &'a Change>,
    ) -> TxtRrset {
        for change in changes {
            match change {
                Change::Add { value, .. } => rrset.records.push(TxtRecord::of(value)),
                Change::Remove(listed) => rrset
                    .records
                    .retain(|record| record.joined() != listed.record().joined()),
            }
        }
        rrset.records.sort();
        rrset.ttl = (!rrset.records.is_empty()).then(|| rrset.ttl.unwrap_or(self.api.ttl()));
        rrset
    }
}

/// What comes next for one name.
enum Next {
    Done,
    Send(Vec<Change>),
    Wait(Duration),
}

impl Open {
    fn new(wish: Wish) -> Self {
        Self {
            wish,
            before: None,
            sent: BTreeSet::new(),
            accepted: BTreeSet::new(),
            reads_after: 0,
            conflicts: 0,
            losses: 0,
            why: String::new(),
            change_id: None,
        }
    }

    fn wrote(&mut self, change: &Change, id: Option<&String>) {
        self.sent.insert(value_of(change));
        self.accepted.insert(value_of(change));
        self.change_id = id.cloned().or(self.change_id.take());
    }

    fn done(self, after: TxtRrset) -> Outcome {
        let before = self.before.unwrap_or_else(|| after.clone());
        (
            self.wish.owner,
            Ok(Done {
                before,
                after,
                changed: self.sent,
                change_id: self.change_id,
            }),
        )
    }

    /// A failure after something may have been done is an open question, whatever it is in itself.
    fn failed(self, error: ProviderError) -> Outcome {
        let error = if self.sent.is_empty() {
            error
        } else {
            error.after_loss(&self.wish.owner)
        };
        (self.wish.owner, Err(error))
    }
}

fn value_of(change: &Change) -> String {
    match change {
        Change::Add { value, .. } => value.clone(),
        Change::Remove(listed) => String::from_utf8_lossy(&listed.record().joined()).into_owned(),
    }
}

fn undecided(owner: &str, what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Unknown,
        format!("the change of {owner} is undecided: {what}"),
    )
    .with_hint("it is looked at again before anything else is done; nothing needs to be repaired")
}
