//! DNS providers of `prevalidate`: they put TXT values beside what is in a zone and take exactly those away again.
//!
//! [`record`] holds the values, [`provider`] the contract, [`conformance`] the cases every adapter must pass.
//! A new provider is one file here, one variant in [`settings`] and one subject in the conformance test.

pub mod conformance;
mod difference;
#[cfg(feature = "exec")]
pub mod exec;
pub mod manual;
pub mod memory;
pub mod presentation;
pub mod provider;
pub mod record;
pub mod rfc2136;
pub mod secret;
pub mod settings;

pub use provider::{ErrorKind, Preflight, Provider, ProviderError};
pub use record::{Receipt, TxtRecord, TxtRrset, TxtValue, Zone};
