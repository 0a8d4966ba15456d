//! From `[[notify]]` to what brings messages there.

use std::sync::Arc;

use super::App;
use crate::clock::Clock;
use crate::config::{NotifyBy, NotifySettings};
use crate::metrics::Metrics;
use crate::notify::carrier::door::Door;
use crate::notify::carrier::mail::Mail;
use crate::notify::carrier::web::Web;
use crate::notify::{Carrier, Notifier, Pace, Sink};
use crate::store::Store;

impl App {
    /// What tells the sinks of the configuration, over this store.
    pub fn notifier(&self, store: Arc<dyn Store>, metrics: Arc<Metrics>, pace: Pace) -> Notifier {
        let sinks = self.settings.notify.iter().map(|sink| Sink {
            name: sink.name.clone(),
            wants: sink.wants.clone(),
            carrier: carrier(sink, Arc::clone(&self.clock)),
        });
        let sinks = sinks.collect();
        let (clock, policy) = (Arc::clone(&self.clock), self.policy.clone());
        Notifier::new(store, clock, metrics, policy, pace, sinks)
    }
}

fn carrier(sink: &NotifySettings, clock: Arc<dyn Clock>) -> Box<dyn Carrier> {
    let (door, ca_file) = (Door::new(sink.allow_private), sink.ca_file.clone());
    match sink.by.clone() {
        NotifyBy::Web(to) => Box::new(Web {
            to,
            door,
            ca_file,
            clock,
        }),
        NotifyBy::Mail(letter) => Box::new(Mail {
            letter,
            door,
            ca_file,
        }),
        NotifyBy::Program(program) => Box::new(program),
    }
}
