//! `providers`: the instances, their kinds, the zones of the inventory they have; with `check`, a
//! preflight of the record that each CA is going to want. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use prevalidate_providers::{ErrorKind, Preflight, ProviderError};
use serde::Serialize;

use super::app::App;
use super::{Exit, Failed, Global, persistent};
use crate::config::Settings;
use crate::output::{Cell, Output, Reason, Tone};
use crate::persistent::LABEL;
use crate::prevalidation::name::is_within;
use crate::prevalidation::{DomainName, Policy, RecordForm, RecordName, RecordType};
use crate::store::DomainRow;
use crate::worker::place::{next_owner, route_owner};
use crate::worker::route::route_record;
use crate::worker::{Ports, Target};

/// Domains that are asked about at once.
const AT_ONCE: usize = 16;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Exit status: 0 every domain has a provider, and could be written · 2 usage or configuration · \
4 some have none, or could not, or a provider gave no answer."
)]
pub(super) struct ProvidersArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Proves, as far as each provider can, that the records of the CAs could be written now: one
    /// domain of each zone for each kind of record
    Check {
        /// Every domain, not one of each zone
        #[arg(long)]
        all: bool,
    },
}

/// The findings for a domain and a CA.
struct Found {
    domain: DomainName,
    provider: Option<String>,
    zone: Result<(String, Record), ProviderError>,
}

/// The record by which a CA validates next, as far as it is known before the CA names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    owner: RecordName,
    form: RecordForm,
}

/// One zone at one provider.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) provider: String,
    pub(super) kind: &'static str,
    pub(super) zone: Option<String>,
    pub(super) domains: Vec<DomainName>,
    /// The records to write for them.
    #[serde(skip)]
    records: Vec<(DomainName, Record)>,
    /// The facts that `check` proved, by record; empty without `--check`.
    pub(super) checks: Vec<Check>,
    /// Why there is no zone.
    pub(super) error: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) domain: DomainName,
    /// The subject: `_dnsauth.example.ch TXT`.
    pub(super) record: String,
    pub(super) ok: bool,
    pub(super) evidence: String,
    pub(super) warnings: Vec<String>,
    pub(super) hint: Option<String>,
}

pub(super) async fn providers(
    global: &Global,
    args: ProvidersArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let store = app.store_read_only().await?;
    let ports = app.ports(Arc::clone(&store))?;
    let rows = app.rows(&*store).await?;
    let withdrawn = persistent::withdrawn(&*store).await?;
    let all = args.verb.as_ref().map(|Verb::Check { all }| *all);
    let wanted = asked_about(&rows, &withdrawn, &app.settings);
    let table = tried(&ports, &app.policy, wanted, all).await;
    output.json(&table);
    print(&table, args.verb.is_some(), output);
    let failed = table
        .iter()
        .any(|row| row.error.is_some() || row.checks.iter().any(|check| !check.ok));
    Ok(if failed { Exit::Dns } else { Exit::Done })
}

/// A domain whose record a CA is going to want.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Expected {
    domain: DomainName,
    ca: String,
    provider: Option<String>,
    /// Its record stays in DNS.
    is_persistent: bool,
}

impl Expected {
    /// The provider that it names.
    pub(super) fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }
}

/// The domains of the inventory, those of persistent records that were not withdrawn, and the names
/// of certificates whose orders may want records of their own: those that depend on no domain of
/// their client.
pub(super) fn asked_about(
    rows: &[DomainRow],
    withdrawn: &BTreeSet<(DomainName, String)>,
    settings: &Settings,
) -> Vec<Expected> {
    let rows: Vec<_> = rows.iter().filter(|row| !row.origins.is_empty()).collect();
    let of_row = |row: &&DomainRow| Expected {
        domain: row.domain.clone(),
        ca: row.ca.clone(),
        provider: row.provider.clone(),
        is_persistent: false,
    };
    let mut expected: Vec<_> = rows.iter().map(of_row).collect();
    for one in &settings.certificates.certificates {
        let kind = settings.cas.get(&one.ca).and_then(|ca| ca.kind.issuing);
        let Some(kind) = kind.filter(|kind| kind.orders_bring_records) else {
            continue;
        };
        let client = one.client.clone();
        let client = client.map(|selector| Target::new(&one.ca, selector).key);
        for name in one.subject.names() {
            let name = name.strip_prefix("*.").unwrap_or(name);
            let Ok(domain) = DomainName::from_a_labels(name) else {
                continue;
            };
            let is_above = |row: &&&DomainRow| {
                Some(&row.client) == client.as_ref() && is_within(name, row.domain.as_str())
            };
            let above = rows.iter().filter(is_above);
            let above = above.max_by_key(|row| row.domain.as_str().len());
            if above.is_some() && !kind.validates_in_order {
                continue;
            }
            let one = Expected {
                domain,
                ca: one.ca.clone(),
                provider: above.and_then(|row| row.provider.clone()),
                is_persistent: false,
            };
            if !expected.contains(&one) {
                expected.push(one);
            }
        }
    }
    expected.extend(settings.persistent.iter().flat_map(|one| {
        let is_kept =
            |domain: &&DomainName| !withdrawn.contains(&((*domain).clone(), one.issuer.clone()));
        one.domains.iter().filter(is_kept).map(|domain| Expected {
            domain: domain.clone(),
            ca: String::new(),
            provider: one.provider.clone(),
            is_persistent: true,
        })
    }));
    expected.sort();
    expected.dedup();
    expected
}

