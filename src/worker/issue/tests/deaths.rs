//! A worker that dies at every call to the CA.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::ca::Client;
use crate::ca::in_memory::KIND;
use crate::ca::issuing::{
    Fetched, Found, Intent, Kind, Order, OrderKey, Orders, Preflight, Product, Revocation,
    RevocationRequest,
};

/// A CA whose caller dies at the n-th moment: before a call, or after it, with its answer.
#[derive(Debug)]
struct Deadly {
    ca: Arc<InMemory>,
    moments: AtomicUsize,
    dies_at: usize,
    died: Notify,
}

impl Deadly {
    async fn moment(&self) {
        if self.moments.fetch_add(1, Ordering::SeqCst) == self.dies_at {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

macro_rules! through {
    ($self:ident, $call:expr) => {{
        $self.moment().await;
        let answer = $call.await;
        $self.moment().await;
        answer
    }};
}

#[async_trait]
impl Issuing for Deadly {
    fn kind(&self) -> &'static Kind {
        &KIND
    }
    async fn clients(&self) -> Result<Vec<Client>, CaError> {
        self.ca.clients().await
    }
    async fn products(&self, client: &str) -> Result<Vec<Product>, CaError> {
        self.ca.products(client).await
    }
    async fn preflight(&self, intent: &Intent) -> Result<Preflight, CaError> {
        through!(self, self.ca.preflight(intent))
    }
    async fn submit(&self, intent: &Intent) -> Result<Order, CaError> {
        through!(self, self.ca.submit(intent))
    }
    async fn find(&self, intent: &Intent) -> Result<Found, CaError> {
        through!(self, self.ca.find(intent))
    }
    async fn read(&self, key: &OrderKey) -> Result<Order, CaError> {
        through!(self, self.ca.read(key))
    }
    async fn fetch(&self, key: &OrderKey) -> Result<Fetched, CaError> {
        through!(self, self.ca.fetch(key))
    }
    async fn revoke(
        &self,
        key: &OrderKey,
        request: &RevocationRequest,
    ) -> Result<Revocation, CaError> {
        through!(self, self.ca.revoke(key, request))
    }
    async fn orders(&self, client: &str) -> Result<Orders, CaError> {
        self.ca.orders(client).await
    }
}

#[tokio::test]
async fn a_worker_that_dies_at_any_call_leaves_one_order_and_a_matching_pair() {
    for dies_at in 0..12 {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world
            .ca
            .change(|ca| ca.works_for = SignedDuration::from_secs(3));
        world.want(&wanted).await;
        let ca = Arc::new(Deadly {
            ca: Arc::clone(&world.ca),
            moments: AtomicUsize::new(0),
            dies_at,
            died: Notify::new(),
        });
        let issuer = world.issuer(Arc::clone(&ca) as Arc<dyn Issuing>, wanted.to_vec());
        let over = CancellationToken::new();
        over.cancel();
        let deadline = world.clock.now() + SignedDuration::from_secs(60);
        tokio::select! {
            outcome = issuer.run(deadline, &over) => outcome.unwrap(),
            () = ca.died.notified() => {}
        }
        drop(issuer);
        // The lease of the dead worker ends.
        world.clock.advance(LEASE + SignedDuration::from_secs(1));
        world.run(&wanted, 120).await;
        assert_eq!(world.ca.held().len(), 1, "died at {dies_at}");
        assert!(world.live("joe").is_some(), "died at {dies_at}");
        assert_eq!(
            world.row("joe").await.progress.order,
            None,
            "died at {dies_at}"
        );
    }
}
