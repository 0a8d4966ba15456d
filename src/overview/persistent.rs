//! The state of every persistent record: for tables, JSON, metrics and checks. No name server is
//! asked.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::danger::Gravity;
use crate::persistent::guard::{self, Tally};
use crate::persistent::planner::waits_for_canary;
use crate::persistent::{
    Decision, Kept, KeptRecord, KeptState, Step, Surroundings, Wait, Wanted, Why, next_step,
};
use crate::prevalidation::DomainName;
use crate::store::persistent::PersistentRow;
use crate::text::Reason;

/// A record that was not checked for this time is reported (invariant I18).
pub const STALE: SignedDuration = SignedDuration::from_hours(26);

/// A daemon notes each hour that all is well: what is older is about the past.
const FRESH: SignedDuration = SignedDuration::from_mins(90);

/// Name servers may lack a record this long before it is critical: the rule gives 10 days between
/// two listings of a CA, and SwissSign announced 8.
const LOST: SignedDuration = SignedDuration::from_hours(48);

/// A record may be on its way to all name servers this long before it is reported: zones are
/// transferred in minutes, and a pipeline or a person that must write it must know.
const LATE: SignedDuration = SignedDuration::from_hours(1);

/// The state of a record, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersistentState {
    /// Every name server has it.
    Visible,
    /// It counts, and its successor is under way.
    Replacing,
    /// The first one is under way.
    Publishing,
    /// It waits for a run, for another domain, or for the writers of the zone.
    Waiting,
    /// It was visible, and name servers lack it now.
    Missing,
    /// A person must act.
    Held,
    /// It is being removed.
    Removing,
    /// A person withdrew it.
    Withdrawn,
}

impl PersistentState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Visible,
        Self::Replacing,
        Self::Publishing,
        Self::Waiting,
        Self::Missing,
        Self::Held,
        Self::Removing,
        Self::Withdrawn,
    ];

    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Visible => "visible",
            Self::Replacing => "replacing",
            Self::Publishing => "publishing",
            Self::Waiting => "waiting",
            Self::Missing => "missing",
            Self::Held => "held",
            Self::Removing => "removing",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// One issuer's record at one domain.
#[derive(Debug, Clone, Serialize)]
pub struct PersistentView {
    /// The domain.
    pub domain: DomainName,
    /// The issuer domain name.
    pub issuer: String,
    /// The account of the record that counts, or of the one that is wanted.
    pub account: String,
    /// Its state.
    pub state: PersistentState,
    /// How bad that is.
    #[serde(skip)]
    pub gravity: Gravity,
    /// It follows the first domain of its account by itself, in time.
    #[serde(skip)]
    pub is_follower: bool,
    /// That it waits for the first domain of its account is its reason.
    #[serde(skip)]
    pub waits_for_canary: bool,
    /// It waits because the guard refuses, as all that the guard counted.
    #[serde(skip)]
    pub is_guarded: bool,
    /// Why, in words.
    pub reason: String,
    /// A refusal is not tried again before this moment.
    #[serde(skip)]
    pub retry_at: Option<Timestamp>,
    /// Until when the record that counts is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When it is replaced; with a fixed `until`, from when a person is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_at: Option<Timestamp>,
    /// When every name server was last seen with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// Since when name servers lack it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// Since when a record is on its way to all name servers: the first one, or the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_its_way_since: Option<Timestamp>,
    /// How often it was put back.
    pub put_back: u32,
    /// The records that are in DNS, or may be, because of us.
    pub records: Vec<RecordView>,
}

/// One record in DNS.
#[derive(Debug, Clone, Serialize)]
pub struct RecordView {
    /// Its name.
    pub owner: String,
    /// The TXT value.
    pub value: String,
    /// Where it is.
    pub state: &'static str,
    /// The `[provider.NAME]`.
    pub provider: String,
    /// Whether the record existed before this program; then it is never removed.
    pub foreign: bool,
    /// The zone, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The TTL of the record set, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// Whether it must be in DNS.
    pub needed: bool,
    /// An alias is at its name, so it can neither be there nor be removed.
    #[serde(skip)]
    pub is_displaced: bool,
}

