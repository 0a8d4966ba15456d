//! A domain's entry at the CA, in our words.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::name::DomainName;
use super::reuse::{ReuseTable, after, before, days_long};

/// What the CA says about one domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The CA's key for the entry, `cld-…`.
    pub reference: String,
    /// The name as the CA holds it. Another name than the one that was sent means: publish nothing
    /// (faults C07).
    pub domain: DomainName,
    /// The CA's own word on the state.
    pub status: Status,
    /// The last finished validation, while the CA shows one; it may have ended.
    pub proof: Option<Proof>,
    /// The random value the CA shows; it may be used up or expired.
    pub token: Option<Token>,
    /// What the CA says about its last look: free text for people, never parsed.
    pub last_words: Option<String>,
    /// A contradiction or an unknown value in the CA's answer, in words; the safest reading was
    /// taken (faults C10).
    pub doubt: Option<String>,
}

impl Registration {
    /// When the proof stops counting, while it counts at `now`: the CA must say VALID and neither
    /// date may have passed.
    pub fn usable_until(&self, reuse: &ReuseTable, now: Timestamp) -> Option<Timestamp> {
        let proof = self
            .proof
            .as_ref()
            .filter(|_| self.status == Status::Valid)?;
        reuse.usable_until(proof).filter(|&end| now < end)
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
        // However long before its end a token is to be replaced, a fresh one is not.
        let margin = margin.min(life / 3);
        let ends_too_soon = end.is_some_and(|end| before(end, margin) <= now);
        (!ends_too_soon).then_some(token)
    }

    /// Whether `token` made the proof that is there: it is not younger. A renewal needs a new one
    /// (BR 3.2.2.4.7).
    pub fn is_used(&self, token: &Token) -> bool {
        let proved_at = self.proof.as_ref().and_then(|proof| proof.validated_at);
        proved_at.is_some_and(|proved| token.created_at.is_none_or(|made| made <= proved))
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

/// A finished validation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// `timeValidated`: when the CA finished it. A renewal has succeeded when this moved forward.
    pub validated_at: Option<Timestamp>,
    /// `timeExpired`: when the CA says it ends. It may move backwards when the rules change.
    pub expires_at: Option<Timestamp>,
    /// The CA's word for the method, `cabdns`; unknown methods are shown, not refused.
    pub method: Option<String>,
}

/// The random value to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The whole TXT value with its prefix, `swiss-pki=…`, checked to be harmless zone content
    /// (faults C08). Not a secret: it proves something only to whoever can write the zone (faults
    /// S12).
    pub value: String,
    /// When the CA made it.
    pub created_at: Option<Timestamp>,
    /// When the CA stops accepting it; 30 days after it was made.
    pub expires_at: Option<Timestamp>,
    /// The CA's own flag that it has ended.
    pub expired: bool,
}
