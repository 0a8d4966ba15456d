//! The one decision: the next step for one domain, and when. Everything is an argument; nothing is
//! touched.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

mod asking;
mod next;
mod over;
mod wanted;
mod why;

use self::asking::submission;
pub use self::next::Next;
use self::wanted::{challenge, proof_may_still_count};
#[cfg(test)]
pub(super) use self::why::Again;
pub use self::why::Why;
use super::challenge::Challenge;
use super::ledger::{LedgerEntry, LedgerState, RecordType};
use super::observed::{Observed, Sighting};
use super::policy::{Mode, Policy};
use super::registration::Registration;
use super::reuse::after;
use super::upkeep::{Attempt, Effect};

/// The next step for a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Step {
    /// Nothing until something changes.
    Rest,
    /// Ask the CA about this domain before anything else.
    Read,
    /// Register the name.
    Register,
    /// Prove that the name can be written before its proof is put at risk.
    Preflight,
    /// Ask for a new token.
    ResetToken {
        /// Whether a proof that still counts may be lost by it.
        risks_proof: bool,
    },
    /// Begin a validation, which gives a challenge and keeps the proof.
    Start,
    /// Make the record present.
    Publish {
        /// The record that the CA wants to find.
        challenge: Box<Challenge>,
    },
    /// Check whether every name server has the record.
    Check {
        /// The record that the CA wants to find.
        challenge: Box<Challenge>,
    },
    /// Ask the CA to check.
    Validate,
    /// Make these values absent.
    Remove {
        /// Ledger entries.
        entries: Vec<i64>,
    },
    /// Wait for a person.
    Hold,
}

impl Step {
    /// The CA effect it is, if it is one.
    pub fn effect(&self) -> Option<Effect> {
        match self {
            Self::Register => Some(Effect::Register),
            Self::ResetToken { .. } => Some(Effect::ResetToken),
            Self::Start => Some(Effect::Start),
            Self::Validate => Some(Effect::Validate),
            _ => None,
        }
    }

    /// One word for tables.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Read => Next::Read.as_str(),
            Self::Register => "register",
            Self::Preflight => "preflight",
            Self::ResetToken { risks_proof: true } => "renew",
            Self::ResetToken { risks_proof: false } => "reset",
            Self::Start => "start",
            Self::Publish { .. } => "publish",
            Self::Check { .. } => Next::Check.as_str(),
            Self::Validate => Next::Submit.as_str(),
            Self::Remove { .. } => "remove",
            Self::Hold => "hold",
        }
    }
}

/// A step with its moment and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The next step.
    pub step: Step,
    /// Not before this moment; [`Timestamp::MAX`] means: only when something changes.
    pub at: Timestamp,
    /// Why, for people.
    pub why: Why,
}

impl Decision {
    fn now(step: Step, why: impl Into<Why>, now: Timestamp) -> Self {
        Self {
            step,
            at: now,
            why: why.into(),
        }
    }

    fn rest(why: impl Into<Why>) -> Self {
        Self {
            step: Step::Rest,
            at: Timestamp::MAX,
            why: why.into(),
        }
    }

    /// Whether something is to be done at `now`.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.step != Step::Rest && self.at <= now
    }
}

/// A preflight proves write access for this time (invariant I8).
pub const PREFLIGHT_COUNTS: SignedDuration = SignedDuration::from_mins(10);

/// The gate must have passed within this time before the CA is asked (invariant I5).
pub const SEEN_COUNTS: SignedDuration = SignedDuration::from_secs(60);

/// While the CA carries out an order, a record that was seen within this time counts as visible.
const VISIBLE_COUNTS: SignedDuration = SignedDuration::from_hours(1);

/// When the value has vanished this often after it was visible, another writer removes it, and it
/// is not written again (faults P09).
const VANISHED_TOO_OFTEN: u32 = 3;

