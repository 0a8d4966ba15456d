//! From the file's tree to [`Settings`]: every section, every key, every default and every bound.

use std::collections::BTreeMap;
use std::path::Path;

use prevalidate_providers::registry::ProviderSettings;
use serde_json::Map;
use toml::de::DeTable;
use url::Url;

#[cfg(test)]
use super::ca::CA;
use super::clients::Clients;
#[cfg(test)]
use super::clients::{CLIENT, CLIENT_DOMAIN};
use super::fault::ConfigError;
use super::server::server;
#[cfg(test)]
use super::server::{SERVER, TLS as SERVER_TLS, TOKEN as SERVER_TOKEN};
use super::tree::{Reader, Schema, Section, shown_key};
use super::{AUTO, ProviderTable, Settings};
use crate::store::url::Named;

const TOP: Schema = Schema {
    path: "",
    keys: &[
        "policy",
        "store",
        "ca",
        "client",
        "provider",
        "propagation",
        "worker",
        "server",
        "rdap",
        "notify",
        "certificates",
        "certificate",
        "contact",
        "persistent",
    ],
};
const STORE: Schema = Schema {
    path: "store",
    keys: &["url", "password"],
};

/// All sections with fixed keys: the reference file must show each of them. `[provider.NAME]`
/// belongs to its adapter.
#[cfg(test)]
pub(super) const SCHEMAS: [&Schema; 20] = [
    &TOP,
    &super::policy::POLICY,
    &super::policy::REUSE,
    &STORE,
    &CA,
    &CLIENT,
    &CLIENT_DOMAIN,
    &super::propagation::PROPAGATION,
    &super::propagation::ZONE,
    &super::worker::WORKER,
    &SERVER,
    &SERVER_TLS,
    &SERVER_TOKEN,
    &super::hooks::HOOK_KEY,
    &super::rdap::RDAP,
    &super::notify::NOTIFY,
    &super::certificates::CERTIFICATES,
    &super::certificates::CERTIFICATE,
    &super::certificates::CONTACT,
    &super::persistent::PERSISTENT,
];

/// The URL of the store that is gone with the process.
pub const MEMORY: &str = "sqlite::memory:";

/// Reads the text of `path`; `file` is the same, absolute.
pub(super) fn read(path: &Path, file: &Path, text: &str) -> Result<Settings, ConfigError> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(path, file.parent().unwrap_or(Path::new("/")), text);
    errors.iter().for_each(|error| reader.syntax(error));
    let settings = top(
        &Section::open(&reader, tree.get_ref(), String::new(), None, &TOP),
        file,
    );

    let mut faults = reader.faults.into_inner();
    // The configuration first, then the lists, each by line.
    faults.sort_by(|a, b| {
        (a.file != path)
            .cmp(&(b.file != path))
            .then_with(|| a.cmp(b))
    });
    faults.dedup();
    let left_out = reader.left_out.into_inner();
    let mut unusable = reader.unusable.into_inner();
    let put_off = reader.put_off.into_inner();
    unusable.sort();
    let lines = reader.lines.into_inner();
    match settings {
        Some(settings) if faults.is_empty() => Ok(Settings {
            notices: reader.notices.into_inner(),
            left_out,
            unusable,
            lines,
            ..settings
        }),
        _ => {
            faults.extend(unusable);
            faults.extend(left_out);
            faults.extend(put_off);
            Err(ConfigError::all(faults))
        }
    }
}

