//! What monitoring counts in this process, in the form of OpenMetrics 1.0: one registry for all
//! parts of the daemon.
//!
//! The states of the domains are no part of it: they are read from the last snapshot for each
//! question (`server::health`).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// The first word of every name.
pub const PREFIX: &str = "prevalidate";
/// The type of what [`classic`] writes.
pub const CLASSIC_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The type of what [`Metrics::encode`] writes (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels<const N: usize> = [(&'static str, String); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;
/// A moment in seconds since 1970, to the microsecond.
pub type Moment = Gauge<f64, AtomicU64>;

/// The counters of a process. Labels come from short lists of words and from the configuration,
/// never from a request.
pub struct Metrics {
    registry: Registry,
    store_up: Gauge,
    ca_calls: Counters<3>,
    ca_call_duration: Histograms<2>,
    provider_calls: Counters<3>,
    provider_call_duration: Histograms<2>,
    answers: AtomicU64,
    events: Counters<1>,
    leases_lost: Counter,
    pulse: Moment,
    /// The same in microseconds; 0: never.
    pulsed_at: AtomicI64,
    round_duration: Histogram,
    hook_requests: Counters<1>,
    notifications: Counters<2>,
    config_reloads: Counters<1>,
    config_last_reload_successful: Gauge,
    http_requests: Counters<2>,
    http_connections_refused: Counters<1>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Everything at nothing, and the settings the process began with taken as good.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix(PREFIX),
            store_up: Gauge::default(),
            ca_calls: Family::default(),
            ca_call_duration: Family::new_with_constructor(call_duration),
            provider_calls: Family::default(),
            provider_call_duration: Family::new_with_constructor(call_duration),
            events: Family::default(),
            leases_lost: Counter::default(),
            pulse: Moment::default(),
            answers: AtomicU64::new(0),
            pulsed_at: AtomicI64::new(0),
            round_duration: Histogram::new([
                0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0,
            ]),
            hook_requests: Family::default(),
            notifications: Family::default(),
            config_reloads: Family::default(),
            config_last_reload_successful: Gauge::default(),
            http_requests: Family::default(),
            http_connections_refused: Family::default(),
        };
        metrics.config_last_reload_successful.set(1);
        metrics.registered()
    }

    /// The library ends a counter's name in `_total`, an info's in `_info`, and puts the unit
    /// before them.
    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", version);
        registry.register(
            "store_up",
            "Whether the store answered last",
            self.store_up.clone(),
        );
        registry.register(
            "ca_calls",
            "Calls to a CA by outcome",
            self.ca_calls.clone(),
        );
        let help = "How long calls to a CA took";
        registry.register_with_unit(
            "ca_call_duration",
            help,
            Unit::Seconds,
            self.ca_call_duration.clone(),
        );
        registry.register(
            "provider_calls",
            "Calls to a DNS provider",
            self.provider_calls.clone(),
        );
        let (help, family) = (
            "How long calls to a DNS provider took",
            self.provider_call_duration.clone(),
        );
        registry.register_with_unit("provider_call_duration", help, Unit::Seconds, family);
        registry.register(
            "events",
            "Lines of history written by this process",
            self.events.clone(),
        );
        registry.register(
            "leases_lost",
            "Leases that another worker took over",
            self.leases_lost.clone(),
        );
        let help = "When the scheduler last came round";
        registry.register_with_unit(
            "scheduler_pulse_timestamp",
            help,
            Unit::Seconds,
            self.pulse.clone(),
        );
        let help = "How long the scheduler's rounds took";
        registry.register_with_unit(
            "scheduler_round_duration",
            help,
            Unit::Seconds,
            self.round_duration.clone(),
        );
        registry.register(
            "hook_requests",
            "Hooks that came in",
            self.hook_requests.clone(),
        );
        registry.register(
            "notifications",
            "Notices sent, or not",
            self.notifications.clone(),
        );
        registry.register(
            "config_reloads",
            "Readings of a changed configuration",
            self.config_reloads.clone(),
        );
        let (help, gauge) = (
            "Whether the last one was taken over",
            self.config_last_reload_successful.clone(),
        );
        registry.register("config_last_reload_successful", help, gauge);
        registry.register(
            "http_requests",
            "Requests answered, by the route's pattern",
            self.http_requests.clone(),
        );
        registry.register(
            "http_connections_refused",
            "Connections closed at once, because all places were taken or all of one address",
            self.http_connections_refused.clone(),
        );
        self
    }

    /// Whether the store answered the last question.
    pub fn store_up(&self, up: bool) {
        self.store_up.set(i64::from(up));
    }

    /// A call to `[ca.NAME]` came back; `outcome` is one word.
    pub fn ca_call(&self, ca: &str, call: &'static str, outcome: &'static str, took: Duration) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.ca_calls
            .get_or_create(&labels(["ca", "call", "outcome"], [ca, call, outcome]))
            .inc();
        self.ca_call_duration
            .get_or_create(&labels(["ca", "call"], [ca, call]))
            .observe(took.as_secs_f64());
    }

    /// A call to `[provider.NAME]` came back; `outcome` is one word.
    pub fn provider_call(
        &self,
        provider: &str,
        call: &'static str,
        outcome: &'static str,
        took: Duration,
    ) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let all = labels(["provider", "call", "outcome"], [provider, call, outcome]);
        self.provider_calls.get_or_create(&all).inc();
        let two = labels(["provider", "call"], [provider, call]);
        self.provider_call_duration
            .get_or_create(&two)
            .observe(took.as_secs_f64());
    }

    /// The number of calls to CAs and providers that came back.
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// A line of history was written; `kind` is its stable word.
    pub fn event(&self, kind: &str) {
        self.events.get_or_create(&labels(["kind"], [kind])).inc();
    }

    /// Another worker took a domain over.
    pub fn lease_lost(&self) {
        self.leases_lost.inc();
    }

    /// The scheduler came round.
    pub fn pulse(&self, now: Timestamp) {
        self.pulsed_at
            .store(now.as_microsecond(), Ordering::Relaxed);
        self.pulse.set(seconds(now));
    }

    /// When the scheduler last came round; `None`: not yet.
    pub fn pulsed_at(&self) -> Option<Timestamp> {
        let at = self.pulsed_at.load(Ordering::Relaxed);
        Timestamp::from_microsecond(at).ok().filter(|_| at != 0)
    }

    /// The scheduler finished a round.
    pub fn round(&self, took: Duration) {
        self.round_duration.observe(took.as_secs_f64());
    }

    /// A hook was answered; `outcome` is one word.
    pub fn hook_request(&self, outcome: &'static str) {
        self.hook_requests
            .get_or_create(&labels(["outcome"], [outcome]))
            .inc();
    }

    /// A notice went to `[[notify]]` of this name, or did not; `outcome` is one word.
    pub fn notification(&self, sink: &str, outcome: &'static str) {
        self.notifications
            .get_or_create(&labels(["sink", "outcome"], [sink, outcome]))
            .inc();
    }

    /// A changed configuration was read, and taken over or not.
    pub fn config_reload(&self, successful: bool) {
        let outcome = if successful { "ok" } else { "refused" };
        self.config_reloads
            .get_or_create(&labels(["outcome"], [outcome]))
            .inc();
        self.config_last_reload_successful
            .set(i64::from(successful));
    }

    /// A request was answered. `route` is the pattern it matched, never what was asked for.
    pub fn http_request(&self, route: &str, status: u16) {
        self.http_requests
            .get_or_create(&labels(["route", "status"], [route, &status.to_string()]))
            .inc();
    }

    /// A connection was closed at once; `reason` is one word.
    pub fn http_connection_refused(&self, reason: &'static str) {
        self.http_connections_refused
            .get_or_create(&labels(["reason"], [reason]))
            .inc();
    }

    /// Everything of this process, then what `more` holds, as OpenMetrics text.
    pub fn encode(&self, more: &Registry) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, more)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// The same metrics in the text format of Prometheus 0.0.4, for programs that do not ask for
