//! Certificates of a daemon: a task beside the scheduler of the proofs.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::watch;

use crate::commands::Failed;
use crate::commands::app::App;
use crate::metrics::Metrics;
use crate::output::escape;
use crate::server::shared::Shared;
use crate::store::orders::CertificateEvent;
use crate::worker::Ports;
use crate::worker::issue::Issuer;

/// How often everything is surveyed: files that are gone, proofs that came, orders of a person.
const SURVEY: Duration = Duration::from_secs(60);
/// The shortest and the longest time between two listings at what is due.
const SOON: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_secs(5);
/// After a fault of the store.
const AGAIN: Duration = Duration::from_secs(10);

/// The events that a person may have to act on.
const TROUBLE: [&str; 8] = [
    "held",
    "failed",
    "unanswered",
    "deploy-failed",
    "warning",
    "damaged",
    "lost",
    "missed",
];

/// The job for these settings, which ends when the process does. One that cannot be made does nothing,
/// and is tried again: then the second value is true.
pub(super) fn issuer(app: &App, ports: &Ports, run: &str, shared: &Shared) -> (Arc<Issuer>, bool) {
    match made(app, ports, run, shared) {
        Ok(issuer) => (Arc::new(issuer), false),
        Err(failed) => {
            // The domains continue.
            let hint = failed.hint.unwrap_or_default();
            tracing::error!(hint, "no certificate is kept: {}", failed.message);
            let reader = app.reading_issuer(&ports.store);
            (Arc::new(reader), true)
        }
    }
}

/// The same once more, where it could not be made; `None`: it still cannot.
pub(super) fn issuer_again(
    app: &App,
    ports: &Ports,
    run: &str,
    shared: &Shared,
) -> Option<Arc<Issuer>> {
    let issuer = made(app, ports, run, shared).ok()?;
    tracing::info!("certificates are kept again");
    Some(Arc::new(issuer))
}

fn made(app: &App, ports: &Ports, run: &str, shared: &Shared) -> Result<Issuer, Failed> {
    let metrics = Arc::clone(&shared.metrics);
    let tell = Arc::new(move |event: &CertificateEvent| say(event, &metrics));
    app.issuer(
        ports,
        app.certificates(),
        run,
        None,
        shared.draining.clone(),
        tell,
    )
}

fn say(event: &CertificateEvent, metrics: &Metrics) {
    metrics.event(&format!("certificate-{}", event.kind));
    let (certificate, kind, detail) = (&event.certificate, &*event.kind, escape(&event.detail));
    if TROUBLE.contains(&kind) {
        tracing::warn!(target: "prevalidate::history", %certificate, kind, %detail);
    } else {
        tracing::info!(target: "prevalidate::history", %certificate, kind, %detail);
    }
}

/// Keeps certificates until the process ends, by the job of the moment.
pub(super) async fn keep(shared: Arc<Shared>, mut jobs: watch::Receiver<Arc<Issuer>>) {
    let mut surveyed: Option<tokio::time::Instant> = None;
    while !shared.draining.is_cancelled() {
        let job = Arc::clone(&jobs.borrow_and_update());
        let mut rest = LATE;
        if !job.is_idle() && shared.obstacle().is_none() {
            let is_time = surveyed.is_none_or(|at| at.elapsed() >= SURVEY);
            match job.tend(is_time).await {
                Ok(next) => {
                    if is_time {
                        surveyed = Some(tokio::time::Instant::now());
                    }
                    let left = next.map(|at| at.duration_since(shared.clock.now()));
                    let left = left.unwrap_or(SignedDuration::MAX);
                    rest = Duration::try_from(left)
                        .unwrap_or_default()
                        .clamp(SOON, LATE);
                }
                Err(error) => {
                    tracing::warn!(%error, "the store does not answer");
                    rest = AGAIN;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = shared.draining.cancelled() => {}
            changed = jobs.changed() => {
                if changed.is_err() {
                    return;
                }
                surveyed = None;
            }
        }
    }
}
