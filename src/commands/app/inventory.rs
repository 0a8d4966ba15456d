//! The configuration's inventory on its way into the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::App;
use crate::commands::Failed;
use crate::config::Settings;
use crate::overview::trouble::INVENTORY;
use crate::prevalidation::guard::{examine_inventory, examine_moves};
use crate::prevalidation::{Alarm, DomainName, RowKey};
use crate::store::{DomainRow, Origin, Pages, Store, Wanted};
use crate::worker::{Intake, Target, reference_fact, refusal_fact};

impl App {
    /// The inventory of the configuration, as the store keeps it.
    pub fn wanted(&self) -> Vec<Wanted> {
        let rows = self.settings.clients.iter().flat_map(|client| {
            // Shared by all of its domains: there may be 100,000.
            let key: Arc<str> = Target::new(&client.ca, client.selector.clone()).key.into();
            let ca: Arc<str> = client.ca.as_str().into();
            client.domains.iter().map(move |domain| Wanted {
                domain: domain.name.clone(),
                client: key.clone(),
                ca: ca.clone(),
                provider: domain.provider.clone(),
            })
        });
        rows.collect()
    }

    /// Stores the inventory of the configuration. If it changed so much that a person should decide
    /// first, it is refused (faults G01). A domain that is wanted at a client which was never found
    /// at the CA stays where it is, and waits in `intake` for the worker that finds the client; a
    /// new domain has nothing to lose, and is shown while the CA cannot be asked.
    pub async fn sync(
        &self,
        store: &dyn Store,
        intake: &Intake,
        force: bool,
    ) -> Result<Option<Alarm>, Failed> {
        let all = self.wanted();
        let found = self.found(store).await?;
        let known = Known::read(store, &self.settings, &by_name(&all), &found).await?;
        let alarm = known.alarm().filter(|_| !force);
        let (fact, refusal) = (
            refusal_fact(INVENTORY),
            alarm.as_ref().map(ToString::to_string).unwrap_or_default(),
        );
        if store.fact(&fact).await?.unwrap_or_default() != refusal {
            store.set_fact(&fact, &refusal).await?;
        }
        if alarm.is_none() {
            let (mut stored, waiting): (Vec<_>, Vec<_>) = all
                .into_iter()
                .partition(|row| found.contains(&*row.client));
            // A new place beside others has nothing to lose, and is shown while the CA cannot be asked.
            let leaving: BTreeSet<&DomainName> = known.leaving.iter().map(RowKey::domain).collect();
            let new = waiting.iter().filter(|row| !leaving.contains(&row.domain));
            stored.extend(new.cloned());
            stored.extend(known.kept);
            store
                .sync_inventory(Origin::Config, &stored, self.now())
                .await?;
            intake.wait_with(waiting, known.leaving);
        }
        Ok(alarm)
    }

    /// The same in a store that no other process sees: there every client counts as found.
    pub async fn pretend(&self, store: &dyn Store) -> Result<Option<Alarm>, Failed> {
        let mut stored = self.wanted();
        let known = self.known(store, &stored).await?;
        let alarm = known.alarm();
        stored.extend(known.kept);
        store
            .sync_inventory(Origin::Config, &stored, self.now())
            .await?;
        Ok(alarm)
    }

    /// What the guard says of the configuration's inventory. Nothing is stored.
    pub async fn alarm(&self, store: &dyn Store) -> Result<Option<Alarm>, Failed> {
        Ok(self.known(store, &self.wanted()).await?.alarm())
    }

    /// What the store has, where every client counts as found.
    async fn known(&self, store: &dyn Store, all: &[Wanted]) -> Result<Known, Failed> {
        let everywhere = all.iter().map(|row| row.client.to_string()).collect();
        Known::read(store, &self.settings, &by_name(all), &everywhere).await
    }

    /// Whether the store's inventory is not that of the configuration.
    pub async fn differs(&self, store: &dyn Store) -> Result<bool, Failed> {
        let all = self.wanted();
        let at = |row: &Wanted| (row.domain.clone(), Arc::clone(&row.client));
        let mut missing: BTreeMap<_, _> = all.iter().map(|row| (at(row), row)).collect();
        let mut pages = Pages::of(store);
        while let Some(rows) = pages.next().await? {
            let rows = rows.into_iter();
            for row in rows.filter(|row| row.origins.contains(&Origin::Config)) {
                let want = missing.remove(&(row.domain, row.client.into()));
                let same = want.map_or(!self.settings.left_out.is_empty(), |want| {
                    *want.ca == *row.ca && want.provider.as_deref() == row.provider.as_deref()
                });
                if !same {
                    return Ok(true);
                }
            }
        }
        Ok(!missing.is_empty())
    }

