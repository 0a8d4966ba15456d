//! The table of the RFC 2136 adapter.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prevalidate_kit::secret::SecretSource;
use prevalidate_kit::table::DEFAULT_TIMEOUT;
use prevalidate_kit::table::Reader;
use prevalidate_kit::table::secrets::read_text;

use super::{
    Patience, Rfc2136, Rfc2136Settings, ServerAddress, SignQuery, TsigKey, read_algorithm,
    read_key_file,
};
use crate::kind::{Kind, Table, World};
use crate::provider::{ErrorKind, Provider, ProviderError};

/// `kind = "rfc2136"`.
pub(crate) const KIND: Kind = Kind {
    name: "rfc2136",
    keys: &[&KEYS],
    read: |reader| Some(Arc::new(Rfc2136Table::read(reader)?)),
};

const KEYS: [&str; 10] = [
    "server",
    "key_file",
    "key_name",
    "algorithm",
    "secret",
    "sign_query",
    "zones",
    "ttl",
    "timeout",
    "allow_wildcard_shadow",
];

/// The table of the RFC 2136 adapter.
#[derive(Debug, Clone)]
pub struct Rfc2136Table {
    server: ServerAddress,
    key: KeySource,
    sign_query: SignQuery,
    zones: Vec<String>,
    ttl: u32,
    timeout: Duration,
    allow_wildcard_shadow: bool,
}

#[derive(Debug, Clone)]
enum KeySource {
    File {
        path: PathBuf,
        name: Option<String>,
    },
    Parts {
        name: String,
        algorithm: String,
        secret: SecretSource,
    },
}

impl Rfc2136Table {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let server = reader.text("server");
        if !reader.table.contains_key("server") {
            reader
                .fault("server", "missing: the zone's primary, a host name or an address, with :port if it is not 53");
        }
        let server = server.and_then(|text| reader.good("server", ServerAddress::read(&text)));
        let key = read_key_source(reader);
        let sign_query = read_sign_query(reader);
        let zones = reader.names("zones");
        let (ttl, timeout) = (reader.ttl(), reader.timeout(DEFAULT_TIMEOUT));
        let allow_wildcard_shadow = reader.flag("allow_wildcard_shadow").unwrap_or(false);
        Some(Self {
            server: server?,
            key: key?,
            sign_query: sign_query?,
            zones,
            ttl: ttl?,
            timeout: timeout?,
            allow_wildcard_shadow,
        })
    }
}

impl Table for Rfc2136Table {
    fn build(&self, world: &World) -> Result<Arc<dyn Provider>, ProviderError> {
        let settings = Rfc2136Settings {
            server: self.server.clone(),
            key: read_key(&self.key)?,
            sign_query: self.sign_query,
            zones: self.zones.clone(),
            ttl: self.ttl,
            patience: Patience::of(self.timeout),
            allow_wildcard_shadow: self.allow_wildcard_shadow,
        };
        Ok(Arc::new(Rfc2136::new(settings, Arc::clone(&world.now))))
    }
}

fn read_sign_query(reader: &mut Reader<'_>) -> Option<SignQuery> {
    match reader.table.get("sign_query") {
        None => Some(SignQuery::Auto),
        Some(value) => match (value.as_bool(), value.as_str()) {
            (Some(true), _) => Some(SignQuery::Always),
            (Some(false), _) => Some(SignQuery::Never),
            (None, Some("auto")) => Some(SignQuery::Auto),
            _ => {
                reader.fault("sign_query", "expected true, false or \"auto\"");
                None
            }
        },
    }
}

fn read_key(source: &KeySource) -> Result<TsigKey, ProviderError> {
    let refused = |text: String| ProviderError::new(ErrorKind::Settings, text);
    match source {
        KeySource::File { path, name } => {
            let text = read_text("key_file", &SecretSource::File(path.clone()))?;
            read_key_file(&text, name.as_deref(), Some(path))
                .map_err(|fault| refused(format!("key_file {}: {fault}", path.display())))
        }
        KeySource::Parts {
            name,
            algorithm,
            secret,
        } => {
            // People wrap long secrets.
            let value = read_text("secret", secret)?;
            TsigKey::new(name, algorithm, &value)
                .map_err(|fault| refused(format!("secret {secret}: {fault}")))
        }
    }
}

fn read_key_source(reader: &mut Reader<'_>) -> Option<KeySource> {
    let (file, name, algorithm) = (
        reader.text("key_file"),
        reader.text("key_name"),
        reader.text("algorithm"),
    );
    if let Some(algorithm) = &algorithm {
        reader.good("algorithm", read_algorithm(algorithm));
    }
    let secret = reader.secret("secret");
    let has = |key: &str| reader.table.contains_key(key);
    match (has("key_file"), has("secret")) {
        (true, true) => {
            reader.fault(
                "secret",
                "the key file holds the secret already; keep `key_file` or `secret`, not both",
            );
            None
        }
        (true, false) if has("algorithm") => {
            reader.fault(
                "algorithm",
                "the key file holds the algorithm already; it goes with `secret`",
            );
            None
        }
        (true, false) => Some(KeySource::File {
            path: file?.into(),
            name,
        }),
        (false, true) if !has("key_name") => {
            reader.fault(
                "key_name",
                "missing: the name of the key that `secret` belongs to",
            );
            None
        }
        (false, true) => {
            let algorithm = if has("algorithm") {
                algorithm?
            } else {
                "hmac-sha256".into()
            };
            Some(KeySource::Parts {
                name: name?,
                algorithm,
                secret: secret?,
            })
        }
        (false, false) => {
            reader.fault(
                "key_file",
                "missing: a key file as tsig-keygen writes it, or `key_name` with `secret`",
            );
            None
        }
    }
}
