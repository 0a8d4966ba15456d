//! A domain's entry at the CA, in our words.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::name::DomainName;

/// What the CA says about one domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The CA's key for the entry, `cld-…`.
    pub reference: String,
    /// The name as the CA holds it. Another name than the one that was sent means: publish nothing (faults C07).
    pub domain: DomainName,
    /// The CA's own word on the state.
    pub status: Status,
    /// The last finished validation, while the CA shows one; it may have ended.
    pub proof: Option<Proof>,
    /// The random value the CA shows; it may be used up or expired.
    pub token: Option<Token>,
    /// What the CA says about its last look: free text for people, never parsed.
    pub last_words: Option<String>,
    /// A contradiction or an unknown value in the CA's answer, in words; the safest reading was taken (faults C10).
    pub doubt: Option<String>,
}

/// The CA's `status`, compared without case; an unknown one is kept as text and never counts as valid.
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
    /// The whole TXT value with its prefix, `swiss-pki=…`, checked to be harmless zone content (faults C08).
    /// Not a secret: it proves something only to whoever can write the zone (faults S12).
    pub value: String,
    /// When the CA made it.
    pub created_at: Option<Timestamp>,
    /// When the CA stops accepting it; 30 days after it was made.
    pub expires_at: Option<Timestamp>,
    /// The CA's own flag that it has ended.
    pub expired: bool,
}
