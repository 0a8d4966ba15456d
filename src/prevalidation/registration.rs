//! A domain's entry at the CA, in this program's words.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::challenge::{Challenge, ChallengeData, Counts};
use super::name::DomainName;
use super::order::{Order, OrderState};
use super::proof::Proof;
use super::reuse::{ReuseTable, after, before, days_long};

/// One domain as the CA shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The CA's key for the entry, `cld-…`.
    pub reference: String,
    /// The name as the CA holds it. Another name than the one that was sent means: publish nothing
    /// (faults C07).
    pub domain: DomainName,
    /// The CA's own word on the state.
    pub status: Status,
    /// The last finished validation that is known of; it may have ended.
    pub proof: Option<Box<Proof>>,
    /// The CA does not show `proof` any more; it did once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remembered: bool,
    /// The random value the CA shows; it may be used up or expired.
    pub token: Option<Box<Token>>,
    /// The record that the CA wants to find, where it is not a random value at the domain itself.
    /// A list that does not show it takes nothing away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Box<Challenge>>,
    /// The validation that is under way at the CA, where it carries one out over some time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Box<Order>>,
    /// A row of a list, which leaves out what only a read of the reference shows: nothing that is
    /// missing here is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_summary: bool,
    /// What the CA says about its last check: free text for people, never parsed.
    pub last_words: Option<String>,
    /// A contradiction or an unknown value in the CA's answer, in words; the safest reading was
    /// taken (faults C10).
    pub doubt: Option<String>,
}

impl Registration {
    /// An entry of which nothing more is known.
    pub fn bare(reference: impl Into<String>, domain: DomainName, status: Status) -> Self {
        Self {
            reference: reference.into(),
            domain,
            status,
            proof: None,
            remembered: false,
            token: None,
            challenge: None,
            order: None,
            is_summary: false,
            last_words: None,
            doubt: None,
        }
    }

    /// When the proof stops counting, while it counts at `now`: the CA must say VALID and neither
    /// date may have passed.
    pub fn usable_until(&self, reuse: &ReuseTable, now: Timestamp) -> Option<Timestamp> {
        let proof = self
            .proof
            .as_ref()
            .filter(|_| self.status == Status::Valid)?;
        reuse.usable_until(proof).filter(|&end| now < end)
    }

    /// The token as a challenge: a TXT value at the domain that counts once it is published.
    pub fn challenge_of(&self, token: &Token) -> Challenge {
        Challenge {
            owner: (&self.domain).into(),
            data: ChallengeData::Txt(token.value.clone()),
            made: token.created_at,
            until: token.expires_at,
            counts: Counts::Published,
        }
    }

    /// The challenge that the CA shows, while the validation that it belongs to can still succeed.
    pub fn open_challenge(&self) -> Option<&Challenge> {
        let shown = self.challenge.as_deref()?;
        if self.order.is_some() {
            return self.open_order().map(|_| shown);
        }
        let proved_at = self.shown_proof().and_then(Proof::made_at);
        let is_used = proved_at.is_some_and(|proved| shown.made.is_none_or(|made| made <= proved));
        (!is_used).then_some(shown)
    }

    /// The order that is under way. One that a validation has come after is not, whatever it is
    /// called: some CAs leave "submitted" behind when all is done.
    pub fn open_order(&self) -> Option<&Order> {
        let order = self.order.as_deref()?;
        let under_way = match order.state {
            OrderState::Begun => self.challenge.is_some(),
            // A word that is not known may be said of an order that runs.
            OrderState::Submitted | OrderState::Unknown(_) => {
                order.next_check.is_some() || !self.is_fulfilled(order)
            }
            OrderState::Rejected => false,
        };
        under_way.then_some(order)
    }

    /// Whether a submitted order may be under way although the record that it shows is refused.
    pub fn may_be_under_way(&self) -> bool {
        let order = self.order.as_deref().filter(|order| order.is_submitted());
        order.is_some_and(|order| order.next_check.is_some() || self.is_before(order) != Some(true))
    }

