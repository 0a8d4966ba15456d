//! The way from a token to a new proof, as far as it must survive a crash:
//! `registered → published → visible → submitted`.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::challenge::{Challenge, Counts};
use super::lateness::Lateness;
use super::proof::Proof;
use super::registration::Token;
use super::reuse::after;

/// What is remembered about the way to the next proof. Everything else is looked up afresh.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempt {
    /// When it began; `None` while there is none.
    pub since: Option<Timestamp>,
    /// The proof that was there when it began: success is a later one.
    pub renews: Option<Proof>,
    /// The CA's token before the reset of this attempt: a different one is its answer, even if that
    /// was lost.
    pub replaces: Option<String>,
    /// The value this attempt is about.
    pub value: Option<String>,
    /// The record that the CA's start has given for this attempt, where it is more than a value at
    /// the domain. A list that does not show it takes nothing away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// The CA's key for the order that this attempt has submitted, where the CA has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The CA has taken the order and checks by itself: not before this moment is it read again,
    /// and nothing is submitted meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_at: Option<Timestamp>,
    /// How often the CA was read since it took the order, for the growing interval.
    #[serde(skip_serializing_if = "is_zero")]
    pub order_reads: u32,
    /// The provider's name for the change that wrote `value`, where it has one.
    pub change_id: Option<String>,
    /// When the gate first passed for `value`.
    pub visible_at: Option<Timestamp>,
    /// When the gate last passed: `validate` is called only within a minute of it (invariant I5).
    pub seen_at: Option<Timestamp>,
    /// When no resolver can remember the time before `value` any more.
    pub horizon_at: Option<Timestamp>,
    /// Until when a resolver that was asked still answers from before `value`.
    pub cached_until: Option<Timestamp>,
    /// Since when a record of ours is there to be seen and has brought no proof. A new token
    /// changes nothing about it.
    pub waits_since: Option<Timestamp>,
    /// Whom or what that waits for, in a few words that stay the same while it is the same.
    pub waits_for: Option<String>,
    /// How late it was when that was last told.
    pub told: Lateness,
    /// Validating resolvers refuse the zone's answers, as far as the last check knows.
    pub bogus: Option<Bogus>,
    /// Since when a person wants no record of ours at the name.
    pub withdrawn_at: Option<Timestamp>,
    /// The other TXT values at the name while one of ours is there, as they were last read.
    pub others: Option<Vec<String>>,
    /// A person changed them meanwhile.
    pub others_changed: Option<OthersChanged>,
    /// Checks of the name servers since `value` was published, for the polling interval.
    pub looks: u32,
    /// Checks by the CA, ordered by `validate`, that brought no proof for `value`.
    pub tries: u32,
    /// When the last of them was ordered.
    pub submitted_at: Option<Timestamp>,
    /// How often `value` was found gone after it had been visible.
    pub vanished: u32,
    /// When `preflight` last proved that the name can be written.
    pub preflight_at: Option<Timestamp>,
    /// A CA effect that was started and has no stored result: read before anything else.
    pub unanswered: Option<Effect>,
    /// How many calls in a row had no answer and left nothing at the CA, as a read has shown.
    #[serde(skip_serializing_if = "is_zero")]
    pub lost: u32,
    /// Failures in a row, for the waiting time.
    pub failures: u32,
    /// The last failure, in words.
    pub last_error: Option<String>,
    /// It was a provider's, or about the way to name servers: DNS is in the way.
    pub dns_failed: bool,
    /// Not before this moment is the next step tried.
    pub not_before: Option<Timestamp>,
    /// Why it waits for a person.
    pub hold: Option<Hold>,
    /// When a step was last begun: what comes right after it changes nothing yet.
    pub taken_up_at: Option<Timestamp>,
    /// A person has said since that something changed; it counts [`WORDS_APART`] after
    /// `taken_up_at`.
    pub word_waits: bool,
    /// CA effects of this domain in the last 24 hours, for its budget.
    pub effects: Vec<Timestamp>,
    /// A person ordered a new token: the renewal window does not matter.
    pub ordered: bool,
    /// When a proof was last won by us: no new cycle within 24 h of it.
    pub proved_at: Option<Timestamp>,
    /// The last proof, when none counts any more: also where the CA's record does not show it, or
    /// is gone.
    pub last_proof: Option<Proof>,
    /// When it was noticed that no proof counts any more; the history says so once.
    pub lapsed_at: Option<Timestamp>,
    /// A lapse that a clock noted which was ahead: the history does not say yet that it was none.
    /// Found again at each reading of the row, from `lapsed_at`.
    #[serde(skip)]
    pub false_lapse: Option<Timestamp>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A call that changes something at the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Registers the domain.
    Register,
    /// Asks the CA to check.
    Validate,
    /// Replaces the token.
    ResetToken,
    /// Begins a validation that the proof outlives.
    Start,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Register => "register",
            Self::Validate => "validate",
            Self::ResetToken => "reset",
            Self::Start => "start",
        })
    }
}

