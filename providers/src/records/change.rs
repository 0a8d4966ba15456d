//! Writing: read, change what is missing, and read again wherever an answer leaves anything open.

use std::collections::BTreeSet;

use super::open::{Next, Open, Outcome, Verb, value_of};
use super::{Change, Listed, RecordApi, Records, View, Written, plain_name};
use crate::edit::{Edit, change_zones, check, gather, in_order, receipts};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{
    Receipt, Record, RecordKind, TxtRecord, TxtRrset, TxtValue, Zone, cname_values, txt_values,
};

impl<A: RecordApi> Records<A> {
    /// Makes all records present or absent; results in the order of `records`.
    pub(crate) async fn change(
        &self,
        records: &[Record],
        verb: Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let (txt, aliases) = (txt_values(records), cname_values(records));
        let txt = self.change_kind(&txt, RecordKind::Txt, verb).await;
        let aliases = self.change_kind(&aliases, RecordKind::Cname, verb).await;
        in_order(records, txt, aliases)
    }

    async fn change_kind(
        &self,
        values: &[TxtValue],
        kind: RecordKind,
        verb: Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let find = async |owner: String| self.api.zone_of(&owner).await;
        let change = async |(zone, edits): (Zone, _)| {
            let _turn = self.queues.turn(zone.clone()).await;
            self.change_zone(&zone, edits, verb).await
        };
        let outcomes = change_zones(gather(values, kind, check), find, change).await;
        receipts(values, &outcomes, check)
    }

