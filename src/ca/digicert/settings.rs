//! What an account at DigiCert CertCentral needs to be reached, and what is refused before anything
//! is sent.

use std::fmt;

use super::record::{Form, Label};
use crate::ca::http::{Reach, SecretReader, is_loopback};
use crate::ca::validation::Method;
use crate::ca::{CaError, ClientSelector, Failure};

/// The instance in the United States.
pub const URL: &str = "https://www.digicert.com/services/v2";
/// The instance in the European Union, which has keys of its own.
pub const URL_EU: &str = "https://certcentral.digicert.eu/services/v2";

/// DigiCert takes 1000 calls in 3 minutes, and 100 in 5 seconds (DigiCert, "Rate limits").
const MOST_RATE: f64 = 1000.0 / 180.0;

/// The types of validation that an organisation can have for a domain. DigiCert takes lower case
/// only.
pub(super) const TYPES: [&str; 4] = ["ov", "ev", "cs", "ev_cs"];

/// One account.
#[derive(Clone)]
pub struct Settings {
    /// Where and how; the base is [`URL`] or [`URL_EU`].
    pub reach: Reach,
    /// The API key.
    pub api_key: SecretReader,
    /// The record by which domains are validated.
    pub method: Method,
    /// Where a TXT record is.
    pub label: Label,
    /// Whether orders and revocations go without the approval of an administrator, which is for keys
    /// that may approve.
    pub skip_approval: bool,
    /// The configuration of organisations.
    pub organisations: Vec<(ClientSelector, Organisation)>,
}

/// The configuration of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Whether a missing domain is created.
    pub creates: bool,
    /// For which types of validation domains are submitted: `ov`, `ev`.
    pub validations: Vec<String>,
}

impl Organisation {
    /// Whether `text` is a type of validation.
    ///
    /// # Errors
    /// The allowed values.
    pub fn check_type(text: &str) -> Result<(), &'static str> {
        if TYPES.contains(&text) {
            Ok(())
        } else {
            Err("must be one of ov, ev, cs, ev_cs, in lower case")
        }
    }
}

impl Settings {
    /// Refuses what cannot work.
    pub(super) fn check(&self) -> Result<(), CaError> {
        let refused = |what: &str| {
            let what = format!("{}: {what}", self.reach.name);
            Err(CaError::new(Failure::Settings, what))
        };
        if self.method == Method::Cname && self.label == Label::Apex {
            return refused(
                "`label = \"apex\"` is for TXT records: a CNAME at the domain would hide every other record there",
            );
        }
        // A sandbox on this machine may be asked faster.
        if self.reach.rate > MOST_RATE && is_loopback(&self.reach.base) == Some(false) {
            return refused(
                "`rate` is more than DigiCert allows, 1000 calls in 3 minutes: write at most \"5/s\"",
            );
        }
        for (selector, organisation) in &self.organisations {
            let wrong = organisation.validations.iter();
            let wrong = wrong.filter_map(|one| Organisation::check_type(one).err());
            if let Some(why) = wrong.into_iter().next() {
                return refused(&format!("`validations` of organisation {selector} {why}"));
            }
        }
        Ok(())
    }

    /// How records are made of tokens.
    pub(super) fn form(&self) -> Form {
        Form {
            method: self.method,
            label: self.label,
        }
    }
}

/// Not the key.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.reach.name)
            .field("host", &self.reach.base.host_str())
            .field("method", &self.method)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}
