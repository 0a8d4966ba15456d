//! The log of requests: subject, time and outcome.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::behaviour::Call;

/// How many requests are kept; the counters count on.
const KEPT: usize = 100_000;

/// One request as the CA saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// By the sandbox's clock.
    pub at: Timestamp,
    /// Which call.
    pub call: Call,
    /// What it was about: the names of a `register`, else the reference, followed by the domain's
    /// name when it has one.
    pub subjects: Vec<String>,
    /// The status that was sent; none when the connection was dropped instead.
    pub status: Option<u16>,
    /// Whether the call took effect, or would have if it had one.
    pub performed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    requests: VecDeque<Request>,
    counts: BTreeMap<Call, u64>,
}

impl Log {
    pub(super) fn add(&mut self, request: Request) {
        *self.counts.entry(request.call).or_default() += 1;
        self.requests.push_back(request);
        if self.requests.len() > KEPT {
            self.requests.pop_front();
        }
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter()
    }

    pub(super) fn counts(&self) -> &BTreeMap<Call, u64> {
        &self.counts
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
