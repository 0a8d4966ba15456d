//! From the file's tree to [`Settings`]: every section, every key, every default and every bound.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
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
use super::quantity::{DAY, HOUR, Rate, SECOND, dns_address};
use super::server::server;
#[cfg(test)]
use super::server::{SERVER, TLS as SERVER_TLS, TOKEN as SERVER_TOKEN};
use super::tree::{Reader, Schema, Section, shown_key};
use super::{
    AUTO, Mode, PolicySettings, PropagationSettings, ProviderTable, ReuseRow, Settings,
    WorkerSettings,
};
use crate::prevalidation::DomainName;
use crate::propagation::{GateMode, Judging};
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
const POLICY: Schema = Schema {
    path: "policy",
    keys: &[
        "mode",
        "renew_before",
        "warning",
        "critical",
        "reset_token_before",
        "max_at_risk",
        "cover",
        "accept_idn",
        "reuse",
    ],
};
const REUSE: Schema = Schema {
    path: "policy.reuse",
    keys: &["start", "limit", "source"],
};
const STORE: Schema = Schema {
    path: "store",
    keys: &["url", "password"],
};
const PROPAGATION: Schema = Schema {
    path: "propagation",
    keys: &[
        "mode",
        "poll",
        "settle",
        "delay",
        "rounds",
        "resolvers",
        "extra_ca_file",
        "timeout",
        "rate",
        "roots",
        "trust_anchors",
        "zone",
    ],
};
const ZONE: Schema = Schema {
    path: "propagation.zone.NAME",
    keys: &["mode", "name_servers", "resolvers", "delay", "rounds"],
};
const WORKER: Schema = Schema {
    path: "worker",
    keys: &["concurrency", "wait", "lease", "look_every", "drain"],
};

