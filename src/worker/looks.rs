//! Which client is to be listed, when, and how the last listing ended.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::{LookState, Target};
use crate::prevalidation::policy::backoff;

/// A listing that the guard refused waits for a person; whether one has come is checked after this
/// time.
const REFUSED_AGAIN: SignedDuration = SignedDuration::from_mins(30);

/// A listing that found a domain that had not been asked about may be followed by another one this
/// soon.
pub(super) const SOON: SignedDuration = SignedDuration::from_secs(5);

/// The clients of a worker, by key.
#[derive(Debug)]
pub(super) struct Looks {
    /// `None`: each client once.
    every: Option<SignedDuration>,
    clients: Mutex<BTreeMap<String, Standing>>,
}

#[derive(Debug)]
struct Standing {
    state: LookState,
    under_way: bool,
    /// `None`: never again.
    due_at: Option<Timestamp>,
    /// The next one is needed before the last one has grown old.
    soon: bool,
    failures: u32,
    /// The moment of the listing that is gone by.
    looked_at: Option<Timestamp>,
}

/// A listing that is under way; one that is given up, by an error or a panic, is due again.
pub(super) struct UnderWay<'a> {
    looks: &'a Looks,
    pub(super) target: Target,
    /// How old the last listing of any process may be.
    pub(super) every: Option<SignedDuration>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(standing) = self.looks.lock().get_mut(&self.target.key) {
            standing.under_way = false;
            if standing.state == LookState::Running {
                standing.state = LookState::Waiting;
            }
        }
    }
}