/// The zones of these domains at their providers; with `Some`, tried: all domains, or one of each
/// zone.
pub(super) async fn tried(
    ports: &Ports,
    policy: &Policy,
    wanted: Vec<Expected>,
    check_all: Option<bool>,
) -> Vec<Row> {
    let found: Vec<Found> = futures::stream::iter(wanted)
        .map(async |one| find(ports, policy, &one).await)
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut table = table(ports, found);
    if let Some(all) = check_all {
        for row in &mut table {
            row.check(ports, all).await;
        }
    }
    table
}

async fn find(ports: &Ports, policy: &Policy, row: &Expected) -> Found {
    let mut found = Found {
        domain: row.domain.clone(),
        provider: None,
        zone: Err(ProviderError::new(ErrorKind::NoZone, "not searched for")),
    };
    found.zone = zone_of(ports, policy, row, &mut found.provider).await;
    found
}

/// Where the next record of a row is written; the provider is said even where it has no zone for
/// it.
async fn zone_of(
    ports: &Ports,
    policy: &Policy,
    row: &Expected,
    provider: &mut Option<String>,
) -> Result<(String, Record), ProviderError> {
    let (policy, gate) = (policy.of(&row.ca), &*ports.checker);
    let kept = Policy {
        record: RecordForm {
            kind: RecordType::Txt,
            below: true,
            label: Some(LABEL.to_owned()),
        },
        follow_aliases: true,
        ..policy.clone()
    };
    let policy = if row.is_persistent { &kept } else { policy };
    let owner = next_owner(policy, gate, &row.domain).await?;
    let named = row.provider.as_deref();
    let name = match row.is_persistent {
        // The named provider writes it wherever its alias leads.
        true => {
            let shown = row.domain.both_forms();
            route_record(&ports.providers, gate, &owner, &shown, named).await?
        }
        false => route_owner(&ports.providers, gate, &row.domain, &owner, named).await?,
    };
    let Some(writer) = ports.providers.get(provider.insert(name)) else {
        let text = format!(
            "provider `{}` is not in the configuration",
            provider.as_deref().unwrap_or_default()
        );
        return Err(ProviderError::new(ErrorKind::Settings, text));
    };
    let form = policy.record.clone();
    let zone = match writer.find_zone(owner.as_str()).await {
        // Any name may be routed to a foreign writer; such a provider knows no zones.
        Err(error) if error.kind == ErrorKind::NoZone && !writer.writes() => writer
            .preflight(owner.as_str(), form.kind.into())
            .await
            .map(|proof| proof.zone.apex),
        found => found.map(|zone| zone.apex),
    };
    Ok((zone?, Record { owner, form }))
}

