//! `persistent scan`: what persistent records name servers have, and what each allows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use jiff::Timestamp;
use serde::Serialize;

use crate::commands::app::App;
use crate::commands::{Exit, Failed, Global, asked};
use crate::config::Settings;
use crate::output::{Output, counted, escape};
use crate::persistent::lint::{Fault, accepted, allows, lint, lint_together};
use crate::persistent::owner_of;
use crate::prevalidation::DomainName;
use crate::propagation::{DnsChecker as _, Gate};
use crate::store::{Store, StoreError};

/// The records of a name, each in its character-strings, or why they could not be read.
type Read = Result<Vec<Vec<Vec<u8>>>, String>;

/// Domains that are asked about at once.
const LANES: usize = 16;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 no record allows more than it should · 1 some record does, is \
malformed, or could not be read · 2 usage or configuration."
)]
pub(in crate::commands) struct ScanArgs {
    /// Only these domains; they need not be in the inventory
    #[arg(value_name = "DOMAIN")]
    domains: Vec<String>,
}

/// One record, as found.
#[derive(Debug, Serialize)]
struct Found {
    domain: DomainName,
    owner: String,
    value: String,
    /// `ours`, `wanted`: not ours and as the configuration wants it, or `foreign`.
    whose: &'static str,
    /// The issuer, where the record is well-formed.
    issuer: Option<String>,
    /// What it allows in the worst case; `null`: nothing.
    allows: Option<String>,
    faults: Vec<Told>,
}

#[derive(Debug, Serialize)]
struct Told {
    severity: &'static str,
    code: &'static str,
    words: String,
}

impl From<Fault> for Told {
    fn from(fault: Fault) -> Self {
        Self {
            severity: fault.severity.as_str(),
            code: fault.code,
            words: fault.words,
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    domains: usize,
    records: Vec<Found>,
    /// What is wrong with the records of a name together.
    together: BTreeMap<DomainName, Vec<Told>>,
    /// Why a domain's records could not be read.
    unread: BTreeMap<DomainName, String>,
}

pub(in crate::commands) async fn scan(
    global: &Global,
    args: ScanArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let names = asked::names(&app, &args.domains, output)?;
    let store = app.store_read_only().await?;
    let domains = match names.is_empty() {
        true => wanted(&app, &*store).await?,
        false => names.into_iter().collect(),
    };
    let ours = ours(&*store).await?;
    let (now, gate) = (app.now(), app.gate()?);
    let read: BTreeMap<DomainName, Read> = futures::stream::iter(domains)
        .map(|domain| read(Arc::clone(&gate), domain))
        .buffer_unordered(LANES)
        .collect()
        .await;
    let mut report = Report {
        domains: read.len(),
        records: Vec::new(),
        together: BTreeMap::new(),
        unread: BTreeMap::new(),
    };
    for (domain, records) in read {
        match records {
            Ok(records) => {
                let together = lint_together(&records).into_iter().map(Told::from);
                let together: Vec<Told> = together.collect();
                if !together.is_empty() {
                    report.together.insert(domain.clone(), together);
                }
                let found = records.iter().map(|record| {
                    let whose = whose(&app.settings, &ours, &domain, record);
                    found(&domain, record, whose, now)
                });
                report.records.extend(found);
            }
            Err(why) => drop(report.unread.insert(domain, why)),
        }
    }
    output.json(&report);
    show(&report, output);
    let is_bad = |record: &Found| record.faults.iter().any(|told| told.severity != "note");
    let bad = report.records.iter().any(is_bad) || !report.unread.is_empty();
    Ok(if bad { Exit::Incomplete } else { Exit::Done })
}

/// All domains that are wanted for anything.
async fn wanted(app: &App, store: &dyn Store) -> Result<BTreeSet<DomainName>, Failed> {
    let rows = app.rows(store).await?;
    let mut domains: BTreeSet<DomainName> = rows
        .into_iter()
        .filter(|row| !row.origins.is_empty())
        .map(|row| row.domain)
        .collect();
    let configured = app.settings.clients.iter().flat_map(|one| &one.domains);
    domains.extend(configured.map(|one| one.name.clone()));
    domains.extend(app.persistent().iter().map(|one| one.domain.clone()));
    let rows = store.persistent_rows().await?;
    domains.extend(rows.into_iter().map(|row| row.domain));
    Ok(domains)
}

/// The values that we wrote.
pub(in crate::commands) async fn ours(
    store: &dyn Store,
) -> Result<BTreeSet<(DomainName, String)>, StoreError> {
    let rows = store.persistent_rows().await?.into_iter();
    let values = rows.flat_map(|row| {
        let records = row.kept.records.into_iter().filter(|one| !one.foreign);
        records.map(move |one| (row.domain.clone(), one.value))
    });
    Ok(values.collect())
}

async fn read(gate: Arc<Gate>, domain: DomainName) -> (DomainName, Read) {
    let records = match owner_of(&domain) {
        Some(owner) => gate.texts(&owner).await,
        None => Err("the name is too long for a persistent record".to_owned()),
    };
    (domain, records)
}

/// `ours`, `wanted` or `foreign`.
pub(in crate::commands) fn whose(
    settings: &Settings,
    ours: &BTreeSet<(DomainName, String)>,
    domain: &DomainName,
    record: &[Vec<u8>],
) -> &'static str {
    let value = String::from_utf8_lossy(&record.concat()).into_owned();
    if ours.contains(&(domain.clone(), value)) {
        return "ours";
    }
    let is_wanted = accepted(record).iter().any(|read| {
        settings.persistent.iter().any(|one| {
            one.issuer == read.issuer && one.account == read.account && one.domains.contains(domain)
        })
    });
    if is_wanted { "wanted" } else { "foreign" }
}

fn found(domain: &DomainName, record: &[Vec<u8>], whose: &'static str, now: Timestamp) -> Found {
    let faults = lint(record, now);
    Found {
        owner: owner_of(domain).map_or_else(String::new, |owner| owner.to_string()),
        value: String::from_utf8_lossy(&record.concat()).into_owned(),
        whose,
        issuer: accepted(record).first().map(|read| read.issuer.clone()),
        allows: allows(record, domain.as_str(), now),
        faults: faults.into_iter().map(Told::from).collect(),
        domain: domain.clone(),
    }
}

fn show(report: &Report, output: &Output) {
    for record in &report.records {
        output.line(&format!(
            "{} TXT \"{}\"",
            record.owner,
            escape(&record.value)
        ));
        output.line(&format!("  {}", record.whose));
        let allows = record.allows.as_deref().unwrap_or("allows nothing");
        output.line(&format!("  {}", escape(allows)));
        for told in &record.faults {
            output.line(&format!("  {}: {}", told.severity, escape(&told.words)));
        }
    }
    for (domain, told) in &report.together {
        for told in told {
            output.line(&format!("{}: {}", domain.both_forms(), told.words));
        }
    }
    for (domain, why) in &report.unread {
        let shown = domain.both_forms();
        output.error(
            &format!("{shown}: its persistent records could not be read: {why}"),
            None,
        );
    }
    let foreign = report.records.iter().filter(|one| one.whose == "foreign");
    output.line(&format!(
        "{} at {}, {} of them foreign",
        counted(
            report.records.len(),
            "persistent record",
            "persistent records"
        ),
        counted(report.domains, "domain", "domains"),
        foreign.count()
    ));
}
