//! One listing of a client: a list call, what it means for every domain, and whether the guard
//! believes it.

use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};

use super::covering::{Cover, Covering, above, above_fact, above_text};
use super::facts::{
    Failing, failure_fact, login_fact, reference_fact, refusal_fact, unmanaged_fact,
    unmanaged_text, warning_fact,
};
use super::listings::UnderWay;
use super::survey::{Sight, Survey};
use super::{ListingState, Target, Worker, crashpoint};
use crate::ca::CaError;
use crate::prevalidation::{DomainName, Observed};
use crate::store::{DomainRow, Event, Pages, Seen, StoreError};

/// Whether another worker that makes the first listing has ended is asked this often: until then
/// there is nothing to do here. It is one row; the snapshot of all domains, which tells of later
/// listings, comes too late on a busy machine.
const OTHERS_AGAIN: SignedDuration = SignedDuration::from_secs(1);

/// How often a CA is asked about the state of a login, where it has one.
const ASKED_DAILY: SignedDuration = SignedDuration::from_hours(24);

impl Worker {
    /// Lists a client whose listing is due, or takes over what another worker has seen since.
    pub(super) async fn list_or_adopt(&self, listing: UnderWay<'_>) -> Result<(), StoreError> {
        let target = &listing.target;
        let Some(every) = listing.every else {
            return self.list(target).await;
        };
        let now = self.ports.clock.now();
        let lease = self.options.lease;
        let claimed = self
            .ports
            .store
            .claim_listing(&target.key, &self.options.holder, every, lease, now)
            .await?;
        match claimed {
            None => self.list(target).await,
            Some(again_at) => self.adopt(target, again_at, now).await,
        }
    }

    /// Takes over what the last listing of a client stored; the next one is not due before
    /// `again_at`.
    async fn adopt(
        &self,
        target: &Target,
        again_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let store = &*self.ports.store;
        let listed_at = store.listings().await?.get(&target.key).copied();
        let Some(listed_at) = listed_at else {
            let soon = now.saturating_add(OTHERS_AGAIN).unwrap_or(again_at);
            self.listings
                .wait_for_others(&target.key, again_at.min(soon));
            return Ok(());
        };
        // An older version wrote this listing and stored too little; list again.
        let Some(above) = above(store, &target.key).await? else {
            return self.list(target).await;
        };
        let refused = store
            .fact(&refusal_fact(&target.key))
            .await?
            .is_some_and(|refusal| !refusal.is_empty());
        let policy = self.policy.of(&target.ca);
        let mut cover = Cover::new(policy);
        let mut pages = Pages::of(store);
        while let Some(page) = pages.next().await? {
            let rows = page.iter().filter(|row| row.client == target.key);
            rows.for_each(|row| cover.take(row, &row.sighting, policy, now));
        }
        self.cover(&target.key, cover.covering(&target.key, above, now));
        let state = if refused {
            ListingState::Refused(Vec::new())
        } else {
            ListingState::Done
        };
        self.listings
            .adopted(&target.key, state, Some(listed_at), again_at);
        Ok(())
    }

    fn cover(&self, client: &str, covering: Covering) {
        self.covering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(client.to_owned(), covering);
    }

    /// Lists a client and stores the result, unless the guard refuses.
    pub(super) async fn list(&self, target: &Target) -> Result<(), StoreError> {
        if !self.has_domains(target).await? {
            return self.list_nothing(target).await;
        }
        let mut seen: Vec<Seen> = Vec::new();
        let mut dated_earlier: Vec<Event> = Vec::new();
        let mut keep = |sight: Sight| {
            dated_earlier.extend(self.dated_earlier(target, &sight));
            seen.push(sight.seen());
        };
        let survey = match self.survey(target, &mut keep).await? {
            Ok(survey) => survey,
            // Given up because the program is to end: that says nothing about the CA.
            Err(error) if self.stop.is_cancelled() && error.is_retryable() => {
                self.listing_failed(target, &error);
                return Ok(());
            }
            Err(error) => {
                if self.options.remembers_failures {
                    let event = self.event(None, "look-failed", format!("{}: {error}", target.key));
                    self.note(vec![event]).await?;
                    self.remember_failure(&target.key, &error).await?;
                }
                self.listing_failed(target, &error);
                return Ok(());
            }
        };
        self.remember(&failure_fact(&target.key), "").await?;
        let mut events = self.told_by_ca(target, &survey).await?;
        if !survey.alarms.is_empty() {
            let word = if self.options.force {
                "guard-overridden"
            } else {
                "guard-refused"
            };
            events.extend(
                survey
                    .alarms
                    .iter()
                    .map(|alarm| self.event(None, word, format!("{}: {alarm}", target.key))),
            );
            if !self.options.force {
                let alarms: Vec<_> = survey.alarms.iter().map(ToString::to_string).collect();
                self.ports
                    .store
                    .set_fact(&refusal_fact(&target.key), &alarms.join("; "))
                    .await?;
                self.note(events).await?;
                self.listing_ended(&target.key, ListingState::Refused(survey.alarms));
                return Ok(());
            }
        }
        events.extend(dated_earlier);
        crashpoint::reach("listed");
        self.store_listing(target, &seen, &survey).await?;
        self.note(events).await?;
        self.cover(&target.key, survey.covering);
        self.listings.listed(&target.key, survey.read_at);
        self.listing_ended(&target.key, ListingState::Done);
        Ok(())
    }

