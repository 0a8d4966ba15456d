//! `[worker]`: how much is done at once, and how long a worker stays.

use std::time::Duration;

use jiff::SignedDuration;

use super::quantity::{DAY, HOUR, MINUTE, SECOND};
use super::rows::settings;
use super::tree::{Schema, Section};

pub(super) const WORKER: Schema = Schema {
    path: "worker",
    keys: WorkerSettings::KEYS,
};

const ZERO: SignedDuration = SignedDuration::ZERO;

settings! {
    /// `[worker]`
    pub struct WorkerSettings {
        /// Domains worked on at once.
        concurrency: u32 = whole(1..=256, 16),
        /// How long one `run` stays to see things through; the next one continues from there.
        wait: Duration = std_duration(ZERO..=DAY, MINUTE * 10),
        // At least three times the longest single effect, a call to the CA of 30 s (faults W06).
        /// How long the lease of a worker on a domain lasts when the worker dies.
        lease: Duration = std_duration(SECOND..=HOUR, MINUTE * 5),
        // What was read longer ago than 26 h counts as stale (invariant I18).
        /// How old the last listing of a client may be while a daemon runs.
        look_every: Duration = std_duration(SECOND..=DAY, HOUR * 6),
        /// How long a daemon that ends lets what is under way continue.
        drain: Duration = std_duration(ZERO..=MINUTE * 10, SECOND * 30),
    }
}

pub(super) fn read(top: &Section<'_>) -> WorkerSettings {
    WorkerSettings::read(&top.table("worker", &WORKER))
}