/// Everything is read before anything is given up; `None` only after a fault was reported.
fn top(top: &Section<'_>, file: &Path) -> Option<Settings> {
    let policy = super::policy::read(top);
    let store = top.table("store", &STORE);
    let (store_url, store_password) = (store_url(&store), store.secret("password"));

    let found: Vec<_> = top.named("ca").into_iter().collect();
    // A persistent record needs no account here.
    if found.is_empty() && !top.has("persistent") {
        let hint = "name your account, for instance [ca.swisssign]";
        top.reader.absent(
            None,
            "ca",
            "no certificate authority is configured",
            Some(hint.to_owned()),
        );
    }
    let kinds = found.iter();
    let kinds = kinds
        .filter_map(|(name, section)| Some(((*name).to_owned(), super::ca::kind(section)?)))
        .collect::<BTreeMap<_, _>>();
    let cas = found
        .into_iter()
        .map(|(name, section)| (name.to_owned(), super::ca::read(section)))
        .collect::<BTreeMap<_, _>>();
    let providers = top
        .named("provider")
        .into_iter()
        .map(|(name, section)| (name.to_owned(), provider(&section)));
    let providers = providers.collect::<BTreeMap<_, _>>();
    if let Some(table) = providers.get(AUTO) {
        let message = "is the word for whichever provider has the zone; give this one another name";
        top.reader
            .fault(Some(table.line), "provider.auto", message, None);
    }

    let accept_idn = policy.accept_idn;
    let clients = Clients::new(top, &cas, &kinds, &providers, accept_idn).read();
    let propagation = super::propagation::read(top);
    let worker = super::worker::read(top);
    let rdap = super::rdap::rdap(top);
    let notify = super::notify::read(top);
    let certificates = super::certificates::read(top, &cas, &clients, accept_idn);
    let persistent = super::persistent::read(top, &providers, accept_idn);
    if store_url.as_deref() == Some(MEMORY) && top.has("certificate") {
        let message =
            "is gone with the process, and every run would order each [[certificate]] again";
        store.fault_hint("url", message, "write \"sqlite:\" and the path of a file");
    }
    let server = server(top);
    Some(Settings {
        file: file.to_owned(),
        policy,
        store_url: store_url?,
        store_password,
        cas: cas
            .into_iter()
            .map(|(name, ca)| Some((name, ca?)))
            .collect::<Option<_>>()?,
        clients,
        providers,
        propagation,
        worker,
        rdap,
        notify,
        server,
        certificates,
        persistent,
        notices: Vec::new(),
        left_out: Vec::new(),
        unusable: Vec::new(),
        lines: BTreeMap::new(),
    })
}

fn store_url(section: &Section<'_>) -> Option<String> {
    section.must_have(
        "url",
        "for instance url = \"sqlite:/var/lib/prevalidate/prevalidate.db\"",
    );
    let text = section.text("url")?;
    let named = match Named::read(text) {
        Ok(Named::Postgres) => return postgres_url(section, text),
        Ok(named) => named.in_folder(&section.reader.folder),
        Err(unreadable) => {
            section.fault_hint("url", &unreadable.message, &unreadable.hint);
            return None;
        }
    };
    if section.has("password") {
        let line = section.line_of("password");
        section.reader.notice(
            line,
            &section.key("password"),
            "is not used: the store is a file",
        );
    }
    match named {
        Named::File(path) => Some(format!("sqlite:{}", path.display())),
        _ => Some(MEMORY.to_owned()),
    }
}

/// Its parameters are the adapter's to know; all users that may read the file would see a password.
fn postgres_url(section: &Section<'_>, text: &str) -> Option<String> {
    match Url::parse(text) {
        Ok(url)
            if url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password") =>
        {
            let hint = "leave it out and write password = { file = \"…\" }, or use PGPASSWORD or ~/.pgpass";
            section.fault_hint("url", "must not hold a password", hint);
        }
        Ok(url) if !url.cannot_be_a_base() => return Some(text.to_owned()),
        _ => {
            section.fault(
                "url",
                "must be a URL such as \"postgres://prevalidate@db.example.com/prevalidate\"",
            );
        }
    }
    None
}

/// Keeps the table as it is written, for the adapter that reads it.
fn provider(section: &Section<'_>) -> ProviderTable {
    let mut table = Map::new();
    let mut lines = BTreeMap::new();
    for (key, line, value) in section.entries() {
        match section.json(key, value.get_ref()) {
            Some(value) => table.insert(key.to_owned(), value),
            None => {
                section.reader.fault(
                    Some(line),
                    &section.key(&shown_key(key)),
                    "holds a number that is too large",
                    None,
                );
                None
            }
        };
        lines.insert(key.to_owned(), line);
    }
    // The adapters know their keys.
    for fault in ProviderSettings::read(&table).err().unwrap_or_default() {
        let line = fault
            .key
            .split('.')
            .next()
            .and_then(|key| lines.get(key))
            .copied()
            .or(section.line);
        section.reader.fault(
            line,
            &section.key(&shown_key(&fault.key)),
            fault.message,
            None,
        );
    }
    ProviderTable {
        line: section.line.unwrap_or_default(),
        table,
        lines,
    }
}
