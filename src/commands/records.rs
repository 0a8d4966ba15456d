//! `records`: what must be in DNS now and what may go, for pipelines that write zones; `--check`
//! holds a planned zone against it. Reads the store only.

mod alias;
mod format;
mod persistent_records;
mod planned;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use prevalidate_providers::record::is_within;
use serde::Serialize;
use serde_json::json;

use super::app::{App, refused};
use super::{Exit, Failed, Global, persistent};
use crate::config::{Settings, names};
use crate::output::Output;
use crate::overview::walk::Rows;
use crate::prevalidation::{LedgerEntry, LedgerState, RecordType, RowKey, Upkeep};
use crate::store::{Store, StoreError};
use crate::text::decode;
pub(super) use format::Format;
use planned::Planned;

/// TTL of an RRset that was not seen yet, seconds.
const NEW_TTL: u32 = prevalidate_kit::table::DEFAULT_TTL;
/// Far above any zone file of a person's making.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Values come beside what is there: never replace a TXT record set by them.\n\n\
Exit status: 0 done, or the planned zone keeps all that is needed · 2 usage, configuration, or the file cannot be read · \
4 the planned zone lacks a value that is needed · \
5 the guard refuses the configuration · 75 temporary, try again."
)]
pub(super) struct RecordsArgs {
    /// For which tool
    #[arg(long, value_enum, default_value_t = Format::Zone, value_name = "FORMAT", conflicts_with = "check")]
    format: Format,
    /// Only of this zone; with --check, the zone of the file where it does not say so itself
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// The values of all providers, also of those that prevalidate writes through
    #[arg(long, conflicts_with = "check")]
    all: bool,
    /// Prints the rules with which octoDNS or DNSControl leaves persistent records alone that
    /// another writer keeps
    #[arg(long, conflicts_with = "check")]
    ignore_rules: bool,
    /// Holds a planned zone against what must be: a zone file, or JSON {"zone": "…", "txt":
    /// {"NAME": ["VALUE"]}, "cname": {"NAME": "TARGET"}}; `-` is standard input
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// One record of ours.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Value {
    owner: String,
    #[serde(rename = "type")]
    kind: RecordType,
    zone: String,
    /// Seconds; of the record set where one was seen.
    ttl: u32,
    value: String,
    provider: String,
    /// Whether it is known to be in DNS.
    seen: bool,
    /// The name that the CA asks for: the owner, or one from which aliases lead there.
    #[serde(skip)]
    asked: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Records {
    must_stand: Vec<Value>,
    may_go: Vec<Value>,
}

pub(super) async fn records(
    global: &Global,
    args: RecordsArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let zone = args.zone.as_deref().map(names::read_known).transpose();
    let zone = zone
        .map_err(|message| Failed::new(Exit::Usage, message))?
        .map(|zone| zone.as_str().to_owned());
    let store = app.store_read_only().await?;
    // A list that was emptied by mistake must take no value out of DNS.
    if let Some(alarm) = app.alarm(&*store).await? {
        return Err(refused(&alarm));
    }
    let entries = store.open_entries(None).await?;
    let wanted = wanted(&*store, &app, &entries).await?;
    let views = persistent::views(&app, &*store, app.now()).await?;
    if args.ignore_rules {
        let rules = persistent_records::ignore_rules(args.format, &views, &app.settings);
        let rules = rules.ok_or_else(|| {
            let words = "`--ignore-rules` is for `--format octodns` and `--format dnscontrol`";
            Failed::new(Exit::Usage, words)
        })?;
        output.text(&rules);
        return Ok(Exit::Done);
    }
    let records = Records::new(entries, &wanted, &app.settings);
    let mut records = records.with_persistent(&views, &app.settings);
    if let Some(file) = &args.check {
        return check(file, zone, &records, output);
    }
    // For domains that the configuration does not name any more, only the foreign writers write.
    let by_others = |value: &Value| {
        args.all
            || is_manual(&app.settings, &value.provider)
            || !app.settings.providers.contains_key(&value.provider)
    };
    let keep = |value: &Value| {
        by_others(value)
            && zone
                .as_ref()
                .is_none_or(|zone| is_within(&value.owner, zone))
    };
    records.must_stand.retain(keep);
    records.may_go.retain(keep);
    if records.must_stand.is_empty() && records.may_go.is_empty() {
        output.notice("no TXT value is needed in DNS now, and none is to be removed");
    }
    output.json(&records);
    output.text(&format::render(args.format, &records));
    Ok(Exit::Done)
}

/// The attempts of the wanted domains that have an entry. The inventory is read page by page: few
/// of its domains have a record now.
async fn wanted(
    store: &dyn Store,
    app: &App,
    entries: &[LedgerEntry],
) -> Result<BTreeMap<RowKey, Upkeep>, StoreError> {
    let of: BTreeSet<&RowKey> = entries.iter().map(|entry| &entry.key).collect();
    let (mut rows, mut wanted) = (Rows::new(store, app.overlay()), BTreeMap::new());
    while let Some(page) = rows.next().await? {
        let asked = page
            .into_iter()
            .filter(|row| !row.origins.is_empty() && of.contains(&row.key));
        wanted.extend(asked.map(|row| (row.key, row.upkeep)));
    }
    Ok(wanted)
}

impl Records {
    fn new(
        entries: Vec<LedgerEntry>,
        wanted: &BTreeMap<RowKey, Upkeep>,
        settings: &Settings,
    ) -> Self {
        let mut records = Self {
            must_stand: Vec::new(),
            may_go: Vec::new(),
        };
        for entry in entries {
            let upkeep = wanted.get(&entry.key);
            let challenge = upkeep.and_then(|upkeep| upkeep.attempt.challenge.as_ref());
            let is_current = upkeep.is_some_and(|upkeep| match challenge {
                Some(challenge) => entry.carries(challenge),
                None => upkeep.attempt.value.as_ref() == Some(&entry.value),
            });
            let asked = challenge.map_or_else(|| entry.key.text(), |it| it.owner.as_str());
            let asked = asked.to_owned();
            let needed = is_current
                && matches!(
                    entry.state,
                    LedgerState::Intended | LedgerState::Published | LedgerState::Foreign
                );
            if needed {
                records.must_stand.push(Value::new(entry, asked, settings));
            } else if entry.state.is_open() {
                records.may_go.push(Value::new(entry, asked, settings));
            }
        }
        // What one client no longer needs may be needed at another.
        let needed = records.must_stand.clone();
        let is_same = |a: &Value, b: &Value| {
            (&a.owner, a.kind, &a.value, &a.provider) == (&b.owner, b.kind, &b.value, &b.provider)
        };
        let is_needed = |value: &Value| needed.iter().any(|one| is_same(one, value));
        records.may_go.retain(|value| !is_needed(value));
        for values in [&mut records.must_stand, &mut records.may_go] {
            values
                .sort_by(|a, b| (&a.zone, &a.owner, &a.value).cmp(&(&b.zone, &b.owner, &b.value)));
            values.dedup_by(|a, b| is_same(a, b));
        }
        records
    }
}

impl Value {
    fn new(entry: LedgerEntry, asked: String, settings: &Settings) -> Self {
        let zones = settings
            .providers
            .get(&entry.provider)
            .and_then(|table| table.table.get("zones")?.as_array());
        let zones = zones
            .into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_str);
        let configured = zones
            .filter(|zone| is_within(&entry.owner, zone))
            .max_by_key(|zone| zone.len());
        Self {
            zone: entry
                .zone
                .clone()
                .or(configured.map(str::to_owned))
                .or_else(|| fallback(settings, &entry.owner))
                .unwrap_or_else(|| entry.owner.clone()),
            ttl: entry.ttl_before.unwrap_or(NEW_TTL),
            seen: entry.published_at.is_some(),
            asked,
            owner: entry.owner,
            kind: entry.kind,
            value: entry.value,
            provider: entry.provider,
        }
    }

