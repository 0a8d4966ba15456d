//! One name on its way to the wanted state: what a list, an answer or a conflict means, and the
//! next step.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::{Change, Listed, RecordApi, Records, View};
use crate::edit::{Done, Edit};
use crate::provider::{ErrorKind, ProviderError};
use crate::recent::WAITS_MS;
use crate::record::{RecordKind, TxtRrset, Zone};

/// How often a change is sent again after an answer got lost and a read showed that it was not
/// made.
const REPEATS_AFTER_LOSS: u32 = 1;
/// How often a change is tried when another writer changes the same records at the same time.
const CONFLICTS: u32 = 5;
/// Before the second read that shows a value to be gone which this process has not removed: another
/// one may have written it a moment ago.
const SECOND_READ_MS: u64 = 500;
/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Present,
    Absent,
}

/// A name on its way to the wanted state.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) edit: Edit,
    /// As the first read showed it.
    pub(super) before: Option<TxtRrset>,
    /// Values whose change was sent and may have been done.
    pub(super) sent: BTreeSet<String>,
    /// Values whose change was accepted, or shown to be done.
    pub(super) accepted: BTreeSet<String>,
    /// Entries that the API no longer knows, whatever its list shows.
    pub(super) gone: Vec<Value>,
    /// The version of the zone that the change was planned on.
    pub(super) planned_on: Option<String>,
    pub(super) reads_after: usize,
    pub(super) was_read_twice: bool,
    /// What was at the name when the last change was planned.
    pub(super) planned_beside: Vec<Value>,
    /// How often the list was asked again after a conflict that it does not explain.
    pub(super) unexplained: usize,
    pub(super) conflicts: u32,
    pub(super) losses: u32,
    pub(super) why: String,
    pub(super) change_id: Option<String>,
}

pub(super) type Outcome = (String, Result<Done, ProviderError>);

impl<A: RecordApi> Records<A> {
    /// The next step for one name, from what is there now.
    pub(super) fn plan(
        &self,
        view: &View,
        zone: &Zone,
        open: &mut Open,
        verb: Verb,
    ) -> Result<Next, ProviderError> {
        let owner = open.edit.owner.clone();
        let there: Vec<_> = view
            .of(open.edit.kind, &owner)
            .filter(|listed| !open.gone.contains(&listed.raw))
            .collect();
        let state = |value: &String| there.iter().any(|listed| listed.is(value));
        let missing: Vec<_> = open
            .edit
            .values
            .iter()
            .filter(|value| state(value) != (verb == Verb::Present))
            .cloned()
            .collect();
        if verb == Verb::Present || !open.edit.values.iter().all(state) {
            view.refuse_unreadable(&owner)?;
        }
        let contradicted = self.contradicted(zone, &open.edit, &there);
        if missing.is_empty() {
            return settled(open, verb, contradicted);
        }
        if let Some(value) = missing.iter().find(|value| open.accepted.contains(*value)) {
            return open
                .next_read()
                .ok_or_else(|| unshown(view, open, verb, value));
        }
        if open.losses > REPEATS_AFTER_LOSS {
            let text = format!(
                "sent {} times without an answer ({}), and it is not done",
                open.losses, open.why
            );
            return Err(ProviderError::undecided(&owner, &text));
        }
        if let Some(next) = open.after_conflict(&there, &missing[0], verb)? {
            return Ok(next);
        }
        open.planned_on.clone_from(&view.version);
        open.planned_beside = there.iter().map(|listed| listed.raw.clone()).collect();
        if verb == Verb::Absent {
            let ours = |listed: &&&Listed| missing.iter().any(|value| listed.is(value));
            let changes = there
                .iter()
                .filter(ours)
                .map(|listed| Change::Remove((*listed).clone()));
            return Ok(Next::Send(changes.collect()));
        }
        self.refuse(view, zone, &owner, open.edit.kind)?;
        if open.edit.kind == RecordKind::Txt {
            let lengths: Vec<_> = missing.iter().map(String::len).collect();
            self.api.check_room(&owner, &there, &lengths)?;
        }
        // The TTL belongs to the RRset: the one that name servers answer, not ours.
        let beside = there
            .iter()
            .min_by_key(|listed| listed.ttl)
            .map(|listed| (*listed).clone());
        let add = |value| Change::Add {
            kind: open.edit.kind,
            owner: owner.clone(),
            value,
            ttl: self.api.ttl(),
            beside: beside.clone(),
        };
        Ok(Next::Send(missing.into_iter().map(add).collect()))
    }

    /// A value that this process changed a moment ago and that the list does not show so, and how
    /// long ago that was.
    fn contradicted(
        &self,
        zone: &Zone,
        edit: &Edit,
        there: &[&Listed],
    ) -> Option<(String, Duration)> {
        let mut found = None;
        for value in &edit.values {
            let entries = there
                .iter()
                .filter(|listed| listed.is(value))
                .map(|listed| &listed.raw);
            let octets = value.as_bytes();
            let ago = self
                .recent
                .contradicted_by(&zone.apex, &edit.owner, octets, entries);
            found = found.or(ago.map(|ago| (value.clone(), ago)));
        }
        found
    }
}

/// What a list is worth that shows all as wanted. One that contradicts what this process changed a
/// moment ago is older than the change; and where nothing was to be done, a value that is not
/// listed may have been written by another process a moment ago.
fn settled(
    open: &mut Open,
    verb: Verb,
    contradicted: Option<(String, Duration)>,
) -> Result<Next, ProviderError> {
    if let Some((value, ago)) = contradicted {
        let did = match verb {
            Verb::Present => "removed and is listed still",
            Verb::Absent => "added and is not listed yet",
        };
        let text = format!(
            "{value:?} was {did}, {} s ago, so the list is older than that",
            ago.as_secs()
        );
        return open
            .next_read()
            .ok_or_else(|| ProviderError::undecided(&open.edit.owner, &text));
    }
    let is_new = open.sent.is_empty() && open.gone.is_empty();
    if verb == Verb::Absent && is_new && !open.was_read_twice {
        open.was_read_twice = true;
        return Ok(Next::Wait(Duration::from_millis(SECOND_READ_MS)));
    }
    Ok(Next::Done)
}

