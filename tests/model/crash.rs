//! Ports that die: before or after the n-th effect the process is gone, and only what was committed
//! is left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::validation;
use prevalidate::ca::{CaError, Client, ClientSelector, Listing, Started, Submission, Validation};
use prevalidate::prevalidation::{DomainName, LedgerEntry, Registration, RowKey};
use prevalidate::store::persistent::{
    PersistentClaim, PersistentLease, PersistentRecords, PersistentRow, PersistentWrite,
};
use prevalidate::store::{
    Bucket, Claim, DomainRow, EffectCount, Event, Fence, Kind, Lease, NoticeRecord, Origin, Page,
    Received, Seen, Store, StoreError, Wanted, Write,
};
use prevalidate_providers::{
    Preflight, Provider, ProviderError, Receipt, Record, RecordKind, TxtRrset, Zone,
};
use tokio::sync::Notify;

/// On which side of an effect the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
    /// Not dead but stopped before it, until [`Fuse::resume`].
    FrozenBefore,
}

/// Counts effects, and ends the world at one of them.
#[derive(Debug, Default)]
pub struct Fuse {
    count: AtomicUsize,
    /// The effect and the side; `usize::MAX`: never.
    at: std::sync::Mutex<Option<(usize, Side)>>,
    pub blown: Notify,
    pub resume: Notify,
    names: std::sync::Mutex<Vec<String>>,
}

impl Fuse {
    pub fn set(&self, at: Option<(usize, Side)>) {
        self.count.store(0, Ordering::SeqCst);
        *self.at.lock().unwrap() = at;
    }

    pub fn effects(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    pub fn names(&self) -> Vec<String> {
        self.names.lock().unwrap().clone()
    }

    /// Runs one effect, or dies beside it.
    pub async fn effect<T>(&self, name: &str, act: impl Future<Output = T>) -> T {
        let index = self.count.fetch_add(1, Ordering::SeqCst);
        self.names.lock().unwrap().push(name.to_owned());
        let at = *self.at.lock().unwrap();
        if at == Some((index, Side::Before)) {
            self.die().await;
        }
        if at == Some((index, Side::FrozenBefore)) {
            *self.at.lock().unwrap() = None;
            self.blown.notify_one();
            self.resume.notified().await;
        }
        let result = act.await;
        if at == Some((index, Side::After)) {
            self.die().await;
        }
        result
    }

    async fn die(&self) {
        *self.at.lock().unwrap() = None;
        self.blown.notify_one();
        std::future::pending::<()>().await;
    }
}

#[derive(Debug)]
pub struct Mortal<T: ?Sized> {
    pub inner: Arc<T>,
    pub fuse: Arc<Fuse>,
}

impl<T: ?Sized> Mortal<T> {
    pub fn new(inner: Arc<T>, fuse: &Arc<Fuse>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            fuse: Arc::clone(fuse),
        })
    }
}

#[async_trait]
impl Validation for Mortal<dyn Validation> {
    fn kind(&self) -> &'static validation::Kind {
        self.inner.kind()
    }
    async fn find_client(&self, selector: &ClientSelector) -> Result<Client, CaError> {
        self.inner.find_client(selector).await
    }
    async fn list(&self, client: &str) -> Result<Listing, CaError> {
        self.fuse.effect("list", self.inner.list(client)).await
    }
    async fn warnings(&self, asked_at: Option<Timestamp>) -> Result<Option<Vec<String>>, CaError> {
        self.inner.warnings(asked_at).await
    }
    async fn register(
        &self,
        client: &str,
        names: &[DomainName],
    ) -> Vec<(DomainName, Result<Registration, CaError>)> {
        self.fuse
            .effect("register", self.inner.register(client, names))
            .await
    }
    async fn get(&self, reference: &str) -> Result<Registration, CaError> {
        self.fuse.effect("get", self.inner.get(reference)).await
    }
    async fn submit(&self, reference: &str) -> Result<Submission, CaError> {
        self.fuse
            .effect("validate", self.inner.submit(reference))
            .await
    }
    async fn start(&self, reference: &str) -> Result<Started, CaError> {
        self.fuse.effect("reset", self.inner.start(reference)).await
    }
    async fn delete(&self, reference: &str) -> Result<(), CaError> {
        self.inner.delete(reference).await
    }
}

#[async_trait]
impl Provider for Mortal<dyn Provider> {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }
    fn writes(&self) -> bool {
        self.inner.writes()
    }
    fn rehearses(&self) -> bool {
        self.inner.rehearses()
    }
    async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError> {
        self.inner.find_zone(owner).await
    }
    async fn inspect(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        self.inner.inspect(owner).await
    }
    async fn ensure_present(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.fuse
            .effect("publish", self.inner.ensure_present(records))
            .await
    }
    async fn ensure_absent(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.fuse
            .effect("remove", self.inner.ensure_absent(records))
            .await
    }
    async fn preflight(&self, owner: &str, kind: RecordKind) -> Result<Preflight, ProviderError> {
        self.fuse
            .effect("preflight", self.inner.preflight(owner, kind))
            .await
    }
    async fn in_sync(&self, change_id: &str) -> Result<Option<bool>, ProviderError> {
        self.inner.in_sync(change_id).await
    }
}

#[async_trait]
impl PersistentRecords for Mortal<dyn Store> {
    async fn persistent_rows(&self) -> Result<Vec<PersistentRow>, StoreError> {
        self.inner.persistent_rows().await
    }

    async fn claim_persistent(
        &self,
        claim: &PersistentClaim<'_>,
    ) -> Result<Option<PersistentLease>, StoreError> {
        let call = self.inner.claim_persistent(claim);
        self.fuse.effect("claim", call).await
    }

