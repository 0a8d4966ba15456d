//! What an adapter brings to the list of kinds: its name, its keys, and how its table is read and
//! turned into a provider.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use prevalidate_kit::pace::Pace;
use prevalidate_kit::table::Reader;

use crate::provider::{LiveNameServers, Provider, ProviderError};

/// The time of day, for signatures.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A kind of provider.
pub(crate) struct Kind {
    /// As it is in the configuration: `rfc2136`.
    pub(crate) name: &'static str,
    /// The keys of its table beside `kind`.
    pub(crate) keys: &'static [&'static [&'static str]],
    /// Reads the table; what is wrong with it is noted there.
    pub(crate) read: fn(&mut Reader<'_>) -> Option<Arc<dyn Table>>,
}

/// A checked table; no secret has been read yet.
pub(crate) trait Table: fmt::Debug + Send + Sync {
    /// Reads the secrets and makes the provider.
    ///
    /// # Errors
    /// What is wrong with which secret, never the secret.
    fn build(&self, world: &World) -> Result<Arc<dyn Provider>, ProviderError>;
}

/// The surroundings of a provider beside its table.
pub(crate) struct World {
    /// The clock of signatures.
    pub(crate) now: Now,
    /// What a zone is delegated to, for adapters that see several zones of one name.
    pub(crate) live: Option<LiveNameServers>,
    /// Asked before each call of an adapter that has a `rate`: other processes use the credentials
    /// as well.
    pub(crate) pace: Option<Pace>,
}
