//! The configuration: found, read once, checked as a whole. All its faults come at once, with file,
//! line and key, and none shows a value that may be a secret.
//!
//! [`find`] says which file, [`load`] makes [`Settings`] of it, [`names`] reads lists of names from
//! files and pipes. `config/prevalidate.toml` is the reference; a test holds it against the reader.

mod clients;
mod fault;
mod hooks;
pub mod names;
mod notify;
mod quantity;
mod read;
mod server;
mod show;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use prevalidate_providers::secret::SecretSource;
use serde_json::{Map, Value};
use url::Url;

pub use fault::{ConfigError, Fault, nearest};
pub use hooks::{HookKeySettings, HookKind};
pub use notify::{NotifyBy, NotifySettings};
pub use quantity::{Rate, duration, show_duration};
pub use server::{ServerSettings, TlsSettings, TokenRole, TokenSettings};

use crate::ca::ClientSelector;
use crate::prevalidation::{DomainName, Mode, ReuseRow};
use crate::propagation::Judging;

/// The environment variable that names the configuration.
pub const ENV: &str = "PREVALIDATE_CONFIG";
/// In the place of a provider's name: the one that has the zone. The default.
pub const AUTO: &str = "auto";
/// A configuration of 100,000 names has about 2 MiB.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

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
    /// `[[notify]]`, in the order of the file.
    pub notify: Vec<NotifySettings>,
    /// What is not wrong and yet worth saying.
    pub notices: Vec<Fault>,
    /// Lines of a `domains_file` that name no domain. The domains of the other lines are kept, and
    /// while there is such a line no domain leaves the inventory: the bad line may have meant it.
    pub left_out: Vec<Fault>,
}

/// `[policy]`: what may be done, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySettings {
    /// Whether anything is ever changed.
    pub mode: Mode,
    /// How long before its end a proof is renewed.
    pub renew_before: SignedDuration,
    /// A valid domain with less left than this is a warning.
    pub warning: SignedDuration,
    /// A valid domain with less left than this is critical.
    pub critical: SignedDuration,
    /// A random value with less left than this is replaced.
    pub reset_token_before: SignedDuration,
    /// How many valid domains may be between a token reset and their new proof at one time.
    pub max_at_risk: u32,
    /// Whether a domain below another registered one needs no registration of its own.
    pub cover: bool,
    /// Whether names that older software reads as another domain are accepted.
    pub accept_idn: bool,
    /// `[[policy.reuse]]`: replaces the built-in table; empty: the built-in one.
    pub reuse: Vec<ReuseRow>,
}

/// `[ca.NAME]`: an account at a CA.
#[derive(Debug, Clone, PartialEq)]
pub struct CaSettings {
    /// The interface it speaks.
    pub kind: CaKind,
    /// `https`, or `http` to a loopback address.
    pub url: Url,
    /// The service account's name.
    pub user: String,
    /// Its key.
    pub api_key: SecretSource,
    /// The next key, while keys roll over.
    pub second_api_key: Option<SecretSource>,
    /// How a token is come by.
    pub auth: Auth,
    /// The token's `iss`.
    pub issuer: String,
    /// The most calls in a stretch of time.
    pub rate: Rate,
    /// Put before a random value that has no `name=` of its own.
    pub token_prefix: String,
    /// What the CA is called in CAA records; at least one name.
    pub caa_names: Vec<String>,
    /// Root certificates in PEM instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy; the environment's proxies are never used (faults G07).
    pub proxy: Option<Url>,
}

/// The interface a CA speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaKind {
    /// SwissSign RA API.
    SwissSign,
}

/// How a token is come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Signed here: the key is never sent.
    Local,
    /// Made by the CA's helper call, which is sent the key.
    Helper,
}

/// `[[client]]`: the CA's grouping, and which domains belong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// The `[ca.NAME]` it belongs to.
    pub ca: String,
    /// Which client at that CA.
    pub selector: ClientSelector,
    /// The `[provider.NAME]` of domains that name none: those of its lists, and those added beside
    /// the configuration. `None`: whichever has the zone.
    pub provider: Option<String>,
    /// Its domains, each once in the whole configuration.
    pub domains: Vec<ClientDomain>,
}

/// A domain that is to be kept prevalidated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientDomain {
    /// The name.
    pub name: DomainName,
    /// The `[provider.NAME]` that writes its zone: its own, else the client's. `None`: whichever
    /// has the zone.
    pub provider: Option<String>,
}