/// One row for each zone, one for each domain without one, one for each provider that has nothing.
fn table(ports: &Ports, found: Vec<Found>) -> Vec<Row> {
    let kind = |name: &str| {
        ports
            .providers
            .get(name)
            .map_or("-", |provider| provider.kind())
    };
    let mut zones: BTreeMap<(String, String), Vec<(DomainName, Record)>> = BTreeMap::new();
    let mut unused: BTreeSet<&String> = ports.providers.keys().collect();
    let mut faults = Vec::new();
    for Found {
        domain,
        provider,
        zone,
    } in found
    {
        unused.retain(|name| Some(*name) != provider.as_ref());
        let provider = provider.unwrap_or_else(|| "-".to_owned());
        match zone {
            Ok((zone, record)) => {
                let records = zones.entry((provider, zone)).or_default();
                // A domain at two clients of a CA has one record; the rows come by domain.
                let mut own = records.iter().rev().take_while(|(of, _)| *of == domain);
                if !own.any(|(_, known)| *known == record) {
                    records.push((domain, record));
                }
            }
            Err(error) => {
                let words = error.to_string();
                let reason = Reason::new(&words, error.hint.as_deref()).to_string();
                let (kind, error) = (kind(&provider), Some(reason));
                faults.push(Row {
                    provider,
                    kind,
                    zone: None,
                    domains: vec![domain],
                    records: Vec::new(),
                    checks: Vec::new(),
                    error,
                });
            }
        }
    }
    let row = |((provider, zone), records): ((String, String), Vec<(DomainName, Record)>)| {
        let kind = kind(&provider);
        let domains: BTreeSet<_> = records.iter().map(|(domain, _)| domain.clone()).collect();
        Row {
            provider,
            kind,
            zone: Some(zone),
            domains: domains.into_iter().collect(),
            records,
            checks: Vec::new(),
            error: None,
        }
    };
    let mut rows: Vec<Row> = zones.into_iter().map(row).collect();
    rows.extend(unused.into_iter().map(|name| Row {
        provider: name.clone(),
        kind: kind(name),
        zone: None,
        domains: Vec::new(),
        records: Vec::new(),
        checks: Vec::new(),
        error: None,
    }));
    rows.sort_by(|a, b| (&a.provider, &a.zone).cmp(&(&b.provider, &b.zone)));
    rows.extend(faults);
    rows
}

impl Row {
    async fn check(&mut self, ports: &Ports, all: bool) {
        let Some(provider) = ports
            .providers
            .get(&self.provider)
            .filter(|_| self.zone.is_some())
        else {
            return;
        };
        // A key that may write a TXT record at the domain may not be one for a CNAME below it.
        let mut forms = Vec::new();
        let chosen = self.records.iter().filter(|(_, record)| {
            let is_new = !forms.contains(&&record.form);
            if is_new {
                forms.push(&record.form);
            }
            all || is_new
        });
        let chosen: Vec<_> = chosen.cloned().collect();
        let asked = futures::stream::iter(chosen).map(async |(domain, record)| {
            let kind = record.form.kind;
            let proof = provider.preflight(record.owner.as_str(), kind.into()).await;
            Check::new(domain, format!("{} {kind}", record.owner), proof)
        });
        self.checks = asked.buffered(AT_ONCE).collect().await;
    }
}

impl Check {
    fn new(domain: DomainName, record: String, proof: Result<Preflight, ProviderError>) -> Self {
        match proof {
            Ok(proof) => Self {
                domain,
                record,
                ok: true,
                evidence: proof.evidence,
                warnings: proof.warnings,
                hint: None,
            },
            Err(error) => Self {
                domain,
                record,
                ok: false,
                evidence: error.message,
                warnings: Vec::new(),
                hint: error.hint,
            },
        }
    }

    /// The domain, and its record where that is another name or a CNAME.
    fn subject(&self) -> String {
        let domain = self.domain.both_forms();
        match self.record == format!("{} TXT", self.domain) {
            true => domain,
            false => format!("{domain} ({})", self.record),
        }
    }
}

fn print(table: &[Row], checked: bool, output: &Output) {
    let cells = table.iter().map(|row| {
        let count = match row.domains.as_slice() {
            [] => "-".to_owned(),
            [one] => one.both_forms(),
            [first, more @ ..] => format!("{} and {} more", first.both_forms(), more.len()),
        };
        let (text, tone) = match (
            &row.error,
            row.checks.iter().filter(|check| !check.ok).count(),
        ) {
            (Some(error), _) => (error.clone(), Tone::Bad),
            (None, 0) if row.checks.is_empty() => (String::new(), Tone::Dim),
            (None, 0) => ("can be written".to_owned(), Tone::Good),
            (None, bad) => (
                format!("{bad} of {} cannot be written", row.checks.len()),
                Tone::Bad,
            ),
        };
        let zone = row.zone.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            row.provider.clone().into(),
            row.kind.into(),
            zone.into(),
            count.into(),
            Cell::new(text, tone),
        ]
    });
    output.table(
        &[
            "PROVIDER",
            "KIND",
            "ZONE",
            "DOMAINS",
            if checked { "CHECK" } else { "NOTE" },
        ],
        cells.collect(),
    );
    let mut warned = BTreeSet::new();
    for check in table.iter().flat_map(|row| &row.checks) {
        let said = format!("{}: {}", check.subject(), check.evidence);
        if !check.ok {
            output.error(&said, check.hint.as_deref());
        } else {
            output.detail(&said);
        }
        // Each kind of record of a zone has the same.
        for warning in check.warnings.iter().filter(|one| warned.insert(*one)) {
            output.warn(warning, None);
        }
    }
}