    /// The end of a proof that has become earlier.
    fn dated_earlier(&self, target: &Target, sight: &Sight) -> Option<Event> {
        let [before, now] = sight.dated_earlier?;
        let detail = format!("the end of the proof was {before:.0}, and is {now:.0} now");
        Some(Event {
            domain: Some(sight.observed.domain.clone()),
            client: Some(target.key.clone()),
            ..self.event(None, "dated-earlier", detail)
        })
    }

    /// An account that only orders may not be allowed to list domains.
    async fn list_nothing(&self, target: &Target) -> Result<(), StoreError> {
        let (store, now) = (&self.ports.store, self.ports.clock.now());
        self.remember(&failure_fact(&target.key), "").await?;
        self.remember(&warning_fact(&target.key), "").await?;
        store.record_listing(&target.key, &[], now).await?;
        self.listings.listed(&target.key, now);
        self.listing_ended(&target.key, ListingState::Done);
        Ok(())
    }

    /// What the list holds that cannot be read, and what the CA warns of.
    async fn told_by_ca(&self, target: &Target, survey: &Survey) -> Result<Vec<Event>, StoreError> {
        let mut events: Vec<Event> = survey
            .unreadable
            .iter()
            .map(|what| self.event(None, "unreadable", format!("{}: {what}", target.key)))
            .collect();
        let of_login = self.login_warnings(target).await?;
        let of_list = survey.unreadable.iter().chain(&survey.warnings);
        self.remember(&warning_fact(&target.key), &in_short(of_list))
            .await?;
        let warnings = survey.warnings.iter().chain(&of_login);
        events.extend(
            warnings.map(|what| self.event(None, "ca-warning", format!("{}: {what}", target.key))),
        );
        Ok(events)
    }

    /// Before the listing: a worker that hears of it finds all that belongs to it.
    async fn store_listing(
        &self,
        target: &Target,
        seen: &[Seen],
        survey: &Survey,
    ) -> Result<(), StoreError> {
        self.remember(&refusal_fact(&target.key), "").await?;
        self.remember_unmanaged(&target.key, &survey.unmanaged)
            .await?;
        self.remember(
            &above_fact(&target.key),
            &above_text(&survey.above, &survey.covering),
        )
        .await?;
        self.ports
            .store
            .record_listing(&target.key, seen, survey.read_at)
            .await?;
        crashpoint::reach("look-stored");
        Ok(())
    }

