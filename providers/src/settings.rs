//! `[provider.NAME]` tables of the configuration; the only list of adapters.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::manual::Manual;
use crate::provider::{ErrorKind, Provider, ProviderError};
use crate::rfc2136::{Now, Patience, Rfc2136, Rfc2136Settings, ServerAddress, TsigKey, read_algorithm, read_key_file};
use crate::secret::SecretSource;

/// TTL of a TXT RRset that does not exist yet, seconds.
pub const DEFAULT_TTL: u32 = 300;
/// What a person may choose for it, seconds.
pub const TTL_RANGE: std::ops::RangeInclusive<u32> = 60..=86_400;
/// For one exchange with a name server, of which a connection may take half.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a person may choose for it, seconds.
pub const TIMEOUT_SECONDS_RANGE: std::ops::RangeInclusive<u64> = 1..=120;

/// The kinds of this build.
const KINDS: &[&str] = &[
    "rfc2136",
    #[cfg(feature = "exec")]
    "exec",
    "manual",
];
const RFC2136_KEYS: [&str; 10] = [
    "kind",
    "server",
    "key_file",
    "key_name",
    "algorithm",
    "secret",
    "zones",
    "ttl",
    "timeout",
    "allow_wildcard_shadow",
];

/// One thing that is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingFault {
    /// The key in the table; for a missing key the key that is missing.
    pub key: String,
    /// What is wrong and what is expected, never a secret.
    pub message: String,
}

/// A checked table; no secret has been read yet.
#[derive(Debug, Clone)]
pub enum ProviderSettings {
    /// Dynamic updates.
    Rfc2136(Rfc2136Table),
    /// A program.
    #[cfg(feature = "exec")]
    Exec(crate::exec::ExecTable),
    /// Others write.
    Manual(Manual),
}

/// The table of the RFC 2136 adapter.
#[derive(Debug, Clone)]
pub struct Rfc2136Table {
    server: ServerAddress,
    key: KeySource,
    zones: Vec<String>,
    ttl: u32,
    timeout: Duration,
    allow_wildcard_shadow: bool,
}

#[derive(Debug, Clone)]
enum KeySource {
    File { path: PathBuf, name: Option<String> },
    Parts { name: String, algorithm: String, secret: SecretSource },
}

impl ProviderSettings {
    /// Reads a table.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn read(table: &Map<String, Value>) -> Result<Self, Vec<SettingFault>> {
        let mut reader = Reader { table, faults: Vec::new() };
        let settings = match reader.text("kind").as_deref() {
            Some("rfc2136") => read_rfc2136(&mut reader).map(Self::Rfc2136),
            #[cfg(feature = "exec")]
            Some("exec") => crate::exec::ExecTable::read(&mut reader).map(Self::Exec),
            Some("manual") => {
                reader.only(&["kind", "zones"]);
                Some(Self::Manual(Manual { zones: reader.names("zones") }))
            }
            Some(other) => {
                let hint = nearest(other, KINDS.iter().copied())
                    .map(|kind| format!("; did you mean {kind:?}?"))
                    .unwrap_or_default();
                reader.fault("kind", format!("no such kind of provider; there is: {}{hint}", KINDS.join(", ")));
                None
            }
            None => {
                if !table.contains_key("kind") {
                    reader.fault("kind", format!("missing: say which kind of provider, one of: {}", KINDS.join(", ")));
                }
                None
            }
        };
        match settings {
            Some(settings) if reader.faults.is_empty() => Ok(settings),
            _ => Err(reader.faults),
        }
    }

    /// Reads the secrets and makes the provider.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`] with what is wrong with which secret, never the secret.
    pub fn build(&self) -> Result<Arc<dyn Provider>, ProviderError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "signatures carry the machine's time; tests build with their own"
        )]
        self.build_at(Arc::new(Timestamp::now))
    }

    /// The same with another clock for the signatures.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_at(&self, now: Now) -> Result<Arc<dyn Provider>, ProviderError> {
        let table = match self {
            Self::Rfc2136(table) => table,
            #[cfg(feature = "exec")]
            Self::Exec(table) => return table.build(),
            Self::Manual(manual) => return Ok(Arc::new(manual.clone())),
        };
        let key = read_key(&table.key).map_err(|fault| ProviderError::new(ErrorKind::Settings, fault))?;
        let settings = Rfc2136Settings {
            server: table.server.clone(),
            key,
            zones: table.zones.clone(),
            ttl: table.ttl,
            patience: Patience::of(table.timeout),
            allow_wildcard_shadow: table.allow_wildcard_shadow,
        };
        Ok(Arc::new(Rfc2136::new(settings, now)))
    }
}

fn read_key(source: &KeySource) -> Result<TsigKey, String> {
    match source {
        KeySource::File { path, name } => {
            let text = SecretSource::File(path.clone()).read().map_err(|error| format!("key_file: {error}"))?;
            read_key_file(&text, name.as_deref()).map_err(|fault| format!("key_file {}: {fault}", path.display()))
        }
        KeySource::Parts { name, algorithm, secret } => {
            let secret = secret.read().map_err(|error| format!("secret of the key {name}: {error}"))?;
            TsigKey::new(name, algorithm, &secret)
        }
    }
}

