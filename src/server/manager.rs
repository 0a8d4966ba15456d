//! What the service manager is told: sd_notify(3), as systemd and others listen to it. Without one,
//! nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// The process works: the store was reached, and the HTTP interface is open.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// One line about how it goes.
pub fn status(line: &str) {
    // A line end would begin another message.
    tell(&[NotifyState::Status(&line.replace(['\n', '\r'], " "))]);
}

/// The settings are read again; [`ready`] ends it.
pub fn reloading() {
    // Since systemd 253 the moment must come with it.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no monotonic time for the service manager"),
    }
}

/// The process ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The loop came round.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often it must hear that, where it must.
pub(super) fn patience() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}
