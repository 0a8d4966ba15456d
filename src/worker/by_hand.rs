//! What a person orders for domains and persistent records: written into their rows under leases,
//! for all of them or for none. A run that works on a row keeps the row.

use jiff::{SignedDuration, Timestamp};

use crate::persistent::Kept;
use crate::prevalidation::{DomainName, RowKey};
use crate::store::persistent::{PersistentClaim, PersistentRow, PersistentWrite};
use crate::store::{Claim, Event, Lease, Store, StoreError, Write};

/// How long an order may take to be written down.
const LEASE: SignedDuration = SignedDuration::from_mins(1);

/// The person that orders, and the time.
#[derive(Debug, Clone, Copy)]
pub struct Orderer<'a> {
    /// Names the process or the person in the leases.
    pub holder: &'a str,
    /// Names the order in the history.
    pub run: &'a str,
    /// The moment.
    pub now: Timestamp,
}

impl Orderer<'_> {
    /// Has `change` write the order into each row and say it, by its kind and its detail; wakes the
    /// domains. The rows that a run works on come back: where there are any, nothing was ordered.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn order(
        &self,
        store: &dyn Store,
        keys: &[RowKey],
        mut change: impl FnMut(&mut Lease) -> Option<(&'static str, String)>,
    ) -> Result<Vec<RowKey>, StoreError> {
        let (leases, busy) = self.take(store, keys, LEASE).await?;
        let writes: Vec<_> = leases
            .into_iter()
            .map(|mut lease| {
                // When not all could be leased, the lease just ends.
                let told = busy.is_empty().then(|| change(&mut lease)).flatten();
                let (domain, client) = (&lease.fence.domain, Some(&lease.row.client));
                let events = told.map(|told| self.event(domain, client, told));
                Write {
                    events: events.into_iter().collect(),
                    ..self.back(lease)
                }
            })
            .collect();
        let stored = store.commit(&writes).await?;
        stored.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(busy)
    }

    /// Wakes these rows and leases those that no run works on; the others come second.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn take(
        &self,
        store: &dyn Store,
        keys: &[RowKey],
        lease: SignedDuration,
    ) -> Result<(Vec<Lease>, Vec<RowKey>), StoreError> {
        store.wake(keys, self.now).await?;
        let mut leases: Vec<Lease> = Vec::with_capacity(keys.len());
        while leases.len() < keys.len() {
            let claim = Claim {
                holder: self.holder,
                now: self.now,
                lease,
                limit: keys.len(),
                only: Some(keys),
                except_clients: &[],
            };
            // One claim leases domains of one client.
            let more = store.claim(&claim).await?;
            if more.is_empty() {
                break;
            }
            leases.extend(more);
        }
        let is_busy = |key: &&RowKey| leases.iter().all(|lease| lease.fence.key != **key);
        let busy = keys.iter().filter(is_busy).cloned().collect();
        Ok((leases, busy))
    }

    /// Has `change` write the order into what is remembered of each persistent record and say it, by
    /// its kind and its detail. The first record that a run works on comes back: nothing was ordered
    /// then.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn order_records(
        &self,
        store: &dyn Store,
        rows: &[PersistentRow],
        change: impl Fn(&mut PersistentRow) -> (&'static str, String),
    ) -> Result<Option<PersistentRow>, StoreError> {
        let (mut leases, mut busy) = (Vec::with_capacity(rows.len()), None);
        for row in rows {
            let claim = PersistentClaim {
                domain: &row.domain,
                issuer: &row.issuer,
                holder: self.holder,
                now: self.now,
                lease: LEASE,
            };
            let Some(lease) = store.claim_persistent(&claim).await? else {
                busy = Some(row.clone());
                break;
            };
            leases.push(lease);
        }
        for mut lease in leases {
            let told = busy.is_none().then(|| change(&mut lease.row));
            let events = told.map(|told| self.event(&lease.row.domain, None, told));
            let write = PersistentWrite {
                fence: lease.fence,
                events: events.into_iter().collect(),
                release: true,
                // The claim made it.
                forget: busy.is_some() && lease.row.kept == Kept::default(),
                kept: lease.row.kept,
            };
            store.commit_persistent(&write).await?;
        }
        Ok(busy)
    }

    fn event(
        &self,
        domain: &DomainName,
        client: Option<&String>,
        (kind, detail): (&str, String),
    ) -> Event {
        Event {
            at: self.now,
            run: self.run.to_owned(),
            domain: Some(domain.clone()),
            client: client.cloned(),
            kind: kind.to_owned(),
            detail,
        }
    }

    /// Gives a lease back, with the row as it is in it; the next run asks the planner about it.
    pub fn back(&self, lease: Lease) -> Write {
        Write {
            fence: lease.fence,
            sighting: None,
            upkeep: lease.row.upkeep,
            due_at: Some(self.now),
            at_risk: None,
            ledger: lease.ledger,
            events: Vec::new(),
            effect: None,
            release: true,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::persistent::PersistentRecords as _;
    use crate::store::sqlite::SqliteStore;

    fn row(domain: &str) -> PersistentRow {
        PersistentRow {
            domain: DomainName::from_a_labels(domain).unwrap(),
            issuer: "ca.test".to_owned(),
            kept: Kept::default(),
        }
    }

    #[tokio::test]
    async fn records_are_ordered_all_or_none() {
        let store = SqliteStore::open("sqlite::memory:", None).await.unwrap();
        let holder = format!("order/{}", std::process::id());
        let by = Orderer {
            holder: &holder,
            run: "order",
            now: "2026-11-21T12:00:00Z".parse().unwrap(),
        };
        let rows = [row("a.example"), row("b.example")];
        let claim = PersistentClaim {
            domain: &rows[1].domain,
            issuer: &rows[1].issuer,
            holder: &format!("run/{}", std::process::id()),
            now: by.now,
            lease: LEASE,
        };
        let held = store.claim_persistent(&claim).await.unwrap().unwrap();
        let withdraw = |row: &mut PersistentRow| {
            row.kept.withdrawn_at = Some(by.now);
            ("withdrawn", "by hand".to_owned())
        };
        let busy = by.order_records(&store, &rows, withdraw).await.unwrap();
        assert_eq!(busy.as_ref(), Some(&rows[1]));
        let kept = store.persistent_rows().await.unwrap();
        assert_eq!(kept, [rows[1].clone()]);
        assert!(store.history(&rows[0].domain).await.unwrap().is_empty());

        let write = PersistentWrite {
            fence: held.fence,
            kept: held.row.kept,
            events: Vec::new(),
            release: true,
            forget: false,
        };
        store.commit_persistent(&write).await.unwrap();
        let busy = by.order_records(&store, &rows, withdraw).await.unwrap();
        assert_eq!(busy, None);
        let kept = store.persistent_rows().await.unwrap();
        assert_eq!(kept.len(), 2);
        assert!(kept.iter().all(|row| row.kept.withdrawn_at == Some(by.now)));
        assert_eq!(store.history(&rows[0].domain).await.unwrap().len(), 1);
    }
}
