//! What CAA says about orders: asked of DNS elsewhere, and kept here.

use super::{Order, Orders};
use crate::ca::csr::Csr;

impl Orders {
    /// Requests whose certificates are not issued and for which DNS was not asked for CAA.
    pub(in crate::sandbox::ca) fn without_caa(&self) -> Vec<(String, String, Csr)> {
        let is_open = |order: &&Order| order.issued.is_none() && order.caa.is_none();
        let open = self.orders.values().filter(is_open);
        open.map(|order| {
            let (reference, client) = (order.reference.clone(), order.client.clone());
            (reference, client, order.csr.clone())
        })
        .collect()
    }

    /// Notes what CAA says about an order.
    pub(in crate::sandbox::ca) fn note_caa(&mut self, reference: &str, said: Result<(), String>) {
        if let Some(order) = self.order_mut(reference) {
            order.caa = Some(said);
        }
    }
}