    fn is_in(&self, planned: &Planned) -> bool {
        match self.kind {
            RecordType::Txt => planned.holds(&self.owner, &self.value),
            RecordType::Cname => planned.leads(&self.owner, &self.value),
        }
    }

    /// `example.ch TXT "swiss-pki=…"`
    fn place(&self) -> String {
        match self.kind {
            RecordType::Txt => format!("{} TXT \"{}\"", self.owner, self.value),
            RecordType::Cname => format!("{} CNAME {}.", self.owner, self.value),
        }
    }
}

/// The zone of `[propagation.zone]` that a name is in.
fn fallback(settings: &Settings, owner: &str) -> Option<String> {
    let zones = settings.propagation.zones.keys();
    let zones = zones.filter(|zone| is_within(owner, zone));
    zones.max_by_key(|zone| zone.len()).cloned()
}

fn check(
    file: &Path,
    zone: Option<String>,
    records: &Records,
    output: &Output,
) -> Result<Exit, Failed> {
    let planned = plan(file, zone)?;
    let aliases = alias::needed(&records.must_stand, &planned);
    let lost = aliases.iter().filter(|one| !one.is_kept);
    let lost: Vec<&Value> = lost.map(|one| &one.record).collect();
    let leaves = |value: &Value| planned.gives_away(&value.owner, &value.zone);
    let mut needed: Vec<&Value> = records
        .must_stand
        .iter()
        .filter(|value| planned.decides(&value.owner) || leaves(value))
        .collect();
    let dropped = needed.iter().copied();
    let dropped: Vec<&Value> = dropped
        .filter(|value| leaves(value) || !value.is_in(&planned))
        .collect();
    needed.extend(aliases.iter().map(|one| &one.record));
    let missing: Vec<&Value> = dropped.iter().chain(&lost).copied().collect();
    let may_go: Vec<&Value> = records
        .may_go
        .iter()
        .filter(|value| value.is_in(&planned))
        .collect();
    output.json(
        &json!({ "zone": planned.apex, "needed": needed, "missing": missing, "may_go": may_go }),
    );
    for value in &may_go {
        output.notice(&format!(
            "{} is no longer needed and may go from the planned zone",
            value.place()
        ));
    }
    for value in lost {
        let what = "leads to a record that is needed, and the planned zone drops it";
        output.error(&format!("{} {what}", value.place()), None);
    }
    for value in dropped {
        let what = if leaves(value) {
            "is still needed, and the planned zone delegates its name to other servers"
        } else if value.seen {
            "is in DNS, is still needed, and the planned zone drops it"
        } else {
            "is needed, and not in the planned zone"
        };
        output.error(&format!("{} {what}", value.place()), None);
    }
    let zone = &planned.apex;
    if missing.is_empty() {
        output.line(&format!(
            "the planned zone {zone} keeps all of {} values that must exist",
            needed.len()
        ));
        return Ok(Exit::Done);
    }
    output.line(&format!(
        "the planned zone {zone} lacks {} of {} values that must exist",
        missing.len(),
        needed.len()
    ));
    Ok(Exit::Dns)
}

