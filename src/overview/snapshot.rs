//! All domains at one moment, each in a few words: what an overview of 100,000 of them is drawn
//! from.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::certificates::CertificateView;
use super::clients::Age;
use super::danger::{Danger, Gravity};
use super::machines::Machines;
use super::persistent::PersistentView;
use super::trouble::{Trouble, Troubles};
use super::{
    At, Basis, Beside, DomainView, Ledger, ProofView, SharedState, open_entries, stranger, view,
};
use crate::prevalidation::{DomainName, Lateness, Policy, RowKey, State};
use crate::rdap::{self, Ending};
use crate::store::{DomainRow, Pages, Store, StoreError};
use crate::text::Shared;
use crate::worker::{Cover, refusal_fact};

/// How everything was at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// That moment.
    pub at: Timestamp,
    /// Every domain at each of its clients, unmanaged ones too, by name.
    pub entries: Vec<Entry>,
    /// Every client of the configuration, by key.
    pub clients: Vec<ClientState>,
    /// What is wrong, beyond what the entries tell.
    #[serde(skip)]
    pub troubles: Troubles,
    /// Every certificate, by name.
    #[serde(skip)]
    pub certificates: Vec<CertificateView>,
    /// The registrations of domains that end soon, or have ended.
    #[serde(skip)]
    pub registrations: Vec<Ending>,
    /// The machines that work with the store.
    #[serde(skip)]
    pub machines: Machines,
    /// Every persistent record, by domain and issuer.
    #[serde(skip)]
    pub persistent: Vec<PersistentView>,
}

/// One domain in a few words.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The name.
    pub domain: DomainName,
    /// The key of its client.
    pub client: Arc<str>,
    /// The domain has a row at another client, which came first.
    #[serde(skip)]
    pub further: bool,
    /// The `[provider.NAME]`; `None`: whichever has the zone.
    pub provider: Option<Arc<str>>,
    /// The state.
    pub state: State,
    /// Whether one above it makes its own registration needless.
    pub covered: bool,
    /// When its proof stops counting; `None` when none counts.
    pub usable_until: Option<Timestamp>,
    /// When that proof was made, where the CA shows it.
    #[serde(skip)]
    pub made_at: Option<Timestamp>,
    /// Valid, and for longer than the critical margin.
    pub with_margin: bool,
    /// How near it is to having no proof that counts.
    pub danger: Danger,
    /// Until when it was proven, while it has lapsed.
    pub proven_until: Option<Timestamp>,
    /// How severe its state is.
    #[serde(skip)]
    pub gravity: Gravity,
    /// When its renewal is planned.
    pub renew_at: Option<Timestamp>,
    /// The time of the next step.
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

/// The state of a client.
#[derive(Debug, Clone, Serialize)]
pub struct ClientState {
    /// Its key, `CA/SELECTOR`.
    pub key: Arc<str>,
    /// When the CA was last asked for all its domains.
    #[serde(rename = "looked_at")]
    pub listed_at: Option<Timestamp>,
    /// What the guard refused at the last listing; empty when it did not.
    pub refusal: String,
}

impl Snapshot {
    /// Reads the whole store, some rows at a time: what is kept of each is an [`Entry`].
    pub async fn read(
        store: &dyn Store,
        basis: &Basis<'_>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        Self::read_by(|| Pages::of(store), store, basis, now).await
    }

