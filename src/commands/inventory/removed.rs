//! What a person took out of the inventory stays out: the CA still has it, and that does not make
//! it wanted.

use std::collections::BTreeSet;

use super::DROPPED;
use super::place::Place;
use crate::commands::Failed;
use crate::commands::app::App;
use crate::commands::names::several;
use crate::output::Output;
use crate::prevalidation::DomainName;
use crate::store::Event;

/// Takes the names out of what was found, and says so.
pub(super) async fn leave_out(
    app: &App,
    found: &mut [(Place, Vec<DomainName>)],
    output: &Output,
) -> Result<(), Failed> {
    let Some(store) = app.store_if_there().await? else {
        return Ok(());
    };
    let mut removed = BTreeSet::new();
    let configured = app
        .settings
        .clients
        .iter()
        .flat_map(|client| &client.domains);
    let configured: BTreeSet<&DomainName> = configured.map(|domain| &domain.name).collect();
    for row in store.domains().await? {
        let is_wanted = !row.origins.is_empty() || configured.contains(&row.domain);
        if !is_wanted && is_removed(&store.history(&row.domain).await?, &row.client) {
            removed.insert((row.client, row.domain));
        }
    }
    let mut left_out = Vec::new();
    for (place, names) in found {
        let is_out = |name: &DomainName| {
            let mut removed = removed.iter();
            removed.any(|(client, domain)| *client == place.target.key && domain == name)
        };
        left_out.extend(names.extract_if(.., |name| is_out(name)));
    }
    if !left_out.is_empty() {
        output.notice(&format!(
            "removed by hand before, and not taken in: {}; `prevalidate add` takes them in",
            several(&left_out)
        ));
    }
    Ok(())
}

/// Whether the last that a person did about the inventory of the client was to take the domain out.
fn is_removed(history: &[Event], client: &str) -> bool {
    let of_client = |event: &&Event| event.client.as_deref().is_none_or(|of| of == client);
    let mut last = history.iter().rev().filter(of_client);
    last.find_map(|event| match event.kind.as_str() {
        DROPPED => Some(true),
        "added" | "moved" => Some(false),
        _ => None,
    })
    .unwrap_or(false)
}
