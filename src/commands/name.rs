//! The name of a run.

use jiff::Timestamp;
use rand::distr::{Alphanumeric, SampleString};

/// What a run is called in the history; four letters tell two of one second apart.
pub(in crate::commands) fn run_name(command: &str, now: Timestamp) -> String {
    let tag = Alphanumeric
        .sample_string(&mut rand::rng(), 4)
        .to_lowercase();
    format!("{command}-{}-{tag}", now.strftime("%Y%m%dT%H%M%SZ"))
}
