//! The one decision: the next step for one domain, and when. Everything is an argument; nothing is
//! touched.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, Effect};
use super::ledger::{LedgerEntry, LedgerState};
use super::observed::{Observed, Sighting};
use super::policy::{Mode, Policy};
use super::registration::{Registration, Status};
use super::reuse::after;

/// What to do next for a domain.
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
    /// Make the value present.
    Publish {
        /// The whole TXT value.
        value: String,
    },
    /// Look whether every name server has the value.
    Look {
        /// The whole TXT value.
        value: String,
    },
    /// Ask the CA to look.
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
            Self::Validate => Some(Effect::Validate),
            _ => None,
        }
    }

    /// One word for tables.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Read => "read",
            Self::Register => "register",
            Self::Preflight => "preflight",
            Self::ResetToken { risks_proof: true } => "renew",
            Self::ResetToken { risks_proof: false } => "reset",
            Self::Publish { .. } => "publish",
            Self::Look { .. } => "look",
            Self::Validate => "validate",
            Self::Remove { .. } => "remove",
            Self::Hold => "hold",
        }
    }
}

/// A step with its moment and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What to do.
    pub step: Step,
    /// Not before this moment; [`Timestamp::MAX`] means: only when something changes.
    pub at: Timestamp,
    /// Why, for people.
    pub why: String,
}

impl Decision {
    fn now(step: Step, why: impl Into<String>, now: Timestamp) -> Self {
        Self {
            step,
            at: now,
            why: why.into(),
        }
    }

