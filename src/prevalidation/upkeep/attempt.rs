//! The way from a token to a new proof, as far as it must survive a crash:
//! `registered → published → visible → submitted`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::challenge::{Challenge, Counts};
use super::super::proof::Proof;
use super::super::registration::Token;
use super::submission::Submission;
use super::visibility::Visibility;

/// One attempt. A new token or challenge replaces it as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempt {
    /// When it began; `None` while there is none.
    pub since: Option<Timestamp>,
    /// The proof that was there when it began: success is a later one.
    pub renews: Option<Proof>,
    /// The CA's token before the reset of this attempt: a different one is its answer, even if that
    /// was lost.
    pub replaces: Option<String>,
    /// A person ordered a new token: the renewal window does not matter.
    pub ordered: bool,
    /// The value this attempt is about.
    pub value: Option<String>,
    /// The record that the CA's start has given for this attempt, where it is more than a value at
    /// the domain. A list that does not show it takes nothing away.
    pub challenge: Option<Challenge>,
    /// What the name servers show of the record.
    pub visibility: Visibility,
    /// What was submitted to the CA, and the order that came of it.
    pub submission: Submission,
}

impl Attempt {
    /// An attempt that begins now.
    pub fn begun(now: Timestamp, renews: Option<Proof>) -> Self {
        Self {
            since: Some(now),
            renews,
            ..Self::default()
        }
    }

    /// It has not begun after all: nothing was risked.
    pub fn put_off(&mut self) {
        self.since = None;
    }

    /// Whether it is about the record that `challenge` names.
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

    /// Whether the CA continues with an order although the value that it has made for it has ended.
    /// Another value comes only with another order, which the CA does not begin meanwhile.
    pub fn outlives_its_value(&self, now: Timestamp) -> bool {
        let made_by_order = |one: &&Challenge| one.counts == Counts::BySubmit;
        let ours = self.challenge.as_ref().filter(made_by_order);
        let until = ours.and_then(|ours| ours.until);
        self.submission.next_read_at.is_some() && until.is_some_and(|end| end <= now)
    }

    /// The order is over without a proof: its challenge is dead, and with it all that was found out
    /// about the record. Why the attempt began stays.
    pub fn end_order(&mut self) {
        let Self {
            since: _,
            renews: _,
            replaces: _,
            ordered: _,
            value,
            challenge,
            visibility,
            submission,
        } = self;
        (*value, *challenge) = (None, None);
        *visibility = Visibility {
            cached_until: visibility.cached_until,
            ..Visibility::default()
        };
        *submission = Submission::default();
    }
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
