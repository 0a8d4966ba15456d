//! Writing: read, change what is missing, and read again wherever an answer leaves anything open.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;

use super::open::{Next, Open, Outcome, Verb, value_of};
use super::{Change, Listed, RecordApi, Records, View, Written, plain_name};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{Receipt, Record, RecordData, RecordKind, TxtRecord, TxtRrset, TxtValue, Zone};
use crate::wish::{Wish, gather, receipts};

/// Zones asked for, and changed, at the same time.
const AT_ONCE: usize = 8;

impl<A: RecordApi> Records<A> {
    /// Makes all records present or absent; results in the order of `records`.
    pub(crate) async fn change(
        &self,
        records: &[Record],
        verb: Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let values = |kind| {
            let of_kind = records.iter().filter(move |record| record.kind() == kind);
            of_kind.map(as_value).collect::<Vec<_>>()
        };
        let (txt, aliases) = (values(RecordKind::Txt), values(RecordKind::Cname));
        let mut txt = self
            .change_kind(&txt, RecordKind::Txt, verb)
            .await
            .into_iter();
        let aliases = self.change_kind(&aliases, RecordKind::Cname, verb).await;
        let mut aliases = aliases.into_iter();
        let answer = |record: &Record| match record.kind() {
            RecordKind::Txt => txt.next(),
            RecordKind::Cname => aliases.next(),
        };
        // One answer for each.
        records.iter().filter_map(answer).collect()
    }

    async fn change_kind(
        &self,
        values: &[TxtValue],
        kind: RecordKind,
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
                self.change_zone(&zone, wishes, kind, verb).await
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        outcomes.extend(changed.into_iter().flatten());
        receipts(values, &outcomes)
    }

    async fn change_zone(
        &self,
        zone: &Zone,
        wishes: Vec<Wish>,
        kind: RecordKind,
        verb: Verb,
    ) -> Vec<Outcome> {
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
        let mut open: Vec<Open> = wishes
            .into_iter()
            .map(|wish| Open::new(wish, kind))
            .collect();
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
                let mut rrset = view.rrset(zone, &one.wish.owner);
                one.forget_gone(&view, &mut rrset);
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
        if open.kind != RecordKind::Txt {
            return None;
        }
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
                    for (index, change) in &call {
                        self.note(zone, change);
                        names[*index].0.wrote(change, id.as_ref());
                    }
                    proved.extend(call);
                }
                Written::Accepted(id) => {
                    for (index, change) in &call {
                        self.note(zone, change);
                        names[*index].0.wrote(change, id.as_ref());
                    }
                }
                // The second time, it is not what others changed meanwhile.
                Written::Conflict
                    if call.len() > 1
                        && touched.iter().any(|index| names[*index].0.conflicts > 0) =>
                {
                    calls.extend(call.into_iter().rev().map(|change| (vec![change], true)));
                }
                Written::Conflict => {
                    touched
                        .iter()
                        .for_each(|index| names[*index].0.conflicts += 1);
                    if let [(index, Change::Remove(listed))] = call.as_slice() {
                        names[*index].0.gone.push(listed.raw.clone());
                    }
                }
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

    fn note(&self, zone: &Zone, change: &Change) {
        match change {
            Change::Add { owner, value, .. } => {
                self.recent.note(&zone.apex, owner, value.as_bytes(), None);
            }
            Change::Remove(listed) => {
                let (value, raw) = (listed.record().joined(), listed.raw.clone());
                self.recent
                    .note(&zone.apex, &listed.name, &value, Some(raw));
            }
        }
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
                Change::Add {
                    kind: RecordKind::Cname,
                    value,
                    ..
                } => rrset.cname = Some(plain_name(value)),
                Change::Add { value, .. } => rrset.records.push(TxtRecord::of(value)),
                Change::Remove(listed) if listed.kind == "CNAME" => rrset.cname = None,
                Change::Remove(listed) => rrset
                    .records
                    .retain(|record| record.joined() != listed.record().joined()),
            }
        }
        rrset.records.sort();
        let is_there = !rrset.records.is_empty() || rrset.cname.is_some();
        rrset.ttl = is_there.then(|| rrset.ttl.unwrap_or(self.api.ttl()));
        rrset
    }
}

/// What is wished for at a name: a TXT value, or the target of a CNAME.
fn as_value(record: &Record) -> TxtValue {
    TxtValue {
        owner: record.owner.clone(),
        value: match &record.data {
            RecordData::Txt(value) => value.clone(),
            RecordData::Cname(target) => plain_name(target),
        },
    }
}
