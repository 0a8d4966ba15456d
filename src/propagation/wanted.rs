//! The record that is searched for.

use hickory_proto::rr::RecordType;
pub use prevalidate_providers::RecordKind;

use crate::prevalidation::{Challenge, ChallengeData, DomainName, RecordName};

/// The type and the data of a record that is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// A whole TXT value; other values may be beside it.
    Txt(&'a str),
    /// The target of a CNAME, without the last full stop; nothing can be beside it.
    Cname(&'a str),
}

impl<'a> Wanted<'a> {
    /// The TXT value, or the target.
    pub fn as_str(self) -> &'a str {
        match self {
            Self::Txt(text) | Self::Cname(text) => text,
        }
    }

    /// The type.
    pub fn kind(self) -> RecordKind {
        match self {
            Self::Txt(_) => RecordKind::Txt,
            Self::Cname(_) => RecordKind::Cname,
        }
    }
}

impl<'a> From<&'a ChallengeData> for Wanted<'a> {
    fn from(data: &'a ChallengeData) -> Self {
        match data {
            ChallengeData::Txt(value) => Self::Txt(value),
            ChallengeData::Cname(target) => Self::Cname(target.as_str()),
        }
    }
}

/// A type of record as the message library has it.
pub(super) trait AsRecordType {
    fn record_type(self) -> RecordType;
}

impl AsRecordType for RecordKind {
    fn record_type(self) -> RecordType {
        match self {
            Self::Txt => RecordType::TXT,
            Self::Cname => RecordType::CNAME,
        }
    }
}

/// The subject of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// The domain that is validated. Its settings say how visibility is judged.
    pub domain: &'a DomainName,
    /// The name of the record, in the domain; `None`: the domain itself.
    pub owner: Option<&'a RecordName>,
    /// The record's type and data.
    pub wanted: Wanted<'a>,
    /// A TXT value of a name below the domain may be where an alias of that name leads to, as CAs
    /// search for it. It has no meaning at the domain itself, nor for a CNAME.
    pub follow_aliases: bool,
    /// How long the record has been in the zone.
    pub published_for: std::time::Duration,
    /// What the provider says about its own name servers (mode `provider`).
    pub in_sync: InSync,
    /// A foreign writer writes the record at any time: only a check shows that it is there,
    /// whatever the mode.
    pub by_others: bool,
}

impl<'a> Question<'a> {
    /// A question about a TXT value at the domain itself that was just written.
    pub fn new(domain: &'a DomainName, value: &'a str) -> Self {
        Self {
            domain,
            owner: None,
            wanted: Wanted::Txt(value),
            follow_aliases: true,
            published_for: std::time::Duration::ZERO,
            in_sync: InSync::default(),
            by_others: false,
        }
    }

    /// A question about the record that the CA asks for, just written.
    pub fn of(domain: &'a DomainName, challenge: &'a Challenge) -> Self {
        Self {
            owner: Some(&challenge.owner),
            wanted: Wanted::from(&challenge.data),
            ..Self::new(domain, "")
        }
    }

    /// The name of the record.
    pub fn owner(&self) -> RecordName {
        self.owner
            .cloned()
            .unwrap_or_else(|| RecordName::from(self.domain))
    }

    /// Whether an alias at the record's name leads to the record.
    pub fn follows(&self) -> bool {
        let below = self
            .owner
            .is_some_and(|owner| owner.as_str() != self.domain.as_str());
        self.follow_aliases && below && self.wanted.kind() == RecordKind::Txt
    }
}

/// Whether a provider's own name servers have a change, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InSync {
    /// The provider says so.
    Yes,
    /// The provider says that not all of them have it.
    No,
    /// It was not asked, or cannot tell.
    #[default]
    Untold,
    /// The answer to the write was lost, and with it the provider's name for the change: no
    /// provider can be asked about it.
    Unnamed,
}

impl From<Option<bool>> for InSync {
    fn from(told: Option<bool>) -> Self {
        match told {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Untold,
        }
    }
}