impl PersistentView {
    /// Whether a person, or a later run, has something to do.
    pub fn needs_attention(&self) -> bool {
        self.gravity != Gravity::Ok
    }

    /// Whether neither a person nor a later run has something to do.
    pub fn is_settled(&self) -> bool {
        matches!(
            self.state,
            PersistentState::Visible | PersistentState::Withdrawn
        ) && !self.needs_attention()
    }

    /// Whether it is as it should be: settled, or its time to follow the first domain comes.
    pub fn is_in_order(&self) -> bool {
        self.is_settled() || (self.is_follower && !self.needs_attention())
    }
}

/// All of them, by domain and issuer.
pub fn views(wanted: &[Wanted], rows: &[PersistentRow], now: Timestamp) -> Vec<PersistentView> {
    let nothing = Kept::default();
    let stored: BTreeMap<(&DomainName, &str), &Kept> = rows
        .iter()
        .map(|row| ((&row.domain, row.issuer.as_str()), &row.kept))
        .collect();
    let of = |one: &Wanted| {
        let found = stored.get(&(&one.domain, one.issuer.as_str())).copied();
        found.unwrap_or(&nothing)
    };
    let is_wanted = |row: &PersistentRow| {
        let mut wanted = wanted.iter();
        wanted.any(|one| one.domain == row.domain && one.issuer == row.issuer)
    };
    let counted = rows.iter().map(|row| (&row.kept, is_wanted(row)));
    let shrunk = guard::shrunk(Tally::of_leaving(counted));
    let all: Vec<(&Wanted, &Kept)> = wanted.iter().map(|one| (one, of(one))).collect();
    let mut views: Vec<PersistentView> = all
        .iter()
        .map(|(one, kept)| {
            let canary = waits_for_canary(one, &all, now);
            view(
                (&one.domain, &one.issuer),
                Some(one),
                kept,
                canary,
                None,
                now,
            )
        })
        .collect();
    let leaving = rows
        .iter()
        .filter(|row| !is_wanted(row) && !row.kept.is_over());
    views.extend(leaving.map(|row| {
        let name = (&row.domain, row.issuer.as_str());
        view(name, None, &row.kept, None, shrunk.as_deref(), now)
    }));
    views.sort_by(|a, b| (&a.domain, &a.issuer).cmp(&(&b.domain, &b.issuer)));
    views
}

fn view(
    (domain, issuer): (&DomainName, &str),
    wanted: Option<&Wanted>,
    kept: &Kept,
    canary: Option<Wait>,
    shrunk: Option<&str>,
    now: Timestamp,
) -> PersistentView {
    let around = Surroundings {
        canary: canary.as_ref(),
        shrunk,
        ..Surroundings::default()
    };
    let decision = next_step(wanted, kept, &around, now);
    let current = kept.current();
    let state = state(wanted, kept, &decision);
    let until = current.map(|record| record.until);
    let ending = wanted
        .zip(until)
        .map_or(Gravity::Ok, |(wanted, until)| ending(wanted, until, now));
    let reason = match until.filter(|_| ending != Gravity::Ok && kept.trouble.is_none()) {
        Some(until) => format!("it ends on {until:.0} and has no successor").into(),
        None => reason(kept, &decision, state, now),
    };
    let waits_for_canary = matches!(reason, Why::Canary(_));
    let reason = match late(kept, LATE, now) {
        Some(record) if wanted.is_some() && kept.hold.is_none() && kept.trouble.is_none() => {
            format!(
                "{reason}; the first run for it was on {:.0}",
                record.created_at
            )
        }
        _ => reason.to_string(),
    };
    let is_leaving = decision.step == Step::Hold(guard::LEAVING);
    let is_needed = kept.withdrawn_at.is_none() && (wanted.is_some() || is_leaving);
    let account = current.map(|record| record.account.clone());
    let account = account.or_else(|| Some(wanted?.account.clone()));
    PersistentView {
        domain: domain.clone(),
        issuer: issuer.to_owned(),
        account: account.unwrap_or_default(),
        gravity: gravity(wanted, kept, state, now),
        is_guarded: is_leaving || kept.is_held_for(guard::VANISHED),
        waits_for_canary,
        is_follower: canary.is_some_and(|wait| wait.passes_by_itself),
        state,
        reason,
        until,
        replace_at: until.and_then(|until| Some(wanted?.replace_at(until))),
        verified_at: kept.verified_at,
        missing_since: kept.missing_since,
        on_its_way_since: wanted
            .and(on_its_way(kept))
            .filter(|_| state != PersistentState::Held)
            .map(|record| record.created_at),
        retry_at: kept.not_before.filter(|at| kept.is_refused() && *at > now),
        put_back: kept.put_back,
        records: kept
            .records
            .iter()
            .map(|record| record_view(record, is_needed))
            .collect(),
    }
}