    /// Whether any domain of the client is known here, or waits until the CA has shown the client.
    pub(super) async fn has_domains(&self, target: &Target) -> Result<bool, StoreError> {
        let waiting = self.options.intake.of(&target.key);
        if waiting.is_some_and(|(wanted, left)| !wanted.is_empty() || !left.is_empty()) {
            return Ok(true);
        }
        let mut pages = Pages::of(&*self.ports.store);
        while let Some(page) = pages.next().await? {
            if page.iter().any(|row| row.client == target.key) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The client's `cli-…`: as configured, or found by name once and remembered.
    pub(super) async fn reference(
        &self,
        target: &Target,
    ) -> Result<Result<String, CaError>, StoreError> {
        use crate::ca::ClientSelector;
        if let ClientSelector::Reference(reference) = &target.selector {
            return Ok(Ok(reference.clone()));
        }
        let key = reference_fact(&target.key);
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

    /// The CA did not answer well. A credential that it refuses is refused for every client of the
    /// account: in this run none of them is listed or worked on any more, and the run says so
    /// (faults J02).
    pub(super) fn ca_stumbled(&self, ca: &str, error: &CaError, now: Timestamp) {
        self.pauses.failed(ca, error, now);
        if error.is_account_wide() {
            self.targets
                .iter()
                .filter(|target| target.ca == ca)
                .for_each(|target| self.listing_failed(target, error));
        }
    }

    pub(super) fn listing_failed(&self, target: &Target, error: &CaError) {
        let hint = error
            .hint
            .as_ref()
            .map(|hint| format!(" ({hint})"))
            .unwrap_or_default();
        let state = ListingState::Failed {
            error: format!("{error}{hint}"),
            temporary: error.is_retryable(),
        };
        self.listing_ended(&target.key, state);
    }

    fn listing_ended(&self, client: &str, state: ListingState) {
        self.listings.ended(client, state, self.ports.clock.now());
    }

    pub(super) fn observed(
        &self,
        row: DomainRow,
        ledger: Vec<crate::prevalidation::LedgerEntry>,
        covering: Option<&Covering>,
    ) -> Observed {
        Observed {
            desired: !row.origins.is_empty(),
            covered_by: covering
                .and_then(|covering| covering.get(&row.domain))
                .cloned(),
            domain: row.domain,
            has_provider: match &row.provider {
                Some(name) => self.ports.providers.contains_key(name),
                None => !self.ports.providers.is_empty(),
            },
            sighting: row.sighting,
            read_at: row.read_at,
            upkeep: row.upkeep,
            ledger,
        }
        .believed(self.ports.clock.now())
    }

    async fn remember_unmanaged(
        &self,
        client: &str,
        unmanaged: &[DomainName],
    ) -> Result<(), StoreError> {
        self.remember(&unmanaged_fact(client), &unmanaged_text(unmanaged))
            .await
    }

    /// Since when the CA cannot be asked about the client, and the cause now.
    async fn remember_failure(&self, client: &str, error: &CaError) -> Result<(), StoreError> {
        let known = self
            .ports
            .store
            .fact(&failure_fact(client))
            .await?
            .unwrap_or_default();
        let since = Failing::read(&known).map(|known| known.since);
        let failing = Failing {
            since: since.unwrap_or_else(|| self.ports.clock.now()),
            error: error.to_string(),
        };
        self.remember(&failure_fact(client), &failing.text()).await
    }

    /// What a person should do about the login at the client's CA. The store knows when it was last
    /// asked for, so that nightly processes and machines share one question a day.
    async fn login_warnings(&self, target: &Target) -> Result<Vec<String>, StoreError> {
        let (store, key) = (&*self.ports.store, login_fact(&target.ca));
        let asked_at = store.fact(&key).await?;
        let asked_at: Option<Timestamp> = asked_at.and_then(|text| text.parse().ok());
        match self.ca(&target.ca).warnings(asked_at).await {
            Ok(Some(warnings)) => {
                let now = self.ports.clock.now().to_string();
                store.set_fact(&key, &now).await?;
                self.remember(&warning_fact(&target.ca), &in_short(warnings.iter()))
                    .await?;
                Ok(warnings)
            }
            Ok(None) => {
                // A login that is not asked about any more, because it has no password now, warns
                // of nothing.
                let now = self.ports.clock.now();
                let is_old = |at| now.duration_since(at) > ASKED_DAILY * 2;
                if asked_at.is_none_or(is_old) {
                    self.remember(&warning_fact(&target.ca), "").await?;
                }
                Ok(Vec::new())
            }
            // The calls that matter say for themselves whether the login works.
            Err(error) => {
                tracing::debug!(ca = target.ca, %error, "the state of the login is not known");
                Ok(Vec::new())
            }
        }
    }

    async fn remember(&self, key: &str, value: &str) -> Result<(), StoreError> {
        if self.ports.store.fact(key).await?.as_deref() != Some(value) {
            self.ports.store.set_fact(key, value).await?;
        }
        Ok(())
    }
}

/// The first of some texts, and how many more there are: a list may have thousands of bad entries.
fn in_short<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    const SHOWN: usize = 3;
    const LONGEST: usize = 200;
    let texts: Vec<&String> = texts.collect();
    let cut = |text: &&String| text.chars().take(LONGEST).collect::<String>();
    let mut shown: Vec<String> = texts.iter().take(SHOWN).map(cut).collect();
    if texts.len() > SHOWN {
        shown.push(format!("and {} more", texts.len() - SHOWN));
    }
    shown.join("; ")
}
