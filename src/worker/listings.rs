//! Which client is to be listed, when, and how the last listing ended.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::{ListingState, Target};
use crate::prevalidation::policy::backoff;

/// A listing that the guard refused waits for a person; whether one has come is checked after this
/// time.
const REFUSED_AGAIN: SignedDuration = SignedDuration::from_mins(30);

/// A listing that found a domain that had not been asked about may be followed by another one this
/// soon.
pub(super) const SOON: SignedDuration = SignedDuration::from_secs(5);

/// The clients of a worker, by key.
#[derive(Debug)]
pub(super) struct Listings {
    /// `None`: each client once.
    every: Option<SignedDuration>,
    clients: Mutex<BTreeMap<String, ClientListing>>,
}

#[derive(Debug)]
struct ClientListing {
    state: ListingState,
    under_way: bool,
    /// `None`: never again.
    due_at: Option<Timestamp>,
    /// The next one is needed before the last one has grown old.
    soon: bool,
    failures: u32,
    /// The moment of the listing that is gone by.
    listed_at: Option<Timestamp>,
}

/// A listing that is under way; one that is given up, by an error or a panic, is due again.
pub(super) struct UnderWay<'a> {
    listings: &'a Listings,
    pub(super) target: Target,
    /// How old the last listing of any process may be.
    pub(super) every: Option<SignedDuration>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.listings.lock().get_mut(&self.target.key) {
            client.under_way = false;
            if client.state == ListingState::Running {
                client.state = ListingState::Waiting;
            }
        }
    }
}

