//! `persistent withdraw` and `persistent resume`: what a person orders.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::show::listing;
use crate::commands::app::{App, NOTED_BY_COMMANDS, Pass};
use crate::commands::by_hand::{agreed, signed};
use crate::commands::{Exit, Failed, Global, asked};
use crate::config::Settings;
use crate::output::{Output, counted};
use crate::persistent::Kept;
use crate::prevalidation::{DomainName, Mode};
use crate::store::Store;
use crate::store::persistent::PersistentRow;
use crate::worker::by_hand::Orderer;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 none of the records is in DNS · 2 usage or configuration, \
and nothing was withdrawn · 4 some record is still in DNS · 75 a run is working on a record: try \
again."
)]
pub(in crate::commands) struct WithdrawArgs {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Only the record of this issuer
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Says what would be removed from DNS, and does nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Does not ask
    #[arg(long)]
    yes: bool,
    /// How long to stay when DNS does not take it at once
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = crate::config::duration)]
    wait: SignedDuration,
}

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct ResumeArgs {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Only the record of this issuer
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
}

pub(in crate::commands) async fn withdraw(
    global: &Global,
    args: WithdrawArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let names = asked::names(&app, &args.domains, output)?;
    must_manage(&app.settings)?;
    let store = app.store_read_only().await?;
    let rows = concerned(&app, &*store, &names, args.issuer.as_deref()).await?;
    let records: Vec<String> = rows
        .iter()
        .flat_map(|row| row.kept.records.iter())
        .filter(|record| !record.foreign)
        .map(|record| format!("{} TXT \"{}\"", record.owner, record.value))
        .collect();
    // The writers of the zone were told, and no name server ever had it.
    let unseen: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| row.kept.records.iter())
        .filter(|record| record.by_others && record.visible_at.is_none())
        .map(|record| format!("{} TXT \"{}\"", record.owner, record.value))
        .collect();
    if args.dry_run {
        output.json(&json!({ "dry_run": true, "records": records }));
        let shown = records.iter();
        shown.for_each(|record| output.line(&format!("would be removed from DNS: {record}")));
        return Ok(Exit::Done);
    }
    confirm(records.len(), args.yes, output)?;
    let (store, _) = app.open().await?;
    let left = withdraw_all(&app, &store, &rows, args.wait).await?;
    output.json(&json!({ "dry_run": false, "records": records, "left": left }));
    let is_gone = |record: &&String| !left.contains(record);
    for record in records.iter().filter(is_gone) {
        let word = match unseen.contains(record) {
            true => "was not seen in DNS, and stays away",
            false => "withdrawn",
        };
        output.line(&format!("{word}: {record}"));
    }
    for row in rows.iter().filter(|row| row.kept.records.is_empty()) {
        let (shown, issuer) = (row.domain.both_forms(), &row.issuer);
        output.line(&format!(
            "no record of ours is in DNS, and none comes: {shown} at {issuer}"
        ));
    }
    for record in &left {
        let hint = "where a foreign writer writes its zone, `prevalidate records` prints what to write, and each run \
                    checks it; else a later run tries again, and `prevalidate run --domain DOMAIN` at \
                    once";
        output.error(&format!("{record} is still in DNS"), Some(hint));
    }
    output.line("`prevalidate persistent resume DOMAIN` lets a record come back");
    Ok(if left.is_empty() {
        Exit::Done
    } else {
        Exit::Dns
    })
}

fn must_manage(settings: &Settings) -> Result<(), Failed> {
    match settings.policy.mode {
        Mode::Observe => Err(Failed::new(
            Exit::Usage,
            "the policy's mode is `observe`: nothing is written in DNS",
        )),
        Mode::Manage => Ok(()),
    }
}

fn confirm(count: usize, yes: bool, output: &Output) -> Result<(), Failed> {
    let count = counted(count, "persistent record", "persistent records");
    let question = format!("Remove {count} from DNS until `resume`?");
    let hint = "use `--yes` to withdraw without a question; `--dry-run` says what would be done";
    agreed(&question, yes, "nothing was withdrawn", hint, output)
}

async fn all(app: &App, store: &dyn Store) -> Result<Vec<PersistentRow>, Failed> {
    let mut rows = store.persistent_rows().await?;
    for one in app.persistent() {
        let is_there = |row: &PersistentRow| row.domain == one.domain && row.issuer == one.issuer;
        if !rows.iter().any(is_there) {
            rows.push(PersistentRow {
                domain: one.domain.clone(),
                issuer: one.issuer.clone(),
                kept: Kept::default(),
            });
        }
    }
    Ok(rows)
}