fn read_rfc2136(reader: &mut Reader<'_>) -> Option<Rfc2136Table> {
    reader.only(&RFC2136_KEYS);
    let server = reader.text("server");
    if !reader.table.contains_key("server") {
        reader.fault("server", "missing: the zone's primary, a host name or an address, with :port if it is not 53");
    }
    let server = server.and_then(|text| reader.good("server", ServerAddress::read(&text)));
    let key = read_key_source(reader);
    let zones = reader.names("zones");
    let ttl = reader.ttl();
    let timeout = reader.timeout(DEFAULT_TIMEOUT);
    let allow_wildcard_shadow = reader.flag("allow_wildcard_shadow").unwrap_or(false);
    Some(Rfc2136Table { server: server?, key: key?, zones, ttl: ttl?, timeout: timeout?, allow_wildcard_shadow })
}

fn read_key_source(reader: &mut Reader<'_>) -> Option<KeySource> {
    let (file, name, algorithm) = (reader.text("key_file"), reader.text("key_name"), reader.text("algorithm"));
    if let Some(algorithm) = &algorithm {
        reader.good("algorithm", read_algorithm(algorithm));
    }
    let secret = reader.table.get("secret").map(SecretSource::read_json);
    let secret = secret.and_then(|secret| reader.good("secret", secret));
    let has = |key: &str| reader.table.contains_key(key);
    match (has("key_file"), has("secret")) {
        (true, true) => {
            reader.fault("secret", "the key file holds the secret already; keep `key_file` or `secret`, not both");
            None
        }
        (true, false) if has("algorithm") => {
            reader.fault("algorithm", "the key file holds the algorithm already; it goes with `secret`");
            None
        }
        (true, false) => Some(KeySource::File { path: file?.into(), name }),
        (false, true) if !has("key_name") => {
            reader.fault("key_name", "missing: the name of the key that `secret` belongs to");
            None
        }
        (false, true) => {
            let algorithm = if has("algorithm") { algorithm? } else { "hmac-sha256".into() };
            Some(KeySource::Parts { name: name?, algorithm, secret: secret? })
        }
        (false, false) => {
            reader.fault("key_file", "missing: a key file as tsig-keygen writes it, or `key_name` with `secret`");
            None
        }
    }
}

/// A whole number, or a text like `10s` or `2m`.
fn read_seconds(value: &Value) -> Option<u64> {
    let Some(text) = value.as_str() else { return value.as_u64() };
    let (digits, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A table that is read key by key, with everything wrong collected.
pub(crate) struct Reader<'a> {
    pub(crate) table: &'a Map<String, Value>,
    faults: Vec<SettingFault>,
}

impl Reader<'_> {
    pub(crate) fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.faults.push(SettingFault { key: key.into(), message: message.into() });
    }

    pub(crate) fn good<T>(&mut self, key: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.fault(key, message)).ok()
    }

    /// Every other key is a fault: a setting with a typing error must not be a setting that does nothing.
    pub(crate) fn only(&mut self, known: &[&str]) {
        for key in self.table.keys().filter(|key| !known.contains(&key.as_str())) {
            let hint = nearest(key, known.iter().copied())
                .map(|known| format!("; did you mean {known:?}?"))
                .unwrap_or_default();
            self.fault(key, format!("no such setting{hint}"));
        }
    }

    fn read<T>(&mut self, key: &str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.table.get(key)?;
        let found = read(value);
        if found.is_none() {
            self.fault(key, format!("expected {expected}"));
        }
        found
    }

    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        self.read(key, "a text", |value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
    }

    fn number(&mut self, key: &str) -> Option<u64> {
        // A number outside the range is the caller's to refuse, a negative one too.
        self.table.get(key).map(|value| value.as_u64().unwrap_or(u64::MAX))
    }

    /// `ttl` in seconds, for an RRset that does not exist yet.
    pub(crate) fn ttl(&mut self) -> Option<u32> {
        let ttl = self.number("ttl").unwrap_or(DEFAULT_TTL.into());
        let ttl = u32::try_from(ttl).ok().filter(|ttl| TTL_RANGE.contains(ttl));
        if ttl.is_none() {
            self.fault("ttl", format!("seconds from {} to {}", TTL_RANGE.start(), TTL_RANGE.end()));
        }
        ttl
    }

    /// `timeout`, as a number of seconds or like `10s`.
    pub(crate) fn timeout(&mut self, default: Duration) -> Option<Duration> {
        let Some(value) = self.table.get("timeout") else { return Some(default) };
        let seconds = read_seconds(value).filter(|seconds| TIMEOUT_SECONDS_RANGE.contains(seconds));
        if seconds.is_none() {
            let (from, to) = (TIMEOUT_SECONDS_RANGE.start(), TIMEOUT_SECONDS_RANGE.end());
            self.fault("timeout", format!("seconds from {from} to {to}, as a number or like \"10s\""));
        }
        seconds.map(Duration::from_secs)
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, "true or false", Value::as_bool)
    }

    fn names(&mut self, key: &str) -> Vec<String> {
        let expected = "a list of zones in A-labels, like [\"example.ch\", \"xn--bcher-kva.example\"]";
        let name = |value: &Value| {
            let name = value.as_str()?.trim_end_matches('.').to_ascii_lowercase();
            let letters = |label: &str| {
                let good = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
                (1..=63).contains(&label.len()) && label.bytes().all(good)
            };
            (name.len() <= 253 && name.split('.').all(letters)).then_some(name)
        };
        self.read(key, expected, |value| value.as_array()?.iter().map(name).collect::<Option<Vec<_>>>())
            .unwrap_or_default()
    }
}

