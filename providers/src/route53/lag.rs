//! Lists that are older than a change which this process made a moment ago.

use std::time::Duration;

use serde_json::Value;

use super::Route53;
use super::change::Outcome;
use super::plan::{Plan, Verb};
use super::zones::Known;
use crate::edit::Edit;
use crate::provider::ProviderError;
use crate::recent::WAITS_MS;
use crate::record::TxtRrset;

impl Route53 {
    /// Reads again where the list shows all as wanted and contradicts what this process changed a
    /// moment ago: then it is older than that.
    pub(super) async fn settled(
        &self,
        zone: &Known,
        edits: &[Edit],
        verb: Verb,
        (mut plans, mut outcomes): (Vec<Plan>, Vec<Outcome>),
    ) -> Result<(Vec<Plan>, Vec<Outcome>), ProviderError> {
        let mut waits = WAITS_MS.iter();
        loop {
            let is_late = |(_, outcome): &Outcome| matches!(outcome, Ok(done) if self.is_older(zone, edits, &done.after));
            let (late, good): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(is_late);
            outcomes = good;
            if late.is_empty() {
                return Ok((plans, outcomes));
            }
            let late: Vec<Edit> = late
                .iter()
                .filter_map(|(owner, _)| edits.iter().find(|edit| edit.owner == *owner).cloned())
                .collect();
            let Some(wait) = waits.next() else {
                let text = "the list is older than a change that was confirmed a moment ago";
                let error = ProviderError::undecided(&zone.shown(), text);
                outcomes.extend(
                    late.into_iter()
                        .map(|edit| (edit.owner, Err(error.clone()))),
                );
                return Ok((plans, outcomes));
            };
            tokio::time::sleep(Duration::from_millis(*wait)).await;
            let (more, done) = self.plan(zone, &late, verb).await?;
            plans.extend(more);
            outcomes.extend(done);
        }
    }

    pub(super) fn is_older(&self, zone: &Known, edits: &[Edit], listed: &TxtRrset) -> bool {
        let edit = edits.iter().find(|edit| edit.owner == listed.owner);
        edit.into_iter().flat_map(|edit| &edit.values).any(|value| {
            let is_there = listed.holds(value) || listed.cname.as_ref() == Some(value);
            let entry = is_there.then_some(&Value::Null);
            let owner = &listed.owner;
            self.recent
                .contradicted_by(&zone.id, owner, value.as_bytes(), entry.into_iter())
                .is_some()
        })
    }
}
