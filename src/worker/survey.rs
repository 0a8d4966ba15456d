//! What one list call means for every domain of a client, before any of it is believed.
//!
//! The rows of the store are read twice and never held at once: first it is found out which domains
//! are below another one, then each is judged by itself. There may be 100,000.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::covering::{Above, Cover, Covering, covers_until};
use super::{Target, Worker};
use crate::ca::registrations::{ByName, Packed};
use crate::ca::{CaError, Listing};
use crate::prevalidation::guard::{Comparison, examine_clock};
use crate::prevalidation::{
    Alarm, Decision, DomainName, Effect, LedgerEntry, Observed, Progress, Registration, ReuseTable,
    RowKey, Sighting, Upkeep, absorb, next_step,
};
use crate::store::{DomainRow, Pages, Seen, StoreError};

/// What the list says about the client as a whole.
pub(super) struct Survey {
    pub(super) alarms: Vec<Alarm>,
    pub(super) unmanaged: Vec<DomainName>,
    pub(super) unreadable: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) above: Above,
    pub(super) covering: Covering,
    pub(super) read_at: Timestamp,
}

/// One domain of the client as it would be known after the listing.
pub(super) struct Sight {
    pub(super) key: RowKey,
    pub(super) observed: Observed,
    pub(super) decision: Decision,
    due_at: Option<Timestamp>,
    /// The CA says something else than it did last.
    changed: bool,
    /// The end of its proof before and now, where it has become earlier.
    pub(super) dated_earlier: Option<[Timestamp; 2]>,
}

impl Sight {
    /// What is stored of it. A sighting that is the stored one need not be kept until then.
    pub(super) fn seen(self) -> Seen {
        Seen {
            due_at: self.due_at,
            key: self.key,
            changed: self.changed.then(|| Box::new(self.observed.sighting)),
        }
    }
}

impl Worker {
    /// The list call and what it means; `keep` is given each domain. Stores only the client's
    /// reference, once, and the domains that waited for the client to be found.
    pub(super) async fn survey(
        &self,
        target: &Target,
        keep: &mut (dyn FnMut(Sight) + Send),
    ) -> Result<Result<Survey, CaError>, StoreError> {
        let reference = match self.reference(target).await? {
            Ok(reference) => reference,
            Err(error) => return Ok(Err(error)),
        };
        match self.ca(&target.ca).list(&reference).await {
            Ok(listing) => {
                self.pauses.answered(&target.ca);
                self.take_in(target).await?;
                Ok(Ok(self.examine(target, listing, keep).await?))
            }
            Err(error) => {
                self.ca_stumbled(&target.ca, &error, self.ports.clock.now());
                Ok(Err(error))
            }
        }
    }

    async fn examine(
        &self,
        target: &Target,
        listing: Listing,
        keep: &mut (dyn FnMut(Sight) + Send),
    ) -> Result<Survey, StoreError> {
        let store = &*self.ports.store;
        let latest = store.listings().await?.get(&target.key).copied();
        let now = self.ports.clock.now();
        let mut alarms: Vec<Alarm> = examine_clock(now, latest, listing.clock_skew)
            .into_iter()
            .collect();
        let listed = listing.registrations.by_name();

        let policy = self.policy.of(&target.ca);
        let (mut cover, mut managed) = (Cover::new(policy), BTreeSet::new());
        let mut pages = Pages::of(store);
        while let Some(page) = pages.next().await? {
            for row in page.into_iter().filter(|row| row.client == target.key) {
                let mut sighting = sighting_of(listed.get(&row.domain), &row);
                sighting.heed(target.purpose);
                cover.take(&row, &sighting, policy, now);
                if !row.origins.is_empty() {
                    managed.insert(row.domain);
                }
            }
        }
        let unmanaged = || {
            let all = listed.iter();
            all.filter(|found| !managed.contains(&found.domain))
        };
        let covers = |found: &Packed| {
            let until = covers_until(&found.unpack(), policy, now)?;
            Some((found.domain.clone(), until))
        };
        let above: Above = unmanaged().filter_map(covers).collect();
        let unmanaged: Vec<DomainName> = unmanaged().map(|found| found.domain.clone()).collect();
        drop(managed);
        let covering = cover.covering(&target.key, above.clone(), now);
        drop(cover);

        let comparison = self
            .compare(target, &listed, &covering, listing.read_at, keep)
            .await?;
        alarms.extend(comparison.alarms(&target.key, listing.unreadable.first()));
        Ok(Survey {
            alarms,
            unmanaged,
            unreadable: listing.unreadable,
            warnings: listing.warnings,
            above,
            covering,
            read_at: listing.read_at,
        })
    }

