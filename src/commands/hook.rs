//! `hook`: for DNS pipelines. The zones or names that changed go in; domains of the inventory at or
//! below them are checked now. A hint, never an order: called twice, or for names that are not kept
//! here, it does no harm (faults H08, H13).

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;

use super::app::App;
use super::inventory::{list_bytes, list_names};
use super::names::several;
use super::order::Order;
use super::work::work;
use super::{Exit, Failed, Global};
use crate::config::names::{read_any_known, read_known};
use crate::output::Output;
use crate::prevalidation::DomainName;

#[derive(Debug, clap::Args)]
pub(super) struct HookArgs {
    /// Names or zones that changed; `-` reads them from standard input, as lines or JSON
    #[arg(value_name = "NAME", required_unless_present = "zones")]
    names: Vec<String>,
    /// A zone that changed; may be given more than once
    #[arg(long = "zone", value_name = "ZONE")]
    zones: Vec<String>,
    /// How long to stay and see things through
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = crate::config::duration)]
    wait: SignedDuration,
}

pub(super) async fn hook(global: &Global, args: HookArgs, output: &Output) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let Changed { names, left_out } = changed(&args, output)?;
    let rows = app.rows(&*app.store_read_only().await?).await?;
    let changed: HashSet<&str> = names.iter().map(DomainName::as_str).collect();
    let desired = rows.iter().filter(|row| !row.origins.is_empty());
    let concerned: Vec<_> = desired
        .filter(|row| row.domain.at_and_above().any(|name| changed.contains(name)))
        .collect();
    if concerned.is_empty() {
        output.notice("none of these is in the inventory: nothing to do");
        let exit = match left_out.is_empty() {
            true => Exit::Done,
            false => Exit::Incomplete,
        };
        output.json(&json!({ "exit": exit as u8, "domains": 0, "left_out": left_out }));
        return Ok(exit);
    }
    let mut only: Vec<DomainName> = concerned.iter().map(|row| row.domain.clone()).collect();
    only.dedup();
    output.notice(&format!("checks {}", several(&only)));
    let mut targets = app.targets.clone();
    targets.retain(|target| concerned.iter().any(|row| row.client == target.key));
    let (store, intake) = app.open().await?;
    let order = Order {
        command: "hook",
        targets,
        only: Some(only),
        wait: args.wait,
        force: false,
        intake,
        certificates: false,
        registries: false,
        persistent: true,
        left_out,
    };
    let done = work(&app, Arc::clone(&store), order, output).await?;
    Ok(done.exit)
}

/// The changed names, as a pipeline says them.
struct Changed {
    names: HashSet<DomainName>,
    /// The entries that name no domain, each with its reason.
    left_out: Vec<String>,
}

/// Everything that was named. A bad name costs only itself, and is reported; a list of which most
/// is bad is not a list of names, and is refused.
fn changed(args: &HookArgs, output: &Output) -> Result<Changed, Failed> {
    let (mut names, mut left_out) = (HashSet::new(), Vec::new());
    let typed = args.names.iter().filter(|text| *text != "-");
    for text in typed.chain(&args.zones) {
        match read_known(text) {
            Ok(name) => drop(names.insert(name)),
            Err(message) => left_out.push(message),
        }
    }
    let mut lines = Vec::new();
    if args.names.iter().any(|text| text == "-") {
        let (origin, bytes) = list_bytes(Path::new("-"))?;
        match list_names(read_any_known(&origin, &bytes), output) {
            Ok((listed, faults)) => {
                names.extend(listed);
                lines = faults;
            }
            Err(failed) if names.is_empty() && left_out.is_empty() => return Err(failed),
            Err(failed) => left_out.extend(failed.message.lines().map(str::to_owned)),
        }
    }
    if names.is_empty() && !left_out.is_empty() {
        return Err(Failed::new(Exit::Usage, left_out.join("\n")));
    }
    left_out
        .iter()
        .for_each(|message| output.error(message, None));
    // These were reported where they were read.
    left_out.extend(lines);
    Ok(Changed { names, left_out })
}
