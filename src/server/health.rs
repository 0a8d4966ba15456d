//! For monitoring: does it live, can it work, and the metrics.
//!
//! `/healthz` and `/readyz` ask for no token and say nothing about the domains; `/metrics` is for
//! clients that may read.

mod records;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use serde_json::json;
use tokio::sync::Mutex;

use super::access::Role;
use super::answer::{denied, problem};
use super::shared::{Live, Shared};
use crate::metrics::{
    CLASSIC_TYPE, CONTENT_TYPE as OPEN_METRICS, Moment, PREFIX, classic, seconds,
};
use crate::overview::certificates::{CertificateState, CertificateView};
use crate::overview::counts::Counts;
use crate::overview::snapshot::Snapshot;
use crate::overview::trouble::INVENTORY;
use crate::prevalidation::{DomainName, State as DomainState};
use crate::worker::persist::RECORDS;

/// The scheduler comes round at least every few seconds; a loop that has not in this time hangs
/// (faults W07).
const PULSE: SignedDuration = SignedDuration::from_mins(2);
/// The store is not asked more often than this, however many clients ask.
const STORE_ASKED: SignedDuration = SignedDuration::from_secs(1);
/// A store that needs longer for one small write is as good as gone.
const STORE_TIME: Duration = Duration::from_secs(3);

type Label = [(&'static str, String); 1];

struct Health {
    shared: Arc<Shared>,
    began: Timestamp,
    /// When the store was asked last, and whether it answered. Held while it is asked: a call in
    /// the meantime waits for that answer.
    store: Mutex<Option<(Timestamp, bool)>>,
}

/// `/healthz`, `/readyz` and `/metrics`.
pub fn routes(shared: Arc<Shared>) -> Router {
    let health = Health {
        began: shared.clock.now(),
        shared,
        store: Mutex::new(None),
    };
    Router::new()
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(health))
}

/// 200 while the scheduler comes round.
async fn live(State(health): State<Arc<Health>>) -> Response {
    let last = health.shared.metrics.pulsed_at().unwrap_or(health.began);
    let silent = health.shared.clock.now().duration_since(last);
    // A pulse of a time to come says no more than an old one.
    if silent.abs() > PULSE {
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!(
                "the scheduler has not come round for {} s: it hangs, and a restart helps",
                silent.abs().as_secs()
            ),
        );
    }
    Json(json!({ "status": "ok" })).into_response()
}

/// 200 while work can be done and questions answered; otherwise 503 and why.
async fn ready(State(health): State<Arc<Health>>) -> Response {
    let obstacle = health
        .shared
        .obstacle()
        .map(|obstacle| obstacle.to_string());
    let why = if health.shared.draining.is_cancelled() {
        "it is ending: what is under way is finished, nothing new is started"
    } else if let Some(obstacle) = &obstacle {
        obstacle
    } else if !health.store_answers().await {
        "the store does not answer a write; the log says why"
    } else if health.shared.snapshot().is_none() {
        "the store has not been read yet"
    } else {
        return Json(json!({ "status": "ok" })).into_response();
    };
    let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, why);
    answer
        .headers_mut()
        .insert(RETRY_AFTER, axum::http::HeaderValue::from_static("5"));
    answer
}

async fn metrics(State(health): State<Arc<Health>>, headers: HeaderMap) -> Response {
    let live = health.shared.live();
    if let Err(why) = live
        .access
        .identify(&headers)
        .and_then(|who| who.require(Role::Read))
    {
        return denied(why);
    }
    health.store_answers().await;
    let mut domains = Registry::with_prefix(PREFIX);
    if let Some(snapshot) = health.shared.snapshot() {
        register(&mut domains, &snapshot, &live);
    }
    match health.shared.metrics.encode(&domains) {
        Ok(text) if wants_open_metrics(&headers) => {
            ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response()
        }
        Ok(text) => ([(CONTENT_TYPE, CLASSIC_TYPE)], classic(&text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Prometheus asks for OpenMetrics; Telegraf, Checkmk and older agents do not know it.
fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        let is_it = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
        is_it && !parts.any(|part| part == "q=0")
    })
}

impl Health {
    /// Whether the store can be written now, or could a moment ago.
    async fn store_answers(&self) -> bool {
        let mut last = self.store.lock().await;
        let now = self.shared.clock.now();
        if let Some((_, up)) = last.filter(|(at, _)| now.duration_since(*at).abs() < STORE_ASKED) {
            return up;
        }
        // A store that can be read and not written keeps nothing going.
        let tried = self.shared.store.try_to_write(STORE_TIME);
        let up = match tried.await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "the store cannot be written");
                false
            }
        };
        self.shared.metrics.store_up(up);
        *last = Some((now, up));
        up
    }
}

