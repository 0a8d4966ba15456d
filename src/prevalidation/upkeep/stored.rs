//! The stored form: one flat object with the keys that every version reads and writes. How the
//! values are grouped in here is not seen in it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::challenge::Challenge;
use super::super::lateness::Lateness;
use super::super::proof::Proof;
use super::Upkeep;
use super::attempt::Attempt;
use super::calls::{Calls, Effect};
use super::foreign::{Foreign, OthersChanged};
use super::past::Past;
use super::setback::{Hold, Setback};
use super::submission::Submission;
use super::visibility::Visibility;
use super::wait::{Bogus, Wait};
use super::wake::Wake;

/// The keys in their order. A new one has a default and is left out while it is empty, so that
/// a row without it is the same as an older program's.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Stored {
    since: Option<Timestamp>,
    renews: Option<Proof>,
    replaces: Option<String>,
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<Challenge>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    look_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "is_zero")]
    order_reads: u32,
    change_id: Option<String>,
    visible_at: Option<Timestamp>,
    seen_at: Option<Timestamp>,
    horizon_at: Option<Timestamp>,
    cached_until: Option<Timestamp>,
    waits_since: Option<Timestamp>,
    waits_for: Option<String>,
    told: Lateness,
    bogus: Option<Bogus>,
    withdrawn_at: Option<Timestamp>,
    others: Option<Vec<String>>,
    others_changed: Option<OthersChanged>,
    looks: u32,
    tries: u32,
    submitted_at: Option<Timestamp>,
    vanished: u32,
    preflight_at: Option<Timestamp>,
    unanswered: Option<Effect>,
    #[serde(skip_serializing_if = "is_zero")]
    lost: u32,
    failures: u32,
    last_error: Option<String>,
    dns_failed: bool,
    not_before: Option<Timestamp>,
    hold: Option<Hold>,
    taken_up_at: Option<Timestamp>,
    word_waits: bool,
    effects: Vec<Timestamp>,
    ordered: bool,
    proved_at: Option<Timestamp>,
    last_proof: Option<Proof>,
    lapsed_at: Option<Timestamp>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl From<Stored> for Upkeep {
    fn from(stored: Stored) -> Self {
        Self {
            attempt: Attempt {
                since: stored.since,
                renews: stored.renews,
                replaces: stored.replaces,
                value: stored.value,
                challenge: stored.challenge,
                submission: Submission {
                    order: stored.order,
                    next_read_at: stored.look_at,
                    reads: stored.order_reads,
                    tries: stored.tries,
                    submitted_at: stored.submitted_at,
                },
                visibility: Visibility {
                    change_id: stored.change_id,
                    visible_at: stored.visible_at,
                    seen_at: stored.seen_at,
                    horizon_at: stored.horizon_at,
                    cached_until: stored.cached_until,
                    checks: stored.looks,
                    vanished: stored.vanished,
                },
                ordered: stored.ordered,
            },
            wait: Wait {
                since: stored.waits_since,
                subject: stored.waits_for,
                told: stored.told,
                bogus: stored.bogus,
            },
            withdrawn_at: stored.withdrawn_at,
            foreign: Foreign {
                values: stored.others,
                changed: stored.others_changed,
            },
            preflight_at: stored.preflight_at,
            calls: Calls {
                unanswered: stored.unanswered,
                lost: stored.lost,
                made: stored.effects,
            },
            setback: Setback {
                failures: stored.failures,
                last_error: stored.last_error,
                dns_failed: stored.dns_failed,
                not_before: stored.not_before,
                hold: stored.hold,
            },
            wake: Wake {
                taken_up_at: stored.taken_up_at,
                waits: stored.word_waits,
            },
            past: Past {
                proved_at: stored.proved_at,
                last_proof: stored.last_proof,
                lapsed_at: stored.lapsed_at,
                false_lapse: None,
            },
        }
    }
}

impl From<Upkeep> for Stored {
    fn from(upkeep: Upkeep) -> Self {
        let (attempt, setback, wait) = (upkeep.attempt, upkeep.setback, upkeep.wait);
        let (visibility, submission) = (attempt.visibility, attempt.submission);
        Self {
            since: attempt.since,
            renews: attempt.renews,
            replaces: attempt.replaces,
            value: attempt.value,
            challenge: attempt.challenge,
            order: submission.order,
            look_at: submission.next_read_at,
            order_reads: submission.reads,
            change_id: visibility.change_id,
            visible_at: visibility.visible_at,
            seen_at: visibility.seen_at,
            horizon_at: visibility.horizon_at,
            cached_until: visibility.cached_until,
            waits_since: wait.since,
            waits_for: wait.subject,
            told: wait.told,
            bogus: wait.bogus,
            withdrawn_at: upkeep.withdrawn_at,
            others: upkeep.foreign.values,
            others_changed: upkeep.foreign.changed,
            looks: visibility.checks,
            tries: submission.tries,
            submitted_at: submission.submitted_at,
            vanished: visibility.vanished,
            preflight_at: upkeep.preflight_at,
            unanswered: upkeep.calls.unanswered,
            lost: upkeep.calls.lost,
            failures: setback.failures,
            last_error: setback.last_error,
            dns_failed: setback.dns_failed,
            not_before: setback.not_before,
            hold: setback.hold,
            taken_up_at: upkeep.wake.taken_up_at,
            word_waits: upkeep.wake.waits,
            effects: upkeep.calls.made,
            ordered: attempt.ordered,
            proved_at: upkeep.past.proved_at,
            last_proof: upkeep.past.last_proof,
            lapsed_at: upkeep.past.lapsed_at,
        }
    }
}
