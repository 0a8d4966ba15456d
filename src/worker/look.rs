//! One look at a client: a list call, what it means for every domain, and whether the guard believes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use jiff::Timestamp;

use super::{LookState, Target, Worker, crashpoint};
use crate::ca::{CaError, Listing};
use crate::prevalidation::guard::{examine_clock, examine_look};
use crate::prevalidation::{Alarm, Decision, DomainName, Observed, Sighting, absorb, next_step};
use crate::store::{DomainRow, Event, Seen, StoreError};

/// Covered domains, each with the domain above it that makes its own registration needless.
pub type Covering = BTreeMap<DomainName, DomainName>;

/// What one list call says, before anybody believes it.
pub(super) struct Survey {
    pub(super) sights: Vec<Sight>,
    pub(super) alarms: Vec<Alarm>,
    unmanaged: Vec<DomainName>,
    unreadable: Vec<String>,
    covering: Covering,
    read_at: Timestamp,
}

/// One domain of the client as it would be known after the look.
pub(super) struct Sight {
    pub(super) row: DomainRow,
    pub(super) observed: Observed,
    pub(super) decision: Decision,
}

impl Worker {
    /// Looks at a client and stores what it saw, unless the guard refuses.
    pub(super) async fn look(&self, target: &Target) -> Result<(), StoreError> {
        let survey = match self.survey(target).await? {
            Ok(survey) => survey,
            Err(error) => {
                let event = self.event(None, "look-failed", format!("{}: {error}", target.key));
                self.note(vec![event]).await?;
                self.remember_failure(&target.key, &error).await?;
                self.look_failed(target, &error);
                return Ok(());
            }
        };
        self.remember(&failure_fact(&target.key), "").await?;
        let mut events: Vec<Event> = survey
            .unreadable
            .iter()
            .map(|what| self.event(None, "unreadable", format!("{}: {what}", target.key)))
            .collect();
        if !survey.alarms.is_empty() {
            let word = if self.options.force { "guard-overridden" } else { "guard-refused" };
            events.extend(survey.alarms.iter().map(|alarm| self.event(None, word, alarm.to_string())));
            if !self.options.force {
                let alarms: Vec<_> = survey.alarms.iter().map(ToString::to_string).collect();
                self.ports.store.set_fact(&refusal_fact(&target.key), &alarms.join("; ")).await?;
                self.note(events).await?;
                self.set_look(&target.key, LookState::Refused(survey.alarms));
                return Ok(());
            }
        }
        let seen: Vec<Seen> = survey.sights.iter().map(Sight::seen).collect();
        crashpoint::reach("listed");
        self.ports.store.record_look(&target.key, &seen, survey.read_at).await?;
        crashpoint::reach("look-stored");
        self.remember(&refusal_fact(&target.key), "").await?;
        self.remember_unmanaged(&target.key, &survey.unmanaged).await?;
        self.note(events).await?;
        self.covering.lock().unwrap_or_else(PoisonError::into_inner).extend(survey.covering);
        self.set_look(&target.key, LookState::Done);
        Ok(())
    }

    /// The list call and what it means. Stores nothing but the client's reference, once.
    pub(super) async fn survey(&self, target: &Target) -> Result<Result<Survey, CaError>, StoreError> {
        let store = &self.ports.store;
        let reference = match self.reference(target).await? {
            Ok(reference) => reference,
            Err(error) => return Ok(Err(error)),
        };
        let ca = self.ca(&target.ca);
        let listing = match ca.list(&reference).await {
            Ok(listing) => {
                self.pauses.answered(&target.ca);
                listing
            }
            Err(error) => {
                self.ca_stumbled(&target.ca, &error, self.ports.clock.now());
                return Ok(Err(error));
            }
        };
        let mut ledger: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for entry in store.open_entries(None).await? {
            ledger.entry(entry.owner.clone()).or_default().push(entry);
        }
        let rows: Vec<DomainRow> = store.domains().await?.into_iter().filter(|row| row.client == target.key).collect();
        let latest = store.looks().await?.get(&target.key).copied();
        let now = self.ports.clock.now();
        Ok(Ok(self.examine(target, rows, ledger, &listing, latest, now)))
    }

