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
/// older programs write the same row.
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
                    look_at: stored.look_at,
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
                    looks: stored.looks,
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
        let Upkeep {
            attempt,
            setback,
            calls,
            wake,
            wait,
            past,
            foreign,
            withdrawn_at,
            preflight_at,
        } = upkeep;
        let stored = Self {
            withdrawn_at,
            preflight_at,
            ..Self::default()
        };
        let stored = stored.with_attempt(attempt).with_setback(setback);
        let stored = stored.with_calls(calls, wake).with_wait(wait);
        stored.with_past(past, foreign)
    }
}

/// Each record is taken apart without `..`: a field that is not stored is named here.
impl Stored {
    fn with_attempt(self, attempt: Attempt) -> Self {
        let Attempt {
            since,
            renews,
            replaces,
            value,
            challenge,
            ordered,
            visibility,
            submission,
        } = attempt;
        let Visibility {
            change_id,
            visible_at,
            seen_at,
            horizon_at,
            cached_until,
            looks,
            vanished,
        } = visibility;
        let Submission {
            order,
            look_at,
            reads: order_reads,
            tries,
            submitted_at,
        } = submission;
        Self {
            since,
            renews,
            replaces,
            value,
            challenge,
            order,
            look_at,
            order_reads,
            change_id,
            visible_at,
            seen_at,
            horizon_at,
            cached_until,
            looks,
            tries,
            submitted_at,
            vanished,
            ordered,
            ..self
        }
    }

    fn with_setback(self, setback: Setback) -> Self {
        let Setback {
            failures,
            last_error,
            dns_failed,
            not_before,
            hold,
        } = setback;
        Self {
            failures,
            last_error,
            dns_failed,
            not_before,
            hold,
            ..self
        }
    }

    fn with_calls(self, calls: Calls, wake: Wake) -> Self {
        let Calls {
            unanswered,
            lost,
            made: effects,
        } = calls;
        let Wake {
            taken_up_at,
            waits: word_waits,
        } = wake;
        Self {
            unanswered,
            lost,
            taken_up_at,
            word_waits,
            effects,
            ..self
        }
    }

    fn with_wait(self, wait: Wait) -> Self {
        let Wait {
            since: waits_since,
            subject: waits_for,
            told,
            bogus,
        } = wait;
        Self {
            waits_since,
            waits_for,
            told,
            bogus,
            ..self
        }
    }

    fn with_past(self, past: Past, foreign: Foreign) -> Self {
        let Past {
            proved_at,
            last_proof,
            lapsed_at,
            false_lapse: _,
        } = past;
        let Foreign {
            values: others,
            changed: others_changed,
        } = foreign;
        Self {
            others,
            others_changed,
            proved_at,
            last_proof,
            lapsed_at,
            ..self
        }
    }
}