/// OpenMetrics: no units and no end, the type of a counter under its whole name, and an info is a
/// gauge.
pub fn classic(open_metrics: &str) -> String {
    let mut counters = BTreeSet::new();
    let mut infos = BTreeSet::new();
    for line in open_metrics.lines() {
        if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            match kind {
                "counter" => drop(counters.insert(name)),
                "info" => drop(infos.insert(name)),
                _ => {}
            }
        }
    }
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let comment = ["# HELP ", "# TYPE "]
            .into_iter()
            .find(|start| line.starts_with(start));
        let Some(start) = comment else {
            if !(line.starts_with("# UNIT ") || line == "# EOF") {
                text.push_str(line);
                text.push('\n');
            }
            continue;
        };
        let rest = &line[start.len()..];
        let (name, words) = rest.split_once(' ').unwrap_or((rest, ""));
        let (end, words) = match (counters.contains(name), infos.contains(name)) {
            (true, _) => ("_total", words),
            (_, true) if start == "# TYPE " => ("_info", "gauge"),
            (_, true) => ("_info", words),
            _ => ("", words),
        };
        text.push_str(&format!("{start}{name}{end} {words}\n"));
    }
    text
}

/// A moment as metrics have it.
pub fn seconds(at: Timestamp) -> f64 {
    // Exact: microseconds since 1970 fit into the 53 bits of a double until the year 2255.
    at.as_microsecond() as f64 / 1e6
}