/// The candidate that `typed` probably meant: at most a third of its letters differ.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed: String = typed.to_lowercase().replace('-', "_").chars().take(64).collect();
    let distance = |candidate: &str| strsim::osa_distance(&typed, &candidate.replace('-', "_"));
    let near = candidates.into_iter().map(|candidate| (distance(candidate), candidate));
    near.filter(|(distance, candidate)| *distance <= (candidate.len().min(typed.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn faults(value: Value) -> Vec<String> {
        let faults = ProviderSettings::read(value.as_object().unwrap()).map(drop).unwrap_err();
        faults.into_iter().map(|fault| format!("{}: {}", fault.key, fault.message)).collect()
    }

    #[test]
    fn all_faults_of_a_table_come_at_once_and_none_shows_a_secret() {
        let found = faults(json!({
            "kind": "rfc2136", "sevrer": "x", "server": "ns1:CANARY", "key_file": 7, "secret": "CANARY",
            "algorithm": "hmac-md5", "zones": ["a..b"], "ttl": 5, "timeout": "CANARY", "allow_wildcard_shadow": "yes",
        }));
        for key in
            ["sevrer", "server", "key_file", "secret", "algorithm", "zones", "ttl", "timeout", "allow_wildcard_shadow"]
        {
            assert!(found.iter().any(|fault| fault.starts_with(&format!("{key}: "))), "{key}: {found:#?}");
        }
        assert!(found.iter().any(|fault| fault.contains("did you mean \"server\"")), "{found:#?}");
        assert!(!found.concat().contains("CANARY"), "{found:#?}");
    }

    #[test]
    fn a_key_comes_from_a_file_or_from_its_parts_but_not_from_both() {
        let both =
            json!({ "kind": "rfc2136", "server": "ns1", "key_file": "/k", "key_name": "k", "secret": { "env": "K" } });
        assert!(faults(both)[0].contains("not both"));
        assert!(faults(json!({ "kind": "rfc2136", "server": "ns1" }))[0].contains("tsig-keygen"));
        assert!(
            faults(json!({ "kind": "rfc2136", "server": "ns1", "secret": { "env": "K" } }))[0].contains("key_name")
        );
        assert!(faults(json!({ "kind": "rfc2163" }))[0].contains("did you mean \"rfc2136\""));
        assert!(faults(json!({ "server": "ns1" }))[0].contains("kind"));
    }

    #[cfg(feature = "exec")]
    #[test]
    fn a_program_is_a_path_and_its_environment_names_with_values() {
        let found = faults(json!({
            "kind": "exec", "program": "nsupdate", "environment": { "A B": "CANARY" }, "timeout": 0, "arguments": [],
        }));
        for key in ["program", "environment", "timeout", "arguments"] {
            assert!(found.iter().any(|fault| fault.starts_with(&format!("{key}: "))), "{key}: {found:#?}");
        }
        for environment in [json!("CANARY"), json!({ "A": 1 }), json!({ "A": { "file": "" } })] {
            let found = faults(json!({ "kind": "exec", "program": "/p", "environment": environment }));
            assert!(found.len() == 1 && !found[0].contains("CANARY"), "{found:#?}");
        }
        assert!(faults(json!({ "kind": "exec" }))[0].contains("config/exec"));
        let table = json!({ "kind": "exec", "program": "/p", "environment": { "A": "CANARY", "B": { "env": "B" } } });
        let settings = ProviderSettings::read(table.as_object().unwrap()).unwrap();
        assert!(!format!("{settings:?}").contains("CANARY"), "{settings:?}");
    }

    #[test]
    fn a_missing_key_file_is_a_fault_of_the_settings_with_its_path() {
        let table = json!({ "kind": "rfc2136", "server": "ns1", "key_file": "/nonexistent/tsig.key", "timeout": "2m" });
        let error = ProviderSettings::read(table.as_object().unwrap()).unwrap().build().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Settings);
        assert!(error.message.contains("/nonexistent/tsig.key"), "{error}");
    }
}