fn record_view(record: &KeptRecord, is_wanted: bool) -> RecordView {
    RecordView {
        owner: record.owner.clone(),
        value: record.value.clone(),
        state: record.state.as_str(),
        provider: record.provider.clone(),
        foreign: record.foreign,
        zone: record.zone.clone(),
        ttl: record.ttl_before,
        needed: is_wanted && record.state != KeptState::Removing && !record.is_displaced,
        is_displaced: record.is_displaced,
    }
}

fn state(wanted: Option<&Wanted>, kept: &Kept, decision: &Decision) -> PersistentState {
    let is_visible = kept.current().is_some();
    if kept.withdrawn_at.is_some() && kept.records.is_empty() {
        return PersistentState::Withdrawn;
    }
    let is_refused = decision.step == Step::Hold(guard::LEAVING);
    if kept.withdrawn_at.is_some() || (wanted.is_none() && !is_refused) {
        return PersistentState::Removing;
    }
    if kept.hold.is_some() || matches!(decision.step, Step::Hold(_)) {
        return PersistentState::Held;
    }
    if is_visible && kept.missing_since.is_some() {
        return PersistentState::Missing;
    }
    let others = kept.records.iter().any(|record| record.by_others);
    match (is_visible, kept.records.len()) {
        // Another record is wanted, or waits for its canary.
        (true, 1) if matches!(decision.step, Step::Publish | Step::Rest) => {
            PersistentState::Replacing
        }
        (true, 1) => PersistentState::Visible,
        (true, _) => PersistentState::Replacing,
        (false, 0) => PersistentState::Waiting,
        (false, _) if others => PersistentState::Waiting,
        (false, _) => PersistentState::Publishing,
    }
}

fn reason(kept: &Kept, decision: &Decision, state: PersistentState, now: Timestamp) -> Why {
    if let Some(hold) = &kept.hold {
        return hold.words.as_str().into();
    }
    if let Some(trouble) = &kept.trouble {
        let seen = kept
            .verified_at
            .filter(|_| state == PersistentState::Missing);
        let trouble = trouble.to_string();
        // The hint goes last.
        let Reason { words, hint } = Reason::read(&trouble);
        let lacks = match state {
            PersistentState::Missing if kept.is_refused() => "it cannot be written: ",
            _ => "",
        };
        return match seen {
            Some(at) => {
                let words = format!("{lacks}{words}; every name server had it on {at:.0}");
                Reason::new(&words, hint).to_string().into()
            }
            None => trouble.into(),
        };
    }
    if is_still_there(kept) {
        return "withdrawn by hand, and still in DNS: its account may have certificates".into();
    }
    match state {
        PersistentState::Visible => seen(kept, now).into(),
        PersistentState::Missing => "name servers lack it".into(),
        PersistentState::Publishing | PersistentState::Waiting => {
            awaited(kept).map_or_else(|| decision.why.clone(), Why::Words)
        }
        PersistentState::Replacing => awaited(kept).map_or_else(
            || decision.why.clone(),
            |what| format!("its successor is not visible yet: {what}").into(),
        ),
        _ => decision.why.clone(),
    }
}

