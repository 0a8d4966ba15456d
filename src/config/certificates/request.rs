//! The file of a request. The request may be another one tomorrow. A fault of the request affects
//! its certificate only, and is reported with all other faults.

use std::path::PathBuf;

use super::one::One;
use super::{UnusableCertificate, weakness};
use crate::ca::csr::Csr;
use crate::config::bounded;

impl One<'_> {
    /// Told after [`One::read`] where its request cannot be used.
    pub(super) fn unusable(&self) -> Option<UnusableCertificate> {
        let faults = self.request.take();
        let section = self.section;
        let name = section.peek("name").filter(|_| !faults.is_empty())?;
        let only = || self.cas.keys().next().cloned();
        let ca = section.peek("ca").map(str::to_owned).or_else(only);
        Some(UnusableCertificate {
            name: name.to_owned(),
            ca: ca.unwrap_or_default(),
            faults,
        })
    }

    pub(super) fn bad_request(&self, message: impl Into<String>) {
        let fault = self.section.put_off("csr", message);
        self.request.borrow_mut().push(fault);
    }

    pub(super) fn csr(&self) -> Option<(PathBuf, Csr)> {
        let section = self.section;
        let path = section.path("csr")?;
        let bytes = match bounded(&path) {
            Ok(bytes) => bytes,
            Err(cause) => {
                self.bad_request(format!("{}: {cause}", path.display()));
                return None;
            }
        };
        let csr = match Csr::read(&bytes) {
            Ok(csr) => csr,
            Err(why) => {
                self.bad_request(format!("{}: {why}", path.display()));
                return None;
            }
        };
        if let Some(why) = weakness(csr.key()) {
            self.bad_request(format!("{}: {why}", path.display()));
        }
        Some((path, csr))
    }
}
