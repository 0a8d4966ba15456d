//! A sender of signed hooks.

use std::sync::Arc;

use super::signature::{Claim, Scheme};
use crate::prevalidation::DomainName;
use crate::webhook::Secret;

/// A sender of signed hooks: one `[[server.hook_key]]`.
#[derive(Debug, Clone)]
pub struct Key {
    pub(super) name: Arc<str>,
    scheme: Scheme,
    secrets: Vec<Secret>,
    pub(super) zones: Arc<[DomainName]>,
}

impl Key {
    /// A key with its secrets, two of them while they roll over. `zones`: what it may name, with
    /// everything below; empty: anything.
    pub fn new(name: &str, scheme: Scheme, secrets: Vec<Secret>, zones: Vec<DomainName>) -> Self {
        Self {
            name: name.into(),
            scheme,
            secrets,
            zones: zones.into(),
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a sender that knows a secret of one could sign for the other.
    pub fn shares_a_secret_with(&self, other: &Self) -> bool {
        self.secrets
            .iter()
            .any(|secret| other.secrets.iter().any(|known| known.is(secret)))
    }

    pub(super) fn signed(&self, claim: &Claim<'_>, body: &[u8]) -> bool {
        self.scheme == claim.scheme
            && self
                .secrets
                .iter()
                .fold(false, |found, secret| claim.is_by(secret, body) | found)
    }
}
