//! What else is at the names of an order's records: the records of proofs, and of other orders.

use jiff::SignedDuration;

use crate::issuance::progress::{Record, RecordState};
use crate::prevalidation::{DomainName, LedgerEntry, LedgerState};
use crate::store::StoreError;
use crate::worker::issue::Issuer;
use crate::worker::issue::task::Task;
use crate::worker::ordered::{Ordered, exclude_each_other, excludes, is_entry, is_same, ordered};

impl Issuer {
    /// Why nothing is written at a domain: a person withdrew its values from DNS.
    pub(in crate::worker::issue) async fn withdrawn(
        &self,
        domain: &DomainName,
    ) -> Result<Option<String>, StoreError> {
        let above = domain.at_and_above();
        let above = above.filter_map(|one| DomainName::from_a_labels(one).ok());
        let above: Vec<_> = above.collect();
        let rows = self.ports.store.rows_of(&above).await?;
        let mut rows = rows.into_iter();
        let found = rows.find(|row| row.upkeep.withdrawn_at.is_some());
        Ok(found.map(|row| {
            format!(
                "{} was withdrawn by hand, and nothing is written there: `prevalidate run --domain {}` takes it up again",
                row.domain.both_forms(),
                row.domain
            )
        }))
    }
}

impl Task<'_> {
    /// What has the name of a record, so that it cannot be written yet. Once the record is `intended`,
    /// an order with a later name gives way to it.
    pub(super) async fn in_the_way(
        &self,
        record: &Record,
        intended: bool,
    ) -> Result<Option<String>, StoreError> {
        let comes_first = |entry: &&LedgerEntry| excludes(record, entry) && self.is_alive(entry);
        let entries = self.issuer.ports.store.open_entries(None).await?;
        if let Some(entry) = entries.iter().find(comes_first) {
            return Ok(Some(format!(
                "the proof of {} has a {} at {}: its turn comes first",
                entry.key.domain().both_forms(),
                entry.kind,
                entry.owner
            )));
        }
        let others = self.other_orders().await?;
        let comes_first = |other: &&Ordered| {
            let is_intent = other.record.state == RecordState::Intended && !other.is_going;
            let gives_way = intended && is_intent && other.certificate > self.row.name;
            exclude_each_other(record, &other.record) && !gives_way
        };
        Ok(others.iter().find(comes_first).map(|other| {
            format!(
                "the order of certificate {} has a {} at {}: its turn comes first",
                other.certificate,
                other.record.kind,
                other.record.place()
            )
        }))
    }

    /// Whether the record of an entry is in DNS or about to be: an intent of which nothing came within
    /// a lease waits itself, or is given up.
    fn is_alive(&self, entry: &LedgerEntry) -> bool {
        let age = self.now().duration_since(entry.created_at);
        let is_young = (SignedDuration::ZERO..self.issuer.options.lease).contains(&age);
        match entry.state {
            LedgerState::Intended => is_young,
            state => state.is_open(),
        }
    }

    async fn other_orders(&self) -> Result<Vec<Ordered>, StoreError> {
        let mut rows = self.issuer.ports.store.orders().certificates().await?;
        rows.retain(|row| row.name != self.row.name);
        Ok(ordered(rows))
    }

    /// Whether a proof or another order has written this record, or means to.
    pub(super) async fn is_shared(&self, record: &Record) -> Result<bool, StoreError> {
        let entries = self.issuer.ports.store.open_entries(None).await?;
        let is_proof = |entry: &LedgerEntry| entry.state.is_open() && is_entry(record, entry);
        let others = self.other_orders().await?;
        let is_other = |other: &Ordered| is_same(record, &other.record);
        Ok(entries.iter().any(is_proof) || others.iter().any(is_other))
    }

    /// Why a record that is to be removed is still needed, and whether its other user removes it.
    pub(super) async fn needed(
        &self,
        record: &Record,
    ) -> Result<Option<(String, bool)>, StoreError> {
        let own = self.row.progress.order.as_ref();
        let own = own.and_then(|order| order.records.iter().find(|one| is_same(one, record)));
        if let Some(own) = own.filter(|own| own.may_stand()) {
            let takes_over = own.provider == record.provider;
            return Ok(Some(("its own order needs it".to_owned(), takes_over)));
        }
        let entries = self.issuer.ports.store.open_entries(None).await?;
        let needs = |entry: &&LedgerEntry| {
            let stays = entry.state.is_open() && entry.state != LedgerState::Removing;
            stays && is_entry(record, entry)
        };
        if let Some(entry) = entries.iter().find(needs) {
            let takes_over = record.provider.as_ref() == Some(&entry.provider);
            let words = format!("the proof of {} needs it", entry.key.domain().both_forms());
            return Ok(Some((words, takes_over)));
        }
        let others = self.other_orders().await?;
        let needs = |other: &&Ordered| !other.is_going && is_same(record, &other.record);
        Ok(others.iter().find(needs).map(|other| {
            let takes_over = record.provider == other.record.provider;
            let words = format!("the order of certificate {} needs it", other.certificate);
            (words, takes_over)
        }))
    }
}