impl Looks {
    pub(super) fn new(targets: &[Target], every: Option<SignedDuration>) -> Self {
        let standing = |target: &Target| {
            let standing = Standing {
                state: LookState::Waiting,
                under_way: false,
                due_at: Some(Timestamp::MIN),
                soon: false,
                failures: 0,
                looked_at: None,
            };
            (target.key.clone(), standing)
        };
        Self {
            every,
            clients: Mutex::new(targets.iter().map(standing).collect()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
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
    pub(super) fn states(&self) -> BTreeMap<String, LookState> {
        self.lock()
            .iter()
            .map(|(key, standing)| (key.clone(), standing.state.clone()))
            .collect()
    }

    /// The first client of `targets` whose listing is due, which is then under way.
    pub(super) fn begin<'t>(
        &self,
        mut targets: impl Iterator<Item = &'t Target>,
        now: Timestamp,
    ) -> Option<UnderWay<'_>> {
        let mut clients = self.lock();
        let is_due = |standing: &Standing| {
            !standing.under_way && standing.due_at.is_some_and(|due| self.is_due(due, now))
        };
        let target = targets.find(|target| clients.get(&target.key).is_some_and(is_due))?;
        let standing = clients.get_mut(&target.key)?;
        standing.under_way = true;
        if standing.state == LookState::Waiting {
            standing.state = LookState::Running;
        }
        let every = if standing.soon {
            self.every.map(|every| every.min(SOON))
        } else {
            self.every
        };
        Some(UnderWay {
            looks: self,
            target: target.clone(),
            every,
        })
    }

    /// A listing ended so.
    pub(super) fn ended(&self, client: &str, state: LookState, now: Timestamp) {
        let mut clients = self.lock();
        let Some(standing) = clients.get_mut(client) else {
            return;
        };
        let failed = matches!(state, LookState::Failed { .. });
        standing.failures = if failed { standing.failures + 1 } else { 0 };
        let pause = match state {
            LookState::Failed { .. } => backoff(standing.failures),
            LookState::Refused(_) => REFUSED_AGAIN,
            _ => self.every.unwrap_or_default(),
        };
        standing.due_at = self.every.and_then(|_| now.saturating_add(pause).ok());
        standing.soon &= failed;
        // What was known stays known while a CA does not answer for a while; each effect is
        // preceded by a read of its own.
        let passes = matches!(
            state,
            LookState::Failed {
                temporary: true,
                ..
            }
        );
        if !(passes && self.every.is_some() && standing.state == LookState::Done) {
            standing.state = state;
        }
    }

    /// A listing of another worker at `looked_at` is past; the next one may be due at `again_at`.
    pub(super) fn adopted(
        &self,
        client: &str,
        state: LookState,
        looked_at: Option<Timestamp>,
        again_at: Timestamp,
    ) {
        if let Some(standing) = self.lock().get_mut(client) {
            standing.failures = 0;
            // What was not asked about then is still not asked about.
            standing.soon &= looked_at <= standing.looked_at;
            standing.looked_at = looked_at;
            standing.due_at = Some(again_at);
            standing.state = state;
        }
    }

    /// Another worker is listing; whether that has ended is asked at `again_at`.
    pub(super) fn wait_for_others(&self, client: &str, again_at: Timestamp) {
        if let Some(standing) = self.lock().get_mut(client) {
            standing.due_at = Some(again_at);
        }
    }

    /// What the store says about a client: its last listing, what the guard refused there, and
    /// whether domains of it wait for their first listing. What is news makes a listing due, of
    /// which [`adopted`](Self::adopted) may be the end. True when it does.
    pub(super) fn hear(
        &self,
        client: &str,
        looked_at: Option<Timestamp>,
        refused: bool,
        unread: bool,
        now: Timestamp,
    ) -> bool {
        let mut clients = self.lock();
        let Some(standing) = clients
            .get_mut(client)
            .filter(|standing| !standing.under_way)
        else {
            return false;
        };
        let is_done = standing.state == LookState::Done;
        let is_refused = matches!(standing.state, LookState::Refused(_));
        // A snapshot that is older than this worker's own listing says nothing about later changes.
        let unread = unread && is_done && looked_at >= standing.looked_at;
        let news = looked_at > standing.looked_at
            || is_done && refused
            || is_refused && !refused
            || unread;
        if news {
            standing.due_at = Some(now);
            standing.soon |= unread;
        }
        news
    }

    /// A person wants a client to be listed now, however its last listing ended. One that is under
    /// way is that listing.
    pub(super) fn order(&self, client: &str, now: Timestamp) {
        if let Some(standing) = self
            .lock()
            .get_mut(client)
            .filter(|standing| !standing.under_way)
        {
            (standing.due_at, standing.soon) = (Some(now), true);
        }
    }

    /// The listing of `looked_at` was this worker's own.
    pub(super) fn looked(&self, client: &str, looked_at: Timestamp) {
        if let Some(standing) = self.lock().get_mut(client) {
            // To the microsecond, as the store says it.
            standing.looked_at = Timestamp::from_microsecond(looked_at.as_microsecond()).ok();
        }
    }

    /// Whether what is known about a client is good enough to work by.
    pub(super) fn are_done(&self, client: &str) -> bool {
        self.lock()
            .get(client)
            .is_some_and(|standing| standing.state == LookState::Done)
    }

    /// Whether a first listing is under way.
    pub(super) fn are_running(&self) -> bool {
        self.lock()
            .values()
            .any(|standing| standing.state == LookState::Running)
    }

    /// When the next listing of one of `targets` is due, of those that are not under way.
    pub(super) fn next<'t>(&self, targets: impl Iterator<Item = &'t Target>) -> Option<Timestamp> {
        let clients = self.lock();
        let standings = targets
            .filter_map(|target| clients.get(&target.key))
            .filter(|standing| !standing.under_way);
        standings.filter_map(|standing| standing.due_at).min()
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
        let looks = Looks::new(
            std::slice::from_ref(&target),
            Some(SignedDuration::from_hours(1)),
        );
        let look = looks.begin([&target].into_iter(), now).unwrap();
        looks.looked(&target.key, now);
        looks.ended(&target.key, LookState::Done, now);
        drop(look);
        let earlier = stored - SignedDuration::from_secs(1);
        for before in [None, Some(earlier)] {
            assert!(
                !looks.hear(&target.key, before, false, true, now),
                "{before:?}"
            );
        }
        assert!(!looks.hear(&target.key, Some(stored), false, false, now));
        assert!(
            looks.hear(&target.key, Some(stored), false, true, now),
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
            let looks = Looks::new(targets, Some(every));
            let wrong = now + SignedDuration::from_hours(ahead);
            drop(looks.begin(targets.iter(), wrong).unwrap());
            looks.ended(&target.key, LookState::Done, wrong);
            assert!(looks.begin(targets.iter(), now).is_some(), "{ahead} h");
        }
        let looks = Looks::new(targets, Some(every));
        looks.ended(&target.key, LookState::Done, now);
        assert!(
            looks.begin(targets.iter(), now).is_none(),
            "one that was put off rightly waits"
        );
    }

    #[test]
    fn an_ordered_listing_waits_for_nothing() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let target = Target::new("ca", ClientSelector::Name("one".into()));
        let looks = Looks::new(
            std::slice::from_ref(&target),
            Some(SignedDuration::from_hours(1)),
        );
        let failed = LookState::Failed {
            error: "gone".into(),
            temporary: true,
        };
        for state in [LookState::Done, LookState::Refused(Vec::new()), failed] {
            let ordered = looks.begin([&target].into_iter(), now).unwrap();
            looks.order(&target.key, now);
            looks.ended(&target.key, state, now);
            drop(ordered);
            assert!(
                looks.begin([&target].into_iter(), now).is_none(),
                "the one under way was that listing"
            );
            looks.order(&target.key, now);
            assert_eq!(looks.next([&target].into_iter()), Some(now));
        }
        assert_eq!(
            looks.begin([&target].into_iter(), now).unwrap().every,
            Some(SOON)
        );
    }
}