/// The rows of these domains: those that are stored, and those that are only wanted.
async fn concerned(
    app: &App,
    store: &dyn Store,
    names: &[DomainName],
    issuer: Option<&str>,
) -> Result<Vec<PersistentRow>, Failed> {
    let mut rows = all(app, store).await?;
    rows.retain(|row| names.contains(&row.domain));
    let issuers: BTreeSet<String> = rows.iter().map(|row| row.issuer.clone()).collect();
    rows.retain(|row| issuer.is_none_or(|issuer| row.issuer == issuer));
    let known: BTreeSet<&DomainName> = rows.iter().map(|row| &row.domain).collect();
    let strangers: Vec<String> = names
        .iter()
        .filter(|name| !known.contains(name))
        .map(DomainName::both_forms)
        .collect();
    if strangers.is_empty() {
        return Ok(rows);
    }
    let of = issuer.map_or_else(String::new, |issuer| format!(" of {issuer}"));
    let others: Vec<&str> = issuers.iter().map(String::as_str).collect();
    let others = match issuer.is_some() && !others.is_empty() {
        true => format!("; issuers of these domains: {}", others.join(", ")),
        false => String::new(),
    };
    let strangers = strangers.join(", ");
    Err(Failed::new(
        Exit::Usage,
        format!("no persistent record{of} is kept for {strangers}{others}"),
    )
    .with_hint("`prevalidate persistent list` shows those that are kept"))
}

/// The rows of these domains that have a record of ours, or are wanted.
pub(in crate::commands) async fn concerned_if_any(
    app: &App,
    store: &dyn Store,
    names: &[DomainName],
) -> Result<Vec<PersistentRow>, Failed> {
    let mut rows = all(app, store).await?;
    rows.retain(|row| names.contains(&row.domain));
    Ok(rows)
}

/// Marks the rows as withdrawn and removes their records; the records that are still in DNS.
pub(in crate::commands) async fn withdraw_all(
    app: &App,
    store: &Arc<dyn Store>,
    rows: &[PersistentRow],
    wait: SignedDuration,
) -> Result<Vec<String>, Failed> {
    let now = app.now();
    mark(app, &**store, rows, "withdrawn", |kept, now| {
        kept.withdrawn_at = Some(now);
        kept.hold = None;
        // A canary that comes back begins its time again.
        kept.account = None;
        // What could not be removed before is tried at once.
        kept.wake();
        // What it waited for, or failed at, is over.
        (kept.trouble, kept.waits_for, kept.missing_since) = (None, None, None);
        kept.failures = 0;
    })
    .await?;
    let run = format!("withdraw-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let ports = app.ports(Arc::clone(store))?;
    let only = rows.iter().map(|row| row.domain.clone()).collect();
    let pass = Pass {
        run: &run,
        only: Some(only),
        force: false,
        noted_every: NOTED_BY_COMMANDS,
        stop: CancellationToken::new(),
        tell: Arc::new(|_| {}),
    };
    let deadline = now.saturating_add(wait).unwrap_or(now);
    app.keeper(&ports, pass).run(deadline).await?;
    let is_one = |row: &PersistentRow| {
        let mut rows = rows.iter();
        rows.any(|one| one.domain == row.domain && one.issuer == row.issuer)
    };
    let rows = store.persistent_rows().await?.into_iter().filter(is_one);
    let records = rows.flat_map(|row| row.kept.records);
    Ok(records
        .map(|record| format!("{} TXT \"{}\"", record.owner, record.value))
        .collect())
}

pub(in crate::commands) async fn resume(
    global: &Global,
    args: ResumeArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let names = asked::names(&app, &args.domains, output)?;
    must_manage(&app.settings)?;
    let (store, _) = app.open().await?;
    let rows = concerned(&app, &*store, &names, args.issuer.as_deref()).await?;
    let now = app.now();
    mark(&app, &*store, &rows, "resumed", |kept, _| {
        kept.withdrawn_at = None;
        kept.wake();
    })
    .await?;
    let mut views = super::views(&app, &*store, now).await?;
    views.retain(|view| names.contains(&view.domain));
    output.json(&json!({ "persistent": views }));
    listing(&views, now, output);
    for row in rows.iter().filter(|row| row.kept.withdrawn_at.is_none()) {
        let (shown, issuer) = (row.domain.both_forms(), &row.issuer);
        output.notice(&format!(
            "the persistent record of {shown} at {issuer} was not withdrawn; what it waited for is \
             tried by the next run"
        ));
    }
    match views.iter().any(|view| view.is_guarded) {
        true => output.warn(
            "the guard refuses, and `resume` does not answer it: a run puts no record back",
            Some("find what dropped them first; `prevalidate run --force` puts them back"),
        ),
        false => output.line("the next run publishes what is wanted"),
    }
    Ok(Exit::Done)
}

/// Changes the stored state of the records by order of a person: of all records, or of none.
async fn mark(
    app: &App,
    store: &dyn Store,
    rows: &[PersistentRow],
    word: &'static str,
    change: impl Fn(&mut Kept, Timestamp),
) -> Result<(), Failed> {
    let now = app.now();
    let run = format!("{word}-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let by = Orderer {
        holder: &format!("{run}/{}", std::process::id()),
        run: &run,
        now,
    };
    let change = |row: &mut PersistentRow| {
        change(&mut row.kept, now);
        let detail = format!("persistent record of {}: by hand", row.issuer);
        (word, signed(&detail))
    };
    let Some(busy) = by.order_records(store, rows, change).await? else {
        return Ok(());
    };
    let shown = busy.domain.both_forms();
    let message =
        format!("a run is working on the persistent record of {shown}; nothing was changed");
    Err(Failed::new(Exit::Temporary, message).with_hint("try again when it has ended"))
}
