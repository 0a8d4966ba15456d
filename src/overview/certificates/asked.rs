//! What people and programs ask about the state of a certificate.

use jiff::{SignedDuration, Timestamp};

use super::{CertificateState, CertificateView};
use crate::issuance::Step;
use crate::prevalidation::name::is_within;

impl CertificateView {
    /// The word in tables: one that servers cannot use is not called valid.
    pub fn word(&self) -> &'static str {
        match self.state {
            CertificateState::Unmanaged => self.state.as_str(),
            _ if self.held => "held",
            _ if self.damaged => "damaged",
            _ => self.state.as_str(),
        }
    }

    /// Whether a person must do something, something fails, or servers have no certificate that
    /// counts. `status`, `check`, the metrics and the page all ask this.
    pub fn needs_attention(&self) -> bool {
        let is_bad = matches!(
            self.state,
            CertificateState::Expired | CertificateState::Missing | CertificateState::Revoked
        );
        let is_open = self.held
            || self.failing
            || self.damaged
            || self.loose
            || self.late
            || self.doubt.is_some()
            || self.next == Step::Prove.as_str();
        let is_managed = self.state != CertificateState::Unmanaged;
        is_managed && (is_bad || is_open) || self.record_left.is_some() || self.revoking
    }

    /// How much of its life is left.
    pub fn left(&self, now: Timestamp) -> Option<SignedDuration> {
        Some(self.not_after?.duration_since(now))
    }

    /// Whether it depends on the proof of a domain at this client (`CA/SELECTOR`): it is ordered
    /// there, and one of its names is the domain or is below it.
    pub fn hangs_on(&self, domain: &str, client: &str) -> bool {
        let own = self.client.as_ref();
        own.is_some_and(|own| format!("{}/{own}", self.ca) == client)
            && self.names.iter().any(|name| {
                let name = name.strip_prefix("*.").unwrap_or(name);
                let host = name.rsplit_once('@').map_or(name, |(_, host)| host);
                is_within(host, domain)
            })
    }

    /// The same where its bundle could not be written at the renewal.
    pub(super) fn without_its_password(self, why: Option<String>) -> Self {
        let Some(why) = why.filter(|_| self.state != CertificateState::Unmanaged) else {
            return self;
        };
        // What is wrong already is reported first.
        let reason = match self.needs_attention() {
            true => self.reason,
            false => why,
        };
        Self {
            reason,
            doubt: self.doubt.or(Some("cannot be renewed")),
            ..self
        }
    }
}