    /// Whether a validation came after the order. If the CA does not show their days, a challenge
    /// that is still shown means that an order is under way. So does an unknown state while no
    /// proof counts.
    fn is_fulfilled(&self, order: &Order) -> bool {
        self.is_before(order).unwrap_or_else(|| {
            let is_known = order.unknown_word().is_none() || self.status == Status::Valid;
            is_known && self.challenge.is_none()
        })
    }

    /// Whether the order is before the validation, by their days.
    fn is_before(&self, order: &Order) -> Option<bool> {
        let validated = self.proof.as_ref().and_then(|proof| proof.validated_at);
        let day = |at: Timestamp| at.as_second().div_euclid(86_400);
        let (validated, submitted) = validated.zip(order.submitted_at)?;
        Some(day(validated) >= day(submitted))
    }

    /// The token, while the CA accepts it and it has more than `margin` left.
    pub fn live_token(&self, margin: SignedDuration, now: Timestamp) -> Option<&Token> {
        let token = self.token.as_ref().filter(|token| !token.expired)?;
        let end = token
            .expires_at
            .or(token.created_at.map(|made| after(made, TOKEN_LIFE)));
        let life = end
            .zip(token.created_at)
            .map_or(TOKEN_LIFE, |(end, made)| end.duration_since(made));
        // The margin is at most a third of the life of the token, so that a fresh token is used.
        let margin = margin.min(life / 3);
        let ends_too_soon = end.is_some_and(|end| before(end, margin) <= now);
        (!ends_too_soon).then_some(token)
    }

    /// Whether `token` made the proof that is there: it is not younger. A renewal needs a new one
    /// (BR 3.2.2.4.7).
    pub fn is_used(&self, token: &Token) -> bool {
        let proved_at = self.proof.as_deref().and_then(Proof::made_at);
        let shown = !self.remembered;
        proved_at.is_some_and(|proved| token.created_at.map_or(shown, |made| made <= proved))
    }

    /// Takes over when the proof was first seen from what was known `before`, if that is the same
    /// proof. Without this a proof of which the CA shows no date would be as young as each reading.
    pub fn keep_first_seen(&mut self, before: Option<&Self>) {
        let counted = |status: &Status| matches!(status, Status::Valid | Status::Unknown(_));
        // Only where the CA stopped saying VALID, and says it again, is it another proof.
        let is_again = |before: &Self| self.status == Status::Valid && !counted(&before.status);
        let known = before.filter(|before| !is_again(before));
        let Some(known) = known.and_then(|before| before.proof.as_ref()) else {
            return;
        };
        let Some(proof) = self.proof.as_mut().filter(|proof| proof.is_same_as(known)) else {
            return;
        };
        proof.first_seen = match proof.first_seen {
            None => known.first_seen,
            Some(seen) => Some(known.made_at().map_or(seen, |made| made.min(seen))),
        };
    }
}

/// How long a random value may be used (BR 3.2.2.4.7).
pub const TOKEN_LIFE: SignedDuration = days_long(30);

/// The CA's `status`, compared without case; an unknown one is kept as text and never counts as
/// valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waiting for a validation.
    Pending,
    /// A proof that has ended.
    Expired,
    /// A proof that counts.
    Valid,
    /// Never validated, or the validation failed.
    NotValidated,
    /// Something this version does not know.
    Unknown(String),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "PENDING",
            Self::Expired => "EXPIRED",
            Self::Valid => "VALID",
            Self::NotValidated => "NOT_VALIDATED",
            Self::Unknown(text) => text,
        })
    }
}

/// The random value to publish.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The whole TXT value with its prefix, `swiss-pki=…`, checked to be harmless zone content
    /// (faults C08). Not a secret: it proves something only together with write access to the zone
    /// (faults S12).
    pub value: String,
    /// When the CA made it.
    pub created_at: Option<Timestamp>,
    /// When the CA stops accepting it; 30 days after it was made.
    pub expires_at: Option<Timestamp>,
    /// The CA's own flag that it has ended.
    pub expired: bool,
}