    async fn commit_persistent(&self, write: &PersistentWrite) -> Result<(), StoreError> {
        let name = match write.release {
            true => "commit result",
            false => "commit step",
        };
        let call = self.inner.commit_persistent(write);
        self.fuse.effect(name, call).await
    }
}

#[async_trait]
impl Store for Mortal<dyn Store> {
    fn orders(&self) -> &dyn prevalidate::store::orders::Orders {
        // See `issuing::crash`.
        self
    }
    async fn sync_inventory(
        &self,
        origin: Origin,
        wanted: &[Wanted],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.sync_inventory(origin, wanted, now).await
    }
    async fn want(
        &self,
        origin: Origin,
        wanted: &[Wanted],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.want(origin, wanted, now).await
    }
    async fn unwant(
        &self,
        origin: Origin,
        keys: &[RowKey],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.unwant(origin, keys, now).await
    }
    async fn domains(&self) -> Result<Vec<DomainRow>, StoreError> {
        self.inner.domains().await
    }
    async fn domain(&self, key: &RowKey) -> Result<Option<DomainRow>, StoreError> {
        self.inner.domain(key).await
    }
    async fn rows_of(&self, domains: &[DomainName]) -> Result<Vec<DomainRow>, StoreError> {
        self.inner.rows_of(domains).await
    }
    async fn domains_after(
        &self,
        after: Option<&RowKey>,
        limit: usize,
    ) -> Result<Vec<DomainRow>, StoreError> {
        self.inner.domains_after(after, limit).await
    }
    async fn claim_listing(
        &self,
        client: &str,
        holder: &str,
        every: SignedDuration,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.inner
            .claim_listing(client, holder, every, lease, now)
            .await
    }
    async fn next_due(
        &self,
        only: Option<&[RowKey]>,
        except_clients: &[String],
    ) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due(only, except_clients).await
    }
    async fn receive(
        &self,
        key: &str,
        id: &str,
        digest: &[u8],
        concerned: &[RowKey],
        now: Timestamp,
    ) -> Result<Received, StoreError> {
        self.inner.receive(key, id, digest, concerned, now).await
    }
    async fn notice_records(&self) -> Result<Vec<NoticeRecord>, StoreError> {
        self.inner.notice_records().await
    }
    async fn claim_notice(
        &self,
        key: &str,
        expected: Option<&str>,
        new: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.inner.claim_notice(key, expected, new, now).await
    }
    async fn record_listing(
        &self,
        client: &str,
        seen: &[Seen],
        read_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.fuse
            .effect(
                "record listing",
                self.inner.record_listing(client, seen, read_at),
            )
            .await
    }
    async fn listings(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        self.inner.listings().await
    }
    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<Lease>, StoreError> {
        self.fuse.effect("claim", self.inner.claim(claim)).await
    }
    async fn extend(
        &self,
        leases: &[Fence],
        now: Timestamp,
        lease: SignedDuration,
    ) -> Result<Vec<RowKey>, StoreError> {
        self.inner.extend(leases, now, lease).await
    }
    async fn take(
        &self,
        bucket: &Bucket<'_>,
        cost: u32,
        now: Timestamp,
    ) -> Result<SignedDuration, StoreError> {
        self.inner.take(bucket, cost, now).await
    }
    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.clock().await
    }
    async fn try_to_write(&self, at_most: std::time::Duration) -> Result<(), StoreError> {
        self.inner.try_to_write(at_most).await
    }
    async fn held(&self, now: Timestamp) -> Result<Vec<prevalidate::store::Held>, StoreError> {
        self.inner.held(now).await
    }
    async fn records(&self, kind: Kind, after: Option<&str>) -> Result<Page, StoreError> {
        self.inner.records(kind, after).await
    }
    async fn restore(
        &self,
        from: &dyn Store,
        kinds: &[Kind],
        tell: &(dyn Fn(Kind, usize) + Sync),
    ) -> Result<(), StoreError> {
        self.inner.restore(from, kinds, tell).await
    }
    async fn commit(&self, writes: &[Write]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let name = if writes.iter().any(|write| write.release) {
            "commit result"
        } else {
            "commit intent"
        };
        self.fuse.effect(name, self.inner.commit(writes)).await
    }
    async fn take_risk_slot(
        &self,
        fence: &Fence,
        client: &str,
        limit: u32,
    ) -> Result<bool, StoreError> {
        self.fuse
            .effect("risk slot", self.inner.take_risk_slot(fence, client, limit))
            .await
    }
    async fn open_entries(&self, key: Option<&RowKey>) -> Result<Vec<LedgerEntry>, StoreError> {
        self.inner.open_entries(key).await
    }
    async fn fact(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.inner.fact(key).await
    }
    async fn set_fact(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.fuse
            .effect("fact", self.inner.set_fact(key, value))
            .await
    }
    async fn note(&self, events: &[Event]) -> Result<(), StoreError> {
        self.inner.note(events).await
    }
    async fn history(&self, domain: &DomainName) -> Result<Vec<Event>, StoreError> {
        self.inner.history(domain).await
    }
    async fn wake(&self, keys: &[RowKey], now: Timestamp) -> Result<(), StoreError> {
        self.inner.wake(keys, now).await
    }
    async fn close(&self) {
        self.inner.close().await;
    }
    async fn retention(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.retention(now).await
    }
    async fn effects_since(&self, since: Timestamp) -> Result<EffectCount, StoreError> {
        self.inner.effects_since(since).await
    }
}
