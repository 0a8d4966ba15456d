//! `history`: everything that was done for a domain, when, by which run, with the CA or server's
//! words.

use std::collections::BTreeSet;

use super::app::App;
use super::asked::Part;
use super::{Exit, Failed, Global};
use crate::config::names;
use crate::output::Output;
use crate::store::Event;

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// The domain
    domain: String,
    #[command(flatten)]
    part: Part,
}

pub(super) async fn history(
    global: &Global,
    args: HistoryArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let domain =
        names::read_known(&args.domain).map_err(|message| Failed::new(Exit::Usage, message))?;
    let clients = args.part.clients(&app)?;
    let store = app.store_read_only().await?;
    let mut events = store.history(&domain).await?;
    let rows = store.rows_of(std::slice::from_ref(&domain)).await?;
    // What was done before clients were written down was done at the first one.
    let first = rows.iter().find(|row| row.key.further_client().is_none());
    events.retain(|event| {
        let at = event.client.as_ref();
        at.or(first.map(|row| &row.client))
            .is_none_or(|client| clients.contain(client))
    });
    if events.is_empty() && !rows.iter().any(|row| clients.contain(&row.client)) {
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
    let of = |event: &Event| event.client.clone().unwrap_or_default();
    let several = events
        .iter()
        .filter_map(|event| event.client.as_ref())
        .collect::<BTreeSet<_>>()
        .len()
        > 1;
    let rows = events.into_iter().map(|event| {
        let at = event.at.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let client = several.then(|| of(&event).into());
        let begin = [at.into(), event.run.into()].into_iter();
        let end = [event.kind.into(), event.detail.into()];
        begin.chain(client).chain(end).collect()
    });
    let headers: &[&str] = match several {
        true => &["WHEN (UTC)", "RUN", "CLIENT", "WHAT", "DETAIL"],
        false => &["WHEN (UTC)", "RUN", "WHAT", "DETAIL"],
    };
    output.table(headers, rows.collect());
    Ok(Exit::Done)
}