/// Waiting for a person, with a reason; never silent, never final: it is tried again at
/// [`Hold::again_at`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// What is wrong and what to do, for people.
    pub reason: String,
    /// When it is tried again all the same.
    pub again_at: Timestamp,
}

/// A zone whose answers validating resolvers refuse (RFC 4033, section 5): it is gone for most of
/// the world, not for us alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bogus {
    /// The first listing that found it so.
    pub since: Timestamp,
    /// What is wrong, for people.
    pub fault: String,
}

/// Foreign TXT values changed while one of ours was beside them: not by this program, as the
/// provider's receipts prove, and yet worth knowing for their owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OthersChanged {
    /// When it was noticed.
    pub at: Timestamp,
    /// Which came and which went, for people.
    pub what: String,
}

/// How far an attempt has come, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The CA has given a token.
    Registered,
    /// The value is in the zone.
    Published,
    /// Every name server has it.
    Visible,
    /// The CA was asked to check and has not said yes yet.
    Submitted,
}

/// However often a person says that something changed, a domain is taken up for it once in this
/// time (faults H08).
pub const WORDS_APART: SignedDuration = SignedDuration::from_secs(10);

/// The longest interval between two reads of an order of which the CA names no moment.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(6);

impl Attempt {
    /// A person says that what it waits for, or is held for, may be there. Right after a step was
    /// started the word waits: a storm of them is as good as two, and the last one is not lost
    /// (faults W04). Since when it is held, and that a person wants nothing of ours there, stays as
    /// it is.
    pub fn hear(&mut self, now: Timestamp) {
        let waits = |begun: Timestamp| begun <= now && now < after(begun, WORDS_APART);
        self.word_waits = self.taken_up_at.is_some_and(waits);
        if self.word_waits {
            return;
        }
        self.not_before = None;
        self.look_at = self.look_at.map(|at| at.min(now));
        if let Some(hold) = &mut self.hold {
            hold.again_at = hold.again_at.min(now);
        }
    }

    /// When a word that waits counts.
    pub fn hears_at(&self) -> Option<Timestamp> {
        self.taken_up_at
            .filter(|_| self.word_waits)
            .map(|begun| after(begun, WORDS_APART))
    }

    /// Forgets the value and all that was found out about it, keeping what belongs to the domain:
    /// its budget, its last success, its last proof, how long it waits, what a person ordered.
    pub fn restart(&mut self, value: Option<String>, now: Timestamp, renews: Option<Proof>) {
        *self = Self {
            since: Some(now),
            renews,
            value,
            preflight_at: self.preflight_at,
            effects: std::mem::take(&mut self.effects),
            lost: self.lost,
            proved_at: self.proved_at,
            waits_since: self.waits_since,
            told: self.told,
            bogus: self.bogus.take(),
            withdrawn_at: self.withdrawn_at,
            others: self.others.take(),
            others_changed: self.others_changed.take(),
            last_proof: self.last_proof.take(),
            lapsed_at: self.lapsed_at,
            false_lapse: self.false_lapse,
            ..Self::default()
        };
    }

    /// Whether it is about the record that `challenge` wants.
    pub fn is_about(&self, challenge: &Challenge) -> bool {
        match &self.challenge {
            Some(known) => known.is_same_record(challenge),
            None => self.value.as_deref() == Some(challenge.data.as_str()),
        }
    }

    /// From now on it is about this record. One that `token` gives is found there again; any other
    /// is remembered here.
    pub fn take(&mut self, challenge: &Challenge, token: Option<&Token>) {
        let value = challenge.data.as_str();
        self.value = Some(value.to_owned());
        let found_again = token.is_some_and(|token| token.value == value);
        self.challenge = (!found_again).then(|| challenge.clone());
    }

