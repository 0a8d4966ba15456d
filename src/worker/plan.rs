//! What a run would do: one fresh listing per client, and nothing changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::survey::Sight;
use super::{ListingState, Target, Worker};
use crate::prevalidation::{Decision, DomainName, Plan, PlannedStep, RowKey, State};
use crate::store::StoreError;

/// What a plan needs to know of a domain.
struct Brief {
    key: RowKey,
    domain: DomainName,
    covered_by: Option<DomainName>,
    state: State,
    decision: Decision,
}

impl Worker {
    /// What a run would do now, from one fresh listing per client. Changes nothing.
    pub async fn plan(&self) -> Result<Plan, StoreError> {
        let (mut alarms, mut steps) = (Vec::new(), Vec::new());
        for target in &self.targets {
            let (mut seen, reuse) = (Vec::new(), &self.policy.of(&target.ca).reuse);
            let clock = &self.ports.clock;
            let mut keep = |sight: Sight| {
                seen.push(Brief {
                    state: sight.observed.state(reuse, clock.now()),
                    key: sight.key,
                    domain: sight.observed.domain,
                    covered_by: sight.observed.covered_by,
                    decision: sight.decision,
                });
            };
            // As a run does: an account that only orders may not be allowed to list domains.
            if !self.has_domains(target).await? {
                let now = self.ports.clock.now();
                self.listings.ended(&target.key, ListingState::Done, now);
                continue;
            }
            match self.survey(target, &mut keep).await? {
                Ok(survey) => {
                    alarms.extend(survey.alarms);
                    steps.extend(self.planned(target, seen));
                    let now = self.ports.clock.now();
                    self.listings.ended(&target.key, ListingState::Done, now);
                }
                Err(error) => self.listing_failed(target, &error),
            }
        }
        // After the last listing: what is due at its moment is due now.
        Ok(Plan::new(self.ports.clock.now(), alarms, steps))
    }

    /// The steps of those that this run is about. A covered domain is as valid as the one above it,
    /// which is valid when only the CA knows it.
    fn planned(&self, target: &Target, seen: Vec<Brief>) -> Vec<PlannedStep> {
        let above: BTreeSet<&DomainName> = seen
            .iter()
            .filter_map(|one| one.covered_by.as_ref())
            .collect();
        let states: BTreeMap<DomainName, State> = seen
            .iter()
            .filter(|one| above.contains(&one.domain))
            .map(|one| (one.domain.clone(), one.state))
            .collect();
        drop(above);
        let shown = |one: &Brief| {
            let covers = self.policy.cover && one.state != State::Unmanaged;
            match one.covered_by.as_ref().filter(|_| covers) {
                Some(above) => states
                    .get(above)
                    .copied()
                    .filter(|&state| state != State::Unmanaged)
                    .unwrap_or(State::Valid),
                None => one.state,
            }
        };
        let client: Arc<str> = target.key.as_str().into();
        seen.into_iter()
            .filter(|one| self.concerns(&one.key))
            .map(|one| PlannedStep {
                state: shown(&one),
                key: one.key,
                domain: one.domain,
                client: client.clone(),
                decision: one.decision,
            })
            .collect()
    }
}
