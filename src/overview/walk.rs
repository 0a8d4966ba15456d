//! All domains one page after another, by name: for lists of 100,000 that are never in memory at
//! once. The store is read twice, because a domain has the state of the one above it, which may
//! come later.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::{At, Basis, Beside, Covered, DomainView, Ledger, open_entries, stranger, told, view};
use crate::prevalidation::{DomainName, RowKey, Sighting, Upkeep};
use crate::store::{DomainRow, Origin, Pages, Store, StoreError, Wanted};
use crate::worker::{Cover, Target};

/// What a configuration wants: it lies over the rows of the store.
#[derive(Debug)]
pub struct Overlay {
    /// By name and client.
    wanted: Vec<Wanted>,
    /// No line of a list was left out, which may have meant a domain that is not named here.
    is_whole: bool,
}

impl Overlay {
    /// Those of a configuration.
    pub fn new(mut wanted: Vec<Wanted>, is_whole: bool) -> Self {
        wanted.sort_by(|a, b| (&a.domain, &a.client).cmp(&(&b.domain, &b.client)));
        Self { wanted, is_whole }
    }

    /// Those for one domain.
    fn of(&self, domain: &DomainName) -> &[Wanted] {
        let from = self.wanted.partition_point(|want| want.domain < *domain);
        let own = &self.wanted[from..];
        &own[..own.partition_point(|want| want.domain == *domain)]
    }

    /// All rows as they are wanted, those that are not stored yet among them.
    pub fn over(&self, rows: Vec<DomainRow>) -> Vec<DomainRow> {
        let mut groups: BTreeMap<DomainName, Vec<DomainRow>> = BTreeMap::new();
        for row in rows {
            groups.entry(row.domain.clone()).or_default().push(row);
        }
        for want in &self.wanted {
            groups.entry(want.domain.clone()).or_default();
        }
        let groups = groups.into_iter();
        groups
            .flat_map(|(domain, rows)| self.group(&domain, rows))
            .collect()
    }

    /// The rows of one domain as they are wanted. A row that the configuration does not name stays
    /// wanted unless the configuration is whole. As the store does it, a domain that is not wanted
    /// at its first client any more takes its row along.
    fn group(&self, domain: &DomainName, mut rows: Vec<DomainRow>) -> Vec<DomainRow> {
        let overlay = self.of(domain);
        if self.is_whole {
            for row in &mut rows {
                row.origins.retain(|&origin| origin != Origin::Config);
            }
        }
        let mut new = Vec::new();
        for want in overlay {
            if let Some(row) = rows.iter_mut().find(|row| *row.client == *want.client) {
                take(row, want);
                continue;
            }
            let names = |row: &DomainRow| overlay.iter().any(|want| *want.client == *row.client);
            let first = rows
                .iter_mut()
                .find(|row| row.key.further_client().is_none());
            match first {
                Some(row) if row.origins.is_empty() && !names(row) => take(row, want),
                Some(_) => new.push(unread(want, RowKey::further(domain, &want.client))),
                None if new.is_empty() => new.push(unread(want, RowKey::from(domain))),
                None => new.push(unread(want, RowKey::further(domain, &want.client))),
            }
        }
        rows.extend(new);
        rows
    }
}

/// The way through all domains.
pub struct Walk<'a> {
    basis: Basis<'a>,
    now: Timestamp,
    ledger: Ledger,
    above: BTreeMap<String, crate::worker::Above>,
    strangers: BTreeMap<At, Target>,
    cover: Cover,
    covered: Covered,
    rows: Rows<'a>,
    /// Domains above others, as they are met.
    parents: BTreeMap<At, Option<DomainView>>,
}

impl<'a> Walk<'a> {
    /// Reads what is needed before the first page. `covered` is what the listings of this run
    /// found.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn new(
        store: &'a dyn Store,
        overlay: &'a Overlay,
        basis: Basis<'a>,
        covered: Covered,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let ledger = open_entries(store, None).await?;
        let beside = Beside::read(store, basis.targets).await?;
        let mut cover = Cover::new(basis.policy);
        let mut rows = Rows::new(store, overlay);
        while let Some(page) = rows.next().await? {
            page.iter()
                .for_each(|row| cover.take(row, &row.sighting, basis.policy, now));
        }
        let mut strangers = beside.unmanaged;
        strangers.retain(|(domain, client), _| !cover.has_row(client, domain));
        Ok(Self {
            basis,
            now,
            ledger,
            above: beside.above,
            strangers,
            cover,
            covered,
            rows: Rows::new(store, overlay),
            parents: BTreeMap::new(),
        })
    }

    /// The next domains; `None` after the last.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn next(&mut self) -> Result<Option<Vec<DomainView>>, StoreError> {
        let Some(rows) = self.rows.next().await? else {
            let rest = std::mem::take(&mut self.strangers);
            let rest = rest.into_iter().map(|((name, _), at)| stranger(name, at));
            let rest: Vec<_> = rest.collect();
            return Ok((!rest.is_empty()).then_some(rest));
        };
        let last = rows.last().map(|row| row.domain.clone());
        let mut page = Vec::with_capacity(rows.len());
        for row in rows {
            let found = self.view(row).await?;
            page.extend(found);
        }
        if let Some(last) = last {
            // All rows of the last domain are on this page, and no key of a client is this text.
            let later = self.strangers.split_off(&(last, char::MAX.to_string()));
            let sooner = std::mem::replace(&mut self.strangers, later);
            page.extend(sooner.into_iter().map(|((name, _), at)| stranger(name, at)));
            page.sort_unstable_by_key(DomainView::key);
        }
        Ok(Some(page))
    }

    async fn view(&mut self, row: DomainRow) -> Result<Option<DomainView>, StoreError> {
        let told = told(&self.covered, &row, &self.basis);
        let above = || {
            self.cover
                .above(&row.client, &row.domain, &self.above, self.now)
        };
        let parent = told.or_else(above).map(|name| (name, row.client.clone()));
        let entries = self.ledger.get(&row.key).cloned().unwrap_or_default();
        let covered_by = parent.as_ref().map(|(name, _)| name.clone());
        let Some(mut found) = view(row, entries, covered_by, &self.basis, self.now) else {
            return Ok(None);
        };
        if let Some(parent) = parent {
            self.meet(&parent).await?;
            let parent = self.parents.get(&parent).and_then(Option::as_ref);
            found.counts_with(parent.map(DomainView::shared_state));
        }
        Ok(Some(found))
    }

    /// A domain above others is read once.
    async fn meet(&mut self, parent: &At) -> Result<(), StoreError> {
        if self.parents.contains_key(parent) {
            return Ok(());
        }
        let row = match self.cover.has_row(&parent.1, &parent.0) {
            true => self.rows.one(parent).await?,
            false => None,
        };
        let found = row.and_then(|row| {
            let entries = self.ledger.get(&row.key).cloned().unwrap_or_default();
            view(row, entries, None, &self.basis, self.now)
        });
        self.parents.insert(parent.clone(), found);
        Ok(())
    }
}