    /// The clients of the configuration that were found at the CA before.
    async fn found(&self, store: &dyn Store) -> Result<BTreeSet<String>, Failed> {
        let listings = store.listings().await?;
        let mut found = BTreeSet::new();
        for target in &self.targets {
            let is_found = listings.contains_key(&target.key)
                || store.fact(&reference_fact(&target.key)).await?.is_some();
            if is_found {
                found.insert(target.key.clone());
            }
        }
        Ok(found)
    }
}

/// What the store has of an inventory already.
struct Known {
    /// How many rows the configuration wanted until now.
    count: usize,
    /// The domains that it no longer wants.
    gone: Vec<DomainName>,
    /// The number of domains that it wants at another client.
    moved: usize,
    /// The former place of domains that are now wanted at a client which was never found, and of
    /// domains that a bad line of a list may have meant.
    kept: Vec<Wanted>,
    /// The rows of `kept` that go once the other client is found.
    leaving: Vec<RowKey>,
}

/// What a configuration wants, by domain.
type ByDomain<'a> = BTreeMap<&'a DomainName, Vec<&'a Wanted>>;

fn by_name(wanted: &[Wanted]) -> ByDomain<'_> {
    let mut wants = ByDomain::new();
    for one in wanted {
        wants.entry(&one.domain).or_default().push(one);
    }
    wants
}

impl Known {
    async fn read(
        store: &dyn Store,
        settings: &Settings,
        wanted: &ByDomain<'_>,
        found: &BTreeSet<String>,
    ) -> Result<Self, Failed> {
        let keep = |row: DomainRow| Wanted {
            domain: row.domain,
            client: row.client.into(),
            ca: row.ca.into(),
            provider: row.provider.map(Into::into),
        };
        let listings = store.listings().await?;
        let mut known = Self {
            count: 0,
            gone: Vec::new(),
            moved: 0,
            kept: Vec::new(),
            leaving: Vec::new(),
        };
        let mut pages = Pages::of(store);
        while let Some(rows) = pages.next().await? {
            let rows = rows.into_iter();
            for row in rows.filter(|row| row.origins.contains(&Origin::Config)) {
                known.count += 1;
                let wants: Vec<&Wanted> = wanted.get(&row.domain).cloned().unwrap_or_default();
                if wants.iter().any(|want| *want.client == *row.client) {
                    // A client that is not found any more changes nothing about its own rows.
                    if !found.contains(&row.client) {
                        known.kept.push(keep(row));
                    }
                    continue;
                }
                if wants.is_empty() && !settings.left_out.is_empty() {
                    known.kept.push(keep(row));
                    continue;
                }
                // At another client, unless the domain is there already.
                let there = store.rows_of(std::slice::from_ref(&row.domain)).await?;
                let new = new_places(&there, &wants);
                if new.is_empty() {
                    known.gone.push(row.domain);
                    continue;
                }
                // What leaves a client that never was there leaves nothing.
                known.moved += usize::from(listings.contains_key(&row.client));
                if !new.iter().any(|want| found.contains(&*want.client)) {
                    known.leaving.push(row.key.clone());
                    known.kept.push(keep(row));
                }
            }
        }
        Ok(known)
    }

    fn alarm(&self) -> Option<Alarm> {
        examine_inventory(INVENTORY, self.count, &self.gone)
            .or_else(|| examine_moves(INVENTORY, self.count, self.moved))
    }
}

/// The wanted places of a domain for which it has no row.
fn new_places<'a>(rows: &[DomainRow], wants: &[&'a Wanted]) -> Vec<&'a Wanted> {
    let is_there = |want: &Wanted| {
        let mut rows = rows.iter();
        rows.any(|row| *row.client == *want.client && row.origins.contains(&Origin::Config))
    };
    let wants = wants.iter().copied();
    wants.filter(|want| !is_there(want)).collect()
}
