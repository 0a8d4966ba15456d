//! What `doctor` says of persistent records: those that need attention, and what the guard refuses.

use jiff::Timestamp;

use super::views;
use crate::commands::{Exit, Failed};
use crate::config::Settings;
use crate::store::Store;
use crate::text::hint;
use crate::worker::persist::RECORDS;
use crate::worker::refusal_fact;

/// By domain, or for all of them, what is wrong and what to do.
pub(in crate::commands) async fn troubles(
    settings: &Settings,
    store: &dyn Store,
    now: Timestamp,
) -> Result<Vec<(Option<String>, Failed)>, Failed> {
    let mut found = Vec::new();
    let refused = store.fact(&refusal_fact(RECORDS)).await?;
    if let Some(refused) = refused.filter(|said| !said.is_empty()) {
        let failed = Failed::new(Exit::Incomplete, format!("the guard refuses: {refused}"))
            .with_hint(
                "look at the zones and at the configuration first; `prevalidate run --force` acts \
                 all the same",
            );
        found.push((None, failed));
    }
    let views = views(settings, store, now).await?;
    let open = views.iter().filter(|view| view.needs_attention());
    // What the guard says is told once, for all of them.
    let open = open.filter(|view| !view.is_guarded || found.is_empty());
    let open: Vec<_> = open
        .map(|view| {
            let (issuer, state) = (&view.issuer, view.state.as_str());
            let reason = view.reason.split(" (hint: ").next().unwrap_or_default();
            let words = format!("its record at {issuer} is {state}: {reason}");
            let next = hint(&view.reason)
                .unwrap_or("`prevalidate persistent list` shows how each record is");
            let failed = Failed::new(Exit::Incomplete, words).with_hint(next);
            (Some(view.domain.both_forms()), failed)
        })
        .collect();
    found.extend(open);
    Ok(found)
}