    async fn change_zone(&self, zone: &Zone, edits: Vec<Edit>, verb: Verb) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        // A record of ours is removed wherever it is, also from a zone that no longer counts.
        if verb == Verb::Present
            && let Err(error) = self.api.check_zone(zone).await
        {
            return edits
                .into_iter()
                .map(|edit| (edit.owner, Err(error.clone())))
                .collect();
        }
        let mut open: Vec<Open> = edits.into_iter().map(Open::new).collect();
        while !open.is_empty() {
            let owners: Vec<String> = open.iter().map(|open| open.edit.owner.clone()).collect();
            let view = match self.api.read_zone(zone, &owners).await {
                Ok(view) => view,
                Err(error) => {
                    outcomes.extend(open.into_iter().map(|open| open.failed(error.clone())));
                    break;
                }
            };
            let (mut waiting, mut plans, mut wait) = (Vec::new(), Vec::new(), None);
            for mut one in open {
                let mut rrset = view.rrset(zone, &one.edit.owner);
                one.forget_gone(&view, &mut rrset);
                one.before.get_or_insert_with(|| rrset.clone());
                if let Some(error) = self.take_back(&view, zone, &one).await {
                    outcomes.push((one.edit.owner, Err(error)));
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
        if open.edit.kind != RecordKind::Txt {
            return None;
        }
        let stray = |value: &String| {
            let (listed, error) = self.api.stray(view, zone, &open.edit.owner, value)?;
            Some((listed.clone(), open.sent.contains(value).then_some(error)))
        };
        let (strays, errors): (Vec<_>, Vec<_>) = open.edit.values.iter().filter_map(stray).unzip();
        let name = strays.first()?.name.clone();
        let error = errors.into_iter().flatten().next();
        let left = |why: &str| {
            let text = format!(
                "a value for {} is at {name} and could not be removed there: {why}",
                open.edit.owner
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
    /// must be read again.
    async fn send(
        &self,
        zone: &Zone,
        plans: Vec<(Open, TxtRrset, Vec<Change>)>,
    ) -> (Vec<Outcome>, Vec<Open>) {
        let mut sending = Sending::of(plans, self.api.most());
        while let Some((call, is_late)) = sending.calls.pop() {
            if let Some(error) = sending.stopped.clone() {
                sending.fail(&call, &error);
                continue;
            }
            if let ([(index, Change::Remove(listed))], true) = (call.as_slice(), is_late) {
                let name = &mut sending.names[*index];
                match self.is_still(zone, listed).await {
                    Ok(true) => {}
                    Ok(false) => {
                        name.open.conflicts += 1;
                        continue;
                    }
                    Err(error) => {
                        name.error = Some(error);
                        continue;
                    }
                }
            }
            let changes: Vec<Change> = call.iter().map(|(_, change)| change.clone()).collect();
            let written = self.api.write(zone, &changes).await;
            tracing::debug!(zone = zone.apex, changes = changes.len(), ?written, "write");
            if let Written::Proved(_) | Written::Accepted(_) = written {
                changes.iter().for_each(|change| self.note(zone, change));
            }
            sending.take(call, written);
        }
        let (mut settled, mut again) = (Vec::new(), Vec::new());
        for (index, name) in sending.names.into_iter().enumerate() {
            let proved = sending.proved.iter().filter(|(of, _)| *of == index);
            let proved: Vec<&Change> = proved.map(|(_, change)| change).collect();
            if let Some(error) = name.error {
                settled.push(name.open.failed(error));
            } else if proved.len() == name.changes {
                let after = self.applied(name.rrset, proved.into_iter());
                settled.push(name.open.done(after));
            } else {
                again.push(name.open);
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
            .read_zone(zone, std::slice::from_ref(&listed.name))
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

/// The changes of a call, each with the place of its name.
type Call = Vec<(usize, Change)>;

/// One name while its changes are sent.
struct Name {
    open: Open,
    rrset: TxtRrset,
    /// How many changes it has.
    changes: usize,
    error: Option<ProviderError>,
}

/// What is still to be sent, and the outcome of the rest.
struct Sending {
    names: Vec<Name>,
    /// The next one is the last. A call is late where it was made out of one that failed.
    calls: Vec<(Call, bool)>,
    proved: Call,
    stopped: Option<ProviderError>,
}

impl Sending {
    fn of(plans: Vec<(Open, TxtRrset, Vec<Change>)>, most: usize) -> Self {
        let (mut names, mut all) = (Vec::new(), Vec::new());
        for (index, (open, rrset, changes)) in plans.into_iter().enumerate() {
            names.push(Name {
                open,
                rrset,
                changes: changes.len(),
                error: None,
            });
            all.extend(changes.into_iter().map(|change| (index, change)));
        }
        let calls = all.chunks(most).rev().map(|call| (call.to_vec(), false));
        Self {
            names,
            calls: calls.collect(),
            proved: Vec::new(),
            stopped: None,
        }
    }

    fn fail(&mut self, call: &[(usize, Change)], error: &ProviderError) {
        for (index, _) in call {
            self.names[*index].error = Some(error.clone());
        }
    }

    /// Each change gets a call of its own.
    fn split(&mut self, call: Call) {
        let single = call.into_iter().rev().map(|change| (vec![change], true));
        self.calls.extend(single);
    }

    /// The outcome of a call.
    fn take(&mut self, call: Call, written: Written) {
        let touched: BTreeSet<usize> = call.iter().map(|(index, _)| *index).collect();
        match written {
            Written::Proved(id) => {
                self.wrote(&call, id.as_ref());
                self.proved.extend(call);
            }
            Written::Accepted(id) => self.wrote(&call, id.as_ref()),
            // The second time, it is not what another writer changed meanwhile.
            Written::Conflict
                if call.len() > 1
                    && touched
                        .iter()
                        .any(|index| self.names[*index].open.conflicts > 0) =>
            {
                self.split(call);
            }
            Written::Conflict => {
                for index in touched {
                    self.names[index].open.conflicts += 1;
                }
                if let [(index, Change::Remove(listed))] = call.as_slice() {
                    self.names[*index].open.gone.push(listed.raw.clone());
                }
            }
            Written::Lost(why) => {
                for (index, change) in &call {
                    self.names[*index].open.sent.insert(value_of(change));
                }
                for index in touched {
                    let open = &mut self.names[index].open;
                    open.losses += 1;
                    open.why.clone_from(&why);
                }
            }
            Written::Failed {
                error,
                stops_all: true,
            } => {
                self.fail(&call, &error);
                self.stopped = Some(error);
            }
            // One bad change costs only itself.
            Written::Failed { .. } if call.len() > 1 => self.split(call),
            Written::Failed { error, .. } => self.fail(&call, &error),
        }
    }

    fn wrote(&mut self, call: &[(usize, Change)], id: Option<&String>) {
        for (index, change) in call {
            self.names[*index].open.wrote(change, id);
        }
    }
}
