//! The record that the model of a CA asks for, and whether the name servers have it.

use prevalidate::clock::Clock;
use prevalidate::prevalidation::{Challenge, Counts, DomainName};

use super::ca::{Course, Entry, ModelCa};

/// The record by which it validates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// A TXT value at the domain itself.
    #[default]
    Domain,
    /// A CNAME at a label of its own for each random value, as at Sectigo.
    OwnLabel,
    /// A CNAME at one label for all random values, as at DigiCert.
    OneLabel,
}

/// What every random value begins with, in a TXT record.
pub const OURS: &str = "swiss-pki=";
/// Where every CNAME points.
pub const TARGETS: &str = "model.test";

impl ModelCa {
    /// The record that the CA checks now.
    pub fn wanted(&self, entry: &Entry) -> Challenge {
        let (domain, value) = (&entry.domain, &entry.token);
        let number = value.trim_start_matches(OURS);
        let owner = match self.shape {
            Shape::Domain => {
                return Challenge::txt(domain, domain.as_str(), value, Counts::Published).unwrap();
            }
            Shape::OwnLabel => format!("_{number}.{domain}"),
            Shape::OneLabel => format!("_dnsauth.{domain}"),
        };
        let target = format!("{number}.{TARGETS}");
        Challenge::cname(domain, &owner, &target, Counts::Published).unwrap()
    }

    /// Whether the name servers have that record.
    pub(super) fn sees(&self, entry: &Entry) -> bool {
        let wanted = self.wanted(entry);
        let seen = (self.eyes)(wanted.owner.as_str());
        seen.iter()
            .any(|data| data == wanted.data.as_str().as_bytes())
    }

    /// A colleague begins the validation again in the portal: the random value that is there dies.
    pub fn begin_anew(&self, domain: &DomainName) {
        let (now, by_orders) = (self.clock.now(), self.by_orders);
        let mut guard = self.state.lock().unwrap();
        self.settle(&mut guard);
        let state = &mut *guard;
        let mut entries = state.entries.values_mut();
        let Some(entry) = entries.find(|entry| entry.domain == *domain) else {
            return;
        };
        state.serial += 1;
        entry.token = format!("{OURS}model{:020}", state.serial);
        entry.token_at = now;
        if by_orders {
            entry.order = Some(Course {
                id: state.serial.to_string(),
                submitted: None,
            });
        }
    }
}
