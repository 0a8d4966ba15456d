//! What is next for one issuer's record at one domain: a pure decision. The order of its questions
//! is the order of safety: what must go, what is missing, what is seen.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::guard::{LEAVING, VANISHED};
use super::kept::{Kept, KeptRecord, KeptState};
use super::lint::FAR;
use super::wanted::{End, Wanted};

/// A record that was written and that no name server has after this time is written again.
const WRITE_AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// Where only a person can help, it is checked again after this time.
const HELD: SignedDuration = SignedDuration::from_hours(1);

/// Records of one issuer at a domain, those too whose removal failed and is tried again: a removal
/// that fails for long must not keep a successor away.
const MOST: usize = 4;

/// What name servers said of one record in this pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Every name server that answers has it.
    Everywhere,
    /// Every name server that answers says that it is not there.
    Gone,
    /// Neither: why, in words.
    Unclear(String),
}

/// What a decision needs beside the record's own memory.
#[derive(Debug, Clone, Default)]
pub struct Surroundings<'a> {
    /// What was seen of each record of [`Kept::records`]; `None`: not asked in this pass.
    pub seen: &'a [Option<Seen>],
    /// The name at which the record must be written now, if it is known: an alias may have moved.
    pub place: Option<&'a str>,
    /// Why CAA forbids the method or the issuer, where it does.
    pub caa: Option<&'a str>,
    /// What the guard says about the records that vanished.
    pub guard: Option<&'a str>,
    /// What the guard says about the records that the configuration does not name any more.
    pub shrunk: Option<&'a str>,
    /// The canary that the domain waits for.
    pub canary: Option<&'a Wait>,
    /// Between two checks at a record that is not visible yet.
    pub poll: SignedDuration,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write a new record: store the intent first.
    Publish,
    /// Write this record, whose intent is stored.
    Write(usize),
    /// Write this record again: it was visible and is gone.
    PutBack(usize),
    /// Ask the name servers about this record.
    Check(usize),
    /// Note that every name server has this record.
    Confirm(usize),
    /// Remove this record.
    Remove(usize),
    /// Nothing is left to remember.
    Forget,
    /// A person must act: a stable word for the reason.
    Hold(&'static str),
    /// Nothing to do now.
    Rest,
}

impl Step {
    /// For people and programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Publish | Self::Write(_) => "publish",
            Self::PutBack(_) => "put-back",
            Self::Check(_) | Self::Confirm(_) => "look",
            Self::Remove(_) => "remove",
            Self::Forget => "forget",
            Self::Hold(_) => "hold",
            Self::Rest => "rest",
        }
    }

    /// Whether it writes a record.
    fn writes(&self) -> bool {
        matches!(self, Self::Publish | Self::Write(_) | Self::PutBack(_))
    }
}

/// Why a step is the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The record is as it is wanted, so nothing is to be done.
    Visible,
    /// The first domain with its account goes first, and is on its way.
    Canary(String),
    /// Anything else, in words. No decision depends on it.
    Words(String),
}