/// The states of the certificates.
fn certificates(registry: &mut Registry, views: &[CertificateView]) {
    let states = Family::<Label, Gauge>::default();
    let attention = Family::<Label, Gauge>::default();
    let [ends, renewals, orders] = [(); 3].map(|()| Family::<Label, Moment>::default());
    let held = Gauge::<i64>::default();
    for view in views {
        states
            .get_or_create(&[("state", view.state.as_str().to_owned())])
            .inc();
        if view.state == CertificateState::Unmanaged {
            continue;
        }
        let label = [("certificate", view.name.clone())];
        for (moments, at) in [
            (&ends, view.not_after),
            (&renewals, view.renew_at),
            // One that is held waits for a person, and no more for the CA.
            (&orders, view.ordered_at.filter(|_| !view.held)),
        ] {
            if let Some(at) = at {
                moments.get_or_create(&label).set(seconds(at));
            }
        }
        let open = view.needs_attention();
        attention.get_or_create(&label).set(i64::from(open));
        held.inc_by(i64::from(view.held));
    }
    registry.register("certificates", "Certificates by state", states);
    for (name, help, moments) in [
        (
            "certificate_not_after_timestamp",
            "When the installed certificate ends",
            ends,
        ),
        (
            "certificate_renewal_timestamp",
            "When the renewal of the installed certificate begins",
            renewals,
        ),
        (
            "certificate_ordered_timestamp",
            "When the order was made that has brought no certificate yet",
            orders,
        ),
    ] {
        registry.register_with_unit(name, help, Unit::Seconds, moments);
    }
    registry.register(
        "certificate_needs_attention",
        "Whether a certificate is held, failing, late, missing, revoked or ended",
        attention,
    );
    registry.register(
        "certificates_needing_a_person",
        "Certificates that wait for a person",
        held,
    );
}

/// The states of the domains, read from the snapshot: what is gone from it leaves no trace in the
/// next answer.
fn register(registry: &mut Registry, snapshot: &Snapshot, live: &Live) {
    let counts = Counts::of(&snapshot.entries, &live.policy, snapshot.at);
    registry.register_with_unit(
        "snapshot_timestamp",
        "When the store was last read",
        Unit::Seconds,
        moment(snapshot.at),
    );
    let states: Vec<(&str, usize)> = counts
        .states
        .iter()
        .map(|(word, count)| (*word, *count))
        .collect();
    registry.register("domains", "Domains by state", by_word("state", &states));
    if !snapshot.certificates.is_empty() {
        certificates(registry, &snapshot.certificates);
    }
    registry.register(
        "registrations_ending",
        "Registrations of domains that end within 30 days, or have ended",
        number(snapshot.registrations.len()),
    );
    if !snapshot.persistent.is_empty() {
        records::register(registry, &snapshot.persistent);
    }
    dangers(registry, &counts);
    clients(registry, snapshot);
    if live.domain_labels > 0 {
        let ends = Family::<Label, Moment>::default();
        for (end, domain) in first_ends(snapshot, live.domain_labels) {
            ends.get_or_create(&[("domain", domain.to_string())])
                .set(seconds(end));
        }
        let help = "When the proof of a domain stops counting, for those where it is soonest";
        registry.register_with_unit("proof_end_timestamp", help, Unit::Seconds, ends);
    }
}

fn moment(at: Timestamp) -> Moment {
    let gauge = Moment::default();
    gauge.set(seconds(at));
    gauge
}

fn number(count: usize) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    gauge
}

fn by_word(label: &'static str, values: &[(&str, usize)]) -> Family<Label, Gauge> {
    let family = Family::<Label, Gauge>::default();
    for (word, count) in values {
        family
            .get_or_create(&[(label, (*word).to_owned())])
            .set(i64::try_from(*count).unwrap_or(i64::MAX));
    }
    family
}

