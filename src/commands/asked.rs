//! What was asked for: names and clients on the command line, held against the configuration and
//! the inventory.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use crate::config::{Settings, names, nearest};
use crate::output::Output;
use crate::overview::{self, Basis, DomainView};
use crate::prevalidation::{Attempt, DomainName, Notice, Policy, Sighting};
use crate::store::{DomainRow, Origin, Store, StoreError};
use crate::worker::Target;

use super::{Exit, Failed, held, wire};

/// For [`names()`] that are only looked up: whoever took them into the inventory has consented to
/// how they are read.
pub(super) const LOOKUP: bool = true;

/// Reads names as people write them. All bad ones come back at once, before anything was touched;
/// notices are told, that a name is for a sandbox only once, and not where it is for one.
pub(super) fn names(
    settings: Option<&Settings>,
    texts: &[String],
    accept_idn: bool,
    output: &Output,
) -> Result<Vec<DomainName>, Failed> {
    let (mut found, mut seen) = (Vec::with_capacity(texts.len()), HashSet::new());
    let mut quiet_about_labs = settings.is_none_or(Settings::is_sandboxed);
    let (mut faults, mut hints) = (Vec::new(), Vec::new());
    for text in texts {
        match names::read_name(text, accept_idn) {
            Ok((name, notices)) => {
                for notice in notices {
                    let lab = matches!(notice, Notice::Lab(_));
                    if !(lab && quiet_about_labs) {
                        output.notice(&notice.to_string());
                    }
                    quiet_about_labs |= lab;
                }
                if seen.insert(name.clone()) {
                    found.push(name);
                }
            }
            Err((message, hint)) => {
                faults.push(message);
                hints.extend(hint.filter(|hint| !hints.contains(hint)));
            }
        }
    }
    if faults.is_empty() {
        return Ok(found);
    }
    let hint = (!hints.is_empty()).then(|| hints.join("; "));
    Err(Failed {
        exit: Exit::Usage,
        message: faults.join("\n"),
        hint,
    })
}

/// The client that `wanted` means (its name, its `cli-…`, or `CA/…`), or all of the configuration.
pub(super) fn targets(settings: &Settings, wanted: Option<&str>) -> Result<Vec<Target>, Failed> {
    let all = wire::targets(settings);
    let Some(wanted) = wanted else { return Ok(all) };
    let found: Vec<Target> = all
        .iter()
        .filter(|target| target.key == wanted || target.selector.to_string() == wanted)
        .cloned()
        .collect();
    let keys: Vec<&str> = all.iter().map(|target| target.key.as_str()).collect();
    match found.len() {
        1 => Ok(found),
        0 => Err(Failed::new(
            Exit::Usage,
            format!("`{wanted}` is no client of the configuration"),
        )
        .with_hint(format!("there are: {}", keys.join(", ")))),
        _ => Err(Failed::new(
            Exit::Usage,
            format!("`{wanted}` is a client at several CAs"),
        )
        .with_hint(format!("name one of {} as CA/CLIENT", keys.join(", ")))),
    }
}

/// The rows of the store as the configuration wants them now: what `run` would store before it
/// looks.
pub(super) fn inventory(rows: Vec<DomainRow>, settings: &Settings) -> Vec<DomainRow> {
    let mut wanted: BTreeMap<DomainName, _> = wire::wanted(settings)
        .into_iter()
        .map(|wish| (wish.domain.clone(), wish))
        .collect();
    let mut rows: Vec<DomainRow> = rows
        .into_iter()
        .map(|mut row| {
            // A bad line of a list may have meant it: it stays until the line is mended.
            if settings.left_out.is_empty() {
                row.origins.retain(|&origin| origin != Origin::Config);
            }
            if let Some(wish) = wanted.remove(&row.domain) {
                if !row.origins.contains(&Origin::Config) {
                    row.origins.push(Origin::Config);
                }
                (row.client, row.ca, row.provider) = (wish.client, wish.ca, wish.provider);
            }
            row
        })
        .collect();
    rows.extend(wanted.into_values().map(|wish| DomainRow {
        domain: wish.domain,
        client: wish.client,
        ca: wish.ca,
        provider: wish.provider,
        origins: vec![Origin::Config],
        sighting: Sighting::Unread,
        read_at: None,
        attempt: Attempt::default(),
        due_at: None,
        at_risk: false,
    }));
    rows.sort_by(|a, b| a.domain.cmp(&b.domain));
    rows
}

/// How every domain of the store and of the configuration stands; unmanaged ones too. `covered` is
/// what looks of this run found.
pub(super) async fn views(
    store: &dyn Store,
    settings: &Settings,
    policy: &Policy,
    covered: BTreeMap<DomainName, DomainName>,
    now: Timestamp,
) -> Result<Vec<DomainView>, StoreError> {
    let rows = inventory(store.domains().await?, settings);
    let (targets, providers) = (
        wire::targets(settings),
        settings.providers.keys().cloned().collect(),
    );
    let basis = Basis {
        targets: &targets,
        providers: &providers,
        policy,
    };
    let mut views = overview::views(store, rows, &basis, covered, now).await?;
    held::tell_views(store, &mut views, now).await?;
    Ok(views)
}

/// Refuses names that the inventory does not want, all at once.
pub(super) fn in_inventory(names: &[DomainName], rows: &[DomainRow]) -> Result<(), Failed> {
    let wanted: BTreeMap<&DomainName, ()> = rows
        .iter()
        .filter(|row| !row.origins.is_empty())
        .map(|row| (&row.domain, ()))
        .collect();
    let missing: Vec<&DomainName> = names
        .iter()
        .filter(|name| !wanted.contains_key(name))
        .collect();
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let lines: Vec<_> = missing
        .iter()
        .map(|name| format!("{} is not in the inventory", name.both_forms()))
        .collect();
    let hint = match nearest(first.as_str(), wanted.keys().map(|name| name.as_str())) {
        Some(meant) => format!("did you mean {meant}? `prevalidate add` takes a new domain in"),
        None => {
            format!("`prevalidate add {first}` takes it in, or write it into the configuration")
        }
    };
    Err(Failed::new(Exit::Usage, lines.join("\n")).with_hint(hint))
}
