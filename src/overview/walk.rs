//! All domains one page after another, by name: for lists of 100,000 that nobody holds at once. The
//! store is read twice, because a domain stands as the one above it does, and that may come later.

use std::collections::BTreeMap;
use std::ops::Bound;

use jiff::Timestamp;

use super::{Basis, Beside, DomainView, open_entries, stranger, view};
use crate::prevalidation::{Attempt, DomainName, LedgerEntry, Sighting};
use crate::store::{DomainRow, Origin, Pages, Store, StoreError, Wanted};
use crate::worker::{Cover, Covering, Target};

/// What a configuration wants: it lies over the rows of the store.
#[derive(Debug)]
pub struct Wishes {
    /// By name.
    pub wanted: BTreeMap<DomainName, Wanted>,
    /// No line of a list was left out, which may have meant a domain that is not named here.
    pub is_whole: bool,
}

/// The way through all domains.
pub struct Walk<'a> {
    basis: Basis<'a>,
    now: Timestamp,
    ledger: BTreeMap<String, Vec<LedgerEntry>>,
    above: BTreeMap<String, crate::worker::Above>,
    strangers: BTreeMap<DomainName, Target>,
    cover: Cover,
    covered: Covering,
    rows: Laid<'a>,
    /// Domains above others, as they are met.
    parents: BTreeMap<DomainName, Option<DomainView>>,
}

impl<'a> Walk<'a> {
    /// Reads what is needed before the first page. `covered` is what looks of this run found.
    ///
    /// # Errors
    /// What the store says.
    pub async fn new(
        store: &'a dyn Store,
        wishes: &'a Wishes,
        basis: Basis<'a>,
        covered: Covering,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let ledger = open_entries(store, None).await?;
        let beside = Beside::read(store, basis.targets).await?;
        let mut cover = Cover::new(basis.policy);
        let mut rows = Laid::new(store, wishes);
        while let Some(page) = rows.next().await? {
            page.iter()
                .for_each(|row| cover.take(row, &row.sighting, basis.policy, now));
        }
        let mut strangers = beside.unmanaged;
        strangers.retain(|domain, _| !cover.has_row(domain));
        Ok(Self {
            basis,
            now,
            ledger,
            above: beside.above,
            strangers,
            cover,
            covered,
            rows: Laid::new(store, wishes),
            parents: BTreeMap::new(),
        })
    }

    /// The next domains; `None` after the last.
    ///
    /// # Errors
    /// What the store says.
    pub async fn next(&mut self) -> Result<Option<Vec<DomainView>>, StoreError> {
        let Some(rows) = self.rows.next().await? else {
            let rest = std::mem::take(&mut self.strangers);
            let rest = rest.into_iter().map(|(name, at)| stranger(name, at));
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
            let later = self.strangers.split_off(&last);
            let sooner = std::mem::replace(&mut self.strangers, later);
            page.extend(sooner.into_iter().map(|(name, at)| stranger(name, at)));
            page.sort_unstable_by(|a, b| a.domain.cmp(&b.domain));
        }
        Ok(Some(page))
    }

    async fn view(&mut self, row: DomainRow) -> Result<Option<DomainView>, StoreError> {
        let told = self
            .covered
            .get(&row.domain)
            .filter(|_| self.basis.policy.cover)
            .cloned();
        let parent = told.or_else(|| self.cover.above(&row.domain, &self.above, self.now));
        let entries = self
            .ledger
            .get(row.domain.as_str())
            .cloned()
            .unwrap_or_default();
        let Some(mut found) = view(row, entries, parent.clone(), &self.basis, self.now) else {
            return Ok(None);
        };
        if let Some(parent) = parent {
            self.meet(&parent).await?;
            let parent = self.parents.get(&parent).and_then(Option::as_ref);
            found.counts_with(parent.map(DomainView::standing));
        }
        Ok(Some(found))
    }

    /// A domain above others is read once.
    async fn meet(&mut self, parent: &DomainName) -> Result<(), StoreError> {
        if self.parents.contains_key(parent) {
            return Ok(());
        }
        let row = match self.cover.has_row(parent) {
            true => self.rows.one(parent).await?,
            false => None,
        };
        let found = row.and_then(|row| {
            let entries = self
                .ledger
                .get(parent.as_str())
                .cloned()
                .unwrap_or_default();
            view(row, entries, None, &self.basis, self.now)
        });
        self.parents.insert(parent.clone(), found);
        Ok(())
    }
}

/// The rows of the store, by name, as the configuration wants them.
struct Laid<'a> {
    store: &'a dyn Store,
    pages: Pages<'a, dyn Store + 'a>,
    wishes: &'a Wishes,
    /// Up to here all was given.
    until: Option<DomainName>,
    ended: bool,
}

impl<'a> Laid<'a> {
    fn new(store: &'a dyn Store, wishes: &'a Wishes) -> Self {
        Self {
            store,
            pages: Pages::of(store),
            wishes,
            until: None,
            ended: false,
        }
    }

    async fn next(&mut self) -> Result<Option<Vec<DomainRow>>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let mut laid = Vec::new();
        match self.pages.next().await? {
            Some(rows) => {
                for row in rows {
                    let before = (self.after(), Bound::Excluded(&row.domain));
                    let missing = self.wishes.wanted.range::<DomainName, _>(before);
                    laid.extend(missing.map(|(_, wish)| unread(wish)));
                    self.until = Some(row.domain.clone());
                    let wish = self.wishes.wanted.get(&row.domain);
                    laid.push(over(row, wish, self.wishes.is_whole));
                }
            }
            None => {
                self.ended = true;
                let rest = (self.after(), Bound::Unbounded);
                let rest = self.wishes.wanted.range::<DomainName, _>(rest);
                laid.extend(rest.map(|(_, wish)| unread(wish)));
            }
        }
        Ok(Some(laid))
    }

    async fn one(&self, domain: &DomainName) -> Result<Option<DomainRow>, StoreError> {
        let wish = self.wishes.wanted.get(domain);
        let row = self.store.domain(domain).await?;
        Ok(match row {
            Some(row) => Some(over(row, wish, self.wishes.is_whole)),
            None => wish.map(unread),
        })
    }

    fn after(&self) -> Bound<&DomainName> {
        self.until
            .as_ref()
            .map_or(Bound::Unbounded, Bound::Excluded)
    }
}

/// A row with the wish of the configuration laid over it. A row that the configuration does not name
/// stays wanted unless the configuration `is_whole`.
pub fn over(mut row: DomainRow, wish: Option<&Wanted>, is_whole: bool) -> DomainRow {
    if is_whole {
        row.origins.retain(|&origin| origin != Origin::Config);
    }
    if let Some(wish) = wish {
        if !row.origins.contains(&Origin::Config) {
            row.origins.push(Origin::Config);
        }
        row.client.clone_from(&wish.client);
        row.ca.clone_from(&wish.ca);
        row.provider.clone_from(&wish.provider);
    }
    row
}

/// The row that the wish will be once it is stored.
pub fn unread(wish: &Wanted) -> DomainRow {
    DomainRow {
        domain: wish.domain.clone(),
        client: wish.client.clone(),
        ca: wish.ca.clone(),
        provider: wish.provider.clone(),
        origins: vec![Origin::Config],
        sighting: Sighting::Unread,
        read_at: None,
        attempt: Attempt::default(),
        due_at: None,
        at_risk: false,
    }
}