/// Wanted domains without a row that are on one page: before the first run all of them are.
const AT_ONCE: usize = 1_000;

/// The rows of the store, page by page and by name, as the configuration wants them; all rows of a
/// domain come together.
pub struct Rows<'a> {
    store: &'a dyn Store,
    pages: Pages<'a, dyn Store + 'a>,
    overlay: &'a Overlay,
    /// How many domains were given.
    given: usize,
    /// The rows of a domain of which the next page may have more.
    kept: Vec<DomainRow>,
    ended: bool,
}

impl<'a> Rows<'a> {
    /// From the first one on.
    pub fn new(store: &'a dyn Store, overlay: &'a Overlay) -> Self {
        Self {
            store,
            pages: Pages::of(store),
            overlay,
            given: 0,
            kept: Vec::new(),
            ended: false,
        }
    }

    /// The next page, which may be empty; `None` after the last.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn next(&mut self) -> Result<Option<Vec<DomainRow>>, StoreError> {
        if self.ended {
            let mut laid = Vec::new();
            self.missing(&mut laid, None);
            return Ok((!laid.is_empty()).then_some(laid));
        }
        let mut rows = std::mem::take(&mut self.kept);
        match self.pages.next().await? {
            Some(page) => {
                rows.extend(page);
                let last = rows.last().map(|row| row.domain.clone());
                let whole = rows
                    .iter()
                    .take_while(|row| Some(&row.domain) != last.as_ref())
                    .count();
                self.kept = rows.split_off(whole);
            }
            None => self.ended = true,
        }
        let (mut laid, mut rows) = (Vec::new(), VecDeque::from(rows));
        while let Some(first) = rows.pop_front() {
            let domain = first.domain.clone();
            self.missing(&mut laid, Some(&domain));
            let mut group = vec![first];
            while let Some(row) = rows.pop_front_if(|row| row.domain == domain) {
                group.push(row);
            }
            self.given += self.overlay.of(&domain).len();
            laid.extend(self.overlay.group(&domain, group));
        }
        Ok(Some(laid))
    }

    /// The wanted domains without a row, up to the next domain that has one; behind the last of
    /// these, some at a time.
    fn missing(&mut self, laid: &mut Vec<DomainRow>, until: Option<&DomainName>) {
        while let Some(want) = self.overlay.wanted.get(self.given) {
            let is_far = match until {
                Some(until) => want.domain >= *until,
                None => laid.len() >= AT_ONCE,
            };
            if is_far {
                break;
            }
            self.given += self.overlay.of(&want.domain).len();
            laid.extend(self.overlay.group(&want.domain, Vec::new()));
        }
    }

    async fn one(&self, (domain, client): &At) -> Result<Option<DomainRow>, StoreError> {
        let rows = self.store.rows_of(std::slice::from_ref(domain)).await?;
        let mut rows = self.overlay.group(domain, rows).into_iter();
        Ok(rows.find(|row| row.client == *client))
    }
}

/// What the configuration wants replaces what a row says.
fn take(row: &mut DomainRow, want: &Wanted) {
    if !row.origins.contains(&Origin::Config) {
        row.origins.push(Origin::Config);
    }
    row.client = want.client.to_string();
    row.ca = want.ca.to_string();
    row.provider = want.provider.as_deref().map(str::to_owned);
}

/// The row of a wanted domain as it will be stored.
fn unread(want: &Wanted, key: RowKey) -> DomainRow {
    DomainRow {
        key,
        domain: want.domain.clone(),
        client: want.client.to_string(),
        ca: want.ca.to_string(),
        provider: want.provider.as_deref().map(str::to_owned),
        origins: vec![Origin::Config],
        sighting: Sighting::Unread,
        read_at: None,
        upkeep: Upkeep::default(),
        due_at: None,
        at_risk: false,
    }
}
