//! `history`: everything that was done for a domain, when, by which run, with the other side's
//! words.

use super::{Exit, Failed, Global, wire};
use crate::config::names;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// The domain
    domain: String,
}

pub(super) async fn history(
    global: &Global,
    args: HistoryArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let settings = wire::settings(global, output)?;
    let domain =
        names::read_known(&args.domain).map_err(|message| Failed::new(Exit::Usage, message))?;
    let store = wire::store_read_only(&settings).await?;
    let events = store.history(&domain).await?;
    if events.is_empty() && store.domain(&domain).await?.is_none() {
        let message = format!(
            "{} is not in the inventory, and nothing was ever done for it",
            domain.both_forms()
        );
        return Err(
            Failed::new(Exit::Usage, message).with_hint("`prevalidate status` lists the inventory")
        );
    }
    output.json(&events);
    if events.is_empty() {
        output.notice(&format!("nothing was done for {} yet", domain.both_forms()));
        return Ok(Exit::Done);
    }
    let rows = events.into_iter().map(|event| {
        let at = event.at.strftime("%Y-%m-%d %H:%M:%S").to_string();
        vec![
            at.into(),
            event.run.into(),
            event.kind.into(),
            event.detail.into(),
        ]
    });
    output.table(&["WHEN (UTC)", "RUN", "WHAT", "DETAIL"], rows.collect());
    Ok(Exit::Done)
}
