//! The states of the persistent records, as metrics.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::Label;
use crate::metrics::{Moment, seconds};
use crate::overview::persistent::{PersistentState, PersistentView};

/// The gauges of these records. There is no label for each domain: there may be thousands.
pub(super) fn register(registry: &mut Registry, views: &[PersistentView]) {
    let states = Family::<Label, Gauge>::default();
    for state in PersistentState::ALL {
        let count = views.iter().filter(|view| view.state == state).count();
        let word = [("state", state.as_str().to_owned())];
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        states.get_or_create(&word).set(count);
    }
    registry.register("persistent_records", "Persistent records by state", states);
    let attention = Gauge::<i64>::default();
    let open = views.iter().filter(|view| view.needs_attention()).count();
    attention.set(i64::try_from(open).unwrap_or(i64::MAX));
    registry.register(
        "persistent_records_needing_attention",
        "Persistent records that are held, missing, not visible in time, not seen for long, or end soon",
        attention,
    );
    if let Some(first) = views.iter().filter_map(|view| view.until).min() {
        let gauge = Moment::default();
        gauge.set(seconds(first));
        registry.register_with_unit(
            "persistent_record_first_end_timestamp",
            "When the first of the persistent records ends",
            Unit::Seconds,
            gauge,
        );
    }
}
