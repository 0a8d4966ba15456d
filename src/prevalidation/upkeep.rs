//! All that is remembered about a domain's way to its proofs. Everything else is read afresh.
//!
//! The parts have different lives. What ends one of them replaces it as a whole, and is written
//! here by naming every part, so that a new one is not kept or forgotten by accident.

mod attempt;
mod calls;
mod foreign;
mod past;
mod setback;
mod stored;
mod submission;
mod visibility;
mod wait;
mod wake;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::attempt::{Attempt, Stage};
pub use self::calls::{Calls, Effect};
pub use self::foreign::{Foreign, OthersChanged};
pub use self::past::Past;
pub use self::setback::{Hold, Setback};
pub use self::submission::Submission;
pub use self::visibility::Visibility;
pub use self::wait::{Bogus, LATE_AFTER, OVERDUE_AFTER, Wait};
pub use self::wake::{WORDS_APART, Wake};
use super::proof::Proof;

/// What is remembered from one step of a domain to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "stored::Stored", into = "stored::Stored")]
pub struct Upkeep {
    /// The way to the next proof.
    pub attempt: Attempt,
    /// Why the next step waits.
    pub setback: Setback,
    /// Calls that change something at the CA.
    pub calls: Calls,
    /// Wake-ups from outside.
    pub wake: Wake,
    /// The wait for a proof, over all attempts.
    pub wait: Wait,
    /// The last proof.
    pub past: Past,
    /// Foreign values beside ours.
    pub foreign: Foreign,
    /// Since when a person wants no record of ours at the name.
    pub withdrawn_at: Option<Timestamp>,
    /// When `preflight` last proved that the name can be written.
    pub preflight_at: Option<Timestamp>,
}

impl Upkeep {
    /// A person takes the domain up again: nothing is waited for, and no hold or withdrawal counts.
    pub fn take_up(&mut self, now: Timestamp) {
        self.try_at_once();
        self.attempt.submission.read_by(now);
        self.withdrawn_at = None;
    }

    /// A person wants the next step tried at once.
    pub fn try_at_once(&mut self) {
        (self.setback.hold, self.setback.not_before) = (None, None);
    }

    /// A person wants no value of ours at the name.
    pub fn withdraw(&mut self, now: Timestamp) {
        self.withdrawn_at = Some(now);
        self.setback.hold = Some(Hold {
            since: now,
            reason: "withdrawn by hand".to_owned(),
            again_at: now,
        });
    }

    /// A step went well: nothing is held, nothing waits. The hold that has ended.
    pub fn went_well(&mut self) -> Option<Hold> {
        self.calls.lost = 0;
        std::mem::take(&mut self.setback).hold
    }

    /// Hears that what it waits for, or is held for, may be there. Right after a step was begun the
    /// wake-up waits. Since when it is held, and that a person wants nothing of ours there, stays
    /// as it is.
    pub fn hear(&mut self, now: Timestamp) {
        if !self.wake.hear(now) {
            return;
        }
        self.setback.not_before = None;
        self.attempt.submission.read_by(now);
        self.setback.try_hold_by(now);
    }

    /// Begins another attempt.
    pub fn restart(&mut self, now: Timestamp, renews: Option<Proof>) {
        self.start(Attempt::begun(now, renews));
    }

    /// A new token, by order of a person: also where one has withdrawn the domain before.
    pub fn order(&mut self, now: Timestamp, renews: Option<Proof>) {
        self.start(Attempt {
            ordered: true,
            ..Attempt::begun(now, renews)
        });
        self.withdrawn_at = None;
        // What a person orders does not wait for what was lost before.
        self.calls.lost = 0;
    }

    /// Begins an attempt with a call that brings another token than `replaces`.
    pub fn start_over(&mut self, now: Timestamp, renews: Option<Proof>, replaces: Option<String>) {
        self.start(Attempt {
            ordered: self.attempt.ordered,
            replaces,
            ..Attempt::begun(now, renews)
        });
    }

    /// Begins an attempt with its preflight. What failed before counts on until a step goes well.
    pub fn start_with_preflight(&mut self, now: Timestamp, renews: Option<Proof>) {
        let before = std::mem::take(&mut self.setback);
        self.start_over(now, renews, None);
        self.setback = Setback {
            hold: before.hold,
            failures: before.failures,
            last_error: before.last_error,
            ..Setback::default()
        };
    }

    /// Another program has begun a new validation: the stored facts about the old record no longer
    /// count. Why the attempt began stays.
    pub fn replace(&mut self) {
        let before = std::mem::take(&mut self.attempt);
        self.start(Attempt {
            since: before.since,
            renews: before.renews,
            ordered: before.ordered,
            ..Attempt::default()
        });
    }

    /// The attempt goes on with a new token: the old one is dead, and the CA was asked about it.
    pub fn order_new_value(&mut self) {
        let tries = self.attempt.submission.tries;
        self.replace();
        self.attempt.ordered = true;
        self.attempt.submission.tries = tries;
    }