/// What the record on its way waits for, where that is known.
fn awaited(kept: &Kept) -> Option<String> {
    let record = on_its_way(kept)?;
    match record.by_others {
        true => Some(
            "a foreign writer writes its zone: `prevalidate records` prints the record".to_owned(),
        ),
        false => kept.waits_for.clone(),
    }
}

/// The record that is wanted in DNS, and that not every name server had yet.
fn on_its_way(kept: &Kept) -> Option<&KeptRecord> {
    let mut records = kept.records.iter().filter(|_| kept.withdrawn_at.is_none());
    records.find(|record| matches!(record.state, KeptState::Intended | KeptState::Published))
}

/// The record that is on its way for longer than `age`. One that every name server had is missing,
/// which has a time of its own.
fn late(kept: &Kept, age: SignedDuration, now: Timestamp) -> Option<&KeptRecord> {
    let is_old = |record: &&KeptRecord| now.duration_since(record.created_at) > age;
    on_its_way(kept).filter(|record| kept.missing_since.is_none() && is_old(record))
}

/// What the last listing found. Evidence has a time, and old evidence says nothing about the
/// present.
fn seen(kept: &Kept, now: Timestamp) -> String {
    let old = kept
        .verified_at
        .filter(|at| now.duration_since(*at) > FRESH);
    match (old, kept.is_by_provider) {
        (None, false) => "every name server has it".to_owned(),
        (None, true) => "its provider has it; the gate's mode asks no name server".to_owned(),
        (Some(at), false) => {
            format!("every name server had it on {at:.0}; no run has checked since")
        }
        (Some(at), true) => format!("its provider had it on {at:.0}; no run has checked since"),
    }
}

/// Whether a person withdrew it, and a record of ours may be in DNS all the same.
fn is_still_there(kept: &Kept) -> bool {
    kept.withdrawn_at.is_some() && kept.records.iter().any(|record| !record.foreign)
}

/// How near the end of the record that counts is, by the time in which it should be replaced.
fn ending(wanted: &Wanted, until: Timestamp, now: Timestamp) -> Gravity {
    let lead = until.duration_since(wanted.replace_at(until));
    let left = until.duration_since(now);
    if left * 4 < lead {
        Gravity::Critical
    } else if left * 3 < lead * 2 {
        Gravity::Warning
    } else {
        Gravity::Ok
    }
}

fn gravity(
    wanted: Option<&Wanted>,
    kept: &Kept,
    state: PersistentState,
    now: Timestamp,
) -> Gravity {
    let stays = is_still_there(kept);
    let Some(wanted) = wanted else {
        // What could not be removed yet, or must not be.
        let is_held = state == PersistentState::Held;
        return match kept.trouble.is_some() || stays || is_held {
            true => Gravity::Warning,
            false => Gravity::Ok,
        };
    };
    let is_old = |at: Timestamp, age| now.duration_since(at) > age;
    let lost = kept.missing_since.is_some_and(|since| is_old(since, LOST));
    let never_came = kept.current().is_none() && late(kept, LOST, now).is_some();
    let ending = kept
        .current()
        .map(|record| ending(wanted, record.until, now));
    // A domain that was validated by its record has none that counts.
    let has_lapsed = ending.is_none() && kept.account.is_some();
    if lost || never_came || ending == Some(Gravity::Critical) {
        return Gravity::Critical;
    }
    let unseen = kept.current().is_some() && kept.verified_at.is_none_or(|at| is_old(at, STALE));
    let is_bad = matches!(state, PersistentState::Held | PersistentState::Missing)
        || kept.trouble.is_some()
        || stays
        || ending == Some(Gravity::Warning)
        || unseen
        || (kept.missing_since.is_some() && kept.withdrawn_at.is_none())
        || late(kept, LATE, now).is_some()
        || (has_lapsed && kept.withdrawn_at.is_none());
    match is_bad {
        true => Gravity::Warning,
        false => Gravity::Ok,
    }
}
