//! `persistent`: the records that stay in DNS. `list` shows those of the configuration, `scan` all
//! that name servers have, `withdraw` and `resume` are a person's way out and back.

mod act;
mod ends;
mod scan;
mod show;
mod troubles;

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::app::App;
use super::{Exit, Failed, Global};
use crate::output::Output;
use crate::overview::persistent::{self, PersistentView};
use crate::prevalidation::DomainName;
use crate::store::{Store, StoreError};

pub(super) use self::act::{concerned_if_any, withdraw_all};
pub(super) use self::ends::doubtful_ends;
pub(super) use self::scan::{ours, whose};
pub(super) use self::show::{attention, counted};
pub(super) use self::troubles::{on_their_way, troubles};

#[derive(Debug, clap::Subcommand)]
pub(super) enum PersistentCommand {
    /// Shows the persistent records of the configuration; asks no name server
    #[command(
        after_help = "Exit status: 0 each record is visible, was withdrawn, or waits for \
the time of the first domain · 1 some record is not visible, is held or needs attention · 2 usage \
or configuration."
    )]
    List,
    /// Asks the name servers of all wanted domains for persistent records, ours and foreign ones,
    /// and says what each allows in the worst case; changes nothing anywhere
    Scan(scan::ScanArgs),
    /// Removes the persistent records of domains; they stay away until `resume`
    Withdraw(act::WithdrawArgs),
    /// Lets withdrawn persistent records come back with the next run
    Resume(act::ResumeArgs),
}

pub(super) async fn persistent(
    global: &Global,
    command: PersistentCommand,
    output: &Output,
) -> Result<Exit, Failed> {
    match command {
        PersistentCommand::List => list(global, output).await,
        PersistentCommand::Scan(args) => scan::scan(global, args, output).await,
        PersistentCommand::Withdraw(args) => act::withdraw(global, args, output).await,
        PersistentCommand::Resume(args) => act::resume(global, args, output).await,
    }
}

async fn list(global: &Global, output: &Output) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let store = app.store_read_only().await?;
    let now = app.now();
    let views = views(&app, &*store, now).await?;
    output.json(&serde_json::json!({ "persistent": views }));
    if views.is_empty() {
        output.notice("no [[persistent]] record is wanted, and none is in DNS because of us");
        return Ok(Exit::Done);
    }
    show::listing(&views, now, output);
    Ok(verdict(&views))
}

/// The state of every record.
pub(super) async fn views(
    app: &App,
    store: &dyn Store,
    now: Timestamp,
) -> Result<Vec<PersistentView>, StoreError> {
    let rows = store.persistent_rows().await?;
    Ok(persistent::views(app.persistent(), &rows, now))
}

/// The records that a person withdrew, by domain and issuer: no run writes them.
pub(super) async fn withdrawn(
    store: &dyn Store,
) -> Result<BTreeSet<(DomainName, String)>, StoreError> {
    let rows = store.persistent_rows().await?.into_iter();
    let withdrawn = rows.filter(|row| row.kept.withdrawn_at.is_some());
    Ok(withdrawn.map(|row| (row.domain, row.issuer)).collect())
}

/// How a command ends that shows these.
pub(super) fn verdict(views: &[PersistentView]) -> Exit {
    match views.iter().any(|view| !view.is_in_order()) {
        true => Exit::Incomplete,
        false => Exit::Done,
    }
}
