//! `withdraw`: removes our value from DNS by order of a person that must repair a zone. Only a
//! person takes the domain up again. It needs DNS alone: neither the CA nor the guard can stop it,
//! and no token is touched.

mod ordered;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::ordered::{Ordered, ordered};
use super::app::App;
use super::names::several;
use super::summary::{LedgerRecord, Writers};
use super::{Exit, Failed, Global, asked, by_hand, persistent};
use crate::config::Settings;
use crate::output::{Output, counted};
use crate::prevalidation::{DomainName, LedgerEntry, LedgerState, Mode, RowKey};
use crate::store::persistent::PersistentRow;
use crate::store::{DomainRow, Store};
use crate::worker::{Options, Worker};

#[derive(Debug, clap::Args)]
pub(super) struct WithdrawArgs {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN")]
    domains: Vec<String>,
    #[command(flatten)]
    part: asked::Part,
    /// Says what would be taken out of DNS, and does nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Does not ask
    #[arg(long)]
    yes: bool,
    /// How long to stay when DNS does not take it at once
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = crate::config::duration)]
    wait: SignedDuration,
}

pub(super) async fn withdraw(
    global: &Global,
    args: WithdrawArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let names = asked::names(&app, &args.domains, output)?;
    if app.settings.policy.mode == Mode::Observe {
        return Err(Failed::new(
            Exit::Usage,
            "the policy's mode is `observe`: nothing is written in DNS",
        ));
    }
    let store = app.store_read_only().await?;
    let mut rows = app.rows(&*store).await?;
    let clients = args.part.clients(&app)?;
    rows.retain(|row| clients.contain(&row.client) && names.contains(&row.domain));
    let keys: Vec<RowKey> = rows.iter().map(|row| row.key.clone()).collect();
    let (ours, theirs) = values(&*store, &keys).await?;
    // Persistent records belong to no client.
    let kept = match args.part == asked::Part::default() {
        true => persistent::concerned_if_any(&app, &*store, &names).await?,
        false => Vec::new(),
    };
    let strangers: Vec<DomainName> = names
        .iter()
        .filter(|name| !kept.iter().any(|row| row.domain == **name))
        .cloned()
        .collect();
    refuse_strangers(&strangers, &rows, &ours)?;
    let of_orders = ordered(&*store, &names).await?;
    for value in shown(&app.settings, theirs, &BTreeMap::new()) {
        output.notice(&format!(
            "{} was there before us and is not ours to remove",
            value.place()
        ));
    }
    let with = with_records(names, &ours, &of_orders, &kept, output);
    if (with.is_empty() && kept.is_empty()) || args.dry_run {
        let report = Report {
            dry_run: args.dry_run,
            withdrawn: shown(&app.settings, ours, &BTreeMap::new()),
            left: Vec::new(),
            of_orders,
        };
        report.foretell(&kept, output);
        return Ok(Exit::Done);
    }
    let shown: usize = kept.iter().map(|row| row.kept.records.len()).sum();
    let asked: Vec<DomainName> = match with.is_empty() {
        true => kept.iter().map(|row| row.domain.clone()).collect(),
        false => with,
    };
    let count = (ours.len() + shown, of_orders.len());
    ask(&asked, count, args.yes, output)?;

    let (store, _) = app.open().await?;
    let keys = keys_with_records(rows, &ours, &of_orders);
    order(&app, &*store, &keys).await?;
    remove(&app, &store, &keys, args.wait).await?;
    let exit = report(&app, &*store, &keys, (ours, of_orders), output).await?;
    if kept.is_empty() {
        return Ok(exit);
    }
    let left = persistent::withdraw_all(&app, &store, &kept, args.wait).await?;
    tell_kept(&kept, &left, output);
    Ok(if left.is_empty() { exit } else { Exit::Dns })
}

/// The domains that have a record of ours; says which have none, persistent ones included.
fn with_records(
    names: Vec<DomainName>,
    ours: &[LedgerEntry],
    of_orders: &[Ordered],
    kept: &[PersistentRow],
    output: &Output,
) -> Vec<DomainName> {
    let (with, mut without): (Vec<DomainName>, Vec<DomainName>) =
        names.into_iter().partition(|name| {
            let is_ordered = of_orders.iter().any(|one| one.domain == *name);
            is_ordered || ours.iter().any(|entry| entry.key.domain() == name)
        });
    without.retain(|name| {
        let mut rows = kept.iter().filter(|row| row.domain == *name);
        !rows.any(|row| !row.kept.records.is_empty())
    });
    if !without.is_empty() {
        output.notice(&format!(
            "nothing of ours is in DNS at {}",
            several(&without)
        ));
    }
    with
}

