//! The log lines of a daemon, for people and for programs that collect them.

use crate::metrics::Metrics;
use crate::output::escape;
use crate::prevalidation::DomainName;
use crate::store::Event;

/// The events that a person may have to act on.
const TROUBLE: [&str; 12] = [
    "held",
    "lapsed",
    "late",
    "overdue",
    "bogus",
    "look-failed",
    "guard-refused",
    "unreadable",
    "ca-warning",
    "removal-failed",
    "vanished",
    "gone",
];

/// A line of the history, as it is stored. What a CA or a zone said in it drives no terminal
/// (faults N07).
pub(super) fn event(event: &Event, metrics: &Metrics) {
    metrics.event(&event.kind);
    let (kind, detail) = (&*event.kind, escape(&event.detail));
    let domain = event.domain.as_ref().map(DomainName::unicode);
    // One domain may be at several clients.
    let client = event.client.as_deref().map(escape);
    let client = client.as_deref();
    if TROUBLE.contains(&kind) {
        tracing::warn!(target: "prevalidate::history", domain, client, kind, %detail);
    } else {
        tracing::info!(target: "prevalidate::history", domain, client, kind, %detail);
    }
}

/// The faults of a configuration.
pub(super) fn fault(fault: &str) {
    tracing::error!("{}", escape(fault));
}

/// A panic is logged with its place in the code, and never with its values, which may be secrets
/// (faults S04, W14).
pub(super) fn speak_of_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a fault of the program");
    }));
}
