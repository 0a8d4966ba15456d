//! What the job works with, and how it goes about it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::SignedDuration;
use prevalidate_providers::Provider;

use crate::ca::{Issuing, Validation};
use crate::clock::Clock;
use crate::propagation::DnsChecker;
use crate::store::Store;

/// Everything outside that the job touches.
#[derive(Debug, Clone)]
pub struct IssuePorts {
    /// The accounts by `[ca.NAME]`, for finding clients.
    pub cas: BTreeMap<String, Arc<dyn Validation>>,
    /// Those that issue.
    pub issuers: BTreeMap<String, Arc<dyn Issuing>>,
    /// The providers by `[provider.NAME]`, for records that an order brings with it.
    pub providers: BTreeMap<String, Arc<dyn Provider>>,
    /// The gate, for the same.
    pub checker: Option<Arc<dyn DnsChecker>>,
    /// The store, which survives a crash.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl IssuePorts {
    /// The ports that an upkeep worker has, with those of its accounts that issue.
    pub fn of(ports: &crate::worker::Ports) -> Self {
        let issuers = ports.cas.iter();
        let issuers =
            issuers.filter_map(|(name, ca)| Some((name.clone(), Arc::clone(ca).issuing()?)));
        Self {
            issuers: issuers.collect(),
            cas: ports.cas.clone(),
            providers: ports.providers.clone(),
            checker: Some(Arc::clone(&ports.checker)),
            store: Arc::clone(&ports.store),
            clock: Arc::clone(&ports.clock),
        }
    }
}

/// How the job goes about it.
#[derive(Debug, Clone)]
pub struct IssueOptions {
    /// Names this worker in leases.
    pub holder: String,
    /// The file of the configuration, for the people who find this worker at work.
    pub configuration: PathBuf,
    /// Names this run in the history.
    pub run: String,
    /// Only these certificates.
    pub only: Option<Vec<String>>,
    /// How long a lease lives without being extended.
    pub lease: SignedDuration,
    /// The directory that certificates are kept in.
    pub directory: PathBuf,
    /// What the directory is called in the store: the same on every machine that shares it.
    pub home: String,
    /// The name of this machine.
    pub host: String,
    /// Whether other machines may use the store, with directories of their own.
    pub shares: bool,
    /// The host of each `[ca.NAME]`: its certificates are not put in the place of those of a CA at
    /// another one.
    pub hosts: BTreeMap<String, String>,
    /// Why certificates of the configuration cannot be worked on, by name: nothing is ordered for
    /// them, and what was ordered is followed.
    pub faults: BTreeMap<String, String>,
    /// How many certificates are worked on at once.
    pub lanes: usize,
    /// The policy only observes: nothing is ordered, installed, revoked or told to servers.
    pub observes: bool,
    /// Whether orders are made. If not, only existing orders are followed to their end.
    pub orders: bool,
    /// Whether only a revocation is seen to its end: then the job ends. What else is due is left to the
    /// next run.
    pub only_revokes: bool,
}
