//! Ports of orders that die: before or after the n-th effect the process is gone.
//!
//! Files have no port. What is done to them is between two writes of the store, so a death before
//! the second of these is one after the files were changed.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::issuing::{
    Fetched, Found, Intent, Kind, Order, OrderKey, Orders as Shown, Preflight, Product, Revocation,
    RevocationRequest, Wanted,
};
use prevalidate::ca::{CaError, Client, Issuing};
use prevalidate::store::orders::{
    CertificateClaim, CertificateEvent, CertificateFence, CertificateLease, CertificateRow,
    CertificateWrite, Orders, WantedCertificate,
};
use prevalidate::store::{Store, StoreError};

use super::super::crash::Mortal;

#[async_trait]
impl Issuing for Mortal<dyn Issuing> {
    fn kind(&self) -> &'static Kind {
        self.inner.kind()
    }
    async fn clients(&self) -> Result<Vec<Client>, CaError> {
        self.inner.clients().await
    }
    async fn products(&self, client: &str) -> Result<Vec<Product>, CaError> {
        self.inner.products(client).await
    }
    async fn preflight(&self, intent: &Intent) -> Result<Preflight, CaError> {
        let call = self.inner.preflight(intent);
        self.fuse.effect("preflight", call).await
    }
    async fn challenges(&self, intent: &Intent) -> Result<Wanted, CaError> {
        let call = self.inner.challenges(intent);
        self.fuse.effect("challenges", call).await
    }
    async fn submit(&self, intent: &Intent) -> Result<Order, CaError> {
        let call = self.inner.submit(intent);
        self.fuse.effect("submit", call).await
    }
    async fn find(&self, intent: &Intent) -> Result<Found, CaError> {
        self.fuse.effect("find", self.inner.find(intent)).await
    }
    async fn read(&self, key: &OrderKey) -> Result<Order, CaError> {
        self.fuse.effect("look", self.inner.read(key)).await
    }
    async fn fetch(&self, key: &OrderKey) -> Result<Fetched, CaError> {
        self.fuse.effect("fetch", self.inner.fetch(key)).await
    }
    async fn revoke(
        &self,
        key: &OrderKey,
        request: &RevocationRequest,
    ) -> Result<Revocation, CaError> {
        let call = self.inner.revoke(key, request);
        self.fuse.effect("revoke", call).await
    }
    async fn withdraw(&self, key: &OrderKey, why: &str) -> Result<(), CaError> {
        let call = self.inner.withdraw(key, why);
        self.fuse.effect("withdraw", call).await
    }
    async fn orders(&self, client: &str) -> Result<Shown, CaError> {
        self.inner.orders(client).await
    }
}

#[async_trait]
impl Orders for Mortal<dyn Store> {
    async fn sync_certificates(
        &self,
        wanted: &[WantedCertificate],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.orders().sync_certificates(wanted, now).await
    }
    async fn certificates(&self) -> Result<Vec<CertificateRow>, StoreError> {
        self.inner.orders().certificates().await
    }
    async fn certificate(&self, name: &str) -> Result<Option<CertificateRow>, StoreError> {
        self.inner.orders().certificate(name).await
    }
    async fn wake_certificates(&self, names: &[String], now: Timestamp) -> Result<(), StoreError> {
        let call = self.inner.orders().wake_certificates(names, now);
        self.fuse.effect("wake", call).await
    }
    async fn claim_certificate(
        &self,
        claim: &CertificateClaim<'_>,
    ) -> Result<Option<CertificateLease>, StoreError> {
        let call = self.inner.orders().claim_certificate(claim);
        self.fuse.effect("claim", call).await
    }
    async fn next_certificate_due(
        &self,
        home: &str,
        only: Option<&[String]>,
        except_cas: &[String],
    ) -> Result<Option<Timestamp>, StoreError> {
        let orders = self.inner.orders();
        orders.next_certificate_due(home, only, except_cas).await
    }
    async fn extend_certificate(
        &self,
        fence: &CertificateFence,
        now: Timestamp,
        lease: SignedDuration,
    ) -> Result<bool, StoreError> {
        let orders = self.inner.orders();
        orders.extend_certificate(fence, now, lease).await
    }
    async fn commit_certificate(&self, write: &CertificateWrite) -> Result<(), StoreError> {
        let name = match write.release {
            true => "commit result",
            false => "commit step",
        };
        let call = self.inner.orders().commit_certificate(write);
        self.fuse.effect(name, call).await
    }
    async fn move_certificate(
        &self,
        fence: &CertificateFence,
        home: &str,
    ) -> Result<(), StoreError> {
        self.inner.orders().move_certificate(fence, home).await
    }
    async fn certificate_history(&self, name: &str) -> Result<Vec<CertificateEvent>, StoreError> {
        self.inner.orders().certificate_history(name).await
    }
}
