//! `hook`: for DNS pipelines. The zones or names that changed go in; domains of the inventory at or
//! below them are looked after now. A hint, never an order: called twice, or for names that nobody
//! keeps here, it does no harm (faults H08, H13).

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;

use super::inventory::{list_bytes, list_names};
use super::names::several;
use super::order::Order;
use super::work::work;
use super::{Exit, Failed, Global, asked, wire};
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
    let settings = wire::settings(global, output)?;
    let changed = changed(&args, output)?;
    let rows = asked::inventory(
        wire::store_read_only(&settings).await?.domains().await?,
        &settings,
    );
    let changed: HashSet<&str> = changed.iter().map(DomainName::as_str).collect();
    let desired = rows.iter().filter(|row| !row.origins.is_empty());
    let concerned: Vec<_> = desired
        .filter(|row| row.domain.at_and_above().any(|name| changed.contains(name)))
        .collect();
    if concerned.is_empty() {
        output.notice("none of these is in the inventory: nothing to do");
        return Ok(Exit::Done);
    }
    let mut only: Vec<DomainName> = concerned.iter().map(|row| row.domain.clone()).collect();
    only.dedup();
    output.notice(&format!("looks after {}", several(&only)));
    let mut targets = wire::targets(&settings);
    targets.retain(|target| concerned.iter().any(|row| row.client == target.key));
    let (store, intake) = wire::open(&settings, false).await?;
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
    };
    let done = work(&settings, Arc::clone(&store), order, output).await?;
    Ok(done.exit)
}

/// Everything that was named. One that is no name at all refuses the whole list: it may not be what
/// it should be.
fn changed(args: &HookArgs, output: &Output) -> Result<HashSet<DomainName>, Failed> {
    let (mut changed, mut faults) = (HashSet::new(), Vec::new());
    for text in args
        .names
        .iter()
        .filter(|text| *text != "-")
        .chain(&args.zones)
    {
        match read_known(text) {
            Ok(name) => drop(changed.insert(name)),
            Err(message) => faults.push(message),
        }
    }
    if !faults.is_empty() {
        return Err(Failed::new(Exit::Usage, faults.join("\n")));
    }
    if args.names.iter().any(|text| text == "-") {
        let (origin, bytes) = list_bytes(Path::new("-"))?;
        changed.extend(list_names(read_any_known(&origin, &bytes), output)?);
    }
    Ok(changed)
}