fn plan(file: &Path, zone: Option<String>) -> Result<Planned, Failed> {
    let shown = if file == Path::new("-") {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    };
    let text = read(file).map_err(|fault| Failed::new(Exit::Usage, format!("{shown} {fault}")))?;
    Planned::read(&text, zone).map_err(|fault| {
        Failed::new(Exit::Usage, format!("{shown}: {fault}")).with_hint(
            "`named-compilezone -F text -o - ZONE FILE` writes any zone file in its plainest form",
        )
    })
}

fn read(file: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let mut octets = Vec::new();
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(cannot)?)
    };
    source
        .take(MAX_BYTES + 1)
        .read_to_end(&mut octets)
        .map_err(cannot)?;
    if octets.len() as u64 > MAX_BYTES {
        return Err(format!("is larger than {} MiB", MAX_BYTES >> 20));
    }
    let text = decode(&octets).map_err(|fault| format!("{}; {}", fault.message, fault.hint))?;
    // Names and our values are ASCII; comments, and foreign values, may be in any encoding.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Whether a provider writes nothing itself.
pub(super) fn is_manual(settings: &Settings, provider: &str) -> bool {
    settings
        .providers
        .get(provider)
        .is_some_and(|table| table.table.get("kind") == Some(&json!("manual")))
}