impl Why {
    /// In words.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Visible => "it is visible everywhere",
            Self::Canary(words) | Self::Words(words) => words,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<String> for Why {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

impl From<&str> for Why {
    fn from(words: &str) -> Self {
        Self::Words(words.to_owned())
    }
}

/// A step, why, and when to ask again where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The step.
    pub step: Step,
    /// Why.
    pub why: Why,
    /// Not before this moment.
    pub at: Timestamp,
}

impl Decision {
    fn new(step: Step, why: impl Into<Why>, at: Timestamp) -> Self {
        Self {
            step,
            why: why.into(),
            at,
        }
    }
}

/// The one next step at `now`. `wanted` is `None` where the configuration does not name the record
/// any more.
pub fn next_step(
    wanted: Option<&Wanted>,
    kept: &Kept,
    around: &Surroundings<'_>,
    now: Timestamp,
) -> Decision {
    let decision = decide(wanted, kept, around, now);
    match kept.not_before {
        // What failed is tried again later; checks and removals continue.
        Some(at) if at > now && decision.step.writes() => {
            let why = match &kept.trouble {
                Some(trouble) => Why::Words(trouble.to_string()),
                None => decision.why,
            };
            Decision::new(Step::Rest, why, at)
        }
        _ => decision,
    }
}

fn decide(
    wanted: Option<&Wanted>,
    kept: &Kept,
    around: &Surroundings<'_>,
    now: Timestamp,
) -> Decision {
    let removing = index(kept, |record| {
        record.state == KeptState::Removing && is_due(record, now)
    });
    let Some(wanted) = wanted.filter(|_| kept.withdrawn_at.is_none()) else {
        let why = match kept.withdrawn_at {
            Some(_) => "withdrawn by hand",
            None => "the configuration does not name it any more",
        };
        let current = index(kept, |record| record.state != KeptState::Removing);
        let refused = around.shrunk.filter(|_| kept.withdrawn_at.is_none());
        if let (Some(why), Some(_), None) = (refused, current, removing) {
            return held(LEAVING, why.to_owned(), now);
        }
        let again = kept
            .records
            .iter()
            .filter_map(|record| record.retry_at)
            .min();
        return match removing.or(current) {
            Some(at) => Decision::new(Step::Remove(at), why, now),
            None if kept.is_over() => Decision::new(Step::Forget, why, now),
            None => Decision::new(Step::Rest, why, again.unwrap_or(Timestamp::MAX)),
        };
    };
    let fitting = |record: &KeptRecord| {
        record.state != KeptState::Removing && fits(record, wanted, around.place, now)
    };
    let good = kept.records.iter().rposition(fitting);
    // What must go is not waited for, where it cannot go now.
    if let Some(at) = removing {
        return Decision::new(Step::Remove(at), "it was replaced, or has ended", now);
    }
    match good {
        None => without(wanted, kept, around, now),
        Some(at) => with(wanted, kept, at, around, now),
    }
}

/// Whether a record is the one that is wanted, where it is wanted, with enough of its time left.
fn fits(record: &KeptRecord, wanted: &Wanted, place: Option<&str>, now: Timestamp) -> bool {
    let in_time = match wanted.end {
        End::Fixed(until) => record.until.as_second() == until.as_second() && now <= record.until,
        End::Rolling { life, .. } => {
            now < wanted.replace_at(record.until) && record.until.duration_since(now) <= life
        }
    };
    let is_in_place = place.is_none_or(|place| record.owner == place);
    in_time && is_in_place && record.account == wanted.account && record.wildcard == wanted.wildcard
}

/// There is no record that fits.
fn without(wanted: &Wanted, kept: &Kept, around: &Surroundings<'_>, now: Timestamp) -> Decision {
    let until = wanted.record(now).until;
    let held = |kind, why| held(kind, why, now);
    // A successor would put back what the guard keeps away.
    if let Some(why) = around
        .guard
        .filter(|_| is_kept_away(kept) || has_vanished(kept, around))
    {
        return held(VANISHED, why.to_owned());
    }
    if until <= now {
        // A record that has ended is of no use.
        if let Some(at) = index(kept, |record| record.until < now && is_due(record, now)) {
            return Decision::new(Step::Remove(at), "it has ended", now);
        }
        let why =
            format!("`until` of [[persistent]] is over, it was on {until:.0}: write a later one");
        return held("ended", why);
    }
    if until.duration_since(now) > FAR {
        let why =
            format!("`until` is {until:.0}, more than five years from now: a permission must end");
        return held("too-far", why);
    }
    let is_leaving = |record: &KeptRecord| record.state == KeptState::Removing;
    let staying = kept.records.iter().filter(|record| !is_leaving(record));
    if staying.count() > 1 {
        // The one that CAs see stays until its successor is visible.
        let current = kept.current();
        let is_spare = |record: &KeptRecord| !is_leaving(record) && Some(record) != current;
        if let Some(at) = index(kept, is_spare) {
            return Decision::new(Step::Remove(at), "it never became the one that counts", now);
        }
    }
    if kept.records.len() >= MOST {
        let why = "earlier records could not be removed yet";
        let again = now.saturating_add(HELD).unwrap_or(now);
        return Decision::new(Step::Rest, why, again);
    }
    if let Some(why) = around.caa {
        return held("caa", why.to_owned());
    }
    if let Some(wait) = around.canary {
        let why = match wait.passes_by_itself {
            true => Why::Canary(wait.why.clone()),
            false => Why::Words(wait.why.clone()),
        };
        return Decision::new(Step::Rest, why, wait.until);
    }
    let why = match kept.current() {
        None => "it is wanted and not in DNS".to_owned(),
        Some(old) if old.account != wanted.account => {
            format!("the account changed from {}", old.account)
        }
        Some(old) if old.wildcard != wanted.wildcard => "`policy` changed".to_owned(),
        Some(old) if around.place.is_some_and(|place| old.owner != place) => format!(
            "the alias leads to {} now, and the record is at {}",
            around.place.unwrap_or_default(),
            old.owner
        ),
        Some(old) => format!("the current record ends on {:.0}", old.until),
    };
    Decision::new(Step::Publish, why, now)
}

/// A person must act, or its cause must go.
fn held(kind: &'static str, why: String, now: Timestamp) -> Decision {
    let again = now.saturating_add(HELD).unwrap_or(now);
    Decision::new(Step::Hold(kind), why, again)
}

/// Whether the guard refused to put the record back.
fn is_kept_away(kept: &Kept) -> bool {
    kept.is_held_for(VANISHED)
}

/// Whether the record that counts is gone from where it is wanted.
fn has_vanished(kept: &Kept, around: &Surroundings<'_>) -> bool {
    let mut sights = kept.records.iter().zip(around.seen);
    sights.any(|(record, seen)| {
        let is_in_place = around.place.is_none_or(|place| place == record.owner);
        let is_gone = *seen == Some(Seen::Gone);
        record.state == KeptState::Visible && is_gone && is_in_place
    })
}

/// The record at `at` fits.
fn with(
    wanted: &Wanted,
    kept: &Kept,
    at: usize,
    around: &Surroundings<'_>,
    now: Timestamp,
) -> Decision {
    let record = &kept.records[at];
    let seen = around.seen.get(at).and_then(Option::as_ref);
    let refused = around.guard;
    let soon = now.saturating_add(around.poll).unwrap_or(now);
    let check = |step, why: &str| Decision::new(step, why, now);
    match (record.state, seen) {
        (KeptState::Intended | KeptState::Removing, _) => {
            check(Step::Write(at), "its intent is stored")
        }
        (_, None) => check(Step::Check(at), "name servers are asked at each run"),
        (KeptState::Published, Some(Seen::Everywhere)) => {
            check(Step::Confirm(at), "every name server has it")
        }
        (KeptState::Published, Some(Seen::Gone)) if is_lost(record, now) => {
            check(Step::Write(at), "it was written, and no name server has it")
        }
        (KeptState::Published, Some(Seen::Gone)) => {
            let (why, again) = match record.by_others {
                true => (
                    "it waits for the writers of the zone: `prevalidate records` prints it",
                    now.saturating_add(HELD).unwrap_or(now),
                ),
                false => ("it waits for the name servers", soon),
            };
            Decision::new(Step::Rest, why, again)
        }
        (KeptState::Visible, Some(Seen::Unclear(_))) if refused.is_some() && is_kept_away(kept) => {
            held(VANISHED, refused.unwrap_or_default().to_owned(), now)
        }
        (_, Some(Seen::Unclear(why))) => Decision::new(Step::Rest, why.clone(), soon),
        (KeptState::Visible, Some(Seen::Gone)) => match refused {
            Some(why) => held(VANISHED, why.to_owned(), now),
            None => check(
                Step::PutBack(at),
                "it was visible, and no name server has it now",
            ),
        },
        (KeptState::Visible, Some(Seen::Everywhere)) => {
            match index(kept, |other| other != record && is_due(other, now)) {
                Some(old) => check(Step::Remove(old), "its successor is visible everywhere"),
                None => {
                    // A fixed end is moved by a person: nothing is to be done before it.
                    let next = match wanted.end {
                        End::Fixed(_) => record.until,
                        End::Rolling { .. } => wanted.replace_at(record.until),
                    };
                    Decision::new(Step::Rest, Why::Visible, next)
                }
            }
        }
    }
}

/// Whether its removal may be tried now.
fn is_due(record: &KeptRecord, now: Timestamp) -> bool {
    record.retry_at.is_none_or(|at| at <= now)
}

/// Whether a record was written so long ago that it is lost, where we write it.
fn is_lost(record: &KeptRecord, now: Timestamp) -> bool {
    let written = record.published_at.unwrap_or(record.created_at);
    !record.by_others && now.duration_since(written) > WRITE_AGAIN
}

fn index(kept: &Kept, is: impl Fn(&KeptRecord) -> bool) -> Option<usize> {
    kept.records.iter().position(is)
}

/// Why a domain waits for its canary, and until when at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Why, in words.
    pub why: String,
    /// Not before this moment.
    pub until: Timestamp,
    /// No action is needed: the first domain is on its way, and was not withdrawn.
    pub passes_by_itself: bool,
}

