//! A kind of CA, as the sandbox sees it: its name, its switches, how one is started, and its sections
//! of a configuration.

use std::any::Any;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;
use rand::distr::{Alphanumeric, SampleString};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::clock::ShiftedClock;
use super::dns::Dns;
use super::secret::{about, write_secret};
use super::service::NameServers;
use crate::prevalidation::DomainName;

/// A kind of CA, as the sandbox sees it.
pub struct Kind {
    /// What `--ca-kind` takes, and `kind` in the configuration.
    pub name: &'static str,
    /// The switches that are explained: each with the values it takes, the default first, and with
    /// what it means.
    pub explained: &'static [(&'static str, &'static str, &'static str)],
    /// Every switch with its default.
    pub switches: fn() -> Value,
    /// Sets one of these switches by its name.
    pub set: fn(&Value, &str, &str) -> Result<Value, String>,
    /// Starts a CA that behaves as the switches say and whose client has the domains.
    pub start: Start,
}

/// Starts a CA.
pub type Start = for<'a> fn(Table<'a>, Value) -> BoxFuture<'a, io::Result<Arc<dyn Guest>>>;

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kind").field(&self.name).finish()
    }
}

/// A CA of a sandbox, while it runs.
pub trait Guest: Any + fmt::Debug + Send + Sync {
    /// Where it is called.
    fn url(&self) -> String;

    /// Stops taking connections.
    fn stop(&self);

    /// The sections `[ca.…]` and `[[client]]`.
    fn sections(&self, directory: &Path, domains: &[DomainName]) -> String;

    /// Where it shows what it knows, for people.
    fn back_door(&self) -> Option<String> {
        None
    }
}

/// The parts that start a CA of a sandbox.
#[derive(Debug)]
pub struct Table<'a> {
    /// For its secret and its root.
    pub directory: &'a Path,
    /// Where to listen; port 0: any.
    pub listen: SocketAddr,
    /// The secret of the account; none: a random one.
    pub key: Option<SecretString>,
    /// The time of all.
    pub clock: Arc<ShiftedClock>,
    /// The name servers of all.
    pub dns: Arc<Dns>,
    /// The domains of its client.
    pub domains: &'a [DomainName],
    /// Of all randomness.
    pub seed: u64,
}

impl Table<'_> {
    /// The secret of the account, written into a file that only its owner reads.
    pub(super) fn secret(&self, file: &str, length: usize) -> io::Result<SecretString> {
        let random = || SecretString::from(Alphanumeric.sample_string(&mut rand::rng(), length));
        let secret = self.key.clone().unwrap_or_else(random);
        write_secret(&self.directory.join(file), secret.expose_secret())?;
        Ok(secret)
    }

    /// The root that a client of the certificates must trust.
    pub(super) fn write_root(&self, file: &str, pem: &str) -> io::Result<()> {
        let path = self.directory.join(file);
        std::fs::write(&path, pem).map_err(|error| about(error, "write the root", path.display()))
    }

    /// The name servers that are asked about a name.
    pub(super) fn name_servers(&self) -> NameServers {
        let zones = Arc::clone(&self.dns);
        Arc::new(move |name| zones.servers_for(name))
    }

    /// Says of what starts at this address why it does not.
    pub(super) fn listening<T>(&self, of: &str, started: io::Result<T>) -> io::Result<T> {
        started.map_err(|error| about(error, &format!("listen for {of} on"), self.listen))
    }
}

/// The section of the client that has the domains.
pub(super) fn client_section(ca: &str, name: &str, domains: &[DomainName]) -> String {
    // Arrays of strings are written alike in JSON and TOML.
    format!(
        "[[client]]\nca = \"{ca}\"\nname = \"{name}\"\nprovider = \"sandbox\"\ndomains = {}\n",
        json!(domains)
    )
}

/// A path in a configuration.
pub(super) fn path_of(directory: &Path, file: &str) -> Value {
    // Strings are written alike in JSON and TOML.
    json!(directory.join(file).display().to_string())
}
