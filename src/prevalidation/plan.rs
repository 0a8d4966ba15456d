//! A plan as a value: it can be shown, stored and refused before anything is done.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::guard::Alarm;
use super::name::DomainName;
use super::observed::State;
use super::planner::Decision;
use super::row_key::RowKey;

/// The steps that a run would do, and the reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// For when it was made.
    pub made_at: Timestamp,
    /// What is so unexpected that nothing would be done without `--force`.
    pub alarms: Vec<Alarm>,
    /// One line per domain, by due time.
    pub steps: Vec<PlannedStep>,
}

/// The next step for one domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedStep {
    /// Its row.
    #[serde(rename = "row")]
    pub key: RowKey,
    /// The domain.
    pub domain: DomainName,
    /// The key of its client.
    pub client: Arc<str>,
    /// Its state now.
    pub state: State,
    /// The step, its moment and its reason.
    #[serde(flatten)]
    pub decision: Decision,
}

impl Plan {
    /// Orders the steps by due time, then by name.
    pub fn new(made_at: Timestamp, alarms: Vec<Alarm>, mut steps: Vec<PlannedStep>) -> Self {
        steps.sort_by(|a, b| (a.decision.at, &a.key).cmp(&(b.decision.at, &b.key)));
        Self {
            made_at,
            alarms,
            steps,
        }
    }

    /// Whether the guard refuses it.
    pub fn is_refused(&self) -> bool {
        !self.alarms.is_empty()
    }

    /// The steps that would be done at once.
    pub fn due(&self) -> impl Iterator<Item = &PlannedStep> {
        self.steps
            .iter()
            .filter(|step| step.decision.is_due(self.made_at))
    }
}
