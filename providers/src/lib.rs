//! DNS providers of `prevalidate`: they put TXT values beside what is in a zone and take exactly those away again.
//!
//! [`record`] holds the values, [`provider`] the contract, [`conformance`] the cases every adapter must pass.
//! A new provider is one file here, one variant in [`settings`] and one subject in the conformance test.

pub mod conformance;
pub mod memory;
pub mod provider;
pub mod record;
pub mod rfc2136;
#[cfg(feature = "route53")]
pub mod route53;
pub mod secret;
pub mod settings;
#[cfg(feature = "route53")]
mod wish;

pub use provider::{ErrorKind, Preflight, Provider, ProviderError};
pub use record::{Receipt, TxtRecord, TxtRrset, TxtValue, Zone};