    /// The CA has taken the order and may have news at `named`, or soon. Nothing is submitted
    /// before the order has ended. The interval of the reads grows from `first`; a moment that the
    /// CA names is better than any of them.
    pub fn wait_for_ca(&mut self, named: Option<Timestamp>, first: SignedDuration, now: Timestamp) {
        const FACTORS: [i32; 12] = [1, 1, 2, 3, 6, 12, 30, 60, 180, 360, 720, 1440];
        let reads = usize::try_from(self.order_reads).unwrap_or(usize::MAX);
        let grown = first * FACTORS[reads.min(FACTORS.len() - 1)];
        let own = after(now, grown.min(LONGEST_WAIT));
        self.look_at = Some(match named.filter(|&at| at > now) {
            Some(named) => named.min(after(now, SignedDuration::from_hours(24))),
            None => own,
        });
        self.order_reads += 1;
    }

    /// Whether the CA continues with an order although the value that it has made for it has ended.
    /// Another value comes only with another order, which the CA does not begin meanwhile.
    pub fn outlives_its_value(&self, now: Timestamp) -> bool {
        let made_by_order = |one: &&Challenge| one.counts == Counts::BySubmit;
        let ours = self.challenge.as_ref().filter(made_by_order);
        let until = ours.and_then(|ours| ours.until);
        self.look_at.is_some() && until.is_some_and(|end| end <= now)
    }

    /// The order is over without a proof: its challenge is dead.
    pub fn end_order(&mut self) {
        (self.challenge, self.value, self.change_id) = (None, None, None);
        (self.look_at, self.order, self.order_reads) = (None, None, 0);
        (self.visible_at, self.seen_at, self.horizon_at) = (None, None, None);
        (self.submitted_at, self.tries, self.looks, self.vanished) = (None, 0, 0, 0);
    }

    /// Counts a CA effect that begins now, and forgets those older than a day.
    pub fn begin(&mut self, effect: Effect, now: Timestamp) {
        let day_ago = now
            .saturating_sub(SignedDuration::from_hours(24))
            .unwrap_or(Timestamp::MIN);
        self.effects.retain(|&at| at > day_ago);
        self.effects.push(now);
        self.unanswered = Some(effect);
    }
}

#[cfg(test)]
mod stored_form;
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn of_a_storm_of_words_one_counts_at_once_and_the_last_one_after_a_while() {
        let waiting = Attempt {
            not_before: Some(at(3600)),
            ..Attempt::default()
        };
        let mut attempt = waiting.clone();
        attempt.hear(at(0));
        assert_eq!((attempt.not_before, attempt.hears_at()), (None, None));
        // The step was started and found nothing new.
        attempt = Attempt {
            taken_up_at: Some(at(0)),
            ..waiting.clone()
        };
        for second in [0, 1, 9] {
            attempt.hear(at(second));
            assert_eq!(
                (attempt.not_before, attempt.hears_at()),
                (Some(at(3600)), Some(at(10))),
                "{second}"
            );
        }
        attempt.hear(at(10));
        assert_eq!((attempt.not_before, attempt.hears_at()), (None, None));
        // A clock that was wrong when the step was started puts nothing off.
        attempt = Attempt {
            taken_up_at: Some(at(1_000_000)),
            ..waiting
        };
        attempt.hear(at(0));
        assert_eq!((attempt.not_before, attempt.hears_at()), (None, None));
    }

    #[test]
    fn an_attempt_of_an_older_program_is_read_and_one_that_needs_no_more_is_written_as_before() {
        let old =
            r#"{"since":"2026-11-29T08:05:42Z","value":"swiss-pki=x","looks":34,"effects":[]}"#;
        let read: Attempt = serde_json::from_str(old).unwrap();
        assert_eq!(
            (read.looks, &read.challenge, read.look_at),
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
        let taken = Attempt {
            challenge: Some(challenge.unwrap()),
            order: Some("77".to_owned()),
            look_at: Some(at(60)),
            order_reads: 2,
            ..read
        };
        let written = serde_json::to_string(&taken).unwrap();
        assert_eq!(serde_json::from_str::<Attempt>(&written).unwrap(), taken);
    }

    #[test]
    fn a_word_ends_no_hold_and_brings_nothing_back_that_a_person_took_away() {
        let hold = Hold {
            since: at(-100),
            reason: "an alias".to_owned(),
            again_at: at(7200),
        };
        let mut attempt = Attempt {
            hold: Some(hold.clone()),
            withdrawn_at: Some(at(-100)),
            ..Attempt::default()
        };
        attempt.hear(at(0));
        assert_eq!(
            attempt.hold,
            Some(Hold {
                again_at: at(0),
                ..hold.clone()
            })
        );
        assert_eq!(attempt.withdrawn_at, Some(at(-100)));
        attempt.hear(at(60));
        assert_eq!(
            attempt.hold,
            Some(Hold {
                again_at: at(0),
                ..hold
            }),
            "not later than it was"
        );
    }
}
