//! From `[[notify]]` to what brings messages there.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{NotifyBy, NotifySettings, Settings};
use crate::metrics::Metrics;
use crate::notify::carrier::door::Door;
use crate::notify::carrier::mail::Mail;
use crate::notify::carrier::web::Web;
use crate::notify::{Carrier, Notifier, Pace, Sink};
use crate::store::Store;

/// What tells the sinks of the configuration, over this store.
pub(in crate::commands) fn notifier(
    settings: &Settings,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    pace: Pace,
) -> Notifier {
    let clock = super::clock();
    let sinks = settings.notify.iter().map(|sink| Sink {
        name: sink.name.clone(),
        wants: sink.wants.clone(),
        carrier: carrier(sink, Arc::clone(&clock)),
    });
    let sinks = sinks.collect();
    Notifier::new(store, clock, metrics, super::policy(settings), pace, sinks)
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