/// The next step for one name.
pub(super) enum Next {
    Done,
    Send(Vec<Change>),
    Wait(Duration),
}

impl Open {
    pub(super) fn new(edit: Edit) -> Self {
        Self {
            edit,
            before: None,
            sent: BTreeSet::new(),
            accepted: BTreeSet::new(),
            gone: Vec::new(),
            planned_on: None,
            reads_after: 0,
            was_read_twice: false,
            planned_beside: Vec::new(),
            unexplained: 0,
            conflicts: 0,
            losses: 0,
            why: String::new(),
            change_id: None,
        }
    }

    /// Takes out of an RRset what the API no longer knows and lists still.
    pub(super) fn forget_gone(&self, view: &View, rrset: &mut TxtRrset) {
        let (gone, kept): (Vec<_>, Vec<_>) = view
            .of(self.edit.kind, &self.edit.owner)
            .partition(|listed| self.gone.contains(&listed.raw));
        if gone.is_empty() {
            return;
        }
        if self.edit.kind == RecordKind::Cname {
            (rrset.cname, rrset.ttl) = (None, None);
            return;
        }
        for listed in gone {
            let record = listed.record();
            if !kept.iter().any(|kept| kept.record() == record) {
                rrset.records.retain(|known| *known != record);
            }
        }
        rrset.ttl = rrset.ttl.filter(|_| !rrset.records.is_empty());
    }

    /// The pause before the next read of a list that lags; `None`: it was read often enough.
    pub(super) fn next_read(&mut self) -> Option<Next> {
        let wait = WAITS_MS.get(self.reads_after)?;
        self.reads_after += 1;
        Some(Next::Wait(Duration::from_millis(*wait)))
    }

    /// After a conflict: a pause where the list shows nothing that explains it, since it may lag;
    /// `None`: the change can be sent again.
    pub(super) fn after_conflict(
        &mut self,
        there: &[&Listed],
        value: &str,
        verb: Verb,
    ) -> Result<Option<Next>, ProviderError> {
        let owner = &self.edit.owner;
        if self.conflicts > CONFLICTS {
            let text = format!(
                "another writer changes the {} records of {owner} at the same time, {CONFLICTS} times over",
                self.edit.kind
            );
            return Err(ProviderError::new(ErrorKind::Unavailable, text));
        }
        if self.conflicts == 0 || verb == Verb::Absent {
            return Ok(None);
        }
        if !self
            .planned_beside
            .iter()
            .eq(there.iter().map(|listed| &listed.raw))
        {
            return Ok(None);
        }
        // A wait is followed by one try.
        let (round, is_try) = (self.unexplained / 2, self.unexplained % 2 == 1);
        self.unexplained += 1;
        if is_try {
            return Ok(None);
        }
        let Some(wait) = WAITS_MS.get(round) else {
            let text = format!(
                "the API says that the {} record {value:?} at {owner} exists already, and does not list it",
                self.edit.kind
            );
            let hint = "its list may lag, or the record may be one that the API keeps for itself: search for it in the \
                        provider's own pages; it is tried again later";
            return Err(ProviderError::new(ErrorKind::Unavailable, text).with_hint(hint));
        };
        Ok(Some(Next::Wait(Duration::from_millis(*wait))))
    }

    pub(super) fn wrote(&mut self, change: &Change, id: Option<&String>) {
        self.sent.insert(value_of(change));
        self.accepted.insert(value_of(change));
        self.change_id = id.cloned().or(self.change_id.take());
    }

    pub(super) fn done(self, after: TxtRrset) -> Outcome {
        let before = self.before.unwrap_or_else(|| after.clone());
        (
            self.edit.owner,
            Ok(Done {
                before,
                after,
                changed: self.sent,
                change_id: self.change_id,
            }),
        )
    }

    /// A failure after something may have been done is an open question, whatever it is in itself.
    pub(super) fn failed(self, error: ProviderError) -> Outcome {
        let error = if self.sent.is_empty() {
            error
        } else {
            error.after_loss(&self.edit.owner)
        };
        (self.edit.owner, Err(error))
    }
}

pub(super) fn value_of(change: &Change) -> String {
    match change {
        Change::Add { value, .. } => value.clone(),
        Change::Remove(listed) => listed.value(),
    }
}

/// A change that was accepted and is not shown after all reads. Only a list that is newer than the
/// change, by the API's own version, says that something is wrong; any other may lag.
fn unshown(view: &View, open: &Open, verb: Verb, value: &str) -> ProviderError {
    let owner = &open.edit.owner;
    let state = if verb == Verb::Present {
        "is not there"
    } else {
        "is still there"
    };
    let change = open.change_id.as_deref().unwrap_or("without a number");
    let is_newer = view.version.is_some() && view.version != open.planned_on;
    if !is_newer {
        let text = format!(
            "it was accepted ({change}), and the list shows that {value:?} {state}; the list may lag behind"
        );
        return ProviderError::undecided(owner, &text);
    }
    let text = format!(
        "the change of {owner} was accepted ({change}), and a newer read shows: {value:?} {state}"
    );
    ProviderError::new(ErrorKind::Damaged, text).with_hint(
        "compare the zone with this message; the API may have filed the record under another name",
    )
}