    /// The old value goes, and all that was found out about it. What belongs to the domain stays:
    /// its budget, its last proof, how long it waits, what a person wants.
    fn start(&mut self, begun: Attempt) {
        let Self {
            attempt,
            setback,
            // What a call did whose reply was lost is unknown, whatever begins now: the CA is read
            // before anything is sent to it.
            calls: _,
            wake,
            wait,
            past: _,
            foreign: _,
            withdrawn_at: _,
            preflight_at: _,
        } = self;
        *attempt = begun;
        *setback = Setback::default();
        *wake = Wake::default();
        wait.subject = None;
    }

    /// Nothing of ours is there to be seen any more, so nothing is waited for.
    pub fn stop_waiting(&mut self) {
        self.wait = Wait::default();
    }

    /// A proof was won: only what outlives it stays.
    pub fn prove(&mut self, now: Timestamp) {
        let Self {
            attempt,
            setback,
            calls,
            wake,
            wait,
            past,
            // The value is still beside them.
            foreign: _,
            // A proof changes nothing about what a person wants.
            withdrawn_at,
            preflight_at,
        } = self;
        *attempt = Attempt::default();
        *setback = Setback {
            hold: setback.hold.take().filter(|_| withdrawn_at.is_some()),
            ..Setback::default()
        };
        *calls = Calls {
            made: std::mem::take(&mut calls.made),
            ..Calls::default()
        };
        *wake = Wake::default();
        *wait = Wait::default();
        *past = Past {
            proved_at: Some(now),
            ..Past::default()
        };
        *preflight_at = None;
    }
}

#[cfg(test)]
mod resets;
#[cfg(test)]
mod stored_form;
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::prevalidation::Challenge;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn of_a_storm_of_words_one_counts_at_once_and_the_last_one_after_a_while() {
        let waiting = Upkeep {
            setback: Setback {
                not_before: Some(at(3600)),
                ..Setback::default()
            },
            ..Upkeep::default()
        };
        let mut upkeep = waiting.clone();
        upkeep.hear(at(0));
        assert_eq!(
            (upkeep.setback.not_before, upkeep.wake.hears_at()),
            (None, None)
        );
        // The step was started and found nothing new.
        upkeep = Upkeep {
            wake: Wake {
                taken_up_at: Some(at(0)),
                ..Wake::default()
            },
            ..waiting.clone()
        };
        for second in [0, 1, 9] {
            upkeep.hear(at(second));
            assert_eq!(
                (upkeep.setback.not_before, upkeep.wake.hears_at()),
                (Some(at(3600)), Some(at(10))),
                "{second}"
            );
        }
        upkeep.hear(at(10));
        assert_eq!(
            (upkeep.setback.not_before, upkeep.wake.hears_at()),
            (None, None)
        );
        // A clock that was wrong when the step was started puts nothing off.
        upkeep = Upkeep {
            wake: Wake {
                taken_up_at: Some(at(1_000_000)),
                ..Wake::default()
            },
            ..waiting
        };
        upkeep.hear(at(0));
        assert_eq!(
            (upkeep.setback.not_before, upkeep.wake.hears_at()),
            (None, None)
        );
    }

    #[test]
    fn an_attempt_of_an_older_program_is_read_and_one_that_needs_no_more_is_written_as_before() {
        let old =
            r#"{"since":"2026-11-29T08:05:42Z","value":"swiss-pki=x","looks":34,"effects":[]}"#;
        let read: Upkeep = serde_json::from_str(old).unwrap();
        assert_eq!(
            (
                read.attempt.visibility.checks,
                &read.attempt.challenge,
                read.attempt.submission.next_read_at
            ),
            (34, &None, None)
        );
        let written = serde_json::to_string(&read).unwrap();
        for new in ["challenge", "order", "look_at", "order_reads"] {
            assert!(!written.contains(&format!("\"{new}\"")), "{new}: {written}");
        }
        let domain = super::super::DomainName::from_a_labels("example.ch").unwrap();
        let challenge = Challenge::cname(
            &domain,
            "_a.example.ch",
            "b.sectigo.com",
            super::super::Counts::Published,
        );
        let mut taken = read;
        taken.attempt.challenge = Some(challenge.unwrap());
        taken.attempt.submission.order = Some("77".to_owned());
        taken.attempt.submission.next_read_at = Some(at(60));
        taken.attempt.submission.reads = 2;
        let written = serde_json::to_string(&taken).unwrap();
        assert_eq!(serde_json::from_str::<Upkeep>(&written).unwrap(), taken);
    }

    #[test]
    fn a_word_ends_no_hold_and_brings_nothing_back_that_a_person_took_away() {
        let hold = Hold {
            since: at(-100),
            reason: "an alias".to_owned(),
            again_at: at(7200),
        };
        let mut upkeep = Upkeep {
            setback: Setback {
                hold: Some(hold.clone()),
                ..Setback::default()
            },
            withdrawn_at: Some(at(-100)),
            ..Upkeep::default()
        };
        upkeep.hear(at(0));
        assert_eq!(
            upkeep.setback.hold,
            Some(Hold {
                again_at: at(0),
                ..hold.clone()
            })
        );
        assert_eq!(upkeep.withdrawn_at, Some(at(-100)));
        upkeep.hear(at(60));
        assert_eq!(
            upkeep.setback.hold,
            Some(Hold {
                again_at: at(0),
                ..hold
            }),
            "not later than it was"
        );
    }
}
