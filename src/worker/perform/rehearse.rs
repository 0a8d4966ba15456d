//! The rehearsal before the first effect of a life: nothing is registered, and nothing is published
//! for the first time, at a name that its provider could not write.
//!
//! Each name is rehearsed, as before a renewal. A provider that can test its own writes is asked
//! about one name of each zone before `register`. This finds a wrong key; the write finds all other
//! faults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use prevalidate_providers::{ProviderError, RecordKind};

use super::super::Worker;
use super::super::place::{Routed, next_owner};
use super::super::task::Task;
use crate::prevalidation::ChallengeData;
use crate::prevalidation::name::is_within;
use crate::prevalidation::planner::PREFLIGHT_COUNTS;
use crate::store::StoreError;

impl Worker {
    /// The tasks whose domains can be written. The others wait or are held, and are
    /// finished for this round.
    ///
    /// It is asked about the record that the account's method wants, at its name. Where only the CA
    /// knows that name, it is asked about another one below the domain.
    pub(super) async fn rehearsed_domains(
        &self,
        tasks: Vec<Task>,
    ) -> Result<Vec<Task>, StoreError> {
        let zones = Zones::default();
        let asked = futures::stream::iter(tasks).map(async |mut task| {
            let answer = match self.ca(&task.row.ca).kind().methods {
                [] => Ok(()),
                _ => self.rehearse_domain(&mut task, &zones).await,
            };
            (task, answer)
        });
        let answered: Vec<_> = asked.buffered(self.options.concurrency).collect().await;
        let now = self.ports.clock.now();
        let (mut able, mut failed) = (Vec::with_capacity(answered.len()), Vec::new());
        for (mut task, answer) in answered {
            match answer {
                Ok(()) => able.push(task),
                Err(error) => {
                    self.dns_failed(&mut task, &error, now);
                    failed.push(task);
                }
            }
        }
        self.finish(failed).await?;
        Ok(able)
    }

    /// The records that can be written where they are written for the first time.
    pub(super) async fn rehearsed_records(
        &self,
        routed: Vec<Routed>,
    ) -> Result<Vec<Routed>, StoreError> {
        let asked = futures::stream::iter(routed).map(async |mut routed| {
            let answer = self.rehearse_record(&mut routed).await;
            (routed, answer)
        });
        let answered: Vec<_> = asked.buffered(self.options.concurrency).collect().await;
        let now = self.ports.clock.now();
        let (mut able, mut failed) = (Vec::with_capacity(answered.len()), Vec::new());
        for (mut routed, answer) in answered {
            match answer {
                Ok(()) => able.push(routed),
                Err(error) => {
                    self.dns_failed(&mut routed.task, &error, now);
                    failed.push(routed.task);
                }
            }
        }
        self.finish(failed).await?;
        Ok(able)
    }

    async fn rehearse_domain(&self, task: &mut Task, zones: &Zones) -> Result<(), ProviderError> {
        let policy = task.policy(self);
        let name = next_owner(policy, &*self.ports.checker, &task.fence.domain).await?;
        let (kind, is_exact) = (policy.record.kind, policy.record.is_exact());
        let named = self.provider_of(task, &name).await?;
        let (provider, now) = (self.provider(&named)?, self.ports.clock.now());
        if is_fresh(task.observed.upkeep.preflight_at, now) {
            return Ok(());
        }
        if provider.rehearses() {
            let zone = zones.around(&named, name.as_str());
            // One asks, and the others of the zone hear the outcome.
            let mut proven = zone.lock().await;
            if !proven.iter().any(|apex| is_within(name.as_str(), apex)) {
                let proof = provider.preflight(name.as_str(), kind.into()).await?;
                proven.push(proof.zone.apex);
            }
            return Ok(());
        }
        provider.preflight(name.as_str(), kind.into()).await?;
        if is_exact {
            task.observed.upkeep.preflight_at = Some(now);
        }
        Ok(())
    }

    async fn rehearse_record(&self, routed: &mut Routed) -> Result<(), ProviderError> {
        let provider = self.provider(&routed.provider)?;
        let now = self.ports.clock.now();
        let proven_at = routed.task.observed.upkeep.preflight_at;
        if !provider.writes() || provider.rehearses() || is_fresh(proven_at, now) {
            return Ok(());
        }
        // What was tried before was rehearsed before.
        let mut ledger = routed.task.observed.ledger.iter();
        let (owner, value) = (routed.owner.as_str(), routed.challenge.data.as_str());
        if ledger.any(|entry| entry.owner == owner && entry.value == value) {
            return Ok(());
        }
        let kind = match &routed.challenge.data {
            ChallengeData::Txt(_) => RecordKind::Txt,
            ChallengeData::Cname(_) => RecordKind::Cname,
        };
        provider.preflight(owner, kind).await?;
        if owner == routed.task.fence.domain.as_str() {
            routed.task.observed.upkeep.preflight_at = Some(now);
        }
        Ok(())
    }
}

/// The apexes that were proven, by provider and registrable domain: zones of two of them are never
/// one.
#[derive(Default)]
struct Zones(Mutex<BTreeMap<(String, String), Proven>>);

type Proven = Arc<tokio::sync::Mutex<Vec<String>>>;

impl Zones {
    fn around(&self, provider: &str, owner: &str) -> Proven {
        let domain = psl::domain_str(owner).unwrap_or(owner).to_owned();
        let mut zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(zones.entry((provider.to_owned(), domain)).or_default())
    }
}

fn is_fresh(proven_at: Option<Timestamp>, now: Timestamp) -> bool {
    proven_at.is_some_and(|at| {
        let age = now.duration_since(at);
        SignedDuration::ZERO <= age && age <= PREFLIGHT_COUNTS
    })
}