/// All sections with fixed keys: the reference file must show each of them. `[provider.NAME]`
/// belongs to its adapter.
#[cfg(test)]
pub(super) const SCHEMAS: [&Schema; 20] = [
    &TOP,
    &POLICY,
    &REUSE,
    &STORE,
    &CA,
    &CLIENT,
    &CLIENT_DOMAIN,
    &PROPAGATION,
    &ZONE,
    &WORKER,
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
    let policy = policy(&top.table("policy", &POLICY));
    let store = top.table("store", &STORE);
    let (store_url, store_password) = (store_url(&store), store.secret("password"));

    let found: Vec<_> = top.named("ca").into_iter().collect();
    // A standing record needs no account here.
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

    let accept_idn = top.table("policy", &POLICY).flag("accept_idn", false);
    let clients = Clients::new(top, &cas, &kinds, &providers, accept_idn).read();
    let propagation = propagation(&top.table("propagation", &PROPAGATION));
    let worker = top.table("worker", &WORKER);
    let worker = WorkerSettings {
        concurrency: worker.whole("concurrency", 1..=256, 16),
        wait: worker.std_duration(
            "wait",
            SignedDuration::ZERO..=DAY,
            SignedDuration::from_mins(10),
        ),
        // At least three times the longest single effect, a call to the CA of 30 s (faults W06).
        lease: worker.std_duration("lease", SECOND..=HOUR, SECOND * 300),
        // What was read longer ago than 26 h counts as stale (invariant I18).
        look_every: worker.std_duration("look_every", SECOND..=DAY, HOUR * 6),
        drain: worker.std_duration("drain", SignedDuration::ZERO..=SECOND * 600, SECOND * 30),
    };
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
        policy: policy?,
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

fn policy(section: &Section<'_>) -> Option<PolicySettings> {
    section.must_have(
        "mode",
        "write mode = \"manage\", or mode = \"observe\" to read without writing",
    );
    let mode = section.choice(
        "mode",
        &[("manage", Mode::Manage), ("observe", Mode::Observe)],
    );
    let renew_before = section.duration("renew_before", HOUR..=DAY * 365, DAY * 30);
    // The alarms follow a shorter renewal window in the same proportion, so that it alone can be
    // set.
    let warning = section.duration(
        "warning",
        HOUR..=DAY * 365,
        (DAY * 20).min(renew_before * 2 / 3),
    );
    let critical = section.duration(
        "critical",
        HOUR..=DAY * 365,
        (DAY * 7).min(renew_before * 7 / 30).min(warning),
    );
    if critical > warning {
        section.fault("critical", "must not be longer than `warning`");
    }
    if warning > renew_before {
        let line = section.line_of("warning");
        let message = "is longer than `renew_before`: every domain will be a warning before its renewal begins";
        section
            .reader
            .notice(line, &section.key("warning"), message);
    }
    Some(PolicySettings {
        renew_before,
        warning,
        critical,
        // A random value lives 30 days (BR 3.2.2.4.7).
        reset_token_before: section.duration("reset_token_before", HOUR..=DAY * 29, DAY * 5),
        max_at_risk: section.whole("max_at_risk", 1..=10_000, 20),
        cover: section.flag("cover", true),
        accept_idn: section.flag("accept_idn", false),
        reuse: section
            .tables("reuse", &REUSE)
            .iter()
            .filter_map(reuse)
            .collect(),
        mode: mode?,
    })
}

fn reuse(row: &Section<'_>) -> Option<ReuseRow> {
    row.must_have(
        "start",
        "the first instant of issuance it applies to, such as start = \"2027-03-15T00:00:00Z\"",
    );
    row.must_have(
        "limit",
        "how long a proof may be used, such as limit = \"98d\"",
    );
    row.must_have("source", "who says so, for instance the ballot");
    let start = row.text("start").and_then(|text| {
        let start = text
            .parse::<Timestamp>()
            .or_else(|_| format!("{text}T00:00:00Z").parse());
        start
            .map_err(|_| {
                row.fault(
                    "start",
                    "must be a date in quotes, \"2027-03-15\" or \"2027-03-15T00:00:00Z\"",
                )
            })
            .ok()
    });
    let limit = row
        .has("limit")
        .then(|| row.duration("limit", DAY..=DAY * 1000, DAY));
    Some(ReuseRow {
        source: row.text("source")?.to_owned(),
        start: start?,
        limit: limit?,
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

/// Its parameters are the adapter's to know; a password would be seen by all who may read the file.
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

/// Keeps the table as it stands for the adapter that reads it.
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

fn propagation(section: &Section<'_>) -> PropagationSettings {
    let own = judging(section);
    let general = Judging {
        mode: own.mode.or(Some(GateMode::default())),
        rounds: own.rounds.or(Some(Judging::ROUNDS)),
        ..own
    };
    must_know_resolvers(section, &general, &general);
    let zones = zones(section, &general);
    let mode_of = |judging: &Judging| judging.mode.or(general.mode).unwrap_or_default();
    if section.has("delay")
        && zones
            .values()
            .chain([&general])
            .all(|one| mode_of(one) == GateMode::Authoritative)
    {
        let message = "does not count in mode = \"authoritative\"";
        section
            .reader
            .notice(section.line_of("delay"), &section.key("delay"), message);
    }
    PropagationSettings {
        poll: section.std_duration("poll", SECOND..=HOUR, SECOND * 10),
        settle: section.std_duration("settle", SignedDuration::ZERO..=DAY, SECOND * 60),
        timeout: section.std_duration(
            "timeout",
            SignedDuration::from_millis(100)..=SECOND * 10,
            SECOND * 3,
        ),
        // A listing asks a server two or three questions, and a batch is 64 checks.
        rate: section.rate("rate", 10, Rate::a_second(300)),
        roots: section.each("roots", dns_address),
        trust_anchors: section.anchors_file("trust_anchors"),
        extra_ca_file: section.trusted_file("extra_ca_file"),
        general,
        zones,
    }
}

fn zones(section: &Section<'_>, general: &Judging) -> BTreeMap<String, Judging> {
    let mut zones = BTreeMap::new();
    for (zone, own) in section.sections("zone") {
        let own = own.check(&ZONE);
        let judging = judging(&own);
        must_know_resolvers(&own, &judging, general);
        // A zone need not be a name that a CA would validate; a reverse or internal parent is fine.
        match DomainName::parse(zone)
            .map(|parsed| parsed.name)
            .or_else(|_| DomainName::from_a_labels(zone))
        {
            Ok(name) => {
                if zones.insert(name.as_str().to_owned(), judging).is_some() {
                    section.reader.fault(
                        own.line,
                        &own.path,
                        "the same zone has two sections",
                        None,
                    );
                }
            }
            Err(_) => section.reader.fault(
                own.line,
                &own.path,
                "a section here must be named after a zone",
                None,
            ),
        }
    }
    zones
}

/// The keys that are both in `[propagation]` and in its zones.
fn judging(section: &Section<'_>) -> Judging {
    Judging {
        mode: section.choice("mode", &GateMode::ALL.map(|mode| (mode.as_str(), mode))),
        name_servers: section.each("name_servers", dns_address),
        resolvers: section.each("resolvers", str::parse),
        delay: section
            .has("delay")
            .then(|| section.std_duration("delay", SECOND..=DAY * 7, SECOND)),
        rounds: section
            .has("rounds")
            .then(|| section.whole("rounds", 1..=5, Judging::ROUNDS)),
    }
}

fn must_know_resolvers(section: &Section<'_>, own: &Judging, general: &Judging) {
    let known = if own.resolvers.is_empty() {
        &general.resolvers
    } else {
        &own.resolvers
    };
    match known.len() {
        _ if own.mode.or(general.mode) != Some(GateMode::Resolvers) => {}
        0 if section.texts("resolvers").is_empty() => section.fault_hint(
            "mode",
            "needs `resolvers`",
            "name two, such as resolvers = [\"tls://9.9.9.9#dns.quad9.net\", \"https://dns.google/dns-query\"]",
        ),
        1 => section.reader.notice(
            section.line_of("resolvers"),
            &section.key("resolvers"),
            "is one only: what it says is believed without a second one",
        ),
        _ => {}
    }
}
