//! The configuration's inventory on its way into the store.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Failed, targets};
use crate::config::Settings;
use crate::overview::trouble::INVENTORY;
use crate::prevalidation::guard::{examine_inventory, examine_moves};
use crate::prevalidation::{Alarm, DomainName};
use crate::store::{DomainRow, Origin, Pages, Store, Wanted};
use crate::worker::{Intake, Target, reference_fact, refusal_fact};

/// The inventory of the configuration, as the store keeps it.
pub(in crate::commands) fn wanted(settings: &Settings) -> Vec<Wanted> {
    let rows = settings.clients.iter().flat_map(|client| {
        let key = Target::new(&client.ca, client.selector.clone()).key;
        client.domains.iter().map(move |domain| Wanted {
            domain: domain.name.clone(),
            client: key.clone(),
            ca: client.ca.clone(),
            provider: domain.provider.clone(),
        })
    });
    rows.collect()
}

/// What the store has of an inventory already.
struct Known {
    /// How many rows the configuration wanted until now.
    count: usize,
    /// Those of them that it no longer wants.
    gone: Vec<DomainName>,
    /// Those of them that it wants at another client.
    moved: usize,
    /// The wishes in force for domains that are now wanted at a client which was never found, and
    /// for those that a bad line of a list may have meant.
    kept: Vec<Wanted>,
}

impl Known {
    async fn read(
        store: &dyn Store,
        settings: &Settings,
        wanted: &BTreeMap<&DomainName, &Wanted>,
        found: &BTreeSet<String>,
    ) -> Result<Self, Failed> {
        let keep = |row: DomainRow| Wanted {
            domain: row.domain,
            client: row.client,
            ca: row.ca,
            provider: row.provider,
        };
        let looks = store.looks().await?;
        let mut known = Self {
            count: 0,
            gone: Vec::new(),
            moved: 0,
            kept: Vec::new(),
        };
        let mut pages = Pages::of(store);
        while let Some(rows) = pages.next().await? {
            let rows = rows.into_iter();
            for row in rows.filter(|row| row.origins.contains(&Origin::Config)) {
                known.count += 1;
                let Some(wish) = wanted.get(&row.domain) else {
                    if settings.left_out.is_empty() {
                        known.gone.push(row.domain);
                    } else {
                        known.kept.push(keep(row));
                    }
                    continue;
                };
                // What leaves a client that never was there leaves nothing.
                let was_there = looks.contains_key(&row.client);
                known.moved += usize::from(was_there && wish.client != row.client);
                if !found.contains(&wish.client) {
                    known.kept.push(keep(row));
                }
            }
        }
        Ok(known)
    }
}

/// The clients of the configuration that were found at the CA before.
async fn found(store: &dyn Store, settings: &Settings) -> Result<BTreeSet<String>, Failed> {
    let looks = store.looks().await?;
    let mut found = BTreeSet::new();
    for target in targets(settings) {
        let is_found = looks.contains_key(&target.key)
            || store.fact(&reference_fact(&target.key)).await?.is_some();
        if is_found {
            found.insert(target.key);
        }
    }
    Ok(found)
}

/// Takes the configuration's inventory into the store, unless it became so different that somebody
/// should look first (faults G01). A domain that is wanted at a client which was never found at the
/// CA stays where it is, and waits in `intake` for the worker that finds the client; a new domain
/// has nothing to lose, and is shown while the CA cannot be asked.
pub(in crate::commands) async fn sync(
    store: &dyn Store,
    settings: &Settings,
    intake: &Intake,
    now: Timestamp,
    force: bool,
) -> Result<Option<Alarm>, Failed> {
    let all = wanted(settings);
    let by_name: BTreeMap<&DomainName, &Wanted> =
        all.iter().map(|row| (&row.domain, row)).collect();
    let found = found(store, settings).await?;
    let known = Known::read(store, settings, &by_name, &found).await?;
    let alarm = examine_inventory(INVENTORY, known.count, &known.gone)
        .or_else(|| examine_moves(INVENTORY, known.count, known.moved))
        .filter(|_| !force);
    let (fact, refusal) = (
        refusal_fact(INVENTORY),
        alarm.as_ref().map(ToString::to_string).unwrap_or_default(),
    );
    if store.fact(&fact).await?.unwrap_or_default() != refusal {
        store.set_fact(&fact, &refusal).await?;
    }
    if alarm.is_none() {
        let (mut stored, waiting): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|row| found.contains(&row.client));
        let kept: BTreeSet<&DomainName> = known.kept.iter().map(|row| &row.domain).collect();
        let new = waiting.iter().filter(|row| !kept.contains(&row.domain));
        stored.extend(new.cloned());
        stored.extend(known.kept);
        store.sync_inventory(Origin::Config, &stored, now).await?;
        intake.wait_with(waiting);
    }
    Ok(alarm)
}

/// The same in a store that nobody else sees: there every client counts as found.
pub(in crate::commands) async fn pretend(
    store: &dyn Store,
    settings: &Settings,
    now: Timestamp,
) -> Result<Option<Alarm>, Failed> {
    let all = wanted(settings);
    let by_name: BTreeMap<&DomainName, &Wanted> =
        all.iter().map(|row| (&row.domain, row)).collect();
    let everywhere = all.iter().map(|row| row.client.clone()).collect();
    let known = Known::read(store, settings, &by_name, &everywhere).await?;
    let stored: Vec<_> = all.iter().cloned().chain(known.kept).collect();
    store.sync_inventory(Origin::Config, &stored, now).await?;
    Ok(examine_inventory(INVENTORY, known.count, &known.gone)
        .or_else(|| examine_moves(INVENTORY, known.count, known.moved)))
}

/// Whether the store's inventory is not that of the configuration.
pub(in crate::commands) async fn differs(
    store: &dyn Store,
    settings: &Settings,
) -> Result<bool, Failed> {
    let all = wanted(settings);
    let mut missing: BTreeMap<&DomainName, &Wanted> =
        all.iter().map(|row| (&row.domain, row)).collect();
    let mut pages = Pages::of(store);
    while let Some(rows) = pages.next().await? {
        let rows = rows.into_iter();
        for row in rows.filter(|row| row.origins.contains(&Origin::Config)) {
            let wish = missing.remove(&row.domain);
            let same = wish.map_or(!settings.left_out.is_empty(), |wish| {
                (&wish.client, &wish.ca, &wish.provider) == (&row.client, &row.ca, &row.provider)
            });
            if !same {
                return Ok(true);
            }
        }
    }
    Ok(!missing.is_empty())
}
