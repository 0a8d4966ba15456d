//! `run`: one full pass, the nightly job.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::app::App;
use super::by_hand::signed;
use super::order::{Order, Which};
use super::work::{passed, work};
use super::{Exit, Failed, Global, asked, notify, plan};
use crate::config;
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
    let app = App::read(global, output)?;
    let mut targets = args.which.part.targets(&app)?;
    let names = asked::names(&app, &args.which.domains, output)?;
    let only = (!names.is_empty()).then_some(names);
    if let Some(only) = &only {
        refuse_unknown(&app, only, &mut targets).await?;
    }
    let (store, intake) = match app.open_or_make(args.force, output).await {
        Err(failed) if failed.exit == Exit::Guard => {
            notify::tell_refusal(&app, output).await;
            return Err(failed);
        }
        opened => opened?,
    };
    let is_whole = args.which.part == asked::Part::default();
    let left_out = app.settings.left_out.iter().map(ToString::to_string);
    let order = Order {
        command: "run",
        targets,
        certificates: is_whole && only.is_none() && app.policy.mode == Mode::Manage,
        registries: is_whole && only.is_none(),
        persistent: is_whole,
        only,
        wait: app.wait(args.wait),
        force: args.force,
        intake,
        left_out: left_out.collect(),
    };
    if args.force {
        note_force(&*store, app.now()).await?;
    }
    let mut done = work(&app, Arc::clone(&store), order, output).await?;
    let exit = done.exit;
    let rest = async {
        finish(&app, store, exit, output).await?;
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
    app: &App,
    only: &[DomainName],
    targets: &mut Vec<Target>,
) -> Result<(), Failed> {
    let mut rows = app.rows(&*app.store_read_only().await?).await?;
    rows.retain(|row| targets.iter().any(|target| target.key == row.client));
    // A domain may have a persistent record and nothing else.
    let kept = app.persistent();
    let is_kept = |name: &DomainName| kept.iter().any(|one| one.domain == *name);
    let others = only.iter().filter(|name| !is_kept(name)).cloned();
    asked::in_inventory(&others.collect::<Vec<_>>(), &rows)?;
    rows.retain(|row| only.contains(&row.domain));
    targets.retain(|target| rows.iter().any(|row| row.client == target.key));
    Ok(())
}

async fn note_force(store: &dyn Store, now: Timestamp) -> Result<(), Failed> {
    let event = Event {
        at: now,
        run: "run".to_owned(),
        domain: None,
        client: None,
        kind: "forced".to_owned(),
        detail: signed("the guard is overruled in this run"),
    };
    store.note(&[event]).await?;
    Ok(())
}

/// The work after the pass: old rows are removed, the run is noted, and notices are sent.
async fn finish(
    app: &App,
    store: Arc<dyn Store>,
    exit: Exit,
    output: &Output,
) -> Result<(), Failed> {
    let now = app.now();
    tidy(&*store, now).await?;
    let run = LastRun {
        host: host(),
        ended_at: now,
        exit: exit as u8,
    };
    note_run(&*store, &run).await?;
    notify::tell(app, Arc::clone(&store), output).await;
    store.close().await;
    Ok(())
}