    fn examine(
        &self,
        target: &Target,
        rows: Vec<DomainRow>,
        mut ledger: BTreeMap<String, Vec<crate::prevalidation::LedgerEntry>>,
        listing: &Listing,
        latest: Option<Timestamp>,
        now: Timestamp,
    ) -> Survey {
        let listed: BTreeMap<_, _> = listing.registrations.iter().map(|found| (&found.domain, found)).collect();
        let covering = self.covering(&rows, listing, now);
        let mut before = Vec::with_capacity(rows.len());
        let mut sights = Vec::with_capacity(rows.len());
        for row in rows {
            let sighting = match (listed.get(&row.domain), &row.sighting) {
                (Some(&found), _) => Sighting::Present(found.clone()),
                (None, Sighting::Present(known) | Sighting::Missing(known)) => Sighting::Missing(known.clone()),
                (None, Sighting::Unread | Sighting::Absent) => Sighting::Absent,
            };
            let known = self.observed(&row, ledger.remove(row.domain.as_str()).unwrap_or_default(), &covering);
            let mut observed = known.clone();
            observed.sighting = sighting;
            observed.read_at = Some(listing.read_at);
            reconcile_attempt(&mut observed, &self.policy.reuse, now);
            let decision = next_step(&observed, &self.policy, now);
            before.push(known);
            sights.push(Sight { row, observed, decision });
        }
        let mut alarms: Vec<Alarm> = examine_clock(now, latest, listing.clock_skew).into_iter().collect();
        // What was read after this list was made is younger than the list.
        let pairs = before.iter().zip(&sights).map(|(known, sight)| (known, &sight.observed.sighting));
        let pairs = pairs.filter(|(known, _)| known.read_at.is_none_or(|read| read <= listing.read_at));
        alarms.extend(examine_look(&target.key, pairs, &self.policy, now));
        let managed: BTreeSet<_> =
            sights.iter().filter(|sight| sight.observed.desired).map(|sight| &sight.row.domain).collect();
        let unmanaged = listing.registrations.iter().map(|found| &found.domain);
        Survey {
            unmanaged: unmanaged.filter(|domain| !managed.contains(domain)).cloned().collect(),
            unreadable: listing.unreadable.clone(),
            read_at: listing.read_at,
            covering,
            alarms,
            sights,
        }
    }

    /// Which wanted names lie below one that makes their own registration needless: below a valid one (one that nobody here
    /// renews counts only until its renewal would be due), and, while they have no registration, below a wanted one.
    fn covering(&self, rows: &[DomainRow], listing: &Listing, now: Timestamp) -> Covering {
        let wanted: BTreeSet<&DomainName> =
            rows.iter().filter(|row| !row.origins.is_empty()).map(|row| &row.domain).collect();
        let valid: BTreeSet<&DomainName> = listing
            .registrations
            .iter()
            .filter(|found| found.usable_until(&self.policy.reuse, now).is_some())
            .filter(|found| {
                let renewed_here = wanted.contains(&found.domain);
                let proof = found.proof.as_ref();
                renewed_here
                    || proof.and_then(|proof| self.policy.renew_at(&found.domain, proof)).is_some_and(|at| now < at)
            })
            .map(|found| &found.domain)
            .collect();
        let registered: BTreeSet<&DomainName> = listing.registrations.iter().map(|found| &found.domain).collect();
        let mut covering = Covering::new();
        for row in rows {
            let mut above = row.domain.parent();
            while let Some(name) = above {
                if valid.contains(&name) || wanted.contains(&name) && !registered.contains(&row.domain) {
                    covering.insert(row.domain.clone(), name.clone());
                }
                above = name.parent();
            }
        }
        covering
    }

    /// The client's `cli-…`: as configured, or found by name once and remembered.
    pub(super) async fn reference(&self, target: &Target) -> Result<Result<String, CaError>, StoreError> {
        use crate::ca::ClientSelector;
        if let ClientSelector::Reference(reference) = &target.selector {
            return Ok(Ok(reference.clone()));
        }
        let key = format!("client-reference/{}", target.key);
        if let Some(reference) = self.ports.store.fact(&key).await? {
            return Ok(Ok(reference));
        }
        match self.ca(&target.ca).find_client(&target.selector).await {
            Ok(client) => {
                self.ports.store.set_fact(&key, &client.reference).await?;
                Ok(Ok(client.reference))
            }
            Err(error) => {
                self.ca_stumbled(&target.ca, &error, self.ports.clock.now());
                Ok(Err(error))
            }
        }
    }