/// The next step for one domain. The same `seen` gives the same step, next week too.
pub fn next_step(seen: &Observed, policy: &Policy, now: Timestamp) -> Decision {
    let mut decision = decide(seen, policy, now);
    let upkeep = &seen.upkeep;
    // Rest and cleanup have their own times; a hold and a waiting time concern the way to a proof.
    if matches!(decision.step, Step::Rest | Step::Remove { .. }) {
        return decision;
    }
    if let Some(hold) = &upkeep.setback.hold {
        decision.at = decision.at.max(hold.again_at);
        decision.why = hold.reason.as_str().into();
    }
    if let Some(not_before) = upkeep.setback.not_before {
        decision.at = decision.at.max(not_before);
    }
    if decision.step.effect().is_some() {
        let allowed_at = policy.next_effect_at(&upkeep.calls.made, now);
        if allowed_at > decision.at.max(now) {
            decision.at = allowed_at;
            decision.why = decision.why.over_budget();
        }
    }
    decision
}

fn decide(seen: &Observed, policy: &Policy, now: Timestamp) -> Decision {
    if policy.mode == Mode::Observe {
        return Decision::rest("observed only: the policy's mode is `observe`");
    }
    if !seen.desired {
        return cleanup(&seen.ledger, |_| true, now, "no longer in the inventory")
            .unwrap_or_else(|| Decision::rest("not in the inventory"));
    }
    if let Some(parent) = seen.covered_by.as_ref().filter(|_| policy.cover) {
        return cleanup(&seen.ledger, |_| true, now, "covered by a domain above it")
            .unwrap_or_else(|| Decision::rest(format!("covered by {}", parent.both_forms())));
    }
    if let Some(at) = seen.upkeep.withdrawn_at {
        return cleanup(&seen.ledger, |_| true, now, "withdrawn by hand")
            .unwrap_or_else(|| Decision::now(Step::Hold, withdrawn(seen, at), now));
    }
    if let Some(effect) = seen.upkeep.calls.unanswered {
        return Decision::now(
            Step::Read,
            format!("the answer to `{effect}` was lost: read before anything else"),
            now,
        );
    }
    let registration = match &seen.sighting {
        Sighting::Unread => return Decision::now(Step::Read, "the CA has not been asked yet", now),
        Sighting::Missing(_) => {
            return Decision::now(
                Step::Read,
                "missing in the CA's list, which proves nothing",
                now,
            );
        }
        Sighting::Absent if !seen.has_provider => return no_provider(now),
        Sighting::Absent => return Decision::now(Step::Register, "not registered at the CA", now),
        Sighting::Present(registration) => registration,
    };
    if registration.domain != seen.domain {
        let why = format!(
            "the CA registered {} instead of {}",
            registration.domain, seen.domain
        );
        return Decision::now(Step::Hold, why, now);
    }
    if let Some(next_read_at) = over::outlives_its_value(&seen.upkeep.attempt, now) {
        return Decision {
            step: Step::Read,
            at: next_read_at,
            why: "the CA continues with an order whose value has ended".into(),
        };
    }
    if let Some(end) = registration.usable_until(&policy.reuse, now) {
        return valid(seen, registration, end, policy, now);
    }
    match challenge(registration, &seen.upkeep.attempt, policy, now) {
        Some(challenge) => towards_proof(seen, challenge, policy, now),
        None if policy.start_keeps_proof == Some(true) => {
            start(seen, "no proof counts and no validation is under way", now)
        }
        None if proof_may_still_count(registration, policy, now) => Decision::now(
            Step::Hold,
            format!(
                "the CA's answer contradicts itself ({}); a reset could end a proof that counts",
                registration
                    .doubt
                    .as_deref()
                    .unwrap_or("its status and its dates do not agree")
            ),
            now,
        ),
        None => Decision::now(
            Step::ResetToken { risks_proof: false },
            "no proof counts and no token can be used",
            now,
        ),
    }
}

/// Begins a validation where that risks nothing; what an earlier one wanted in DNS goes first.
fn start(seen: &Observed, why: impl Into<Why>, now: Timestamp) -> Decision {
    if !seen.has_provider {
        return no_provider(now);
    }
    let removal = cleanup(&seen.ledger, |_| true, now, "its challenge is dead");
    removal
        .filter(|removal| removal.at <= now)
        .unwrap_or_else(|| Decision::now(Step::Start, why, now))
}