fn keys_with_records(
    rows: Vec<DomainRow>,
    ours: &[LedgerEntry],
    of_orders: &[Ordered],
) -> Vec<RowKey> {
    rows.into_iter()
        .map(|row| row.key)
        .filter(|key| {
            let is_ordered = of_orders.iter().any(|one| one.domain == *key.domain());
            is_ordered || ours.iter().any(|entry| entry.key == *key)
        })
        .collect()
}

/// The outcome of the persistent records; `left` are those that are still in DNS.
fn tell_kept(kept: &[PersistentRow], left: &[String], output: &Output) {
    for record in kept.iter().flat_map(|row| &row.kept.records) {
        let shown = format!("{} TXT \"{}\"", record.owner, record.value);
        if !left.contains(&shown) && !record.foreign {
            output.line(&format!("withdrawn: {shown}"));
        }
    }
    for record in left {
        output.error(&format!("{record} is still in DNS"), None);
    }
    output.line(
        "persistent records stay away until `prevalidate persistent resume DOMAIN` lets them back",
    );
}

impl Report {
    /// The records that would be removed from DNS.
    fn foretell(&self, kept: &[PersistentRow], output: &Output) {
        output.json(self);
        self.withdrawn.iter().for_each(|value| {
            output.line(&format!("would be taken out of DNS: {}", value.place()))
        });
        for record in kept.iter().flat_map(|row| &row.kept.records) {
            let (owner, value) = (&record.owner, &record.value);
            output.line(&format!(
                "would be taken out of DNS: {owner} TXT \"{value}\""
            ));
        }
        for one in &self.of_orders {
            output.line(&format!("would be taken out of DNS by the next run: {one}"));
        }
    }
}

/// The open values of the rows: ours, and those that were there before.
async fn values(
    store: &dyn Store,
    keys: &[RowKey],
) -> Result<(Vec<LedgerEntry>, Vec<LedgerEntry>), Failed> {
    let mut all = store.open_entries(None).await?;
    all.retain(|entry| keys.contains(&entry.key));
    Ok(all
        .into_iter()
        .partition(|entry| entry.state != LedgerState::Foreign))
}

/// A name that is not kept here may still have a record of ours: it was kept once.
fn refuse_strangers(
    names: &[DomainName],
    rows: &[DomainRow],
    ours: &[LedgerEntry],
) -> Result<(), Failed> {
    let has_value = |name: &DomainName| ours.iter().any(|entry| entry.key.domain() == name);
    let rest: Vec<DomainName> = names
        .iter()
        .filter(|name| !has_value(name))
        .cloned()
        .collect();
    asked::in_inventory(&rest, rows)
}

fn ask(
    names: &[DomainName],
    (count, of_orders): (usize, usize),
    yes: bool,
    output: &Output,
) -> Result<(), Failed> {
    let later = match of_orders {
        0 => String::new(),
        count => format!(
            " The next run takes {} out.",
            counted(count, "record of an open order", "records of open orders")
        ),
    };
    let question = format!(
        "Take {} out of DNS, and leave {} alone until a person takes it up again?{later}",
        counted(count, "value", "values"),
        several(names)
    );
    let hint = "use `--yes` to withdraw without a question; `--dry-run` says what would be done";
    by_hand::agreed(&question, yes, "nothing was withdrawn", hint, output)
}

async fn order(app: &App, store: &dyn Store, keys: &[RowKey]) -> Result<(), Failed> {
    by_hand::order(app, store, "withdraw", keys, |lease, now| {
        lease.row.upkeep.withdraw(now);
        // What could not be removed before is tried at once.
        lease
            .ledger
            .iter_mut()
            .for_each(|entry| entry.retry_at = None);
        (
            "withdrawn",
            "our value leaves DNS and does not come back by itself, by hand".to_owned(),
        )
    })
    .await
}

