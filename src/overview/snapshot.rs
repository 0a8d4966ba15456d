//! All domains at one moment, each in a few words: what an overview of 100,000 of them is drawn from.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::trouble::{Trouble, Troubles};
use super::{Basis, DomainView, views};
use crate::prevalidation::{DomainName, Lateness, State};
use crate::store::{Store, StoreError};
use crate::worker::refusal_fact;

/// How everything stood at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// That moment.
    pub at: Timestamp,
    /// Every domain, unmanaged ones too, by name.
    pub entries: Vec<Entry>,
    /// Every client of the configuration, by key.
    pub clients: Vec<ClientStanding>,
    /// What is wrong, beyond what the entries tell.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// One domain in a few words.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The name.
    pub domain: DomainName,
    /// The key of its client.
    pub client: Arc<str>,
    /// The `[provider.NAME]`; `None`: whichever has the zone.
    pub provider: Option<Arc<str>>,
    /// The state.
    pub state: State,
    /// Whether one above it makes its own registration needless.
    pub covered: bool,
    /// When its proof stops counting; `None` when none counts.
    pub usable_until: Option<Timestamp>,
    /// Valid, and for longer than the critical margin.
    pub with_margin: bool,
    /// When its renewal is planned.
    pub renew_at: Option<Timestamp>,
    /// When something is to be done.
    pub due_at: Option<Timestamp>,
    /// Whether it does not come right by itself.
    pub needs_a_person: bool,
    /// How long its value waits to be proven.
    pub lateness: Lateness,
    /// When the CA was last asked.
    pub ca_read_at: Option<Timestamp>,
    /// Why, for people.
    pub reason: Arc<str>,
}

/// How a client stands.
#[derive(Debug, Clone, Serialize)]
pub struct ClientStanding {
    /// Its key, `CA/SELECTOR`.
    pub key: Arc<str>,
    /// When the CA was last asked for all its domains.
    pub looked_at: Option<Timestamp>,
    /// What the guard refused at the last look; empty when it did not.
    pub refusal: String,
}

impl Snapshot {
    /// Reads the whole store.
    pub async fn read(store: &dyn Store, basis: &Basis<'_>, now: Timestamp) -> Result<Self, StoreError> {
        let mut known: BTreeMap<String, Arc<str>> = BTreeMap::new();
        let mut shared = |text: String| Arc::clone(known.entry(text).or_insert_with_key(|text| text.as_str().into()));
        let views = views(store, store.domains().await?, basis, BTreeMap::new(), now).await?;
        let mut troubles = Troubles::of_clients(store, basis).await?;
        troubles.domains = views.iter().enumerate().filter_map(|(at, view)| Some((at, Trouble::of(view)?))).collect();
        let entries = views.into_iter().map(|view| Entry::of(view, &mut shared)).collect();
        let looks = store.looks().await?;
        let mut clients = Vec::with_capacity(basis.targets.len());
        for target in basis.targets {
            clients.push(ClientStanding {
                key: shared(target.key.clone()),
                looked_at: looks.get(&target.key).copied(),
                refusal: store.fact(&refusal_fact(&target.key)).await?.unwrap_or_default(),
            });
        }
        Ok(Self { at: now, entries, clients, troubles })
    }
}

impl Entry {
    fn of(view: DomainView, shared: &mut impl FnMut(String) -> Arc<str>) -> Self {
        Self {
            usable_until: view.usable_until(),
            needs_a_person: view.needs_a_person(),
            lateness: view.lateness(),
            covered: view.covered_by.is_some(),
            state: view.state,
            with_margin: view.with_margin,
            renew_at: view.renew_at,
            due_at: view.due_at,
            ca_read_at: view.ca_read_at,
            client: shared(view.client),
            provider: view.provider.map(&mut *shared),
            reason: shared(view.reason),
            domain: view.domain,
        }
    }
}