/// A proof counts: clean up, rest until its renewal is due, then renew.
fn valid(
    seen: &Observed,
    registration: &Registration,
    end: Timestamp,
    policy: &Policy,
    now: Timestamp,
) -> Decision {
    let (upkeep, attempt) = (&seen.upkeep, &seen.upkeep.attempt);
    let renew_at = registration
        .proof
        .as_ref()
        .and_then(|proof| policy.renew_at(&seen.domain, proof))
        .unwrap_or(end);
    // Never a new cycle within a day of a success, also where the CA shows no date for it; of a proof
    // that ends sooner, half of what is left.
    let renew_at = upkeep.past.proved_at.map_or(renew_at, |won| {
        let half = end.duration_since(won) / 2;
        renew_at.max(after(won, half.min(SignedDuration::from_hours(24))))
    });
    // An order that was started is seen through, wherever the dates have moved meanwhile.
    let wanted = challenge(registration, attempt, policy, now);
    let under_way = attempt.challenge.is_some() && wanted.is_some();
    if now < renew_at && !attempt.ordered && !under_way {
        return cleanup(&seen.ledger, |_| true, now, "the proof is there").unwrap_or_else(|| {
            Decision {
                step: renewal(policy),
                at: renew_at,
                why: match &registration.doubt {
                    None => format!("valid until {end:.0}").into(),
                    Some(doubt) => {
                        format!("valid until {end:.0}; the CA's answer is in doubt: {doubt}").into()
                    }
                },
            }
        });
    }
    if let Some(challenge) = wanted {
        return towards_proof(seen, challenge, policy, now);
    }
    if !seen.has_provider {
        return no_provider(now);
    }
    let why = match (attempt.ordered, policy.start_keeps_proof) {
        (true, Some(true)) => "a new validation was ordered".to_owned(),
        (true, _) => "a new token was ordered".to_owned(),
        (false, _) => format!("renewal of a proof valid until {end:.0}"),
    };
    if policy.start_keeps_proof == Some(true) {
        return start(seen, why, now);
    }
    let proven = upkeep
        .preflight_at
        .is_some_and(|at| at <= now && now <= after(at, PREFLIGHT_COUNTS));
    let step = if proven {
        renewal(policy)
    } else {
        Step::Preflight
    };
    Decision::now(step, why, now)
}

/// How a renewal begins at this CA.
fn renewal(policy: &Policy) -> Step {
    match policy.start_keeps_proof {
        Some(true) => Step::Start,
        _ => Step::ResetToken { risks_proof: true },
    }
}