    fn rest(why: impl Into<String>) -> Self {
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

/// A preflight proves write access for so long (invariant I8).
const PREFLIGHT_COUNTS: SignedDuration = SignedDuration::from_mins(10);

/// The gate must have passed within this time before the CA is asked (invariant I5).
pub const SEEN_COUNTS: SignedDuration = SignedDuration::from_secs(60);

/// When the value has vanished so often after it was visible, somebody else removes it: no endless
/// war (faults P09).
const VANISHED_TOO_OFTEN: u32 = 3;

/// The next step for one domain. The same `seen` gives the same step, next week too.
pub fn next_step(seen: &Observed, policy: &Policy, now: Timestamp) -> Decision {
    let mut decision = decide(seen, policy, now);
    let attempt = &seen.attempt;
    // Rest and cleanup have their own times; a hold and a waiting time concern the way to a proof.
    if matches!(decision.step, Step::Rest | Step::Remove { .. }) {
        return decision;
    }
    if let Some(hold) = &attempt.hold {
        decision.at = decision.at.max(hold.again_at);
        decision.why.clone_from(&hold.reason);
    }
    if let Some(not_before) = attempt.not_before {
        decision.at = decision.at.max(not_before);
    }
    if decision.step.effect().is_some() {
        let allowed_at = policy.next_effect_at(&attempt.effects, now);
        if allowed_at > decision.at.max(now) {
            decision.at = allowed_at;
            decision.why.push_str(" (waits for its budget of CA calls)");
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
    if let Some(at) = seen.attempt.withdrawn_at {
        return cleanup(&seen.ledger, |_| true, now, "withdrawn by hand")
            .unwrap_or_else(|| Decision::now(Step::Hold, withdrawn(seen, at), now));
    }
    if let Some(effect) = seen.attempt.unanswered {
        return Decision::now(
            Step::Read,
            format!("the answer to `{effect}` was lost: read before anything else"),
            now,
        );
    }
    let registration = match &seen.sighting {
        Sighting::Unread => return Decision::now(Step::Read, "nobody has asked the CA yet", now),
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
    if let Some(end) = registration.usable_until(&policy.reuse, now) {
        return valid(seen, registration, end, policy, now);
    }
    match token(registration, &seen.attempt, policy, now) {
        Some(value) => towards_proof(seen, value, policy, now),
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

/// A proof counts: clean up, rest until its renewal is due, then renew.
fn valid(
    seen: &Observed,
    registration: &Registration,
    end: Timestamp,
    policy: &Policy,
    now: Timestamp,
) -> Decision {
    let attempt = &seen.attempt;
    let renew_at = registration
        .proof
        .as_ref()
        .and_then(|proof| policy.renew_at(&seen.domain, proof))
        .unwrap_or(end);
    // Never a new cycle within a day of a success, also where the CA shows no date for it.
    let renew_at = attempt.proved_at.map_or(renew_at, |won| {
        renew_at.max(after(won, SignedDuration::from_hours(24)))
    });
    if now < renew_at && !attempt.ordered {
        return cleanup(&seen.ledger, |_| true, now, "the proof is there").unwrap_or_else(|| {
            Decision {
                step: renewal(),
                at: renew_at,
                why: match &registration.doubt {
                    None => format!("valid until {end}"),
                    Some(doubt) => {
                        format!("valid until {end}; the CA's answer is in doubt: {doubt}")
                    }
                },
            }
        });
    }
    if let Some(value) = token(registration, attempt, policy, now) {
        return towards_proof(seen, value, policy, now);
    }
    if !seen.has_provider {
        return no_provider(now);
    }
    let why = if attempt.ordered {
        "a new token was ordered".to_owned()
    } else {
        format!("renewal of a proof valid until {end}")
    };
    let proven = attempt
        .preflight_at
        .is_some_and(|at| at <= now && now <= after(at, PREFLIGHT_COUNTS));
    Decision::now(if proven { renewal() } else { Step::Preflight }, why, now)
}

fn renewal() -> Step {
    Step::ResetToken { risks_proof: true }
}

/// The value to publish: a live token that has not been used, or that this very attempt asked for.
fn token<'a>(
    registration: &'a Registration,
    attempt: &Attempt,
    policy: &Policy,
    now: Timestamp,
) -> Option<&'a str> {
    let token = registration.live_token(policy.reset_token_before, now)?;
    let ours = attempt.value.as_deref() == Some(&token.value);
    let answer = attempt
        .replaces
        .as_ref()
        .is_some_and(|old| *old != token.value);
    let waits_for_another = attempt.ordered && attempt.value.is_none();
    (ours || answer || !waits_for_another && !registration.is_used(token))
        .then_some(token.value.as_str())
}

/// Whether dates speak for a proof that the status denies, or the status for one without dates
/// (faults C10): then nothing that could end it is done.
fn proof_may_still_count(registration: &Registration, policy: &Policy, now: Timestamp) -> bool {
    let end = registration
        .proof
        .as_ref()
        .and_then(|proof| policy.reuse.usable_until(proof));
    match end {
        Some(end) => {
            now < end
                && (registration.doubt.is_some()
                    || matches!(registration.status, Status::Unknown(_)))
        }
        None => registration.status == Status::Valid,
    }
}

/// Publish, wait until it is visible, ask the CA.
fn towards_proof(seen: &Observed, value: &str, policy: &Policy, now: Timestamp) -> Decision {
    let attempt = &seen.attempt;
    if !seen.has_provider {
        return no_provider(now);
    }
    let current = seen.ledger.iter().find(|entry| entry.value == value);
    let stands = current
        .is_some_and(|entry| matches!(entry.state, LedgerState::Published | LedgerState::Foreign));
    // At most two of our values are at a name (invariant I3): the outdated one is removed before a
    // third could be published. After three failed removals the attempt goes on all the same, so
    // that the domain does not lapse.
    let removable = |entry: &&LedgerEntry| {
        entry.value != value && entry.state.is_open() && entry.removal_tries < 3
    };
    let dead = seen.ledger.iter().filter(removable).count();
    if (stands || dead >= 2)
        && let Some(removal) = cleanup(
            &seen.ledger,
            |entry| entry.value != value,
            now,
            "its token was replaced",
        )
        && (removal.at <= now || !stands)
    {
        return removal;
    }
    if !stands {
        if attempt.vanished >= VANISHED_TOO_OFTEN && attempt.hold.is_none() {
            let why = format!(
                "the value vanished {} times after it had been visible: somebody else removes it",
                attempt.vanished
            );
            return Decision::now(Step::Hold, why, now);
        }
        return Decision::now(
            Step::Publish {
                value: value.to_owned(),
            },
            "its token is not in DNS yet",
            now,
        );
    }
    let look = Step::Look {
        value: value.to_owned(),
    };
    let (Some(visible_at), Some(seen_at)) = (attempt.visible_at, attempt.seen_at) else {
        let why = match &attempt.waits_for {
            Some(subject) => format!("waits for {subject}"),
            None => "waits until every name server has the value".to_owned(),
        };
        return Decision::now(look, why, now);
    };
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
        Decision::now(look, "looks once more before the CA does", now)
    }
}

/// How a reason to ask the CA once more begins; the rest says what the moment is.
pub(super) const ASKED_AGAIN: &str = "the CA has not seen it yet; asked again ";

/// When the CA is asked, and why then: settled, then 5, 15 and 60 minutes after that, at the cache
/// horizon, then every 6 hours (rule 6). A moment that nobody was there for is not
/// made up for: the next one counts.
fn submission(attempt: &Attempt, visible_at: Timestamp, policy: &Policy) -> (Timestamp, String) {
    let settled = after(visible_at, policy.settle);
    let again = |minutes| after(settled, SignedDuration::from_mins(minutes));
    let horizon = attempt.horizon_at.unwrap_or(visible_at);
    let Some(last) = attempt.submitted_at.filter(|_| attempt.tries > 0) else {
        return (settled, "visible; settling".to_owned());
    };
    let steps = [
        (again(5), "5 minutes after the first time"),
        (again(15), "15 minutes after the first time"),
        (again(60), "an hour after the first time"),
        (
            horizon.max(again(120)),
            "when no cache remembers the time before",
        ),
        (after(last, SignedDuration::from_hours(6)), "every 6 hours"),
    ];
    // What a resolver still remembers is a better guess at the CA's memory than any step of the
    // schedule, and is no longer one when the horizon has passed.
    let remembered = attempt.cached_until.map(|until| {
        (
            until.min(horizon),
            "when a resolver has forgotten the time before",
        )
    });
    let moments = remembered.into_iter().chain(steps);
    let (planned, what) = moments
        .into_iter()
        .find(|&(at, _)| at > last)
        .unwrap_or(steps[4]);
    // However they fall: two calls are never closer than the schedule's smallest step.
    (
        planned.max(after(last, SignedDuration::from_mins(5))),
        format!("{ASKED_AGAIN}{what}"),
    )
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
        why: format!("{why}: our value goes"),
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
mod tests;
