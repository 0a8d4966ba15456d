//! The back door of InterNetX.

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

    /// It keeps no domains.
    fn validate(&self, _: &str, _: Timestamp) -> bool {
        false
    }

    fn orders(&self) -> Value {
        json!(self.state().book.views())
    }

    fn decide(&self, order: &str, status: &str) -> bool {
        let mut state = self.state();
        let id = order.parse().ok();
        let id = id.filter(|id| state.book.jobs.contains_key(id));
        id.map(|id| state.book.decide(id, status)).is_some()
    }

    fn root(&self) -> String {
        self.state().book.authority.root_pem()
    }
}