/// Publish, wait until it is visible, ask the CA.
fn towards_proof(
    seen: &Observed,
    challenge: Challenge,
    policy: &Policy,
    now: Timestamp,
) -> Decision {
    let (upkeep, attempt) = (&seen.upkeep, &seen.upkeep.attempt);
    let visibility = &attempt.visibility;
    if !seen.has_provider {
        return no_provider(now);
    }
    let mut current = seen.ledger.iter().filter(|entry| entry.carries(&challenge));
    let is_published =
        current.any(|entry| matches!(entry.state, LedgerState::Published | LedgerState::Foreign));
    // At most two of our values are at a name (invariant I3): the outdated one is removed before a
    // third could be published. After three failed removals the attempt continues all the same, so
    // that the domain does not lapse.
    let removable = |entry: &&LedgerEntry| {
        !entry.carries(&challenge) && entry.state.is_open() && entry.removal_tries < 3
    };
    let dead = seen.ledger.iter().filter(removable).count();
    // A CNAME allows no other record beside it at its name: the one that was replaced goes first.
    let is_alias = |kind: RecordType| kind == RecordType::Cname;
    let is_in_the_way = seen.ledger.iter().any(|entry| {
        let either = is_alias(entry.kind) || is_alias((&challenge.data).into());
        let here = entry.owner == challenge.owner.as_str();
        either && here && entry.state.is_open() && !entry.carries(&challenge)
    });
    if (is_published || dead >= 2 || is_in_the_way)
        && let Some(removal) = cleanup(
            &seen.ledger,
            |entry| !entry.carries(&challenge),
            now,
            "its token was replaced",
        )
        && (removal.at <= now || !is_published)
    {
        return removal;
    }
    if !is_published {
        if visibility.vanished >= VANISHED_TOO_OFTEN && upkeep.setback.hold.is_none() {
            let why = format!(
                "the value vanished {} times after it had been visible: another writer removes it",
                visibility.vanished
            );
            return Decision::now(Step::Hold, why, now);
        }
        return Decision::now(
            Step::Publish {
                challenge: Box::new(challenge),
            },
            "its token is not in DNS yet",
            now,
        );
    }
    let check = Step::Check {
        challenge: Box::new(challenge),
    };
    let (Some(visible_at), Some(seen_at)) = (visibility.visible_at, visibility.seen_at) else {
        let why = match &upkeep.wait.subject {
            Some(subject) => Why::waits_for(subject),
            None => "waits until every name server has the value".into(),
        };
        return Decision::now(check, why, now);
    };
    // An order that is only taken up again is submitted once, which shows what has come of it.
    if let Some(next_read_at) = attempt
        .submission
        .next_read_at
        .filter(|_| attempt.submission.tries > 0)
    {
        return taken(attempt, next_read_at, seen_at, check, now);
    }
    let (submit_at, why) = submission(attempt, visible_at, policy);
    if now < submit_at {
        return Decision {
            step: Step::Validate,
            at: submit_at,
            why,
        };
    }
    let fresh = seen_at <= now && now <= after(seen_at, SEEN_COUNTS);
    if fresh {
        Decision::now(Step::Validate, "every name server has the value", now)
    } else {
        Decision::now(check, "checks once more before the CA does", now)
    }
}

/// The CA has taken the order: it is read at its moment, and nothing is submitted meanwhile. The
/// record must stay visible as long, so it is checked from time to time.
fn taken(
    attempt: &Attempt,
    next_read_at: Timestamp,
    seen_at: Timestamp,
    check: Step,
    now: Timestamp,
) -> Decision {
    let was_seen = now <= after(seen_at, VISIBLE_COUNTS);
    let (step, why) = if was_seen || now < next_read_at || attempt.submission.reads < 3 {
        (
            Step::Read,
            "the CA has taken the order and checks by itself",
        )
    } else {
        (check, "the CA has taken the order; the record must stay")
    };
    Decision {
        step,
        at: next_read_at,
        why: why.into(),
    }
}

/// Removes what is ours and chosen, once the earliest of them may be tried.
fn cleanup(
    ledger: &[LedgerEntry],
    chosen: impl Fn(&LedgerEntry) -> bool,
    now: Timestamp,
    why: &str,
) -> Option<Decision> {
    let open: Vec<_> = ledger
        .iter()
        .filter(|entry| entry.state.is_open() && chosen(entry))
        .collect();
    let at = open
        .iter()
        .map(|entry| entry.retry_at.unwrap_or(now))
        .min()?;
    let entries = open
        .iter()
        .filter(|entry| entry.retry_at.is_none_or(|retry| retry <= at.max(now)))
        .map(|entry| entry.id);
    Some(Decision {
        step: Step::Remove {
            entries: entries.collect(),
        },
        at,
        why: format!("{why}: our value goes").into(),
    })
}

fn withdrawn(seen: &Observed, at: Timestamp) -> String {
    let day = at.strftime("%Y-%m-%d %H:%M UTC");
    format!(
        "withdrawn by hand on {day}; `prevalidate run --domain {}` takes it up again",
        seen.domain
    )
}

fn no_provider(now: Timestamp) -> Decision {
    Decision::now(
        Step::Hold,
        "no provider is configured for it: write a [provider.NAME], or name another under its [[client]]",
        now,
    )
}

#[cfg(test)]
mod orders;
#[cfg(test)]
mod tests;
