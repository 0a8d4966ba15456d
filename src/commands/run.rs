//! `run`: one full pass, the nightly job.

use std::sync::Arc;

use jiff::SignedDuration;

use super::by_hand::signed;
use super::order::{Order, Which};
use super::work::{passed, work};
use super::{Exit, Failed, Global, asked, notify, plan, wire};
use crate::config::{self, Settings};
use crate::output::Output;
use crate::overview::machines::{LastRun, host, note_run};
use crate::prevalidation::{DomainName, Mode};
use crate::store::{Event, Store, tidy};
use crate::worker::Target;

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub which: Which,
    /// Says what would be done, as `plan` does, and does nothing
    #[arg(long, conflicts_with_all = ["wait", "force"])]
    dry_run: bool,
    /// How long to stay and see things through; the next run continues from there [default: `wait`
    /// of [worker], 10m]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    wait: Option<SignedDuration>,
    /// Acts although the guard refuses
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(global: &Global, args: RunArgs, output: &Output) -> Result<Exit, Failed> {
    if args.dry_run {
        return plan::plan(global, plan::PlanArgs { which: args.which }, output).await;
    }
    let settings = wire::settings(global, output)?;
    let mut targets = args.which.part.targets(&settings)?;
    let names = asked::names(Some(&settings), &args.which.domains, asked::LOOKUP, output)?;
    let only = (!names.is_empty()).then_some(names);
    if let Some(only) = &only {
        refuse_unknown(&settings, only, &mut targets).await?;
    }
    let (store, intake) = match wire::open_or_make(&settings, args.force, output).await {
        Err(failed) if failed.exit == Exit::Guard => {
            notify::tell_refusal(&settings, output).await;
            return Err(failed);
        }
        opened => opened?,
    };
    let wait = args.wait.unwrap_or_else(|| {
        settings
            .worker
            .wait
            .try_into()
            .unwrap_or(SignedDuration::MAX)
    });
    let certificates = only.is_none()
        && args.which.part == asked::Part::default()
        && settings.policy.mode == Mode::Manage;
    let registries = only.is_none() && args.which.part == asked::Part::default();
    let left_out = settings.left_out.iter().map(ToString::to_string);
    let order = Order {
        command: "run",
        targets,
        certificates,
        registries,
        persistent: args.which.part == asked::Part::default(),
        only,
        wait,
        force: args.force,
        intake,
        left_out: left_out.collect(),
    };
    if args.force {
        note_force(&*store).await?;
    }
    let mut done = work(&settings, Arc::clone(&store), order, output).await?;
    let exit = done.exit;
    let rest = async {
        finish(&settings, store, exit, output).await?;
        Ok(exit)
    };
    tokio::select! {
        exit = rest => exit,
        // What was done is stored, and the next run tells what was not told.
        () = passed(done.deadline) => Ok(exit),
        code = done.signals.end_of_command() => std::process::exit(code),
    }
}

/// Before the store is made: a wrong name must leave no trace. What is left of `targets` are the
/// clients of these domains.
async fn refuse_unknown(
    settings: &Settings,
    only: &[DomainName],
    targets: &mut Vec<Target>,
) -> Result<(), Failed> {
    let mut rows = asked::inventory(
        wire::store_read_only(settings).await?.domains().await?,
        settings,
    );
    rows.retain(|row| targets.iter().any(|target| target.key == row.client));
    // A domain may have a persistent record and nothing else.
    let kept = wire::persistent(settings);
    let is_kept = |name: &DomainName| kept.iter().any(|one| one.domain == *name);
    let others = only.iter().filter(|name| !is_kept(name)).cloned();
    asked::in_inventory(&others.collect::<Vec<_>>(), &rows)?;
    rows.retain(|row| only.contains(&row.domain));
    targets.retain(|target| rows.iter().any(|row| row.client == target.key));
    Ok(())
}

async fn note_force(store: &dyn Store) -> Result<(), Failed> {
    let event = Event {
        at: wire::clock().now(),
        run: "run".to_owned(),
        domain: None,
        client: None,
        kind: "forced".to_owned(),
        detail: signed("the guard is overruled in this run"),
    };
    store.note(&[event]).await?;
    Ok(())
}

/// What follows the pass: old rows go, the run is noted, and who must know is told.
async fn finish(
    settings: &Settings,
    store: Arc<dyn Store>,
    exit: Exit,
    output: &Output,
) -> Result<(), Failed> {
    let now = wire::clock().now();
    tidy(&*store, now).await?;
    let run = LastRun {
        host: host(),
        ended_at: now,
        exit: exit as u8,
    };
    note_run(&*store, &run).await?;
    notify::tell(settings, Arc::clone(&store), output).await;
    store.close().await;
    Ok(())
}
