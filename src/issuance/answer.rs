//! What a CA says about an order, in this program's words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far an order is.
///
/// A word that this version does not know is [`OrderState::Unknown`], never a failure: the order may
/// still become a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// The CA works on it.
    Working,
    /// The CA waits until a domain is validated.
    AwaitsValidation,
    /// A person must act at the CA: approve in the portal, open a mail, answer a call.
    AwaitsPerson,
    /// The certificate can be fetched.
    Issued,
    /// The certificate was revoked.
    Revoked,
    /// The CA gave the order up.
    Failed,
    /// A person refused the order.
    Rejected,
    /// The order was cancelled before there was a certificate.
    Withdrawn,
    /// Something this version does not know; the order counts as open.
    Unknown(String),
}

impl OrderState {
    /// Whether the order may still become a certificate.
    pub fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Working | Self::AwaitsValidation | Self::AwaitsPerson | Self::Unknown(_)
        )
    }

    /// Whether the order has ended without a certificate.
    pub fn has_failed(&self) -> bool {
        matches!(self, Self::Failed | Self::Rejected | Self::Withdrawn)
    }
}

impl fmt::Display for OrderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Working => f.write_str("working"),
            Self::AwaitsValidation => f.write_str("waits for a validated domain"),
            Self::AwaitsPerson => f.write_str("waits for a person"),
            Self::Issued => f.write_str("issued"),
            Self::Revoked => f.write_str("revoked"),
            Self::Failed => f.write_str("failed"),
            Self::Rejected => f.write_str("rejected"),
            Self::Withdrawn => f.write_str("withdrawn"),
            Self::Unknown(word) => write!(f, "unknown ({word})"),
        }
    }
}

/// Why a certificate is revoked (RFC 5280, section 5.3.1): the reasons that subscribers may give
/// (CA/B Forum BR 7.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationReason {
    /// No reason is given.
    Unspecified,
    /// The private key may be known to another party.
    KeyCompromise,
    /// The organisation's name or data changed.
    AffiliationChanged,
    /// Another certificate has taken its place.
    Superseded,
    /// The names are not used any more.
    CessationOfOperation,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
    ];

    /// The code of RFC 5280, section 5.3.1.
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
        }
    }

    /// `key-compromise`, as people write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