/// `[provider.NAME]`, as it stands; its adapter reads it. Paths in it are absolute.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderTable {
    /// The line of its heading.
    pub line: usize,
    /// All keys, `kind` among them; secrets as their sources.
    pub table: Map<String, Value>,
    /// The line of each key.
    pub lines: BTreeMap<String, usize>,
}

/// `[propagation]`: when a value counts as visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropagationSettings {
    /// How domains are judged that no zone of `zones` holds.
    pub general: Judging,
    /// `[propagation.zone.NAME]`, in A-labels: what is different there.
    pub zones: BTreeMap<String, Judging>,
    /// The first interval between two looks.
    pub poll: Duration,
    /// From the gate to the call to the CA.
    pub settle: Duration,
    /// For one try at one address.
    pub timeout: Duration,
    /// The most questions to one server.
    pub rate: Rate,
    /// Root name servers; empty: the built-in hints.
    pub roots: Vec<SocketAddr>,
    /// DNSSEC trust anchors in zone-file form instead of IANA's.
    pub trust_anchors: Option<PathBuf>,
    /// Root certificates in PEM for resolvers, beside the system's.
    pub extra_ca_file: Option<PathBuf>,
}

/// `[worker]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Domains worked on at once.
    pub concurrency: u32,
    /// How long one `run` stays to see things through; the next one goes on from there.
    pub wait: Duration,
    /// How long the hold of a worker on a domain lasts when the worker dies.
    pub lease: Duration,
    /// How old the last look at a client may be while a daemon runs.
    pub look_every: Duration,
    /// How long a daemon that ends lets what is under way go on.
    pub drain: Duration,
}

/// Finds the configuration: `--config`, then [`ENV`], then the usual places, the nearest first.
///
/// A file that was named and is not there is an error; nothing else is tried then.
pub fn find(
    cli: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<PathBuf, ConfigError> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let named = cli
        .map(|path| (path.to_owned(), "--config"))
        .or_else(|| set(ENV).map(|path| (path.into(), ENV)));
    if let Some((path, by)) = named {
        if path.is_file() {
            return Ok(path);
        }
        return Err(ConfigError::one(
            path,
            format!("there is no such file; {by} names it"),
            "nothing else was tried",
        ));
    }
    let home = set("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")));
    let places = [
        Some(PathBuf::from("./prevalidate.toml")),
        home.map(|home| home.join("prevalidate/prevalidate.toml")),
        Some(PathBuf::from("/etc/prevalidate/prevalidate.toml")),
    ];
    let places: Vec<PathBuf> = places.into_iter().flatten().collect();
    places
        .iter()
        .find(|place| place.is_file())
        .cloned()
        .ok_or_else(|| {
            let looked: Vec<_> = places
                .iter()
                .map(|place| place.display().to_string())
                .collect();
            ConfigError::one(
                PathBuf::new(),
                format!("no configuration found; looked at {}", looked.join(", ")),
                format!("name one with --config FILE or {ENV}"),
            )
        })
}

/// Reads a configuration. The error holds every fault of it and of the lists it names.
pub fn load(path: &Path) -> Result<Settings, ConfigError> {
    let file = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let bytes = bounded(&file)
        .map_err(|cause| ConfigError::one(path, cause, "the configuration is one TOML file"))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => read::read(path, &file, text),
        Err(error) => {
            let line = bytes[..error.valid_up_to()]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count()
                + 1;
            let mut fault = ConfigError::one(
                path,
                "is not UTF-8 text",
                "is it Latin-1? iconv converts it",
            );
            fault
                .faults
                .iter_mut()
                .for_each(|fault| fault.line = Some(line));
            Err(fault)
        }
    }
}

/// A whole file, when it is one and of a sensible size; else why not.
fn bounded(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("cannot be read: it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(cannot)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > MAX_BYTES {
        Err(format!("is longer than {MAX_BYTES} bytes"))
    } else {
        Ok(bytes)
    }
}

impl Settings {
    /// The effective settings with all defaults, as a configuration again; secrets only as their
    /// sources.
    pub fn redacted_toml(&self) -> String {
        show::toml(self)
    }

    /// Whether every CA of it is on this machine.
    pub fn is_sandboxed(&self) -> bool {
        self.cas.values().all(|ca| read::is_loopback(&ca.url))
    }
}
