//! What there is to be told of, how severe each of it is, and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How severe something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the record.
    Info,
    /// A person should act within days.
    Warning,
    /// A person should act now.
    Critical,
}

/// The topic of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Domains that were validated once and are not any more.
    Lapsed,
    /// Proofs with less left than the critical margin.
    MarginCritical,
    /// The guard refuses to act.
    GuardTripped,
    /// A CA cannot be asked, or has not been for long.
    CaUnreachable,
    /// What a CA says that a person should know: a login that ends, a list with bad entries.
    CaWarning,
    /// Domains that wait for a person.
    Held,
    /// Domains whose way to the next proof does not continue.
    RenewalFailing,
    /// Proofs with less left than the warning margin.
    MarginWarning,
    /// Foreign TXT values changed while ours was beside them.
    ForeignTxtChanged,
    /// Certificates that count no more.
    CertificateExpired,
    /// Certificates that wait for a person.
    CertificateHeld,
    /// Certificates whose renewal, or whose deploy program, does not succeed.
    CertificateFailing,
    /// Registrations of domains that end soon, or have ended.
    RegistrationEnds,
    /// What `readiness` found; told by that command alone.
    Readiness,
    /// Persistent records that name servers lack, or that end soon.
    PersistentMissing,
    /// Persistent records that wait for a person, or whose provider fails.
    PersistentHeld,
    /// The state of everything, once a day.
    DailySummary,
    /// Only to try a sink.
    Test,
}

impl Severity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The word in the configuration and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Topic {
    /// What a sink may be told of, the most severe first.
    pub const ALL: [Self; 17] = [
        Self::Lapsed,
        Self::MarginCritical,
        Self::GuardTripped,
        Self::CaUnreachable,
        Self::CaWarning,
        Self::Held,
        Self::RenewalFailing,
        Self::MarginWarning,
        Self::ForeignTxtChanged,
        Self::CertificateExpired,
        Self::CertificateHeld,
        Self::CertificateFailing,
        Self::RegistrationEnds,
        Self::Readiness,
        Self::PersistentMissing,
        Self::PersistentHeld,
        Self::DailySummary,
    ];

    /// The word in the configuration and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lapsed => "lapsed",
            Self::MarginCritical => "margin_critical",
            Self::GuardTripped => "guard_tripped",
            Self::CaUnreachable => "ca_unreachable",
            Self::CaWarning => "ca_warning",
            Self::Held => "held",
            Self::RenewalFailing => "renewal_failing",
            Self::MarginWarning => "margin_warning",
            Self::ForeignTxtChanged => "foreign_txt_changed",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateHeld => "certificate_held",
            Self::CertificateFailing => "certificate_failing",
            Self::RegistrationEnds => "registration_ends",
            Self::Readiness => "readiness",
            Self::PersistentMissing => "persistent_missing",
            Self::PersistentHeld => "persistent_held",
            Self::DailySummary => "daily_summary",
            Self::Test => "test",
        }
    }

    /// How severe it is.
    pub fn severity(self) -> Severity {
        match self {
            Self::Lapsed
            | Self::MarginCritical
            | Self::GuardTripped
            | Self::CertificateExpired
            | Self::PersistentMissing => Severity::Critical,
            Self::CaUnreachable
            | Self::CaWarning
            | Self::Held
            | Self::RenewalFailing
            | Self::MarginWarning
            | Self::CertificateHeld
            | Self::CertificateFailing
            | Self::RegistrationEnds
            | Self::Readiness
            | Self::PersistentHeld
            | Self::ForeignTxtChanged => Severity::Warning,
            Self::DailySummary | Self::Test => Severity::Info,
        }
    }

    /// Whether it happened, and so cannot be over.
    pub fn is_event(self) -> bool {
        matches!(
            self,
            Self::ForeignTxtChanged | Self::DailySummary | Self::Test
        )
    }

    /// The graver topics of the same trouble. A domain that moves from this topic to one of them
    /// only got worse.
    pub fn graver(self) -> &'static [Self] {
        match self {
            Self::MarginWarning => &[Self::MarginCritical, Self::Lapsed],
            Self::MarginCritical => &[Self::Lapsed],
            Self::PersistentHeld => &[Self::PersistentMissing],
            _ => &[],
        }
    }

    /// One of them, and several.
    pub(super) fn nouns(self) -> (&'static str, &'static str) {
        match self {
            Self::Lapsed => (
                "domain is no longer validated",
                "domains are no longer validated",
            ),
            Self::MarginCritical => ("proof ends very soon", "proofs end very soon"),
            Self::GuardTripped => ("refusal by the guard", "refusals by the guard"),
            Self::CaUnreachable => (
                "client whose CA cannot be asked",
                "clients whose CA cannot be asked",
            ),
            Self::CaWarning => ("warning about a CA", "warnings about CAs"),
            Self::Held => ("held domain", "held domains"),
            Self::RenewalFailing => ("failing renewal", "failing renewals"),
            Self::MarginWarning => ("proof ends soon", "proofs end soon"),
            Self::ForeignTxtChanged => (
                "name where foreign TXT values changed",
                "names where foreign TXT values changed",
            ),
            Self::CertificateExpired => {
                ("certificate counts no more", "certificates count no more")
            }
            Self::CertificateHeld => ("held certificate", "held certificates"),
            Self::CertificateFailing => ("failing certificate", "failing certificates"),
            Self::RegistrationEnds => (
                "registration of a domain ends",
                "registrations of domains end",
            ),
            Self::Readiness => ("domain is not ready", "domains are not ready"),
            Self::PersistentMissing => (
                "persistent record is missing or ends soon",
                "persistent records are missing or end soon",
            ),
            Self::PersistentHeld => ("held persistent record", "held persistent records"),
            Self::DailySummary | Self::Test => ("domain", "domains"),
        }
    }

    /// The hint.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Lapsed | Self::MarginCritical | Self::MarginWarning | Self::RenewalFailing => {
                "`prevalidate diagnose DOMAIN` says what blocks it."
            }
            Self::GuardTripped => {
                "Nothing is done there until it is clear: check the CA and the configuration first; if it is meant so, \
                 `prevalidate run --force` acts all the same."
            }
            Self::CaUnreachable => {
                "Proofs cannot be renewed meanwhile; `prevalidate status` says how long each of them still counts."
            }
            Self::CaWarning => {
                "Proofs are kept meanwhile. `prevalidate doctor` says whether the login works, and \
                 `prevalidate history` has the warning."
            }
            Self::Held => {
                "What is held is tried again by itself; at once with `prevalidate run --domain DOMAIN`. \
                 `prevalidate diagnose DOMAIN` says what blocks it."
            }
            Self::ForeignTxtChanged => {
                "It was not done here: only values of the CA are ever written or removed. Tell the administrator of the zone; \
                 `prevalidate history DOMAIN` says what was done when."
            }
            Self::CertificateExpired | Self::CertificateHeld | Self::CertificateFailing => {
                "`prevalidate certificate show NAME` says what blocks it; \
                 `prevalidate certificate issue NAME` tries again what is held."
            }
            Self::RegistrationEnds => {
                "Renew it at its registrar: when it lapses, another party may register the domain."
            }
            Self::Readiness => "`prevalidate readiness DOMAIN` shows what to change.",
            Self::PersistentMissing | Self::PersistentHeld => {
                "`prevalidate persistent list` says why; `prevalidate persistent scan` says what \
                 name servers have."
            }
            Self::DailySummary | Self::Test => "",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
