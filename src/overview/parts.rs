//! The parts of a domain's object: its proof, its token, its attempt.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::prevalidation::Stage;

/// A proof.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProofView {
    /// When the CA made it; `null` where it does not show the day in its list.
    pub validated_at: Option<Timestamp>,
    /// When this program first saw it, where the CA shows no day for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    /// When it ends by the CA's date.
    pub expires_at: Option<Timestamp>,
    /// When it stops counting; `null` when it does not count.
    pub usable_until: Option<Timestamp>,
    /// The method of validation.
    pub method: Option<String>,
    /// The ends that the CA keeps apart, by what they are for; absent where it states one only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ends: BTreeMap<String, Timestamp>,
}

/// A token.
#[derive(Debug, Clone, Serialize)]
pub struct TokenView {
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it dies.
    pub expires_at: Option<Timestamp>,
}

/// An attempt.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptView {
    /// How far it is.
    pub stage: Option<Stage>,
    /// Since when it is under way.
    pub since: Option<Timestamp>,
    /// How often the CA was asked to check.
    pub tries: u32,
    /// Not before then.
    pub next_at: Option<Timestamp>,
    /// The last failure.
    pub last_error: Option<String>,
    /// Since when a person wants nothing of ours at the name.
    pub withdrawn_at: Option<Timestamp>,
}