/// The gauges that may need a person.
fn dangers(registry: &mut Registry, counts: &Counts) {
    let margins = [
        ("warning", counts.below_margin.warning),
        ("critical", counts.below_margin.critical),
    ];
    let help = "Domains whose proof has ended or ends within the margin";
    registry.register("domains_below_margin", help, by_word("margin", &margins));
    registry.register(
        "domains_lapsed",
        "Domains that were proven once and have no proof that counts any more, held ones too",
        number(counts.lapsed),
    );
    registry.register(
        "domains_needing_a_person",
        "Domains that do not come right by themselves",
        number(counts.needs_a_person),
    );
    let waits = [
        ("late", counts.waiting.late),
        ("overdue", counts.waiting.overdue),
    ];
    registry.register(
        "domains_waiting",
        "Domains whose value waits too long",
        by_word("lateness", &waits),
    );
    if let Some(end) = counts.soonest_proof_end {
        let help = "When the first proof stops counting";
        registry.register_with_unit(
            "soonest_proof_end_timestamp",
            help,
            Unit::Seconds,
            moment(end),
        );
    }
}

/// When each client was last asked, and what the guard refuses.
fn clients(registry: &mut Registry, snapshot: &Snapshot) {
    let (listed, refused) = (
        Family::<Label, Moment>::default(),
        Family::<Label, Gauge>::default(),
    );
    for client in &snapshot.clients {
        let label = [("client", client.key.to_string())];
        if let Some(at) = client.listed_at {
            listed.get_or_create(&label).set(seconds(at));
        }
        refused
            .get_or_create(&label)
            .set(i64::from(!client.refusal.is_empty()));
    }
    let inventory = !snapshot.troubles.inventory.is_empty();
    refused
        .get_or_create(&[("client", INVENTORY.to_owned())])
        .set(i64::from(inventory));
    if !snapshot.persistent.is_empty() {
        refused
            .get_or_create(&[("client", RECORDS.to_owned())])
            .set(i64::from(!snapshot.troubles.persistent.is_empty()));
    }
    let help = "When the CA was last asked for all domains of a client";
    registry.register_with_unit("client_looked_timestamp", help, Unit::Seconds, listed);
    registry.register(
        "client_refused",
        "Whether the guard refuses what a client, or the configuration, has become",
        refused,
    );
}

/// The domains whose proofs end first, at most `most`.
fn first_ends(snapshot: &Snapshot, most: usize) -> Vec<(Timestamp, &DomainName)> {
    let managed = snapshot
        .entries
        .iter()
        .filter(|entry| entry.state != DomainState::Unmanaged);
    let mut ends: Vec<_> = managed
        .filter_map(|entry| Some((entry.usable_until?, &entry.domain)))
        .collect();
    ends.sort_unstable();
    // Of a domain at several clients the proof that ends first.
    let mut seen = BTreeSet::new();
    ends.retain(|(_, domain)| seen.insert(*domain));
    ends.truncate(most);
    ends
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::overview::certificates::tests::{now, samples};

    #[test]
    fn metrics_say_of_each_certificate_what_the_alerts_ask() {
        let views = samples().into_iter().map(|(what, mut view, _)| {
            view.name = what.to_owned();
            view
        });
        let views: Vec<_> = views.collect();
        let mut registry = Registry::with_prefix(PREFIX);
        certificates(&mut registry, &views);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let held = views.iter().filter(|view| view.held).count();
        let at = seconds(now());
        let day = 86_400.0;
        for line in [
            format!("prevalidate_certificates_needing_a_person {held}"),
            "prevalidate_certificates{state=\"expired\"} 1".to_owned(),
            "prevalidate_certificates{state=\"revoked\"} 1".to_owned(),
            format!(
                "prevalidate_certificate_not_after_timestamp_seconds{{certificate=\"valid\"}} {:?}",
                at + 80.0 * day
            ),
            format!(
                "prevalidate_certificate_renewal_timestamp_seconds{{certificate=\"valid\"}} {:?}",
                at + 50.0 * day
            ),
            format!(
                "prevalidate_certificate_ordered_timestamp_seconds{{certificate=\"ordering\"}} {at:?}"
            ),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        for silent in [
            "renewal_timestamp_seconds{certificate=\"revoked\"}",
            "ordered_timestamp_seconds{certificate=\"valid\"}",
        ] {
            assert!(!text.contains(silent), "{silent}\n{text}");
        }
    }
}
