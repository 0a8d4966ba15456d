//! `providers`: the instances, their kinds, the zones of the inventory they have; with `check`, a
//! preflight. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use prevalidate_providers::{ErrorKind, Preflight, ProviderError, RecordKind};
use serde::Serialize;

use super::{Exit, Failed, Global, asked, wire};
use crate::output::{Cell, Output, Tone};
use crate::prevalidation::DomainName;
use crate::worker::Ports;

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
    /// Proves, as far as each provider can, that values could be written now: one domain of each
    /// zone
    Check {
        /// Every domain, not one of each zone
        #[arg(long)]
        all: bool,
    },
}

/// What was found for a domain.
struct Found {
    domain: DomainName,
    provider: Option<String>,
    zone: Result<String, ProviderError>,
}

/// One zone at one provider.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) provider: String,
    pub(super) kind: &'static str,
    pub(super) zone: Option<String>,
    pub(super) domains: Vec<DomainName>,
    /// What `check` proved, per domain; empty without it.
    pub(super) checks: Vec<Check>,
    /// Why there is no zone.
    pub(super) error: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) domain: DomainName,
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
    let settings = wire::settings(global, output)?;
    let store = wire::store_read_only(&settings).await?;
    let ports = wire::ports(&settings, Arc::clone(&store))?;
    let rows = asked::inventory(store.domains().await?, &settings);
    let wanted = rows.into_iter().filter(|row| !row.origins.is_empty());
    let wanted = wanted.map(|row| (row.domain, row.provider)).collect();
    let all = args.verb.as_ref().map(|Verb::Check { all }| *all);
    let table = tried(&ports, wanted, all).await;
    output.json(&table);
    print(&table, args.verb.is_some(), output);
    let failed = table
        .iter()
        .any(|row| row.error.is_some() || row.checks.iter().any(|check| !check.ok));
    Ok(if failed { Exit::Dns } else { Exit::Done })
}

/// The zones of these domains at their providers; with `Some`, tried: all domains, or one of each
/// zone.
pub(super) async fn tried(
    ports: &Ports,
    wanted: Vec<(DomainName, Option<String>)>,
    check_all: Option<bool>,
) -> Vec<Row> {
    // A domain at two clients has one zone.
    let wanted: BTreeSet<_> = wanted.into_iter().collect();
    let found: Vec<Found> = futures::stream::iter(wanted)
        .map(async |(domain, provider)| find(ports, domain, provider).await)
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

async fn find(ports: &Ports, domain: DomainName, named: Option<String>) -> Found {
    let provider = match ports.route(&domain, named.as_deref()).await {
        Ok(provider) => provider,
        Err(error) => {
            return Found {
                domain,
                provider: None,
                zone: Err(error),
            };
        }
    };
    let zone = match ports.providers.get(&provider) {
        None => {
            let text = format!("provider `{provider}` is not in the configuration");
            Err(ProviderError::new(ErrorKind::Settings, text))
        }
        // Any name may be routed to where others write; nobody there knows zones.
        Some(writer) => match writer.find_zone(domain.as_str()).await {
            Err(error) if error.kind == ErrorKind::NoZone && !writer.writes() => writer
                .preflight(domain.as_str(), RecordKind::Txt)
                .await
                .map(|proof| proof.zone.apex),
            found => found.map(|zone| zone.apex),
        },
    };
    Found {
        domain,
        provider: Some(provider),
        zone,
    }
}

/// One row for each zone, one for each domain without one, one for each provider that has nothing.
fn table(ports: &Ports, found: Vec<Found>) -> Vec<Row> {
    let kind = |name: &str| {
        ports
            .providers
            .get(name)
            .map_or("-", |provider| provider.kind())
    };
    let mut zones: BTreeMap<(String, String), Vec<DomainName>> = BTreeMap::new();
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
            Ok(zone) => zones.entry((provider, zone)).or_default().push(domain),
            Err(error) => {
                let hint = error
                    .hint
                    .as_ref()
                    .map(|hint| format!(" (hint: {hint})"))
                    .unwrap_or_default();
                let (kind, error) = (kind(&provider), Some(format!("{error}{hint}")));
                faults.push(Row {
                    provider,
                    kind,
                    zone: None,
                    domains: vec![domain],
                    checks: Vec::new(),
                    error,
                });
            }
        }
    }
    let row = |((provider, zone), domains): ((String, String), Vec<DomainName>)| {
        let kind = kind(&provider);
        Row {
            provider,
            kind,
            zone: Some(zone),
            domains,
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
        let count = if all { self.domains.len() } else { 1 };
        let asked =
            futures::stream::iter(self.domains.iter().take(count).cloned()).map(async |domain| {
                let proof = provider.preflight(domain.as_str(), RecordKind::Txt).await;
                Check::new(domain, proof)
            });
        self.checks = asked.buffered(AT_ONCE).collect().await;
    }
}

impl Check {
    fn new(domain: DomainName, proof: Result<Preflight, ProviderError>) -> Self {
        match proof {
            Ok(proof) => Self {
                domain,
                ok: true,
                evidence: proof.evidence,
                warnings: proof.warnings,
                hint: None,
            },
            Err(error) => Self {
                domain,
                ok: false,
                evidence: error.message,
                warnings: Vec::new(),
                hint: error.hint,
            },
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
    for check in table.iter().flat_map(|row| &row.checks) {
        if !check.ok {
            output.error(
                &format!("{}: {}", check.domain.both_forms(), check.evidence),
                check.hint.as_deref(),
            );
        } else {
            output.detail(&format!(
                "{}: {}",
                check.domain.both_forms(),
                check.evidence
            ));
        }
        check
            .warnings
            .iter()
            .for_each(|warning| output.warn(warning, None));
    }
}