    async fn read_by<'s>(
        pages: impl Fn() -> Pages<'s, dyn Store + 's>,
        store: &'s dyn Store,
        basis: &Basis<'_>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut reading = Reading {
            ledger: open_entries(store, None).await?,
            beside: Beside::read(store, basis.targets).await?,
            cover: Cover::new(basis.policy),
            texts: Shared::default(),
            entries: Vec::new(),
            troubled: BTreeMap::new(),
            basis,
            now,
        };
        // Read before the rows: a listing that is named here is then never newer than the rows.
        let clients = reading.clients(store).await?;
        let mut all = pages();
        while let Some(rows) = all.next().await? {
            rows.into_iter().for_each(|row| reading.take(row));
        }
        reading.take_strangers();
        // Only now is it known which domains are covered. If none is, the store is not read twice.
        reading.cover_below(pages()).await?;
        let troubles = reading.troubles(store).await?;
        reading.entries.shrink_to_fit();
        let registrations = registrations(store, &reading.entries, now).await?;
        Ok(Self {
            at: now,
            entries: reading.entries,
            clients,
            troubles,
            certificates: Vec::new(),
            registrations,
            machines: Machines::read(store, now).await?,
            persistent: Vec::new(),
        })
    }

    /// The severity of the worst known fault, at `now`: what `check` would say.
    pub fn gravity(&self, now: Timestamp) -> Gravity {
        let domains = self.entries.iter().map(|entry| entry.gravity);
        let is_wanted = |client: &&ClientState| {
            let own = |entry: &Entry| entry.state != State::Unmanaged && entry.client == client.key;
            self.entries.iter().any(own)
        };
        let clients = self.clients.iter().filter(is_wanted);
        let clients = clients.map(|client| client.gravity(now));
        let records = self.persistent.iter().map(|view| view.gravity);
        let troubles = &self.troubles;
        let guard = match troubles.inventory.is_empty() && troubles.persistent.is_empty() {
            true if troubles.warnings.is_empty() => Gravity::Ok,
            true => Gravity::Warning,
            false => Gravity::Critical,
        };
        let all = domains.chain(clients).chain(records);
        all.fold(guard, Gravity::max)
    }

    /// Where among the entries a domain at a client is.
    pub fn place(&self, domain: &DomainName, client: &str) -> Option<u32> {
        find(&self.entries, domain, client).and_then(|place| place.try_into().ok())
    }
}

impl ClientState {
    /// How severe its state is at `now`.
    pub fn gravity(&self, now: Timestamp) -> Gravity {
        match self.refusal.is_empty() {
            true => Age::of(self.listed_at, now).gravity(),
            false => Gravity::Critical,
        }
    }
}

async fn registrations(
    store: &dyn Store,
    entries: &[Entry],
    now: Timestamp,
) -> Result<Vec<Ending>, StoreError> {
    let book = rdap::book(store).await?;
    if book.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = entries
        .iter()
        .filter(|entry| entry.state != State::Unmanaged)
        .filter_map(|entry| rdap::registrable(&entry.domain).map(str::to_owned));
    Ok(book.ending(&wanted.collect(), now))
}

struct Reading<'a> {
    ledger: Ledger,
    beside: Beside,
    cover: Cover,
    /// What is said of many is kept once.
    texts: Shared,
    entries: Vec<Entry>,
    troubled: BTreeMap<At, Trouble>,
    basis: &'a Basis<'a>,
    now: Timestamp,
}

