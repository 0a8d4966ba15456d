//! The configuration: found, read once, checked as a whole. All its faults come at once, with file,
//! line and key, and none shows a value that may be a secret.
//!
//! [`find`] says which file, [`load`] makes [`Settings`] of it, [`names`] reads lists of names from
//! files and pipes. `config/prevalidate.toml` is the reference; a test holds it against the reader.

mod ca;
mod certificates;
mod clients;
mod fault;
mod files;
mod find;
mod hooks;
pub mod names;
mod notify;
mod persistent;
mod policy;
mod propagation;
mod quantity;
mod rdap;
mod read;
mod rows;
mod server;
mod show;
pub mod starter;
#[cfg(test)]
mod tests;
mod tree;
mod trust;
mod urls;
mod values;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use prevalidate_kit::secret::SecretSource;
use serde_json::{Map, Value};
use url::Url;

pub use certificates::{
    CertificateSettings, CertificatesSettings, KeySettings, UnusableCertificate, names_of,
    read_host, weakness,
};
pub use fault::{ConfigError, Fault, nearest};
use find::bounded;
pub use find::{ENV, Found, find, find_file, load, load_as_written};
pub use hooks::{HookKeySettings, HookKind};
pub use notify::{NotifyBy, NotifySettings};
pub use persistent::PersistentSettings;
pub use policy::PolicySettings;
pub use propagation::PropagationSettings;
pub use quantity::{Rate, duration, show_duration};
pub use rdap::RdapSettings;
pub use read::MEMORY;
pub use server::{ServerSettings, TlsSettings, TokenRole, TokenSettings};
pub use worker::WorkerSettings;

use crate::ca::ClientSelector;
use crate::ca::registry::Adapter;
use crate::ca::settings::Values;
use crate::prevalidation::{DomainName, Purpose};

/// In the place of a provider's name: the one that has the zone. The default.
pub const AUTO: &str = "auto";

/// A whole configuration, checked: every reference leads somewhere, every number is within its
/// bounds, every name is a domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The file it was read from, absolute.
    pub file: PathBuf,
    /// `[policy]`
    pub policy: PolicySettings,
    /// `[store]` `url`: `sqlite:` and an absolute path, `sqlite::memory:`, or `postgres://…`
    /// without a password.
    pub store_url: String,
    /// `[store]` `password`, for a database that wants one.
    pub store_password: Option<SecretSource>,
    /// `[ca.NAME]`, at least one.
    pub cas: BTreeMap<String, CaSettings>,
    /// `[[client]]`, in the order of the file.
    pub clients: Vec<ClientSettings>,
    /// `[provider.NAME]`
    pub providers: BTreeMap<String, ProviderTable>,
    /// `[propagation]`
    pub propagation: PropagationSettings,
    /// `[worker]`
    pub worker: WorkerSettings,
    /// `[server]`; `None`: nothing listens.
    pub server: Option<ServerSettings>,
    /// `[rdap]`; `None`: no registry is asked.
    pub rdap: Option<RdapSettings>,
    /// `[[notify]]`, in the order of the file.
    pub notify: Vec<NotifySettings>,
    /// `[certificates]`, `[[certificate]]` and `[[contact]]`
    pub certificates: CertificatesSettings,
    /// `[[persistent]]`, in the order of the file.
    pub persistent: Vec<PersistentSettings>,
    /// The remarks that are no faults.
    pub notices: Vec<Fault>,
    /// Lines of a `domains_file` that name no domain. The domains of the other lines are kept, and
    /// while there is such a line no domain leaves the inventory: the bad line may have meant it.
    pub left_out: Vec<Fault>,
    /// Files of certificates and of trust anchors that are there and cannot be used. Only
    /// [`load_as_written`] leaves any here.
    pub unusable: Vec<Fault>,
    /// The lines of keys whose files and secrets are read later; see [`Settings::line_of`].
    lines: BTreeMap<String, usize>,
}

/// `[ca.NAME]`: an account at a CA.
#[derive(Debug, Clone, PartialEq)]
pub struct CaSettings {
    /// The kind of CA.
    pub kind: &'static Adapter,
    /// `https`, or `http` to a loopback address.
    pub url: Url,
    /// The most calls in a stretch of time.
    pub rate: Rate,
    /// Whether a TXT value below a domain may be where an alias of its name leads.
    pub follow_aliases: bool,
    /// What the CA is called in CAA records; at least one name.
    pub caa_names: Vec<String>,
    /// Root certificates in PEM instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy; the environment's proxies are never used.
    pub proxy: Option<Url>,
    /// User and password, for a proxy that asks for them.
    pub proxy_login: Option<(String, SecretSource)>,
    /// The settings of the kind itself, with their defaults.
    pub values: Values,
}

/// `[[client]]`: the CA's grouping, and which domains belong there.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSettings {
    /// The `[ca.NAME]` it belongs to.
    pub ca: String,
    /// The client at that CA.
    pub selector: ClientSelector,
    /// The `[provider.NAME]` of domains that name none: those of its lists, and those added beside
    /// the configuration. `None`: whichever has the zone.
    pub provider: Option<String>,
    /// Its domains, each once in the whole configuration.
    pub domains: Vec<ClientDomain>,
    /// What its proofs are for, where the CA keeps several ends of a proof apart.
    pub purpose: Purpose,
    /// What the kind of CA wants to know of a client, with the defaults.
    pub values: Values,
}

/// A domain that is to be kept prevalidated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientDomain {
    /// The name.
    pub name: DomainName,
    /// The `[provider.NAME]` that writes its zone: its own, else the client's. `None`: whichever
    /// has the zone.
    pub provider: Option<Arc<str>>,
}

/// `[provider.NAME]`, as it is; its adapter reads it. Paths in it are absolute.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderTable {
    /// The line of its heading.
    pub line: usize,
    /// All keys, `kind` among them; secrets as their sources.
    pub table: Map<String, Value>,
    /// The line of each key.
    pub lines: BTreeMap<String, usize>,
}

impl Settings {
    /// The line of a key that names a file or a secret: `ca.swisssign.api_key`, or
    /// `server.token.secret of NAME` where the table has a name of its own.
    pub fn line_of(&self, key: &str) -> Option<usize> {
        self.lines.get(key).copied()
    }

    /// The key with file and line, as faults begin.
    pub fn place(&self, key: &str) -> String {
        let file = self.file.display();
        match self.line_of(key) {
            Some(line) => format!("{file}:{line}: {key}"),
            None => format!("{file}: {key}"),
        }
    }

    /// The effective settings with all defaults, as a configuration again; secrets only as their
    /// sources.
    pub fn redacted_toml(&self) -> String {
        show::toml(self)
    }

    /// Whether every CA of it is on this machine.
    pub fn is_sandboxed(&self) -> bool {
        self.cas.values().all(|ca| urls::is_loopback(&ca.url))
    }
}
