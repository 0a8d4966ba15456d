//! DNS providers of `prevalidate`: they put TXT values beside what is in a zone, and CNAMEs where
//! nothing is, and take exactly those away again.
//!
//! [`record`] holds the values, [`provider`] the contract, [`conformance`] the cases every adapter
//! must pass. A new provider is one folder with its `KIND`, its name below, one line in [`registry`]
//! and one subject in the conformance test.

#[cfg(feature = "autodns")]
pub mod autodns;
#[cfg(feature = "cloudflare")]
pub mod cloudflare;
pub mod conformance;
mod difference;
mod edit;
#[cfg(feature = "exec")]
pub mod exec;
mod kind;
pub mod manual;
pub mod memory;
pub mod presentation;
pub mod provider;
mod queues;
#[cfg(any(feature = "autodns", feature = "cloudflare", feature = "route53"))]
mod recent;
pub mod record;
#[cfg(any(feature = "autodns", feature = "cloudflare"))]
mod records;
pub mod registry;
pub mod rfc2136;
#[cfg(feature = "route53")]
pub mod route53;

pub use kind::Now;
pub use provider::{ErrorKind, Preflight, Provider, ProviderError};
pub use record::{Receipt, Record, RecordData, RecordKind, TxtRecord, TxtRrset, Zone};