impl Reading<'_> {
    fn take(&mut self, row: DomainRow) {
        self.cover
            .take(&row, &row.sighting, self.basis.policy, self.now);
        let ledger = self.ledger.get(&row.key).cloned().unwrap_or_default();
        if let Some(view) = view(row, ledger, None, self.basis, self.now) {
            self.troubled
                .extend(Trouble::of(&view).map(|trouble| (view.at(), trouble)));
            self.entries.push(Entry::of(view, &mut self.texts));
        }
    }

    fn take_strangers(&mut self) {
        for ((domain, client), target) in &self.beside.unmanaged {
            if !self.cover.has_row(client, domain) {
                self.entries.push(Entry::of(
                    stranger(domain.clone(), target.clone()),
                    &mut self.texts,
                ));
            }
        }
        self.entries
            .sort_unstable_by(|a, b| a.order().cmp(&b.order()));
    }

    /// Judges again those that one above them covers: they have its state.
    async fn cover_below(
        &mut self,
        mut pages: Pages<'_, dyn Store + '_>,
    ) -> Result<(), StoreError> {
        let above = |entry: &Entry| {
            self.cover
                .above(&entry.client, &entry.domain, &self.beside.above, self.now)
        };
        let at = |entry: &Entry| (entry.domain.clone(), entry.client.to_string());
        let covered: BTreeMap<At, DomainName> = self
            .entries
            .iter()
            .filter_map(|entry| Some((at(entry), above(entry)?)))
            .collect();
        if covered.is_empty() {
            return Ok(());
        }
        let mut below = Vec::with_capacity(covered.len());
        while let Some(rows) = pages.next().await? {
            for row in rows {
                let at = (row.domain.clone(), row.client.clone());
                let Some(parent) = covered.get(&at) else {
                    continue;
                };
                let ledger = self.ledger.remove(&row.key).unwrap_or_default();
                if let Some(mut view) =
                    view(row, ledger, Some(parent.clone()), self.basis, self.now)
                {
                    // Its own need not be repaired.
                    self.troubled.remove(&at);
                    view.counts_with(
                        find(&self.entries, parent, &at.1)
                            .map(|index| self.entries[index].shared_state()),
                    );
                    below.push(Entry::of(view, &mut self.texts));
                }
            }
        }
        for entry in below {
            // What appeared in the store since the first reading is in the next snapshot.
            if let Some(index) = find(&self.entries, &entry.domain, &entry.client) {
                self.entries[index] = entry;
            }
        }
        Ok(())
    }

    async fn troubles(&mut self, store: &dyn Store) -> Result<Troubles, StoreError> {
        let mut troubles = Troubles::of_clients(store, self.basis).await?;
        let troubled = std::mem::take(&mut self.troubled);
        troubles.domains = troubled
            .into_iter()
            .filter_map(|((domain, client), trouble)| {
                Some((find(&self.entries, &domain, &client)?, trouble))
            })
            .collect();
        Ok(troubles)
    }

    async fn clients(&mut self, store: &dyn Store) -> Result<Vec<ClientState>, StoreError> {
        let listings = store.listings().await?;
        let mut clients = Vec::with_capacity(self.basis.targets.len());
        for target in self.basis.targets {
            clients.push(ClientState {
                key: self.texts.get(&target.key),
                listed_at: listings.get(&target.key).copied(),
                refusal: store
                    .fact(&refusal_fact(&target.key))
                    .await?
                    .unwrap_or_default(),
            });
        }
        Ok(clients)
    }
}

/// Where a domain at a client is among entries in their order.
fn find(entries: &[Entry], domain: &DomainName, client: &str) -> Option<usize> {
    let from = entries.partition_point(|entry| entry.domain < *domain);
    let own = entries[from..]
        .iter()
        .take_while(|entry| entry.domain == *domain);
    let place = own.into_iter().position(|entry| *entry.client == *client)?;
    Some(from + place)
}

impl Entry {
    fn of(view: DomainView, texts: &mut Shared) -> Self {
        Self {
            usable_until: view.usable_until(),
            made_at: view.usable_until().and(view.made_at()),
            needs_a_person: view.needs_a_person(),
            lateness: view.lateness(),
            gravity: view.gravity(),
            danger: view.danger,
            proven_until: view.proven_until,
            covered: view.covered_by.is_some(),
            state: view.state,
            with_margin: view.with_margin,
            renew_at: view.renew_at,
            due_at: view.due_at,
            ca_read_at: view.ca_read_at,
            client: texts.get(&view.client),
            further: view.further,
            provider: view.provider.map(|name| texts.get(&name)),
            reason: texts.get(&view.reason),
            domain: view.domain,
        }
    }

    /// Its row.
    pub fn key(&self) -> RowKey {
        match self.further {
            true => RowKey::further(&self.domain, &self.client),
            false => RowKey::from(&self.domain),
        }
    }

    /// What it is ordered by: the name, and then as the rows of one name are.
    pub fn order(&self) -> (&DomainName, bool, &str) {
        (&self.domain, self.further, &self.client)
    }

    /// How near it is to having no proof that counts, at a moment after the snapshot.
    pub fn danger_at(&self, policy: &Policy, at: Timestamp) -> Danger {
        match self.usable_until {
            Some(end) => Danger::of_proof(end, self.made_at, policy, at),
            None => self.danger,
        }
    }

    /// What those below it share with it.
    fn shared_state(&self) -> SharedState {
        SharedState {
            state: self.state,
            with_margin: self.with_margin,
            danger: self.danger,
            proven_until: self.proven_until,
            proof: self.usable_until.map(|end| ProofView {
                usable_until: Some(end),
                validated_at: self.made_at,
                ..ProofView::default()
            }),
            is_dns: false,
            ca_read_at: self.ca_read_at,
        }
    }
}

#[cfg(test)]
mod tests;