/// What `wanted` waits for: the first domain with an account goes first, and the others follow when
/// its record was visible long enough without a break (Posh-ACME#691). A canary that a person
/// withdrew had trouble, so no domain takes its place until a person changes the order.
pub fn waits_for_canary(wanted: &Wanted, all: &[(&Wanted, &Kept)], now: Timestamp) -> Option<Wait> {
    if wanted.canary.is_zero() || wanted.is_canary {
        return None;
    }
    let mut same = all
        .iter()
        .filter(|(other, _)| other.issuer == wanted.issuer);
    let mut passed = same.clone().map(|(other, kept)| {
        let is_self = other.domain == wanted.domain;
        let changed = kept.account.as_ref();
        let is_moved = changed.is_some_and(|(account, _)| *account == wanted.account);
        let since = visible_since(kept, &wanted.account);
        (is_self && is_moved) || since.is_some_and(|at| now.duration_since(at) >= wanted.canary)
    });
    if passed.any(|passed| passed) {
        return None;
    }
    let canary = same.find(|(other, _)| other.is_canary && other.account == wanted.account);
    let name = canary.map_or_else(
        || "the first domain".to_owned(),
        |(other, _)| other.domain.unicode(),
    );
    let kept = canary.map(|(_, kept)| *kept);
    let since = kept.and_then(|kept| visible_since(kept, &wanted.account));
    let is_withdrawn = kept.is_some_and(|kept| kept.withdrawn_at.is_some());
    let why = match is_withdrawn {
        true => format!(
            "waits for {name}, which is withdrawn: `prevalidate persistent resume {name}`, or take \
             it out of `domains` and the next domain goes first"
        ),
        false => format!(
            "waits until the record of {name} was visible for {} without a break: one domain \
             changes its method first",
            spoken(wanted.canary)
        ),
    };
    let until = since.unwrap_or(now).saturating_add(wanted.canary);
    Some(Wait {
        why,
        until: until.unwrap_or(Timestamp::MAX),
        passes_by_itself: !is_withdrawn,
    })
}

/// A length of time in its largest whole unit.
fn spoken(time: SignedDuration) -> String {
    match time.as_secs() {
        secs if secs % 3600 == 0 => format!("{} h", secs / 3600),
        secs if secs % 60 == 0 => format!("{} min", secs / 60),
        secs => format!("{secs} s"),
    }
}

/// Since when a record of `account` is visible without a break; `None` where it is not now.
fn visible_since(kept: &Kept, account: &str) -> Option<Timestamp> {
    let (known, since) = kept.account.as_ref()?;
    let is_there =
        |record: &KeptRecord| record.state == KeptState::Visible && record.account == account;
    let is_well = kept.withdrawn_at.is_none() && kept.missing_since.is_none();
    let is_visible = is_well && known == account && kept.records.iter().any(is_there);
    // A break ends with the record being put back.
    let back = kept.put_back_at.unwrap_or(*since);
    is_visible.then(|| back.max(*since))
}
