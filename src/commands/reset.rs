//! `reset`: a new token now, by order of a person. It asks where a proof that counts could be lost
//! by it (faults C03).

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;

use super::app::App;
use super::order::Order;
use super::work::work;
use super::{Exit, Failed, Global, asked, by_hand};
use crate::config::Settings;
use crate::output::Output;
use crate::prevalidation::{DomainName, Mode};
use crate::store::DomainRow;

#[derive(Debug, clap::Args)]
pub(super) struct ResetArgs {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN")]
    domains: Vec<String>,
    #[command(flatten)]
    part: asked::Part,
    /// Does not ask, even where a proof that counts may be lost
    #[arg(long)]
    yes: bool,
    /// How long to stay and see things through
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = crate::config::duration)]
    wait: SignedDuration,
}

pub(super) async fn reset(
    global: &Global,
    args: ResetArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let names = asked::names(&app, &args.domains, output)?;
    if app.settings.policy.mode == Mode::Observe {
        return Err(Failed::new(
            Exit::Usage,
            "the policy's mode is `observe`: no token is reset",
        ));
    }
    let rows = app.rows(&*app.store_read_only().await?).await?;
    let clients = args.part.clients(&app)?;
    let rows: Vec<DomainRow> = rows
        .into_iter()
        .filter(|row| clients.contain(&row.client))
        .collect();
    asked::in_inventory(&names, &rows)?;
    refuse_covered(&app.settings, &names, &rows)?;
    let rows: Vec<DomainRow> = rows
        .into_iter()
        .filter(|row| names.contains(&row.domain) && !row.origins.is_empty())
        .collect();
    refuse_unregistered(&rows)?;
    ask(&app, &rows, args.yes, output)?;

    let mut targets = app.targets.clone();
    targets.retain(|target| rows.iter().any(|row| row.client == target.key));
    let (store, intake) = app.open().await?;
    let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
    by_hand::order(&app, &*store, "reset", &keys, |lease, now| {
        let proof = lease
            .row
            .sighting
            .registration()
            .and_then(|registration| registration.shown_proof().cloned());
        lease.row.upkeep.order(now, proof);
        ("ordered", "a new token, by hand".to_owned())
    })
    .await?;
    let order = Order {
        command: "reset",
        targets,
        only: Some(names),
        wait: args.wait,
        force: false,
        intake,
        certificates: false,
        registries: false,
        persistent: false,
        left_out: Vec::new(),
    };
    let done = work(&app, Arc::clone(&store), order, output).await?;
    Ok(done.exit)
}

/// Nothing is done for a domain below another one of the inventory.
fn refuse_covered(
    settings: &Settings,
    names: &[DomainName],
    rows: &[DomainRow],
) -> Result<(), Failed> {
    if !settings.policy.cover {
        return Ok(());
    }
    let wanted: BTreeSet<_> = rows
        .iter()
        .filter(|row| !row.origins.is_empty())
        .map(|row| (&row.client, &row.domain))
        .collect();
    let mut faults = Vec::new();
    for (client, name) in wanted.iter().filter(|(_, name)| names.contains(name)) {
        let mut above = std::iter::successors(name.parent(), DomainName::parent);
        if let Some(up) = above.find(|up| wanted.contains(&(*client, up))) {
            faults.push(format!(
                "{} is covered by {}: reset that one",
                name.both_forms(),
                up.both_forms()
            ));
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Failed::new(Exit::Usage, faults.join("\n")))
    }
}

fn refuse_unregistered(rows: &[DomainRow]) -> Result<(), Failed> {
    let unknown = rows
        .iter()
        .filter(|row| row.sighting.registration().is_none());
    let faults: Vec<_> = unknown
        .map(|row| {
            format!(
                "{} is not registered at the CA as far as is known",
                row.domain.both_forms()
            )
        })
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failed::new(Exit::Usage, faults.join("\n"))
        .with_hint("`prevalidate run` registers it, and gets its first token"))
}

/// A proof whose renewal is not due yet is not risked without an order.
fn ask(app: &App, rows: &[DomainRow], yes: bool, output: &Output) -> Result<(), Failed> {
    let (policy, now) = (&app.policy, app.now());
    let mut risked = Vec::new();
    for row in rows {
        let Some(registration) = row.sighting.registration() else {
            continue;
        };
        let policy = policy.of(&row.ca);
        if policy.start_keeps_proof == Some(true) {
            continue;
        }
        let Some(end) = registration.usable_until(&policy.reuse, now) else {
            continue;
        };
        let renew_at = registration
            .proof
            .as_ref()
            .and_then(|proof| policy.renew_at(&row.domain, proof));
        if renew_at.is_some_and(|at| now < at) {
            output.warn(
                &format!(
                    "{} is valid until {end:.0}, and its renewal is not due: a new token may end its proof at once",
                    row.domain.both_forms()
                ),
                None,
            );
            risked.push(row.domain.both_forms());
        }
    }
    if risked.is_empty() {
        return Ok(());
    }
    let question = format!("Reset the token of {}?", risked.join(", "));
    let hint = "use `--yes` to reset without a question";
    by_hand::agreed(&question, yes, "nothing was reset", hint, output)
}
