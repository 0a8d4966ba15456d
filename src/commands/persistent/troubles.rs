//! What `doctor` says of persistent records: those that need attention, what the guard refuses, and
//! those on their way.

use jiff::Timestamp;

use super::views;
use crate::commands::app::App;
use crate::commands::{Exit, Failed};
use crate::store::{Store, StoreError};
use crate::text::Reason;
use crate::worker::persist::RECORDS;
use crate::worker::refusal_fact;

/// By domain, or for all of them, what is wrong and what to do.
pub(in crate::commands) async fn troubles(
    app: &App,
    store: &dyn Store,
    now: Timestamp,
) -> Result<Vec<(Option<String>, Failed)>, Failed> {
    let mut found = Vec::new();
    let refused = store.fact(&refusal_fact(RECORDS)).await?;
    if let Some(refused) = refused.filter(|said| !said.is_empty()) {
        let failed = Failed::new(Exit::Incomplete, format!("the guard refuses: {refused}"))
            .with_hint(
                "check the zones and the configuration first; `prevalidate run --force` acts \
                 all the same",
            );
        found.push((None, failed));
    }
    let views = views(app, store, now).await?;
    let open = views.iter().filter(|view| view.needs_attention());
    // What the guard says is shown once, for all of them.
    let open = open.filter(|view| !view.is_guarded || found.is_empty());
    let open: Vec<_> = open
        .map(|view| {
            let (issuer, state) = (&view.issuer, view.state.as_str());
            let reason = Reason::read(&view.reason);
            let words = format!("its record at {issuer} is {state}: {}", reason.words);
            let next = reason
                .hint
                .unwrap_or("`prevalidate persistent list` shows how each record is");
            let failed = Failed::new(Exit::Incomplete, words).with_hint(next);
            (Some(view.domain.both_forms()), failed)
        })
        .collect();
    found.extend(open);
    Ok(found)
}

/// The records that not every name server has yet, which is no trouble in their first hour: which
/// one, and since when.
pub(in crate::commands) async fn on_their_way(
    app: &App,
    store: &dyn Store,
    now: Timestamp,
) -> Result<Option<(String, String)>, StoreError> {
    let views = views(app, store, now).await?;
    let way = views.iter().filter(|view| !view.needs_attention());
    let way = way.filter_map(|view| Some((view.on_its_way_since?, view)));
    let way: Vec<_> = way.collect();
    let Some((since, first)) = way.iter().min_by_key(|(since, _)| *since) else {
        return Ok(None);
    };
    let list = "`prevalidate persistent list`";
    Ok(Some(match way.len() {
        1 => (
            first.domain.both_forms(),
            format!(
                "its record at {} has been on its way since {since:.0}: {list} shows what it waits for",
                first.issuer
            ),
        ),
        count => (
            "-".to_owned(),
            format!(
                "{count} records are on their way, the first since {since:.0}: {list} shows all"
            ),
        ),
    }))
}