    /// The CA did not answer well. A credential that it refuses is refused for every client of the account: in this run none
    /// of them is looked at or worked for any more, and the run says so (faults J02).
    pub(super) fn ca_stumbled(&self, ca: &str, error: &CaError, now: Timestamp) {
        self.pauses.failed(ca, error, now);
        if error.is_account_wide() {
            self.targets.iter().filter(|target| target.ca == ca).for_each(|target| self.look_failed(target, error));
        }
    }

    pub(super) fn look_failed(&self, target: &Target, error: &CaError) {
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let state = LookState::Failed { error: format!("{error}{hint}"), temporary: error.is_retryable() };
        self.set_look(&target.key, state);
    }

    pub(super) fn observed(
        &self,
        row: &DomainRow,
        ledger: Vec<crate::prevalidation::LedgerEntry>,
        covering: &Covering,
    ) -> Observed {
        Observed {
            domain: row.domain.clone(),
            desired: !row.origins.is_empty(),
            covered_by: covering.get(&row.domain).cloned(),
            has_provider: match &row.provider {
                Some(name) => self.ports.providers.contains_key(name),
                None => !self.ports.providers.is_empty(),
            },
            sighting: row.sighting.clone(),
            read_at: row.read_at,
            attempt: row.attempt.clone(),
            ledger,
        }
    }

    async fn remember_unmanaged(&self, client: &str, unmanaged: &[DomainName]) -> Result<(), StoreError> {
        let names = unmanaged.iter().map(DomainName::as_str).collect::<Vec<_>>().join(" ");
        self.remember(&format!("unmanaged/{client}"), &names).await
    }

    /// Since when the CA cannot be asked about the client, and what stands in the way now.
    async fn remember_failure(&self, client: &str, error: &CaError) -> Result<(), StoreError> {
        let known = self.ports.store.fact(&failure_fact(client)).await?.unwrap_or_default();
        let now = self.ports.clock.now().to_string();
        let since = known.split_once(' ').map_or(now.as_str(), |(since, _)| since);
        self.remember(&failure_fact(client), &format!("{since} {error}")).await
    }

    async fn remember(&self, key: &str, value: &str) -> Result<(), StoreError> {
        if self.ports.store.fact(key).await?.unwrap_or_default() != value {
            self.ports.store.set_fact(key, value).await?;
        }
        Ok(())
    }
}

/// What the guard refused at the last look at a client; empty when it did not.
pub fn refusal_fact(client: &str) -> String {
    format!("guard/{client}")
}

/// Since when the CA cannot be asked about a client, a space, and why; empty when it can be.
pub fn failure_fact(client: &str) -> String {
    format!("unreachable/{client}")
}

impl Sight {
    fn seen(&self) -> Seen {
        Seen {
            domain: self.row.domain.clone(),
            sighting: self.observed.sighting.clone(),
            due_at: due_at(&self.decision),
            changed: self.row.sighting != self.observed.sighting,
        }
    }
}

/// When to ask the planner again after `decision`.
pub(super) fn due_at(decision: &Decision) -> Option<Timestamp> {
    // A look at the CA always asks again; a moment further away than any proof lives needs no row of its own.
    Some(decision.at).filter(|&at| at < Timestamp::MAX)
}

/// Takes a word of the CA into the attempt: what is known now, what was won, what is no longer unanswered.
pub(super) fn reconcile_attempt(
    observed: &mut Observed,
    reuse: &crate::prevalidation::ReuseTable,
    now: Timestamp,
) -> crate::prevalidation::Progress {
    let began = observed.attempt.effects.last().copied();
    // A read that began after the effect is its answer.
    if observed.attempt.unanswered.is_some()
        && observed.read_at.zip(began).is_some_and(|(read, began)| read > began)
        && !matches!(observed.sighting, Sighting::Missing(_))
    {
        observed.attempt.unanswered = None;
    }
    match &observed.sighting {
        Sighting::Present(registration) => absorb(&mut observed.attempt, registration, reuse, now),
        _ => crate::prevalidation::Progress::None,
    }
}