impl Listings {
    pub(super) fn new(targets: &[Target], every: Option<SignedDuration>) -> Self {
        let client = |target: &Target| {
            let client = ClientListing {
                state: ListingState::Waiting,
                under_way: false,
                due_at: Some(Timestamp::MIN),
                soon: false,
                failures: 0,
                listed_at: None,
            };
            (target.key.clone(), client)
        };
        Self {
            every,
            clients: Mutex::new(targets.iter().map(client).collect()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ClientListing>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A moment that is further ahead than any pause is the trace of a clock that was wrong: what
    /// was to be due then is due now.
    fn is_due(&self, due: Timestamp, now: Timestamp) -> bool {
        let longest = self
            .every
            .unwrap_or_default()
            .max(REFUSED_AGAIN)
            .max(backoff(u32::MAX));
        due <= now || due.duration_since(now) > longest
    }

    /// How the last listing of each client ended.
    pub(super) fn states(&self) -> BTreeMap<String, ListingState> {
        self.lock()
            .iter()
            .map(|(key, client)| (key.clone(), client.state.clone()))
            .collect()
    }

    /// The first client of `targets` whose listing is due, which is then under way.
    pub(super) fn begin<'t>(
        &self,
        mut targets: impl Iterator<Item = &'t Target>,
        now: Timestamp,
    ) -> Option<UnderWay<'_>> {
        let mut clients = self.lock();
        let is_due = |client: &ClientListing| {
            !client.under_way && client.due_at.is_some_and(|due| self.is_due(due, now))
        };
        let target = targets.find(|target| clients.get(&target.key).is_some_and(is_due))?;
        let client = clients.get_mut(&target.key)?;
        client.under_way = true;
        if client.state == ListingState::Waiting {
            client.state = ListingState::Running;
        }
        let every = if client.soon {
            self.every.map(|every| every.min(SOON))
        } else {
            self.every
        };
        Some(UnderWay {
            listings: self,
            target: target.clone(),
            every,
        })
    }

    /// A listing ended so.
    pub(super) fn ended(&self, client: &str, state: ListingState, now: Timestamp) {
        let mut clients = self.lock();
        let Some(client) = clients.get_mut(client) else {
            return;
        };
        let failed = matches!(state, ListingState::Failed { .. });
        client.failures = if failed { client.failures + 1 } else { 0 };
        let pause = match state {
            ListingState::Failed { .. } => backoff(client.failures),
            ListingState::Refused(_) => REFUSED_AGAIN,
            _ => self.every.unwrap_or_default(),
        };
        client.due_at = self.every.and_then(|_| now.saturating_add(pause).ok());
        client.soon &= failed;
        // What was known stays known while a CA does not answer for a while; each effect is
        // preceded by a read of its own.
        let passes = matches!(
            state,
            ListingState::Failed {
                temporary: true,
                ..
            }
        );
        if !(passes && self.every.is_some() && client.state == ListingState::Done) {
            client.state = state;
        }
    }

    /// A listing of another worker at `listed_at` is past; the next one may be due at `again_at`.
    pub(super) fn adopted(
        &self,
        client: &str,
        state: ListingState,
        listed_at: Option<Timestamp>,
        again_at: Timestamp,
    ) {
        if let Some(client) = self.lock().get_mut(client) {
            client.failures = 0;
            // Clients that were not listed then are still not listed.
            client.soon &= listed_at <= client.listed_at;
            client.listed_at = listed_at;
            client.due_at = Some(again_at);
            client.state = state;
        }
    }

    /// Another worker is listing; whether that has ended is asked at `again_at`.
    pub(super) fn wait_for_others(&self, client: &str, again_at: Timestamp) {
        if let Some(client) = self.lock().get_mut(client) {
            client.due_at = Some(again_at);
        }
    }

    /// What the store says about a client: its last listing, what the guard refused there, and
    /// whether domains of it wait for their first listing. What is news makes a listing due, of
    /// which [`adopted`](Self::adopted) may be the end. True when it does.
    pub(super) fn hear(
        &self,
        client: &str,
        listed_at: Option<Timestamp>,
        refused: bool,
        unread: bool,
        now: Timestamp,
    ) -> bool {
        let mut clients = self.lock();
        let Some(client) = clients.get_mut(client).filter(|client| !client.under_way) else {
            return false;
        };
        let is_done = client.state == ListingState::Done;
        let is_refused = matches!(client.state, ListingState::Refused(_));
        // A snapshot that is older than this worker's own listing says nothing about later changes.
        let unread = unread && is_done && listed_at >= client.listed_at;
        let news =
            listed_at > client.listed_at || is_done && refused || is_refused && !refused || unread;
        if news {
            client.due_at = Some(now);
            client.soon |= unread;
        }
        news
    }

    /// A person wants a client to be listed now, however its last listing ended. One that is under
    /// way is that listing.
    pub(super) fn order(&self, client: &str, now: Timestamp) {
        if let Some(client) = self
            .lock()
            .get_mut(client)
            .filter(|client| !client.under_way)
        {
            (client.due_at, client.soon) = (Some(now), true);
        }
    }

    /// The listing of `listed_at` was this worker's own.
    pub(super) fn listed(&self, client: &str, listed_at: Timestamp) {
        if let Some(client) = self.lock().get_mut(client) {
            // To the microsecond, as the store says it.
            client.listed_at = Timestamp::from_microsecond(listed_at.as_microsecond()).ok();
        }
    }

    /// Whether what is known about a client is good enough to work by.
    pub(super) fn are_done(&self, client: &str) -> bool {
        self.lock()
            .get(client)
            .is_some_and(|client| client.state == ListingState::Done)
    }

    /// Whether a first listing is under way.
    pub(super) fn are_running(&self) -> bool {
        self.lock()
            .values()
            .any(|client| client.state == ListingState::Running)
    }

    /// When the next listing of one of `targets` is due, of those that are not under way.
    pub(super) fn next<'t>(&self, targets: impl Iterator<Item = &'t Target>) -> Option<Timestamp> {
        let clients = self.lock();
        let clients = targets
            .filter_map(|target| clients.get(&target.key))
            .filter(|client| !client.under_way);
        clients.filter_map(|client| client.due_at).min()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ca::ClientSelector;

    #[test]
    fn only_a_snapshot_newer_than_the_last_listing_makes_one_due() {
        let now: Timestamp = "2026-11-22T12:00:00.123456789Z".parse().unwrap();
        let stored: Timestamp = "2026-11-22T12:00:00.123456Z".parse().unwrap();
        let target = Target::new("ca", ClientSelector::Name("one".into()));
        let listings = Listings::new(
            std::slice::from_ref(&target),
            Some(SignedDuration::from_hours(1)),
        );
        let listing = listings.begin([&target].into_iter(), now).unwrap();
        listings.listed(&target.key, now);
        listings.ended(&target.key, ListingState::Done, now);
        drop(listing);
        let earlier = stored - SignedDuration::from_secs(1);
        for before in [None, Some(earlier)] {
            assert!(
                !listings.hear(&target.key, before, false, true, now),
                "{before:?}"
            );
        }
        assert!(!listings.hear(&target.key, Some(stored), false, false, now));
        assert!(
            listings.hear(&target.key, Some(stored), false, true, now),
            "a domain that came after the listing"
        );
    }

    #[test]
    fn a_listing_put_off_by_a_wrong_clock_is_due_when_it_is_right() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let target = Target::new("ca", ClientSelector::Name("one".into()));
        let targets = std::slice::from_ref(&target);
        let every = SignedDuration::from_hours(6);
        for ahead in [24 * 400, 24, 7] {
            let listings = Listings::new(targets, Some(every));
            let wrong = now + SignedDuration::from_hours(ahead);
            drop(listings.begin(targets.iter(), wrong).unwrap());
            listings.ended(&target.key, ListingState::Done, wrong);
            assert!(listings.begin(targets.iter(), now).is_some(), "{ahead} h");
        }
        let listings = Listings::new(targets, Some(every));
        listings.ended(&target.key, ListingState::Done, now);
        assert!(
            listings.begin(targets.iter(), now).is_none(),
            "one that was put off rightly waits"
        );
    }

    #[test]
    fn an_ordered_listing_waits_for_nothing() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let target = Target::new("ca", ClientSelector::Name("one".into()));
        let listings = Listings::new(
            std::slice::from_ref(&target),
            Some(SignedDuration::from_hours(1)),
        );
        let failed = ListingState::Failed {
            error: "gone".into(),
            temporary: true,
        };
        for state in [
            ListingState::Done,
            ListingState::Refused(Vec::new()),
            failed,
        ] {
            let ordered = listings.begin([&target].into_iter(), now).unwrap();
            listings.order(&target.key, now);
            listings.ended(&target.key, state, now);
            drop(ordered);
            assert!(
                listings.begin([&target].into_iter(), now).is_none(),
                "the one under way was that listing"
            );
            listings.order(&target.key, now);
            assert_eq!(listings.next([&target].into_iter()), Some(now));
        }
        assert_eq!(
            listings.begin([&target].into_iter(), now).unwrap().every,
            Some(SOON)
        );
    }
}
