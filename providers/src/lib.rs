//! DNS providers of `prevalidate`: they put TXT values beside what is in a zone, and CNAMEs where
//! nothing is, and take exactly those away again.
//!
//! [`record`] holds the values, [`provider`] the contract, [`conformance`] the cases every adapter
//! must pass. A new provider is one file here, one variant in [`settings`] and one subject in the
//! conformance test.

#[cfg(feature = "autodns")]
pub mod autodns;
pub mod causes;
#[cfg(feature = "cloudflare")]
pub mod cloudflare;
pub mod conformance;
pub mod dial;
mod difference;
#[cfg(feature = "exec")]
pub mod exec;
#[cfg(any(feature = "autodns", feature = "cloudflare"))]
mod http;
pub mod json;
pub mod manual;
pub mod memory;
pub mod pace;
pub mod presentation;
pub mod provider;
#[cfg(any(feature = "autodns", feature = "cloudflare", feature = "route53"))]
mod recent;
pub mod record;
#[cfg(any(feature = "autodns", feature = "cloudflare"))]
mod records;
pub mod rfc2136;
#[cfg(feature = "route53")]
pub mod route53;
pub mod secret;
pub mod settings;
pub mod trust;
#[cfg(any(feature = "autodns", feature = "cloudflare", feature = "route53"))]
mod wish;

pub use provider::{ErrorKind, Preflight, Provider, ProviderError};
pub use record::{Receipt, Record, RecordData, RecordKind, TxtRecord, TxtRrset, Zone};
