//! All that is known about one domain when a decision is due, and the state that people see.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ledger::{LedgerEntry, LedgerState};
use super::name::DomainName;
use super::registration::Registration;
use super::reuse::ReuseTable;
use super::upkeep::{Stage, Upkeep};

/// The known state of a domain at the CA.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sighting {
    /// The CA was not asked yet.
    #[default]
    Unread,
    /// The CA was asked and does not know it.
    Absent,
    /// The CA's entry.
    Present(Registration),
    /// It was known under this reference and a list did not show it: only a read of the reference
    /// can tell (faults C11).
    Missing(Registration),
}

impl Sighting {
    /// See [`Registration::keep_first_seen`].
    pub fn keep_first_seen(&mut self, before: &Self) {
        if let Self::Present(registration) = self {
            registration.keep_first_seen(before.registration());
        }
    }

    /// The entry, while there is one.
    pub fn registration(&self) -> Option<&Registration> {
        match self {
            Self::Present(registration) | Self::Missing(registration) => Some(registration),
            Self::Unread | Self::Absent => None,
        }
    }
}

/// All that is known about one domain when a decision is due. Kept from last week, it gives last
/// week's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The domain.
    pub domain: DomainName,
    /// Whether the inventory still wants it.
    pub desired: bool,
    /// A registered or desired domain above it that makes its own registration needless.
    pub covered_by: Option<DomainName>,
    /// Whether a provider is configured for it.
    pub has_provider: bool,
    /// The last words of the CA.
    pub sighting: Sighting,
    /// When that was.
    pub read_at: Option<Timestamp>,
    /// The stored state of its way to proofs.
    #[serde(rename = "attempt")]
    pub upkeep: Upkeep,
    /// Its open ledger entries.
    pub ledger: Vec<LedgerEntry>,
}

/// The states that people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Wanted, and not yet known to be registered.
    New,
    /// Registered, on its way to its first proof.
    Pending,
    /// A proof counts and nothing is to be done.
    Valid,
    /// A proof counts and the next one is on its way.
    Renewing,
    /// It was proven once, and no proof counts any more.
    Expired,
    /// Waiting for a person; the reason says for what.
    Held,
    /// At the CA and not in the inventory, or no longer.
    Unmanaged,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::New,
        Self::Pending,
        Self::Valid,
        Self::Renewing,
        Self::Expired,
        Self::Held,
        Self::Unmanaged,
    ];

    /// The word in tables, JSON and `--state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Pending => "pending",
            Self::Valid => "valid",
            Self::Renewing => "renewing",
            Self::Expired => "expired",
            Self::Held => "held",
            Self::Unmanaged => "unmanaged",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Observed {
    /// When the current proof stops counting, while there is one that counts at `now`.
    pub fn usable_until(&self, reuse: &ReuseTable, now: Timestamp) -> Option<Timestamp> {
        self.sighting
            .registration()
            .and_then(|registration| registration.usable_until(reuse, now))
    }

    /// The state that people see.
    pub fn state(&self, reuse: &ReuseTable, now: Timestamp) -> State {
        if !self.desired {
            return State::Unmanaged;
        }
        if self.upkeep.setback.hold.is_some() {
            return State::Held;
        }
        if self.usable_until(reuse, now).is_some() {
            return if self.upkeep.attempt.since.is_some() {
                State::Renewing
            } else {
                State::Valid
            };
        }
        match self.sighting.registration() {
            _ if self.was_proven() => State::Expired,
            None => State::New,
            Some(_) => State::Pending,
        }
    }

    /// How far the attempt has come, while there is one.
    pub fn stage(&self) -> Option<Stage> {
        let upkeep = &self.upkeep;
        upkeep.attempt.since?;
        let published = self.ledger.iter().any(|entry| {
            upkeep.attempt.value.as_deref() == Some(entry.value.as_str())
                && matches!(entry.state, LedgerState::Published | LedgerState::Foreign)
                && !entry.is_awaited()
        });
        Some(match () {
            () if upkeep.attempt.submission.submitted_at.is_some() => Stage::Submitted,
            () if upkeep.attempt.visibility.visible_at.is_some() => Stage::Visible,
            () if published => Stage::Published,
            () => Stage::Registered,
        })
    }
}