fn labels<const N: usize>(names: [&'static str; N], values: [&str; N]) -> Labels<N> {
    std::array::from_fn(|i| (names[i], values[i].to_owned()))
}

/// From a name server in the next room to a CA that thinks until the time-out of 30 s.
fn call_duration() -> Histogram {
    Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_those_that_alerts_are_written_for() {
        let metrics = Metrics::new();
        metrics.store_up(true);
        metrics.ca_call("swisssign", "validate", "ok", Duration::from_millis(40));
        metrics.provider_call(
            "internal",
            "ensure_present",
            "unavailable",
            Duration::from_secs(3),
        );
        metrics.event("validated");
        metrics.lease_lost();
        assert_eq!(metrics.answers(), 2);
        assert_eq!(metrics.pulsed_at(), None);
        let now = "2026-12-01T00:00:00.5Z".parse().unwrap();
        metrics.pulse(now);
        assert_eq!(metrics.pulsed_at(), Some(now));
        metrics.round(Duration::from_secs(1));
        metrics.hook_request("accepted");
        metrics.notification("chat", "sent");
        metrics.config_reload(false);
        metrics.http_request("/domains/{name}", 200);
        let text = metrics.encode(&Registry::default()).unwrap();
        for line in [
            concat!(
                "prevalidate_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
            "prevalidate_store_up 1",
            "prevalidate_ca_calls_total{ca=\"swisssign\",call=\"validate\",outcome=\"ok\"} 1",
            "prevalidate_ca_call_duration_seconds_bucket{le=\"0.05\",ca=\"swisssign\",call=\"validate\"} 1",
            "prevalidate_provider_calls_total{provider=\"internal\",call=\"ensure_present\",outcome=\"unavailable\"} 1",
            "prevalidate_provider_call_duration_seconds_count{provider=\"internal\",call=\"ensure_present\"} 1",
            "prevalidate_events_total{kind=\"validated\"} 1",
            "prevalidate_leases_lost_total 1",
            "prevalidate_scheduler_pulse_timestamp_seconds 1796083200.5",
            "prevalidate_scheduler_round_duration_seconds_count 1",
            "prevalidate_hook_requests_total{outcome=\"accepted\"} 1",
            "prevalidate_notifications_total{sink=\"chat\",outcome=\"sent\"} 1",
            "prevalidate_config_reloads_total{outcome=\"refused\"} 1",
            "prevalidate_config_last_reload_successful 0",
            "prevalidate_http_requests_total{route=\"/domains/{name}\",status=\"200\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
