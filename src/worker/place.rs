//! Where the records of a domain are written: at which name, and by which provider.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use prevalidate_providers::{ErrorKind, Provider, ProviderError, RecordKind};

use super::Worker;
use super::route::route_record;
use super::task::Task;
use crate::prevalidation::{Challenge, ChallengeData, DomainName, Policy, RecordName, RecordType};
use crate::propagation::DnsChecker;
use crate::store::StoreError;

/// What was chosen in this run.
pub(super) type Routes = Mutex<BTreeMap<RecordName, String>>;

/// A task whose record is to be written, and where.
pub(super) struct Routed {
    pub(super) task: Task,
    /// The record that the CA wants to find.
    pub(super) challenge: Challenge,
    /// Where it is written.
    pub(super) owner: RecordName,
    /// By which provider.
    pub(super) provider: String,
}

impl From<RecordType> for RecordKind {
    fn from(kind: RecordType) -> Self {
        match kind {
            RecordType::Txt => Self::Txt,
            RecordType::Cname => Self::Cname,
        }
    }
}

/// The provider that writes a name of `domain`: the one that the domain names, where it writes this
/// owner too.
///
/// # Errors
/// As [`route`](super::route::route).
pub async fn route_owner(
    providers: &BTreeMap<String, Arc<dyn Provider>>,
    checker: &dyn DnsChecker,
    domain: &DomainName,
    owner: &RecordName,
    named: Option<&str>,
) -> Result<String, ProviderError> {
    let several = providers.len() > 1;
    let named = named_for(several, checker, domain, owner, named).await?;
    let shown = shown(domain, owner);
    route_record(providers, checker, owner, &shown, named).await
}

/// Where the record of the next validation of `domain` is written, as far as it is known before the
/// CA names it.
///
/// # Errors
/// Where an alias of that name leads is not known.
pub async fn next_owner(
    policy: &Policy,
    checker: &dyn DnsChecker,
    domain: &DomainName,
) -> Result<RecordName, ProviderError> {
    let owner = policy.record.at(domain);
    let is_text = policy.record.kind == RecordType::Txt;
    written_at(policy, checker, domain, owner, is_text).await
}

/// Where a record is written: at its owner, or where a person has made an alias of that name lead.
pub(in crate::worker) async fn written_at(
    policy: &Policy,
    checker: &dyn DnsChecker,
    domain: &DomainName,
    owner: RecordName,
    is_text: bool,
) -> Result<RecordName, ProviderError> {
    let is_below = owner.as_str() != domain.as_str();
    if !is_text || !is_below || !policy.follow_aliases {
        return Ok(owner);
    }
    checker.target(&owner).await.map_err(|error| {
        let text = format!("where {owner} leads is not known: {error}");
        ProviderError::new(ErrorKind::Unavailable, text)
    })
}

/// A name in messages: both forms of a domain.
fn shown(domain: &DomainName, owner: &RecordName) -> String {
    match owner.as_str() == domain.as_str() {
        true => domain.both_forms(),
        false => owner.to_string(),
    }
}

/// The provider that the domain names, where it writes this owner too: a name below the domain may
/// be in a zone of its own, and an alias leads anywhere.
async fn named_for<'a>(
    several: bool,
    checker: &dyn DnsChecker,
    domain: &DomainName,
    owner: &RecordName,
    named: Option<&'a str>,
) -> Result<Option<&'a str>, ProviderError> {
    if named.is_none() || owner.as_str() == domain.as_str() || !several {
        return Ok(named);
    }
    let live = checker.live_zone(owner).await.map_err(|error| {
        let text = format!("which zone holds {owner} is not known: {error}");
        ProviderError::new(ErrorKind::Unavailable, text)
    })?;
    let is_of_domain = match live {
        Some(live) => RecordName::from(domain).is_within(&live.apex),
        None => owner.is_within(domain.as_str()),
    };
    Ok(named.filter(|_| is_of_domain))
}

impl Worker {
    /// The provider that writes a name of a task's domain; found out once in a run.
    pub(super) async fn provider_of(
        &self,
        task: &Task,
        owner: &RecordName,
    ) -> Result<String, ProviderError> {
        let (domain, checker) = (&task.fence.domain, &*self.ports.checker);
        let several = self.ports.providers.len() > 1;
        let named = task.row.provider.as_deref();
        let named = named_for(several, checker, domain, owner, named).await?;
        if let Some(named) = named {
            return Ok(named.to_owned());
        }
        let known = self
            .routes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(owner)
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let shown = shown(domain, owner);
        let found = route_record(&self.ports.providers, checker, owner, &shown, None).await?;
        self.routes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(owner.clone(), found.clone());
        Ok(found)
    }

    /// Where the record of a challenge is written, and by which provider: at its owner, or where a
    /// person has made an alias of that name lead.
    pub(super) async fn place_of(
        &self,
        task: &Task,
        challenge: &Challenge,
    ) -> Result<(RecordName, String), ProviderError> {
        let is_text = matches!(challenge.data, ChallengeData::Txt(_));
        let (policy, checker) = (task.policy(self), &*self.ports.checker);
        let (domain, owner) = (&task.fence.domain, challenge.owner.clone());
        let owner = written_at(policy, checker, domain, owner, is_text).await?;
        let provider = self.provider_of(task, &owner).await?;
        Ok((owner, provider))
    }

    /// The tasks with their providers; those without one wait, or are held, and are no longer
    /// needed.
    pub(super) async fn routed(
        &self,
        tasks: Vec<(Task, Challenge)>,
    ) -> Result<Vec<Routed>, StoreError> {
        let asked = futures::stream::iter(tasks).map(async |(task, challenge)| {
            (self.place_of(&task, &challenge).await, task, challenge)
        });
        let found: Vec<_> = asked.buffered(self.options.concurrency).collect().await;
        let now = self.ports.clock.now();
        let (mut routed, mut failed) = (Vec::with_capacity(found.len()), Vec::new());
        for (place, mut task, challenge) in found {
            match place {
                Ok((owner, provider)) => routed.push(Routed {
                    task,
                    challenge,
                    owner,
                    provider,
                }),
                Err(error) => {
                    self.dns_failed(&mut task, &error, now);
                    failed.push(task);
                }
            }
        }
        self.finish(failed).await?;
        Ok(routed)
    }
}