/// The worker's own way of removing, under its leases and into its history. It knows no client, so
/// it asks no CA.
async fn remove(
    app: &App,
    store: &Arc<dyn Store>,
    keys: &[RowKey],
    wait: SignedDuration,
) -> Result<(), Failed> {
    let run = format!("withdraw-{}", app.now().strftime("%Y%m%dT%H%M%SZ"));
    let options = Options {
        only: Some(keys.to_vec()),
        lanes: 1,
        ..Options::new(format!("{run}/{}", std::process::id()), run)
    };
    let ports = app.ports(Arc::clone(store))?;
    let policy = app.policy.clone();
    let worker = Worker::new(
        ports,
        policy,
        Vec::new(),
        options,
        CancellationToken::new(),
        Arc::new(|_| {}),
    );
    Ok(worker.run(wait).await?)
}

/// As `--output json` prints it.
#[derive(Serialize)]
struct Report {
    dry_run: bool,
    withdrawn: Vec<LedgerRecord>,
    left: Vec<LedgerRecord>,
    /// Records of open orders, which the next run takes out of DNS.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    of_orders: Vec<Ordered>,
}

async fn report(
    app: &App,
    store: &dyn Store,
    keys: &[RowKey],
    (before, of_orders): (Vec<LedgerEntry>, Vec<Ordered>),
    output: &Output,
) -> Result<Exit, Failed> {
    let (left, _) = values(store, keys).await?;
    let of_values: BTreeSet<DomainName> = before
        .iter()
        .map(|entry| entry.key.domain().clone())
        .collect();
    let withdrawn = before
        .into_iter()
        .filter(|entry| left.iter().all(|other| other.id != entry.id))
        .collect();
    let mut errors = BTreeMap::new();
    for row in store
        .domains()
        .await?
        .into_iter()
        .filter(|row| keys.contains(&row.key))
    {
        errors.extend(
            row.upkeep
                .setback
                .last_error
                .map(|error| (row.key.clone(), error)),
        );
    }
    let report = Report {
        dry_run: false,
        withdrawn: shown(&app.settings, withdrawn, &errors),
        left: shown(&app.settings, left, &errors),
        of_orders,
    };
    output.json(&report);
    report
        .withdrawn
        .iter()
        .for_each(|value| output.line(&format!("withdrawn: {}", value.place())));
    for value in &report.left {
        let (why, hint) = match (&value.error, value.by_others) {
            (None, true) => (
                "a foreign writer writes its zone",
                "`prevalidate records` says what may go; a run sees when it is gone",
            ),
            (error, _) => (
                error.as_deref().unwrap_or("a run is working on it"),
                "each run tries again; to remove it by hand, remove exactly this value",
            ),
        };
        output.error(
            &format!("{} is still in DNS: {why}", value.place()),
            Some(hint),
        );
    }
    for one in &report.of_orders {
        output.line(&format!("the next run takes out of DNS: {one}"));
    }
    tell_held(keys, &of_values, &report.of_orders, output);
    Ok(if report.left.is_empty() {
        Exit::Done
    } else {
        Exit::Dns
    })
}

/// Says of each name what waits until it is taken up again; `of_values` had records of their own.
fn tell_held(
    keys: &[RowKey],
    of_values: &BTreeSet<DomainName>,
    of_orders: &[Ordered],
    output: &Output,
) {
    let names: BTreeSet<_> = keys.iter().map(RowKey::domain).collect();
    for name in names {
        let shown = name.both_forms();
        let mut line =
            format!("{shown} is held: `prevalidate run --domain {name}` takes it up again");
        if of_values.contains(name) {
            line.push_str(", with the same token");
        }
        let orders = of_orders.iter().filter(|one| one.domain == *name);
        let waiting: BTreeSet<_> = orders.map(|one| one.certificate.as_str()).collect();
        for certificate in waiting {
            line.push_str(&format!(
                "; until then the order of certificate {certificate} waits without its record"
            ));
        }
        output.line(&line);
    }
}

fn shown(
    settings: &Settings,
    entries: Vec<LedgerEntry>,
    errors: &BTreeMap<RowKey, String>,
) -> Vec<LedgerRecord> {
    let writers = Writers::of(settings);
    entries
        .into_iter()
        .map(|entry| LedgerRecord::new(entry, &writers, errors))
        .collect()
}