    /// Domain by domain: what is known, what is seen, and what comes next.
    async fn compare(
        &self,
        target: &Target,
        listed: &ByName,
        covering: &Covering,
        read_at: Timestamp,
        keep: &mut (dyn FnMut(Sight) + Send),
    ) -> Result<Comparison, StoreError> {
        let (store, policy) = (&*self.ports.store, self.policy.of(&target.ca));
        let mut ledger: BTreeMap<RowKey, Vec<LedgerEntry>> = BTreeMap::new();
        for entry in store.open_entries(None).await? {
            ledger.entry(entry.key.clone()).or_default().push(entry);
        }
        let (mut comparison, mut pages) = (Comparison::default(), Pages::of(store));
        while let Some(page) = pages.next().await? {
            let now = self.ports.clock.now();
            for row in page.into_iter().filter(|row| row.client == target.key) {
                let mut sighting = sighting_of(listed.get(&row.domain), &row);
                sighting.heed(target.purpose);
                let entries = ledger.remove(&row.key).unwrap_or_default();
                let key = row.key.clone();
                let mut known = self.observed(row, entries, Some(covering));
                // The configuration may have another purpose now: no end has moved at the CA.
                let moved = known.sighting.heed(target.purpose);
                let sighting = sighting.with_memory_of(&known, read_at);
                // What was read after this list was made is younger than the list.
                if known.read_at.is_none_or(|read| read <= read_at) {
                    comparison.take(&known, &sighting, policy, now);
                }
                let changed = moved || known.sighting != sighting;
                let dated_earlier = dated_earlier(&known.sighting, &sighting);
                let mut observed = Observed {
                    sighting,
                    read_at: Some(read_at),
                    ..known
                };
                let progress = reconcile_attempt(&mut observed, &policy.reuse, now);
                let decision = next_step(&observed, policy, now);
                let lapse = observed.lapse_due_at(&policy.reuse, now);
                // What another program has made ends an attempt and a hold at once.
                let is_over = progress == Progress::Won || observed.hold_is_over(policy, now);
                let planned = due_at(&decision, &observed.upkeep, lapse);
                keep(Sight {
                    key,
                    due_at: if is_over { Some(now) } else { planned },
                    observed,
                    decision,
                    changed,
                    dated_earlier,
                });
            }
        }
        Ok(comparison)
    }
}

/// The end of a proof before and now, where it has become earlier: a rule has changed, or the CA has.
fn dated_earlier(before: &Sighting, now: &Sighting) -> Option<[Timestamp; 2]> {
    let end = |sighting: &Sighting| sighting.registration()?.proof.as_ref()?.expires_at;
    let (before, now) = (end(before)?, end(now)?);
    (now < before).then_some([before, now])
}

/// What the list shows of a domain that is known as `row`.
fn sighting_of(found: Option<Registration>, row: &DomainRow) -> Sighting {
    let mut sighting = match (found, &row.sighting) {
        (Some(found), _) => Sighting::Present(found),
        (None, Sighting::Present(known) | Sighting::Missing(known)) => {
            Sighting::Missing(known.clone())
        }
        (None, Sighting::Unread | Sighting::Absent) => Sighting::Absent,
    };
    sighting.keep_first_seen(&row.sighting);
    sighting
}

/// When to ask the planner again after `decision`, to hear that something changed, or to note a
/// lapse.
pub(super) fn due_at(
    decision: &Decision,
    upkeep: &Upkeep,
    lapse: Option<Timestamp>,
) -> Option<Timestamp> {
    // A listing of the CA always asks again; a moment further away than any proof lives needs no
    // row of its own.
    let planned = Some(decision.at).filter(|&at| at < Timestamp::MAX);
    planned
        .into_iter()
        .chain(upkeep.wake.hears_at())
        .chain(lapse)
        .min()
}

/// Updates the attempt by the CA's answer: the known state, a new proof, and calls that are no
/// longer unanswered.
pub(super) fn reconcile_attempt(
    observed: &mut Observed,
    reuse: &ReuseTable,
    now: Timestamp,
) -> Progress {
    let began = observed.upkeep.calls.made.last().copied();
    // A read that began after the effect is its answer. A row that leaves out what the CA wants to
    // find, and whether it was submitted, answers a registration only.
    let is_summary = matches!(&observed.sighting, Sighting::Present(found) if found.is_summary);
    let is_answer = !is_summary || observed.upkeep.calls.unanswered == Some(Effect::Register);
    if is_answer
        && observed.upkeep.calls.unanswered.is_some()
        && observed
            .read_at
            .zip(began)
            .is_some_and(|(read, began)| read > began)
        && !matches!(observed.sighting, Sighting::Missing(_))
    {
        observed.upkeep.calls.answer();
    }
    match &observed.sighting {
        Sighting::Present(registration) => absorb(&mut observed.upkeep, registration, reuse, now),
        _ => Progress::None,
    }
}
