//! The back door of DigiCert.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Shared;
use crate::sandbox::clock::ShiftedClock;
use crate::sandbox::dns::Dns;
use crate::sandbox::door::{self, House, Wrong};

impl House for Shared {
    fn clock(&self) -> &ShiftedClock {
        &self.clock
    }

    fn dns(&self) -> Option<&Dns> {
        self.dns.get().map(AsRef::as_ref)
    }

    fn behaviour(&self) -> Value {
        json!(self.state().behaviour)
    }

    fn behave(&self, switches: Value) -> Result<(), Wrong> {
        door::merge(&mut self.state().behaviour, switches)
    }

    fn faults(&self) -> Value {
        json!(self.state().faults)
    }

    fn add_fault(&self, fault: Value) -> Result<(), Wrong> {
        let fault = serde_json::from_value(fault).map_err(Wrong::invalid)?;
        self.state().faults.push(fault);
        Ok(())
    }

    fn clear_faults(&self) {
        self.state().faults.clear();
    }

    fn log(&self) -> Vec<Value> {
        self.state().log.iter().map(|one| json!(one)).collect()
    }

    fn clear_log(&self) {
        self.state().log.clear();
    }

    fn validate(&self, domain: &str, at: Timestamp) -> bool {
        let mut state = self.state();
        let found = state.book.named_mut(domain);
        found.map(|one| one.approved_at = Some(at)).is_some()
    }

    fn orders(&self) -> Value {
        let state = self.state();
        let views = state.orders.views(&state.behaviour);
        json!(views)
    }

    fn decide(&self, order: &str, status: &str) -> bool {
        let mut state = self.state();
        let id = order.parse().ok();
        let found = id.and_then(|id| state.orders.order_mut(id));
        found
            .map(|one| one.decided = Some(status.to_owned()))
            .is_some()
    }

    fn root(&self) -> String {
        self.state().orders.root_pem()
    }
}
